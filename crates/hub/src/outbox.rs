//! What waits to be written to one connection: the frames of a tick, and what a slow reader left.
//!
//! Invariants: frames leave in the order pushed and whole; `bytes` and `frames` count what has not
//! been written. Shared frames are kept by reference, replies are encoded one behind the other into
//! one buffer, so that a tick costs one vectored write. Deliberately absent: the policy for a
//! reader that is behind (see `delivery`), and sockets: it writes to any [`io::Write`].

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

use bytes::Bytes;
use hubbub_proto::{PublicationKey, Timestamp};
use hubbub_websocket::{FrameBuilder, OpCode};
use smallvec::SmallVec;

use crate::topics::Row;

/// Pieces handed to one `writev`.
const SLICES_MAX: usize = 64;
/// An outbox that has grown beyond this is not kept for reuse, in bytes.
const REUSABLE_BYTES: usize = 8 * 1024;
/// Segments beyond which an outbox is not kept for reuse.
const REUSABLE_SEGMENTS: usize = 64;
/// Written bytes in front of unwritten ones that are worth moving the latter for.
const COMPACT_BYTES: usize = 64 * 1024;

#[derive(Debug)]
enum Segment {
    /// Frames that other connections get as well.
    Shared(Bytes, u32),
    /// Frames of this connection alone, in `own`.
    Own { len: usize, frames: usize },
}

/// What became of a flush.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flushed {
    /// Nothing waits any more.
    All,
    /// The socket takes no more at the moment.
    Blocked,
}

/// Most things of which the newest frame waits for a reader that is behind.
pub(crate) const LATEST_MAX: usize = 64;

/// What waits for a reader that is behind, one frame for each thing that it is about.
#[derive(Debug, Default)]
struct Latest {
    frames: Vec<(Row, PublicationKey, Box<[u8]>)>,
    bytes: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    segments: VecDeque<Segment>,
    own: Vec<u8>,
    /// Bytes of `own` that were written.
    own_at: usize,
    /// Bytes of the first segment that were written.
    head_at: usize,
    bytes: usize,
    /// Of these, how many were counted among those that wait in the whole shard.
    counted: usize,
    frames: usize,
    /// The answer to the newest ping while the reader is behind.
    pong: Option<Bytes>,
    /// What is written once the rest is: the newest frame of each thing of volatile channels.
    latest: Option<Box<Latest>>,
    /// When the socket last took something, while the reader is behind.
    blocked_since: Option<Timestamp>,
}

impl Outbox {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    /// How many bytes were counted as waiting before, and how many are from here on.
    pub(crate) fn recount(&mut self) -> (usize, usize) {
        (std::mem::replace(&mut self.counted, self.bytes), self.bytes)
    }

    /// How many bytes are counted as waiting.
    pub(crate) const fn counted(&self) -> usize {
        self.counted
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0 && self.pong.is_none() && self.latest.is_none()
    }

    /// The socket did not take everything at the last flush; the moment of the last progress.
    pub(crate) fn blocked_since(&self) -> Option<Timestamp> {
        self.blocked_since
    }

    /// Appends a frame that is shared with other connections.
    pub(crate) fn push_shared(&mut self, frame: Bytes) {
        self.push_frames(frame, 1);
    }

    /// Appends frames that stand one behind the other and are shared with other connections.
    pub(crate) fn push_frames(&mut self, bytes: Bytes, frames: u32) {
        self.bytes += bytes.len();
        self.frames += frames as usize;
        self.segments.push_back(Segment::Shared(bytes, frames));
    }

    /// Takes, into an outbox that is empty, frames of which the first `written` bytes are out.
    pub(crate) fn push_rest(&mut self, bytes: Bytes, written: usize, frames: u32) {
        debug_assert!(self.segments.is_empty() && written < bytes.len());
        self.push_frames(bytes, frames);
        self.head_at = written;
        self.bytes -= written;
    }

    /// Appends a frame whose payload `write` appends to the buffer.
    pub(crate) fn push_own(
        &mut self,
        opcode: OpCode,
        len_hint: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut frame = FrameBuilder::begin(&mut self.own, opcode, len_hint);
        write(frame.buffer());
        let added = frame.finish();
        self.added(added);
    }

    /// Appends a frame of this connection alone that is finished.
    pub(crate) fn push_copy(&mut self, frame: &[u8]) {
        self.own.extend_from_slice(frame);
        self.added(frame.len());
    }

    /// A frame of this length was appended to the buffer.
    fn added(&mut self, added: usize) {
        self.bytes += added;
        self.frames += 1;
        match self.segments.back_mut() {
            Some(Segment::Own { len, frames }) => {
                *len += added;
                *frames += 1;
            }
            _ => self.segments.push_back(Segment::Own { len: added, frames: 1 }),
        }
    }

    /// Answers a ping. A reader that is behind gets only the newest answer (RFC 6455 §5.5.3).
    pub(crate) fn push_pong(&mut self, frame: Bytes) {
        if self.blocked_since.is_some() {
            self.pong = Some(frame);
        } else {
            self.push_shared(frame);
        }
    }

    /// Keeps a frame about this thing of a channel until the rest is written, in place of an older
    /// one. Answers how many frames are lost: the older one, or this one where there is no room.
    pub(crate) fn put_latest(
        &mut self,
        row: Row,
        key: &PublicationKey,
        frame: &[u8],
        bytes_max: usize,
    ) -> u64 {
        let latest = self.latest.get_or_insert_default();
        let known = latest.frames.iter().position(|(r, k, _)| *r == row && k == key);
        let older = known.map_or(0, |place| latest.frames[place].2.len());
        let bytes = latest.bytes - older + frame.len();
        if bytes > bytes_max || (known.is_none() && latest.frames.len() >= LATEST_MAX) {
            return 1;
        }
        latest.bytes = bytes;
        match known {
            Some(place) => {
                latest.frames[place].2 = frame.into();
                1
            }
            None => {
                latest.frames.push((row, key.clone(), frame.into()));
                0
            }
        }
    }

    /// Drops what waits of a channel to be written once the rest is.
    pub(crate) fn forget_latest(&mut self, row: Row) {
        if let Some(latest) = &mut self.latest {
            latest.frames.retain(|(other, ..)| *other != row);
            latest.bytes = latest.frames.iter().map(|(.., frame)| frame.len()).sum();
        }
        self.latest.take_if(|latest| latest.frames.is_empty());
    }

    /// The same for all channels.
    pub(crate) fn forget_all_latest(&mut self) {
        self.latest = None;
    }

    /// Drops what can be dropped without cutting a frame in two.
    pub(crate) fn forget_unsent(&mut self) {
        self.pong = None;
        self.latest = None;
        let keep = usize::from(self.head_at > 0);
        for segment in self.segments.drain(keep..) {
            match segment {
                Segment::Shared(bytes, frames) => {
                    self.bytes -= bytes.len();
                    self.frames -= frames as usize;
                }
                Segment::Own { len, frames } => {
                    self.bytes -= len;
                    self.frames -= frames;
                    self.own.truncate(self.own.len() - len);
                }
            }
        }
    }

    /// Writes until nothing is left, here and in `socket`, or it takes no more.
    ///
    /// # Errors
    /// Those of the socket, except `WouldBlock`; the connection is lost.
    pub(crate) fn flush(&mut self, socket: &mut impl Write, now: Timestamp) -> io::Result<Flushed> {
        while !self.is_empty() {
            if let Some(latest) = self.latest.take_if(|_| self.segments.is_empty()) {
                for (.., frame) in latest.frames {
                    self.push_shared(frame.into());
                }
            }
            if let Some(pong) = self.pong.take_if(|_| self.segments.is_empty()) {
                self.push_shared(pong);
            }
            match self.write_once(socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.advance(written);
                    if self.blocked_since.is_some() {
                        self.blocked_since = Some(now);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked_since.get_or_insert(now);
                    return Ok(Flushed::Blocked);
                }
                Err(error) => return Err(error),
            }
        }
        match socket.flush() {
            Ok(()) => {
                self.blocked_since = None;
                Ok(Flushed::All)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked_since.get_or_insert(now);
                Ok(Flushed::Blocked)
            }
            Err(error) => Err(error),
        }
    }

    fn write_once(&self, socket: &mut impl Write) -> io::Result<usize> {
        let mut slices = SmallVec::<[IoSlice<'_>; SLICES_MAX]>::new();
        let mut own_at = self.own_at;
        let mut skip = self.head_at;
        for segment in self.segments.iter().take(SLICES_MAX) {
            let bytes = match segment {
                Segment::Shared(bytes, _) => &bytes[skip..],
                Segment::Own { len, .. } => {
                    // `own_at` already stands behind the written part of the first segment.
                    let start = own_at;
                    own_at += len - skip;
                    &self.own[start..own_at]
                }
            };
            skip = 0;
            slices.push(IoSlice::new(bytes));
        }
        match &slices[..] {
            [one] => socket.write(one),
            several => socket.write_vectored(several),
        }
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while written > 0 {
            let Some(head) = self.segments.front() else { break };
            let (len, frames, is_own) = match head {
                Segment::Shared(bytes, frames) => (bytes.len(), *frames as usize, false),
                Segment::Own { len, frames } => (*len, *frames, true),
            };
            let taken = written.min(len - self.head_at);
            written -= taken;
            self.head_at += taken;
            if is_own {
                self.own_at += taken;
            }
            if self.head_at == len {
                self.head_at = 0;
                self.frames -= frames;
                self.segments.pop_front();
            }
        }
        if self.own_at == self.own.len() {
            self.own.clear();
            self.own_at = 0;
        } else if self.own_at >= COMPACT_BYTES && self.own_at >= self.own.len() / 2 {
            self.own.drain(..self.own_at);
            self.own_at = 0;
        }
    }

    /// Whether its memory is worth keeping for another connection.
    pub(crate) fn is_reusable(&self) -> bool {
        self.is_empty()
            && self.own.capacity() <= REUSABLE_BYTES
            && self.segments.capacity() <= REUSABLE_SEGMENTS
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1);

    /// Takes `room` bytes in all, at most `piece` at once.
    struct Socket {
        taken: Vec<u8>,
        room: usize,
        piece: usize,
    }

    impl Write for Socket {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.room).min(self.piece);
            if n == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.taken.extend_from_slice(&bytes[..n]);
            self.room -= n;
            Ok(n)
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            self.write(&all)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        hubbub_websocket::frame::write_frame(&mut out, true, OpCode::Text, None, payload);
        out
    }

    proptest! {
        #[test]
        fn frames_leave_whole_and_in_order(
            frames in proptest::collection::vec((any::<bool>(), 0_usize..300), 1..200),
            rooms in proptest::collection::vec((1_usize..2000, 1_usize..700), 1..50),
        ) {
            let mut outbox = Outbox::default();
            let mut socket = Socket { taken: Vec::new(), room: 0, piece: 1 };
            let mut expected = Vec::new();
            let mut rooms = rooms.into_iter();
            for (i, (shared, len)) in frames.iter().enumerate() {
                let payload = vec![i as u8; *len];
                expected.extend(frame(&payload));
                if *shared {
                    outbox.push_shared(frame(&payload).into());
                } else {
                    outbox.push_own(OpCode::Text, 100, |out| out.extend_from_slice(&payload));
                }
                prop_assert_eq!(outbox.bytes(), expected.len() - socket.taken.len());
                if i % 3 == 0 && let Some((room, piece)) = rooms.next() {
                    (socket.room, socket.piece) = (room, piece);
                    let flushed = outbox.flush(&mut socket, NOW).unwrap();
                    prop_assert_eq!(flushed == Flushed::All, outbox.is_empty());
                }
            }
            (socket.room, socket.piece) = (usize::MAX, 1000);
            prop_assert_eq!(outbox.flush(&mut socket, NOW).unwrap(), Flushed::All);
            prop_assert_eq!((outbox.bytes(), outbox.frames()), (0, 0));
            prop_assert!(socket.taken == expected);
        }
    }

    #[test]
    fn the_newest_frame_of_each_thing_waits_and_a_bounded_number_of_them() {
        let key = |n: usize| PublicationKey::new(&format!("k{n}")).unwrap();
        let mut socket = Socket { taken: Vec::new(), room: 3, piece: 3 };
        let mut outbox = Outbox::default();
        outbox.push_own(OpCode::Text, 4, |out| out.extend_from_slice(b"text"));
        assert_eq!(outbox.flush(&mut socket, NOW).unwrap(), Flushed::Blocked);
        let mut lost = 0;
        for (row, n, frame) in [(1, 1, b"a1"), (1, 2, b"b1"), (2, 1, b"c1"), (1, 1, b"a2")] {
            lost += outbox.put_latest(row, &key(n), frame, 6);
        }
        assert_eq!(lost, 1);
        assert_eq!(outbox.put_latest(3, &key(1), b"d", 6), 1, "no room");
        assert_eq!(outbox.put_latest(1, &key(2), b"b", 6), 1, "a shorter one fits");
        outbox.forget_latest(2);
        (socket.room, socket.piece) = (100, 100);
        assert_eq!(outbox.flush(&mut socket, NOW).unwrap(), Flushed::All);
        assert_eq!(socket.taken, [frame(b"text"), b"a2b".to_vec()].concat());
        for n in 0..LATEST_MAX {
            assert_eq!(outbox.put_latest(1, &key(n), b"x", 1000), 0);
        }
        assert_eq!(outbox.put_latest(1, &key(LATEST_MAX), b"x", 1000), 1);
        outbox.forget_latest(1);
        assert!(outbox.is_empty());
    }

    #[test]
    fn only_the_newest_pong_waits_behind_a_slow_reader() {
        let mut socket = Socket { taken: Vec::new(), room: 3, piece: 3 };
        let mut outbox = Outbox::default();
        outbox.push_own(OpCode::Text, 4, |out| out.extend_from_slice(b"text"));
        assert_eq!(outbox.flush(&mut socket, NOW).unwrap(), Flushed::Blocked);
        for pong in [&b"one"[..], b"two"] {
            outbox.push_pong(Bytes::from(pong));
        }
        (socket.room, socket.piece) = (100, 100);
        assert_eq!(outbox.flush(&mut socket, NOW).unwrap(), Flushed::All);
        assert_eq!(socket.taken, [frame(b"text"), b"two".to_vec()].concat());
    }

    #[test]
    fn forgetting_keeps_the_frame_that_was_begun() {
        let mut socket = Socket { taken: Vec::new(), room: 3, piece: 3 };
        let mut outbox = Outbox::default();
        outbox.push_shared(frame(b"first").into());
        outbox.push_own(OpCode::Text, 4, |out| out.extend_from_slice(b"second"));
        outbox.push_shared(frame(b"third").into());
        assert_eq!(outbox.flush(&mut socket, NOW).unwrap(), Flushed::Blocked);
        outbox.forget_unsent();
        outbox.push_own(OpCode::Text, 4, |out| out.extend_from_slice(b"last"));
        assert_eq!(outbox.frames(), 2);
        (socket.room, socket.piece) = (100, 100);
        assert_eq!(outbox.flush(&mut socket, NOW).unwrap(), Flushed::All);
        assert_eq!(socket.taken, [frame(b"first"), frame(b"last")].concat());
    }
}
