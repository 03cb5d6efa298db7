//! Profiles, privacy, and devices that are signed out from afar.

use serde_json::{Value, json};

use crate::node::Node;
use crate::talk::Talk;

#[test]
fn a_profile_is_seen_by_others_and_survives_a_restart() {
    let node = Node::start(&[]);
    let mut alice = Talk::open_device(&node, "alice", "laptop");
    let mut phone = Talk::open_device(&node, "alice", "phone");
    let about = json!({ "avatar": "/a.png", "about": "Here.", "data": { "team": "blue" } });
    let me = alice.ok("profile_update", about);
    assert_eq!(phone.event("user_updated")["user"], me["user"]);
    alice.ok("privacy_update", json!({ "last_seen": "nobody" }));
    assert_eq!(phone.event("user_updated")["privacy"]["last_seen"], "nobody");
    let node = node.stop().start();
    let mut bob = Talk::open(&node, "bob");
    let seen = bob.ok("users", json!({ "users": ["alice", "nobody"] }));
    assert_eq!(seen["users"], json!([me["user"]]));
    assert_eq!(Talk::open(&node, "alice").ok("me", json!({}))["privacy"]["last_seen"], "nobody");
}

fn listed(talk: &mut Talk) -> Vec<Value> {
    talk.ok("devices", json!({}))["devices"].as_array().unwrap().clone()
}

#[test]
fn a_device_is_signed_out_and_comes_back_with_a_newer_token() {
    let node = Node::start(&[]);
    let token = node.token("alice");
    let mut laptop = Talk::open_with(&node, "?device=laptop", &token);
    let mut phone = Talk::open_with(&node, "?device=phone", &token);
    let current = listed(&mut laptop).into_iter().find(|device| device["current"] == true);
    assert_eq!(current.unwrap()["id"], "laptop");
    // Also one that came just now, of which nothing is written yet.
    laptop.ok("device_sign_out", json!({ "device": "phone" }));
    assert_eq!(phone.closed(), 4003);
    let mut again = Talk::open_with(&node, "?device=phone", &token);
    assert_eq!(again.closed(), 4003, "the same token");
    assert_eq!(laptop.ok("me", json!({}))["user"]["id"], "alice", "the other device stays");

    // Also after a restart.
    let node = node.stop().start();
    let mut again = Talk::open_with(&node, "?device=phone", &token);
    assert_eq!(again.closed(), 4003);
    // Tokens count in seconds, so the first newer one is of the next second.
    loop {
        let mut newer = Talk::open_with(&node, "?device=phone", &node.token("alice"));
        if newer.call("me", &json!({})).is_ok() {
            break;
        }
        assert_eq!(newer.closed(), 4003);
    }
}
