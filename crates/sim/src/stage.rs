//! What the node, the devices and the faults share: time, chance, links, and who watches.

use std::collections::BTreeMap;

use crate::config::Variant;
use crate::link::{Frame, Link};
use crate::oracle::Oracle;
use crate::rng::Rng;
use crate::schedule::{Happening, Schedule};
use crate::trace::Trace;

/// Adds a line to the trace of a stage.
macro_rules! trace {
    ($stage:expr, $($arg:tt)*) => {
        $stage.trace.line($stage.schedule.elapsed_ms(), format_args!($($arg)*))
    };
}
pub(crate) use trace;

pub(crate) struct Stage {
    pub(crate) schedule: Schedule,
    pub(crate) rng: Rng,
    pub(crate) trace: Trace,
    pub(crate) links: Vec<Link>,
    pub(crate) oracle: Oracle,
    pub(crate) variant: Variant,
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

impl Stage {
    pub(crate) fn now_ms(&self) -> u64 {
        self.schedule.now_ms()
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// How long a step inside the node takes.
    pub(crate) fn think(&mut self) -> u64 {
        self.rng.between(0, self.variant.think_ms)
    }

    /// Sends a frame to the node.
    pub(crate) fn up(&mut self, link: usize, frame: Frame) {
        let delay_ms = self.rng.between(0, self.variant.delay_ms);
        let at_ms = self.links[link].up.push(self.schedule.now_ms(), delay_ms, frame);
        if let Some(at_ms) = at_ms {
            self.schedule.at(at_ms, Happening::Up { link });
        }
    }

    /// Sends a frame to the device.
    pub(crate) fn down(&mut self, link: usize, frame: Frame) {
        let delay_ms = self.rng.between(0, self.variant.delay_ms);
        let at_ms = self.links[link].down.push(self.schedule.now_ms(), delay_ms, frame);
        if let Some(at_ms) = at_ms {
            self.schedule.at(at_ms, Happening::Down { link });
        }
    }
}
