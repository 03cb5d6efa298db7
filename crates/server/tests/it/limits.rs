//! What one connection may use, and that nobody else pays for it (P6, P10).

use std::io::Write as _;

use serde_json::{Value, json};

use crate::node::Node;
use crate::talk::Talk;

const FAST: [(&str, &str); 2] =
    [("LIMITS_COMMANDS_PER_SECOND", "1000000"), ("LIMITS_COMMANDS_BURST", "1000000")];

fn seqs(entries: &Value) -> Vec<u64> {
    entries.as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()).collect()
}

#[test]
fn a_message_over_the_limit_is_1009() {
    let node = Node::start(&[("LIMITS_MESSAGE_BYTES_MAX", "2000")]);
    let mut alice = Talk::open(&node, "alice");
    let fits = |bytes: usize| {
        let command = r#"{"type":"ping","id":"p","ignored":""}"#;
        command.replace("\"\"", &format!("\"{}\"", "x".repeat(bytes - command.len())))
    };
    alice.say(&fits(2000));
    alice.reply("p").unwrap();
    alice.say(&fits(2001));
    assert_eq!(alice.closed(), 1009);
    // It is refused by its length, before it has come.
    let mut bob = Talk::open(&node, "bob");
    bob.raw(&[0x81, 0xff, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
    assert_eq!(bob.closed(), 1009);
}

#[test]
fn content_may_be_nested_so_deep_and_no_deeper() {
    let node = Node::start(&[("LIMITS_CONTENT_DEPTH_MAX", "5")]);
    let mut alice = Talk::open(&node, "alice");
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let mut send = |depth: usize| {
        let id = format!("d{depth}");
        let content = nested(depth);
        alice.say(&format!(
            r#"{{"type":"send","id":"{id}","payload":{{"to":"user:bob","kind":"custom:nest","content":{content},"client_id":"{id}"}}}}"#
        ));
        alice.reply(&id)
    };
    assert_eq!(send(5).unwrap()["seq"], 1);
    for depth in [6, 100, 10_000] {
        assert_eq!(send(depth).unwrap_err()["reason"], "too_deep", "{depth}");
    }
    assert_eq!(send(4).unwrap()["seq"], 2, "the connection goes on");
}

#[test]
fn a_full_window_parks_and_loses_nothing() {
    const MESSAGES: u64 = 2_000;
    let node = Node::start(&[&FAST[..], &[("LIMITS_COMMANDS_IN_FLIGHT_MAX", "3")]].concat());
    let mut alice = Talk::open(&node, "alice");
    let mut writer = alice.stream().try_clone().unwrap();
    // All at once, far more than the window: frames with a zero mask, in the order of their number.
    let frames: Vec<u8> = (1..=MESSAGES)
        .flat_map(|n| {
            let text = json!({ "type": "send", "id": n, "payload":
                { "to": "user:bob", "content": n.to_string(), "client_id": format!("{n:064}") } });
            let text = text.to_string();
            let mut frame = vec![0x81, 0xfe];
            frame.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
            frame.extend([0; 4]);
            frame.extend(text.bytes());
            frame
        })
        .collect();
    let writing = std::thread::spawn(move || writer.write_all(&frames).unwrap());
    for n in 1..=MESSAGES {
        let ack = alice.expect("an ack", |_| true);
        assert_eq!((&ack["type"], &ack["id"]), (&json!("ack"), &json!(n.to_string())), "{ack}");
        assert_eq!(ack["payload"]["seq"], n, "in the order sent");
    }
    writing.join().unwrap();
    // A ping sent while the window is full waits behind it, and is answered.
    alice.ok("ping", json!({}));
}

#[test]
fn too_fast_is_refused_with_a_time_and_then_closed() {
    let node = Node::start(&[
        ("LIMITS_COMMANDS_PER_SECOND", "1"),
        ("LIMITS_COMMANDS_BURST", "5"),
        ("LIMITS_RATE_REFUSALS_MAX", "4"),
    ]);
    let mut alice = Talk::open(&node, "alice");
    let mut bob = Talk::open(&node, "bob");
    let message = |n: u64| json!({ "to": "user:bob", "content": n.to_string(), "client_id": format!("m{n}") });
    for n in 1..=5 {
        assert_eq!(alice.ok("send", message(n))["seq"], n, "the burst");
    }
    // On a machine that is busy enough one more may be let in, and then it is stored.
    let mut n = 5;
    let mut refused = 0;
    while refused < 4 {
        n += 1;
        match alice.call("send", &message(n)) {
            Ok(_) => refused = 0,
            Err(error) => {
                refused += 1;
                assert_eq!(error["reason"], "rate_limited");
                assert_eq!((&error["code"], &error["retry"]), (&json!(429), &json!(true)));
                // A second for each that was refused before it, and their tenths.
                let wait_ms = error["retry_after_ms"].as_u64().unwrap();
                assert!((1..=refused * 1_100).contains(&wait_ms), "{refused}: {error}");
            }
        }
    }
    assert_eq!(alice.closed(), 4009, "after four in a row");
    let stored = n - 4;
    let page = bob.ok("history", json!({ "conversation": "direct:alice:bob" }));
    assert_eq!(page["head_seq"], stored, "what was refused is not there");
    // Ten pings are one command; the burst has room for three more.
    for _ in 0..30 {
        bob.ok("ping", json!({}));
    }
}

#[test]
fn who_does_not_read_harms_nobody_and_recovers() {
    const MESSAGES: u64 = 400;
    let mut settings = FAST.to_vec();
    settings.extend([
        ("LIMITS_OUTBOX_BYTES_MAX", "131072"),
        ("LIMITS_MESSAGE_BYTES_MAX", "32768"),
        ("CHAT_SYNC_BYTES_MAX", "65536"),
    ]);
    let node = Node::start(&settings);
    let mut alice = Talk::attached(&node, "alice");
    let mut reader = Talk::attached(&node, "reader");
    let mut slow = Talk::open_device(&node, "slow", "phone");
    let before = slow.sync();
    let create = json!({ "name": "Flood", "members": ["reader", "slow"], "client_id": "g" });
    let group = alice.ok("group_create", create)["conversation"].as_str().unwrap().to_owned();
    // Some megabytes: more than the socket's buffers and the outbox hold together.
    let text = "x".repeat(30_000);
    for n in 2..=MESSAGES {
        let ack = alice.text(&group, &text, &format!("m{n}"));
        assert_eq!(ack["seq"], n);
        let got = reader.event("message");
        assert_eq!(got["seq"], n, "the one who reads gets each as it comes");
    }
    // What got through is from the beginning and dense; then comes `lag`, or the end.
    let mut cursor = 0;
    loop {
        let frame = slow.expect("the next frame, or `lag`", |_| true);
        match frame["type"].as_str().unwrap() {
            "lag" => break,
            "message" | "group_changed" => {
                assert_eq!(frame["payload"]["seq"], cursor + 1, "nothing is left out in between");
                cursor += 1;
            }
            "ack" | "ping" | "receipt" => {}
            other => panic!("{other}: {frame}"),
        }
    }
    assert!(cursor < MESSAGES, "{cursor}");
    // By sync and pull it gets the rest.
    let known = json!({ "epoch": before["epoch"], "cursors": { &group: cursor } });
    let page = slow.ok("sync", known);
    let found = &page["conversations"][0];
    let mut got = seqs(&found["entries"]);
    assert_eq!((&found["from_seq"], &found["reset"]), (&json!(cursor + 1), &Value::Null));
    while got.last() != Some(&MESSAGES) {
        let from = got.last().map_or(cursor + 1, |last| last + 1);
        let page = slow.ok("pull", json!({ "conversation": group, "from": from, "to": MESSAGES }));
        let more = seqs(&page["entries"]);
        assert!(!more.is_empty(), "a page holds at least one");
        got.extend(more);
    }
    assert_eq!(got, (cursor + 1..=MESSAGES).collect::<Vec<_>>());
    // And it is live again.
    alice.text(&group, "the end", "end");
    slow.before("the end");
}

#[test]
fn who_asks_for_much_at_once_gets_it_one_after_the_other() {
    let mut settings = FAST.to_vec();
    settings.extend([
        ("LIMITS_OUTBOX_BYTES_MAX", "262144"),
        ("LIMITS_MESSAGE_BYTES_MAX", "32768"),
        ("CHAT_SYNC_BYTES_MAX", "65536"),
    ]);
    let node = Node::start(&settings);
    let mut alice = Talk::open(&node, "alice");
    for n in 0..20 {
        alice.text("user:bob", &"x".repeat(30_000), &format!("m{n}"));
    }
    let mut greedy = Talk::open(&node, "bob");
    // Answers of 60 KB each, many times what the outbox holds, of which none is read for now.
    for n in 0..100 {
        let payload = json!({ "conversation": "direct:alice:bob" });
        greedy.say(&json!({ "type": "history", "id": n, "payload": payload }).to_string());
    }
    // Nobody else notices.
    for n in 0..50 {
        alice.text("user:carol", "meanwhile", &format!("c{n}"));
    }
    for n in 0..100 {
        let ack = greedy.expect("an answer", |frame| frame["type"] == "ack");
        assert_eq!(ack["id"], n.to_string(), "each once, in order");
        assert!(!ack["payload"]["entries"].as_array().unwrap().is_empty());
    }
    assert_eq!(greedy.text("user:alice", "thanks", "t")["seq"], 21, "and it goes on");
}

#[test]
fn one_connection_too_many_is_told_503() {
    let node = Node::start(&[("SERVER_CONNECTIONS_MAX", "3")]);
    let mut open: Vec<Talk> = ["a", "b", "c"].iter().map(|user| Talk::open(&node, user)).collect();
    let dial = || Talk::dial(node.address(), "", Some(&node.token("d")));
    match dial().err().map(|error| *error) {
        Some(tungstenite::Error::Http(response)) => {
            assert_eq!(response.status().as_u16(), 503);
            assert!(response.headers().contains_key("retry-after"), "{response:?}");
        }
        other => panic!("{:?}", other.map(|error| error.to_string())),
    }
    for (n, talk) in open.iter_mut().enumerate() {
        assert_eq!(talk.text("user:x", "hi", &format!("m{n}"))["seq"], 1, "the others go on");
    }
    // A place that becomes free is given away.
    let mut gone = open.remove(0);
    gone.write(tungstenite::Message::Close(None));
    gone.closed();
    let deadline = std::time::Instant::now() + crate::process::PATIENCE;
    while dial().is_err() {
        assert!(std::time::Instant::now() < deadline, "the place stays taken");
        std::thread::yield_now();
    }
}
