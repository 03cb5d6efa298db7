//! Tables and connections.
//!
//! What a row costs is the pages a commit touches, so keys that are inserted together stand
//! together: entries in commit order (`rev` is the rowid), their dedupe index in the order of the
//! clients' time-ordered ids, and no index has every entry of a conversation (see `chain`). Small
//! tables that are only found by their key have no rowid.

use std::path::Path;
use std::time::Duration;

use hubbub_chat::ports::Result;
use rusqlite::{Connection, OpenFlags};

use super::errors::failed;

/// Bytes of a page, for new databases. A commit copies whole pages into the log, so they are small.
const PAGE_BYTES: u32 = 4096;
/// How long a connection waits for another one. The writer is alone and readers do not block it, so
/// only a checkpoint at shutdown ever waits.
const BUSY_TIMEOUT: Duration = Duration::from_millis(250);
/// Cached statements of a connection; more than there are, so that none is compiled twice.
const STATEMENTS_MAX: usize = 256;

/// Version 1, from nothing.
///
/// - `entry.client_id` is 16 bytes for a canonical UUID and text otherwise.
/// - `entry.kind` is the kind's name.
/// - `entry` is not strict: checking the types of each row cost a tenth of its time.
/// - `member.open` repeats whether the last stay is open, for the index.
pub(super) const VERSION_1: &str = "
    CREATE TABLE meta (
        key TEXT PRIMARY KEY,
        value ANY NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE user (
        key INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT,
        first_seen INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE conversation (
        key INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        kind INTEGER NOT NULL,
        head_seq INTEGER NOT NULL,
        floor_seq INTEGER NOT NULL,
        rev INTEGER NOT NULL,
        name TEXT,
        join_policy INTEGER NOT NULL,
        dissolved INTEGER NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE stay (
        conversation INTEGER NOT NULL,
        user INTEGER NOT NULL,
        join_seq INTEGER NOT NULL,
        left_seq INTEGER,
        PRIMARY KEY (conversation, user, join_seq)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE member (
        user INTEGER NOT NULL,
        conversation INTEGER NOT NULL,
        role INTEGER NOT NULL,
        received_seq INTEGER NOT NULL,
        read_seq INTEGER NOT NULL,
        rev INTEGER NOT NULL,
        open INTEGER NOT NULL,
        left_name TEXT,
        PRIMARY KEY (user, conversation)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX open_member ON member (conversation, role, user) WHERE open = 1;

    CREATE TABLE entry (
        rev INTEGER PRIMARY KEY,
        conversation INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        sender INTEGER NOT NULL,
        client_id BLOB NOT NULL,
        at INTEGER NOT NULL,
        kind TEXT NOT NULL,
        target_seq INTEGER,
        digest INTEGER NOT NULL,
        content TEXT NOT NULL,
        UNIQUE (conversation, seq),
        UNIQUE (client_id, sender)
    );
";

/// Version 2: a conversation's log is a chain with signposts (see `chain`) instead of an index of
/// all entries.
///
/// - `entry.previous` is the rev of the entry before it in its conversation.
/// - `conversation.tail` is the rev of its newest entry.
pub(super) const VERSION_2: &str = "
    ALTER TABLE conversation ADD COLUMN tail INTEGER;
    UPDATE conversation SET tail = (
        SELECT rev FROM entry WHERE conversation = conversation.key ORDER BY seq DESC LIMIT 1
    );

    ALTER TABLE entry RENAME TO indexed_entry;
    CREATE TABLE entry (
        rev INTEGER PRIMARY KEY,
        conversation INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        previous INTEGER,
        sender INTEGER NOT NULL,
        client_id BLOB NOT NULL,
        at INTEGER NOT NULL,
        kind TEXT NOT NULL,
        target_seq INTEGER,
        digest INTEGER NOT NULL,
        content TEXT NOT NULL,
        UNIQUE (client_id, sender)
    );
    INSERT INTO entry
        SELECT rev, conversation, seq,
            lag(rev) OVER (PARTITION BY conversation ORDER BY seq),
            sender, client_id, at, kind, target_seq, digest, content
        FROM indexed_entry ORDER BY rev;
    DROP TABLE indexed_entry;
    CREATE UNIQUE INDEX signpost ON entry (conversation, seq) WHERE seq % 64 = 0;
";

/// Version 3: what is done to messages.
///
/// - `entry.extra` is JSON of what was sent along with the content (see `operations`).
/// - `entry.removed` says why the content is gone.
/// - `entry.edited` is the rev of a message's newest edit, and of an edit that of the one before.
/// - `entry.reacted` is set once somebody reacted.
/// - `entry.expires_at` is null again once the content is gone.
/// - `pin.by_seq` is the place of the entry that says so.
/// - `hidden.rev` is the change of the membership with which the user hid the message.
/// - `reaction.seq` is the place of the entry that says so.
/// - `latecomer` finds those whose stay began after a message.
pub(super) const VERSION_3: &str = "
    ALTER TABLE entry ADD COLUMN extra TEXT;
    ALTER TABLE entry ADD COLUMN removed INTEGER;
    ALTER TABLE entry ADD COLUMN edited INTEGER;
    ALTER TABLE entry ADD COLUMN reacted INTEGER;
    ALTER TABLE entry ADD COLUMN expires_at INTEGER;
    CREATE INDEX expiring ON entry (expires_at) WHERE expires_at IS NOT NULL;
    ALTER TABLE member ADD COLUMN cleared_seq INTEGER NOT NULL DEFAULT 0;

    CREATE TABLE pin (
        conversation INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        by_seq INTEGER NOT NULL,
        by INTEGER NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (conversation, seq)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE hidden (
        user INTEGER NOT NULL,
        conversation INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        rev INTEGER NOT NULL,
        PRIMARY KEY (user, conversation, seq)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE reaction (
        target INTEGER NOT NULL,
        emoji TEXT NOT NULL,
        user INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (target, emoji, user)
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX latecomer ON stay (conversation, join_seq) WHERE left_seq IS NULL;
";

/// Version 4: users show something, let some near and keep others away.
///
/// - `user.privacy` is packed, see `PrivacyChoice`; `user.picture` is the token's, `user.avatar` the
///   user's own; `user.rev` is the newest change of all that.
/// - `user.roles` is what a back end gave the user, a role on each line; null for none.
/// - `user.relations_floor` is the newest tombstone that was forgotten.
/// - `relation` has a row for each side; one without state and block is a tombstone.
/// - What an index leaves out is said with `<>`, here and in later versions, and again in each query
///   that uses it: `>` would be taken for the range to be searched.
pub(super) const VERSION_4: &str = "
    ALTER TABLE user ADD COLUMN privacy INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE user ADD COLUMN picture TEXT;
    ALTER TABLE user ADD COLUMN avatar TEXT;
    ALTER TABLE user ADD COLUMN about TEXT;
    ALTER TABLE user ADD COLUMN data TEXT;
    ALTER TABLE user ADD COLUMN roles TEXT;
    ALTER TABLE user ADD COLUMN rev INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE user ADD COLUMN relations_floor INTEGER NOT NULL DEFAULT 0;

    CREATE TABLE relation (
        user INTEGER NOT NULL,
        other INTEGER NOT NULL,
        state INTEGER NOT NULL,
        blocked INTEGER NOT NULL,
        note TEXT,
        at INTEGER NOT NULL,
        rev INTEGER NOT NULL,
        PRIMARY KEY (user, other)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX relation_change ON relation (user, rev);
    CREATE INDEX relation_state ON relation (user, state) WHERE state <> 0;
    CREATE INDEX relation_block ON relation (user) WHERE blocked = 1;
    CREATE INDEX relation_end ON relation (user, rev) WHERE state = 0 AND blocked = 0;

    CREATE TABLE device (
        user INTEGER NOT NULL,
        id TEXT NOT NULL,
        kind TEXT,
        name TEXT,
        last_seen INTEGER NOT NULL,
        not_before INTEGER NOT NULL,
        PRIMARY KEY (user, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX signed_out ON device (not_before) WHERE not_before <> 0;
";

/// Version 5: groups complete, what users keep about conversations, and receipts that are asked for.
///
/// - `member.user_id` repeats the user's id in groups, for pages of members in its order.
/// - `silenced_until`, `muted_until` and `until` are milliseconds; what has no end has the largest
///   number.
/// - `invite_link.digest` is the SHA-256 of the link: who reads the database cannot use it.
/// - `entry.receipt` is 1 where the sender asks to be told who got and read it, else null.
pub(super) const VERSION_5: &str = "
    ALTER TABLE conversation ADD COLUMN announcement TEXT;
    ALTER TABLE conversation ADD COLUMN silenced_until INTEGER;

    ALTER TABLE member ADD COLUMN silenced_until INTEGER;
    ALTER TABLE member ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE member ADD COLUMN muted_until INTEGER;
    ALTER TABLE member ADD COLUMN hidden_at_seq INTEGER;
    ALTER TABLE member ADD COLUMN marked_unread INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE member ADD COLUMN draft TEXT;
    ALTER TABLE member ADD COLUMN user_id TEXT;
    UPDATE member SET user_id = (SELECT id FROM user WHERE key = member.user)
        WHERE conversation IN (SELECT key FROM conversation WHERE kind = 1);
    CREATE INDEX member_page ON member (conversation, user_id)
        WHERE open = 1 AND user_id IS NOT NULL;

    CREATE TABLE ban (
        conversation INTEGER NOT NULL,
        user INTEGER NOT NULL,
        by INTEGER NOT NULL,
        at INTEGER NOT NULL,
        until INTEGER NOT NULL,
        PRIMARY KEY (conversation, user)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE join_request (
        conversation INTEGER NOT NULL,
        user INTEGER NOT NULL,
        note TEXT,
        at INTEGER NOT NULL,
        PRIMARY KEY (conversation, user)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX own_join_request ON join_request (user);

    CREATE TABLE invite_link (
        conversation INTEGER NOT NULL,
        digest BLOB NOT NULL,
        by INTEGER NOT NULL,
        at INTEGER NOT NULL,
        until INTEGER NOT NULL,
        uses_left INTEGER,
        PRIMARY KEY (conversation, digest)
    ) STRICT, WITHOUT ROWID;

    ALTER TABLE entry ADD COLUMN receipt INTEGER;
    CREATE INDEX wanted_receipt ON entry (conversation, seq) WHERE receipt = 1;
";

/// Version 6: what is pushed.
///
/// - `member.kind` repeats the kind of the conversation, for an index of the few memberships that a
///   session is attached to, among the many direct ones that a user may have.
pub(super) const VERSION_6: &str = "
    ALTER TABLE member ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;
    UPDATE member SET kind = (SELECT kind FROM conversation WHERE key = member.conversation);
    CREATE INDEX open_place ON member (user, kind, conversation) WHERE open = 1 AND kind <> 0;
";

/// Version 7: what outlasts a connection of a user's presence. `chosen` is 0 for online, 1 for busy,
/// 2 for invisible.
pub(super) const VERSION_7: &str = "
    CREATE TABLE presence (
        user INTEGER PRIMARY KEY,
        chosen INTEGER NOT NULL,
        last_seen INTEGER
    ) STRICT;
";

/// Version 8: `entry.edit_number` is of an edit how many of its message there are up to it.
pub(super) const VERSION_8: &str = "
    ALTER TABLE entry ADD COLUMN edit_number INTEGER;
";

/// Version 9: what is kept no longer.
///
/// - `conversation.retention_ms` is a group's own; `conversation.sweep_at` is when it is to be looked
///   at because of that.
/// - `entry.removed` is 4 for what was retired, and 5 for what would be forgotten if it were not the
///   newest of its log; the latter has a client id that nobody can send, so that its own is free.
/// - `retired` has what is to be forgotten, in the order of its times.
/// - `hidden_entry` finds who hid an entry.
pub(super) const VERSION_9: &str = "
    ALTER TABLE conversation ADD COLUMN retention_ms INTEGER;
    ALTER TABLE conversation ADD COLUMN sweep_at INTEGER;
    CREATE INDEX overdue ON conversation (sweep_at) WHERE sweep_at IS NOT NULL;
    CREATE INDEX retired ON entry (at) WHERE removed = 4;
    CREATE INDEX hidden_entry ON hidden (conversation, seq);
";

/// Opens the connection of the writer, or one that prepares the database for it.
///
/// `synchronous = FULL` in WAL mode syncs the log before `COMMIT` returns (P1). Foreign keys are off
/// because every key that is written was read in the same transaction. Checkpoints are made between
/// commits (see `wal`), not inside one.
pub(super) fn open_writing(database: &Path, cache_bytes: u32) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags).map_err(failed)?;
    configure(&connection, cache_bytes)?;
    connection
        .execute_batch(&format!(
            "PRAGMA page_size = {PAGE_BYTES};
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = 0;"
        ))
        .map_err(failed)?;
    Ok(connection)
}

/// Opens a connection that cannot write.
pub(super) fn open_reading(database: &Path, cache_bytes: u32) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags).map_err(failed)?;
    configure(&connection, cache_bytes)?;
    Ok(connection)
}

fn configure(connection: &Connection, cache_bytes: u32) -> Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    connection
        .execute_batch(&format!(
            "PRAGMA cache_size = -{};
             PRAGMA foreign_keys = OFF;
             PRAGMA trusted_schema = OFF;
             PRAGMA temp_store = MEMORY;",
            cache_bytes.div_ceil(1024)
        ))
        .map_err(failed)
}

/// Writes a number that only grows; what SQLite cannot hold is beyond every row.
pub(super) fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Reads a number that is never negative, or that is not there.
pub(super) fn optional(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => number(row, column).map(Some),
    }
}

/// Reads a number that is never negative.
pub(super) fn number(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let n: i64 = row.get(column)?;
    u64::try_from(n).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, n))
}
