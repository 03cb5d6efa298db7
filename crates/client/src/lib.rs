//! A Rust client of the native protocol: exactly once, in order, for the application.
//!
//! - [`core`]: the client's mind, without sockets or clock, so that the simulation drives the very
//!   code that talks to real servers. [`log`] keeps one conversation dense, [`outbox`] keeps what
//!   is not acked.
//! - [`timeline`]: the messages of a conversation as they are now, for those who show them.
//! - [`connection`]: one WebSocket over TCP.
//! - [`client`]: both together in a task that reconnects; `operations`: its commands by name.
//!
//! Deliberately absent: TLS, and storage of messages beyond the process.

pub mod client;
pub mod connection;
pub mod core;
pub mod log;
mod operations;
pub mod outbox;
pub mod timeline;

pub use client::{Client, Error, Options};
pub use core::Event;
pub use timeline::{Message, Timeline};
