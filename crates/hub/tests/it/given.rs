//! Subscriptions that a client did not ask for, and those for which it brings a token.

use hubbub_hub::{LiveConfig, Namespace, OpeningKind, Permit};
use hubbub_proto::codec::Codec;
use hubbub_proto::limits::Limits;
use hubbub_proto::{Channel, UserId, Who};
use serde_json::json;

use crate::stage::{Stage, small_buffers};

fn stage(shards: u16) -> Stage {
    let news = Namespace {
        publish: Who::Everyone.into(),
        history_size: 10,
        history_bytes: 10_000,
        history_ms: 60_000,
        recover: true,
        cache: true,
        ..Namespace::default()
    };
    let doors = Namespace {
        subscribe: Permit::compile(["token", "role:staff"]).unwrap(),
        ..Namespace::default()
    };
    let live = LiveConfig {
        namespaces: vec![("news".into(), news), ("doors".into(), doors)],
        ..LiveConfig::default()
    };
    Stage::with_live(shards, Limits { subscriptions_max: 3, ..Limits::default() }, live)
}

#[test]
fn a_token_subscribes_from_the_start() {
    for shards in [1, 2] {
        let stage = stage(shards);
        let (mut publisher, _) = stage.session("pat");
        for name in ["a", "b"] {
            let channel = format!("news:{name}");
            publisher.put(&channel, &json!("first"));
            let mut client = stage.stranger();
            client.auth(&format!("ann/d-{name}//++{channel}"));
            client.expect("connected");
            // Where the home is elsewhere, the ack of `auth` comes first.
            let first = client.receive();
            let mut told =
                if first["type"] == "ack" { client.expect("subscribed") } else { first.clone() };
            if first["type"] == "subscribed" {
                client.expect("ack");
            }
            let told = told["payload"].take();
            assert_eq!((&told["channel"], &told["offset"]), (&json!(channel), &json!(1)));
            assert_eq!(told["publications"][0]["data"], "first");
            publisher.put(&channel, &json!("second"));
            assert_eq!(client.expect("publication")["payload"]["offset"], 2);
            // It may ask for what it missed, though no rule lets it subscribe.
            let back = client.recover(&channel, 0, &told["epoch"]);
            assert_eq!(back["recovered"], true);
            let other = json!({"channel": "news:other"});
            assert_eq!(client.refused("subscribe", &other), "not_allowed");
            client.answer("unsubscribe", &json!({"channel": channel}));
            publisher.put(&channel, &json!("third"));
            client.expect_silence();
        }
    }
}

/// The values of all channels of a token come at once: those for which there is no room are left out.
#[test]
fn many_values_at_once_end_no_session() {
    let cached = Namespace {
        publish: Who::Everyone.into(),
        history_bytes: 100_000,
        history_ms: 60_000,
        cache: true,
        ..Namespace::default()
    };
    let live = LiveConfig { namespaces: vec![("big".into(), cached)], ..LiveConfig::default() };
    let limits = Limits {
        commands_per_second: 1_000_000,
        commands_burst: 1_000_000,
        outbox_bytes_max: 256 * 1024,
        ..Limits::default()
    };
    let stage = Stage::with_live(1, limits, live);
    let (mut publisher, _) = stage.session("pat");
    let value = "x".repeat(40_000);
    let names: Vec<String> = (0..60).map(|n| format!("big:{n}")).collect();
    for name in &names {
        publisher.put(name, &json!(value));
    }
    let kind =
        OpeningKind::Session { codec: Codec::Json, identity: None, device: None, compressed: None };
    let mut client = stage.open_with(kind, b"", Box::new(()), small_buffers);
    let claims: Vec<String> = names.iter().map(|name| format!("/++{name}")).collect();
    client.auth(&format!("ann/d/{}", claims.concat()));
    client.expect("connected");
    let mut valued = 0;
    for name in &names {
        let told = client.expect("subscribed")["payload"].take();
        assert_eq!(told["channel"], *name);
        valued += usize::from(told["publications"][0]["data"] == *value);
    }
    assert!((3..60).contains(&valued), "{valued}");
    client.expect("ack");
    client.expect_silence();
}

#[test]
fn what_cannot_be_given_is_said() {
    let stage = stage(1);
    let mut client = stage.stranger();
    client.auth("ann/d//++nowhere:x/++news:1/++news:2/++news:3/++news:4");
    client.expect("connected");
    let error = client.expect("error");
    assert_eq!(error["payload"]["reason"], "channel_unknown");
    assert!(error["payload"]["message"].as_str().unwrap().starts_with("nowhere:x: "));
    for n in 1..=3 {
        assert_eq!(client.expect("subscribed")["payload"]["channel"], format!("news:{n}"));
    }
    assert_eq!(client.expect("error")["payload"]["reason"], "too_many_subscriptions");
}

#[test]
fn a_back_end_subscribes_and_unsubscribes_a_user() {
    let stage = stage(2);
    let mut clients: Vec<_> = (0..4).map(|n| stage.session(&format!("ann/d{n}")).0).collect();
    let (mut other, _) = stage.session("bob");
    let (ann, channel) = (UserId::new("ann").unwrap(), Channel::new("news:a").unwrap());
    stage.hub.subscribe_user(&ann, &channel).unwrap();
    for client in &mut clients {
        assert_eq!(client.expect("subscribed")["payload"]["channel"], "news:a");
    }
    other.put("news:a", &json!(1));
    for client in &mut clients {
        client.expect("publication");
    }
    stage.hub.unsubscribe_user(&ann, &channel).unwrap();
    for client in &mut clients {
        assert_eq!(client.expect("unsubscribed")["payload"], json!({"channel": "news:a"}));
    }
    other.put("news:a", &json!(2));
    for client in &mut clients {
        client.expect_silence();
    }
    let nowhere = Channel::new("nowhere:a").unwrap();
    assert!(stage.hub.subscribe_user(&ann, &nowhere).is_err());
}

#[test]
fn a_token_for_a_channel_lets_its_user_in_there() {
    let stage = stage(2);
    let (mut ann, _) = stage.session("ann");
    let ask = |channel: &str, token: Option<&str>| json!({"channel": channel, "token": token});
    for (channel, token, reason) in [
        ("doors:a", None, "not_allowed"),
        ("doors:a", Some("bad"), "bad_token"),
        ("doors:a", Some("bob/doors:a"), "not_allowed"),
        ("doors:a", Some("ann/doors:b"), "not_allowed"),
        ("news:a", Some("ann/news:a"), "not_allowed"),
        ("nowhere:a", Some("ann/nowhere:a"), "channel_unknown"),
    ] {
        assert_eq!(ann.refused("subscribe", &ask(channel, token)), reason, "{channel} {token:?}");
    }
    for (channel, token) in [("doors:a", "ann/doors:a"), ("doors:b", "ann/doors:*")] {
        assert_eq!(ann.answer("subscribe", &ask(channel, Some(token)))["channel"], channel);
    }
    let (mut staff, _) = stage.session("eve/d//staff");
    assert_eq!(staff.answer("subscribe", &ask("doors:a", None))["channel"], "doors:a");
}
