//! From the socket to the session: one connection's turn to read.
//!
//! Invariants: a turn reads at most [`TURN_BYTES_MAX`]; before each message it is checked whether
//! the connection may go on, so a parked connection keeps less than one read of raw bytes, and the
//! order of its commands never changes. Each decoded command leaves by [`Desk::act`].

use std::io;

use hubbub_proto::Request;
use hubbub_proto::event::Ack;
use hubbub_proto::route::Work;
use hubbub_proto::session::{Action, Signed};
use hubbub_proto::{CloseCode, Command, CommandId, Event, Refusal};
use hubbub_websocket::deflate::{Inflate, Inflater};
use hubbub_websocket::frame::pong_frame;
use hubbub_websocket::{Event as Message, Limits as FrameLimits, OpCode, ProtocolError};

use crate::compression::Compressed;
use crate::connection::{Connection, Kind, Lane, Parked, Phase};
use crate::desk::{Desk, Load};
use crate::slab::At;
use crate::transport::{Buffers, Received};

/// Bytes read from one connection before the others get their turn.
const TURN_BYTES_MAX: usize = 64 * 1024;
/// A read of fewer bytes that neither begins nor ends a frame counts like a control frame: whoever
/// sends a byte at a time makes work. A link that cuts frames in two does not make such reads.
const PIECE_BYTES: usize = 64;

/// How far a buffer was decoded.
enum Decoded {
    /// All of it, or the rest is of no interest.
    Done,
    /// The connection was parked; so many bytes are done with.
    Paused(usize),
}

/// A message that left the decoder and borrows nothing.
enum Step {
    Act(Action),
    Pong(bytes::Bytes),
    Echoed,
    Heard,
    Unsupported,
    Violation(ProtocolError),
    Closed(Option<u16>),
}

impl Desk {
    /// Reads and handles what is there, within the turn's budget.
    pub(crate) fn turn(&mut self, at: At, connection: &mut Connection) {
        connection.ready = false;
        if connection.parked.is_some() || connection.phase == Phase::Gone {
            return;
        }
        if !self.handle_stash(at, connection) {
            return;
        }
        let mut buffers = std::mem::take(&mut self.buffers);
        self.read(at, connection, &mut buffers);
        self.buffers = buffers;
        if connection.phase != Phase::Gone && connection.transport.pending() > 0 {
            // TLS has something to say.
            self.outbox(at, &mut connection.outbox, &mut connection.dirty);
        }
    }

    /// Decodes what was kept; false when the connection is parked again.
    fn handle_stash(&mut self, at: At, connection: &mut Connection) -> bool {
        let Some(rare) = &mut connection.rare else { return true };
        if rare.stash.is_empty() {
            return true;
        }
        let mut stash = std::mem::take(&mut rare.stash);
        let start = std::mem::take(&mut rare.stash_at);
        match self.decode(at, connection, &mut stash[start..]) {
            Decoded::Paused(consumed) => {
                let rare = connection.rare();
                rare.stash = stash;
                rare.stash_at = start + consumed;
                false
            }
            Decoded::Done => {
                // The device that the request named is kept until `auth` took it.
                if connection.phase == Phase::Open
                    && connection.rare.as_ref().is_some_and(|rare| rare.device.is_none())
                {
                    connection.rare = None;
                }
                true
            }
        }
    }

    fn read(&mut self, at: At, connection: &mut Connection, buffers: &mut Buffers) {
        let mut budget = TURN_BYTES_MAX;
        while connection.phase != Phase::Gone {
            if connection.phase == Phase::Open
                && let Some(why) = self.blocked(connection)
            {
                return self.park(at, connection, why);
            }
            if budget == 0 {
                return self.push_ready(at, connection);
            }
            match connection.transport.receive(buffers) {
                Ok(Received::End { truncated }) => {
                    let open = connection.phase == Phase::Open;
                    self.stats.tls_truncated.add(u64::from(truncated && open));
                    return self.on_end(at, connection);
                }
                Ok(Received::Bytes { bytes, read, more }) => {
                    budget = budget.saturating_sub(read);
                    self.stats.bytes_in.add(read as u64);
                    let frames_before = self.stats.frames_in.get();
                    let is_piece = bytes.len() < PIECE_BYTES && connection.decoder.held_bytes() > 0;
                    if connection.phase == Phase::Open
                        && let Decoded::Paused(consumed) = self.decode(at, connection, bytes)
                    {
                        connection.rare().stash = bytes[consumed..].to_vec();
                        return;
                    }
                    if is_piece && self.stats.frames_in.get() == frames_before {
                        self.count_chatter(at, connection);
                    }
                    if !more && !connection.peer_done {
                        // The socket is empty, and the next byte brings a new event.
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    let is_tls = error.kind() == io::ErrorKind::InvalidData;
                    self.stats.tls_failures.add(u64::from(is_tls));
                    return self.lose(at, connection);
                }
            }
        }
    }

    /// The peer has closed its direction.
    fn on_end(&mut self, at: At, connection: &mut Connection) {
        connection.peer_done = true;
        match connection.phase {
            Phase::Open => self.lose(at, connection),
            // The close frame may still get through; the deadline bounds it.
            Phase::Closing => {}
            Phase::Lingering => self.drop_connection(at, connection),
            Phase::Gone => {}
        }
    }

    /// The peer is alive.
    fn heard(&mut self, connection: &mut Connection) {
        let heard_by = self.now.plus_ms(self.silence_ms());
        match &mut connection.kind {
            Kind::Session { session, .. } => session.heard(),
            Kind::Echo(echo) => echo.heard_by = heard_by,
            Kind::Refused => {}
        }
    }

    /// Something came that is no message and no part of the rate. Conformance suites may chatter.
    fn count_chatter(&mut self, at: At, connection: &mut Connection) {
        let max = self.limits.control_frames_per_second;
        if matches!(connection.kind, Kind::Session { .. })
            && connection.phase == Phase::Open
            && connection.chatter.is_too_much(self.now, max)
        {
            self.stats.floods.add(1);
            self.close(at, connection, CloseCode::RateLimited);
        }
    }

    /// Why the next message must wait, if it must.
    fn blocked(&self, connection: &Connection) -> Option<Parked> {
        if self.stopped {
            return Some(Parked::Stopped);
        }
        if connection.outbox.is_some() && self.load(connection) >= Load::High {
            return Some(Parked::Outbox);
        }
        match &connection.kind {
            Kind::Session { session, .. } if session.window_is_full(&self.limits) => {
                Some(Parked::Window)
            }
            Kind::Session { session, .. } if self.upstream_full && session.is_open() => {
                Some(Parked::Upstream)
            }
            _ => None,
        }
    }

    fn decode(&mut self, at: At, connection: &mut Connection, buffer: &mut [u8]) -> Decoded {
        let mut consumed = 0;
        while connection.phase == Phase::Open {
            if consumed < buffer.len()
                && let Some(why) = self.blocked(connection)
            {
                self.park(at, connection, why);
                return Decoded::Paused(consumed);
            }
            let (used, step) = self.next_step(at, connection, &mut buffer[consumed..]);
            consumed += used;
            let Some(step) = step else { return Decoded::Done };
            self.stats.frames_in.add(1);
            self.heard(connection);
            match step {
                Step::Heard => self.count_chatter(at, connection),
                Step::Act(action) => self.act(at, connection, action),
                Step::Pong(frame) => {
                    self.count_chatter(at, connection);
                    self.outbox(at, &mut connection.outbox, &mut connection.dirty).push_pong(frame);
                    self.sent(at, connection);
                }
                Step::Echoed => self.sent(at, connection),
                Step::Unsupported => self.close(at, connection, CloseCode::Unsupported),
                Step::Violation(error) => self.close_violation(at, connection, error),
                Step::Closed(code) => self.close_answered(at, connection, code),
            }
        }
        Decoded::Done
    }

    /// Decodes one message and turns it into something that does not borrow the buffer.
    fn next_step(
        &mut self,
        at: At,
        connection: &mut Connection,
        buffer: &mut [u8],
    ) -> (usize, Option<Step>) {
        let frame_limits = match &connection.kind {
            Kind::Echo(echo) => echo.limits,
            Kind::Session { .. } | Kind::Refused => FrameLimits {
                message_bytes_max: self.limits.message_bytes_max as usize,
                fragments_max: self.limits.fragments_max,
            },
        };
        if connection.compressed.is_none() {
            return self.next_message(at, connection, buffer, &frame_limits, &mut Inflater::new());
        }
        // Taken out, because what it inflates is lent out while the desk is worked with.
        let mut inflater = std::mem::take(&mut self.inflater);
        let before = inflater.totals();
        let outcome = self.next_message(at, connection, buffer, &frame_limits, &mut inflater);
        let after = inflater.totals();
        self.inflater = inflater;
        self.stats.compressed_in.add(after.messages - before.messages);
        self.stats.compressed_in_bytes.add(after.compressed_bytes - before.compressed_bytes);
        self.stats.compressed_in_plain_bytes.add(after.plain_bytes - before.plain_bytes);
        outcome
    }

    fn next_message(
        &mut self,
        at: At,
        connection: &mut Connection,
        buffer: &mut [u8],
        frame_limits: &FrameLimits,
        inflater: &mut Inflater,
    ) -> (usize, Option<Step>) {
        let outcome = match &mut connection.compressed {
            None => connection.decoder.next(buffer, frame_limits),
            Some(Compressed { contexts, .. }) => {
                let history = contexts.as_mut().and_then(|contexts| contexts.theirs.as_mut());
                let inflate = Inflate { inflater, history };
                connection.decoder.next_inflating(buffer, frame_limits, inflate)
            }
        };
        let step = match outcome {
            Ok(step) => step,
            Err(error) => return (0, Some(Step::Violation(error))),
        };
        let Some(message) = step.event else { return (step.consumed, None) };
        let lane = Lane {
            outbox: &mut connection.outbox,
            dirty: &mut connection.dirty,
            compressed: connection.compressed.as_mut(),
        };
        let next = match (message, &mut connection.kind) {
            (Message::Ping(payload), _) => pong_frame(payload).map_or(Step::Heard, Step::Pong),
            (Message::Pong(_), _) => Step::Heard,
            (Message::Close { code, .. }, _) => Step::Closed(code),
            (Message::Text(text), Kind::Session { session, codec }) => {
                let decoded = codec.decode(text.as_bytes(), &self.limits);
                Step::Act(session.on_message(decoded, self.now, &self.limits))
            }
            (Message::Binary(_), Kind::Session { .. }) | (_, Kind::Refused) => Step::Unsupported,
            (Message::Text(text), Kind::Echo(_)) => {
                self.push_own(at, lane, OpCode::Text, text.len(), |out| {
                    out.extend_from_slice(text.as_bytes());
                });
                Step::Echoed
            }
            (Message::Binary(bytes), Kind::Echo(_)) => {
                self.push_own(at, lane, OpCode::Binary, bytes.len(), |out| {
                    out.extend_from_slice(bytes);
                });
                Step::Echoed
            }
        };
        (step.consumed, Some(next))
    }

    /// Does what the session decided.
    fn act(&mut self, at: At, connection: &mut Connection, action: Action) {
        match action {
            Action::Nothing => {}
            Action::Reply { id, outcome } => {
                if let Err(refusal) = &outcome {
                    self.stats.refused_here(refusal.reason);
                }
                self.send_reply(at, connection, id.as_ref(), &outcome);
            }
            Action::Pong { id } => {
                self.send_event(at, connection, &Event::Pong);
                self.ack(at, connection, id.as_ref());
            }
            Action::Forward { id, command } => {
                let identity = connection.session().and_then(|session| session.identity().cloned());
                let Some(identity) = identity else { return };
                tracing::trace!(
                    connection = %self.conn_id(at),
                    user = %identity.user,
                    command = id.as_ref().map(CommandId::as_str),
                    kind = command.type_name(),
                    "handed up"
                );
                // A confirmation may begin a redelivery anew that had been given up.
                let confirms = matches!(command, Command::Received(_) | Command::Read(_));
                if confirms && connection.session().is_some_and(|s| s.unconfirmed() > 0) {
                    self.schedule(at, connection);
                }
                self.hand_up(at, identity, Work::Command { id, command });
            }
            Action::Live { id, command } => self.live(at, connection, id.as_ref(), command),
            Action::Authenticate { id, token, device } => {
                let (asked, kind, name) = match device {
                    Some(device) => (Some(device.id), device.kind, device.name),
                    None => {
                        (connection.rare.as_ref().and_then(|rare| rare.device.clone()), None, None)
                    }
                };
                let mut outcome = self.upstream.authenticate(&token, asked.as_ref());
                if let Ok(identity) = &mut outcome {
                    identity.change_rare(|rare| {
                        // What the token says wins.
                        rare.device_kind = rare.device_kind.take().or(kind);
                        rare.device_name = rare.device_name.take().or(name);
                    });
                }
                let phase = self.ping_phase();
                let (now, limits) = (self.now, self.limits);
                let Some(session) = connection.session() else { return };
                match session.sign_in(outcome, phase, now, &limits) {
                    Signed::Opened => {
                        connection.rare = None;
                        self.open_session(at, connection);
                        self.ack(at, connection, id.as_ref());
                    }
                    Signed::Renewed => {
                        if let Some(identity) = session.identity().cloned() {
                            self.hand_up(at, identity, Work::Renewed);
                        }
                        self.ack(at, connection, id.as_ref());
                        self.schedule(at, connection);
                    }
                    Signed::Refused { refusal, close } => {
                        self.refuse(at, connection, id.as_ref(), refusal);
                        if let Some(code) = close {
                            self.close(at, connection, code);
                        }
                    }
                }
            }
            Action::Close { code, id, refusal } => {
                self.refuse(at, connection, id.as_ref(), refusal);
                self.close(at, connection, code);
            }
        }
    }

    fn ack(&mut self, at: At, connection: &mut Connection, id: Option<&CommandId>) {
        if id.is_some() {
            self.send_reply(at, connection, id, &Ok(Ack::Done));
        }
    }

    fn refuse(
        &mut self,
        at: At,
        connection: &mut Connection,
        id: Option<&CommandId>,
        refusal: Refusal,
    ) {
        self.stats.refused_here(refusal.reason);
        self.send_reply(at, connection, id, &Err(refusal));
    }

    /// Stops decoding for good. Answers what the upstream could not take any more.
    pub(crate) fn stop(&mut self) -> Vec<Request> {
        self.stopped = true;
        self.submit();
        self.upstream_full = false;
        self.batch.drain(..).collect()
    }
}
