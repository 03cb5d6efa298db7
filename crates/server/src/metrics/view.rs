//! The metrics in short, as JSON: what an application's own monitoring page asks for (seeds 003 and
//! 004), since the last reset.

use std::time::Duration;

use hubbub_measure::Distribution;
use serde_json::{Map, Value, json};

use super::families::Unit;
use super::picture::Picture;

/// What stood at the last reset.
pub(super) struct View {
    began: Duration,
    before: Vec<Distribution>,
}

/// The histograms that are shown, by their names there.
fn shown(now: &Picture) -> [(&'static str, Unit, Distribution); 8] {
    let (hub, chat) = (&now.hub, &now.chat);
    [
        ("ack", Unit::Seconds, hub.ack_us.clone()),
        ("delivery", Unit::Seconds, hub.delivery_us.clone()),
        ("read", Unit::Seconds, chat.read_times_us.clone()),
        ("writerWait", Unit::Seconds, chat.command_waits_us.clone()),
        ("readerWait", Unit::Seconds, chat.read_waits_us.clone()),
        ("batchSize", Unit::Requests, chat.batch_sizes.clone()),
        ("commit", Unit::Seconds, chat.store.commits.clone()),
        ("checkpoint", Unit::Seconds, chat.store.checkpoints.clone()),
    ]
}

impl View {
    pub(super) fn begin(now: &Picture) -> Self {
        Self {
            began: now.uptime,
            before: shown(now).into_iter().map(|(.., noted)| noted).collect(),
        }
    }

    pub(super) fn show(&self, now: &Picture) -> Value {
        let metrics: Map<String, Value> = shown(now)
            .into_iter()
            .zip(&self.before)
            .map(|((name, unit, noted), before)| (name.into(), stats(unit, &noted.since(before))))
            .collect();
        json!({
            "activeConnections": now.hub.connections,
            "connectedSockets": now.hub.sessions,
            "rooms": now.hub.channels,
            "uptime": millis(now.uptime),
            "measuredFor": millis(now.uptime.saturating_sub(self.began)),
            "metrics": metrics,
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn stats(unit: Unit, noted: &Distribution) -> Value {
    if noted.count() == 0 {
        return json!({ "count": 0 });
    }
    let shown = |value: f64| match unit {
        Unit::Seconds => value / 1e3,
        Unit::Requests => value,
    };
    let bound = |value: u64| shown(value as f64);
    json!({
        "count": noted.count(),
        "min": bound(noted.min()),
        "max": bound(noted.max()),
        "avg": shown(noted.mean()),
        "p95": bound(noted.quantile(0.95)),
        "p99": bound(noted.quantile(0.99)),
    })
}
