//! The virtual clock, and what is to happen when.
//!
//! Invariant: time only moves forward, and what is due at the same moment happens in the order in
//! which it was planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hubbub_proto::Timestamp;

/// When every run begins, in milliseconds since the epoch.
const BEGIN_MS: u64 = 1_700_000_000_000;

/// Something that happens at a moment. Indexes are those of the world's links and devices;
/// `life` is the life of the node that it belongs to: nothing survives a crash.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Happening {
    /// A device opens a connection.
    Dial { device: usize },
    /// A connection reaches the node.
    Open { link: usize },
    /// The next frame of a link reaches the node.
    Up { link: usize },
    /// The next frame of a link reaches the device.
    Down { link: usize },
    /// A device looks at its clock.
    Poll { device: usize },
    /// The writer takes what waits.
    Execute { life: u64 },
    /// The writer posts what came of it.
    Post { life: u64 },
    /// A reader answers a request.
    Read { life: u64 },
    /// A reader posts its answer.
    Answer { life: u64, answer: u64 },
    /// The writer's timer.
    Tick { life: u64 },
    /// A session wants to be called.
    Deadline { link: usize },
    /// A connection that lags is told so.
    Lag { link: usize },
    /// Users do something.
    Act,
    /// Something breaks.
    Break,
    /// The node starts again.
    Restart,
    /// The application tries a request again.
    Retry { device: usize, attempt: usize },
}

#[derive(Debug)]
pub(crate) struct Schedule {
    now_ms: u64,
    planned: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Happening)>>,
}

impl Schedule {
    pub(crate) const fn new() -> Self {
        Self { now_ms: BEGIN_MS, planned: 0, queue: BinaryHeap::new() }
    }

    pub(crate) const fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub(crate) const fn now(&self) -> Timestamp {
        Timestamp(self.now_ms)
    }

    /// Milliseconds since the run began.
    pub(crate) const fn elapsed_ms(&self) -> u64 {
        self.now_ms - BEGIN_MS
    }

    pub(crate) fn at(&mut self, at_ms: u64, happening: Happening) {
        self.planned += 1;
        self.queue.push(Reverse((at_ms.max(self.now_ms), self.planned, happening)));
    }

    pub(crate) fn after(&mut self, ms: u64, happening: Happening) {
        self.at(self.now_ms + ms, happening);
    }

    /// The next happening not later than `until_ms`, with the clock moved to it; the clock stands
    /// at `until_ms` when there is none.
    pub(crate) fn next(&mut self, until_ms: u64) -> Option<Happening> {
        match self.queue.peek() {
            Some(Reverse((at_ms, ..))) if *at_ms <= until_ms => {
                let Reverse((at_ms, _, happening)) = self.queue.pop()?;
                self.now_ms = at_ms;
                Some(happening)
            }
            _ => {
                self.now_ms = self.now_ms.max(until_ms);
                None
            }
        }
    }
}
