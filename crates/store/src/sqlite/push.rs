//! Memberships in the logs of what is pushed, in SQLite.

use hubbub_chat::model::{ConversationKey, Rev, UserKey};
use hubbub_chat::ports::{AudienceWriter, Audiences, Result, StoreError};
use hubbub_proto::command::Role;
use hubbub_proto::event::ConversationKind;
use hubbub_proto::{ConversationId, ConversationName, SystemName};
use rusqlite::{Connection, OptionalExtension, params};

use super::conversations::{
    NEVER_A_MEMBER, change, collect, conversation_id, kind_code, open_stay,
};
use super::errors::failed;
use super::schema::int;
use super::{Handle, Seat, Writing};

const AUDIENCES: &str = "SELECT c.key, c.id
     FROM member m INDEXED BY open_place CROSS JOIN conversation c ON c.key = m.conversation
     WHERE m.user = ?1 AND m.open = 1 AND m.kind <> 0 AND m.kind = ?2 ORDER BY c.key";
const NEWEST: &str = "SELECT join_seq, left_seq FROM stay WHERE conversation = ?1 AND user = ?2
     ORDER BY join_seq DESC LIMIT 1";
const GO_ON: &str = "UPDATE stay SET left_seq = NULL
     WHERE conversation = ?1 AND user = ?2 AND join_seq = ?3";
const KEEP_NEWEST: &str = "DELETE FROM stay WHERE conversation = ?1 AND user = ?2 AND join_seq < (
         SELECT min(join_seq) FROM (
             SELECT join_seq FROM stay WHERE conversation = ?1 AND user = ?2
             ORDER BY join_seq DESC LIMIT ?3))";
const CLOSE: &str = "UPDATE stay SET left_seq = ?3
     WHERE conversation = ?1 AND user = ?2 AND left_seq IS NULL";
const TAKE_AWAY: &str =
    "DELETE FROM stay WHERE conversation = ?1 AND user = ?2 AND left_seq IS NULL";
const SET_OPEN: &str =
    "UPDATE member SET open = ?3, rev = ?4 WHERE user = ?1 AND conversation = ?2";

/// What `plans` looks at.
#[cfg(test)]
pub(super) const QUERIES: &[(&str, &str)] = &[
    ("AUDIENCES", AUDIENCES),
    ("NEWEST", NEWEST),
    ("GO_ON", GO_ON),
    ("KEEP_NEWEST", KEEP_NEWEST),
    ("CLOSE", CLOSE),
    ("TAKE_AWAY", TAKE_AWAY),
    ("SET_OPEN", SET_OPEN),
];

impl<S: Seat> Audiences for Handle<S> {
    fn audiences_of(&mut self, user: UserKey) -> Result<Vec<(ConversationKey, ConversationId)>> {
        let system = kind_code(ConversationKind::System);
        let mut found =
            collect(self.seat.connection(), AUDIENCES, params![user.0, system], |row| {
                Ok((ConversationKey(row.get(0)?), conversation_id(row, 1)?))
            })?;
        found.retain(|(_, id)| !matches!(id.name(), ConversationName::System(SystemName::User(_))));
        Ok(found)
    }
}

impl AudienceWriter for Handle<Writing> {
    fn enter_audience(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        head_seq: u64,
        stays_max: u32,
        rev: Rev,
    ) -> Result<()> {
        self.seat.write(|connection, _| {
            let newest = newest(connection, conversation, user)?;
            if let Some((join_seq, Some(left_seq))) = newest
                && left_seq == int(head_seq)
            {
                let row = [conversation.0, user.0, join_seq];
                change(connection, GO_ON, row, NEVER_A_MEMBER)?;
                let row = [user.0, conversation.0, 1, int(rev.0)];
                return change(connection, SET_OPEN, row, NEVER_A_MEMBER);
            }
            open_stay(connection, conversation, user, Role::Member, head_seq + 1, rev)?;
            connection
                .prepare_cached(KEEP_NEWEST)
                .and_then(|mut statement| {
                    statement.execute(params![conversation.0, user.0, stays_max.max(1)])
                })
                .map(|_| ())
                .map_err(failed)
        })
    }

    fn leave_audience(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        head_seq: u64,
        rev: Rev,
    ) -> Result<()> {
        self.seat.write(|connection, _| {
            let otherwise = "the user has no open stay";
            match newest(connection, conversation, user)? {
                Some((join_seq, None)) if join_seq > int(head_seq) => {
                    change(connection, TAKE_AWAY, [conversation.0, user.0], otherwise)?;
                }
                Some((_, None)) => {
                    let row = [conversation.0, user.0, int(head_seq)];
                    change(connection, CLOSE, row, otherwise)?;
                }
                _ => return Err(StoreError::Row(otherwise.into())),
            }
            let row = [user.0, conversation.0, 0, int(rev.0)];
            change(connection, SET_OPEN, row, NEVER_A_MEMBER)
        })
    }
}

fn newest(
    connection: &Connection,
    conversation: ConversationKey,
    user: UserKey,
) -> Result<Option<(i64, Option<i64>)>> {
    connection
        .prepare_cached(NEWEST)
        .and_then(|mut statement| {
            let row = [conversation.0, user.0];
            statement.query_row(row, |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(failed)
}
