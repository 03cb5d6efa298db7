//! What a shard works with besides the connections: tables, lists, counters.
//!
//! The methods here and in `signing_in`, `reading`, `delivery`, `deadlines` and `closing` get the
//! desk and one connection; whatever concerns a second connection is put on a list that the shard
//! works through afterwards. Here: parking, writing, and handing requests up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use hubbub_proto::event::Lag;
use hubbub_proto::limits::Limits;
use hubbub_proto::route::Work;
use hubbub_proto::session::Due;
use hubbub_proto::{ConnId, Event, Identity, Request, Timestamp, UserId};
use hubbub_websocket::OpCode;
use hubbub_websocket::deflate::Inflater;

use crate::batch::ChunkLimits;
use crate::calls::Answer;
use crate::channels::{Channels, Keeping};
use crate::client_id::ClientIds;
use crate::compression::{Compression, Packer, frame_in};
use crate::connection::{Connection, Kind, Lane, Parked, Phase};
use crate::hub::{Announce, Clock};
use crate::inbox::{Inbox, Post};
use crate::outbox::{Flushed, Outbox};
use crate::pace::Paces;
use crate::rules::Rules;
use crate::slab::At;
use crate::stats::ShardStats;
use crate::topics::Topics;
use crate::transport::Buffers;
use crate::turns::Turns;
use crate::upstream::Upstream;
use crate::wheel::Wheel;

/// Empty outboxes kept for the next tick.
const POOL_MAX: usize = 256;
/// Requests gathered before the upstream is asked to take them.
pub(crate) const BATCH_MAX: usize = 512;
/// Bytes waiting on an echo connection above which nothing is read from it.
const ECHO_OUTBOX_BYTES: usize = 512 * 1024;

/// Bytes of a channel's batch that are written at once.
const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// What all shards of a hub share.
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) announce: Announce,
    pub(crate) clock: Clock,
    pub(crate) inboxes: Arc<[Inbox]>,
    /// How many sessions were opened.
    pub(crate) opened: AtomicU64,
    pub(crate) rules: Rules,
    pub(crate) keeping: Keeping,
    pub(crate) compression: Compression,
    pub(crate) on_calm: fn(),
}

pub(crate) struct Desk {
    pub(crate) shard: u16,
    pub(crate) settings: Arc<Settings>,
    pub(crate) limits: Limits,
    pub(crate) upstream: Arc<dyn Upstream>,
    pub(crate) stats: Arc<ShardStats>,
    pub(crate) turns: Turns,
    pub(crate) now: Timestamp,
    pub(crate) topics: Topics,
    pub(crate) channels: Channels,
    /// How fast connections publish where that is bounded.
    pub(crate) paces: Paces,
    /// Records of channels that have a batch in this tick.
    pub(crate) batches: Vec<u32>,
    pub(crate) chunk_limits: ChunkLimits,
    /// Signals of this tick and their receivers.
    pub(crate) signals: Vec<(UserId, Event)>,
    /// For the other shards at the end of the tick.
    pub(crate) outgoing: Vec<Vec<Post>>,
    /// For callers without a connection at the end of the tick.
    pub(crate) answers: Vec<Answer>,
    pub(crate) wheel: Wheel,
    pub(crate) ids: ClientIds,
    #[expect(clippy::vec_box, reason = "the boxes themselves go to the connections and come back")]
    pub(crate) pool: Vec<Box<Outbox>>,
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
    /// What all reads go into.
    pub(crate) buffers: Buffers,
    /// For compressed messages, of whichever connection.
    pub(crate) inflater: Inflater,
    pub(crate) packer: Packer,
    /// A frame that is about to be compressed.
    frame: Vec<u8>,
    /// What one session's deadlines brought.
    pub(crate) due: Vec<Due>,
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
            channels: Channels::new(settings.keeping),
            paces: Paces::default(),
            batches: Vec::new(),
            chunk_limits: ChunkLimits {
                bytes: CHUNK_BYTES_MAX.min(settings.limits.outbox_bytes_max as usize / 4),
                frames: (settings.limits.outbox_frames_max / 4).max(1),
            },
            signals: Vec::new(),
            outgoing: settings.inboxes.iter().map(|_| Vec::new()).collect(),
            answers: Vec::new(),
            upstream,
            stats,
            turns: Turns::new(Instant::now()),
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
            buffers: Buffers::default(),
            inflater: Inflater::new(),
            packer: Packer::new(&settings.compression.config()),
            frame: Vec::new(),
            due: Vec::new(),
            settings,
        }
    }

    pub(crate) fn conn_id(&self, at: At) -> ConnId {
        ConnId { shard: self.shard, slot: at.slot, generation: at.generation }
    }

    pub(crate) fn inbox(&self) -> &Inbox {
        &self.settings.inboxes[usize::from(self.shard)]
    }

    pub(crate) fn push_ready(&mut self, at: At, connection: &mut Connection) {
        if !connection.ready {
            connection.ready = true;
            self.ready.push_back(at);
        }
    }

    /// Stops reading and keeps what was read already.
    pub(crate) fn park(&mut self, at: At, connection: &mut Connection, why: Parked) {
        self.set_parked(connection, Some(why));
        self.stats.parked.add(1);
        if why == Parked::Upstream {
            self.waiting.push_back(at);
        }
    }

    /// The one place where it changes whether a connection is parked.
    pub(crate) fn set_parked(&self, connection: &mut Connection, why: Option<Parked>) {
        if let Some(before) = connection.parked {
            self.stats.parked_now[before as usize].sub(1);
        }
        if let Some(why) = why {
            self.stats.parked_now[why as usize].add(1);
        }
        connection.parked = why;
    }

    /// Sees that what waits in this outbox is counted.
    pub(crate) fn recount(&self, outbox: &mut Outbox) {
        let (before, now) = outbox.recount();
        self.stats.outbox_bytes.add(now as u64);
        self.stats.outbox_bytes.sub(before as u64);
    }

    /// Goes on with a connection parked for this reason.
    pub(crate) fn unpark(&mut self, at: At, connection: &mut Connection, why: Parked) {
        if connection.parked == Some(why) {
            self.set_parked(connection, None);
            let (now, limits) = (self.now, self.limits);
            if let Some(session) = connection.session() {
                session.unparked(now, &limits);
            }
            self.push_ready(at, connection);
        }
    }

    /// The connection is to be flushed in this tick.
    pub(crate) fn mark_dirty(&mut self, at: At, dirty: &mut bool) {
        if !*dirty {
            *dirty = true;
            self.dirty.push(at);
        }
    }

    /// The outbox of a connection that has something to write in this tick.
    pub(crate) fn outbox<'c>(
        &mut self,
        at: At,
        outbox: &'c mut Option<Box<Outbox>>,
        dirty: &mut bool,
    ) -> &'c mut Outbox {
        self.mark_dirty(at, dirty);
        outbox.get_or_insert_with(|| self.pool.pop().unwrap_or_default())
    }

    /// Appends a frame for this connection alone, compressed where that was agreed on.
    pub(crate) fn push_own(
        &mut self,
        at: At,
        lane: Lane<'_>,
        opcode: OpCode,
        len_hint: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let outbox = self.outbox(at, lane.outbox, lane.dirty);
        let Some(compressed) = lane.compressed else {
            return outbox.push_own(opcode, len_hint, write);
        };
        frame_in(&mut self.frame, opcode, len_hint, write);
        outbox.push_copy(self.packer.own(&self.frame, compressed).unwrap_or(&self.frame));
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
        level(outbox.bytes() + connection.transport.pending(), bytes_max)
            .max(level(outbox.frames(), frames_max))
    }

    /// Writes what waits, as far as the socket takes it.
    pub(crate) fn flush(&mut self, at: At, connection: &mut Connection) {
        if connection.phase == Phase::Gone {
            return;
        }
        if let Some(outbox) = &mut connection.outbox {
            let before = outbox.bytes();
            let flushed = outbox.flush(&mut connection.transport, self.now);
            self.recount(outbox);
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
        self.finish_close(at, connection);
    }

    /// Gathers a request. What has no reply is in no window: it is bounded by the connections.
    pub(crate) fn hand_up(&mut self, at: At, identity: Arc<Identity>, work: Work) {
        self.batch.push_back(Request {
            conn: self.conn_id(at),
            read_at: self.turns.stamp(),
            identity,
            work,
        });
        if self.batch.len() >= BATCH_MAX && !self.upstream_full {
            self.submit();
        }
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
