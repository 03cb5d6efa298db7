//! From a plain message to the compressed one (RFC 7692 §7.2.1).
//!
//! Invariants: a result is shorter than its payload, or there is none; without a [`History`] it refers
//! to nothing outside the message, so that it may be sent to many. Deliberately absent: a compressor
//! for each connection. The one of the thread is primed with a connection's history, unless that
//! connection's message was the last one it compressed.

use std::sync::atomic::{AtomicU64, Ordering};

use flate2::{Compress, Compression, FlushCompress, Status};

use super::history::History;
use super::window::WindowBits;
use super::{TAIL, Totals};

/// Output memory that is kept between messages, in bytes.
const KEPT_BYTES: usize = 64 * 1024;

/// The stamps of histories, unique in the process: a deflater that finds its own last one on a history
/// knows that it need not be primed.
static STAMPS: AtomicU64 = AtomicU64::new(1);

/// How much work to spend, 1 (fast) to 9 (small).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(u8);

impl Level {
    /// The level of this number; `None` outside of 1 to 9.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        if level >= 1 && level <= 9 { Some(Self(level)) } else { None }
    }
}

impl Default for Level {
    fn default() -> Self {
        Self(6)
    }
}

/// Working memory for compressing, shared by the connections of a thread. Owns 200 to 330 KB for each
/// window size in use, from its first message on.
#[derive(Debug)]
pub struct Deflater {
    level: Level,
    streams: [Option<Box<Stream>>; WindowBits::COUNT],
    out: Vec<u8>,
    totals: Totals,
}

#[derive(Debug)]
struct Stream {
    compress: Compress,
    /// The stamp of the history whose message it compressed last; 0 for none.
    stamp: u64,
}

impl Deflater {
    /// A deflater that owns nothing yet.
    #[must_use]
    pub const fn new(level: Level) -> Self {
        Self {
            level,
            streams: [const { None }; WindowBits::COUNT],
            out: Vec::new(),
            totals: Totals { messages: 0, compressed_bytes: 0, plain_bytes: 0 },
        }
    }

    /// What it has done so far, messages that did not become shorter left out.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// The compressed form of a payload for receivers with this window, referring to nothing outside
    /// of it. `None` when it would not be shorter: then the payload is to be sent as it is.
    pub fn compress(&mut self, payload: &[u8], window: WindowBits) -> Option<&[u8]> {
        let level = self.level;
        let stream = self.streams[window.index()].get_or_insert_with(|| Stream::new(level, window));
        stream.stamp = 0;
        stream.compress.reset();
        let len = stream.run(payload, &mut self.out)?;
        self.count(payload.len(), len)
    }

    /// The compressed form of the connection's next message, which may refer to earlier ones. The
    /// messages must be sent in the order in which they were compressed. `None` when it would not be
    /// shorter: then the payload is to be sent as it is, and leaves no trace in the context.
    pub fn compress_next(&mut self, payload: &[u8], history: &mut History) -> Option<&[u8]> {
        let (level, window) = (self.level, history.window());
        let stream = self.streams[window.index()].get_or_insert_with(|| Stream::new(level, window));
        if stream.stamp == 0 || stream.stamp != history.stamp {
            stream.compress.reset();
            if !history.bytes().is_empty() {
                stream.compress.set_dictionary(history.bytes()).ok()?;
            }
        }
        stream.stamp = 0;
        let len = stream.run(payload, &mut self.out)?;
        history.push(payload);
        history.stamp = STAMPS.fetch_add(1, Ordering::Relaxed);
        stream.stamp = history.stamp;
        self.count(payload.len(), len)
    }

    fn count(&mut self, plain: usize, compressed: usize) -> Option<&[u8]> {
        self.totals.messages += 1;
        self.totals.compressed_bytes += compressed as u64;
        self.totals.plain_bytes += plain as u64;
        Some(&self.out[..compressed])
    }
}

impl Stream {
    fn new(level: Level, window: WindowBits) -> Box<Self> {
        let level = Compression::new(u32::from(level.0));
        let compress = Compress::new_with_window_bits(level, false, window.get());
        Box::new(Self { compress, stamp: 0 })
    }

    /// Compresses into `out`; the length without the tail, if it is less than the payload's.
    fn run(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        // One byte more than could be used: a flush is complete only when it left room.
        let room = payload.len() + TAIL.len();
        if out.len() < room || out.len() > room.max(KEPT_BYTES) {
            out.resize(room, 0);
            out.shrink_to(KEPT_BYTES);
        }
        let (total_in, total_out) = (self.compress.total_in(), self.compress.total_out());
        let out = &mut out[..room];
        let status = self.compress.compress(payload, out, FlushCompress::Sync).ok()?;
        let taken = (self.compress.total_in() - total_in) as usize;
        let made = (self.compress.total_out() - total_out) as usize;
        if status != Status::Ok || taken < payload.len() || made == room {
            return None;
        }
        out[..made].strip_suffix(&TAIL).map(<[u8]>::len)
    }
}
