//! A seeded simulation of Hubbub, and an oracle for its promises P1 to P7.
//!
//! One thread, a virtual clock, one generator of random numbers: users with several devices talk
//! over links that delay and break to a node that crashes. The client core, the codec, the session
//! machine, the writer and the readers are the real ones; links, topics and the application on a
//! device are modelled here. The oracle compares what the node says and what the devices hear with
//! a journal that it keeps at the store's port.
//!
//! - `schedule`, `rng`, `link`, `trace`: the virtual world.
//! - `node`, `router`, `spy`: the server, and the watched store beneath it.
//! - `device`, `actions`, `operations`: clients, and what their users do. `faults`,
//!   `trouble`: what breaks.
//! - `journal` with `log`, `state` and `rules`, `oracle`: what must be true.
//! - [`Sabotage`]: promises broken on purpose, to show that the oracle notices.
//!
//! Invariant: a run depends on its seed and [`Config`] only. Deliberately absent: sockets, threads,
//! WebSocket frames and SQLite, which have tests of their own.

mod actions;
mod config;
mod device;
mod faults;
mod journal;
mod link;
mod log;
mod node;
mod operations;
mod oracle;
mod report;
mod rng;
mod router;
mod rules;
mod sabotage;
mod schedule;
mod spy;
mod stage;
mod state;
mod trace;
mod trouble;
mod world;

pub use config::Config;
pub use report::{Promise, Report, Violation};
pub use sabotage::Sabotage;
pub use world::run;
