//! The log: on standard error, so that standard output stays for what programs read.
//!
//! Invariant: nobody logs tokens or the contents of messages; there is no key to turn that on.

use tracing_subscriber::EnvFilter;

use crate::config::Log;

/// Starts logging for the whole process.
pub(crate) fn start(config: &Log) {
    let filter = EnvFilter::new(&config.level);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start, in a process that embeds the server, keeps the first log.
    let _ = match config.format.as_str() {
        "json" => log.json().try_init(),
        _ => {
            let colors = std::io::IsTerminal::is_terminal(&std::io::stderr());
            log.with_ansi(colors).with_target(false).try_init()
        }
    };
}
