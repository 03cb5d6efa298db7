//! Starting, stopping, crashing, starting again.

use serde_json::json;

use crate::process::{Data, PATIENCE};
use crate::wire::Session;

fn send(session: &mut Session, id: &str, text: &str) -> serde_json::Value {
    let payload = json!({ "to": "user:bob", "content": text, "client_id": id });
    session.send("send", id, &payload);
    let ack = session.answer(id);
    assert_eq!(ack["type"], "ack", "{ack}");
    ack
}

#[test]
fn a_message_goes_from_one_to_the_other() {
    let data = Data::new();
    let server = data.launch().start();
    let (mut alice, mut bob) =
        (server.session(&data.token("alice")), server.session(&data.token("bob")));
    assert_eq!(bob.next()["type"], "connected");
    let ack = send(&mut alice, "c1", "hello");
    assert_eq!(ack["payload"]["seq"], 1);
    let message = bob.next_of("message");
    assert_eq!(message["payload"]["content"], "hello");
    assert_eq!(message["payload"]["from"], "alice");
    assert_eq!(message["payload"]["message_id"], ack["payload"]["message_id"]);
}

#[test]
fn a_stop_says_goodbye_and_keeps_everything() {
    let data = Data::new();
    let server = data.launch().start();
    let mut alice = server.session(&data.token("alice"));
    let mut idle = server.session(&data.token("bob"));
    let first = send(&mut alice, "c1", "before");
    server.signal("TERM");
    for session in [&mut alice, &mut idle] {
        let bye = session.next_of("bye");
        assert_eq!(bye["payload"]["reconnect"], true, "{bye}");
        assert!(bye["payload"]["retry_after_ms"].is_u64(), "{bye}");
        assert_eq!(session.close_code(), 1001);
    }
    let mut server = server;
    let ended = server.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.log);

    let server = data.launch().start();
    let mut alice = server.session(&data.token("alice"));
    let again = send(&mut alice, "c1", "before");
    assert_eq!(again["payload"]["seq"], first["payload"]["seq"]);
    assert_eq!(again["payload"]["duplicate"], true);
    assert_eq!(send(&mut alice, "c2", "after")["payload"]["seq"], 2);
}

#[test]
fn a_crash_loses_nothing_that_was_acknowledged() {
    let data = Data::new();
    let server = data.launch().start();
    let mut alice = server.session(&data.token("alice"));
    for n in 1..=20 {
        assert_eq!(send(&mut alice, &format!("c{n}"), "text")["payload"]["seq"], n);
    }
    server.kill();
    let server = data.launch().start();
    let mut alice = server.session(&data.token("alice"));
    assert_eq!(send(&mut alice, "c20", "text")["payload"]["seq"], 20);
    assert_eq!(send(&mut alice, "c21", "text")["payload"]["seq"], 21);
}

#[test]
fn an_interrupt_stops_too_and_an_idle_server_stops_soon() {
    let data = Data::new();
    let mut server = data.launch().start();
    let began = std::time::Instant::now();
    server.signal("INT");
    assert_eq!(server.ended().code, Some(0));
    assert!(began.elapsed() < PATIENCE / 3);
}

#[test]
fn a_second_signal_ends_at_once() {
    let data = Data::new();
    // A client that does not answer the close keeps the stop waiting for it.
    let launch = data.launch().set("SERVER_SHUTDOWN_MS", "600000").set("LIMITS_LINGER_MS", "60000");
    let mut server = launch.start();
    let mut alice = server.session(&data.token("alice"));
    assert_eq!(alice.next()["type"], "connected");
    server.signal("TERM");
    assert_eq!(alice.next_of("bye")["type"], "bye");
    server.signal("TERM");
    assert_eq!(server.ended().code, Some(3));
}
