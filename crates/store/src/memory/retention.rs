//! What is kept no longer, in memory.

use hubbub_chat::content;
use hubbub_chat::model::{Aged, ConversationKey, EntryKey, Fate, Rev};
use hubbub_chat::ports::{Result, Retention, RetentionWrites};
use hubbub_proto::command::Kind;
use hubbub_proto::event::Removed;
use hubbub_proto::{ConversationId, Timestamp};

use super::messages::{Age, Row};
use super::{Handle, Seat, State, Writing, conversations, users};

/// Entries of all logs, in the order of commits.
fn aged(state: &State, wanted: impl Fn(&Row) -> bool) -> Vec<Aged> {
    let logs = state.logs.iter().flat_map(|(key, log)| {
        log.entries.values().filter(|row| wanted(row)).map(|row| {
            let (seq, rev) = (row.entry.seq, row.rev());
            Aged {
                entry: EntryKey { conversation: *key, seq, rev },
                conversation: log.row.id.clone(),
                at: row.entry.at,
            }
        })
    });
    let mut found: Vec<Aged> = logs.collect();
    found.sort_by_key(|aged| aged.entry.rev);
    found
}

impl<S: Seat> Retention for Handle<S> {
    fn committed_after(&mut self, after: Rev, limit: u32) -> Result<Vec<Aged>> {
        let mut found = aged(&self.seat.state(), |row| row.rev() > after);
        found.truncate(limit as usize);
        Ok(found)
    }

    fn newest_at(&mut self) -> Result<Option<Timestamp>> {
        let state = self.seat.state();
        let rows = state.logs.values().flat_map(|log| log.entries.values());
        Ok(rows.max_by_key(|row| row.rev()).map(|row| row.entry.at))
    }

    fn swept(&mut self) -> Result<Rev> {
        Ok(self.seat.state().swept)
    }

    fn overdue(&mut self, now: Timestamp, limit: u32) -> Result<Vec<ConversationId>> {
        let state = self.seat.state();
        let mut due: Vec<_> = state
            .logs
            .iter()
            .filter_map(|(key, log)| Some((log.overdue.filter(|at| *at <= now)?, *key, log)))
            .collect();
        due.sort_by_key(|(at, key, _)| (*at, *key));
        Ok(due.into_iter().take(limit as usize).map(|(_, _, log)| log.row.id.clone()).collect())
    }

    fn next_overdue(&mut self) -> Result<Option<Timestamp>> {
        Ok(self.seat.state().logs.values().filter_map(|log| log.overdue).min())
    }

    fn retired(&mut self, limit: u32) -> Result<Vec<Aged>> {
        let mut found = aged(&self.seat.state(), |row| row.age == Age::Retired);
        found.sort_by_key(|aged| aged.at);
        found.truncate(limit as usize);
        Ok(found)
    }
}

impl RetentionWrites for Handle<Writing> {
    fn set_swept(&mut self, rev: Rev) -> Result<()> {
        self.seat.working()?.swept = rev;
        Ok(())
    }

    fn set_overdue(&mut self, conversation: ConversationKey, at: Option<Timestamp>) -> Result<()> {
        conversations::log(self.seat.working()?, conversation)?.overdue = at;
        Ok(())
    }

    fn raise_floor(&mut self, conversation: ConversationKey, seq: u64) -> Result<()> {
        let row = conversations::row(self.seat.working()?, conversation)?;
        row.floor_seq = row.floor_seq.max(seq);
        Ok(())
    }

    fn retire(&mut self, entry: EntryKey) -> Result<()> {
        let log = conversations::log(self.seat.working()?, entry.conversation)?;
        let Some(row) = log.entry_mut(entry.seq) else { return Ok(()) };
        if row.age != Age::Current {
            return Ok(());
        }
        if row.entry.fate.removed.is_none() && row.entry.kind != Kind::MessageEdited {
            log.wipe(entry.seq, Removed::Expired);
        }
        if let Some(row) = log.entry_mut(entry.seq) {
            row.age = Age::Retired;
            row.edit_number = 0;
            row.entry.content = content::null();
            row.entry.head = None;
            row.entry.fate = Fate { removed: Some(Removed::Expired), ..Fate::default() };
        }
        log.reactions.retain(|((seq, ..), _)| *seq != entry.seq);
        log.pins.remove(&entry.seq);
        log.hidden.retain(|(_, seq), _| *seq != entry.seq);
        log.receipts.remove(&entry.seq);
        Ok(())
    }

    fn forget(&mut self, entry: EntryKey) -> Result<()> {
        let state = self.seat.working()?;
        let log = conversations::log(state, entry.conversation)?;
        let newest = log.entries.last_key_value().map(|(seq, _)| *seq);
        let before = log.entries.range(..entry.seq).next_back();
        let before = before.filter(|(_, row)| row.age == Age::Kept).map(|(seq, _)| *seq);
        let mut gone: Vec<u64> = before.into_iter().collect();
        let mut free = None;
        if let Some(row) = log.entry_mut(entry.seq).filter(|row| row.age == Age::Retired) {
            free = Some((row.sender, row.entry.client_id.clone()));
            match newest == Some(entry.seq) {
                true => row.age = Age::Kept,
                false => gone.push(entry.seq),
            }
        }
        for seq in gone {
            log.entries.remove(&seq);
        }
        if let Some((sender, client_id)) = free
            && let Some(person) = users::person(state, sender)
        {
            person.sent.remove(&client_id);
        }
        Ok(())
    }
}
