//! Receipts over the wire: asked for with a message, asked for afterwards, and switched off.

use serde_json::json;

use crate::node::Node;
use crate::talk::Talk;

const DIRECT: &str = "direct:alice:bob";

#[test]
fn a_sender_who_asks_hears_of_both_ticks() {
    let node = Node::start(&[]);
    let [mut alice, mut bob] = ["alice", "bob"].map(|user| Talk::open(&node, user));
    let message = json!({ "to": "user:bob", "content": "?", "client_id": "m1", "receipt": true });
    alice.ok("send", message);
    bob.ok("received", json!({ "conversation": DIRECT, "seq": 1 }));
    let told = alice.event("message_receipt");
    assert_eq!((&told["seq"], &told["client_id"]), (&json!(1), &json!("m1")));
    assert_eq!((&told["user"], &told["status"]), (&json!("bob"), &json!("received")));
    bob.ok("read", json!({ "conversation": DIRECT, "seq": 1 }));
    assert_eq!(alice.event("message_receipt")["status"], "read");
    let page = alice.ok("receipts", json!({ "conversation": DIRECT, "seq": 1 }));
    assert_eq!((&page["read"], &page["total"]), (&json!(1), &json!(1)));
    // One that nobody asked about says nothing.
    alice.text("user:bob", "!", "m2");
    bob.ok("read", json!({ "conversation": DIRECT, "seq": 2 }));
    bob.text("user:alice", "marker", "b1");
    let kinds: Vec<_> = alice.before("marker").into_iter().map(|f| f["type"].clone()).collect();
    assert!(!kinds.contains(&json!("message_receipt")), "{kinds:?}");
}

#[test]
fn who_switches_receipts_off_is_not_told_of() {
    let node = Node::start(&[]);
    let [mut alice, mut bob] = ["alice", "bob"].map(|user| Talk::open(&node, user));
    bob.ok("privacy_update", json!({ "receipts": false }));
    let message = json!({ "to": "user:bob", "content": "?", "client_id": "m1", "receipt": true });
    alice.ok("send", message);
    bob.ok("received", json!({ "conversation": DIRECT, "seq": 1 }));
    bob.ok("read", json!({ "conversation": DIRECT, "seq": 1 }));
    bob.text("user:alice", "marker", "b1");
    let kinds: Vec<_> = alice.before("marker").into_iter().map(|f| f["type"].clone()).collect();
    assert!(!kinds.iter().any(|kind| kind == "message_receipt" || kind == "receipt"), "{kinds:?}");
    let page = alice.ok("receipts", json!({ "conversation": DIRECT, "seq": 1 }));
    assert_eq!(page, json!({ "received": 0, "read": 0, "members": [], "total": 1 }));
}
