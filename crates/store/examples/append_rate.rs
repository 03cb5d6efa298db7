//! What a row costs: appends 128-byte messages to 1,000 conversations and prints the CPU time of
//! the process per row, for several sizes of a commit, and how long commits and checkpoints took.
//!
//! `cargo run --release -p hubbub-store --example append_rate [DIRECTORY]` (default: a temporary
//! one, removed at the end). Senders and conversations are spread at random, client ids are in the
//! order of time and then random, and each commit writes back the heads it moved: the work of the
//! writer without its planning. Commits follow each other without a pause, so that checkpoints have
//! to be made beside them.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hubbub_chat::model::{ConversationKey, NewEntry, Profile, Rev, UserKey};
use hubbub_chat::ports::{Appended, Store, Writer};
use hubbub_proto::command::{Content, Kind};
use hubbub_proto::event::ConversationKind;
use hubbub_proto::{ClientId, ConversationId, Timestamp, UserId};
use hubbub_store::{SqliteOptions, SqliteStore};
use serde_json::value::RawValue;
use uuid::{Builder, Uuid};

const CONVERSATIONS: u64 = 1000;
const USERS: u64 = 2000;
const ROWS: u64 = 200_000;
const BODY_BYTES: usize = 128;

fn main() -> Result<(), Box<dyn Error>> {
    let temporary = tempfile::tempdir()?;
    let base = std::env::args_os().nth(1);
    let base = base.as_ref().map_or(temporary.path(), Path::new);
    println!(
        "client ids  rows/commit  CPU us/row     rows/s  ms/commit    max ms  checkpoints  \
         the writer's part, ms  bytes/row"
    );
    for ordered in [true, false] {
        for rows_per_commit in [64, 256, 1024] {
            let dir = base.join(format!("rows-{rows_per_commit}-{ordered}"));
            measure(&dir, rows_per_commit, ordered)?;
        }
    }
    Ok(())
}

fn measure(dir: &Path, rows_per_commit: u64, ordered: bool) -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open(dir, SqliteOptions::default())?;
    let mut bench = Bench::prepare(store.writer()?, ordered)?;
    // The first rows warm the caches and give the indexes their depth.
    for _ in 0..ROWS / 4 / rows_per_commit {
        bench.commit(rows_per_commit)?;
    }
    let commits = ROWS / rows_per_commit;
    let (began, cpu) = (Instant::now(), cpu_time()?);
    let mut longest = Duration::ZERO;
    for _ in 0..commits {
        let began = Instant::now();
        bench.commit(rows_per_commit)?;
        longest = longest.max(began.elapsed());
    }
    let (took, cpu) = (began.elapsed(), cpu_time()? - cpu);
    let rows = commits * rows_per_commit;
    drop(bench);
    store.checkpoint()?;
    let bytes = std::fs::metadata(dir.join("hubbub.db"))?.len();
    let ends = store.times().checkpoint_ends;
    let checkpoints: u64 = ends.count();
    println!(
        "{:>10}  {rows_per_commit:>11}  {:>10.2}  {:>9.0}  {:>9.2}  {:>8.1}  {checkpoints:>11}  {:>21.2}  {:>9}",
        if ordered { "ordered" } else { "random" },
        cpu.as_secs_f64() * 1e6 / rows as f64,
        rows as f64 / took.as_secs_f64(),
        took.as_secs_f64() * 1e3 / commits as f64,
        longest.as_secs_f64() * 1e3,
        ends.sum() as f64 / 1e3 / checkpoints.max(1) as f64,
        bytes / (rows + ROWS / 4),
    );
    Ok(())
}

struct Bench {
    writer: Box<dyn Writer>,
    users: Vec<UserKey>,
    heads: Vec<(ConversationKey, u64)>,
    rev: u64,
    now_ms: u64,
    random: u64,
    ordered: bool,
    content: Content,
}

impl Bench {
    fn prepare(mut writer: Box<dyn Writer>, ordered: bool) -> Result<Self, Box<dyn Error>> {
        let now = Timestamp(1_700_000_000_000);
        writer.begin()?;
        let mut users = Vec::new();
        for n in 0..USERS {
            users.push(writer.put_user(&UserId::new(&format!("user-{n}"))?, None, now)?.key);
        }
        let mut heads = Vec::new();
        for n in 0..CONVERSATIONS {
            let id = ConversationId::new(&format!("group:{n}"))?;
            let kind = ConversationKind::Group;
            let made = writer.create_conversation(&id, kind, &Profile::default(), now)?;
            heads.push((made.key, 0));
        }
        writer.commit(Rev(0))?;
        let json = format!("\"{}\"", "x".repeat(BODY_BYTES - 2));
        let content = Arc::from(RawValue::from_string(json)?);
        Ok(Self {
            writer,
            users,
            heads,
            rev: 0,
            now_ms: now.0,
            random: 0x9e37_79b9,
            ordered,
            content,
        })
    }

    fn commit(&mut self, rows: u64) -> Result<(), Box<dyn Error>> {
        self.writer.begin()?;
        let mut moved = BTreeMap::new();
        for _ in 0..rows {
            let (conversation, seq) = self.append()?;
            moved.insert(conversation, seq);
        }
        for (conversation, head) in moved {
            self.writer.set_head(conversation, head, Rev(self.rev))?;
        }
        self.writer.commit(Rev(self.rev))?;
        Ok(())
    }

    fn append(&mut self) -> Result<(ConversationKey, u64), Box<dyn Error>> {
        self.rev += 1;
        // Fifty messages a millisecond.
        self.now_ms += u64::from(self.rev.is_multiple_of(50));
        let sender = (self.next() % USERS) as usize;
        let client_id = ClientId::new(&self.uuid().to_string())?;
        let slot = (self.next() % CONVERSATIONS) as usize;
        let (conversation, head) = &mut self.heads[slot];
        *head += 1;
        let entry = NewEntry {
            rev: Rev(self.rev),
            conversation: *conversation,
            seq: *head,
            sender: self.users[sender],
            client_id: &client_id,
            at: Timestamp(self.now_ms),
            kind: &Kind::Text,
            content: &self.content,
            head: None,
            digest: 0x1234_5678_9abc_def0,
        };
        match self.writer.append(&entry)? {
            Appended::New => Ok((*conversation, *head)),
            Appended::Duplicate(first) => Err(format!("written before: {first:?}").into()),
        }
    }

    fn uuid(&mut self) -> Uuid {
        let mut random = [0; 16];
        random[..8].copy_from_slice(&self.next().to_le_bytes());
        random[8..].copy_from_slice(&self.next().to_le_bytes());
        if !self.ordered {
            return Builder::from_random_bytes(random).into_uuid();
        }
        let mut tail = [0; 10];
        tail.copy_from_slice(&random[..10]);
        Builder::from_unix_timestamp_millis(self.now_ms, &tail).into_uuid()
    }

    /// xorshift64
    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

/// User and system time of this process, in clock ticks of 10 ms (proc(5), fields 14 and 15).
fn cpu_time() -> Result<Duration, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks = ticks.sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}
