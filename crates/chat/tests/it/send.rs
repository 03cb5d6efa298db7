//! Messages: where they go, who learns of them, and that a repeated command changes nothing (P2).

use serde_json::json;

use crate::room::{Room, reason, request};

#[test]
fn the_first_message_makes_the_conversation_for_both() {
    let mut room = Room::new();
    let ack = room.say("alice", "user:bob", "c1");
    assert_eq!(ack["conversation"], "direct:alice:bob");
    assert_eq!((&ack["seq"], &ack["duplicate"]), (&json!(1), &json!(false)));
    assert_eq!(room.take_events(), ["text direct:alice:bob#1 -> @alice @bob"]);
    assert_eq!(room.say("bob", "direct:alice:bob", "c1")["seq"], 2);
    assert_eq!(room.take_events(), ["text direct:alice:bob#2 -> @bob @alice"]);
    let history = room.ask("bob", "history", json!({"conversation": "direct:alice:bob"}));
    let from: Vec<_> = history["entries"].as_array().unwrap().iter().map(|e| &e["from"]).collect();
    assert_eq!(from, ["alice", "bob"]);
}

#[test]
fn a_note_to_oneself_has_one_member() {
    let mut room = Room::new();
    assert_eq!(room.say("alice", "user:alice", "c1")["conversation"], "direct:alice:alice");
    assert_eq!(room.take_events(), ["text direct:alice:alice#1 -> @alice"]);
    let list = room.ask("alice", "conversations", json!({}));
    assert_eq!(list["conversations"][0]["unread"], 0);
    assert_eq!(list["conversations"][0]["peer"]["id"], "alice");
}

#[test]
fn strangers_learn_nothing() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob"], "invite");
    room.say("alice", "user:bob", "c1");
    room.take_events();
    assert_eq!(room.say("carol", "direct:alice:bob", "x1"), reason("not_a_member"));
    assert_eq!(room.say("carol", "direct:alice:dave", "x2"), reason("not_a_member"));
    assert_eq!(room.say("carol", &group, "x3"), reason("not_a_member"));
    assert_eq!(room.say("carol", "group:nowhere", "x4"), reason("not_found"));
    assert!(room.take_events().is_empty());
    for conversation in ["direct:alice:bob", "direct:alice:dave", &group, "group:nowhere"] {
        for (kind, payload) in [
            ("history", json!({"conversation": conversation})),
            ("pull", json!({"conversation": conversation, "from": 1, "to": 2})),
            ("received", json!({"conversation": conversation, "seq": 1})),
            ("read", json!({"conversation": conversation, "seq": 1})),
            ("typing", json!({"conversation": conversation, "active": true})),
        ] {
            assert_eq!(room.ask("carol", kind, payload), reason("not_a_member"), "{conversation}");
        }
    }
    assert!(room.take_events().is_empty());
}

#[test]
fn a_repeated_command_is_acked_again_and_another_one_is_a_conflict() {
    let mut room = Room::new();
    let first = room.say("alice", "user:bob", "c1");
    room.take_events();
    room.now = room.now.plus_ms(5_000);
    let again = room.say("alice", "user:bob", "c1");
    assert_eq!(again["duplicate"], true);
    for field in ["conversation", "seq", "message_id", "timestamp"] {
        assert_eq!(again[field], first[field], "{field}");
    }
    assert_eq!(room.say("alice", "direct:alice:bob", "c1")["duplicate"], true);
    let other = json!({"to": "user:bob", "content": "other", "client_id": "c1"});
    assert_eq!(room.ask("alice", "send", other), reason("conflict"));
    assert_eq!(room.say("alice", "user:carol", "c1"), reason("conflict"));
    assert_eq!(room.say("alice", "direct:bob:carol", "c1"), reason("conflict"));
    assert!(room.take_events().is_empty());
    let list = room.ask("alice", "conversations", json!({}));
    assert_eq!(list["conversations"].as_array().unwrap().len(), 1, "a conflict makes nothing");
    assert_eq!(room.say("bob", "user:alice", "c1")["seq"], 2, "client ids are the sender's own");
    assert_eq!(room.say("alice", "user:bob", "c2")["seq"], 3, "no seq was lost");
}

#[test]
fn a_repeated_command_is_acked_even_where_it_would_be_refused_now() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob"], "invite");
    let first = room.say("bob", &group, "c1");
    room.ask("alice", "group_kick", json!({"group": group, "user": "bob"}));
    assert_eq!(room.say("bob", &group, "c2"), reason("not_a_member"));
    let again = room.say("bob", &group, "c1");
    assert_eq!((&again["seq"], &again["duplicate"]), (&first["seq"], &json!(true)));
}

#[test]
fn within_one_batch_order_and_idempotency_hold() {
    let mut room = Room::new();
    let send = |client_id: &str, after: Option<&str>| {
        let mut payload = json!({"to": "user:bob", "content": "x", "client_id": client_id});
        if let Some(after) = after {
            payload["after"] = json!(after);
        }
        request("alice", "send", &payload)
    };
    let replies = room.batch(vec![
        send("c2", Some("c1")),
        send("c1", None),
        send("c2", Some("c1")),
        send("c1", None),
        send("c3", Some("c2")),
    ]);
    assert_eq!(replies[0], reason("out_of_order"));
    let seqs: Vec<_> = replies[1..].iter().map(|r| (&r["seq"], &r["duplicate"])).collect();
    let expect = [(1, false), (2, false), (1, true), (3, false)].map(|(s, d)| (json!(s), json!(d)));
    assert_eq!(seqs, expect.iter().map(|(s, d)| (s, d)).collect::<Vec<_>>());
    let stats = room.scribe.stats().snapshot();
    assert_eq!((stats.commits, stats.commands), (1, 5));
}

#[test]
fn a_batch_that_writes_nothing_commits_nothing() {
    let mut room = Room::new();
    room.say("alice", "user:bob", "c1");
    let commits = room.scribe.stats().snapshot().commits;
    room.say("alice", "user:bob", "c1");
    room.say("alice", "direct:bob:carol", "c9");
    room.ask("alice", "history", json!({"conversation": "direct:alice:bob"}));
    room.ask("alice", "typing", json!({"conversation": "direct:alice:bob", "active": true}));
    assert_eq!(room.scribe.stats().snapshot().commits, commits);
}

#[test]
fn time_never_runs_backwards_in_a_log() {
    let mut room = Room::new();
    let first = room.say("alice", "user:bob", "c1");
    room.now = room.now.minus_ms(60_000);
    let second = room.say("alice", "user:bob", "c2");
    assert!(second["timestamp"].as_u64() >= first["timestamp"].as_u64());
}

#[test]
fn typing_goes_to_the_others_only() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob"], "invite");
    room.ask("alice", "typing", json!({"conversation": "direct:alice:bob", "active": true}));
    assert!(room.take_events().is_empty(), "nobody is there yet");
    room.say("alice", "user:bob", "c1");
    room.take_events();
    room.ask("alice", "typing", json!({"conversation": "direct:alice:bob", "active": true}));
    room.ask("alice", "typing", json!({"conversation": group, "active": true}));
    let expect = [
        "typing direct:alice:bob alice true -> @bob",
        &format!("typing {group} alice true -> {group}"),
    ];
    assert_eq!(room.take_events(), expect);
}
