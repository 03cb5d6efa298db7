//! When to stop: SIGTERM or SIGINT. The second of either ends the process at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// The exit code after a second signal: nothing was drained. What was acknowledged is stored.
const CUT_OFF: i32 = 3;

/// Completes on the first signal. Both are handled from the return of this function on.
///
/// # Errors
/// When the handlers cannot be installed.
pub(crate) fn shutdown() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let mut next = async move || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        tokio::spawn(async move {
            next().await;
            tracing::warn!("second signal: ending at once");
            std::process::exit(CUT_OFF);
        });
    })
}
