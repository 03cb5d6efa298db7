//! Presence in SQLite.

use hubbub_chat::model::{KeptPresence, UserKey};
use hubbub_chat::ports::{Presences, Result, WritePresences};
use hubbub_proto::command::Chosen;
use hubbub_proto::{Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, params};

use super::errors::{damaged, failed};
use super::schema::int;
use super::{Handle, Seat, Writing};

const PRESENCE: &str = "SELECT presence.chosen, presence.last_seen
     FROM user JOIN presence ON presence.user = user.key WHERE user.id = ?1";

/// What `plans` looks at.
#[cfg(test)]
pub(super) const QUERIES: &[(&str, &str)] = &[("PRESENCE", PRESENCE)];

impl<S: Seat> Presences for Handle<S> {
    fn presence(&mut self, user: &UserId) -> Result<KeptPresence> {
        self.seat
            .connection()
            .prepare_cached(PRESENCE)
            .and_then(|mut statement| {
                let kept = |row: &rusqlite::Row<'_>| {
                    let last_seen: Option<i64> = row.get(1)?;
                    Ok(KeptPresence {
                        chosen: chosen(row.get(0)?)?,
                        last_seen: last_seen.map(|at| Timestamp(at.unsigned_abs())),
                    })
                };
                statement.query_row([user.as_str()], kept).optional()
            })
            .map(Option::unwrap_or_default)
            .map_err(failed)
    }
}

impl WritePresences for Handle<Writing> {
    fn choose(&mut self, user: UserKey, chosen: Chosen, at: Timestamp) -> Result<()> {
        self.seat.write(|connection, _| choose(connection, user, chosen, at))
    }

    fn saw(&mut self, user: UserKey, at: Timestamp) -> Result<()> {
        self.seat.write(|connection, _| saw(connection, user, at))
    }
}

const INVISIBLE: u8 = 2;

const fn number(chosen: Chosen) -> u8 {
    match chosen {
        Chosen::Online | Chosen::Away => 0,
        Chosen::Busy => 1,
        Chosen::Invisible => INVISIBLE,
    }
}

fn chosen(number: u8) -> rusqlite::Result<Chosen> {
    match number {
        0 => Ok(Chosen::Online),
        1 => Ok(Chosen::Busy),
        INVISIBLE => Ok(Chosen::Invisible),
        _ => Err(damaged(0, format!("{number} stands for no status"))),
    }
}

fn choose(connection: &Connection, user: UserKey, chosen: Chosen, at: Timestamp) -> Result<()> {
    let upsert = "INSERT INTO presence (user, chosen, last_seen)
         VALUES (?1, ?2, CASE WHEN ?2 = ?3 THEN ?4 END)
         ON CONFLICT (user) DO UPDATE SET
             last_seen = CASE WHEN ?2 = ?3 AND chosen <> ?3
                 THEN max(ifnull(last_seen, 0), ?4) ELSE last_seen END,
             chosen = ?2";
    connection
        .prepare_cached(upsert)
        .and_then(|mut statement| {
            statement.execute(params![user.0, number(chosen), INVISIBLE, int(at.0)])
        })
        .map(drop)
        .map_err(failed)
}

fn saw(connection: &Connection, user: UserKey, at: Timestamp) -> Result<()> {
    let upsert = "INSERT INTO presence (user, chosen, last_seen) VALUES (?1, 0, ?2)
         ON CONFLICT (user) DO UPDATE SET last_seen = max(ifnull(last_seen, 0), ?2)
             WHERE chosen <> ?3";
    connection
        .prepare_cached(upsert)
        .and_then(|mut statement| statement.execute(params![user.0, int(at.0), INVISIBLE]))
        .map(drop)
        .map_err(failed)
}
