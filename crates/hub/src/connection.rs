//! One connection: a slot that is small while idle.
//!
//! Invariant: an idle connection owns its socket, this struct, and what it shares; buffers, and
//! state that only some connections have at some time, hang on two optional boxes.

use hubbub_proto::codec::Codec;
use hubbub_proto::session::Session;
use hubbub_proto::{DeviceId, Timestamp};
use hubbub_websocket::{Decoder, Limits};

use crate::chatter::Chatter;
use crate::compression::Compressed;
use crate::outbox::Outbox;
use crate::transport::Transport;

pub(crate) struct Connection {
    pub(crate) transport: Transport,
    pub(crate) decoder: Decoder,
    pub(crate) kind: Kind,
    /// What waits to be written.
    pub(crate) outbox: Option<Box<Outbox>>,
    /// What was agreed on compression, if anything was.
    pub(crate) compressed: Option<Compressed>,
    pub(crate) rare: Option<Box<Rare>>,
    /// Its place in the order in which sessions were opened, over all shards.
    pub(crate) opened: u64,
    /// The wheel's entry that counts; 0 for none.
    pub(crate) wheel_second: u32,
    /// What came besides messages.
    pub(crate) chatter: Chatter,
    pub(crate) phase: Phase,
    pub(crate) parked: Option<Parked>,
    /// `sync` has turned on live delivery of groups.
    pub(crate) synced: bool,
    /// Entries were dropped and the client was not told yet.
    pub(crate) lagging: bool,
    /// On the ready list.
    pub(crate) ready: bool,
    /// On the list of those to be flushed in this tick.
    pub(crate) dirty: bool,
    /// The peer will send nothing more; a short read is not the end of what is there.
    pub(crate) peer_done: bool,
    /// Tells the HTTP side that the connection is gone.
    pub(crate) _permit: Box<dyn Send>,
}

pub(crate) enum Kind {
    Session { session: Session, codec: Codec },
    Echo(Echo),
    Refused,
}

/// A connection that gets back what it sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Echo {
    pub(crate) limits: Limits,
    /// When something must have come from the peer.
    pub(crate) heard_by: Timestamp,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    Open,
    /// The close frame waits to be written; input is discarded.
    Closing,
    /// Everything is written and our side is shut down; input is discarded until its end.
    Lingering,
    /// To be removed.
    Gone,
}

/// Why nothing is read from a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Parked {
    /// Its window is full.
    Window,
    /// It does not read what we write.
    Outbox,
    /// The upstream has no room.
    Upstream,
    /// The server is shutting down.
    Stopped,
}

/// What only some connections have at some time.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    /// Bytes that were read and not decoded, because the connection was parked.
    pub(crate) stash: Vec<u8>,
    /// How many bytes of the stash are done with.
    pub(crate) stash_at: usize,
    /// The device that the request named, until `auth`.
    pub(crate) device: Option<DeviceId>,
    /// When a closing connection is dropped.
    pub(crate) close_by: Timestamp,
}

/// The parts of a connection that take what is to be written.
pub(crate) struct Lane<'c> {
    pub(crate) outbox: &'c mut Option<Box<Outbox>>,
    pub(crate) dirty: &'c mut bool,
    pub(crate) compressed: Option<&'c mut Compressed>,
}

impl Connection {
    pub(crate) fn lane(&mut self) -> Lane<'_> {
        Lane {
            outbox: &mut self.outbox,
            dirty: &mut self.dirty,
            compressed: self.compressed.as_mut(),
        }
    }

    pub(crate) fn session(&mut self) -> Option<&mut Session> {
        match &mut self.kind {
            Kind::Session { session, .. } => Some(session),
            Kind::Echo(_) | Kind::Refused => None,
        }
    }

    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}
