//! What became of a message, as one user may know it: the oracle's own fold of the log.
//!
//! Invariant: nothing counts that lies beyond the end of the stay in which the user sees the message
//! (P7), except that what was removed is removed for everybody.

use std::collections::{BTreeMap, BTreeSet};

use hubbub_proto::UserId;
use serde_json::Value;

use crate::log::{Committed, Log};

/// A message as it is now.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct State {
    /// Nothing where it was removed.
    pub(crate) content: Option<Value>,
    pub(crate) edited_at: Option<u64>,
    pub(crate) removed: Option<String>,
    pub(crate) reactions: BTreeMap<String, BTreeSet<String>>,
    pub(crate) pinned: bool,
}

impl State {
    fn removed(why: &str) -> Self {
        Self { removed: Some(why.to_owned()), ..Self::default() }
    }

    fn of(entry: &Committed) -> Self {
        Self { content: Some(entry.value()), ..Self::default() }
    }

    fn apply(&mut self, update: &Committed) {
        if self.removed.is_some() {
            return;
        }
        let content = update.value();
        let active = content["active"] == Value::Bool(true);
        match update.kind.as_str() {
            "message_edited" => {
                self.content = Some(content);
                self.edited_at = Some(update.at.0);
            }
            "message_reaction" => {
                let emoji = content["emoji"].as_str().unwrap_or_default().to_owned();
                let users = self.reactions.entry(emoji).or_default();
                match active {
                    true => users.insert(update.sender.to_string()),
                    false => users.remove(update.sender.as_str()),
                };
                self.reactions.retain(|_, users| !users.is_empty());
            }
            "message_pin" => self.pinned = active,
            _ => {
                if let Some(why) = update.removes() {
                    *self = Self::removed(why);
                }
            }
        }
    }
}

impl Log {
    /// A message as `user` heard of it, entry by entry; `None` for what is no message to them.
    pub(crate) fn heard(&self, user: &UserId, seq: u64) -> Option<State> {
        let entry = self.entry(seq).filter(|entry| !entry.is_update())?;
        let end = self.end_of(user, seq)?;
        let mut state = State::of(entry);
        self.updates(seq).filter(|update| update.seq <= end).for_each(|u| state.apply(u));
        Some(state)
    }

    /// A message as the store has it now, and `user` may know it. A reaction that is no more is gone
    /// for everybody, and one that came again came late.
    pub(crate) fn current(&self, user: &UserId, seq: u64) -> Option<State> {
        let mut state = self.heard(user, seq)?;
        if let Some(why) = self.removal(seq).and_then(Committed::removes) {
            return Some(State::removed(why));
        }
        let end = self.end_of(user, seq)?;
        for update in self.updates(seq).filter(|update| update.seq > end) {
            // Here too: that it is pinned no more is true for everybody.
            state.pinned &= update.kind.as_str() != "message_pin";
            let emoji = update.value()["emoji"].as_str().unwrap_or_default().to_owned();
            if update.kind.as_str() == "message_reaction"
                && let Some(users) = state.reactions.get_mut(&emoji)
            {
                users.remove(update.sender.as_str());
            }
        }
        state.reactions.retain(|_, users| !users.is_empty());
        Some(state)
    }
}
