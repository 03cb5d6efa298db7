//! Input that makes work and says nothing: bounded, each by a limit with a name and a counter.

use std::io::Write;

use hubbub_proto::CloseCode;
use hubbub_proto::limits::Limits;
use hubbub_websocket::OpCode;
use hubbub_websocket::frame::write_frame;
use tungstenite::Message;

use crate::stage::{Client, Stage};

const MASK: Option<[u8; 4]> = Some([5, 6, 7, 8]);

/// Few enough for a test; the stage's clock runs, so that a second may end in between.
fn limits() -> Limits {
    Limits { control_frames_per_second: 50, fragments_max: 20, ..Limits::default() }
}

/// Sends `piece` again and again until the server has closed the connection, and says with what.
fn flood(stage: &Stage, client: &mut Client, piece: &[u8]) -> u16 {
    let closes = |stage: &Stage| stage.hub.stats().closes.iter().map(|(_, n)| n).sum::<u64>();
    let mut socket = client.socket.get_ref().try_clone().unwrap();
    let sender = std::thread::spawn({
        let piece = piece.to_vec();
        move || {
            // Ends when the server has dropped the connection, or the test shuts it down.
            while socket.write_all(&piece).is_ok() {}
        }
    });
    let (code, _) = client.close_code();
    assert_eq!(closes(stage), 1);
    let _ = client.socket.get_ref().shutdown(std::net::Shutdown::Both);
    sender.join().unwrap();
    code
}

fn frame(fin: bool, opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, fin, opcode, MASK, payload);
    bytes
}

#[test]
fn control_frames_have_a_rate() {
    for (opcode, payload) in [
        (OpCode::Ping, &[7; 125][..]),
        (OpCode::Ping, b""),
        (OpCode::Pong, b""),
        (OpCode::Pong, b"x"),
    ] {
        let stage = Stage::new(1, limits());
        let (mut other, _) = stage.session("other");
        let (mut client, _) = stage.session("flood");
        let code = flood(&stage, &mut client, &frame(true, opcode, payload));
        assert_eq!(code, CloseCode::RateLimited.code(), "{opcode:?} {}", payload.len());
        let stats = stage.hub.stats();
        assert_eq!(stats.floods, 1);
        other.expect_silence();
    }
}

#[test]
fn an_unauthenticated_flood_ends_too() {
    let stage = Stage::new(1, limits());
    let mut client = stage.stranger();
    let code = flood(&stage, &mut client, &frame(true, OpCode::Ping, b""));
    assert_eq!((code, stage.hub.stats().floods), (CloseCode::RateLimited.code(), 1));
}

#[test]
fn control_frames_within_the_rate_are_answered() {
    let stage = Stage::new(1, limits());
    let (mut client, _) = stage.session("alice");
    for _ in 0..5 {
        for n in 0..40_u8 {
            client.socket.send(Message::Ping(vec![n].into())).unwrap();
            assert_eq!(client.socket.read().unwrap(), Message::Pong(vec![n].into()));
        }
        // The next second has a count of its own.
        stage.advance(1_000);
    }
    assert_eq!(stage.hub.stats().floods, 0);
}

#[test]
fn bytes_that_trickle_in_have_the_same_rate() {
    let stage = Stage::new(1, limits());
    let (mut other, _) = stage.session("other");
    let (mut client, _) = stage.session("trickle");
    // One message, a byte at a time: each is read before the next one is sent.
    let mut before = stage.hub.stats().bytes_in;
    let message = frame(true, OpCode::Text, &[b' '; 4000]);
    for byte in message {
        client.socket.get_mut().write_all(&[byte]).unwrap();
        before = stage.wait_for("read", |stats| stats.bytes_in > before).bytes_in;
        if stage.hub.stats().floods > 0 {
            break;
        }
    }
    client.expect_close(CloseCode::RateLimited);
    assert_eq!(stage.hub.stats().floods, 1);
    other.expect_silence();
}

#[test]
fn a_message_in_two_pieces_is_no_flood() {
    let stage = Stage::new(1, Limits { control_frames_per_second: 0, ..Limits::default() });
    let (mut client, _) = stage.session("alice");
    let ping = frame(true, OpCode::Text, br#"{"type":"ping"}"#);
    for cut in 1..ping.len() {
        let (head, tail) = ping.split_at(cut);
        let before = stage.hub.stats().bytes_in;
        client.socket.get_mut().write_all(head).unwrap();
        stage.wait_for("read", |stats| stats.bytes_in > before);
        client.socket.get_mut().write_all(tail).unwrap();
        client.expect("pong");
    }
    assert_eq!(stage.hub.stats().floods, 0);
}

#[test]
fn fragments_without_end_are_too_big() {
    for payload in [&b""[..], b"x"] {
        let stage = Stage::new(1, limits());
        let (mut other, _) = stage.session("other");
        let (mut client, _) = stage.session("flood");
        client.socket.get_mut().write_all(&frame(false, OpCode::Text, payload)).unwrap();
        let code = flood(&stage, &mut client, &frame(false, OpCode::Continuation, payload));
        assert_eq!(code, CloseCode::TooBig.code());
        other.expect_silence();
    }
}

#[test]
fn messages_of_no_or_one_byte_are_commands_that_cannot_be_read() {
    for payload in [&b""[..], b"x"] {
        let limits = Limits {
            commands_per_second: 10,
            commands_burst: 10,
            rate_refusals_max: 20,
            ..Limits::default()
        };
        let stage = Stage::new(1, limits);
        let (mut other, _) = stage.session("other");
        let (mut client, _) = stage.session("flood");
        let code = flood(&stage, &mut client, &frame(true, OpCode::Text, payload));
        assert_eq!(code, CloseCode::RateLimited.code());
        let stats = stage.hub.stats();
        assert!(stats.refusals >= 20 && stats.floods == 0, "{stats:?}");
        other.expect_silence();
    }
}
