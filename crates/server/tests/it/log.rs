//! What the log says, at which level, and what it never says.

use std::fs;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use crate::process::{Data, Launch, PATIENCE, Server};
use crate::wire::Session;

/// What clients keep to themselves has this in it, wherever it stands.
const SECRET: &str = "zxq-secret-qxz";

fn send(session: &mut Session, id: &str, content: &str) -> Value {
    let payload = json!({ "to": "user:bob", "content": content, "client_id": id });
    session.send("send", id, &payload);
    session.answer(id)
}

#[test]
fn tokens_and_contents_are_in_no_line_however_much_is_said() {
    let data = Data::new();
    let launch = data.launch().dev().set("LOG_LEVEL", "trace").set("LOG_FORMAT", "json");
    let server = launch.set("ADMIN_WHO", "role:ops").set("METRICS_BIND", "127.0.0.1:0").start();
    let token = data.token("alice");
    let admin = data.token_with("root", None, &["ops"], 3600);
    let bad = format!("eyJhbGciOiJIUzI1NiJ9.{SECRET}.x");
    let bearer = |token: &str| format!("Bearer {token}");
    let mut tokens = vec![token.clone(), admin.clone(), data.token_for("old", None, -100)];

    // Good tokens by each way, and bad ones.
    let mut alice = server.session(&token);
    let id = alice.next_of("connected")["payload"]["client_id"].clone();
    assert!(id.is_string());
    let mut bob = {
        let token = data.token("bob");
        tokens.push(token.clone());
        let shown = bearer(&token);
        server.handshake("/ws", &[("Authorization", &shown)]).ok().unwrap().0
    };
    bob.next_of("connected");
    let mut late = server.handshake("/ws", &[]).ok().unwrap().0;
    late.send("auth", "1", &json!({ "token": bad }));
    assert_eq!(late.answer("1")["type"], "error");
    let mut other = server.handshake("/ws", &[]).ok().unwrap().0;
    let token = data.token("carol");
    other.send("auth", "1", &json!({ "token": token }));
    assert_eq!(other.answer("1")["type"], "ack");
    tokens.push(token);
    for (path, name, value) in [
        (format!("/ws?token={bad}"), "X-Nothing", "x".to_owned()),
        ("/ws".to_owned(), "Authorization", bearer(&bad)),
        ("/ws".to_owned(), "Authorization", bearer(&tokens[2])),
        ("/ws".to_owned(), "Cookie", format!("hubbub_token={bad}")),
        ("/ws".to_owned(), "Sec-WebSocket-Protocol", format!("hubbub.v1.json, bearer.{bad}")),
    ] {
        let _refused = server.handshake(&path, &[(name, &value)]);
    }
    for token in [&*bad, &admin] {
        server.ask("GET /metrics", &[("Authorization", &bearer(token))], "");
        server.ask(&format!("GET /metrics?token={token}"), &[], "");
    }
    let signed_in = server.ask("POST /dev/token", &[], &json!({ "user": "dave" }).to_string());
    tokens.push(signed_in.json()["token"].as_str().unwrap().to_owned());
    server.ask("POST /dev/token", &[], &format!("{{\"user\": \"{SECRET}"));

    // Messages that are written, repeated, refused, and not understood.
    let ack = send(&mut alice, "m1", SECRET);
    assert_eq!(ack["type"], "ack");
    bob.next_of("message");
    assert_eq!(send(&mut alice, "m1", SECRET)["payload"]["duplicate"], true);
    assert_eq!(send(&mut alice, "m1", &format!("other {SECRET}"))["payload"]["reason"], "conflict");
    let nested = format!("{}\"{SECRET}\"{}", "[".repeat(200), "]".repeat(200));
    for text in [
        format!(
            "{{\"type\":\"send\",\"id\":\"d\",\"payload\":{{\"to\":\"user:bob\",\"content\":{nested}}}}}"
        ),
        format!("{{\"type\":\"{SECRET}\",\"id\":\"t\"}}"),
        format!("{SECRET}{{"),
        json!({ "type": "send", "id": "k", "payload": { "to": SECRET, "content": 1 } }).to_string(),
    ] {
        alice.socket.send(tungstenite::Message::text(text)).unwrap();
        alice.next_of("error");
    }
    alice.send("history", "h", &json!({ "conversation": "direct:alice:bob" }));
    assert_eq!(alice.answer("h")["type"], "ack");
    alice.socket.close(None).unwrap();

    drop((bob, late, other));
    let log = server.stop().log;
    assert!(!log.contains(SECRET), "{}", line_with(&log, SECRET));
    for token in &tokens {
        // Neither the whole nor its signature.
        let signature = token.rsplit('.').next().unwrap();
        assert!(!log.contains(signature), "{}", line_with(&log, signature));
    }
    assert!(!log.contains("eyJ"), "{}", line_with(&log, "eyJ"));

    // It is worth reading all the same: who, on which connection, what message.
    // Development mode is announced in words.
    let lines: Vec<Value> =
        log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).collect();
    let find = |message: &str, field: &str, value: &str| {
        let found = lines.iter().map(|line| &line["fields"]).find(|fields| {
            fields["message"] == message && (value.is_empty() || fields[field] == value)
        });
        found.unwrap_or_else(|| panic!("no {message} with {field} {value} in {log}")).clone()
    };
    let opened = find("a session was opened", "user", "alice");
    let connection = opened["connection"].as_str().unwrap();
    let written = find("written", "command", "m1");
    assert_eq!(written["connection"], connection);
    assert_eq!(written["message"], "written");
    assert_eq!(
        (&written["seq"], &written["conversation"]),
        (&json!(1), &json!("direct:alice:bob"))
    );
    assert_eq!(written["message_id"].to_string(), ack["payload"]["message_id"].as_str().unwrap());
    assert_eq!(find("refused", "reason", "conflict")["connection"], connection);
    assert_eq!(find("a session has ended", "user", "alice")["connection"], connection);
    find("handed up", "kind", "send");
}

fn line_with<'a>(log: &'a str, part: &str) -> &'a str {
    log.lines().find(|line| line.contains(part)).unwrap_or_default()
}

/// Opens sessions until the log's file has `wanted`.
fn until(server: &Server, token: &str, read: impl Fn() -> String, wanted: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !wanted(&read()) {
        assert!(Instant::now() < deadline, "{}", read());
        server.session(token).next_of("connected");
    }
}

#[test]
fn the_level_changes_while_the_server_runs() {
    let data = Data::new();
    let (file, log) = (data.around().join("hubbub.toml"), data.around().join("log"));
    let configure =
        |level: &str| fs::write(&file, format!("[log]\nlevel = \"{level}\"\n")).unwrap();
    let read = || fs::read_to_string(&log).unwrap();
    configure("info");
    let mut command = Command::new("sh");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.args(["-c", r#"exec "$@" 2>"$0""#]).arg(&log).arg(env!("CARGO_BIN_EXE_hubbub"));
    command.args(["serve", "--bind", "127.0.0.1:0", "--data-dir"]).arg(data.path());
    command.arg("--config").arg(&file);
    let server = Launch(command).start();
    let token = data.token("alice");
    server.session(&token).next_of("connected");
    assert!(!read().contains("a session was opened"), "{}", read());
    configure("debug");
    server.signal("HUP");
    until(&server, &token, read, |log| log.contains("a session was opened"));
    // What cannot be used changes nothing.
    configure("loud");
    server.signal("HUP");
    until(&server, &token, read, |log| log.contains("was not read again") && log.contains("loud"));
    let count = || read().matches("a session was opened").count();
    let before = count();
    until(&server, &token, read, |_| count() > before);
    configure("error");
    server.signal("HUP");
    // It stops at some moment; from then on there is nothing more.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let before = read().len();
        server.session(&token).next_of("connected");
        if read().len() == before {
            break;
        }
        assert!(Instant::now() < deadline);
    }
}
