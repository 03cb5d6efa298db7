//! `history`, `pull`, lists and redelivery: pages, bounds and what is left out.

use hubbub_chat::ChatConfig;
use hubbub_chat::answer;
use hubbub_proto::route::{Stamp, Work};
use hubbub_proto::{ConversationId, Request};
use serde_json::{Value, json};

use crate::room::{EPOCH, Room, conn, identity, items, reason, request};

const DIRECT: &str = "direct:alice:bob";

fn range(items: &[String]) -> (String, String, usize) {
    (items[0].clone(), items[items.len() - 1].clone(), items.len())
}

#[test]
fn history_pages_in_both_directions() {
    let mut room = Room::new();
    room.chatter("alice", "user:bob", 120);
    let check = |room: &mut Room, extra: Value, expect: (u64, u64, usize), more: bool| {
        let mut payload = json!({"conversation": DIRECT});
        payload.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let page = room.ask("bob", "history", payload);
        let (first, last, count) = range(&items(&page));
        let expect = (expect.0.to_string(), expect.1.to_string(), expect.2);
        assert_eq!(((first, last, count), &page["more"]), (expect, &json!(more)), "{extra}");
        assert_eq!(page["head_seq"], 120);
    };
    check(&mut room, json!({}), (71, 120, 50), true);
    check(&mut room, json!({"before": 71}), (21, 70, 50), true);
    check(&mut room, json!({"before": 21}), (1, 20, 20), false);
    check(&mut room, json!({"after": 0, "limit": 20}), (1, 20, 20), true);
    check(&mut room, json!({"after": 100}), (101, 120, 20), false);
    check(&mut room, json!({"limit": 9_999}), (1, 120, 120), false);
    check(&mut room, json!({"limit": 120}), (1, 120, 120), false);
    let past = room.ask("bob", "history", json!({"conversation": DIRECT, "after": 120}));
    assert_eq!((&past["entries"], &past["more"]), (&json!([]), &json!(false)));
    let none = room.ask("bob", "history", json!({"conversation": DIRECT, "limit": 0}));
    assert_eq!(none, reason("bad_range"));
}

#[test]
fn answers_are_bounded_in_bytes_and_still_get_on() {
    let config = ChatConfig { sync_bytes_max: 1_024, ..ChatConfig::default() };
    let mut room = Room::with(config);
    for n in 0..4 {
        let payload =
            json!({"to": "user:bob", "content": "x".repeat(2_000), "client_id": format!("c{n}")});
        room.ask("alice", "send", payload);
    }
    let page = room.ask("bob", "history", json!({"conversation": DIRECT}));
    assert_eq!((items(&page), &page["more"]), (vec!["4".to_owned()], &json!(true)));
    let page = room.ask("bob", "history", json!({"conversation": DIRECT, "before": 2}));
    assert_eq!((items(&page), &page["more"]), (vec!["1".to_owned()], &json!(false)));
    let page = room.ask("bob", "pull", json!({"conversation": DIRECT, "from": 2, "to": 4}));
    assert_eq!((items(&page), &page["more"]), (vec!["2".to_owned()], &json!(true)));
    let synced = room.ask("bob", "sync", json!({}));
    let conversation = &synced["conversations"][0];
    assert_eq!((items(conversation), &conversation["more"]), (vec![], &json!(true)));
}

#[test]
fn pull_is_dense_and_clamped() {
    let mut room = Room::new();
    room.chatter("alice", "user:bob", 1_500);
    let pull = |room: &mut Room, from: u64, to: u64| {
        room.ask("bob", "pull", json!({"conversation": DIRECT, "from": from, "to": to}))
    };
    let page = pull(&mut room, 3, 5);
    assert_eq!(
        (items(&page), &page["more"]),
        (["3", "4", "5"].map(String::from).to_vec(), &json!(false))
    );
    let page = pull(&mut room, 1_499, 9_999);
    assert_eq!(
        (range(&items(&page)).2, &page["more"], &page["head_seq"]),
        (2, &json!(false), &json!(1_500))
    );
    let page = pull(&mut room, 1, u64::MAX);
    assert_eq!(range(&items(&page)), ("1".into(), "1000".into(), 1_000));
    assert_eq!(page["more"], true);
    let page = pull(&mut room, 2_000, 3_000);
    assert_eq!((&page["entries"], &page["more"]), (&json!([]), &json!(false)));
    assert_eq!(pull(&mut room, 0, 3), reason("bad_range"));
    assert_eq!(pull(&mut room, 4, 3), reason("bad_range"));
}

#[test]
fn a_direct_conversation_that_nobody_began_is_an_empty_page() {
    let mut room = Room::new();
    let page = room.ask("alice", "history", json!({"conversation": DIRECT}));
    let empty = json!({
        "entries": [], "from_seq": 0, "through_seq": 0, "head_seq": 0, "floor_seq": 0, "more": false
    });
    assert_eq!(page, empty);
}

#[test]
fn the_list_shows_the_newest_first_with_its_last_entry() {
    let mut room = Room::new();
    room.chatter("alice", "user:bob", 3);
    let group = room.group("carol", &["bob"], "invite");
    room.chatter("alice", "user:dave", 1);
    let page = room.ask("bob", "conversations", json!({"limit": 1}));
    assert_eq!(
        (&page["conversations"][0]["id"], &page["conversations"][0]["unread"]),
        (&json!(group), &json!(0))
    );
    let page = room.ask("bob", "conversations", json!({"before_rev": page["next"]}));
    let direct = &page["conversations"][0];
    assert_eq!(
        (&direct["id"], &direct["unread"], &direct["last"]["seq"]),
        (&json!(DIRECT), &json!(3), &json!(3))
    );
    assert_eq!(direct["peer"], json!({"id": "alice", "name": "ALICE"}));
    assert_eq!(page["next"], Value::Null);
    let nobody = room.ask("nobody", "conversations", json!({}));
    assert_eq!(nobody, json!({"conversations": []}));
}

#[test]
fn unread_counts_messages_by_others_beyond_read_in_the_newest_stay() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob"], "open");
    room.chatter("alice", &group, 4);
    let unread = |room: &mut Room| {
        room.ask("bob", "conversations", json!({}))["conversations"][0]["unread"].clone()
    };
    assert_eq!(unread(&mut room), 4, "the group's own entries do not count");
    room.ask("bob", "read", json!({"conversation": group, "seq": 3}));
    assert_eq!(unread(&mut room), 2);
    room.chatter("bob", &group, 2);
    assert_eq!(unread(&mut room), 2, "nor do one's own");
    room.ask("bob", "group_leave", json!({"group": group}));
    room.chatter("alice", &group, 5);
    assert_eq!(unread(&mut room), 2, "nor what comes after leaving");
    room.ask("bob", "group_join", json!({"group": group}));
    assert_eq!(unread(&mut room), 0, "nor anything before the newest stay");
    room.chatter("alice", &group, 120);
    assert_eq!(unread(&mut room), 100);
}

#[test]
fn redelivery_pushes_what_follows_with_its_attempt() {
    let config = ChatConfig { redelivery_entries: 3, ..ChatConfig::default() };
    let mut room = Room::with(config);
    let group = room.group("alice", &["bob"], "open");
    room.ask("bob", "group_leave", json!({"group": group}));
    room.chatter("alice", &group, 2);
    room.ask("bob", "group_join", json!({"group": group}));
    room.chatter("carol", "user:bob", 9);
    room.take_events();
    let again = |user: &str, conversation: &str, after| Request {
        conn: conn(user),
        read_at: Stamp::default(),
        identity: identity(user),
        work: Work::Redeliver {
            conversation: ConversationId::new(conversation).unwrap(),
            after,
            attempt: 2,
        },
    };
    assert!(room.batch(vec![again("bob", "direct:bob:carol", 4)]).is_empty());
    let expect = [5, 6, 7].map(|seq| format!("push text direct:bob:carol#{seq} again"));
    assert_eq!(room.take_events(), expect);
    room.batch(vec![again("bob", &group, 1)]);
    assert_eq!(
        room.take_events(),
        [
            format!("push member_left {group}#2 again"),
            format!("push void {group}#3-4"),
            format!("push member_joined {group}#5 again"),
        ]
    );
    room.batch(vec![again("mallory", &group, 0), again("bob", "direct:bob:zoe", 0)]);
    assert!(room.take_events().is_empty());
}

#[test]
fn a_reader_answers_what_it_does_not_know_with_a_refusal() {
    let mut room = Room::new();
    let stray = request("alice", "group_join", &json!({"group": "g"}));
    let effects = answer(&mut *room.reader, &room.config, EPOCH, &stray, room.now);
    assert_eq!(room.happen(effects), [reason("unknown_type")]);
}
