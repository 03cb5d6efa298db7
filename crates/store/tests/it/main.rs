//! The stores from outside.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod equal;
mod files;
