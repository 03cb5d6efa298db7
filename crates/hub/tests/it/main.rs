//! The hub from outside: real sockets on loopback, tungstenite as the client, a scripted upstream.
//!
//! Nothing here sleeps: tests wait for messages, requests or counters, with a deadline.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adopting;
mod calls;
mod channels;
mod closing;
mod compression;
mod crowds;
mod echo;
mod floods;
mod given;
mod lives;
mod measures;
mod namespaces;
mod pressure;
mod recovery;
mod routing;
mod sessions;
mod stage;
mod tls;
mod transports;
mod volatile;
mod wildcards;
