//! How long requests wait in a queue: what came in one step is one run, so that the clock is read once
//! for a step and not for a request.

use std::collections::VecDeque;
use std::time::Instant;

use hubbub_measure::{Histogram, micros};

/// When those that wait came, the first ones first.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    runs: VecDeque<(Instant, usize)>,
}

impl Waits {
    /// So many came.
    pub(crate) fn came(&mut self, count: usize, now: Instant) {
        if count > 0 {
            self.runs.push_back((now, count));
        }
    }

    /// So many, the first ones, are taken. Called by one thread at a time.
    pub(crate) fn taken(&mut self, mut count: usize, now: Instant, noted: &Histogram) {
        while let Some((came, waiting)) = self.runs.front_mut() {
            if count == 0 {
                break;
            }
            let taken = count.min(*waiting);
            noted.note_many(micros(now.saturating_duration_since(*came)), taken as u64);
            *waiting -= taken;
            count -= taken;
            if *waiting == 0 {
                self.runs.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_waits_from_its_own_step_to_the_one_that_takes_it() {
        let base = Instant::now();
        let at = |ms: u64| base + Duration::from_millis(ms);
        let (mut waits, noted) = (Waits::default(), Histogram::default());
        waits.came(3, at(0));
        waits.came(0, at(1));
        waits.came(2, at(10));
        waits.taken(4, at(30), &noted);
        assert_eq!((noted.read().count(), noted.read().sum()), (4, 3 * 30_000 + 20_000));
        waits.taken(1, at(50), &noted);
        waits.taken(9, at(60), &noted);
        assert_eq!((noted.read().count(), noted.read().sum()), (5, 110_000 + 40_000));
        assert!(waits.runs.is_empty());
    }
}
