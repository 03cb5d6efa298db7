//! What a connection keeps between reads: the cut-off end of a read and a message in pieces.
//!
//! Invariant: the sum of what is kept is bounded by the message limit, one control frame and one
//! header; memory grows with what arrived, never with what a header announced. Lives in a box that
//! exists only while there is something to keep.

use crate::error::ProtocolError;
use crate::frame::{HEADER_BYTES_MAX, OpCode};
use crate::mask::Mask;
use crate::utf8::{self, Text};

/// The rare state of a decoder.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// The first bytes of a header.
    pub(crate) head: [u8; HEADER_BYTES_MAX],
    pub(crate) head_len: u8,
    /// The frame whose payload is arriving.
    pub(crate) frame: Option<OpenFrame>,
    /// The payload of a control frame, when it did not arrive in one piece.
    pub(crate) control: Vec<u8>,
    /// The data message being put together.
    pub(crate) message: Option<Assembly>,
}

impl Held {
    /// Nothing worth keeping.
    pub(crate) fn is_idle(&self) -> bool {
        self.head_len == 0 && self.frame.is_none() && self.message.is_none()
    }

    /// Allocated bytes, this struct included.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.control.capacity()
            + self.message.as_ref().map_or(0, Assembly::capacity)
    }
}

/// A frame whose header was read and whose payload has not arrived completely.
#[derive(Debug)]
pub(crate) struct OpenFrame {
    pub(crate) opcode: OpCode,
    pub(crate) fin: bool,
    pub(crate) mask: Option<Mask>,
    /// Payload bytes still to come.
    pub(crate) left: usize,
}

/// A data message that did not arrive as one whole frame.
#[derive(Debug)]
pub(crate) struct Assembly {
    content: Content,
    /// Frames begun so far.
    pub(crate) fragments: u32,
}

#[derive(Debug)]
enum Content {
    Text(Text),
    Binary(Vec<u8>),
    /// Of a message of this type, to be inflated when it is complete.
    Compressed(OpCode, Vec<u8>),
}

impl Assembly {
    /// A message that begins with a frame of this opcode (text, else binary).
    pub(crate) fn new(opcode: OpCode, compressed: bool) -> Self {
        let content = match opcode {
            _ if compressed => Content::Compressed(opcode, Vec::new()),
            OpCode::Text => Content::Text(Text::default()),
            _ => Content::Binary(Vec::new()),
        };
        Self { content, fragments: 0 }
    }

    pub(crate) fn is_compressed(&self) -> bool {
        matches!(self.content, Content::Compressed(..))
    }

    /// Payload bytes received.
    pub(crate) fn len(&self) -> usize {
        match &self.content {
            Content::Text(text) => text.len(),
            Content::Binary(bytes) | Content::Compressed(_, bytes) => bytes.len(),
        }
    }

    fn capacity(&self) -> usize {
        match &self.content {
            Content::Text(text) => text.capacity(),
            Content::Binary(bytes) | Content::Compressed(_, bytes) => bytes.capacity(),
        }
    }

    /// Appends unmasked payload; `bytes_max` bounds the memory, not the length (the caller has checked
    /// that).
    pub(crate) fn push(&mut self, piece: &[u8], bytes_max: usize) -> Result<(), ProtocolError> {
        match &mut self.content {
            Content::Text(text) => text.push(piece, bytes_max),
            Content::Binary(bytes) | Content::Compressed(_, bytes) => {
                let room = utf8::growth(bytes.len(), bytes.capacity(), piece.len(), bytes_max);
                bytes.reserve_exact(room);
                bytes.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    /// The complete message; a compressed one is binary, see [`into_compressed`](Self::into_compressed).
    pub(crate) fn complete(&self) -> Result<Complete<'_>, ProtocolError> {
        Ok(match &self.content {
            Content::Text(text) => Complete::Text(text.complete()?),
            Content::Binary(bytes) | Content::Compressed(_, bytes) => Complete::Binary(bytes),
        })
    }

    /// The type and the payload of a compressed message.
    pub(crate) fn into_compressed(self) -> Option<(OpCode, Vec<u8>)> {
        match self.content {
            Content::Compressed(opcode, bytes) => Some((opcode, bytes)),
            Content::Text(_) | Content::Binary(_) => None,
        }
    }
}

/// A complete data message.
pub(crate) enum Complete<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}
