//! From a channel's batch to its subscribers' sockets, and signals to their receivers.
//!
//! A subscriber with nothing else to be written gets a batch by one write straight from the shared
//! buffer; nothing is kept for it. Only what its socket does not take goes into an outbox, and so
//! does what comes together with other frames, for one vectored write at the end of the tick.
//! Invariants: batches reach a connection in the order of their offsets; what a reader who is behind
//! does not get is followed by a `lag`; nothing here is done for each delivery that could be done for
//! each batch (counters, the guard against panics).

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use hubbub_proto::Event;
use hubbub_proto::codec::Codec;

use crate::batch::{self, Chunk, Volatile, variant};
use crate::compression::Compressed;
use crate::connection::Connection;
use crate::delivery::codec_of;
use crate::desk::{Desk, Load};
use crate::frame::{len_hint, opcode};
use crate::live::Outgoing;
use crate::shard::{Shard, guard};
use crate::slab::At;
use crate::topics::Row;

/// What a batch came to.
#[derive(Debug, Default)]
struct Tally {
    deliveries: u64,
    bytes: u64,
    writes: u64,
    dropped: u64,
    /// Of volatile channels.
    outdated: u64,
    /// The channel's.
    row: Row,
}

impl Shard {
    /// Hands the batches and signals of this tick to their receivers, and posts what is for other
    /// shards.
    pub(crate) fn fan_out(&mut self) {
        let mut batches = std::mem::take(&mut self.desk.batches);
        let alone = batches.len() == 1;
        for index in batches.drain(..) {
            if let Some(outgoing) = self.desk.take_batch(index) {
                self.hand_out(outgoing, alone);
            }
        }
        self.desk.batches = batches;
        let mut signals = std::mem::take(&mut self.desk.signals);
        for (to, event) in signals.drain(..) {
            self.signal(&to, &event);
        }
        self.desk.signals = signals;
        self.desk.settle_emptied();
    }

    /// `alone`: no other channel has a batch in this tick.
    fn hand_out(&mut self, outgoing: Outgoing, alone: bool) {
        let Outgoing { row, patterns, mut late, chunks } = outgoing;
        let mut targets = std::mem::take(&mut self.targets);
        targets.clear();
        for row in row.iter().chain(&patterns) {
            targets.extend_from_slice(self.desk.topics.subscribers(*row));
        }
        if !patterns.is_empty() {
            targets.sort_unstable();
            targets.dedup();
        }
        if !late.is_empty() {
            // The last mark of a place counts: it may have gone and come again.
            late.reverse();
            late.sort_by_key(|(slot, _)| *slot);
            late.dedup_by_key(|(slot, _)| *slot);
            targets.retain(|slot| late.binary_search_by_key(slot, |(slot, _)| *slot).is_err());
            for (slot, mark) in late {
                let mut rows = row.iter().chain(&patterns);
                if let Some(row) = rows.find(|row| self.desk.topics.is_subscribed(**row, slot))
                    && let Some((at, connection)) = self.slab.tenant(slot)
                {
                    let rest = batch::after(&chunks, &mark);
                    guard(&mut self.desk, at, connection, |desk, at, connection| {
                        let row = *row;
                        rest.iter().for_each(|chunk| desk.give_later(at, connection, chunk, row));
                    });
                }
            }
        }
        let chunks = batch::joined(chunks, self.desk.chunk_limits);
        // Who gets it by a pattern alone is known by that.
        let row = row.or(patterns.first().copied()).unwrap_or_default();
        let mut tally = Tally { row, ..Tally::default() };
        let several = !patterns.is_empty() && !alone;
        for chunk in &chunks {
            let alone = alone && chunks.len() == 1;
            self.give_to_all(chunk, &targets, alone, several, &mut tally);
        }
        let stats = &self.desk.stats;
        stats.deliveries.add(tally.deliveries);
        stats.frames_out.add(tally.deliveries);
        stats.bytes_out.add(tally.bytes);
        stats.flushes.add(tally.writes);
        stats.dropped_publications.add(tally.dropped);
        stats.dropped_volatile.add(tally.outdated);
        self.targets = targets;
    }

    /// One guard for all: whoever panicked is closed, and the others go on behind it.
    /// `several`: somebody may get more than one batch in this tick by one subscription.
    fn give_to_all(
        &mut self,
        chunk: &Chunk,
        targets: &[u32],
        alone: bool,
        several: bool,
        tally: &mut Tally,
    ) {
        let mut next = 0;
        while next < targets.len() {
            let (slab, desk) = (&mut self.slab, &mut self.desk);
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                while let Some(slot) = targets.get(next) {
                    next += 1;
                    let Some((at, connection)) = slab.tenant(*slot) else { continue };
                    let direct = alone || (!several && desk.topics.channels(*slot) == 1);
                    desk.give(at, connection, chunk, direct, tally);
                }
            }));
            if outcome.is_err()
                && let Some((at, connection)) = self.slab.tenant(targets[next - 1])
            {
                self.desk.on_panic(at, connection);
            }
        }
    }

    fn signal(&mut self, to: &hubbub_proto::UserId, event: &Event) {
        let mut targets = std::mem::take(&mut self.targets);
        targets.clear();
        targets.extend_from_slice(self.desk.topics.connections(to));
        for slot in &targets {
            if let Some((at, connection)) = self.slab.tenant(*slot) {
                guard(&mut self.desk, at, connection, |desk, at, connection| {
                    desk.give_signal(at, connection, event);
                });
            }
        }
        self.targets = targets;
    }
}

impl Desk {
    /// Gives a chunk to one subscriber: at once if nothing else waits for it and `direct`.
    fn give(
        &mut self,
        at: At,
        connection: &mut Connection,
        chunk: &Chunk,
        direct: bool,
        tally: &mut Tally,
    ) {
        let Some(codec) = codec_of(connection) else { return };
        if connection.outbox.is_some() || connection.lagging || !direct {
            return self.give_behind(at, connection, chunk, tally);
        }
        let packed;
        let bytes = match &mut connection.compressed {
            None => &chunk.bytes[variant(codec)],
            Some(compressed) => {
                packed = self.packed(codec, chunk, compressed);
                &packed
            }
        };
        tally.writes += 1;
        let written = match connection.transport.write(bytes) {
            Ok(written) => written,
            Err(error) if is_transient(&error) => 0,
            Err(_) => return self.lose(at, connection),
        };
        tally.deliveries += u64::from(chunk.frames);
        tally.bytes += written as u64;
        if written < bytes.len() {
            // The flush at the end of the tick finds out whether the socket really is full.
            self.outbox(at, &mut connection.outbox, &mut connection.dirty).push_rest(
                bytes.clone(),
                written,
                chunk.frames,
            );
        } else if connection.transport.pending() > 0 {
            // Encrypted and not written: with an outbox, it is flushed when the socket takes more.
            self.outbox(at, &mut connection.outbox, &mut connection.dirty);
        }
    }

    /// A chunk for a connection that agreed on compression.
    fn packed(&mut self, codec: Codec, chunk: &Chunk, compressed: &mut Compressed) -> Bytes {
        let variant = variant(codec);
        if compressed.keeps_context() {
            self.packer.own_bytes(&chunk.bytes[variant], compressed)
        } else {
            chunk.forms[variant].get(&chunk.bytes[variant], compressed.window, &mut self.packer)
        }
    }

    /// Gives a chunk behind what waits already.
    fn give_behind(
        &mut self,
        at: At,
        connection: &mut Connection,
        chunk: &Chunk,
        tally: &mut Tally,
    ) {
        if let Some(frames) = &chunk.volatile
            && (is_blocked(connection) || connection.lagging)
        {
            return self.give_latest(at, connection, chunk, frames, tally);
        }
        if !connection.lagging && self.load(connection) >= Load::High {
            if !is_blocked(connection) {
                self.flush(at, connection);
            }
            connection.lagging = self.load(connection) >= Load::High;
        }
        let Some(codec) = codec_of(connection) else { return };
        if connection.lagging {
            tally.dropped += u64::from(chunk.frames);
            return;
        }
        tally.deliveries += u64::from(chunk.frames);
        let bytes = match &mut connection.compressed {
            None => chunk.bytes[variant(codec)].clone(),
            Some(compressed) => self.packed(codec, chunk, compressed),
        };
        match &mut connection.outbox {
            // Its socket says when it takes more; until then a try costs a system call for nothing.
            Some(outbox) if outbox.blocked_since().is_some() => {
                outbox.push_frames(bytes, chunk.frames);
                self.recount(outbox);
            }
            _ => self
                .outbox(at, &mut connection.outbox, &mut connection.dirty)
                .push_frames(bytes, chunk.frames),
        }
        self.bound(at, connection);
    }

    /// Of a volatile channel, for a reader that is behind: the newest frame of each thing waits, the
    /// others are dropped. Nobody is told.
    fn give_latest(
        &mut self,
        at: At,
        connection: &mut Connection,
        chunk: &Chunk,
        frames: &[Volatile],
        tally: &mut Tally,
    ) {
        let Some(codec) = codec_of(connection) else { return };
        let (bytes, bytes_max) = (&chunk.bytes[variant(codec)], self.limits.outbox_bytes_max / 4);
        let mut start = 0;
        for frame in frames {
            let range = start..frame.ends[variant(codec)];
            start = range.end;
            tally.outdated += match &frame.key {
                Some(key) => self
                    .outbox(at, &mut connection.outbox, &mut connection.dirty)
                    .put_latest(tally.row, key, &bytes[range], bytes_max as usize),
                None => 1,
            };
        }
    }

    /// Gives a chunk of the channel with this row to a connection that is handled on its own.
    pub(crate) fn give_later(
        &mut self,
        at: At,
        connection: &mut Connection,
        chunk: &Chunk,
        row: Row,
    ) {
        let mut tally = Tally { row, ..Tally::default() };
        self.give_behind(at, connection, chunk, &mut tally);
        self.stats.deliveries.add(tally.deliveries);
        self.stats.frames_out.add(tally.deliveries);
        self.stats.dropped_publications.add(tally.dropped);
        self.stats.dropped_volatile.add(tally.outdated);
    }

    fn give_signal(&mut self, at: At, connection: &mut Connection, event: &Event) {
        let Some(codec) = codec_of(connection) else { return };
        if is_blocked(connection) || connection.lagging {
            self.stats.dropped_volatile.add(1);
            return;
        }
        let (now, mut len) = (self.now, len_hint(event));
        if let Event::Signal(signal) = event {
            len += signal.data.get().len();
        }
        self.push_own(at, connection.lane(), opcode(codec), len, |out| {
            codec.encode_event(event, now, out);
        });
        self.stats.deliveries.add(1);
        self.sent(at, connection);
    }
}

fn is_blocked(connection: &Connection) -> bool {
    connection.outbox.as_ref().is_some_and(|outbox| outbox.blocked_since().is_some())
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
