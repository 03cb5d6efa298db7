//! Who may enter a group, and who may only read in it, in SQLite.

use hubbub_chat::model::{Ban, ConversationKey, JoinRequest, Link, Rev, Until, User, UserKey};
use hubbub_chat::ports::{Groups, Result, StoreError, WriteGroups};
use hubbub_proto::command::Role;
use hubbub_proto::{Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::conversations::{
    NEVER_A_MEMBER, NO_CONVERSATION, change, collect, count, role_code, until,
};
use super::errors::{damaged, failed};
use super::schema::{int, number};
use super::{Handle, Seat, Writing, users};

const BAN: &str = "SELECT w.id, b.at, b.until FROM ban b CROSS JOIN user w ON w.key = b.by
     WHERE b.conversation = ?1 AND b.user = ?2";
const BANS: &str = "SELECT u.key, u.id, u.name, u.privacy, w.id, b.at, b.until
     FROM ban b CROSS JOIN user u ON u.key = b.user CROSS JOIN user w ON w.key = b.by
     WHERE b.conversation = ?1 AND b.until > ?2 AND u.id > ?3 ORDER BY u.id LIMIT ?4";
const REQUEST: &str = "SELECT note, at FROM join_request WHERE conversation = ?1 AND user = ?2";
const REQUESTS: &str = "SELECT u.key, u.id, u.name, u.privacy, r.note, r.at
     FROM join_request r CROSS JOIN user u ON u.key = r.user
     WHERE r.conversation = ?1 AND u.id > ?2 ORDER BY u.id LIMIT ?3";
const LINKS: &str = "SELECT l.digest, w.id, l.at, l.until, l.uses_left
     FROM invite_link l CROSS JOIN user w ON w.key = l.by
     WHERE l.conversation = ?1 ORDER BY l.at, l.digest";
const MANAGERS: &str = "SELECT u.id
     FROM member m INDEXED BY open_member CROSS JOIN user u ON u.key = m.user
     WHERE m.conversation = ?1 AND m.open = 1 AND m.role >= ?2
     ORDER BY m.role DESC, m.user LIMIT ?3";

/// What `plans` looks at.
#[cfg(test)]
pub(super) const QUERIES: &[(&str, &str)] = &[
    ("BAN", BAN),
    ("BANS", BANS),
    ("REQUEST", REQUEST),
    ("REQUESTS", REQUESTS),
    ("LINKS", LINKS),
    ("MANAGERS", MANAGERS),
];

impl<S: Seat> Groups for Handle<S> {
    fn ban(&mut self, conversation: ConversationKey, user: UserKey) -> Result<Option<Ban>> {
        find(self.seat.connection(), BAN, [conversation.0, user.0], |row| ban(row, 0))
    }

    fn bans(
        &mut self,
        conversation: ConversationKey,
        now: Timestamp,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<(User, Ban)>> {
        let after = after.map_or("", UserId::as_str);
        let page = params![conversation.0, int(now.0), after, limit];
        collect(self.seat.connection(), BANS, page, |row| Ok((users::user(row, 0)?, ban(row, 4)?)))
    }

    fn ban_count(&mut self, conversation: ConversationKey, now: Timestamp) -> Result<u64> {
        let sql = "SELECT count(*) FROM ban WHERE conversation = ?1 AND until > ?2";
        count(self.seat.connection(), sql, [conversation.0, int(now.0)])
    }

    fn join_request(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
    ) -> Result<Option<JoinRequest>> {
        find(self.seat.connection(), REQUEST, [conversation.0, user.0], |row| request(row, 0))
    }

    fn join_requests(
        &mut self,
        conversation: ConversationKey,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<(User, JoinRequest)>> {
        let after = after.map_or("", UserId::as_str);
        let page = params![conversation.0, after, limit];
        collect(self.seat.connection(), REQUESTS, page, |row| {
            Ok((users::user(row, 0)?, request(row, 4)?))
        })
    }

    fn join_request_count(&mut self, conversation: ConversationKey) -> Result<u64> {
        let sql = "SELECT count(*) FROM join_request WHERE conversation = ?1";
        count(self.seat.connection(), sql, [conversation.0])
    }

    fn own_join_request_count(&mut self, user: UserKey) -> Result<u64> {
        let sql = "SELECT count(*) FROM join_request WHERE user = ?1";
        count(self.seat.connection(), sql, [user.0])
    }

    fn links(&mut self, conversation: ConversationKey) -> Result<Vec<Link>> {
        collect(self.seat.connection(), LINKS, [conversation.0], link)
    }

    fn managers(&mut self, conversation: ConversationKey, limit: u32) -> Result<Vec<UserId>> {
        let least = role_code(Role::Admin);
        collect(self.seat.connection(), MANAGERS, params![conversation.0, least, limit], |row| {
            users::user_id(row, 0)
        })
    }
}

fn find<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row(params, read).optional())
        .map_err(failed)
}

fn ban(row: &Row<'_>, column: usize) -> rusqlite::Result<Ban> {
    let end = until(row, column + 2)?;
    Ok(Ban {
        by: users::user_id(row, column)?,
        at: Timestamp(number(row, column + 1)?),
        until: end.ok_or_else(|| damaged(column + 2, "a ban has no end".to_owned()))?,
    })
}

fn request(row: &Row<'_>, column: usize) -> rusqlite::Result<JoinRequest> {
    Ok(JoinRequest { note: row.get(column)?, at: Timestamp(number(row, column + 1)?) })
}

fn link(row: &Row<'_>) -> rusqlite::Result<Link> {
    let end = until(row, 3)?;
    Ok(Link {
        digest: row.get(0)?,
        by: users::user_id(row, 1)?,
        at: Timestamp(number(row, 2)?),
        until: end.ok_or_else(|| damaged(3, "a link has no end".to_owned()))?,
        uses_left: row.get(4)?,
    })
}

/// Runs a statement that may find nothing to do.
pub(super) fn run(connection: &Connection, sql: &str, params: impl Params) -> Result<()> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(params))
        .map(|_| ())
        .map_err(failed)
}

fn exists(connection: &Connection, conversation: ConversationKey) -> Result<()> {
    let sql = "SELECT 1 FROM conversation WHERE key = ?1";
    let found = find(connection, sql, [conversation.0], |_| Ok(()))?;
    found.ok_or_else(|| StoreError::Row(NO_CONVERSATION.to_owned()))
}

impl WriteGroups for Handle<Writing> {
    fn put_ban(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        by: UserKey,
        at: Timestamp,
        until: Until,
    ) -> Result<()> {
        self.seat.write(|connection, _| {
            exists(connection, conversation)?;
            let ended = "DELETE FROM ban WHERE conversation = ?1 AND until <= ?2";
            run(connection, ended, [conversation.0, int(at.0)])?;
            let sql = "INSERT OR REPLACE INTO ban (conversation, user, by, at, until)
                 VALUES (?1, ?2, ?3, ?4, ?5)";
            let row = [conversation.0, user.0, by.0, int(at.0), int(until.number())];
            run(connection, sql, row)
        })
    }

    fn remove_ban(&mut self, conversation: ConversationKey, user: UserKey) -> Result<()> {
        self.seat.write(|connection, _| {
            exists(connection, conversation)?;
            let sql = "DELETE FROM ban WHERE conversation = ?1 AND user = ?2";
            run(connection, sql, [conversation.0, user.0])
        })
    }

    fn put_join_request(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        request: &JoinRequest,
    ) -> Result<()> {
        self.seat.write(|connection, _| {
            exists(connection, conversation)?;
            let sql = "INSERT OR REPLACE INTO join_request (conversation, user, note, at)
                 VALUES (?1, ?2, ?3, ?4)";
            run(connection, sql, params![conversation.0, user.0, request.note, int(request.at.0)])
        })
    }

    fn remove_join_request(&mut self, conversation: ConversationKey, user: UserKey) -> Result<()> {
        self.seat.write(|connection, _| {
            exists(connection, conversation)?;
            let sql = "DELETE FROM join_request WHERE conversation = ?1 AND user = ?2";
            run(connection, sql, [conversation.0, user.0])
        })
    }

    fn put_link(&mut self, conversation: ConversationKey, by: UserKey, link: &Link) -> Result<()> {
        self.seat.write(|connection, _| {
            exists(connection, conversation)?;
            let ended = "DELETE FROM invite_link
                 WHERE conversation = ?1 AND (until <= ?2 OR uses_left = 0)";
            run(connection, ended, [conversation.0, int(link.at.0)])?;
            let sql = "INSERT INTO invite_link (conversation, digest, by, at, until, uses_left)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let (at, end) = (int(link.at.0), int(link.until.number()));
            run(
                connection,
                sql,
                params![conversation.0, link.digest, by.0, at, end, link.uses_left],
            )
        })
    }

    fn use_link(&mut self, conversation: ConversationKey, digest: &[u8; 32]) -> Result<()> {
        self.seat.write(|connection, _| {
            exists(connection, conversation)?;
            let sql = "UPDATE invite_link SET uses_left = uses_left - 1
                 WHERE conversation = ?1 AND digest = ?2 AND uses_left > 0";
            run(connection, sql, params![conversation.0, digest])
        })
    }

    fn remove_link(&mut self, conversation: ConversationKey, digest: &[u8; 32]) -> Result<()> {
        self.seat.write(|connection, _| {
            exists(connection, conversation)?;
            let sql = "DELETE FROM invite_link WHERE conversation = ?1 AND digest = ?2";
            run(connection, sql, params![conversation.0, digest])
        })
    }

    fn close_doors(&mut self, conversation: ConversationKey) -> Result<()> {
        self.seat.write(|connection, _| {
            exists(connection, conversation)?;
            for sql in [
                "DELETE FROM ban WHERE conversation = ?1",
                "DELETE FROM join_request WHERE conversation = ?1",
                "DELETE FROM invite_link WHERE conversation = ?1",
            ] {
                run(connection, sql, [conversation.0])?;
            }
            Ok(())
        })
    }

    fn silence(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        until: Option<Until>,
        rev: Rev,
    ) -> Result<()> {
        self.seat.write(|connection, _| {
            let sql = "UPDATE member SET silenced_until = ?3, rev = ?4
                 WHERE user = ?1 AND conversation = ?2";
            let end = until.map(|until| int(until.number()));
            let row = params![user.0, conversation.0, end, int(rev.0)];
            change(connection, sql, row, NEVER_A_MEMBER)
        })
    }

    fn silence_all(&mut self, conversation: ConversationKey, until: Option<Until>) -> Result<()> {
        self.seat.write(|connection, _| {
            let sql = "UPDATE conversation SET silenced_until = ?2 WHERE key = ?1";
            let end = until.map(|until| int(until.number()));
            change(connection, sql, params![conversation.0, end], NO_CONVERSATION)
        })
    }
}
