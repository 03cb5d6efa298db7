//! Relations and profiles in SQLite.

use std::sync::Arc;

use hubbub_chat::model::{
    Counted, Device, Pair, PrivacyChoice, Relation, Rev, Showing, Side, User, UserKey,
};
use hubbub_chat::ports::{People, Result, WritePeople};
use hubbub_proto::event::RelationState;
use hubbub_proto::{DeviceId, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::errors::{damaged, failed};
use super::schema::{int, number};
use super::{Handle, Seat, Writing, users};

/// Both sides: a row each, told apart by the first column.
const PAIR: &str = "SELECT user, state, blocked FROM relation
     WHERE (user = ?1 AND other = ?2) OR (user = ?2 AND other = ?1)";
const RELATION: &str = "SELECT state, blocked, note, at, rev FROM relation
     WHERE user = ?1 AND other = ?2";
const RELATIONS: &str =
    "SELECT r.state, r.blocked, r.note, r.at, r.rev, u.key, u.id, u.name, u.privacy
     FROM relation r INDEXED BY relation_change CROSS JOIN user u ON u.key = r.other
     WHERE r.user = ?1 AND r.rev > ?2 AND (?3 OR r.state <> 0 OR r.blocked = 1)
     ORDER BY r.rev LIMIT ?4";
const NEWEST: &str = "SELECT coalesce((SELECT max(rev) FROM relation WHERE user = ?1), 0),
     coalesce((SELECT relations_floor FROM user WHERE key = ?1), 0)";
const IN_STATE: &str = "SELECT count(*) FROM relation INDEXED BY relation_state
     WHERE user = ?1 AND state = ?2 AND state <> 0";
const BLOCKED: &str = "SELECT count(*) FROM relation INDEXED BY relation_block
     WHERE user = ?1 AND blocked = 1";
const FRIENDS: &str = "SELECT u.key, u.id, u.name, u.privacy
     FROM relation r INDEXED BY relation_state CROSS JOIN user u ON u.key = r.other
     WHERE r.user = ?1 AND r.state = ?2 AND r.state <> 0 AND r.blocked = 0
         AND EXISTS (SELECT 1 FROM relation o
             WHERE o.user = r.other AND o.other = r.user AND o.state = ?2 AND o.blocked = 0)
     LIMIT ?3";
const SHOWING: &str = "SELECT picture, avatar, about, data, rev FROM user WHERE key = ?1";
const PUT: &str = "INSERT OR REPLACE INTO relation (user, other, state, blocked, note, at, rev)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const ENDED: &str = "SELECT count(*) FROM relation INDEXED BY relation_end
     WHERE user = ?1 AND state = 0 AND blocked = 0";
/// The newest tombstone that is to go where so many stay.
const LAST_TO_GO: &str = "SELECT rev FROM relation INDEXED BY relation_end
     WHERE user = ?1 AND state = 0 AND blocked = 0 ORDER BY rev DESC LIMIT 1 OFFSET ?2";
const FORGET: &str = "DELETE FROM relation INDEXED BY relation_end
     WHERE user = ?1 AND state = 0 AND blocked = 0 AND rev <= ?2";
const SET_FLOOR: &str = "UPDATE user SET relations_floor = ?2 WHERE key = ?1";
const ROLES: &str = "SELECT roles FROM user WHERE key = ?1";
const SET_ROLES: &str = "UPDATE user SET roles = ?2, rev = ?3 WHERE key = ?1";
const SET_PRIVACY: &str = "UPDATE user SET privacy = ?2, rev = ?3 WHERE key = ?1";
const SET_SHOWING: &str =
    "UPDATE user SET picture = ?2, avatar = ?3, about = ?4, data = ?5, rev = ?6 WHERE key = ?1";

const DEVICES: &str = "SELECT id, kind, name, last_seen, not_before FROM device
     WHERE user = ?1 ORDER BY last_seen DESC, id";
const SIGNED_OUT: &str = "SELECT u.id, d.id, d.not_before
     FROM device d INDEXED BY signed_out CROSS JOIN user u ON u.key = d.user
     WHERE d.not_before > ?1 AND d.not_before <> 0 ORDER BY d.not_before DESC LIMIT ?2";
const PUT_DEVICE: &str =
    "INSERT OR REPLACE INTO device (user, id, kind, name, last_seen, not_before)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const FORGET_DEVICE: &str = "DELETE FROM device WHERE user = ?1 AND id IN (
         SELECT id FROM device WHERE user = ?1 AND not_before = 0 ORDER BY last_seen, id
         LIMIT max(0, (SELECT count(*) FROM device WHERE user = ?1 AND not_before = 0) - ?2))";

/// What `plans` looks at.
#[cfg(test)]
pub(super) const QUERIES: &[(&str, &str)] = &[
    ("PAIR", PAIR),
    ("RELATION", RELATION),
    ("RELATIONS", RELATIONS),
    ("NEWEST", NEWEST),
    ("IN_STATE", IN_STATE),
    ("BLOCKED", BLOCKED),
    ("FRIENDS", FRIENDS),
    ("SHOWING", SHOWING),
    ("PUT", PUT),
    ("ENDED", ENDED),
    ("LAST_TO_GO", LAST_TO_GO),
    ("FORGET", FORGET),
    ("SET_FLOOR", SET_FLOOR),
    ("ROLES", ROLES),
    ("SET_ROLES", SET_ROLES),
    ("SET_PRIVACY", SET_PRIVACY),
    ("SET_SHOWING", SET_SHOWING),
    ("DEVICES", DEVICES),
    ("SIGNED_OUT", SIGNED_OUT),
    ("PUT_DEVICE", PUT_DEVICE),
    ("FORGET_DEVICE", FORGET_DEVICE),
];

/// Reads a device's id.
fn device_id(row: &Row<'_>, column: usize) -> rusqlite::Result<DeviceId> {
    DeviceId::new(row.get_ref(column)?.as_str()?).map_err(|why| damaged(column, why.to_string()))
}

const fn code(state: RelationState) -> u8 {
    match state {
        RelationState::None => 0,
        RelationState::Requested => 1,
        RelationState::Received => 2,
        RelationState::Friend => 3,
    }
}

/// Reads state and block from `column` on.
fn side(row: &Row<'_>, column: usize) -> rusqlite::Result<Side> {
    let state = match row.get(column)? {
        0_i64 => RelationState::None,
        1 => RelationState::Requested,
        2 => RelationState::Received,
        3 => RelationState::Friend,
        other => return Err(damaged(column, format!("{other} is no state of a relation"))),
    };
    Ok(Side { state, blocked: row.get(column + 1)? })
}

/// Reads state, block, note, time and rev.
fn relation(row: &Row<'_>) -> rusqlite::Result<Relation> {
    Ok(Relation {
        side: side(row, 0)?,
        note: row.get(2)?,
        at: Timestamp(number(row, 3)?),
        rev: Rev(number(row, 4)?),
    })
}

fn one<T>(
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

fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_map(params, read)?.collect())
        .map_err(failed)
}

fn change(connection: &Connection, sql: &str, params: impl Params) -> Result<()> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(params))
        .map(|_| ())
        .map_err(failed)
}

impl<S: Seat> People for Handle<S> {
    fn pair(&mut self, user: UserKey, other: UserKey) -> Result<Pair> {
        let connection = self.seat.connection();
        let mut pair = Pair::default();
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, side(row, 1)?));
        for (of, side) in all(connection, PAIR, [user.0, other.0], read)? {
            *(if of == user.0 { &mut pair.mine } else { &mut pair.theirs }) = side;
        }
        Ok(pair)
    }

    fn relation(&mut self, user: UserKey, other: UserKey) -> Result<Option<Relation>> {
        one(self.seat.connection(), RELATION, [user.0, other.0], relation)
    }

    fn relations(
        &mut self,
        user: UserKey,
        since: Rev,
        tombstones: bool,
        limit: u32,
    ) -> Result<Vec<(User, Relation)>> {
        let params = params![user.0, int(since.0), tombstones, limit];
        all(self.seat.connection(), RELATIONS, params, |row| {
            Ok((users::user(row, 5)?, relation(row)?))
        })
    }

    fn relations_rev(&mut self, user: UserKey) -> Result<(Rev, Rev)> {
        let read = |row: &Row<'_>| Ok((Rev(number(row, 0)?), Rev(number(row, 1)?)));
        Ok(one(self.seat.connection(), NEWEST, [user.0], read)?.unwrap_or_default())
    }

    fn relation_count(&mut self, user: UserKey, counted: Counted) -> Result<u64> {
        let connection = self.seat.connection();
        let state = match counted {
            Counted::Requested => RelationState::Requested,
            Counted::Received => RelationState::Received,
            Counted::Friends => RelationState::Friend,
            Counted::Blocked => {
                return Ok(one(connection, BLOCKED, [user.0], |row| number(row, 0))?.unwrap_or(0));
            }
        };
        let params = params![user.0, code(state)];
        Ok(one(connection, IN_STATE, params, |row| number(row, 0))?.unwrap_or(0))
    }

    fn friends_of(&mut self, user: UserKey, limit: u32) -> Result<Vec<User>> {
        let params = params![user.0, code(RelationState::Friend), limit];
        all(self.seat.connection(), FRIENDS, params, |row| users::user(row, 0))
    }

    fn showing(&mut self, user: UserKey) -> Result<Showing> {
        let read = |row: &Row<'_>| {
            Ok(Showing {
                picture: row.get(0)?,
                avatar: row.get(1)?,
                about: row.get(2)?,
                data: row.get(3)?,
                rev: Rev(number(row, 4)?),
            })
        };
        Ok(one(self.seat.connection(), SHOWING, [user.0], read)?.unwrap_or_default())
    }

    fn roles(&mut self, user: UserKey) -> Result<Arc<[Box<str>]>> {
        let read = |row: &Row<'_>| row.get::<_, Option<String>>(0);
        let lines = one(self.seat.connection(), ROLES, [user.0], read)?.flatten();
        Ok(lines.map_or_else(Arc::default, |lines| lines.lines().map(Into::into).collect()))
    }

    fn devices(&mut self, user: UserKey) -> Result<Vec<Device>> {
        all(self.seat.connection(), DEVICES, [user.0], |row| {
            Ok(Device {
                id: device_id(row, 0)?,
                kind: row.get(1)?,
                name: row.get(2)?,
                last_seen: Timestamp(number(row, 3)?),
                not_before: Timestamp(number(row, 4)?),
            })
        })
    }

    fn signed_out(
        &mut self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<(UserId, DeviceId, Timestamp)>> {
        let params = params![int(since.0), limit];
        all(self.seat.connection(), SIGNED_OUT, params, |row| {
            Ok((users::user_id(row, 0)?, device_id(row, 1)?, Timestamp(number(row, 2)?)))
        })
    }
}

impl WritePeople for Handle<Writing> {
    fn put_relation(&mut self, user: UserKey, other: UserKey, relation: &Relation) -> Result<()> {
        let Relation { side, note, at, rev } = relation;
        self.seat.write(|connection, _| {
            let params = params![
                user.0,
                other.0,
                code(side.state),
                side.blocked,
                note.as_deref(),
                int(at.0),
                int(rev.0)
            ];
            change(connection, PUT, params)
        })
    }

    fn forget_relations(&mut self, user: UserKey, keep: u32) -> Result<()> {
        self.seat.write(|connection, _| {
            let ended = one(connection, ENDED, [user.0], |row| number(row, 0))?.unwrap_or(0);
            if ended <= u64::from(keep) {
                return Ok(());
            }
            let last = params![user.0, keep / 2];
            let Some(last) = one(connection, LAST_TO_GO, last, |row| row.get::<_, i64>(0))? else {
                return Ok(());
            };
            change(connection, FORGET, [user.0, last])?;
            change(connection, SET_FLOOR, [user.0, last])
        })
    }

    fn put_privacy(&mut self, user: UserKey, privacy: PrivacyChoice, rev: Rev) -> Result<()> {
        self.seat.write(|connection, _| {
            change(connection, SET_PRIVACY, params![user.0, privacy.packed(), int(rev.0)])
        })
    }

    fn put_roles(&mut self, user: UserKey, roles: &[Box<str>], rev: Rev) -> Result<()> {
        let lines = (!roles.is_empty()).then(|| roles.join("\n"));
        self.seat.write(|connection, _| {
            change(connection, SET_ROLES, params![user.0, lines, int(rev.0)])
        })
    }

    fn put_showing(&mut self, user: UserKey, showing: &Showing) -> Result<()> {
        let Showing { picture, avatar, about, data, rev } = showing;
        self.seat.write(|connection, _| {
            change(
                connection,
                SET_SHOWING,
                params![user.0, picture, avatar, about, data, int(rev.0)],
            )
        })
    }

    fn put_device(&mut self, user: UserKey, device: &Device, keep: u32) -> Result<()> {
        let Device { id, kind, name, last_seen, not_before } = device;
        self.seat.write(|connection, _| {
            let row = params![user.0, id.as_str(), kind, name, int(last_seen.0), int(not_before.0)];
            change(connection, PUT_DEVICE, row)?;
            change(connection, FORGET_DEVICE, params![user.0, keep])
        })
    }
}
