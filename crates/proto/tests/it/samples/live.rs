//! Channels and signals.

use hubbub_proto::event::*;
use hubbub_proto::{Ack, Channel, Event};
use serde_json::value::RawValue;

use super::{NOW, Sample, user};

pub(super) const COMMANDS: &[Sample] = &[
    (
        "subscribe",
        r#"{"channel":"news:sports"}"#,
        r#"{"channel":"news:sports","recover":{"offset":17,"epoch":"00c0ffee"}}"#,
    ),
    ("unsubscribe", r#"{"channel":"news:sports"}"#, r#"{"channel":"news:sports"}"#),
    (
        "publish",
        r#"{"channel":"news:sports","data":null}"#,
        r#"{"channel":"news:sports","data":{"score":[2,1]},"client_id":"p-1"}"#,
    ),
    (
        "channel_history",
        r#"{"channel":"news:sports"}"#,
        r#"{"channel":"news:sports","after":16,"epoch":"00c0ffee","limit":2}"#,
    ),
    ("signal", r#"{"to":"user:bob","data":"hi"}"#, r#"{"to":"user:bob","data":{"offer":"v=0"}}"#),
];

fn channel() -> Channel {
    Channel::new("news:sports").unwrap()
}

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

const EPOCH: Epoch = Epoch(0x00c0_ffee);

fn kept() -> KeptList {
    let one = |offset, score: &str| Kept {
        offset,
        from: user("alice"),
        timestamp: NOW,
        data: json(score).into(),
        client_id: None,
    };
    [one(17, r#"{"score":[1,1]}"#), one(18, r#"{"score":[2,1]}"#)].into()
}

pub(super) fn events() -> Vec<(&'static str, Event)> {
    vec![
        (
            "publication",
            Event::Publication(Publication {
                channel: channel(),
                offset: 18,
                from: user("alice"),
                data: json(r#"{"score":[2,1]}"#),
            }),
        ),
        (
            "signal",
            Event::Signal(SignalEvent { from: user("alice"), data: json(r#"{"offer":"v=0"}"#) }),
        ),
    ]
}

pub(super) fn acks() -> Vec<(&'static str, Ack)> {
    vec![
        (
            "subscribe",
            Ack::Subscribed(Box::new(Subscribed {
                channel: channel(),
                offset: 18,
                epoch: EPOCH,
                recovered: Some(true),
                publications: Some(kept()),
            })),
        ),
        ("publish", Ack::Channel(Position { offset: 18, epoch: EPOCH })),
        (
            "channel_history",
            Ack::ChannelHistory(Box::new(ChannelHistoryPage {
                publications: kept(),
                offset: 40,
                epoch: EPOCH,
                more: true,
            })),
        ),
    ]
}
