//! Presence and typing, end to end: who sees whom, and what stays.

use serde_json::{Value, json};

use crate::node::Node;
use crate::talk::Talk;

/// Little grace and short intervals, so that what waits for them comes soon.
const SOON: &[(&str, &str)] =
    &[("CHAT_PRESENCE_GRACE_MS", "100"), ("CHAT_PRESENCE_INTERVAL_MS", "50")];
/// Nobody leaves as long as the test runs.
const SLOW: &[(&str, &str)] =
    &[("CHAT_PRESENCE_GRACE_MS", "3600000"), ("CHAT_PRESENCE_INTERVAL_MS", "50")];

/// `user status` of each, in the order of the users.
fn statuses(page: &Value) -> Vec<String> {
    let presences = page["presences"].as_array().unwrap();
    let status = |one: &Value| {
        let (user, status) = (one["user"].as_str().unwrap(), one["status"].as_str().unwrap());
        assert!(one["last_seen"].is_null() || status == "offline", "{one}");
        format!("{user} {status}")
    };
    let mut all: Vec<String> = presences.iter().map(status).collect();
    all.sort();
    all
}

fn watch(talk: &mut Talk, users: &[&str]) -> Vec<String> {
    statuses(&talk.ok("presence_get", json!({ "users": users, "watch": true })))
}

fn ask(talk: &mut Talk, user: &str) -> Value {
    talk.ok("presence_get", json!({ "users": [user] }))["presences"][0].clone()
}

/// Waits until the events have said this of a user; what else came with it.
#[track_caller]
fn until(talk: &mut Talk, user: &str, status: &str) -> Value {
    loop {
        let event = talk.event("online_status");
        let presences = event["presences"].as_array().unwrap();
        assert!(!presences.is_empty(), "{event}");
        if let Some(found) = presences.iter().find(|one| one["user"] == user)
            && found["status"] == status
        {
            return found.clone();
        }
    }
}

fn set(talk: &mut Talk, status: &str) {
    assert_eq!(talk.ok("presence_set", json!({ "status": status })), json!({}));
}

#[test]
fn coming_going_and_what_is_shown_reach_those_who_watch() {
    let node = Node::start(SOON);
    let mut alice = Talk::open(&node, "alice");
    assert_eq!(watch(&mut alice, &["bob", "nobody"]), ["bob offline", "nobody offline"]);
    assert_eq!(ask(&mut alice, "bob"), json!({ "user": "bob", "status": "offline" }));
    let mut phone = Talk::open(&node, "bob");
    let online = until(&mut alice, "bob", "online");
    assert_eq!(online["last_seen"], Value::Null);
    // Away is of one connection, and a user is away when all are.
    let mut laptop = Talk::open(&node, "bob");
    set(&mut phone, "away");
    assert_eq!(ask(&mut alice, "bob")["status"], "online");
    set(&mut laptop, "away");
    until(&mut alice, "bob", "away");
    set(&mut phone, "busy");
    until(&mut alice, "bob", "busy");
    set(&mut laptop, "online");
    until(&mut alice, "bob", "online");
    drop(phone);
    drop(laptop);
    let gone = until(&mut alice, "bob", "offline");
    let seen = gone["last_seen"].as_u64().unwrap();
    assert!(seen > 1_700_000_000_000, "{gone}");
    assert_eq!(ask(&mut alice, "bob")["last_seen"], seen, "as it was told");
    // What is watched is replaced.
    assert_eq!(watch(&mut alice, &["carol"]), ["carol offline"]);
    let _bob = Talk::open(&node, "bob");
    let _carol = Talk::open(&node, "carol");
    let event = alice.event("online_status");
    assert_eq!(statuses(&event), ["carol online"]);
    node.stop();
}

#[test]
fn a_reconnect_is_not_told() {
    let node = Node::start(SLOW);
    let mut alice = Talk::open(&node, "alice");
    watch(&mut alice, &["bob", "carol"]);
    let bob = Talk::open(&node, "bob");
    until(&mut alice, "bob", "online");
    drop(bob);
    let mut bob = Talk::open(&node, "bob");
    // The server has heard of this connection, and so of the end of the other.
    assert_eq!(ask(&mut bob, "bob")["status"], "online");
    let _carol = Talk::open(&node, "carol");
    until(&mut alice, "carol", "online");
    let told: Vec<Value> = alice.kept();
    assert!(told.iter().all(|frame| frame["type"] != "online_status"), "{told:?}");
}

#[test]
fn invisible_looks_like_offline_and_is_kept_over_a_restart() {
    let node = Node::start(SOON);
    let [mut alice, mut bob] = ["alice", "bob"].map(|user| Talk::open(&node, user));
    assert_eq!(watch(&mut alice, &["bob"]), ["bob online"]);
    assert_eq!(watch(&mut bob, &["bob"]), ["bob online"]);
    set(&mut bob, "invisible");
    until(&mut bob, "bob", "invisible");
    let hidden = until(&mut alice, "bob", "offline");
    let seen = hidden["last_seen"].as_u64().unwrap();
    alice.text("user:bob", "hi", "m1");
    // Nobody learns that they type.
    let typing = json!({ "conversation": "direct:alice:bob", "active": true });
    bob.ok("typing", typing.clone());
    bob.text("user:alice", "hidden", "m2");
    let before = alice.before("hidden");
    assert!(before.iter().all(|frame| frame["type"] != "typing"), "{before:?}");

    let node = node.stop().start();
    let mut alice = Talk::open(&node, "alice");
    assert_eq!(watch(&mut alice, &["bob", "carol"]), ["bob offline", "carol offline"]);
    let mut bob = Talk::open(&node, "bob");
    assert_eq!(ask(&mut bob, "bob")["status"], "invisible");
    let shown = ask(&mut alice, "bob");
    assert_eq!(shown, json!({ "user": "bob", "status": "offline", "last_seen": seen }));
    let _carol = Talk::open(&node, "carol");
    assert_eq!(statuses(&alice.event("online_status")), ["carol online"]);
    set(&mut bob, "online");
    until(&mut alice, "bob", "online");
    bob.ok("typing", typing);
    let typing = alice.event("typing");
    assert_eq!((&typing["user"], &typing["expires_in_ms"]), (&json!("bob"), &json!(6_000)));
}

#[test]
fn who_is_there_when_the_server_stops_was_seen_then() {
    let node = Node::start(SLOW);
    let [_alice, mut bob] = ["alice", "bob"].map(|user| Talk::open(&node, user));
    set(&mut bob, "busy");
    let home = node.stop();
    let node = home.start();
    let mut carol = Talk::open(&node, "carol");
    let seen = |one: &Value| one["last_seen"].as_u64().unwrap();
    let [alice, bob] = ["alice", "bob"].map(|user| seen(&ask(&mut carol, user)));
    assert!(alice > 1_700_000_000_000 && alice.abs_diff(bob) < 60_000, "{alice} {bob}");
    let mut bob = Talk::open(&node, "bob");
    assert_eq!(ask(&mut bob, "bob")["status"], "busy", "what was chosen stays");
}

#[test]
fn a_crowd_that_comes_and_goes_is_one_event_an_interval() {
    let node = Node::start(&[
        ("CHAT_PRESENCE_GRACE_MS", "0"),
        ("CHAT_PRESENCE_INTERVAL_MS", "300"),
        ("LIMITS_COMMANDS_PER_SECOND", "100000"),
    ]);
    let names: Vec<String> = (0..30).map(|n| format!("u{n:02}")).collect();
    let users: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut alice = Talk::open(&node, "alice");
    watch(&mut alice, &users);
    let began = std::time::Instant::now();
    let crowd: Vec<Talk> = users.iter().map(|user| Talk::open(&node, user)).collect();
    let mut online = std::collections::BTreeSet::new();
    let mut events = 0;
    while online.len() < users.len() {
        let event = alice.event("online_status");
        events += 1;
        online.extend(statuses(&event));
    }
    let intervals = began.elapsed().as_millis() / 300 + 2;
    assert!(events <= intervals, "{events} events in {intervals} intervals");
    drop(crowd);
    for user in users {
        assert!(online.contains(&format!("{user} online")));
    }
}

#[test]
fn more_than_may_be_watched_is_refused_and_changes_nothing() {
    let node = Node::start(&[("CHAT_PRESENCE_WATCHES_MAX", "2"), SOON[0], SOON[1]]);
    let mut alice = Talk::open(&node, "alice");
    watch(&mut alice, &["bob"]);
    let more = json!({ "users": ["x", "y", "z"], "watch": true });
    assert_eq!(alice.refused("presence_get", more.clone()), "overloaded");
    let _bob = Talk::open(&node, "bob");
    until(&mut alice, "bob", "online");
    let without = json!({ "users": ["x", "y", "z"] });
    assert_eq!(statuses(&alice.ok("presence_get", without)).len(), 3);
    drop(alice);
    let mut carol = Talk::open(&node, "carol");
    let one = json!({ "users": ["x", "y"], "watch": true });
    while carol.call("presence_get", &one).is_err() {
        // The end of alice's connection makes room.
        carol.ok("presence_get", json!({}));
    }
}

/// Makes friends of two users.
fn befriend(one: &mut Talk, other: &mut Talk) {
    let [name, other_name] = [&*one, &*other].map(|talk| talk.connected["user"].clone());
    one.ok("friend_request", json!({ "user": other_name }));
    other.ok("friend_accept", json!({ "user": name }));
}

#[test]
fn friends_are_watched_as_long_as_they_are_friends() {
    let node = Node::start(SOON);
    let [mut alice, mut bob, mut carol] =
        ["alice", "bob", "carol"].map(|user| Talk::open(&node, user));
    befriend(&mut alice, &mut bob);
    let friends = json!({ "friends": true, "watch": true });
    assert_eq!(statuses(&alice.ok("presence_get", friends)), ["bob online"]);
    // A new friend is told of at once, and so is that one is no friend any more.
    befriend(&mut carol, &mut alice);
    until(&mut alice, "carol", "online");
    set(&mut carol, "busy");
    until(&mut alice, "carol", "busy");
    carol.ok("friend_remove", json!({ "user": "alice" }));
    until(&mut alice, "carol", "offline");
    set(&mut carol, "online");
    set(&mut bob, "busy");
    until(&mut alice, "bob", "busy");
    let now = alice.ok("presence_get", json!({ "friends": true, "users": ["carol"] }));
    assert_eq!(statuses(&now), ["bob busy", "carol online"], "everybody may see carol");
    drop(bob);
    until(&mut alice, "bob", "offline");
    let told = alice.kept();
    let about_carol = |frame: &Value| {
        frame["type"] == "online_status" && frame["payload"].to_string().contains("carol")
    };
    assert!(!told.iter().any(about_carol), "{told:?}");
    assert_eq!(alice.ok("presence_get", json!({ "friends": true })), json!({ "presences": [] }));
}

#[test]
fn blocks_and_privacy_hold_for_answers_and_events() {
    let node = Node::start(SOON);
    let [mut alice, mut bob, mut eve] = ["alice", "bob", "eve"].map(|user| Talk::open(&node, user));
    befriend(&mut alice, &mut bob);
    assert_eq!(watch(&mut eve, &["bob"]), ["bob online"]);
    let both = json!({ "users": ["bob"], "friends": true, "watch": true });
    assert_eq!(statuses(&alice.ok("presence_get", both)), ["bob online"]);
    let offline = json!({ "user": "bob", "status": "offline" });

    bob.ok("privacy_update", json!({ "presence": "friends", "last_seen": "friends" }));
    until(&mut eve, "bob", "offline");
    assert_eq!(ask(&mut eve, "bob"), offline, "and nothing else");
    assert_eq!(ask(&mut alice, "bob")["status"], "online");
    set(&mut bob, "busy");
    until(&mut alice, "bob", "busy");

    bob.ok("privacy_update", json!({ "presence": "nobody" }));
    until(&mut alice, "bob", "offline");
    assert_eq!(ask(&mut alice, "bob")["status"], "offline");
    bob.ok("privacy_update", json!({ "presence": "everyone", "last_seen": "everyone" }));
    until(&mut alice, "bob", "busy");
    until(&mut eve, "bob", "busy");

    bob.ok("friend_block", json!({ "user": "eve" }));
    until(&mut eve, "bob", "offline");
    assert_eq!(ask(&mut eve, "bob"), offline);
    set(&mut bob, "online");
    until(&mut alice, "bob", "online");
    drop(bob);
    let gone = until(&mut alice, "bob", "offline");
    assert!(gone["last_seen"].is_u64(), "{gone}");
    assert_eq!(ask(&mut eve, "bob"), offline, "nor when they were last there");
    let told = eve.kept();
    assert!(told.iter().all(|frame| frame["type"] != "online_status"), "{told:?}");
}

/// Four who cannot be told apart: one is not there, one is invisible, one lets nobody see them, and
/// one blocks whoever asks.
const SAME: [&str; 4] = ["away", "hidden", "private", "blocking"];

/// What was told of users other than `mark` up to the moment at which that one is there.
fn told_until(talk: &mut Talk, mark: &str) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        told.extend(statuses(&talk.event("online_status")));
        if let Some(place) = told.iter().position(|one| *one == format!("{mark} online")) {
            told.remove(place);
            return told;
        }
    }
}

#[test]
fn friend_commands_tell_nothing_of_who_is_there() {
    let node = Node::start(SLOW);
    for friends_before in [false, true] {
        let suffix = if friends_before { "friend" } else { "stranger" };
        let name = |who: &str| format!("{who}-{suffix}");
        let [watcher, mark] = ["watcher", "mark"].map(name);
        let mut alice = Talk::open(&node, &watcher);
        let mut there: Vec<Talk> = Vec::new();
        for who in SAME.map(name) {
            let mut other = Talk::open(&node, &who);
            if friends_before {
                befriend(&mut alice, &mut other);
            }
            match who.split('-').next().unwrap() {
                "hidden" => set(&mut other, "invisible"),
                "private" => {
                    // Known to be through once they are told of themself again.
                    watch(&mut other, &[&who]);
                    set(&mut other, "busy");
                    until(&mut other, &who, "busy");
                    other.ok("privacy_update", json!({ "presence": "nobody" }));
                    until(&mut other, &who, "busy");
                }
                "blocking" => {
                    other.ok("friend_block", json!({ "user": watcher }));
                }
                // This one is gone, and was never seen.
                _ => {
                    set(&mut other, "invisible");
                    continue;
                }
            }
            other.ok("presence_get", json!({ "friends": true, "users": [mark], "watch": true }));
            there.push(other);
        }
        let by_name = [&mark, &name("private"), &name("blocking")];
        let watch = json!({ "friends": true, "users": by_name, "watch": true });
        alice.ok("presence_get", watch);
        for who in SAME.map(name) {
            let user = json!({ "user": who });
            for command in ["friend_block", "friend_unblock", "friend_remove", "friend_request"] {
                alice.ok(command, user.clone());
            }
            assert_eq!(alice.refused("friend_accept", user.clone()), "not_found");
            for command in ["friend_cancel", "friend_request", "friend_block", "friend_unblock"] {
                alice.ok(command, user.clone());
            }
        }
        let _mark = Talk::open(&node, &mark);
        let told = told_until(&mut alice, &mark);
        assert_eq!(told, [""; 0], "friends before: {friends_before}");
        // Nor does one who blocks her hear of what she asks, or one to whom she is a stranger.
        for other in &mut there {
            let told = told_until(other, &mark);
            if !friends_before || other.connected["user"] == name("blocking") {
                assert_eq!(told, [""; 0], "friends before: {friends_before}");
            }
        }
    }
}

#[test]
fn the_kinds_of_devices_are_shown_as_they_come_and_go() {
    let node = Node::start(SOON);
    let mut alice = Talk::open(&node, "alice");
    watch(&mut alice, &["bob"]);
    let open = |kind: &str| {
        let mut talk = Talk::dial(node.address(), "", None).unwrap();
        let device = json!({ "id": format!("d-{kind}"), "kind": kind });
        talk.ok("auth", json!({ "token": node.token("bob"), "device": device }));
        // The thread of presence has heard of it.
        ask(&mut talk, "bob");
        talk
    };
    let [_phone, desk] = ["mobile", "desktop"].map(open);
    assert_eq!(ask(&mut alice, "bob")["devices"], json!(["desktop", "mobile"]));
    drop(desk);
    while until(&mut alice, "bob", "online")["devices"] != json!(["mobile"]) {}
}
