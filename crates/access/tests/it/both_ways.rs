//! The same handshakes over the three ways that they can take: at once, as the bytes come, and
//! through the HTTP library. The answers must be the same.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::face::{Face, HANDSHAKE};

/// A line of HTTP that changes nothing but the way: what says how long its body is, is the
/// library's.
const THE_LONG_WAY: &str = "Content-Length: 0\r\n";

/// What was answered, without the date and with the fields in order.
fn answer(face: &Face, parts: &[&str]) -> (Vec<String>, bool) {
    let accepted = face.stats.accepted.load(Ordering::Relaxed);
    let adopted = face.stats.adopted.load(Ordering::Relaxed);
    let mut client = face.connect();
    for (nth, part) in parts.iter().enumerate() {
        if nth > 0 {
            // The first part has to be seen alone, or it would all be there at once.
            while face.stats.accepted.load(Ordering::Relaxed) == accepted {
                std::thread::yield_now();
            }
        }
        client.write(part);
    }
    let head = client.head();
    let mut lines: Vec<String> = head
        .to_ascii_lowercase()
        .lines()
        .filter(|line| !line.starts_with("date:") && !line.is_empty())
        .map(str::to_owned)
        .collect();
    lines[1..].sort();
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length: "));
    if let Some(length) = length {
        let length = length.parse().unwrap();
        lines.push(client.exactly(length));
    }
    let went_on = head.starts_with("HTTP/1.1 101 ");
    if went_on {
        drop(face.adopted());
    }
    assert_eq!(face.stats.adopted.load(Ordering::Relaxed) - adopted, u64::from(went_on));
    (lines, went_on)
}

#[test]
fn the_answers_are_the_same() {
    let face = Face::start(10, Duration::from_secs(60));
    let change = |from: &str, to: &str| HANDSHAKE.replacen(from, to, 1);
    let end = "\r\n\r\n";
    let add = |line: &str| change(end, &format!("\r\n{line}{end}"));
    let requests = [
        HANDSHAKE.to_owned(),
        change("/ws", "/ws?device=a&x=y"),
        change("/ws", "/ws?token=bad"),
        change("/ws", "/ws?device=%00"),
        change("/ws", "/ws/"),
        change("/ws", "/ws%3F"),
        change("/ws", "//ws"),
        change("/ws", "/echo"),
        change("/ws", "/elsewhere"),
        change("GET", "POST"),
        change("GET", "get"),
        change("GET /ws HTTP/1.1", "GET /ws HTTP/1.0"),
        change("GET /ws HTTP/1.1", "GET http://here/ws HTTP/1.1"),
        change("GET /ws HTTP/1.1", "GET /ws HTTP/2.0"),
        change("GET /ws HTTP/1.1", "GET  /ws HTTP/1.1"),
        change("Connection: Upgrade", "Connection: keep-alive, upgrade"),
        change("Connection: Upgrade", "Connection: close"),
        change("Connection: Upgrade\r\n", ""),
        change("websocket", "WebSocket"),
        change("websocket", "h2c"),
        change("Upgrade: websocket", "Upgrade : websocket"),
        change("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"),
        change("dGhlIHNhbXBsZSBub25jZQ==", "short"),
        change("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: x"),
        change("Host: here", "Host: here\r\nHost: there"),
        change("Host: here\r\n", ""),
        add("Origin: http://here"),
        add("Origin: http://elsewhere"),
        add("Authorization: Bearer bad"),
        add("Authorization: Basic x"),
        add("Sec-WebSocket-Protocol: hubbub.v1.json, bearer.bad"),
        add("Sec-WebSocket-Protocol: bearer.a b"),
        add("Sec-WebSocket-Protocol: chess"),
        add("X: \u{e9}"),
        add("X: a\r\n folded"),
        add("X\u{1}: a"),
        add("X: a\u{1}b"),
        add("No colon"),
        add("X: a\r\n".repeat(90).trim_end()),
        add("X: a\r\n".repeat(200).trim_end()),
        HANDSHAKE.replace("\r\n", "\n"),
        format!("\r\n{HANDSHAKE}"),
    ];
    let mut upgraded = 0;
    for request in &requests {
        let (at_once, went_on) = answer(&face, &[request]);
        upgraded += usize::from(went_on);
        let (first, rest) = request.split_at(5);
        assert_eq!(answer(&face, &[first, rest]).0, at_once, "as it comes: {request:?}");
        let end = if request.contains(end) { end } else { "\n\n" };
        let line_end = &end[..end.len() / 2];
        let long = request.replacen(end, &format!("{line_end}{THE_LONG_WAY}"), 1);
        let long = format!("{long}{line_end}");
        assert_eq!(answer(&face, &[&long]).0, at_once, "the long way: {request:?}");
    }
    assert!(upgraded > 10 && upgraded < requests.len() - 10, "{upgraded}: both kinds are here");
}
