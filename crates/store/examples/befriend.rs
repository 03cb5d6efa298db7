//! Makes a store in which users `u0` … are friends of those next to them, for the bench `logins`.
//!
//! `befriend DIRECTORY USERS FRIENDS`; every user gets that many friends, half of them on either side
//! of a circle.

use std::error::Error;

use hubbub_chat::model::{Relation, Rev, Side, UserKey};
use hubbub_chat::ports::Store as _;
use hubbub_proto::event::RelationState;
use hubbub_proto::{Timestamp, UserId};
use hubbub_store::{SqliteOptions, SqliteStore};

/// Users whose friends are written in one transaction.
const USERS_AT_ONCE: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, users, friends] = &arguments[..] else {
        return Err("usage: befriend DIRECTORY USERS FRIENDS".into());
    };
    let (users, friends): (usize, usize) = (users.parse()?, friends.parse()?);
    if friends >= users {
        return Err("there are not so many others".into());
    }
    let store = SqliteStore::open(directory.as_ref(), SqliteOptions::default())?;
    let mut writer = store.writer()?;
    let mut rev = writer.committed_rev()?.0;
    writer.begin()?;
    let mut keys = Vec::with_capacity(users);
    for number in 0..users {
        let id = UserId::new(&format!("u{number}")).map_err(|why| why.to_string())?;
        keys.push(writer.put_user(&id, None, Timestamp(1))?.key);
    }
    writer.commit(Rev(rev))?;
    for first in (0..users).step_by(USERS_AT_ONCE) {
        writer.begin()?;
        for user in first..users.min(first + USERS_AT_ONCE) {
            for step in 1..=friends / 2 {
                rev += 1;
                let relation = Relation {
                    side: Side { state: RelationState::Friend, blocked: false },
                    note: None,
                    at: Timestamp(1),
                    rev: Rev(rev),
                };
                let (one, other): (UserKey, UserKey) = (keys[user], keys[(user + step) % users]);
                writer.put_relation(one, other, &relation)?;
                writer.put_relation(other, one, &relation)?;
            }
        }
        writer.commit(Rev(rev))?;
    }
    Ok(())
}
