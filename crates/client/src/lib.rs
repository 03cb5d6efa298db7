//! A Rust client of the native protocol: exactly once, in order, for the application.
//!
//! - [`core`]: the client's mind, without sockets or clock, so that the simulation drives the very
//!   code that talks to real servers. [`log`] keeps one conversation dense, [`outbox`] keeps what
//!   is not acked.
//! - [`connection`]: one WebSocket over TCP.
//! - [`client`]: both together in a task that reconnects.
//!
//! Deliberately absent: TLS, and storage of messages beyond the process.

pub mod client;
pub mod connection;
pub mod core;
pub mod log;
pub mod outbox;

pub use client::{Client, Error, Options};
pub use core::Event;
