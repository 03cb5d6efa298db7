//! The decoder of one connection: bytes in any pieces become messages (RFC 6455 §5–§8, RFC 7692 §6).
//!
//! Invariant: the sequence of events and the final error depend only on the bytes, not on how they
//! were cut; limits are checked against a header before anything is allocated for its payload; after a
//! close frame or an error nothing more comes out. A frame that lies whole in the caller's buffer is
//! unmasked there and lent out without a copy; an idle connection owns no memory. A compressed message
//! is inflated when it is complete, and lent out from the inflater. Deliberately absent: answering
//! pings and closes, and knowing how long the peer took.

use std::ops::Range;

use crate::assembly::{Assembly, Complete, Held, OpenFrame};
use crate::close;
use crate::deflate::{Inflate, RSV_COMPRESSED, compressed_bytes_max};
use crate::error::ProtocolError;
use crate::frame::{CONTROL_BYTES_MAX, Expect, HEADER_BYTES_MAX, Header, OpCode};
use crate::mask::Mask;
use crate::utf8;

/// Which end of the connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We receive masked frames.
    Server,
    /// We receive frames without a mask.
    Client,
}

/// What one message may cost. Passed with every call, so that connections share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest data message, in payload bytes over all its frames. Of a compressed one, in bytes
    /// after inflating; before, it may have [`compressed_bytes_max`] of this.
    pub message_bytes_max: usize,
    /// The most frames a data message may have; an unfragmented message has one.
    pub fragments_max: u32,
}

/// Something complete that the peer sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// To be answered with a pong of the same payload (at most 125 bytes).
    Ping(&'a [u8]),
    /// An answer to our ping, or unsolicited.
    Pong(&'a [u8]),
    /// The peer closes: answer with the same code, unless we closed first. Nothing comes after it.
    Close {
        /// Absent when the frame had no body (status 1005 for the application).
        code: Option<u16>,
        /// UTF-8, at most 123 bytes, possibly empty.
        reason: &'a str,
    },
}

/// The outcome of [`Decoder::next`].
#[derive(Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Bytes of the buffer that are done with. Without an event: all of them.
    pub consumed: usize,
    /// The next event, borrowed from the buffer or from the decoder.
    pub event: Option<Event<'a>>,
}

/// The receiving half of one connection.
///
/// ```
/// use hubbub_websocket::{Decoder, Event, Limits, Role};
///
/// let limits = Limits { message_bytes_max: 65_536, fragments_max: 64 };
/// let mut decoder = Decoder::new(Role::Client);
/// let mut buf = *b"\x81\x02hi\x89\x00\x81";
/// let mut at = 0;
/// let mut seen = Vec::new();
/// loop {
///     let step = decoder.next(&mut buf[at..], &limits)?;
///     at += step.consumed;
///     let Some(event) = step.event else { break };
///     seen.push(format!("{event:?}"));
///     // To pause here, keep `buf[at..]` and pass it to the decoder before newer bytes.
/// }
/// assert_eq!(seen, ["Text(\"hi\")", "Ping([])"]);
/// assert_eq!(at, buf.len());
/// # Ok::<(), hubbub_websocket::ProtocolError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    held: Option<Box<Held>>,
    role: Role,
    state: State,
}

/// What happened in the last call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing that concerns the next call.
    Open,
    /// The assembled message was lent out: it goes away now.
    LentMessage,
    /// The assembled control payload was lent out: it goes away now.
    LentControl,
    /// A close frame or an error: whatever still comes is discarded.
    Ended,
}

/// An event before it is borrowed.
enum Found {
    Nothing,
    /// A whole frame at this place of the buffer, unmasked.
    InBuffer(OpCode, Range<usize>),
    /// A whole compressed message at this place of the buffer, unmasked.
    Compressed(OpCode, Range<usize>),
    /// The control payload in [`Held::control`].
    HeldControl(OpCode),
    /// The message in [`Held::message`].
    HeldMessage,
    /// A compressed message that came in pieces.
    HeldCompressed(OpCode, Vec<u8>),
}

impl Decoder {
    /// A decoder for a connection on which this end has the given role.
    #[must_use]
    pub const fn new(role: Role) -> Self {
        Self { held: None, role, state: State::Open }
    }

    /// Decodes up to the next event. Call it with the rest of the buffer until there is no event: then
    /// all bytes are consumed and what must be kept is kept inside. To stop earlier, keep the bytes
    /// behind `consumed` (they are untouched) and pass them again before newer ones; the memory of the
    /// event just handed out is freed by the next call.
    ///
    /// Payload bytes of `buf` that are consumed are overwritten by their unmasked form.
    ///
    /// # Errors
    /// The peer's violation, once; afterwards, as after a close frame, all input is discarded.
    #[inline]
    pub fn next<'a>(
        &'a mut self,
        buf: &'a mut [u8],
        limits: &Limits,
    ) -> Result<Step<'a>, ProtocolError> {
        self.step(buf, limits, None)
    }

    /// As [`next`](Self::next), for a connection with an [`Agreement`](crate::deflate::Agreement) on
    /// permessage-deflate: always call this one there. An event may be lent out from the inflater.
    ///
    /// # Errors
    /// As `next`, and what compressed messages can have wrong.
    #[inline]
    pub fn next_inflating<'a>(
        &'a mut self,
        buf: &'a mut [u8],
        limits: &Limits,
        inflate: Inflate<'a, '_>,
    ) -> Result<Step<'a>, ProtocolError> {
        self.step(buf, limits, Some(inflate))
    }

    #[inline]
    fn step<'a>(
        &'a mut self,
        buf: &'a mut [u8],
        limits: &Limits,
        inflate: Option<Inflate<'a, '_>>,
    ) -> Result<Step<'a>, ProtocolError> {
        if self.held.is_some() {
            self.settle();
        }
        if self.state == State::Ended {
            return Ok(Step { consumed: buf.len(), event: None });
        }
        let rsv_data = if inflate.is_some() { RSV_COMPRESSED } else { 0 };
        let expect = Expect { masked: self.role == Role::Server, rsv_data };
        let (consumed, found) = match self.advance(buf, limits, expect) {
            Ok(progress) => progress,
            Err(error) => {
                self.held = None;
                self.state = State::Ended;
                return Err(error);
            }
        };
        let event = match found {
            Found::Nothing => return Ok(Step { consumed, event: None }),
            Found::InBuffer(opcode, range) => frame_event(opcode, &buf[range]),
            Found::Compressed(opcode, range) => {
                inflated_event(inflate, opcode, &buf[range], limits)
            }
            Found::HeldCompressed(opcode, bytes) => inflated_event(inflate, opcode, &bytes, limits),
            Found::HeldControl(opcode) => {
                self.state = State::LentControl;
                frame_event(opcode, self.held.as_ref().map_or(&[], |held| &held.control))
            }
            Found::HeldMessage => {
                self.state = State::LentMessage;
                match self.held.as_ref().and_then(|held| held.message.as_ref()) {
                    Some(message) => message.complete().map(|message| match message {
                        Complete::Text(text) => Event::Text(text),
                        Complete::Binary(bytes) => Event::Binary(bytes),
                    }),
                    None => return Ok(Step { consumed, event: None }),
                }
            }
        };
        if matches!(event, Err(_) | Ok(Event::Close { .. })) {
            self.state = State::Ended;
        }
        event.map(|event| Step { consumed, event: Some(event) })
    }

    /// Whether a close frame or an error has ended the stream.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// The most that [`held_bytes`](Self::held_bytes) can be beyond [`Limits::message_bytes_max`], or
    /// beyond [`compressed_bytes_max`] of it with permessage-deflate.
    pub const HELD_BYTES_OVERHEAD: usize = size_of::<Held>() + CONTROL_BYTES_MAX;

    /// Heap bytes held for this connection; 0 when idle between messages.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.bytes())
    }

    /// Frees what the last call lent out.
    fn settle(&mut self) {
        let Some(held) = &mut self.held else { return };
        match self.state {
            State::Open => {}
            State::LentMessage => held.message = None,
            State::LentControl => held.control = Vec::new(),
            State::Ended => {
                self.held = None;
                return;
            }
        }
        self.state = State::Open;
        if held.is_idle() {
            self.held = None;
        }
    }

    /// Consumes frames until one completes an event or the buffer is used up.
    fn advance(
        &mut self,
        buf: &mut [u8],
        limits: &Limits,
        expect: Expect,
    ) -> Result<(usize, Found), ProtocolError> {
        let mut at = 0;
        loop {
            if let Some(held) = &mut self.held
                && held.frame.is_some()
            {
                let (taken, found) = held.take_payload(&mut buf[at..], limits)?;
                at += taken;
                match found {
                    Some(found) => return Ok((at, found)),
                    None if at == buf.len() => return Ok((at, Found::Nothing)),
                    None => continue,
                }
            }
            let Some((header, header_len)) = self.take_header(&buf[at..], expect)? else {
                return Ok((buf.len(), Found::Nothing));
            };
            at += header_len;
            let len = self.admit(&header, limits)?;
            if buf.len() - at < len {
                self.open_frame(&header, len);
                continue;
            }
            let range = at..at + len;
            at = range.end;
            if let Some(key) = header.mask {
                Mask::new(key).apply(&mut buf[range.clone()]);
            }
            if header.opcode == OpCode::Close {
                // The message it may have interrupted will never be complete.
                self.held = None;
            }
            if header.opcode.is_control() {
                return Ok((at, Found::InBuffer(header.opcode, range)));
            }
            if header.fin && header.opcode != OpCode::Continuation {
                return Ok((
                    at,
                    if header.rsv == 0 {
                        Found::InBuffer(header.opcode, range)
                    } else {
                        Found::Compressed(header.opcode, range)
                    },
                ));
            }
            let message = self.message(&header);
            message.fragments += 1;
            let bytes_max = message_room(message, header.fin, len, limits);
            message.push(&buf[range], bytes_max)?;
            if header.fin {
                return Ok((at, self.held.get_or_insert_default().finish_message()?));
            }
        }
    }

    /// Reads a header, of which the first bytes may have come earlier; `None` after putting aside the
    /// bytes of one that is not complete. The count is of bytes taken from `buf`.
    #[inline]
    fn take_header(
        &mut self,
        buf: &[u8],
        expect: Expect,
    ) -> Result<Option<(Header, usize)>, ProtocolError> {
        let earlier = self.held.as_ref().map_or(0, |held| usize::from(held.head_len));
        if earlier == 0 {
            let parsed = Header::parse(buf, expect)?;
            if parsed.is_none() && !buf.is_empty() {
                let held = self.held.get_or_insert_default();
                held.head[..buf.len()].copy_from_slice(buf);
                held.head_len = buf.len() as u8;
            }
            return Ok(parsed);
        }
        let held = self.held.get_or_insert_default();
        let added = buf.len().min(HEADER_BYTES_MAX - earlier);
        let total = earlier + added;
        held.head[earlier..total].copy_from_slice(&buf[..added]);
        let parsed = Header::parse(&held.head[..total], expect)?;
        held.head_len = if parsed.is_some() { 0 } else { total as u8 };
        Ok(parsed.map(|(header, len)| (header, len - earlier)))
    }

    /// Checks a header against the message it belongs to and the limits; the payload's length.
    #[inline]
    fn admit(&self, header: &Header, limits: &Limits) -> Result<usize, ProtocolError> {
        if header.opcode.is_control() {
            return Ok(header.len as usize);
        }
        let message = self.held.as_ref().and_then(|held| held.message.as_ref());
        let (received, fragments, compressed) = match message {
            Some(_) if header.opcode != OpCode::Continuation => {
                return Err(ProtocolError::ContinuationMissing);
            }
            Some(message) => (message.len(), message.fragments, message.is_compressed()),
            None if header.opcode == OpCode::Continuation => {
                return Err(ProtocolError::ContinuationUnexpected);
            }
            None => (0, 0, header.rsv != 0),
        };
        if fragments >= limits.fragments_max {
            return Err(ProtocolError::TooManyFragments);
        }
        let room = payload_bytes_max(compressed, limits).saturating_sub(received);
        match usize::try_from(header.len) {
            Ok(len) if len <= room => Ok(len),
            _ => Err(ProtocolError::MessageTooBig),
        }
    }

    /// Notes a frame whose payload is not here completely.
    fn open_frame(&mut self, header: &Header, len: usize) {
        if !header.opcode.is_control() {
            self.message(header).fragments += 1;
        }
        let held = self.held.get_or_insert_default();
        if header.opcode.is_control() {
            held.control.reserve_exact(len);
        }
        held.frame = Some(OpenFrame {
            opcode: header.opcode,
            fin: header.fin,
            mask: header.mask.map(Mask::new),
            left: len,
        });
    }

    /// The message in progress, begun with this frame if there is none.
    fn message(&mut self, first: &Header) -> &mut Assembly {
        let held = self.held.get_or_insert_default();
        held.message.get_or_insert_with(|| Assembly::new(first.opcode, first.rsv != 0))
    }
}

impl Held {
    /// Adds what is there of the open frame's payload; the bytes taken, and what they completed.
    fn take_payload(
        &mut self,
        buf: &mut [u8],
        limits: &Limits,
    ) -> Result<(usize, Option<Found>), ProtocolError> {
        let Some(frame) = &mut self.frame else {
            return Ok((0, None));
        };
        let taken = frame.left.min(buf.len());
        let piece = &mut buf[..taken];
        if let Some(mask) = &mut frame.mask {
            mask.apply(piece);
        }
        let left_before = frame.left;
        frame.left -= taken;
        let (opcode, fin, done) = (frame.opcode, frame.fin, frame.left == 0);
        if done {
            self.frame = None;
        }
        if opcode.is_control() {
            self.control.extend_from_slice(piece);
            if opcode == OpCode::Close {
                self.message = None;
            }
            return Ok((taken, done.then_some(Found::HeldControl(opcode))));
        }
        let Some(message) = &mut self.message else {
            return Ok((taken, None));
        };
        let bytes_max = message_room(message, fin, left_before, limits);
        message.push(piece, bytes_max)?;
        let found = if done && fin { Some(self.finish_message()?) } else { None };
        Ok((taken, found))
    }

    /// The last piece of the message has come.
    fn finish_message(&mut self) -> Result<Found, ProtocolError> {
        if let Some((opcode, bytes)) =
            self.message.take_if(|m| m.is_compressed()).and_then(Assembly::into_compressed)
        {
            return Ok(Found::HeldCompressed(opcode, bytes));
        }
        // Looked at here already, so that a refused message is freed with the error.
        if let Some(message) = &self.message {
            message.complete()?;
        }
        Ok(Found::HeldMessage)
    }
}

/// How large a message's memory may become: exactly its length once that is known.
fn message_room(message: &Assembly, fin: bool, frame_left: usize, limits: &Limits) -> usize {
    if fin {
        message.len() + frame_left
    } else {
        payload_bytes_max(message.is_compressed(), limits)
    }
}

/// How many payload bytes a message may have on the wire.
#[inline]
fn payload_bytes_max(compressed: bool, limits: &Limits) -> usize {
    if compressed {
        compressed_bytes_max(limits.message_bytes_max)
    } else {
        limits.message_bytes_max
    }
}

/// The event of a whole frame (a continuation never is one).
#[inline]
fn frame_event(opcode: OpCode, payload: &[u8]) -> Result<Event<'_>, ProtocolError> {
    Ok(match opcode {
        OpCode::Text => Event::Text(utf8::validate(payload)?),
        OpCode::Binary | OpCode::Continuation => Event::Binary(payload),
        OpCode::Ping => Event::Ping(payload),
        OpCode::Pong => Event::Pong(payload),
        OpCode::Close => {
            let (code, reason) = close::parse(payload)?;
            Event::Close { code, reason }
        }
    })
}

/// The event of a whole compressed message.
fn inflated_event<'a>(
    inflate: Option<Inflate<'a, '_>>,
    opcode: OpCode,
    payload: &[u8],
    limits: &Limits,
) -> Result<Event<'a>, ProtocolError> {
    // Begun when compression was agreed on; it cannot be taken back.
    let Some(Inflate { inflater, history }) = inflate else {
        return Err(ProtocolError::ReservedBits);
    };
    frame_event(opcode, inflater.inflate(payload, limits.message_bytes_max, history)?)
}
