//! Friends and blocks: what each side's devices learn, and what a block keeps away.

use serde_json::{Value, json};

use crate::node::Node;
use crate::talk::Talk;

#[test]
fn friends_from_the_request_to_the_end() {
    let node = Node::start(&[]);
    let mut alice = Talk::open_device(&node, "alice", "laptop");
    let mut alice_phone = Talk::open_device(&node, "alice", "phone");
    let mut bob = Talk::open(&node, "bob");
    let ack = alice.ok("friend_request", json!({ "user": "bob", "note": "We met." }));
    assert_eq!(ack["relation"]["state"], "requested");
    let own = alice_phone.event("relation");
    assert_eq!((&own["user"], &own["state"]), (&json!("bob"), &json!("requested")));
    let got = bob.event("relation");
    assert_eq!((&got["user"], &got["state"]), (&json!("alice"), &json!("received")));
    assert_eq!(got["note"], "We met.");
    bob.ok("friend_accept", json!({ "user": "alice" }));
    for device in [&mut alice, &mut alice_phone] {
        assert_eq!(device.event("relation")["state"], "friend");
    }
    // A device that was away learns it from the list.
    let mut late = Talk::open_device(&node, "alice", "tablet");
    let synced = late.sync();
    let page = late.ok("friends", json!({}));
    assert_eq!((&page["relations"][0]["user"], &page["more"]), (&json!("bob"), &json!(false)));
    assert_eq!(page["rev"], synced["relations_rev"]);
    alice.ok("friend_remove", json!({ "user": "bob" }));
    assert_eq!(bob.event("relation")["state"], "none");
    let page = late.ok("friends", json!({ "since": page["rev"] }));
    assert_eq!(page["relations"][0]["state"], "none", "a tombstone");
}

/// What is refused, without what differs by itself.
fn refusal(talk: &mut Talk, kind: &str, payload: &Value) -> Value {
    talk.call(kind, payload).unwrap_err()
}

#[test]
fn a_block_keeps_away_and_does_not_show() {
    let node = Node::start(&[]);
    let [mut alice, mut bob, mut carol] = ["alice", "bob", "carol"].map(|u| Talk::open(&node, u));
    bob.text("user:alice", "hello", "m1");
    carol.text("user:alice", "hello", "m2");
    alice.ok("friend_block", json!({ "user": "bob" }));
    let text = |id: &str| json!({ "to": "user:alice", "content": "x", "client_id": id });
    let blocked = refusal(&mut bob, "send", &text("m3"));
    assert_eq!(blocked["reason"], "refused");
    let group = json!({ "name": "g", "members": ["alice"] });
    let kept_out = refusal(&mut bob, "group_create", &group);
    alice.ok("privacy_update", json!({ "messages": "nobody", "invites": "nobody" }));
    assert_eq!(refusal(&mut carol, "send", &text("m4")), blocked, "word by word");
    assert_eq!(refusal(&mut carol, "group_create", &group), kept_out);
    alice.ok("privacy_update", json!({ "messages": "everyone" }));
    assert_eq!(
        alice.refused("send", json!({ "to": "user:bob", "content": "x", "client_id": "m5" })),
        "blocked"
    );
    // What alice does in their conversation does not reach bob: the marker is the first he hears.
    alice.ok("read", json!({ "conversation": "direct:alice:bob", "seq": 1 }));
    alice.ok("typing", json!({ "conversation": "direct:alice:bob", "active": true }));
    carol.text("user:bob", "marker", "m6");
    let told = bob.before("marker");
    assert!(told.is_empty(), "{told:?}");
    alice.ok("friend_unblock", json!({ "user": "bob" }));
    bob.text("user:alice", "again", "m7");
}

#[test]
fn only_friends_write_where_the_operator_says_so() {
    let node = Node::start(&[("CHAT_FRIENDS_ONLY", "true")]);
    let [mut alice, mut bob] = ["alice", "bob"].map(|u| Talk::open(&node, u));
    let text = json!({ "to": "user:bob", "content": "x", "client_id": "m1" });
    assert_eq!(alice.refused("send", text.clone()), "refused");
    alice.ok("friend_request", json!({ "user": "bob" }));
    bob.ok("friend_request", json!({ "user": "alice" }));
    assert_eq!(alice.ok("send", text)["seq"], 1);
}
