//! A disk that is full, or a row that is refused, now and then.
//!
//! Unlike a sabotage this is what a store may do, so every promise must survive it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::rng::Rng;

#[derive(Clone, Debug)]
pub(crate) struct Trouble(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    rng: Rng,
    per_mille: u64,
    met: u64,
}

impl Trouble {
    pub(crate) fn new(seed: u64, per_mille: u64) -> Self {
        Self(Arc::new(Mutex::new(State { rng: Rng::new(!seed), per_mille, met: 0 })))
    }

    /// Whether this write fails.
    pub(crate) fn strikes(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let per_mille = state.per_mille;
        let strikes = state.rng.chance(per_mille);
        state.met += u64::from(strikes);
        strikes
    }

    /// From now on nothing fails.
    pub(crate) fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).per_mille = 0;
    }

    /// How often it struck.
    pub(crate) fn met(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).met
    }
}
