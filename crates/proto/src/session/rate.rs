//! How many commands a connection may send: a token bucket in eight bytes.
//!
//! It keeps the moment at which the bucket would be full again (the theoretical arrival time of
//! the generic cell rate algorithm, ITU-T I.371), in microseconds.

use crate::Timestamp;
use crate::limits::Limits;

/// Full at any time in the past.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    full_at_us: u64,
}

/// What one message costs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cost {
    Whole,
    Tenth,
}

impl Bucket {
    /// Takes the cost out, or says in how many milliseconds it could.
    pub(super) fn charge(
        &mut self,
        cost: Cost,
        now: Timestamp,
        limits: &Limits,
    ) -> Result<(), u64> {
        let whole_us = 1_000_000 / u64::from(limits.commands_per_second.max(1));
        let cost_us = match cost {
            Cost::Whole => whole_us.max(1),
            Cost::Tenth => (whole_us / 10).max(1),
        };
        let depth_us = whole_us.max(1).saturating_mul(u64::from(limits.commands_burst.max(1)));
        let now_us = now.0.saturating_mul(1000);
        let full_at_us = self.full_at_us.max(now_us).saturating_add(cost_us);
        let missing_us = full_at_us.saturating_sub(now_us.saturating_add(depth_us));
        if missing_us > 0 {
            return Err(missing_us.div_ceil(1000));
        }
        self.full_at_us = full_at_us;
        Ok(())
    }
}
