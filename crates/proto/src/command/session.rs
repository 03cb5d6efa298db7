//! Signing in and staying signed in.

use serde::{Deserialize, Deserializer, Serialize};

use crate::id::{InvalidName, Text};
use crate::{DeviceId, Timestamp};

/// `auth {token, device?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Auth {
    /// A JWT.
    pub token: String,
    /// The client instance; the token's `device` claim wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
}

/// The client instance that opens a session.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Device {
    /// Its id, kept over reconnects.
    pub id: DeviceId,
    /// What sort of device it is, such as `web` or `phone`.
    #[serde(default, deserialize_with = "kind", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Box<str>>,
    /// What its user calls it.
    #[serde(default, deserialize_with = "name", skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
}

/// Longest kind of a device, in bytes.
pub const DEVICE_KIND_BYTES_MAX: usize = 32;
/// Longest name of a device, in characters.
pub const DEVICE_NAME_CHARS_MAX: usize = 64;

/// Whether this may be a device's kind.
#[must_use]
pub fn is_device_kind(s: &str) -> bool {
    (1..=DEVICE_KIND_BYTES_MAX).contains(&s.len())
        && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

fn kind<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Box<str>>, D::Error> {
    const RULE: &str = "1 to 32 characters out of a-z 0-9 _ -";
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Kind(#[serde(deserialize_with = "parse")] Box<str>);
    fn parse<'de, D: Deserializer<'de>>(d: D) -> Result<Box<str>, D::Error> {
        d.deserialize_str(Text {
            expecting: "the kind of a device",
            parse: |s| {
                is_device_kind(s)
                    .then(|| s.into())
                    .ok_or(InvalidName { what: "the kind of a device", rule: RULE })
            },
        })
    }
    Ok(Option::<Kind>::deserialize(d)?.map(|kind| kind.0))
}

fn name<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Box<str>>, D::Error> {
    const RULE: &str = "1 to 64 characters, none of them a control character";
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Name(#[serde(deserialize_with = "parse")] Box<str>);
    fn parse<'de, D: Deserializer<'de>>(d: D) -> Result<Box<str>, D::Error> {
        d.deserialize_str(Text {
            expecting: "the name of a device",
            parse: |s| {
                let valid = !s.is_empty()
                    && s.len() <= 4 * DEVICE_NAME_CHARS_MAX
                    && s.chars().count() <= DEVICE_NAME_CHARS_MAX
                    && !s.chars().any(char::is_control);
                valid
                    .then(|| s.into())
                    .ok_or(InvalidName { what: "the name of a device", rule: RULE })
            },
        })
    }
    Ok(Option::<Name>::deserialize(d)?.map(|name| name.0))
}

/// `refresh {token}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Refresh {
    /// A JWT of the same user.
    pub token: String,
}

/// When a session's token ends; used by [`crate::session`].
pub type Expiry = Option<Timestamp>;
