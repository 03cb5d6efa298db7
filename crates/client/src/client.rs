//! A client in a task: connects, reconnects, and carries frames between a [`Core`] and a server.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hubbub_websocket::deflate::negotiate::Offer;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use crate::connection::{Connection, Incoming, Url};
use crate::core::{Core, Event};
use crate::outbox::Outgoing;

/// Events and commands that wait at most.
const CHANNEL_MAX: usize = 10_000;
/// How often the client looks at what is due.
const TICK: Duration = Duration::from_millis(100);
/// A connection that lasted this long was stable: the backoff starts again. So it does after one that
/// got as far as [`Event::Synced`], however soon it ended.
const STABLE: Duration = Duration::from_secs(10);

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a `ws://` address.
    #[error("not a ws:// address: {0}")]
    Url(String),
    /// The network failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server refused the upgrade.
    #[error("the server answered HTTP {status}: {body}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
    /// The server broke the WebSocket protocol.
    #[error("broken frame: {0}")]
    Protocol(String),
    /// The server refused a command; the payload of its `error`.
    #[error("refused: {0}")]
    Command(Value),
    /// The client has ended.
    #[error("the client is closed")]
    Closed,
    /// Too many messages wait to be acked.
    #[error("too many unacked messages")]
    Full,
}

/// How to connect.
#[derive(Clone)]
pub struct Options {
    /// `ws://HOST:PORT/ws`
    pub url: String,
    /// Asked for a token at every connection.
    pub token: Arc<dyn Fn() -> String + Send + Sync>,
    /// First pause before a reconnection; doubles up to `backoff_max`.
    pub backoff: Duration,
    /// Longest pause.
    pub backoff_max: Duration,
    /// Attempts in a row before the client gives up; `None` for no end.
    pub attempts: Option<u32>,
    /// Offers permessage-deflate (RFC 7692) like this; the server may decline it.
    pub compression: Option<Offer>,
}

impl Options {
    /// The usual pauses: 1 s doubling to 30 s, 10 attempts.
    #[must_use]
    pub fn new(url: &str, token: &str) -> Self {
        let token = token.to_owned();
        Self {
            url: url.to_owned(),
            token: Arc::new(move || token.clone()),
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
            attempts: Some(10),
            compression: None,
        }
    }
}

enum Order {
    Send { message: Box<Outgoing>, done: oneshot::Sender<bool> },
    Request { kind: String, payload: Value, done: oneshot::Sender<Result<Value, Value>> },
    Tell { kind: String, payload: Value },
    Close,
}

/// A handle to a running client.
#[derive(Clone)]
pub struct Client {
    orders: mpsc::Sender<Order>,
}

/// What the application reads: the client's events, in order.
pub type Events = mpsc::Receiver<Event>;

impl Client {
    /// Starts a client on the current tokio runtime. When `Events` ends, the client has ended: it
    /// was closed, told to stop by the server, or out of attempts. An application that does not
    /// read its events stops the client from reading the network.
    ///
    /// # Errors
    /// [`Error::Url`].
    pub fn start(options: Options) -> Result<(Self, Events), Error> {
        let url = Url::parse(&options.url)?;
        let (orders, inbox) = mpsc::channel(CHANNEL_MAX);
        let (out, events) = mpsc::channel(CHANNEL_MAX);
        let running = Running {
            options,
            url,
            core: Core::new(),
            inbox,
            out,
            waiting: Vec::new(),
            began: Instant::now(),
        };
        tokio::spawn(running.run());
        Ok((Self { orders }, events))
    }

    async fn order(&self, order: Order) -> Result<(), Error> {
        self.orders.send(order).await.map_err(|_| Error::Closed)
    }

    /// Queues a message; it is sent and retried under the returned client id until
    /// [`Event::Sent`] or [`Event::Failed`] names it.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Closed`].
    pub async fn send(&self, to: &str, content: Value) -> Result<String, Error> {
        self.send_with(to, content, "text", Map::new()).await
    }

    /// As [`Client::send`], of any kind and with other fields of `send`: `reply_to`, `mentions`,
    /// `expires_in_ms`, `forward` …
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Closed`].
    pub async fn send_with(
        &self,
        to: &str,
        content: Value,
        kind: &str,
        extra: Map<String, Value>,
    ) -> Result<String, Error> {
        let client_id = client_id();
        let mut message = Outgoing::new(to, content, kind, &client_id);
        message.extra = extra;
        let (done, accepted) = oneshot::channel();
        self.order(Order::Send { message: Box::new(message), done }).await?;
        match accepted.await {
            Ok(true) => Ok(client_id),
            Ok(false) => Err(Error::Full),
            Err(_) => Err(Error::Closed),
        }
    }

    /// Sends a command and waits for the payload of its `ack`.
    ///
    /// # Errors
    /// [`Error::Command`] with the payload of `error`, [`Error::Closed`].
    pub async fn request(&self, kind: &str, payload: Value) -> Result<Value, Error> {
        let (done, reply) = oneshot::channel();
        self.order(Order::Request { kind: kind.to_owned(), payload, done }).await?;
        reply.await.map_err(|_| Error::Closed)?.map_err(Error::Command)
    }

    /// Sends a command that wants no reply, if connected.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn tell(&self, kind: &str, payload: Value) -> Result<(), Error> {
        self.order(Order::Tell { kind: kind.to_owned(), payload }).await
    }

    /// Ends the client.
    pub async fn close(&self) {
        let _closed_before = self.order(Order::Close).await;
    }
}

struct Running {
    options: Options,
    url: Url,
    core: Core,
    inbox: mpsc::Receiver<Order>,
    out: mpsc::Sender<Event>,
    waiting: Vec<(u64, oneshot::Sender<Result<Value, Value>>)>,
    began: Instant,
}

/// Why a connection, or the client, ended.
enum End {
    Reconnect,
    Stop,
}

impl Running {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn run(mut self) {
        let mut attempt = 0;
        loop {
            let opened = Instant::now();
            let token = (self.options.token)();
            match Connection::open_offering(&self.url, &token, self.options.compression).await {
                Ok(connection) => {
                    let end = self.serve(connection).await;
                    let made_progress = self.core.is_synced() || opened.elapsed() > STABLE;
                    self.core.disconnected();
                    if matches!(end, End::Stop) || self.tell_events().await.is_err() {
                        return;
                    }
                    if made_progress {
                        attempt = 0;
                    }
                    let reason = "the connection was lost".to_owned();
                    if self.out.send(Event::Offline { reason }).await.is_err() {
                        return;
                    }
                }
                // The token or the origin is refused: trying again cannot help.
                Err(Error::Refused { status: 400..=499, body }) => {
                    let payload = serde_json::json!({ "reason": "refused", "message": body });
                    let _gone = self.out.send(Event::Other { kind: "error".into(), payload }).await;
                    return;
                }
                Err(error) => {
                    let reason = error.to_string();
                    if self.out.send(Event::Offline { reason }).await.is_err() {
                        return;
                    }
                }
            }
            attempt += 1;
            if self.options.attempts.is_some_and(|max| attempt > max) {
                return;
            }
            if matches!(self.pause(attempt).await, End::Stop) {
                return;
            }
        }
    }

    /// Waits before the next attempt, full jitter, and takes orders meanwhile.
    async fn pause(&mut self, attempt: u32) -> End {
        let longest = self
            .options
            .backoff
            .saturating_mul(1 << (attempt - 1).min(16))
            .min(self.options.backoff_max);
        let until = tokio::time::Instant::now() + longest.mul_f64(jitter());
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return End::Reconnect,
                order = self.inbox.recv() => {
                    if let End::Stop = self.take(order) {
                        return End::Stop;
                    }
                }
            }
        }
    }

    fn take(&mut self, order: Option<Order>) -> End {
        match order {
            None | Some(Order::Close) => return End::Stop,
            Some(Order::Send { message, done }) => {
                let _not_waiting = done.send(self.core.send_message(*message));
            }
            Some(Order::Request { kind, payload, done }) => {
                let ticket = self.core.request(&kind, payload);
                self.waiting.push((ticket, done));
            }
            Some(Order::Tell { kind, payload }) => self.core.tell(&kind, &payload),
        }
        End::Reconnect
    }

    async fn serve(&mut self, mut connection: Connection) -> End {
        let mut tick = tokio::time::interval(TICK);
        // Only waiting counts: while the application is slow, nothing is read.
        let mut silence = Duration::ZERO;
        loop {
            let waits = Instant::now();
            tokio::select! {
                incoming = connection.next() => match incoming {
                    Ok(Incoming::Text(text)) => {
                        silence = Duration::ZERO;
                        let now = self.now();
                        self.core.message(&text, now);
                        // Answer once for everything that came in one read.
                        if connection.has_buffered() {
                            continue;
                        }
                    }
                    Ok(Incoming::Ping(payload)) => {
                        silence = Duration::ZERO;
                        if connection.pong(&payload).await.is_err() {
                            return End::Reconnect;
                        }
                        if connection.has_buffered() {
                            continue;
                        }
                    }
                    // The server says stop: 1008, 4001, 4003, 4005.
                    Ok(Incoming::Closed(Some(1008 | 4001 | 4003 | 4005))) => return End::Stop,
                    Ok(Incoming::Closed(_)) | Err(_) => return End::Reconnect,
                },
                order = self.inbox.recv() => {
                    silence += waits.elapsed();
                    if let End::Stop = self.take(order) {
                        let _best_effort = tokio::time::timeout(STABLE, connection.close()).await;
                        return End::Stop;
                    }
                }
                _ = tick.tick() => {
                    silence += waits.elapsed();
                    // Half open: the other side is gone and nobody has said so.
                    if silence > Duration::from_millis(self.core.silence_max_ms()) {
                        return End::Reconnect;
                    }
                }
            }
            let now = self.now();
            self.core.poll(now);
            let frames = self.core.take_frames();
            if !frames.is_empty() && connection.send(&frames).await.is_err() {
                return End::Reconnect;
            }
            if self.tell_events().await.is_err() {
                return End::Stop;
            }
        }
    }

    async fn tell_events(&mut self) -> Result<(), Error> {
        for event in self.core.take_events() {
            if let Event::Reply { ticket, outcome } = event {
                if let Some(at) = self.waiting.iter().position(|(t, _)| *t == ticket) {
                    let _not_waiting = self.waiting.swap_remove(at).1.send(outcome);
                }
            } else {
                self.out.send(event).await.map_err(|_| Error::Closed)?;
            }
        }
        Ok(())
    }
}

/// A name for a command, under which it may be sent again (P2).
pub(crate) fn client_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// A number in 0..1, for spreading reconnections.
fn jitter() -> f64 {
    let mut bytes = [0; 4];
    if getrandom::fill(&mut bytes).is_err() {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
        bytes = nanos.to_le_bytes();
    }
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use hubbub_websocket::frame::write_frame;
    use hubbub_websocket::{Decoder, Limits, OpCode, Role, close, handshake};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Takes one connection, answers its sync if it is to, and closes it as a slow consumer's.
    async fn serve_once(stream: &mut TcpStream, answers: bool) -> io::Result<()> {
        let mut read = Vec::new();
        while !read.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut read).await?;
        }
        let request = String::from_utf8_lossy(&read).into_owned();
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let accept = handshake::accept_key(key.unwrap_or_default()).unwrap();
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        let mut out = response.into_bytes();
        let hello = r#"{"type":"connected","payload":{"user":"a"}}"#;
        write_frame(&mut out, true, OpCode::Text, None, hello.as_bytes());
        stream.write_all(&out).await?;
        let limits = Limits { message_bytes_max: 65_536, fragments_max: 1 };
        let mut decoder = Decoder::new(Role::Server);
        read.clear();
        let sync: Value = loop {
            stream.read_buf(&mut read).await?;
            let step = decoder.next(&mut read, &limits).unwrap();
            if let Some(hubbub_websocket::Event::Text(text)) = step.event {
                break serde_json::from_str(text).unwrap();
            }
            read.clear();
        };
        assert_eq!(sync["type"], "sync");
        out.clear();
        if answers {
            let page = serde_json::json!({ "epoch": "e", "conversations": [], "rev": 0 });
            let ack = serde_json::json!({ "type": "ack", "id": sync["id"], "payload": page });
            write_frame(&mut out, true, OpCode::Text, None, ack.to_string().as_bytes());
        }
        close::write(&mut out, Some(4008), "", None);
        stream.write_all(&out).await
    }

    /// How often a client with two attempts in a row connects to a server that answers `syncs` of
    /// its connections, and what it tells of.
    async fn connections(syncs: usize) -> (usize, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/ws", listener.local_addr().unwrap());
        let mut options = Options::new(&url, "token");
        options.backoff = Duration::ZERO;
        options.attempts = Some(2);
        let (_client, mut events) = Client::start(options).unwrap();
        let (mut taken, mut told) = (0, 0);
        let mut kept = Vec::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let mut stream = accepted.unwrap().0;
                    serve_once(&mut stream, taken < syncs).await.unwrap();
                    kept.push(stream);
                    taken += 1;
                }
                event = events.recv() => match event {
                    Some(Event::Synced) => told += 1,
                    Some(_) => {}
                    None => return (taken, told),
                }
            }
        }
    }

    #[tokio::test]
    async fn a_connection_that_synced_does_not_count_as_an_attempt() {
        assert_eq!(connections(0).await, (3, 0));
        // Each that synced starts the count again: the last of them is followed by two attempts.
        assert_eq!(connections(8).await, (10, 8));
    }
}
