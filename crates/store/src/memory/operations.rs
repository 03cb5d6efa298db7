//! What was done to messages, in memory.

use std::sync::Arc;

use hubbub_chat::content;
use hubbub_chat::model::{ConversationKey, Edit, EntryKey, Pin, Rev, UserKey};
use hubbub_chat::ports::{OperationWrites, Operations, Result};
use hubbub_proto::command::{Emoji, Kind};
use hubbub_proto::event::{Head, Reaction, ReactionCount, Removed};
use hubbub_proto::{Timestamp, UserId};

use super::conversations::{self, Log};
use super::messages::Row;
use super::{Handle, Seat, State, Writing};
use crate::{REACTION_USERS_MAX, REACTIONS_COUNTED_MAX};

/// A reaction: to which entry, with what, whose; and by which entry, when.
pub(super) type Reacted = ((u64, Emoji, UserKey), (u64, Timestamp));

impl Log {
    fn reactions_to(&self, target: EntryKey) -> impl Iterator<Item = &Reacted> {
        self.reactions.iter().filter(move |((seq, ..), _)| *seq == target.seq)
    }

    pub(super) fn entry_mut(&mut self, seq: u64) -> Option<&mut Row> {
        self.entries.get_mut(&seq).map(Arc::make_mut)
    }

    /// Wipes an entry, of a message also its edits from the newest down.
    pub(super) fn wipe(&mut self, seq: u64, removed: Removed) {
        let mut next = Some(seq);
        while let Some(seq) = next {
            let Some(row) = self.entry_mut(seq) else { break };
            row.entry.content = content::null();
            row.entry.fate.removed = Some(removed);
            row.entry.head = row.entry.head.take().and_then(|head| {
                let rest = Head { about: head.about, receipt: head.receipt, ..Head::default() };
                Some(Box::new(rest)).filter(|rest| **rest != Head::default())
            });
            let edited = row.entry.fate.edited;
            next = edited.and_then(|rev| self.seq_of(rev));
        }
    }

    /// The seq of the entry that was written as `rev`.
    fn seq_of(&self, rev: Rev) -> Option<u64> {
        self.entries.values().find(|row| row.entry.rev == rev).map(|row| row.entry.seq)
    }
}

/// What expires and is not removed yet.
fn expiring(state: &State) -> impl Iterator<Item = (Timestamp, EntryKey)> {
    state.logs.iter().flat_map(|(conversation, log)| {
        log.entries.values().filter_map(|row| {
            let end = row.entry.head.as_ref()?.expires_at?;
            let (seq, rev) = (row.entry.seq, row.entry.rev);
            Some((end, EntryKey { conversation: *conversation, seq, rev }))
        })
    })
}

fn user_id(state: &State, key: UserKey) -> Option<UserId> {
    state.people.get(&key).map(|person| person.user.id.clone())
}

impl<S: Seat> Operations for Handle<S> {
    fn edit(&mut self, conversation: ConversationKey, rev: Rev) -> Result<Option<Edit>> {
        let state = self.seat.state();
        let Some(log) = state.logs.get(&conversation) else { return Ok(None) };
        let edit = log.entries.values().find(|row| row.entry.rev == rev);
        let edit = edit.filter(|row| row.entry.kind == Kind::MessageEdited);
        Ok(edit.map(|row| Edit {
            seq: row.entry.seq,
            at: row.entry.at,
            content: row.entry.content.clone(),
            before: row.entry.fate.edited,
            number: row.edit_number,
        }))
    }

    fn emojis(&mut self, target: EntryKey) -> Result<Vec<Emoji>> {
        let state = self.seat.state();
        let Some(log) = state.logs.get(&target.conversation) else { return Ok(Vec::new()) };
        let mut emojis: Vec<Emoji> =
            log.reactions_to(target).map(|((_, emoji, _), _)| emoji.clone()).collect();
        emojis.dedup();
        Ok(emojis)
    }

    fn has_reaction(&mut self, target: EntryKey, emoji: &Emoji, user: UserKey) -> Result<bool> {
        let state = self.seat.state();
        let log = state.logs.get(&target.conversation);
        Ok(log.is_some_and(|log| {
            log.reactions_to(target).any(|((_, e, u), _)| e == emoji && *u == user)
        }))
    }

    fn reaction_counts(
        &mut self,
        target: EntryKey,
        reader: UserKey,
        through: u64,
    ) -> Result<Vec<ReactionCount>> {
        let state = self.seat.state();
        let Some(log) = state.logs.get(&target.conversation) else { return Ok(Vec::new()) };
        let mut counts: Vec<ReactionCount> = Vec::new();
        for ((_, emoji, user), (seq, _)) in log.reactions_to(target) {
            if *seq > through {
                continue;
            }
            if counts.last().is_none_or(|count| count.emoji != *emoji) {
                let emoji = emoji.clone();
                counts.push(ReactionCount { emoji, count: 0, users: Vec::new(), mine: false });
            }
            let Some(count) = counts.last_mut() else { continue };
            count.count = (count.count + 1).min(REACTIONS_COUNTED_MAX);
            count.mine |= *user == reader;
            if count.users.len() < REACTION_USERS_MAX as usize {
                count.users.extend(user_id(&state, *user));
            }
        }
        Ok(counts)
    }

    fn reactions(
        &mut self,
        target: EntryKey,
        emoji: Option<&Emoji>,
        after: Option<(&Emoji, UserKey)>,
        through: u64,
        limit: u32,
    ) -> Result<Vec<Reaction>> {
        let state = self.seat.state();
        let Some(log) = state.logs.get(&target.conversation) else { return Ok(Vec::new()) };
        let wanted = log.reactions_to(target).filter(|((_, e, user), (seq, _))| {
            *seq <= through
                && emoji.is_none_or(|emoji| emoji == e)
                && after.is_none_or(|after| (e, *user) > after)
        });
        let reaction = |((_, emoji, user), (_, at)): &Reacted| {
            let user = user_id(&state, *user)?;
            Some(Reaction { emoji: emoji.clone(), user, at: *at })
        };
        Ok(wanted.take(limit as usize).filter_map(reaction).collect())
    }

    fn pins(&mut self, conversation: ConversationKey) -> Result<Vec<Pin>> {
        let state = self.seat.state();
        let Some(log) = state.logs.get(&conversation) else { return Ok(Vec::new()) };
        let mut pins: Vec<Pin> = log.pins.values().cloned().collect();
        pins.sort_by_key(|pin| pin.by_seq);
        Ok(pins)
    }

    fn hidden(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        (from, to): (u64, u64),
        limit: u32,
    ) -> Result<Vec<u64>> {
        let state = self.seat.state();
        let Some(log) = state.logs.get(&conversation) else { return Ok(Vec::new()) };
        if from > to {
            return Ok(Vec::new());
        }
        let hidden = log.hidden.range((user, from)..=(user, to)).map(|((_, seq), _)| *seq);
        Ok(hidden.take(limit as usize).collect())
    }

    fn expired(&mut self, now: Timestamp, limit: u32) -> Result<Vec<EntryKey>> {
        let state = self.seat.state();
        let mut over: Vec<(Timestamp, EntryKey)> =
            expiring(&state).filter(|(end, _)| *end <= now).collect();
        over.sort_by_key(|(end, key)| (*end, key.rev));
        Ok(over.into_iter().take(limit as usize).map(|(_, key)| key).collect())
    }

    fn next_expiry(&mut self) -> Result<Option<Timestamp>> {
        let state = self.seat.state();
        Ok(expiring(&state).map(|(end, _)| end).min())
    }

    fn joined_after(
        &mut self,
        conversation: ConversationKey,
        seq: u64,
    ) -> Result<Vec<(u64, UserId)>> {
        let state = self.seat.state();
        let Some(log) = state.logs.get(&conversation) else { return Ok(Vec::new()) };
        let mut joined: Vec<(u64, UserKey)> = log
            .members
            .iter()
            .filter_map(|(user, membership)| {
                let stay = membership.stays.last().filter(|stay| stay.left_seq.is_none())?;
                (stay.join_seq > seq).then_some((stay.join_seq, *user))
            })
            .collect();
        joined.sort_unstable();
        let named = |(seq, key)| user_id(&state, key).map(|user| (seq, user));
        Ok(joined.into_iter().filter_map(named).collect())
    }
}

impl OperationWrites for Handle<Writing> {
    fn chain_edit(&mut self, target: EntryKey, edit: EntryKey) -> Result<()> {
        let log = conversations::log(self.seat.working()?, target.conversation)?;
        let Some(message) = log.entry_mut(target.seq) else { return Ok(()) };
        let before = message.entry.fate.edited.replace(edit.rev);
        let before_seq = before.and_then(|rev| log.seq_of(rev));
        let before_row = before_seq.and_then(|seq| log.entries.get(&seq));
        let number = before_row.map_or(0, |row| row.edit_number) + 1;
        if let Some(edit) = log.entry_mut(edit.seq) {
            edit.entry.fate.edited = before;
            edit.edit_number = number;
        }
        Ok(())
    }

    fn remove(&mut self, target: EntryKey, removed: Removed) -> Result<()> {
        let log = conversations::log(self.seat.working()?, target.conversation)?;
        log.reactions.retain(|((seq, ..), _)| *seq != target.seq);
        log.pins.remove(&target.seq);
        log.wipe(target.seq, removed);
        Ok(())
    }

    fn put_pin(&mut self, target: EntryKey, by_seq: u64, by: UserKey, at: Timestamp) -> Result<()> {
        let state = self.seat.working()?;
        let Some(by) = user_id(state, by) else { return Ok(()) };
        let log = conversations::log(state, target.conversation)?;
        log.pins.entry(target.seq).or_insert(Pin { seq: target.seq, by_seq, by, at });
        Ok(())
    }

    fn drop_pin(&mut self, target: EntryKey) -> Result<()> {
        conversations::log(self.seat.working()?, target.conversation)?.pins.remove(&target.seq);
        Ok(())
    }

    fn hide(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        seq: u64,
        rev: Rev,
    ) -> Result<()> {
        let log = conversations::log(self.seat.working()?, conversation)?;
        log.hidden.entry((user, seq)).or_insert(rev);
        if let Some(membership) = log.members.get_mut(&user) {
            membership.rev = rev;
        }
        Ok(())
    }

    fn clear(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        seq: u64,
        rev: Rev,
    ) -> Result<()> {
        let log = conversations::log(self.seat.working()?, conversation)?;
        log.hidden.retain(|(who, hidden), _| *who != user || *hidden > seq);
        if let Some(membership) = log.members.get_mut(&user) {
            membership.cleared_seq = membership.cleared_seq.max(seq);
            membership.rev = rev;
        }
        Ok(())
    }

    fn put_reaction(
        &mut self,
        target: EntryKey,
        emoji: &Emoji,
        user: UserKey,
        seq: u64,
        at: Timestamp,
    ) -> Result<()> {
        let log = conversations::log(self.seat.working()?, target.conversation)?;
        let key = (target.seq, emoji.clone(), user);
        if let Err(place) = log.reactions.binary_search_by(|(known, _)| known.cmp(&key)) {
            log.reactions.insert(place, (key, (seq, at)));
        }
        if let Some(row) = log.entry_mut(target.seq) {
            row.entry.fate.reacted = true;
        }
        Ok(())
    }

    fn drop_reaction(&mut self, target: EntryKey, emoji: &Emoji, user: UserKey) -> Result<()> {
        let log = conversations::log(self.seat.working()?, target.conversation)?;
        log.reactions.retain(|((seq, e, u), _)| (*seq, e, *u) != (target.seq, emoji, user));
        Ok(())
    }
}
