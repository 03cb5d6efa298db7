use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use hubbub_hub::OpeningKind;

use crate::face::{Adopted, Face, HANDSHAKE};

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(60);

#[test]
fn an_upgraded_socket_is_handed_over_with_what_was_read_too_far() {
    let face = Face::start(10, LONG);
    for leftover in ["", "frames of the client"] {
        let mut client = face.connect();
        client.write(&format!("{HANDSHAKE}{leftover}"));
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
        assert!(!head.contains("sec-websocket-protocol"), "{head}");

        let Adopted { mut stream, already_read, opening, .. } = face.adopted();
        assert!(matches!(opening.kind, OpeningKind::Session { identity: None, .. }));
        assert_eq!(opening.remote, client.0.local_addr().unwrap());
        assert!(stream.nodelay().unwrap());
        // Both ends work, and no reader of HTTP's is left on the socket.
        client.write("more");
        stream.set_nonblocking(false).unwrap();
        let mut rest = vec![0; leftover.len() + 4 - already_read.len()];
        stream.read_exact(&mut rest).unwrap();
        assert_eq!([&already_read[..], &rest].concat(), format!("{leftover}more").as_bytes());
        stream.write_all(b"back").unwrap();
        let mut back = [0; 4];
        client.0.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"back");
    }
}

#[test]
fn the_socket_is_nonblocking_when_handed_over() {
    let face = Face::start(10, LONG);
    let mut client = face.connect();
    client.write(HANDSHAKE);
    let mut adopted = face.adopted();
    assert!(adopted.stream.as_raw_fd() > 0);
    let error = adopted.stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_place_is_kept_to_the_end_and_above_the_limit_is_503() {
    let face = Face::start(2, LONG);
    let mut clients: Vec<_> = (0..2).map(|_| face.connect()).collect();
    let mut held = Vec::new();
    for client in &mut clients {
        client.write(HANDSHAKE);
        held.push(face.adopted());
    }
    assert_eq!(face.permits.used(), 2);

    let mut above = face.connect();
    above.write(HANDSHAKE);
    let answer = above.rest();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("retry-after: "), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.contains("\"reason\":\"too_many_connections\""), "{answer}");
    assert!(face.adopted.try_recv().is_err());

    let mut probe = face.connect();
    probe.write("GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(probe.rest().starts_with("HTTP/1.1 200 "));
    assert_eq!(Face::counted(&face.stats.turned_away), 2);

    // The data plane lets one go.
    drop(held.pop());
    assert_eq!(face.permits.used(), 1);
    let mut next = face.connect();
    next.write(HANDSHAKE);
    assert!(next.head().starts_with("HTTP/1.1 101 "));
    held.push(face.adopted());
    assert_eq!(Face::counted(&face.stats.adopted), 3);
}

#[test]
fn far_above_the_limit_nothing_is_held() {
    let face = Face::start(0, LONG);
    let mut crowd: Vec<TcpStream> =
        (0..200).map(|_| TcpStream::connect(face.address).unwrap()).collect();
    // Those beyond the few whose request is waited for are told so at once.
    let last = crowd.last_mut().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.ends_with("\"retry_after_ms\":5000}"), "{answer}");
    assert_eq!(Face::counted(&face.stats.turned_away), 200);
    assert_eq!(face.permits.used(), 0);
}

#[test]
fn slow_heads_and_idle_connections_end() {
    let face = Face::start(10, SHORT);
    let began = Instant::now();
    for part in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: a\r\nX: "] {
        let mut client = face.connect();
        client.write(part);
        client.rest();
    }
    let mut kept = face.connect();
    kept.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(kept.rest().ends_with("page"));
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_head_that_drips_does_not_extend_its_time() {
    let face = Face::start(10, SHORT);
    let mut client = face.connect();
    client.write("GET / HTTP/1.1\r\n");
    let began = Instant::now();
    let ended = loop {
        // The pace of the attack, not a wait: each byte comes well within the time-out.
        std::thread::sleep(SHORT / 10);
        if client.0.write_all(b"X").is_err() {
            break true;
        }
        if began.elapsed() > Duration::from_secs(10) {
            break false;
        }
    };
    assert!(ended);
}

#[test]
fn what_is_no_http_is_refused() {
    let face = Face::start(10, LONG);
    for (request, status) in [
        ("\x16\x03\x01\x02\x00\x01\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/3.0\r\n\r\n".to_owned(), "400"),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000)), "4"),
        (format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(70_000)), "431"),
    ] {
        let mut client = face.connect();
        client.write(&request);
        let answer = client.rest();
        let shown: String = request.chars().take(20).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{shown}: {answer}");
    }
}

#[test]
fn stopping_ends_what_is_idle_and_closes_the_listener() {
    let mut face = Face::start(10, LONG);
    let mut idle = face.connect();
    idle.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    idle.head();
    let mut upgraded = face.connect();
    upgraded.write(HANDSHAKE);
    upgraded.head();
    let held = face.adopted();

    let began = Instant::now();
    face.stop();
    assert!(began.elapsed() < Duration::from_secs(5), "an idle connection does not hold it up");
    assert!(TcpStream::connect(face.address).is_err());
    // What was handed over is the data plane's to end.
    assert_eq!(face.permits.used(), 1);
    drop(held);
}

#[test]
fn a_client_that_does_not_read_does_not_hold_up_the_stop() {
    let mut face = Face::start(10, LONG);
    let mut stuck = face.connect();
    stuck.write("GET /large.js HTTP/1.1\r\nHost: a\r\n\r\n");
    stuck.head();
    let began = Instant::now();
    face.stop();
    assert!(began.elapsed() < Duration::from_secs(15));
    assert_eq!(face.permits.used(), 0);
}
