//! The accept loop over real sockets, with a data plane that only keeps what it is given.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accepting;
mod admitting;
mod both_ways;
mod exhaustion;
mod face;
mod gate;
mod http2;
mod http2_ends;
mod http2_floods;
mod tls;
