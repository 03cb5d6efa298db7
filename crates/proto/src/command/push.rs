//! What the application's own parts push: to users, to a role, to everyone.

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Content;
use crate::id::InvalidName;
use crate::{ClientId, PushType, RoleName, UserId};

/// Most users that one push may name.
pub const PUSH_USERS_MAX: usize = 1_000;

/// `push {to, type, data, durable?, expires_in_ms?, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Push {
    /// Whom it is for.
    pub to: Audience,
    /// The `type` of the event.
    #[serde(rename = "type")]
    pub kind: PushType,
    /// Any JSON, passed on as it came.
    #[serde(deserialize_with = "super::message::content")]
    pub data: Content,
    /// Whether it is kept for who is not there; it is unless this says `false`.
    #[serde(default = "yes", deserialize_with = "yes_or")]
    pub durable: bool,
    /// How long it means anything, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
    /// For a safe retry of a durable one (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

impl Push {
    /// How many it goes to by name.
    #[must_use]
    pub const fn users(&self) -> usize {
        match &self.to {
            Audience::Users(users) => users.len(),
            Audience::All | Audience::Role(_) => 0,
        }
    }

    pub(super) fn weight(&self) -> usize {
        self.data.get().len() + self.users() * 48
    }
}

const fn yes() -> bool {
    true
}

fn yes_or<'de, D: Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    Option::deserialize(d).map(|said| said.unwrap_or(true))
}

/// Whom a push is for: `all`, `role:NAME`, `user:ID`, or an array of users.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Audience {
    /// Everyone.
    All,
    /// Everyone with this role.
    Role(RoleName),
    /// These users, at least one.
    Users(Vec<UserId>),
}

const ADDRESS: InvalidName =
    InvalidName { what: "address", rule: "all, role:NAME, user:ID or an array of users" };

fn user(s: &str) -> Result<UserId, InvalidName> {
    s.strip_prefix("user:").ok_or(ADDRESS).and_then(UserId::new)
}

/// One element of the array.
struct User(UserId);

impl<'de> Deserialize<'de> for User {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(crate::id::Text { expecting: "user:ID", parse: user }).map(Self)
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Addresses;
        impl<'de> Visitor<'de> for Addresses {
            type Value = Audience;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("all, role:NAME, user:ID or an array of at most 1000 users")
            }

            fn visit_str<E: serde::de::Error>(self, s: &str) -> Result<Audience, E> {
                let audience = match (s, s.strip_prefix("role:")) {
                    ("all", _) => Ok(Audience::All),
                    (_, Some(role)) => RoleName::new(role).map(Audience::Role),
                    (_, None) => user(s).map(|user| Audience::Users(vec![user])),
                };
                audience.map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Audience, A::Error> {
                let mut users = Vec::new();
                while let Some(User(user)) = seq.next_element()? {
                    if users.len() == PUSH_USERS_MAX {
                        return Err(A::Error::custom("at most 1000 users in one command"));
                    }
                    users.push(user);
                }
                if users.is_empty() {
                    return Err(A::Error::custom("at least one user in the array"));
                }
                Ok(Audience::Users(users))
            }
        }
        d.deserialize_any(Addresses)
    }
}

impl Serialize for Audience {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let address = |user: &UserId| format!("user:{user}");
        match self {
            Self::All => s.serialize_str("all"),
            Self::Role(role) => s.collect_str(&format_args!("role:{role}")),
            Self::Users(users) => match &users[..] {
                [only] => s.serialize_str(&address(only)),
                users => s.collect_seq(users.iter().map(address)),
            },
        }
    }
}
