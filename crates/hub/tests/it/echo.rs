//! Echo connections, and fairness among connections that are busy.

use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

use hubbub_hub::OpeningKind;
use hubbub_proto::CloseCode;
use hubbub_proto::codec::Codec;
use hubbub_proto::limits::Limits;
use hubbub_websocket::OpCode;
use hubbub_websocket::frame::write_frame;
use socket2::SockRef;
use tungstenite::Message;

use crate::stage::{Client, PATIENCE, Stage};

const MEGABYTE: usize = 1 << 20;

fn echo(stage: &Stage) -> Client {
    let kind = OpeningKind::Echo {
        message_bytes_max: 16 * MEGABYTE,
        fragments_max: 65_536,
        compressed: None,
    };
    stage.open_with(kind, b"", Box::new(()), |_| {})
}

#[test]
fn a_fragmented_megabyte_comes_back() {
    let stage = Stage::new(1, Limits::default());
    let mut client = echo(&stage);
    let message: String = (0..MEGABYTE / 8).map(|n| format!("{n:08}")).collect();
    let mut bytes = Vec::new();
    let mask = Some([1, 2, 3, 4]);
    let pieces: Vec<&[u8]> = message.as_bytes().chunks(100).collect();
    for (i, piece) in pieces.iter().enumerate() {
        let opcode = if i == 0 { OpCode::Text } else { OpCode::Continuation };
        write_frame(&mut bytes, i + 1 == pieces.len(), opcode, mask, piece);
        if i == 50 {
            write_frame(&mut bytes, true, OpCode::Ping, mask, b"between");
        }
    }
    client.socket.get_mut().write_all(&bytes).unwrap();
    assert_eq!(client.socket.read().unwrap(), Message::Pong(b"between"[..].into()));
    assert!(client.socket.read().unwrap() == Message::text(message));
}

#[test]
fn a_reader_that_waits_gets_everything_later() {
    let stage = Stage::new(1, Limits::default());
    let mut client = echo(&stage);
    let socket = client.socket.get_ref().try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let mut socket = socket;
        for n in 0..200_u8 {
            let mut bytes = Vec::new();
            let payload = vec![n; 100_000];
            write_frame(&mut bytes, true, OpCode::Binary, Some([9, 8, 7, 6]), &payload);
            socket.write_all(&bytes).unwrap();
        }
    });
    stage.wait_for("parked", |stats| stats.parked > 0);
    for n in 0..200_u8 {
        assert!(client.socket.read().unwrap() == Message::binary(vec![n; 100_000]), "{n}");
    }
    sender.join().unwrap();
}

#[test]
fn too_big_is_refused_before_it_has_come() {
    let stage = Stage::new(1, Limits::default());
    let kind = OpeningKind::Echo { message_bytes_max: 1000, fragments_max: 10, compressed: None };
    let mut client = stage.open(kind);
    client.socket.get_mut().write_all(b"\x82\xfe\x03\xe9\0\0\0\0").unwrap();
    client.expect_close(CloseCode::TooBig);
}

#[test]
fn a_flood_does_not_starve_the_others() {
    let stage = Stage::new(1, Limits::default());
    let (mut other, _) = stage.session("alice");
    let flood = echo(&stage);
    let socket = flood.socket.get_ref().try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let mut socket = socket;
        let mut bytes = Vec::new();
        for _ in 0..1000 {
            // An unsolicited pong has no answer, so nothing ever stops the flood.
            write_frame(&mut bytes, true, OpCode::Pong, Some([0; 4]), &[0; 125]);
        }
        let mut sent = 0_u64;
        // Until the main thread cuts the socket.
        while socket.write_all(&bytes).is_ok() {
            sent += 1;
        }
        sent
    });
    stage.wait_for("a flood", |stats| stats.bytes_in > 10 * MEGABYTE as u64);
    for _ in 0..50 {
        other.expect_silence();
    }
    flood.socket.get_ref().shutdown(std::net::Shutdown::Both).unwrap();
    assert!(sender.join().unwrap() > 0);
}

#[test]
fn a_flood_gets_one_turn_before_the_next_connection() {
    /// More than a turn may read, and what a kernel keeps for a reader.
    const WAITING: usize = 160 * 1024;
    /// What a turn may read, and the messages of the others.
    const TURN: u64 = 64 * 1024 + 1024;

    let stage = Stage::new(1, Limits::default());
    let mut first = stage.stranger();
    let mut sockets = Vec::new();
    let mut keep = |server: &TcpStream| {
        SockRef::from(server).set_recv_buffer_size(4 * WAITING).unwrap();
        sockets.push(server.try_clone().unwrap());
    };
    let kind =
        OpeningKind::Echo { message_bytes_max: MEGABYTE, fragments_max: 1, compressed: None };
    let flood = stage.open_with(kind, b"", Box::new(()), &mut keep);
    let kind =
        OpeningKind::Session { codec: Codec::Json, identity: None, device: None, compressed: None };
    let mut second = stage.open_with(kind, b"", Box::new(()), &mut keep);
    let [of_flood, of_second] = &sockets[..] else { unreachable!() };
    stage.wait_for("all are there", |stats| stats.adopted == 3);

    // While the shard is held up, the flood comes, and behind it one message of somebody else.
    first.auth("hold");
    stage.script.wait_until_held();
    let before = stage.hub.stats().bytes_in;
    let mut pongs = Vec::new();
    while pongs.len() < WAITING {
        write_frame(&mut pongs, true, OpCode::Pong, Some([0; 4]), &[0; 125]);
    }
    let mut socket = flood.socket.get_ref().try_clone().unwrap();
    let sender = std::thread::spawn(move || socket.write_all(&pongs));
    wait_until_waiting(of_flood, WAITING);
    second.auth("hold");
    wait_until_waiting(of_second, 1);

    // That message holds up the shard again, in the turn after the flood's first.
    stage.script.let_go();
    stage.script.wait_until_held();
    let read = stage.hub.stats().bytes_in - before;
    stage.script.let_go();
    assert!(read > 1024 && read < TURN, "{read} bytes before the others had a turn");
    sender.join().unwrap().unwrap();
    stage.wait_for("the rest", |stats| stats.bytes_in - before > WAITING as u64);
}

/// Waits until so many bytes have come and were not read.
fn wait_until_waiting(socket: &TcpStream, bytes: usize) {
    let mut buffer = vec![0; bytes];
    let start = Instant::now();
    // The socket does not block: there may be nothing yet.
    while socket.peek(&mut buffer).unwrap_or(0) < bytes {
        assert!(start.elapsed() < PATIENCE, "the bytes never came");
        std::thread::yield_now();
    }
}

#[test]
fn an_echo_peer_that_vanished_is_not_kept_for_ever() {
    let stage = Stage::new(1, Limits::default());
    let mut client = echo(&stage);
    for _ in 0..5 {
        // Who speaks now and then may stay for long.
        client.socket.send(Message::text("here")).unwrap();
        assert_eq!(client.socket.read().unwrap(), Message::text("here"));
        stage.advance(39_000);
    }
    client.socket.send(Message::text("here")).unwrap();
    assert_eq!(client.socket.read().unwrap(), Message::text("here"));
    stage.advance(42_000);
    client.expect_close(CloseCode::PongTimeout);
}
