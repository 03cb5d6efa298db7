//! One line in the log for each stretch of time in which something happened.

use std::sync::Arc;
use std::time::Duration;

use super::Metrics;
use super::picture::Picture;

/// Writes the line every `interval`, for as long as it is polled, of what happens from now on.
pub(crate) fn run(metrics: Arc<Metrics>, interval: Duration) -> impl Future<Output = ()> + Send {
    let mut before = metrics.sources.picture();
    async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let now = metrics.sources.picture();
            if happened(&before, &now) {
                tell(&before, &now);
            }
            before = now;
        }
    }
}

/// Whether anybody came, went, or said something.
fn happened(before: &Picture, now: &Picture) -> bool {
    let counts = |picture: &Picture| {
        let hub = &picture.hub;
        (hub.adopted, hub.connections, hub.frames_in, hub.frames_out, picture.chat.commands)
    };
    counts(before) != counts(now)
}

fn tell(before: &Picture, now: &Picture) {
    let (hub, was) = (&now.hub, &before.hub);
    let (chat, chat_was) = (&now.chat, &before.chat);
    let commits = chat.store.commits.since(&chat_was.store.commits);
    let acks = hub.ack_us.since(&was.ack_us);
    let refusals =
        |picture: &Picture| picture.hub.refused.iter().map(|(_, count)| count).sum::<u64>();
    tracing::info!(
        connections = hub.connections,
        sessions = hub.sessions,
        opened = hub.adopted - was.adopted,
        messages_in = hub.frames_in - was.frames_in,
        messages_out = hub.frames_out - was.frames_out,
        bytes_in = hub.bytes_in - was.bytes_in,
        bytes_out = hub.bytes_out - was.bytes_out,
        deliveries = hub.deliveries - was.deliveries,
        acks = acks.count(),
        ack_p99_ms = acks.quantile(0.99) as f64 / 1e3,
        commits = commits.count(),
        commit_p99_ms = commits.quantile(0.99) as f64 / 1e3,
        queued = chat.queued,
        refusals = refusals(now) - refusals(before),
        lags = hub.lags - was.lags,
        resident_mb = now.process.resident.unwrap_or(0) >> 20,
        "summary"
    );
}
