//! How connections end.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hubbub_hub::OpeningKind;
use hubbub_proto::CloseCode;
use hubbub_proto::codec::Codec;
use hubbub_proto::limits::Limits;
use serde_json::json;
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;

use crate::stage::{PATIENCE, Stage, identity};

fn stage() -> Stage {
    Stage::new(1, Limits::default())
}

#[test]
fn the_code_arrives_although_input_is_pending() {
    let stage = stage();
    let kind =
        OpeningKind::Echo { message_bytes_max: 100_000, fragments_max: 10, compressed: None };
    let mut client = stage.open(kind);
    // So much is unread that the close frame has to wait in the server's send buffer, and a socket
    // that is closed with unread input forgets what waits there.
    for _ in 0..40 {
        client.socket.send(Message::binary(vec![1; 10_000])).unwrap();
    }
    let mut bad = b"\xff\xff".to_vec();
    bad.extend([7; 200_000]);
    client.socket.get_mut().write_all(&bad).unwrap();
    stage.wait_for("refused", |stats| stats.closes.contains(&(CloseCode::Protocol, 1)));
    client.expect_close(CloseCode::Protocol);
    drop(client);
    stage.wait_for("gone", |stats| stats.connections == 0);
}

#[test]
fn a_client_that_stays_is_dropped_after_the_linger_time() {
    let stage = stage();
    let kind = OpeningKind::Refused(CloseCode::Policy);
    let client = stage.open(kind);
    stage.wait_for("refused", |stats| stats.closes.contains(&(CloseCode::Policy, 1)));
    stage.advance(3_000);
    stage.wait_for("gone", |stats| stats.connections == 0);
    drop(client);
}

#[test]
fn refused_connections_learn_why() {
    let stage = stage();
    for code in [CloseCode::Unauthorized, CloseCode::TooManyConnections] {
        stage.open(OpeningKind::Refused(code)).expect_close(code);
    }
}

#[test]
fn a_client_that_closes_gets_its_code_back() {
    let stage = stage();
    for code in [1000_u16, 1001, 3999, 4321] {
        let (mut client, _) = stage.session("alice");
        let frame = CloseFrame { code: code.into(), reason: "done".into() };
        client.socket.close(Some(frame)).unwrap();
        assert_eq!(client.close_code().0, code);
    }
    let stats = stage.wait_for("gone", |stats| stats.connections == 0);
    assert_eq!((stats.closed_by_client, stats.sessions, stats.lost), (4, 0, 0));
}

#[test]
fn a_lost_socket_is_noticed_and_its_permit_returned() {
    struct Permit(Arc<AtomicUsize>);
    impl Drop for Permit {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let stage = stage();
    let returned = Arc::new(AtomicUsize::new(0));
    let kind = OpeningKind::Session {
        codec: Codec::Json,
        identity: Some(Arc::new(identity("alice", None))),
        device: None,
        compressed: None,
    };
    let mut client = stage.open_with(kind, b"", Box::new(Permit(returned.clone())), |_| {});
    client.expect("connected");
    assert_eq!(returned.load(Ordering::SeqCst), 0);
    drop(client);
    stage.wait_for("lost", |stats| stats.lost == 1 && stats.connections == 0);
    assert_eq!(returned.load(Ordering::SeqCst), 1);
}

#[test]
fn a_panic_ends_one_connection_only() {
    let stage = stage();
    let (mut other, _) = stage.session("bob");
    let mut client = stage.stranger();
    client.send(&json!({"type": "auth", "id": "a", "payload": {"token": "panic"}}));
    client.expect_close(CloseCode::Internal);
    other.expect_silence();
    assert_eq!(stage.hub.stats().panics, 1);
    // The shard still takes and serves new connections.
    stage.session("carol").0.expect_silence();
}

#[test]
fn violations_get_their_code() {
    let check = |bytes: &[u8], code: u16| {
        let stage = stage();
        let (mut client, _) = stage.session("alice");
        client.socket.get_mut().write_all(bytes).unwrap();
        assert_eq!(client.close_code().0, code, "{bytes:x?}");
    };
    check(b"\x81\x02hi", 1002);
    check(b"\xc1\x80\0\0\0\0", 1002);
    check(b"\x81\x81\0\0\0\0\xff", 1007);
    check(b"\x81\xff\0\0\0\0\0\x10\0\0\0\0\0\0", 1009);
}

#[test]
fn shutdown_says_bye_to_everybody() {
    for shards in [1, 2] {
        let stage = Stage::new(shards, Limits::default());
        let mut clients: Vec<_> = (0..20).map(|n| stage.session(&format!("user{n}"))).collect();
        let mut stranger = stage.stranger();
        clients[0].0.command("in-flight");
        let mut clients_of_drain = Vec::new();
        let conn = stage.script.next().conn;
        stage.hub.stop_parsing();
        // Nothing more goes up, but what was taken is answered.
        clients[0].0.command("too-late");
        stage.reply(conn, "answered");
        assert_eq!(clients[0].0.expect("ack")["id"], "answered");
        stage.stranger().expect_close(CloseCode::GoingAway);
        for (client, _) in clients {
            clients_of_drain.push(std::thread::spawn(move || {
                let mut client = client;
                let (code, before) = client.close_code();
                let [bye] = &before[..] else { panic!("{before:?}") };
                assert_eq!(bye["type"], "bye");
                assert_eq!(bye["payload"]["reconnect"], true);
                (code, bye["payload"]["retry_after_ms"].as_u64().unwrap())
            }));
        }
        let reader = std::thread::spawn(move || stranger.close_code().0);
        stage.hub.drain(500..=900, Instant::now() + PATIENCE);
        let mut moments: Vec<u64> = clients_of_drain
            .into_iter()
            .map(|client| {
                let (code, retry_after_ms) = client.join().unwrap();
                assert_eq!(code, 1001);
                retry_after_ms
            })
            .collect();
        // Spread over the range: a quarter of it has a quarter of the clients, give or take.
        moments.sort_unstable();
        assert!(moments[0] >= 500 && moments[19] <= 900, "{moments:?}");
        for quarter in [500..600_u64, 600..700, 700..800, 800..901] {
            let there = moments.iter().filter(|moment| quarter.contains(*moment)).count();
            assert!((2..=9).contains(&there), "{there} of 20 in {quarter:?}: {moments:?}");
        }
        assert_eq!(reader.join().unwrap(), 1001);
        assert!(stage.script.is_idle());
        assert_eq!(stage.hub.stats().connections, 0);
    }
}

#[test]
fn the_deadline_ends_a_shutdown_that_nobody_answers() {
    let stage = stage();
    let kept: Vec<_> = (0..3).map(|n| stage.session(&format!("user{n}"))).collect();
    let start = Instant::now();
    stage.hub.stop_parsing();
    stage.hub.drain(500..=900, start + std::time::Duration::from_millis(300));
    assert!(start.elapsed() < PATIENCE);
    drop(kept);
}

#[test]
fn a_socket_that_comes_after_the_end_is_told_to_go() {
    for shards in [1, 2] {
        let stage = Stage::new(shards, Limits::default());
        stage.hub.stop_parsing();
        stage.hub.drain(500..=900, Instant::now() + PATIENCE);
        for _ in 0..3 {
            stage.stranger().expect_close(CloseCode::GoingAway);
        }
    }
}
