//! How a connection comes to the hub.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use bytes::Bytes;
use hubbub_proto::codec::Codec;
use hubbub_proto::{CloseCode, DeviceId, Identity};

/// What the HTTP side knows about a socket whose upgrade it has answered.
pub struct Opening {
    /// What the connection is for.
    pub kind: OpeningKind,
    /// Who is at the other end, for the log.
    pub remote: SocketAddr,
    /// Dropped when the connection is gone.
    pub permit: Box<dyn Send>,
}

/// What a connection is for.
pub enum OpeningKind {
    /// A session of the native protocol.
    Session {
        /// How it speaks.
        codec: Codec,
        /// From the token of the request; without one, `auth` must come.
        identity: Option<Arc<Identity>>,
        /// The device that the request named, used when `auth` comes later and names none.
        device: Option<DeviceId>,
    },
    /// Sends back what it gets.
    Echo {
        /// The longest message, in bytes.
        message_bytes_max: usize,
        /// The most fragments of a message.
        fragments_max: u32,
    },
    /// Opened only to be closed with this code, which browsers can read.
    Refused(CloseCode),
}

/// A socket on its way to a shard.
pub(crate) struct Adoption {
    pub(crate) stream: TcpStream,
    pub(crate) already_read: Bytes,
    pub(crate) opening: Opening,
}
