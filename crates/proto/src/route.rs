//! What the two planes say to each other.
//!
//! The data plane hands up [`Request`]s; the chat services answer with [`Effect`]s, in commit
//! order. Invariant: every [`Request`] that carries a command is answered by exactly one
//! [`Effect::Reply`], whether or not the client wants to hear it, because the reply also frees the
//! command's place in the connection's window.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::command::{Command, Expiry};
use crate::event::{Ack, Event};
use crate::{
    ChannelClaims, CloseCode, CommandId, ConversationId, DeviceId, Refusal, RoleName, Timestamp,
    UserId,
};

/// One connection for as long as it lives: shard, slot, and the slot's generation.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnId {
    /// Which shard owns it.
    pub shard: u16,
    /// Its place in the shard.
    pub slot: u32,
    /// Which tenant of that place.
    pub generation: u32,
}

/// Shard, slot and generation, as the log names a connection.
impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.shard, self.slot, self.generation)
    }
}

impl ConnId {
    /// In place of a shard: no connection, but a caller without one who waits for a single reply.
    pub const RECEPTION: u16 = u16::MAX;

    /// Whether a caller without a connection is meant, of whom no shard knows.
    #[must_use]
    pub const fn is_reception(self) -> bool {
        self.shard == Self::RECEPTION
    }
}

/// By what right somebody speaks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Authority {
    /// By a token of their own.
    #[default]
    Token,
    /// A back end speaks for them, and its key was asked what it may: the configuration's rules and
    /// rates are not. What holds between users holds.
    Behalf,
    /// A back end speaks for itself: it needs no user's consent and no membership to write.
    Backend,
}

impl Authority {
    /// Whether a key answers for it.
    #[must_use]
    pub const fn is_of_key(self) -> bool {
        matches!(self, Self::Behalf | Self::Backend)
    }
}

/// Who speaks on a connection, as the token says. Shared by all that refer to the session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// The token's `sub`.
    pub user: UserId,
    /// The display name.
    pub name: Option<Box<str>>,
    /// The token's roles.
    pub roles: Box<[Box<str>]>,
    /// The client instance; made up for the connection where the client names none.
    pub device: DeviceId,
    /// Whether the client named its device; only then a newer connection replaces an older one.
    pub device_named: bool,
    /// When the token ends.
    pub expires_at: Expiry,
    /// When the token was made, where it says so.
    pub issued_at: Option<Timestamp>,
    /// By what right.
    pub authority: Authority,
    /// What most do not have: there is an identity for each idle connection.
    pub rare: Option<Box<Rare>>,
}

/// What few identities have.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rare {
    /// What sort of device it is, as the token or the client says.
    pub device_kind: Option<Box<str>>,
    /// What the client calls its device.
    pub device_name: Option<Box<str>>,
    /// The address of the user's picture, as the token says.
    pub picture: Option<Box<str>>,
    /// Roles that a back end gave the user besides, as far as the data plane has heard; the chat
    /// services go by what is stored.
    pub granted: Arc<[Box<str>]>,
    /// What the token says of channels, where it says anything.
    pub channels: Option<Arc<ChannelClaims>>,
}

impl Rare {
    /// In its box, where there is any of it.
    #[must_use]
    pub fn boxed(self) -> Option<Box<Self>> {
        Some(self).filter(|rare| *rare != Self::default()).map(Box::new)
    }
}

impl Identity {
    /// Changes what is rare, and keeps a box only where that says something.
    pub fn change_rare(&mut self, change: impl FnOnce(&mut Rare)) {
        let mut rare = self.rare.take().map_or_else(Rare::default, |rare| *rare);
        change(&mut rare);
        self.rare = rare.boxed();
    }

    /// What sort of device it is, as the token or the client says.
    #[must_use]
    pub fn device_kind(&self) -> Option<&str> {
        self.rare.as_ref()?.device_kind.as_deref()
    }

    /// What the client calls its device.
    #[must_use]
    pub fn device_name(&self) -> Option<&str> {
        self.rare.as_ref()?.device_name.as_deref()
    }

    /// The address of the user's picture, as the token says.
    #[must_use]
    pub fn picture(&self) -> Option<&str> {
        self.rare.as_ref()?.picture.as_deref()
    }

    /// Roles that a back end gave the user besides, as far as the data plane has heard.
    #[must_use]
    pub fn granted(&self) -> &[Box<str>] {
        self.rare.as_ref().map_or(&[], |rare| &*rare.granted)
    }

    /// What the token says of channels, where it says anything.
    #[must_use]
    pub fn channels(&self) -> Option<&Arc<ChannelClaims>> {
        self.rare.as_ref()?.channels.as_ref()
    }

    /// Whether the user has this role, from whomever.
    #[must_use]
    pub fn holds(&self, role: &str) -> bool {
        self.roles.iter().chain(self.granted()).any(|held| **held == *role)
    }

    /// All roles, each once, those of the token first.
    #[must_use]
    pub fn all_roles(&self) -> Vec<Box<str>> {
        let mut all = self.roles.to_vec();
        for role in self.granted() {
            if !self.roles.contains(role) {
                all.push(role.clone());
            }
        }
        all
    }
}

/// Where an event goes: to the connections subscribed to it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Topic {
    /// Every connection of a user, from authentication on.
    User(UserId),
    /// The connections of a group's members that have synced.
    Conversation(ConversationId),
    /// Every connection of those who have this role, from authentication on.
    Role(RoleName),
    /// Every connection, from authentication on.
    All,
}

/// When a request was read: microseconds of the data plane's own count, which begins anew whenever it
/// is full. The services make nothing of it; they hand it back with the reply, so that the data plane
/// knows how long that took.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stamp(pub u32);

/// Work for the chat services. That of one connection comes in the order in which it happened:
/// [`Work::Opened`], what the client asks for, [`Work::Closed`].
#[derive(Clone, Debug)]
pub struct Request {
    /// Who is to get the reply.
    pub conn: ConnId,
    /// When it was read.
    pub read_at: Stamp,
    /// Who asks.
    pub identity: Arc<Identity>,
    /// What is asked for.
    pub work: Work,
}

/// What a request is about.
#[derive(Clone, Debug)]
pub enum Work {
    /// A client's command; `id` is `None` where the client wants no reply.
    Command {
        /// The client's correlation id.
        id: Option<CommandId>,
        /// What to do.
        command: Command,
    },
    /// The session found entries unconfirmed for too long: push them again. Has no reply.
    Redeliver {
        /// Which log.
        conversation: ConversationId,
        /// The last seq that the device confirmed or that was never delivered to it.
        after: u64,
        /// 2 for the first redelivery.
        attempt: u8,
    },
    /// A session was opened. Comes before its first command and is never lost. Has no reply.
    Opened,
    /// The session goes on under a newer token: `identity` is what it says. Has no reply.
    Renewed,
    /// The session is gone, however it ended. Nothing of it follows, and this is never lost. Has no
    /// reply.
    Closed,
}

/// What is to happen on the data plane, in this order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// The answer to a command.
    Reply {
        /// To whom.
        conn: ConnId,
        /// Which command.
        id: Option<CommandId>,
        /// When that was read, as its request said.
        read_at: Stamp,
        /// What came of it.
        outcome: Result<Ack, Refusal>,
    },
    /// An event for everyone on its topics, once for each connection.
    Publish(Publication),
    /// As `Publish` of an entry, but these users get a void in its place: it is about an earlier
    /// entry that they may not see (P7).
    Veil {
        /// The entry, and who gets it.
        publication: Box<Publication>,
        /// For whom it is a void.
        unseen: Arc<[UserId]>,
    },
    /// An event for one connection.
    Push {
        /// To whom.
        conn: ConnId,
        /// What.
        event: Event,
    },
    /// `sync`: from here on this connection gets what is published on these topics.
    Attach {
        /// Whose.
        conn: ConnId,
        /// The user's groups.
        topics: Vec<Topic>,
    },
    /// The connection is closed with this code, behind all that was queued for it before.
    Close {
        /// Whose.
        conn: ConnId,
        /// Why.
        code: CloseCode,
    },
    /// Connections of the user are closed with 4003: those of this device, or of all devices but this
    /// one.
    SignOut {
        /// Whose.
        user: UserId,
        /// Which device.
        device: DeviceId,
        /// All but that.
        others: bool,
    },
    /// What a back end gave the user, besides the roles of their tokens: the connections that they have
    /// at this moment speak with these from here on.
    Identity {
        /// Who.
        user: UserId,
        /// All that they were given.
        roles: Arc<[Box<str>]>,
    },
    /// The user became a member: their synced connections get the topic from here on.
    Join {
        /// Who.
        user: UserId,
        /// What.
        topic: Topic,
    },
    /// Nothing follows on this topic: nobody gets it from here on.
    End {
        /// What.
        topic: Topic,
    },
    /// The user is a member no more: none of their connections gets the topic from here on.
    Leave {
        /// Who.
        user: UserId,
        /// What.
        topic: Topic,
    },
}

/// An event on its way to topics.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Whose subscribers get it; a connection on several of them gets it once.
    pub topics: SmallVec<[Topic; 2]>,
    /// What.
    pub event: Event,
    /// The connection that caused it and learns of it by its reply.
    pub except: Option<ConnId>,
    /// Whether it may be dropped.
    pub class: DeliveryClass,
}

/// What may happen to an event on the way to a slow or lagging connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeliveryClass {
    /// An entry (the event says which): dropped only with a `lag`, redelivered until confirmed.
    Durable,
    /// Dropped and counted where the connection is behind (typing, receipts).
    Volatile,
}
