//! The codecs: text and binary forms of the wire.
//!
//! A codec only translates; the rules behind it are the same for all. An event is encoded once for
//! each codec in use and the bytes are shared by all receivers of that codec.

mod json;

use crate::event::Ack;
use crate::limits::Limits;
use crate::{Command, CommandId, Event, Refusal, Timestamp};

/// A form of the wire, named by its WebSocket subprotocol.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Codec {
    /// `hubbub.v1.json`: one JSON object in a text message.
    #[default]
    Json,
}

/// A command as decoded, with the id that its reply carries.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The client's correlation id; without one only a failure is answered.
    pub id: Option<CommandId>,
    /// What the client wants.
    pub command: Command,
}

/// A message that is no command: the refusal to answer with, and the id where it could be read.
#[derive(Clone, Debug)]
pub struct Malformed {
    /// The client's correlation id.
    pub id: Option<CommandId>,
    /// What is wrong.
    pub refusal: Refusal,
}

impl Codec {
    /// Every codec; its place here is [`Codec::index`].
    pub const ALL: [Self; 1] = [Self::Json];

    /// A small number for tables with one row per codec.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The WebSocket subprotocol that asks for it.
    #[must_use]
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "hubbub.v1.json",
        }
    }

    /// What the form is called in short.
    #[must_use]
    pub const fn dialect(self) -> &'static str {
        match self {
            Self::Json => "json",
        }
    }

    /// The codec that a subprotocol asks for.
    #[must_use]
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.subprotocol() == name)
    }

    /// Reads one message.
    ///
    /// # Errors
    /// [`Malformed`] with what to answer; the connection survives.
    pub fn decode(self, message: &[u8], limits: &Limits) -> Result<Incoming, Box<Malformed>> {
        match self {
            Self::Json => json::decode(message, limits),
        }
    }

    /// Appends `event` as sent at `now`.
    pub fn encode_event(self, event: &Event, now: Timestamp, out: &mut Vec<u8>) {
        match self {
            Self::Json => json::encode_event(event, now, out),
        }
    }

    /// Appends `command` as a client sends it: what [`Codec::decode`] reads back.
    pub fn encode_command(self, id: Option<&CommandId>, command: &Command, out: &mut Vec<u8>) {
        match self {
            Self::Json => json::encode_command(id, command, out),
        }
    }

    /// Appends the reply to a command: `ack` or `error`.
    pub fn encode_reply(
        self,
        id: Option<&CommandId>,
        outcome: &Result<Ack, Refusal>,
        now: Timestamp,
        out: &mut Vec<u8>,
    ) {
        match self {
            Self::Json => json::encode_reply(id, outcome, now, out),
        }
    }
}
