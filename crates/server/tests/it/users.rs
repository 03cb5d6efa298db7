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

#[test]
fn roles_are_given_and_taken_away() {
    const RULES: [(&str, &str); 3] = [
        ("ADMIN_WHO", "role:admin"),
        ("PUSH_SEND", "role:backend"),
        ("SIGNALS_SEND", "role:backend"),
    ];
    let node = Node::start(&RULES);
    let open = |node: &Node, user: &str, roles: &[&str]| {
        Talk::open_with(node, "", &node.token_with(user, roles))
    };
    let mut admin = open(&node, "ops", &["admin"]);
    let mut bob = open(&node, "bob", &["user"]);
    let give = |roles: &[&str]| json!({ "user": "bob", "roles": roles });
    let push = || json!({ "to": "all", "type": "notification", "data": 1 });
    let signal = || json!({ "to": "user:ops", "data": 1 });
    assert_eq!(bob.refused("user_roles", give(&["admin"])), "not_allowed");
    assert_eq!(admin.refused("user_roles", give(&["staff", "a\nb"])), "bad_field");
    assert_eq!(bob.refused("push", push()), "not_allowed");
    assert_eq!(bob.refused("signal", signal()), "not_allowed");
    admin.ok("user_roles", give(&["backend"]));
    bob.ok("push", push());
    bob.ok("signal", signal());
    assert_eq!(bob.ok("me", json!({}))["roles"], json!(["user", "backend"]));

    // Also after a restart, for a connection that begins then.
    let node = node.stop().start();
    let mut bob = open(&node, "bob", &["user"]);
    bob.ok("push", push());
    bob.ok("signal", signal());
    open(&node, "ops", &["admin"]).ok("user_roles", give(&[]));
    assert_eq!(bob.refused("push", push()), "not_allowed");
    assert_eq!(bob.refused("signal", signal()), "not_allowed");
    assert_eq!(bob.ok("me", json!({}))["roles"], json!(["user"]));
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
