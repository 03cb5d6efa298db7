//! Profiles and privacy.

use std::sync::Arc;

use hubbub_chat::ChatConfig;
use hubbub_chat::model::Rev;
use hubbub_proto::route::{Rare, Work};
use hubbub_proto::{Request, Timestamp, UserId};
use serde_json::{Value, json};

use crate::room::{Room, life, on_device, reason, request};

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

const ISSUED: Timestamp = Timestamp(999_999_000_000);

fn open(room: &mut Room, device: &str, issued: Timestamp) -> Vec<String> {
    room.batch(vec![on_device(life("alice", Work::Opened), device, issued)]);
    room.take_events()
}

fn ask_on(room: &mut Room, device: &str, issued: Timestamp, kind: &str, payload: &Value) -> Value {
    room.batch(vec![on_device(request("alice", kind, payload), device, issued)]).remove(0)
}

fn ids(list: &Value) -> Vec<&str> {
    list["devices"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
}

#[test]
fn devices_are_listed_and_signed_out() {
    let mut room = Room::new();
    for device in ["laptop", "phone"] {
        assert_eq!(open(&mut room, device, ISSUED), [""; 0], "{device}");
        room.wait(500);
    }
    let list = ask_on(&mut room, "laptop", ISSUED, "devices", &json!({}));
    assert_eq!(ids(&list), ["phone", "laptop"]);
    let laptop = &list["devices"][1];
    assert_eq!((&laptop["current"], &laptop["kind"]), (&json!(true), &json!("web")));
    let out = json!({ "device": "phone" });
    assert_eq!(ask_on(&mut room, "laptop", ISSUED, "device_sign_out", &out), json!({}));
    assert_eq!(room.take_events(), ["sign out alice phone"]);
    let none = json!({ "device": "fridge" });
    let refused = ask_on(&mut room, "laptop", ISSUED, "device_sign_out", &none);
    assert_eq!(refused, reason("not_found"));
    // Nothing of it is carried out any more, of whatever sort.
    for (kind, payload) in [
        ("send", json!({ "to": "user:bob", "content": "x", "client_id": "m1" })),
        ("history", json!({ "conversation": "direct:alice:bob" })),
        ("sync", json!({})),
        ("presence_get", json!({ "users": ["bob"] })),
        ("presence_set", json!({ "status": "busy" })),
    ] {
        let answer = ask_on(&mut room, "phone", ISSUED, kind, &payload);
        assert_eq!(answer, reason("signed_out"), "{kind}");
        assert_eq!(room.take_events(), [""; 0], "{kind}");
    }
    assert!(open(&mut room, "phone", ISSUED)[0].starts_with("close "));
    let newer = room.now.plus_ms(1_000);
    assert_eq!(open(&mut room, "phone", newer), [""; 0], "with a newer token");
    assert_eq!(open(&mut room, "laptop", ISSUED), [""; 0]);
}

#[test]
fn a_sign_out_that_is_refused_writes_nothing() {
    let config = ChatConfig { devices_max: 2, sign_out_window_ms: 10_000, ..Default::default() };
    let mut room = Room::with(config);
    let none = json!({ "device": "fridge" });
    let refused = ask_on(&mut room, "laptop", ISSUED, "device_sign_out", &none);
    assert_eq!(refused, reason("not_found"));
    assert_eq!(room.reader.rev().unwrap(), Rev(0));
    assert!(room.reader.user(&UserId::new("alice").unwrap()).unwrap().is_none(), "not made known");
    // One whose time is over is kept as it is by a refusal, and counts as any other.
    for device in ["a", "b"] {
        open(&mut room, device, ISSUED);
        room.wait(500);
    }
    ask_on(&mut room, "a", ISSUED, "device_sign_out", &json!({ "device": "b" }));
    room.wait(10_000);
    open(&mut room, "c", ISSUED);
    open(&mut room, "d", ISSUED);
    let alice = room.reader.user(&UserId::new("alice").unwrap()).unwrap().unwrap().key;
    let before = room.reader.devices(alice).unwrap();
    let others = json!({ "others": true });
    let refused = ask_on(&mut room, "d", ISSUED, "device_sign_out", &others);
    assert_eq!(refused, reason("too_many_devices"));
    assert_eq!(room.reader.devices(alice).unwrap(), before);
}

#[test]
fn what_follows_a_sign_out_in_its_batch_is_refused_too() {
    let mut room = Room::new();
    open(&mut room, "phone", ISSUED);
    let send = |id: &str| json!({ "to": "user:bob", "content": "x", "client_id": id });
    let on = |device: &str, kind: &str, payload: &Value| {
        on_device(request("alice", kind, payload), device, ISSUED)
    };
    let replies = room.batch(vec![
        on("phone", "send", &send("m1")),
        on("laptop", "device_sign_out", &json!({ "others": true })),
        on("phone", "send", &send("m2")),
        on("laptop", "send", &send("m3")),
    ]);
    let seqs: Vec<_> = replies.iter().map(|reply| reply["seq"].as_u64()).collect();
    assert_eq!(seqs, [Some(1), None, None, Some(2)]);
    assert_eq!((&replies[1], &replies[2]), (&json!({}), &reason("signed_out")));
}

#[test]
fn devices_are_bounded() {
    let mut room = Room::with(ChatConfig { devices_max: 3, ..ChatConfig::default() });
    for n in 0..5 {
        open(&mut room, &format!("d{n}"), ISSUED);
        room.wait(500);
    }
    let list = ask_on(&mut room, "d4", ISSUED, "devices", &json!({}));
    assert_eq!(ids(&list), ["d4", "d3", "d2"]);
    let others = json!({ "others": true });
    ask_on(&mut room, "d4", ISSUED, "device_sign_out", &others);
    open(&mut room, "e0", ISSUED);
    room.wait(500);
    assert_eq!(ask_on(&mut room, "d4", ISSUED, "device_sign_out", &others), json!({}));
    open(&mut room, "e1", ISSUED);
    room.wait(500);
    let refused = ask_on(&mut room, "d4", ISSUED, "device_sign_out", &others);
    assert_eq!(refused, reason("too_many_devices"));
}

fn opened(user: &str, name: Option<&str>, picture: Option<&str>) -> Request {
    let mut request = life(user, Work::Opened);
    let identity = Arc::make_mut(&mut request.identity);
    identity.name = name.map(Into::into);
    identity.rare = Rare { picture: picture.map(Into::into), ..Rare::default() }.boxed();
    request
}

#[test]
fn name_and_picture_are_those_of_the_token_that_came_last() {
    let mut room = Room::new();
    let shown = |room: &mut Room| {
        let page = room.ask("bob", "users", json!({ "users": ["alice"] }));
        let user = &page["users"][0];
        [&user["name"], &user["avatar"]].map(|value| value.as_str().map(str::to_owned))
    };
    let is = |name: Option<&str>, avatar: Option<&str>| [name, avatar].map(|v| v.map(Into::into));
    room.batch(vec![opened("alice", Some("Alice"), Some("/a.png"))]);
    room.wait(500);
    assert_eq!(shown(&mut room), is(Some("Alice"), Some("/a.png")));
    assert_eq!(room.take_events(), [""; 0], "nobody knew another");
    for (name, picture, expect) in [
        (Some("Alice"), Some("/a.png"), None),
        (None, None, None),
        (Some("Alice"), Some("/b.png"), Some(is(Some("Alice"), Some("/b.png")))),
        (Some("Al"), None, Some(is(Some("Al"), Some("/b.png")))),
    ] {
        let before = shown(&mut room);
        let (rev, commits) = (room.reader.rev().unwrap(), room.scribe.stats().snapshot().commits);
        room.batch(vec![opened("alice", name, picture)]);
        assert_eq!(room.scribe.stats().snapshot().commits, commits, "not at once");
        room.wait(500);
        let events = room.take_events();
        let written = room.reader.rev().unwrap() > rev;
        assert_eq!((written, events.len()), (expect.is_some(), usize::from(expect.is_some())));
        assert!(events.iter().all(|event| event.ends_with("-> @alice")), "{events:?}");
        assert_eq!(shown(&mut room), expect.unwrap_or(before));
    }
    room.ask("alice", "profile_update", json!({ "avatar": "/own.png" }));
    room.batch(vec![opened("alice", None, Some("/c.png"))]);
    room.wait(500);
    assert_eq!(shown(&mut room)[1].as_deref(), Some("/own.png"), "the user's own goes before");
    room.ask("alice", "profile_update", json!({ "avatar": null }));
    assert_eq!(shown(&mut room)[1].as_deref(), Some("/c.png"));
}

#[test]
fn a_crowd_with_new_pictures_costs_few_transactions() {
    let mut room = Room::new();
    let crowd = |version: &str| -> Vec<Request> {
        let picture = format!("/{version}.png");
        (0..1_000).map(|n| opened(&format!("u{n}"), Some("U"), Some(&picture))).collect()
    };
    for (version, told) in [("a", 0), ("b", 1_000), ("b", 0)] {
        let before = room.scribe.stats().snapshot();
        let rev = room.reader.rev().unwrap();
        room.batch(crowd(version));
        for _ in 0..20 {
            room.wait(100);
        }
        let commits = room.scribe.stats().snapshot().commits - before.commits;
        assert_eq!(room.take_events().len(), told, "{version}");
        assert!(commits <= 8, "{commits}");
        assert_eq!(room.reader.rev().unwrap() > rev, told > 0 || version == "a");
    }
}
