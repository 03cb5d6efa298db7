//! What may be done to a message, by whom and how long.
//!
//! Invariant: whoever does something to a message sees it, within the same stay (P7): somebody who
//! left and came back has nothing to do with what lies before. A removed message stays removed.

use hubbub_proto::command::{Content, Emoji, Kind, Role};
use hubbub_proto::event::Removed;
use hubbub_proto::{Reason, Refusal, Timestamp, UserId};

use crate::content;
use crate::model::Entry;

/// What decisions depend on.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    /// Who asks.
    pub actor: &'a UserId,
    /// Their role, where they are a member.
    pub role: Option<Role>,
    /// The first seq of their stay that there still is.
    pub since: u64,
    /// The entry that is meant, where there is one.
    pub target: Option<&'a Entry>,
    /// Now.
    pub now: Timestamp,
    /// Whether others than the two sides of a direct conversation may be in it.
    pub group: bool,
}

/// What is to be written: one entry about the target, and what it changes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Kind of the entry.
    pub kind: Kind,
    /// Content of the entry.
    pub content: Content,
    /// What becomes of the target.
    pub change: Change,
}

/// What becomes of the target.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// It has the entry's content.
    Edit,
    /// Its content goes.
    Remove(Removed),
    /// The actor reacts with this from here on.
    React(Emoji),
    /// The actor reacts with this no more.
    Unreact(Emoji),
    /// It is pinned.
    Pin,
    /// It is no more.
    Unpin,
}

impl Plan {
    /// When the entry about `target` expires: together with it. A removed message expires no more, so
    /// that what says so lasts.
    #[must_use]
    pub fn expires_at(&self, target: &Entry) -> Option<Timestamp> {
        match self.change {
            Change::Remove(_) => None,
            _ => target.head.as_ref().and_then(|head| head.expires_at),
        }
    }
}

impl<'a> State<'a> {
    /// The message that is meant.
    fn message(&self) -> Result<&'a Entry, Refusal> {
        self.role.ok_or(Reason::NotAMember)?;
        let target = self.target.filter(|target| {
            target.seq >= self.since && target.kind.is_message() && !target.is_over(self.now)
        });
        let target = target.ok_or(Reason::NotFound)?;
        match target.fate.removed {
            Some(_) => Err(Reason::Removed.into()),
            None => Ok(target),
        }
    }

    /// The message that is meant, if it is the actor's.
    fn own_message(&self) -> Result<&'a Entry, Refusal> {
        let target = self.message()?;
        match target.sender == *self.actor {
            true => Ok(target),
            false => Err(Refusal::with(Reason::NotAllowed, "The message is somebody else's.")),
        }
    }

    /// Whether the actor may give the message another content.
    ///
    /// # Errors
    /// `not_a_member`, `not_found`, `removed`, `not_allowed`, `too_late`.
    pub fn may_edit(&self, window_ms: u64) -> Result<(), Refusal> {
        self.in_time(self.own_message()?, window_ms)
    }

    /// Whether the actor may delete messages for all here, if not necessarily this one.
    ///
    /// # Errors
    /// `not_a_member`, `not_found`, `removed`, `not_allowed`.
    pub fn may_delete(&self) -> Result<(&'a Entry, Role), Refusal> {
        let target = self.message()?;
        let role = self.role.filter(|role| self.group && *role >= Role::Admin);
        Ok((target, role.ok_or(Reason::NotAllowed)?))
    }

    /// Whether the actor may pin the message, or take that back.
    ///
    /// # Errors
    /// `not_a_member`, `not_found`, `removed`, `not_allowed`.
    pub fn may_pin(&self) -> Result<(), Refusal> {
        self.message()?;
        match self.group && self.role.is_none_or(|role| role < Role::Admin) {
            true => Err(Reason::NotAllowed.into()),
            false => Ok(()),
        }
    }

    /// Whether the actor may react to the message.
    ///
    /// # Errors
    /// `not_a_member`, `not_found`, `removed`.
    pub fn may_react(&self) -> Result<(), Refusal> {
        self.message().map(|_| ())
    }

    fn in_time(&self, target: &Entry, window_ms: u64) -> Result<(), Refusal> {
        match self.now.since(target.at) < window_ms {
            true => Ok(()),
            false => Err(Reason::TooLate.into()),
        }
    }
}

/// The sender gives a message another content, of which `edits` came before.
///
/// # Errors
/// `not_a_member`, `not_found`, `removed`, `not_allowed`, `too_late`, `too_many_edits`.
pub fn edit(
    state: &State<'_>,
    content: &Content,
    edits: u32,
    (window_ms, edits_max): (u64, u32),
) -> Result<Plan, Refusal> {
    state.may_edit(window_ms)?;
    if edits >= edits_max {
        return Err(Reason::TooManyEdits.into());
    }
    Ok(Plan { kind: Kind::MessageEdited, content: content.clone(), change: Change::Edit })
}

/// The sender takes a message back.
///
/// # Errors
/// `not_a_member`, `not_found`, `removed`, `not_allowed`, `too_late`.
pub fn recall(state: &State<'_>, window_ms: u64) -> Result<Plan, Refusal> {
    state.in_time(state.own_message()?, window_ms)?;
    Ok(Plan {
        kind: Kind::MessageRecalled,
        content: content::null(),
        change: Change::Remove(Removed::Recalled),
    })
}

/// An admin or owner deletes a message for all: one of their own, or of a member of lower role, or
/// of one who is not there any more. `author` is the role of who wrote it.
///
/// # Errors
/// `not_a_member`, `not_found`, `removed`, `not_allowed`.
pub fn delete(state: &State<'_>, author: Option<Role>) -> Result<Plan, Refusal> {
    let (target, role) = state.may_delete()?;
    if target.sender != *state.actor && author.is_some_and(|author| author >= role) {
        return Err(Reason::NotAllowed.into());
    }
    Ok(Plan {
        kind: Kind::MessageDeleted,
        content: content::null(),
        change: Change::Remove(Removed::Deleted),
    })
}

/// An admin or owner of a group, or a side of a direct conversation, pins a message or takes that
/// back; `None` where it is so already.
///
/// # Errors
/// `not_a_member`, `not_found`, `removed`, `not_allowed`, `too_many_pins`.
pub fn pin(
    state: &State<'_>,
    active: bool,
    pinned: bool,
    (pins, pins_max): (usize, u32),
) -> Result<Option<Plan>, Refusal> {
    state.may_pin()?;
    if active == pinned {
        return Ok(None);
    }
    if active && pins >= pins_max as usize {
        return Err(Reason::TooManyPins.into());
    }
    Ok(Some(Plan {
        kind: Kind::MessagePin,
        content: content::OperationContent::Pin { active }.json(),
        change: if active { Change::Pin } else { Change::Unpin },
    }))
}

/// What is known of the reactions to a message.
#[derive(Clone, Copy, Debug)]
pub struct Reactions {
    /// The actor reacts with the emoji already.
    pub mine: bool,
    /// Somebody does.
    pub known: bool,
    /// How many different ones there are.
    pub distinct: u32,
    /// How many there may be.
    pub distinct_max: u32,
}

/// A member reacts to a message, or takes that back; `None` where it is so already.
///
/// # Errors
/// `not_a_member`, `not_found`, `removed`, `too_many_reactions`.
pub fn react(
    state: &State<'_>,
    emoji: &Emoji,
    active: bool,
    reactions: Reactions,
) -> Result<Option<Plan>, Refusal> {
    state.may_react()?;
    if active == reactions.mine {
        return Ok(None);
    }
    if active && !reactions.known && reactions.distinct >= reactions.distinct_max {
        return Err(Reason::TooManyReactions.into());
    }
    let change = if active { Change::React } else { Change::Unreact };
    Ok(Some(Plan {
        kind: Kind::MessageReaction,
        content: content::OperationContent::Reaction { emoji, active }.json(),
        change: change(emoji.clone()),
    }))
}
