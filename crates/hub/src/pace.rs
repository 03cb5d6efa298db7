//! How fast connections publish in namespaces that have a rate.
//!
//! A token bucket for each connection and namespace, as the moment at which it would be full again
//! (the generic cell rate algorithm, ITU-T I.371), in microseconds. Invariant: one that is full again
//! is not kept for longer than it takes for as many others to come; so nothing is kept for who does
//! not publish.

use hubbub_proto::Timestamp;
use rustc_hash::FxHashMap;

use crate::slab::At;

/// Entries below which nothing is looked through.
const KEPT: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Paces {
    full_at_us: FxHashMap<(u32, u32, u16), u64>,
    /// Look for those that are full at this number of entries.
    tidy_at: usize,
}

impl Paces {
    /// One more publication; at most `per_second`, and as many at once.
    ///
    /// # Errors
    /// In how many milliseconds there is room for it.
    pub(crate) fn charge(
        &mut self,
        at: At,
        namespace: u16,
        per_second: u32,
        now: Timestamp,
    ) -> Result<(), u64> {
        if per_second == 0 {
            return Ok(());
        }
        let now_us = now.0.saturating_mul(1000);
        if self.full_at_us.len() >= self.tidy_at.max(KEPT) {
            self.full_at_us.retain(|_, full_at_us| *full_at_us > now_us);
            self.tidy_at = 2 * self.full_at_us.len();
        }
        let one_us = (1_000_000 / u64::from(per_second)).max(1);
        let full_at_us = self.full_at_us.entry((at.slot, at.generation, namespace)).or_default();
        let then_us = (*full_at_us).max(now_us).saturating_add(one_us);
        let depth_us = one_us.saturating_mul(per_second.into());
        match then_us.saturating_sub(now_us.saturating_add(depth_us)) {
            0 => {
                *full_at_us = then_us;
                Ok(())
            }
            missing_us => Err(missing_us.div_ceil(1000)),
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.full_at_us.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(slot: u32) -> At {
        At { slot, generation: 1 }
    }

    #[test]
    fn the_rate_is_held_for_each_connection_and_namespace() {
        let mut paces = Paces::default();
        let start = Timestamp(1_000_000);
        for namespace in 0..2 {
            for slot in 0..2 {
                for _ in 0..10 {
                    assert_eq!(paces.charge(at(slot), namespace, 10, start), Ok(()));
                }
                assert_eq!(paces.charge(at(slot), namespace, 10, start), Err(100));
            }
        }
        assert_eq!(paces.charge(at(0), 0, 10, start.plus_ms(99)), Err(1));
        assert_eq!(paces.charge(at(0), 0, 10, start.plus_ms(100)), Ok(()));
        assert_eq!(paces.charge(at(0), 0, 10, start.plus_ms(100)), Err(100));
        assert_eq!(paces.charge(at(0), 0, 0, start), Ok(()), "no rate");
    }

    #[test]
    fn nothing_is_kept_of_those_who_stopped() {
        let mut paces = Paces::default();
        for n in 0..100_000_u32 {
            paces.charge(at(n), 0, 1000, Timestamp(u64::from(n))).unwrap();
        }
        assert!(paces.len() <= KEPT, "{}", paces.len());
    }
}
