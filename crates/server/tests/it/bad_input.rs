//! What no client should send: each a coded error or a close code, and nobody else notices.
//!
//! The decoder has tables of its own; these are the classes of mistakes, through a socket.

use std::io::{Read as _, Write as _};

use serde_json::{Value, json};
use tungstenite::Message;

use crate::node::Node;
use crate::talk::Talk;

/// A message, the reason of its refusal, and the id in it.
type Refused = (&'static str, &'static str, Option<&'static str>);

const REFUSED: &[Refused] = &[
    // Not JSON, or not an object.
    ("", "bad_json", None),
    (" ", "bad_json", None),
    ("hello", "bad_json", None),
    ("{", "bad_json", None),
    ("{}{}", "bad_json", None),
    (r#"{"type":"ping","id":"1""#, "bad_json", Some("1")),
    (r#"{"type":"ping",}"#, "bad_json", None),
    ("[]", "bad_json", None),
    (r#"["type","ping"]"#, "bad_json", None),
    ("null", "bad_json", None),
    ("17", "bad_json", None),
    (r#""ping""#, "bad_json", None),
    (r#"{'type':'ping'}"#, "bad_json", None),
    ("{\"type\":\"ping\",\"x\":\"\u{1}\"}", "bad_json", None),
    // The envelope.
    ("{}", "bad_field", None),
    (r#"{"id":"1"}"#, "bad_field", Some("1")),
    (r#"{"type":null,"id":"1"}"#, "bad_field", Some("1")),
    (r#"{"type":5,"id":"1"}"#, "bad_field", Some("1")),
    (r#"{"type":"","id":"1"}"#, "unknown_type", Some("1")),
    (r#"{"type":"launch","id":"1"}"#, "unknown_type", Some("1")),
    (r#"{"type":"Send","id":"1"}"#, "unknown_type", Some("1")),
    (r#"{"type":"message","id":"1"}"#, "unknown_type", Some("1")),
    (r#"{"type":"ack","id":"1"}"#, "unknown_type", Some("1")),
    (r#"{"type":"ping","id":""}"#, "bad_field", None),
    (r#"{"type":"ping","id":"a b"}"#, "bad_field", None),
    (r#"{"type":"ping","id":"é"}"#, "bad_field", None),
    (r#"{"type":"ping","id":[1]}"#, "bad_field", None),
    (r#"{"type":"ping","id":1.5}"#, "bad_field", None),
    (r#"{"type":"sync","id":"1","payload":[]}"#, "bad_field", Some("1")),
    (r#"{"type":"sync","id":"1","payload":"x"}"#, "bad_field", Some("1")),
    // Fields that are missing, of another type, or out of their range.
    (r#"{"type":"send","id":"1"}"#, "bad_field", Some("1")),
    (
        r#"{"type":"send","id":"1","payload":{"content":"x","client_id":"m"}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"send","id":"1","payload":{"to":"user:bob","client_id":"m"}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"send","id":"1","payload":{"to":"user:bob","content":"x"}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"send","id":"1","payload":{"to":"user:bob","content":"x","client_id":""}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"send","id":"1","payload":{"to":"user:bob","content":"x","client_id":"a b"}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"send","id":"1","payload":{"to":"user:bob","content":"x","client_id":{}}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"send","id":"1","payload":{"to":"user:bob","content":"x","client_id":"m","kind":"member_joined"}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"send","id":"1","payload":{"to":"user:bob","content":"x","client_id":"m","kind":"custom:"}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"send","id":"1","payload":{"to":"user:bob","content":"\ud800","client_id":"m"}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"read","id":"1","payload":{"conversation":"direct:alice:bob"}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"read","id":"1","payload":{"conversation":"direct:alice:bob","seq":-1}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"read","id":"1","payload":{"conversation":"direct:alice:bob","seq":1.5}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"read","id":"1","payload":{"conversation":"direct:alice:bob","seq":"1"}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"read","id":"1","payload":{"conversation":"direct:alice:bob","seq":1e30}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"typing","id":"1","payload":{"conversation":"direct:alice:bob","active":1}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"history","id":"1","payload":{"conversation":"direct:alice:bob","limit":-5}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"pull","id":"1","payload":{"conversation":"direct:alice:bob","from":1}}"#,
        "bad_field",
        Some("1"),
    ),
    (r#"{"type":"sync","id":"1","payload":{"cursors":[1]}}"#, "bad_field", Some("1")),
    (r#"{"type":"sync","id":"1","payload":{"cursors":{"nowhere":1}}}"#, "bad_field", Some("1")),
    (r#"{"type":"group_create","id":"1","payload":{"name":""}}"#, "bad_field", Some("1")),
    (r#"{"type":"group_create","id":"1","payload":{"name":"a\u0000b"}}"#, "bad_field", Some("1")),
    (
        r#"{"type":"group_create","id":"1","payload":{"name":"x","members":"bob"}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"group_create","id":"1","payload":{"name":"x","join":"anybody"}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"group_invite","id":"1","payload":{"group":"g","members":[]}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"group_role","id":"1","payload":{"group":"g","user":"bob","role":"king"}}"#,
        "bad_field",
        Some("1"),
    ),
    (r#"{"type":"auth","id":"1","payload":{"token":5}}"#, "bad_field", Some("1")),
    (r#"{"type":"refresh","id":"1","payload":{"token":"junk"}}"#, "bad_token", Some("1")),
    // Content that is not of its kind.
    (
        r#"{"type":"send","id":"1","payload":{"to":"user:bob","content":"","client_id":"m"}}"#,
        "bad_content",
        Some("1"),
    ),
    (
        r#"{"type":"send","id":"1","payload":{"to":"user:bob","content":{"url":"data:,x"},"kind":"image","client_id":"m"}}"#,
        "bad_content",
        Some("1"),
    ),
    // Recipients and conversations that cannot be.
    (
        r#"{"type":"send","id":"1","payload":{"to":"bob","content":"x","client_id":"m"}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"send","id":"1","payload":{"to":"user:","content":"x","client_id":"m"}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"send","id":"1","payload":{"to":"user:b b","content":"x","client_id":"m"}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"send","id":"1","payload":{"to":"user:böb","content":"x","client_id":"m"}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"send","id":"1","payload":{"to":"direct:bob:alice","content":"x","client_id":"m"}}"#,
        "bad_field",
        Some("1"),
    ),
    (
        r#"{"type":"send","id":"1","payload":{"to":"direct:bob:carol","content":"x","client_id":"m"}}"#,
        "not_a_member",
        Some("1"),
    ),
    (
        r#"{"type":"send","id":"1","payload":{"to":"group:nowhere","content":"x","client_id":"m"}}"#,
        "not_found",
        Some("1"),
    ),
    (
        r#"{"type":"history","id":"1","payload":{"conversation":"direct:bob:carol"}}"#,
        "not_a_member",
        Some("1"),
    ),
    (
        r#"{"type":"history","id":"1","payload":{"conversation":"group:nowhere"}}"#,
        "not_a_member",
        Some("1"),
    ),
    (
        r#"{"type":"group_members","id":"1","payload":{"group":"nowhere"}}"#,
        "not_a_member",
        Some("1"),
    ),
];

/// Bytes behind the handshake, and the code with which they are answered.
const CLOSED: &[(&str, &[u8], u16)] = &[
    ("a frame without a mask", b"\x81\x02hi", 1002),
    ("a reserved bit", b"\xc1\x80\0\0\0\0", 1002),
    ("a reserved opcode", b"\x83\x80\0\0\0\0", 1002),
    ("a reserved control opcode", b"\x8b\x80\0\0\0\0", 1002),
    ("a ping in fragments", b"\x09\x80\0\0\0\0", 1002),
    ("a ping of 126 bytes", b"\x89\xfe\x00\x7e\0\0\0\0", 1002),
    ("a continuation of nothing", b"\x80\x80\0\0\0\0", 1002),
    ("a length of 2^63", b"\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 1002),
    ("a length that needs fewer bytes", b"\x81\xfe\x00\x01\0\0\0\0x", 1002),
    ("half a message, then another", b"\x01\x81\0\0\0\0a\x81\x81\0\0\0\0b", 1002),
    ("a close code that is none", b"\x88\x82\0\0\0\0\x03\xec", 1002),
    ("a close frame of one byte", b"\x88\x81\0\0\0\0\x03", 1002),
    ("text that is no UTF-8", b"\x81\x82\0\0\0\0\xff\xfe", 1007),
    ("text that ends within a character", b"\x81\x81\0\0\0\0\xe2", 1007),
    ("a binary message", b"\x82\x83\0\0\0\0abc", 1003),
    ("HTTP once more", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1002),
    ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 1002),
];

#[test]
fn bad_input_harms_only_itself() {
    let node = Node::start(&[
        ("LIMITS_COMMANDS_PER_SECOND", "100000"),
        ("LIMITS_COMMANDS_BURST", "100000"),
        ("LIMITS_MESSAGE_BYTES_MAX", "20000"),
    ]);
    // Two who chat all the while.
    let mut carol = Talk::open(&node, "carol");
    let mut dave = Talk::open(&node, "dave");
    let mut said = 0;
    let mut chat = |what: &str| {
        said += 1;
        carol.text("user:dave", what, &format!("m{said}"));
        assert_eq!(dave.content(), what);
    };
    chat("before");

    let mut alice = Talk::open(&node, "alice");
    for (message, reason, id) in REFUSED {
        alice.say(message);
        let error = alice.expect(message, |frame| frame["type"] == "error");
        let payload = &error["payload"];
        assert_eq!(payload["reason"], *reason, "{message}: {error}");
        assert_eq!(error["id"].as_str(), *id, "{message}: {error}");
        assert!(payload["message"].as_str().is_some_and(|text| text.len() < 400), "{error}");
        assert!((400..500).contains(&payload["code"].as_u64().unwrap()), "{error}");
        alice.ok("ping", json!({}));
        alice.event("pong");
        assert_eq!(alice.kept(), Vec::<Value>::new(), "one answer to {message}");
    }
    for (what, message, reason) in grown() {
        alice.say(&message);
        let error = alice.expect(what, |frame| frame["type"] == "error");
        assert_eq!(error["payload"]["reason"], reason, "{what}: {error}");
        alice.ok("ping", json!({}));
    }
    let list = alice.ok("conversations", json!({}));
    assert_eq!(list["conversations"], json!([]), "nothing of this has happened");
    chat("after refusals");

    for (what, bytes, code) in CLOSED {
        let mut alice = Talk::open(&node, "alice");
        alice.raw(bytes);
        assert_eq!(alice.closed(), *code, "{what}");
        chat(what);
    }
    let mut alice = Talk::open(&node, "alice");
    alice.write(Message::text("x".repeat(20_001)));
    assert_eq!(alice.closed(), 1009);

    // Ends in the middle of things.
    for bytes in [&b""[..], b"\x81", b"\x81\xfe\x10\x00\0\0\0\0some", b"\x01\x81\0\0\0\0a"] {
        let mut alice = Talk::open(&node, "alice");
        alice.raw(bytes);
        drop(alice);
        chat("after an end");
    }
    node.stop();
}

/// Messages that are too long to be written down.
fn grown() -> Vec<(&'static str, String, &'static str)> {
    let send = |to: &str, client_id: &str| {
        let payload = json!({ "to": to, "content": "x", "client_id": client_id });
        json!({ "type": "send", "payload": payload }).to_string()
    };
    let cursors: serde_json::Map<String, Value> =
        (0..1001).map(|n| (format!("group:{n}"), json!(1))).collect();
    let members: Vec<String> = (0..1001).map(|n| format!("u{n}")).collect();
    vec![
        ("a user of 129 characters", send(&format!("user:{}", "u".repeat(129)), "m"), "bad_field"),
        (
            "a user of 10000 characters",
            send(&format!("user:{}", "u".repeat(10_000)), "m"),
            "bad_field",
        ),
        ("a client id of 65 characters", send("user:bob", &"m".repeat(65)), "bad_field"),
        (
            "an id of 65 characters",
            json!({ "type": "ping", "id": "i".repeat(65) }).to_string(),
            "bad_field",
        ),
        (
            "an id of 10000 digits",
            format!(r#"{{"type":"ping","id":{}}}"#, "1".repeat(10_000)),
            "bad_field",
        ),
        (
            "a type of 10000 characters",
            json!({ "type": "t".repeat(10_000) }).to_string(),
            "unknown_type",
        ),
        ("brackets, 19000 deep", "[".repeat(19_000), "bad_json"),
        (
            "objects, 3000 deep",
            format!("{}1{}", r#"{"a":"#.repeat(3_000), "}".repeat(3_000)),
            "bad_field",
        ),
        (
            "content that never ends",
            format!(
                r#"{{"type":"send","payload":{{"to":"user:bob","client_id":"m","content":{}"#,
                "[".repeat(9_000)
            ),
            "bad_json",
        ),
        (
            "1001 cursors",
            json!({ "type": "sync", "payload": { "cursors": cursors } }).to_string(),
            "bad_field",
        ),
        (
            "1001 members",
            json!({ "type": "group_create", "payload": { "name": "x", "members": members } })
                .to_string(),
            "bad_field",
        ),
        (
            "a name of 129 characters",
            json!({ "type": "group_create", "payload": { "name": "n".repeat(129) } }).to_string(),
            "bad_field",
        ),
    ]
}

#[test]
fn before_auth_there_is_little_to_break() {
    let node = Node::start(&[]);
    let mut nobody = Talk::dial(node.address(), "", None).unwrap();
    for (message, reason) in [
        ("{", "bad_json"),
        (r#"{"type":"launch"}"#, "unknown_type"),
        (r#"{"type":"send"}"#, "bad_field"),
        (r#"{"type":"sync"}"#, "unauthorized"),
        (r#"{"type":"group_create","payload":{"name":"x"}}"#, "unauthorized"),
        (r#"{"type":"auth"}"#, "bad_field"),
        (r#"{"type":"auth","payload":{"token":["x"]}}"#, "bad_field"),
        (r#"{"type":"auth","payload":{"token":"x","device":{"id":"a b"}}}"#, "bad_field"),
    ] {
        nobody.say(message);
        assert_eq!(nobody.event("error")["reason"], reason, "{message}");
    }
    nobody.ok("auth", json!({ "token": node.token("alice") }));
    nobody.text("user:bob", "hi", "m1");
    for (what, bytes, code) in CLOSED {
        let mut nobody = Talk::dial(node.address(), "", None).unwrap();
        nobody.raw(bytes);
        assert_eq!(nobody.closed(), *code, "{what}");
    }
    node.stop();
}

#[test]
fn a_flood_of_noise_is_survived() {
    let node = Node::start(&[]);
    let mut alice = Talk::open(&node, "alice");
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..60 {
        let mut bytes = Vec::new();
        while bytes.len() < 3_000 {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            bytes.extend(noise.to_le_bytes());
        }
        let mut victim = Talk::dial(node.address(), "", Some(&node.token("noise"))).unwrap();
        // The server may have closed before all of it was written.
        let _written = victim.stream().write_all(&bytes);
        let mut answer = Vec::new();
        let _end = victim.stream().read_to_end(&mut answer);
        alice.text("user:bob", "still there", &format!("m{round}"));
    }
    node.stop();
}
