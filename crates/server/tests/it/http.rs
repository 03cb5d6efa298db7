use std::io::Read as _;

use crate::process::Data;
use crate::wire::tcp;

const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[test]
fn addresses() {
    let data = Data::new();
    let server = data.launch().start();
    for (path, status, part) in [
        ("/livez", 200, "ok"),
        ("/readyz", 200, "ready"),
        ("/version", 200, env!("CARGO_PKG_VERSION")),
        ("/", 200, "<html"),
        ("/sdk/index.js", 200, "export"),
        ("/sdk/../secret", 404, "not_found"),
        ("/secret", 404, "not_found"),
        ("/nothing", 404, r#"{"code":404,"reason":"not_found","message":"#),
        ("/echo", 404, "not_found"),
        ("/dev/token", 404, "not_found"),
        ("/ws", 400, "bad_request"),
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.body.contains(part), "{path}: {}", answer.body);
        assert!(answer.head.contains("x-content-type-options: nosniff"), "{path}");
        assert!(answer.head.contains("content-security-policy: "), "{path}");
    }
    let post = server.ask("POST /ws", &[], "");
    assert_eq!((post.status, post.json()["reason"].as_str()), (405, Some("method_not_allowed")));
}

#[test]
fn handshakes_that_are_refused() {
    let data = Data::new();
    let server = data.launch().start();
    let with = |name: &'static str, value: &'static str| {
        let mut headers: Vec<_> = UPGRADE.iter().copied().filter(|(n, _)| *n != name).collect();
        headers.push((name, value));
        headers
    };
    for (name, value, status, reason) in [
        ("Authorization", "Bearer x", 401, "bad_token"),
        ("Authorization", "Basic x", 401, "bad_token"),
        ("Origin", "http://evil.example", 403, "origin_not_allowed"),
        ("Origin", "null", 403, "origin_not_allowed"),
        ("Sec-WebSocket-Version", "8", 426, "upgrade_required"),
        ("Sec-WebSocket-Key", "x", 400, "bad_request"),
        ("Upgrade", "h2c", 400, "bad_request"),
        ("Sec-WebSocket-Protocol", "soap", 400, "unknown_subprotocol"),
    ] {
        let mut headers = with(name, value);
        // The tests' reader waits for the end of the connection.
        headers.retain(|(n, _)| *n != "Connection");
        headers.push(("Connection", "Upgrade, close"));
        let answer = server.ask("GET /ws", &headers, "");
        let json = answer.json();
        assert_eq!(answer.status, status, "{name}: {value}: {json}");
        assert_eq!(json["reason"], reason, "{name}: {value}");
        assert_eq!(json["code"], status, "{name}: {value}");
        assert!(json["message"].is_string(), "{name}: {value}");
        match status {
            401 => assert!(answer.head.contains("www-authenticate: bearer")),
            426 => assert!(answer.head.contains("sec-websocket-version: 13")),
            _ => {}
        }
    }
}

#[test]
fn pages_of_allowed_origins_may_connect() {
    let data = Data::new();
    let origins = "https://app.example,http://localhost:5173";
    let server = data.launch().set("SERVER_ALLOWED_ORIGINS", origins).start();
    let own = format!("http://{}", server.address);
    for origin in ["https://app.example", "http://localhost:5173", own.as_str()] {
        assert!(server.handshake("/ws", &[("origin", origin)]).is_ok(), "{origin}");
    }
    let refused = server.handshake("/ws", &[("origin", "https://app.example.evil")]).err().unwrap();
    assert_eq!(refused.status(), 403);
}

#[test]
fn subprotocols() {
    let data = Data::new();
    let server = data.launch().start();
    let offered = |offer: &str| {
        let headers = [("sec-websocket-protocol", offer)];
        let (_, response) = server.handshake("/ws", &headers).ok().unwrap();
        response.headers()["sec-websocket-protocol"].to_str().unwrap().to_owned()
    };
    assert_eq!(offered("hubbub.v1.json"), "hubbub.v1.json");
    assert_eq!(offered("future, hubbub.v1.json"), "hubbub.v1.json");
    assert_eq!(offered("hubbub.v1.json, bearer.x"), "hubbub.v1.json");
}

#[test]
fn above_the_limit_of_connections() {
    let data = Data::new();
    let server = data.launch().set("SERVER_CONNECTIONS_MAX", "3").start();
    let mut held: Vec<_> = (0..3).map(|_| server.handshake("/ws", &[]).ok().unwrap().0).collect();
    let refused = server.handshake("/ws", &[]).err().unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(server.get("/livez").status, 200);
    assert_eq!(server.get("/").status, 503);

    // A place is free again when a connection is gone.
    let mut leaver = held.pop().unwrap();
    leaver.socket.close(None).unwrap();
    while leaver.socket.read().is_ok() {}
    drop(leaver);
    // The server sees the end a moment after the client does.
    let again = (0..1000).find_map(|_| server.handshake("/ws", &[]).ok());
    assert!(again.is_some());
}

#[test]
fn a_connection_that_says_nothing_is_ended() {
    let data = Data::new();
    let server = data.launch().set("SERVER_HEADERS_TIMEOUT_MS", "100").start();
    let mut silent = tcp(server.address);
    assert_eq!(silent.read(&mut [0]).unwrap_or(0), 0);
}

#[test]
fn echo_where_enabled() {
    use tungstenite::Message;
    let data = Data::new();
    let server = data.launch().set("ECHO_ENABLED", "true").start();
    let (mut session, _) = server.handshake("/echo", &[]).ok().unwrap();
    for message in [Message::text("héllo"), Message::binary(vec![7; 100_000])] {
        session.socket.send(message.clone()).unwrap();
        assert_eq!(session.socket.read().unwrap(), message);
    }
}

#[test]
fn development_tokens() {
    let data = Data::new();
    let server = data.serve();
    let body = r#"{"user":"alice","name":"Alice"}"#;
    let answer = server.ask("POST /dev/token", &[], body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = answer.json();
    assert_eq!(answer["user"], "alice");
    assert!(answer["expires_at"].is_u64());
    let connected = server.session(answer["token"].as_str().unwrap()).next();
    assert_eq!(connected["type"], "connected");
    assert_eq!(connected["payload"]["user"], "alice");
    assert_eq!(connected["payload"]["name"], "Alice");

    for (headers, status) in [
        (&[("Origin", "http://evil.example")][..], 403),
        (&[("Host", "evil.example"), ("Origin", "http://evil.example")], 403),
    ] {
        assert_eq!(server.ask("POST /dev/token", headers, body).status, status);
    }
    assert_eq!(server.ask("POST /dev/token", &[], "{").status, 400);
    assert_eq!(server.ask("POST /dev/token", &[], &"x".repeat(10_000)).status, 413);
}
