//! Entry points for fuzzing: arbitrary bytes in, a panic when an invariant breaks.
//!
//! Called by the coverage-guided harness and, with seeded input, by the crate's own tests. Not part of
//! the interface.

use crate::close;
use crate::decoder::{Decoder, Event, Limits, Role};
use crate::error::ProtocolError;
use crate::frame::{OpCode, write_frame};

/// The first bytes choose role, limits and how the rest is cut; the rest is a byte stream.
///
/// Checks that events and error do not depend on the cuts, that nothing comes after the end, that
/// memory stays within the limits, and that what was decoded survives being encoded and decoded again.
///
/// # Panics
/// When an invariant is broken.
pub fn decoder(data: &[u8]) {
    let Some((&[flags, fragments, cut, pause], stream)) = data.split_first_chunk() else {
        return;
    };
    let role = if flags & 1 == 0 { Role::Server } else { Role::Client };
    let sizes = [0, 1, 16, 125, 126, 1000, 70_000, 1 << 20];
    let limits = Limits {
        message_bytes_max: sizes[usize::from(flags >> 1) % sizes.len()],
        fragments_max: u32::from(fragments) + 1,
    };
    let whole = run(role, stream, &limits, usize::MAX, usize::MAX);
    let cut = run(role, stream, &limits, usize::from(cut) + 1, usize::from(pause) + 1);
    assert_eq!(whole, cut, "the cuts changed the outcome");

    let (seen, _) = whole;
    let (other, key) = match role {
        Role::Server => (Role::Client, None),
        Role::Client => (Role::Server, Some([flags, fragments, 3, 4])),
    };
    let mut wire = Vec::new();
    for event in &seen {
        event.encode(&mut wire, key);
    }
    let again = run(other, &wire, &limits, usize::MAX, usize::MAX);
    assert_eq!(again, (seen, None), "encoding changed the events");
}

/// An event that owns its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// See [`Event::Text`].
    Text(String),
    /// See [`Event::Binary`].
    Binary(Vec<u8>),
    /// See [`Event::Ping`].
    Ping(Vec<u8>),
    /// See [`Event::Pong`].
    Pong(Vec<u8>),
    /// See [`Event::Close`].
    Close(Option<u16>, String),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.to_owned()),
            Event::Ping(bytes) => Self::Ping(bytes.to_owned()),
            Event::Pong(bytes) => Self::Pong(bytes.to_owned()),
            Event::Close { code, reason } => Self::Close(code, reason.to_owned()),
        }
    }
}

impl Seen {
    /// Appends the frame that carries this event.
    pub fn encode(&self, out: &mut Vec<u8>, mask: Option<[u8; 4]>) {
        match self {
            Self::Text(text) => write_frame(out, true, OpCode::Text, mask, text.as_bytes()),
            Self::Binary(bytes) => write_frame(out, true, OpCode::Binary, mask, bytes),
            Self::Ping(bytes) => write_frame(out, true, OpCode::Ping, mask, bytes),
            Self::Pong(bytes) => write_frame(out, true, OpCode::Pong, mask, bytes),
            Self::Close(code, reason) => close::write(out, *code, reason, mask),
        }
    }
}

/// Decodes a stream that arrives in reads of at most `read` bytes, where the receiver pauses after
/// every `pause` events of a read and gets the rest of it together with the next one. Checks what must
/// hold after every step.
///
/// # Panics
/// When an invariant is broken.
#[must_use]
pub fn run(
    role: Role,
    stream: &[u8],
    limits: &Limits,
    read: usize,
    pause: usize,
) -> (Vec<Seen>, Option<ProtocolError>) {
    let held_max = limits.message_bytes_max + Decoder::HELD_BYTES_OVERHEAD;
    let mut decoder = Decoder::new(role);
    let mut seen = Vec::new();
    let mut error = None;
    let mut pending = Vec::new();
    let mut reads = stream.chunks(read.max(1));
    loop {
        let arrived = reads.next();
        pending.extend_from_slice(arrived.unwrap_or_default());
        let mut at = 0;
        let mut events = 0;
        let drained = loop {
            if events == pause {
                break false;
            }
            let ended = decoder.is_ended();
            let available = pending.len() - at;
            match decoder.next(&mut pending[at..], limits) {
                Ok(step) => {
                    assert!(step.consumed <= available, "consumed more than there was");
                    at += step.consumed;
                    let Some(event) = step.event else {
                        assert_eq!(step.consumed, available, "no event, yet bytes are left");
                        break true;
                    };
                    assert!(!ended, "an event after the end");
                    events += 1;
                    seen.push(event.into());
                }
                Err(violation) => {
                    assert!(!ended, "an error after the end");
                    assert!(decoder.is_ended(), "an error must end the stream");
                    error = Some(violation);
                }
            }
            assert!(decoder.held_bytes() <= held_max, "held {}", decoder.held_bytes());
        };
        pending.drain(..at);
        if arrived.is_none() && drained {
            assert!(!decoder.is_ended() || decoder.held_bytes() == 0, "memory after the end");
            return (seen, error);
        }
    }
}
