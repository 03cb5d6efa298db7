//! A queue with many writers and one reader that may sleep.
//!
//! Invariants: letters arrive in the order in which one thread put them; a wake-up cannot be lost,
//! because `sleeping` changes under the same lock as the letters; above `bytes_max` nothing is kept
//! but what must arrive; once closed it keeps nothing, and whoever puts letters gets them back.
//! The reader takes everything by one swap. Deliberately absent: what a letter is, and how the
//! reader is woken. The lock comes from `crate::sync`, so that the models in `loom/` run this very
//! file in every order that its threads could take.

use crate::sync::{Mutex, MutexGuard, PoisonError};

/// What can be put into a [`Mailbox`].
pub(crate) trait Letter: Sized {
    /// What was lost for want of room, until the reader takes it.
    type Losses: Default;

    /// Roughly the memory it keeps, in bytes.
    fn weight(&self) -> usize;

    /// There is no room for it: answers what must arrive all the same, and notes what is lost.
    fn shrink(self, losses: &mut Self::Losses) -> Option<Self>;
}

/// See the module.
pub(crate) struct Mailbox<L: Letter> {
    state: Mutex<State<L>>,
    bytes_max: usize,
}

struct State<L: Letter> {
    letters: Vec<L>,
    bytes: usize,
    sleeping: bool,
    losses: L::Losses,
    closed: bool,
}

impl<L: Letter> State<L> {
    /// Keeps what has room or must arrive. Answers it and its weight.
    fn admit(&mut self, letters: Vec<L>, bytes_max: usize) -> (usize, Vec<L>) {
        let mut bytes = 0;
        let mut kept = Vec::with_capacity(letters.len());
        for letter in letters {
            let letter = if self.bytes + bytes > bytes_max {
                letter.shrink(&mut self.losses)
            } else {
                Some(letter)
            };
            if let Some(letter) = letter {
                bytes += letter.weight();
                kept.push(letter);
            }
        }
        (bytes, kept)
    }
}

impl<L: Letter> Mailbox<L> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let state = State {
            letters: Vec::new(),
            bytes: 0,
            sleeping: false,
            losses: L::Losses::default(),
            closed: false,
        };
        Self { state: Mutex::new(state), bytes_max }
    }

    fn state(&self) -> MutexGuard<'_, State<L>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds letters. Answers whether the reader has to be woken, which is up to the caller. The
    /// lock is held for an append, or a swap where nothing waits.
    ///
    /// # Errors
    /// The letters, when the mailbox is closed.
    pub(crate) fn put(&self, mut letters: Vec<L>) -> Result<bool, Vec<L>> {
        let mut bytes = letters.iter().map(L::weight).sum::<usize>();
        let mut state = self.state();
        if state.closed {
            return Err(letters);
        }
        if state.bytes + bytes > self.bytes_max {
            (bytes, letters) = state.admit(letters, self.bytes_max);
        }
        state.bytes += bytes;
        if state.letters.is_empty() {
            std::mem::swap(&mut state.letters, &mut letters);
        } else {
            state.letters.append(&mut letters);
        }
        Ok(!state.letters.is_empty() && std::mem::take(&mut state.sleeping))
    }

    /// Swaps the letters into `into`, which must be empty. Answers what was lost since the last
    /// time.
    pub(crate) fn take(&self, into: &mut Vec<L>) -> L::Losses {
        let mut state = self.state();
        state.sleeping = false;
        state.bytes = 0;
        std::mem::swap(&mut state.letters, into);
        std::mem::take(&mut state.losses)
    }

    /// Announces that the reader will sleep until it is woken; false when there are letters already.
    pub(crate) fn sleep(&self) -> bool {
        let mut state = self.state();
        state.sleeping = state.letters.is_empty();
        state.sleeping
    }

    /// The reader has ended: answers what it left.
    pub(crate) fn close(&self) -> Vec<L> {
        let mut state = self.state();
        state.closed = true;
        state.bytes = 0;
        std::mem::take(&mut state.letters)
    }

    /// How many letters wait, and their weight in bytes.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.state();
        (state.letters.len(), state.bytes)
    }
}
