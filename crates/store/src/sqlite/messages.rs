//! Entries in SQLite.

use std::ops::ControlFlow;
use std::sync::Arc;

use hubbub_chat::StoredHead;
use hubbub_chat::model::{
    ConversationKey, Counting, Entry, Fate, NewEntry, Recorded, Rev, Unread, UserKey,
};
use hubbub_chat::ports::{Appended, Messages, Order, Range, Result, StoreError};
use hubbub_proto::command::{Content, Kind};
use hubbub_proto::event::Head;
use hubbub_proto::{ClientId, Timestamp};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::chain::{Passed, Tails};
use super::errors::{damaged, failed};
use super::schema::{int, number, optional};
use super::{Handle, Seat, chain, conversations, operations, users};
use crate::{UNREAD_COUNTED_MAX, UNREAD_SCANNED_MAX};

const APPEND: &str = "INSERT INTO entry
     (rev, conversation, seq, previous, sender, client_id, at, kind, digest, content)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
     ON CONFLICT (client_id, sender) DO NOTHING";
const APPEND_ABOUT: &str = "INSERT INTO entry
     (rev, conversation, seq, previous, sender, client_id, at, kind, digest, content, target_seq,
      extra, expires_at, receipt)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
     ON CONFLICT (client_id, sender) DO NOTHING";
const RECORDED: &str = "SELECT e.rev, c.id, e.seq, e.at, e.digest
     FROM entry e JOIN conversation c ON c.key = e.conversation
     WHERE e.client_id = ?1 AND e.sender = ?2";
const ENTRY: &str = "SELECT e.rev, e.seq, u.id, e.client_id, e.at, e.kind, e.content,
         e.target_seq, e.removed, e.edited, e.reacted, e.extra, e.expires_at, e.receipt
     FROM entry e CROSS JOIN user u ON u.key = e.sender WHERE e.rev = ?1";

/// What `plans` looks at.
#[cfg(test)]
pub(super) const QUERIES: &[(&str, &str)] =
    &[("RECORDED", RECORDED), ("ENTRY", ENTRY), ("APPEND", APPEND)];

impl<S: Seat> Messages for Handle<S> {
    fn recorded(&mut self, sender: UserKey, client_id: &ClientId) -> Result<Option<Recorded>> {
        recorded(self.seat.connection(), sender, client_id)
    }

    fn entries(&mut self, conversation: ConversationKey, range: Range) -> Result<Vec<Entry>> {
        entries(&self.log(conversation)?, range).map_err(failed)
    }

    fn unread(
        &mut self,
        conversation: ConversationKey,
        reader: Counting<'_>,
        from: u64,
        to: u64,
    ) -> Result<Unread> {
        unread(&self.log(conversation)?, reader, from, to).map_err(failed)
    }

    fn first_seq_at(
        &mut self,
        conversation: ConversationKey,
        at: Timestamp,
    ) -> Result<Option<u64>> {
        first_seq_at(&self.log(conversation)?, at).map_err(failed)
    }
}

/// One conversation's entries, as a handle sees them.
struct Log<'c> {
    connection: &'c Connection,
    conversation: ConversationKey,
    tail: Option<i64>,
}

impl<S: Seat> Handle<S> {
    fn log(&self, conversation: ConversationKey) -> Result<Log<'_>> {
        let tail = self.seat.tail(conversation).map_err(failed)?;
        Ok(Log { connection: self.seat.connection(), conversation, tail })
    }
}

impl Log<'_> {
    /// Walks down over the entries from the newest that is not above `to`.
    fn walk_down(
        &self,
        from: u64,
        to: u64,
        mut visit: impl FnMut(&Passed<'_>) -> rusqlite::Result<ControlFlow<()>>,
    ) -> rusqlite::Result<()> {
        self.walk_down_to(from, to, |passed| match passed.seq <= to {
            true => visit(passed),
            false => Ok(ControlFlow::Continue(())),
        })
    }

    /// The same, also over those between `to` and the next signpost.
    fn walk_down_to(
        &self,
        from: u64,
        to: u64,
        visit: impl FnMut(&Passed<'_>) -> rusqlite::Result<ControlFlow<()>>,
    ) -> rusqlite::Result<()> {
        if from > to {
            return Ok(());
        }
        let begin = chain::begin(self.connection, self.conversation, self.tail, to)?;
        chain::walk_down(self.connection, begin, from, visit)
    }
}

pub(super) fn append(
    connection: &Connection,
    tails: &mut Tails,
    entry: &NewEntry<'_>,
) -> Result<Appended> {
    let tail = tails.find(connection, entry.conversation).map_err(failed)?;
    let tail = tail.ok_or_else(|| StoreError::Row("there is no such conversation".into()))?;
    if tail.rev.is_some() && entry.seq <= tail.seq {
        let first = recorded(connection, entry.sender, entry.client_id)?;
        let refused = || StoreError::Row("an entry with this or a later seq exists".into());
        return first.map(Appended::Duplicate).ok_or_else(refused);
    }
    let written = insert(connection, tail.rev, entry).map_err(failed)?;
    if written > 0 {
        tails.advance(entry.conversation, int(entry.rev.0), entry.seq);
        return Ok(Appended::New);
    }
    match recorded(connection, entry.sender, entry.client_id)? {
        Some(first) => Ok(Appended::Duplicate(first)),
        None => Err(StoreError::Corrupt("an entry is in the index and not in the table".into())),
    }
}

/// Most entries have nothing but content, and their columns are few.
fn insert(
    connection: &Connection,
    previous: Option<i64>,
    entry: &NewEntry<'_>,
) -> rusqlite::Result<usize> {
    let (rev, seq, at) = (int(entry.rev.0), int(entry.seq), int(entry.at.0));
    let (conversation, sender) = (entry.conversation.0, entry.sender.0);
    let (client_id, kind) = (ClientIdKey::new(entry.client_id), entry.kind.as_str());
    let (digest, content) = (entry.digest.cast_signed(), entry.content.get());
    let Some(head) = entry.head else {
        return connection.prepare_cached(APPEND)?.execute(params![
            rev,
            conversation,
            seq,
            previous,
            sender,
            client_id,
            at,
            kind,
            digest,
            content,
        ]);
    };
    let about = head.about.map(int);
    let extra = StoredHead::json(head).map_err(|why| damaged(0, why.to_string()))?;
    connection.prepare_cached(APPEND_ABOUT)?.execute(params![
        rev,
        conversation,
        seq,
        previous,
        sender,
        client_id,
        at,
        kind,
        digest,
        content,
        about,
        extra,
        head.expires_at.map(|at| int(at.0)),
        head.receipt.then_some(1),
    ])
}

fn recorded(
    connection: &Connection,
    sender: UserKey,
    client_id: &ClientId,
) -> Result<Option<Recorded>> {
    let read = |row: &Row<'_>| {
        Ok(Recorded {
            rev: Rev(number(row, 0)?),
            conversation: conversations::conversation_id(row, 1)?,
            seq: number(row, 2)?,
            at: Timestamp(number(row, 3)?),
            digest: row.get::<_, i64>(4)?.cast_unsigned(),
        })
    };
    connection
        .prepare_cached(RECORDED)
        .and_then(|mut statement| {
            statement.query_row(params![ClientIdKey::new(client_id), sender.0], read).optional()
        })
        .map_err(failed)
}

fn entries(log: &Log<'_>, range: Range) -> rusqlite::Result<Vec<Entry>> {
    let revs = match range.order {
        Order::Ascending => lowest(log, range)?,
        Order::Descending => highest(log, range)?,
    };
    let mut statement = log.connection.prepare_cached(ENTRY)?;
    let mut entries = Vec::with_capacity(revs.len());
    let mut bytes = 0;
    for rev in revs {
        let entry = statement.query_row([rev], entry)?;
        bytes += entry.content.get().len();
        entries.push(entry);
        if bytes > range.bytes {
            break;
        }
    }
    Ok(entries)
}

/// The revs of the entries at the upper end of a range, descending.
fn highest(log: &Log<'_>, range: Range) -> rusqlite::Result<Vec<i64>> {
    let mut revs = Vec::new();
    let limit = range.limit as usize;
    if limit == 0 {
        return Ok(revs);
    }
    log.walk_down(range.from, range.to, |passed| {
        revs.push(passed.rev);
        Ok(if revs.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(revs)
}

/// The revs of the entries at the lower end of a range, ascending. They are as many as their seqs
/// say, unless seqs are missing; only then is more of the range walked than is answered.
fn lowest(log: &Log<'_>, range: Range) -> rusqlite::Result<Vec<i64>> {
    let from = range.from.max(1);
    let limit = range.limit as usize;
    let mut to = range.to.min(from.saturating_add(u64::from(range.limit)).saturating_sub(1));
    loop {
        let mut revs = Vec::new();
        let mut goes_on = false;
        log.walk_down_to(from, to, |passed| {
            goes_on |= passed.seq >= to;
            if passed.seq <= to {
                revs.push(passed.rev);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if revs.len() < limit && goes_on && to < range.to {
            to = range.to;
            continue;
        }
        revs.reverse();
        revs.truncate(limit);
        return Ok(revs);
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        rev: Rev(number(row, 0)?),
        seq: number(row, 1)?,
        sender: users::user_id(row, 2)?,
        client_id: client_id(row, 3)?,
        at: Timestamp(number(row, 4)?),
        kind: kind(row, 5)?,
        content: content(row, 6)?,
        head: head(row)?,
        fate: Fate {
            removed: operations::removed(row, 8)?,
            edited: optional(row, 9)?.map(Rev),
            reacted: row.get::<_, Option<bool>>(10)?.unwrap_or(false),
        },
    })
}

fn head(row: &Row<'_>) -> rusqlite::Result<Option<Box<Head>>> {
    let StoredHead { mentions, mention_all, forwarded } = stored_head(row, 11)?;
    let head = Head {
        about: optional(row, 7)?,
        mentions,
        mention_all,
        forwarded,
        expires_at: optional(row, 12)?.map(Timestamp),
        receipt: row.get::<_, Option<bool>>(13)?.unwrap_or(false),
    };
    Ok(Some(head).filter(|head| *head != Head::default()).map(Box::new))
}

fn stored_head(row: &Row<'_>, column: usize) -> rusqlite::Result<StoredHead> {
    let json = match row.get_ref(column)? {
        ValueRef::Null => None,
        text => Some(text.as_str()?),
    };
    StoredHead::read(json).map_err(|why| damaged(column, why.to_string()))
}

pub(super) fn content(row: &Row<'_>, column: usize) -> rusqlite::Result<Content> {
    let raw = RawValue::from_string(row.get(column)?);
    raw.map(Arc::from).map_err(|why| damaged(column, why.to_string()))
}

fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<Kind> {
    let name = row.get_ref(column)?.as_str()?;
    Kind::parse(name).ok_or_else(|| damaged(column, format!("{name} is no kind of entry")))
}

fn unread(log: &Log<'_>, by: Counting<'_>, from: u64, to: u64) -> rusqlite::Result<Unread> {
    let (mut unread, mut scanned) = (Unread::default(), 0);
    log.walk_down(from, to, |passed| {
        let (row, column) = passed.kind();
        if passed.sender()? != by.user.0
            && kind(row, column)?.counts_as_unread()
            && passed.is_there(by.now.0)?
            && by.hidden.binary_search(&passed.seq).is_err()
        {
            let (row, column) = passed.extra();
            unread.add(passed.seq, stored_head(row, column)?.mentions(by.id));
        }
        scanned += 1;
        let enough = unread.count == UNREAD_COUNTED_MAX || scanned == UNREAD_SCANNED_MAX;
        Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(unread)
}

/// Times never go back along a log, so the stretch between two signposts is found by halving; within
/// it the log is walked down.
fn first_seq_at(log: &Log<'_>, at: Timestamp) -> rusqlite::Result<Option<u64>> {
    let mut newest = None;
    chain::walk_down(log.connection, log.tail, 0, |passed| {
        newest = Some((passed.seq, passed.at()?));
        Ok(ControlFlow::Break(()))
    })?;
    let Some((newest, _)) = newest.filter(|(_, written)| *written >= at.0) else { return Ok(None) };
    // Signposts below `low` are older than `at`, and the entry at which to begin is not.
    let (mut low, mut high, mut begin) = (0, newest / chain::STRIDE + 1, log.tail);
    while low < high {
        let middle = low + (high - low) / 2;
        let from = middle.saturating_mul(chain::STRIDE);
        match chain::signpost(log.connection, log.conversation, from)? {
            Some(post) if post.at < at.0 => low = middle.max(post.seq / chain::STRIDE) + 1,
            Some(post) => (high, begin) = (middle, Some(post.rev)),
            None => high = middle,
        }
    }
    let mut first = None;
    chain::walk_down(log.connection, begin, 0, |passed| {
        if passed.at()? < at.0 {
            return Ok(ControlFlow::Break(()));
        }
        first = Some(passed.seq);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(first)
}

/// A client id as the index keeps it: 16 bytes for a UUID in its canonical form, which every SDK
/// sends, and its text otherwise.
enum ClientIdKey<'a> {
    Uuid(Uuid),
    Text(&'a str),
}

impl<'a> ClientIdKey<'a> {
    fn new(id: &'a ClientId) -> Self {
        let text = id.as_str();
        // Other spellings of the same UUID are other client ids, and stay apart as text.
        let canonical = text.len() == 36 && !text.bytes().any(|b| b.is_ascii_uppercase());
        match canonical.then(|| Uuid::try_parse(text)) {
            Some(Ok(uuid)) => Self::Uuid(uuid),
            _ => Self::Text(text),
        }
    }
}

impl ToSql for ClientIdKey<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Uuid(uuid) => ValueRef::Blob(uuid.as_bytes()),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

pub(super) fn client_id(row: &Row<'_>, column: usize) -> rusqlite::Result<ClientId> {
    let id = match row.get_ref(column)? {
        ValueRef::Blob(bytes) => {
            let uuid = Uuid::from_slice(bytes).map_err(|why| damaged(column, why.to_string()))?;
            ClientId::new(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
        }
        text => ClientId::new(text.as_str()?),
    };
    id.map_err(|why| damaged(column, why.to_string()))
}
