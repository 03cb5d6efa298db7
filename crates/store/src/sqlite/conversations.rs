//! Conversations, memberships and cursors in SQLite.

use hubbub_chat::model::{
    Conversation, ConversationKey, Member, Membership, Profile, Rev, Settings, Stay, Until, UserKey,
};
use hubbub_chat::ports::{Conversations, Result, StoreError};
use hubbub_proto::command::{JoinPolicy, Role};
use hubbub_proto::event::ConversationKind;
use hubbub_proto::{ConversationId, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::chain::Tails;
use super::errors::{damaged, failed};
use super::schema::{int, number, optional};
use super::{Handle, Seat, users};

/// The columns that [`conversation`] reads.
macro_rules! conversation_columns {
    () => {
        "c.key, c.id, c.kind, c.head_seq, c.floor_seq, c.rev, c.name, c.join_policy, c.dissolved,
         c.announcement, c.silenced_until, c.retention_ms"
    };
}

/// The columns that [`place`] reads.
macro_rules! place_columns {
    () => {
        "m.role, m.received_seq, m.read_seq, m.rev, m.left_name, m.silenced_until, m.pinned,
         m.muted_until, m.hidden_at_seq, m.marked_unread, m.draft, m.cleared_seq"
    };
}

/// Conversations of a user with the newest change of each. `CROSS JOIN` makes SQLite begin with the
/// user's memberships, whatever it believes about the sizes of the tables.
macro_rules! places {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            conversation_columns!(),
            ", ",
            place_columns!(),
            ", CASE WHEN m.open = 1 THEN max(m.rev, c.rev) ELSE m.rev END AS newest
             FROM member m CROSS JOIN conversation c ON c.key = m.conversation
             WHERE m.user = ?1 AND ",
            $rest
        )
    };
}

const FIND: &str =
    concat!("SELECT ", conversation_columns!(), " FROM conversation c WHERE c.id = ?1");
const CHANGED: &str = places!("newest > ?2 ORDER BY newest, c.key LIMIT ?3");
const RECENT: &str = places!("newest < ?2 ORDER BY newest DESC, c.key DESC LIMIT ?3");
const MEMBERS: &str = "SELECT u.key, u.id, u.name, u.privacy, m.role, m.silenced_until
     FROM member m INDEXED BY member_page CROSS JOIN user u ON u.key = m.user
     WHERE m.conversation = ?1 AND m.open = 1 AND m.user_id > ?2 ORDER BY m.user_id LIMIT ?3";
const MEMBERSHIP: &str = concat!(
    "SELECT ",
    place_columns!(),
    " FROM member m WHERE m.user = ?1 AND m.conversation = ?2"
);
const OPEN_GROUPS: &str = "SELECT c.id
     FROM member m INDEXED BY open_place CROSS JOIN conversation c ON c.key = m.conversation
     WHERE m.user = ?1 AND m.open = 1 AND m.kind <> 0 AND m.kind = ?2 AND c.dissolved = 0
     ORDER BY c.id";
const OPEN_GROUP_COUNT: &str = "SELECT count(*)
     FROM member m INDEXED BY open_place CROSS JOIN conversation c ON c.key = m.conversation
     WHERE m.user = ?1 AND m.open = 1 AND m.kind <> 0 AND m.kind = ?2 AND c.dissolved = 0";
const OPEN_STAY: &str =
    "INSERT INTO member (user, conversation, role, received_seq, read_seq, rev, open, kind, user_id)
     VALUES (?1, ?2, ?3, ?4, ?4, ?5, 1, (SELECT kind FROM conversation WHERE key = ?2),
         (SELECT u.id FROM conversation c CROSS JOIN user u
          WHERE c.key = ?2 AND c.kind = 1 AND u.key = ?1))
     ON CONFLICT (user, conversation) DO UPDATE SET
         role = excluded.role,
         received_seq = max(received_seq, excluded.received_seq),
         read_seq = max(read_seq, excluded.read_seq),
         rev = excluded.rev,
         open = 1,
         left_name = NULL";
const CLOSE_STAY: &str = "UPDATE stay SET left_seq = ?3
     WHERE conversation = ?1 AND user = ?2 AND left_seq IS NULL AND join_seq <= ?3";
const ADVANCE: &str = "UPDATE member SET
         received_seq = max(received_seq, ?3), read_seq = max(read_seq, ?4), rev = ?5
     WHERE user = ?1 AND conversation = ?2 AND (received_seq < ?3 OR read_seq < ?4)";

/// What `plans` looks at.
#[cfg(test)]
pub(super) const QUERIES: &[(&str, &str)] = &[
    ("FIND", FIND),
    ("CHANGED", CHANGED),
    ("RECENT", RECENT),
    ("MEMBERS", MEMBERS),
    ("MEMBERSHIP", MEMBERSHIP),
    ("OPEN_GROUPS", OPEN_GROUPS),
    ("OPEN_GROUP_COUNT", OPEN_GROUP_COUNT),
    ("OPEN_STAY", OPEN_STAY),
    ("CLOSE_STAY", CLOSE_STAY),
    ("ADVANCE", ADVANCE),
];

impl<S: Seat> Conversations for Handle<S> {
    fn conversation(&mut self, id: &ConversationId) -> Result<Option<Conversation>> {
        self.seat
            .connection()
            .prepare_cached(FIND)
            .and_then(|mut statement| statement.query_row([id.as_str()], conversation).optional())
            .map_err(failed)
    }

    fn membership(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
    ) -> Result<Option<Membership>> {
        membership(self.seat.connection(), conversation, user).map_err(failed)
    }

    fn members(
        &mut self,
        conversation: ConversationKey,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<Member>> {
        let after = after.map_or("", UserId::as_str);
        collect(self.seat.connection(), MEMBERS, params![conversation.0, after, limit], |row| {
            Ok(Member { user: users::user(row, 0)?, role: role(row, 4)?, silenced: until(row, 5)? })
        })
    }

    fn member_count(&mut self, conversation: ConversationKey) -> Result<u64> {
        let sql = "SELECT count(*) FROM member WHERE conversation = ?1 AND open = 1";
        count(self.seat.connection(), sql, params![conversation.0])
    }

    fn owner_count(&mut self, conversation: ConversationKey) -> Result<u64> {
        let sql = "SELECT count(*) FROM member WHERE conversation = ?1 AND role = ?2 AND open = 1";
        let owner = role_code(Role::Owner);
        count(self.seat.connection(), sql, params![conversation.0, owner])
    }

    fn open_groups(&mut self, user: UserKey) -> Result<Vec<ConversationId>> {
        let group = kind_code(ConversationKind::Group);
        collect(self.seat.connection(), OPEN_GROUPS, params![user.0, group], |row| {
            conversation_id(row, 0)
        })
    }

    fn open_group_count(&mut self, user: UserKey) -> Result<u64> {
        let group = kind_code(ConversationKind::Group);
        count(self.seat.connection(), OPEN_GROUP_COUNT, params![user.0, group])
    }

    fn changed(
        &mut self,
        user: UserKey,
        since: Rev,
        limit: u32,
    ) -> Result<Vec<(Conversation, Membership)>> {
        places(self.seat.connection(), CHANGED, user, int(since.0), limit)
    }

    fn recent(
        &mut self,
        user: UserKey,
        before: Option<Rev>,
        limit: u32,
    ) -> Result<Vec<(Conversation, Membership)>> {
        let before = before.map_or(i64::MAX, |rev| int(rev.0));
        places(self.seat.connection(), RECENT, user, before, limit)
    }
}

pub(super) fn collect<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let rows = statement.query_map(params, read).map_err(failed)?;
    rows.collect::<rusqlite::Result<_>>().map_err(failed)
}

pub(super) fn count(connection: &Connection, sql: &str, params: impl Params) -> Result<u64> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row(params, |row| number(row, 0)))
        .map_err(failed)
}

fn places(
    connection: &Connection,
    sql: &str,
    user: UserKey,
    bound: i64,
    limit: u32,
) -> Result<Vec<(Conversation, Membership)>> {
    collect(connection, sql, params![user.0, bound, limit], |row| {
        let conversation = conversation(row)?;
        let stays = stays(connection, conversation.key, user)?;
        Ok((conversation, place(row, 12, stays)?))
    })
}

fn membership(
    connection: &Connection,
    conversation: ConversationKey,
    user: UserKey,
) -> rusqlite::Result<Option<Membership>> {
    connection
        .prepare_cached(MEMBERSHIP)?
        .query_row([user.0, conversation.0], |row| {
            place(row, 0, stays(connection, conversation, user)?)
        })
        .optional()
}

fn stays(
    connection: &Connection,
    conversation: ConversationKey,
    user: UserKey,
) -> rusqlite::Result<Vec<Stay>> {
    let mut statement = connection.prepare_cached(
        "SELECT join_seq, left_seq FROM stay WHERE conversation = ?1 AND user = ?2
         ORDER BY join_seq",
    )?;
    let rows = statement.query_map([conversation.0, user.0], |row| {
        let left_seq: Option<i64> = row.get(1)?;
        Ok(Stay {
            join_seq: number(row, 0)?,
            left_seq: left_seq.map(|_| number(row, 1)).transpose()?,
        })
    })?;
    rows.collect()
}

fn place(row: &Row<'_>, column: usize, stays: Vec<Stay>) -> rusqlite::Result<Membership> {
    Ok(Membership {
        role: role(row, column)?,
        received_seq: number(row, column + 1)?,
        read_seq: number(row, column + 2)?,
        rev: Rev(number(row, column + 3)?),
        left_name: row.get(column + 4)?,
        silenced: until(row, column + 5)?,
        settings: settings(row, column + 6)?,
        cleared_seq: number(row, column + 11)?,
        stays,
    })
}

fn settings(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Box<Settings>>> {
    let hidden: Option<i64> = row.get(column + 2)?;
    let settings = Settings {
        pinned: row.get(column)?,
        muted: until(row, column + 1)?,
        hidden_seq: hidden.map(|_| number(row, column + 2)).transpose()?,
        marked_unread: row.get(column + 3)?,
        draft: row.get(column + 4)?,
    };
    Ok(Some(settings).filter(|settings| *settings != Settings::default()).map(Box::new))
}

/// Reads an end, where there is one.
pub(super) fn until(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Until>> {
    let end: Option<i64> = row.get(column)?;
    let end = end.map(|_| number(row, column)).transpose()?;
    Ok(end.map(|end| Until::new(Some(Timestamp(end)))))
}

fn conversation(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    Ok(Conversation {
        key: ConversationKey(row.get(0)?),
        id: conversation_id(row, 1)?,
        kind: match row.get(2)? {
            0 => ConversationKind::Direct,
            1 => ConversationKind::Group,
            2 => ConversationKind::System,
            code => return Err(damaged(2, format!("{code} is no kind of conversation"))),
        },
        head_seq: number(row, 3)?,
        floor_seq: number(row, 4)?,
        rev: Rev(number(row, 5)?),
        profile: Profile {
            name: row.get(6)?,
            join: match row.get(7)? {
                0 => JoinPolicy::Invite,
                1 => JoinPolicy::Open,
                2 => JoinPolicy::Approval,
                code => return Err(damaged(7, format!("{code} is no join policy"))),
            },
            announcement: row.get(9)?,
            retention_ms: optional(row, 11)?,
        },
        dissolved: row.get(8)?,
        silenced: until(row, 10)?,
    })
}

/// Reads a conversation's id.
pub(super) fn conversation_id(row: &Row<'_>, column: usize) -> rusqlite::Result<ConversationId> {
    let id = ConversationId::new(row.get_ref(column)?.as_str()?);
    id.map_err(|why| damaged(column, why.to_string()))
}

pub(super) const fn kind_code(kind: ConversationKind) -> i64 {
    match kind {
        ConversationKind::Direct => 0,
        ConversationKind::Group => 1,
        ConversationKind::System => 2,
    }
}

const fn join_code(join: JoinPolicy) -> i64 {
    match join {
        JoinPolicy::Invite => 0,
        JoinPolicy::Open => 1,
        JoinPolicy::Approval => 2,
    }
}

pub(super) const fn role_code(role: Role) -> i64 {
    match role {
        Role::Member => 0,
        Role::Admin => 1,
        Role::Owner => 2,
    }
}

fn role(row: &Row<'_>, column: usize) -> rusqlite::Result<Role> {
    match row.get(column)? {
        0 => Ok(Role::Member),
        1 => Ok(Role::Admin),
        2 => Ok(Role::Owner),
        code => Err(damaged(column, format!("{code} is no role"))),
    }
}

/// Runs a statement that must change one row.
pub(super) fn change(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    otherwise: &str,
) -> Result<()> {
    let changed = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(params))
        .map_err(failed)?;
    if changed == 0 { Err(StoreError::Row(otherwise.to_owned())) } else { Ok(()) }
}

pub(super) const NO_CONVERSATION: &str = "there is no such conversation";
pub(super) const NEVER_A_MEMBER: &str = "the user was never a member";

pub(super) fn create(
    connection: &Connection,
    id: &ConversationId,
    kind: ConversationKind,
    profile: &Profile,
    at: Timestamp,
) -> Result<Conversation> {
    let sql = "INSERT INTO conversation
         (id, kind, head_seq, floor_seq, rev, name, join_policy, dissolved, created_at, announcement)
         VALUES (?1, ?2, 0, 0, 0, ?3, ?4, 0, ?5, ?6)";
    let join = join_code(profile.join);
    let row =
        params![id.as_str(), kind_code(kind), profile.name, join, int(at.0), profile.announcement];
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(row))
        .map_err(failed)?;
    Ok(Conversation {
        key: ConversationKey(connection.last_insert_rowid()),
        id: id.clone(),
        kind,
        head_seq: 0,
        floor_seq: 0,
        rev: Rev(0),
        profile: profile.clone(),
        dissolved: false,
        silenced: None,
    })
}

/// Writes the head, and the tail along with it where that moved.
pub(super) fn set_head(
    connection: &Connection,
    tails: &mut Tails,
    conversation: ConversationKey,
    head_seq: u64,
    rev: Rev,
) -> Result<()> {
    let sql = "UPDATE conversation SET head_seq = ?2, rev = ?3, tail = coalesce(?4, tail)
         WHERE key = ?1";
    let tail = tails.ahead(conversation);
    let row = params![conversation.0, int(head_seq), int(rev.0), tail];
    change(connection, sql, row, NO_CONVERSATION)?;
    tails.settle(conversation);
    Ok(())
}

pub(super) fn set_profile(
    connection: &Connection,
    conversation: ConversationKey,
    profile: &Profile,
) -> Result<()> {
    let sql = "UPDATE conversation SET name = ?2, join_policy = ?3, announcement = ?4,
             retention_ms = ?5
         WHERE key = ?1";
    let Profile { name, join, announcement, retention_ms } = profile;
    let row = params![conversation.0, name, join_code(*join), announcement, retention_ms.map(int)];
    change(connection, sql, row, NO_CONVERSATION)
}

pub(super) fn dissolve(connection: &Connection, conversation: ConversationKey) -> Result<()> {
    let sql = "UPDATE conversation SET dissolved = 1 WHERE key = ?1";
    change(connection, sql, [conversation.0], NO_CONVERSATION)
}

pub(super) fn open_stay(
    connection: &Connection,
    conversation: ConversationKey,
    user: UserKey,
    role: Role,
    join_seq: u64,
    rev: Rev,
) -> Result<()> {
    let newest: Option<Option<i64>> = connection
        .prepare_cached(
            "SELECT left_seq FROM stay WHERE conversation = ?1 AND user = ?2
             ORDER BY join_seq DESC LIMIT 1",
        )
        .and_then(|mut statement| {
            statement.query_row([conversation.0, user.0], |row| row.get(0)).optional()
        })
        .map_err(failed)?;
    match newest {
        Some(None) => return Err(StoreError::Row("the user is a member already".into())),
        Some(Some(left_seq)) if left_seq >= int(join_seq) => {
            return Err(StoreError::Row("the stay overlaps an earlier one".into()));
        }
        _ => {}
    }
    let seen = int(join_seq.saturating_sub(1));
    connection
        .prepare_cached(OPEN_STAY)
        .and_then(|mut statement| {
            statement.execute([user.0, conversation.0, role_code(role), seen, int(rev.0)])
        })
        .map_err(failed)?;
    connection
        .prepare_cached("INSERT INTO stay (conversation, user, join_seq) VALUES (?1, ?2, ?3)")
        .and_then(|mut statement| statement.execute([conversation.0, user.0, int(join_seq)]))
        .map_err(failed)?;
    Ok(())
}

pub(super) fn close_stay(
    connection: &Connection,
    conversation: ConversationKey,
    user: UserKey,
    left_seq: u64,
    rev: Rev,
) -> Result<()> {
    let left = [conversation.0, user.0, int(left_seq)];
    change(connection, CLOSE_STAY, left, "the user is no member, or the stay would be empty")?;
    let sql = "UPDATE member SET open = 0, rev = ?3,
         left_name = (SELECT name FROM conversation WHERE key = ?2)
         WHERE user = ?1 AND conversation = ?2";
    change(connection, sql, [user.0, conversation.0, int(rev.0)], NEVER_A_MEMBER)
}

pub(super) fn set_role(
    connection: &Connection,
    conversation: ConversationKey,
    user: UserKey,
    role: Role,
    rev: Rev,
) -> Result<()> {
    let sql = "UPDATE member SET role = ?3, rev = ?4 WHERE user = ?1 AND conversation = ?2";
    let row = [user.0, conversation.0, role_code(role), int(rev.0)];
    change(connection, sql, row, NEVER_A_MEMBER)
}

pub(super) fn advance_cursors(
    connection: &Connection,
    conversation: ConversationKey,
    user: UserKey,
    received_seq: u64,
    read_seq: u64,
    rev: Rev,
) -> Result<()> {
    let row = [user.0, conversation.0, int(received_seq), int(read_seq), int(rev.0)];
    match change(connection, ADVANCE, row, NEVER_A_MEMBER) {
        Err(StoreError::Row(why)) => {
            // Nothing moved: the cursors stand further already, or there are none.
            let known = membership(connection, conversation, user).map_err(failed)?;
            known.map(|_| ()).ok_or(StoreError::Row(why))
        }
        done => done,
    }
}
