//! Publications that are worth nothing later: dropped where a receiver is behind, the newest one of
//! each key excepted.

use std::collections::BTreeMap;

use hubbub_hub::{LiveConfig, Namespace};
use hubbub_proto::Who;
use hubbub_proto::limits::Limits;
use serde_json::{Value, json};

use crate::stage::{Stage, small_buffers};

fn stage(shards: u16) -> Stage {
    let open = Namespace {
        subscribe: Who::Everyone.into(),
        publish: Who::Everyone.into(),
        ..Namespace::default()
    };
    let moves = Namespace { volatile: true, ..open.clone() };
    let live = LiveConfig {
        namespaces: vec![("moves".into(), moves), ("open".into(), open)],
        ..LiveConfig::default()
    };
    let limits = Limits {
        commands_per_second: 1_000_000,
        commands_burst: 1_000_000,
        outbox_bytes_max: 256 * 1024,
        ..Limits::default()
    };
    Stage::with_live(shards, limits, live)
}

#[test]
fn a_volatile_publication_has_no_place_in_an_order() {
    for shards in [1, 2] {
        let stage = stage(shards);
        let (mut ann, _) = stage.session("ann");
        let (mut bob, _) = stage.session("bob");
        for channel in ["moves:a", "moves:b"] {
            let at = ann.answer("subscribe", &json!({"channel": channel}));
            assert_eq!(at["offset"], 0);
            let payload = json!({"channel": channel, "data": [1, 2], "key": "bob"});
            assert_eq!(bob.answer("publish", &payload), json!({}));
            let expected = json!({"channel": channel, "key": "bob", "from": "bob", "data": [1, 2]});
            assert_eq!(ann.expect("publication")["payload"], expected);
            let back = ann.recover(channel, 0, &at["epoch"]);
            assert_eq!(back["recovered"], false);
        }
        let payload = json!({"channel": "open:a", "data": 1, "key": "bob"});
        assert_eq!(bob.refused("publish", &payload), "bad_field");
    }
}

#[test]
fn for_who_is_behind_the_newest_of_each_key_waits_and_nobody_else_misses_anything() {
    for shards in [1, 2] {
        let stage = stage(shards);
        let (mut slow, _) = stage.session_with("slow", small_buffers);
        let (mut fast, _) = stage.session("fast");
        let (mut publisher, _) = stage.session("pat");
        for client in [&mut slow, &mut fast] {
            client.answer("subscribe", &json!({"channel": "moves:a"}));
        }
        let filler = "x".repeat(2000);
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        let mut n = 0;
        // The socket of the slow one fills; then so much more that each key has been replaced.
        let mut enough = u64::MAX;
        while n < enough {
            n += 1;
            let key = format!("k{}", n % 10);
            let keyed = json!({"channel": "moves:a", "data": [n, &filler], "key": &key});
            publisher.answer("publish", &keyed);
            last.insert(key, n);
            let loose = json!({"channel": "moves:a", "data": [n, &filler]});
            publisher.answer("publish", &loose);
            for _ in 0..2 {
                assert_eq!(fast.expect("publication")["payload"]["data"][0], n);
            }
            if enough == u64::MAX && stage.hub.stats().dropped_volatile > 50 {
                enough = n + 100;
            }
            assert!(n < 100_000, "nothing was dropped");
        }
        let lost_before = stage.hub.stats().dropped_volatile;
        assert!(lost_before >= 190, "{lost_before}");
        publisher.answer("publish", &json!({"channel": "moves:a", "data": "end", "key": "end"}));
        let (mut got, mut newest) = (0, BTreeMap::new());
        loop {
            let value = slow.receive();
            assert_eq!(value["type"], "publication", "nobody is told of it: {value}");
            if value["payload"]["key"] == "end" {
                break;
            }
            got += 1;
            if let Some(key) = value["payload"]["key"].as_str() {
                newest.insert(key.to_owned(), value["payload"]["data"][0].as_u64().unwrap());
            }
        }
        assert_eq!(newest, last, "the newest of each key comes in the end");
        let stats = stage.hub.stats();
        assert_eq!(stats.dropped_volatile, 2 * n - got);
        assert_eq!((stats.lags, stats.dropped_publications, stats.panics), (0, 0, 0));
        // Once it has caught up, it gets everything again.
        publisher.answer("publish", &json!({"channel": "moves:a", "data": 7}));
        let after: Value = slow.expect("publication");
        assert_eq!(after["payload"]["data"], 7);
    }
}

#[test]
fn what_waits_of_a_channel_does_not_come_after_the_end_of_the_subscription() {
    let stage = stage(1);
    let (mut slow, _) = stage.session_with("slow", small_buffers);
    let (mut publisher, _) = stage.session("pat");
    slow.answer("subscribe", &json!({"channel": "moves:a"}));
    let filler = "x".repeat(2000);
    while stage.hub.stats().dropped_volatile < 100 {
        let keyed = json!({"channel": "moves:a", "data": &filler, "key": "k"});
        publisher.answer("publish", &keyed);
    }
    slow.send(&json!({"type": "unsubscribe", "id": "u", "payload": {"channel": "moves:a"}}));
    while slow.receive()["id"] != "u" {}
    slow.expect_silence();
}
