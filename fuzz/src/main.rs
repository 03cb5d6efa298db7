//! Runs every target on seeded, mutated inputs; see the library.

fn main() -> std::process::ExitCode {
    hubbub_fuzz::main(hubbub_fuzz::TARGETS)
}
