//! Entry points for fuzzing: arbitrary bytes in, a panic when an invariant breaks.
//!
//! Called by the coverage-guided harness and, with seeded input, by the crate's own tests. Not part of
//! the interface.

use crate::close;
use crate::decoder::{Decoder, Event, Limits, Role};
use crate::deflate::negotiate::{self, ClientWindow, Offer, Policy};
use crate::deflate::{
    Deflater, History, Inflate, Inflater, Level, RSV_COMPRESSED, WindowBits, compressed_bytes_max,
};
use crate::error::ProtocolError;
use crate::frame::{OpCode, write_frame, write_frame_rsv};

/// The first bytes choose role, limits, compression and how the rest is cut; the rest is a byte stream.
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
    let context = match flags >> 6 {
        0 | 1 => Context::Absent,
        2 => Context::Message,
        _ => Context::Connection(WindowBits::MIN),
    };
    let decode = |read, pause| run_with(role, stream, &limits, read, pause, context);
    let whole = decode(usize::MAX, usize::MAX);
    let cut = decode(usize::from(cut) + 1, usize::from(pause) + 1);
    assert_eq!(whole, cut, "the cuts changed the outcome");

    let (seen, _) = whole;
    let (other, key) = match role {
        Role::Server => (Role::Client, None),
        Role::Client => (Role::Server, Some([flags, fragments, 3, 4])),
    };
    let mut wire = Vec::new();
    let mut encoder = Encoder::new(context);
    for event in &seen {
        encoder.encode(event, &mut wire, key);
    }
    let again = run_with(other, &wire, &limits, usize::MAX, usize::MAX, context);
    assert_eq!(again, (seen, None), "encoding changed the events");
}

/// A `Sec-WebSocket-Extensions` header. Checks that whatever a server accepts is an answer that it
/// would understand itself, and that a client that offered anything never panics on it.
///
/// # Panics
/// When an invariant is broken.
pub fn extensions(data: &[u8]) {
    let Ok(line) = str::from_utf8(data) else { return };
    let window = WindowBits::new(9 + (data.len() % WindowBits::COUNT) as u8).unwrap_or_default();
    let policy = Policy {
        context: data.len().is_multiple_of(2),
        server_window: window,
        client_window: window,
    };
    for client_window in [ClientWindow::Unsaid, ClientWindow::Any, ClientWindow::AtMost(window)] {
        let offer = Offer { client_window, ..Offer::default() };
        if let Ok(Some(agreement)) = offer.check([line]) {
            assert!(
                agreement.client_window.is_none_or(|own| client_window
                    != ClientWindow::AtMost(window)
                    || own <= window)
            );
        }
    }
    let Ok(Some((agreement, answer))) = negotiate::accept([line], &policy) else { return };
    assert!(agreement.server_window <= window, "{agreement:?}");
    assert!(policy.context || !(agreement.server_context || agreement.client_context));
    let any = Offer::default();
    let understood = any.check([answer.as_str()]);
    assert_eq!(understood, Ok(Some(agreement)), "{answer}");
}

/// How messages may be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// Not at all.
    Absent,
    /// Each by itself.
    Message,
    /// With context takeover.
    Connection(WindowBits),
}

impl Context {
    fn history(self) -> Option<History> {
        match self {
            Self::Connection(window) => Some(History::new(window)),
            Self::Absent | Self::Message => None,
        }
    }
}

/// Encodes events, data messages compressed where that was agreed on and makes them shorter.
#[derive(Debug)]
pub struct Encoder {
    deflater: Deflater,
    context: Context,
    history: Option<History>,
}

impl Encoder {
    /// The sending side of a connection.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self { deflater: Deflater::new(Level::default()), context, history: context.history() }
    }

    /// The compressed form of the next message.
    pub fn compress(&mut self, payload: &[u8]) -> Option<&[u8]> {
        match (&mut self.history, self.context) {
            (_, Context::Absent) => None,
            (Some(history), _) => self.deflater.compress_next(payload, history),
            (None, _) => self.deflater.compress(payload, WindowBits::MAX),
        }
    }

    /// Appends the frame that carries this event.
    pub fn encode(&mut self, event: &Seen, out: &mut Vec<u8>, mask: Option<[u8; 4]>) {
        let (opcode, payload) = match event {
            Seen::Text(text) => (OpCode::Text, text.as_bytes()),
            Seen::Binary(bytes) => (OpCode::Binary, &bytes[..]),
            other => return other.encode(out, mask),
        };
        match self.compress(payload) {
            Some(shorter) => write_frame_rsv(out, true, RSV_COMPRESSED, opcode, mask, shorter),
            None => event.encode(out, mask),
        }
    }
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
    run_with(role, stream, limits, read, pause, Context::Absent)
}

/// As [`run`], where compression was agreed on.
///
/// # Panics
/// When an invariant is broken.
#[must_use]
pub fn run_with(
    role: Role,
    stream: &[u8],
    limits: &Limits,
    read: usize,
    pause: usize,
    context: Context,
) -> (Vec<Seen>, Option<ProtocolError>) {
    let payload_max = match context {
        Context::Absent => limits.message_bytes_max,
        _ => compressed_bytes_max(limits.message_bytes_max),
    };
    let held_max = payload_max + Decoder::HELD_BYTES_OVERHEAD;
    let mut inflater = Inflater::new();
    let mut history = context.history();
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
            let inflate = Inflate { inflater: &mut inflater, history: history.as_mut() };
            let outcome = match context {
                Context::Absent => decoder.next(&mut pending[at..], limits),
                _ => decoder.next_inflating(&mut pending[at..], limits, inflate),
            };
            match outcome {
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
