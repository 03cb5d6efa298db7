//! The data plane: sockets, sessions, topics and timers, on threads of its own.
//!
//! A [`Hub`] owns every WebSocket after its handshake. Each shard is one thread with one epoll
//! instance; what clients ask for goes up through [`Upstream`], what is to reach them comes down
//! through [`Router`].
//!
//! - `hub`, `opening`, `upstream`, `stats`: what others see.
//! - `bus`: the way of effects to the shards. `inbox`, `mailbox`, `weight`: what a shard is
//!   told.
//! - `shard`: the loop. `desk`: what it works with. The life of a connection: `signing_in`;
//!   `reading`, from the socket to the session; `delivery`, from the hub to the socket, and what is
//!   dropped; `deadlines`; `closing`.
//! - `channels`, what a shard knows of them; `history`, what is kept of them; `roster`, who is
//!   subscribed; `watches`, patterns of them. `subscribing`, `membership` and `live`: the commands on
//!   them; `rules`, who may; `pace`, how fast; `batch` and `fanout`, the way of publications to sockets.
//! - `compression`: what was agreed with whom, and compressing frames.
//! - `audience`: sessions found by their roles. `turns`: what a shard measures of itself.
//! - `transport`: the socket under a connection; [`tls`]: what may be in between. `connection`,
//!   `slab`, `chatter`, `outbox`, `topics`, `wheel`, `frame`, `client_id`: the parts.
//!
//! Invariants: a slow or broken connection costs the others nothing; everything that waits is
//! bounded in count and bytes; an idle connection has no buffer, task, channel or timer. The rules
//! of the protocol are in `hubbub_proto::session`. Deliberately absent: chat rules, HTTP.

mod audience;
mod batch;
mod bus;
mod calls;
mod calm;
mod channels;
mod chatter;
mod client_id;
mod closing;
mod compression;
mod connection;
mod deadlines;
mod delivery;
mod desk;
mod fanout;
mod frame;
#[cfg(test)]
mod heartbeats;
mod history;
mod hub;
mod inbox;
mod live;
mod mailbox;
mod membership;
mod opening;
mod outbox;
mod pace;
mod reading;
mod roster;
mod rules;
mod shard;
mod signing_in;
mod slab;
mod stats;
mod subscribing;
mod tidy;
pub mod tls;
mod topics;
mod transport;
mod turns;
mod upstream;
mod watches;
mod weight;
mod wheel;

/// What `mailbox` is built on; models of it bring their own.
mod sync {
    pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};
}

pub use calls::Answer;
pub use compression::{Compressed, Compression, CompressionConfig};
pub use hub::{Announce, Clock, Hub, HubConfig, HubError, Router};
pub use hubbub_websocket::deflate::{Level, WindowBits};
pub use opening::{Opening, OpeningKind};
pub use rules::{LiveConfig, Namespace, Permit, UnknownPermit};
pub use stats::{Carried, HubStats};
pub use transport::Socket;
pub use upstream::Upstream;
