//! Channels and signals, of which nothing is stored.

use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::command::{Content, Data};
use crate::{Channel, ClientId, PublicationKey, Timestamp, UserId};

/// `publication`: what somebody published on a channel.
#[derive(Clone, Debug, Serialize)]
pub struct Publication {
    /// Where.
    pub channel: Channel,
    /// Its place in the channel's epoch: 1, 2, 3 …; absent in a volatile namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Who published it.
    pub from: UserId,
    /// What it is about, in a volatile namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PublicationKey>,
    /// As it came.
    pub data: Data,
}

/// A publication that is kept, as recovery and `channel_history` show it.
#[derive(Clone, Debug, Serialize)]
pub struct Kept {
    /// Its place in the channel's epoch.
    pub offset: u64,
    /// Who published it.
    pub from: UserId,
    /// When.
    pub timestamp: Timestamp,
    /// As it came.
    pub data: Content,
    /// The publisher's own name for it.
    #[serde(skip)]
    pub client_id: Option<ClientId>,
}

/// Publications that are kept, in ascending order, shared by all who are told of them.
pub type KeptList = Arc<[Kept]>;

/// `subscribe`: where the channel stands, and what was missed.
#[derive(Clone, Debug, Serialize)]
pub struct Subscribed {
    /// Which channel.
    pub channel: Channel,
    /// How many publications there were in this epoch; everything after it comes.
    pub offset: u64,
    /// Which life of the channel.
    pub epoch: Epoch,
    /// Whether `publications` is exactly what was missed; only where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
    /// What was missed, or the last value.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "listed")]
    pub publications: Option<KeptList>,
}

/// `unsubscribed`: the server has ended a subscription.
#[derive(Clone, Debug, Serialize)]
pub struct Unsubscribed {
    /// Of which channel.
    pub channel: Channel,
}

/// `channel_joined` and `channel_left`: the first connection of a user came, or the last one left.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelMember {
    /// Where.
    pub channel: Channel,
    /// Who.
    pub user: UserId,
}

/// `channel_presence`: a page of those who are subscribed, in the order of their ids.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelPresencePage {
    /// The page.
    pub users: Vec<ChannelUser>,
    /// How many there are in all.
    pub total: u64,
    /// There are more behind the last one.
    pub more: bool,
}

/// One who is subscribed to a channel.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelUser {
    /// Who.
    pub user: UserId,
    /// With how many connections.
    pub connections: u32,
}

/// `channel_history`: a page of what is kept.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelHistoryPage {
    /// Ascending.
    #[serde(serialize_with = "all_of")]
    pub publications: KeptList,
    /// The last offset given out.
    pub offset: u64,
    /// Which life of the channel.
    pub epoch: Epoch,
    /// There is more in the direction asked for.
    pub more: bool,
}

fn all_of<S: Serializer>(list: &KeptList, s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(list.iter())
}

fn listed<S: Serializer>(list: &Option<KeptList>, s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(list.iter().flat_map(|list| list.iter()))
}

/// A place in a channel: the last publication that there was, or the one just made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Position {
    /// How many publications there were in this epoch.
    pub offset: u64,
    /// Which life of the channel.
    pub epoch: Epoch,
}

/// One life of a channel: when a channel that was forgotten is used again, offsets begin anew
/// under another epoch. Eight hexadecimal digits on the wire.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Epoch(pub u32);

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{:08x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        let is_hex = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = if is_hex { u32::from_str_radix(&text, 16).ok() } else { None };
        number
            .map(Self)
            .ok_or_else(|| D::Error::custom("no epoch, expected an epoch of 8 hexadecimal digits"))
    }
}

/// `signal` as the receiver sees it.
#[derive(Clone, Debug, Serialize)]
pub struct SignalEvent {
    /// Who sent it.
    pub from: UserId,
    /// As it came.
    pub data: Data,
}
