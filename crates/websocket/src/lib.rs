//! RFC 6455 and RFC 7692 without I/O: bytes in, messages out; payloads in, frames out.
//!
//! For the server's shards (which read every connection into one buffer per thread) and for the
//! Rust client. [`Decoder`] unmasks frames in the caller's buffer and lends them out from there; only
//! a frame that has not arrived completely, or a message in fragments, is kept per connection.
//! [`frame`] and [`close`] build outgoing frames, [`handshake`] computes `Sec-WebSocket-Accept`,
//! [`deflate`] negotiates and compresses.
//!
//! Invariants: input never makes this crate panic; no connection holds more than
//! [`Limits::message_bytes_max`] payload bytes (an eighth more in a compressed message) plus a small
//! constant; what is decoded does not depend
//! on how the byte stream was cut into reads.
//!
//! Deliberately absent: sockets, clocks, random numbers (a client brings its own mask keys), the HTTP
//! part of the handshake, answering pings or closes, and extensions other than permessage-deflate.

mod assembly;
pub mod close;
mod decoder;
pub mod deflate;
mod error;
pub mod frame;
#[doc(hidden)]
pub mod fuzz;
pub mod handshake;
pub mod mask;
mod sha1;
pub mod utf8;

pub use decoder::{Decoder, Event, Limits, Role, Step};
pub use error::ProtocolError;
pub use frame::{FrameBuilder, Header, OpCode};
