//! When a shard has calmed down after a crowd or a burst: the time to give memory back.
//!
//! Invariants: nothing is cleaned up that was not used since the last time; under a load that does
//! not change it happens at most once in [`SECONDS_MAX`], and an idle shard sleeps on. Deliberately
//! absent: what is given back (see `tidy`).

/// Things done since the last clean-up that are worth another one.
const WORTH: u64 = 256;
/// Seconds after which there is a clean-up although the shard is as busy as it was.
const SECONDS_MAX: u32 = 60;
/// It is calm when it does less than this part of what it did in its busiest second.
const PART: u64 = 4;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Calm {
    /// Things done in this second, and since the last clean-up.
    work: u64,
    total: u64,
    /// What was done in the busiest second since the last clean-up.
    peak: u64,
    seconds: u32,
    /// One more clean-up follows, for lists that were elsewhere during the first.
    again: bool,
}

impl Calm {
    /// So many things were done.
    pub(crate) fn note(&mut self, things: usize) {
        self.work += things as u64;
    }

    /// A clean-up will come: somebody has to look once a second.
    pub(crate) fn is_owed(&self) -> bool {
        self.again || self.total + self.work >= WORTH
    }

    /// A second is over; whether to clean up now.
    pub(crate) fn second(&mut self) -> bool {
        let work = std::mem::take(&mut self.work);
        self.total += work;
        self.peak = self.peak.max(work);
        self.seconds += 1;
        if std::mem::take(&mut self.again) {
            return true;
        }
        let is_calm = work < self.peak.div_ceil(PART);
        if self.total < WORTH || !(is_calm || self.seconds >= SECONDS_MAX) {
            return false;
        }
        *self = Self { peak: work, again: true, ..Self::default() };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In which seconds there is a clean-up.
    fn cleaned(works: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut calm = Calm::default();
        let due = works.into_iter().enumerate().filter_map(|(second, work)| {
            calm.note(work);
            calm.second().then_some(second)
        });
        due.collect()
    }

    #[test]
    fn memory_is_given_back_when_a_burst_is_over() {
        assert!(cleaned([0; 200]).is_empty());
        assert!(cleaned([10, 0, 0, 0]).is_empty(), "not worth it");
        assert_eq!(cleaned([5000, 4000, 2000, 700, 700, 700, 700]), [3, 4], "calmer, not idle");
        assert_eq!(cleaned([5000, 0, 0, 0, 300, 0, 0, 0]), [1, 2, 5, 6]);
    }

    #[test]
    fn an_even_load_is_not_disturbed() {
        assert_eq!(cleaned([1000; 130]), [59, 60, 119, 120]);
        assert_eq!(cleaned([3; 90]), [85, 86], "few things add up");
    }

    #[test]
    fn a_clean_up_is_owed_until_it_was_made() {
        let mut calm = Calm::default();
        assert!(!calm.is_owed());
        calm.note(1000);
        assert!(calm.is_owed());
        assert!(!calm.second());
        assert!(calm.is_owed());
        assert!(calm.second());
        assert!(calm.is_owed(), "once more");
        assert!(calm.second());
        assert!(!calm.is_owed() && !calm.second());
    }
}
