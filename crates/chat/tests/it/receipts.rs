//! Who got and read a message: asked for with it, or afterwards.

use hubbub_chat::ChatConfig;
use serde_json::{Value, json};

use crate::room::{Room, reason};

fn ask_for(room: &mut Room, user: &str, to: &str, client_id: &str) -> u64 {
    let send = json!({"to": to, "content": "!", "client_id": client_id, "receipt": true});
    let seq = room.ask(user, "send", send)["seq"].as_u64().unwrap();
    room.take_events();
    seq
}

fn told(room: &mut Room) -> Vec<String> {
    let events = room.take_events();
    events.into_iter().filter(|event| event.contains(" by ")).collect()
}

fn moved(room: &mut Room, user: &str, kind: &str, conversation: &str, seq: u64) -> Vec<String> {
    room.ask(user, kind, json!({"conversation": conversation, "seq": seq}));
    told(room)
}

#[test]
fn a_sender_who_asks_is_told_once_for_each_user_and_status() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob", "carol"], "open");
    room.say("alice", &group, "plain");
    ask_for(&mut room, "alice", &group, "one");
    ask_for(&mut room, "bob", &group, "two");
    let got = |status, user, seq, id, to| format!("{status} {group}#{seq} {id} by {user} -> @{to}");
    assert_eq!(
        moved(&mut room, "carol", "received", &group, 9),
        [got("received", "carol", 3, "one", "alice"), got("received", "carol", 4, "two", "bob")]
    );
    assert_eq!(moved(&mut room, "carol", "received", &group, 9), [""; 0], "once");
    assert_eq!(
        moved(&mut room, "carol", "read", &group, 3),
        [got("read", "carol", 3, "one", "alice")]
    );
    // Read without received before: both, and not of one's own.
    assert_eq!(
        moved(&mut room, "bob", "read", &group, 9),
        [got("received", "bob", 3, "one", "alice"), got("read", "bob", 3, "one", "alice")]
    );
    room.wait(2_000);
    assert_eq!(told(&mut room), [""; 0], "cursors that are written later tell nothing again");
}

#[test]
fn direct_conversations_tell_and_large_groups_do_not() {
    let mut room = Room::with(ChatConfig { receipt_members_max: 2, ..Default::default() });
    ask_for(&mut room, "alice", "user:bob", "one");
    let direct = "direct:alice:bob";
    assert_eq!(
        moved(&mut room, "bob", "received", direct, 1),
        [format!("received {direct}#1 one by bob -> @alice")]
    );
    let group = room.group("alice", &["bob", "carol"], "open");
    ask_for(&mut room, "alice", &group, "two");
    assert_eq!(moved(&mut room, "bob", "read", &group, 9), [""; 0]);
}

#[test]
fn a_sender_who_left_is_not_told() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob", "carol"], "open");
    ask_for(&mut room, "bob", &group, "one");
    room.ask("bob", "group_leave", json!({"group": group}));
    room.take_events();
    assert_eq!(moved(&mut room, "carol", "read", &group, 9), [""; 0]);
}

#[test]
fn who_got_and_read_is_listed_in_small_groups_and_counted_in_others() {
    let mut room = Room::with(ChatConfig { receipt_members_max: 2, ..Default::default() });
    let group = room.group("alice", &["bob", "carol"], "open");
    let seq = room.say("alice", &group, "c1")["seq"].as_u64().unwrap();
    room.ask("bob", "received", json!({"conversation": group, "seq": seq}));
    room.ask("carol", "read", json!({"conversation": group, "seq": seq}));
    room.wait(2_000);
    let asked = json!({"conversation": group, "seq": seq});
    for user in ["alice", "bob"] {
        let page = room.ask(user, "receipts", asked.clone());
        assert_eq!(
            page,
            json!({"received": 2, "read": 1, "total": 2, "members": [
                {"user": "bob", "received_seq": seq, "read_seq": 0},
                {"user": "carol", "received_seq": seq, "read_seq": seq},
            ]})
        );
    }
    // One who came later is not among those it could be; one more makes them too many to list.
    room.ask("dave", "group_join", json!({"group": group}));
    assert_eq!(room.ask("alice", "receipts", asked.clone())["total"], 2);
    assert_eq!(
        room.ask("dave", "receipts", asked.clone()),
        reason("not_found"),
        "before their time"
    );
    let later = room.say("alice", &group, "c2")["seq"].clone();
    let page = room.ask("alice", "receipts", json!({"conversation": group, "seq": later}));
    assert_eq!(page, json!({"received": 0, "read": 0, "total": 3}));
    assert_eq!(room.ask("eve", "receipts", asked.clone()), reason("not_a_member"));
    // Those who are not in it any more see what was said, but not who reads it now.
    room.ask("bob", "group_leave", json!({"group": group.strip_prefix("group:").unwrap()}));
    let kick = json!({"group": group.strip_prefix("group:").unwrap(), "user": "carol"});
    assert!(room.ask("alice", "group_kick", kick)["seq"].is_u64());
    for user in ["bob", "carol"] {
        assert_eq!(room.ask(user, "receipts", asked.clone()), reason("not_a_member"), "{user}");
    }
    let beyond = json!({"conversation": group, "seq": 99});
    assert_eq!(room.ask("alice", "receipts", beyond), reason("not_found"));
    let nothing = json!({"conversation": "direct:alice:zoe", "seq": 1});
    assert_eq!(room.ask("alice", "receipts", nothing), reason("not_found"));
}

#[test]
fn a_repeated_send_with_receipt_is_the_same_and_without_it_is_another() {
    let mut room = Room::new();
    ask_for(&mut room, "alice", "user:bob", "one");
    let mut send = json!({"to": "user:bob", "content": "!", "client_id": "one", "receipt": true});
    assert_eq!(room.ask("alice", "send", send.clone())["duplicate"], true);
    send["receipt"] = Value::Null;
    assert_eq!(room.ask("alice", "send", send), reason("conflict"));
}

#[test]
fn of_one_who_does_not_let_it_be_known_nobody_is_told() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob", "carol"], "open");
    room.ask("carol", "privacy_update", json!({"receipts": false}));
    let seq = ask_for(&mut room, "alice", &group, "one");
    let direct = ask_for(&mut room, "alice", "user:carol", "two");
    assert_eq!(moved(&mut room, "carol", "received", &group, seq), [""; 0]);
    assert_eq!(moved(&mut room, "carol", "read", &group, seq), [""; 0]);
    assert_eq!(moved(&mut room, "carol", "read", "direct:alice:carol", direct), [""; 0]);
    assert_eq!(moved(&mut room, "bob", "read", &group, seq).len(), 2);
    let asked = json!({"conversation": group, "seq": seq});
    let page = room.ask("alice", "receipts", asked.clone());
    let bob = json!({"user": "bob", "received_seq": seq, "read_seq": seq});
    assert_eq!(page, json!({"received": 1, "read": 1, "total": 2, "members": [bob]}));
    let own = room.ask("carol", "receipts", asked);
    assert_eq!(own["read"], 2, "one's own one knows");
    let asked = json!({"conversation": "direct:alice:carol", "seq": direct});
    let page = room.ask("alice", "receipts", asked.clone());
    assert_eq!(page, json!({"received": 0, "read": 0, "total": 1, "members": []}));
    room.ask("carol", "privacy_update", json!({"receipts": true}));
    assert_eq!(room.ask("alice", "receipts", asked)["read"], 1);
    let later = ask_for(&mut room, "alice", &group, "three");
    assert_eq!(moved(&mut room, "carol", "read", &group, later).len(), 2);
}
