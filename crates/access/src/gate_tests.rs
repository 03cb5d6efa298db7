use std::sync::atomic::Ordering;

use http::HeaderValue;

use super::*;

fn networks(texts: &[&str]) -> Networks {
    Networks::parse(texts.iter().copied()).unwrap()
}

fn headers(lines: &[&str]) -> HeaderMap {
    lines.iter().map(|line| (FORWARDED_FOR, line.parse().unwrap())).collect()
}

#[test]
fn what_is_a_network() {
    for (texts, inside, outside) in [
        (&["10.0.0.0/8"][..], "10.255.0.1", "11.0.0.1"),
        (&["192.0.2.7"], "192.0.2.7", "192.0.2.8"),
        (&["2001:db8::/32"], "2001:db8:ffff::1", "2001:db9::1"),
        (&["::1", " 127.0.0.0/8 "], "127.9.9.9", "::2"),
        (&["0.0.0.0/0"], "1.2.3.4", "::1"),
        (&["10.1.2.3/8"], "10.9.9.9", "9.0.0.1"),
    ] {
        let networks = networks(texts);
        assert!(networks.contains(inside.parse().unwrap()), "{texts:?} {inside}");
        assert!(!networks.contains(outside.parse().unwrap()), "{texts:?} {outside}");
    }
    for text in ["", "10.0.0.0/33", "10.0.0", "example.com", "10.0.0.0/8/8", "::/129"] {
        assert!(Networks::parse([text]).is_err(), "{text}");
    }
    for text in ["/api", "api 10.0.0.0/8", "/api nonsense", ""] {
        assert!(text.parse::<Endpoint>().is_err(), "{text}");
    }
}

#[test]
fn denied_beats_allowed() {
    let rules = GateRules {
        allow: networks(&["10.0.0.0/8", "2001:db8::/32"]),
        deny: networks(&["10.6.0.0/16"]),
        ..GateRules::default()
    };
    let gate = Gate::new(rules);
    for (peer, expected) in [
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("10.6.2.3", false),
        ("::ffff:10.6.2.3", false),
        ("11.1.2.3", false),
        ("2001:db8::1", true),
        ("2001:db9::1", false),
    ] {
        let met = gate.meet(peer.parse().unwrap());
        assert_eq!(matches!(met, Meeting::Direct(None)), expected, "{peer}: {met:?}");
        assert_eq!(matches!(met, Meeting::Refused(_)), !expected, "{peer}: {met:?}");
    }
    assert_eq!(gate.stats.denied.load(Ordering::Relaxed), 4);
    gate.replace(GateRules::default());
    assert!(matches!(gate.meet([11, 1, 2, 3].into()), Meeting::Direct(None)));
}

#[test]
fn only_what_trusted_proxies_say_is_believed() {
    let rules = GateRules { trusted_proxies: networks(&["10.0.0.0/8"]), ..GateRules::default() };
    for (peer, lines, expected) in [
        // Nobody vouches for what a stranger says.
        ("192.0.2.1:9", &["1.1.1.1"][..], "192.0.2.1:9"),
        ("10.0.0.1:9", &[], "10.0.0.1:9"),
        ("10.0.0.1:9", &["1.1.1.1"], "1.1.1.1:0"),
        // What stands further left was there before the nearest proxy appended its own.
        ("10.0.0.1:9", &["6.6.6.6, 1.1.1.1"], "1.1.1.1:0"),
        ("10.0.0.1:9", &["6.6.6.6", "1.1.1.1"], "1.1.1.1:0"),
        ("10.0.0.1:9", &["6.6.6.6, 1.1.1.1, 10.0.0.2"], "1.1.1.1:0"),
        ("10.0.0.1:9", &["10.0.0.3, 10.0.0.2"], "10.0.0.3:0"),
        ("10.0.0.1:9", &["1.1.1.1:1234"], "1.1.1.1:0"),
        ("10.0.0.1:9", &["[2001:db8::1]:443"], "[2001:db8::1]:0"),
        ("10.0.0.1:9", &["[2001:db8::1]"], "[2001:db8::1]:0"),
        ("10.0.0.1:9", &["2001:db8::1"], "[2001:db8::1]:0"),
        ("10.0.0.1:9", &["::ffff:1.1.1.1"], "1.1.1.1:0"),
        ("[::ffff:10.0.0.1]:9", &["1.1.1.1"], "1.1.1.1:0"),
        // What stands beyond the first stranger is not looked at, whatever it is.
        ("10.0.0.1:9", &["unknown, 1.1.1.1"], "1.1.1.1:0"),
        ("[::ffff:192.0.2.1]:9", &[], "192.0.2.1:9"),
    ] {
        let client = rules.client(peer.parse().unwrap(), &headers(lines));
        assert_eq!(client, Some(expected.parse().unwrap()), "{peer} {lines:?}");
    }
    let proxy = "10.0.0.1:9".parse().unwrap();
    let mut bytes = HeaderMap::new();
    bytes.append(FORWARDED_FOR, HeaderValue::from_bytes(b"\xe9, 1.1.1.1").unwrap());
    assert_eq!(rules.client(proxy, &bytes), Some("1.1.1.1:0".parse().unwrap()));
    bytes.append(FORWARDED_FOR, HeaderValue::from_bytes(b"1.1.1.1, \xe9").unwrap());
    // A proxy that does not say whose it is may speak for anybody.
    assert_eq!(rules.client(proxy, &bytes), None);
    for line in ["1.1.1.1, unknown", "1.1.1.1, unknown, 10.0.0.2", "", "1.1.1.1,"] {
        assert_eq!(rules.client(proxy, &headers(&[line])), None, "{line}");
    }
    let many = vec!["10.0.0.2"; 1000].join(",");
    let client =
        rules.client("10.0.0.1:9".parse().unwrap(), &headers(&[&format!("1.1.1.1,{many}")]));
    assert_eq!(client, Some("10.0.0.2:0".parse().unwrap()));
    let introduced = GateRules { proxy_protocol: true, ..rules };
    let client = introduced.client("10.0.0.1:9".parse().unwrap(), &headers(&["1.1.1.1"]));
    assert_eq!(client, Some("10.0.0.1:9".parse().unwrap()));
}

#[test]
fn an_endpoint_is_for_those_whom_it_names() {
    let endpoints = ["/api 10.0.0.0/8 192.0.2.0/24", "/api/v1/keys 10.0.0.1", "/metrics ::1"];
    let endpoints = endpoints.iter().map(|text| text.parse().unwrap()).collect();
    let gate = Gate::new(GateRules { endpoints, ..GateRules::default() });
    for (peer, path, expected) in [
        ("10.0.0.1", "/api", true),
        ("10.0.0.1", "/api/v1/keys", true),
        ("10.0.0.2", "/api/v1/keys", false),
        ("10.0.0.2", "/api/v1/keys/7", false),
        ("10.0.0.2", "/api/v1/users", true),
        ("192.0.2.9", "/api/v1/users", true),
        ("8.8.8.8", "/api/v1/users", false),
        ("8.8.8.8", "/apis", true),
        ("8.8.8.8", "//api/v1", false),
        ("8.8.8.8", "/%61pi/v1", false),
        ("8.8.8.8", "/api%2Fv1", false),
        ("10.0.0.2", "/api/v1//keys/", false),
        ("10.0.0.2", "/api/v1/%6beys/%ff", false),
        ("::ffff:10.0.0.1", "/api/v1/keys", true),
        ("8.8.8.8", "/ws", true),
        ("8.8.8.8", "/metrics", false),
        ("::1", "/metrics", true),
    ] {
        let peer = SocketAddr::new(peer.parse().unwrap(), 9);
        let found = gate.client(peer, &HeaderMap::new(), path);
        assert_eq!(found.is_ok(), expected, "{peer} {path}");
    }
}

#[test]
fn an_address_has_so_many_connections_and_gives_them_back() {
    let gate = Gate::new(GateRules { connections_per_address_max: 2, ..GateRules::default() });
    let meet = |address: &str| match gate.meet(address.parse().unwrap()) {
        Meeting::Direct(visit) => visit,
        _ => None,
    };
    let first = meet("192.0.2.1").unwrap();
    let second = meet("::ffff:192.0.2.1").unwrap();
    assert!(meet("192.0.2.1").is_none());
    assert!(meet("192.0.2.2").is_some());
    drop(first);
    let third = meet("192.0.2.1").unwrap();
    assert!(meet("192.0.2.1").is_none());
    drop((second, third));
    assert_eq!(gate.visits("192.0.2.1"), 0);
    // All addresses of a site are one.
    let held = [meet("2001:db8::1"), meet("2001:db8::2:0:0:2")];
    assert!(held.iter().all(Option::is_some));
    assert!(meet("2001:db8::3").is_none());
    assert!(meet("2001:db8:0:1::3").is_some());
    drop(held);
    assert!(gate.visitors.0.lock().unwrap().is_empty());
    assert_eq!(gate.stats.crowded.load(Ordering::Relaxed), 3);
}
