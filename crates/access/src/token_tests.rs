use super::*;
use hubbub_proto::command::ROLE_BYTES_MAX;
use serde_json::{Value, json};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: Timestamp = Timestamp(1_700_000_000_000);
const NOW_S: u64 = 1_700_000_000;

fn policy() -> TokenPolicy {
    TokenPolicy { algorithms: vec!["HS256".into()], leeway_s: 2, ..TokenPolicy::default() }
}

fn sign_as(claims: &Value, algorithm: Algorithm, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
}

fn verify_under(policy: TokenPolicy, claims: &Value) -> Result<Identity, Refusal> {
    let token = sign_as(claims, Algorithm::HS256, SECRET);
    Verifier::new(&Secret::from_text(SECRET), policy).unwrap().verify(&token, None, NOW)
}

fn check(claims: &Value, expected: Result<&str, &str>) {
    let found = verify_under(policy(), claims);
    match (&found, expected) {
        (Ok(identity), Ok(user)) => assert_eq!(identity.user.as_str(), user, "{claims}"),
        (Err(refusal), Err(said)) => {
            let text = format!("{}: {}", refusal.reason.slug(), refusal.message());
            assert!(text.contains(said), "{claims}: {text}");
        }
        _ => panic!("{claims}: expected {expected:?}, found {found:?}"),
    }
}

#[test]
fn who_the_token_names() {
    check(&json!({"sub": "alice"}), Ok("alice"));
    check(&json!({"id": "alice"}), Ok("alice"));
    check(&json!({"sub": 42}), Ok("42"));
    check(&json!({"sub": "42", "id": 42}), Ok("42"));
    check(&json!({"sub": "a", "id": "b"}), Err("different users"));
    check(&json!({}), Err("names no user"));
    check(&json!({"sub": ""}), Err("user id must be"));
    check(&json!({"sub": "white space"}), Err("user id must be"));
    check(&json!({"sub": "x".repeat(129)}), Err("user id must be"));
    check(&json!({"sub": 1.5}), Err("bad_token"));
    check(&json!({"sub": ["a"]}), Err("bad_token"));
    check(&json!(["sub"]), Err("bad_token"));
}

#[test]
fn when_the_token_holds() {
    check(&json!({"sub": "a", "exp": NOW_S + 1}), Ok("a"));
    check(&json!({"sub": "a", "exp": NOW_S as f64 + 0.5}), Ok("a"));
    check(&json!({"sub": "a", "exp": NOW_S - 1}), Ok("a"));
    check(&json!({"sub": "a", "exp": NOW_S - 2}), Err("token_expired"));
    check(&json!({"sub": "a", "exp": 0}), Err("token_expired"));
    check(&json!({"sub": "a", "exp": -5}), Err("token_expired"));
    check(&json!({"sub": "a", "exp": u64::MAX}), Ok("a"));
    check(&json!({"sub": "a", "exp": "tomorrow"}), Err("bad_token"));
    check(&json!({"sub": "a", "nbf": NOW_S + 2}), Ok("a"));
    check(&json!({"sub": "a", "nbf": NOW_S + 3}), Err("`nbf`"));
    check(&json!({"sub": "a", "iat": NOW_S + 2}), Ok("a"));
    check(&json!({"sub": "a", "iat": NOW_S + 3}), Err("`iat`"));
}

#[test]
fn a_session_ends_when_its_token_is_refused() {
    let identity = verify_under(policy(), &json!({"sub": "a", "exp": NOW_S + 10})).unwrap();
    assert_eq!(identity.expires_at, Some(NOW.plus_ms(12_000)));
    assert_eq!(verify_under(policy(), &json!({"sub": "a"})).unwrap().expires_at, None);
}

#[test]
fn names_and_roles() {
    let identity = verify_under(
        policy(),
        &json!({"sub": "a", "username": " Ann ", "roles": ["x", "y"], "role": "x", "extra": {}}),
    )
    .unwrap();
    assert_eq!(identity.name.as_deref(), Some("Ann"));
    assert_eq!(*identity.roles, ["x".into(), "y".into()]);
    let named = verify_under(policy(), &json!({"sub": "a", "name": "N", "username": "U"})).unwrap();
    assert_eq!(named.name.as_deref(), Some("N"));
    check(&json!({"sub": "a", "name": "  "}), Ok("a"));
    check(&json!({"sub": "a", "name": "a\u{7}"}), Err("`name`"));
    check(&json!({"sub": "a", "name": "n".repeat(257)}), Err("`name`"));
    check(&json!({"sub": "a", "role": ""}), Err("role"));
    check(&json!({"sub": "a", "roles": [1]}), Err("bad_token"));
    let many: Vec<_> = (0..65).map(|n| n.to_string()).collect();
    check(&json!({"sub": "a", "roles": many}), Err("64 roles"));
}

#[test]
fn issuer_and_audience() {
    let strict = TokenPolicy {
        issuer: Some("https://id".into()),
        audience: Some("chat".into()),
        ..policy()
    };
    for (claims, good) in [
        (json!({"sub": "a", "iss": "https://id", "aud": "chat"}), true),
        (json!({"sub": "a", "iss": "https://id", "aud": ["mail", "chat"]}), true),
        (json!({"sub": "a", "iss": "https://id", "aud": ["mail"]}), false),
        (json!({"sub": "a", "iss": "https://id"}), false),
        (json!({"sub": "a", "iss": "other", "aud": "chat"}), false),
        (json!({"sub": "a", "aud": "chat"}), false),
    ] {
        assert_eq!(verify_under(strict.clone(), &claims).is_ok(), good, "{claims}");
    }
    check(&json!({"sub": "a", "aud": "whatever", "iss": "whoever"}), Ok("a"));
}

#[test]
fn a_picture_is_an_address_that_can_be_shown() {
    let verifier = Verifier::new(&Secret::from_text(SECRET), policy()).unwrap();
    let long = format!("/{}", "x".repeat(2_048));
    for (claim, good) in [
        (json!("https://id.example/a.png"), true),
        (json!("/avatars/a.png"), true),
        (json!(long[..2_048]), true),
        (json!(long), false),
        (json!("http://id.example/a.png"), false),
        (json!("//id.example/a.png"), false),
        (json!("javascript:alert(1)"), false),
        (json!("https://id.example/a b"), false),
        (json!(""), false),
        (json!(7), false),
        (json!({"url": "/a.png"}), false),
        (json!(null), false),
    ] {
        let token = sign_as(&json!({"sub": "a", "picture": claim}), Algorithm::HS256, SECRET);
        let identity = verifier.verify(&token, None, NOW).unwrap();
        assert_eq!(identity.picture(), claim.as_str().filter(|_| good), "{claim}");
        assert_eq!(identity.rare.is_some(), good);
    }
}

#[test]
fn devices() {
    let verifier = Verifier::new(&Secret::from_text(SECRET), policy()).unwrap();
    let asked = DeviceId::new("asked").unwrap();
    let plain = sign_as(&json!({"sub": "a"}), Algorithm::HS256, SECRET);
    let bound = sign_as(&json!({"sub": "a", "device": "bound"}), Algorithm::HS256, SECRET);
    for (token, device, expected) in [
        (&plain, Some(&asked), Some("asked")),
        (&bound, Some(&asked), Some("bound")),
        (&bound, None, Some("bound")),
        (&plain, None, None),
    ] {
        let identity = verifier.verify(token, device, NOW).unwrap();
        assert_eq!(identity.device_named, expected.is_some());
        if let Some(expected) = expected {
            assert_eq!(identity.device.as_str(), expected);
        }
    }
    let first = verifier.verify(&plain, None, NOW).unwrap().device;
    assert_ne!(first, verifier.verify(&plain, None, NOW).unwrap().device);
}

#[test]
fn signatures_and_algorithms() {
    let verifier = Verifier::new(&Secret::from_text(SECRET), policy()).unwrap();
    let claims = json!({"sub": "a"});
    let good = sign_as(&claims, Algorithm::HS256, SECRET);
    assert!(verifier.verify(&good, None, NOW).is_ok());

    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    // {"alg":"none"}, {"alg":"None","typ":"JWT"} and {"alg":"HS256","crit":["x"]}
    let none = "eyJhbGciOiJub25lIn0";
    let none_spelled = "eyJhbGciOiJOb25lIiwidHlwIjoiSldUIn0";
    let other = sign_as(&json!({"sub": "b"}), Algorithm::HS256, SECRET);
    let other_payload = other.split('.').nth(1).unwrap();
    for (case, token) in [
        ("another key", sign_as(&claims, Algorithm::HS256, &"k".repeat(32))),
        ("HS512", sign_as(&claims, Algorithm::HS512, SECRET)),
        ("none", format!("{none}.{payload}.")),
        ("none, with a signature", format!("{none}.{payload}.{signature}")),
        ("None", format!("{none_spelled}.{payload}.")),
        ("no signature", format!("{header}.{payload}.")),
        ("other claims", format!("{header}.{other_payload}.{signature}")),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{good}.{signature}")),
        ("empty", String::new()),
        ("dots", "..".into()),
        ("text", "not a token".into()),
        ("long", "x".repeat(TOKEN_BYTES_MAX + 1)),
    ] {
        let refusal = verifier.verify(&token, None, NOW).unwrap_err();
        assert_eq!(refusal.reason, Reason::BadToken, "{case}: {refusal:?}");
    }

    let mut critical = Header::new(Algorithm::HS256);
    critical.crit = Some(vec!["x".into()]);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&critical, &claims, &key).unwrap();
    assert!(verifier.verify(&token, None, NOW).unwrap_err().message().contains("`crit`"));
}

#[test]
fn policies() {
    let secret = Secret::from_text(SECRET);
    for (algorithms, good) in [
        (vec!["HS256"], true),
        (vec!["HS384", "HS512"], true),
        (vec!["none"], false),
        (vec![], false),
    ] {
        let algorithms: Vec<String> = algorithms.into_iter().map(str::to_owned).collect();
        let policy = TokenPolicy { algorithms, ..policy() };
        assert_eq!(Verifier::new(&secret, policy.clone()).is_ok(), good, "{policy:?}");
    }
}

#[test]
fn what_is_signed_is_accepted() {
    let secret = Secret::from_text(SECRET);
    let grant = Grant {
        sub: UserId::new("alice").unwrap(),
        name: Some("Alice".into()),
        roles: vec!["admin".into()],
        device: Some(DeviceId::new("phone").unwrap()),
        iss: None,
        aud: None,
        iat: NOW_S,
        exp: NOW_S + 60,
        of_channels: GrantOfChannels::default(),
    };
    for algorithm in ALGORITHMS {
        let token = Signer::new(&secret).sign(&grant, algorithm).unwrap();
        let policy = TokenPolicy { algorithms: vec![algorithm.into()], ..policy() };
        let identity = Verifier::new(&secret, policy).unwrap().verify(&token, None, NOW).unwrap();
        assert_eq!(identity.user.as_str(), "alice");
        assert_eq!(identity.name.as_deref(), Some("Alice"));
        assert_eq!(*identity.roles, ["admin".into()]);
        assert_eq!(identity.device.as_str(), "phone");
    }
    let signer = Signer::new(&secret);
    assert!(matches!(signer.sign(&grant, "none"), Err(SignError::Algorithm)));
    let refused = Grant { roles: vec!["r".repeat(ROLE_BYTES_MAX + 1)], ..grant.clone() };
    assert!(matches!(signer.sign(&refused, "HS256"), Err(SignError::Claims(_))));
    let refused = Grant { name: Some("n".repeat(DISPLAY_NAME_BYTES_MAX + 1)), ..grant.clone() };
    assert!(matches!(signer.sign(&refused, "HS256"), Err(SignError::Claims(_))));
    let roles = (0..ROLES_MAX).map(|n| format!("{n:0ROLE_BYTES_MAX$}")).collect();
    let wordy = Grant { roles, ..grant };
    assert!(matches!(signer.sign(&wordy, "HS256"), Err(SignError::Long)));
}

#[test]
fn what_the_token_says_of_channels() {
    use hubbub_proto::ChannelAction::{History, Publish, Subscribe};
    let claims = |claims: &Value| {
        let mut all = json!({"sub": "a"});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        verify_under(policy(), &all).unwrap().channels().cloned()
    };
    assert_eq!(claims(&json!({})), None);
    assert_eq!(claims(&json!({"channels": [], "caps": [], "subs": []})), None);
    let whole = claims(&json!({"channels": ["orders:*", "news:sports"]})).unwrap();
    for action in ChannelAction::ALL {
        assert!(whole.permit(action, "orders:7") && whole.permit(action, "news:sports"));
        assert!(!whole.permit(action, "news:other"));
    }
    let caps = claims(&json!({
        "channels": "chat:lobby",
        "caps": [
            {"channels": "orders:*", "allow": ["subscribe", "history"]},
            {"channels": ["orders:7", "news:*"], "allow": "publish"},
        ],
        "subs": ["orders:7", "chat:lobby"],
    }));
    let caps = caps.unwrap();
    assert!(caps.permit(Subscribe, "orders:1") && caps.permit(History, "orders:1"));
    assert!(!caps.permit(Publish, "orders:1") && caps.permit(Publish, "orders:7"));
    assert!(caps.permit(Publish, "chat:lobby"));
    assert_eq!(caps.subscribed.len(), 2);
    let many: Vec<String> = (0..65).map(|n| format!("a:{n}")).collect();
    for (bad, said) in [
        (json!({"sub": "a", "channels": ["orders"]}), "no channel and no pattern"),
        (json!({"sub": "a", "channels": ["user:*"]}), "no channel and no pattern"),
        (json!({"sub": "a", "subs": ["orders:*"]}), "`subs` names something that is no channel"),
        (json!({"sub": "a", "subs": many}), "more than 64 channels"),
        (json!({"sub": "a", "channels": many}), "more than 64 channels"),
        (json!({"sub": "a", "caps": [{"channels": "a:b", "allow": "all"}]}), "`caps` allow"),
        (json!({"sub": "a", "caps": [{"channels": "a:b"}]}), "bad_token"),
        (json!({"sub": "a", "caps": "a:b"}), "bad_token"),
    ] {
        check(&bad, Err(said));
    }
}

#[test]
fn a_token_for_a_channel_is_for_nothing_else() {
    let verifier = Verifier::new(&Secret::from_text(SECRET), policy()).unwrap();
    let pass = |claims: &Value| {
        let outcome = verifier.verify_channel(&sign_as(claims, Algorithm::HS256, SECRET), NOW);
        let outcome = outcome.map(|(user, channel)| format!("{user} {channel}"));
        outcome.map_err(|refusal| format!("{}: {}", refusal.reason.slug(), refusal.message()))
    };
    let exp = NOW_S + 60;
    let good = json!({"sub": "a", "channel": "doors:1", "exp": exp});
    assert_eq!(pass(&good), Ok("a doors:1".to_owned()));
    check(&good, Err("a token for a channel; nobody signs in with it"));
    assert_eq!(pass(&json!({"sub": 7, "channel": "doors:*", "exp": exp})), Ok("7 doors:*".into()));
    for (bad, said) in [
        (json!({"sub": "a", "exp": exp}), "names no `channel`"),
        (json!({"sub": "a", "channel": "doors:1"}), "must end"),
        (json!({"sub": "a", "channel": "doors:1", "exp": NOW_S - 9}), "token_expired"),
        (json!({"channel": "doors:1", "exp": exp}), "names no user"),
        (json!({"sub": "a", "channel": "doors", "exp": exp}), "no channel and no pattern"),
        (json!({"sub": "a", "channel": "user:b", "exp": exp}), "no channel and no pattern"),
        (json!({"sub": "a", "channel": ["doors:1"], "exp": exp}), "bad_token"),
    ] {
        let refused = pass(&bad).unwrap_err();
        assert!(refused.contains(said), "{bad}: {refused}");
    }
    let other = sign_as(&good, Algorithm::HS256, "another secret that is long enough 0123");
    assert!(verifier.verify_channel(&other, NOW).is_err());
}
