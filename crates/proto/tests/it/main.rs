//! The wire as a client sees it, and the documents that describe it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod pretty;
mod properties;
mod reference;
mod refusals;
mod samples;
mod snapshots;
mod tables;
