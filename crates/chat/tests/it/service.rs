//! The threads: replies come back, in order, and the end loses nothing.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hubbub_chat::ports::{Clock, Names, Router, Store, StoreError};
use hubbub_chat::{Chat, ChatConfig, Health, StartError};
use hubbub_proto::{Effect, Request, Timestamp};
use hubbub_store::MemoryStore;
use serde_json::{Value, json};

use crate::room::{Row, request, told};

/// What came from the services.
enum Came {
    Effect(Box<Effect>),
    Resume,
}

struct Post(Mutex<Sender<Came>>);

impl Router for Post {
    fn post(&self, effects: Vec<Effect>) {
        let out = self.0.lock().unwrap();
        for effect in effects {
            // Nobody listens any more once a test is over.
            let _ = out.send(Came::Effect(Box::new(effect)));
        }
    }

    fn resume(&self) {
        let _ = self.0.lock().unwrap().send(Came::Resume);
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000_000_000)
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

fn start(store: &MemoryStore, config: ChatConfig) -> (Chat, Receiver<Came>) {
    let (out, effects) = channel();
    let router = Arc::new(Post(Mutex::new(out)));
    let names: Box<dyn Names> = Box::<Row>::default();
    let store = Arc::new(store.clone());
    (Chat::start(store, router, Arc::new(Still), names, config, || {}).unwrap(), effects)
}

fn replies(effects: &Receiver<Came>, count: usize) -> Vec<Value> {
    let mut replies = Vec::new();
    while replies.len() < count {
        match effects.recv_timeout(PATIENCE).unwrap() {
            Came::Effect(effect) => {
                if let Effect::Reply { outcome, .. } = *effect {
                    replies.push(told(&outcome));
                }
            }
            Came::Resume => {}
        }
    }
    replies
}

fn send(n: usize) -> Request {
    let payload = json!({"to": "user:bob", "content": n.to_string(), "client_id": format!("c{n}")});
    request("alice", "send", &payload)
}

fn end(chat: &Chat) {
    assert!(chat.drain(Instant::now() + PATIENCE), "the threads end");
}

#[test]
fn commands_are_acked_in_order_and_a_read_sees_what_came_before_it() {
    let (chat, effects) = start(&MemoryStore::new(), ChatConfig::default());
    let mut batch: VecDeque<Request> = (1..=300).map(send).collect();
    batch.push_back(request("alice", "history", &json!({"conversation": "direct:alice:bob"})));
    chat.submit(&mut batch);
    assert!(batch.is_empty());
    let mut replies = replies(&effects, 301);
    let page = replies.pop().unwrap();
    assert_eq!(page["head_seq"], 300);
    let seqs: Vec<_> = replies.iter().map(|reply| reply["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=300).collect::<Vec<_>>());
    assert_eq!(chat.health(), Health::Ok);
    end(&chat);
    let stats = chat.stats();
    assert_eq!((stats.commands, stats.read_times_us.count(), stats.queued), (301, 1, 0));
    assert!(stats.commits < 301, "commands share commits");
}

#[test]
fn what_does_not_fit_stays_and_is_called_for() {
    let config = ChatConfig { queue_commands_max: 16, ..ChatConfig::default() };
    let (chat, effects) = start(&MemoryStore::new(), config);
    let mut waiting: VecDeque<Request> = (1..=500).map(send).collect();
    chat.submit(&mut waiting);
    assert!(waiting.len() >= 500 - 16, "the queue takes no more than fits");
    let mut seqs = Vec::new();
    while seqs.len() < 500 {
        match effects.recv_timeout(PATIENCE).unwrap() {
            Came::Resume => chat.submit(&mut waiting),
            Came::Effect(effect) => {
                if let Effect::Reply { outcome, .. } = *effect {
                    seqs.push(told(&outcome)["seq"].as_u64().unwrap());
                }
            }
        }
    }
    assert_eq!(seqs, (1..=500).collect::<Vec<_>>());
    end(&chat);
}

#[test]
fn typing_gives_way_when_the_queue_is_over_half_full() {
    let config = ChatConfig { queue_commands_max: 16, ..ChatConfig::default() };
    let (chat, effects) = start(&MemoryStore::new(), config);
    let typing = json!({"conversation": "direct:alice:bob", "active": true});
    let mut dropped = 0;
    let deadline = Instant::now() + PATIENCE;
    // The writer may take the first few before the rest is there, so this may take several tries.
    while dropped == 0 && Instant::now() < deadline {
        let mut batch: VecDeque<Request> =
            (0..16).map(|_| request("alice", "typing", &typing)).collect();
        chat.submit(&mut batch);
        let sent = 16 - batch.len();
        assert_eq!(replies(&effects, sent), vec![json!({}); sent], "dropped or not, answered");
        dropped = chat.stats().typing_dropped;
    }
    assert!(dropped > 8, "{dropped} of a full queue");
    end(&chat);
}

#[test]
fn draining_finishes_what_waits_and_refuses_what_comes_later() {
    let store = MemoryStore::new();
    let (chat, effects) = start(&store, ChatConfig::default());
    let mut batch: VecDeque<Request> = (1..=50).map(send).collect();
    batch.push_back(request(
        "bob",
        "received",
        &json!({"conversation": "direct:alice:bob", "seq": 50}),
    ));
    chat.submit(&mut batch);
    end(&chat);
    assert_eq!(replies(&effects, 51).len(), 51);
    let mut late = VecDeque::from([send(51)]);
    chat.submit(&mut late);
    assert!(late.is_empty());
    assert_eq!(replies(&effects, 1), [json!({"reason": "shutting_down"})]);

    let (again, effects) = start(&store, ChatConfig::default());
    again.submit(&mut VecDeque::from([request("bob", "conversations", &json!({}))]));
    let list = &replies(&effects, 1)[0]["conversations"][0];
    assert_eq!((&list["received_seq"], &list["head_seq"]), (&json!(50), &json!(50)));
    end(&again);
}

#[test]
fn a_store_that_is_in_use_and_a_number_that_cannot_work_are_said_at_the_start() {
    let store = MemoryStore::new();
    let _writer = store.writer().unwrap();
    let start = |config| {
        let (out, _effects) = channel();
        let router = Arc::new(Post(Mutex::new(out)));
        let names: Box<dyn Names> = Box::<Row>::default();
        Chat::start(Arc::new(store.clone()), router, Arc::new(Still), names, config, || {})
            .err()
            .unwrap()
    };
    assert!(matches!(start(ChatConfig::default()), StartError::Store(StoreError::InUse(_))));
    let broken = ChatConfig { readers: 0, ..ChatConfig::default() };
    assert_eq!(start(broken).to_string(), "chat.readers must be 1 to 64");
}
