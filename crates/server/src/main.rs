//! The `hubbub` binary.

use std::process::ExitCode;

/// Keeps the memory of many small, short-lived allocations low, and gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hubbub_server::cli::main()
}
