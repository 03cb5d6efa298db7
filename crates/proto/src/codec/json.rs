//! `hubbub.v1.json`: one JSON object (RFC 8259) in a text message.
//!
//! [`decode`] reads a message in one pass: where `type` comes before `payload`, the payload goes
//! straight into the typed command, and `content` is scanned once and kept as it came. Whatever
//! stops that pass, be it a mistake or only an unusual order of the fields, goes through
//! [`explain`], which is slower and knows the name of the field it stands at.
//!
//! Invariants: no step recurses deeper than the types do, whatever the input nests; a refusal
//! never repeats more of the input than a type name of 64 characters.

mod decode;
mod encode;
mod explain;

pub(super) use decode::decode;
pub(super) use encode::{encode_command, encode_event, encode_reply};
