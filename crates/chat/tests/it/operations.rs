//! What is done to messages: who sees it, as it is now and as it was written, also after being away.

use hubbub_chat::ChatConfig;
use serde_json::{Value, json};

use crate::room::{Room, items, reason};

const DIRECT: &str = "direct:alice:bob";

fn entry(page: &Value, seq: u64) -> Value {
    let entries = page["entries"].as_array().unwrap();
    entries.iter().find(|entry| entry["seq"] == seq).unwrap_or(&Value::Null).clone()
}

fn history(room: &mut Room, user: &str, conversation: &str) -> Value {
    room.ask(user, "history", json!({"conversation": conversation}))
}

fn pull(room: &mut Room, user: &str, conversation: &str) -> Value {
    room.ask(user, "pull", json!({"conversation": conversation, "from": 1, "to": 99}))
}

#[expect(clippy::needless_pass_by_value, reason = "payloads are written at the call")]
fn on(seq: u64, more: Value) -> Value {
    let mut payload = json!({"conversation": DIRECT, "seq": seq});
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    payload
}

#[test]
fn an_edit_is_an_entry_and_history_shows_the_new_content() {
    let mut room = Room::new();
    room.say("alice", "user:bob", "m-1");
    room.say("bob", "user:alice", "m-2");
    room.take_events();
    let ack = room.ask("alice", "edit", on(1, json!({"content": "better", "client_id": "e-1"})));
    assert_eq!((&ack["seq"], &ack["duplicate"]), (&json!(3), &json!(false)));
    assert_eq!(room.take_events(), ["message_edited direct:alice:bob#3 -> @alice @bob"]);

    let again = room.ask("alice", "edit", on(1, json!({"content": "better", "client_id": "e-1"})));
    assert_eq!((&again["seq"], &again["duplicate"]), (&json!(3), &json!(true)));
    let other = room.ask("alice", "edit", on(1, json!({"content": "worse", "client_id": "e-1"})));
    assert_eq!(other, reason("conflict"));
    room.now = room.now.plus_ms(5);
    room.ask("alice", "edit", on(1, json!({"content": "best"})));

    for user in ["alice", "bob"] {
        let page = history(&mut room, user, DIRECT);
        assert_eq!(items(&page), ["1", "2"]);
        let message = entry(&page, 1);
        assert_eq!(message["content"], "best");
        assert_eq!(message["edited_at"], json!(room.now.0));
        assert_eq!((&page["from_seq"], &page["through_seq"]), (&json!(1), &json!(4)));
        let raw = pull(&mut room, user, DIRECT);
        assert_eq!(items(&raw), ["1", "2", "3", "4"]);
        assert_eq!(entry(&raw, 1)["content"], "m-1");
        let edit = entry(&raw, 4);
        assert_eq!((&edit["type"], &edit["target_seq"]), (&json!("message_updated"), &json!(1)));
        let versions = room.ask(user, "edits", on(1, json!({})));
        let said: Vec<_> =
            versions["versions"].as_array().unwrap().iter().map(|v| &v["content"]).collect();
        assert_eq!(said, ["m-1", "better", "best"]);
    }
}

#[test]
fn who_may_edit_and_take_back_what() {
    let config = ChatConfig {
        edit_window_ms: 1_000,
        recall_window_ms: 500,
        edits_max: 2,
        ..ChatConfig::default()
    };
    let mut room = Room::with(config);
    room.say("alice", "user:bob", "m-1");
    let check = |room: &mut Room, user: &str, kind: &str, payload: Value, expect: &str| {
        assert_eq!(
            room.ask(user, kind, payload.clone()),
            reason(expect),
            "{user} {kind} {payload}"
        );
    };
    let edit = |seq| on(seq, json!({"content": "x"}));
    check(&mut room, "bob", "edit", edit(1), "not_allowed");
    check(&mut room, "bob", "recall", on(1, json!({})), "not_allowed");
    check(&mut room, "alice", "edit", edit(2), "not_found");
    check(&mut room, "alice", "edit", edit(0), "not_found");
    check(&mut room, "carol", "edit", edit(1), "not_a_member");
    check(
        &mut room,
        "alice",
        "recall",
        json!({"conversation": "direct:alice:zoe", "seq": 1}),
        "not_found",
    );
    check(
        &mut room,
        "alice",
        "recall",
        json!({"conversation": "group:none", "seq": 1}),
        "not_a_member",
    );
    room.ask("alice", "edit", edit(1));
    check(&mut room, "alice", "edit", edit(2), "not_found");
    room.ask("alice", "edit", edit(1));
    check(&mut room, "alice", "edit", edit(1), "too_many_edits");
    room.now = room.now.plus_ms(500);
    check(&mut room, "alice", "recall", on(1, json!({})), "too_late");
    room.now = room.now.plus_ms(500);
    check(&mut room, "alice", "edit", edit(1), "too_late");
    let page = history(&mut room, "alice", DIRECT);
    assert_eq!(page["head_seq"], 3, "what is refused writes nothing");
}

#[test]
fn what_is_taken_back_is_gone_everywhere_and_known_when_it_comes_again() {
    let mut room = Room::new();
    let sent = room.say("alice", "user:bob", "m-1");
    room.ask("alice", "edit", on(1, json!({"content": "secret too"})));
    room.ask("bob", "react", on(1, json!({"emoji": "👍"})));
    let ack = room.ask("alice", "recall", on(1, json!({"client_id": "r-1"})));
    assert_eq!(ack["seq"], 4);
    for user in ["alice", "bob"] {
        let page = history(&mut room, user, DIRECT);
        let message = entry(&page, 1);
        assert_eq!((&message["content"], &message["removed"]), (&json!(null), &json!("recalled")));
        assert_eq!(message.get("reactions"), None);
        let raw = pull(&mut room, user, DIRECT);
        assert_eq!(items(&raw), ["1", "2", "3", "4"]);
        for seq in [1, 2] {
            assert_eq!(entry(&raw, seq)["content"], json!(null), "{seq}");
            assert_eq!(entry(&raw, seq)["removed"], "recalled", "{seq}");
        }
        let synced = room.ask(user, "sync", json!({"cursors": {DIRECT: 0}}));
        assert!(!synced.to_string().contains("secret"), "{synced}");
        assert!(!synced.to_string().contains("\"m-1\",\"kind\""), "{synced}");
    }
    let again = room.ask("alice", "recall", on(1, json!({"client_id": "r-1"})));
    assert_eq!((&again["seq"], &again["duplicate"]), (&json!(4), &json!(true)));
    let resent = room.say("alice", "user:bob", "m-1");
    assert_eq!((&resent["seq"], &resent["duplicate"]), (&sent["seq"], &json!(true)));
    for (kind, payload) in [
        ("recall", on(1, json!({}))),
        ("edit", on(1, json!({"content": 1}))),
        ("react", on(1, json!({"emoji": "x"}))),
        ("edits", on(1, json!({}))),
        ("reactions", on(1, json!({}))),
    ] {
        assert_eq!(room.ask("alice", kind, payload), reason("removed"), "{kind}");
    }
}

#[test]
fn reactions_are_counted_once_for_each_user_and_emoji() {
    let config = ChatConfig { reactions_max: 2, ..ChatConfig::default() };
    let mut room = Room::with(config);
    room.say("alice", "user:bob", "m-1");
    room.take_events();
    let react = |room: &mut Room, user: &str, emoji: &str, active: bool| {
        room.ask(user, "react", on(1, json!({"emoji": emoji, "active": active})))
    };
    assert_eq!(react(&mut room, "bob", "👍", true)["seq"], 2);
    assert_eq!(react(&mut room, "bob", "👍", true), json!({}));
    assert_eq!(react(&mut room, "alice", "👍", true)["seq"], 3);
    assert_eq!(react(&mut room, "alice", "❤", true)["seq"], 4);
    assert_eq!(react(&mut room, "bob", "x", true), reason("too_many_reactions"));
    assert_eq!(react(&mut room, "bob", "x", false), json!({}));
    assert_eq!(room.take_events().len(), 3, "what changes nothing is told nobody");
    let found = entry(&history(&mut room, "bob", DIRECT), 1)["reactions"].clone();
    let expect = json!([
        {"emoji": "❤", "count": 1, "users": ["alice"], "mine": false},
        {"emoji": "👍", "count": 2, "users": ["alice", "bob"], "mine": true},
    ]);
    assert_eq!(found, expect);
    assert_eq!(react(&mut room, "alice", "❤", false)["seq"], 5);
    assert_eq!(react(&mut room, "bob", "x", true)["seq"], 6);
    let page = room.ask("alice", "reactions", on(1, json!({"limit": 2})));
    let shown = |page: &Value| -> Vec<String> {
        let of = |r: &Value| format!("{} {}", r["emoji"], r["user"]).replace('"', "");
        page["reactions"].as_array().unwrap().iter().map(of).collect()
    };
    assert_eq!(
        (shown(&page), &page["more"]),
        (vec!["x bob".into(), "👍 alice".into()], &json!(true))
    );
    let after = json!({"after": {"emoji": "👍", "user": "alice"}});
    let page = room.ask("alice", "reactions", on(1, after));
    assert_eq!((shown(&page), &page["more"]), (vec!["👍 bob".into()], &json!(false)));
    let nobody = json!({"after": {"emoji": "👍", "user": "nobody"}});
    assert_eq!(room.ask("alice", "reactions", on(1, nobody)), reason("bad_range"));
}

#[test]
fn a_later_member_gets_voids_for_what_is_done_to_what_they_may_not_see() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob"], "open");
    room.say("alice", &group, "early");
    let id = group.strip_prefix("group:").unwrap().to_owned();
    room.ask("carol", "group_join", json!({"group": id}));
    room.say("alice", &group, "late");
    room.take_events();
    let of = |seq: u64, more: Value| {
        let mut payload = json!({"conversation": group, "seq": seq});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        payload
    };
    // 1 created, 2 early, 3 carol, 4 late; then 5 to 8.
    room.ask("bob", "react", of(2, json!({"emoji": "👍"})));
    room.ask("alice", "edit", of(2, json!({"content": "secret"})));
    room.ask("alice", "edit", of(4, json!({"content": "open"})));
    assert_eq!(room.ask("carol", "react", of(2, json!({"emoji": "x"}))), reason("not_found"));
    assert_eq!(
        room.take_events(),
        [
            format!("message_reaction {group}#5 -> {group} but carol"),
            format!("message_edited {group}#6 -> {group} but carol"),
            format!("message_edited {group}#7 -> {group}"),
        ]
    );
    let raw = pull(&mut room, "carol", &group);
    assert_eq!(items(&raw), ["void 1-2", "3", "4", "void 5-6", "7"]);
    assert_eq!(items(&pull(&mut room, "bob", &group)), ["1", "2", "3", "4", "5", "6", "7"]);
    let synced = room.ask("carol", "sync", json!({"cursors": {&*group: 4}}));
    assert_eq!(items(&synced["conversations"][0]), ["void 5-6", "7"]);
    let page = history(&mut room, "carol", &group);
    assert_eq!(items(&page), ["3", "4"]);
    assert!(!page.to_string().contains("secret"));
    for kind in ["edits", "reactions"] {
        assert_eq!(room.ask("carol", kind, of(2, json!({}))), reason("not_found"), "{kind}");
    }
    // One who left sees what was done while they were there, also when they come back.
    room.ask("bob", "group_leave", json!({"group": id}));
    room.ask("alice", "edit", of(4, json!({"content": "after bob"})));
    room.ask("alice", "react", of(4, json!({"emoji": "🎉"})));
    for back in [false, true] {
        if back {
            room.ask("bob", "group_join", json!({"group": id}));
            room.take_events();
            room.ask("alice", "edit", of(4, json!({"content": "with bob again"})));
            let told = room.take_events();
            assert!(told[0].ends_with("but bob"), "{told:?}");
        }
        let message = entry(&history(&mut room, "bob", &group), 4);
        assert_eq!((&message["content"], message.get("reactions")), (&json!("open"), None));
        let versions = room.ask("bob", "edits", of(4, json!({})));
        assert_eq!(versions["versions"].as_array().unwrap().len(), 2);
        assert_eq!(room.ask("bob", "reactions", of(4, json!({})))["reactions"], json!([]));
    }
    let message = entry(&history(&mut room, "carol", &group), 4);
    assert_eq!(message["content"], "with bob again");
}

#[test]
fn an_offline_device_sees_each_operation_after_sync() {
    let mut room = Room::new();
    for n in 1..=3 {
        room.say("alice", "user:bob", &format!("m-{n}"));
    }
    let first = room.ask("bob", "sync", json!({}));
    room.ask("alice", "edit", on(1, json!({"content": "edited"})));
    room.ask("alice", "recall", on(2, json!({})));
    room.ask("alice", "react", on(3, json!({"emoji": "👍"})));
    let synced = room.ask("bob", "sync", json!({"cursors": {DIRECT: 3}, "rev": first["rev"]}));
    let conversation = &synced["conversations"][0];
    assert_eq!(items(conversation), ["4", "5", "6"]);
    let kinds: Vec<_> =
        conversation["entries"].as_array().unwrap().iter().map(|e| e["kind"].clone()).collect();
    assert_eq!(kinds, ["message_edited", "message_recalled", "message_reaction"]);
}

#[test]
fn a_page_gets_on_over_a_long_stretch_with_nothing_to_show() {
    let mut room = Room::new();
    room.say("alice", "user:bob", "m-1");
    for n in 0..2_300 {
        let active = n % 2 == 0;
        room.ask("bob", "react", on(1, json!({"emoji": "x", "active": active})));
    }
    room.take_events();
    let list = room.ask("bob", "conversations", json!({}));
    assert_eq!(list["conversations"][0].get("last"), None, "looked for within bounds");
    let mut page = history(&mut room, "bob", DIRECT);
    assert_eq!((items(&page), &page["more"]), (vec![], &json!(true)));
    while page["more"] == json!(true) {
        let before = page["from_seq"].clone();
        page = room.ask("bob", "history", json!({"conversation": DIRECT, "before": before}));
    }
    assert_eq!(items(&page), ["1"]);
    let page = room.ask("bob", "history", json!({"conversation": DIRECT, "after": 0, "limit": 1}));
    assert_eq!((items(&page), &page["more"]), (vec!["1".to_owned()], &json!(true)));
    let after = page["through_seq"].clone();
    let page = room.ask("bob", "history", json!({"conversation": DIRECT, "after": after}));
    assert_eq!((&page["entries"], &page["more"]), (&json!([]), &json!(true)));
}
