//! How a connection comes to the hub.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hubbub_proto::codec::Codec;
use hubbub_proto::{CloseCode, DeviceId, Identity};
use hubbub_websocket::close;

use crate::compression::Compressed;
use crate::transport::{Socket, Transport};

/// What the HTTP side knows about a socket that it upgrades.
pub struct Opening {
    /// What the connection is for.
    pub kind: OpeningKind,
    /// What is to be written before anything else: the answer to the upgrade, so that it leaves
    /// together with the first frame. Empty where it was written.
    pub answer: Bytes,
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
        /// What the answer to the upgrade agrees on; see [`Compression`](crate::Compression).
        compressed: Option<Compressed>,
    },
    /// A session of the native protocol whose client passes on what it gets and confirms nothing.
    Stream {
        /// From the token of the request.
        identity: Arc<Identity>,
    },
    /// Sends back what it gets.
    Echo {
        /// The longest message, in bytes.
        message_bytes_max: usize,
        /// The most fragments of a message.
        fragments_max: u32,
        /// As for a session.
        compressed: Option<Compressed>,
    },
    /// Opened only to be closed with this code, which browsers can read.
    Refused(CloseCode),
}

/// A socket on its way to a shard.
pub(crate) struct Adoption {
    pub(crate) socket: Socket,
    pub(crate) already_read: Bytes,
    pub(crate) opening: Opening,
}

impl Adoption {
    /// Closes the socket with 1001, for no shard will take it. Waits for nothing: the code may be
    /// lost to a client that has sent something already.
    pub(crate) fn turn_away(self) {
        let Self { socket, opening, .. } = self;
        let code = CloseCode::GoingAway;
        let frame = close::frame(Some(code.code()), code.reason());
        let told = Transport::new(socket).and_then(|mut transport| {
            transport.write_all(&opening.answer)?;
            transport.write_all(&frame)?;
            transport.flush()?;
            transport.shutdown_write()
        });
        if let Err(error) = told {
            tracing::debug!(%error, remote = %opening.remote, "a late socket was not told why");
        }
    }
}
