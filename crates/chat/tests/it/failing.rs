//! A store that fails: nothing is acked that is not durable (P1), and one bad row harms no other.

use std::sync::{Arc, Mutex};

use hubbub_chat::ChatConfig;
use hubbub_proto::Request;
use hubbub_store::MemoryStore;
use serde_json::{Value, json};

use crate::faulty::{Fault, Faulty, Script};
use crate::room::{EPOCH, Room, items, reason, request};

const DIRECT: &str = "direct:alice:bob";

fn room() -> (Room, Arc<Mutex<Script>>) {
    let store = MemoryStore::with_epoch(EPOCH);
    let (writer, script) = Faulty::over(&store);
    let mut room = Room::on(&store, Ok(Box::new(writer)), ChatConfig::default());
    room.say("alice", "user:bob", "c0");
    room.say("bob", "user:alice", "c0");
    room.take_events();
    script.lock().unwrap().calls.clear();
    (room, script)
}

fn send(client_id: &str) -> Request {
    let payload = json!({"to": "user:bob", "content": "x", "client_id": client_id});
    request("alice", "send", &payload)
}

fn seqs(replies: &[Value]) -> Vec<Value> {
    replies.iter().map(|r| r.get("seq").or_else(|| r.get("reason")).unwrap().clone()).collect()
}

fn stored(room: &mut Room) -> Vec<String> {
    items(&room.ask("bob", "history", json!({"conversation": DIRECT})))
}

fn set(script: &Mutex<Script>, fault: Fault) {
    script.lock().unwrap().fault = fault;
}

#[test]
fn a_message_to_a_known_conversation_reads_nothing() {
    let (mut room, script) = room();
    room.batch((0..3).map(|n| send(&format!("c{}", n + 1))).collect());
    let calls = std::mem::take(&mut script.lock().unwrap().calls);
    assert_eq!(calls, ["begin", "append", "append", "append", "set_head", "commit"]);
}

#[test]
fn cursors_and_typing_of_a_known_conversation_touch_nothing() {
    let (mut room, script) = room();
    room.ask("bob", "received", json!({"conversation": DIRECT, "seq": 1}));
    room.ask("bob", "typing", json!({"conversation": DIRECT, "active": true}));
    script.lock().unwrap().calls.clear();
    room.ask("bob", "received", json!({"conversation": DIRECT, "seq": 2}));
    room.ask("bob", "typing", json!({"conversation": DIRECT, "active": true}));
    assert_eq!(script.lock().unwrap().calls, Vec::<&str>::new());
}

/// A group whose 40 members came after its first message, and after them a second one: seqs 2 and 43.
fn grown_group(room: &mut Room) -> String {
    let group = room.group("alice", &[], "open");
    let id = group.strip_prefix("group:").unwrap().to_owned();
    room.say("alice", &group, &format!("early-{id}"));
    let join = |n| request(&format!("late-{n}"), "group_join", &json!({"group": id}));
    room.batch((0..40).map(join).collect());
    room.say("alice", &group, &format!("new-{id}"));
    room.take_events();
    group
}

fn react(room: &mut Room, group: &str, seq: u64, emoji: &str) -> String {
    room.ask("alice", "react", json!({"conversation": group, "seq": seq, "emoji": emoji}));
    room.take_events().remove(0)
}

#[test]
fn what_is_done_to_a_new_message_loads_nobody_however_many_joined() {
    let (mut room, script) = room();
    let groups: Vec<_> = (0..20).map(|_| grown_group(&mut room)).collect();
    for emoji in ["a", "b"] {
        for group in &groups {
            assert!(react(&mut room, group, 43, emoji).ends_with(&format!("-> {group}")));
        }
    }
    assert_eq!(script.lock().unwrap().latecomers, 0);
}

#[test]
fn who_joined_after_an_old_message_is_loaded_once_until_somebody_comes_or_goes() {
    let (mut room, script) = room();
    let (group, other) = (grown_group(&mut room), grown_group(&mut room));
    let id = group.strip_prefix("group:").unwrap().to_owned();
    let unseen = |told: String| told.split_once(" but ").unwrap().1.split(' ').count();
    let loaded = || std::mem::take(&mut script.lock().unwrap().latecomers);
    for (emoji, expect) in [("a", 40), ("b", 0)] {
        assert_eq!((unseen(react(&mut room, &group, 2, emoji)), loaded()), (40, expect));
    }
    assert_eq!((unseen(react(&mut room, &other, 2, "a")), loaded()), (40, 40));
    room.ask("late-7", "group_leave", json!({"group": id}));
    room.take_events();
    assert_eq!((unseen(react(&mut room, &group, 2, "c")), loaded()), (39, 39));
    assert_eq!((unseen(react(&mut room, &other, 2, "b")), loaded()), (40, 0));

    set(&script, Fault::FullAtCommit);
    room.ask("late-8", "group_leave", json!({"group": id}));
    set(&script, Fault::None);
    assert_eq!((unseen(react(&mut room, &group, 2, "d")), loaded()), (39, 39), "nobody left");
}

#[test]
fn a_message_to_a_group_of_ten_thousand_costs_what_one_to_three_does() {
    let calls = |size: usize| {
        let store = MemoryStore::with_epoch(EPOCH);
        let (writer, script) = Faulty::over(&store);
        let mut room = Room::on(&store, Ok(Box::new(writer)), ChatConfig::default());
        let members: Vec<String> = (1..size).map(|n| format!("u{n}")).collect();
        let (first, rest) = members.split_at(members.len().min(1_000));
        let first: Vec<&str> = first.iter().map(String::as_str).collect();
        let group = room.group("alice", &first, "invite");
        for more in rest.chunks(1_000) {
            let invite = json!({"group": group, "members": more});
            assert!(room.ask("alice", "group_invite", invite)["seq"].is_u64());
        }
        let page = room.ask("alice", "group_members", json!({"group": group, "limit": 1}));
        assert_eq!(page["count"], size);
        room.say("alice", &group, "first");
        room.take_events();
        script.lock().unwrap().calls.clear();
        room.say("alice", &group, "second");
        assert_eq!(room.take_events().len(), 1, "one publication");
        std::mem::take(&mut script.lock().unwrap().calls)
    };
    let few = calls(3);
    assert_eq!(few, ["begin", "append", "set_head", "commit"]);
    assert_eq!(calls(10_000), few);
}

#[test]
fn what_may_not_be_done_costs_no_look_at_what_was_done_and_an_edit_only_at_the_newest() {
    let (mut room, script) = room();
    let group = room.group("alice", &["bob"], "open");
    room.say("alice", &group, "m-1");
    let on = |more: Value| {
        let mut payload = json!({"conversation": group, "seq": 2});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        payload
    };
    for n in 0..20 {
        room.ask("alice", "edit", on(json!({"content": n.to_string()})));
    }
    let looks = |room: &mut Room, user: &str, kind: &str, more: Value| {
        script.lock().unwrap().calls.clear();
        let refused = room.ask(user, kind, on(more)).get("reason").is_some();
        let calls = std::mem::take(&mut script.lock().unwrap().calls);
        let looks = calls.into_iter().filter(|call| ["edit", "emojis", "pins"].contains(call));
        (refused, looks.collect::<Vec<_>>())
    };
    let edited = looks(&mut room, "alice", "edit", json!({"content": "x"}));
    assert_eq!(edited, (false, vec!["edit"]));
    assert_eq!(looks(&mut room, "bob", "edit", json!({"content": "x"})), (true, vec![]));
    assert_eq!(looks(&mut room, "bob", "pin", json!({})), (true, vec![]));
    assert_eq!(looks(&mut room, "carol", "react", json!({"emoji": "x"})), (true, vec![]));
    room.ask("alice", "recall", on(json!({})));
    assert_eq!(looks(&mut room, "bob", "react", json!({"emoji": "x"})), (true, vec![]));
}

#[test]
fn a_refused_row_costs_only_its_own_command() {
    let (mut room, script) = room();
    set(&script, Fault::Row("bad"));
    let replies = room.batch(vec![send("c1"), send("bad"), send("c2")]);
    assert_eq!(seqs(&replies), [json!(3), json!("internal"), json!(4)]);
    assert_eq!(room.take_events().len(), 2);
    assert_eq!(stored(&mut room), ["1", "2", "3", "4"]);
    assert_eq!(room.scribe.failure(), None);
}

#[test]
fn a_full_disk_refuses_the_batch_and_later_ones_succeed() {
    for fault in [Fault::FullAtAppend, Fault::FullAtCommit] {
        let (mut room, script) = room();
        set(&script, fault);
        let sync = request("bob", "sync", &json!({}));
        let read = request("bob", "history", &json!({"conversation": DIRECT}));
        let mut replies = room.batch(vec![send("c1"), sync, read, send("c2")]);
        let page = replies.pop().unwrap();
        assert_eq!(replies, [const { "store_failed" }; 3].map(reason), "{fault:?}");
        assert_eq!(items(&page), ["1", "2"], "reads go on");
        assert!(room.take_events().is_empty(), "nothing is told, not even live delivery");
        set(&script, Fault::None);
        assert_eq!(seqs(&room.batch(vec![send("c1"), send("c2")])), [3, 4]);
        assert_eq!(stored(&mut room), ["1", "2", "3", "4"]);
    }
}

#[test]
fn after_a_failed_commit_nothing_is_acked_any_more() {
    let (mut room, script) = room();
    set(&script, Fault::IoAtCommit);
    assert_eq!(room.batch(vec![send("c1")]), [reason("store_failed")]);
    assert!(room.take_events().is_empty());
    assert_eq!(room.scribe.failure(), Some("the store failed: the disk is gone"));
    set(&script, Fault::None);
    let typing = request("alice", "typing", &json!({"conversation": DIRECT, "active": true}));
    assert_eq!(
        room.batch(vec![send("c0"), typing]),
        [reason("store_failed"), reason("store_failed")]
    );
    assert!(room.take_events().is_empty());
    assert_eq!(room.scribe.next_deadline(), None);
    assert_eq!(stored(&mut room), ["1", "2"]);
}

#[test]
fn soft_cursors_outlive_a_full_disk_and_are_given_up_only_for_their_own_row() {
    let (mut room, script) = room();
    let received = |seq| request("bob", "received", &json!({"conversation": DIRECT, "seq": seq}));
    let confirmed = |room: &mut Room| {
        room.ask("bob", "conversations", json!({}))["conversations"][0]["received_seq"].clone()
    };
    room.batch(vec![received(1)]);
    set(&script, Fault::FullAtCommit);
    room.wait(1_000);
    assert!(room.scribe.next_deadline().unwrap() > room.now, "it does not try without a pause");
    set(&script, Fault::None);
    room.wait(1_000);
    assert_eq!(confirmed(&mut room), 1);

    room.batch(vec![received(2)]);
    set(&script, Fault::CursorRow);
    room.now = room.now.plus_ms(1_000);
    assert_eq!(seqs(&room.batch(vec![send("c1")])), [3], "a cursor does not hold up a message");
    set(&script, Fault::None);
    room.wait(1_000);
    assert_eq!(confirmed(&mut room), 1);
    room.batch(vec![received(2)]);
    room.wait(1_000);
    assert_eq!(confirmed(&mut room), 2, "the device says it again");
}

#[test]
fn what_expires_is_removed_after_all_when_the_disk_was_full() {
    let (mut room, script) = room();
    let brief = json!({
        "to": "user:bob", "content": "brief", "client_id": "b-1", "expires_in_ms": 1_000,
    });
    room.ask("alice", "send", brief);
    set(&script, Fault::FullAtCommit);
    room.wait(1_000);
    set(&script, Fault::None);
    assert_eq!(room.reader.next_expiry().unwrap(), Some(room.now), "it is still there");
    assert_eq!(room.scribe.next_deadline(), Some(room.now.plus_ms(1_000)));
    room.wait(1_000);
    assert_eq!(room.reader.next_expiry().unwrap(), None);
    assert_eq!(room.scribe.next_deadline(), None);
}

#[test]
fn what_a_rolled_back_batch_counted_or_told_is_not_counted_or_told() {
    let store = MemoryStore::with_epoch(EPOCH);
    let (writer, script) = Faulty::over(&store);
    let mut config = ChatConfig::default();
    config.user_rates.group_creates_per_day = 2;
    let mut room = Room::on(&store, Ok(Box::new(writer)), config);
    room.say("alice", "user:bob", "c0");
    room.take_events();
    set(&script, Fault::Row("bad"));
    let found = request("alice", "group_create", &json!({"name": "g"}));
    let typing = request("alice", "typing", &json!({"conversation": DIRECT, "active": true}));
    let batch = vec![typing, found.clone(), send("bad"), found.clone(), found];
    let replies = room.batch(batch);
    assert_eq!(
        [&replies[2], &replies[4]],
        [&reason("internal"), &reason("rate_limited")],
        "{replies:?}"
    );
    assert_eq!([1, 3].map(|n: usize| replies[n]["seq"].clone()), [1, 1], "{replies:?}");
    let told = room.take_events();
    assert!(told[0].starts_with("typing direct:alice:bob alice true"), "{told:?}");
}

#[test]
fn a_receipt_survives_the_rollback_of_another_command_s_row() {
    let (mut room, script) = room();
    set(&script, Fault::Row("bad"));
    let received = request("bob", "received", &json!({"conversation": DIRECT, "seq": 2}));
    let read = request("bob", "read", &json!({"conversation": DIRECT, "seq": 1}));
    room.batch(vec![received, send("bad")]);
    assert_eq!(room.take_events(), ["receipt direct:alice:bob bob 2/0 -> @bob @alice"]);
    room.batch(vec![send("bad"), read]);
    assert!(room.take_events().is_empty());
    room.wait(1_000);
    assert_eq!(room.take_events(), ["receipt direct:alice:bob bob 2/1 -> @bob @alice"]);
}

#[test]
fn a_receipt_tells_of_no_read_that_was_rolled_back() {
    let (mut room, script) = room();
    let read = request("bob", "read", &json!({"conversation": DIRECT, "seq": 1}));
    let received = request("bob", "received", &json!({"conversation": DIRECT, "seq": 2}));
    set(&script, Fault::FullAtCommit);
    room.batch(vec![read, received.clone()]);
    assert!(room.take_events().is_empty(), "what was refused did not move");
    set(&script, Fault::None);
    room.batch(vec![received]);
    assert_eq!(room.take_events(), ["receipt direct:alice:bob bob 2/0 -> @bob @alice"]);
}

#[test]
fn a_clock_that_stepped_back_over_a_restart_does_not_turn_a_log_around() {
    let store = MemoryStore::with_epoch(EPOCH);
    let first = {
        let mut room =
            Room::on(&store, hubbub_chat::ports::Store::writer(&store), ChatConfig::default());
        room.now = room.now.plus_ms(60_000);
        room.say("alice", "user:bob", "c1")
    };
    let mut room =
        Room::on(&store, hubbub_chat::ports::Store::writer(&store), ChatConfig::default());
    let second = room.say("alice", "user:bob", "c2");
    assert_eq!((&second["seq"], &second["timestamp"]), (&json!(2), &first["timestamp"]));
    assert_eq!(room.say("alice", "user:bob", "c1")["duplicate"], true);
}
