//! Channels and signals as an operator allows them in a file, and as clients use them.

use serde_json::json;

use crate::node::Node;
use crate::talk::Talk;

#[test]
fn channels_and_signals_are_what_the_file_allows() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hubbub.toml");
    let config = "[namespaces.news]\nsubscribe = \"everyone\"\npublish = [\"everyone\"]\n\
                  [namespaces.staff]\nsubscribe = \"role:staff\"\n\
                  [signals]\nsend = \"everyone\"\n[limits]\nsubscriptions_max = 2\n\
                  [server]\nshards = 2\n";
    std::fs::write(&file, config).unwrap();
    let node = Node::start(&[("CONFIG", file.to_str().unwrap())]);
    let mut alice = Talk::open(&node, "alice");
    let mut bob = Talk::open(&node, "bob");
    let mut positions = Vec::new();
    for talk in [&mut alice, &mut bob] {
        positions.push(talk.ok("subscribe", json!({"channel": "news:sports"})));
        assert_eq!(talk.refused("subscribe", json!({"channel": "staff:x"})), "not_allowed");
        assert_eq!(talk.refused("subscribe", json!({"channel": "other:x"})), "channel_unknown");
        assert_eq!(talk.refused("subscribe", json!({"channel": "user:x"})), "bad_field");
    }
    assert_eq!(positions[0], positions[1]);
    assert_eq!(positions[0]["offset"], 0);
    let data = json!({"score": [2, 1], "ünï": "✓"});
    for offset in 1..=3 {
        let ack = alice.ok("publish", json!({"channel": "news:sports", "data": data}));
        assert_eq!(ack, json!({"offset": offset, "epoch": positions[0]["epoch"]}));
        for talk in [&mut alice, &mut bob] {
            let expected =
                json!({"channel": "news:sports", "offset": offset, "from": "alice", "data": data});
            assert_eq!(talk.event("publication"), expected);
        }
    }
    bob.ok("subscribe", json!({"channel": "news:more"}));
    let one_more = json!({"channel": "news:most"});
    assert_eq!(bob.refused("subscribe", one_more.clone()), "too_many_subscriptions");
    bob.ok("unsubscribe", json!({"channel": "news:more"}));
    assert_eq!(bob.ok("subscribe", one_more)["channel"], "news:most");
    assert_eq!(bob.ok("signal", json!({"to": "user:alice", "data": "ring"})), json!({}));
    assert_eq!(alice.event("signal"), json!({"from": "bob", "data": "ring"}));
    node.stop();
}

#[test]
fn without_a_file_nothing_is_allowed() {
    let node = Node::start(&[]);
    let mut alice = Talk::open(&node, "alice");
    let channel = json!({"channel": "news:sports", "data": 1});
    assert_eq!(alice.refused("subscribe", channel.clone()), "channel_unknown");
    assert_eq!(alice.refused("publish", channel), "channel_unknown");
    assert_eq!(alice.refused("signal", json!({"to": "user:alice", "data": 1})), "not_allowed");
    node.stop();
}
