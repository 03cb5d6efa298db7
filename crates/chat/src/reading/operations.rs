//! `edits` and `reactions`: what was done to one message, as far as the member may know.

use hubbub_proto::command::{ConversationRef, MessageRef, Reactions};
use hubbub_proto::event::{EditsPage, PinItem, PinsPage, ReactionsPage, Version};
use hubbub_proto::{ConversationId, Reason, Refusal};

use super::members::page_size;
use super::{Desk, Place};
use crate::model::{Conversation, Entry, EntryKey};
use crate::ports::{Order, Range, Result as Read};
use crate::stop::Outcome;
use crate::visibility::Visibility;

/// Reactions of a page where the client names no number.
const LIMIT_DEFAULT: u32 = 100;
/// Most reactions of a page.
const LIMIT_MAX: u32 = 200;

/// A message that the user sees.
struct Seen {
    key: EntryKey,
    entry: Entry,
    /// The last seq that the user sees of what was done to it.
    end: u64,
}

impl Desk<'_> {
    /// What the message said: the newest versions, as many as go into an answer.
    pub(super) fn edits(&mut self, command: &MessageRef) -> Outcome<EditsPage> {
        let Seen { key, entry, end } = self.message(&command.conversation, command.seq)?;
        let mut room = self.config.sync_bytes_max as usize;
        let mut versions = Vec::new();
        let mut next = entry.fate.edited;
        while let Some(rev) = next {
            let Some(edit) = self.reader.edit(key.conversation, rev)? else { break };
            next = edit.before;
            if edit.seq <= end {
                room = room.saturating_sub(edit.content.get().len());
                versions.push(Version { content: edit.content, at: edit.at });
            }
            if room == 0 {
                break;
            }
        }
        if room > 0 {
            versions.push(Version { content: entry.content, at: entry.at });
        }
        versions.reverse();
        Ok(EditsPage { versions })
    }

    pub(super) fn reactions(&mut self, command: &Reactions) -> Outcome<ReactionsPage> {
        let limit = page_size(command.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
        let Seen { key, end, .. } = self.message(&command.conversation, command.seq)?;
        let after = match &command.after {
            None => None,
            Some(after) => {
                let user = self.reader.user(&after.user)?.map(|user| user.key);
                let unknown = || Refusal::with(Reason::BadRange, "`after` names nobody.");
                Some((&after.emoji, user.ok_or_else(unknown)?))
            }
        };
        let emoji = command.emoji.as_ref();
        let mut reactions = self.reader.reactions(key, emoji, after, end, limit + 1)?;
        let more = reactions.len() > limit as usize;
        reactions.truncate(limit as usize);
        Ok(ReactionsPage { reactions, more })
    }

    /// What is pinned, each as it is now.
    pub(super) fn pins(&mut self, command: &ConversationRef) -> Outcome<PinsPage> {
        let mut page = PinsPage { pins: Vec::new() };
        let Some(Place { conversation, membership }) = self.place(&command.conversation)? else {
            return Ok(page);
        };
        let all = (0, conversation.head_seq);
        let sight = self.sight(&conversation, &membership, all)?;
        let pins = self.reader.pins(conversation.key)?;
        let mut room = self.config.sync_bytes_max as usize;
        for pin in pins.iter().rev().filter(|pin| sight.view.covers(pin.by_seq, pin.seq)) {
            let Some(entry) = self.entry_at(&conversation, pin.seq)? else { continue };
            let Some(entry) = self.as_it_is(&conversation, &sight, &pins, entry)? else { continue };
            let size = entry.content.get().len();
            if size > room && !page.pins.is_empty() {
                break;
            }
            room = room.saturating_sub(size);
            page.pins.push(PinItem { seq: pin.seq, by: pin.by.clone(), at: pin.at, entry });
        }
        page.pins.reverse();
        Ok(page)
    }

    fn entry_at(&mut self, conversation: &Conversation, seq: u64) -> Read<Option<Entry>> {
        let one = Range { from: seq, to: seq, order: Order::Descending, limit: 1, bytes: 0 };
        Ok(self.reader.entries(conversation.key, one)?.into_iter().next())
    }

    fn message(&mut self, id: &ConversationId, seq: u64) -> Outcome<Seen> {
        let Some(Place { conversation, membership }) = self.place(id)? else {
            return Err(Reason::NotFound.into());
        };
        let end = Visibility::of(&conversation, &membership).end_of(seq);
        let end = end.ok_or(Reason::NotFound)?;
        let sight = self.sight(&conversation, &membership, (seq, seq))?;
        let found = self.entry_at(&conversation, seq)?;
        let found = found.filter(|entry| entry.kind.is_message() && sight.shows(entry));
        let entry = found.ok_or(Reason::NotFound)?;
        if entry.fate.removed.is_some() {
            return Err(Reason::Removed.into());
        }
        let key = EntryKey { conversation: conversation.key, seq, rev: entry.rev };
        Ok(Seen { key, entry, end })
    }
}
