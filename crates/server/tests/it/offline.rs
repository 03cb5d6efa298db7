//! What a user finds who was away: the whole list in one answer, the rest in pages, in order.

use serde_json::{Value, json};

use crate::node::Node;
use crate::talk::Talk;

const PEERS: usize = 260;
const FAST: [(&str, &str); 2] =
    [("LIMITS_COMMANDS_PER_SECOND", "1000000"), ("LIMITS_COMMANDS_BURST", "1000000")];

#[test]
fn the_list_comes_at_once_and_the_rest_as_it_is_pulled() {
    let node = Node::start(&[&FAST[..], &[("CHAT_SYNC_ENTRIES_MAX", "100")]].concat());
    let mut peer = Talk::open(&node, "peer");
    let mut posted = Vec::new();
    for n in 0..PEERS {
        let to = format!("user:u{n}");
        let body = json!({"to": to, "content": "first", "client_id": format!("first-{n}")});
        posted.push(peer.post("send", &body));
    }
    for n in 0..150 {
        let body =
            json!({"to": "user:u0", "content": n.to_string(), "client_id": format!("more-{n}")});
        posted.push(peer.post("send", &body));
    }
    for id in &posted {
        peer.reply(id).unwrap();
    }
    // A device that knows nothing of its 260 conversations.
    let mut device = Talk::open(&node, "peer");
    let mut live = Talk::open(&node, "u1");
    let page = device.sync();
    let found = page["conversations"].as_array().unwrap();
    assert_eq!((found.len(), &page["more"]), (PEERS, &json!(false)), "one round trip");
    let entries = |one: &Value| one["entries"].as_array().unwrap().len();
    let given: usize = found.iter().map(entries).sum();
    assert_eq!(given, 100, "the rest is pulled");
    // Meanwhile others go on, and it reaches the device behind what it knows.
    live.text("user:peer", "while you read", "live-1");
    device.expect("what is said meanwhile", |frame| {
        frame["type"] == "message" && frame["payload"]["content"] == "while you read"
    });

    let long = found.iter().find(|one| one["id"] == "direct:peer:u0").unwrap();
    let mut next = long["from_seq"].as_u64().unwrap() + entries(long) as u64;
    assert_eq!((&long["more"], long["head_seq"].as_u64()), (&json!(true), Some(151)));
    while next <= 151 {
        let pull = json!({"conversation": "direct:peer:u0", "from": next, "to": 151});
        let page = device.ok("pull", pull);
        let entries = page["entries"].as_array().unwrap();
        assert!(!entries.is_empty() && entries.len() <= 100, "{page}");
        for entry in entries {
            assert_eq!(entry["seq"], next, "in order, without a hole");
            next += 1;
        }
    }
    node.stop();
}

#[test]
fn what_is_beyond_the_bound_of_a_user_is_left_to_history() {
    let settings = [("CHAT_OFFLINE_ENTRIES_MAX", "20")];
    let node = Node::start(&[&FAST[..], &settings].concat());
    let mut alice = Talk::open(&node, "alice");
    for n in 0..30 {
        alice.text("user:bob", &format!("old {n}"), &format!("a{n}"));
    }
    for n in 0..15 {
        alice.text("user:carol", &format!("new {n}"), &format!("b{n}"));
    }
    let mut device = Talk::open(&node, "alice");
    let cursors = json!({"direct:alice:bob": 0, "direct:alice:carol": 0});
    let page = device.ok("sync", json!({ "cursors": cursors }));
    let shape = |at: usize| {
        let one = &page["conversations"][at];
        (one["reset"] == true, one["from_seq"].as_u64().unwrap())
    };
    assert_eq!((shape(0), shape(1)), ((true, 26), (false, 1)));
    let history = device.ok("history", json!({"conversation": "direct:alice:bob", "before": 26}));
    assert_eq!(history["entries"].as_array().unwrap().len(), 25);
    node.stop();
}
