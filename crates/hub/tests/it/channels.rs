//! Channels and signals: who gets what, in which order, and who may.

use std::collections::BTreeMap;

use hubbub_hub::{LiveConfig, Namespace};
use hubbub_proto::limits::Limits;
use hubbub_proto::{CloseCode, Who};
use serde_json::{Value, json};

use crate::stage::{Client, Stage, small_buffers};

fn roles(role: &str) -> Who {
    Who::Roles([role.into()].into())
}

fn live() -> LiveConfig {
    let open = Namespace {
        subscribe: Who::Everyone.into(),
        publish: Who::Everyone.into(),
        ..Namespace::default()
    };
    let news = Namespace { publish: roles("editor").into(), ..open.clone() };
    let desk = Namespace { subscribe: roles("editor").into(), ..Namespace::default() };
    LiveConfig {
        namespaces: vec![("open".into(), open), ("news".into(), news), ("desk".into(), desk)],
        signal: Who::Everyone,
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
    fn ask(&mut self, kind: &str, id: &str, payload: &Value) {
        self.send(&json!({"type": kind, "id": id, "payload": payload}));
    }

    /// Subscribes and answers with the ack's payload.
    fn subscribe(&mut self, channel: &str) -> Value {
        self.ask("subscribe", "s", &json!({"channel": channel}));
        self.expect("ack")["payload"].take()
    }

    fn publish(&mut self, channel: &str, data: &Value) {
        self.send(&json!({"type": "publish", "payload": {"channel": channel, "data": data}}));
    }

    pub(crate) fn refused(&mut self, kind: &str, payload: &Value) -> Value {
        self.ask(kind, "r", payload);
        let error = self.expect("error");
        assert_eq!(error["id"], "r");
        error["payload"]["reason"].clone()
    }

    /// Sends a `ping` and waits for its `pong` behind publications.
    fn expect_silence_or_publications(&mut self) {
        self.send(&json!({"type": "ping"}));
        loop {
            let value = self.receive();
            match value["type"].as_str().unwrap() {
                "pong" => return,
                "publication" | "lag" => {}
                other => panic!("{other}"),
            }
        }
    }

    /// The next message is a publication with this offset; answers with its data.
    fn expect_publication(&mut self, offset: u64) -> Value {
        let mut value = self.expect("publication");
        assert_eq!(value["payload"]["offset"], offset, "{value}");
        value["payload"]["data"].take()
    }
}

#[test]
fn a_publication_says_where_it_stands_and_who_made_it() {
    let stage = stage(1);
    let (mut alice, _) = stage.session("alice");
    let (mut bob, _) = stage.session("bob");
    let at = alice.subscribe("open:a");
    assert_eq!((&at["channel"], &at["offset"]), (&json!("open:a"), &json!(0)));
    bob.ask("publish", "p", &json!({"channel": "open:a", "data": {"x": [1, null]}}));
    let ack = bob.expect("ack");
    assert_eq!(ack["id"], "p");
    assert_eq!(ack["payload"], json!({"offset": 1, "epoch": at["epoch"]}));
    let publication = alice.expect("publication");
    let expected =
        json!({"channel": "open:a", "offset": 1, "from": "bob", "data": {"x": [1, null]}});
    assert_eq!(publication["payload"], expected);
    bob.expect_silence();
    // The publisher gets its own where it is subscribed, and what it was sent before is not for it.
    let at = bob.subscribe("open:a");
    assert_eq!(at["offset"], 1);
    bob.publish("open:a", &json!(2));
    for client in [&mut alice, &mut bob] {
        assert_eq!(client.expect_publication(2), 2);
        client.expect_silence();
    }
}

#[test]
fn nobody_may_do_what_no_rule_allows() {
    let stage = stage(2);
    let (mut editor, _) = stage.session("eve/d//editor");
    let (mut reader, _) = stage.session("rob/d//reader");
    let to = |channel: &str| json!({"channel": channel, "data": 1});
    for client in [&mut editor, &mut reader] {
        assert_eq!(client.refused("subscribe", &to("other:a")), "channel_unknown");
        assert_eq!(client.refused("publish", &to("other:a")), "channel_unknown");
        assert_eq!(client.refused("publish", &to("desk:a")), "not_allowed");
        client.subscribe("news:a");
    }
    assert_eq!(reader.refused("subscribe", &to("desk:a")), "not_allowed");
    assert_eq!(reader.refused("publish", &to("news:a")), "not_allowed");
    editor.subscribe("desk:a");
    editor.publish("news:a", &json!("x"));
    editor.expect_publication(1);
    reader.expect_publication(1);
    // Without a rule nothing is allowed at all.
    let closed = Stage::new(1, limits());
    let (mut anyone, _) = closed.session("eve/d//editor");
    assert_eq!(anyone.refused("subscribe", &to("news:a")), "channel_unknown");
    assert_eq!(anyone.refused("signal", &json!({"to": "user:rob", "data": 1})), "not_allowed");
    let mut stranger = stage.stranger();
    assert_eq!(stranger.refused("subscribe", &to("news:a")), "unauthorized");
}

#[test]
fn names_that_are_no_channels_are_refused() {
    let stage = stage(1);
    let (mut client, _) = stage.session("alice");
    for bad in ["", "open", "open:", ":a", "Open:a", "open:a b", "user:bob", "group:g", "conv:c"] {
        assert_eq!(client.refused("subscribe", &json!({"channel": bad})), "bad_field", "{bad}");
    }
    let long = format!("open:{}", "x".repeat(124));
    assert_eq!(client.refused("publish", &json!({"channel": long, "data": 1})), "bad_field");
    assert_eq!(client.refused("publish", &json!({"channel": "open:a"})), "bad_field");
    client.subscribe(&long[..128]);
}

/// Publishers in two shards, subscribers in two shards, some of which come and go in between.
#[test]
fn everyone_gets_everything_after_their_ack_in_one_order() {
    const PUBLISHERS: usize = 4;
    const EACH: usize = 300;
    const CHANNELS: [&str; 3] = ["open:a", "open:b", "open:c"];
    let stage = stage(2);
    let mut early: Vec<Client> = Vec::new();
    for n in 0..6 {
        let (mut client, _) = stage.session(&format!("early{n}"));
        for channel in CHANNELS {
            assert_eq!(client.subscribe(channel)["offset"], 0);
        }
        early.push(client);
    }
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|n| {
            let (mut client, _) = stage.session(&format!("p{n}"));
            std::thread::spawn(move || {
                for i in 0..EACH {
                    for channel in CHANNELS {
                        client.publish(channel, &json!([n, i]));
                    }
                }
                // Everything it sent was taken when this is answered.
                client.ask("publish", "last", &json!({"channel": "open:end", "data": 0}));
                assert_eq!(client.expect("ack")["id"], "last");
                client
            })
        })
        .collect();
    let total = (PUBLISHERS * EACH) as u64;
    let late: Vec<_> = (0..6)
        .map(|n| {
            let (mut client, _) = stage.session(&format!("late{n}"));
            std::thread::spawn(move || {
                let mut next: BTreeMap<String, u64> = BTreeMap::new();
                for round in 0..20 {
                    for channel in CHANNELS {
                        client.ask("subscribe", "s", &json!({"channel": channel}));
                        while take(&mut client, &mut next).is_none() {}
                    }
                    if round < 19 {
                        for channel in CHANNELS {
                            client.ask("unsubscribe", "u", &json!({"channel": channel}));
                            while take(&mut client, &mut next).is_none() {}
                            next.remove(channel);
                        }
                    }
                }
                while next.values().any(|next| *next <= total) {
                    take(&mut client, &mut next);
                }
                client.expect_silence();
            })
        })
        .collect();
    let mut orders: Vec<BTreeMap<String, Vec<Value>>> = Vec::new();
    for client in &mut early {
        let mut order: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for _ in 0..total * 3 {
            let mut value = client.expect("publication");
            let payload = &mut value["payload"];
            let list = order.entry(payload["channel"].as_str().unwrap().to_owned()).or_default();
            list.push(payload["data"].take());
            assert_eq!(payload["offset"], list.len(), "dense and in order");
        }
        client.expect_silence();
        orders.push(order);
    }
    assert!(orders.windows(2).all(|pair| pair[0] == pair[1]), "one order for all");
    for list in orders[0].values() {
        for n in 0..PUBLISHERS {
            let of_one = list.iter().filter(|data| data[0] == n).map(|data| &data[1]);
            assert!(of_one.eq((0..EACH).map(|i| json!(i)).collect::<Vec<_>>().iter()), "as sent");
        }
    }
    let publishers: Vec<_> = publishers.into_iter().map(|one| one.join().unwrap()).collect();
    late.into_iter().for_each(|one| one.join().unwrap());
    let per_shard = stage.hub.shard_stats();
    assert_eq!(per_shard.len(), 2);
    assert!(per_shard.iter().all(|stats| stats.deliveries > total), "{per_shard:?}");
    assert!(per_shard.iter().any(|stats| stats.crossings > 0), "{per_shard:?}");
    let sum = stage.hub.stats();
    assert_eq!(sum.sequenced, total * 3 + PUBLISHERS as u64);
    assert_eq!((sum.panics, sum.dropped_publications, sum.lags), (0, 0, 0), "{sum:?}");
    drop(publishers);
}

/// Reads one message; answers the id of an ack. Checks that publications follow each other.
fn take(client: &mut Client, next: &mut BTreeMap<String, u64>) -> Option<String> {
    let value = client.receive();
    let payload = &value["payload"];
    match value["type"].as_str().unwrap() {
        "ack" => {
            if let Some(channel) = payload["channel"].as_str() {
                next.insert(channel.to_owned(), payload["offset"].as_u64().unwrap() + 1);
            }
            Some(value["id"].as_str().unwrap().to_owned())
        }
        "publication" => {
            let expected = next.get_mut(payload["channel"].as_str().unwrap());
            let expected = expected.expect("a publication of a channel that is not subscribed to");
            assert_eq!(payload["offset"], *expected);
            *expected += 1;
            None
        }
        other => panic!("{other}: {value}"),
    }
}

/// A burst of commands, which a shard reads at once and handles in one tick.
fn burst(client: &mut Client) {
    let commands = [
        ("publish", json!({"channel": "open:a", "data": "before"})),
        ("subscribe", json!({"channel": "open:a"})),
        ("publish", json!({"channel": "open:a", "data": "first"})),
        ("subscribe", json!({"channel": "open:a"})),
        ("publish", json!({"channel": "open:a", "data": "second"})),
        ("unsubscribe", json!({"channel": "open:a"})),
        ("publish", json!({"channel": "open:a", "data": "third"})),
        ("subscribe", json!({"channel": "open:a"})),
        ("publish", json!({"channel": "open:a", "data": "fourth"})),
    ];
    for (n, (kind, payload)) in commands.iter().enumerate() {
        let message = json!({"type": kind, "id": n.to_string(), "payload": payload});
        client.socket.write(tungstenite::Message::text(message.to_string())).unwrap();
    }
    client.socket.flush().unwrap();
}

#[test]
fn a_tick_is_parted_by_what_happens_in_it() {
    let stage = stage(1);
    let (mut other, _) = stage.session("other");
    other.subscribe("open:a");
    let (mut client, _) = stage.session("alice");
    burst(&mut client);
    let (mut acks, mut got) = (Vec::new(), Vec::new());
    while acks.len() < 9 || got.len() < 3 {
        let value = client.receive();
        let payload = &value["payload"];
        if value["type"] == "ack" {
            acks.push(payload["offset"].clone());
        } else {
            got.push((payload["offset"].as_u64().unwrap(), payload["data"].clone()));
        }
    }
    client.expect_silence();
    assert_eq!(got, [(2, json!("first")), (3, json!("second")), (5, json!("fourth"))]);
    assert_eq!(Value::from(acks), json!([1, 1, 2, 2, 3, null, 4, 4, 5]));
    for (offset, data) in ["before", "first", "second", "third", "fourth"].iter().enumerate() {
        assert_eq!(other.expect_publication(offset as u64 + 1), *data);
    }
}

/// What is published in one shard and has its home in another gets its offset a little later, so
/// that only what the acks say is certain.
#[test]
fn two_shards_part_a_tick_as_their_acks_say() {
    let stage = stage(2);
    for n in 0..8 {
        let (mut client, _) = stage.session(&format!("u{n}"));
        let (mut next, mut acks) = (BTreeMap::new(), 0);
        burst(&mut client);
        while acks < 9 || next.get("open:a").is_none_or(|next| *next <= 5 * (n + 1)) {
            if let Some(id) = take(&mut client, &mut next) {
                acks += 1;
                if id == "5" {
                    next.remove("open:a");
                }
            }
        }
        client.expect_silence();
    }
    assert_eq!(stage.hub.stats().sequenced, 40);
}

#[test]
fn nothing_comes_after_the_end_of_a_subscription() {
    let stage = stage(2);
    let mut clients: Vec<_> = (0..8).map(|n| stage.session(&format!("u{n}/d{n}")).0).collect();
    for client in &mut clients {
        for channel in ["open:a", "open:b"] {
            client.subscribe(channel);
            client.subscribe(channel);
        }
    }
    clients[0].publish("open:a", &json!(1));
    for client in &mut clients {
        client.expect_publication(1);
    }
    let mut gone = clients.split_off(6);
    for client in clients.iter_mut().take(3) {
        client.ask("unsubscribe", "u", &json!({"channel": "open:a"}));
        assert_eq!(client.expect("ack")["payload"], json!({}));
        // There is nothing to end any more.
        client.ask("unsubscribe", "u", &json!({"channel": "open:a"}));
        client.expect("ack");
    }
    gone.pop().unwrap().socket.close(None).unwrap();
    drop(gone);
    stage.wait_for("two less", |stats| stats.sessions == 6);
    clients[0].publish("open:a", &json!(2));
    clients[0].publish("open:b", &json!(3));
    for (n, client) in clients.iter_mut().enumerate() {
        // What comes from two homes may come in any order.
        let mut got = Vec::new();
        while got.len() < if n < 3 { 1 } else { 2 } {
            got.push(client.expect("publication")["payload"]["data"].as_u64().unwrap());
        }
        got.sort_unstable();
        assert_eq!(got, if n < 3 { vec![3] } else { vec![2, 3] });
        client.expect_silence();
    }
    let stats = stage.hub.stats();
    assert_eq!((stats.sessions, stats.panics), (6, 0));
}

#[test]
fn a_connection_has_only_so_many_subscriptions() {
    let stage = Stage::with_live(2, Limits { subscriptions_max: 3, ..limits() }, live());
    let (mut client, _) = stage.session("alice");
    for n in 0..3 {
        client.subscribe(&format!("open:{n}"));
    }
    for n in 3..9 {
        let channel = json!({"channel": format!("open:{n}")});
        assert_eq!(client.refused("subscribe", &channel), "too_many_subscriptions");
    }
    client.subscribe("open:1");
    client.ask("unsubscribe", "u", &json!({"channel": "open:1"}));
    client.expect("ack");
    client.subscribe("open:7");
}

#[test]
fn a_shard_keeps_only_so_many_channels_and_forgets_those_nobody_uses() {
    let config = LiveConfig { channels_max: 2, channel_idle_ms: 1000, ..live() };
    let stage = Stage::with_live(1, limits(), config);
    let (mut client, _) = stage.session("alice");
    let first = client.subscribe("open:a")["epoch"].clone();
    client.ask("publish", "p", &json!({"channel": "open:b", "data": 1}));
    let second = client.expect("ack")["payload"]["epoch"].clone();
    assert_eq!(client.refused("subscribe", &json!({"channel": "open:c"})), "too_many_channels");
    let third = json!({"channel": "open:c", "data": 1});
    assert_eq!(client.refused("publish", &third), "too_many_channels");
    assert_eq!(stage.hub.stats().channels, 2);
    stage.advance(2000);
    stage.wait_for("one is forgotten", |stats| stats.channels_expired == 1);
    // The one with a subscriber goes on, the other begins anew.
    client.publish("open:a", &json!(1));
    client.expect_publication(1);
    client.ask("publish", "p", &json!({"channel": "open:b", "data": 1}));
    let ack = client.expect("ack");
    assert_eq!(ack["payload"]["offset"], 1);
    assert_ne!(ack["payload"]["epoch"], second);
    client.ask("unsubscribe", "u", &json!({"channel": "open:a"}));
    client.expect("ack");
    stage.advance(2000);
    stage.wait_for("both are forgotten", |stats| stats.channels_expired == 3);
    let again = client.subscribe("open:a");
    assert_eq!(again["offset"], 0);
    assert_ne!(again["epoch"], first);
}

#[test]
fn a_slow_subscriber_is_told_and_nobody_else_misses_anything() {
    let limits = Limits { outbox_bytes_max: 256 * 1024, ..limits() };
    let stage = Stage::with_live(2, limits, live());
    let (mut slow, _) = stage.session_with("slow", small_buffers);
    let mut others: Vec<_> = (0..4).map(|n| stage.session(&format!("u{n}")).0).collect();
    let (mut publisher, _) = stage.session("publisher");
    slow.subscribe("open:a");
    others.iter_mut().for_each(|client| drop(client.subscribe("open:a")));
    let data = "x".repeat(10_000);
    let mut sent = 0_u64;
    while stage.hub.stats().dropped_publications < 100 {
        sent += 1;
        publisher.ask("publish", "p", &json!({"channel": "open:a", "data": &data}));
        publisher.expect("ack");
        for client in &mut others {
            client.expect_publication(sent);
        }
        assert!(sent < 100_000, "nothing was dropped");
    }
    let (mut last, mut got, mut told) = (0, 0, 0);
    let mut after = false;
    while !after {
        let value = slow.receive();
        if value["type"] == "lag" {
            told += 1;
            // Now there is room again.
            sent += 1;
            publisher.publish("open:a", &json!("after"));
            continue;
        }
        let offset = value["payload"]["offset"].as_u64().unwrap();
        assert!(offset == last + 1 || told > 0, "no hole before it was told");
        assert!(offset > last);
        (last, got) = (offset, got + 1);
        after = offset == sent && told > 0;
    }
    let stats = stage.hub.stats();
    assert_eq!((stats.lags, stats.closes.iter().map(|(_, n)| n).sum::<u64>()), (told, 0));
    assert_eq!(stats.dropped_publications, sent - got);
}

#[test]
fn a_batch_that_is_larger_than_an_outbox_is_taken_in_parts() {
    let limits = Limits { outbox_bytes_max: 128 * 1024, commands_in_flight_max: 1000, ..limits() };
    let stage = Stage::with_live(1, limits, live());
    let (mut subscriber, _) = stage.session("subscriber");
    let (mut other, _) = stage.session("other");
    let (mut publisher, _) = stage.session("publisher");
    for channel in ["open:a", "open:b"] {
        subscriber.subscribe(channel);
        other.subscribe(channel);
    }
    let data = "x".repeat(5_000);
    let reader = std::thread::spawn(move || {
        for offset in 1..=200 {
            for channel in ["open:a", "open:b"] {
                let value = subscriber.expect("publication");
                let payload = &value["payload"];
                let expected = (channel, offset);
                let got =
                    (payload["channel"].as_str().unwrap(), payload["offset"].as_u64().unwrap());
                // Two channels may be interleaved in any way, but each is in order.
                if got != expected {
                    return (subscriber, false);
                }
            }
        }
        (subscriber, true)
    });
    for _ in 0..200 {
        for channel in ["open:a", "open:b"] {
            publisher.ask("publish", "p", &json!({"channel": channel, "data": &data}));
            publisher.expect("ack");
        }
    }
    assert!(reader.join().unwrap().1);
    let mut next = BTreeMap::from([("open:a".to_owned(), 1), ("open:b".to_owned(), 1)]);
    while next.values().any(|next| *next <= 200) {
        let value = other.receive();
        if value["type"] == "lag" {
            break;
        }
        let expected = next.get_mut(value["payload"]["channel"].as_str().unwrap()).unwrap();
        assert_eq!(value["payload"]["offset"], *expected);
        *expected += 1;
    }
}

#[test]
fn a_signal_reaches_all_connections_of_a_user() {
    let stage = stage(2);
    let mut bobs: Vec<_> = (0..4).map(|n| stage.session(&format!("bob/d{n}")).0).collect();
    let (mut carol, _) = stage.session("carol");
    let (mut alice, _) = stage.session("alice");
    for n in 0..20 {
        alice.ask("signal", "s", &json!({"to": "user:bob", "data": {"n": n}}));
        assert_eq!(alice.expect("ack")["payload"], json!({}));
    }
    for bob in &mut bobs {
        for n in 0..20 {
            let signal = bob.expect("signal");
            assert_eq!(signal["payload"], json!({"from": "alice", "data": {"n": n}}));
        }
    }
    alice.ask("signal", "s", &json!({"to": "user:nobody", "data": 1}));
    alice.expect("ack");
    alice.ask("signal", "s", &json!({"to": "user:alice", "data": "self"}));
    let kinds = [alice.receive()["type"].clone(), alice.receive()["type"].clone()];
    assert!(kinds.contains(&json!("signal")) && kinds.contains(&json!("ack")), "{kinds:?}");
    assert_eq!(alice.refused("signal", &json!({"to": "bob", "data": 1})), "bad_field");
    carol.expect_silence();
    assert_eq!(stage.hub.stats().signals, 22);
}

#[test]
fn channels_count_in_the_rate_and_the_window() {
    let limits =
        Limits { commands_per_second: 1, commands_burst: 3, rate_refusals_max: 2, ..limits() };
    let stage = Stage::with_live(1, limits, live());
    let mut client = stage.stranger();
    client.auth("alice");
    client.expect("connected");
    client.expect("ack");
    client.subscribe("open:a");
    client.subscribe("open:a");
    assert_eq!(client.refused("subscribe", &json!({"channel": "open:a"})), "rate_limited");
    client.publish("open:a", &json!(1));
    client.expect("error");
    client.expect_close(CloseCode::RateLimited);
}

/// Sessions in both shards, with the second one's thread held up.
fn held() -> (Stage, Client, Client) {
    let stage = stage(2);
    let (client, conn) = stage.session("alice");
    let (mut other, there) = stage.session("bob");
    assert_ne!(conn.shard, there.shard);
    other.ask("subscribe", "s", &json!({"channel": "open:warm"}));
    other.expect("ack");
    other.send(&json!({"type": "refresh", "payload": {"token": "hold"}}));
    stage.script.wait_until_held();
    (stage, client, other)
}

#[test]
fn a_home_that_is_behind_refuses_publications() {
    let (stage, mut client, _other) = held();
    let data = "x".repeat(60_000);
    for n in 0..60 {
        let payload = json!({"channel": format!("open:{n}"), "data": &data});
        client.ask("publish", &n.to_string(), &payload);
    }
    client.send(&json!({"type": "ping"}));
    // What has its home here is answered at once; then the pong says that the rest is on its way.
    let (mut acks, mut refused, mut ids) = (0, 0, std::collections::BTreeSet::new());
    let mut count = |value: &Value| {
        match value["type"].as_str().unwrap() {
            "ack" => acks += 1,
            "error" => {
                assert_eq!(value["payload"]["reason"], "overloaded");
                refused += 1;
            }
            _ => return 0,
        }
        assert!(ids.insert(value["id"].as_str().unwrap().to_owned()), "one answer for each");
        ids.len()
    };
    loop {
        let value = client.receive();
        count(&value);
        if value["type"] == "pong" {
            break;
        }
    }
    stage.script.let_go();
    while count(&client.receive()) < 60 {}
    client.expect_silence();
    assert!(refused > 0 && acks > 0, "{refused} {acks}");
    let stats = stage.hub.stats();
    assert_eq!((stats.refused_inbox, stats.sequenced), (refused, acks));
}

#[test]
fn subscribers_of_a_shard_that_is_behind_are_told() {
    let stage = stage(2);
    let (mut publisher, conn) = stage.session("alice");
    let (mut subscriber, there) = stage.session("bob");
    assert_ne!(conn.shard, there.shard);
    let names: Vec<String> = (0..20).map(|n| format!("open:{n}")).collect();
    for name in &names {
        subscriber.subscribe(name);
    }
    subscriber.send(&json!({"type": "refresh", "payload": {"token": "hold"}}));
    stage.script.wait_until_held();
    let data = "x".repeat(60_000);
    for round in 0..4 {
        for name in &names {
            publisher.publish(name, &json!([round, &data]));
        }
    }
    publisher.send(&json!({"type": "ping"}));
    publisher.expect("pong");
    stage.script.let_go();
    while subscriber.receive()["type"] != "lag" {}
    // Whatever was lost, everything that comes after it is there in the end.
    let stats = stage.wait_for("told", |stats| stats.lags > 0);
    assert!(stats.dropped_inbox_channels > 0, "{stats:?}");
    subscriber.expect_silence_or_publications();
}

/// Holds up the only shard, so that what clients send meanwhile is handled in one tick.
fn hold(stage: &Stage) -> Client {
    let (mut holder, _) = stage.session("holder");
    holder.send(&json!({"type": "refresh", "payload": {"token": "hold"}}));
    stage.script.wait_until_held();
    holder
}

#[test]
fn what_the_last_subscriber_leaves_behind_reaches_nobody_else() {
    let stage = stage(1);
    let (mut leaving, _) = stage.session("alice");
    let (mut other, _) = stage.session("bob");
    let (mut publisher, _) = stage.session("carol");
    leaving.subscribe("open:a");
    let _holder = hold(&stage);
    drop(leaving);
    other.ask("subscribe", "s", &json!({"channel": "open:b"}));
    publisher.publish("open:a", &json!("for nobody"));
    stage.script.let_go();
    assert_eq!(other.expect("ack")["payload"]["channel"], "open:b");
    other.expect_silence();
    publisher.publish("open:b", &json!("for bob"));
    assert_eq!(other.expect_publication(1), "for bob");
}

#[test]
fn who_subscribes_when_the_last_subscriber_leaves_misses_nothing() {
    let stage = stage(1);
    let (mut leaving, _) = stage.session("alice");
    let (mut coming, _) = stage.session("bob");
    let (mut publisher, _) = stage.session("carol");
    leaving.subscribe("open:a");
    let _holder = hold(&stage);
    drop(leaving);
    coming.ask("subscribe", "s", &json!({"channel": "open:a"}));
    stage.script.let_go();
    coming.expect("ack");
    for n in 1..=3 {
        publisher.publish("open:a", &json!(n));
        assert_eq!(coming.expect_publication(n), n);
    }
}
