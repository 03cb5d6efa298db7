//! All five ways to bring a token, and what comes of bad ones.

use serde_json::{Value, json};

use crate::process::Data;
use crate::wire::Session;

#[track_caller]
fn user(session: &mut Session) -> String {
    let connected = session.next();
    assert_eq!(connected["type"], "connected", "{connected}");
    connected["payload"]["user"].as_str().unwrap().to_owned()
}

#[test]
fn each_way() {
    let data = Data::new();
    let server = data.launch().start();
    let alice = data.token("alice");
    let own = format!("http://{}", server.address);
    let bearer = format!("Bearer {alice}");
    let protocols = format!("hubbub.v1.json, bearer.{alice}");
    let cookie = format!("theme=dark; hubbub_token={alice}");
    let query = format!("/ws?token={alice}");
    for (path, headers) in [
        ("/ws", &[("authorization", bearer.as_str())][..]),
        ("/ws", &[("sec-websocket-protocol", protocols.as_str())]),
        ("/ws", &[("cookie", cookie.as_str()), ("origin", own.as_str())]),
        (query.as_str(), &[]),
        // Several of the same user.
        (query.as_str(), &[("authorization", bearer.as_str())]),
    ] {
        let (mut session, _) = server.handshake(path, headers).ok().unwrap();
        assert_eq!(user(&mut session), "alice", "{path} {headers:?}");
    }

    // The fifth: the first command.
    let (mut session, _) = server.handshake("/ws", &[]).ok().unwrap();
    session.send("auth", "a1", &json!({ "token": alice }));
    assert_eq!(user(&mut session), "alice");
    assert_eq!(session.answer("a1")["type"], "ack");
}

#[test]
fn a_cookie_counts_for_pages_only() {
    let data = Data::new();
    let server = data.launch().set("AUTH_COOKIE", "sid").start();
    let cookie = format!("sid={}", data.token("alice"));
    let (mut session, _) = server.handshake("/ws", &[("cookie", &cookie)]).ok().unwrap();
    session.send("conversations", "c1", &json!({}));
    assert_eq!(session.answer("c1")["payload"]["reason"], "unauthorized");

    let own = format!("http://{}", server.address);
    let (mut session, _) =
        server.handshake("/ws", &[("cookie", &cookie), ("origin", &own)]).ok().unwrap();
    assert_eq!(user(&mut session), "alice");
}

#[test]
fn tokens_that_disagree() {
    let data = Data::new();
    let server = data.launch().start();
    let (alice, bob) = (data.token("alice"), data.token("bob"));
    let bearer = format!("Bearer {alice}");
    let refused =
        server.handshake(&format!("/ws?token={bob}"), &[("authorization", &bearer)]).err().unwrap();
    assert_eq!(refused.status(), 401);

    let protocols = format!("hubbub.v1.json, bearer.{bob}");
    let headers = [("sec-websocket-protocol", protocols.as_str())];
    let (mut session, _) = server.handshake(&format!("/ws?token={alice}"), &headers).ok().unwrap();
    assert_eq!(session.close_code(), 4001);
}

/// Base 64 with the URL alphabet and without padding, for tokens that no library would make.
fn base64url(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            out.push(char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63]));
        }
    }
    out
}

#[test]
fn bad_tokens() {
    let data = Data::new();
    let server = data.launch().start();
    let good = data.token("alice");
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    let none = base64url(r#"{"alg":"none"}"#);
    let wide = base64url(r#"{"alg":"HS512"}"#);
    let bob = base64url(r#"{"sub":"bob"}"#);
    let elsewhere = Data::new();
    elsewhere.serve().stop();
    for (case, token, code, reason) in [
        ("another server's", elsewhere.token("alice"), 4001, "bad_token"),
        ("expired", data.token_for("alice", None, -3600), 4004, "token_expired"),
        ("algorithm none", format!("{none}.{claims}."), 4001, "bad_token"),
        ("algorithm none, signed", format!("{none}.{claims}.{signature}"), 4001, "bad_token"),
        ("another algorithm", format!("{wide}.{claims}.{signature}"), 4001, "bad_token"),
        ("other claims", format!("{header}.{bob}.{signature}"), 4001, "bad_token"),
        ("no signature", format!("{header}.{claims}."), 4001, "bad_token"),
        ("text", "x".into(), 4001, "bad_token"),
        ("huge", "x".repeat(10_000), 4001, "bad_token"),
    ] {
        // A page can read only the code.
        let (mut session, _) = server.handshake(&format!("/ws?token={token}"), &[]).ok().unwrap();
        assert_eq!(session.close_code(), code, "{case}");
        // Whoever sends a header can read the status.
        let bearer = format!("Bearer {token}");
        let refused = server.handshake("/ws", &[("authorization", &bearer)]).err().unwrap();
        assert_eq!(refused.status(), 401, "{case}");
        let body: Value =
            serde_json::from_slice(refused.body().as_deref().unwrap_or_default()).unwrap();
        assert_eq!(body["reason"], reason, "{case}: {body}");
        // The first command tells the reason.
        let (mut session, _) = server.handshake("/ws", &[]).ok().unwrap();
        session.send("auth", "a1", &json!({ "token": token }));
        assert_eq!(session.answer("a1")["payload"]["reason"], reason, "{case}");
    }
    // And the others noticed nothing.
    assert_eq!(user(&mut server.session(&good)), "alice");
    let ended = server.stop();
    for secret in [good.as_str(), signature] {
        assert!(!ended.log.contains(secret), "tokens are not logged");
    }
}

#[test]
fn devices_are_named_by_the_query_or_the_token() {
    let data = Data::new();
    let server = data.launch().start();
    let device = |path: String| {
        let connected = server.handshake(&path, &[]).ok().unwrap().0.next();
        connected["payload"]["device"].as_str().unwrap().to_owned()
    };
    let (plain, bound) = (data.token("alice"), data.token_for("alice", Some("phone"), 60));
    assert_eq!(device(format!("/ws?token={plain}&device=tab-1")), "tab-1");
    assert_eq!(device(format!("/ws?token={bound}&device=tab-1")), "phone");
    assert_ne!(device(format!("/ws?token={plain}")), device(format!("/ws?token={plain}")));
}

#[test]
fn issuer_and_audience_of_the_configuration() {
    let data = Data::new();
    data.serve().stop();
    let launch = data.launch().set("AUTH_ISSUER", "https://id.example");
    let server = launch.set("AUTH_AUDIENCE", "chat").start();
    assert_eq!(server.session(&data.token("alice")).close_code(), 4001);
    // `hubbub token` under the same configuration makes one that fits.
    let output = crate::process::hubbub()
        .args(["token", "--user", "alice", "--data-dir"])
        .arg(data.path())
        .env("HUBBUB_AUTH_ISSUER", "https://id.example")
        .env("HUBBUB_AUTH_AUDIENCE", "chat")
        .output()
        .unwrap();
    let token = String::from_utf8(output.stdout).unwrap();
    assert_eq!(user(&mut server.session(token.trim())), "alice");
}
