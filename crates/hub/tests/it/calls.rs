//! What callers without a connection ask of the data plane.

use hubbub_hub::{LiveConfig, Namespace};
use hubbub_proto::command::Publish;
use hubbub_proto::limits::Limits;
use hubbub_proto::route::Authority;
use hubbub_proto::{Ack, Channel, Command, ConnId, Identity, Reason, Who};
use serde_json::json;

use crate::stage::{Stage, identity};

fn stage(shards: u16) -> Stage {
    let rules = Namespace {
        subscribe: Who::Everyone.into(),
        history_size: 2,
        history_bytes: 10_000,
        history_ms: 60_000,
        ..Namespace::default()
    };
    let live = LiveConfig { namespaces: vec![("news".into(), rules)], ..LiveConfig::default() };
    Stage::with_live(shards, Limits::default(), live)
}

fn back_end() -> Identity {
    Identity { authority: Authority::Backend, ..identity("api.k", None) }
}

fn ticket(slot: u32) -> ConnId {
    ConnId { shard: ConnId::RECEPTION, slot, generation: 9 }
}

fn publish(channel: &str, data: &str) -> Command {
    let data = serde_json::value::RawValue::from_string(data.to_owned()).unwrap();
    Command::Publish(Publish {
        channel: Channel::new(channel).unwrap(),
        data,
        client_id: None,
        key: None,
    })
}

#[test]
fn what_a_caller_publishes_is_answered_and_reaches_subscribers_of_every_shard() {
    let stage = stage(3);
    let mut readers: Vec<_> = (0..6).map(|n| stage.session(&format!("u{n}")).0).collect();
    for reader in &mut readers {
        let payload = json!({"channel": "news:a"});
        reader.send(&json!({"type": "subscribe", "id": "s", "payload": payload}));
        reader.expect("ack");
    }
    for n in 1..=3 {
        stage.hub.call(ticket(n), &back_end(), publish("news:a", &n.to_string())).unwrap();
        let answer = stage.script.next_answer();
        assert_eq!(answer.caller, ticket(n));
        let Ok(Ack::Channel(position)) = answer.outcome else { panic!("{answer:?}") };
        assert_eq!(position.offset, u64::from(n));
    }
    let wanted = serde_json::from_value(json!({"channel": "news:a"})).unwrap();
    stage.hub.call(ticket(4), &back_end(), Command::ChannelHistory(wanted)).unwrap();
    let Ok(Ack::ChannelHistory(page)) = stage.script.next_answer().outcome else { panic!() };
    assert!(page.publications.iter().map(|kept| kept.offset).eq([2, 3]));
    for reader in &mut readers {
        for n in 1..=3 {
            let publication = reader.expect("publication");
            assert_eq!(publication["payload"]["data"], n);
            assert_eq!(publication["payload"]["from"], "api.k");
        }
    }
}

#[test]
fn rules_hold_for_callers_whom_no_key_speaks_for() {
    let stage = stage(2);
    let alice = identity("alice", None);
    for (who, channel, reason) in
        [(&alice, "news:a", Reason::NotAllowed), (&back_end(), "other:a", Reason::ChannelUnknown)]
    {
        let refusal = stage.hub.call(ticket(1), who, publish(channel, "1")).unwrap_err();
        assert_eq!(refusal.reason, reason, "{channel}");
    }
    let refusal = stage.hub.call(ticket(1), &back_end(), Command::Ping).unwrap_err();
    assert_eq!(refusal.reason, Reason::NotAllowed);
}

#[test]
fn a_shard_that_is_behind_refuses_calls_and_answers_every_one() {
    let stage = stage(1);
    let mut held = stage.stranger();
    held.send(&json!({"type": "auth", "payload": {"token": "hold"}}));
    stage.script.wait_until_held();
    let data = format!("\"{}\"", "x".repeat(10_000));
    for n in 0..500 {
        stage.hub.call(ticket(n), &back_end(), publish("news:a", &data)).unwrap();
    }
    stage.script.let_go();
    let answers: Vec<_> = (0..500).map(|_| stage.script.next_answer()).collect();
    assert!(answers.iter().map(|answer| answer.caller).eq((0..500).map(ticket)));
    let refused = answers.iter().filter(|answer| match &answer.outcome {
        Err(refusal) => refusal.reason == Reason::Overloaded,
        Ok(_) => false,
    });
    let refused = refused.count();
    assert!((100..500).contains(&refused), "{refused}");
    assert_eq!(stage.hub.stats().refused_inbox, refused as u64);
}
