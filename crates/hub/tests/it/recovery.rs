//! History and recovery: who comes back gets exactly what they missed, or is told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use hubbub_hub::{LiveConfig, Namespace};
use hubbub_proto::Who;
use hubbub_proto::limits::Limits;
use serde_json::{Value, json};

use crate::stage::{Client, Stage, small_buffers};

fn kept() -> Namespace {
    Namespace {
        subscribe: Who::Everyone.into(),
        publish: Who::Everyone.into(),
        history: Who::Everyone.into(),
        history_size: 100,
        history_bytes: 1 << 20,
        history_ms: 60_000,
        recover: true,
        ..Namespace::default()
    }
}

fn live() -> LiveConfig {
    let cached = Namespace { cache: true, recover: false, history_size: 0, ..kept() };
    let plain = Namespace { history_size: 0, recover: false, ..kept() };
    let slow = Namespace { publishes_per_second: 5, message_bytes_max: 10, ..kept() };
    LiveConfig {
        namespaces: vec![
            ("kept".into(), kept()),
            ("cached".into(), cached),
            ("plain".into(), plain),
            ("slow".into(), slow),
        ],
        channel_idle_ms: 1000,
        ..LiveConfig::default()
    }
}

fn limits() -> Limits {
    Limits { commands_per_second: 1_000_000, commands_burst: 1_000_000, ..Limits::default() }
}

fn stage(shards: u16) -> Stage {
    Stage::with_live(shards, limits(), live())
}

impl Client {
    pub(crate) fn answer(&mut self, kind: &str, payload: &Value) -> Value {
        self.send(&json!({"type": kind, "id": "a", "payload": payload}));
        loop {
            let mut value = self.receive();
            if value["id"] == "a" {
                return value["payload"].take();
            }
        }
    }

    pub(crate) fn recover(&mut self, channel: &str, offset: u64, epoch: &Value) -> Value {
        let recover = json!({"offset": offset, "epoch": epoch});
        self.answer("subscribe", &json!({"channel": channel, "recover": recover}))
    }

    pub(crate) fn put(&mut self, channel: &str, data: &Value) -> u64 {
        let ack = self.answer("publish", &json!({"channel": channel, "data": data}));
        ack["offset"].as_u64().unwrap_or_else(|| panic!("{ack}"))
    }
}

fn offsets(answer: &Value) -> Vec<u64> {
    let list = answer["publications"].as_array().unwrap_or_else(|| panic!("{answer}"));
    list.iter().map(|one| one["offset"].as_u64().unwrap()).collect()
}

#[test]
fn who_comes_back_is_told_what_they_missed() {
    for shards in [1, 2] {
        let stage = stage(shards);
        let (mut publisher, _) = stage.session("alice");
        // In both shards, so that one of them is not the channel's home.
        for name in ["bob", "carol"] {
            let (mut reader, _) = stage.session(name);
            let channel = format!("kept:{name}");
            let at = reader.answer("subscribe", &json!({"channel": channel}));
            assert_eq!(at, json!({"channel": channel, "offset": 0, "epoch": at["epoch"]}));
            publisher.put(&channel, &json!({"n": 1}));
            assert_eq!(reader.expect("publication")["payload"]["offset"], 1);
            drop(reader);
            for n in 2..=4 {
                publisher.put(&channel, &json!({"n": n}));
            }
            let (mut reader, _) = stage.session(name);
            let back = reader.recover(&channel, 1, &at["epoch"]);
            assert_eq!((&back["recovered"], &back["offset"]), (&json!(true), &json!(4)));
            assert_eq!(offsets(&back), [2, 3, 4]);
            let first = &back["publications"][0];
            let expected = json!({"offset": 2, "from": "alice", "data": {"n": 2},
                "timestamp": first["timestamp"]});
            assert_eq!(*first, expected);
            publisher.put(&channel, &json!(5));
            assert_eq!(reader.expect("publication")["payload"]["offset"], 5);
            // Once more, while subscribed: nothing was missed, and nothing is told twice.
            let again = reader.recover(&channel, 5, &at["epoch"]);
            assert_eq!((&again["recovered"], offsets(&again)), (&json!(true), vec![]));
            for (offset, epoch) in [(6, at["epoch"].clone()), (2, json!("00000000"))] {
                let refused = reader.recover(&channel, offset, &epoch);
                assert_eq!(refused["recovered"], false, "{refused}");
                assert!(refused.get("publications").is_none());
            }
            reader.expect_silence();
        }
        let stats = stage.hub.stats();
        assert_eq!((stats.recovered, stats.not_recovered, stats.panics), (4, 4, 0));
    }
}

#[test]
fn what_is_gone_is_not_recovered() {
    let config = LiveConfig { recovery_size_max: 50, ..live() };
    let stage = Stage::with_live(2, limits(), config);
    let (mut client, _) = stage.session("alice");
    let epoch = client.answer("subscribe", &json!({"channel": "kept:a"}))["epoch"].clone();
    for n in 1..=120 {
        client.put("kept:a", &json!(n));
    }
    for (offset, expected) in [(120, true), (70, true), (69, false), (20, false), (0, false)] {
        let back = client.recover("kept:a", offset, &epoch);
        assert_eq!(back["recovered"], expected, "after {offset}");
    }
    // Not all of them fit into an answer.
    let long = "x".repeat(30_000);
    for _ in 0..10 {
        client.put("kept:a", &json!(long));
    }
    assert_eq!(client.recover("kept:a", 120, &epoch)["recovered"], false);
    assert_eq!(offsets(&client.recover("kept:a", 125, &epoch)), [126, 127, 128, 129, 130]);
    // Too old.
    stage.advance(60_000);
    assert_eq!(client.recover("kept:a", 129, &epoch)["recovered"], false);
    assert_eq!(client.recover("kept:a", 130, &epoch)["recovered"], true);
    // Without a history, only who missed nothing has missed nothing; and some namespaces never say.
    let epoch = client.answer("subscribe", &json!({"channel": "plain:a"}))["epoch"].clone();
    assert_eq!(client.recover("plain:a", 0, &epoch)["recovered"], false);
}

#[test]
fn a_channel_is_remembered_as_long_as_its_history() {
    let stage = stage(1);
    let (mut client, _) = stage.session("alice");
    client.put("kept:a", &json!(1));
    let epoch = client.answer("channel_history", &json!({"channel": "kept:a"}))["epoch"].clone();
    client.put("plain:a", &json!(1));
    stage.advance(30_000);
    stage.wait_for("one is forgotten", |stats| stats.channels_expired == 1);
    assert_eq!(offsets(&client.recover("kept:a", 0, &epoch)), [1]);
    client.answer("unsubscribe", &json!({"channel": "kept:a"}));
    assert!(stage.hub.stats().history_bytes > 0);
    stage.advance(40_000);
    stage.wait_for("both are forgotten", |stats| stats.channels_expired == 2);
    assert_eq!(stage.wait_for("nothing is kept", |s| s.history_bytes == 0).channels, 0);
    let back = client.recover("kept:a", 1, &epoch);
    assert_eq!((&back["recovered"], &back["offset"]), (&json!(false), &json!(0)));
    assert_ne!(back["epoch"], epoch);
}

#[test]
fn a_cache_tells_the_last_value_at_once() {
    for shards in [1, 2] {
        let stage = stage(shards);
        let (mut publisher, _) = stage.session("alice");
        for name in ["bob", "carol"] {
            let (mut reader, _) = stage.session(name);
            let channel = format!("cached:{name}");
            let target = json!({"channel": channel});
            let empty = reader.answer("subscribe", &target);
            assert!(empty.get("publications").is_none(), "{empty}");
            for n in 1..=3 {
                publisher.put(&channel, &json!(n));
                assert_eq!(reader.expect("publication")["payload"]["offset"], n);
            }
            for _ in 0..2 {
                let full = reader.answer("subscribe", &target);
                assert_eq!(offsets(&full), [3]);
                assert!(full.get("recovered").is_none());
            }
            let back = reader.recover(&channel, 1, &empty["epoch"]);
            assert_eq!((&back["recovered"], offsets(&back)), (&json!(false), vec![3]));
        }
    }
}

#[test]
fn history_is_read_in_pages() {
    let stage = stage(2);
    let (mut client, _) = stage.session("alice");
    for channel in ["kept:a", "kept:b"] {
        for n in 1..=10 {
            client.put(channel, &json!(n));
        }
        let mut page = |more: Value| {
            let mut payload = json!({"channel": channel});
            payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            client.answer("channel_history", &payload)
        };
        let all = page(json!({}));
        assert_eq!((offsets(&all).len(), &all["offset"]), (10, &json!(10)));
        assert_eq!(all["more"], false);
        let first = page(json!({"after": 0, "limit": 4}));
        assert_eq!((offsets(&first), &first["more"]), (vec![1, 2, 3, 4], &json!(true)));
        let last = page(json!({"limit": 4}));
        assert_eq!((offsets(&last), &last["more"]), (vec![7, 8, 9, 10], &json!(true)));
        let middle = page(json!({"before": 7, "limit": 6, "epoch": all["epoch"]}));
        assert_eq!((offsets(&middle), &middle["more"]), (vec![1, 2, 3, 4, 5, 6], &json!(false)));
        assert_eq!(offsets(&page(json!({"after": 10}))), Vec::<u64>::new());
        let other = page(json!({"after": 3, "epoch": "00000000"}));
        assert_eq!(other["reason"], "bad_range");
    }
}

#[test]
fn a_client_id_is_published_once_as_long_as_it_is_kept() {
    for shards in [1, 2] {
        let stage = stage(shards);
        let (mut alice, _) = stage.session("alice");
        let (mut bob, _) = stage.session("bob");
        let publish = |who: &mut Client, id: &str| {
            let payload = json!({"channel": "kept:a", "data": id, "client_id": id});
            who.answer("publish", &payload)["offset"].as_u64().unwrap()
        };
        assert_eq!(publish(&mut alice, "x"), 1);
        assert_eq!(publish(&mut alice, "y"), 2);
        assert_eq!(publish(&mut alice, "x"), 1);
        assert_eq!(publish(&mut bob, "x"), 3, "another's");
        assert_eq!(stage.hub.stats().sequenced, 3);
    }
}

#[test]
fn a_namespace_has_a_rate_and_a_length() {
    let stage = stage(2);
    let (mut client, _) = stage.session("alice");
    for n in 1..=5 {
        assert_eq!(client.put("slow:a", &json!(n)), n);
    }
    let payload = json!({"channel": "slow:b", "data": 1});
    let refused = client.answer("publish", &payload);
    assert_eq!(refused["reason"], "rate_limited");
    let wait = refused["retry_after_ms"].as_u64().unwrap();
    assert!((1..=200).contains(&wait), "{wait}");
    client.put("kept:a", &json!(1));
    let (mut other, _) = stage.session("bob");
    other.put("slow:b", &json!(1));
    stage.advance(wait);
    client.put("slow:b", &json!("12345678"));
    let long = json!({"channel": "slow:a", "data": "123456789"});
    assert_eq!(other.answer("publish", &long)["reason"], "too_big");
    assert_eq!(stage.hub.stats().refused_pace, 1);
}

#[test]
fn all_histories_together_are_bounded() {
    let config = LiveConfig { history_bytes_max: 100_000, ..live() };
    let stage = Stage::with_live(1, limits(), config);
    let (mut client, _) = stage.session("alice");
    let data = json!("x".repeat(10_000));
    let mut epochs = Vec::new();
    for n in 0..20 {
        let channel = format!("kept:{n}");
        client.put(&channel, &data);
        epochs
            .push(client.answer("channel_history", &json!({"channel": channel}))["epoch"].clone());
        // The first one stays in use.
        assert_eq!(client.recover("kept:0", 0, &epochs[0])["recovered"], true, "{n}");
    }
    let stats = stage.wait_for("counted", |stats| stats.history_bytes > 0);
    assert!(stats.history_bytes <= 100_000 && stats.histories_dropped >= 10, "{stats:?}");
    let mut recovered = 0;
    for (n, epoch) in epochs.iter().enumerate() {
        let back = client.recover(&format!("kept:{n}"), 0, epoch);
        assert_eq!(back["offset"], 1, "the channel itself is still there");
        recovered += u32::from(back["recovered"] == true);
    }
    assert!((5..=9).contains(&recovered), "{recovered}");
}

/// What a client does that keeps its place: takes what follows its position, and asks for what it
/// missed.
struct Follower {
    client: Client,
    offset: u64,
    epoch: Value,
    seen: Vec<Value>,
    recoveries: u32,
}

impl Follower {
    fn take(&mut self, offset: u64, data: Value) {
        if offset > self.offset {
            assert_eq!(offset, self.offset + 1, "a hole");
            self.offset = offset;
            self.seen.push(data);
        }
    }

    /// Reads up to the ack of its `subscribe`.
    fn come_back(&mut self) {
        let recover = json!({"offset": self.offset, "epoch": self.epoch});
        let payload = json!({"channel": "kept:a", "recover": recover});
        self.client.send(&json!({"type": "subscribe", "id": "back", "payload": payload}));
        loop {
            let mut value = self.client.receive();
            if value["id"] != "back" {
                continue;
            }
            let mut answer = value["payload"].take();
            assert_eq!(answer["recovered"], true, "{answer}");
            for one in answer["publications"].as_array_mut().unwrap() {
                self.take(one["offset"].as_u64().unwrap(), one["data"].take());
            }
            assert_eq!(answer["offset"], self.offset);
            self.recoveries += 1;
            return;
        }
    }

    fn read(&mut self) {
        let mut value = self.client.receive();
        match value["type"].as_str().unwrap() {
            "publication" => {
                let payload = &mut value["payload"];
                let offset = payload["offset"].as_u64().unwrap();
                if offset > self.offset + 1 {
                    return self.come_back();
                }
                self.take(offset, payload["data"].take());
            }
            "lag" => self.come_back(),
            _ => {}
        }
    }
}

/// Two shards, publishers in both; followers lose their connections all the time, one of them reads
/// so slowly that it is told to lag.
#[test]
fn everyone_who_comes_back_sees_everything_once_in_order() {
    const EACH: usize = 1500;
    let config = LiveConfig {
        namespaces: vec![(
            "kept".into(),
            Namespace { history_size: 10_000, history_bytes: 64 << 20, ..kept() },
        )],
        recovery_size_max: 10_000,
        ..live()
    };
    let limits = Limits { outbox_bytes_max: 8 << 20, outbox_frames_max: 64, ..limits() };
    let stage = Stage::with_live(2, limits, config);
    let is_over = AtomicBool::new(false);
    let mut followers: Vec<Follower> = (0..4)
        .map(|n| {
            let prepare = if n == 0 { small_buffers } else { |_: &_| {} };
            let (mut client, _) = stage.session_with(&format!("f{n}"), prepare);
            let at = client.answer("subscribe", &json!({"channel": "kept:a"}));
            let epoch = at["epoch"].clone();
            Follower { client, offset: 0, epoch, seen: Vec::new(), recoveries: 0 }
        })
        .collect();
    let mut orders: Vec<Vec<Value>> = Vec::new();
    std::thread::scope(|scope| {
        for p in 0..2 {
            let (mut client, _) = stage.session(&format!("p{p}"));
            let filler = "x".repeat(if p == 0 { 500 } else { 10 });
            scope.spawn(move || {
                for n in 0..EACH {
                    client.put("kept:a", &json!([p, n, &filler]));
                }
            });
        }
        let total = 2 * EACH as u64;
        let threads: Vec<_> = followers
            .drain(..)
            .enumerate()
            .map(|(n, mut one)| {
                let (stage, is_over) = (&stage, &is_over);
                scope.spawn(move || {
                    let mut round = 0;
                    while one.offset < total {
                        one.read();
                        round += 1;
                        if n > 0 && round % (37 * n) == 0 {
                            one.client = stage.session(&format!("f{n}")).0;
                            one.come_back();
                        }
                        if n == 0 && one.offset < total / 2 {
                            std::thread::sleep(std::time::Duration::from_micros(300));
                        }
                    }
                    is_over.store(true, Ordering::SeqCst);
                    one.client.expect_silence();
                    // The less often it reads, the more it is told at once, and the seldomer it goes.
                    assert!(n == 0 || one.recoveries > 0);
                    one.seen
                })
            })
            .collect();
        orders.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
    });
    assert!(orders.windows(2).all(|pair| pair[0] == pair[1]), "one order for all");
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for data in &orders[0] {
        let next = counts.entry(data[0].to_string()).or_default();
        assert_eq!(data[1], *next, "as sent");
        *next += 1;
    }
    let stats = stage.hub.stats();
    assert_eq!((stats.not_recovered, stats.panics), (0, 0));
    assert!(stats.lags > 0, "nobody was slow: {stats:?}");
}
