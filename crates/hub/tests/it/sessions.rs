//! Opening, authenticating, staying alive.

use std::collections::HashSet;

use hubbub_hub::OpeningKind;
use hubbub_proto::codec::Codec;
use hubbub_proto::limits::Limits;
use hubbub_proto::route::Work;
use hubbub_proto::{CloseCode, DeviceId, Effect};
use serde_json::json;
use tungstenite::Message;

use crate::stage::{Stage, command_of, entry, id_of, now, user_topic};

fn stage() -> Stage {
    Stage::new(1, Limits::default())
}

#[test]
fn a_token_with_the_request_opens_the_session() {
    let stage = stage();
    let mut names = HashSet::new();
    for _ in 0..2 {
        let identity = Some(std::sync::Arc::new(crate::stage::identity("alice/phone", None)));
        let kind =
            OpeningKind::Session { codec: Codec::Json, identity, device: None, compressed: None };
        let connected = stage.open(kind).expect("connected");
        let payload = &connected["payload"];
        assert_eq!(payload["user"], "alice");
        assert_eq!(payload["device"], "phone");
        assert_eq!(payload["epoch"], "epoch-1");
        assert_eq!(payload["heartbeat_ms"], 30_000);
        assert_eq!(payload["limits"]["commands_in_flight"], 64);
        assert!(connected["timestamp"].as_u64().unwrap() > 0);
        assert!(names.insert(payload["client_id"].as_str().unwrap().to_owned()));
    }
}

#[test]
fn auth_may_come_as_the_first_command() {
    let stage = stage();
    let device = Some(DeviceId::new("tablet").unwrap());
    let mut client = stage.open(OpeningKind::Session {
        codec: Codec::Json,
        identity: None,
        device,
        compressed: None,
    });
    client.command("early");
    let refused = client.expect("error");
    assert_eq!(
        (&refused["id"], &refused["payload"]["reason"]),
        (&json!("early"), &json!("unauthorized"))
    );
    client.send(&json!({"type": "auth", "id": "a", "payload": {"token": "bob"}}));
    let connected = client.expect("connected");
    assert_eq!(connected["payload"]["user"], "bob");
    assert_eq!(connected["payload"]["device"], "tablet", "the device that the request named");
    assert_eq!(client.expect("ack")["id"], "a");
    client.command("later");
    assert_eq!(id_of(&stage.script.next()), "later");
}

#[test]
fn bytes_read_with_the_request_are_the_first_commands() {
    // Masked with zeros: the payload as it is.
    const PING: &[u8] = b"\x81\x8f\0\0\0\0{\"type\":\"ping\"}";
    let stage = stage();
    let kind =
        OpeningKind::Session { codec: Codec::Json, identity: None, device: None, compressed: None };
    stage.open_with(kind, PING, Box::new(()), |_| {}).expect("pong");
}

#[test]
fn a_bad_token_is_refused_and_ends_the_connection() {
    let stage = stage();
    let mut client = stage.stranger();
    client.send(&json!({"type": "auth", "id": "a", "payload": {"token": "bad"}}));
    assert_eq!(client.expect("error")["payload"]["reason"], "bad_token");
    client.expect_close(CloseCode::Unauthorized);
}

#[test]
fn without_auth_the_connection_ends() {
    let stage = stage();
    let mut client = stage.stranger();
    client.send(&json!({"type": "ping"}));
    client.expect("pong");
    stage.advance(11_000);
    client.expect_close(CloseCode::AuthTimeout);
}

#[test]
fn a_leap_of_the_clock_forgets_no_deadline() {
    let stage = stage();
    let (mut session, _) = stage.session("alice");
    let mut stranger = stage.stranger();
    stranger.expect_silence();
    stage.advance(1_000_000);
    stranger.expect_close(CloseCode::AuthTimeout);
    session.expect("ping");
    stage.advance(1_000_000);
    session.expect_close(CloseCode::PongTimeout);
}

#[test]
fn a_token_that_ends_is_announced_and_renewed() {
    // No pings: only the tokens matter here.
    let stage = Stage::new(1, Limits { ping_interval_ms: 3_600_000, ..Limits::default() });
    let soon = now() + 90_000;
    let (mut client, _) = stage.session(&format!("alice/phone/{soon}"));
    let (mut other, _) = stage.session(&format!("bob/phone/{soon}"));
    stage.advance(32_000);
    for client in [&mut client, &mut other] {
        assert_eq!(client.expect("token_expiring")["payload"]["expires_at"], soon);
    }
    client.send(&json!({"type": "refresh", "id": "r1", "payload": {"token": "mallory"}}));
    assert_eq!(client.expect("error")["payload"]["reason"], "other_user");
    let later = format!("alice/phone/{}", soon + 1_000_000);
    client.send(&json!({"type": "refresh", "id": "r2", "payload": {"token": later}}));
    client.expect("ack");
    stage.advance(60_000);
    other.expect_close(CloseCode::TokenExpired);
    client.expect_silence();
}

#[test]
fn silence_after_a_ping_ends_the_connection() {
    let stage = stage();
    let (mut quiet, _) = stage.session("quiet");
    let (mut alive, _) = stage.session("alive");
    stage.advance(31_000);
    assert_eq!(quiet.expect("ping")["payload"], json!({}));
    alive.expect("ping");
    alive.send(&json!({"type": "pong"}));
    alive.expect_silence();
    stage.advance(12_000);
    quiet.expect_close(CloseCode::PongTimeout);
    alive.expect_silence();
}

#[test]
fn entries_are_redelivered_until_confirmed() {
    let stage = stage();
    let (mut client, conn) = stage.session("alice");
    stage.router.post(vec![Effect::Publish(entry(&[user_topic("alice")], "g", 7, "hi"))]);
    client.expect_entry(7);
    stage.advance(11_000);
    let request = stage.script.next();
    assert_eq!(request.conn, conn);
    let Work::Redeliver { conversation, after: 6, attempt: 2 } = request.work else {
        panic!("{request:?}");
    };
    assert_eq!(conversation.as_str(), "group:g");
    client.send(&json!({"type": "received", "payload": {"conversation": "group:g", "seq": 7}}));
    assert_eq!(command_of(&stage.script.next()).class(), hubbub_proto::command::Class::Soft);
    stage.advance(11_000);
    client.command("marker");
    assert_eq!(id_of(&stage.script.next()), "marker", "nothing to redeliver any more");
}

#[test]
fn a_newer_connection_of_the_device_takes_over() {
    // Two shards: the second connection goes to the other one.
    for shards in [1, 2] {
        let stage = Stage::new(shards, Limits::default());
        let (mut older, first) = stage.session("alice/phone");
        let (mut laptop, _) = stage.session("alice/laptop");
        let (mut unnamed, _) = stage.session("alice");
        let (mut newer, second) = stage.session("alice/phone");
        older.expect_close(CloseCode::Replaced);
        assert_ne!((first.shard, first.slot), (second.shard, second.slot));
        for client in [&mut laptop, &mut unnamed, &mut newer] {
            client.expect_silence();
        }
    }
}

#[test]
fn what_cannot_be_read_is_answered_and_survived() {
    let stage = stage();
    let (mut client, _) = stage.session("alice");
    for (text, reason) in [
        ("nonsense", "bad_json"),
        ("[]", "bad_json"),
        (r#"{"type":"fly","id":"1"}"#, "unknown_type"),
        (r#"{"type":"history","id":"1","payload":{}}"#, "bad_field"),
    ] {
        client.socket.send(Message::text(text)).unwrap();
        assert_eq!(client.expect("error")["payload"]["reason"], reason, "{text}");
    }
    client.socket.send(Message::binary(&b"\x00"[..])).unwrap();
    client.expect_close(CloseCode::Unsupported);
}

#[test]
fn a_flood_is_refused_and_then_closed() {
    let limits = Limits {
        commands_per_second: 1,
        commands_burst: 3,
        rate_refusals_max: 4,
        ..Limits::default()
    };
    let stage = Stage::new(1, limits);
    let mut client = stage.stranger();
    for n in 0..7 {
        client.command(&n.to_string());
    }
    for n in 0..7 {
        let error = client.expect("error");
        assert_eq!(error["id"], n.to_string());
        let reason = if n < 3 { "unauthorized" } else { "rate_limited" };
        assert_eq!(error["payload"]["reason"], reason);
        assert_eq!(error["payload"]["retry_after_ms"].is_u64(), n >= 3);
    }
    client.expect_close(CloseCode::RateLimited);
}
