//! Entries in SQLite.

use std::sync::Arc;

use hubbub_chat::model::{ConversationKey, Entry, NewEntry, Recorded, Rev, UserKey};
use hubbub_chat::ports::{Appended, Messages, Order, Range, Result, StoreError};
use hubbub_proto::command::{Content, Kind};
use hubbub_proto::{ClientId, Timestamp};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::errors::{damaged, failed};
use super::schema::{int, number};
use super::{Handle, Seat, conversations, users};
use crate::{UNREAD_COUNTED_MAX, UNREAD_SCANNED_MAX};

const APPEND: &str = "INSERT INTO entry
     (rev, conversation, seq, sender, client_id, at, kind, digest, content)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
     ON CONFLICT (client_id, sender) DO NOTHING";
const RECORDED: &str = "SELECT e.rev, c.id, e.seq, e.at, e.digest
     FROM entry e JOIN conversation c ON c.key = e.conversation
     WHERE e.client_id = ?1 AND e.sender = ?2";
const ASCENDING: &str = "SELECT e.rev, e.seq, u.id, e.client_id, e.at, e.kind, e.content
     FROM entry e CROSS JOIN user u ON u.key = e.sender
     WHERE e.conversation = ?1 AND e.seq BETWEEN ?2 AND ?3 ORDER BY e.seq LIMIT ?4";
const DESCENDING: &str = "SELECT e.rev, e.seq, u.id, e.client_id, e.at, e.kind, e.content
     FROM entry e CROSS JOIN user u ON u.key = e.sender
     WHERE e.conversation = ?1 AND e.seq BETWEEN ?2 AND ?3 ORDER BY e.seq DESC LIMIT ?4";
const NEWEST: &str = "SELECT sender, kind FROM entry
     WHERE conversation = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq DESC LIMIT ?4";
const ENDS: &str = "SELECT
         (SELECT min(seq) FROM entry WHERE conversation = ?1),
         (SELECT max(seq) FROM entry WHERE conversation = ?1)";
const FROM: &str =
    "SELECT seq, at FROM entry WHERE conversation = ?1 AND seq >= ?2 ORDER BY seq LIMIT 1";

impl<S: Seat> Messages for Handle<S> {
    fn recorded(&mut self, sender: UserKey, client_id: &ClientId) -> Result<Option<Recorded>> {
        recorded(self.seat.connection(), sender, client_id)
    }

    fn entries(&mut self, conversation: ConversationKey, range: Range) -> Result<Vec<Entry>> {
        entries(self.seat.connection(), conversation, range).map_err(failed)
    }

    fn unread(
        &mut self,
        conversation: ConversationKey,
        reader: UserKey,
        from: u64,
        to: u64,
    ) -> Result<u32> {
        unread(self.seat.connection(), conversation, reader, from, to).map_err(failed)
    }

    fn first_seq_at(
        &mut self,
        conversation: ConversationKey,
        at: Timestamp,
    ) -> Result<Option<u64>> {
        first_seq_at(self.seat.connection(), conversation, at).map_err(failed)
    }
}

pub(super) fn append(connection: &Connection, entry: &NewEntry<'_>) -> Result<Appended> {
    let key = ClientIdKey::new(entry.client_id);
    let written = connection
        .prepare_cached(APPEND)
        .and_then(|mut statement| {
            statement.execute(params![
                int(entry.rev.0),
                entry.conversation.0,
                int(entry.seq),
                entry.sender.0,
                key,
                int(entry.at.0),
                entry.kind.as_str(),
                entry.digest.cast_signed(),
                entry.content.get(),
            ])
        })
        .map_err(failed)?;
    if written > 0 {
        return Ok(Appended::New);
    }
    match recorded(connection, entry.sender, entry.client_id)? {
        Some(first) => Ok(Appended::Duplicate(first)),
        None => Err(StoreError::Corrupt("an entry is in the index and not in the table".into())),
    }
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

fn entries(
    connection: &Connection,
    conversation: ConversationKey,
    range: Range,
) -> rusqlite::Result<Vec<Entry>> {
    let sql = match range.order {
        Order::Ascending => ASCENDING,
        Order::Descending => DESCENDING,
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows =
        statement.query(params![conversation.0, int(range.from), int(range.to), range.limit])?;
    let mut entries = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let entry = entry(row)?;
        bytes += entry.content.get().len();
        entries.push(entry);
        if bytes > range.bytes {
            break;
        }
    }
    Ok(entries)
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
    })
}

fn content(row: &Row<'_>, column: usize) -> rusqlite::Result<Content> {
    let raw = RawValue::from_string(row.get(column)?);
    raw.map(Arc::from).map_err(|why| damaged(column, why.to_string()))
}

fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<Kind> {
    let name = row.get_ref(column)?.as_str()?;
    Kind::parse(name).ok_or_else(|| damaged(column, format!("{name} is no kind of entry")))
}

fn unread(
    connection: &Connection,
    conversation: ConversationKey,
    reader: UserKey,
    from: u64,
    to: u64,
) -> rusqlite::Result<u32> {
    let mut statement = connection.prepare_cached(NEWEST)?;
    let mut rows =
        statement.query(params![conversation.0, int(from), int(to), UNREAD_SCANNED_MAX])?;
    let mut unread = 0;
    while unread < UNREAD_COUNTED_MAX
        && let Some(row) = rows.next()?
    {
        if row.get::<_, i64>(0)? != reader.0 && kind(row, 1)?.is_message() {
            unread += 1;
        }
    }
    Ok(unread)
}

/// Times never go back along a log, so the place is found by halving.
fn first_seq_at(
    connection: &Connection,
    conversation: ConversationKey,
    at: Timestamp,
) -> rusqlite::Result<Option<u64>> {
    let ends: (Option<i64>, Option<i64>) = connection
        .prepare_cached(ENDS)?
        .query_row([conversation.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(first), Some(last)) = ends else { return Ok(None) };
    let mut statement = connection.prepare_cached(FROM)?;
    let mut entry_from = |seq: i64| {
        let read = |row: &Row<'_>| Ok((number(row, 0)?, number(row, 1)?));
        statement.query_row([conversation.0, seq], read).optional()
    };
    // What stands before `low` is older than `at`; what stands from `high` on is not.
    let (mut low, mut high) = (first, last.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        match entry_from(middle)? {
            Some((_, written)) if written < at.0 => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(entry_from(low)?.map(|(seq, _)| seq))
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

fn client_id(row: &Row<'_>, column: usize) -> rusqlite::Result<ClientId> {
    let id = match row.get_ref(column)? {
        ValueRef::Blob(bytes) => {
            let uuid = Uuid::from_slice(bytes).map_err(|why| damaged(column, why.to_string()))?;
            ClientId::new(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
        }
        text => ClientId::new(text.as_str()?),
    };
    id.map_err(|why| damaged(column, why.to_string()))
}
