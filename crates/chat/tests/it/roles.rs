//! Roles that a back end gives users.

use std::sync::Arc;

use hubbub_chat::ports::Store as _;
use hubbub_chat::{ChatConfig, PushRules};
use hubbub_proto::route::Work;
use hubbub_proto::{Request, Who};
use hubbub_store::MemoryStore;
use serde_json::{Value, json};

use crate::room::{EPOCH, Room, items, life, reason, request};

fn config() -> ChatConfig {
    let who = |rule| Who::compile([rule]).unwrap();
    ChatConfig {
        admin: who("role:admin"),
        push: PushRules { send: who("role:backend"), ..PushRules::default() },
        push_roles_max: 2,
        ..ChatConfig::default()
    }
}

/// With these roles by token, and others as the data plane has heard.
fn with(mut request: Request, roles: &[&str], granted: &[&str]) -> Request {
    let boxed = |roles: &[&str]| roles.iter().map(|role| (*role).into()).collect::<Vec<Box<str>>>();
    let identity = Arc::make_mut(&mut request.identity);
    identity.roles = boxed(roles).into();
    identity.change_rare(|rare| rare.granted = boxed(granted).into());
    request
}

fn give(room: &mut Room, user: &str, roles: &[&str]) -> Value {
    let payload = json!({ "user": user, "roles": roles });
    room.batch(vec![with(request("svc", "user_roles", &payload), &["admin"], &[])]).remove(0)
}

fn ask(room: &mut Room, user: &str, roles: &[&str], kind: &str, payload: &Value) -> Value {
    room.batch(vec![with(request(user, kind, payload), roles, &[])]).remove(0)
}

fn opened(user: &str, roles: &[&str], granted: &[&str]) -> Request {
    let conn = request(user, "me", &json!({})).conn;
    with(Request { conn, ..life(user, Work::Opened) }, roles, granted)
}

fn push(to: &str, id: &str) -> Value {
    json!({ "to": to, "type": "notification", "data": 1, "client_id": id })
}

#[test]
fn roles_that_were_given_count_beside_those_of_the_token() {
    let mut room = Room::with(config());
    assert_eq!(give(&mut room, "bob", &["staff", "backend", "staff"]), json!({}));
    assert_eq!(room.take_events(), ["roles of bob: backend staff"]);
    let me = ask(&mut room, "bob", &["user", "staff"], "me", &json!({}));
    assert_eq!(me["roles"], json!(["user", "staff", "backend"]));
    assert!(me["rev"].as_u64() > Some(0));
    assert!(room.ask("bob", "push", push("all", "p1")).get("written").is_some());
    room.take_events();
    // Said again, nothing is written and nobody told.
    let commits = room.scribe.stats().snapshot().commits;
    assert_eq!(give(&mut room, "bob", &["staff", "backend"]), json!({}));
    assert_eq!(room.take_events(), [""; 0]);
    assert_eq!(room.scribe.stats().snapshot().commits, commits);
    assert_eq!(give(&mut room, "bob", &[]), json!({}));
    assert_eq!(room.take_events(), ["roles of bob: "]);
    assert_eq!(ask(&mut room, "bob", &["user"], "me", &json!({}))["roles"], json!(["user"]));
    assert_eq!(room.ask("bob", "push", push("all", "p2")), reason("not_allowed"));
}

#[test]
fn only_those_give_roles_whom_the_rule_permits() {
    let payload = json!({ "user": "bob", "roles": ["admin"] });
    for (rule, roles, permitted) in [
        ("nobody", &["admin"][..], false),
        ("role:admin", &[], false),
        ("role:admin", &["staff"], false),
        ("role:admin", &["admin"], true),
        ("everyone", &[], true),
    ] {
        let admin = Who::compile([rule]).unwrap();
        let mut room = Room::with(ChatConfig { admin, ..config() });
        let answer = ask(&mut room, "alice", roles, "user_roles", &payload);
        let expected = if permitted { json!({}) } else { reason("not_allowed") };
        assert_eq!(answer, expected, "{rule} {roles:?}");
        assert_eq!(room.take_events().len(), usize::from(permitted), "{rule} {roles:?}");
        assert_eq!(room.scribe.stats().snapshot().commits, u64::from(permitted));
    }
    // The right itself can be given, and taken away.
    let mut room = Room::with(config());
    give(&mut room, "alice", &["admin"]);
    assert_eq!(room.ask("alice", "user_roles", payload.clone()), json!({}));
    give(&mut room, "alice", &[]);
    assert_eq!(room.ask("alice", "user_roles", payload), reason("not_allowed"));
}

#[test]
fn what_was_taken_away_counts_no_more_whatever_the_data_plane_has_heard() {
    let mut room = Room::with(config());
    let stale = |kind: &str, payload: &Value| {
        with(request("bob", kind, payload), &[], &["backend", "admin"])
    };
    let roles = json!({ "user": "carol", "roles": ["admin"] });
    give(&mut room, "bob", &["backend", "admin"]);
    let taken =
        with(request("svc", "user_roles", &json!({ "user": "bob", "roles": [] })), &["admin"], &[]);
    let replies = room.batch(vec![
        stale("push", &push("all", "p1")),
        taken,
        stale("push", &push("all", "p2")),
        stale("user_roles", &roles),
        stale("me", &json!({})),
        // Done before, so it is acked again.
        stale("push", &push("all", "p1")),
    ]);
    let replied = |n: usize| &replies[n];
    assert_eq!(replied(0)["duplicate"], false);
    assert_eq!(replied(2), &reason("not_allowed"));
    assert_eq!(replied(3), &reason("not_allowed"));
    assert_eq!(replied(4)["duplicate"], true, "reads are answered behind the writes");
    assert_eq!(replied(5)["roles"], json!([]));
}

#[test]
fn a_session_is_told_where_it_does_not_know() {
    let mut room = Room::with(ChatConfig { push: PushRules::default(), ..config() });
    give(&mut room, "bob", &["staff"]);
    room.take_events();
    let commits = room.scribe.stats().snapshot().commits;
    for (user, granted, told) in [
        ("bob", &[][..], &["roles of bob: staff"][..]),
        ("bob", &["staff"], &[]),
        ("bob", &["old"], &["roles of bob: staff"]),
        ("alice", &[], &[]),
        ("nobody", &["old"], &["roles of nobody: "]),
    ] {
        room.batch(vec![opened(user, &["user"], granted)]);
        assert_eq!(room.take_events(), told, "{user} {granted:?}");
    }
    assert_eq!(room.scribe.stats().snapshot().commits, commits, "no session writes");
}

#[test]
fn who_gets_a_role_is_among_those_for_whom_it_is_pushed() {
    let mut room = Room::with(config());
    let staff = json!({ "conversation": "system:role:staff" });
    let say = |room: &mut Room, id: &str| {
        ask(room, "svc", &["backend"], "push", &push("role:staff", id));
    };
    say(&mut room, "before");
    give(&mut room, "bob", &["staff"]);
    say(&mut room, "while");
    room.batch(vec![opened("bob", &[], &[])]);
    say(&mut room, "there");
    give(&mut room, "bob", &[]);
    say(&mut room, "after");
    room.batch(vec![opened("bob", &[], &[])]);
    assert_eq!(items(&room.ask("bob", "history", staff.clone())), ["2", "3"]);
    // Signing in is enough, too, and so is a role of the token that was once given.
    give(&mut room, "bob", &["staff"]);
    give(&mut room, "bob", &[]);
    room.batch(vec![opened("bob", &["staff"], &[])]);
    say(&mut room, "by-token");
    assert_eq!(items(&room.ask("bob", "history", staff)), ["2", "3", "5"]);
}

#[test]
fn memberships_by_role_are_bounded() {
    let mut room = Room::with(config());
    give(&mut room, "bob", &["a", "b", "c"]);
    for role in ["a", "b", "c"] {
        ask(&mut room, "svc", &["backend"], "push", &push(&format!("role:{role}"), role));
    }
    let list = room.ask("bob", "conversations", json!({}));
    assert_eq!(list["conversations"].as_array().unwrap().len(), 2, "push_roles_max");
}

#[test]
fn roles_outlast_the_server() {
    let store = MemoryStore::with_epoch(EPOCH);
    let mut room = Room::on(&store, store.writer(), config());
    give(&mut room, "bob", &["staff"]);
    drop(room);
    let mut room = Room::on(&store, store.writer(), config());
    assert_eq!(room.ask("bob", "me", json!({}))["roles"], json!(["staff"]));
    room.batch(vec![opened("bob", &[], &[])]);
    assert_eq!(room.take_events(), ["roles of bob: staff"]);
}
