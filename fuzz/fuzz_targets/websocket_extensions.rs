//! Coverage-guided harness of the target `websocket_extensions`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| (hubbub_fuzz::WEBSOCKET_EXTENSIONS.run)(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    hubbub_fuzz::main(&[hubbub_fuzz::WEBSOCKET_EXTENSIONS])
}
