//! Channels and signals, of which nothing is stored.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::event::Epoch;
use crate::id::{InvalidName, Text};
use crate::{Channel, ChannelPattern, ClientId, PublicationKey, UserId};

/// Publications of a page of `channel_history` where the client names no number.
pub const CHANNEL_HISTORY_LIMIT_DEFAULT: u32 = 50;
/// Most publications of a page of `channel_history`; a larger `limit` counts as this.
pub const CHANNEL_HISTORY_LIMIT_MAX: u32 = 1000;

/// Users of a page of `channel_presence` where the client names no number.
pub const CHANNEL_PRESENCE_LIMIT_DEFAULT: u32 = 100;
/// Most users of a page of `channel_presence`; a larger `limit` counts as this.
pub const CHANNEL_PRESENCE_LIMIT_MAX: u32 = 1000;

/// `unsubscribe {channel}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ChannelTarget {
    /// Which channel, or which pattern.
    #[serde(deserialize_with = "pattern")]
    pub channel: ChannelPattern,
}

/// `subscribe {channel, recover?, token?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Subscribe {
    /// Which channel, or all that a pattern stands for.
    #[serde(deserialize_with = "pattern")]
    pub channel: ChannelPattern,
    /// A JWT that lets its user into this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Box<str>>,
    /// Where the client stands, to be told what it missed since.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "position")]
    pub recover: Option<ChannelPosition>,
}

/// A place in a channel that the client knows.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ChannelPosition {
    /// The last offset that it has.
    pub offset: u64,
    /// In which life of the channel.
    pub epoch: Epoch,
}

/// Takes an object and nothing else: the derived form would take an array as well.
fn position<'de, D: Deserializer<'de>>(d: D) -> Result<Option<ChannelPosition>, D::Error> {
    struct Object;
    impl<'de> Visitor<'de> for Object {
        type Value = Option<ChannelPosition>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object: {offset, epoch}")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            ChannelPosition::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
    d.deserialize_any(Object)
}

/// `publish {channel, data, client_id?, key?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Publish {
    /// Which channel.
    #[serde(deserialize_with = "channel")]
    pub channel: Channel,
    /// Any JSON, passed on as it came.
    pub data: Data,
    /// The publisher's own name for it, under which it is published once as long as it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
    /// What it is about: for who is behind, a newer one takes its place. Of volatile namespaces only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PublicationKey>,
}

/// `channel_presence {channel, after?, limit?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ChannelPresence {
    /// Which channel.
    #[serde(deserialize_with = "channel")]
    pub channel: Channel,
    /// Only users behind this one, in the order of their ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<UserId>,
    /// How many at most; 100 by default, at most 1000.
    #[serde(default = "presence_limit", deserialize_with = "presence_limit_or_default")]
    pub limit: u32,
}

const fn presence_limit() -> u32 {
    CHANNEL_PRESENCE_LIMIT_DEFAULT
}

fn presence_limit_or_default<'de, D: Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    Option::deserialize(d).map(|limit| limit.unwrap_or(CHANNEL_PRESENCE_LIMIT_DEFAULT))
}

/// `channel_history {channel, after? | before?, epoch?, limit?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ChannelHistory {
    /// Which channel.
    #[serde(deserialize_with = "channel")]
    pub channel: Channel,
    /// Only what has a larger offset, the oldest of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Only what has a smaller offset, the newest of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// In which life of the channel the offset was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// How many at most; 50 by default, at most 1000.
    #[serde(default = "history_limit", deserialize_with = "limit_or_default")]
    pub limit: u32,
}

const fn history_limit() -> u32 {
    CHANNEL_HISTORY_LIMIT_DEFAULT
}

fn limit_or_default<'de, D: Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    Option::deserialize(d).map(|limit| limit.unwrap_or(CHANNEL_HISTORY_LIMIT_DEFAULT))
}

/// `signal {to, data}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Signal {
    /// Whom it is for, as `user:ID`.
    #[serde(deserialize_with = "user_address", serialize_with = "address_of")]
    pub to: UserId,
    /// Any JSON, passed on as it came.
    pub data: Data,
}

/// JSON text on its way through the data plane: it has one owner, unlike [`Content`].
pub type Data = Box<RawValue>;

fn channel<'de, D: Deserializer<'de>>(d: D) -> Result<Channel, D::Error> {
    d.deserialize_str(Text { expecting: "a channel: NAMESPACE:NAME", parse: Channel::new })
}

fn pattern<'de, D: Deserializer<'de>>(d: D) -> Result<ChannelPattern, D::Error> {
    d.deserialize_str(Text {
        expecting: "a channel: NAMESPACE:NAME, or NAMESPACE:*",
        parse: ChannelPattern::new,
    })
}

fn user_address<'de, D: Deserializer<'de>>(d: D) -> Result<UserId, D::Error> {
    const INVALID: InvalidName = InvalidName { what: "address", rule: "user:ID" };
    d.deserialize_str(Text {
        expecting: "user:ID",
        parse: |s| s.strip_prefix("user:").ok_or(INVALID).and_then(UserId::new),
    })
}

fn address_of<S: Serializer>(user: &UserId, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&format_args!("user:{user}"))
}
