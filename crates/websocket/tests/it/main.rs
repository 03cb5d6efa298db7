//! The codec as its users see it: conformance tables, properties, and a comparison with another
//! implementation.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod wire;

mod closing;
mod compression;
mod contexts;
mod differential;
mod fragmentation;
mod framing;
mod fuzzing;
mod memory;
mod properties;
mod text;
