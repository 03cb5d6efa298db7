//! What is kept no longer: a few entries with each step, between everything else that is written.
//!
//! A step has three parts. The server's own retention goes along all logs in the order of commits,
//! which is that of their ages as long as the clock is right (see [`crate::sweep`]), so it finds what is too old without a look at any conversation.
//! Groups with a shorter one are looked at one by one when their oldest entry is due. What was wiped
//! by either is deleted when its command need not be recognised any more (P2). Invariant: whatever is
//! wiped is below the floor in the same transaction; a step that is lost is done again. Deliberately
//! absent: telling who is connected; clients know how long entries are kept, and a `sync` names the
//! floor.

use std::collections::BTreeMap;

use hubbub_proto::{ConversationId, Timestamp};

use super::transaction::Transaction;
use crate::model::{ConversationKey, EntryKey};
use crate::ports::{Order, Range, Result};
use crate::sweep::{Next, Seen};

/// A group is looked at this seldom at most: what it lost meanwhile goes together.
const AGAIN_MS: u64 = 60_000;
/// Most bytes of entries of one group that are looked at in one step.
const BYTES_MAX: usize = 1 << 20;
/// Most groups that one step looks at.
const GROUPS_MAX: u32 = 64;

impl Transaction<'_> {
    /// Where it is time: a step.
    pub(super) fn sweep(&mut self) -> Result<()> {
        if self.sweep.due().is_none_or(|due| due > self.now) {
            return Ok(());
        }
        let next = [self.sweep_logs()?, self.sweep_groups()?, self.forget()?];
        self.sweep.rest(next, self.now);
        Ok(())
    }

    /// The server's own retention.
    fn sweep_logs(&mut self) -> Result<Option<Next>> {
        let age_ms = self.config.retention_ms;
        if age_ms == 0 {
            return Ok(None);
        }
        let limit = self.config.retention_rows_max;
        let swept = self.store.swept()?;
        let from = self.sweep.from(swept);
        let mut page = self.store.committed_after(from, limit)?;
        let full = page.len() == limit as usize;
        let seen = self.sweep.look(&page, full, (self.now.minus_ms(age_ms), age_ms), self.now);
        if from > swept {
            page = self.store.committed_after(swept, limit)?;
        }
        page.retain(|aged| self.sweep.is_over(aged.entry.rev));
        let Some(last) = page.last().map(|aged| aged.entry.rev) else {
            return Ok(Some(match seen {
                Seen::Until(at) => Next::At(at),
                Seen::Over | Seen::Nothing => Next::More,
            }));
        };
        let mut floors: BTreeMap<ConversationKey, (&ConversationId, u64)> = BTreeMap::new();
        for aged in &page {
            self.writing()?.retire(aged.entry)?;
            let floor = floors.entry(aged.entry.conversation).or_insert((&aged.conversation, 0));
            floor.1 = floor.1.max(aged.entry.seq);
        }
        for (conversation, seq) in floors.into_values() {
            self.raise_floor(conversation, seq)?;
        }
        self.writing()?.set_swept(last)?;
        self.stats.retired(page.len());
        Ok(Some(Next::More))
    }

    /// Groups that keep less than the server.
    fn sweep_groups(&mut self) -> Result<Option<Next>> {
        let mut left = self.config.retention_rows_max;
        for id in self.store.overdue(self.now, GROUPS_MAX)? {
            if left == 0 {
                return Ok(Some(Next::More));
            }
            left -= self.sweep_group(&id, left)?;
        }
        Ok(self.store.next_overdue()?.map(|at| match at > self.now {
            true => Next::At(at),
            false => Next::More,
        }))
    }

    /// At most `limit` entries of one group; how many there were.
    fn sweep_group(&mut self, id: &ConversationId, limit: u32) -> Result<u32> {
        let Some(slot) = self.cache.slot(self.store, id)? else { return Ok(0) };
        let (key, floor, head) = (slot.row.key, slot.row.floor_seq, slot.row.head_seq);
        let Some(age_ms) = slot.row.profile.retention_ms else {
            self.writing()?.set_overdue(key, None)?;
            return Ok(0);
        };
        let young = self.now.minus_ms(age_ms).plus_ms(1);
        let first = self.store.first_seq_at(key, young)?.unwrap_or(head + 1);
        let range = Range {
            from: floor + 1,
            to: first.saturating_sub(1),
            order: Order::Ascending,
            limit,
            bytes: BYTES_MAX,
        };
        let old = match range.from <= range.to {
            true => self.store.entries(key, range)?,
            false => Vec::new(),
        };
        for entry in &old {
            let entry = EntryKey { conversation: key, seq: entry.seq, rev: entry.rev };
            self.writing()?.retire(entry)?;
        }
        let through = old.last().map_or(range.to, |entry| entry.seq);
        if through > floor {
            self.raise_floor(id, through)?;
        }
        let again = match through >= range.to {
            true => self.oldest_at(key, first)?.plus_ms(age_ms).max(self.now.plus_ms(AGAIN_MS)),
            false => self.now,
        };
        self.writing()?.set_overdue(key, Some(again))?;
        self.stats.retired(old.len());
        Ok(u32::try_from(old.len()).unwrap_or(limit))
    }

    /// When the entry was written; now where there is none.
    fn oldest_at(&mut self, key: ConversationKey, seq: u64) -> Result<Timestamp> {
        let one = Range { from: seq, to: seq, order: Order::Ascending, limit: 1, bytes: 0 };
        Ok(self.store.entries(key, one)?.first().map_or(self.now, |entry| entry.at))
    }

    /// Rows of what was wiped and need not be recognised any more.
    fn forget(&mut self) -> Result<Option<Next>> {
        let limit = self.config.retention_rows_max;
        let window_ms = self.config.dedupe_window_ms;
        let cutoff = self.now.minus_ms(window_ms);
        let page = self.store.retired(limit)?;
        let over = page.partition_point(|aged| aged.at <= cutoff);
        for aged in &page[..over] {
            self.writing()?.forget(aged.entry)?;
        }
        self.stats.forgotten(over);
        Ok(match page.get(over) {
            Some(next) => Some(Next::At(next.at.plus_ms(window_ms))),
            None if page.is_empty() => None,
            None => Some(Next::More),
        })
    }

    /// Nobody sees what stands up to `seq` any more: a change of the conversation, so that devices
    /// learn of it by their next `sync`.
    fn raise_floor(&mut self, id: &ConversationId, seq: u64) -> Result<()> {
        let rev = self.next_rev();
        let Some(slot) = self.cache.slot(self.store, id)? else { return Ok(()) };
        let key = slot.row.key;
        slot.row.floor_seq = slot.row.floor_seq.max(seq);
        self.writing()?.raise_floor(key, seq)?;
        self.touch(id, rev)
    }
}
