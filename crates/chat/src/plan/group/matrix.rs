//! Who may do what to whom, generated: every command for every actor, target, policy and state.

use std::fmt::Write as _;

use hubbub_proto::GroupId;
use hubbub_proto::command::{GroupBan, GroupMute, JoinPolicy};

use super::tests::{DOOR, group, member_with, of_role};
use super::*;
use crate::model::{Ban, JoinRequest, Membership};
use crate::plan::silenced;

const NOW: Timestamp = Timestamp(1_000);
const ACTORS: [Option<Role>; 4] = [None, Some(Role::Member), Some(Role::Admin), Some(Role::Owner)];
const POLICIES: [JoinPolicy; 3] = [JoinPolicy::Invite, JoinPolicy::Approval, JoinPolicy::Open];

type OnMember<'a> = &'a dyn Fn(&State<'_>, Option<Role>) -> Result<Plan, Refusal>;
type OnGroup<'a> = &'a dyn Fn(&State<'_>) -> Result<Plan, Refusal>;

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn named(role: Option<Role>) -> String {
    role.map_or_else(|| "stranger".to_owned(), |role| format!("{role:?}").to_lowercase())
}

fn state<'a>(actor: &'a UserId, role: Option<Role>, profile: &'a Profile) -> State<'a> {
    State {
        now: NOW,
        profile,
        dissolved: false,
        silenced: None,
        actor,
        role,
        members: 5,
        owners: 2,
        members_max: 9,
    }
}

fn told(outcome: Result<&Plan, &Refusal>) -> String {
    outcome.map_or_else(|r| format!("- {}", r.reason.slug()), |plan| plan.kind.as_str().to_owned())
}

/// A table: a row for each actor, a column for each case.
fn table(
    out: &mut String,
    title: &str,
    columns: &[String],
    cell: impl Fn(Option<Role>, usize) -> String,
) {
    write!(out, "\n{title:<28}").unwrap();
    for column in columns {
        write!(out, " {column:<22}").unwrap();
    }
    out.push('\n');
    for actor in ACTORS {
        write!(out, "{:<28}", named(actor)).unwrap();
        for index in 0..columns.len() {
            write!(out, " {:<22}", cell(actor, index)).unwrap();
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
}

fn on_members(out: &mut String) {
    let (alice, bob, profile) = (user("alice"), user("bob"), Profile::default());
    let targets = ACTORS.map(named);
    let ban_command = GroupBan {
        group: GroupId::new("g").unwrap(),
        user: bob.clone(),
        until: None,
        client_id: None,
    };
    let mute_command = |muted| GroupMute {
        group: GroupId::new("g").unwrap(),
        user: Some(bob.clone()),
        muted,
        until: None,
        client_id: None,
    };
    let banned = Ban { by: bob.clone(), at: NOW, until: Until::new(None) };
    let silent = |role| Target { role, silenced: Some(Until::new(None)) };
    let bans = |known| Bans { known, count: 0, count_max: 9 };
    let acts: [(&str, OnMember<'_>); 9] = [
        ("kick", &|s, target| kick(s, &bob, target.map(of_role))),
        ("ban", &|s, target| ban(s, &ban_command, target.map(of_role), &bans(None))),
        ("ban again", &|s, target| ban(s, &ban_command, target.map(of_role), &bans(Some(&banned)))),
        ("unban", &|s, _| unban(s, &bob, Some(&banned))),
        ("mute", &|s, target| mute(s, &mute_command(true), target.map(of_role))),
        ("unmute", &|s, target| mute(s, &mute_command(false), target.map(silent))),
        ("role admin", &|s, target| role(s, &bob, target.map(of_role), Role::Admin)),
        ("role owner", &|s, target| role(s, &bob, target.map(of_role), Role::Owner)),
        ("role member", &|s, target| role(s, &bob, target.map(of_role), Role::Member)),
    ];
    for (title, act) in acts {
        table(out, &format!("{title}: actor \\ target"), &targets, |actor, index| {
            let outcome = act(&state(&alice, actor, &profile), ACTORS[index]);
            told(outcome.as_ref())
        });
    }
}

fn on_the_group(out: &mut String) {
    let (alice, profile) = (user("alice"), Profile::default());
    let rename: GroupUpdate = serde_json::from_str(r#"{"group":"g","name":"n"}"#).unwrap();
    let tell: GroupUpdate = serde_json::from_str(r#"{"group":"g","announcement":"n"}"#).unwrap();
    let quiet: GroupMute = serde_json::from_str(r#"{"group":"g","muted":true}"#).unwrap();
    let acts: [(&str, OnGroup<'_>); 5] = [
        ("rename", &|s| update(s, &rename, &(1..=9))),
        ("announce", &|s| update(s, &tell, &(1..=9))),
        ("mute all", &|s| mute(s, &quiet, None)),
        ("leave", &leave),
        ("dissolve", &dissolve),
    ];
    let columns = acts.iter().map(|(title, _)| (*title).to_owned()).collect::<Vec<_>>();
    for (title, dissolved) in [("the group", false), ("a group that has ended", true)] {
        table(out, title, &columns, |actor, index| {
            // Nobody has a role in a group that has ended.
            let role = actor.filter(|_| !dissolved);
            let state = State { dissolved, ..state(&alice, role, &profile) };
            told((acts[index].1)(&state).as_ref())
        });
    }
}

fn at_the_door(out: &mut String) {
    let (alice, bob) = (user("alice"), user("bob"));
    let profile = |index: usize| Profile { join: POLICIES[index], ..Profile::default() };
    let policies = POLICIES.map(|policy| format!("{policy:?}").to_lowercase());
    let banned = |end| Ban { by: bob.clone(), at: NOW, until: Until::new(end) };
    let request = JoinRequest { note: None, at: NOW };
    for (title, ban) in
        [("free", None), ("banned", Some(banned(None))), ("once banned", Some(banned(Some(NOW))))]
    {
        table(out, &format!("join, {title} \\ policy"), &policies, |actor, index| {
            let (profile, door) = (profile(index), Door { ban: ban.as_ref(), ..DOOR });
            match join(&state(&alice, actor, &profile), &door) {
                Ok(Entrance::In(plan)) => told(Ok(&plan)),
                Ok(Entrance::Ask) => "asks".to_owned(),
                Err(refusal) => told(Err(&refusal)),
            }
        });
        table(out, &format!("invite one {title} \\ policy"), &policies, |actor, index| {
            let profile = profile(index);
            let invitee = Invitee { user: bob.clone(), present: false, ban: ban.clone() };
            told(invite(&state(&alice, actor, &profile), &[invitee]).as_ref())
        });
        table(out, &format!("approve one {title} \\ policy"), &policies, |actor, index| {
            let profile = profile(index);
            let state = state(&alice, actor, &profile);
            told(approve(&state, &bob, None, Some(&request), ban.as_ref()).as_ref())
        });
    }
    let cases = ["asked", "asked oneself", "has not asked"].map(str::to_owned);
    table(out, "reject \\ who", &cases, |actor, index| {
        let profile = profile(1);
        let user = if index == 1 { &alice } else { &bob };
        let request = Some(&request).filter(|_| index < 2);
        let outcome = reject(&state(&alice, actor, &profile), user, request);
        outcome
            .map_or_else(|refusal| told(Err(&refusal)), |state| format!("{state:?}").to_lowercase())
    });
}

fn to_speak(out: &mut String) {
    let cases = ["free", "muted", "once muted", "all muted", "both"].map(str::to_owned);
    table(out, "may not only read", &cases, |actor, index| {
        let Some(role) = actor else { return "- not_a_member".to_owned() };
        let ever = Some(Until::new(None));
        let (own, all) = [
            (None, None),
            (ever, None),
            (Some(Until::new(Some(NOW))), None),
            (None, ever),
            (ever, ever),
        ][index];
        let conversation = crate::model::Conversation { silenced: all, ..group(3, false) };
        let membership = Membership { role, silenced: own, ..member_with(None) };
        match silenced(&conversation, Some(&membership), NOW) {
            Ok(()) => "yes".to_owned(),
            Err(refusal) => told(Err(&refusal)),
        }
    });
}

#[test]
fn who_may_do_what_to_whom() {
    let mut out = String::new();
    on_members(&mut out);
    on_the_group(&mut out);
    at_the_door(&mut out);
    to_speak(&mut out);
    insta::assert_snapshot!("matrix", out);
}
