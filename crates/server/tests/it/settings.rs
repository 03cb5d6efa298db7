//! What users keep about their conversations, over devices and restarts.

use serde_json::{Value, json};

use crate::node::Node;
use crate::talk::Talk;

const DIRECT: &str = "direct:alice:bob";

fn kept(talk: &mut Talk) -> Value {
    let page = talk.sync();
    let list = page["conversations"].as_array().unwrap();
    list.iter().find(|one| one["id"] == DIRECT).unwrap()["settings"].clone()
}

#[test]
fn settings_follow_to_all_devices_and_survive_a_restart() {
    let node = Node::start(&[]);
    let [mut phone, mut laptop] = ["phone", "laptop"].map(|d| Talk::open_device(&node, "bob", d));
    let mut alice = Talk::open(&node, "alice");
    alice.text("user:bob", "hello", "m1");
    let update = json!({ "conversation": DIRECT, "pinned": true, "draft": "I was about to say" });
    assert_eq!(phone.ok("conversation_update", update), json!({}));
    let told = laptop.event("conversation_updated");
    assert_eq!((&told["pinned"], &told["draft"]), (&json!(true), &json!("I was about to say")));
    let mark = json!({ "conversation": DIRECT, "marked_unread": true, "hidden": true });
    laptop.ok("conversation_update", mark);
    assert_eq!(phone.event("conversation_updated")["hidden"], true);
    let node = node.kill().start();
    let [mut phone, mut laptop] = ["phone", "laptop"].map(|d| Talk::open_device(&node, "bob", d));
    let expected = json!({
        "pinned": true, "hidden": true, "marked_unread": true, "draft": "I was about to say"
    });
    assert_eq!(kept(&mut phone), expected);
    let mut alice = Talk::open(&node, "alice");
    alice.text("user:bob", "are you there", "m2");
    laptop.ok("read", json!({ "conversation": DIRECT, "seq": 2 }));
    let told = phone.event("conversation_updated");
    assert_eq!((&told["marked_unread"], &told["hidden"]), (&json!(false), &json!(false)));
    assert_eq!(kept(&mut laptop)["pinned"], true);
    assert_eq!(kept(&mut alice), Value::Null, "it is nobody else's");
}

#[test]
fn a_draft_has_its_bound() {
    let node = Node::start(&[("CHAT_DRAFT_BYTES_MAX", "10")]);
    let mut alice = Talk::open(&node, "alice");
    alice.text("user:bob", "hello", "m1");
    let draft = |text: &str| json!({ "conversation": DIRECT, "draft": text });
    alice.ok("conversation_update", draft("0123456789"));
    assert_eq!(alice.refused("conversation_update", draft("0123456789+")), "too_big");
    assert_eq!(kept(&mut alice)["draft"], "0123456789");
}
