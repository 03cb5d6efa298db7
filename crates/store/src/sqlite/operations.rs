//! What was done to messages, in SQLite.

use hubbub_chat::model::{ConversationKey, Edit, EntryKey, Pin, Rev, UserKey};
use hubbub_chat::ports::{OperationWrites, Operations, Result};
use hubbub_proto::command::Emoji;
use hubbub_proto::event::{Reaction, ReactionCount, Removed};
use hubbub_proto::{Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::errors::{damaged, failed};
use super::messages::content;
use super::retention::{KEPT, RETIRED};
use super::schema::{int, number, optional};
use super::{Handle, Seat, Writing, users};
use crate::{REACTION_USERS_MAX, REACTIONS_COUNTED_MAX};

const EDIT: &str = "SELECT seq, at, content, edited, coalesce(edit_number, 0) FROM entry
     WHERE rev = ?1 AND kind = 'message_edited'";
const CHAIN_EDIT: &str = "UPDATE entry SET
         edited = (SELECT edited FROM entry WHERE rev = ?2),
         edit_number = 1 + coalesce((SELECT before.edit_number FROM entry target
             JOIN entry before ON before.rev = target.edited WHERE target.rev = ?2), 0)
     WHERE rev = ?1";
const SET_EDITED: &str = "UPDATE entry SET edited = ?2 WHERE rev = ?1";
const WIPE: &str =
    "UPDATE entry SET content = 'null', extra = NULL, expires_at = NULL, removed = ?2
     WHERE rev = ?1";
const EDITED: &str = "SELECT edited FROM entry WHERE rev = ?1";

const NEXT_EMOJI: &str = "SELECT emoji FROM reaction WHERE target = ?1 AND emoji > ?2
     ORDER BY emoji LIMIT 1";
const COUNT: &str = "SELECT count(*) FROM
     (SELECT 1 FROM reaction WHERE target = ?1 AND emoji = ?2 AND seq <= ?3 LIMIT ?4)";
const SOME_USERS: &str = "SELECT u.id FROM reaction r CROSS JOIN user u ON u.key = r.user
     WHERE r.target = ?1 AND r.emoji = ?2 AND r.seq <= ?3 ORDER BY r.user LIMIT ?4";
const MINE: &str = "SELECT seq FROM reaction WHERE target = ?1 AND emoji = ?2 AND user = ?3";
const REACTIONS: &str = "SELECT r.emoji, u.id, r.at
     FROM reaction r CROSS JOIN user u ON u.key = r.user
     WHERE r.target = ?1 AND (r.emoji, r.user) > (?2, ?3) AND r.emoji <= ?4 AND r.seq <= ?5
     ORDER BY r.emoji, r.user LIMIT ?6";
pub(super) const DROP_PIN: &str = "DELETE FROM pin WHERE conversation = ?1 AND seq = ?2";
const PINS: &str = "SELECT p.seq, p.by_seq, u.id, p.at FROM pin p CROSS JOIN user u ON u.key = p.by
     WHERE p.conversation = ?1 ORDER BY p.by_seq";
const HIDDEN: &str = "SELECT seq FROM hidden
     WHERE user = ?1 AND conversation = ?2 AND seq >= ?3 AND seq <= ?4
     ORDER BY seq LIMIT ?5";
const EXPIRED: &str = "SELECT conversation, seq, rev FROM entry INDEXED BY expiring
     WHERE expires_at <= ?1 ORDER BY expires_at, rev LIMIT ?2";
const NEXT_EXPIRY: &str = "SELECT min(expires_at) FROM entry WHERE expires_at IS NOT NULL";
const JOINED_AFTER: &str = "SELECT s.join_seq, u.id
     FROM stay s INDEXED BY latecomer CROSS JOIN user u ON u.key = s.user
     WHERE s.conversation = ?1 AND s.join_seq > ?2 AND s.left_seq IS NULL
     ORDER BY s.join_seq, s.user";

/// What `plans` looks at.
#[cfg(test)]
pub(super) const QUERIES: &[(&str, &str)] = &[
    ("EDIT", EDIT),
    ("CHAIN_EDIT", CHAIN_EDIT),
    ("SET_EDITED", SET_EDITED),
    ("WIPE", WIPE),
    ("EDITED", EDITED),
    ("NEXT_EMOJI", NEXT_EMOJI),
    ("COUNT", COUNT),
    ("SOME_USERS", SOME_USERS),
    ("MINE", MINE),
    ("REACTIONS", REACTIONS),
    ("DROP_PIN", DROP_PIN),
    ("PINS", PINS),
    ("HIDDEN", HIDDEN),
    ("EXPIRED", EXPIRED),
    ("NEXT_EXPIRY", NEXT_EXPIRY),
    ("JOINED_AFTER", JOINED_AFTER),
];

impl<S: Seat> Operations for Handle<S> {
    fn edit(&mut self, _: ConversationKey, rev: Rev) -> Result<Option<Edit>> {
        let read = |row: &Row<'_>| {
            Ok(Edit {
                seq: number(row, 0)?,
                at: Timestamp(number(row, 1)?),
                content: content(row, 2)?,
                before: optional(row, 3)?.map(Rev),
                number: row.get(4)?,
            })
        };
        one(self.seat.connection(), EDIT, [int(rev.0)], read).map_err(failed)
    }

    fn emojis(&mut self, target: EntryKey) -> Result<Vec<Emoji>> {
        emojis(self.seat.connection(), target).map_err(failed)
    }

    fn has_reaction(&mut self, target: EntryKey, emoji: &Emoji, user: UserKey) -> Result<bool> {
        let mine = mine(self.seat.connection(), target, emoji, user).map_err(failed)?;
        Ok(mine.is_some())
    }

    fn reaction_counts(
        &mut self,
        target: EntryKey,
        reader: UserKey,
        through: u64,
    ) -> Result<Vec<ReactionCount>> {
        reaction_counts(self.seat.connection(), target, reader, through).map_err(failed)
    }

    fn reactions(
        &mut self,
        target: EntryKey,
        emoji: Option<&Emoji>,
        after: Option<(&Emoji, UserKey)>,
        through: u64,
        limit: u32,
    ) -> Result<Vec<Reaction>> {
        // Of one emoji: from before its first user on, or behind the one named.
        let first = (emoji.map_or("", Emoji::as_str), i64::MIN);
        let after = after.map_or(first, |(emoji, user)| (emoji.as_str(), user.0));
        // Longer than any emoji, of the last of all characters.
        let last = emoji.map_or_else(|| "\u{10ffff}".repeat(17), |emoji| emoji.as_str().to_owned());
        let (emoji, user) = after.max(first);
        let read = |row: &Row<'_>| {
            Ok(Reaction {
                emoji: read_emoji(row, 0)?,
                user: users::user_id(row, 1)?,
                at: Timestamp(number(row, 2)?),
            })
        };
        let through = int(through);
        let args = params![int(target.rev.0), emoji, user, last, through, limit];
        all(self.seat.connection(), REACTIONS, args, read).map_err(failed)
    }

    fn pins(&mut self, conversation: ConversationKey) -> Result<Vec<Pin>> {
        let read = |row: &Row<'_>| {
            Ok(Pin {
                seq: number(row, 0)?,
                by_seq: number(row, 1)?,
                by: users::user_id(row, 2)?,
                at: Timestamp(number(row, 3)?),
            })
        };
        all(self.seat.connection(), PINS, [conversation.0], read).map_err(failed)
    }

    fn hidden(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        (from, to): (u64, u64),
        limit: u32,
    ) -> Result<Vec<u64>> {
        let args = params![user.0, conversation.0, int(from), int(to), i64::from(limit)];
        all(self.seat.connection(), HIDDEN, args, |row| number(row, 0)).map_err(failed)
    }

    fn expired(&mut self, now: Timestamp, limit: u32) -> Result<Vec<EntryKey>> {
        let read = |row: &Row<'_>| {
            Ok(EntryKey {
                conversation: ConversationKey(row.get(0)?),
                seq: number(row, 1)?,
                rev: Rev(number(row, 2)?),
            })
        };
        let args = params![int(now.0), limit];
        all(self.seat.connection(), EXPIRED, args, read).map_err(failed)
    }

    fn next_expiry(&mut self) -> Result<Option<Timestamp>> {
        let next =
            one(self.seat.connection(), NEXT_EXPIRY, [], |row| optional(row, 0)).map_err(failed)?;
        Ok(next.flatten().map(Timestamp))
    }

    fn joined_after(
        &mut self,
        conversation: ConversationKey,
        seq: u64,
    ) -> Result<Vec<(u64, UserId)>> {
        let read = |row: &Row<'_>| Ok((number(row, 0)?, users::user_id(row, 1)?));
        let args = [conversation.0, int(seq)];
        all(self.seat.connection(), JOINED_AFTER, args, read).map_err(failed)
    }
}

impl OperationWrites for Handle<Writing> {
    fn chain_edit(&mut self, target: EntryKey, edit: EntryKey) -> Result<()> {
        let (target, edit) = (int(target.rev.0), int(edit.rev.0));
        self.seat.write(|connection, _| {
            run(connection, CHAIN_EDIT, [edit, target])?;
            run(connection, SET_EDITED, [target, edit])
        })
    }

    fn remove(&mut self, target: EntryKey, removed: Removed) -> Result<()> {
        self.seat.write(|connection, _| {
            wipe(connection, Some(int(target.rev.0)), removed)?;
            run(connection, "DELETE FROM reaction WHERE target = ?1", [int(target.rev.0)])?;
            run(connection, DROP_PIN, [target.conversation.0, int(target.seq)])
        })
    }

    fn put_pin(&mut self, target: EntryKey, by_seq: u64, by: UserKey, at: Timestamp) -> Result<()> {
        let row = [target.conversation.0, int(target.seq), int(by_seq), by.0, int(at.0)];
        self.seat.write(|connection, _| {
            run(
                connection,
                "INSERT INTO pin VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
                row,
            )
        })
    }

    fn drop_pin(&mut self, target: EntryKey) -> Result<()> {
        let row = [target.conversation.0, int(target.seq)];
        self.seat.write(|connection, _| run(connection, DROP_PIN, row))
    }

    fn hide(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        seq: u64,
        rev: Rev,
    ) -> Result<()> {
        let row = [user.0, conversation.0, int(seq), int(rev.0)];
        self.seat.write(|connection, _| {
            run(
                connection,
                "INSERT INTO hidden VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                row,
            )?;
            let sql = "UPDATE member SET rev = ?3 WHERE user = ?1 AND conversation = ?2";
            run(connection, sql, [user.0, conversation.0, int(rev.0)])
        })
    }

    fn clear(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        seq: u64,
        rev: Rev,
    ) -> Result<()> {
        self.seat.write(|connection, _| {
            let place = [user.0, conversation.0, int(seq)];
            let sql = "DELETE FROM hidden WHERE user = ?1 AND conversation = ?2 AND seq <= ?3";
            run(connection, sql, place)?;
            let sql = "UPDATE member SET cleared_seq = max(cleared_seq, ?3), rev = ?4
                 WHERE user = ?1 AND conversation = ?2";
            run(connection, sql, [user.0, conversation.0, int(seq), int(rev.0)])
        })
    }

    fn put_reaction(
        &mut self,
        target: EntryKey,
        emoji: &Emoji,
        user: UserKey,
        seq: u64,
        at: Timestamp,
    ) -> Result<()> {
        self.seat.write(|connection, _| {
            run(
                connection,
                "INSERT INTO reaction (target, emoji, user, seq, at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO NOTHING",
                params![int(target.rev.0), emoji.as_str(), user.0, int(seq), int(at.0)],
            )?;
            run(
                connection,
                "UPDATE entry SET reacted = 1 WHERE rev = ?1 AND reacted IS NULL",
                [int(target.rev.0)],
            )
        })
    }

    fn drop_reaction(&mut self, target: EntryKey, emoji: &Emoji, user: UserKey) -> Result<()> {
        self.seat.write(|connection, _| {
            let sql = "DELETE FROM reaction WHERE target = ?1 AND emoji = ?2 AND user = ?3";
            run(connection, sql, params![int(target.rev.0), emoji.as_str(), user.0])
        })
    }
}

pub(super) fn one<T>(
    connection: &Connection,
    sql: &str,
    args: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    connection.prepare_cached(sql)?.query_row(args, read).optional()
}

pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    args: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(args, read)?.collect()
}

pub(super) fn run(connection: &Connection, sql: &str, args: impl Params) -> Result<()> {
    let done = connection.prepare_cached(sql).and_then(|mut statement| statement.execute(args));
    done.map(|_| ()).map_err(failed)
}

/// Wipes an entry, of a message also its edits from the newest down.
pub(super) fn wipe(connection: &Connection, newest: Option<i64>, removed: Removed) -> Result<()> {
    let mut next = newest;
    while let Some(rev) = next {
        next = one(connection, EDITED, [rev], |row| row.get(0)).map_err(failed)?.flatten();
        run(connection, WIPE, (rev, code(removed)))?;
    }
    Ok(())
}

fn mine(
    connection: &Connection,
    target: EntryKey,
    emoji: &Emoji,
    user: UserKey,
) -> rusqlite::Result<Option<u64>> {
    let args = params![int(target.rev.0), emoji.as_str(), user.0];
    one(connection, MINE, args, |row| number(row, 0))
}

/// One step through the index for each, however many reactions there are.
fn emojis(connection: &Connection, target: EntryKey) -> rusqlite::Result<Vec<Emoji>> {
    let mut emojis: Vec<Emoji> = Vec::new();
    loop {
        let last = emojis.last().map_or("", Emoji::as_str);
        let args = params![int(target.rev.0), last];
        match one(connection, NEXT_EMOJI, args, |row| read_emoji(row, 0))? {
            Some(next) => emojis.push(next),
            None => return Ok(emojis),
        }
    }
}

fn reaction_counts(
    connection: &Connection,
    target: EntryKey,
    reader: UserKey,
    through: u64,
) -> rusqlite::Result<Vec<ReactionCount>> {
    let mut counts = Vec::new();
    for emoji in emojis(connection, target)? {
        let (rev, through_seq) = (int(target.rev.0), int(through));
        let args = params![rev, emoji.as_str(), through_seq, REACTIONS_COUNTED_MAX];
        let count: u32 = one(connection, COUNT, args, |row| row.get(0))?.unwrap_or(0);
        if count == 0 {
            continue;
        }
        let args = params![rev, emoji.as_str(), through_seq, REACTION_USERS_MAX];
        let users = all(connection, SOME_USERS, args, |row| users::user_id(row, 0))?;
        let mine = mine(connection, target, &emoji, reader)?.is_some_and(|seq| seq <= through);
        counts.push(ReactionCount { emoji, count, users, mine });
    }
    Ok(counts)
}

fn read_emoji(row: &Row<'_>, column: usize) -> rusqlite::Result<Emoji> {
    let text = row.get_ref(column)?.as_str()?;
    Emoji::new(text).map_err(|why| damaged(column, why.to_string()))
}

const fn code(removed: Removed) -> i64 {
    match removed {
        Removed::Recalled => 1,
        Removed::Deleted => 2,
        Removed::Expired => 3,
    }
}

/// Reads why a content is gone.
pub(super) fn removed(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Removed>> {
    match row.get::<_, Option<i64>>(column)? {
        None => Ok(None),
        Some(1) => Ok(Some(Removed::Recalled)),
        Some(2) => Ok(Some(Removed::Deleted)),
        Some(3 | RETIRED | KEPT) => Ok(Some(Removed::Expired)),
        Some(other) => Err(damaged(column, format!("{other} is no reason to remove"))),
    }
}
