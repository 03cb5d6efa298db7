//! Decides, command by command, what is to happen or why not.
//!
//! Invariant: pure functions of state, command and time. Refusals are decided here and nowhere
//! else, except those of idempotency, which the writer alone can see.

pub mod address;
pub mod along;
pub mod consent;
pub mod cursor;
pub mod group;
pub mod operation;
pub mod push;
pub mod relation;
pub mod send;
pub mod settings;
pub mod silence;
pub mod size;
pub mod typing;

use hubbub_proto::command::Role;

pub use self::silence::silenced;
use crate::model::{Conversation, Membership};

/// The role of a present member; `None` for everyone else, and for everyone once the
/// conversation is dissolved.
#[must_use]
pub fn standing(conversation: &Conversation, membership: Option<&Membership>) -> Option<Role> {
    membership.filter(|m| m.is_open() && !conversation.dissolved).map(|m| m.role)
}
