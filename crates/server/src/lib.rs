//! The `hubbub` server: the only crate that names concrete parts and puts them together.
//!
//! - [`cli`]: the commands. [`config`]: what can be configured, checked before anything starts.
//! - `wiring`: which part gets which; `lifecycle`: starting, being ready, and stopping in order.
//! - [`metrics`]: what is counted, written down; `health`: whether it can do its work.
//! - `assets`, `clock`, `log`, `memory`, `names`, `reread`, `signals`: what the parts need from the machine.
//!
//! Invariant: everything that can be refused at the start is refused before the address is bound or
//! right at binding, in one line, and leaves the data as it was. Absent: rules of any kind.

mod assets;
mod certificates;
pub mod cli;
mod clock;
pub mod config;
mod health;
mod lifecycle;
mod log;
mod memory;
pub mod metrics;
mod names;
mod reread;
mod signals;
mod wiring;

pub use lifecycle::run;
pub use reread::Load;
