//! From a compressed message to the plain one (RFC 7692 §7.2.2).
//!
//! Invariants: at most `message_bytes_max` bytes are inflated and kept, and the first one beyond them
//! ends the work; the time is bounded by the bytes that arrived and the bytes that are allowed to
//! come out. Nothing of a message stays behind except in its connection's [`History`]. Deliberately
//! absent: inflating while a message arrives. Fragments are put together first, so that one inflater
//! serves all connections of a thread.

use flate2::{Decompress, FlushDecompress, Status};

use super::history::History;
use super::window::WindowBits;
use super::{TAIL, Totals};
use crate::error::ProtocolError;

/// A last, empty block: accepted only where the one before is complete.
const END: [u8; 2] = [0x03, 0x00];
/// Final blocks that one message may contain. Each makes the inflater start anew and copy a window.
const FINAL_BLOCKS_MAX: usize = 64;
/// Output memory that is kept between messages, in bytes.
const KEPT_BYTES: usize = 64 * 1024;
/// Output memory to begin with, in bytes.
const FIRST_BYTES: usize = 1024;

/// What [`Decoder::next_inflating`](crate::Decoder::next_inflating) needs for a compressed message.
#[derive(Debug)]
pub struct Inflate<'a, 'h> {
    /// The thread's; lends out what it inflated.
    pub inflater: &'a mut Inflater,
    /// The connection's, where the peer keeps its context.
    pub history: Option<&'h mut History>,
}

/// Working memory for inflating, shared by the connections of a thread. Owns about 45 KB and the
/// longest message of late, from the first compressed message on.
#[derive(Debug, Default)]
pub struct Inflater {
    /// Of the largest window, which can read what was written for any smaller one.
    stream: Option<Box<Decompress>>,
    out: Vec<u8>,
    totals: Totals,
}

/// How far the inflater got with some input.
struct Fed {
    used: usize,
    /// A final block ended here.
    ended: bool,
}

impl Inflater {
    /// An inflater that owns nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What it has done so far.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// Bytes of memory allocated for output.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.out.capacity()
    }

    /// The plain form of the message with this payload (all its fragments).
    ///
    /// # Errors
    /// [`ProtocolError::DeflateInvalid`]; [`ProtocolError::MessageTooBig`] when more than
    /// `message_bytes_max` bytes come out.
    pub fn inflate(
        &mut self,
        payload: &[u8],
        message_bytes_max: usize,
        history: Option<&mut History>,
    ) -> Result<&[u8], ProtocolError> {
        if self.out.len() > KEPT_BYTES {
            self.out.truncate(KEPT_BYTES);
            self.out.shrink_to_fit();
        }
        let before = history.as_deref().map_or(&[][..], History::bytes);
        let len = self.run(payload, message_bytes_max, before)?;
        let plain = &self.out[..len];
        if let Some(history) = history {
            history.push(plain);
        }
        self.totals.messages += 1;
        self.totals.compressed_bytes += payload.len() as u64;
        self.totals.plain_bytes += len as u64;
        Ok(plain)
    }

    /// Inflates into `out`; the length.
    fn run(&mut self, payload: &[u8], max: usize, before: &[u8]) -> Result<usize, ProtocolError> {
        // An empty message is one empty block, 0x00 (§7.2.3.6). Some peers leave even that out.
        if payload.is_empty() {
            return Ok(0);
        }
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => Box::new(Decompress::new_with_window_bits(false, WindowBits::MAX.get())),
        };
        let outcome =
            Run { stream: &mut stream, out: &mut self.out, len: 0, max }.message(payload, before);
        self.stream = Some(stream);
        outcome
    }
}

/// One message on its way.
struct Run<'a> {
    stream: &'a mut Decompress,
    /// Initialised memory; `len` bytes of it are output.
    out: &'a mut Vec<u8>,
    len: usize,
    max: usize,
}

impl Run<'_> {
    fn message(mut self, payload: &[u8], before: &[u8]) -> Result<usize, ProtocolError> {
        self.start(before)?;
        let mut rest = payload;
        for _ in 0..FINAL_BLOCKS_MAX {
            let fed = self.feed(rest)?;
            rest = &rest[fed.used..];
            if !fed.ended {
                return if rest.is_empty() { self.end() } else { Err(INVALID) };
            }
            if rest.is_empty() {
                // A final block without the octet that should follow it (§7.2.3.5); it is complete.
                return Ok(self.len);
            }
            // What follows a final block is a new deflate stream over the same window.
            let window = WindowBits::MAX.bytes();
            let tail = &self.out[self.len.saturating_sub(window)..self.len];
            let missing = (window - tail.len()).min(before.len());
            let context = [&before[before.len() - missing..], tail].concat();
            self.start(&context)?;
        }
        Err(INVALID)
    }

    fn start(&mut self, context: &[u8]) -> Result<(), ProtocolError> {
        self.stream.reset(false);
        if !context.is_empty() {
            self.stream.set_dictionary(context).map_err(|_| INVALID)?;
        }
        Ok(())
    }

    /// Checks that the message ends with a complete block, by appending what was left out.
    fn end(mut self) -> Result<usize, ProtocolError> {
        let tail = self.feed(&TAIL)?;
        let end = self.feed(&END)?;
        if tail.used < TAIL.len() || tail.ended || !end.ended { Err(INVALID) } else { Ok(self.len) }
    }

    /// Inflates until the input is used up or a final block ends.
    fn feed(&mut self, input: &[u8]) -> Result<Fed, ProtocolError> {
        let mut used = 0;
        loop {
            if self.len == self.out.len() && self.out.len() < self.max {
                let more = (self.out.len() * 2).max(input.len() * 4).max(FIRST_BYTES);
                let more = more.min(self.max);
                self.out.reserve_exact(more - self.out.len());
                self.out.resize(more, 0);
            }
            let end = self.out.len().min(self.max);
            // Where the message is as long as it may be, one byte of room shows whether it goes on.
            let mut over = [0];
            let room = if self.len < end { &mut self.out[self.len..end] } else { &mut over };
            let size = room.len();
            let (total_in, total_out) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress(&input[used..], room, FlushDecompress::None)
                .map_err(|_| INVALID)?;
            let taken = (self.stream.total_in() - total_in) as usize;
            let made = (self.stream.total_out() - total_out) as usize;
            used += taken;
            if made > 0 && self.len >= end {
                return Err(ProtocolError::MessageTooBig);
            }
            self.len += made;
            let ended = status == Status::StreamEnd;
            let stuck = taken == 0 && made == 0;
            if ended || stuck || (used == input.len() && made < size) {
                return Ok(Fed { used, ended });
            }
        }
    }
}

const INVALID: ProtocolError = ProtocolError::DeflateInvalid;
