//! Profiles and privacy.

use hubbub_chat::ChatConfig;
use serde_json::json;

use crate::room::{Room, reason};

#[test]
fn a_profile_is_changed_field_by_field_and_seen_by_others() {
    let mut room = Room::new();
    let me = room.ask("alice", "me", json!({}));
    assert_eq!(me["user"], json!({ "id": "alice", "name": "ALICE" }));
    assert_eq!((&me["rev"], &me["privacy"]["messages"]), (&json!(0), &json!("everyone")));
    let update = json!({ "avatar": "/a.png", "about": "Here.", "data": { "team": "blue" } });
    let changed = room.ask("alice", "profile_update", update.clone());
    let shown = json!({
        "id": "alice", "name": "ALICE", "avatar": "/a.png", "about": "Here.",
        "data": { "team": "blue" }
    });
    assert_eq!(changed["user"], shown);
    let events = room.take_events();
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0].starts_with("UserUpdated") && events[0].ends_with("-> @alice"), "{events:?}");
    assert_eq!(room.ask("alice", "profile_update", update)["rev"], changed["rev"], "nothing new");
    assert_eq!(room.take_events(), [""; 0]);
    let cleared = room.ask("alice", "profile_update", json!({ "avatar": null, "about": "Away." }));
    assert_eq!(
        cleared["user"],
        json!({ "id": "alice", "name": "ALICE", "about": "Away.", "data": { "team": "blue" } })
    );
    let seen = room.ask("bob", "users", json!({ "users": ["nobody", "alice"] }));
    assert_eq!(seen, json!({ "users": [cleared["user"]] }));
}

#[test]
fn privacy_is_changed_setting_by_setting() {
    let mut room = Room::new();
    let first = room.ask("alice", "privacy_update", json!({ "messages": "friends" }));
    room.ask("alice", "privacy_update", json!({ "receipts": false, "presence": "nobody" }));
    let me = room.ask("alice", "me", json!({}));
    assert_eq!(
        me["privacy"],
        json!({
            "presence": "nobody", "last_seen": "everyone", "messages": "friends",
            "invites": "everyone", "receipts": false
        })
    );
    assert!(me["rev"].as_u64() > first["rev"].as_u64());
    room.take_events();
    room.ask("alice", "privacy_update", json!({ "messages": "friends" }));
    assert_eq!(room.take_events(), [""; 0], "nothing new");
}

#[test]
fn a_profile_is_bounded() {
    let config = ChatConfig { profile_data_bytes_max: 8, ..ChatConfig::default() };
    let mut room = Room::with(config);
    let update = |data: &str| json!({ "data": data });
    assert_eq!(room.ask("alice", "profile_update", update("1234567")), reason("too_big"));
    assert_eq!(room.ask("alice", "profile_update", update("123456"))["user"]["data"], "123456");
}

#[test]
fn a_long_answer_is_cut() {
    let config = ChatConfig { sync_bytes_max: 1_024, ..ChatConfig::default() };
    let mut room = Room::with(config);
    let names = ["u1", "u2", "u3"];
    for name in names {
        room.ask(name, "profile_update", json!({ "data": "x".repeat(600) }));
    }
    let page = room.ask("bob", "users", json!({ "users": names }));
    assert_eq!((page["users"].as_array().unwrap().len(), &page["more"]), (2, &json!(true)));
}

#[test]
fn receipts_that_are_switched_off_are_seen_by_nobody() {
    let mut room = Room::new();
    room.say("alice", "user:bob", "m1");
    let group = room.group("alice", &["bob"], "open");
    room.say("alice", &group, "m2");
    room.ask("bob", "privacy_update", json!({ "receipts": false }));
    room.take_events();
    for (conversation, seq) in [("direct:alice:bob", 1), (&*group, 2)] {
        room.ask("bob", "read", json!({ "conversation": conversation, "seq": seq }));
        let told = room.take_events();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].ends_with("-> @bob"), "only to bob's own devices: {told:?}");
    }
    let list = room.ask("alice", "conversations", json!({}));
    let direct = list["conversations"].as_array().unwrap().iter().find(|c| c["kind"] == "direct");
    assert_eq!(direct.unwrap().get("peer_cursors"), None);
    room.ask("bob", "privacy_update", json!({ "receipts": true }));
    let list = room.ask("alice", "conversations", json!({}));
    let direct = list["conversations"].as_array().unwrap().iter().find(|c| c["kind"] == "direct");
    assert_eq!(direct.unwrap()["peer_cursors"]["read_seq"], 1);
}
