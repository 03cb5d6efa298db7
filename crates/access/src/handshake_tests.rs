use super::*;
use http::Request;
use hubbub_proto::UserId;

const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
const GOOD: [(&str, &str); 5] = [
    ("host", "here"),
    ("connection", "keep-alive, Upgrade"),
    ("upgrade", "WebSocket"),
    ("sec-websocket-version", "13"),
    KEY,
];

fn request(uri: &str, lines: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().uri(uri);
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// The good lines, without those whose names `lines` has, and `lines`; an empty value only removes.
fn changed(uri: &str, lines: &[(&str, &str)]) -> Parts {
    let kept = GOOD.iter().filter(|(name, _)| lines.iter().all(|(other, _)| other != name));
    let added = lines.iter().filter(|(_, value)| !value.is_empty());
    request(uri, &kept.chain(added).copied().collect::<Vec<_>>())
}

fn verify(token: &str, device: Option<&DeviceId>) -> Result<Identity, Refusal> {
    match token {
        "bad" => Err(Reason::BadToken.into()),
        "old" => Err(Reason::TokenExpired.into()),
        user => Ok(Identity {
            user: UserId::new(user).unwrap(),
            name: None,
            roles: Box::default(),
            device: device.cloned().unwrap_or_else(|| DeviceId::new("made-up").unwrap()),
            device_named: device.is_some(),
            expires_at: None,
            issued_at: None,
            rare: None,
            authority: hubbub_proto::route::Authority::default(),
        }),
    }
}

fn decided(parts: &Parts) -> Result<Upgrade, Rejection> {
    let policy = HandshakePolicy {
        allowed_origins: vec!["https://app.example".into()],
        cookie: "hubbub_token".into(),
        ..HandshakePolicy::default()
    };
    decide(parts, &policy, verify)
}

/// What comes of it, in one word: `user`, `nobody`, `closed CODE` or `STATUS reason`.
fn outcome(parts: &Parts) -> String {
    match decided(parts) {
        Ok(Upgrade { kind: OpeningKind::Session { identity: Some(identity), .. }, .. }) => {
            identity.user.to_string()
        }
        Ok(Upgrade { kind: OpeningKind::Session { identity: None, .. }, .. }) => "nobody".into(),
        Ok(Upgrade { kind: OpeningKind::Refused(code), .. }) => format!("closed {}", code.code()),
        Ok(Upgrade { kind: OpeningKind::Echo { .. }, .. }) => "echo".into(),
        Ok(Upgrade { kind: OpeningKind::Stream { .. }, .. }) => "stream".into(),
        Err(rejection) => format!("{} {}", rejection.status.as_u16(), rejection.reason),
    }
}

#[track_caller]
fn check(uri: &str, lines: &[(&str, &str)], expected: &str) {
    assert_eq!(outcome(&changed(uri, lines)), expected, "{uri} {lines:?}");
}

#[test]
fn is_it_a_handshake() {
    check("/ws", &[], "nobody");
    check("/ws", &[("connection", "upgrade"), ("upgrade", "h2c, websocket")], "nobody");
    check("/ws", &[("connection", "")], "400 bad_request");
    check("/ws", &[("connection", "keep-alive")], "400 bad_request");
    check("/ws", &[("upgrade", "")], "400 bad_request");
    check("/ws", &[("upgrade", "h2c")], "400 bad_request");
    check("/ws", &[("sec-websocket-version", "8")], "426 upgrade_required");
    check("/ws", &[("sec-websocket-version", "")], "426 upgrade_required");
    check("/ws", &[("sec-websocket-key", "")], "400 bad_request");
    check("/ws", &[("sec-websocket-key", "short")], "400 bad_request");
    check("/ws", &[KEY, KEY], "400 bad_request");

    let mut post = changed("/ws", &[]);
    post.method = Method::POST;
    assert_eq!(outcome(&post), "405 method_not_allowed");
    let mut old = changed("/ws", &[]);
    old.version = Version::HTTP_10;
    assert_eq!(outcome(&old), "400 bad_request");
    let version = decided(&changed("/ws", &[("sec-websocket-version", "8")])).err().unwrap();
    assert_eq!(version.header.unwrap().1, "13");
}

#[test]
fn which_pages() {
    check("/ws", &[("origin", "http://here")], "nobody");
    check("/ws", &[("origin", "https://app.example")], "nobody");
    check("/ws", &[("origin", "https://evil.example")], "403 origin_not_allowed");
    check("/ws?token=a", &[("origin", "null")], "403 origin_not_allowed");
}

#[test]
fn whose_cookie_counts() {
    let policy = HandshakePolicy {
        allowed_origins: vec!["*".into(), "https://app.example".into()],
        cookie: "hubbub_token".into(),
        ..HandshakePolicy::default()
    };
    for (origin, expected) in [
        ("http://here", Some("alice")),
        ("https://app.example", Some("alice")),
        ("https://evil.example", None),
        ("null", None),
    ] {
        let parts = changed("/ws", &[("origin", origin), ("cookie", "hubbub_token=alice")]);
        let upgrade = decide(&parts, &policy, verify).ok().unwrap();
        let OpeningKind::Session { identity, .. } = upgrade.kind else { panic!("{origin}") };
        assert_eq!(identity.as_ref().map(|known| known.user.as_str()), expected, "{origin}");
    }
}

#[test]
fn who_speaks() {
    check("/ws?token=alice", &[], "alice");
    check("/ws?token=bad", &[], "closed 4001");
    check("/ws?token=old", &[], "closed 4004");
    check("/ws?token=a&token=b", &[], "closed 4001");
    check("/ws", &[("authorization", "Bearer alice")], "alice");
    check("/ws", &[("authorization", "Bearer bad")], "401 bad_token");
    check("/ws", &[("authorization", "Bearer old")], "401 token_expired");
    check("/ws", &[("authorization", "Basic x")], "401 bad_token");
    check("/ws?token=bob", &[("authorization", "Bearer alice")], "401 bad_token");
    check("/ws", &[("sec-websocket-protocol", "bearer.alice")], "alice");
    check("/ws", &[("origin", "http://here"), ("cookie", "hubbub_token=alice")], "alice");
    check("/ws", &[("cookie", "hubbub_token=alice")], "nobody");
    check("/ws?device=%00", &[], "400 bad_request");
}

#[test]
fn which_codec() {
    let check = |lines: &[(&str, &str)], expected: Result<Option<&str>, &str>| {
        let found = decided(&changed("/ws", lines));
        match (&found, expected) {
            (Ok(upgrade), Ok(name)) => {
                assert_eq!(upgrade.subprotocol.as_deref(), name, "{lines:?}");
            }
            (Err(rejection), Err(reason)) => assert_eq!(rejection.reason, reason, "{lines:?}"),
            _ => panic!("{lines:?}"),
        }
    };
    let protocol = "sec-websocket-protocol";
    check(&[], Ok(None));
    check(&[(protocol, "hubbub.v1.json")], Ok(Some("hubbub.v1.json")));
    check(&[(protocol, "other, hubbub.v1.json,bearer.a")], Ok(Some("hubbub.v1.json")));
    check(&[(protocol, "bearer.a"), (protocol, "hubbub.v1.json")], Ok(Some("hubbub.v1.json")));
    check(&[(protocol, "bearer.a")], Ok(Some("bearer.a")));
    check(&[(protocol, "other")], Err("unknown_subprotocol"));
    check(&[(protocol, "bearer.a, other")], Err("unknown_subprotocol"));
    check(&[(protocol, "HUBBUB.V1.JSON")], Err("unknown_subprotocol"));
}

#[test]
fn the_key_is_answered_and_the_device_is_kept() {
    // RFC 6455 §1.3.
    let upgrade = decided(&changed("/ws?device=phone", &[])).ok().unwrap();
    assert_eq!(upgrade.accept.as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let OpeningKind::Session { device, .. } = upgrade.kind else { panic!("a session") };
    assert_eq!(device.unwrap().as_str(), "phone");
}

#[test]
fn echo_knows_no_tokens() {
    let policy = HandshakePolicy::default();
    assert!(decide_echo(&changed("/echo", &[("authorization", "x")]), &policy, 1, 1).is_ok());
    let page = changed("/echo", &[("origin", "http://evil.example")]);
    assert_eq!(decide_echo(&page, &policy, 1, 1).err().unwrap().reason, "origin_not_allowed");
}

#[test]
fn which_compression() {
    let offer = "sec-websocket-extensions";
    let deflate = "permessage-deflate; client_max_window_bits";
    let enabled = hubbub_hub::CompressionConfig { enabled: true, ..Default::default() };
    let on =
        HandshakePolicy { compression: Compression::new(enabled), ..HandshakePolicy::default() };
    let answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    for (policy, lines, expected) in [
        (&on, vec![(offer, deflate)], Some(answer)),
        (&on, vec![(offer, "foo"), (offer, deflate)], Some(answer)),
        (&on, vec![(offer, "foo")], None),
        (&on, vec![], None),
        (&HandshakePolicy::default(), vec![(offer, deflate)], None),
    ] {
        let session = decide(&changed("/ws", &lines), policy, verify).ok().unwrap();
        assert_eq!(session.extensions.as_deref(), expected, "{lines:?}");
        let OpeningKind::Session { compressed, .. } = session.kind else { panic!("a session") };
        assert_eq!(compressed.is_some(), expected.is_some(), "{lines:?}");
        let echo = decide_echo(&changed("/echo", &lines), policy, 1, 1).ok().unwrap();
        assert_eq!(echo.extensions.as_deref(), expected, "{lines:?}");
    }
    let bad = changed("/ws", &[(offer, "permessage-deflate;")]);
    assert_eq!(decide(&bad, &on, verify).err().unwrap().reason, "bad_request");
    // Nothing will be said on a socket that is opened only to be closed.
    let refused = changed("/ws?token=bad", &[(offer, deflate)]);
    assert_eq!(decide(&refused, &on, verify).ok().unwrap().extensions, None);
}
