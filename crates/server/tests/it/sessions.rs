//! Sessions: how they begin, go on and end.

use serde_json::{Value, json};
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::node::Node;
use crate::talk::Talk;

#[test]
fn auth_as_the_first_command() {
    let node = Node::start(&[]);
    let mut talk = Talk::dial(node.address(), "?device=from-query", None).unwrap();
    for (command, payload) in [
        ("sync", json!({})),
        ("send", json!({ "to": "user:bob", "content": "hi", "client_id": "m1" })),
        ("refresh", json!({ "token": node.token("alice") })),
    ] {
        assert_eq!(talk.refused(command, payload), "unauthorized", "{command}");
    }
    talk.ok("ping", json!({}));
    talk.event("pong");
    let id = talk.post("auth", &json!({ "token": node.token("alice") }));
    // First `connected`, then the ack.
    let connected = talk.event("connected");
    assert_eq!(talk.kept(), Vec::<Value>::new());
    talk.reply(&id).unwrap();
    assert_eq!((&connected["user"], &connected["device"]), (&json!("alice"), &json!("from-query")));
    assert_eq!(talk.text("user:bob", "hi", "m1")["seq"], 1, "what was refused has not happened");

    let mut other = Talk::dial(node.address(), "?device=from-query", None).unwrap();
    let auth = json!({ "token": node.token("alice"), "device": { "id": "from-auth" } });
    other.post("auth", &auth);
    assert_eq!(other.event("connected")["device"], "from-auth");
}

#[test]
fn a_refused_token_in_auth_ends_the_connection() {
    let node = Node::start(&[]);
    let expired = node.token_for("alice", -60);
    for (token, reason) in [("nonsense", "bad_token"), (expired.as_str(), "token_expired")] {
        let mut talk = Talk::dial(node.address(), "", None).unwrap();
        assert_eq!(talk.refused("auth", json!({ "token": token })), reason);
        assert_eq!(talk.closed(), 4001, "{reason}");
    }
}

#[test]
fn who_does_not_say_who_they_are_is_closed() {
    let node = Node::start(&[("LIMITS_AUTH_TIMEOUT_MS", "1000")]);
    let mut silent = Talk::dial(node.address(), "", None).unwrap();
    let mut chatty = Talk::dial(node.address(), "", None).unwrap();
    chatty.ok("ping", json!({}));
    assert_eq!(silent.closed(), 4010);
    assert_eq!(chatty.closed(), 4010);
}

#[test]
fn what_connected_announces() {
    let node = Node::start(&[("LIMITS_COMMANDS_IN_FLIGHT_MAX", "7")]);
    let [first, second] = [(); 2].map(|()| Talk::open(&node, "alice").connected);
    for connected in [&first, &second] {
        assert_eq!(connected["user"], "alice");
        assert_eq!(connected["heartbeat_ms"], 30_000);
        assert_eq!(connected["limits"]["commands_in_flight"], 7);
        assert_eq!(connected["limits"]["message_bytes"], 65_536);
        assert!(connected["expires_at"].as_u64().unwrap() > 1_700_000_000_000, "milliseconds");
        assert!(connected["server"].as_str().unwrap().starts_with("hubbub/"));
    }
    assert_ne!(first["client_id"], second["client_id"]);
    assert_ne!(first["device"], second["device"], "made up, for each its own");
    assert_eq!(first["epoch"], second["epoch"]);
}

#[test]
fn a_newer_connection_of_a_device_replaces_the_older_one() {
    // Several shards, so that the older one may be on another.
    let node = Node::start(&[("SERVER_SHARDS", "3")]);
    let mut laptop = Talk::open_device(&node, "alice", "laptop");
    let mut bobs_phone = Talk::open_device(&node, "bob", "phone");
    let mut newest = Talk::open_device(&node, "alice", "phone");
    for _ in 0..5 {
        let mut older = newest;
        newest = Talk::open_device(&node, "alice", "phone");
        assert_eq!(older.closed(), 4005);
    }
    bobs_phone.text("user:alice", "hi", "m1");
    assert_eq!(newest.content(), "hi");
    assert_eq!(laptop.content(), "hi", "another device stays");
    assert_eq!(newest.text("user:bob", "here", "m2")["seq"], 2);
    assert_eq!(bobs_phone.content(), "here", "and another user's device of the same name");
}

#[test]
fn tokens_end_and_are_renewed() {
    let node = Node::start(&[("LIMITS_EXPIRY_WARNING_MS", "60000")]);
    let mut ends = Talk::open_with(&node, "", &node.token_for("alice", 3));
    let mut goes_on = Talk::open_with(&node, "?device=phone", &node.token_for("alice", 3));
    let warned = goes_on.event("token_expiring");
    assert_eq!(warned["expires_at"], goes_on.connected["expires_at"]);
    for (token, reason) in [(node.token("bob"), "other_user"), ("junk".to_owned(), "bad_token")] {
        assert_eq!(goes_on.refused("refresh", json!({ "token": token })), reason);
    }
    goes_on.ok("refresh", json!({ "token": node.token("alice") }));
    ends.event("token_expiring");
    assert_eq!(ends.closed(), 4004);
    // The other one, whose first token has ended by now as well, goes on.
    assert_eq!(goes_on.text("user:bob", "still here", "m1")["seq"], 1);
}

#[test]
fn a_token_that_has_ended_opens_nothing() {
    let node = Node::start(&[]);
    let expired = node.token_for("alice", -60);
    let refused = Talk::dial(node.address(), "", Some(&expired)).err().unwrap();
    match *refused {
        tungstenite::Error::Http(response) => assert_eq!(response.status().as_u16(), 401),
        other => panic!("{other}"),
    }
    let mut page = Talk::dial(node.address(), &format!("?token={expired}"), None).unwrap();
    assert_eq!(page.closed(), 4004);
    let mut page = Talk::dial(node.address(), "?token=junk", None).unwrap();
    assert_eq!(page.closed(), 4001);
}

#[test]
fn who_gives_no_sign_of_life_is_closed() {
    let node =
        Node::start(&[("LIMITS_PING_INTERVAL_MS", "1000"), ("LIMITS_PONG_TIMEOUT_MS", "1000")]);
    let mut silent = Talk::open(&node, "silent");
    let mut polite = Talk::open(&node, "polite");
    for _ in 0..3 {
        polite.event("ping");
        polite.say(r#"{"type":"pong"}"#);
    }
    silent.event("ping");
    assert_eq!(silent.closed(), 4002);
    // Anything at all is a sign of life, also a pong of the protocol underneath.
    for _ in 0..2 {
        polite.event("ping");
        polite.write(Message::Pong("x".into()));
    }
    polite.text("user:silent", "are you there?", "m1");
}

#[test]
fn the_client_may_close() {
    let node = Node::start(&[]);
    let mut talk = Talk::open(&node, "alice");
    let frame = CloseFrame { code: CloseCode::Normal, reason: "done".into() };
    talk.write(Message::Close(Some(frame)));
    assert_eq!(talk.closed(), 1000, "answered, not cut off");
    Talk::open(&node, "alice").text("user:bob", "again", "m1");
}
