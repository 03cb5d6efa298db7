//! Peers that hold a connection and give nothing for it: dropped, each by its limit, while others
//! notice nothing, and what they held comes back.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tungstenite::Message;

use crate::node::Node;
use crate::process::{PATIENCE, Server};
use crate::talk::Talk;

/// Of each kind at a time.
const MANY: usize = 500;

/// How many descriptors the process has open.
fn descriptors(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count()
}

/// The memory that the process has resident, in KiB.
fn resident_kib(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A connection that sends its request a byte now and then.
struct Trickle {
    stream: TcpStream,
    ended: bool,
}

impl Trickle {
    fn open(node: &Node) -> Self {
        let stream = TcpStream::connect(node.address()).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self { stream, ended: false }
    }

    /// Sends the next byte, and looks whether the server has ended it.
    fn go_on(&mut self, byte: u8) {
        let mut scratch = [0; 1024];
        self.ended |= match self.stream.read(&mut scratch) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        if !self.ended {
            self.ended = self.stream.write_all(&[byte]).is_err();
        }
    }
}

#[test]
fn idle_strangers_and_slow_handshakes_are_dropped_and_nobody_is_disturbed() {
    hubbub_access::descriptors::raise_limit().unwrap();
    let node = Node::start(&[
        ("LIMITS_AUTH_TIMEOUT_MS", "1000"),
        ("LIMITS_LINGER_MS", "500"),
        ("LIMITS_COMMANDS_PER_SECOND", "1000000"),
        ("LIMITS_COMMANDS_BURST", "1000000"),
        ("SERVER_HEADERS_TIMEOUT_MS", "1500"),
    ]);
    let mut alice = Talk::open(&node, "alice");
    let mut bob = Talk::open(&node, "bob");
    let at_first = descriptors(&node.server);
    let mut sent = 0;
    let mut resident = Vec::new();
    // The first round warms up, the second shows whether anything stays.
    for _ in 0..2 {
        let opened = Instant::now();
        let mut strangers: Vec<Talk> =
            (0..MANY).map(|_| Talk::dial(node.address(), "", None).unwrap()).collect();
        let mut slow: Vec<Trickle> = (0..MANY).map(|_| Trickle::open(&node)).collect();
        let request = b"GET /ws HTTP/1.1\r\nhost: localhost\r\nx-padding: ".iter().copied();
        let mut request = request.chain(std::iter::repeat(b'x'));
        wait_until("the slow ones are kept", || {
            let byte = request.next().unwrap();
            slow.iter_mut().filter(|one| !one.ended).for_each(|one| one.go_on(byte));
            // All the while others talk.
            sent += 1;
            assert_eq!(alice.text("user:bob", "hello", &format!("m{sent}"))["seq"], sent);
            assert_eq!(bob.event("message")["seq"], sent);
            slow.iter().all(|one| one.ended)
        });
        assert!(opened.elapsed() >= Duration::from_millis(1500), "not before their time");
        for stranger in &mut strangers {
            assert_eq!(stranger.closed(), 4010);
        }
        wait_until("descriptors stay", || descriptors(&node.server) <= at_first);
        resident.push(resident_kib(&node.server));
    }
    assert!(resident[1] < resident[0] + 4096, "memory stays: {resident:?} KiB");
    node.stop();
}

#[test]
fn a_peer_that_vanished_is_let_go() {
    let node = Node::start(&[
        ("LIMITS_PING_INTERVAL_MS", "1000"),
        ("LIMITS_PONG_TIMEOUT_MS", "1000"),
        ("LIMITS_LINGER_MS", "100"),
    ]);
    let at_first = descriptors(&node.server);
    // Nothing says that they are gone: they just never read and never answer.
    let mut gone: Vec<Talk> = (0..5).map(|n| Talk::open(&node, &format!("gone{n}"))).collect();
    wait_until("they are here", || descriptors(&node.server) >= at_first + 5);
    wait_until("they are kept", || descriptors(&node.server) <= at_first);
    for talk in &mut gone {
        assert_eq!(talk.closed(), 4002);
    }
    node.stop();
}

#[test]
fn pings_at_line_rate_end_the_connection_that_sends_them() {
    let node = Node::start(&[("LIMITS_CONTROL_FRAMES_PER_SECOND", "100")]);
    let mut alice = Talk::open(&node, "alice");
    let mut flood = Talk::open(&node, "flood");
    let mut stream = flood.stream().try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        // Masked with zeros: a ping of 125 bytes.
        let mut ping = vec![0x89, 0xfd, 0, 0, 0, 0];
        ping.extend([7; 125]);
        while stream.write_all(&ping).is_ok() {}
    });
    assert_eq!(flood.closed(), 4009);
    let _ = flood.stream().shutdown(std::net::Shutdown::Both);
    sender.join().unwrap();
    assert_eq!(alice.text("user:bob", "meanwhile", "m")["seq"], 1);
    // Somebody who keeps to the rate is answered.
    for _ in 0..20 {
        alice.write(Message::Ping(Vec::new().into()));
    }
    alice.ok("ping", serde_json::json!({}));
    node.stop();
}

#[test]
fn a_second_signal_ends_it_at_once_and_what_was_acked_is_there() {
    const ACKED: u64 = 200;
    let node = Node::start(&[
        ("LIMITS_COMMANDS_PER_SECOND", "1000000"),
        ("LIMITS_COMMANDS_BURST", "1000000"),
        // Nothing but the second signal ends it within the test.
        ("SERVER_SHUTDOWN_MS", "600000"),
        ("LIMITS_LINGER_MS", "60000"),
    ]);
    let mut alice = Talk::open(&node, "alice");
    let deaf = Talk::open(&node, "deaf");
    let content = "x".repeat(40_000);
    for n in 1..=ACKED {
        assert_eq!(alice.text("user:deaf", &content, &format!("m{n}"))["seq"], n);
    }
    node.server.signal("TERM");
    assert_eq!(alice.event("bye")["reconnect"], true);
    node.server.signal("INT");
    // It ends by itself or the wait for it fails.
    let node = node.has_ended(3).start();
    drop(deaf);
    let mut deaf = Talk::open(&node, "deaf");
    let list = deaf.ok("conversations", serde_json::json!({}));
    assert_eq!(list["conversations"][0]["head_seq"], ACKED);
    let mut alice = Talk::open(&node, "alice");
    assert_eq!(alice.text("user:deaf", &content, "m200")["duplicate"], true);
    assert_eq!(alice.text("user:deaf", "next", "next")["seq"], ACKED + 1);
    node.kill();
}
