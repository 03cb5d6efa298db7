//! `hubbub serve`

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Args;
use toml::Value;

use super::{Failure, Place};
use crate::reread::Load;
use crate::{log, signals};

const EXAMPLES: &str = "\
Examples:
  hubbub serve --dev                       sign in under any name, on this machine only
  hubbub serve                             with tokens: see `hubbub token`
  hubbub serve --bind 127.0.0.1:0          a free port, printed
  hubbub serve --config hubbub.toml        see `hubbub config default`

Prints `listening on ADDRESS:PORT` once it can be used. SIGTERM or ctrl-C ends it in an orderly way:
what was accepted is finished, clients are told when to come back; a second one ends it at once, with 3.
Addresses: / (the chat page), /ws (WebSocket), /livez, /readyz, /version.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Serve {
    /// Where to listen; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    bind: Option<SocketAddr>,
    #[command(flatten)]
    place: Place,
    /// Let anybody on this machine sign in under any name (loopback addresses only)
    #[arg(long)]
    dev: bool,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut flags = Vec::new();
        if let Some(bind) = self.bind {
            flags.push(("server", "bind", Value::String(bind.to_string())));
        }
        if self.dev {
            flags.push(("server", "dev", Value::Boolean(true)));
        }
        let config = self.place.load(flags.clone())?;
        let place = self.place;
        let load: Load = Box::new(move || place.load(flags.clone()));
        crate::memory::use_small_pages();
        log::start(&config.log);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("control")
            .worker_threads(control_threads())
            .on_thread_park(crate::memory::collect_if_asked)
            .enable_all()
            .build()
            .context("the runtime cannot start")?;
        let served = runtime.block_on(async {
            let shutdown = signals::shutdown().context("signals cannot be handled")?;
            crate::run(config, load, shutdown).await
        });
        // What still runs by now is past the deadline.
        runtime.shutdown_background();
        Ok(served?)
    }
}

/// Threads of the control plane: a quarter of the cores. One of them answers tens of thousands of
/// handshakes a second, and the connections themselves are served by the shards.
fn control_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 4).clamp(1, 8))
}
