//! What a shard works with besides the connections: tables, lists, counters, and the life of one
//! connection between opening and removal.
//!
//! The methods here and in `reading` and `delivery` get the desk and one connection; whatever
//! concerns a second connection is put on a list that the shard works through afterwards.

use std::collections::VecDeque;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hubbub_proto::command::HISTORY_LIMIT_MAX;
use hubbub_proto::event::{AnnouncedLimits, Connected, Lag};
use hubbub_proto::limits::Limits;
use hubbub_proto::session::Due;
use hubbub_proto::{CloseCode, ConnId, Event, Request, Timestamp};
use hubbub_websocket::{ProtocolError, close};

use crate::client_id::ClientIds;
use crate::connection::{Connection, Kind, Parked, Phase};
use crate::hub::{Announce, Clock};
use crate::inbox::{Inbox, Post};
use crate::outbox::{Flushed, Outbox};
use crate::slab::At;
use crate::stats::ShardStats;
use crate::topics::Topics;
use crate::upstream::Upstream;
use crate::wheel::Wheel;

/// Empty outboxes kept for the next tick.
const POOL_MAX: usize = 1024;
/// Requests gathered before the upstream is asked to take them.
pub(crate) const BATCH_MAX: usize = 512;
/// Bytes waiting on an echo connection above which nothing is read from it.
const ECHO_OUTBOX_BYTES: usize = 512 * 1024;

/// What all shards of a hub share.
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) announce: Announce,
    pub(crate) clock: Clock,
    pub(crate) inboxes: Arc<[Inbox]>,
    /// How many sessions were opened.
    pub(crate) opened: AtomicU64,
}

pub(crate) struct Desk {
    pub(crate) shard: u16,
    pub(crate) settings: Arc<Settings>,
    pub(crate) limits: Limits,
    pub(crate) upstream: Arc<dyn Upstream>,
    pub(crate) stats: Arc<ShardStats>,
    pub(crate) now: Timestamp,
    pub(crate) topics: Topics,
    pub(crate) wheel: Wheel,
    pub(crate) ids: ClientIds,
    #[expect(clippy::vec_box, reason = "the boxes themselves go to the connections and come back")]
    pool: Vec<Box<Outbox>>,
    /// Connections with something to write in this tick.
    pub(crate) dirty: Vec<At>,
    /// Connections that may have something to read.
    pub(crate) ready: VecDeque<At>,
    /// Connections to be removed.
    pub(crate) gone: Vec<At>,
    /// Sessions that were opened in this tick.
    pub(crate) opened: Vec<At>,
    /// Requests on their way up.
    pub(crate) batch: VecDeque<Request>,
    /// The upstream left something in the batch.
    pub(crate) upstream_full: bool,
    /// Parked for the upstream, first come first.
    pub(crate) waiting: VecDeque<At>,
    /// The server is shutting down: nothing is decoded any more.
    pub(crate) stopped: bool,
    /// The buffer that all reads go into.
    pub(crate) buffer: Vec<u8>,
    due: Vec<Due>,
}

/// How full an outbox is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Load {
    /// Below a quarter.
    Low,
    Middle,
    /// Above half.
    High,
    /// Above the limit.
    Over,
}

impl Desk {
    pub(crate) fn new(
        shard: u16,
        settings: Arc<Settings>,
        upstream: Arc<dyn Upstream>,
        stats: Arc<ShardStats>,
    ) -> Self {
        let now = (settings.clock)();
        Self {
            shard,
            limits: settings.limits,
            settings,
            upstream,
            stats,
            now,
            topics: Topics::default(),
            wheel: Wheel::new(now),
            ids: ClientIds::default(),
            pool: Vec::new(),
            dirty: Vec::new(),
            ready: VecDeque::new(),
            gone: Vec::new(),
            opened: Vec::new(),
            batch: VecDeque::new(),
            upstream_full: false,
            waiting: VecDeque::new(),
            stopped: false,
            buffer: Vec::new(),
            due: Vec::new(),
        }
    }

    pub(crate) fn conn_id(&self, at: At) -> ConnId {
        ConnId { shard: self.shard, slot: at.slot, generation: at.generation }
    }

    /// The session has an identity now: announce it and put it into the tables.
    pub(crate) fn open_session(&mut self, at: At, connection: &mut Connection) {
        let Kind::Session { session, .. } = &connection.kind else { return };
        let Some(identity) = session.identity().cloned() else { return };
        connection.opened = self.settings.opened.fetch_add(1, Ordering::Relaxed) + 1;
        self.topics.sign_in(&identity.user, at.slot);
        self.stats.sessions.add(1);
        let limits = &self.limits;
        let connected = Event::Connected(Box::new(Connected {
            client_id: self.ids.next(),
            user: identity.user.clone(),
            name: identity.name.clone(),
            device: identity.device.clone(),
            epoch: self.settings.announce.epoch.clone(),
            heartbeat_ms: limits.ping_interval_ms.into(),
            limits: AnnouncedLimits {
                commands_in_flight: limits.commands_in_flight_max.into(),
                commands_per_second: limits.commands_per_second,
                message_bytes: limits.message_bytes_max,
                content_depth: limits.content_depth_max,
                dedupe_window_ms: self.settings.announce.dedupe_window_ms,
                history_entries: HISTORY_LIMIT_MAX,
            },
            server: self.settings.announce.server,
            expires_at: identity.expires_at,
        }));
        self.send_event(at, connection, &connected);
        if identity.device_named {
            self.opened.push(at);
            for (shard, inbox) in self.settings.inboxes.iter().enumerate() {
                if shard != usize::from(self.shard) {
                    inbox.post(Post::Replace {
                        user: identity.user.clone(),
                        device: identity.device.clone(),
                        opened: connection.opened,
                    });
                }
            }
        }
        self.schedule(at, connection);
    }

    /// A number that spreads the pings of sessions opened in a row over the interval.
    pub(crate) fn ping_phase(&self) -> u32 {
        let opened = self.settings.opened.load(Ordering::Relaxed);
        (opened.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
    }

    /// Takes a connection out of the tables; nothing is delivered to it any more.
    fn leave(&mut self, at: At, connection: &mut Connection) {
        self.topics.unsubscribe_all(at.slot, &mut connection.topics);
        let Kind::Session { session, .. } = &mut connection.kind else { return };
        if session.is_open() {
            self.stats.sessions.set(self.stats.sessions.get().saturating_sub(1));
            if let Some(identity) = session.identity() {
                self.topics.sign_out(&identity.user, at.slot);
            }
        }
        session.close();
    }

    /// Closes with a code of ours: the frame goes out behind what waits.
    pub(crate) fn close(&mut self, at: At, connection: &mut Connection, code: CloseCode) {
        if connection.phase == Phase::Open {
            self.stats.closed(code);
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
        connection.parked = None;
        connection.lagging = false;
        let close_by = self.now.plus_ms(self.limits.linger_ms.into());
        *connection.rare() = crate::connection::Rare { close_by, ..Default::default() };
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

    pub(crate) fn push_ready(&mut self, at: At, connection: &mut Connection) {
        if !connection.ready {
            connection.ready = true;
            self.ready.push_back(at);
        }
    }

    /// Stops reading and keeps what was read already.
    pub(crate) fn park(&mut self, at: At, connection: &mut Connection, why: Parked) {
        connection.parked = Some(why);
        self.stats.parked.add(1);
        if why == Parked::Upstream {
            self.waiting.push_back(at);
        }
    }

    /// Goes on with a connection parked for this reason.
    pub(crate) fn unpark(&mut self, at: At, connection: &mut Connection, why: Parked) {
        if connection.parked == Some(why) {
            connection.parked = None;
            let (now, limits) = (self.now, self.limits);
            if let Some(session) = connection.session() {
                session.unparked(now, &limits);
            }
            self.push_ready(at, connection);
        }
    }

    /// The outbox of a connection that has something to write in this tick.
    pub(crate) fn outbox<'c>(
        &mut self,
        at: At,
        outbox: &'c mut Option<Box<Outbox>>,
        dirty: &mut bool,
    ) -> &'c mut Outbox {
        if !*dirty {
            *dirty = true;
            self.dirty.push(at);
        }
        outbox.get_or_insert_with(|| self.pool.pop().unwrap_or_default())
    }

    pub(crate) fn load(&self, connection: &Connection) -> Load {
        let Some(outbox) = &connection.outbox else { return Load::Low };
        let (bytes_max, frames_max) = match connection.kind {
            Kind::Session { .. } | Kind::Refused => {
                (self.limits.outbox_bytes_max as usize, self.limits.outbox_frames_max as usize)
            }
            Kind::Echo(_) => (ECHO_OUTBOX_BYTES, usize::MAX),
        };
        let level = |value: usize, max: usize| match value {
            _ if value > max => Load::Over,
            _ if value > max / 2 => Load::High,
            _ if value >= max / 4 => Load::Middle,
            _ => Load::Low,
        };
        level(outbox.bytes(), bytes_max).max(level(outbox.frames(), frames_max))
    }

    /// Writes what waits, as far as the socket takes it.
    pub(crate) fn flush(&mut self, at: At, connection: &mut Connection) {
        if connection.phase == Phase::Gone {
            return;
        }
        if let Some(outbox) = &mut connection.outbox {
            let before = outbox.bytes();
            let flushed = outbox.flush(&mut connection.stream, self.now);
            self.stats.flushes.add(1);
            self.stats.bytes_out.add(before.saturating_sub(outbox.bytes()) as u64);
            match flushed {
                Ok(Flushed::All) => self.flushed(at, connection),
                Ok(Flushed::Blocked) => self.schedule(at, connection),
                Err(_) => return self.lose(at, connection),
            }
        }
        if (connection.parked == Some(Parked::Outbox) || connection.lagging)
            && self.load(connection) == Load::Low
        {
            self.unpark(at, connection, Parked::Outbox);
            if std::mem::take(&mut connection.lagging) {
                self.stats.lags.add(1);
                let lag = Event::Lag(Lag { conversation: None, head: None });
                self.send_event(at, connection, &lag);
            }
        }
    }

    fn flushed(&mut self, at: At, connection: &mut Connection) {
        if let Some(outbox) = connection.outbox.take()
            && outbox.is_reusable()
            && self.pool.len() < POOL_MAX
        {
            self.pool.push(outbox);
        }
        if connection.phase == Phase::Closing {
            // Closing a socket with unread input would send RST and destroy the close frame, so
            // only our direction ends here.
            if connection.stream.shutdown(Shutdown::Write).is_err() {
                return self.drop_connection(at, connection);
            }
            connection.phase = Phase::Lingering;
            self.push_ready(at, connection);
        }
    }

    /// How long the socket of a reader that is behind may take nothing.
    fn stall_ms(&self) -> u64 {
        u64::from(self.limits.ping_interval_ms) + u64::from(self.limits.pong_timeout_ms)
    }

    /// Files the connection under its next deadline, unless an earlier entry is there.
    pub(crate) fn schedule(&mut self, at: At, connection: &mut Connection) {
        let mut next = match connection.phase {
            Phase::Gone => None,
            Phase::Closing | Phase::Lingering => connection.rare.as_ref().map(|rare| rare.close_by),
            Phase::Open => match &connection.kind {
                Kind::Session { session, .. } => session.next_deadline(&self.limits),
                Kind::Echo(_) | Kind::Refused => None,
            },
        };
        if let Some(outbox) = &connection.outbox
            && let Some(since) = outbox.blocked_since()
        {
            let stalled = since.plus_ms(self.stall_ms());
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
        if connection.wheel_second != second {
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
                if blocked.is_some_and(|since| self.now >= since.plus_ms(self.stall_ms())) {
                    self.close_slow(at, connection);
                } else {
                    self.on_session_deadline(at, connection);
                }
            }
        }
        self.schedule(at, connection);
    }

    fn on_session_deadline(&mut self, at: At, connection: &mut Connection) {
        let parked = connection.parked.is_some() || self.upstream_full || self.stopped;
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
                        self.batch.push_back(Request { conn: self.conn_id(at), identity, work });
                    }
                }
            }
        }
        self.due = due;
    }

    /// Hands up what was gathered.
    pub(crate) fn submit(&mut self) {
        let before = self.batch.len();
        if before > 0 {
            self.upstream.submit(&mut self.batch);
            self.stats.commands.add(before.saturating_sub(self.batch.len()) as u64);
        }
        self.upstream_full = !self.batch.is_empty();
    }
}
