//! permessage-deflate in the hub (RFC 7692): what is agreed with a client, and compressing what goes
//! to it.
//!
//! What is compressed are finished frames, whoever made them. Invariants: frames that are shared are
//! compressed once for each window size that somebody agreed on, by whichever shard comes first, and
//! shared again; a connection with context takeover gets its own, in the order in which they are
//! written, and what waits for it is never dropped frame by frame after that. Contexts are counted
//! when they are agreed on, at their full size; where there is no room for one, the client is
//! answered without. Deliberately absent: which handshakes may ask (see the HTTP side).

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hubbub_websocket::deflate::negotiate::{self, MalformedHeader, Policy};
use hubbub_websocket::deflate::{
    Agreement, Deflater, History, Level, RSV_COMPRESSED, Totals, WindowBits,
};
use hubbub_websocket::frame::{Expect, write_frame_rsv};
use hubbub_websocket::{FrameBuilder, Header, OpCode};

use crate::stats::ShardStats;

/// Scratch memory that a thread keeps, in bytes.
const KEPT_BYTES: usize = 64 * 1024;

/// What the configuration says about compression.
#[derive(Clone, Copy, Debug, Default)]
pub struct CompressionConfig {
    /// Whether clients that offer it get it.
    pub enabled: bool,
    /// The shortest message that is compressed, in bytes.
    pub min_bytes: usize,
    /// How much work a message gets.
    pub level: Level,
    /// Clients may agree on context takeover.
    pub takeover: bool,
    /// The most that the contexts of all connections may come to, in bytes.
    pub takeover_bytes_max: usize,
    /// The largest window, for either direction.
    pub window: WindowBits,
}

/// Makes agreements and counts the contexts agreed on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Compression(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: CompressionConfig,
    takeover_bytes: AtomicUsize,
    takeover_refused: AtomicU64,
}

/// What was agreed with one client, on its way to its shard.
#[derive(Debug)]
pub struct Compressed {
    /// How far back our messages may refer.
    pub(crate) window: WindowBits,
    pub(crate) contexts: Option<Box<Contexts>>,
}

/// What a connection with context takeover owns.
#[derive(Debug)]
pub(crate) struct Contexts {
    /// Of what we send, if the server keeps its context.
    pub(crate) ours: Option<History>,
    /// Of what we receive, if the client keeps its context.
    pub(crate) theirs: Option<History>,
    _room: Room,
}

/// A part of the total that contexts may take; given back when dropped.
#[derive(Debug)]
struct Room {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shared.takeover_bytes.fetch_sub(self.bytes, Relaxed);
    }
}

impl Compressed {
    /// What we send may refer to earlier messages, so that it is for this connection alone.
    pub(crate) fn keeps_context(&self) -> bool {
        self.contexts.as_ref().is_some_and(|contexts| contexts.ours.is_some())
    }
}

impl Default for Compression {
    /// Declines everything.
    fn default() -> Self {
        Self::new(CompressionConfig::default())
    }
}

impl Compression {
    /// With this configuration and no connections.
    #[must_use]
    pub fn new(config: CompressionConfig) -> Self {
        Self(Arc::new(Shared {
            config,
            takeover_bytes: AtomicUsize::new(0),
            takeover_refused: AtomicU64::new(0),
        }))
    }

    pub(crate) fn config(&self) -> CompressionConfig {
        self.0.config
    }

    /// Bytes set aside for contexts.
    #[must_use]
    pub fn takeover_bytes(&self) -> usize {
        self.0.takeover_bytes.load(Relaxed)
    }

    /// Clients that had to do without a context for want of room.
    #[must_use]
    pub fn takeover_refused(&self) -> u64 {
        self.0.takeover_refused.load(Relaxed)
    }

    /// Answers a client's offers, the values of all its `Sec-WebSocket-Extensions`, in order: the
    /// header that accepts one of them, and what it means; `None` for no compression.
    ///
    /// # Errors
    /// [`MalformedHeader`].
    pub fn agree(&self, offers: &[&str]) -> Result<Option<(String, Compressed)>, MalformedHeader> {
        let config = self.0.config;
        if !config.enabled || offers.is_empty() {
            return Ok(None);
        }
        let mut policy = Policy {
            context: config.takeover,
            server_window: config.window,
            client_window: config.window,
        };
        let Some((agreement, header)) = negotiate::accept(offers.iter().copied(), &policy)? else {
            return Ok(None);
        };
        let bytes = context_bytes(&agreement);
        if bytes == 0 {
            return Ok(Some((
                header,
                Compressed { window: agreement.server_window, contexts: None },
            )));
        }
        if let Some(room) = self.reserve(bytes) {
            let window = agreement.server_window;
            let contexts = Contexts {
                ours: agreement.server_context.then(|| History::new(window)),
                theirs: their_window(&agreement).map(History::new),
                _room: room,
            };
            return Ok(Some((header, Compressed { window, contexts: Some(Box::new(contexts)) })));
        }
        self.0.takeover_refused.fetch_add(1, Relaxed);
        policy.context = false;
        Ok(negotiate::accept(offers.iter().copied(), &policy)?.map(|(agreement, header)| {
            (header, Compressed { window: agreement.server_window, contexts: None })
        }))
    }

    fn reserve(&self, bytes: usize) -> Option<Room> {
        let max = self.0.config.takeover_bytes_max;
        self.0
            .takeover_bytes
            .fetch_update(Relaxed, Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= max)
            })
            .ok()
            .map(|_| Room { shared: self.0.clone(), bytes })
    }
}

/// The most that the contexts of a connection come to.
fn context_bytes(agreement: &Agreement) -> usize {
    let ours = if agreement.server_context { agreement.server_window.bytes() } else { 0 };
    ours + their_window(agreement).map_or(0, WindowBits::bytes)
}

fn their_window(agreement: &Agreement) -> Option<WindowBits> {
    agreement.client_window.filter(|_| agreement.client_context)
}

/// A thread's memory for compressing.
#[derive(Debug)]
pub(crate) struct Packer {
    deflater: Deflater,
    min_bytes: usize,
    packed: Vec<u8>,
}

/// What a message may refer to.
enum Context<'a> {
    Itself(WindowBits),
    Earlier(&'a mut History),
}

impl Packer {
    pub(crate) fn new(config: &CompressionConfig) -> Self {
        Self {
            deflater: Deflater::new(config.level),
            min_bytes: config.min_bytes,
            packed: Vec::new(),
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        self.deflater.totals()
    }

    /// The same frames for everybody with this window; `None` when none became shorter.
    pub(crate) fn shared(&mut self, frames: &[u8], window: WindowBits) -> Option<&[u8]> {
        self.pack(frames, Context::Itself(window))
    }

    /// The same frames for one connection; `None` when none became shorter. They must be written
    /// before any that are compressed later.
    pub(crate) fn own<'a>(
        &'a mut self,
        frames: &[u8],
        compressed: &mut Compressed,
    ) -> Option<&'a [u8]> {
        match compressed.contexts.as_mut().and_then(|contexts| contexts.ours.as_mut()) {
            Some(history) => self.pack(frames, Context::Earlier(history)),
            None => self.pack(frames, Context::Itself(compressed.window)),
        }
    }

    /// As [`own`](Self::own), for frames that are shared otherwise.
    pub(crate) fn own_bytes(&mut self, frames: &Bytes, compressed: &mut Compressed) -> Bytes {
        match self.own(frames, compressed) {
            Some(packed) => Bytes::copy_from_slice(packed),
            None => frames.clone(),
        }
    }

    fn pack(&mut self, mut frames: &[u8], mut context: Context<'_>) -> Option<&[u8]> {
        let Self { deflater, min_bytes, packed } = self;
        packed.clear();
        packed.shrink_to(KEPT_BYTES);
        let mut any = false;
        while let Ok(Some((header, start))) = Header::parse(frames, OURS) {
            let end = start + header.len as usize;
            let payload = frames.get(start..end)?;
            let is_message = header.fin && matches!(header.opcode, OpCode::Text | OpCode::Binary);
            let shorter = match &mut context {
                _ if !is_message || payload.len() < *min_bytes => None,
                Context::Itself(window) => deflater.compress(payload, *window),
                Context::Earlier(history) => deflater.compress_next(payload, history),
            };
            match shorter {
                Some(shorter) => {
                    write_frame_rsv(packed, true, RSV_COMPRESSED, header.opcode, None, shorter);
                    any = true;
                }
                None => packed.extend_from_slice(&frames[..end]),
            }
            frames = &frames[end..];
        }
        any.then_some(packed)
    }

    /// Publishes what was done.
    pub(crate) fn count(&self, stats: &ShardStats) {
        let totals = self.totals();
        stats.compressed_out.set(totals.messages);
        stats.compressed_out_plain_bytes.set(totals.plain_bytes);
        stats.compressed_out_bytes.set(totals.compressed_bytes);
    }
}

/// The frames that a packer gets: a server's, uncompressed.
const OURS: Expect = Expect { masked: false, rsv_data: 0 };

/// The compressed forms of frames that are shared, made when somebody needs them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forms(Arc<OnceLock<Box<[OnceLock<Bytes>; WindowBits::COUNT]>>>);

impl Forms {
    /// The frames for everybody with this window.
    pub(crate) fn get(&self, frames: &Bytes, window: WindowBits, packer: &mut Packer) -> Bytes {
        self.0.get_or_init(Box::default)[window.index()]
            .get_or_init(|| match packer.shared(frames, window) {
                Some(packed) => Bytes::copy_from_slice(packed),
                None => frames.clone(),
            })
            .clone()
    }
}

/// A frame in memory of its own.
pub(crate) fn frame_in(
    out: &mut Vec<u8>,
    opcode: OpCode,
    len_hint: usize,
    write: impl FnOnce(&mut Vec<u8>),
) {
    out.clear();
    out.shrink_to(KEPT_BYTES);
    let mut frame = FrameBuilder::begin(out, opcode, len_hint);
    write(frame.buffer());
    frame.finish();
}

#[cfg(test)]
mod tests {
    use hubbub_websocket::deflate::Inflater;
    use hubbub_websocket::frame::{ping_frame, text_frame};

    use super::*;

    fn config() -> CompressionConfig {
        CompressionConfig {
            enabled: true,
            min_bytes: 100,
            takeover: true,
            takeover_bytes_max: 3 * 4096,
            window: WindowBits::new(11).unwrap(),
            ..CompressionConfig::default()
        }
    }

    const OFFER: [&str; 1] = ["permessage-deflate; client_max_window_bits"];

    #[test]
    fn contexts_are_counted_and_without_room_there_are_none() {
        let compression = Compression::new(config());
        let mut agreed = Vec::new();
        for count in 1..=5 {
            let (header, compressed) = compression.agree(&OFFER).unwrap().unwrap();
            assert_eq!(compressed.contexts.is_some(), count <= 3);
            assert_eq!(header.contains("no_context_takeover"), count > 3, "{header}");
            agreed.push(compressed);
        }
        assert_eq!((compression.takeover_bytes(), compression.takeover_refused()), (12_288, 2));
        agreed.remove(0);
        assert_eq!(compression.takeover_bytes(), 8192);
        // Only one side's.
        let one = ["permessage-deflate; client_no_context_takeover; server_max_window_bits=10"];
        let (_, compressed) = compression.agree(&one).unwrap().unwrap();
        assert_eq!(compression.takeover_bytes(), 9216);
        assert!(compressed.contexts.is_some_and(|contexts| contexts.theirs.is_none()));
        drop(agreed);
        assert_eq!(compression.takeover_bytes(), 0);
    }

    #[test]
    fn who_gets_nothing() {
        let off = Compression::new(CompressionConfig { enabled: false, ..config() });
        assert!(off.agree(&OFFER).unwrap().is_none());
        let on = Compression::new(config());
        assert!(on.agree(&[]).unwrap().is_none());
        assert!(on.agree(&["foo"]).unwrap().is_none());
        assert_eq!(on.agree(&["foo;"]).unwrap_err(), MalformedHeader);
        assert_eq!(on.takeover_bytes(), 0);
    }

    #[test]
    fn small_messages_and_control_frames_stay_as_they_are() {
        let mut packer = Packer::new(&config());
        let long = "all the same ".repeat(20);
        let (small, long) = (text_frame(&"x".repeat(99)), text_frame(&long));
        let ping = ping_frame(&[b'x'; 125]).unwrap();
        assert_eq!(packer.shared(&small, WindowBits::MAX), None);
        assert_eq!(packer.shared(&ping, WindowBits::MAX), None);
        assert_eq!(packer.totals().messages, 0);

        let all = [&small[..], &long, &ping, &small].concat();
        let packed = packer.shared(&all, WindowBits::MAX).unwrap().to_vec();
        let rest = packed.strip_prefix(&small[..]).unwrap();
        let rest = rest.strip_suffix(&[&ping[..], &small].concat()[..]).unwrap();
        assert_eq!(rest[0], 0xc1);
        let mut inflater = Inflater::new();
        assert_eq!(inflater.inflate(&rest[2..], 1000, None).unwrap(), &long[4..]);
        assert_eq!(packer.totals().messages, 1);
    }

    #[test]
    fn shared_frames_are_compressed_once_for_each_window() {
        let (mut one, mut other) = (Packer::new(&config()), Packer::new(&config()));
        let frame = text_frame(&"all the same ".repeat(20));
        let forms = Forms::default();
        let windows = [9, 15, 9, 15].map(|bits| WindowBits::new(bits).unwrap());
        for packer in [&mut one, &mut other] {
            for window in windows {
                assert!(forms.get(&frame, window, packer).len() < frame.len() / 4);
            }
        }
        assert_eq!((one.totals().messages, other.totals().messages), (2, 0));
        // What stays as it is, is not copied either.
        let frame = text_frame("short");
        assert_eq!(Forms::default().get(&frame, windows[0], &mut one).as_ptr(), frame.as_ptr());
    }

    #[test]
    fn an_agreement_takes_little_of_a_slot() {
        assert_eq!(size_of::<Option<Compressed>>(), 16);
    }
}
