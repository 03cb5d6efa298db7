//! `docs/metrics.md`, made from the list of metrics.

use std::fmt::Write as _;

use super::families::{FAMILIES, Kind, Unit};

const INTRODUCTION: &str = "\
# Metrics

<!-- Made from crates/server/src/metrics/families.rs; a test compares. -->

Nobody sees them unless the configuration says so:

- `metrics.bind = \"127.0.0.1:9464\"` opens a listener of their own, plain HTTP. On a loopback address
  everybody on this machine may read; on any other it asks for a token.
- `metrics.token_file` names a file with a token of at least 32 characters, for programs:
  `Authorization: Bearer TOKEN`, there and on the main address.
- `[admin] who` lets users read them on the main address with their own tokens, and a key with the
  scope `metrics` (`hubbub key create`) whoever has it.

```yaml
scrape_configs:
  - job_name: hubbub
    static_configs: [{ targets: [\"127.0.0.1:9464\"] }]
```

`GET /metrics` is the text format of Prometheus 0.0.4. `deploy/grafana/hubbub.json` is a dashboard for
it. `GET /metrics/websocket` is a summary as JSON: `activeConnections`, `connectedSockets`, `rooms`
(how many channels there are; their names are nobody's business here), `uptime` in milliseconds, and
under `metrics` for each histogram `count`, `min`, `max`, `avg`, `p95` and `p99` since the last reset;
durations are milliseconds. `avg` is exact, the others are bounds of buckets, at most 12.5 % above.
`POST /metrics/websocket/reset` begins that summary anew, for those who show a credential, also on the
listener of its own; what Prometheus reads never goes back.

Labels have a fixed set of values, and none is about one user, conversation or channel. Durations are
noted in microseconds. `hubbub_ack_seconds` and `hubbub_delivery_seconds` are as fine as one turn of a
shard's loop: a command counts from the turn in which it was read, an ack and a publication to the
end of the turn's work on what came from the writer.
";

/// The page.
#[must_use]
pub fn as_markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    let mut section = "";
    for family in FAMILIES {
        if family.section != section {
            section = family.section;
            let head = "| metric | type | labels | what |\n|---|---|---|---|";
            let _ = writeln!(out, "\n## {section}\n\n{head}");
        }
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(Unit::Seconds) => "histogram, 64 µs to 17 s",
            Kind::Histogram(Unit::Requests) => "histogram, 1 to 4,096",
        };
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = labels.join(", ");
        let _ = writeln!(out, "| `{}` | {kind} | {labels} | {} |", family.name, family.help);
    }
    out
}
