//! Cursors and receipts (P5): forward only, clamped, coalesced, told to those who may know.

use hubbub_chat::ChatConfig;
use serde_json::{Value, json};

use crate::room::{Room, reason};

fn cursor(conversation: &str, seq: u64) -> Value {
    json!({"conversation": conversation, "seq": seq})
}

fn cursors_of(room: &mut Room, user: &str) -> (u64, u64) {
    let list = room.ask(user, "conversations", json!({}));
    let first = &list["conversations"][0];
    (first["received_seq"].as_u64().unwrap(), first["read_seq"].as_u64().unwrap())
}

const DIRECT: &str = "direct:alice:bob";

#[test]
fn received_is_soft_and_in_the_store_within_a_second() {
    let mut room = Room::new();
    room.chatter("alice", "user:bob", 5);
    let commits = room.scribe.stats().snapshot().commits;
    assert_eq!(room.ask("bob", "received", cursor(DIRECT, 3)), json!({}));
    assert_eq!(room.take_events(), ["receipt direct:alice:bob bob 3/0 -> @bob @alice"]);
    assert_eq!(room.scribe.stats().snapshot().commits, commits, "no commit of its own");
    assert!(room.scribe.next_deadline().unwrap().since(room.now) < 1_000);
    assert_eq!(cursors_of(&mut room, "bob"), (0, 0));
    room.wait(999);
    assert_eq!(cursors_of(&mut room, "bob"), (3, 0));
    room.wait(1_000);
    assert_eq!(room.scribe.next_deadline(), None, "then there is nothing to wake up for");
}

#[test]
fn read_is_durable_and_raises_received() {
    let mut room = Room::new();
    room.chatter("alice", "user:bob", 5);
    assert_eq!(room.ask("bob", "read", cursor(DIRECT, 99)), json!({}));
    assert_eq!(room.take_events(), ["receipt direct:alice:bob bob 5/5 -> @bob @alice"]);
    assert_eq!(cursors_of(&mut room, "bob"), (5, 5));
}

#[test]
fn a_cursor_that_does_not_move_causes_nothing() {
    let mut room = Room::new();
    room.chatter("alice", "user:bob", 5);
    room.ask("bob", "read", cursor(DIRECT, 4));
    room.take_events();
    room.wait(5_000);
    let commits = room.scribe.stats().snapshot().commits;
    for (kind, seq) in [("read", 4), ("read", 1), ("received", 4), ("received", 0)] {
        assert_eq!(room.ask("bob", kind, cursor(DIRECT, seq)), json!({}));
    }
    room.wait(5_000);
    assert!(room.take_events().is_empty());
    assert_eq!(room.scribe.stats().snapshot().commits, commits);
    assert_eq!(cursors_of(&mut room, "bob"), (4, 4));
}

#[test]
fn receipts_are_coalesced_to_one_an_interval() {
    let mut room = Room::new();
    room.chatter("alice", "user:bob", 9);
    for seq in 1..=9 {
        room.ask("bob", "received", cursor(DIRECT, seq));
    }
    assert_eq!(room.take_events(), ["receipt direct:alice:bob bob 1/0 -> @bob @alice"]);
    room.wait(1_000);
    assert_eq!(room.take_events(), ["receipt direct:alice:bob bob 9/0 -> @bob @alice"]);
    room.wait(1_000);
    assert!(room.take_events().is_empty());
}

#[test]
fn only_small_groups_see_receipts() {
    let mut room = Room::with(ChatConfig { receipt_members_max: 2, ..ChatConfig::default() });
    let small = room.group("alice", &["bob"], "invite");
    let large = room.group("alice", &["bob", "carol"], "invite");
    room.ask("bob", "read", cursor(&small, 1));
    room.ask("bob", "read", cursor(&large, 1));
    assert_eq!(
        room.take_events(),
        [format!("receipt {small} bob 1/1 -> {small}"), format!("receipt {large} bob 1/1 -> @bob")]
    );
}

#[test]
fn one_who_left_may_confirm_what_they_saw_and_tells_nobody() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob"], "invite");
    room.ask("bob", "group_leave", json!({"group": group}));
    room.chatter("alice", &group, 3);
    assert_eq!(room.ask("bob", "read", cursor(&group, 5)), json!({}));
    assert!(room.take_events().is_empty());
    assert_eq!(cursors_of(&mut room, "bob"), (2, 2));
}

#[test]
fn what_the_other_side_read_is_a_change_of_a_direct_conversation() {
    let mut room = Room::new();
    room.chatter("alice", "user:bob", 2);
    let before = room.ask("alice", "sync", json!({}));
    let since = |room: &mut Room| room.ask("alice", "sync", json!({"rev": before["rev"]}));
    assert_eq!(since(&mut room)["conversations"], json!([]));
    room.ask("bob", "read", cursor(DIRECT, 2));
    let changed = since(&mut room);
    let peer = &changed["conversations"][0]["peer_cursors"];
    assert_eq!(peer, &json!({"received_seq": 2, "read_seq": 2}));
}

#[test]
fn a_direct_conversation_that_nobody_began_has_nothing_to_confirm() {
    let mut room = Room::new();
    assert_eq!(room.ask("alice", "read", cursor(DIRECT, 1)), json!({}));
    assert_eq!(room.ask("carol", "read", cursor(DIRECT, 1)), reason("not_a_member"));
    assert!(room.take_events().is_empty());
}

#[test]
fn the_end_writes_what_is_soft() {
    let mut room = Room::new();
    room.chatter("alice", "user:bob", 2);
    room.ask("bob", "received", cursor(DIRECT, 2));
    let now = room.now;
    room.scribe.finish(now);
    assert_eq!(cursors_of(&mut room, "bob"), (2, 0));
}
