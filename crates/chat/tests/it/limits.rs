//! What one user may ask for: rates by class of command, groups in a day, content by kind.

use hubbub_chat::{ChatConfig, ContentBytes, UserRates};
use hubbub_proto::{Effect, Timestamp};
use serde_json::{Value, json};

use crate::room::{Room, reason, request};

/// What came of one command, and when to come back.
fn ask(room: &mut Room, user: &str, kind: &str, payload: &Value) -> Result<(), u64> {
    let executed = room.scribe.execute(vec![request(user, kind, payload)], room.now);
    let refused = executed.effects.iter().find_map(|effect| match effect {
        Effect::Reply { outcome: Err(refusal), .. } => Some(refusal),
        _ => None,
    });
    match refused {
        None => Ok(()),
        Some(refusal) => {
            assert_eq!(refusal.reason.slug(), "rate_limited", "{kind} {payload}");
            assert!(executed.reads.is_empty(), "nobody reads for it");
            Err(refusal.retry_after_ms.unwrap())
        }
    }
}

/// Repeats a command until it is refused, waits as told, and goes on. Answers how many passed first.
fn meet(room: &mut Room, user: &str, kind: &str, payload: impl Fn(u64) -> Value) -> u64 {
    let mut passed = 0;
    let wait_ms = loop {
        match ask(room, user, kind, &payload(passed)) {
            Ok(()) => passed += 1,
            Err(wait_ms) => break wait_ms,
        }
        assert!(passed < 1_000, "{kind} is not limited");
    };
    room.now = Timestamp(room.now.0 + wait_ms - 1);
    assert_eq!(ask(room, user, kind, &payload(passed)), Err(1), "{kind}: not before");
    room.now = Timestamp(room.now.0 + 1);
    assert_eq!(ask(room, user, kind, &payload(passed)), Ok(()), "{kind}: as told");
    passed
}

#[test]
fn users_are_held_to_their_rates() {
    let user_rates = UserRates {
        messages_per_second: 10,
        changes_per_second: 5,
        reads_per_second: 20,
        volatile_per_second: 40,
        burst_ms: 2_000,
        ..UserRates::default()
    };
    let mut room = Room::with(ChatConfig { user_rates, ..ChatConfig::default() });
    let group = room.group("owner", &["alice"], "invite");
    let send =
        |n: u64| json!({"to": "user:bob", "content": n.to_string(), "client_id": format!("m{n}")});
    let there = |seq: u64| json!({"conversation": group, "seq": seq});
    assert_eq!(meet(&mut room, "alice", "send", send), 20);
    let rename = |n: u64| json!({"group": group, "name": format!("g{n}")});
    assert_eq!(meet(&mut room, "owner", "group_update", rename), 9, "after the one that made it");
    assert_eq!(meet(&mut room, "alice", "history", |_| json!({"conversation": group})), 40);
    assert_eq!(meet(&mut room, "bob", "sync", |_| json!({})), 40);
    assert_eq!(meet(&mut room, "alice", "read", there), 80);
    assert_eq!(meet(&mut room, "owner", "received", there), 80);
    let typing = |_| json!({"conversation": group, "active": true});
    assert_eq!(meet(&mut room, "owner", "typing", typing), 0, "one class with `received`");
    // What others do costs nobody else.
    assert_eq!(room.say("carol", "user:alice", "c1")["seq"], 1);
}

#[test]
fn in_a_batch_the_rest_is_carried_out_in_order() {
    let user_rates = UserRates { messages_per_second: 1, burst_ms: 3_000, ..UserRates::default() };
    let mut room = Room::with(ChatConfig { user_rates, ..ChatConfig::default() });
    let send = |user: &str, n: u64| {
        request(
            user,
            "send",
            &json!({"to": "user:zoe", "content": n.to_string(), "client_id": format!("m{n}")}),
        )
    };
    let batch = (0..5).map(|n| send("alice", n)).chain([send("bob", 9)]).collect();
    let replies = room.batch(batch);
    let seqs: Vec<_> = replies.iter().map(|reply| reply["seq"].clone()).collect();
    assert_eq!(seqs, [json!(1), json!(2), json!(3), json!(1), Value::Null, Value::Null]);
    assert_eq!(replies[4..], [reason("rate_limited"), reason("rate_limited")]);
}

#[test]
fn a_user_makes_so_many_groups_in_a_day() {
    let user_rates = UserRates { group_creates_per_day: 24, ..UserRates::default() };
    let mut room = Room::with(ChatConfig { user_rates, ..ChatConfig::default() });
    let create = |n: u64| json!({"name": "g", "client_id": format!("g{n}")});
    assert_eq!(meet(&mut room, "alice", "group_create", create), 24);
    // A repeated one is no new one, and what is refused for another reason costs nothing.
    assert_eq!(ask(&mut room, "alice", "group_create", &create(3)), Ok(()));
    assert!(ask(&mut room, "alice", "group_create", &create(90)).is_err());
    room.now = room.now.plus_ms(60 * 60 * 1000);
    assert_eq!(ask(&mut room, "alice", "group_create", &create(90)), Ok(()));
    assert_eq!(ask(&mut room, "bob", "group_create", &create(1)), Ok(()));
}

#[test]
fn content_has_a_length_by_kind() {
    let content_bytes = ContentBytes { text: 10, media: 60, card: 30, custom: 40 };
    let mut room = Room::with(ChatConfig { content_bytes, ..ChatConfig::default() });
    let mut send = |kind: &str, content: &str, id: &str| {
        let payload = json!({"to": "user:bob", "content": content, "kind": kind, "client_id": id});
        room.ask("alice", "send", payload)
    };
    assert_eq!(send("text", "12345678", "a")["seq"], 1);
    assert_eq!(send("text", "123456789", "b"), reason("too_big"));
    assert_eq!(send("custom:x", &"x".repeat(38), "c")["seq"], 2);
    assert_eq!(send("custom:x", &"x".repeat(39), "d"), reason("too_big"));
}
