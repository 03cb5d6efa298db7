//! A conversation's log within the table of all entries.
//!
//! Entries stand in the order of commits, those of all conversations together, so that a commit
//! appends to the end of one table. Each names the one before it in its conversation (`previous`),
//! the conversation names its newest (`tail`), and an index holds every [`STRIDE`]th as a signpost:
//! a seq is found by walking down from the next signpost above it, or from the tail. An index of
//! all entries would touch a page of its own for nearly every message of a commit; that was five
//! sixths of what a commit wrote.
//!
//! Invariant: seqs ascend along a conversation, which `append` sees to, since no index does;
//! `previous` and `tail` are of the same transaction as the entry. Holes between seqs are not made
//! by the rules, and are walked over.

use std::collections::HashMap;
use std::ops::ControlFlow;

use hubbub_chat::model::ConversationKey;
use rusqlite::{Connection, OptionalExtension, Row};

use super::schema::{int, number, optional};

/// Every how many entries the index `signpost` has one; the number also stands in its definition.
pub(super) const STRIDE: u64 = 64;

/// Most conversations whose newest entry is remembered.
const TAILS_MAX: usize = 131_072;

const SIGNPOST: &str = "SELECT rev, seq, at FROM entry INDEXED BY signpost
     WHERE conversation = ?1 AND seq >= ?2 AND seq % 64 = 0 ORDER BY seq LIMIT 1";
const TAIL: &str = "SELECT tail FROM conversation WHERE key = ?1";
const NEWEST: &str = "SELECT c.tail, e.seq FROM conversation c LEFT JOIN entry e ON e.rev = c.tail
     WHERE c.key = ?1";
const STEP: &str = "SELECT seq, previous, at, sender, kind, removed, expires_at, extra
     FROM entry WHERE rev = ?1";
const SET_TAIL: &str = "UPDATE conversation SET tail = ?2 WHERE key = ?1";

/// What `plans` looks at.
#[cfg(test)]
pub(super) const QUERIES: &[(&str, &str)] = &[
    ("SIGNPOST", SIGNPOST),
    ("TAIL", TAIL),
    ("NEWEST", NEWEST),
    ("STEP", STEP),
    ("SET_TAIL", SET_TAIL),
];

/// An entry that is passed on the way down.
pub(super) struct Passed<'r> {
    pub(super) rev: i64,
    pub(super) seq: u64,
    row: &'r Row<'r>,
}

impl Passed<'_> {
    /// When it was written.
    pub(super) fn at(&self) -> rusqlite::Result<u64> {
        number(self.row, 2)
    }

    /// Who wrote it.
    pub(super) fn sender(&self) -> rusqlite::Result<i64> {
        self.row.get(3)
    }

    /// Whether it can still be read at `now`.
    pub(super) fn is_there(&self, now: u64) -> rusqlite::Result<bool> {
        let removed: Option<i64> = self.row.get(5)?;
        Ok(removed.is_none() && optional(self.row, 6)?.is_none_or(|end| end > now))
    }

    /// The row, and in which column of it `entry.extra` is.
    pub(super) const fn extra(&self) -> (&Row<'_>, usize) {
        (self.row, 7)
    }

    /// The row, and in which column of it the kind is.
    pub(super) const fn kind(&self) -> (&Row<'_>, usize) {
        (self.row, 4)
    }
}

/// The newest entry of a conversation, as it was committed.
pub(super) fn tail(
    connection: &Connection,
    conversation: ConversationKey,
) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached(TAIL)?;
    let tail = statement.query_row([conversation.0], |row| row.get(0)).optional()?;
    Ok(tail.flatten())
}

/// An entry that the index has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signpost {
    pub(super) rev: i64,
    pub(super) seq: u64,
    /// When it was written.
    pub(super) at: u64,
}

/// The lowest signpost that is not below `seq`.
pub(super) fn signpost(
    connection: &Connection,
    conversation: ConversationKey,
    seq: u64,
) -> rusqlite::Result<Option<Signpost>> {
    let mut statement = connection.prepare_cached(SIGNPOST)?;
    let read = |row: &Row<'_>| {
        Ok(Signpost { rev: row.get(0)?, seq: number(row, 1)?, at: number(row, 2)? })
    };
    statement.query_row([conversation.0, int(seq)], read).optional()
}

/// Where to begin walking down in order to pass `seq`: at a signpost that is not below it, or else
/// at the tail.
pub(super) fn begin(
    connection: &Connection,
    conversation: ConversationKey,
    tail: Option<i64>,
    seq: u64,
) -> rusqlite::Result<Option<i64>> {
    Ok(signpost(connection, conversation, seq)?.map(|post| post.rev).or(tail))
}

/// Walks down from the entry `begin`, to `from` or as long as `visit` goes on.
pub(super) fn walk_down(
    connection: &Connection,
    begin: Option<i64>,
    from: u64,
    mut visit: impl FnMut(&Passed<'_>) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(STEP)?;
    let mut next = begin;
    while let Some(rev) = next {
        let mut rows = statement.query([rev])?;
        let Some(row) = rows.next()? else { return Ok(()) };
        let passed = Passed { rev, seq: number(row, 0)?, row };
        if passed.seq < from || visit(&passed)?.is_break() {
            return Ok(());
        }
        next = row.get(1)?;
    }
    Ok(())
}

/// The newest entry of a conversation, as the writer sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail {
    /// `None` in a conversation without entries.
    pub(super) rev: Option<i64>,
    pub(super) seq: u64,
    /// Whether the conversation's row says so.
    written: bool,
}

/// The newest entries of the conversations that are written to. They run ahead of the rows of the
/// conversations, which are written once for each transaction.
#[derive(Debug, Default)]
pub(super) struct Tails {
    known: HashMap<ConversationKey, Tail>,
    /// Those that moved in the transaction that runs; may name one twice.
    moved: Vec<ConversationKey>,
}

impl Tails {
    /// The newest entry of a conversation; `None` where there is no such conversation.
    pub(super) fn find(
        &mut self,
        connection: &Connection,
        conversation: ConversationKey,
    ) -> rusqlite::Result<Option<Tail>> {
        if let Some(tail) = self.known.get(&conversation) {
            return Ok(Some(*tail));
        }
        let read = |row: &Row<'_>| {
            let rev: Option<i64> = row.get(0)?;
            let seq = if rev.is_some() { number(row, 1)? } else { 0 };
            Ok(Tail { rev, seq, written: true })
        };
        let mut statement = connection.prepare_cached(NEWEST)?;
        let tail = statement.query_row([conversation.0], read).optional()?;
        if let Some(tail) = tail {
            self.known.insert(conversation, tail);
        }
        Ok(tail)
    }

    /// The newest entry where it is another than the conversation's row says.
    pub(super) fn ahead(&self, conversation: ConversationKey) -> Option<i64> {
        self.known.get(&conversation).filter(|tail| !tail.written).and_then(|tail| tail.rev)
    }

    /// An entry was appended.
    pub(super) fn advance(&mut self, conversation: ConversationKey, rev: i64, seq: u64) {
        self.known.insert(conversation, Tail { rev: Some(rev), seq, written: false });
        self.moved.push(conversation);
    }

    /// The conversation's row was written with the tail in it.
    pub(super) fn settle(&mut self, conversation: ConversationKey) {
        if let Some(tail) = self.known.get_mut(&conversation) {
            tail.written = true;
        }
    }

    /// Before the end of a transaction: writes the tails that did not go along with a head.
    pub(super) fn write_back(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        for conversation in std::mem::take(&mut self.moved) {
            if let Some(rev) = self.ahead(conversation) {
                connection.prepare_cached(SET_TAIL)?.execute([conversation.0, rev])?;
                self.settle(conversation);
            }
        }
        if self.known.len() > TAILS_MAX {
            self.known.clear();
        }
        Ok(())
    }

    /// The transaction was rolled back.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.moved.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::migrations::{MIGRATIONS, migrate};

    /// One conversation with these seqs in it; the rev of each is a thousand more.
    fn log(seqs: impl Iterator<Item = u64>) -> (Connection, Option<i64>) {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
        let mut previous: Option<i64> = None;
        for seq in seqs {
            let rev = int(seq) + 1_000;
            connection
                .prepare_cached(
                    "INSERT INTO entry
                     (rev, conversation, seq, previous, sender, client_id, at, kind, digest, content)
                     VALUES (?1, 1, ?2, ?3, 1, ?1, 0, 'text', 0, '1')",
                )
                .unwrap()
                .execute((rev, int(seq), previous))
                .unwrap();
            previous = Some(rev);
        }
        (connection, previous)
    }

    fn passed(connection: &Connection, tail: Option<i64>, from: u64, to: u64) -> Vec<u64> {
        let mut seqs = Vec::new();
        let begin = begin(connection, ConversationKey(1), tail, to).unwrap();
        walk_down(connection, begin, from, |passed| {
            assert_eq!(passed.rev, int(passed.seq) + 1_000);
            seqs.push(passed.seq);
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        seqs
    }

    #[test]
    fn a_walk_begins_at_the_next_signpost_or_at_the_tail() {
        let (connection, tail) = log(1..=300);
        let check = |from, to, highest: u64, lowest: u64| {
            let expect: Vec<u64> = (lowest..=highest).rev().collect();
            assert_eq!(passed(&connection, tail, from, to), expect, "{from} {to}");
        };
        check(1, 1, STRIDE, 1);
        check(60, 64, STRIDE, 60);
        check(65, 65, 2 * STRIDE, 65);
        check(0, 256, 256, 1);
        check(257, 257, 300, 257);
        check(299, u64::MAX, 300, 299);
        assert!(passed(&connection, tail, 301, 400).is_empty());
        assert!(passed(&connection, None, 257, 257).is_empty());
    }

    #[test]
    fn holes_are_walked_over() {
        let (connection, tail) = log([3, 9, 63, 65, 128, 500].into_iter());
        assert_eq!(passed(&connection, tail, 5, 40), [128, 65, 63, 9]);
        assert_eq!(passed(&connection, tail, 129, 129), [500]);
    }
}
