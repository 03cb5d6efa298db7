use super::*;
use tower_service::Service as _;

use crate::secret::Secret;
use crate::speaking::Peer;
use crate::token::{Signer, TokenPolicy};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn asset(path: &str) -> Option<Asset> {
    (path == "index.html").then(|| Asset {
        bytes: b"<!doctype html>".into(),
        content_type: "text/html; charset=utf-8",
        version: "v1".into(),
    })
}

fn access(dev: bool, ready: bool) -> Access {
    let secret = Secret::from_text(SECRET);
    let policy = TokenPolicy { algorithms: vec!["HS256".into()], ..TokenPolicy::default() };
    Access {
        stream_channels_max: 2,
        verifier: Arc::new(Verifier::new(&secret, policy).unwrap()),
        clock: Arc::new(|| Timestamp(1_700_000_000_000)),
        policy: HandshakePolicy::default(),
        echo: None,
        api: None,
        dev: dev.then(|| DevSignIn {
            signer: Signer::new(&secret),
            algorithm: "HS256".into(),
            issuer: None,
            audience: None,
        }),
        asset,
        gate: Arc::default(),
        is_signed_out: Box::new(|_| false),
        ready: Box::new(move || if ready { Ok(()) } else { Err("the store failed".into()) }),
        version: "1.2.3",
        operators: Operators::default(),
        metrics: None,
    }
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

fn ask_of(access: Access, peer: &str, request: http::request::Builder, body: &str) -> Answer {
    let mut request = request.body(Body::from(body.to_owned())).unwrap();
    request.extensions_mut().insert(Peer(peer.parse().unwrap()));
    request.extensions_mut().insert(HandOver::default());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let response = Arc::new(access).router().call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    })
}

fn ask(method: &str, path: &str) -> Answer {
    ask_of(access(false, true), "127.0.0.1:5", Request::builder().method(method).uri(path), "")
}

#[test]
fn each_address() {
    for (method, path, status, part) in [
        ("GET", "/", 200, "<!doctype html>"),
        ("HEAD", "/", 200, ""),
        ("GET", "/index.html", 200, "<!doctype html>"),
        ("POST", "/", 405, "method_not_allowed"),
        ("GET", "/nothing", 404, r#"{"code":404,"reason":"not_found""#),
        ("GET", "/sdk/../secret", 404, "not_found"),
        ("GET", "/livez", 200, "ok"),
        ("GET", "/readyz", 200, "ready"),
        ("POST", "/livez", 405, "method_not_allowed"),
        ("GET", "/version", 200, r#"{"name":"hubbub","version":"1.2.3"}"#),
        ("GET", "/ws", 400, "bad_request"),
        ("POST", "/ws", 405, "method_not_allowed"),
        ("GET", "/echo", 404, "not_found"),
        ("POST", "/dev/token", 404, "not_found"),
    ] {
        let answer = ask(method, path);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert!(answer.body.contains(part), "{method} {path}: {}", answer.body);
        let headers = &answer.headers;
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{method} {path}");
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer", "{method} {path}");
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("connect-src 'self'"), "{policy}");
        if status == 405 {
            assert!(headers.contains_key(header::ALLOW), "{method} {path}");
        }
        if status >= 400 && method != "HEAD" {
            assert_eq!(headers[CONTENT_TYPE], "application/json", "{method} {path}");
        }
    }
}

#[test]
fn not_ready() {
    let answer = ask_of(access(false, false), "127.0.0.1:5", Request::builder().uri("/readyz"), "");
    assert_eq!(answer.status, 503);
    assert!(!answer.body.contains("store"), "{}", answer.body);
}

#[test]
fn files_are_asked_again_and_answered_by_304() {
    for (known, status) in
        [("\"v1\"", 304), ("W/\"v1\"", 304), ("\"v0\", \"v1\"", 304), ("\"v0\"", 200), ("v1", 200)]
    {
        let request = Request::builder().uri("/").header(IF_NONE_MATCH, known);
        let answer = ask_of(access(false, true), "127.0.0.1:5", request, "");
        assert_eq!(answer.status, status, "{known}");
        assert_eq!(answer.headers[ETAG], "\"v1\"");
    }
}

#[test]
fn development_tokens() {
    let check = |peer: &str,
                 host: &str,
                 origin: Option<&str>,
                 body: &str,
                 expected: (u16, &str)| {
        let mut request = Request::builder().method("POST").uri("/dev/token").header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let answer = ask_of(access(true, true), peer, request, body);
        assert_eq!(answer.status, expected.0, "{peer} {host} {origin:?} {body}: {}", answer.body);
        assert!(answer.body.contains(expected.1), "{}", answer.body);
        answer
    };
    let (here, host) = ("127.0.0.1:5", "localhost:8080");
    let alice = r#"{"user":"alice","name":"Alice"}"#;
    let answer =
        check(here, host, Some("http://localhost:8080"), alice, (200, "\"user\":\"alice\""));
    let answer: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let identity = access(true, true).verify(answer["token"].as_str().unwrap(), None).unwrap();
    assert_eq!(identity.name.as_deref(), Some("Alice"));
    assert_eq!(serde_json::to_value(identity.expires_at).unwrap(), answer["expires_at"]);

    check("[::1]:5", "[::1]:8080", None, alice, (200, "token"));
    check("[::ffff:127.0.0.1]:5", host, None, alice, (200, "token"));
    check(here, host, None, r#"{"user":7}"#, (200, "\"user\":\"7\""));
    check("192.168.1.9:5", host, None, alice, (403, "not_local"));
    check(here, "evil.example:8080", Some("http://evil.example:8080"), alice, (403, "not_local"));
    check(here, host, Some("http://evil.example"), alice, (403, "origin_not_allowed"));
    check(here, host, None, "{}", (400, "user"));
    check(here, host, None, r#"{"user":"white space"}"#, (400, "user id"));
    check(here, host, None, "not json", (400, "bad_request"));
    check(here, host, None, &"x".repeat(5000), (413, "too_big"));
}
