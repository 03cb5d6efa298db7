//! The log: on standard error, so that standard output stays for what programs read.
//!
//! Invariant: nobody logs tokens or the contents of messages; there is no key to turn that on.
//! Connections, users, commands and messages are fields (`connection`, `user`, `command`, `message_id`),
//! at `debug` and `trace`. Libraries say what is wrong and nothing more, whatever the level: what they
//! trace are requests as they came, tokens included.

use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::Log;

/// What our own crates' targets begin with.
const OURS: &str = "hubbub";

/// Of the log that this process started.
static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Starts logging for the whole process.
pub(crate) fn start(config: &Log) {
    let (level, handle) = reload::Layer::new(targets(&config.level));
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = if config.format == "json" {
        lines.json().boxed()
    } else {
        let colors = std::io::IsTerminal::is_terminal(&std::io::stderr());
        lines.with_ansi(colors).with_target(false).boxed()
    };
    // A second start, in a process that embeds the server, keeps the first log.
    if tracing_subscriber::registry().with(level).with(lines).try_init().is_ok() {
        let _first = LEVEL.set(handle);
    }
}

/// Has the log write what is at least this severe from here on. False where it did so before, or where
/// the log is not ours.
pub(crate) fn set_level(level: &str) -> bool {
    let Some(handle) = LEVEL.get() else { return false };
    let wanted = targets(level);
    let is_new = handle.with_current(|current| *current != wanted).unwrap_or(false);
    is_new && handle.reload(wanted).is_ok()
}

fn targets(level: &str) -> Targets {
    // The rules of the configuration leave no other words.
    let level: LevelFilter = level.parse().unwrap_or(LevelFilter::INFO);
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_target(OURS, level)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_are_never_asked_for_more_than_warnings() {
        let trace = targets("trace");
        assert!(trace.would_enable("hubbub_hub::shard", &Level::TRACE));
        assert!(trace.would_enable("hyper::proto", &Level::WARN));
        assert!(!trace.would_enable("hyper::proto", &Level::INFO));
        let error = targets("error");
        assert!(!error.would_enable("hubbub_hub", &Level::WARN));
        assert!(!error.would_enable("h2", &Level::WARN));
    }
}
