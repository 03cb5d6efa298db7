//! How many connections there may be (P9).
//!
//! Invariant: at most `max` permits exist at any time; one is given back when it is dropped,
//! wherever it has moved meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::gate::Visit;

/// A number of places for connections.
#[derive(Clone, Debug)]
pub struct Permits(Arc<Places>);

#[derive(Debug)]
struct Places {
    used: AtomicUsize,
    max: usize,
}

/// One place, taken until it is dropped.
#[derive(Debug)]
pub struct Permit {
    places: Arc<Places>,
    /// Whose it is, where connections are counted by address.
    visit: Option<Box<Visit>>,
}

impl Permits {
    /// `max` places, all free.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Places { used: AtomicUsize::new(0), max }))
    }

    /// A place, if one is free.
    #[must_use]
    pub fn take(&self) -> Option<Permit> {
        let Places { used, max } = &*self.0;
        let more = |n: usize| (n < *max).then_some(n + 1);
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Permit { places: self.0.clone(), visit: None })
    }

    /// How many are taken.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// How many there are.
    #[must_use]
    pub fn max(&self) -> usize {
        self.0.max
    }
}

impl Permit {
    /// Keeps a visit for as long as the place.
    pub(crate) fn keep(&mut self, visit: Option<Visit>) {
        if let Some(visit) = visit {
            self.visit = Some(Box::new(visit));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.places.used.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_max_and_all_come_back() {
        let permits = Permits::new(10);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..1000 {
                        let held: Vec<_> = (0..round % 7).map(|_| permits.take()).collect();
                        assert!(permits.used() <= 10);
                        drop(held);
                    }
                });
            }
        });
        assert_eq!(permits.used(), 0);
        let all: Vec<_> = std::iter::from_fn(|| permits.take()).collect();
        assert_eq!((all.len(), permits.used()), (10, 10));
        drop(all);
        assert!(permits.take().is_some());
        assert!(Permits::new(0).take().is_none());
    }
}
