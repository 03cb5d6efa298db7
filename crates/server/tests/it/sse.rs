//! Event streams of the real binary, read by hand.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::node::Home;
use crate::talk::Talk;
use crate::wire::{ask, tcp};

const CONFIG: &str = "[namespaces.news]\nsubscribe = \"everyone\"\npublish = \"everyone\"\n\
                      history = \"everyone\"\nhistory_size = 5\nrecover = true\n\
                      [namespaces.plain]\nsubscribe = \"everyone\"\npublish = \"everyone\"\n\
                      [namespaces.staff]\nsubscribe = \"role:staff\"\n\
                      [sse]\nchannels_max = 2\n[server]\nshards = 2\n";

fn home() -> Home {
    let mut home = Home::new(&[]);
    let file = home.around().join("hubbub.toml");
    std::fs::write(&file, CONFIG).unwrap();
    home.set("CONFIG", file.to_str().unwrap());
    home
}

/// One event.
#[derive(Debug)]
struct Event {
    kind: String,
    id: Option<String>,
    payload: Value,
}

/// An open stream.
struct Stream {
    lines: BufReader<TcpStream>,
    head: String,
    /// Of the chunk that is being read.
    left: usize,
    retry_ms: Option<u32>,
}

impl Stream {
    #[track_caller]
    fn open(address: SocketAddr, query: &str, token: &str, last: Option<&str>) -> Self {
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let mut stream = tcp(address);
        let request = format!(
            "GET /sse?{query} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\
             Authorization: Bearer {token}\r\n{last}\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(lines.read_line(&mut head).unwrap(), 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        Self { lines, head: head.to_ascii_lowercase(), left: 0, retry_ms: None }
    }

    fn byte(&mut self) -> Option<u8> {
        if self.left == 0 {
            let mut size = String::new();
            self.lines.read_line(&mut size).ok()?;
            if size.trim().is_empty() {
                size.clear();
                self.lines.read_line(&mut size).ok()?;
            }
            self.left = usize::from_str_radix(size.trim(), 16).ok()?;
            if self.left == 0 {
                return None;
            }
        }
        self.left -= 1;
        let mut byte = [0];
        self.lines.read_exact(&mut byte).ok()?;
        Some(byte[0])
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => return Some(String::from_utf8(line).unwrap()),
                byte => line.push(byte),
            }
        }
    }

    /// The next event, or `None` at the end.
    fn next(&mut self) -> Option<Event> {
        let (mut kind, mut id, mut data) = (String::new(), None, Vec::new());
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("event", value)) => value.clone_into(&mut kind),
                Some(("id", value)) => id = Some(value.to_owned()),
                Some(("data", value)) => data.push(value.to_owned()),
                Some(("retry", value)) => self.retry_ms = Some(value.parse().unwrap()),
                None if line.is_empty() && !data.is_empty() => break,
                _ => {}
            }
        }
        let event: Value = serde_json::from_str(&data.join("\n")).unwrap();
        assert_eq!(event["type"], kind);
        Some(Event { kind, id, payload: event["payload"].clone() })
    }

    #[track_caller]
    fn expect(&mut self, kind: &str) -> Event {
        let event = self.next().expect("the stream has ended");
        assert_eq!(event.kind, kind, "{event:?}");
        event
    }

    /// The numbers of the publications that come next, and the id after the last.
    #[track_caller]
    fn numbers(&mut self, count: usize) -> (Vec<u64>, String) {
        let events: Vec<_> = (0..count).map(|_| self.expect("publication")).collect();
        let numbers = events.iter().map(|event| event.payload["data"].as_u64().unwrap()).collect();
        (numbers, events.last().and_then(|event| event.id.clone()).unwrap())
    }
}

fn publish(talk: &mut Talk, channel: &str, data: &Value) {
    talk.ok("publish", json!({ "channel": channel, "data": data }));
}

#[test]
fn channels_come_in_order_and_a_stream_goes_on_where_it_ended() {
    let node = home().start();
    let token = node.token("alice");
    let mut eve = Talk::open(&node, "eve");
    let channels = "channels=news:a,news%3Ab";
    let mut stream = Stream::open(node.address(), channels, &token, None);
    for part in [
        "content-type: text/event-stream",
        "cache-control: no-store",
        "x-accel-buffering: no",
        "x-content-type-options: nosniff",
    ] {
        assert!(stream.head.contains(part), "{part}: {}", stream.head);
    }
    let first = stream.expect("subscribed");
    assert_eq!(
        (&first.payload["channel"], &first.payload["offset"]),
        (&json!("news:a"), &json!(0))
    );
    stream.expect("subscribed");
    for n in 1..=3 {
        publish(&mut eve, "news:a", &json!(n));
        publish(&mut eve, "news:b", &json!(n * 10));
    }
    let mut all: Vec<u64> = stream.numbers(6).0;
    let (_, last) = {
        publish(&mut eve, "news:a", &json!(4));
        stream.numbers(1)
    };
    all.retain(|n| *n < 10);
    assert_eq!(all, [1, 2, 3]);
    drop(stream);
    for n in 5..=7 {
        publish(&mut eve, "news:a", &json!(n));
    }
    // Broken off in the middle of what was missed, it goes on there.
    let mut stream = Stream::open(node.address(), channels, &token, Some(&last));
    let (numbers, middle) = stream.numbers(2);
    assert_eq!(numbers, [5, 6]);
    drop(stream);
    let again = format!("{channels}&last_event_id={middle}");
    let mut stream = Stream::open(node.address(), &again, &token, None);
    assert_eq!(stream.numbers(1).0, [7]);
    assert_eq!(stream.expect("subscribed").payload["recovered"], true);
    stream.expect("subscribed");
    publish(&mut eve, "news:b", &json!(40));
    assert_eq!(stream.numbers(1).0, [40]);
    node.stop();
}

#[test]
fn what_is_gone_is_not_recovered_and_said_to_be() {
    let node = home().start();
    let token = node.token("alice");
    let mut eve = Talk::open(&node, "eve");
    let query = "channels=news:a,plain:b";
    let mut stream = Stream::open(node.address(), query, &token, None);
    stream.expect("subscribed");
    let id = stream.expect("subscribed").id.unwrap();
    drop(stream);
    for n in 1..=6 {
        publish(&mut eve, "news:a", &json!(n));
        publish(&mut eve, "plain:b", &json!(n));
    }
    for id in [id.as_str(), "nonsense", "1-"] {
        let mut stream = Stream::open(node.address(), query, &token, Some(id));
        for channel in ["news:a", "plain:b"] {
            let lost = stream.expect("not_recovered");
            assert_eq!(
                (&lost.payload["channel"], &lost.payload["offset"]),
                (&json!(channel), &json!(6))
            );
            stream.expect("subscribed");
        }
    }
    // Any JSON comes through, over several lines too.
    let mut stream = Stream::open(node.address(), "channels=news:a", &token, None);
    stream.expect("subscribed");
    publish(&mut eve, "news:a", &json!({ "ünï": "✓\n", "n": [1, null] }));
    let event = stream.expect("publication");
    assert_eq!(event.payload["data"], json!({ "ünï": "✓\n", "n": [1, null] }));
    node.stop();
}

#[test]
fn a_users_messages_come_once_over_reconnects_and_a_restart() {
    let node = home().start();
    let token = node.token("bob");
    let mut alice = Talk::open(&node, "alice");
    let send = |talk: &mut Talk, n: u32| {
        let client_id = format!("m-{n}");
        let message = json!({ "to": "user:bob", "kind": "text", "content": n.to_string(), "client_id": client_id });
        talk.ok("send", message);
    };
    let content = |event: &Event| event.payload["content"].as_str().unwrap().to_owned();
    send(&mut alice, 1);
    let mut stream = Stream::open(node.address(), "user=1", &token, None);
    stream.expect("synced");
    send(&mut alice, 2);
    let event = stream.expect("message");
    assert_eq!(content(&event), "2");
    drop(stream);
    send(&mut alice, 3);
    send(&mut alice, 4);
    let mut stream = Stream::open(node.address(), "user=1", &token, event.id.as_deref());
    let event = stream.expect("message");
    assert_eq!(content(&event), "3");
    drop(stream);
    let node = node.stop().start();
    let mut alice = Talk::open(&node, "alice");
    send(&mut alice, 5);
    let mut stream = Stream::open(node.address(), "user=1", &token, event.id.as_deref());
    assert_eq!(content(&stream.expect("message")), "4");
    assert_eq!(content(&stream.expect("message")), "5");
    stream.expect("synced");
    send(&mut alice, 6);
    assert_eq!(content(&stream.expect("message")), "6");
    node.stop();
}

#[test]
fn a_stop_says_when_to_come_back() {
    let node = home().start();
    let token = node.token("alice");
    let mut stream = Stream::open(node.address(), "channels=news:a", &token, None);
    stream.expect("subscribed");
    node.server.signal("TERM");
    let wait = stream.expect("bye").payload["retry_after_ms"].as_u64().unwrap();
    assert_eq!(stream.retry_ms.map(u64::from), Some(wait));
    let closed = stream.expect("closed");
    assert_eq!(
        (&closed.payload["code"], &closed.payload["reconnect"]),
        (&json!(1001), &json!(true))
    );
    assert!(stream.next().is_none());
    node.has_stopped();
}

#[test]
fn one_that_was_replaced_does_not_come_again() {
    let node = home().start();
    let token = node.token("alice");
    let query = "channels=news:a&device=tab";
    let mut first = Stream::open(node.address(), query, &token, None);
    first.expect("subscribed");
    let mut second = Stream::open(node.address(), query, &token, None);
    second.expect("subscribed");
    let closed = first.expect("closed");
    assert_eq!(
        (&closed.payload["code"], &closed.payload["reconnect"]),
        (&json!(4005), &json!(false))
    );
    let headers = [
        ("Authorization", &*format!("Bearer {token}")),
        ("Last-Event-ID", closed.id.as_deref().unwrap()),
    ];
    assert_eq!(ask(node.address(), &format!("GET /sse?{query}"), &headers, "").status, 204);
    node.stop();
}

#[test]
fn what_is_refused_before_a_stream() {
    let node = home().start();
    let token = node.token("alice");
    let bearer = format!("Bearer {token}");
    let late = format!("Bearer {}", node.token_for("alice", -100));
    let with = [("Authorization", bearer.as_str())];
    for (line, headers, status, reason) in [
        ("GET /sse?channels=news:a", &[][..], 401, "unauthorized"),
        ("GET /sse?channels=news:a", &[("Authorization", "Bearer x")], 401, "bad_token"),
        ("GET /sse?channels=news:a", &[("Authorization", &late)], 401, "token_expired"),
        ("GET /sse?channels=news:a&token=x", &[], 401, "bad_token"),
        ("GET /sse?channels=other:a", &with, 404, "channel_unknown"),
        ("GET /sse?channels=news:a,staff:a", &with, 403, "not_allowed"),
        ("GET /sse?channels=user:a", &with, 400, "bad_request"),
        ("GET /sse?channels=a%00b", &with, 400, "bad_request"),
        ("GET /sse?channels=%zz", &with, 400, "bad_request"),
        ("GET /sse?channels=news:a,news:b,news:c", &with, 400, "bad_request"),
        ("GET /sse", &with, 400, "bad_request"),
        ("GET /sse?user=maybe", &with, 400, "bad_request"),
        ("POST /sse?channels=news:a", &with, 405, "method_not_allowed"),
    ] {
        let answer = ask(node.address(), line, headers, "");
        let json = answer.json();
        assert_eq!(
            (answer.status, json["reason"].as_str()),
            (status, Some(reason)),
            "{line}: {json}"
        );
    }
    let accept = [with[0], ("Accept", "text/html")];
    assert_eq!(ask(node.address(), "GET /sse?user=1", &accept, "").status, 406);
    assert_eq!(ask(node.address(), "HEAD /sse?user=1", &with, "").status, 405);
    node.stop();
}

#[test]
fn pages_of_allowed_origins_may_read_it() {
    let mut home = home();
    home.set("SERVER_ALLOWED_ORIGINS", "https://app.example");
    let node = home.start();
    let token = node.token("alice");
    let line = format!("OPTIONS /sse?user=1&token={token}");
    let page = [("Origin", "https://app.example")];
    let answer = ask(node.address(), &line, &page, "");
    assert_eq!(answer.status, 204);
    assert!(answer.head.contains("access-control-allow-headers: authorization, last-event-id"));
    for (line, status) in [("GET /sse?user=1", 401), (&*line, 204)] {
        let answer = ask(node.address(), line, &page, "");
        assert_eq!(answer.status, status);
        assert!(answer.head.contains("access-control-allow-origin: https://app.example"));
        assert!(answer.head.contains("access-control-allow-credentials: true"));
        let evil = ask(node.address(), line, &[("Origin", "https://evil.example")], "");
        assert_eq!(evil.status, 403);
        assert!(!evil.head.contains("access-control"));
    }
    node.stop();
}

#[test]
fn who_leaves_leaves_nothing() {
    let mut home = home();
    // The connection, the two of the stream, and the one that asks.
    home.set("SERVER_CONNECTIONS_MAX", "4");
    let node = home.start();
    let token = node.token("alice");
    for _ in 0..20 {
        let mut stream = Stream::open(node.address(), "channels=news:a&user=1", &token, None);
        stream.expect("subscribed");
        stream.lines.get_ref().shutdown(Shutdown::Both).unwrap();
        drop(stream);
        // It is over when there is room for another.
        while !ask(node.address(), "GET /sse", &[], "").head.contains("401") {}
        let token = format!("Bearer {token}");
        let line = "GET /sse?channels=other:a";
        while ask(node.address(), line, &[("Authorization", &token)], "").status != 404 {}
    }
    node.stop();
}
