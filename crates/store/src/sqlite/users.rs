//! Users in SQLite.

use hubbub_chat::model::{PrivacyChoice, User, UserKey};
use hubbub_chat::ports::{Result, Users};
use hubbub_proto::{Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::errors::{damaged, failed};
use super::schema::int;
use super::{Handle, Seat};

impl<S: Seat> Users for Handle<S> {
    fn user(&mut self, id: &UserId) -> Result<Option<User>> {
        find(self.seat.connection(), id)
    }
}

fn find(connection: &Connection, id: &UserId) -> Result<Option<User>> {
    connection
        .prepare_cached("SELECT key, id, name, privacy FROM user WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([id.as_str()], |row| user(row, 0)).optional())
        .map_err(failed)
}

/// Reads key, id, name and privacy from `column` on.
pub(super) fn user(row: &Row<'_>, column: usize) -> rusqlite::Result<User> {
    Ok(User {
        key: UserKey(row.get(column)?),
        id: user_id(row, column + 1)?,
        name: row.get(column + 2)?,
        privacy: PrivacyChoice::unpacked(row.get(column + 3)?),
    })
}

/// Reads a user's id.
pub(super) fn user_id(row: &Row<'_>, column: usize) -> rusqlite::Result<UserId> {
    UserId::new(row.get_ref(column)?.as_str()?).map_err(|why| damaged(column, why.to_string()))
}

pub(super) fn put(
    connection: &Connection,
    id: &UserId,
    name: Option<&str>,
    at: Timestamp,
) -> Result<User> {
    let Some(mut user) = find(connection, id)? else {
        let insert = "INSERT INTO user (id, name, first_seen) VALUES (?1, ?2, ?3)";
        connection
            .prepare_cached(insert)
            .and_then(|mut statement| statement.execute(params![id.as_str(), name, int(at.0)]))
            .map_err(failed)?;
        let key = UserKey(connection.last_insert_rowid());
        let name = name.map(Into::into);
        return Ok(User { key, id: id.clone(), name, privacy: PrivacyChoice::default() });
    };
    if name.is_some() && name != user.name.as_deref() {
        connection
            .prepare_cached("UPDATE user SET name = ?2 WHERE key = ?1")
            .and_then(|mut statement| statement.execute(params![user.key.0, name]))
            .map_err(failed)?;
        user.name = name.map(Into::into);
    }
    Ok(user)
}
