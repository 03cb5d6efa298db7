//! Many WebSocket client connections on one thread.
//!
//! One read buffer is shared by all; a connection keeps bytes of its own only for a torn
//! frame or an unfinished write. Whatever a bench queues while one read is handled leaves in one
//! write. A handshake is: TCP connect, upgrade request, 101, then what the dialect asks for.

mod frame;
mod url;

use crate::clock::now_ns;
use crate::dialects::{Dialect, Event};
use crate::sys::{Epoll, Ready, start_connecting};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::take;
use std::net::{Ipv4Addr, TcpStream};
pub(crate) use url::Target;

/// Few enough that connect(2) finds a free port at once: its search grows long past half of the range.
const CONNECTIONS_PER_SOURCE: usize = 4_000;
/// The generator does not check the accept header, so one key serves all.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// Buffers that grew beyond this are given back once they are empty.
const KEPT_BYTES_MAX: usize = 65_536;
const EVENTS_PER_WAIT: usize = 512;
/// Deliveries that are confirmed at once, as the SDKs do.
const CONFIRMED_TOGETHER: u32 = 50;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Connecting,
    Upgrading,
    Handshake,
    Ready,
    Dead,
}

struct Connection {
    stream: Option<TcpStream>,
    state: State,
    user: u32,
    /// The beginning of a frame whose rest has not come.
    unread: Vec<u8>,
    out: Vec<u8>,
    written: usize,
    waits_to_write: bool,
    /// Deliveries since its last confirmation.
    unconfirmed: u32,
}

/// What a bench does with the traffic.
pub(crate) trait App {
    /// A message on connection `ci`, which is ready.
    fn message(&mut self, io: &mut Io, ci: usize, message: &[u8]);

    /// A connection that was ready is gone.
    fn dead(&mut self, _ci: usize) {}

    /// A connection has become ready.
    fn ready(&mut self, _ci: usize) {}

    /// A connection ended before it was ready.
    fn failed(&mut self, _ci: usize, _why: &Failure) {}
}

/// Why a connection did not become ready.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// A status or what else happened, in few words, for counting.
    pub(crate) what: String,
    /// When the server wants it to come back, if it said so.
    pub(crate) retry_after_ms: Option<u64>,
}

/// The counters a bench reads.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) ready: usize,
    /// How often the server said that a connection is usable.
    pub(crate) announced: u64,
    pub(crate) dead: usize,
    pub(crate) connecting: usize,
    pub(crate) subscribed: usize,
    /// Requests the server refused.
    pub(crate) refused: u64,
    pub(crate) frames: u64,
    pub(crate) reads: u64,
}

pub(crate) struct Io {
    epoll: Epoll,
    connections: Vec<Connection>,
    dialect: Box<dyn Dialect>,
    target: Target,
    first_source: u32,
    random: u64,
    events: Vec<Ready>,
    read_buffer: Vec<u8>,
    request: Vec<u8>,
    /// What failed before it was ready and was not told yet.
    failures: Vec<(usize, Failure)>,
    /// How long a delivery may wait for its confirmation; zero for one after each read.
    confirm_ns: u64,
    /// Connections that have something to confirm, and by when.
    confirming: VecDeque<(u64, usize)>,
    /// Receive buffer that the next connections ask for, in bytes.
    receive_buffer: Option<i32>,
    /// When the bytes being handled were read, nanoseconds: one look at the clock for each read.
    pub(crate) read_ns: u64,
    pub(crate) counters: Counters,
    pub(crate) first_error: Option<String>,
}

impl Io {
    /// `first_source` is added to 127.0.0.2, the address the first connections come from.
    pub(crate) fn new(
        target: Target,
        dialect: Box<dyn Dialect>,
        first_source: u32,
    ) -> io::Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EVENTS_PER_WAIT)?,
            connections: vec![],
            dialect,
            target,
            first_source,
            random: now_ns() | 1,
            events: vec![],
            read_buffer: vec![0; 1 << 20],
            request: vec![],
            failures: vec![],
            confirm_ns: 0,
            confirming: VecDeque::new(),
            receive_buffer: None,
            read_ns: 0,
            counters: Counters::default(),
            first_error: None,
        })
    }

    /// Deliveries are confirmed within `ns`, or after every 50 of them, instead of after each read.
    pub(crate) fn confirm_within(&mut self, ns: u64) {
        self.confirm_ns = ns;
    }

    /// How many connections were started.
    pub(crate) fn opened(&self) -> usize {
        self.connections.len()
    }

    /// Connections opened from now on have a receive buffer of about `bytes`, so that one that does
    /// not read fills its way up to the server soon.
    pub(crate) fn set_receive_buffer(&mut self, bytes: Option<i32>) {
        self.receive_buffer = bytes;
    }

    /// Stops reading from connection `ci`, or begins again.
    pub(crate) fn set_reading(&mut self, ci: usize, reading: bool) {
        let Some(stream) = &self.connections[ci].stream else { return };
        let changed = if reading {
            self.epoll.modify(stream, ci, false)
        } else {
            self.epoll.ignore(stream, ci)
        };
        if let Err(error) = changed {
            self.fail(ci, format!("epoll: {error}"));
        }
    }

    /// Starts a connection for `user`; connections are numbered in this order.
    pub(crate) fn open(&mut self, user: u32) {
        let ci = self.connections.len();
        self.counters.connecting += 1;
        self.connections.push(Connection {
            stream: None,
            state: State::Connecting,
            user,
            unread: vec![],
            out: vec![],
            written: 0,
            waits_to_write: true,
            unconfirmed: 0,
        });
        let source = u32::from(Ipv4Addr::new(127, 0, 0, 2))
            + self.first_source
            + (ci / CONNECTIONS_PER_SOURCE) as u32;
        let source = self.target.address.ip().is_loopback().then(|| Ipv4Addr::from(source));
        let started = start_connecting(source, self.target.address, self.receive_buffer);
        let started = started.and_then(|stream| {
            self.epoll.add(&stream, ci, true)?;
            Ok(stream)
        });
        match started {
            Ok(stream) => self.connections[ci].stream = Some(stream),
            Err(error) => self.fail(ci, format!("connect: {error}")),
        }
    }

    fn fail(&mut self, ci: usize, why: String) {
        self.fail_until(ci, why, None);
    }

    /// The same for a connection that may come back after a while.
    fn fail_until(&mut self, ci: usize, why: String, retry_after_ms: Option<u64>) {
        let connection = &mut self.connections[ci];
        match connection.state {
            State::Dead => return,
            State::Ready => self.counters.ready -= 1,
            State::Connecting | State::Upgrading | State::Handshake => {
                self.counters.connecting -= 1;
                self.failures.push((ci, Failure { what: why.clone(), retry_after_ms }));
            }
        }
        self.counters.dead += 1;
        connection.state = State::Dead;
        connection.stream = None;
        connection.unread = vec![];
        connection.out = vec![];
        self.first_error.get_or_insert(why);
    }

    fn queue(&mut self, ci: usize, opcode: u8, body: &[u8]) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let mask = (self.random as u32).to_ne_bytes();
        frame::encode(opcode, body, mask, &mut self.connections[ci].out);
    }

    /// Queues a text message.
    pub(crate) fn queue_text(&mut self, ci: usize, message: &[u8]) {
        self.queue(ci, frame::TEXT, message);
    }

    /// Queues the text message that `write` makes in the dialect.
    fn queue_request(&mut self, ci: usize, write: impl FnOnce(&mut dyn Dialect, &mut Vec<u8>)) {
        let mut request = take(&mut self.request);
        request.clear();
        write(self.dialect.as_mut(), &mut request);
        self.queue(ci, frame::TEXT, &request);
        self.request = request;
    }

    pub(crate) fn queue_subscribe(&mut self, ci: usize, channel: &str) {
        self.queue_request(ci, |dialect, out| dialect.subscribe(channel, out));
    }

    pub(crate) fn queue_publish(&mut self, ci: usize, channel: &str, data: &[u8]) {
        self.queue_request(ci, |dialect, out| dialect.publish(channel, data, out));
    }

    pub(crate) fn queue_echo(&mut self, ci: usize, data: &[u8]) {
        self.queue_request(ci, |dialect, out| dialect.echo(data, out));
    }

    pub(crate) fn queue_direct(&mut self, ci: usize, to: u32, number: u64, data: &[u8]) {
        self.queue_request(ci, |dialect, out| dialect.direct(to, number, data, out));
    }

    /// Tells the dialect that `message` was a delivery; it is confirmed together with others.
    pub(crate) fn delivered(&mut self, ci: usize, message: &[u8]) {
        let connection = &mut self.connections[ci];
        self.dialect.delivered(connection.user, message);
        connection.unconfirmed += 1;
        if connection.unconfirmed == 1 && self.confirm_ns > 0 {
            self.confirming.push_back((self.read_ns + self.confirm_ns, ci));
        }
    }

    /// Writes what is queued, as far as the socket takes it.
    pub(crate) fn flush(&mut self, ci: usize) {
        let connection = &mut self.connections[ci];
        let Some(stream) = &mut connection.stream else { return };
        while connection.written < connection.out.len() {
            match stream.write(&connection.out[connection.written..]) {
                Ok(count) => connection.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return self.fail(ci, format!("send: {error}")),
            }
        }
        let done = connection.written == connection.out.len();
        if done {
            connection.written = 0;
            connection.out.clear();
            connection.out.shrink_to(KEPT_BYTES_MAX);
        }
        if done == connection.waits_to_write {
            connection.waits_to_write = !done;
            if let Err(error) = self.epoll.modify(stream, ci, !done) {
                self.fail(ci, format!("epoll: {error}"));
            }
        }
    }

    /// Frees the buffers that idle connections do not need.
    pub(crate) fn shrink(&mut self) {
        for connection in &mut self.connections {
            connection.unread.shrink_to_fit();
            connection.out.shrink_to_fit();
        }
    }

    /// Waits at most `wait_us` microseconds, then handles whatever is ready.
    pub(crate) fn poll(&mut self, app: &mut dyn App, wait_us: u64) {
        let mut events = take(&mut self.events);
        self.epoll.wait(wait_us, &mut events);
        for event in events.drain(..) {
            let ci = event.token;
            let was_ready = self.connections[ci].state == State::Ready;
            if event.writable {
                self.handle_writable(ci);
            }
            if event.readable {
                self.handle_readable(app, ci);
            }
            match (was_ready, self.connections[ci].state) {
                (true, State::Dead) => app.dead(ci),
                (false, State::Ready) => app.ready(ci),
                _ => {}
            }
        }
        self.events = events;
        self.confirm_due();
        for (ci, why) in take(&mut self.failures) {
            app.failed(ci, &why);
        }
    }

    fn handle_writable(&mut self, ci: usize) {
        let connection = &mut self.connections[ci];
        if connection.state == State::Connecting {
            let Some(stream) = &connection.stream else { return };
            if let Some(error) = stream.take_error().unwrap_or_else(Some) {
                return self.fail(ci, format!("connect: {error}"));
            }
            let user = connection.user;
            let request = format!(
                "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{}\r\n",
                self.dialect.path(&self.target.path, user),
                self.target.host,
                self.dialect.headers(user),
            );
            connection.out.extend_from_slice(request.as_bytes());
            connection.state = State::Upgrading;
        }
        self.flush(ci);
    }

    fn handle_readable(&mut self, app: &mut dyn App, ci: usize) {
        let mut buffer = take(&mut self.read_buffer);
        while self.read_once(app, ci, &mut buffer) {}
        self.read_buffer = buffer;
        if self.confirm_ns == 0 || self.connections[ci].unconfirmed >= CONFIRMED_TOGETHER {
            self.queue_confirmations(ci);
        }
        if !self.connections[ci].waits_to_write {
            self.flush(ci);
        }
    }

    /// Confirms what has waited long enough.
    fn confirm_due(&mut self) {
        if self.confirming.is_empty() {
            return;
        }
        let now = now_ns();
        while let Some((due, ci)) = self.confirming.front().copied()
            && due <= now
        {
            self.confirming.pop_front();
            self.queue_confirmations(ci);
            if !self.connections[ci].waits_to_write {
                self.flush(ci);
            }
        }
    }

    /// Reads once and handles what came; true if there may be more.
    fn read_once(&mut self, app: &mut dyn App, ci: usize, buffer: &mut Vec<u8>) -> bool {
        let connection = &mut self.connections[ci];
        let Some(stream) = &mut connection.stream else { return false };
        let torn = connection.unread.len();
        if torn + KEPT_BYTES_MAX > buffer.len() {
            buffer.resize(torn * 2 + KEPT_BYTES_MAX, 0);
        }
        buffer[..torn].copy_from_slice(&connection.unread);
        let room = buffer.len() - torn;
        self.counters.reads += 1;
        let count = match stream.read(&mut buffer[torn..]) {
            Ok(0) => {
                self.fail(ci, "closed by the server".into());
                return false;
            }
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => {
                self.fail(ci, format!("recv: {error}"));
                return false;
            }
        };
        self.read_ns = now_ns();
        connection.unread.clear();
        connection.unread.shrink_to(KEPT_BYTES_MAX);
        let end = torn + count;
        let used = self.handle_bytes(app, ci, &buffer[..end]);
        let connection = &mut self.connections[ci];
        if connection.state == State::Dead {
            return false;
        }
        connection.unread.extend_from_slice(&buffer[used..end]);
        count == room
    }

    /// Handles the whole frames in `bytes` and returns how many bytes they took.
    fn handle_bytes(&mut self, app: &mut dyn App, ci: usize, bytes: &[u8]) -> usize {
        let mut at = 0;
        if self.connections[ci].state == State::Upgrading {
            let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return 0 };
            at = end + 4;
            self.handle_response(ci, &bytes[..end], &bytes[at..]);
        }
        while self.connections[ci].state != State::Dead {
            let Some(frame) = frame::decode(&bytes[at..]) else { break };
            at += frame.length;
            self.counters.frames += 1;
            match frame.opcode {
                frame::TEXT | frame::BINARY => self.handle_message(app, ci, frame.body),
                frame::PING => self.queue(ci, frame::PONG, frame.body),
                frame::CLOSE => {
                    let code =
                        frame.body.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    let reason = String::from_utf8_lossy(frame.body.get(2..).unwrap_or_default());
                    self.fail(ci, format!("the server sent close {code} {reason}"));
                }
                _ => {}
            }
        }
        at
    }

    /// `body` is as much of the answer's body as has come with its head.
    fn handle_response(&mut self, ci: usize, head: &[u8], body: &[u8]) {
        if !head.starts_with(b"HTTP/1.1 101") {
            let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
            let why = format!("upgrade refused: {}", String::from_utf8_lossy(line));
            return self.fail_until(ci, why, retry_after_ms(head, body));
        }
        self.connections[ci].state = State::Handshake;
        if self.dialect.ready_on_upgrade() {
            self.set_ready(ci);
        }
    }

    fn set_ready(&mut self, ci: usize) {
        if self.connections[ci].state != State::Ready {
            self.connections[ci].state = State::Ready;
            self.counters.ready += 1;
            self.counters.connecting -= 1;
        }
    }

    #[inline]
    fn handle_message(&mut self, app: &mut dyn App, ci: usize, message: &[u8]) {
        if self.connections[ci].state == State::Ready {
            app.message(self, ci, message);
        } else {
            self.handle_control(ci, message);
        }
    }

    /// Acts on a message without a payload; returns the number acknowledged, if it is an acknowledgement.
    pub(crate) fn handle_control(&mut self, ci: usize, message: &[u8]) -> Option<u64> {
        let ready = self.connections[ci].state == State::Ready;
        match self.dialect.event(message, ready) {
            Event::Ack(number) => return Some(number),
            Event::Ready => {
                self.counters.announced += 1;
                self.set_ready(ci);
            }
            Event::Subscribed => self.counters.subscribed += 1,
            Event::Reply(reply) => self.queue(ci, frame::TEXT, reply),
            Event::Refused => {
                let shown = &message[..message.len().min(300)];
                self.counters.refused += 1;
                self.first_error.get_or_insert_with(|| String::from_utf8_lossy(shown).into_owned());
            }
            Event::Other => {}
        }
        None
    }

    fn queue_confirmations(&mut self, ci: usize) {
        let connection = &mut self.connections[ci];
        let any = take(&mut connection.unconfirmed) > 0;
        if !any || connection.state != State::Ready {
            return;
        }
        let user = connection.user;
        let mut request = take(&mut self.request);
        request.clear();
        while self.dialect.confirmation(user, &mut request) {
            self.queue(ci, frame::TEXT, &request);
            request.clear();
        }
        self.request = request;
    }
}

/// When to come back, as the body says in milliseconds or else the header in seconds.
fn retry_after_ms(head: &[u8], body: &[u8]) -> Option<u64> {
    let number = |text: &[u8], key: &[u8]| {
        let rest = text[memchr::memmem::find(text, key)? + key.len()..].trim_ascii_start();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&rest[..count]).ok()?.parse::<u64>().ok()
    };
    let in_head = || number(&head.to_ascii_lowercase(), b"\r\nretry-after:").map(|s| s * 1000);
    number(body, b"\"retry_after_ms\":").or_else(in_head)
}

#[cfg(test)]
mod tests {
    use super::retry_after_ms;

    #[test]
    fn when_to_come_back() {
        let head = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2";
        assert_eq!(retry_after_ms(head, br#"{"code":503,"retry_after_ms":1500}"#), Some(1500));
        assert_eq!(retry_after_ms(head, b""), Some(2000));
        assert_eq!(retry_after_ms(b"HTTP/1.1 400 Bad Request", b"{}"), None);
    }
}
