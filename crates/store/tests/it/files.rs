//! What only a store on disk has: files, locks, damage, and stops that were not clean.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hubbub_chat::model::{ConversationKey, NewEntry, Profile, Rev};
use hubbub_chat::ports::{Appended, Order, Range, Store, StoreError, Writer};
use hubbub_proto::command::{Content, Kind};
use hubbub_proto::event::ConversationKind;
use hubbub_proto::{ClientId, ConversationId, Timestamp, UserId};
use hubbub_store::{SqliteOptions, SqliteStore};
use serde_json::value::RawValue;
use tempfile::TempDir;

const DATABASE: &str = "hubbub.db";
const WAL: &str = "hubbub.db-wal";

fn open(dir: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(dir, SqliteOptions::default())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn wal_bytes(dir: &Path) -> u64 {
    fs::metadata(dir.join(WAL)).map_or(0, |metadata| metadata.len())
}

/// Writes entries 1, 2, 3 … of one conversation, one to a commit, each with rev = seq.
struct Log {
    writer: Box<dyn Writer>,
    conversation: ConversationKey,
    content: Content,
}

impl Log {
    fn begin(store: &SqliteStore, content_bytes: usize) -> Self {
        let mut writer = store.writer().unwrap();
        writer.begin().unwrap();
        writer.put_user(&UserId::new("alice").unwrap(), None, Timestamp(1)).unwrap();
        let id = ConversationId::new("group:g").unwrap();
        let profile = Profile::default();
        let kind = ConversationKind::Group;
        let made = writer.create_conversation(&id, kind, &profile, Timestamp(1)).unwrap();
        writer.commit(Rev(0)).unwrap();
        let json = format!("\"{}\"", "x".repeat(content_bytes));
        let content = Arc::from(RawValue::from_string(json).unwrap());
        Self { writer, conversation: made.key, content }
    }

    fn write(&mut self, seq: u64) {
        self.writer.begin().unwrap();
        self.append(seq);
        self.writer.commit(Rev(seq)).unwrap();
    }

    fn append(&mut self, seq: u64) {
        let alice = self.writer.user(&UserId::new("alice").unwrap()).unwrap().unwrap();
        let entry = NewEntry {
            rev: Rev(seq),
            conversation: self.conversation,
            seq,
            sender: alice.key,
            client_id: &ClientId::new(&format!("c{seq}")).unwrap(),
            at: Timestamp(seq),
            kind: &Kind::Text,
            content: &self.content,
            head: None,
            digest: seq,
        };
        assert_eq!(self.writer.append(&entry).unwrap(), Appended::New);
        self.writer.set_head(self.conversation, seq, Rev(seq)).unwrap();
    }
}

/// The newest change, after checking that the store is as of its commit and of no other.
fn whole_commit(store: &SqliteStore) -> u64 {
    let mut reader = store.reader().unwrap();
    reader.begin_read().unwrap();
    let rev = reader.rev().unwrap().0;
    let id = ConversationId::new("group:g").unwrap();
    let Some(row) = reader.conversation(&id).unwrap() else {
        assert_eq!(rev, 0);
        return 0;
    };
    assert_eq!((row.head_seq, row.rev), (rev, Rev(rev)));
    let range = Range {
        from: 0,
        to: u64::MAX,
        order: Order::Ascending,
        limit: u32::MAX,
        bytes: usize::MAX,
    };
    let entries = reader.entries(row.key, range).unwrap();
    let seqs: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=rev).collect::<Vec<_>>());
    rev
}

/// The files as a crash at this moment leaves them.
fn crash(dir: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for file in [DATABASE, WAL] {
        if dir.join(file).exists() {
            fs::copy(dir.join(file), copy.path().join(file)).unwrap();
        }
    }
    copy
}

#[test]
fn only_the_owner_may_look() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("a").join("data");
    let store = open(&dir).unwrap();
    let mut log = Log::begin(&store, 10);
    log.write(1);
    assert_eq!(mode(&dir), 0o700);
    for file in fs::read_dir(&dir).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_second_server_is_refused_while_any_handle_lives() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).unwrap();
    let refused = open(dir.path()).unwrap_err();
    let text = dir.path().display().to_string();
    assert!(matches!(&refused, StoreError::InUse(what) if *what == text), "{refused}");
    let reader = store.reader().unwrap();
    drop(store);
    assert!(matches!(open(dir.path()), Err(StoreError::InUse(_))));
    drop(reader);
    open(dir.path()).unwrap();
}

#[test]
fn a_directory_that_cannot_be_written_is_read_only() {
    // The kernel's own file system refuses everybody, root too.
    for dir in ["/sys/kernel", "/sys/hubbub-data"] {
        let refused = open(Path::new(dir)).unwrap_err();
        let named = matches!(&refused, StoreError::ReadOnly(text) if text.starts_with(dir));
        assert!(named, "{refused:?}");
    }
}

#[test]
fn a_file_in_the_place_of_the_directory_is_an_error() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("data");
    fs::write(&file, "x").unwrap();
    assert!(matches!(open(&file), Err(StoreError::Io(_))));
}

#[test]
fn a_file_that_is_no_database_is_refused_and_kept() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join(DATABASE);
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(200);
    fs::write(&file, &text).unwrap();
    let refused = open(dir.path()).unwrap_err();
    let path = file.display().to_string();
    assert!(matches!(&refused, StoreError::Corrupt(why) if why.starts_with(&path)), "{refused:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn a_newer_schema_is_refused_and_kept() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path()).unwrap());
    let database = rusqlite::Connection::open(dir.path().join(DATABASE)).unwrap();
    database.execute("UPDATE meta SET value = 99 WHERE key = 'schema_version'", []).unwrap();
    drop(database);
    let before = fs::read(dir.path().join(DATABASE)).unwrap();
    let refused = open(dir.path()).unwrap_err();
    assert!(matches!(refused, StoreError::NewerSchema { found: 99, .. }), "{refused:?}");
    assert_eq!(fs::read(dir.path().join(DATABASE)).unwrap(), before);
}

#[test]
fn after_a_crash_every_commit_is_there_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).unwrap();
    let mut log = Log::begin(&store, 100);
    for seq in 1..=20 {
        log.write(seq);
        if seq % 5 == 0 {
            let copy = crash(dir.path());
            assert_eq!(whole_commit(&open(copy.path()).unwrap()), seq);
        }
    }
    log.writer.begin().unwrap();
    log.append(21);
    let copy = crash(dir.path());
    let reopened = open(copy.path()).unwrap();
    assert_eq!(whole_commit(&reopened), 20);
    assert_eq!(reopened.epoch(), store.epoch());
}

#[test]
fn a_log_cut_anywhere_is_the_store_as_of_some_commit() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).unwrap();
    store.checkpoint().unwrap();
    let mut log = Log::begin(&store, 100);
    for seq in 1..=12 {
        log.write(seq);
    }
    let length = wal_bytes(dir.path());
    let mut last = 0;
    for cut in (0..length).step_by(1499).chain([length]) {
        let copy = crash(dir.path());
        OpenOptions::new().write(true).open(copy.path().join(WAL)).unwrap().set_len(cut).unwrap();
        let rev = whole_commit(&open(copy.path()).unwrap());
        assert!(rev >= last, "a longer log holds no less");
        last = rev;
    }
    assert_eq!(last, 12);
}

#[test]
fn damage_is_found_after_a_stop_that_was_not_clean() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).unwrap();
    let mut log = Log::begin(&store, 1000);
    for seq in 1..=200 {
        log.write(seq);
    }
    drop(log);
    store.checkpoint().unwrap();
    let copy = {
        let mut writer = store.writer().unwrap();
        writer.begin().unwrap();
        writer.commit(Rev(201)).unwrap();
        crash(dir.path())
    };
    assert!(wal_bytes(copy.path()) > 0);
    let database = OpenOptions::new().write(true).open(copy.path().join(DATABASE)).unwrap();
    let length = database.metadata().unwrap().len();
    for page in (length / 2 / 4096)..(length / 4096) {
        database.write_all_at(&[0xa5; 4096], page * 4096).unwrap();
    }
    let refused = open(copy.path()).unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt(_)), "{refused:?}");
}

#[test]
fn a_checkpoint_empties_the_log_and_waits_for_nobody() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).unwrap();
    let mut log = Log::begin(&store, 100);
    for seq in 1..=50 {
        log.write(seq);
    }
    assert!(wal_bytes(dir.path()) > 0);
    let mut reader = store.reader().unwrap();
    reader.begin_read().unwrap();
    log.write(51);
    assert!(matches!(store.checkpoint(), Err(StoreError::InUse(_))));
    reader.end_read().unwrap();
    store.checkpoint().unwrap();
    assert_eq!(wal_bytes(dir.path()), 0);
    assert_eq!(whole_commit(&store), 51);
    log.write(52);
    drop((log, reader, store));
    assert!(!dir.path().join(WAL).exists(), "the last connection cleans up");
    assert_eq!(whole_commit(&open(dir.path()).unwrap()), 52);
}

const SMALL_WAL_BYTES: u32 = 256 << 10;

fn with_small_wal(dir: &Path) -> SqliteStore {
    let options = SqliteOptions { wal_bytes: SMALL_WAL_BYTES, ..SqliteOptions::default() };
    SqliteStore::open(dir, options).unwrap()
}

#[test]
fn the_log_stays_short_without_readers() {
    let dir = TempDir::new().unwrap();
    let store = with_small_wal(dir.path());
    let mut log = Log::begin(&store, 4000);
    for seq in 1..=500 {
        log.write(seq);
    }
    // A writer that never rests is let go on for a while; then it waits for the copy.
    let bytes = wal_bytes(dir.path());
    assert!(bytes <= u64::from(SMALL_WAL_BYTES) * 5, "{bytes}");
    assert_eq!(whole_commit(&store), 500);
    let times = store.times();
    let [commits, copies, ends] = [&times.commits, &times.checkpoints, &times.checkpoint_ends];
    assert_eq!(commits.count(), 501);
    assert!(ends.count() > 0 && commits.sum() > 0, "{ends:?} {commits:?}");
    assert!(copies.count() >= ends.count(), "{copies:?} {ends:?}");
}

#[test]
fn readers_that_come_and_go_do_not_let_the_log_grow() {
    let dir = TempDir::new().unwrap();
    let store = with_small_wal(dir.path());
    let mut log = Log::begin(&store, 4000);
    let (mut one, mut other) = (store.reader().unwrap(), store.reader().unwrap());
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // Snapshots that overlap: there is never a moment without one.
        scope.spawn(|| {
            one.begin_read().unwrap();
            while !stop.load(Ordering::Relaxed) {
                other.begin_read().unwrap();
                one.begin_read().unwrap();
            }
        });
        for seq in 1..=1000 {
            log.write(seq);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let bytes = wal_bytes(dir.path());
    assert!(bytes <= u64::from(SMALL_WAL_BYTES) * 6, "{bytes}");
    drop((one, other));
    assert_eq!(whole_commit(&store), 1000);
}
