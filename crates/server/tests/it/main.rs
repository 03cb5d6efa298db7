//! The real binary, as an operator and as clients meet it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cli;
mod files;
mod http;
mod lifecycle;
mod messages;
mod node;
mod process;
mod starting;
mod talk;
mod tokens;
mod wire;
