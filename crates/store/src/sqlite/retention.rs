//! What is kept no longer, in SQLite.
//!
//! What is retired is rewritten in place, in the order in which it was written, so the pages of a step
//! lie side by side. Invariant: a log's `previous` leads to an entry or, from its lowest one, to
//! nothing; `tail` always leads to one.

use hubbub_chat::model::{Aged, ConversationKey, EntryKey, Rev};
use hubbub_chat::ports::{Result, Retention, RetentionWrites};
use hubbub_proto::event::Removed;
use hubbub_proto::{ConversationId, Timestamp};
use rusqlite::{Connection, Row, params};

use super::conversations::{NO_CONVERSATION, change, conversation_id};
use super::errors::failed;
use super::operations::{DROP_PIN, all, one, run, wipe};
use super::schema::{int, number, optional};
use super::{Handle, Seat, Writing};

/// `entry.removed` of what was retired.
pub(super) const RETIRED: i64 = 4;
/// The same of what would be forgotten if it were not the newest of its log.
pub(super) const KEPT: i64 = 5;

const COMMITTED_AFTER: &str = "SELECT e.conversation, e.seq, e.rev, c.id, e.at
     FROM entry e CROSS JOIN conversation c ON c.key = e.conversation
     WHERE e.rev > ?1 ORDER BY e.rev LIMIT ?2";
const ALL_RETIRED: &str = "SELECT e.conversation, e.seq, e.rev, c.id, e.at
     FROM entry e INDEXED BY retired CROSS JOIN conversation c ON c.key = e.conversation
     WHERE e.removed = 4 ORDER BY e.at, e.rev LIMIT ?1";
const NEWEST_AT: &str = "SELECT at FROM entry ORDER BY rev DESC LIMIT 1";
const SWEPT: &str = "SELECT value FROM meta WHERE key = 'swept'";
const SET_SWEPT: &str = "INSERT OR REPLACE INTO meta (key, value) VALUES ('swept', ?1)";
const OVERDUE: &str = "SELECT id FROM conversation INDEXED BY overdue
     WHERE sweep_at <= ?1 ORDER BY sweep_at, key LIMIT ?2";
const NEXT_OVERDUE: &str = "SELECT min(sweep_at) FROM conversation INDEXED BY overdue
     WHERE sweep_at IS NOT NULL";
const SET_OVERDUE: &str = "UPDATE conversation SET sweep_at = ?2 WHERE key = ?1";
const RAISE_FLOOR: &str = "UPDATE conversation SET floor_seq = max(floor_seq, ?2) WHERE key = ?1";
const FATE: &str = "SELECT removed, edited, reacted, kind = 'message_edited' FROM entry
     WHERE rev = ?1";
const RETIRE: &str = "UPDATE entry SET content = 'null', extra = NULL, expires_at = NULL,
         target_seq = NULL, receipt = NULL, edited = NULL, edit_number = NULL, reacted = NULL,
         removed = 4
     WHERE rev = ?1";
const DROP_REACTIONS: &str = "DELETE FROM reaction WHERE target = ?1";
const DROP_HIDDEN: &str = "DELETE FROM hidden WHERE conversation = ?1 AND seq = ?2";
const FORGET_KEPT: &str = "DELETE FROM entry
     WHERE rev = (SELECT previous FROM entry WHERE rev = ?1) AND removed = 5";
/// What a client sends in the form of a UUID is kept as a blob, so as text it is nobody's.
const KEEP: &str = "UPDATE entry SET removed = 5,
         client_id = printf('00000000-0000-0000-%04x-%012x', rev >> 48, rev & 0xffffffffffff)
     WHERE rev = ?1 AND removed = 4";
const FORGET: &str = "DELETE FROM entry WHERE rev = ?1 AND removed = 4";

fn aged(row: &Row<'_>) -> rusqlite::Result<Aged> {
    let conversation = ConversationKey(row.get(0)?);
    Ok(Aged {
        entry: EntryKey { conversation, seq: number(row, 1)?, rev: Rev(number(row, 2)?) },
        conversation: conversation_id(row, 3)?,
        at: Timestamp(number(row, 4)?),
    })
}

impl<S: Seat> Retention for Handle<S> {
    fn committed_after(&mut self, after: Rev, limit: u32) -> Result<Vec<Aged>> {
        let args = params![int(after.0), limit];
        all(self.seat.connection(), COMMITTED_AFTER, args, aged).map_err(failed)
    }

    fn newest_at(&mut self) -> Result<Option<Timestamp>> {
        let read = |row: &Row<'_>| number(row, 0).map(Timestamp);
        one(self.seat.connection(), NEWEST_AT, [], read).map_err(failed)
    }

    fn swept(&mut self) -> Result<Rev> {
        let read = |row: &Row<'_>| number(row, 0).map(Rev);
        let swept = one(self.seat.connection(), SWEPT, [], read).map_err(failed)?;
        Ok(swept.unwrap_or_default())
    }

    fn overdue(&mut self, now: Timestamp, limit: u32) -> Result<Vec<ConversationId>> {
        let args = params![int(now.0), limit];
        all(self.seat.connection(), OVERDUE, args, |row| conversation_id(row, 0)).map_err(failed)
    }

    fn next_overdue(&mut self) -> Result<Option<Timestamp>> {
        let next = one(self.seat.connection(), NEXT_OVERDUE, [], |row| optional(row, 0));
        Ok(next.map_err(failed)?.flatten().map(Timestamp))
    }

    fn retired(&mut self, limit: u32) -> Result<Vec<Aged>> {
        all(self.seat.connection(), ALL_RETIRED, [limit], aged).map_err(failed)
    }
}

impl RetentionWrites for Handle<Writing> {
    fn set_swept(&mut self, rev: Rev) -> Result<()> {
        self.seat.write(|connection, _| run(connection, SET_SWEPT, [int(rev.0)]))
    }

    fn set_overdue(&mut self, conversation: ConversationKey, at: Option<Timestamp>) -> Result<()> {
        let row = params![conversation.0, at.map(|at| int(at.0))];
        self.seat.write(|connection, _| change(connection, SET_OVERDUE, row, NO_CONVERSATION))
    }

    fn raise_floor(&mut self, conversation: ConversationKey, seq: u64) -> Result<()> {
        let row = [conversation.0, int(seq)];
        self.seat.write(|connection, _| change(connection, RAISE_FLOOR, row, NO_CONVERSATION))
    }

    fn retire(&mut self, entry: EntryKey) -> Result<()> {
        self.seat.write(|connection, _| retire(connection, entry))
    }

    fn forget(&mut self, entry: EntryKey) -> Result<()> {
        self.seat.write(|connection, tails| {
            let rev = int(entry.rev.0);
            let tail = tails.find(connection, entry.conversation).map_err(failed)?;
            run(connection, FORGET_KEPT, [rev])?;
            let newest = tail.is_some_and(|tail| tail.rev == Some(rev));
            run(connection, if newest { KEEP } else { FORGET }, [rev])
        })
    }
}

fn retire(connection: &Connection, entry: EntryKey) -> Result<()> {
    let rev = int(entry.rev.0);
    let fate = |row: &Row<'_>| {
        let removed: Option<i64> = row.get(0)?;
        let reacted: Option<bool> = row.get(2)?;
        let (edited, is_edit): (Option<i64>, bool) = (row.get(1)?, row.get(3)?);
        Ok((removed, edited, reacted.unwrap_or(false), is_edit))
    };
    let found = one(connection, FATE, [rev], fate).map_err(failed)?;
    let Some((removed, edited, reacted, is_edit)) = found else { return Ok(()) };
    if removed >= Some(RETIRED) {
        return Ok(());
    }
    // The edits before an edit go with their message, which is older than all of them.
    if removed.is_none() && !is_edit {
        wipe(connection, edited, Removed::Expired)?;
    }
    run(connection, RETIRE, [rev])?;
    if reacted {
        run(connection, DROP_REACTIONS, [rev])?;
    }
    let place = [entry.conversation.0, int(entry.seq)];
    run(connection, DROP_PIN, place)?;
    run(connection, DROP_HIDDEN, place)
}
