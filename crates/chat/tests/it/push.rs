//! What is pushed to users, roles and everyone: kept, told, found again.

use std::sync::Arc;

use hubbub_chat::{ChatConfig, PushRules};
use hubbub_proto::route::Work;
use hubbub_proto::{Identity, Request, Who};
use serde_json::{Value, json};

use crate::room::{Room, identity, items, reason, request};

fn room() -> Room {
    let send = Who::compile(["role:backend"]).unwrap();
    Room::with(ChatConfig {
        push: PushRules { send, ..PushRules::default() },
        stays_max: 3,
        ..ChatConfig::default()
    })
}

fn with_roles(user: &str, roles: &[&str], kind: &str, payload: &Value) -> Request {
    let roles = roles.iter().map(|role| (*role).into()).collect();
    let identity = Arc::new(Identity { roles, ..Identity::clone(&identity(user)) });
    Request { identity, ..request(user, kind, payload) }
}

fn ask(room: &mut Room, user: &str, roles: &[&str], kind: &str, payload: &Value) -> Value {
    room.batch(vec![with_roles(user, roles, kind, payload)]).remove(0)
}

/// Pushes as the back end.
fn push(room: &mut Room, to: &Value, more: &Value) -> Value {
    let mut payload = json!({"to": to, "type": "notification", "data": 1});
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ask(room, "svc", &["backend"], "push", &payload)
}

fn sync(room: &mut Room, user: &str, roles: &[&str]) -> Value {
    ask(room, user, roles, "sync", &json!({}))
}

fn of<'a>(page: &'a Value, conversation: &str) -> &'a Value {
    let mut all = page["conversations"].as_array().unwrap().iter();
    all.find(|found| found["id"] == conversation).unwrap_or(&Value::Null)
}

#[test]
fn a_push_is_one_entry_for_each_audience_and_one_event() {
    let mut room = room();
    let ack = push(&mut room, &json!("all"), &json!({}));
    assert_eq!(ack["written"][0]["to"], "all");
    assert_eq!((&ack["written"][0]["seq"], &ack["duplicate"]), (&json!(1), &json!(false)));
    let users = json!(["user:bob", "user:alice", "user:bob"]);
    let ack = push(&mut room, &users, &json!({"type": "order_update"}));
    let to: Vec<_> =
        ack["written"].as_array().unwrap().iter().map(|w| &w["conversation"]).collect();
    assert_eq!(to, ["system:user:alice", "system:user:bob"]);
    push(&mut room, &json!("role:staff"), &json!({"type": "my_own"}));
    push(&mut room, &json!("all"), &json!({}));
    assert_eq!(
        room.take_events(),
        [
            "push:notification system:all#1 -> @all",
            "push:order_update system:user:alice#1 -> @alice",
            "push:order_update system:user:bob#1 -> @bob",
            "push:my_own system:role:staff#1 -> @role:staff",
            "push:notification system:all#2 -> @all",
        ]
    );
}

#[test]
fn what_is_not_durable_is_told_and_not_kept() {
    let mut room = room();
    let volatile = json!({"durable": false, "data": {"x": [1]}});
    assert_eq!(push(&mut room, &json!(["user:bob", "user:alice"]), &volatile), json!({}));
    assert_eq!(push(&mut room, &json!("all"), &volatile), json!({}));
    assert_eq!(
        room.take_events(),
        [
            r#"notification to user:alice from svc: {"x":[1]} -> @alice"#,
            r#"notification to user:bob from svc: {"x":[1]} -> @bob"#,
            r#"notification to all from svc: {"x":[1]} -> @all"#,
        ]
    );
    assert_eq!(sync(&mut room, "alice", &[])["conversations"], json!([]));
}

#[test]
fn nobody_pushes_without_a_rule() {
    let mut room = room();
    for durable in [true, false] {
        let payload = json!({"to": "all", "type": "notification", "data": 1, "durable": durable});
        assert_eq!(ask(&mut room, "eve", &["staff"], "push", &payload), reason("not_allowed"));
        assert_eq!(room.ask("eve", "push", payload), reason("not_allowed"));
    }
    assert_eq!(room.take_events(), [""; 0]);
    let mut closed = Room::new();
    let payload = json!({"to": "all", "type": "notification", "data": 1});
    assert_eq!(ask(&mut closed, "svc", &["backend"], "push", &payload), reason("not_allowed"));
}

#[test]
fn a_repeated_push_is_the_first_one_for_all_its_targets() {
    let mut room = room();
    let users = json!(["user:a", "user:b", "user:c"]);
    let first = push(&mut room, &users, &json!({"client_id": "p1"}));
    push(&mut room, &json!("user:b"), &json!({}));
    room.take_events();
    let shuffled = json!(["user:c", "user:a", "user:b", "user:a"]);
    let again = push(&mut room, &shuffled, &json!({"client_id": "p1"}));
    assert_eq!(again["written"], first["written"]);
    assert_eq!((&again["duplicate"], &again["timestamp"]), (&json!(true), &first["timestamp"]));
    assert_eq!(room.take_events(), [""; 0]);
    // Even by one who may not push any more.
    let payload = json!({"to": users, "type": "notification", "data": 1, "client_id": "p1"});
    assert_eq!(ask(&mut room, "svc", &[], "push", &payload)["written"], first["written"]);
    for (to, other) in [
        (json!(["user:a", "user:b"]), json!({})),
        (users.clone(), json!({"data": 2})),
        (users.clone(), json!({"type": "order_update"})),
        (users.clone(), json!({"expires_in_ms": 5000})),
        (json!("all"), json!({})),
    ] {
        let mut more = other.clone();
        more["client_id"] = json!("p1");
        assert_eq!(push(&mut room, &to, &more), reason("conflict"), "{to} {other}");
    }
    let sent = json!({"to": "user:x", "content": "x", "client_id": "p1"});
    assert_eq!(room.ask("svc", "send", sent), reason("conflict"));
}

#[test]
fn who_was_seen_finds_what_was_pushed_meanwhile() {
    let mut room = room();
    push(&mut room, &json!("all"), &json!({"data": "before alice"}));
    assert_eq!(sync(&mut room, "alice", &["staff"])["conversations"], json!([]));
    for to in ["all", "role:staff", "role:boss", "user:alice"] {
        push(&mut room, &json!(to), &json!({"data": to}));
    }
    let page = sync(&mut room, "alice", &["staff"]);
    assert_eq!(page["conversations"].as_array().unwrap().len(), 3, "{page}");
    let all = of(&page, "system:all");
    assert_eq!(items(all), ["2"], "what came before alice is not hers");
    assert_eq!((&all["kind"], &all["unread"]), (&json!("system"), &json!(1)));
    assert_eq!((&all["first_seq"], &all["from_seq"]), (&json!(2), &json!(2)));
    assert_eq!(items(of(&page, "system:role:staff")), ["1"]);
    let entry = &of(&page, "system:user:alice")["entries"][0];
    assert_eq!(
        (&entry["type"], &entry["kind"], &entry["to"], &entry["content"]),
        (&json!("push"), &json!("push:notification"), &json!("user:alice"), &json!("user:alice"))
    );
    // Read state, history and pull are those of every conversation.
    for (conversation, seq) in [("system:all", 2), ("system:user:alice", 1)] {
        assert_eq!(
            room.ask("alice", "read", json!({"conversation": conversation, "seq": seq})),
            json!({})
        );
    }
    room.wait(2_000);
    let told = room.take_events();
    assert!(told.contains(&"receipt system:all alice 2/2 -> @alice".to_owned()), "{told:?}");
    let page = sync(&mut room, "alice", &["staff"]);
    assert_eq!(of(&page, "system:all")["unread"], 0);
    let page = room.ask("alice", "history", json!({"conversation": "system:all"}));
    assert_eq!(items(&page), ["2"]);
    let page = room.ask("alice", "pull", json!({"conversation": "system:all", "from": 1, "to": 9}));
    assert_eq!(items(&page), ["void 1-1", "2"]);
    let listed = room.ask("alice", "conversations", json!({}));
    assert_eq!(listed["conversations"].as_array().unwrap().len(), 3);
}

#[test]
fn what_has_expired_is_gone_for_those_who_come_later() {
    let mut room = room();
    sync(&mut room, "alice", &[]);
    sync(&mut room, "bob", &[]);
    push(&mut room, &json!("all"), &json!({"expires_in_ms": 5_000}));
    push(&mut room, &json!("all"), &json!({"expires_in_ms": 500_000}));
    let entry = sync(&mut room, "alice", &[])["conversations"][0]["entries"][0].clone();
    assert_eq!(entry["expires_at"].as_u64().unwrap(), room.now.0 + 5_000);
    room.wait(6_000);
    let page = sync(&mut room, "bob", &[]);
    let all = of(&page, "system:all");
    assert_eq!((items(all), &all["unread"]), (vec!["void 1-1".into(), "2".into()], &json!(1)));
    let page = room.ask("bob", "history", json!({"conversation": "system:all"}));
    assert_eq!(items(&page), ["2"]);
}

#[test]
fn a_device_gets_on_over_a_thousand_audiences_that_show_nothing() {
    let mut room = room();
    for batch in 0..34 {
        let roles: Vec<String> = (0..32).map(|n| format!("r{batch}-{n}")).collect();
        let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
        sync(&mut room, "bob", &roles);
    }
    room.say("alice", "user:bob", "m1");
    let mut rev = 0;
    for _ in 0..3 {
        let page = ask(&mut room, "bob", &[], "sync", &json!({ "rev": rev }));
        rev = page["rev"].as_u64().unwrap();
        if page["more"] != true {
            assert_eq!(of(&page, "direct:alice:bob")["unread"], 1, "{page}");
            return;
        }
    }
    panic!("no end was reached");
}

#[test]
fn signing_in_is_enough_to_be_seen() {
    let mut room = room();
    for (work, user) in [(Work::Opened, "alice"), (Work::Renewed, "bob")] {
        let seen = Request { work, ..with_roles(user, &["staff"], "sync", &json!({})) };
        assert!(room.batch(vec![seen]).is_empty(), "it has no reply");
        push(&mut room, &json!("role:staff"), &json!({}));
        let page = room.ask(user, "history", json!({"conversation": "system:role:staff"}));
        assert_eq!(items(&page), [if user == "alice" { "1" } else { "2" }]);
    }
}

#[test]
fn a_role_that_is_gone_shows_what_was_pushed_while_it_lasted() {
    let mut room = room();
    let say = |room: &mut Room, data: &str| {
        push(room, &json!("role:staff"), &json!({"data": data}));
    };
    let seen = |room: &mut Room, roles: &[&str]| {
        let page = sync(room, "alice", roles);
        items(of(&page, "system:role:staff"))
    };
    sync(&mut room, "alice", &["staff"]);
    say(&mut room, "with");
    sync(&mut room, "alice", &[]);
    say(&mut room, "without");
    assert_eq!(seen(&mut room, &[]), ["1"]);
    assert_eq!(seen(&mut room, &["staff"]), ["1", "void 2-2"]);
    say(&mut room, "again");
    assert_eq!(seen(&mut room, &["staff"]), ["1", "void 2-2", "3"]);
    // Coming and going while nothing is pushed changes nothing.
    for _ in 0..10 {
        sync(&mut room, "alice", &[]);
        sync(&mut room, "alice", &["staff"]);
    }
    assert_eq!(seen(&mut room, &["staff"]), ["1", "void 2-2", "3"]);
    // A stay for each push is kept up to the bound.
    for _ in 0..5 {
        sync(&mut room, "alice", &[]);
        say(&mut room, "hidden");
        sync(&mut room, "alice", &["staff"]);
        say(&mut room, "shown");
    }
    assert_eq!(seen(&mut room, &["staff"]), ["9", "void 10-10", "11", "void 12-12", "13"]);
}

#[test]
fn a_storm_of_known_users_writes_nothing() {
    let mut room = room();
    let users: Vec<String> = (0..50).map(|n| format!("u{n}")).collect();
    let storm = |room: &mut Room| {
        let batch = users.iter().map(|user| with_roles(user, &["staff"], "sync", &json!({})));
        room.batch(batch.collect());
    };
    storm(&mut room);
    push(&mut room, &json!("all"), &json!({}));
    let commits = room.scribe.stats().snapshot().commits;
    storm(&mut room);
    storm(&mut room);
    assert_eq!(room.scribe.stats().snapshot().commits, commits);
}

#[test]
fn where_nobody_may_push_nobody_is_noted() {
    let mut room = Room::new();
    sync(&mut room, "alice", &["staff"]);
    let asked = room.ask("alice", "history", json!({"conversation": "system:all"}));
    assert_eq!(asked, reason("not_a_member"));
}

#[test]
fn nothing_else_is_written_among_pushes() {
    let mut room = room();
    sync(&mut room, "alice", &[]);
    push(&mut room, &json!("all"), &json!({}));
    push(&mut room, &json!("user:alice"), &json!({}));
    room.take_events();
    for to in ["system:all", "system:role:staff", "system:user:alice", "system:user:bob"] {
        let sent = room.say("alice", to, "m1");
        let expected = if to.ends_with("bob") { "not_a_member" } else { "not_allowed" };
        assert_eq!(sent, reason(expected), "{to}");
        let typing = room.ask("alice", "typing", json!({"conversation": to, "active": true}));
        assert_eq!(typing, reason(expected), "{to}");
        for (kind, command) in [
            ("edit", json!({"content": "x"})),
            ("react", json!({"emoji": "👍", "active": true})),
            ("pin", json!({"active": true})),
            ("recall", json!({})),
            ("delete", json!({"for": "all"})),
        ] {
            let mut payload = command.clone();
            payload["conversation"] = json!(to);
            payload["seq"] = json!(1);
            assert_eq!(room.ask("alice", kind, payload), reason(expected), "{kind} {to}");
        }
    }
    // What is only for oneself is not written there.
    for (kind, seq, ack) in [("clear", 1, json!({"through": 1})), ("delete", 2, json!({}))] {
        let payload = json!({"conversation": "system:user:alice", "seq": seq});
        assert_eq!(room.ask("alice", kind, payload), ack, "{kind}");
        room.take_events();
        push(&mut room, &json!("user:alice"), &json!({}));
        room.take_events();
    }
    for (conversation, command) in
        [("system:user:bob", json!({"seq": 1})), ("system:role:staff", json!({"seq": 1}))]
    {
        let mut payload = command.clone();
        payload["conversation"] = json!(conversation);
        assert_eq!(room.ask("alice", "read", payload), reason("not_a_member"), "{conversation}");
    }
    assert_eq!(room.take_events(), [""; 0]);
}

#[test]
fn what_means_nothing_any_more_is_not_delivered_and_then_removed() {
    let mut room = room();
    push(&mut room, &json!("user:bob"), &json!({"data": "brief", "expires_in_ms": 1_000}));
    push(&mut room, &json!("user:bob"), &json!({"data": "lasting"}));
    let end = room.now.plus_ms(1_000);
    let log = "system:user:bob";
    let pull = json!({"conversation": log, "from": 1, "to": 2});
    let first = |page: &Value| page["entries"][0].clone();
    let page = sync(&mut room, "bob", &[]);
    assert_eq!(of(&page, log)["unread"], 2, "{page}");
    let before = first(&room.ask("bob", "pull", pull.clone()));
    assert_eq!((&before["content"], &before["expires_at"]), (&json!("brief"), &json!(end)));
    assert_eq!(room.scribe.next_deadline(), Some(end));
    room.now = end;
    for swept in [false, true] {
        if swept {
            room.wait(0);
            assert_eq!(room.scribe.next_deadline(), None);
        }
        let page = sync(&mut room, "bob", &[]);
        assert_eq!(of(&page, log)["unread"], 1, "{page}");
        assert!(!page.to_string().contains("brief"), "{page}");
        assert_eq!(items(&room.ask("bob", "pull", pull.clone())), ["void 1-1", "2"]);
    }
}

#[test]
fn a_log_that_one_cleared_away_stays_in_the_list_and_other_devices_hear_of_it() {
    let mut room = room();
    sync(&mut room, "alice", &[]);
    push(&mut room, &json!("all"), &json!({}));
    let rev = sync(&mut room, "alice", &[])["rev"].clone();
    room.ask("alice", "clear", json!({"conversation": "system:all", "seq": 1}));
    let known = json!({"rev": rev, "cursors": {"system:all": 1}});
    let page = ask(&mut room, "alice", &[], "sync", &known);
    assert_eq!(of(&page, "system:all")["cleared_seq"], 1);
    let page = room.ask("alice", "conversations", json!({}));
    assert_eq!(of(&page, "system:all")["id"], "system:all");
}
