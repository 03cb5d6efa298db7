//! What is done to messages: who sees it, as it is now and as it was written, also after being away.

use hubbub_chat::{ChatConfig, ContentBytes};
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

/// Everything that says something about the message `seq`, each as it would be allowed otherwise.
fn sayings(conversation: &str, seq: u64) -> [(&'static str, Value); 4] {
    let on = |more: Value| {
        let mut payload = json!({"conversation": conversation, "seq": seq});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        payload
    };
    [
        ("edit", on(json!({"content": "x"}))),
        ("react", on(json!({"emoji": "x"}))),
        ("react", on(json!({"emoji": "👍", "active": false}))),
        ("pin", on(json!({}))),
    ]
}

#[test]
fn who_is_muted_does_nothing_to_messages_but_take_them_back() {
    for all in [false, true] {
        let mut room = Room::new();
        let group = room.group("alice", &["bob"], "open");
        let id = group.strip_prefix("group:").unwrap().to_owned();
        // An admin may pin, and is not meant where all are muted.
        let role = if all { "member" } else { "admin" };
        room.ask("alice", "group_role", json!({"group": id, "user": "bob", "role": role}));
        let seq = room.say("bob", &group, "m-1")["seq"].as_u64().unwrap();
        let like = json!({"conversation": group, "seq": seq, "emoji": "👍"});
        room.ask("bob", "react", like);
        let mut mute = json!({"group": id, "muted": true});
        if !all {
            mute["user"] = json!("bob");
        }
        let head = room.ask("alice", "group_mute", mute)["seq"].as_u64().unwrap();
        for (kind, payload) in sayings(&group, seq) {
            let expect = if all && kind == "pin" { "not_allowed" } else { "muted" };
            assert_eq!(room.ask("bob", kind, payload.clone()), reason(expect), "{kind} {payload}");
        }
        let recall = json!({"conversation": group, "seq": seq});
        assert_eq!(room.ask("bob", "recall", recall)["seq"], head + 1);
    }
}

#[test]
fn who_is_blocked_does_nothing_to_messages_but_take_them_back() {
    let mut room = Room::new();
    for user in ["alice", "bob"] {
        let peer = if user == "alice" { "user:bob" } else { "user:alice" };
        let seq = room.say(user, peer, "m")["seq"].as_u64().unwrap();
        room.ask(user, "react", on(seq, json!({"emoji": "👍"})));
    }
    room.ask("bob", "friend_block", json!({"user": "alice"}));
    for (user, seq, expect) in [("alice", 1, "refused"), ("bob", 3, "blocked")] {
        for (kind, payload) in sayings(DIRECT, seq) {
            assert_eq!(room.ask(user, kind, payload.clone()), reason(expect), "{kind} {payload}");
        }
    }
    assert_eq!(room.ask("alice", "recall", on(1, json!({})))["seq"], 5);
    assert_eq!(room.ask("bob", "recall", on(3, json!({})))["seq"], 6);
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
fn an_edit_is_of_the_kind_that_the_message_has() {
    let mut room = Room::new();
    let table = [
        ("text", json!("hi"), json!({"text": "ho"}), Some(json!(""))),
        ("image", json!({"url": "/a.png"}), json!({"url": "b.png"}), Some(json!("b.png"))),
        (
            "location",
            json!({"latitude": 1, "longitude": 2}),
            json!({"latitude": 3, "longitude": 4}),
            Some(json!({"latitude": 3})),
        ),
        ("card", json!({"title": "a"}), json!({"title": "b"}), Some(json!({"text": "b"}))),
        ("custom:any", json!({"text": ""}), json!(null), None),
    ];
    for (n, (kind, content, good, bad)) in table.into_iter().enumerate() {
        let payload = json!({"to": "user:bob", "kind": kind, "content": content,
            "client_id": format!("m-{n}")});
        let seq = room.ask("alice", "send", payload)["seq"].as_u64().unwrap();
        let mut edit =
            |content: &Value| room.ask("alice", "edit", on(seq, json!({"content": content})));
        if let Some(bad) = bad {
            assert_eq!(edit(&bad), reason("bad_content"), "{kind} {bad}");
        }
        assert_eq!(edit(&good)["seq"], seq + 1, "{kind} {good}: the refusal wrote nothing");
    }
}

#[test]
fn an_edit_is_as_long_as_the_kind_of_its_message_may_be() {
    type Made = fn(&str) -> Value;
    let content_bytes = ContentBytes { text: 10, media: 40, card: 60, custom: 80 };
    let mut room = Room::with(ChatConfig { content_bytes, ..ChatConfig::default() });
    let table: [(&str, Made, usize); 4] = [
        ("text", |x| json!(x), 10),
        ("image", |x| json!({ "url": x }), 40),
        ("card", |x| json!({ "title": x }), 60),
        ("custom:any", |x| json!([x]), 80),
    ];
    for (kind, content, most) in table {
        let payload = json!({"to": "user:bob", "kind": kind, "content": content("a"),
            "client_id": kind});
        let seq = room.ask("alice", "send", payload)["seq"].as_u64().unwrap();
        let mut edit = |length: usize| {
            let rest = length - content("").to_string().len();
            let content = content(&"x".repeat(rest));
            room.ask("alice", "edit", on(seq, json!({ "content": content })))
        };
        assert_eq!(edit(most + 1), reason("too_big"), "{kind}");
        assert_eq!(edit(most)["seq"], seq + 1, "{kind}");
    }
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

#[test]
fn answers_mentions_and_origins_come_along() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob", "carol"], "open");
    room.say("alice", &group, "first");
    let send = |room: &mut Room, user: &str, more: Value| {
        let mut payload = json!({"to": group, "client_id": format!("{user}-{}", room.now.0)});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        room.now = room.now.plus_ms(1);
        room.ask(user, "send", payload)
    };
    let answer = json!({"content": "yes", "reply_to": 2, "mentions": ["alice", "bob", "alice"]});
    assert_eq!(send(&mut room, "carol", answer)["seq"], 3);
    let found = entry(&pull(&mut room, "bob", &group), 3);
    assert_eq!((&found["reply_to"], &found["mentions"]), (&json!(2), &json!(["alice", "bob"])));
    for (user, more, expect) in [
        ("bob", json!({"content": "x", "mention_all": true}), "not_allowed"),
        ("bob", json!({"content": "x", "reply_to": 99}), "not_found"),
        ("bob", json!({"content": "x", "reply_to": 1}), "not_found"),
        ("bob", json!({"forward": {"conversation": "direct:alice:carol", "seq": 1}}), "not_found"),
    ] {
        assert_eq!(send(&mut room, user, more.clone()), reason(expect), "{more}");
    }
    send(&mut room, "alice", json!({"content": "all", "mention_all": true, "receipt": true}));
    let list = room.ask("bob", "conversations", json!({}));
    let summary = &list["conversations"][0];
    assert_eq!((&summary["unread"], &summary["mentions"]), (&json!(3), &json!(2)));
    assert_eq!((&summary["mention_seq"], &summary["last"]["receipt"]), (&json!(3), &json!(true)));
    let list = room.ask("alice", "conversations", json!({}));
    let summary = &list["conversations"][0];
    assert_eq!((&summary["mentions"], &summary["mention_seq"]), (&json!(1), &json!(3)));

    // What is forwarded says what it says now, and keeps its first origin.
    room.ask("alice", "edit", json!({"conversation": group, "seq": 2, "content": "better"}));
    let forward = |to: &str, conversation: &str, seq: u64, id: &str| json!({"to": to, "client_id": id, "forward": {"conversation": conversation, "seq": seq}});
    let ack = room.ask("bob", "send", forward("user:dave", &group, 2, "f-1"));
    assert_eq!(ack["seq"], 1);
    let ack = room.ask("dave", "send", forward("user:erin", "direct:bob:dave", 1, "f-2"));
    assert_eq!(ack["conversation"], "direct:dave:erin");
    let found = entry(&pull(&mut room, "erin", "direct:dave:erin"), 1);
    assert_eq!((&found["content"], &found["from"]), (&json!("better"), &json!("dave")));
    assert_eq!(found["forwarded"]["from"], "alice");
    // Its source may be gone when the command comes again, but it is the same command.
    room.ask("alice", "delete", json!({"conversation": group, "seq": 2, "for": "all"}));
    let again = room.ask("bob", "send", forward("user:dave", &group, 2, "f-1"));
    assert_eq!((&again["seq"], &again["duplicate"]), (&json!(1), &json!(true)));
    assert_eq!(room.ask("bob", "send", forward("user:dave", &group, 2, "f-3")), reason("removed"));
    assert_eq!(room.ask("bob", "send", forward("user:dave", &group, 3, "f-1")), reason("conflict"));
}

#[test]
fn what_comes_along_is_part_of_the_command() {
    let mut room = Room::new();
    room.say("alice", "user:bob", "m-0");
    let base = json!({"to": "user:bob", "content": "x", "client_id": "m-1"});
    let with = |more: Value| {
        let mut payload = base.clone();
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        payload
    };
    room.ask("alice", "send", base.clone());
    for more in [
        json!({"reply_to": 1}),
        json!({"mentions": ["bob"]}),
        json!({"expires_in_ms": 5}),
        json!({"receipt": true}),
    ] {
        assert_eq!(room.ask("alice", "send", with(more.clone())), reason("conflict"), "{more}");
    }
    let again = room.ask("alice", "send", with(json!({"mention_all": false, "mentions": []})));
    assert_eq!(again["duplicate"], true);
}

#[test]
fn what_expires_is_shown_no_more_and_then_removed() {
    let config = ChatConfig { expired_max: 1, ..ChatConfig::default() };
    let mut room = Room::with(config);
    for n in 1..=2 {
        let payload = json!({
            "to": "user:bob", "content": format!("brief {n}"), "client_id": format!("b-{n}"),
            "expires_in_ms": 1_000,
        });
        assert_eq!(room.ask("alice", "send", payload)["seq"], n);
    }
    room.say("alice", "user:bob", "lasting");
    let end = entry(&pull(&mut room, "bob", DIRECT), 1)["expires_at"].clone();
    assert_eq!(end, json!(room.now.0 + 1_000));
    assert_eq!(room.scribe.next_deadline(), Some(room.now.plus_ms(1_000)));
    room.now = room.now.plus_ms(1_000);
    // Not removed yet, and shown to nobody all the same.
    for swept in 0..3 {
        if swept > 0 {
            room.wait(0);
        }
        assert_eq!(items(&pull(&mut room, "bob", DIRECT)), ["void 1-2", "3"]);
        assert_eq!(items(&history(&mut room, "bob", DIRECT)), ["3"]);
        let list = room.ask("bob", "conversations", json!({}));
        assert_eq!(list["conversations"][0]["unread"], 1);
        assert_eq!(room.ask("alice", "react", on(1, json!({"emoji": "x"}))), reason("not_found"));
        let forward = json!({
            "to": "user:carol", "client_id": "f", "forward": {"conversation": DIRECT, "seq": 1},
        });
        assert_eq!(room.ask("bob", "send", forward), reason("not_found"));
    }
    assert_eq!(room.scribe.next_deadline(), None, "one was removed in each step");
    let again = json!({
        "to": "user:bob", "content": "brief 1", "client_id": "b-1", "expires_in_ms": 1_000,
    });
    assert_eq!(room.ask("alice", "send", again)["duplicate"], true);
}

#[test]
fn what_was_done_to_an_expiring_message_expires_with_it() {
    let config = ChatConfig { expired_max: 1, ..ChatConfig::default() };
    let mut room = Room::with(config);
    let brief = json!({
        "to": "user:bob", "content": "brief", "client_id": "b-1", "expires_in_ms": 1_000,
    });
    room.ask("alice", "send", brief);
    room.say("alice", "user:bob", "lasting");
    let first = room.ask("bob", "sync", json!({}));
    room.ask("alice", "edit", on(1, json!({"content": "secret"})));
    room.ask("bob", "react", on(1, json!({"emoji": "👍"})));
    room.ask("alice", "pin", on(1, json!({})));
    room.ask("alice", "react", on(2, json!({"emoji": "👍"})));
    assert_eq!(entry(&pull(&mut room, "bob", DIRECT), 3)["content"], "secret");
    room.now = room.now.plus_ms(1_000);
    // Not removed yet, and shown to nobody all the same.
    for swept in 0..5 {
        if swept > 0 {
            room.wait(0);
        }
        let raw = pull(&mut room, "bob", DIRECT);
        assert_eq!(items(&raw), ["void 1-1", "2", "void 3-5", "6"], "{swept}");
        let cursors = json!({"cursors": {DIRECT: 2}, "rev": first["rev"]});
        let synced = room.ask("bob", "sync", cursors);
        assert_eq!(items(&synced["conversations"][0]), ["void 3-5", "6"], "{swept}");
        assert!(!format!("{raw}{synced}").contains("secret"));
    }
    assert_eq!(room.scribe.next_deadline(), None, "one was removed in each step");
}

#[test]
fn a_forwarded_copy_does_not_outlast_its_source_nor_the_time_it_is_given() {
    let check = |source_ms: Option<u64>, own_ms: Option<u64>, expect_ms: Option<u64>| {
        let mut room = Room::new();
        let with = |mut payload: Value, expires_in_ms: Option<u64>| {
            if let Some(ms) = expires_in_ms {
                payload["expires_in_ms"] = json!(ms);
            }
            payload
        };
        let said = json!({"to": "user:bob", "content": "x", "client_id": "m-1"});
        room.ask("alice", "send", with(said, source_ms));
        let end = expect_ms.map(|ms| json!(room.now.0.saturating_add(ms).min(i64::MAX as u64)));
        room.now = room.now.plus_ms(100);
        let source = json!({"conversation": DIRECT, "seq": 1});
        let copy = json!({"to": "user:carol", "client_id": "f-1", "forward": source});
        room.ask("bob", "send", with(copy, own_ms));
        let found = entry(&pull(&mut room, "carol", "direct:bob:carol"), 1);
        assert_eq!(found.get("expires_at"), end.as_ref(), "{source_ms:?} {own_ms:?}");
    };
    check(None, None, None);
    check(Some(1_000), None, Some(1_000));
    check(Some(1_000), Some(500), Some(600));
    check(Some(1_000), Some(2_000), Some(1_000));
    check(None, Some(500), Some(600));
    // What is beyond all time is never.
    check(None, Some(u64::MAX), None);
    check(Some(u64::MAX), Some(u64::MAX - 1), None);
}

#[test]
fn what_was_taken_back_before_it_expired_stays_taken_back() {
    let mut room = Room::new();
    let brief = json!({
        "to": "user:bob", "content": "brief", "client_id": "b-1", "expires_in_ms": 1_000,
    });
    room.ask("alice", "send", brief);
    room.ask("alice", "recall", on(1, json!({})));
    room.wait(1_000);
    let raw = pull(&mut room, "bob", DIRECT);
    assert_eq!(items(&raw), ["1", "2"]);
    assert_eq!(entry(&raw, 1)["removed"], "recalled");
}

#[test]
fn what_one_hides_is_gone_for_oneself_alone() {
    let config = ChatConfig { hidden_max: 2, ..ChatConfig::default() };
    let mut room = Room::with(config);
    room.chatter("alice", "user:bob", 6);
    let first = room.ask("bob", "sync", json!({}));
    room.take_events();
    let hide = |room: &mut Room, seq: u64| room.ask("bob", "delete", on(seq, json!({})));
    assert_eq!(hide(&mut room, 3), json!({}));
    assert_eq!(room.take_events().len(), 1, "the other devices are told");
    assert_eq!(hide(&mut room, 3), json!({}));
    assert!(room.take_events().is_empty(), "once");
    assert_eq!(hide(&mut room, 5), json!({}));
    assert_eq!(hide(&mut room, 6), reason("too_many_hidden"));
    assert_eq!(hide(&mut room, 7), reason("not_found"));
    room.ask("alice", "edit", on(3, json!({"content": "unseen"})));
    assert_eq!(
        items(&pull(&mut room, "bob", DIRECT)),
        ["1", "2", "void 3-3", "4", "void 5-5", "6", "void 7-7"]
    );
    let rest = json!({"conversation": DIRECT, "from": 6, "to": 7});
    let rest = items(&room.ask("bob", "pull", rest));
    assert_eq!(rest, ["6", "void 7-7"], "what was done to it is hidden wherever a page begins");
    assert_eq!(items(&history(&mut room, "bob", DIRECT)), ["1", "2", "4", "6"]);
    assert_eq!(items(&pull(&mut room, "alice", DIRECT)).len(), 7);
    let synced = room.ask("bob", "sync", json!({"cursors": {DIRECT: 6}, "rev": first["rev"]}));
    let conversation = &synced["conversations"][0];
    assert_eq!((&conversation["hidden"], &conversation["unread"]), (&json!([3, 5]), &json!(4)));

    assert_eq!(room.ask("bob", "clear", on(4, json!({}))), json!({"through": 4}));
    let again = room.ask("bob", "clear", on(2, json!({})));
    assert_eq!(again, json!({"through": 4}), "it does not come back");
    let synced = room.ask("bob", "sync", json!({"cursors": {DIRECT: 7}, "rev": synced["rev"]}));
    let conversation = &synced["conversations"][0];
    assert_eq!((&conversation["cleared_seq"], &conversation["unread"]), (&json!(4), &json!(1)));
    assert_eq!((&conversation["first_seq"], conversation.get("reset")), (&json!(5), None));
    assert_eq!(items(&history(&mut room, "bob", DIRECT)), ["6"]);
    assert_eq!(hide(&mut room, 6), json!({}), "what was cleared is not counted");
    assert_eq!(room.ask("bob", "react", on(4, json!({"emoji": "x"}))), reason("not_found"));
    assert_eq!(items(&history(&mut room, "alice", DIRECT)).len(), 6);
    assert_eq!(room.ask("carol", "clear", on(4, json!({}))), reason("not_a_member"));
}

#[test]
fn admins_delete_for_all_what_their_role_reaches() {
    let mut room = Room::new();
    let group = room.group("olga", &["adam", "anna", "mary"], "open");
    let id = group.strip_prefix("group:").unwrap().to_owned();
    for admin in ["adam", "anna"] {
        room.ask("olga", "group_role", json!({"group": id, "user": admin, "role": "admin"}));
    }
    let delete = |room: &mut Room, user: &str, author: &str| {
        let said = room.say(author, &group, &format!("{user}-{author}"));
        let payload = json!({"conversation": group, "seq": said["seq"], "for": "all"});
        let reply = room.ask(user, "delete", payload);
        reply.get("reason").map_or_else(|| "done".to_owned(), |r| r.as_str().unwrap().to_owned())
    };
    let mut matrix = Vec::new();
    for user in ["olga", "adam", "mary"] {
        let row: Vec<_> = ["olga", "adam", "anna", "mary"]
            .iter()
            .map(|author| format!("{author} {}", delete(&mut room, user, author)))
            .collect();
        matrix.push(format!("{user}: {}", row.join(", ")));
    }
    assert_eq!(
        matrix,
        [
            "olga: olga done, adam done, anna done, mary done",
            "adam: olga not_allowed, adam done, anna not_allowed, mary done",
            "mary: olga not_allowed, adam not_allowed, anna not_allowed, mary not_allowed",
        ]
    );
    room.say("mary", &group, "left-behind");
    let head = room.ask("mary", "group_leave", json!({"group": id}))["seq"].as_u64().unwrap();
    let payload = json!({"conversation": group, "seq": head - 1, "for": "all"});
    assert_eq!(room.ask("adam", "delete", payload)["seq"], head + 1);
    let gone = entry(&history(&mut room, "olga", &group), head - 1);
    assert_eq!((&gone["removed"], &gone["content"]), (&json!("deleted"), &json!(null)));
    room.say("alice", "user:bob", "m-1");
    let direct = on(1, json!({"for": "all"}));
    assert_eq!(room.ask("alice", "delete", direct), reason("not_allowed"));
}

#[test]
fn pins_are_for_admins_and_bounded() {
    let config = ChatConfig { pins_max: 2, ..ChatConfig::default() };
    let mut room = Room::with(config);
    let group = room.group("alice", &["bob"], "open");
    let id = group.strip_prefix("group:").unwrap().to_owned();
    for n in 0..3 {
        room.say("bob", &group, &format!("m-{n}"));
    }
    let pin = |room: &mut Room, user: &str, seq: u64, active: bool| {
        room.ask(user, "pin", json!({"conversation": group, "seq": seq, "active": active}))
    };
    assert_eq!(pin(&mut room, "bob", 2, true), reason("not_allowed"));
    assert_eq!(pin(&mut room, "alice", 3, true)["seq"], 5);
    assert_eq!(pin(&mut room, "alice", 3, true), json!({}));
    assert_eq!(pin(&mut room, "alice", 2, true)["seq"], 6);
    assert_eq!(pin(&mut room, "alice", 4, true), reason("too_many_pins"));
    assert_eq!(pin(&mut room, "alice", 1, true), reason("not_found"));
    let pinned = |room: &mut Room, user: &str| -> Vec<u64> {
        let page = room.ask(user, "pins", json!({"conversation": group}));
        page["pins"].as_array().unwrap().iter().map(|pin| pin["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!(pinned(&mut room, "bob"), [3, 2]);
    assert_eq!(entry(&history(&mut room, "bob", &group), 3)["pinned"], true);
    room.ask("carol", "group_join", json!({"group": id}));
    assert_eq!(pinned(&mut room, "carol"), [0; 0], "what was pinned before, of what lies before");
    room.ask("alice", "delete", json!({"conversation": group, "seq": 3, "for": "all"}));
    assert_eq!(pinned(&mut room, "bob"), [2]);
    assert_eq!(pin(&mut room, "alice", 2, false)["duplicate"], false);
    assert_eq!(pinned(&mut room, "bob"), [0; 0]);
    room.say("alice", "user:bob", "direct");
    assert_eq!(room.ask("bob", "pin", on(1, json!({})))["seq"], 2);
}

#[test]
fn history_around_an_entry_goes_both_ways() {
    let mut room = Room::new();
    room.chatter("alice", "user:bob", 20);
    let check = |room: &mut Room, around: u64, limit: u64, expect: (u64, u64), more: bool| {
        let payload = json!({"conversation": DIRECT, "around": around, "limit": limit});
        let page = room.ask("bob", "history", payload);
        let seqs: Vec<String> = (expect.0..=expect.1).map(|seq| seq.to_string()).collect();
        assert_eq!((items(&page), &page["more"]), (seqs, &json!(more)), "{around}");
        assert_eq!((&page["from_seq"], &page["through_seq"]), (&json!(expect.0), &json!(expect.1)));
    };
    check(&mut room, 10, 5, (8, 12), true);
    check(&mut room, 10, 6, (8, 13), true);
    check(&mut room, 1, 4, (1, 4), true);
    check(&mut room, 20, 4, (19, 20), true);
    check(&mut room, 10, 100, (1, 20), false);
}

#[test]
fn what_was_done_to_a_message_is_not_hidden_without_it() {
    let mut room = Room::new();
    room.say("alice", "user:bob", "c1");
    room.ask("alice", "react", on(1, json!({"emoji": "x"})));
    assert_eq!(room.ask("bob", "delete", on(2, json!({}))), reason("not_found"));
    assert_eq!(items(&pull(&mut room, "bob", DIRECT)), ["1", "2"]);
}
