//! Devices of users: which ones were signed out, and which ones came or went.
//!
//! Invariant: a device that was signed out does nothing with a token made before, from the commit on
//! that says so; which those are is known without a look into the store. What came or went is written
//! at leisure, so that a storm of logins does not become one of commits: a crash costs what was not
//! written. Bounded: [`SIGNED_OUT_MAX`] devices signed out, above it no more are; [`WAITING_MAX`]
//! visits, above it new ones are dropped.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use hubbub_proto::{DeviceId, Identity, Timestamp, UserId};

/// Most devices signed out.
pub(crate) const SIGNED_OUT_MAX: usize = 262_144;
/// Most visits that wait.
const WAITING_MAX: usize = 131_072;
/// Visits of one group, and the time between groups: everything else that is written goes before.
const GROUP_MAX: usize = 128;
const GROUP_EVERY_MS: u64 = 100;

type Users = HashMap<UserId, Vec<(DeviceId, Timestamp)>>;

/// Which devices were signed out, and when. One thread adds to it; others may look.
#[derive(Debug, Default)]
pub(crate) struct SignedOut {
    users: Arc<RwLock<Users>>,
    count: usize,
    window_ms: u64,
}

/// What those see who are not the one that adds.
#[derive(Clone, Debug)]
pub(crate) struct SignedOutView {
    users: Arc<RwLock<Users>>,
    window_ms: u64,
}

impl SignedOutView {
    /// See [`SignedOut::refuses`].
    pub(crate) fn refuses(&self, identity: &Identity, now: Timestamp) -> bool {
        identity.device_named && refuses(&self.users, self.window_ms, identity, now)
    }
}

fn refuses(users: &RwLock<Users>, window_ms: u64, identity: &Identity, now: Timestamp) -> bool {
    let users = users.read().unwrap_or_else(PoisonError::into_inner);
    let Some(devices) = users.get(&identity.user) else { return false };
    devices.iter().any(|(device, at)| {
        *device == identity.device
            && now.since(*at) < window_ms
            && identity.issued_at.is_none_or(|issued| issued <= *at)
    })
}

impl SignedOut {
    pub(crate) fn new(window_ms: u64, known: Vec<(UserId, DeviceId, Timestamp)>) -> Self {
        let mut all = Self { window_ms, ..Self::default() };
        for (user, device, at) in known {
            all.add(user, device, at);
        }
        all
    }

    /// Whether no more can be kept.
    pub(crate) const fn is_full(&self) -> bool {
        self.count >= SIGNED_OUT_MAX
    }

    pub(crate) fn add(&mut self, user: UserId, device: DeviceId, at: Timestamp) {
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        let devices = users.entry(user).or_default();
        match devices.iter_mut().find(|(known, _)| *known == device) {
            Some((_, known)) => *known = at.max(*known),
            None => {
                devices.push((device, at));
                self.count += 1;
            }
        }
    }

    /// Whether what comes with this identity is refused: its token was made before its device was
    /// signed out, or does not say when. Tokens count in seconds, so one of the same second is refused.
    pub(crate) fn refuses(&self, identity: &Identity, now: Timestamp) -> bool {
        // Most servers have none, and this is asked for every command.
        let may_be = self.count > 0 && identity.device_named;
        may_be && refuses(&self.users, self.window_ms, identity, now)
    }

    /// For those who only look.
    pub(crate) fn view(&self) -> SignedOutView {
        SignedOutView { users: Arc::clone(&self.users), window_ms: self.window_ms }
    }
}

/// A session that began, goes on under a newer token, or ended.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) identity: Arc<Identity>,
    /// When.
    pub(crate) at: Timestamp,
    /// It did not end, so its token is the newest that is known of the user.
    pub(crate) came: bool,
}

/// Sessions that came or went, until what they say of users and devices is written.
#[derive(Debug, Default)]
pub(crate) struct Visits {
    waiting: VecDeque<Visit>,
    next_at: Timestamp,
}

impl Visits {
    pub(crate) fn add(&mut self, visit: Visit, now: Timestamp) {
        if self.waiting.is_empty() {
            self.next_at = self.next_at.max(now.plus_ms(GROUP_EVERY_MS));
        }
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(visit);
        }
    }

    /// When something is to be written.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        (!self.waiting.is_empty()).then_some(self.next_at)
    }

    /// How many of the oldest are to be written now.
    pub(crate) fn due(&self, now: Timestamp, all: bool) -> usize {
        match (all, self.next_due()) {
            (true, _) => self.waiting.len(),
            (false, Some(due)) if due <= now => self.waiting.len().min(GROUP_MAX),
            _ => 0,
        }
    }

    /// The oldest `count`.
    pub(crate) fn oldest(&self, count: usize) -> impl Iterator<Item = &Visit> {
        self.waiting.iter().take(count)
    }

    /// The oldest `count` are in the store, or never will be.
    pub(crate) fn settle(&mut self, count: usize, now: Timestamp) {
        if count == 0 {
            return;
        }
        self.waiting.drain(..count.min(self.waiting.len()));
        self.next_at = now.plus_ms(GROUP_EVERY_MS);
        if self.waiting.is_empty() && self.waiting.capacity() > 4 * GROUP_MAX {
            self.waiting = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(device: &str, issued: Option<u64>, named: bool) -> Identity {
        Identity {
            user: UserId::new("alice").unwrap(),
            name: None,
            roles: Box::default(),
            device: DeviceId::new(device).unwrap(),
            device_named: named,
            expires_at: None,
            issued_at: issued.map(Timestamp),
            rare: None,
            authority: hubbub_proto::route::Authority::default(),
        }
    }

    #[test]
    fn older_tokens_are_refused_for_as_long_as_the_window() {
        let alice = UserId::new("alice").unwrap();
        let phone = DeviceId::new("phone").unwrap();
        let out = SignedOut::new(1_000, vec![(alice, phone, Timestamp(5_000))]);
        let view = out.view();
        let check = |device, issued, named, now, expect| {
            let refused = out.refuses(&identity(device, issued, named), Timestamp(now));
            assert_eq!(refused, expect, "{device} {issued:?} at {now}");
            let seen = view.refuses(&identity(device, issued, named), Timestamp(now));
            assert_eq!(seen, expect, "{device} {issued:?} at {now}");
        };
        check("phone", Some(4_000), true, 5_001, true);
        check("phone", Some(5_000), true, 5_001, true);
        check("phone", Some(6_000), true, 5_001, false);
        check("phone", None, true, 5_001, true);
        check("phone", Some(4_000), true, 6_000, false);
        check("laptop", Some(4_000), true, 5_001, false);
        check("phone", Some(4_000), false, 5_001, false);
    }

    #[test]
    fn visits_go_in_groups_with_time_between() {
        let mut visits = Visits::default();
        let identity = Arc::new(identity("phone", None, true));
        let one = Visit { identity, at: Timestamp(0), came: true };
        for _ in 0..GROUP_MAX + 1 {
            visits.add(one.clone(), Timestamp(0));
        }
        assert_eq!(visits.next_due(), Some(Timestamp(GROUP_EVERY_MS)));
        assert_eq!(visits.due(Timestamp(GROUP_EVERY_MS - 1), false), 0);
        assert_eq!(visits.due(Timestamp(GROUP_EVERY_MS), false), GROUP_MAX);
        visits.settle(GROUP_MAX, Timestamp(GROUP_EVERY_MS));
        assert_eq!(visits.due(Timestamp(GROUP_EVERY_MS), false), 0);
        assert_eq!(visits.due(Timestamp(2 * GROUP_EVERY_MS), false), 1);
        assert_eq!(visits.due(Timestamp(0), true), 1);
        for _ in 0..2 * WAITING_MAX {
            visits.add(one.clone(), Timestamp(0));
        }
        assert_eq!(visits.due(Timestamp(0), true), WAITING_MAX);
    }
}
