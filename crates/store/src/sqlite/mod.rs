//! The embedded default: one SQLite database in one directory.
//!
//! One connection writes and each reader has its own, so readers see the newest commit without
//! waiting for the writer (WAL mode). Invariant: `commit` returns after the log that holds the
//! transaction was synced; what it wrote is then found after any crash (P1).
//!
//! After a stop that was not clean SQLite replays the log by itself, checksummed, so the store is as
//! of some commit. A small database is checked for damage then; a large one is not, because that
//! would keep a server from starting for as long as it takes to read everything.
//!
//! Deliberately absent: seq allocation and idempotency windows, which are the rules' work.

mod backup;
mod chain;
mod conversations;
mod errors;
mod groups;
mod lock;
mod messages;
mod migrations;
mod operations;
mod people;
#[cfg(test)]
mod plans;
mod presence;
mod push;
mod receipts;
mod retention;
mod schema;
mod settings;
#[cfg(test)]
mod upgrade;
mod users;
mod wal;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

pub use backup::back_up;
use hubbub_chat::model::{Conversation, ConversationKey, NewEntry, Profile, Rev, User, UserKey};
use hubbub_chat::ports::{Appended, Reader, Result, Store, StoreError, StoreTimes, Writer};
use hubbub_proto::command::Role;
use hubbub_proto::event::ConversationKind;
use hubbub_proto::{ConversationId, Timestamp, UserId};
use rusqlite::Connection;

use chain::Tails;
use errors::failed;
use lock::DataDir;
use migrations::{MIGRATIONS, Migration};
use schema::int;
use wal::{Checkpointer, Mode, Timers};

/// What can be tuned.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// Most memory the writer keeps pages in. More is not faster: SQLite walks the whole cache at
    /// commits that split a page, and the system caches the file anyway.
    pub writer_cache_bytes: u32,
    /// Most memory each reader keeps pages in.
    pub reader_cache_bytes: u32,
    /// How long the write-ahead log gets before it is copied back into the database.
    pub wal_bytes: u32,
    /// After a stop that was not clean, a database of at most this size is checked for damage.
    pub check_bytes_max: u64,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            writer_cache_bytes: 8 << 20,
            reader_cache_bytes: 8 << 20,
            wal_bytes: 16 << 20,
            check_bytes_max: 64 << 20,
        }
    }
}

/// A store in a directory.
#[derive(Debug)]
pub struct SqliteStore {
    epoch: String,
    options: SqliteOptions,
    writer_taken: Arc<AtomicBool>,
    /// Only checkpoints at shutdown use it. It also keeps the log open while there is no writer.
    keeper: Mutex<Connection>,
    timers: Arc<Timers>,
    dir: Arc<DataDir>,
}

impl SqliteStore {
    /// Opens the store in `dir`, which is made (0700) if it is missing, and brings it to the newest
    /// schema.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another server holds the directory; [`StoreError::ReadOnly`],
    /// [`StoreError::Full`] and [`StoreError::Io`] where it cannot be written;
    /// [`StoreError::NewerSchema`] and [`StoreError::Corrupt`] where its content cannot be used. In
    /// none of these cases are its tables changed.
    pub fn open(dir: &Path, options: SqliteOptions) -> Result<Self> {
        Self::open_with(dir, options, MIGRATIONS)
    }

    fn open_with(dir: &Path, options: SqliteOptions, migrations: &[Migration]) -> Result<Self> {
        let dir = Arc::new(DataDir::hold(dir)?);
        let opened = prepare(&dir, &options, migrations);
        let (keeper, epoch) = opened.map_err(|error| name_file(error, dir.database()))?;
        let writer_taken = Arc::new(AtomicBool::new(false));
        let (keeper, timers) = (Mutex::new(keeper), Arc::default());
        Ok(Self { epoch, options, writer_taken, keeper, timers, dir })
    }

    /// Copies the whole write-ahead log into the database and empties it: the last step of a clean
    /// stop, after the handles were dropped.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while a transaction or a snapshot is open; nothing is lost then.
    pub fn checkpoint(&self) -> Result<()> {
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if wal::checkpoint(&keeper, Mode::Truncate)? {
            return Ok(());
        }
        Err(StoreError::InUse("a transaction or a snapshot is open".into()))
    }

    /// Begins a new epoch: what clients know of the seqs does not hold any more, because the data
    /// was restored from a backup and seqs are given out again. It holds from the next
    /// [`SqliteStore::open`] on. Returns its name.
    ///
    /// # Errors
    /// As for any write.
    pub fn begin_epoch(&self) -> Result<String> {
        let epoch = uuid::Uuid::new_v4().to_string();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let sql = "UPDATE meta SET value = ?1 WHERE key = 'epoch'";
        keeper.execute(sql, [&epoch]).map_err(failed)?;
        Ok(epoch)
    }

    fn watch(&self, connection: &mut Connection) -> Result<Checkpointer> {
        Checkpointer::watch(connection, self.options.wal_bytes, &self.dir, &self.timers)
    }

    fn take_writer(&self) -> Result<Handle<Writing>> {
        if self.writer_taken.swap(true, Ordering::AcqRel) {
            return Err(StoreError::InUse("the writer of this store is taken".into()));
        }
        let seat = Seated(Arc::clone(&self.writer_taken));
        let cache_bytes = self.options.writer_cache_bytes;
        let mut connection = schema::open_writing(self.dir.database(), cache_bytes)?;
        let log = self.watch(&mut connection)?;
        let rev = rev(&connection)?;
        let _dir = Arc::clone(&self.dir);
        let seat = Writing {
            connection,
            rev,
            open: false,
            tails: Tails::default(),
            log,
            timers: Arc::clone(&self.timers),
            _seat: seat,
            _dir,
        };
        Ok(Handle { seat })
    }
}

impl Store for SqliteStore {
    fn epoch(&self) -> &str {
        &self.epoch
    }

    fn writer(&self) -> Result<Box<dyn Writer>> {
        Ok(Box::new(self.take_writer()?))
    }

    fn reader(&self) -> Result<Box<dyn Reader>> {
        let cache_bytes = self.options.reader_cache_bytes;
        let connection = schema::open_reading(self.dir.database(), cache_bytes)?;
        let seat = Reading { connection, snapshot: None, _dir: Arc::clone(&self.dir) };
        Ok(Box::new(Handle { seat }))
    }

    fn times(&self) -> StoreTimes {
        self.timers.read()
    }
}

/// Opens, checks and upgrades the database.
fn prepare(
    dir: &DataDir,
    options: &SqliteOptions,
    migrations: &[Migration],
) -> Result<(Connection, String)> {
    let unclean = dir.wal_bytes() > 0;
    let mut keeper = schema::open_writing(dir.database(), 1 << 20)?;
    if keeper.is_readonly("main").map_err(failed)? {
        return Err(StoreError::ReadOnly("the database file".into()));
    }
    if unclean && dir.database_bytes() <= options.check_bytes_max {
        check(&keeper)?;
    }
    migrations::migrate(&mut keeper, migrations)?;
    let epoch = keeper
        .query_row("SELECT value FROM meta WHERE key = 'epoch'", [], |row| row.get(0))
        .map_err(failed)?;
    Ok((keeper, epoch))
}

/// Looks for damage.
fn check(connection: &Connection) -> Result<()> {
    let verdict: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if verdict == "ok" { Ok(()) } else { Err(StoreError::Corrupt(verdict)) }
}

/// Says which file an error of opening is about.
fn name_file(error: StoreError, file: &Path) -> StoreError {
    let named = |text: String| format!("{}: {text}", file.display());
    match error {
        StoreError::ReadOnly(text) => StoreError::ReadOnly(named(text)),
        StoreError::Corrupt(text) => StoreError::Corrupt(named(text)),
        StoreError::InUse(text) => StoreError::InUse(named(text)),
        StoreError::Io(text) | StoreError::Row(text) => StoreError::Io(named(text)),
        error @ (StoreError::Full | StoreError::NewerSchema { .. }) => error,
    }
}

fn rev(connection: &Connection) -> Result<Rev> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'rev'")
        .and_then(|mut statement| statement.query_row([], |row| schema::number(row, 0)))
        .map(Rev)
        .map_err(failed)
}

fn execute(connection: &Connection, sql: &str) -> Result<()> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute([]))
        .map(|_| ())
        .map_err(failed)
}

/// A handle; what it may do depends on its seat.
struct Handle<S> {
    seat: S,
}

/// Which connection a handle reads from.
trait Seat {
    fn connection(&self) -> &Connection;

    /// The rev of the newest entry of a conversation.
    fn tail(&self, conversation: ConversationKey) -> rusqlite::Result<Option<i64>> {
        chain::tail(self.connection(), conversation)
    }
}

/// Cannot write. Each statement outside of a snapshot sees the newest commit.
struct Reading {
    connection: Connection,
    /// The newest change in the snapshot, while there is one.
    snapshot: Option<Rev>,
    /// Keeps the directory locked until the connection is closed.
    _dir: Arc<DataDir>,
}

impl Seat for Reading {
    fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl Handle<Reading> {
    fn leave_snapshot(&mut self) -> Result<()> {
        self.seat.snapshot = None;
        if self.seat.connection.is_autocommit() {
            return Ok(());
        }
        execute(&self.seat.connection, "COMMIT")
    }
}

impl Reader for Handle<Reading> {
    /// A snapshot that was not ended, because the work in it failed, is replaced by the new one.
    fn begin_read(&mut self) -> Result<()> {
        self.leave_snapshot()?;
        execute(&self.seat.connection, "BEGIN")?;
        // The first statement takes the snapshot, not `BEGIN`.
        self.seat.snapshot = Some(rev(&self.seat.connection)?);
        Ok(())
    }

    fn end_read(&mut self) -> Result<()> {
        self.leave_snapshot()
    }

    fn rev(&mut self) -> Result<Rev> {
        match self.seat.snapshot {
            Some(rev) => Ok(rev),
            None => rev(&self.seat.connection),
        }
    }
}

/// The one that writes. Dropping it rolls back what was not committed: closing does that.
struct Writing {
    connection: Connection,
    /// The newest change that was committed.
    rev: Rev,
    /// Whether a transaction is open, as the caller sees it.
    open: bool,
    tails: Tails,
    log: Checkpointer,
    timers: Arc<Timers>,
    _seat: Seated,
    _dir: Arc<DataDir>,
}

/// Frees the writer's seat, after the connection above it was closed.
struct Seated(Arc<AtomicBool>);

impl Drop for Seated {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Seat for Writing {
    fn connection(&self) -> &Connection {
        &self.connection
    }

    fn tail(&self, conversation: ConversationKey) -> rusqlite::Result<Option<i64>> {
        match self.tails.ahead(conversation) {
            Some(rev) => Ok(Some(rev)),
            None => chain::tail(&self.connection, conversation),
        }
    }
}

impl Writing {
    /// Runs `work` in the open transaction. On a full disk the transaction is gone afterwards.
    fn write<T>(&mut self, work: impl FnOnce(&Connection, &mut Tails) -> Result<T>) -> Result<T> {
        if !self.open {
            return Err(StoreError::Io("nothing can be written outside a transaction".into()));
        }
        let done = work(&self.connection, &mut self.tails);
        if matches!(done, Err(StoreError::Full)) {
            self.forget()?;
        }
        done
    }

    fn forget(&mut self) -> Result<()> {
        self.open = false;
        self.tails.forget();
        // Some failures make SQLite roll back by itself.
        if self.connection.is_autocommit() {
            return Ok(());
        }
        execute(&self.connection, "ROLLBACK")
    }
}

impl Writer for Handle<Writing> {
    fn committed_rev(&mut self) -> Result<Rev> {
        Ok(self.seat.rev)
    }

    fn begin(&mut self) -> Result<()> {
        if self.seat.open {
            return Err(StoreError::Io("a transaction is open already".into()));
        }
        self.seat.log.relieve(&self.seat.connection)?;
        execute(&self.seat.connection, "BEGIN IMMEDIATE")?;
        self.seat.open = true;
        Ok(())
    }

    fn commit(&mut self, rev: Rev) -> Result<()> {
        let newest = self.seat.rev.max(rev);
        let began = Instant::now();
        self.seat.write(|connection, tails| {
            tails.write_back(connection).map_err(failed)?;
            connection
                .prepare_cached("UPDATE meta SET value = ?1 WHERE key = 'rev'")
                .and_then(|mut statement| statement.execute([int(newest.0)]))
                .map_err(failed)?;
            execute(connection, "COMMIT")
        })?;
        self.seat.timers.commits.note(hubbub_measure::micros(began.elapsed()));
        self.seat.open = false;
        self.seat.rev = newest;
        Ok(())
    }

    fn rollback(&mut self) -> Result<()> {
        self.seat.forget()
    }

    fn put_user(&mut self, id: &UserId, name: Option<&str>, at: Timestamp) -> Result<User> {
        self.seat.write(|connection, _| users::put(connection, id, name, at))
    }

    fn create_conversation(
        &mut self,
        id: &ConversationId,
        kind: ConversationKind,
        profile: &Profile,
        at: Timestamp,
    ) -> Result<Conversation> {
        self.seat.write(|connection, _| conversations::create(connection, id, kind, profile, at))
    }

    fn set_head(&mut self, conversation: ConversationKey, head_seq: u64, rev: Rev) -> Result<()> {
        self.seat.write(|connection, tails| {
            conversations::set_head(connection, tails, conversation, head_seq, rev)
        })
    }

    fn set_profile(&mut self, conversation: ConversationKey, profile: &Profile) -> Result<()> {
        self.seat
            .write(|connection, _| conversations::set_profile(connection, conversation, profile))
    }

    fn dissolve(&mut self, conversation: ConversationKey) -> Result<()> {
        self.seat.write(|connection, _| conversations::dissolve(connection, conversation))
    }

    fn open_stay(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        role: Role,
        join_seq: u64,
        rev: Rev,
    ) -> Result<()> {
        self.seat.write(|connection, _| {
            conversations::open_stay(connection, conversation, user, role, join_seq, rev)
        })
    }

    fn close_stay(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        left_seq: u64,
        rev: Rev,
    ) -> Result<()> {
        self.seat.write(|connection, _| {
            conversations::close_stay(connection, conversation, user, left_seq, rev)
        })
    }

    fn set_role(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        role: Role,
        rev: Rev,
    ) -> Result<()> {
        self.seat.write(|connection, _| {
            conversations::set_role(connection, conversation, user, role, rev)
        })
    }

    fn advance_cursors(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        received_seq: u64,
        read_seq: u64,
        rev: Rev,
    ) -> Result<()> {
        self.seat.write(|connection, _| {
            conversations::advance_cursors(
                connection,
                conversation,
                user,
                received_seq,
                read_seq,
                rev,
            )
        })
    }

    fn append(&mut self, entry: &NewEntry<'_>) -> Result<Appended> {
        self.seat.write(|connection, tails| messages::append(connection, tails, entry))
    }
}

#[cfg(test)]
mod tests {
    use hubbub_chat::ports::{Conversations, Messages, Order, Range, Users};
    use hubbub_proto::ClientId;
    use hubbub_proto::command::{Content, Kind};
    use serde_json::value::RawValue;
    use tempfile::TempDir;

    use super::*;

    const NOW: Timestamp = Timestamp(1);

    fn open(dir: &TempDir) -> SqliteStore {
        SqliteStore::open(dir.path(), SqliteOptions::default()).unwrap()
    }

    fn content(bytes: usize) -> Content {
        Arc::from(RawValue::from_string(format!("\"{}\"", "x".repeat(bytes))).unwrap())
    }

    fn append(
        writer: &mut Handle<Writing>,
        conversation: ConversationKey,
        seq: u64,
        content: &Content,
    ) -> Result<Appended> {
        let alice = writer.user(&UserId::new("alice").unwrap())?.unwrap();
        writer.append(&NewEntry {
            rev: Rev(seq),
            conversation,
            seq,
            sender: alice.key,
            client_id: &ClientId::new(&format!("c{seq}")).unwrap(),
            at: NOW,
            kind: &Kind::Text,
            content,
            head: None,
            digest: 0,
        })
    }

    fn prepared(store: &SqliteStore) -> (Handle<Writing>, ConversationKey) {
        let mut writer = store.take_writer().unwrap();
        writer.begin().unwrap();
        writer.put_user(&UserId::new("alice").unwrap(), None, NOW).unwrap();
        let id = ConversationId::new("group:g").unwrap();
        let profile = Profile::default();
        let made = writer.create_conversation(&id, ConversationKind::Group, &profile, NOW).unwrap();
        writer.commit(Rev(0)).unwrap();
        (writer, made.key)
    }

    fn limit_pages(writer: &Handle<Writing>, more: i64) {
        let connection = &writer.seat.connection;
        let pages: i64 =
            connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        let limit = format!("PRAGMA max_page_count = {}", pages + more);
        connection.query_row(&limit, [], |_| Ok(())).unwrap();
    }

    #[test]
    fn a_full_disk_ends_the_transaction_and_nothing_else() {
        let dir = TempDir::new().unwrap();
        let store = open(&dir);
        let (mut writer, group) = prepared(&store);
        limit_pages(&writer, 8);
        writer.begin().unwrap();
        append(&mut writer, group, 1, &content(100)).unwrap();
        let full = append(&mut writer, group, 2, &content(100_000));
        assert!(matches!(full, Err(StoreError::Full)), "{full:?}");
        // The transaction is gone, so writing on is refused instead of committing half of it.
        assert!(append(&mut writer, group, 3, &content(1)).is_err());
        assert!(writer.commit(Rev(3)).is_err());
        writer.rollback().unwrap();

        writer.begin().unwrap();
        append(&mut writer, group, 1, &content(100)).unwrap();
        writer.commit(Rev(1)).unwrap();
        limit_pages(&writer, 1000);
        writer.begin().unwrap();
        append(&mut writer, group, 2, &content(100_000)).unwrap();
        writer.commit(Rev(2)).unwrap();
        let first = writer.recorded(UserKey(1), &ClientId::new("c1").unwrap()).unwrap().unwrap();
        assert_eq!(first.rev, Rev(1));
    }

    #[test]
    fn a_commit_is_synced() {
        let dir = TempDir::new().unwrap();
        let (writer, _) = prepared(&open(&dir));
        let connection = &writer.seat.connection;
        let synchronous: i64 =
            connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        let journal: String =
            connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!((synchronous, journal.as_str()), (2, "wal"));
    }

    #[test]
    fn a_reader_cannot_write() {
        let dir = TempDir::new().unwrap();
        let store = open(&dir);
        let connection = schema::open_reading(store.dir.database(), 1 << 20).unwrap();
        let refused = execute(&connection, "DELETE FROM meta").unwrap_err();
        assert!(matches!(refused, StoreError::ReadOnly(_)), "{refused:?}");
    }

    #[test]
    fn a_value_that_cannot_be_is_damage() {
        let dir = TempDir::new().unwrap();
        let store = open(&dir);
        let (mut writer, group) = prepared(&store);
        writer.begin().unwrap();
        append(&mut writer, group, 1, &content(1)).unwrap();
        writer.commit(Rev(1)).unwrap();
        let everything = Range { from: 1, to: 9, order: Order::Ascending, limit: 9, bytes: 999 };
        for damage in [
            "UPDATE entry SET kind = 'nothing'",
            "UPDATE entry SET kind = 'text', content = '{'",
            "UPDATE entry SET content = '1', client_id = x'00'",
            "UPDATE entry SET client_id = 'two words'",
            "UPDATE entry SET client_id = 'c', at = -1",
        ] {
            writer.seat.connection.execute_batch(damage).unwrap();
            let found = writer.entries(group, everything);
            assert!(matches!(found, Err(StoreError::Corrupt(_))), "{damage}: {found:?}");
        }
        for damage in ["kind = 7", "kind = 1, join_policy = 7", "join_policy = 0, head_seq = -1"] {
            let update = format!("UPDATE conversation SET {damage}");
            writer.seat.connection.execute_batch(&update).unwrap();
            let found = writer.conversation(&ConversationId::new("group:g").unwrap());
            assert!(matches!(found, Err(StoreError::Corrupt(_))), "{damage}: {found:?}");
        }
    }
}
