//! The same connection over other sockets than TCP.

use std::os::unix::net::UnixStream;

use bytes::Bytes;
use hubbub_hub::{Opening, OpeningKind};
use hubbub_proto::CloseCode;
use hubbub_proto::limits::Limits;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use crate::stage::{PATIENCE, Stage};

/// A connection over a socket pair, as a bridge makes it.
fn bridged(stage: &Stage, kind: OpeningKind, already_read: &'static [u8]) -> WebSocket<UnixStream> {
    let (client, server) = UnixStream::pair().unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let opening = Opening {
        kind,
        answer: Bytes::new(),
        remote: "127.0.0.1:1".parse().unwrap(),
        permit: Box::new(()),
    };
    stage.hub.adopt(server.into(), Bytes::from_static(already_read), opening);
    WebSocket::from_raw_socket(client, Role::Client, None)
}

fn echo() -> OpeningKind {
    OpeningKind::Echo { message_bytes_max: 8 << 20, fragments_max: 10, compressed: None }
}

#[test]
fn a_socket_pair_carries_a_connection_to_its_orderly_end() {
    let stage = Stage::new(1, Limits::default());
    let mut client = bridged(&stage, echo(), b"\x81\x82\0\0\0\0hi");
    assert_eq!(client.read().unwrap(), Message::text("hi"));
    let large = "0123456789".repeat(400_000);
    let mut writer =
        WebSocket::from_raw_socket(client.get_ref().try_clone().unwrap(), Role::Client, None);
    let sent = large.clone();
    let sender = std::thread::spawn(move || writer.send(Message::text(sent)).unwrap());
    assert!(client.read().unwrap() == Message::text(large));
    sender.join().unwrap();
    client.close(None).unwrap();
    assert!(matches!(client.read().unwrap(), Message::Close(_)));
    assert!(matches!(client.read(), Err(tungstenite::Error::ConnectionClosed)));
    let stats = stage.wait_for("the end", |stats| stats.connections == 0);
    assert_eq!((stats.closed_by_client, stats.lost), (1, 0));
}

#[test]
fn a_bridge_that_goes_away_is_a_lost_connection() {
    let stage = Stage::new(1, Limits::default());
    drop(bridged(&stage, echo(), b""));
    stage.wait_for("the end", |stats| stats.lost == 1 && stats.connections == 0);
}

#[test]
fn a_refusal_reaches_the_other_end_of_a_pair() {
    let stage = Stage::new(1, Limits::default());
    let mut client = bridged(&stage, OpeningKind::Refused(CloseCode::TokenExpired), b"");
    match client.read().unwrap() {
        Message::Close(Some(frame)) => {
            assert_eq!(u16::from(frame.code), CloseCode::TokenExpired.code());
        }
        other => panic!("{other:?}"),
    }
}
