//! Fuzz targets for everything that decodes bytes from outside, run in two ways.
//!
//! - **Seeded**, on any toolchain: `cargo run --manifest-path fuzz/Cargo.toml -- --seconds 5` runs
//!   every target on mutated examples. A run is named by its seed, an input by seed and number,
//!   so that a failure can be replayed.
//! - **Coverage-guided**, with libFuzzer: `scripts/fuzz TARGET`, or `cargo fuzz run TARGET` where
//!   cargo-fuzz is installed. The same targets are built with `cfg(fuzzing)`.
//!
//! The checks live in the crates under test (their modules `fuzz`), beside what they check; here are
//! only the examples to start from. A new target is a constant here, an entry in [`TARGETS`], and a
//! file in `fuzz_targets/` with its `[[bin]]`.

mod examples;
mod mutate;
mod seeded;

pub use seeded::main;

/// One decoder under test.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name, also of the coverage-guided binary.
    pub name: &'static str,
    /// Decodes the bytes and panics when an invariant is broken.
    pub run: fn(&[u8]),
    /// Inputs worth mutating.
    examples: fn() -> Vec<Vec<u8>>,
}

/// The WebSocket decoder: four bytes that choose role, limits, compression and cuts, then a byte stream.
pub const WEBSOCKET_DECODER: Target = Target {
    name: "websocket_decoder",
    run: hubbub_websocket::fuzz::decoder,
    examples: examples::websocket_streams,
};

/// The negotiation of permessage-deflate: one header.
pub const WEBSOCKET_EXTENSIONS: Target = Target {
    name: "websocket_extensions",
    run: hubbub_websocket::fuzz::extensions,
    examples: examples::websocket_extensions,
};

/// The codecs of the native protocol: one message.
pub const JSON_COMMAND: Target = Target {
    name: "json_command",
    run: hubbub_proto::fuzz::command,
    examples: examples::json_commands,
};

/// The opening handshake: a request target and headers, with the tokens in them.
pub const HANDSHAKE: Target = Target {
    name: "handshake",
    run: hubbub_access::fuzz::handshake,
    examples: hubbub_access::fuzz::handshakes,
};

/// All targets.
pub const TARGETS: &[Target] = &[WEBSOCKET_DECODER, WEBSOCKET_EXTENSIONS, JSON_COMMAND, HANDSHAKE];
