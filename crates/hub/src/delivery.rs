//! From the hub to the socket: what goes into an outbox, and what is dropped on the way.
//!
//! The policy for a connection that does not read: volatile events are dropped as soon as
//! something could not be written; entries above half an outbox, and the client is told with one
//! `lag` once the outbox has drained below a quarter (what was dropped lies before the `lag`, so
//! nothing can fall behind it); replies and the session's own events never, but above half an
//! outbox nothing more is read from that connection, and above the limit it is closed with 4008.
//! Where the shard itself was behind and published entries were dropped before they got here, all
//! its sessions are told in the same way, after what came before those entries; where a redelivery
//! was dropped, its connection alone.

use hubbub_proto::codec::Codec;
use hubbub_proto::event::Ack;
use hubbub_proto::route::DeliveryClass;
use hubbub_proto::{CommandId, Event, Refusal};

use crate::compression::Compressed;
use crate::connection::{Connection, Kind, Parked, Phase};
use crate::desk::{Desk, Load};
use crate::frame::{Broadcast, len_hint, opcode};
use crate::slab::At;

/// Bytes that a reply takes, for most of them.
const REPLY_LEN_HINT: usize = 240;
/// Bytes that an ack takes that says nothing: a hint that is right about the length of the frame's
/// header saves moving the payload.
const DONE_LEN_HINT: usize = 100;

impl Desk {
    /// Sends an event that is never dropped.
    pub(crate) fn send_event(&mut self, at: At, connection: &mut Connection, event: &Event) {
        let Some(codec) = codec_of(connection) else { return };
        let now = self.now;
        self.push_own(at, connection.lane(), opcode(codec), len_hint(event), |out| {
            codec.encode_event(event, now, out);
        });
        self.sent(at, connection);
    }

    /// Sends a reply.
    pub(crate) fn send_reply(
        &mut self,
        at: At,
        connection: &mut Connection,
        id: Option<&CommandId>,
        outcome: &Result<Ack, Refusal>,
    ) {
        let Some(codec) = codec_of(connection) else { return };
        let now = self.now;
        if let Err(refusal) = outcome {
            self.stats.refused(refusal.reason);
            // Its detail may quote what the client sent.
            tracing::debug!(
                connection = %self.conn_id(at),
                command = id.map(CommandId::as_str),
                reason = refusal.reason.slug(),
                "refused"
            );
        }
        let len_hint =
            if matches!(outcome, Ok(Ack::Done)) { DONE_LEN_HINT } else { REPLY_LEN_HINT };
        self.push_own(at, connection.lane(), opcode(codec), len_hint, |out| {
            codec.encode_reply(id, outcome, now, out);
        });
        self.sent(at, connection);
    }

    /// The reply to a forwarded command came: it frees a place, and is sent if somebody waits.
    pub(crate) fn on_reply(
        &mut self,
        at: At,
        connection: &mut Connection,
        id: Option<&CommandId>,
        outcome: &Result<Ack, Refusal>,
    ) {
        if connection.phase != Phase::Open {
            return;
        }
        if let Ok(Ack::Written(written)) = outcome {
            tracing::trace!(
                connection = %self.conn_id(at),
                command = id.map(CommandId::as_str),
                conversation = %written.conversation,
                seq = written.seq,
                message_id = written.message_id,
                "written"
            );
        }
        let limits = self.limits;
        let Some(session) = connection.session() else { return };
        session.replied();
        if session.window_has_room(&limits) {
            self.unpark(at, connection, Parked::Window);
        }
        if id.is_some() || outcome.is_err() {
            self.send_reply(at, connection, id, outcome);
        }
    }

    /// Gives a publication to one subscriber.
    pub(crate) fn deliver(&mut self, at: At, connection: &mut Connection, broadcast: &Broadcast) {
        let Some(codec) = codec_of(connection) else { return };
        let publication = broadcast.publication();
        if !self.admits(at, connection, publication.class) {
            return;
        }
        let frame = match &mut connection.compressed {
            None => broadcast.frame(codec, self.now).clone(),
            Some(compressed) if compressed.keeps_context() => {
                let frame = broadcast.frame(codec, self.now);
                self.packer.own_bytes(frame, compressed)
            }
            Some(Compressed { window, .. }) => {
                broadcast.compressed(codec, self.now, *window, &mut self.packer)
            }
        };
        self.outbox(at, &mut connection.outbox, &mut connection.dirty).push_shared(frame);
        self.stats.deliveries.add(1);
        self.delivered(at, connection, &publication.event);
        self.sent(at, connection);
    }

    /// Gives an event to one connection: entries and presence as if published, all others without
    /// fail.
    pub(crate) fn push(&mut self, at: At, connection: &mut Connection, event: &Event) {
        let class = match event {
            Event::Entry(_) | Event::Void(_) => Some(DeliveryClass::Durable),
            Event::OnlineStatus(_) => Some(DeliveryClass::Volatile),
            _ => None,
        };
        if connection.phase != Phase::Open
            || class.is_some_and(|class| !self.admits(at, connection, class))
        {
            return;
        }
        self.delivered(at, connection, event);
        self.send_event(at, connection, event);
    }

    /// Whether an event of this class may be added to the connection's outbox.
    fn admits(&mut self, at: At, connection: &mut Connection, class: DeliveryClass) -> bool {
        let is_blocked = |connection: &Connection| {
            connection.outbox.as_ref().is_some_and(|outbox| outbox.blocked_since().is_some())
        };
        match class {
            DeliveryClass::Volatile => {
                let behind = is_blocked(connection);
                self.stats.dropped_volatile.add(u64::from(behind));
                !behind
            }
            DeliveryClass::Durable => {
                if !connection.lagging && self.load(connection) >= Load::High {
                    if !is_blocked(connection) {
                        self.flush(at, connection);
                    }
                    connection.lagging = self.load(connection) >= Load::High;
                }
                self.stats.dropped_lagging.add(u64::from(connection.lagging));
                !connection.lagging && connection.phase == Phase::Open
            }
        }
    }

    /// Entries for this connection were dropped before they got here: it has to pull.
    pub(crate) fn lag(&mut self, at: At, connection: &mut Connection) {
        if connection.session().is_some_and(|session| session.is_open()) {
            connection.lagging = true;
            // Where nothing waits to be written, nothing else would bring up the `lag`.
            self.mark_dirty(at, &mut connection.dirty);
        }
    }

    /// Notes an entry that goes out, so that it is redelivered until confirmed.
    fn delivered(&mut self, at: At, connection: &mut Connection, event: &Event) {
        let (Event::Entry(delivered), Kind::Session { session, .. }) =
            (event, &mut connection.kind)
        else {
            return;
        };
        let entry = &delivered.entry;
        let due = session.delivered(&entry.conversation, entry.seq, self.now, &self.limits);
        if let Some(due) = due {
            self.schedule_at(at, connection, due);
        }
    }

    /// Something was added to the outbox: see that it does not grow beyond its bounds.
    pub(crate) fn sent(&mut self, at: At, connection: &mut Connection) {
        self.stats.frames_out.add(1);
        self.bound(at, connection);
    }

    /// Sees that an outbox does not grow beyond its bounds.
    pub(crate) fn bound(&mut self, at: At, connection: &mut Connection) {
        if self.load(connection) < Load::High {
            return;
        }
        if connection.outbox.as_ref().is_some_and(|outbox| outbox.blocked_since().is_none()) {
            self.flush(at, connection);
        }
        if self.load(connection) == Load::Over && matches!(connection.kind, Kind::Session { .. }) {
            self.close_slow(at, connection);
        }
    }
}

/// How an open session speaks.
pub(crate) fn codec_of(connection: &Connection) -> Option<Codec> {
    match connection.kind {
        Kind::Session { codec, .. } if connection.phase == Phase::Open => Some(codec),
        _ => None,
    }
}
