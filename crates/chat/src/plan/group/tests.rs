//! The rules of groups as tables, and the states that the other plans' tables use.

use hubbub_proto::ConversationId;
use hubbub_proto::event::ConversationKind;

use hubbub_proto::command::JoinPolicy;

use super::*;
use crate::model::{Conversation, ConversationKey, Membership, Rev, Stay};

pub(crate) fn group(head_seq: u64, dissolved: bool) -> Conversation {
    Conversation {
        key: ConversationKey(1),
        id: ConversationId::new("group:g").unwrap(),
        kind: ConversationKind::Group,
        head_seq,
        floor_seq: 0,
        rev: Rev(1),
        profile: Profile::default(),
        dissolved,
        silenced: None,
    }
}

pub(crate) fn member_with(left_seq: Option<u64>) -> Membership {
    Membership {
        role: Role::Member,
        received_seq: 0,
        read_seq: 0,
        cleared_seq: 0,
        rev: Rev(1),
        left_name: None,
        silenced: None,
        settings: None,
        stays: vec![Stay { join_seq: 1, left_seq }],
    }
}

const MEMBER: Option<Role> = Some(Role::Member);
const ADMIN: Option<Role> = Some(Role::Admin);
const OWNER: Option<Role> = Some(Role::Owner);

pub(super) const DOOR: Door<'_> =
    Door { ban: None, link: None, asked: false, requests: (0, 9), own_requests: (0, 9) };

fn invitee(name: &str, present: bool) -> Invitee {
    Invitee { user: user(name), present, ban: None }
}

pub(super) const fn of_role(role: Role) -> Target {
    Target { role, silenced: None }
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// Three members, one owner, room for four; `alice` acts.
fn with_state<T>(role: Option<Role>, join: JoinPolicy, run: impl FnOnce(State<'_>) -> T) -> T {
    let profile = Profile {
        name: Some("g".into()),
        join,
        announcement: Some("old".into()),
        ..Profile::default()
    };
    let actor = user("alice");
    run(State {
        now: Timestamp(1_000),
        profile: &profile,
        dissolved: false,
        silenced: None,
        actor: &actor,
        role,
        members: 3,
        owners: 1,
        members_max: 4,
    })
}

fn outcome(plan: Result<Plan, Refusal>) -> Result<String, Reason> {
    plan.map(|plan| plan.kind.as_str().to_owned()).map_err(|refusal| refusal.reason)
}

fn kind(name: &str) -> Result<String, Reason> {
    Ok(name.to_owned())
}

#[test]
fn roles_table() {
    use JoinPolicy::{Invite, Open};
    let check = |role, join, act: &dyn Fn(&State<'_>) -> Result<Plan, Refusal>, expect| {
        let found = with_state(role, join, |state| outcome(act(&state)));
        assert_eq!(found, expect, "{role:?} {join:?}");
    };
    let rename = GroupUpdate {
        group: hubbub_proto::GroupId::new("g").unwrap(),
        name: Some("n".into()),
        join: None,
        announcement: None,
        retention_ms: None,
        client_id: None,
    };
    let update: &dyn Fn(&State<'_>) -> _ = &|state| update(state, &rename, &(1_000..=9_000));
    check(None, Open, update, Err(Reason::NotAMember));
    check(MEMBER, Open, update, Err(Reason::NotAllowed));
    check(ADMIN, Invite, update, kind("group_updated"));
    check(OWNER, Invite, update, kind("group_updated"));

    let bring: &dyn Fn(&State<'_>) -> _ = &|state| invite(state, &[invitee("dave", false)]);
    check(None, Open, bring, Err(Reason::NotAMember));
    check(MEMBER, Invite, bring, Err(Reason::NotAllowed));
    check(MEMBER, Open, bring, kind("member_joined"));
    check(ADMIN, Invite, bring, kind("member_joined"));
    check(OWNER, Invite, bring, kind("member_joined"));

    check(None, Open, &leave, Err(Reason::NotAMember));
    check(MEMBER, Open, &leave, kind("member_left"));
    check(ADMIN, Open, &leave, kind("member_left"));
    check(OWNER, Open, &leave, Err(Reason::LastOwner));

    check(None, Open, &dissolve, Err(Reason::NotAMember));
    check(MEMBER, Open, &dissolve, Err(Reason::NotAllowed));
    check(ADMIN, Open, &dissolve, Err(Reason::NotAllowed));
    check(OWNER, Open, &dissolve, kind("group_dissolved"));
}

#[test]
fn kick_table() {
    let check = |role, target: Option<Role>, expect| {
        let found = with_state(role, JoinPolicy::Open, |s| {
            outcome(kick(&s, &user("bob"), target.map(of_role)))
        });
        assert_eq!(found, expect, "{role:?} kicks {target:?}");
    };
    check(None, MEMBER, Err(Reason::NotAMember));
    check(MEMBER, MEMBER, Err(Reason::NotAllowed));
    check(ADMIN, MEMBER, kind("member_kicked"));
    check(ADMIN, ADMIN, Err(Reason::NotAllowed));
    check(ADMIN, OWNER, Err(Reason::NotAllowed));
    check(ADMIN, None, Err(Reason::NotFound));
    check(OWNER, MEMBER, kind("member_kicked"));
    check(OWNER, ADMIN, kind("member_kicked"));
    check(OWNER, OWNER, Err(Reason::NotAllowed));
    let oneself = with_state(OWNER, JoinPolicy::Open, |s| {
        outcome(kick(&s, &user("alice"), OWNER.map(of_role)))
    });
    assert_eq!(oneself, Err(Reason::NotAllowed));
}

#[test]
fn role_table() {
    let check = |actor, whom: &str, target: Option<Role>, given, owners, expect| {
        let found = with_state(actor, JoinPolicy::Open, |state| {
            let state = State { owners, ..state };
            role(&state, &user(whom), target.map(of_role), given)
                .map(|plan| plan.changes)
                .map_err(|refusal| refusal.reason)
        });
        assert_eq!(found, expect, "{actor:?} gives {given:?} to {whom} {target:?}");
    };
    let to = |name, role| Change::Role(user(name), role);
    check(None, "bob", MEMBER, Role::Admin, 1, Err(Reason::NotAMember));
    check(ADMIN, "bob", MEMBER, Role::Admin, 1, Err(Reason::NotAllowed));
    check(OWNER, "bob", MEMBER, Role::Admin, 1, Ok(vec![to("bob", Role::Admin)]));
    check(OWNER, "bob", ADMIN, Role::Member, 1, Ok(vec![to("bob", Role::Member)]));
    check(OWNER, "bob", ADMIN, Role::Admin, 1, Err(Reason::BadField));
    check(OWNER, "bob", None, Role::Admin, 1, Err(Reason::NotFound));
    let handed_over = vec![to("bob", Role::Owner), to("alice", Role::Admin)];
    check(OWNER, "bob", MEMBER, Role::Owner, 1, Ok(handed_over));
    check(OWNER, "alice", OWNER, Role::Member, 1, Err(Reason::LastOwner));
    check(OWNER, "alice", OWNER, Role::Member, 2, Ok(vec![to("alice", Role::Member)]));
    check(OWNER, "alice", OWNER, Role::Owner, 1, Err(Reason::BadField));
}

#[test]
fn create_invites_each_once_and_counts_the_creator() {
    let command = |json: &str| serde_json::from_str::<GroupCreate>(json).unwrap();
    let check = |json: &str, max, expect: Result<&[&str], Reason>| {
        let found = create(&user("alice"), &command(json), max)
            .map(|(_, plan)| {
                let entered = |change: Change| match change {
                    Change::Enter(user, Role::Owner) => format!("{user}*"),
                    Change::Enter(user, _) => user.to_string(),
                    other => format!("{other:?}"),
                };
                plan.changes.into_iter().map(entered).collect::<Vec<_>>()
            })
            .map_err(|refusal| refusal.reason);
        assert_eq!(found, expect.map(|names| names.iter().map(|n| (*n).to_owned()).collect()));
    };
    check(r#"{"name":"g"}"#, 4, Ok(&["alice*"]));
    let doubled = r#"{"name":"g","members":["bob","alice","bob","carol"]}"#;
    check(doubled, 3, Ok(&["alice*", "bob", "carol"]));
    check(doubled, 2, Err(Reason::GroupFull));
}

#[test]
fn invitations_and_the_size_limit() {
    let check = |invitees: &[(&str, bool)], members, expect: Result<&str, Reason>| {
        let invitees: Vec<_> = invitees.iter().map(|(name, is)| invitee(name, *is)).collect();
        let found = with_state(OWNER, JoinPolicy::Invite, |state| {
            invite(&State { members, ..state }, &invitees)
                .map(|plan| plan.content.get().to_owned())
                .map_err(|refusal| refusal.reason)
        });
        assert_eq!(found, expect.map(str::to_owned), "{invitees:?} into {members}");
    };
    check(&[("bob", false)], 3, Ok(r#"{"user":"bob","by":"alice"}"#));
    check(&[("bob", false), ("carol", true)], 3, Ok(r#"{"user":"bob","by":"alice"}"#));
    check(&[("bob", false), ("carol", false)], 2, Ok(r#"{"users":["bob","carol"],"by":"alice"}"#));
    check(&[("bob", false), ("carol", false)], 3, Err(Reason::GroupFull));
    check(&[("bob", true)], 3, Err(Reason::AlreadyMember));
    check(&[], 3, Err(Reason::BadField));
}

#[test]
fn joining_and_leaving_at_the_edges() {
    let enters = |join_policy, change: &dyn Fn(State<'_>) -> Option<Reason>| {
        with_state(None, join_policy, change)
    };
    let refusal = |state: &State<'_>, door| join(state, &door).err().map(|refusal| refusal.reason);
    let full = enters(JoinPolicy::Open, &|s| refusal(&State { members: 4, ..s }, DOOR));
    assert_eq!(full, Some(Reason::GroupFull));
    let over = enters(JoinPolicy::Open, &|s| refusal(&State { dissolved: true, ..s }, DOOR));
    assert_eq!(over, Some(Reason::NotFound));
    let crowded = Door { requests: (9, 9), ..DOOR };
    let many = enters(JoinPolicy::Approval, &|s| refusal(&s, crowded));
    assert_eq!(many, Some(Reason::TooManyJoinRequests));
    let eager = Door { own_requests: (9, 9), ..DOOR };
    let many = enters(JoinPolicy::Approval, &|s| refusal(&s, eager));
    assert_eq!(many, Some(Reason::TooManyJoinRequests));
    let again = Door { asked: true, ..crowded };
    assert_eq!(enters(JoinPolicy::Approval, &|s| refusal(&s, again)), None, "asking again is fine");
    let alone = with_state(OWNER, JoinPolicy::Open, |state| {
        leave(&State { members: 1, ..state }).unwrap().changes
    });
    assert_eq!(alone, [Change::Exit(user("alice")), Change::Dissolve]);
    let two_owners =
        with_state(OWNER, JoinPolicy::Open, |s| outcome(leave(&State { owners: 2, ..s })));
    assert_eq!(two_owners, kind("member_left"));
}

#[test]
fn an_update_must_change_something_and_keeps_the_rest() {
    let command = |json: &str| serde_json::from_str::<GroupUpdate>(json).unwrap();
    let changes = |json: &str| {
        with_state(OWNER, JoinPolicy::Open, |state| {
            update(&state, &command(json), &(1_000..=9_000))
                .map(|p| p.changes)
                .map_err(|refusal| refusal.reason)
        })
    };
    assert_eq!(changes(r#"{"group":"g"}"#), Err(Reason::BadField));
    let old = || Some("old".into());
    let closed = Profile {
        name: Some("g".into()),
        join: JoinPolicy::Invite,
        announcement: old(),
        ..Profile::default()
    };
    assert_eq!(changes(r#"{"group":"g","join":"invite"}"#), Ok(vec![Change::Profile(closed)]));
    let renamed = Profile {
        name: Some("n".into()),
        join: JoinPolicy::Open,
        announcement: old(),
        ..Profile::default()
    };
    assert_eq!(changes(r#"{"group":"g","name":"n"}"#), Ok(vec![Change::Profile(renamed.clone())]));
    for (json, announcement) in [(r#""new""#, Some("new")), (r#""""#, None), ("null", None)] {
        let told = Profile {
            name: Some("g".into()),
            announcement: announcement.map(Into::into),
            ..renamed.clone()
        };
        let command = format!(r#"{{"group":"g","announcement":{json}}}"#);
        assert_eq!(changes(&command), Ok(vec![Change::Profile(told)]), "{json}");
    }
    let renamed = Profile { name: Some("g".into()), ..renamed };
    for (json, retention) in [
        ("1000", Ok(Some(1_000))),
        ("9000", Ok(Some(9_000))),
        ("0", Ok(None)),
        ("null", Ok(None)),
        ("999", Err(Reason::BadField)),
        ("9001", Err(Reason::BadField)),
    ] {
        let command = format!(r#"{{"group":"g","retention_ms":{json}}}"#);
        let expect = retention
            .map(|retention_ms| vec![Change::Profile(Profile { retention_ms, ..renamed.clone() })]);
        assert_eq!(changes(&command), expect, "{json}");
    }
}
