//! Echo connections, and fairness among connections that are busy.

use std::io::Write;

use hubbub_hub::OpeningKind;
use hubbub_proto::CloseCode;
use hubbub_proto::limits::Limits;
use hubbub_websocket::OpCode;
use hubbub_websocket::frame::write_frame;
use tungstenite::Message;

use crate::stage::{Client, Stage};

const MEGABYTE: usize = 1 << 20;

fn echo(stage: &Stage) -> Client {
    let kind = OpeningKind::Echo { message_bytes_max: 16 * MEGABYTE, fragments_max: 65_536 };
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
    let kind = OpeningKind::Echo { message_bytes_max: 1000, fragments_max: 10 };
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
