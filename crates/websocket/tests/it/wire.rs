//! Client frames for the tests, and one way to decode them under many cuts.

use hubbub_websocket::deflate::RSV_COMPRESSED;
use hubbub_websocket::frame::{write_frame, write_frame_rsv};
use hubbub_websocket::fuzz::{Context, Seen, run_with};
use hubbub_websocket::{Limits, OpCode, ProtocolError, Role};

pub(crate) const KEY: [u8; 4] = [0x9a, 0x00, 0xff, 0x31];

pub(crate) const LIMITS: Limits = Limits { message_bytes_max: 16 << 20, fragments_max: 65_536 };

/// A byte stream of masked client frames, under construction.
#[derive(Default, Clone)]
pub(crate) struct Wire(pub(crate) Vec<u8>);

impl Wire {
    pub(crate) fn frame(mut self, fin: bool, opcode: OpCode, payload: impl AsRef<[u8]>) -> Self {
        write_frame(&mut self.0, fin, opcode, Some(KEY), payload.as_ref());
        self
    }

    pub(crate) fn text(self, payload: impl AsRef<[u8]>) -> Self {
        self.frame(true, OpCode::Text, payload)
    }

    pub(crate) fn binary(self, payload: impl AsRef<[u8]>) -> Self {
        self.frame(true, OpCode::Binary, payload)
    }

    pub(crate) fn ping(self, payload: impl AsRef<[u8]>) -> Self {
        self.frame(true, OpCode::Ping, payload)
    }

    pub(crate) fn pong(self, payload: impl AsRef<[u8]>) -> Self {
        self.frame(true, OpCode::Pong, payload)
    }

    pub(crate) fn close(self, payload: impl AsRef<[u8]>) -> Self {
        self.frame(true, OpCode::Close, payload)
    }

    /// The first fragment of a text message.
    pub(crate) fn begin(self, payload: impl AsRef<[u8]>) -> Self {
        self.frame(false, OpCode::Text, payload)
    }

    pub(crate) fn more(self, payload: impl AsRef<[u8]>) -> Self {
        self.frame(false, OpCode::Continuation, payload)
    }

    pub(crate) fn last(self, payload: impl AsRef<[u8]>) -> Self {
        self.frame(true, OpCode::Continuation, payload)
    }

    /// A frame with this first byte and a payload of up to 125 bytes.
    pub(crate) fn first_byte(mut self, first: u8, payload: impl AsRef<[u8]>) -> Self {
        let start = self.0.len();
        self = self.text(payload);
        self.0[start] = first;
        self
    }

    /// A frame with RSV1: a compressed message, or its first fragment.
    pub(crate) fn compressed(
        mut self,
        fin: bool,
        opcode: OpCode,
        payload: impl AsRef<[u8]>,
    ) -> Self {
        write_frame_rsv(&mut self.0, fin, RSV_COMPRESSED, opcode, Some(KEY), payload.as_ref());
        self
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

pub(crate) fn wire() -> Wire {
    Wire::default()
}

pub(crate) fn text(payload: &str) -> Seen {
    Seen::Text(payload.to_owned())
}

pub(crate) fn ping(payload: &[u8]) -> Seen {
    Seen::Ping(payload.to_owned())
}

/// Decodes as a server, whole and in pieces of 1, 2, 7 and 997 bytes, with and without pauses; all
/// must agree. Panics with the expectation otherwise.
#[track_caller]
pub(crate) fn check(wire: &Wire, events: &[Seen], error: Option<ProtocolError>) {
    check_with(wire, &LIMITS, events, error);
}

#[track_caller]
pub(crate) fn check_with(
    wire: &Wire,
    limits: &Limits,
    events: &[Seen],
    error: Option<ProtocolError>,
) {
    check_in(Context::Absent, wire, limits, events, error);
}

/// As [`check`], where compression was agreed on.
#[track_caller]
pub(crate) fn check_in(
    context: Context,
    wire: &Wire,
    limits: &Limits,
    events: &[Seen],
    error: Option<ProtocolError>,
) {
    for read in [usize::MAX, 1, 2, 7, 997] {
        for pause in [usize::MAX, 1] {
            let (seen, refused) = run_with(Role::Server, &wire.0, limits, read, pause, context);
            assert_eq!(refused, error, "reads of {read}, pause after {pause}");
            assert!(seen == events, "reads of {read}: {}", brief(&seen));
        }
    }
}

/// Events, long ones cut.
fn brief(seen: &[Seen]) -> String {
    format!("{seen:?}").chars().take(500).collect()
}
