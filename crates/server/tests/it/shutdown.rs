//! An orderly stop under load (P11): what was acked is stored, clients are told to come back, and
//! the process ends with 0 before its deadline.

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::node::Node;
use crate::talk::Talk;

/// How a sender's connection ended.
struct Sent {
    user: String,
    acked: BTreeMap<u64, u64>,
    refused: Vec<String>,
    bye: Value,
    code: u16,
}

/// Sends with several commands on their way until the connection is closed.
fn keep_sending(mut talk: Talk, user: &str, to: &str, begun: &Sender<()>) -> Sent {
    let mut acked = BTreeMap::new();
    let mut refused = Vec::new();
    let mut next = 0;
    for _ in 0..16 {
        next += 1;
        post(&mut talk, to, next);
    }
    while let Some(reply) = talk.next_or_end(|f| f["type"] == "ack" || f["type"] == "error") {
        let n: u64 = reply["id"].as_str().unwrap().parse().unwrap();
        if reply["type"] == "ack" {
            let twice = acked.insert(n, reply["payload"]["seq"].as_u64().unwrap());
            assert_eq!(twice, None, "{n} is acked twice");
        } else {
            refused.push(reply["payload"]["reason"].as_str().unwrap().to_owned());
        }
        if acked.len() == 50 {
            begun.send(()).unwrap();
        }
        next += 1;
        post(&mut talk, to, next);
    }
    let code = talk.closed();
    let bye = talk.kept().into_iter().find(|frame| frame["type"] == "bye");
    Sent { user: user.to_owned(), acked, refused, bye: bye.unwrap_or_default(), code }
}

fn post(talk: &mut Talk, to: &str, n: u64) {
    let payload = json!({ "to": to, "content": n.to_string(), "client_id": format!("m{n}") });
    // The server may be gone by now; the reading tells.
    talk.try_say(&json!({ "type": "send", "id": n, "payload": payload }).to_string());
}

#[test]
fn a_stop_under_load_loses_nothing() {
    let node = Node::start(&[
        ("LIMITS_COMMANDS_PER_SECOND", "1000000"),
        ("LIMITS_COMMANDS_BURST", "1000000"),
        ("SERVER_SHUTDOWN_MS", "8000"),
    ]);
    let mut watcher = Talk::open(&node, "watcher");
    let mut idle = Talk::dial(node.address(), "", None).unwrap();
    let (begun, wait) = channel();
    let (sent, took) = thread::scope(|scope| {
        let senders: Vec<_> = (0..4)
            .map(|n| {
                let (user, begun) = (format!("u{n}"), begun.clone());
                let talk = Talk::open(&node, &user);
                scope.spawn(move || keep_sending(talk, &user, "user:watcher", &begun))
            })
            .collect();
        for _ in 0..4 {
            wait.recv_timeout(crate::process::PATIENCE).unwrap();
        }
        let asked = Instant::now();
        node.server.signal("TERM");
        let sent: Vec<Sent> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
        (sent, asked.elapsed())
    });
    for talk in [&mut watcher, &mut idle] {
        assert_eq!(talk.closed(), 1001);
    }
    let home = node.has_stopped();
    assert!(took < Duration::from_secs(8), "{took:?}");
    for Sent { user, bye, code, refused, .. } in &sent {
        assert_eq!(*code, 1001, "{user}");
        assert_eq!(bye["payload"]["reconnect"], true, "{user}: {bye}");
        assert!(bye["payload"]["retry_after_ms"].as_u64().is_some(), "{bye}");
        let expected = ["shutting_down", "overloaded"];
        assert!(refused.iter().all(|reason| expected.contains(&reason.as_str())), "{refused:?}");
    }

    // It goes on where it ended.
    let node = home.start();
    for Sent { user, acked, .. } in &sent {
        let mut talk = Talk::open(&node, user);
        let conversation = format!("direct:{user}:watcher");
        let mut stored = BTreeMap::new();
        let mut from = 1;
        loop {
            let range = json!({ "conversation": conversation, "from": from, "to": 1_000_000 });
            let page = talk.ok("pull", range);
            for entry in page["entries"].as_array().unwrap() {
                assert_eq!(entry["seq"], from, "dense");
                let twice =
                    stored.insert(entry["content"].as_str().unwrap().parse::<u64>().unwrap(), from);
                assert_eq!(twice, None, "{entry} is there twice");
                from += 1;
            }
            if page["more"] != true {
                break;
            }
        }
        for (n, seq) in acked {
            assert_eq!(stored.get(n), Some(seq), "{user}: what was acked as {n}");
        }
        assert!(stored.keys().copied().eq(1..=stored.len() as u64), "{user}: in the order sent");
        let first = talk.text("user:watcher", "back again", "back");
        assert_eq!(first["seq"], stored.len() + 1);
        // A client that did not get its ack asks again.
        let repeated = json!({ "to": "user:watcher", "content": "1", "client_id": "m1" });
        assert_eq!(talk.ok("send", repeated)["duplicate"], true);
    }
    node.stop();
}

#[test]
fn who_does_not_read_does_not_hold_up_the_stop() {
    let node = Node::start(&[
        ("LIMITS_COMMANDS_PER_SECOND", "1000000"),
        ("LIMITS_COMMANDS_BURST", "1000000"),
        ("SERVER_SHUTDOWN_MS", "4000"),
    ]);
    let mut alice = Talk::open(&node, "alice");
    let mut deaf = Talk::open(&node, "deaf");
    // More than its socket takes, so that something is left to be written at the end.
    let content = "x".repeat(60_000);
    for n in 0..200 {
        alice.text("user:deaf", &content, &format!("m{n}"));
    }
    let asked = Instant::now();
    let home = node.stop();
    assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
    assert_eq!(alice.closed(), 1001);
    // What it can still read is whole.
    deaf.closed();
    let contents = deaf.kept().into_iter().filter(|frame| frame["type"] == "message");
    for (n, frame) in contents.enumerate() {
        assert_eq!(frame["payload"]["seq"], n + 1);
    }
    let node = home.start();
    let mut deaf = Talk::open(&node, "deaf");
    let list = deaf.ok("conversations", json!({}));
    assert_eq!(list["conversations"][0]["head_seq"], 200);
}
