//! A bench's result: named values in the order they were added.

use crate::args::Args;
use crate::histogram::Histogram;
use crate::net::Io;
use serde_json::Value;
use std::fmt::Write;

pub(super) struct Report {
    values: Vec<(String, Value)>,
    quiet: bool,
}

impl Report {
    pub(super) fn new(args: &Args, bench: &str) -> Self {
        let values = vec![
            ("name".into(), Value::from(args.text("name", "?"))),
            ("bench".into(), Value::from(bench)),
            ("rate".into(), Value::from(args.text("rate", "max"))),
        ];
        Self { values, quiet: args.has("json-only") }
    }

    pub(super) fn add(&mut self, name: &str, value: impl Into<Value>) {
        self.values.push((name.into(), value.into()));
    }

    /// Adds a number, rounded to what is worth reading.
    pub(super) fn add_rounded(&mut self, name: &str, value: f64) {
        let rounded =
            if value.abs() >= 100.0 { value.round() } else { (value * 1000.0).round() / 1000.0 };
        self.add(name, rounded);
    }

    pub(super) fn add_latency(&mut self, prefix: &str, latency: &Histogram) {
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
            self.add_rounded(&format!("{prefix}{name}_us"), latency.quantile_us(quantile));
        }
        self.add_rounded(&format!("{prefix}mean_us"), latency.mean_us());
        self.add_rounded(&format!("{prefix}max_us"), latency.max_us());
    }

    /// Adds what the connections had to say.
    pub(super) fn add_traffic(&mut self, io: &Io) {
        let counters = &io.counters;
        self.add("refused", counters.refused);
        self.add_rounded("frames_per_read", counters.frames as f64 / counters.reads.max(1) as f64);
        if let Some(error) = &io.first_error {
            self.add("first_error", error.as_str());
        }
    }

    /// Prints the listing and the line of JSON.
    pub(super) fn print(&self) {
        let mut line = String::new();
        for (name, value) in &self.values {
            if !self.quiet {
                let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                eprintln!("  {name:<30} {shown}");
            }
            let comma = if line.is_empty() { "" } else { "," };
            let _ = write!(line, "{comma}\"{name}\":{value}");
        }
        println!("{{{line}}}");
    }
}
