//! What a run says.

use std::collections::BTreeMap;
use std::fmt;

/// A promise of the design.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Promise {
    /// What was acked is stored.
    P1,
    /// Once for each client id.
    P2,
    /// Dense and ordered.
    P3,
    /// Delivered.
    P4,
    /// Cursors move forward and agree.
    P5,
    /// Unread counts are derived.
    P6,
    /// Nobody sees what is not theirs.
    P7,
}

impl Promise {
    pub(crate) const fn broken(self, what: String) -> Broken {
        Broken { promise: self, what }
    }
}

/// A broken promise, before it is known in which run.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) promise: Promise,
    pub(crate) what: String,
}

impl Broken {
    /// The same, seen on this device.
    pub(crate) fn on(mut self, device: usize) -> Self {
        self.what.push_str(&format!(", on device {device}"));
        self
    }
}

/// A run in which every promise held.
#[derive(Clone, Debug)]
pub struct Report {
    /// The same for every run of the same seed and configuration.
    pub trace_hash: u64,
    /// How often what happened, so that tests can tell a run from an empty one.
    pub counts: BTreeMap<&'static str, u64>,
    /// The newest lines of what happened.
    pub trace: Vec<String>,
}

/// A run in which a promise was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which run.
    pub seed: u64,
    /// Which promise.
    pub promise: Promise,
    /// How.
    pub what: String,
    /// The newest lines of what happened.
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        write!(f, "seed {}: {:?} is broken: {}", self.seed, self.promise, self.what)
    }
}

impl std::error::Error for Violation {}
