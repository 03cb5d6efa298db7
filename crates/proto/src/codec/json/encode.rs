//! Writing events and replies.

use std::io::Write as _;

use serde::Serialize;

use crate::command::Data;
use crate::event::{Ack, Publication, SignalEvent};
use crate::{Command, CommandId, Event, Refusal, Timestamp, UserId};

/// Appends a server event; see [`crate::codec::Codec::encode_event`].
pub(in super::super) fn encode_event(event: &Event, now: Timestamp, out: &mut Vec<u8>) {
    open(event.type_name(), out);
    if let Event::Entry(delivered) = event {
        write(out, format_args!(",\"id\":\"{}\"", delivered.entry.message_id));
    }
    begin_payload(now, out);
    match event {
        Event::Publication(publication) => write_publication(publication, out),
        Event::Signal(signal) => write_signal(signal, out),
        plain => json(plain, out),
    }
    out.push(b'}');
}

/// Appends `ack` or `error`; see [`crate::codec::Codec::encode_reply`].
pub(in super::super) fn encode_reply(
    id: Option<&CommandId>,
    outcome: &Result<Ack, Refusal>,
    now: Timestamp,
    out: &mut Vec<u8>,
) {
    open(if outcome.is_ok() { "ack" } else { "error" }, out);
    write_id(id, out);
    begin_payload(now, out);
    match outcome {
        Ok(Ack::Done) => out.extend_from_slice(b"{}"),
        Ok(ack) => json(ack, out),
        Err(refusal) => json(refusal, out),
    }
    out.push(b'}');
}

/// Appends a command as a client writes it; see [`crate::codec::Codec::encode_command`].
pub(in super::super) fn encode_command(
    id: Option<&CommandId>,
    command: &Command,
    out: &mut Vec<u8>,
) {
    open(command.type_name(), out);
    write_id(id, out);
    out.extend_from_slice(b",\"payload\":");
    json(command, out);
    out.push(b'}');
}

/// The payload of `publication`, without the detour over serde: it is written for each one.
/// Channels and user ids need no escapes.
fn write_publication(publication: &Publication, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"channel\":\"");
    out.extend_from_slice(publication.channel.as_str().as_bytes());
    out.push(b'"');
    if let Some(offset) = publication.offset {
        out.extend_from_slice(b",\"offset\":");
        decimal(offset, out);
    }
    if let Some(key) = &publication.key {
        out.extend_from_slice(b",\"key\":");
        json(key, out);
    }
    out.extend_from_slice(b",\"from\":\"");
    write_passed_on(&publication.from, &publication.data, out);
}

fn write_signal(signal: &SignalEvent, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"from\":\"");
    write_passed_on(&signal.from, &signal.data, out);
}

fn write_passed_on(from: &UserId, data: &Data, out: &mut Vec<u8>) {
    out.extend_from_slice(from.as_str().as_bytes());
    out.extend_from_slice(b"\",\"data\":");
    out.extend_from_slice(data.get().as_bytes());
    out.push(b'}');
}

/// Appends a number; several times faster than by way of `fmt`.
fn decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Type names are plain words, so they need no escapes.
fn open(type_name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(type_name.as_bytes());
    out.push(b'"');
}

fn write_id(id: Option<&CommandId>, out: &mut Vec<u8>) {
    if let Some(id) = id {
        let text = id.as_str();
        if text.bytes().any(|b| matches!(b, b'"' | b'\\')) {
            out.extend_from_slice(b",\"id\":");
            json(id, out);
        } else {
            // It is printable ASCII, so nothing else needs an escape.
            out.extend_from_slice(b",\"id\":\"");
            out.extend_from_slice(text.as_bytes());
            out.push(b'"');
        }
    }
}

fn begin_payload(now: Timestamp, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"timestamp\":");
    decimal(now.0, out);
    out.extend_from_slice(b",\"payload\":");
}

/// Writing to memory cannot fail, so there is no error to report.
fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok(), "memory takes everything");
}

/// None of the wire's types has a map whose keys are not text, the one thing JSON cannot say.
fn json<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "every wire type is JSON: {written:?}");
}
