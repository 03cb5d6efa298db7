//! Subscriptions to all channels whose names begin alike.

use std::collections::BTreeSet;

use hubbub_hub::{LiveConfig, Namespace};
use hubbub_proto::Who;
use hubbub_proto::limits::Limits;
use serde_json::{Value, json};

use crate::stage::{Client, Stage};

fn stage(shards: u16) -> Stage {
    let open = Namespace {
        subscribe: Who::Everyone.into(),
        publish: Who::Everyone.into(),
        wildcard: Who::Everyone.into(),
        history_size: 10,
        history_bytes: 10_000,
        history_ms: 60_000,
        recover: true,
        ..Namespace::default()
    };
    let live = LiveConfig {
        namespaces: vec![("open".into(), open.clone()), ("more".into(), open)],
        patterns_max: 4,
        ..LiveConfig::default()
    };
    let limits = Limits { subscriptions_max: 5, commands_burst: 100_000, ..Limits::default() };
    Stage::with_live(shards, limits, live)
}

/// The next message that is not about warming up.
fn next(client: &mut Client) -> Value {
    loop {
        let value = client.receive();
        let channel = value["payload"]["channel"].as_str();
        if channel.is_none_or(|channel| !channel.contains("warm")) {
            return value;
        }
    }
}

/// The channels of the next publications.
fn channels(client: &mut Client, count: usize) -> BTreeSet<String> {
    let one = |_| {
        let value = next(client);
        assert_eq!(value["type"], "publication", "{value}");
        value["payload"]["channel"].as_str().unwrap().to_owned()
    };
    (0..count).map(one).collect()
}

/// Nothing else was on its way.
fn quiet(client: &mut Client) {
    client.send(&json!({"type": "ping"}));
    assert_eq!(next(client)["type"], "pong");
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Waits until a publication on this channel is heard.
fn warm_up(publisher: &mut Client, client: &mut Client, channel: &str) {
    publisher.put(channel, &json!("warm"));
    client.send(&json!({"type": "ping"}));
    loop {
        match client.receive()["type"].as_str().unwrap() {
            "publication" => break,
            "pong" => {
                publisher.put(channel, &json!("warm"));
                client.send(&json!({"type": "ping"}));
            }
            other => panic!("{other}"),
        }
    }
    while client.receive()["type"] != "pong" {}
}

#[test]
fn a_pattern_brings_what_begins_so_and_each_publication_once() {
    for shards in [1, 3] {
        let stage = stage(shards);
        let (mut publisher, _) = stage.session("pat");
        // In every shard somebody with a pattern, and somebody with a channel as well.
        let mut wide: Vec<Client> = Vec::new();
        for n in 0..shards {
            let (mut client, _) = stage.session(&format!("w{n}"));
            for channel in ["open:*", "open:eu-*", "open:eu-1"] {
                let answer = client.answer("subscribe", &json!({"channel": channel}));
                assert_eq!(answer["channel"], channel);
            }
            wide.push(client);
        }
        let (mut narrow, _) = stage.session("narrow");
        let answer = narrow.answer("subscribe", &json!({"channel": "open:eu-*"}));
        assert_eq!(answer, json!({"channel": "open:eu-*"}));
        // Homes hear of a pattern a little later than its ack comes.
        for n in 0..12 {
            warm_up(&mut publisher, &mut narrow, &format!("open:eu-warm{n}"));
        }
        let names = ["open:eu-1", "open:eu-2", "open:us-1", "open:us-2", "more:eu-1"];
        for name in names {
            publisher.put(name, &json!(1));
        }
        for client in &mut wide {
            assert_eq!(channels(client, 4), set(&names[..4]));
            quiet(client);
        }
        assert_eq!(channels(&mut narrow, 2), set(&names[..2]));
        quiet(&mut narrow);
        narrow.answer("unsubscribe", &json!({"channel": "open:eu-*"}));
        for client in &mut wide[1..] {
            client.answer("unsubscribe", &json!({"channel": "open:*"}));
        }
        publisher.put("open:eu-2", &json!(2));
        publisher.put("open:us-2", &json!(2));
        assert_eq!(channels(&mut wide[0], 2), set(&["open:eu-2", "open:us-2"]));
        for client in &mut wide[1..] {
            assert_eq!(channels(client, 1), set(&["open:eu-2"]));
            quiet(client);
        }
        quiet(&mut narrow);
        drop((wide, narrow));
        let stats = stage.wait_for("no patterns are left", |stats| stats.patterns == 0);
        assert_eq!((stats.lags, stats.panics), (0, 0));
    }
}

#[test]
fn patterns_count_as_subscriptions_and_are_bounded_in_all() {
    let stage = stage(1);
    let (mut ann, _) = stage.session("ann");
    let ask = |n: u32| json!({"channel": format!("open:{n}*")});
    for n in 0..4 {
        assert!(ann.answer("subscribe", &ask(n)).get("reason").is_none());
    }
    assert_eq!(ann.refused("subscribe", &ask(9)), "too_many_channels");
    let (mut bob, _) = stage.session("bob");
    for n in 0..4 {
        assert!(bob.answer("subscribe", &ask(n)).get("reason").is_none());
    }
    bob.answer("subscribe", &json!({"channel": "open:x"}));
    assert_eq!(bob.refused("subscribe", &json!({"channel": "open:y"})), "too_many_subscriptions");
    assert_eq!(stage.hub.stats().patterns, 4);
    drop((ann, bob));
    stage.wait_for("no patterns are left", |stats| stats.patterns == 0);
}

#[test]
fn nothing_is_recovered_by_a_pattern_and_channels_are_forgotten_all_the_same() {
    let stage = stage(2);
    let (mut ann, _) = stage.session("ann");
    let recover = json!({"offset": 0, "epoch": "00000000"});
    let answer = ann.answer("subscribe", &json!({"channel": "open:*", "recover": recover}));
    assert_eq!(answer, json!({"channel": "open:*"}));
    for bad in ["open:*x", "open*", "*", "user:*", "open:**"] {
        assert_eq!(ann.refused("subscribe", &json!({"channel": bad})), "bad_field", "{bad}");
    }
    assert_eq!(ann.refused("publish", &json!({"channel": "open:*", "data": 1})), "bad_field");
    ann.put("open:a", &json!(1));
    let value: Value = ann.expect("publication");
    assert_eq!(value["payload"]["channel"], "open:a");
    stage.advance(700_000);
    stage.advance(700_000);
    stage.wait_for("the channel is forgotten", |stats| stats.channels_expired == 1);
}

/// What a client sends in one write is done in one tick; so these come into the middle of a batch.
#[test]
fn a_subscription_in_the_middle_of_a_batch_neither_loses_nor_doubles_what_a_pattern_brings() {
    let stage = stage(1);
    let (mut client, _) = stage.session("ann");
    client.answer("subscribe", &json!({"channel": "open:*"}));
    let command = |kind: &str, n: Option<u32>| match n {
        Some(n) => json!({"type": kind, "id": "a", "payload": {"channel": "open:a", "data": n}}),
        None => json!({"type": kind, "id": "a", "payload": {"channel": "open:a"}}),
    };
    let publish = |n| command("publish", Some(n));
    let (subscribe, unsubscribe) = (command("subscribe", None), command("unsubscribe", None));
    let commands = [
        publish(1),
        subscribe.clone(),
        publish(2),
        unsubscribe.clone(),
        publish(3),
        subscribe,
        unsubscribe,
        publish(4),
    ];
    client.send_together(&commands);
    let (mut got, mut acks) = (Vec::new(), 0);
    while acks < commands.len() {
        let value = client.receive();
        match value["type"].as_str().unwrap() {
            "publication" => got.push(value["payload"]["data"].as_u64().unwrap()),
            "ack" => acks += 1,
            other => panic!("{other}: {value}"),
        }
    }
    client.send(&json!({"type": "ping"}));
    loop {
        let value = client.receive();
        match value["type"].as_str().unwrap() {
            "publication" => got.push(value["payload"]["data"].as_u64().unwrap()),
            "pong" => break,
            other => panic!("{other}: {value}"),
        }
    }
    assert_eq!(got, [1, 2, 3, 4]);
}

/// The last direct subscriber of a shard leaves in the tick in which publications come there.
#[test]
fn who_has_a_pattern_gets_what_came_as_the_last_direct_subscriber_left() {
    let stage = stage(2);
    let mut here: Vec<Client> = Vec::new();
    let mut there: Vec<Client> = Vec::new();
    while here.is_empty() || there.len() < 3 {
        let (client, conn) = stage.session(&format!("u{}-{}", here.len(), there.len()));
        if conn.shard == 0 { here.push(client) } else { there.push(client) }
    }
    let [wide, narrow, holder] = &mut there[..] else { panic!("three") };
    let publisher = &mut here[0];
    let names: Vec<String> = (0..16).map(|n| format!("more:{n}")).collect();
    wide.answer("subscribe", &json!({"channel": "more:*"}));
    // As many as one connection may have, of channels that are at home in the other shard too.
    let command = |kind: &str, name: &str| {
        let payload = json!({"channel": name, "data": name});
        json!({"type": kind, "id": "a", "payload": payload})
    };
    for part in names.chunks(5) {
        for name in part {
            narrow.answer("subscribe", &json!({"channel": name}));
        }
        holder.send(&json!({"type": "refresh", "payload": {"token": "hold"}}));
        stage.script.wait_until_held();
        let all: Vec<Value> = part.iter().map(|name| command("publish", name)).collect();
        publisher.send_together(&all);
        publisher.send(&json!({"type": "ping"}));
        while publisher.receive()["type"] != "pong" {}
        let all: Vec<Value> = part.iter().map(|name| command("unsubscribe", name)).collect();
        narrow.send_together(&all);
        stage.script.let_go();
        let expected = part.iter().cloned().collect();
        assert_eq!(channels(wide, part.len()), expected);
        let mut acks = 0;
        while acks < part.len() {
            acks += usize::from(narrow.receive()["type"] == "ack");
        }
        quiet(wide);
    }
}
