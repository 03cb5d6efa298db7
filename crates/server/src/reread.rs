//! What SIGHUP reads again: the level of the log, and who may come in.
//!
//! Invariant: a configuration that cannot be used is said and changes nothing. Everything else of it
//! holds from the next start on; certificates have a watch of their own.

use std::sync::Arc;

use hubbub_access::Gate;
use tokio::signal::unix::Signal;

use crate::config::{Config, ConfigError};

/// Reads the configuration from where it was read at the start.
pub type Load = Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// Reads again at each SIGHUP, for as long as it is polled.
pub(crate) async fn run(mut hangup: Signal, load: Load, gate: Arc<Gate>) {
    while hangup.recv().await.is_some() {
        let read = load().map_err(anyhow::Error::from);
        match read.and_then(|config| Ok((config.edge.rules()?, config.log.level))) {
            Ok((rules, level)) => {
                gate.replace(rules);
                let new_level = crate::log::set_level(&level);
                tracing::info!(level, new_level, "the configuration was read again");
            }
            Err(error) => {
                tracing::error!(%error, "the configuration was not read again: nothing changes");
            }
        }
    }
}
