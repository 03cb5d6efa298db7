//! The hub from outside: real sockets on loopback, tungstenite as the client, a scripted upstream.
//!
//! Nothing here sleeps: tests wait for messages, requests or counters, with a deadline.

mod closing;
mod echo;
mod pressure;
mod routing;
mod sessions;
mod stage;
