//! The same byte streams through this decoder and through tungstenite: the same messages, or both
//! refuse.
//!
//! Known differences, all of them places where RFC 6455 asks us to be stricter or lets us be earlier:
//! - tungstenite accepts lengths that are not minimal, also in control frames;
//! - it answers a bad close code by reporting a close with 1002, and counts 1014 as bad;
//! - it looks at a frame only when all of it has arrived, and at text only when a frame is complete, so
//!   a stream that is cut off may be refused by us and merely end for it.

use std::io::{self, Read, Write};

use hubbub_websocket::fuzz::{Seen, run};
use hubbub_websocket::{ProtocolError, Role};
use tungstenite::protocol::{Role as TheirRole, WebSocket, WebSocketConfig};
use tungstenite::{Error, Message};

use crate::fuzzing::{Random, frames};
use crate::wire::LIMITS;

/// A peer that sends a byte stream and ignores what it gets.
struct Stream<'a>(&'a [u8]);

impl Read for Stream<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite makes of a stream: its messages, and whether it refused (not: ran out of bytes).
fn theirs(stream: &[u8], role: TheirRole) -> (Vec<Seen>, bool) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(LIMITS.message_bytes_max))
        .max_frame_size(Some(LIMITS.message_bytes_max));
    let mut socket = WebSocket::from_raw_socket(Stream(stream), role, Some(config));
    let mut seen = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => seen.push(Seen::Text(text.as_str().to_owned())),
            Ok(Message::Binary(bytes)) => seen.push(Seen::Binary(bytes.to_vec())),
            Ok(Message::Ping(bytes)) => seen.push(Seen::Ping(bytes.to_vec())),
            Ok(Message::Pong(bytes)) => seen.push(Seen::Pong(bytes.to_vec())),
            Ok(Message::Close(close)) => {
                let (code, reason) = close.map_or((None, String::new()), |close| {
                    (Some(u16::from(close.code)), close.reason.as_str().to_owned())
                });
                seen.push(Seen::Close(code, reason));
                return (seen, false);
            }
            Ok(Message::Frame(frame)) => panic!("a raw frame: {frame}"),
            Err(Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => return (seen, false),
            Err(Error::Io(error)) => panic!("the stream does not fail: {error}"),
            Err(_) => return (seen, true),
        }
    }
}

/// Whether the two outcomes agree, known differences allowed for.
fn agree(ours: &(Vec<Seen>, Option<ProtocolError>), theirs: &(Vec<Seen>, bool)) -> bool {
    let bad_close = Seen::Close(Some(1002), "Protocol violation".to_owned());
    let same = ours.0 == theirs.0;
    match ours.1 {
        None => {
            let last_is_1014 = matches!(ours.0.last(), Some(Seen::Close(Some(1014), _)));
            let all_but_last = ours.0.split_last().map(|(_, rest)| rest);
            let theirs_all_but_last = theirs.0.split_last().map(|(_, rest)| rest);
            (same && !theirs.1)
                || (last_is_1014
                    && all_but_last == theirs_all_but_last
                    && theirs.0.last() == Some(&bad_close))
        }
        Some(ProtocolError::LengthNotMinimal | ProtocolError::ControlTooLong) => {
            theirs.0.starts_with(&ours.0)
        }
        Some(ProtocolError::CloseCode) => {
            // Either side of the reason's validation may come first.
            (same && theirs.1) || theirs.0 == [&ours.0[..], &[bad_close]].concat()
        }
        Some(_) => same,
    }
}

#[test]
fn seeded_streams() {
    let mut both_refused = 0;
    let mut both_closed = 0;
    let mut messages = 0;
    for seed in 0..20_000u64 {
        let mut random = Random::new(seed ^ 0xd1ff);
        let server = seed % 2 == 0;
        let stream = frames(&mut random, server);
        let (role, their_role) = if server {
            (Role::Server, TheirRole::Server)
        } else {
            (Role::Client, TheirRole::Client)
        };
        let ours = run(role, &stream, &LIMITS, usize::MAX, usize::MAX);
        let theirs = theirs(&stream, their_role);
        assert!(
            agree(&ours, &theirs),
            "seed {seed}\nours   {ours:?}\ntheirs {theirs:?}\n{stream:x?}"
        );
        assert!(ours.1.is_some() || !theirs.1, "seed {seed}: only they refuse: {stream:x?}");
        both_refused += usize::from(ours.1.is_some() && theirs.1);
        both_closed += usize::from(matches!(ours.0.last(), Some(Seen::Close(..))));
        messages += ours.0.len();
    }
    // The comparison means something only if streams of every kind were among them.
    println!("both refused {both_refused}, both closed {both_closed}, messages {messages}");
    assert!(both_refused > 1000, "{both_refused}");
    assert!(both_closed > 1000, "{both_closed}");
    assert!(messages > 20_000, "{messages}");
}

#[test]
fn what_tungstenite_writes_is_what_we_read() {
    let messages = [
        Message::text("hello €"),
        Message::binary(vec![0xff; 70_000]),
        Message::Ping("ping".into()),
        Message::Pong("pong".into()),
        Message::text(""),
        Message::text("x".repeat(126)),
    ];
    for (their_role, role) in [(TheirRole::Client, Role::Server), (TheirRole::Server, Role::Client)]
    {
        let mut socket = WebSocket::from_raw_socket(io::Cursor::new(Vec::new()), their_role, None);
        for message in &messages {
            socket.send(message.clone()).unwrap();
        }
        let stream = socket.into_inner().into_inner();
        let (seen, error) = run(role, &stream, &LIMITS, 1000, 1);
        assert_eq!(error, None);
        let expected = [
            Seen::Text("hello €".to_owned()),
            Seen::Binary(vec![0xff; 70_000]),
            Seen::Ping(b"ping".to_vec()),
            Seen::Pong(b"pong".to_vec()),
            Seen::Text(String::new()),
            Seen::Text("x".repeat(126)),
        ];
        assert!(seen == expected);
    }
}
