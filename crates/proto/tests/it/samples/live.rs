//! Channels and signals.

use hubbub_proto::event::*;
use hubbub_proto::{Ack, Channel, Event, PublicationKey};
use serde_json::value::RawValue;

use super::{NOW, Sample, user};

pub(super) const COMMANDS: &[Sample] = &[
    (
        "subscribe",
        r#"{"channel":"news:sports"}"#,
        r#"{"channel":"news:sports","token":"eyJhbGciOi…","recover":{"offset":17,"epoch":"00c0ffee"}}"#,
    ),
    ("unsubscribe", r#"{"channel":"news:sports"}"#, r#"{"channel":"news:sports"}"#),
    (
        "publish",
        r#"{"channel":"news:sports","data":null}"#,
        r#"{"channel":"news:sports","data":{"score":[2,1]},"client_id":"p-1","key":"score"}"#,
    ),
    (
        "channel_presence",
        r#"{"channel":"news:sports"}"#,
        r#"{"channel":"news:sports","after":"alice","limit":2}"#,
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

fn subscribed() -> Subscribed {
    Subscribed {
        channel: channel(),
        offset: 18,
        epoch: EPOCH,
        recovered: Some(true),
        publications: Some(kept()),
    }
}

fn member() -> ChannelMember {
    ChannelMember { channel: channel(), user: user("bob") }
}

pub(super) fn events() -> Vec<(&'static str, Event)> {
    vec![
        (
            "publication",
            Event::Publication(Publication {
                channel: channel(),
                offset: Some(18),
                from: user("alice"),
                key: None,
                data: json(r#"{"score":[2,1]}"#),
            }),
        ),
        (
            "publication, volatile",
            Event::Publication(Publication {
                channel: channel(),
                offset: None,
                from: user("alice"),
                key: Some(PublicationKey::new("a\"b").unwrap()),
                data: json("[12,7]"),
            }),
        ),
        ("subscribed", Event::Subscribed(Box::new(subscribed()))),
        ("unsubscribed", Event::Unsubscribed(Unsubscribed { channel: channel() })),
        ("channel_joined", Event::ChannelJoined(member())),
        ("channel_left", Event::ChannelLeft(member())),
        (
            "signal",
            Event::Signal(SignalEvent { from: user("alice"), data: json(r#"{"offer":"v=0"}"#) }),
        ),
    ]
}

pub(super) fn acks() -> Vec<(&'static str, Ack)> {
    vec![
        ("subscribe", Ack::Subscribed(Box::new(subscribed()))),
        (
            "channel_presence",
            Ack::ChannelPresence(Box::new(ChannelPresencePage {
                users: vec![
                    ChannelUser { user: user("bob"), connections: 2 },
                    ChannelUser { user: user("carol"), connections: 1 },
                ],
                total: 4,
                more: true,
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
