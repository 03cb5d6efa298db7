//! `sync`: live delivery first, then what a device missed, in one answer or in several.

use hubbub_chat::ChatConfig;
use serde_json::{Value, json};

use crate::room::{EPOCH, Room, items, request};

const DIRECT: &str = "direct:alice:bob";

fn range(conversation: &Value) -> (String, String, usize) {
    let items = items(conversation);
    (items[0].clone(), items[items.len() - 1].clone(), items.len())
}

#[test]
fn live_delivery_begins_in_commit_order_and_the_answer_knows_all_before_it() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob"], "invite");
    let send = |client_id: &str| {
        let payload = json!({"to": group, "content": "x", "client_id": client_id});
        request("alice", "send", &payload)
    };
    let sync = request("bob", "sync", &json!({}));
    let replies = room.batch(vec![send("c1"), sync, send("c2")]);
    assert_eq!(
        room.take_events(),
        [
            format!("text {group}#2 -> {group}"),
            format!("attach {group}"),
            format!("text {group}#3 -> {group}"),
        ]
    );
    let answer = replies.last().unwrap();
    assert_eq!(items(&answer["conversations"][0]), ["1", "2", "3"]);
    assert_eq!(answer["epoch"], EPOCH);
}

#[test]
fn a_device_gets_what_it_missed_and_nothing_twice() {
    let mut room = Room::new();
    room.chatter("alice", "user:bob", 10);
    let first = room.ask("bob", "sync", json!({"cursors": {}}));
    assert_eq!(range(&first["conversations"][0]), ("1".into(), "10".into(), 10));
    let told =
        |rev: &Value, seq: u64| json!({"epoch": EPOCH, "rev": rev, "cursors": {DIRECT: seq}});
    let future = room.ask("bob", "sync", told(&json!(1_000_000), 10));
    assert_eq!(future["rev"], first["rev"], "a rev that was never given out is none");
    assert_eq!(future["conversations"][0]["id"], DIRECT);
    let same = room.ask("bob", "sync", told(&first["rev"], 10));
    assert_eq!((&same["conversations"], &same["rev"]), (&json!([]), &first["rev"]));
    room.chatter("alice", "user:bob", 2);
    let next = room.ask("bob", "sync", told(&first["rev"], 10));
    assert_eq!(items(&next["conversations"][0]), ["11", "12"]);
    assert_eq!(next["conversations"][0]["from_seq"], 11);
    // One that lost something is caught up even where nothing changed since.
    let behind = room.ask("bob", "sync", told(&next["rev"], 9));
    assert_eq!(items(&behind["conversations"][0]), ["10", "11", "12"]);
}

#[test]
fn a_cursor_of_another_history_or_above_the_head_is_reset() {
    let mut room = Room::new();
    room.chatter("alice", "user:bob", 60);
    let sync = |room: &mut Room, payload: Value| {
        room.ask("bob", "sync", payload)["conversations"][0].clone()
    };
    let other = json!({"epoch": "other", "rev": 999, "cursors": {DIRECT: 60}});
    let reset = sync(&mut room, other);
    assert_eq!((&reset["reset"], &reset["from_seq"]), (&json!(true), &json!(11)));
    assert_eq!(range(&reset), ("11".into(), "60".into(), 50));
    let above = json!({"epoch": EPOCH, "rev": 999, "cursors": {DIRECT: 61}});
    assert_eq!(sync(&mut room, above)["reset"], true);
    let good = json!({"epoch": EPOCH, "cursors": {DIRECT: 58}});
    let good = sync(&mut room, good);
    assert_eq!(
        (items(&good), &good["reset"]),
        (vec!["59".to_owned(), "60".to_owned()], &Value::Null)
    );
}

#[test]
fn what_is_older_than_the_offline_window_is_left_to_history() {
    let mut room = Room::with(ChatConfig { offline_window_ms: 10_000, ..ChatConfig::default() });
    room.chatter("alice", "user:bob", 5);
    room.now = room.now.plus_ms(20_000);
    room.chatter("alice", "user:bob", 2);
    let fresh = room.ask("bob", "sync", json!({}))["conversations"][0].clone();
    assert_eq!(
        (items(&fresh), &fresh["unread"]),
        (vec!["6".to_owned(), "7".to_owned()], &json!(7))
    );
    let behind = json!({"cursors": {DIRECT: 3}});
    let behind = room.ask("bob", "sync", behind)["conversations"][0].clone();
    assert_eq!(
        (items(&behind), &behind["reset"]),
        (vec!["6".to_owned(), "7".to_owned()], &json!(true))
    );
    room.now = room.now.plus_ms(20_000);
    let unnamed = room.ask("bob", "sync", json!({}))["conversations"][0].clone();
    assert_eq!((&unnamed["entries"], &unnamed["from_seq"]), (&json!([]), &json!(8)));
    let late = json!({"cursors": {DIRECT: 7}});
    let late = room.ask("bob", "sync", late)["conversations"][0].clone();
    assert_eq!((&late["entries"], &late["reset"]), (&json!([]), &Value::Null));
}

#[test]
fn a_user_is_caught_up_by_so_many_entries_in_all() {
    let mut room = Room::with(ChatConfig { offline_entries_max: 25, ..ChatConfig::default() });
    for peer in ["alice", "carol", "dave"] {
        room.chatter(peer, "user:bob", 10);
    }
    let cursors = json!({"direct:alice:bob": 0, "direct:bob:carol": 0, "direct:bob:dave": 0});
    let answer = room.ask("bob", "sync", json!({"cursors": cursors}));
    let shape: Vec<_> = answer["conversations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (items(c).len(), c["reset"] == true, c["from_seq"].as_u64().unwrap()))
        .collect();
    assert_eq!(shape, [(5, true, 6), (10, false, 1), (10, false, 1)], "the newest first");
    // What was not given is in the history, and nothing that follows is lost.
    let page = room.ask("bob", "history", json!({"conversation": DIRECT}));
    assert_eq!(items(&page).len(), 10);
}

#[test]
fn an_answer_is_bounded_and_the_rest_is_pulled() {
    let mut room = Room::with(ChatConfig { sync_entries_max: 30, ..ChatConfig::default() });
    room.chatter("alice", "user:bob", 20);
    room.chatter("carol", "user:bob", 20);
    let answer = room.ask("bob", "sync", json!({}));
    let conversations = answer["conversations"].as_array().unwrap();
    let shape: Vec<_> =
        conversations.iter().map(|c| (items(c).len(), c["more"].as_bool().unwrap())).collect();
    assert_eq!(shape, [(20, false), (10, true)]);
    assert_eq!(answer["more"], false);
    let page = json!({"conversation": "direct:bob:carol", "from": 11, "to": 20});
    assert_eq!(items(&room.ask("bob", "pull", page)).len(), 10);
}

#[test]
fn what_one_hid_counts_in_the_answer_and_all_of_it_comes_in_the_end() {
    let mut room = Room::with(ChatConfig { sync_bytes_max: 1_200, ..ChatConfig::default() });
    let peers = ["user-a", "user-b", "user-c"];
    for peer in peers {
        room.chatter(peer, "user:bob", 150);
    }
    let known = room.ask("bob", "conversations", json!({}))["conversations"].clone();
    let rev = known.as_array().unwrap().iter().map(|c| c["rev"].as_u64().unwrap()).max();
    let mut cursors = json!({});
    for peer in peers {
        let conversation = format!("direct:bob:{peer}");
        cursors[&conversation] = json!(150);
        for seq in 1..=150 {
            room.ask("bob", "delete", json!({"conversation": conversation, "seq": seq}));
        }
    }
    let (mut rev, mut hidden) = (json!(rev), Vec::new());
    for n in 1..=3 {
        let answer = room.ask("bob", "sync", json!({"rev": rev, "cursors": cursors}));
        for conversation in answer["conversations"].as_array().unwrap() {
            hidden.push(conversation["hidden"].as_array().map_or(0, Vec::len));
        }
        assert_eq!((hidden.len(), &answer["more"]), (n, &json!(n < 3)));
        rev = answer["rev"].clone();
    }
    assert_eq!(hidden, [150, 150, 150]);
}

#[test]
fn what_one_hid_is_told_although_an_earlier_answer_passed_its_rev() {
    let mut room = Room::with(ChatConfig { sync_bytes_max: 600, ..ChatConfig::default() });
    room.chatter("user-a", "user:bob", 2);
    room.chatter("user-b", "user:bob", 2);
    let rev = room.ask("bob", "sync", json!({"cursors": {}}))["rev"].clone();
    let rev = room.ask("bob", "sync", json!({"rev": rev}))["rev"].clone();
    room.ask("bob", "delete", json!({"conversation": "direct:bob:user-a", "seq": 1}));
    room.say("user-b", "user:bob", "then");
    room.say("user-a", "user:bob", "last");
    let first = room.ask("bob", "sync", json!({"rev": rev}));
    assert_eq!(first["conversations"][0]["id"], "direct:bob:user-b");
    assert_eq!(first["more"], true);
    let second = room.ask("bob", "sync", json!({"rev": first["rev"]}));
    let conversation = &second["conversations"][0];
    assert_eq!(conversation["id"], "direct:bob:user-a");
    assert_eq!(conversation["hidden"], json!([1]));
}

#[test]
fn many_conversations_come_in_several_answers_oldest_change_first() {
    let mut room = Room::with(ChatConfig { sync_bytes_max: 40_000, ..ChatConfig::default() });
    for n in 0..250 {
        room.say(&format!("user-{n:03}"), "user:bob", "c");
    }
    let mut seen = Vec::new();
    let mut rev = json!(0);
    for _ in 0..3 {
        let answer = room.ask("bob", "sync", json!({"epoch": EPOCH, "rev": rev}));
        let conversations = answer["conversations"].as_array().unwrap();
        seen.extend(conversations.iter().map(|c| c["id"].as_str().unwrap().to_owned()));
        rev = answer["rev"].clone();
        if answer["more"] == false {
            break;
        }
    }
    assert_eq!(seen.len(), 250);
    assert!(seen.is_sorted());
}

#[test]
fn one_who_left_is_told_so_and_sees_nothing_later() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob"], "invite");
    let before = room.ask("bob", "sync", json!({}));
    room.ask("alice", "group_kick", json!({"group": group, "user": "bob"}));
    room.chatter("alice", &group, 3);
    room.take_events();
    let sync = json!({"epoch": EPOCH, "rev": before["rev"], "cursors": {&group: 1}});
    let answer = room.ask("bob", "sync", sync);
    assert_eq!(room.take_events(), ["attach "]);
    let conversation = &answer["conversations"][0];
    assert_eq!(
        (items(conversation), &conversation["member"]),
        (vec!["2".to_owned()], &json!(false))
    );
    assert_eq!(conversation["head_seq"], 2);
    let sync = json!({"epoch": EPOCH, "rev": answer["rev"], "cursors": {&group: 2}});
    assert_eq!(room.ask("bob", "sync", sync)["conversations"], json!([]));
}

#[test]
fn the_token_s_name_is_kept_for_the_others() {
    let mut room = Room::new();
    room.say("alice", "user:bob", "c1");
    room.ask("bob", "sync", json!({}));
    let answer = room.ask("alice", "sync", json!({}));
    assert_eq!(answer["conversations"][0]["peer"], json!({"id": "bob", "name": "BOB"}));
}
