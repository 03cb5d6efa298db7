//! Connections over TLS, with rustls as the client, from the hand-over on.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use hubbub_hub::tls::{KEPT_MAX, Tls};
use hubbub_hub::{LiveConfig, Namespace, Opening, OpeningKind, Socket};
use hubbub_proto::codec::Codec;
use hubbub_proto::limits::Limits;
use hubbub_proto::route::Stamp;
use hubbub_proto::{CloseCode, CommandId, Effect, Reason, Refusal, Who};
use hubbub_websocket::OpCode;
use hubbub_websocket::frame::write_frame;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned,
    SupportedProtocolVersion,
};
use serde_json::json;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use crate::stage::{Client, PATIENCE, Stage, entry, identity, small_buffers, user_topic};

type Stream = StreamOwned<ClientConnection, TcpStream>;

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
const MEGABYTE: usize = 1 << 20;

/// A certificate for `localhost`, and its key.
static OWN: LazyLock<(CertificateDer<'static>, PrivateKeyDer<'static>)> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    (made.cert.der().clone(), key)
});

fn server_config() -> Arc<ServerConfig> {
    let (certificate, key) = &*OWN;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.clone_key())
        .unwrap();
    Arc::new(config)
}

fn client(version: &'static SupportedProtocolVersion) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(OWN.0.clone()).unwrap();
    let config = ClientConfig::builder_with_protocol_versions(&[version])
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap()
}

/// The server's side of a handshake, and what came behind it.
fn shake_hands(stream: &mut TcpStream) -> (Tls, Vec<u8>) {
    let mut tls = Tls::new(server_config()).unwrap();
    let (mut buffer, mut plaintext) = (vec![0; KEPT_MAX + 4096], Vec::new());
    while tls.is_handshaking() {
        let kept = tls.kept();
        let read = stream.read(&mut buffer[kept..]).unwrap();
        tls.receive(&mut buffer[..kept + read], &mut plaintext).unwrap();
        tls.write_pending(stream).unwrap();
    }
    (tls, plaintext)
}

/// Opens a connection; `first` goes out in one write with the end of the client's handshake.
fn open(
    stage: &Stage,
    version: &'static SupportedProtocolVersion,
    kind: OpeningKind,
    first: &[u8],
    prepare: impl FnOnce(&TcpStream),
) -> Client<Stream> {
    let mut socket = TcpStream::connect(stage.listener.local_addr().unwrap()).unwrap();
    let (mut server, remote) = stage.listener.accept().unwrap();
    prepare(&server);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    let handshake = std::thread::spawn(move || {
        let (tls, already_read) = shake_hands(&mut server);
        (server, tls, already_read)
    });
    let mut connection = client(version);
    while connection.is_handshaking() {
        while connection.wants_write() && connection.is_handshaking() {
            connection.write_tls(&mut socket).unwrap();
        }
        if connection.is_handshaking() {
            connection.read_tls(&mut socket).unwrap();
            connection.process_new_packets().unwrap();
        }
    }
    connection.writer().write_all(first).unwrap();
    let mut last = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut last).unwrap();
    }
    socket.write_all(&last).unwrap();
    let (server, tls, already_read) = handshake.join().unwrap();
    let opening = Opening { kind, answer: Bytes::new(), remote, permit: Box::new(()) };
    stage.hub.adopt(Socket::Tls(server, Box::new(tls)), already_read.into(), opening);
    let stream = StreamOwned::new(connection, socket);
    Client { socket: WebSocket::from_raw_socket(stream, Role::Client, None) }
}

fn echo(stage: &Stage, version: &'static SupportedProtocolVersion) -> Client<Stream> {
    open(stage, version, echo_kind(), b"", |_| {})
}

fn echo_kind() -> OpeningKind {
    OpeningKind::Echo { message_bytes_max: 16 * MEGABYTE, fragments_max: 10, compressed: None }
}

fn session(who: &str) -> OpeningKind {
    let identity = Some(Arc::new(identity(who, None)));
    OpeningKind::Session { codec: Codec::Json, identity, device: None, compressed: None }
}

/// Whether the server said that it sends nothing more, rather than only closing its socket.
fn expect_close_notify(client: &mut Client<Stream>) {
    assert_eq!(client.socket.get_mut().read(&mut [0]).unwrap(), 0);
}

#[test]
fn both_versions_carry_a_session_to_its_orderly_end() {
    for version in BOTH {
        let stage = Stage::new(1, Limits::default());
        let mut client = open(&stage, version, session("alice"), b"", |_| {});
        let conn = stage.introduce(&mut client);
        client.command("1");
        stage.script.next();
        stage.reply(conn, "1");
        assert_eq!(client.expect("ack")["id"], "1");
        stage.router.post(vec![Effect::Publish(entry(&[user_topic("alice")], "g", 1, "hi"))]);
        client.expect_entry(1);
        client.socket.close(None).unwrap();
        assert_eq!(client.close_code(), (1005, vec![]));
        expect_close_notify(&mut client);
        client.socket.get_mut().conn.send_close_notify();
        client.socket.get_mut().flush().unwrap();
        drop(client);
        let stats = stage.wait_for("the end", |stats| stats.connections == 0);
        assert_eq!((stats.closed_by_client, stats.lost), (1, 0));
        assert_eq!((stats.tls_failures, stats.tls_truncated), (0, 0));
    }
}

#[test]
fn a_code_of_ours_arrives_before_the_end() {
    let stage = Stage::new(1, Limits::default());
    for version in BOTH {
        let kind = OpeningKind::Refused(CloseCode::TokenExpired);
        let mut client = open(&stage, version, kind, b"", |_| {});
        client.expect_close(CloseCode::TokenExpired);
        expect_close_notify(&mut client);
    }
}

#[test]
fn megabytes_come_back_over_many_records() {
    let stage = Stage::new(1, Limits::default());
    for version in BOTH {
        let mut client = echo(&stage, version);
        for len in [0, 1, 16_383, 16_384, 16_385, 40_000, 300_000] {
            let message = Message::binary((0..len).map(|n| n as u8).collect::<Vec<u8>>());
            client.socket.send(message.clone()).unwrap();
            assert!(client.socket.read().unwrap() == message, "{len}");
        }
    }
    // More than all buffers on the way hold: both directions get stuck and go on.
    let client = echo(&stage, &TLS13);
    let Client { socket } = client;
    let stream = socket.into_inner();
    let text = "0123456789".repeat(MEGABYTE);
    let mut frame = Vec::new();
    write_frame(&mut frame, true, OpCode::Text, Some([1, 2, 3, 4]), text.as_bytes());
    let echoed = talk_both_ways(stream, &frame, text.len());
    assert!(echoed.ends_with(text.as_bytes()));
}

/// Writes `frame` and reads until `len` bytes and a frame's head have come, as the socket allows.
fn talk_both_ways(stream: Stream, frame: &[u8], len: usize) -> Vec<u8> {
    let StreamOwned { mut conn, mut sock } = stream;
    conn.set_buffer_limit(None);
    conn.writer().write_all(frame).unwrap();
    let mut wire = Vec::new();
    while conn.wants_write() {
        conn.write_tls(&mut wire).unwrap();
    }
    let mut writer = sock.try_clone().unwrap();
    let sender = std::thread::spawn(move || writer.write_all(&wire).unwrap());
    let mut echoed = Vec::new();
    while echoed.len() < len + 10 {
        assert!(conn.read_tls(&mut sock).unwrap() > 0);
        let state = conn.process_new_packets().unwrap();
        let start = echoed.len();
        echoed.resize(start + state.plaintext_bytes_to_read(), 0);
        conn.reader().read_exact(&mut echoed[start..]).unwrap();
    }
    sender.join().unwrap();
    echoed
}

#[test]
fn records_come_byte_by_byte_and_with_the_handshake() {
    let stage = Stage::new(1, Limits::default());
    for version in BOTH {
        let mut hello = Vec::new();
        write_frame(&mut hello, true, OpCode::Text, Some([0; 4]), b"early");
        let mut client = open(&stage, version, echo_kind(), &hello, |_| {});
        assert_eq!(client.socket.read().unwrap(), Message::text("early"));

        let StreamOwned { conn, sock } = client.socket.get_mut();
        let mut frame = Vec::new();
        write_frame(&mut frame, true, OpCode::Text, Some([0; 4]), b"drop by drop");
        conn.writer().write_all(&frame).unwrap();
        let mut wire = Vec::new();
        conn.write_tls(&mut wire).unwrap();
        for (n, byte) in wire.iter().enumerate() {
            let before = stage.hub.stats().bytes_in;
            sock.write_all(&[*byte]).unwrap();
            if n + 1 < wire.len() {
                stage.wait_for("a byte", |stats| stats.bytes_in > before);
            }
        }
        assert_eq!(client.socket.read().unwrap(), Message::text("drop by drop"));
    }
}

#[test]
fn keys_are_updated_from_both_sides_of_a_message() {
    let stage = Stage::new(1, Limits::default());
    let mut client = echo(&stage, &TLS13);
    for n in 0..20 {
        client.socket.get_mut().conn.refresh_traffic_keys().unwrap();
        let message = Message::text(n.to_string());
        client.socket.send(message.clone()).unwrap();
        assert_eq!(client.socket.read().unwrap(), message);
    }
}

#[test]
fn what_is_not_tls_ends_that_connection_with_an_alert() {
    let stage = Stage::new(1, Limits::default());
    let mut other = echo(&stage, &TLS13);
    let mut failures = 0;
    for version in BOTH {
        for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x17\x03\x03\0\x20", &[0; 64]] {
            let mut client = echo(&stage, version);
            let mut bytes = garbage.to_vec();
            bytes.resize(64, 0x55);
            client.socket.get_mut().sock.write_all(&bytes).unwrap();
            let error = client.socket.get_mut().read(&mut [0]).unwrap_err();
            assert!(error.to_string().contains("received fatal alert"), "{error}");
            failures += 1;
            let stats = stage.wait_for("the failure", |stats| stats.tls_failures == failures);
            assert_eq!(stats.lost, failures);
        }
    }
    other.socket.send(Message::text("still here")).unwrap();
    assert_eq!(other.socket.read().unwrap(), Message::text("still here"));
}

#[test]
fn an_end_without_notice_is_counted() {
    let stage = Stage::new(1, Limits::default());
    let client = echo(&stage, &TLS13);
    client.socket.get_ref().sock.shutdown(Shutdown::Write).unwrap();
    let stats = stage.wait_for("the end", |stats| stats.lost == 1);
    assert_eq!(stats.tls_truncated, 1);
    let mut client = echo(&stage, &TLS12);
    client.socket.get_mut().conn.send_close_notify();
    client.socket.get_mut().flush().unwrap();
    let stats = stage.wait_for("the end", |stats| stats.lost == 2);
    assert_eq!((stats.tls_truncated, stats.tls_failures), (1, 0));
}

fn small_outbox() -> Limits {
    Limits { outbox_bytes_max: 64 * 1024, ..Limits::default() }
}

#[test]
fn a_slow_reader_is_told_that_it_lags() {
    let stage = Stage::new(1, small_outbox());
    let mut slow = open(&stage, &TLS13, session("slow"), b"", small_buffers);
    stage.introduce(&mut slow);
    let mut seq = 0;
    while stage.hub.stats().dropped_lagging < 20 {
        seq += 1;
        let publication = entry(&[user_topic("slow")], "g", seq, &"x".repeat(2000));
        stage.router.post(vec![Effect::Publish(publication)]);
    }
    let mut last = 0;
    loop {
        let event = slow.receive();
        if event["type"] == "lag" {
            break;
        }
        last += 1;
        assert_eq!(event["payload"]["seq"], last);
    }
    slow.send(&json!({"type": "ping"}));
    while slow.receive()["type"] != "pong" {}
}

#[test]
fn a_reader_that_takes_no_replies_gets_its_code() {
    let stage = Stage::new(1, small_outbox());
    let mut slow = open(&stage, &TLS13, session("slow"), b"", small_buffers);
    let conn = stage.introduce(&mut slow);
    let mut replies = 0;
    while stage.hub.stats().closes.iter().all(|(_, count)| *count == 0) {
        replies += 1;
        assert!(replies < 10_000, "never closed");
        stage.router.post(vec![Effect::Reply {
            read_at: Stamp::default(),
            conn,
            id: CommandId::new(&replies.to_string()).ok(),
            outcome: Err(Refusal::with(Reason::NotFound, "y".repeat(8000))),
        }]);
    }
    let (code, before) = slow.close_code();
    assert_eq!(code, CloseCode::SlowConsumer.code());
    for (n, reply) in before.iter().enumerate() {
        assert_eq!(reply["id"], (n + 1).to_string());
    }
    expect_close_notify(&mut slow);
}

#[test]
fn a_publication_that_the_socket_takes_in_parts_arrives_whole() {
    let namespace = Namespace {
        subscribe: Who::Everyone.into(),
        publish: Who::Everyone.into(),
        ..Namespace::default()
    };
    let live = LiveConfig { namespaces: vec![("open".into(), namespace)], ..LiveConfig::default() };
    let stage = Stage::with_live(1, Limits::default(), live);
    let mut subscriber = open(&stage, &TLS13, session("alice"), b"", small_buffers);
    stage.introduce(&mut subscriber);
    subscriber.send(&json!({"type": "subscribe", "id": "s", "payload": {"channel": "open:a"}}));
    subscriber.expect("ack");
    let (mut publisher, _) = stage.session("bob");
    let data = "x".repeat(14_000);
    for offset in 1..20 {
        let payload = json!({"channel": "open:a", "data": data});
        publisher.send(&json!({"type": "publish", "payload": payload}));
        assert_eq!(subscriber.expect("publication")["payload"]["offset"], offset);
    }
}
