//! `kill -9` at any moment, again and again, and nothing that was acked is missing, doubled or out
//! of order (P1, P2, P3, P4).
//!
//! Ten devices of seven users send through the Rust client, which reconnects and retries, to each
//! other and to two groups. Each round the server is killed when an ack that the seed chose has
//! come, and started again on the same port and data. At the end the log is read back
//! from the store and compared with every ack and with what every application was told.
//!
//! `HUBBUB_CRASH_ROUNDS` and `HUBBUB_CRASH_SEED` choose the length and the choices; both are
//! printed. The page cache survives `kill -9`: what must be on disk before an ack is the matter of
//! [`crate::durability`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hubbub_client::client::Events;
use hubbub_client::{Client, Event, Options};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::node::{Home, Node};
use crate::process::PATIENCE;
use crate::talk::Talk;

const USERS: [&str; 7] = ["ann", "ben", "cem", "dee", "eli", "fay", "gus"];
/// Users with more than one device, by the number of their devices.
const DEVICES: [usize; 7] = [2, 2, 2, 1, 1, 1, 1];
/// Messages that each device sends in a round.
const MESSAGES: usize = 40;

/// A small generator (Steele, Lea, Flood 2014: SplitMix64), so that a seed is all there is to know.
struct Choices(u64);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

/// What the application on one device was told.
#[derive(Default)]
struct View {
    /// Per conversation what came, in order: the entry, or the end of a void.
    logs: BTreeMap<String, BTreeMap<u64, Value>>,
    /// Acks: the client id, and where the message stands.
    sent: BTreeMap<String, (String, u64)>,
}

impl View {
    fn take(&mut self, event: Event) {
        match event {
            Event::Entry(entry) => {
                let id = entry["conversation"].as_str().unwrap().to_owned();
                let seq = entry["seq"].as_u64().unwrap();
                let log = self.logs.entry(id).or_default();
                let expected = log.last_key_value().map_or(1, |(last, _)| last + 1);
                assert_eq!(seq, expected, "in order, without a hole, once: {entry}");
                log.insert(seq, entry);
            }
            Event::Sent { client_id, conversation, seq } => {
                let twice = self.sent.insert(client_id, (conversation, seq));
                assert_eq!(twice, None, "one ack for a message");
            }
            // A conversation that is new to the device; nothing that was told is taken back.
            Event::Reset { conversation, from_seq } => {
                let told = self.head(&conversation);
                assert_eq!(told, 0, "{conversation} is to be forgotten: what was told is gone");
                assert_eq!(from_seq, 1, "everybody was there from the beginning");
            }
            Event::Failed { client_id, error } => panic!("{client_id} was refused: {error}"),
            Event::Void { conversation, seq, .. } => panic!("a void in {conversation} at {seq}"),
            Event::Hidden { conversation, .. } => panic!("nobody hides anything of {conversation}"),
            Event::Connected(_)
            | Event::Synced
            | Event::Offline { .. }
            | Event::Reply { .. }
            | Event::Other { .. } => {}
        }
    }

    fn head(&self, conversation: &str) -> u64 {
        let last = self.logs.get(conversation).and_then(|log| log.last_key_value());
        last.map_or(0, |(seq, _)| *seq)
    }
}

/// What the test knows of a device while it runs.
struct Device {
    user: &'static str,
    name: String,
    client: Client,
    progress: watch::Receiver<Progress>,
    end: tokio::task::JoinHandle<View>,
}

#[derive(Clone, Default)]
struct Progress {
    acked: usize,
    heads: BTreeMap<String, u64>,
}

impl Device {
    fn start(node: &Node, user: &'static str, number: usize, acks: &Arc<Acks>) -> Self {
        let name = format!("{user}-{number}");
        let token = node.token(user);
        let mut options =
            Options::new(&format!("ws://{}/ws?device={name}", node.address()), &token);
        options.backoff = Duration::from_millis(10);
        options.backoff_max = Duration::from_millis(200);
        options.attempts = None;
        let (client, events) = Client::start(options).unwrap();
        let (tell, progress) = watch::channel(Progress::default());
        let end = tokio::spawn(listen(events, tell, Arc::clone(acks)));
        Self { user, name, client, progress, end }
    }

    async fn until(&mut self, what: &str, done: impl Fn(&Progress) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, self.progress.wait_for(|now| done(now))).await;
        if !waited.is_ok_and(|waited| waited.is_ok()) {
            let now = self.progress.borrow().clone();
            panic!("{} did not get {what}: {} acks, {:?}", self.name, now.acked, now.heads);
        }
    }
}

/// Counts acks over all devices, and kills the server at once when the chosen one has come: the
/// sooner after it, the likelier is it that an ack which came too early is found out.
struct Acks {
    count: AtomicUsize,
    kill_at: AtomicUsize,
    victim: Mutex<Option<Node>>,
    killed: mpsc::UnboundedSender<Home>,
}

impl Acks {
    fn count(&self) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        if count >= self.kill_at.load(Ordering::Relaxed)
            && let Some(node) = self.victim.lock().unwrap().take()
        {
            self.killed.send(tokio::task::block_in_place(|| node.kill())).unwrap();
        }
    }

    /// From now on the server dies with this ack, the `nth` of all, at the latest with the next.
    fn kill_at(&self, nth: usize, node: Node) {
        self.kill_at.store(nth, Ordering::Relaxed);
        *self.victim.lock().unwrap() = Some(node);
    }
}

/// The application on a device: keeps what it is told until the client ends.
async fn listen(mut events: Events, tell: watch::Sender<Progress>, acks: Arc<Acks>) -> View {
    let mut view = View::default();
    while let Some(event) = events.recv().await {
        if matches!(event, Event::Sent { .. }) {
            acks.count();
        }
        let moved = match &event {
            Event::Entry(entry) => entry["conversation"].as_str().map(str::to_owned),
            _ => None,
        };
        view.take(event);
        tell.send_modify(|progress| {
            progress.acked = view.sent.len();
            if let Some(conversation) = moved {
                let head = view.head(&conversation);
                progress.heads.insert(conversation, head);
            }
        });
    }
    view
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn kill_9_at_any_moment() {
    let rounds = usize::try_from(number("HUBBUB_CRASH_ROUNDS").unwrap_or(24)).unwrap();
    let seed = number("HUBBUB_CRASH_SEED").unwrap_or_else(|| {
        u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() % 1_000_000_007).unwrap()
    });
    println!("HUBBUB_CRASH_SEED={seed} HUBBUB_CRASH_ROUNDS={rounds}");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(rounds, seed));
}

async fn run(rounds: usize, seed: u64) {
    let mut choices = Choices(seed);
    let home = Home::new(&[
        ("LIMITS_COMMANDS_PER_SECOND", "1000000"),
        ("LIMITS_COMMANDS_BURST", "1000000"),
        ("LIMITS_REDELIVERY_AFTER_MS", "1000"),
        // Small, so that kills hit checkpoints too.
        ("STORE_WAL_BYTES", "1048576"),
    ]);
    let mut node = home.start();
    let groups = {
        let mut ann = Talk::open(&node, USERS[0]);
        [&USERS[1..], &USERS[1..4]].map(|members| {
            let group = json!({ "name": "Crash", "members": members });
            ann.ok("group_create", group)["conversation"].as_str().unwrap().to_owned()
        })
    };
    let (killed, mut homes) = mpsc::unbounded_channel();
    let acks = Arc::new(Acks {
        count: AtomicUsize::new(0),
        kill_at: AtomicUsize::new(usize::MAX),
        victim: Mutex::new(None),
        killed,
    });
    let mut devices: Vec<Device> = USERS
        .iter()
        .zip(DEVICES)
        .flat_map(|(user, count)| (0..count).map(move |n| (*user, n)))
        .map(|(user, n)| Device::start(&node, user, n, &acks))
        .collect();

    let mut queued = vec![BTreeMap::new(); devices.len()];
    let mut kills = 0;
    for round in 0..rounds {
        // With any ack of this round, the first and the last included.
        let before = round * MESSAGES * devices.len();
        acks.kill_at(before + 1 + choices.below(MESSAGES * devices.len()), node);
        for (device, queued) in devices.iter().zip(&mut queued) {
            for n in 0..MESSAGES {
                let to = recipient(&mut choices, device.user, &groups);
                let content =
                    json!({ "text": "so far", "by": device.name, "round": round, "n": n });
                let client_id = device.client.send(&to, content.clone()).await.unwrap();
                queued.insert(client_id, content);
            }
        }
        let home = tokio::time::timeout(PATIENCE, homes.recv()).await.expect("acks come").unwrap();
        node = tokio::task::block_in_place(|| home.start());
        kills += 1;
        // What was on its way is acked by the server that came after, or by the one after that.
        if round % 2 == 1 {
            for device in &mut devices {
                device.until("all acks", |now| now.acked == (round + 1) * MESSAGES).await;
            }
        }
    }
    for device in &mut devices {
        device.until("all acks", |now| now.acked == rounds * MESSAGES).await;
    }

    let store = tokio::task::block_in_place(|| read_store(&node));
    let mut views = Vec::new();
    for mut device in devices {
        let expected: BTreeMap<String, u64> = store
            .iter()
            .filter(|(_, log)| log.readers.contains(device.user))
            .map(|(id, log)| (id.clone(), log.entries.len() as u64))
            .collect();
        device.until("everything", |now| now.heads == expected).await;
        device.client.close().await;
        views.push((device.name, device.user, device.end.await.unwrap()));
    }
    let stored: usize = store.values().map(|log| log.entries.len()).sum();
    for ((name, user, view), queued) in views.iter().zip(&queued) {
        check_acks(name, view, queued, &store);
        check_view(name, user, view, &store);
    }
    let messages: usize = queued.iter().map(BTreeMap::len).sum();
    assert_eq!(stored, messages + groups.len(), "nothing is there that nobody sent");
    for (id, log) in &store {
        check_order(id, log);
    }
    node.stop();
    println!("rounds {rounds}, messages {messages}, kills {kills}, seed {seed}");
}

fn recipient(choices: &mut Choices, user: &str, groups: &[String; 2]) -> String {
    let in_both = USERS[..4].contains(&user);
    match choices.below(4) {
        0 => groups[0].clone(),
        1 if in_both => groups[1].clone(),
        // Also oneself.
        _ => format!("user:{}", USERS[choices.below(USERS.len())]),
    }
}

/// A conversation as the store has it.
struct Log {
    entries: Vec<Value>,
    readers: BTreeSet<&'static str>,
}

/// Every conversation with all its pages, read by each of its members by `pull` and by `history`.
fn read_store(node: &Node) -> BTreeMap<String, Log> {
    let mut store: BTreeMap<String, Log> = BTreeMap::new();
    for user in USERS {
        let mut talk = Talk::open(node, user);
        let list = talk.ok("conversations", json!({ "limit": 200 }));
        for summary in list["conversations"].as_array().unwrap() {
            let id = summary["id"].as_str().unwrap();
            let head = summary["head_seq"].as_u64().unwrap();
            let pulled = pull_all(&mut talk, id, head);
            let shown = scroll_up(&mut talk, id);
            assert_eq!(pulled, shown, "{id}: history shows what the log holds");
            assert_eq!(pulled.len() as u64, head, "{id}");
            let log = store
                .entry(id.to_owned())
                .or_insert_with(|| Log { entries: pulled.clone(), readers: BTreeSet::new() });
            assert_eq!(log.entries, pulled, "{id} is the same for {user}");
            log.readers.insert(user);
        }
    }
    store
}

fn pull_all(talk: &mut Talk, id: &str, head: u64) -> Vec<Value> {
    let mut all = Vec::new();
    let mut from = 1;
    while from <= head {
        let page = talk.ok("pull", json!({ "conversation": id, "from": from, "to": head }));
        for entry in page["entries"].as_array().unwrap() {
            assert_eq!(entry["seq"], from, "{id} is dense: {entry}");
            from += 1;
            all.push(entry.clone());
        }
        assert!(!page["entries"].as_array().unwrap().is_empty(), "{id} ends at {from}");
    }
    all
}

fn scroll_up(talk: &mut Talk, id: &str) -> Vec<Value> {
    let mut pages = Vec::new();
    let mut before = Value::Null;
    loop {
        let page = talk.ok("history", json!({ "conversation": id, "before": before, "limit": 97 }));
        let entries = page["entries"].as_array().unwrap();
        before = entries.first().map_or(Value::Null, |first| first["seq"].clone());
        pages.push(entries.clone());
        if page["more"] != true {
            return pages.into_iter().rev().flatten().collect();
        }
    }
}

/// Each message that this device queued was acked once, and stands where the ack said.
fn check_acks(
    name: &str,
    view: &View,
    queued: &BTreeMap<String, Value>,
    store: &BTreeMap<String, Log>,
) {
    assert!(view.sent.keys().eq(queued.keys()), "{name}: acks are for what was sent");
    for (client_id, (conversation, seq)) in &view.sent {
        let entry = &store[conversation].entries[usize::try_from(*seq).unwrap() - 1];
        assert_eq!(entry["client_id"], *client_id, "{name}: at the acked place stands {entry}");
        assert_eq!(entry["content"], queued[client_id], "{name}: as it was sent");
    }
}

/// The application was told what the store holds, no more and no less.
fn check_view(name: &str, user: &str, view: &View, store: &BTreeMap<String, Log>) {
    let readable = store.iter().filter(|(_, log)| log.readers.contains(user));
    let readable: BTreeSet<&String> = readable.map(|(id, _)| id).collect();
    assert_eq!(view.logs.keys().collect::<BTreeSet<_>>(), readable, "{name}");
    for (id, told) in &view.logs {
        let stored = &store[id].entries;
        assert_eq!(told.len(), stored.len(), "{name}: {id}");
        for (told, stored) in told.values().zip(stored) {
            for field in ["seq", "message_id", "from", "to", "kind", "content", "client_id", "at"] {
                assert_eq!(told[field], stored[field], "{name}: {field} in {id} of {stored}");
            }
        }
    }
}

/// Each client id stands once in the store, and each sender's messages in the order sent.
fn check_order(id: &str, log: &Log) {
    let mut last: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for entry in &log.entries {
        let sender = (entry["from"].to_string(), entry["client_id"].to_string());
        assert!(seen.insert(sender), "{id}: {entry} is there twice");
        let content = &entry["content"];
        let Some(by) = content["by"].as_str() else { continue };
        let place = (content["round"].as_u64().unwrap(), content["n"].as_u64().unwrap());
        let before = last.insert(by.to_owned(), place);
        assert!(before < Some(place), "{id}: {entry} comes after {before:?}");
    }
}
