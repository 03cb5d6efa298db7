//! How much one user may ask for, over all their connections: a bucket for each class of commands.
//!
//! A bucket keeps the moment at which it would be full again (the theoretical arrival time of the
//! generic cell rate algorithm, ITU-T I.371), in microseconds. Invariant: what is refused costs
//! nothing here (it does on the connection), so that the time named is exact. Bounded in users: one
//! whose buckets are full is the same as one who is not known, and beyond the bound all are. The
//! counts do not outlive the process.

use std::collections::HashMap;

use hubbub_proto::command::Class;
use hubbub_proto::{Command, Reason, Refusal, Request, Timestamp, UserId};

use crate::config::UserRates;

/// Most users whose buckets are remembered.
const USERS_MAX: usize = 131_072;
const DAY_US: u64 = 24 * 60 * 60 * 1_000_000;

/// What is counted together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Load {
    /// `send`
    Messages,
    /// Everything else that is written.
    Changes,
    /// What only reads.
    Reads,
    /// What may be lost, and marks of reading.
    Volatile,
    /// New groups.
    Groups,
}

const LOADS: usize = 5;

/// What a command counts as; `None` for what a rule permits to few, and what is not for the writer.
const fn load_of(command: &Command) -> Option<Load> {
    match command {
        Command::Send(_) => Some(Load::Messages),
        Command::Push(_) => None,
        Command::Read(_) => Some(Load::Volatile),
        command => match command.class() {
            Class::Write => Some(Load::Changes),
            Class::Soft | Class::Volatile => Some(Load::Volatile),
            Class::Read | Class::Attach => Some(Load::Reads),
            Class::Session | Class::Live => None,
        },
    }
}

/// What one of a kind costs, and how much fits: both in microseconds. Nothing is counted at a cost
/// of 0.
#[derive(Clone, Copy, Debug, Default)]
struct Price {
    cost_us: u64,
    depth_us: u64,
}

impl Price {
    fn per_second(rate: u32, burst_ms: u32) -> Self {
        if rate == 0 {
            return Self::default();
        }
        let cost_us = (1_000_000 / u64::from(rate)).max(1);
        Self { cost_us, depth_us: cost_us.max(u64::from(burst_ms) * 1_000) }
    }

    fn per_day(quota: u32) -> Self {
        match quota {
            0 => Self::default(),
            quota => Self { cost_us: DAY_US / u64::from(quota), depth_us: DAY_US },
        }
    }
}

/// When each bucket would be full again.
type Buckets = [u64; LOADS];

/// See the module.
#[derive(Debug)]
pub(crate) struct Rates {
    prices: [Price; LOADS],
    /// Keyed by what clients may choose, so hashed with a secret.
    users: HashMap<UserId, Buckets>,
}

impl Rates {
    pub(crate) fn new(rates: &UserRates) -> Self {
        let per_second = |rate| Price::per_second(rate, rates.burst_ms);
        Self {
            prices: [
                per_second(rates.messages_per_second),
                per_second(rates.changes_per_second),
                per_second(rates.reads_per_second),
                per_second(rates.volatile_per_second),
                Price::per_day(rates.group_creates_per_day),
            ],
            users: HashMap::new(),
        }
    }

    /// Whether what is asked for may be carried out now.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which the same is admitted.
    pub(crate) fn admit(
        &mut self,
        request: &Request,
        command: &Command,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Some(load) = load_of(command) else { return Ok(()) };
        if request.identity.authority.is_of_key() {
            // Its key has a rate.
            return Ok(());
        }
        let user = &request.identity.user;
        self.check(user, load, 0, now)?;
        self.charge(user, load, now);
        Ok(())
    }

    /// Whether there is room for one more of this load, besides `pending` ones that are not charged
    /// yet.
    ///
    /// # Errors
    /// As for [`Rates::admit`].
    pub(crate) fn check(
        &self,
        user: &UserId,
        load: Load,
        pending: usize,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Price { cost_us, depth_us } = self.prices[load as usize];
        let now_us = now.0.saturating_mul(1_000);
        let full_at_us = self.users.get(user).map_or(0, |buckets| buckets[load as usize]);
        let more_us = cost_us.saturating_mul(pending as u64 + 1);
        let full_at_us = full_at_us.max(now_us).saturating_add(more_us);
        let missing_us = full_at_us.saturating_sub(now_us.saturating_add(depth_us));
        match missing_us {
            _ if cost_us == 0 => Ok(()),
            0 => Ok(()),
            _ => Err(Refusal::later(Reason::RateLimited, missing_us.div_ceil(1_000))),
        }
    }

    /// Counts one of this load, for which there was room.
    pub(crate) fn charge(&mut self, user: &UserId, load: Load, now: Timestamp) {
        let Price { cost_us, .. } = self.prices[load as usize];
        if cost_us == 0 {
            return;
        }
        let buckets = match self.users.get_mut(user) {
            Some(buckets) => buckets,
            None => self.users.entry(user.clone()).or_default(),
        };
        let full_at_us = &mut buckets[load as usize];
        *full_at_us = (*full_at_us).max(now.0.saturating_mul(1_000)).saturating_add(cost_us);
    }

    /// Keeps within the bound.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        self.shrink(now, USERS_MAX);
    }

    /// Forgets everybody whose buckets are full, and gives the room back.
    pub(crate) fn tidy(&mut self, now: Timestamp) {
        self.forget_full(now);
        self.users.shrink_to(2 * self.users.len());
    }

    fn forget_full(&mut self, now: Timestamp) {
        let now_us = now.0.saturating_mul(1_000);
        self.users.retain(|_, buckets| buckets.iter().any(|full_at_us| *full_at_us > now_us));
    }

    fn shrink(&mut self, now: Timestamp, users_max: usize) {
        if self.users.len() > users_max {
            self.forget_full(now);
            if self.users.len() > users_max / 2 {
                self.users = HashMap::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take(rates: &mut Rates, user: &UserId, load: Load, now: Timestamp) -> Result<(), Refusal> {
        rates.check(user, load, 0, now)?;
        rates.charge(user, load, now);
        Ok(())
    }

    fn user(n: u32) -> UserId {
        UserId::new(&format!("u{n}")).unwrap()
    }

    #[test]
    fn loads_have_buckets_of_their_own() {
        let rates = UserRates { messages_per_second: 1, burst_ms: 1_000, ..UserRates::default() };
        let mut rates = Rates::new(&rates);
        let now = Timestamp(5_000);
        assert!(take(&mut rates, &user(1), Load::Messages, now).is_ok());
        let refusal = take(&mut rates, &user(1), Load::Messages, now.plus_ms(400)).unwrap_err();
        assert_eq!(refusal.retry_after_ms, Some(600));
        assert!(take(&mut rates, &user(2), Load::Messages, now).is_ok());
        for _ in 0..1_000 {
            assert!(take(&mut rates, &user(1), Load::Reads, now).is_ok(), "not limited");
        }
    }

    #[test]
    fn no_more_users_are_remembered_than_the_bound() {
        let rates = UserRates { messages_per_second: 1, burst_ms: 1_000, ..UserRates::default() };
        let mut rates = Rates::new(&rates);
        for n in 0..20 {
            let now = Timestamp(u64::from(n) * 100);
            assert!(take(&mut rates, &user(n), Load::Messages, now).is_ok());
        }
        let mut kept = |now, users_max| {
            rates.shrink(Timestamp(now), users_max);
            rates.users.len()
        };
        assert_eq!(kept(2_000, 20), 20);
        assert_eq!(kept(2_000, 19), 9, "the others are full again");
        assert_eq!(kept(2_000, 8), 0);
    }

    #[test]
    fn whose_buckets_are_full_is_forgotten_when_it_is_calm() {
        let rates = UserRates { messages_per_second: 1, burst_ms: 1_000, ..UserRates::default() };
        let mut rates = Rates::new(&rates);
        for n in 0..1_000 {
            assert!(take(&mut rates, &user(n), Load::Messages, Timestamp(n.into())).is_ok());
        }
        let wide = rates.users.capacity();
        rates.tidy(Timestamp(1_990));
        assert_eq!(rates.users.len(), 9);
        assert!(rates.users.capacity() < wide / 8, "{}", rates.users.capacity());
        assert!(take(&mut rates, &user(995), Load::Messages, Timestamp(1_990)).is_err());
    }

    proptest! {
        #[test]
        fn the_time_named_is_exact_and_the_rate_is_held(
            gaps in prop::collection::vec(0u64..400, 1..80), rate in 1u32..50, burst_ms in 1u32..3_000,
        ) {
            let config = UserRates { changes_per_second: rate, burst_ms, ..UserRates::default() };
            let mut rates = Rates::new(&config);
            let mut now = Timestamp(1_000);
            let mut passed = Vec::new();
            for gap in gaps {
                now = now.plus_ms(gap);
                let Err(refusal) = take(&mut rates, &user(1), Load::Changes, now) else {
                    passed.push(now);
                    continue;
                };
                let wait_ms = refusal.retry_after_ms.unwrap();
                let early = take(&mut rates, &user(1), Load::Changes, now.plus_ms(wait_ms - 1));
                prop_assert!(early.is_err(), "{wait_ms} is no more than needed");
                now = now.plus_ms(wait_ms);
                prop_assert!(take(&mut rates, &user(1), Load::Changes, now).is_ok());
                passed.push(now);
            }
            for (n, from) in passed.iter().enumerate() {
                for (m, to) in passed[n..].iter().enumerate() {
                    let span_ms = to.since(*from) + u64::from(burst_ms).max(1_000 / u64::from(rate) + 1);
                    prop_assert!(m as u64 <= span_ms * u64::from(rate) / 1_000 + 1);
                }
            }
        }
    }
}
