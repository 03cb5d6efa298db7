//! Channels and signals as an operator allows them in a file, and as clients use them.

use hubbub_access::GrantOfChannels;
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

#[test]
fn who_comes_back_is_told_what_they_missed_and_claims_are_asked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hubbub.toml");
    let config = "[namespaces.news]\nsubscribe = [\"claim\"]\npublish = [\"role:editor\"]\n\
                  history = \"claim\"\nhistory_size = 3\nrecover = true\ncache = true\n\
                  [server]\nshards = 2\n";
    std::fs::write(&file, config).unwrap();
    let node = Node::start(&[("CONFIG", file.to_str().unwrap())]);
    let mut editor = Talk::open_with(&node, "", &node.token_with("eve", &["editor"]));
    let reader = node.token_naming("rob", &["news:*"]);
    let sports = json!({"channel": "news:sports"});
    assert_eq!(editor.refused("subscribe", sports.clone()), "not_allowed");
    assert_eq!(editor.refused("channel_history", sports.clone()), "not_allowed");
    let mut rob = Talk::open_with(&node, "", &reader);
    let at = rob.ok("subscribe", sports.clone());
    drop(rob);
    for n in 1..=3 {
        editor.ok("publish", json!({"channel": "news:sports", "data": n}));
    }
    let mut rob = Talk::open_with(&node, "", &reader);
    let recover = json!({"offset": 0, "epoch": at["epoch"]});
    let back = rob.ok("subscribe", json!({"channel": "news:sports", "recover": recover}));
    assert_eq!(back["recovered"], true);
    let data: Vec<_> =
        back["publications"].as_array().unwrap().iter().map(|one| one["data"].clone()).collect();
    assert_eq!(data, [json!(1), json!(2), json!(3)]);
    editor.ok("publish", json!({"channel": "news:sports", "data": 4}));
    assert_eq!(rob.event("publication")["offset"], 4);
    let back = rob.ok("subscribe", json!({"channel": "news:sports", "recover": recover}));
    assert_eq!(back["recovered"], false, "only three are kept");
    assert_eq!(back["publications"][0]["offset"], 4, "the last one");
    let page = rob.ok("channel_history", json!({"channel": "news:sports", "limit": 2}));
    assert_eq!((&page["more"], &page["offset"]), (&json!(true), &json!(4)));
    assert_eq!(page["publications"][0]["offset"], 3);
    let only = node.token_naming("una", &["news:weather"]);
    let mut una = Talk::open_with(&node, "", &only);
    assert_eq!(una.refused("subscribe", sports), "not_allowed");
    una.ok("subscribe", json!({"channel": "news:weather"}));
    node.stop();
}

#[test]
fn tokens_open_doors_and_subscribe_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hubbub.toml");
    let config = "[namespaces.doors]\nsubscribe = \"token\"\npublish = \"everyone\"\n\
                  presence = \"everyone\"\ntrack_presence = true\n\
                  [namespaces.moves]\nwildcard = \"everyone\"\npublish = \"everyone\"\n\
                  delivery = \"volatile\"\n[server]\nshards = 1\n";
    std::fs::write(&file, config).unwrap();
    let node = Node::start(&[("CONFIG", file.to_str().unwrap())]);
    let none = GrantOfChannels::default;
    let pass = |user: &str, channel: &str| {
        node.token_granting(user, GrantOfChannels { channel: Some(channel.into()), ..none() })
    };
    let door = |token: Option<&str>| json!({"channel": "doors:a", "token": token});
    let mut ann = Talk::open(&node, "ann");
    assert_eq!(ann.refused("subscribe", door(None)), "not_allowed");
    assert_eq!(ann.refused("subscribe", door(Some("x.y.z"))), "bad_token");
    assert_eq!(ann.refused("subscribe", door(Some(&node.token("ann")))), "bad_token");
    assert_eq!(ann.refused("subscribe", door(Some(&pass("bob", "doors:a")))), "not_allowed");
    ann.ok("subscribe", door(Some(&pass("ann", "doors:*"))));
    assert!(Talk::dial(node.address(), "", Some(&pass("ann", "doors:*"))).is_err());
    let subs = GrantOfChannels { subs: vec!["doors:a".into()], ..none() };
    let mut bob = Talk::open_with(&node, "", &node.token_granting("bob", subs));
    assert_eq!(bob.event("subscribed")["channel"], "doors:a");
    bob.ok("publish", json!({"channel": "doors:a", "data": 1}));
    for talk in [&mut ann, &mut bob] {
        assert_eq!(talk.event("publication")["offset"], 1);
    }
    let there = ann.ok("channel_presence", json!({"channel": "doors:a"}));
    assert_eq!(there["total"], 2);
    ann.ok("subscribe", json!({"channel": "moves:*"}));
    let moved = json!({"channel": "moves:b", "data": [1, 2], "key": "bob"});
    assert_eq!(bob.ok("publish", moved), json!({}));
    let expected = json!({"channel": "moves:b", "key": "bob", "from": "bob", "data": [1, 2]});
    assert_eq!(ann.event("publication"), expected);
    node.stop();
}
