//! Names: of users, groups, conversations, channels, devices, client ids and commands.
//!
//! Invariant: a value of one of these types satisfies its rule, so nothing behind the wire checks
//! it again. JSON numbers are accepted where a name is meant and become their decimal text.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest user, group or device id, in characters.
pub const NAME_CHARS_MAX: usize = 128;
/// Longest client id and longest command id, in bytes.
pub const TOKEN_BYTES_MAX: usize = 64;

/// Why a name was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidName {
    /// Which name, such as `user id`.
    pub what: &'static str,
    /// The rule it broke.
    pub rule: &'static str,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.what, self.rule)
    }
}

impl std::error::Error for InvalidName {}

const NAME_RULE: &str = "1 to 128 characters out of A-Z a-z 0-9 . _ @ + = ~ | -";
const TOKEN_RULE: &str = "1 to 64 printable ASCII characters without spaces";

fn is_name(s: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&s.len())
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@+=~|-".contains(&b))
}

fn is_token(s: &str) -> bool {
    (1..=TOKEN_BYTES_MAX).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_graphic())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $valid:path, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and keeps `s`.
            ///
            /// # Errors
            /// When `s` breaks the rule of this name.
            pub fn new(s: &str) -> Result<Self, InvalidName> {
                if $valid(s) {
                    Ok(Self(s.into()))
                } else {
                    Err(InvalidName { what: $what, rule: $rule })
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                d.deserialize_any(Text { expecting: concat!("a ", $what), parse: Self::new })
            }
        }
    };
}

/// Reads a checked value from a string without keeping the string, or from a whole number by way
/// of its decimal text.
pub(crate) struct Text<T, E> {
    /// What it is, with its article.
    pub(crate) expecting: &'static str,
    /// The check.
    pub(crate) parse: fn(&str) -> Result<T, E>,
}

impl<T, M: fmt::Display> Visitor<'_> for Text<T, M> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: serde::de::Error>(self, s: &str) -> Result<T, E> {
        (self.parse)(s).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<T, E> {
        self.visit_str(&n.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<T, E> {
        self.visit_str(&n.to_string())
    }
}

name!(
    /// A user, as the token's `sub` names it.
    UserId, "user id", is_name, NAME_RULE
);
name!(
    /// A group, as the server names it.
    GroupId, "group id", is_name, NAME_RULE
);
name!(
    /// One client instance of a user: an installed app, or one browser tab.
    DeviceId, "device id", is_name, NAME_RULE
);
name!(
    /// The sender's own name for a command that writes an entry; the key of idempotency (P2).
    ClientId, "client id", is_token, TOKEN_RULE
);
name!(
    /// What a volatile publication is about: the newest one of each counts.
    PublicationKey, "key", is_token, TOKEN_RULE
);
name!(
    /// The client's correlation id of a command; the reply carries it.
    CommandId, "command id", is_token, TOKEN_RULE
);
name!(
    /// The name of a conversation, see [`ConversationName`] for its forms.
    ConversationId, "conversation id", is_conversation, CONVERSATION_RULE
);

// Those of pushes are left out: they are the server's to name.
const CONVERSATION_RULE: &str = "direct:USER:USER (in order) or group:GROUP";

fn is_conversation(s: &str) -> bool {
    ConversationName::parse(s).is_some()
}

/// What a conversation id says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConversationName<'a> {
    /// Between two users, `first <= second` byte by byte; the same twice is a note to oneself.
    Direct(&'a str, &'a str),
    /// A group's log.
    Group(&'a str),
    /// What is pushed to everyone, to a role or to a user.
    System(SystemName<'a>),
}

/// Whom a system conversation is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SystemName<'a> {
    /// Everyone.
    All,
    /// Everyone with this role.
    Role(&'a str),
    /// One user.
    User(&'a str),
}

impl<'a> ConversationName<'a> {
    fn parse(s: &'a str) -> Option<Self> {
        let (kind, rest) = s.split_once(':')?;
        match kind {
            "direct" => {
                let (a, b) = rest.split_once(':')?;
                (is_name(a) && is_name(b) && a <= b).then_some(Self::Direct(a, b))
            }
            "group" => is_name(rest).then_some(Self::Group(rest)),
            "system" => SystemName::parse(rest).map(Self::System),
            _ => None,
        }
    }
}

impl<'a> SystemName<'a> {
    fn parse(s: &'a str) -> Option<Self> {
        match s.split_once(':') {
            None => (s == "all").then_some(Self::All),
            Some(("role", role)) => is_name(role).then_some(Self::Role(role)),
            Some(("user", user)) => is_name(user).then_some(Self::User(user)),
            Some(_) => None,
        }
    }
}

name!(
    /// A role, as tokens name it, to which something may be pushed.
    RoleName, "role", is_name, NAME_RULE
);
name!(
    /// What sort of thing is pushed; the `type` of its event.
    PushType, "push type", is_push_type, PUSH_TYPE_RULE
);

const PUSH_TYPE_RULE: &str = "1 to 64 characters out of a-z 0-9 _, the first of them a letter, and \
                              no event of the protocol";
/// Types of pushes that the protocol names itself. The rest of its events cannot be pushed.
pub const PUSH_TYPES: [&str; 4] =
    ["notification", "order_update", "collaboration", "online_status"];
/// Longest type of a push, in bytes.
pub const PUSH_TYPE_BYTES_MAX: usize = 64;

/// Whether `s` has the form of a push's type, whatever the protocol names otherwise.
pub(crate) fn is_push_word(s: &str) -> bool {
    s.len() <= PUSH_TYPE_BYTES_MAX
        && s.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn is_push_type(s: &str) -> bool {
    PUSH_TYPES.contains(&s) || (is_push_word(s) && s != "ack" && !crate::Event::TYPES.contains(&s))
}

name!(
    /// A channel, `NAMESPACE:REST`. It needs no escapes in JSON.
    Channel, "channel", is_channel, CHANNEL_RULE
);
name!(
    /// A channel, or all whose names begin as it says: `NAMESPACE:*`, `NAMESPACE:BEGINNING*`.
    ChannelPattern, "pattern of channels", is_pattern, PATTERN_RULE
);

/// Longest name of a channel, in bytes.
pub const CHANNEL_BYTES_MAX: usize = 128;
const CHANNEL_RULE: &str = "NAMESPACE:NAME, at most 128 printable ASCII characters without spaces, \
                            quotes, asterisks and backslashes, the namespace out of a-z 0-9 _ - and \
                            none of the server's own";
const PATTERN_RULE: &str = "NAMESPACE:NAME, NAMESPACE:* or NAMESPACE:BEGINNING*";
/// What the server names itself; no application's channel begins with one of these.
const RESERVED_NAMESPACES: [&str; 9] =
    ["all", "chan", "conv", "direct", "group", "role", "room", "system", "user"];

fn is_channel(s: &str) -> bool {
    let Some((namespace, rest)) = s.split_once(':') else { return false };
    s.len() <= CHANNEL_BYTES_MAX && is_namespace(namespace) && !rest.is_empty() && is_rest(rest)
}

fn is_pattern(s: &str) -> bool {
    let beginning = s.strip_suffix('*').and_then(|beginning| beginning.split_once(':'));
    match beginning {
        Some((namespace, rest)) => {
            s.len() <= CHANNEL_BYTES_MAX && is_namespace(namespace) && is_rest(rest)
        }
        None => is_channel(s),
    }
}

fn is_rest(rest: &str) -> bool {
    rest.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'*'))
}

/// Whether channels may begin with `s` and a colon.
#[must_use]
pub fn is_namespace(s: &str) -> bool {
    !s.is_empty()
        && s.len() < CHANNEL_BYTES_MAX - 1
        && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
        && !RESERVED_NAMESPACES.contains(&s)
}

impl Channel {
    /// What comes before the colon.
    #[must_use]
    pub fn namespace(&self) -> &str {
        namespace_of(&self.0)
    }
}

impl From<Channel> for ChannelPattern {
    fn from(channel: Channel) -> Self {
        Self(channel.0)
    }
}

impl ChannelPattern {
    /// What comes before the colon.
    #[must_use]
    pub fn namespace(&self) -> &str {
        namespace_of(&self.0)
    }

    /// The channel that it stands for, where it is one.
    #[must_use]
    pub fn channel(&self) -> Option<Channel> {
        self.beginning().is_none().then(|| Channel(self.0.clone()))
    }

    /// What the names begin with, where it stands for more than one.
    #[must_use]
    pub fn beginning(&self) -> Option<&str> {
        self.0.strip_suffix('*')
    }

    /// Whether everything that `other`, a channel or a pattern, stands for is among what this
    /// stands for.
    #[must_use]
    pub fn covers(&self, other: &str) -> bool {
        match self.beginning() {
            Some(beginning) => other.strip_suffix('*').unwrap_or(other).starts_with(beginning),
            None => *self.0 == *other,
        }
    }
}

fn namespace_of(name: &str) -> &str {
    name.split_once(':').map_or("", |(namespace, _)| namespace)
}

impl ConversationId {
    /// The one conversation between `a` and `b`, whichever of them asks.
    #[must_use]
    pub fn direct(a: &UserId, b: &UserId) -> Self {
        let (a, b) = if a <= b { (a, b) } else { (b, a) };
        Self(format!("direct:{a}:{b}").into())
    }

    /// The log of `group`.
    #[must_use]
    pub fn group(group: &GroupId) -> Self {
        Self(format!("group:{group}").into())
    }

    /// What is pushed to everyone.
    #[must_use]
    pub fn all() -> Self {
        Self("system:all".into())
    }

    /// What is pushed to everyone with this role.
    #[must_use]
    pub fn role(role: &RoleName) -> Self {
        Self(format!("system:role:{role}").into())
    }

    /// What is pushed to this user.
    #[must_use]
    pub fn user(user: &UserId) -> Self {
        Self(format!("system:user:{user}").into())
    }

    /// Whether only pushes are written to it.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.0.starts_with("system:")
    }

    /// Its parts.
    #[must_use]
    pub fn name(&self) -> ConversationName<'_> {
        ConversationName::parse(&self.0).unwrap_or(ConversationName::Group(""))
    }

    /// The other side of a direct conversation, `None` for a group or where `user` takes no part.
    #[must_use]
    pub fn peer_of(&self, user: &UserId) -> Option<UserId> {
        match self.name() {
            ConversationName::Direct(a, b) if a == user.as_str() => UserId::new(b).ok(),
            ConversationName::Direct(a, b) if b == user.as_str() => UserId::new(a).ok(),
            _ => None,
        }
    }
}
