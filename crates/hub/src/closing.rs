//! How a connection ends.
//!
//! Invariant: once closing has begun, the connection stands in no table, nothing more is delivered
//! to it, and the upstream is told behind its last command. The close frame goes out behind what waits; then our direction is shut down and
//! input is discarded until its end or `linger_ms`, because closing a socket with unread input
//! sends RST, which destroys a close frame that is still on its way.

use std::io;
use std::sync::Arc;

use hubbub_proto::CloseCode;
use hubbub_proto::route::Work;
use hubbub_websocket::{ProtocolError, close};

use crate::connection::{Connection, Kind, Phase, Rare};
use crate::desk::Desk;
use crate::slab::At;

impl Desk {
    /// Takes a connection out of the tables; nothing is delivered to it any more.
    fn leave(&mut self, at: At, connection: &mut Connection) {
        let identity = connection.session().and_then(|session| session.identity().cloned());
        if let Some(identity) = identity {
            self.leave_channels(at, &identity);
        }
        self.topics.unsubscribe_all(at.slot);
        // At once, for the next subscriber of any channel may be given a row that became free.
        self.settle_emptied();
        let was_opened = connection.opened > 0;
        let Kind::Session { session, .. } = &mut connection.kind else { return };
        // A socket that came while the server stopped was never announced.
        if was_opened && session.is_open() {
            self.stats.sessions.set(self.stats.sessions.get().saturating_sub(1));
            if let Some(identity) = session.identity() {
                self.topics.sign_out(&identity.user, at.slot);
                let connection = self.conn_id(at);
                tracing::debug!(%connection, user = %identity.user, "a session has ended");
                self.hand_up(at, Arc::clone(identity), Work::Closed);
            }
        }
        session.close();
    }

    /// Closes with a code of ours: the frame goes out behind what waits.
    pub(crate) fn close(&mut self, at: At, connection: &mut Connection, code: CloseCode) {
        if connection.phase == Phase::Open {
            self.stats.closed(code);
            tracing::debug!(connection = %self.conn_id(at), code = code.code(), "closing");
            self.begin_close(at, connection, Some(code.code()), code.reason());
        }
    }

    /// Closes a reader that is too slow: what waits is dropped, so that the code gets through.
    pub(crate) fn close_slow(&mut self, at: At, connection: &mut Connection) {
        if connection.phase == Phase::Open {
            if let Some(outbox) = &mut connection.outbox {
                outbox.forget_unsent();
            }
            self.close(at, connection, CloseCode::SlowConsumer);
        }
    }

    /// Closes for a violation of RFC 6455.
    pub(crate) fn close_violation(
        &mut self,
        at: At,
        connection: &mut Connection,
        error: ProtocolError,
    ) {
        if connection.phase == Phase::Open {
            let code = error.close_code();
            if let Some(known) = CloseCode::ALL.iter().find(|known| known.code() == code) {
                self.stats.closed(*known);
            }
            self.begin_close(at, connection, Some(code), error.reason());
        }
    }

    /// Answers the client's close frame with its code.
    pub(crate) fn close_answered(
        &mut self,
        at: At,
        connection: &mut Connection,
        code: Option<u16>,
    ) {
        if connection.phase == Phase::Open {
            self.stats.closed_by_client.add(1);
            self.begin_close(at, connection, code, "");
        }
    }

    fn begin_close(
        &mut self,
        at: At,
        connection: &mut Connection,
        code: Option<u16>,
        reason: &str,
    ) {
        self.leave(at, connection);
        connection.phase = Phase::Closing;
        self.set_parked(connection, None);
        connection.lagging = false;
        let close_by = self.now.plus_ms(self.limits.linger_ms.into());
        *connection.rare() = Rare { close_by, ..Default::default() };
        self.outbox(at, &mut connection.outbox, &mut connection.dirty)
            .push_shared(close::frame(code, reason));
        self.stats.frames_out.add(1);
        // What is still coming in has to be taken off the socket.
        self.push_ready(at, connection);
        self.schedule(at, connection);
    }

    /// Ends a connection without another word.
    pub(crate) fn drop_connection(&mut self, at: At, connection: &mut Connection) {
        if connection.phase != Phase::Gone {
            self.leave(at, connection);
            connection.phase = Phase::Gone;
            self.gone.push(at);
        }
    }

    /// The socket failed, or ended without a close frame.
    pub(crate) fn lose(&mut self, at: At, connection: &mut Connection) {
        if connection.phase == Phase::Open {
            self.stats.lost.add(1);
        }
        self.drop_connection(at, connection);
    }

    /// The close frame is written: our direction ends.
    pub(crate) fn finish_close(&mut self, at: At, connection: &mut Connection) {
        if connection.phase == Phase::Closing {
            match connection.transport.shutdown_write() {
                Ok(()) => {
                    connection.phase = Phase::Lingering;
                    self.push_ready(at, connection);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // With an outbox, it is flushed and comes here again when the socket takes more.
                    self.outbox(at, &mut connection.outbox, &mut connection.dirty);
                }
                Err(_) => self.drop_connection(at, connection),
            }
        }
    }
}
