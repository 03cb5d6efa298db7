//! When there is something to sweep, and how far the look ahead is.
//!
//! Invariant: [`Sweep::over`] only grows, and never goes beyond an entry whose time says that it is
//! young. What has a time in the future says nothing, and is too old where something is that was
//! committed after it: a clock that ran ahead for a while does not keep for years what was written
//! then, nor anything behind it; and one that ran behind for a while takes nothing along that was
//! written before. After a start with a clock far beyond all that was written, nothing is swept for
//! as long as that (see [`Sweep::started`]). Nothing of this is lost by a crash or a rollback that is
//! not found again.

use hubbub_proto::Timestamp;

use crate::model::{Aged, Rev};

/// Between two steps while there is more to do; everything else that is written goes between.
const STEP_MS: u64 = 50;
/// The shortest rest after everything was done.
const REST_MS: u64 = 1_000;

/// A clock that is further than this beyond the newest entry when the server starts is not believed
/// at once, in milliseconds.
const LEAP_MS: u64 = 24 * 60 * 60 * 1_000;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sweep {
    /// When to look; `None` while nothing is ever to be swept.
    at: Option<Timestamp>,
    /// All that was committed up to here is too old.
    over: Rev,
    /// What was committed up to here and behind `over` has times in the future.
    passed: Rev,
    /// Nothing is done before then.
    held: Timestamp,
}

/// What a look at entries in the order of commits has shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Seen {
    /// There are some that are too old.
    Over,
    /// None of these, and what is behind them is to be looked at.
    Nothing,
    /// None before then.
    Until(Timestamp),
}

impl Sweep {
    /// Looks at once, or never.
    pub(crate) fn new(wanted: bool) -> Self {
        Self { at: wanted.then(Timestamp::default), ..Self::default() }
    }

    /// When something is to be done.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.at.map(|at| at.max(self.held))
    }

    /// The server has started at `now`, and the newest entry is of `newest`: where that is long ago,
    /// either nobody wrote or the clock runs ahead. What is wiped does not come back, so it waits
    /// until the server has run for as long; the answer is how long that is, in milliseconds.
    pub(crate) fn started(&mut self, newest: Timestamp, now: Timestamp) -> Option<u64> {
        let leap_ms = now.0.saturating_sub(newest.0);
        if leap_ms <= LEAP_MS {
            return None;
        }
        self.held = now.plus_ms(leap_ms);
        self.at.map(|_| leap_ms)
    }

    /// There may be something to do now.
    pub(crate) fn wake(&mut self, now: Timestamp) {
        self.at = Some(self.at.map_or(now, |at| at.min(now)));
    }

    /// A step was done; `next` is when its parts have more to do.
    pub(crate) fn rest(&mut self, next: impl IntoIterator<Item = Option<Next>>, now: Timestamp) {
        let next = next.into_iter().flatten().map(|next| match next {
            Next::More => now.plus_ms(STEP_MS),
            Next::At(at) => at.max(now.plus_ms(REST_MS)),
        });
        self.at = next.min();
    }

    /// The step failed, and is tried again later.
    pub(crate) fn put_off(&mut self, now: Timestamp) {
        if self.at.is_some_and(|at| at <= now) {
            self.at = Some(now.plus_ms(60 * REST_MS));
        }
    }

    /// Behind which entry to look on, where the logs were swept up to `swept`.
    pub(crate) fn from(&self, swept: Rev) -> Rev {
        swept.max(self.passed)
    }

    /// Whether what was committed as `rev` is too old, as far as it is known.
    pub(crate) fn is_over(&self, rev: Rev) -> bool {
        rev <= self.over
    }

    /// Takes a look at entries behind [`Sweep::from`], `full` where there may be more of them. What
    /// was written up to `cutoff` is too old, and expires `age_ms` after it was written.
    pub(crate) fn look(
        &mut self,
        page: &[Aged],
        full: bool,
        (cutoff, age_ms): (Timestamp, u64),
        now: Timestamp,
    ) -> Seen {
        let young = page.iter().position(|aged| cutoff < aged.at && aged.at <= now);
        let before = &page[..young.unwrap_or(page.len())];
        if let Some(last) = before.iter().rfind(|aged| aged.at <= cutoff) {
            self.over = self.over.max(last.entry.rev);
            self.passed = Rev(0);
            return Seen::Over;
        }
        match (young, page.last()) {
            (Some(young), _) => {
                self.passed = Rev(0);
                Seen::Until(page[young].at.plus_ms(age_ms))
            }
            (None, Some(last)) if full => {
                self.passed = last.entry.rev;
                Seen::Nothing
            }
            _ => {
                self.passed = Rev(0);
                Seen::Until(now.plus_ms(age_ms))
            }
        }
    }
}

/// When a part of a step has more to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// At once.
    More,
    /// Then.
    At(Timestamp),
}
