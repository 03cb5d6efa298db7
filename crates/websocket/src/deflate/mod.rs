//! permessage-deflate (RFC 7692): negotiation, inflating and compressing, without I/O.
//!
//! - [`negotiate`]: a server accepts one of a client's offers, a client checks the answer; the result
//!   on either side is an [`Agreement`].
//! - [`Inflater`] and [`Deflater`]: the working memory. A thread needs one of each, whatever the number
//!   of its connections.
//! - [`History`]: all that a connection with context takeover owns: the plaintext that its next
//!   message may refer to. Working memory is primed with it, message by message, so that a context
//!   costs its window (4 KB at 12 bits) and not a compressor (over 200 KB).
//!
//! Invariants: a connection without context takeover owns nothing; nothing is inflated beyond the
//! message limit; what would not become shorter is sent as it is. Deliberately absent: windows of
//! 8 bits, which zlib cannot compress with (such an offer is declined), other extensions, and the
//! decision what to compress (the caller knows which payloads are worth it).

mod deflater;
mod history;
mod inflater;
mod list;
pub mod negotiate;
mod window;

pub use deflater::{Deflater, Level};
pub use history::History;
pub use inflater::{Inflate, Inflater};
pub use negotiate::Agreement;
pub use window::WindowBits;

/// RSV1 in the notation of [`Header::rsv`](crate::Header::rsv): the message is compressed (§6).
pub const RSV_COMPRESSED: u8 = 0b100;

/// What a flushed block ends with, and what is left out on the wire (§7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// What a [`Deflater`] or an [`Inflater`] has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages.
    pub messages: u64,
    /// Their bytes in compressed form.
    pub compressed_bytes: u64,
    /// Their bytes in plain form.
    pub plain_bytes: u64,
}

/// The most bytes that a message of `message_bytes_max` bytes may have in compressed form.
///
/// A peer that compresses everything may make a message longer: by one bit for each byte in the worst
/// of deflate's codes (RFC 1951 §3.2.6), and by the frame of a block.
#[must_use]
pub const fn compressed_bytes_max(message_bytes_max: usize) -> usize {
    message_bytes_max.saturating_add(message_bytes_max / 8).saturating_add(64)
}
