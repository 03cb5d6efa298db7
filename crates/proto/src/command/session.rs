//! Signing in and staying signed in.

use serde::{Deserialize, Serialize};

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
}

/// `refresh {token}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Refresh {
    /// A JWT of the same user.
    pub token: String,
}

/// When a session's token ends; used by [`crate::session`].
pub type Expiry = Option<Timestamp>;
