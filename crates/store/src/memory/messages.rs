//! Entries in memory.

use std::sync::Arc;

use hubbub_chat::model::{
    ConversationKey, Counting, Entry, Fate, NewEntry, Recorded, Rev, Unread, UserKey,
};
use hubbub_chat::ports::{Appended, Messages, Order, Range, Result, Wanted};
use hubbub_proto::event::Head;
use hubbub_proto::{ClientId, Timestamp};

use super::{Handle, Seat, State, conversations, refused, users};
use crate::{UNREAD_COUNTED_MAX, UNREAD_SCANNED_MAX};

/// An entry with what only the store asks of it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) entry: Entry,
    pub(super) sender: UserKey,
    digest: u64,
    /// Of an edit how many of its message there are up to it.
    pub(super) edit_number: u32,
    pub(super) age: Age,
}

/// What retention has done to an entry.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Age {
    #[default]
    Current,
    Retired,
    /// It would be forgotten if it were not the newest of its log.
    Kept,
}

impl Row {
    pub(super) const fn rev(&self) -> Rev {
        self.entry.rev
    }

    pub(super) fn wanted(&self) -> Wanted {
        let Entry { seq, sender, client_id, .. } = &self.entry;
        Wanted { seq: *seq, sender: sender.clone(), client_id: client_id.clone() }
    }
}

impl<S: Seat> Messages for Handle<S> {
    fn recorded(&mut self, sender: UserKey, client_id: &ClientId) -> Result<Option<Recorded>> {
        Ok(recorded(&self.seat.state(), sender, client_id))
    }

    fn entries(&mut self, conversation: ConversationKey, range: Range) -> Result<Vec<Entry>> {
        let state = self.seat.state();
        let Some(log) = state.logs.get(&conversation) else { return Ok(Vec::new()) };
        if range.from > range.to {
            return Ok(Vec::new());
        }
        let rows = log.entries.range(range.from..=range.to).map(|(_, row)| &row.entry);
        Ok(match range.order {
            Order::Ascending => take(rows, range),
            Order::Descending => take(rows.rev(), range),
        })
    }

    fn unread(
        &mut self,
        conversation: ConversationKey,
        reader: Counting<'_>,
        from: u64,
        to: u64,
    ) -> Result<Unread> {
        let state = self.seat.state();
        let mut unread = Unread::default();
        let Some(log) = state.logs.get(&conversation) else { return Ok(unread) };
        if from > to {
            return Ok(unread);
        }
        let newest = log.entries.range(from..=to).rev().take(UNREAD_SCANNED_MAX as usize);
        let counts = |row: &Row| {
            row.sender != reader.user
                && row.entry.kind.counts_as_unread()
                && row.entry.is_there(reader.now)
                && !reader.hidden.contains(&row.entry.seq)
        };
        for (seq, row) in newest.filter(|(_, row)| counts(row)).take(UNREAD_COUNTED_MAX as usize) {
            let head = row.entry.head.as_deref();
            let mentioned = |head: &Head| head.mention_all || head.mentions.contains(reader.id);
            unread.add(*seq, head.is_some_and(mentioned));
        }
        Ok(unread)
    }

    fn first_seq_at(
        &mut self,
        conversation: ConversationKey,
        at: Timestamp,
    ) -> Result<Option<u64>> {
        let state = self.seat.state();
        let Some(log) = state.logs.get(&conversation) else { return Ok(None) };
        Ok(log.entries.iter().find(|(_, row)| row.entry.at >= at).map(|(seq, _)| *seq))
    }
}

fn take<'a>(rows: impl Iterator<Item = &'a Entry>, range: Range) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut bytes = 0;
    for entry in rows.take(range.limit as usize) {
        bytes += entry.content.get().len();
        entries.push(entry.clone());
        if bytes > range.bytes {
            break;
        }
    }
    entries
}

fn recorded(state: &State, sender: UserKey, client_id: &ClientId) -> Option<Recorded> {
    let (conversation, seq) = state.people.get(&sender)?.sent.get(client_id)?;
    let log = state.logs.get(conversation)?;
    let row = log.entries.get(seq)?;
    Some(Recorded {
        rev: row.entry.rev,
        conversation: log.row.id.clone(),
        seq: *seq,
        at: row.entry.at,
        digest: row.digest,
    })
}

pub(super) fn append(state: &mut State, new: &NewEntry<'_>) -> Result<Appended> {
    if let Some(first) = recorded(state, new.sender, new.client_id) {
        return Ok(Appended::Duplicate(first));
    }
    if new.rev <= state.newest_entry {
        return refused("an entry with this or a later rev exists");
    }
    let Some(person) = users::person(state, new.sender) else {
        return refused("there is no such user");
    };
    let entry = Entry {
        rev: new.rev,
        seq: new.seq,
        sender: person.user.id.clone(),
        client_id: new.client_id.clone(),
        at: new.at,
        kind: new.kind.clone(),
        content: Arc::clone(new.content),
        head: new.head.map(|head| Box::new(head.clone())),
        fate: Fate::default(),
    };
    let log = conversations::log(state, new.conversation)?;
    if log.entries.last_key_value().is_some_and(|(newest, _)| new.seq <= *newest) {
        return refused("an entry with this or a later seq exists");
    }
    let row =
        Row { entry, sender: new.sender, digest: new.digest, edit_number: 0, age: Age::Current };
    log.entries.insert(new.seq, Arc::new(row));
    if let Some(person) = users::person(state, new.sender) {
        person.sent.insert(new.client_id.clone(), (new.conversation, new.seq));
    }
    state.newest_entry = new.rev;
    Ok(Appended::New)
}
