//! Presence: who is there, told to those who watch and may know.
//!
//! - [`roster`]: who is there, who watches whom, what is due when. Pure.
//! - [`people`]: users and their connections, found by name.
//! - [`agenda`]: things to do in the order of their moments.
//! - [`circle`]: who may know what of whom, out of the store.
//! - [`desk`]: the thread's work: requests in, answers and events out.
//!
//! Invariant: nothing is kept in memory of a friendship; on a change the store is asked who the
//! friends are. One who is invisible cannot be told from one who left when they chose it. Best effort
//! (P8): what is lost on the way to a slow reader is not repeated. Deliberately absent: rooms and
//! channels.

use hubbub_proto::Request;

use crate::model::{Pair, PrivacyChoice};

mod agenda;
mod circle;
pub(crate) mod desk;
mod people;
mod roster;

/// What a command changed of who may know what of whom; nothing comes of one that changed nothing.
#[derive(Clone, Copy, Debug)]
pub enum Shift {
    /// What was between the one who asked and this other user.
    Pair(Pair),
    /// What the one who asked had chosen.
    Privacy(PrivacyChoice),
}

/// What the thread of presence hears of.
#[derive(Debug)]
pub struct Heard {
    /// What came.
    pub request: Request,
    /// What it changed, as it was before.
    pub shift: Option<Shift>,
}

/// How much of a user somebody may see.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct View {
    /// Whether and how they are there.
    pub(crate) status: bool,
    /// When they were last there.
    pub(crate) last_seen: bool,
    /// It is the user themself.
    pub(crate) own: bool,
}

impl View {
    /// Of oneself.
    pub(crate) const OWN: Self = Self { status: true, last_seen: true, own: true };
}
