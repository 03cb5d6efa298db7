//! Prometheus' text format, version 0.0.4: `# HELP`, `# TYPE`, and a line for each sample.

use std::fmt::{Display, Write as _};
use std::ops::RangeInclusive;

use hubbub_hub::HubStats;
use hubbub_measure::Distribution;

use super::families::{FAMILIES, Family, Kind, Unit};
use super::picture::Picture;

/// Everything that is exported.
pub(super) fn write(now: &Picture) -> String {
    let mut out = String::with_capacity(32 * 1024);
    for family in FAMILIES {
        let Family { name, help, kind, labels, .. } = family;
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {}", kind.word());
        let mut samples = Samples { out: &mut out, name, labels, kind: *kind };
        (family.write)(now, &mut samples);
    }
    out
}

/// Takes the samples of one family.
pub(super) struct Samples<'o> {
    out: &'o mut String,
    name: &'static str,
    labels: &'static [&'static str],
    kind: Kind,
}

impl Samples<'_> {
    /// The only sample of a family without labels.
    pub(super) fn value(&mut self, value: impl Display) {
        self.of(&[], value);
    }

    /// The same, where the number is known.
    pub(super) fn known(&mut self, value: Option<impl Display>) {
        if let Some(value) = value {
            self.value(value);
        }
    }

    /// The sample with these values of the family's labels. They are words of ours, and need no
    /// escape.
    pub(super) fn of(&mut self, values: &[&str], value: impl Display) {
        self.line("", values, None, value);
    }

    /// One sample for each shard.
    pub(super) fn shards(&mut self, now: &Picture, of: impl Fn(&HubStats) -> f64) {
        for (shard, stats) in now.shards.iter().enumerate() {
            self.of(&[&shard.to_string()], of(stats));
        }
    }

    /// The samples of a histogram.
    pub(super) fn distribution(&mut self, values: &[&str], noted: &Distribution) {
        let Kind::Histogram(unit) = self.kind else { return };
        let scale = unit.scale();
        for power in unit.powers() {
            let bound = 1_u64 << power;
            let le = (bound as f64 * scale).to_string();
            self.line("_bucket", values, Some(&le), noted.up_to(bound));
        }
        self.line("_bucket", values, Some("+Inf"), noted.count());
        self.line("_sum", values, None, noted.sum() as f64 * scale);
        self.line("_count", values, None, noted.count());
    }

    fn line(&mut self, suffix: &str, values: &[&str], le: Option<&str>, value: impl Display) {
        debug_assert_eq!(self.labels.len(), values.len(), "{}", self.name);
        let _ = write!(self.out, "{}{suffix}", self.name);
        let pairs = self.labels.iter().copied().zip(values.iter().copied());
        for (nth, (label, value)) in pairs.chain(le.map(|le| ("le", le))).enumerate() {
            let before = if nth == 0 { '{' } else { ',' };
            let _ = write!(self.out, "{before}{label}=\"{value}\"");
        }
        let end = if values.is_empty() && le.is_none() { "" } else { "}" };
        let _ = writeln!(self.out, "{end} {value}");
    }
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

impl Unit {
    /// The bounds that are exported, as powers of two of what is noted.
    fn powers(self) -> RangeInclusive<u32> {
        match self {
            // From 64 µs to 17 s.
            Self::Seconds => 6..=24,
            // From 1 to 4,096.
            Self::Requests => 0..=12,
        }
    }

    /// What one of those that are noted is in the exported unit.
    const fn scale(self) -> f64 {
        match self {
            Self::Seconds => 1e-6,
            Self::Requests => 1.0,
        }
    }
}
