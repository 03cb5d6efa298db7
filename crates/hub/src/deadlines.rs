//! What time does to a connection: heartbeats, ends of tokens, redeliveries, stalls, lingering.
//!
//! Invariant: a connection has at most one entry in the wheel that counts, and it comes no later
//! than its next deadline; entries that do not count are ignored when they come up.

use hubbub_proto::session::Due;
use hubbub_proto::{CloseCode, Timestamp};

use crate::connection::{Connection, Kind, Phase};
use crate::desk::Desk;
use crate::slab::At;

impl Desk {
    /// How long nothing may be heard of a peer: on an echo connection, and from the socket of a
    /// reader that is behind.
    pub(crate) fn silence_ms(&self) -> u64 {
        u64::from(self.limits.ping_interval_ms) + u64::from(self.limits.pong_timeout_ms)
    }

    /// Files the connection under its next deadline, unless an earlier entry is there.
    pub(crate) fn schedule(&mut self, at: At, connection: &mut Connection) {
        let mut next = match connection.phase {
            Phase::Gone => None,
            Phase::Closing | Phase::Lingering => connection.rare.as_ref().map(|rare| rare.close_by),
            Phase::Open => match &connection.kind {
                Kind::Session { session, .. } => session.next_deadline(&self.limits),
                Kind::Echo(echo) => Some(echo.heard_by),
                Kind::Refused => None,
            },
        };
        if let Some(outbox) = &connection.outbox
            && let Some(since) = outbox.blocked_since()
        {
            let stalled = since.plus_ms(self.silence_ms());
            next = Some(next.map_or(stalled, |next| next.min(stalled)));
        }
        if let Some(next) = next {
            self.schedule_at(at, connection, next);
        }
    }

    pub(crate) fn schedule_at(&mut self, at: At, connection: &mut Connection, next: Timestamp) {
        let second = self.wheel.second_for(next);
        if connection.wheel_second == 0 || second < connection.wheel_second {
            connection.wheel_second = second;
            self.wheel.insert(second, at);
        }
    }

    /// The wheel brought this connection up.
    pub(crate) fn on_deadline(&mut self, at: At, connection: &mut Connection, second: u32) {
        // After a leap of the clock an entry comes up under a later second than its own.
        if connection.wheel_second == 0 || connection.wheel_second > second {
            return;
        }
        connection.wheel_second = 0;
        match connection.phase {
            Phase::Gone => return,
            Phase::Closing | Phase::Lingering => {
                if connection.rare.as_ref().is_none_or(|rare| self.now >= rare.close_by) {
                    self.drop_connection(at, connection);
                    return;
                }
            }
            Phase::Open => {
                let blocked = connection.outbox.as_ref().and_then(|outbox| outbox.blocked_since());
                if blocked.is_some_and(|since| self.now >= since.plus_ms(self.silence_ms())) {
                    self.close_slow(at, connection);
                } else {
                    self.on_session_deadline(at, connection);
                }
            }
        }
        self.schedule(at, connection);
    }

    fn on_session_deadline(&mut self, at: At, connection: &mut Connection) {
        // A ping that waits behind other frames cannot be answered in time: a reader that is behind
        // is judged by what its socket takes.
        let is_behind =
            connection.outbox.as_ref().is_some_and(|outbox| outbox.blocked_since().is_some());
        let parked = is_behind || connection.parked.is_some() || self.upstream_full || self.stopped;
        let silence_ms = self.silence_ms();
        if let Kind::Echo(echo) = &mut connection.kind {
            if parked {
                echo.heard_by = self.now.plus_ms(silence_ms);
            } else if self.now >= echo.heard_by {
                self.close(at, connection, CloseCode::PongTimeout);
            }
        }
        let Kind::Session { session, .. } = &mut connection.kind else { return };
        let mut due = std::mem::take(&mut self.due);
        session.on_deadline(self.now, &self.limits, parked, &mut due);
        let identity = session.identity().cloned();
        for due in due.drain(..) {
            match due {
                Due::Send(event) => self.send_event(at, connection, &event),
                Due::Close(code) => self.close(at, connection, code),
                Due::Submit(work) => {
                    if let Some(identity) = identity.clone() {
                        self.stats.redeliveries.add(1);
                        self.hand_up(at, identity, work);
                    }
                }
            }
        }
        self.due = due;
    }
}
