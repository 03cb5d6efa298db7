//! Sockets whose upgrade the hub itself answers, one and in crowds.

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::Arc;

use bytes::Bytes;
use hubbub_hub::{Opening, OpeningKind};
use hubbub_proto::codec::Codec;
use hubbub_proto::limits::Limits;

use crate::stage::{PATIENCE, Stage, identity};

const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";

/// A client's end, once its other end is on its way to the hub.
fn adopted(stage: &Stage, user: &str) -> TcpStream {
    let client = TcpStream::connect(stage.listener.local_addr().unwrap()).unwrap();
    let (server, remote) = stage.listener.accept().unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let identity = Some(Arc::new(identity(user, None)));
    let kind =
        OpeningKind::Session { codec: Codec::Json, identity, device: None, compressed: None };
    let answer = Bytes::from_static(ANSWER);
    let opening = Opening { kind, answer, remote, permit: Box::new(()) };
    stage.hub.adopt(server.into(), Bytes::new(), opening);
    client
}

/// The answer and the head of the frame behind it.
fn first_bytes(client: &mut TcpStream) -> (Vec<u8>, u8) {
    let mut bytes = [0; ANSWER.len() + 1];
    client.read_exact(&mut bytes).unwrap();
    (bytes[..ANSWER.len()].to_vec(), bytes[ANSWER.len()])
}

#[test]
fn the_answer_comes_before_everything_else() {
    let stage = Stage::new(1, Limits::default());
    let mut client = adopted(&stage, "alice");
    assert_eq!(first_bytes(&mut client), (ANSWER.to_vec(), 0x81), "then `connected`, a text");
    let stats = stage.wait_for("counted", |stats| stats.flushes > 0);
    assert_eq!(stats.flushes, 1, "both in one write");
}

#[test]
fn a_crowd_is_adopted_over_several_ticks() {
    let stage = Stage::new(1, Limits::default());
    let mut first = stage.stranger();
    first.auth("hold");
    stage.script.wait_until_held();
    let mut crowd: Vec<TcpStream> = (0..200).map(|n| adopted(&stage, &format!("u{n}"))).collect();
    stage.script.let_go();
    for client in &mut crowd {
        assert_eq!(first_bytes(client).0, ANSWER);
    }
    assert_eq!(stage.hub.stats().connections, 201);
}

#[test]
fn when_a_crowd_has_gone_its_memory_is_given_back() {
    let stage = Stage::new(1, Limits::default());
    let (mut stays, _) = stage.session("alice");
    for client in &mut (0..200).map(|n| adopted(&stage, &format!("u{n}"))).collect::<Vec<_>>() {
        first_bytes(client);
    }
    stage.wait_for("gone", |stats| stats.connections == 1);
    let before = stage.hub.stats().tidied;
    // A busy second and a calm one; fewer than after which a ping would come.
    let seconds = std::cell::Cell::new(0);
    stage.wait_for("tidied", |stats| {
        if seconds.replace(seconds.get() + 1) < 5 {
            stage.advance(1000);
        }
        stats.tidied > before
    });
    let clients: Vec<_> = (0..300).map(|n| stage.session(&format!("v{n}"))).collect();
    assert_eq!(stage.hub.stats().connections, 301);
    drop(clients);
    stays.expect_silence();
}

#[test]
fn after_the_end_the_answer_is_still_given() {
    let stage = Stage::new(1, Limits::default());
    stage.hub.drain(500..=900, std::time::Instant::now() + PATIENCE);
    let mut client = adopted(&stage, "late");
    assert_eq!(first_bytes(&mut client), (ANSWER.to_vec(), 0x88), "then a close frame");
}
