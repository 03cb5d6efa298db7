//! Who comes in from where, and what proxies say.

use std::time::Duration;

use hubbub_access::{GateRules, Networks};
use hubbub_hub::OpeningKind;
use hubbub_proto::CloseCode;

use crate::face::{Face, HANDSHAKE};

const LONG: Duration = Duration::from_secs(60);

fn networks(texts: &[&str]) -> Networks {
    Networks::parse(texts.iter().copied()).unwrap()
}

fn handshake_of(forwarded: &str) -> String {
    HANDSHAKE.replacen("\r\n\r\n", &format!("\r\nX-Forwarded-For: {forwarded}\r\n\r\n"), 1)
}

/// A header of the PROXY protocol, version 2, over IPv4.
fn introduction(source: [u8; 4], port: u16, more: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    header.extend_from_slice(&u16::try_from(12 + more.len()).unwrap().to_be_bytes());
    header.extend_from_slice(&source);
    header.extend_from_slice(&[127, 0, 0, 1]);
    header.extend_from_slice(&port.to_be_bytes());
    header.extend_from_slice(&8080_u16.to_be_bytes());
    header.extend_from_slice(more);
    header
}

#[test]
fn an_address_that_may_not_come_in_is_told_so() {
    let face = Face::start(10, LONG);
    let deny = networks(&["127.0.0.0/8"]);
    face.gate.replace(GateRules { deny, ..GateRules::default() });
    for request in [HANDSHAKE, "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", "GE"] {
        let mut client = face.connect();
        client.write(request);
        let answer = client.rest();
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert!(answer.contains("\"address_not_allowed\""), "{answer}");
    }
    assert_eq!(Face::counted(&face.gate.stats.denied), 3);
    // The next one, once it may.
    face.gate.replace(GateRules::default());
    face.connect().write(HANDSHAKE);
    face.adopted();
}

#[test]
fn a_trusted_proxy_says_whose_request_it_is() {
    let face = Face::start(10, LONG);
    face.gate.replace(GateRules {
        trusted_proxies: networks(&["127.0.0.1"]),
        deny: networks(&["192.0.2.6"]),
        endpoints: vec!["/ws 192.0.2.0/24 127.0.0.1".parse().unwrap()],
        connections_per_address_max: 1,
        ..GateRules::default()
    });
    // Whole at once, and in pieces.
    for (forwarded, pieces) in [("10.9.9.9, 192.0.2.1", 1), ("192.0.2.2", 2)] {
        let mut client = face.connect();
        let request = handshake_of(forwarded);
        let (first, second) = request.split_at(if pieces == 1 { 0 } else { 20 });
        client.write(first);
        client.write(second);
        let adopted = face.adopted();
        let source = forwarded.rsplit(' ').next().unwrap();
        assert_eq!(adopted.opening.remote, format!("{source}:0").parse().unwrap());
        assert!(matches!(adopted.opening.kind, OpeningKind::Session { .. }));
        // Another one of the same client, whose page is to learn why.
        face.connect().write(&request);
        let second = face.adopted();
        assert!(matches!(second.opening.kind, OpeningKind::Refused(CloseCode::TooManyConnections)));
        drop((adopted, second));
        face.connect().write(&request);
        let third = face.adopted();
        assert!(matches!(third.opening.kind, OpeningKind::Session { .. }));
    }
    for forwarded in ["192.0.2.6", "8.8.8.8", "192.0.2.1, unknown"] {
        let mut client = face.connect();
        client.write(&handshake_of(forwarded));
        let answer = client.head();
        assert!(answer.starts_with("HTTP/1.1 403 "), "{forwarded}: {answer}");
    }
    // Not every address is for so few.
    let mut client = face.connect();
    client.write("GET /version HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 8.8.8.8\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200 "));
    assert!(client.exactly(r#"{"name":"hubbub","version":"1"}"#.len()).contains("hubbub"));
    client.write("GET /version HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.6\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 403 "));
}

#[test]
fn what_a_stranger_says_of_itself_is_not_believed() {
    let face = Face::start(10, LONG);
    let deny = networks(&["192.0.2.6"]);
    face.gate.replace(GateRules { deny, ..GateRules::default() });
    let mut client = face.connect();
    client.write(&handshake_of("192.0.2.6"));
    assert_eq!(face.adopted().opening.remote, client.0.local_addr().unwrap());
}

#[test]
fn an_address_has_so_many_connections() {
    let face = Face::start(10, LONG);
    let rules = GateRules { connections_per_address_max: 2, ..GateRules::default() };
    face.gate.replace(rules);
    let mut first = face.connect();
    first.write(HANDSHAKE);
    let held = face.adopted();
    let mut second = face.connect();
    second.write("GET /version HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(second.head().starts_with("HTTP/1.1 200 "));
    let mut third = face.connect();
    third.write(HANDSHAKE);
    let answer = third.rest();
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("\"too_many_connections\""), "{answer}");
    assert_eq!(Face::counted(&face.gate.stats.crowded), 1);
    drop(held);
    face.connect().write(HANDSHAKE);
    face.adopted();
}

#[test]
fn a_proxy_introduces_its_clients_before_anything_else() {
    let face = Face::start(10, LONG);
    face.gate.replace(GateRules {
        trusted_proxies: networks(&["127.0.0.1"]),
        proxy_protocol: true,
        deny: networks(&["192.0.2.6"]),
        connections_per_address_max: 1,
        ..GateRules::default()
    });
    let open = |bytes: &[u8]| {
        let mut client = face.connect();
        client.write_bytes(bytes);
        client.write(HANDSHAKE);
        client
    };
    // With what else a proxy may tell; its own header is a client's now.
    let tlv = [0x03, 0, 4, 1, 2, 3, 4];
    let _client = open(&introduction([192, 0, 2, 1], 4242, &tlv));
    let adopted = face.adopted();
    assert_eq!(adopted.opening.remote, "192.0.2.1:4242".parse().unwrap());
    // One too many, and one that may not, hear nothing.
    for source in [[192, 0, 2, 1], [192, 0, 2, 6]] {
        assert_eq!(open(&introduction(source, 1, &[])).until_end(), "");
    }
    assert_eq!(Face::counted(&face.gate.stats.crowded), 1);
    assert_eq!(Face::counted(&face.gate.stats.denied), 1);
    // The proxy looks after the server's health by itself.
    let mut client = face.connect();
    client.write_bytes(b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0");
    client.write("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200 "));
    // No header, no TCP, too long, and an older version.
    let mut long = introduction([192, 0, 2, 3], 1, &[]);
    long[14..16].copy_from_slice(&[0xff, 0xff]);
    for bytes in [
        b"".to_vec(),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8".iter().copied().chain([b'a'; 216]).collect(),
        long,
        b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n".to_vec(),
    ] {
        assert_eq!(open(&bytes).until_end(), "", "{bytes:?}");
    }
    assert_eq!(Face::counted(&face.gate.stats.unintroduced), 4);
    drop(adopted);
}
