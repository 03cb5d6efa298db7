//! A user comes back after 30 days: how long the list of conversations and pages of history take,
//! in a store of a million messages, while others go on talking.
//!
//! `cargo run --release -p hubbub-server --example offline` writes the store through the ports, in a
//! temporary directory that goes away at the end, starts the server on it (`target/release/hubbub`,
//! or the program that `HUBBUB` names), and prints what it measured. Deliberately absent: a peer to
//! compare with; the numbers to reach are absolute.

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hubbub_access::token::{Grant, GrantOfChannels};
use hubbub_access::{Secret, Signer};
use hubbub_chat::model::{ConversationKey, NewEntry, Profile, Rev, UserKey};
use hubbub_chat::ports::{Store as _, Writer};
use hubbub_proto::command::{Content, Kind, Role};
use hubbub_proto::event::ConversationKind;
use hubbub_proto::{ClientId, ConversationId, Timestamp, UserId};
use hubbub_store::{SqliteOptions, SqliteStore};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::header::AUTHORIZATION;
use tungstenite::{Message, WebSocket};

const MESSAGES: u64 = 1_000_000;
/// Of the user who comes back: direct ones, and groups of six.
const DIRECTS: usize = 400;
const GROUPS: usize = 100;
const OTHERS: usize = 2_000;
/// Before the user left, and since then: all conversations of the user together.
const READ: u64 = 150_000;
const MISSED: u64 = 100_000;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
const BODY_BYTES: usize = 128;
const SYNCS: usize = 30;
const PAGES: usize = 3_000;
/// Connections of others, and how often each of them says something.
const TALKERS: usize = 10;
const TALK_EVERY: Duration = Duration::from_millis(10);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let began = Instant::now();
    let missed = generate(&data)?;
    println!(
        "{MESSAGES} messages written in {:.1} s, {} MB; {missed} missed in {} conversations",
        began.elapsed().as_secs_f64(),
        std::fs::metadata(data.join("hubbub.db"))?.len() >> 20,
        DIRECTS + GROUPS,
    );
    let signer = Signer::new(&Secret::load_or_create(&data.join("secret"))?);
    let server = Server::start(&data)?;
    measure(&server, &signer)
}

/// A conversation that is written to.
struct Log {
    key: ConversationKey,
    senders: Vec<UserKey>,
    head_seq: u64,
}

struct Scribe {
    writer: Box<dyn Writer>,
    rev: u64,
    content: Content,
    random: u64,
}

fn now_ms() -> u64 {
    std::time::UNIX_EPOCH.elapsed().map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}

/// Writes the store; answers how many messages the user missed.
fn generate(data: &Path) -> Outcome<u64> {
    let store = SqliteStore::open(data, SqliteOptions::default())?;
    let json = format!("\"{}\"", "x".repeat(BODY_BYTES - 2));
    let content = Arc::from(RawValue::from_string(json)?);
    let mut scribe = Scribe { writer: store.writer()?, rev: 0, content, random: 0x9e37_79b9 };
    let (start, half) = (now_ms() - 60 * DAY_MS, MESSAGES / 2);
    let at = |n: u64| Timestamp(start + n * 60 * DAY_MS / MESSAGES);
    scribe.writer.begin()?;
    let back = scribe.user("back")?;
    let mut own = Vec::new();
    for n in 0..DIRECTS {
        let peer = format!("p{n}");
        let key = scribe.user(&peer)?;
        own.push(scribe.log(&[("back", back), (&peer, key)], None)?);
    }
    for n in 0..GROUPS {
        let names: Vec<String> =
            (0..5).map(|k| format!("p{}", (n * 7 + k * 61) % DIRECTS)).collect();
        let mut members = vec![("back", back)];
        for name in &names {
            members.push((name, scribe.user(name)?));
        }
        own.push(scribe.log(&members, Some(&format!("g{n}")))?);
    }
    let mut others = Vec::new();
    for n in 0..OTHERS {
        let (a, b) = (format!("q{n}"), format!("q{}", n + OTHERS));
        let (first, second) = (scribe.user(&a)?, scribe.user(&b)?);
        others.push(scribe.log(&[(&a, first), (&b, second)], None)?);
    }
    let (mut own_count, mut other_count) = (0, 0);
    for n in 0..MESSAGES {
        let (into_half, part) = if n < half { (n, READ) } else { (n - half, MISSED) };
        let due = into_half * part / half != (into_half + 1) * part / half;
        if due {
            let count = own.len();
            scribe.say(&mut own[own_count % count], at(n))?;
            own_count += 1;
        } else {
            let count = others.len();
            scribe.say(&mut others[other_count % count], at(n))?;
            other_count += 1;
        }
        if n + 1 == half {
            for log in &own {
                scribe.rev += 1;
                let (head, rev) = (log.head_seq, Rev(scribe.rev));
                scribe.writer.advance_cursors(log.key, back, head, head, rev)?;
            }
        }
        if (n + 1) % 2_000 == 0 {
            for log in own.iter().chain(&others) {
                scribe.writer.set_head(log.key, log.head_seq, Rev(scribe.rev))?;
            }
            scribe.writer.commit(Rev(scribe.rev))?;
            scribe.writer.begin()?;
        }
    }
    scribe.writer.rollback()?;
    drop(scribe);
    store.checkpoint()?;
    Ok(MISSED)
}

impl Scribe {
    fn user(&mut self, name: &str) -> Outcome<UserKey> {
        Ok(self.writer.put_user(&UserId::new(name)?, Some(name), Timestamp(1))?.key)
    }

    fn log(&mut self, members: &[(&str, UserKey)], group: Option<&str>) -> Outcome<Log> {
        let (id, kind) = match group {
            Some(group) => {
                (ConversationId::new(&format!("group:{group}"))?, ConversationKind::Group)
            }
            None => {
                let [a, b] = [members[0].0, members[1].0].map(UserId::new);
                (ConversationId::direct(&a?, &b?), ConversationKind::Direct)
            }
        };
        let profile = Profile { name: group.map(Into::into), ..Profile::default() };
        let made = self.writer.create_conversation(&id, kind, &profile, Timestamp(1))?;
        let mut senders = Vec::new();
        for (_, user) in members {
            // Some name one member twice.
            if !senders.contains(user) {
                self.rev += 1;
                self.writer.open_stay(made.key, *user, Role::Member, 1, Rev(self.rev))?;
                senders.push(*user);
            }
        }
        Ok(Log { key: made.key, senders, head_seq: 0 })
    }

    /// One in ten messages is by the first member.
    fn say(&mut self, log: &mut Log, at: Timestamp) -> Outcome<()> {
        self.rev += 1;
        log.head_seq += 1;
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let others = log.senders.len() as u64 - 1;
        let sender = match (self.random >> 33) % 10 {
            0 => 0,
            n => 1 + n % others,
        };
        // The form and the order of the ids that the SDKs make.
        let client_id =
            format!("{:08x}-{:04x}-7000-8000-{:012x}", at.0 >> 16, at.0 & 0xffff, self.rev);
        self.writer.append(&NewEntry {
            rev: Rev(self.rev),
            conversation: log.key,
            seq: log.head_seq,
            sender: log.senders[usize::try_from(sender)?],
            client_id: &ClientId::new(&client_id)?,
            at,
            kind: &Kind::Text,
            content: &self.content,
            head: None,
            digest: self.rev,
        })?;
        Ok(())
    }
}

/// The server under measurement; killed at the end.
struct Server {
    process: Child,
    address: String,
    /// Stays open: the server says more there.
    _said: BufReader<ChildStdout>,
}

impl Server {
    fn start(data: &Path) -> Outcome<Self> {
        let program = std::env::var("HUBBUB").unwrap_or_else(|_| "target/release/hubbub".into());
        let mut process = Command::new(program)
            .args(["serve", "--bind", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .env("HUBBUB_LIMITS_COMMANDS_PER_SECOND", "100000")
            .env("HUBBUB_LIMITS_COMMANDS_BURST", "100000")
            .env("HUBBUB_LOG_LEVEL", "warn")
            .stdout(Stdio::piped())
            .spawn()?;
        let said = process.stdout.take().ok_or("the server has no output")?;
        let (mut said, mut line) = (BufReader::new(said), String::new());
        said.read_line(&mut line)?;
        let address = line.strip_prefix("listening on ").map(str::trim);
        let address = address.ok_or_else(|| format!("no address in {line:?}"))?;
        Ok(Self { address: address.to_owned(), process, _said: said })
    }

    fn open(&self, signer: &Signer, user: &str) -> Outcome<Client> {
        let now = now_ms() / 1_000;
        let grant = Grant {
            sub: UserId::new(user)?,
            name: Some(user.into()),
            roles: Vec::new(),
            device: None,
            iss: None,
            aud: None,
            iat: now,
            exp: now + 3_600,
            of_channels: GrantOfChannels::default(),
        };
        let token = signer.sign(&grant, "HS256")?;
        let mut request = format!("ws://{}/ws", self.address).into_client_request()?;
        request.headers_mut().insert(AUTHORIZATION, format!("Bearer {token}").parse()?);
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        let (socket, _) = tungstenite::client(request, stream).map_err(|e| e.to_string())?;
        Ok(Client { socket, next: 0 })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _status = self.process.wait();
    }
}

struct Client {
    socket: WebSocket<TcpStream>,
    next: u64,
}

impl Client {
    /// Sends a command and waits for its answer; the time until all of it was there.
    fn ask(&mut self, kind: &str, payload: &Value) -> Outcome<(Duration, Value, usize)> {
        self.next += 1;
        let id = format!("c{}", self.next);
        let text = json!({"type": kind, "id": id, "payload": payload}).to_string();
        let began = Instant::now();
        self.socket.send(Message::text(text))?;
        loop {
            let Message::Text(answer) = self.socket.read()? else { continue };
            let took = began.elapsed();
            // The id stands at the beginning of the envelope.
            let start = &answer.as_str()[..answer.len().min(80)];
            if !start.contains(&format!("\"id\":\"{id}\"")) {
                continue;
            }
            let mut value: Value = serde_json::from_str(&answer)?;
            if value["type"] != "ack" {
                return Err(format!("{kind} was refused: {answer}").into());
            }
            return Ok((took, value["payload"].take(), answer.len()));
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The percentiles of durations, for one line.
fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |part: f64| ms(times[((times.len() - 1) as f64 * part) as usize]);
    format!(
        "p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms ({} times)",
        at(0.5),
        at(0.99),
        at(1.0),
        times.len()
    )
}

fn measure(server: &Server, signer: &Signer) -> Outcome<()> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let talkers: Vec<_> = (0..TALKERS)
            .map(|n| {
                scope.spawn({
                    let over = &over;
                    move || talk(server, signer, n, over)
                })
            })
            .collect();
        let measured = come_back(server, signer);
        over.store(true, Ordering::Relaxed);
        let mut acks = Vec::new();
        for talker in talkers {
            acks.extend(talker.join().map_err(|_| "a talker panicked")??);
        }
        println!("acks of the others' messages: {}", spread(&mut acks));
        measured
    })
}

/// What others do all the while.
fn talk(server: &Server, signer: &Signer, n: usize, over: &AtomicBool) -> Outcome<Vec<Duration>> {
    let mut client = server.open(signer, &format!("q{n}"))?;
    let mut times = Vec::new();
    let mut next = Instant::now();
    while !over.load(Ordering::Relaxed) {
        let client_id = format!("live-{n}-{}", times.len());
        let to = format!("user:q{}", n + OTHERS);
        let body = json!({"to": to, "content": "x".repeat(BODY_BYTES), "client_id": client_id});
        times.push(client.ask("send", &body)?.0);
        next += TALK_EVERY;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(times)
}

fn come_back(server: &Server, signer: &Signer) -> Outcome<()> {
    let per_log = READ / (DIRECTS + GROUPS) as u64;
    let directs = (0..DIRECTS).map(|n| format!("direct:back:p{n}"));
    let logs: Vec<String> = directs.chain((0..GROUPS).map(|n| format!("group:g{n}"))).collect();
    let cursors: serde_json::Map<String, Value> =
        logs.iter().map(|id| (id.clone(), json!(per_log))).collect();
    for (name, payload) in
        [("with its cursors", json!({ "cursors": cursors })), ("of a new device", json!({}))]
    {
        let mut times = Vec::new();
        for n in 0..SYNCS {
            let mut client = server.open(signer, "back")?;
            let (took, page, bytes) = client.ask("sync", &payload)?;
            times.push(took);
            if n == 0 {
                let found = page["conversations"].as_array().map_or(0, Vec::len);
                let entries: usize = page["conversations"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|one| one["entries"].as_array().map_or(0, Vec::len))
                    .sum();
                println!(
                    "sync {name}, the first: {:.1} ms, {found} conversations, {entries} entries, {} KB, more: {}",
                    ms(took),
                    bytes >> 10,
                    page["more"],
                );
            }
        }
        println!("sync {name}: {}", spread(&mut times));
    }
    let mut client = server.open(signer, "back")?;
    let mut lists = Vec::new();
    for _ in 0..100 {
        lists.push(client.ask("conversations", &json!({ "limit": 50 }))?.0);
    }
    println!("conversations, a page of 50: {}", spread(&mut lists));
    let mut pages = Vec::new();
    let mut random = 7_u64;
    for _ in 0..PAGES {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let log = &logs[usize::try_from(random >> 33)? % logs.len()];
        let before = 50 + (random >> 20) % 450;
        pages.push(client.ask("history", &json!({"conversation": log, "before": before}))?.0);
    }
    println!("history, a page of 50: {}", spread(&mut pages));
    Ok(())
}
