//! More clients than are let in at once.

use std::time::Duration;

use hubbub_access::AcceptLimits;

use crate::face::{Client, Face, HANDSHAKE};

const LONG: Duration = Duration::from_secs(60);

fn limits(opens_per_second_max: u32, handshakes_max: u32) -> AcceptLimits {
    AcceptLimits {
        opens_per_second_max,
        handshakes_max,
        http2_sockets_max: 3,
        headers_timeout: LONG,
    }
}

fn assert_refused(client: &mut Client) {
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\nretry-after: "), "{answer}");
    assert!(answer.contains("\"reason\":\"too_many_at_once\""), "{answer}");
    let (_, wait) = answer.split_once("\"retry_after_ms\":").unwrap();
    let wait: u64 = wait.trim_end_matches('}').parse().unwrap();
    assert!((500..=60_000).contains(&wait), "{wait}");
}

#[test]
fn above_the_rate_one_is_told_when_to_come_back() {
    let face = Face::with(1000, limits(1, 100), None);
    let mut first = face.connect();
    first.write(HANDSHAKE);
    assert!(first.head().starts_with("HTTP/1.1 101 "));
    let mut crowd: Vec<Client> = (0..20).map(|_| face.connect()).collect();
    crowd.iter_mut().for_each(|client| client.write(HANDSHAKE));
    // On a slow machine a second passes meanwhile, and one more of them is let in.
    let heads = crowd.iter_mut().map(Client::head);
    let told = heads.filter(|head| head.starts_with("HTTP/1.1 503 ")).count() as u64;
    assert!(told >= 10, "{told}");
    assert_eq!(Face::counted(&face.stats.paced), told);
    assert_eq!(Face::counted(&face.stats.adopted), 21 - told);
    // Probes of health are served all the same.
    let mut probe = face.connect();
    probe.write("GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(probe.rest().starts_with("HTTP/1.1 200 "));
}

#[test]
fn those_that_say_nothing_take_places_and_no_more() {
    let face = Face::with(1000, limits(0, 3), None);
    let silent: Vec<Client> = (0..3).map(|_| face.connect()).collect();
    let mut above = face.connect();
    assert_refused(&mut above);
    assert_eq!(Face::counted(&face.stats.crowded), 1);
    assert_eq!(face.permits.used(), 3);
    // The places are those of connections that speak HTTP: an upgrade gives its place back.
    let mut silent = silent.into_iter();
    let mut speaks = silent.next().unwrap();
    speaks.write(HANDSHAKE);
    assert!(speaks.head().starts_with("HTTP/1.1 101 "));
    let kept = face.adopted();
    let mut next = face.connect();
    next.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(next.head().starts_with("HTTP/1.1 200 "));
    drop((kept, silent));
}

#[test]
fn five_hundred_that_say_nothing_are_gone_in_time() {
    let timeout = Duration::from_millis(300);
    let face = Face::with(1000, AcceptLimits { headers_timeout: timeout, ..limits(0, 1000) }, None);
    let began = std::time::Instant::now();
    let mut silent: Vec<Client> = (0..250).map(|_| face.connect()).collect();
    let mut slow: Vec<Client> = (0..250).map(|_| face.connect()).collect();
    slow.iter_mut().for_each(|client| client.write("GET /ws HTTP/1.1\r\nHost"));
    for client in silent.iter_mut().chain(&mut slow) {
        assert_eq!(client.rest(), "");
    }
    assert!(began.elapsed() < timeout * 10, "{:?}", began.elapsed());
    assert_eq!(Face::counted(&face.stats.late), 500);
    while face.permits.used() > 0 {
        // The last socket is closed a moment before its place is given back.
        assert!(began.elapsed() < timeout * 10, "{}", face.permits.used());
        std::thread::yield_now();
    }
}
