//! Channels and signals, of which nothing is stored.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::id::{InvalidName, Text};
use crate::{Channel, UserId};

/// `subscribe` and `unsubscribe {channel}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ChannelTarget {
    /// Which channel.
    #[serde(deserialize_with = "channel")]
    pub channel: Channel,
}

/// `publish {channel, data}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Publish {
    /// Which channel.
    #[serde(deserialize_with = "channel")]
    pub channel: Channel,
    /// Any JSON, passed on as it came.
    pub data: Data,
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
