//! How often a user did something lately: a number that refills evenly over a period.
//!
//! Invariant: in any period a user does something at most twice as often as allowed, and on the long
//! run as often as allowed. Kept in memory, so that a restart gives everybody a full number; a user
//! whose number is full again is not kept. Bounded: above [`USERS_MAX`] those are forgotten who used
//! least.

use hubbub_proto::Timestamp;
use rustc_hash::FxHashMap;

use crate::model::UserKey;

/// Most users whose number is not full.
const USERS_MAX: usize = 65_536;

/// See the module.
#[derive(Debug)]
pub(crate) struct Quota {
    /// Milliseconds until one of them is there again.
    each_ms: u64,
    /// Milliseconds from none to all.
    period_ms: u64,
    /// When each user's number is full again.
    full_at: FxHashMap<UserKey, Timestamp>,
}

impl Quota {
    /// `count` in `period_ms`.
    pub(crate) fn new(count: u32, period_ms: u64) -> Self {
        let each_ms = (period_ms / u64::from(count.max(1))).max(1);
        Self { each_ms, period_ms, full_at: FxHashMap::default() }
    }

    /// Milliseconds until `user` may do it once more, besides `pending` times that are not charged
    /// yet; `None` for at once.
    pub(crate) fn wait_ms(&self, user: UserKey, pending: usize, now: Timestamp) -> Option<u64> {
        let used_ms = self.full_at.get(&user).map_or(0, |full| full.since(now));
        let more_ms = self.each_ms.saturating_mul(pending as u64 + 1);
        let wait_ms = used_ms.saturating_add(more_ms).saturating_sub(self.period_ms);
        (wait_ms > 0).then_some(wait_ms)
    }

    /// `user` did it.
    pub(crate) fn charge(&mut self, user: UserKey, now: Timestamp) {
        if self.full_at.len() >= USERS_MAX && !self.full_at.contains_key(&user) {
            self.make_room(now);
        }
        let full_at = self.full_at.entry(user).or_insert(now);
        *full_at = (*full_at).max(now).plus_ms(self.each_ms);
    }

    fn make_room(&mut self, now: Timestamp) {
        self.full_at.retain(|_, full| *full > now);
        if self.full_at.len() < USERS_MAX / 2 {
            return;
        }
        let mut ends: Vec<Timestamp> = self.full_at.values().copied().collect();
        let middle = ends.len() / 2;
        let (_, median, _) = ends.select_nth_unstable(middle);
        let median = *median;
        self.full_at.retain(|_, full| *full > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: UserKey = UserKey(1);

    #[test]
    fn so_many_at_once_and_then_evenly() {
        let mut quota = Quota::new(4, 1_000);
        let mut asked = Vec::new();
        for now in [0, 0, 0, 0, 0, 100, 250, 250, 10_000] {
            let wait = quota.wait_ms(ALICE, 0, Timestamp(now));
            if wait.is_none() {
                quota.charge(ALICE, Timestamp(now));
            }
            asked.push(wait.unwrap_or(0));
        }
        assert_eq!(asked, [0, 0, 0, 0, 250, 150, 0, 250, 0]);
        assert_eq!(quota.wait_ms(UserKey(2), 0, Timestamp(0)), None, "each has their own");
    }

    #[test]
    fn what_is_not_charged_yet_counts() {
        let quota = Quota::new(4, 1_000);
        assert_eq!(quota.wait_ms(ALICE, 3, Timestamp(0)), None);
        assert_eq!(quota.wait_ms(ALICE, 4, Timestamp(0)), Some(250));
    }

    #[test]
    fn those_who_used_least_are_forgotten() {
        let mut quota = Quota::new(4, 1_000);
        for n in 0..=USERS_MAX as i64 {
            quota.charge(UserKey(n), Timestamp(0));
            if n % 2 == 0 {
                quota.charge(UserKey(n), Timestamp(0));
            }
        }
        assert!(quota.full_at.len() <= USERS_MAX);
        assert_eq!(quota.full_at.get(&UserKey(USERS_MAX as i64)), Some(&Timestamp(500)));
    }
}
