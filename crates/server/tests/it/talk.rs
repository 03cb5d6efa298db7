//! A client that does nothing by itself: it says what the test says, and keeps what comes until the
//! test asks for it.
//!
//! Invariant: every wait ends, with what was asked for or with a panic that shows what came instead.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::header::AUTHORIZATION;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

use crate::node::Node;
use crate::process::PATIENCE;

/// One connection to `/ws`.
pub(crate) struct Talk {
    socket: WebSocket<TcpStream>,
    next_id: u64,
    /// Came and was not asked for.
    kept: VecDeque<Value>,
    /// How it ended: the close code, or nothing where the socket just ended.
    end: Option<Option<u16>>,
    /// The payload of `connected`.
    pub(crate) connected: Value,
}

impl Talk {
    /// Upgrades `/ws` and what follows it, with a token in the header if there is one.
    pub(crate) fn dial(
        address: SocketAddr,
        query: &str,
        token: Option<&str>,
    ) -> Result<Self, Box<Error>> {
        let mut request = format!("ws://{address}/ws{query}").into_client_request().unwrap();
        if let Some(token) = token {
            request.headers_mut().insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        }
        let stream = TcpStream::connect(address).map_err(Error::Io)?;
        stream.set_nodelay(true).map_err(Error::Io)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(Error::Io)?;
        let (socket, _) = tungstenite::client(request, stream).map_err(|error| match error {
            HandshakeError::Failure(error) => error,
            HandshakeError::Interrupted(_) => Error::Io(io::ErrorKind::TimedOut.into()),
        })?;
        Ok(Self { socket, next_id: 0, kept: VecDeque::new(), end: None, connected: Value::Null })
    }

    /// Signs in as `user`; not attached to groups before a `sync`.
    #[track_caller]
    pub(crate) fn open(node: &Node, user: &str) -> Self {
        Self::open_with(node, "", &node.token(user))
    }

    /// Signs in as `user` on this device.
    #[track_caller]
    pub(crate) fn open_device(node: &Node, user: &str, device: &str) -> Self {
        Self::open_with(node, &format!("?device={device}"), &node.token(user))
    }

    #[track_caller]
    pub(crate) fn open_with(node: &Node, query: &str, token: &str) -> Self {
        let mut talk = Self::dial(node.address(), query, Some(token)).unwrap();
        talk.connected = talk.event("connected");
        talk
    }

    /// Signs in and turns on live delivery of the user's groups.
    #[track_caller]
    pub(crate) fn attached(node: &Node, user: &str) -> Self {
        let mut talk = Self::open(node, user);
        talk.sync();
        talk
    }

    #[track_caller]
    pub(crate) fn sync(&mut self) -> Value {
        self.ok("sync", json!({}))
    }

    /// The socket underneath, for what no client should do.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.socket.get_mut()
    }

    /// Sends this text as it is.
    #[track_caller]
    pub(crate) fn say(&mut self, text: &str) {
        self.write(Message::text(text));
    }

    /// The same, where the connection may have ended.
    pub(crate) fn try_say(&mut self, text: &str) {
        let _ended = self.socket.send(Message::text(text));
    }

    #[track_caller]
    pub(crate) fn write(&mut self, message: Message) {
        self.socket.send(message).unwrap();
    }

    /// Sends bytes that need not be a frame.
    #[track_caller]
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.stream().write_all(bytes).unwrap();
    }

    /// Sends a command and does not wait. Answers its id.
    #[track_caller]
    pub(crate) fn post(&mut self, kind: &str, payload: &Value) -> String {
        self.next_id += 1;
        let id = format!("c{}", self.next_id);
        self.say(&json!({ "type": kind, "id": id, "payload": payload }).to_string());
        id
    }

    /// Waits for the reply to `id`: the payload of `ack`, or of `error`.
    #[track_caller]
    pub(crate) fn reply(&mut self, id: &str) -> Result<Value, Value> {
        let mut reply = self.expect(&format!("the reply to {id}"), |frame| {
            frame["id"] == id && (frame["type"] == "ack" || frame["type"] == "error")
        });
        let payload = reply["payload"].take();
        if reply["type"] == "ack" { Ok(payload) } else { Err(payload) }
    }

    #[track_caller]
    pub(crate) fn call(&mut self, kind: &str, payload: &Value) -> Result<Value, Value> {
        let id = self.post(kind, payload);
        self.reply(&id)
    }

    /// A command that must succeed; the payload of its `ack`.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "so that json!({…}) can stand there")]
    pub(crate) fn ok(&mut self, kind: &str, payload: Value) -> Value {
        match self.call(kind, &payload) {
            Ok(ack) => ack,
            Err(error) => panic!("{kind} {payload} was refused: {error}"),
        }
    }

    /// A command that must be refused; the reason.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "so that json!({…}) can stand there")]
    pub(crate) fn refused(&mut self, kind: &str, payload: Value) -> String {
        match self.call(kind, &payload) {
            Ok(ack) => panic!("{kind} {payload} was not refused: {ack}"),
            Err(error) => error["reason"].as_str().unwrap().to_owned(),
        }
    }

    /// Sends text under a client id; the payload of the ack.
    #[track_caller]
    pub(crate) fn text(&mut self, to: &str, content: &str, client_id: &str) -> Value {
        self.ok("send", json!({ "to": to, "content": content, "client_id": client_id }))
    }

    /// Waits for the first event of this type; its payload.
    #[track_caller]
    pub(crate) fn event(&mut self, kind: &str) -> Value {
        self.expect(kind, |frame| frame["type"] == kind)["payload"].take()
    }

    /// Waits for the first `message`; its content.
    #[track_caller]
    pub(crate) fn content(&mut self) -> Value {
        self.event("message")["content"].take()
    }

    /// Waits for a frame; those before it are kept.
    #[track_caller]
    pub(crate) fn expect(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.kept.iter().position(&wanted) {
            return self.kept.remove(at).unwrap();
        }
        let deadline = Instant::now() + PATIENCE;
        while self.end.is_none() && Instant::now() < deadline {
            if let Some(frame) = self.next_frame(deadline) {
                if wanted(&frame) {
                    return frame;
                }
                self.kept.push_back(frame);
            }
        }
        panic!("{what} did not come; {:?} came, and the end was {:?}", self.kept, self.end);
    }

    /// Waits for the next such frame; nothing where the connection ends before.
    pub(crate) fn next_or_end(&mut self, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let deadline = Instant::now() + PATIENCE;
        while self.end.is_none() {
            assert!(Instant::now() < deadline, "neither that nor the end; {:?} came", self.kept);
            if let Some(frame) = self.next_frame(deadline) {
                if wanted(&frame) {
                    return Some(frame);
                }
                self.kept.push_back(frame);
            }
        }
        None
    }

    /// Reads to the end and answers the close code; 0 where the socket ended without one.
    #[track_caller]
    pub(crate) fn closed(&mut self) -> u16 {
        let deadline = Instant::now() + PATIENCE;
        while self.end.is_none() {
            assert!(Instant::now() < deadline, "not closed; {:?} came", self.kept);
            if let Some(frame) = self.next_frame(deadline) {
                self.kept.push_back(frame);
            }
        }
        self.end.flatten().unwrap_or(0)
    }

    /// What came and was not asked for.
    pub(crate) fn kept(&mut self) -> Vec<Value> {
        self.kept.drain(..).collect()
    }

    /// What comes before the message with this content, which somebody else has sent to mark the
    /// place: what the server wrote before it is in front of it.
    #[track_caller]
    pub(crate) fn before(&mut self, marker: &str) -> Vec<Value> {
        self.expect(marker, |frame| {
            frame["type"] == "message" && frame["payload"]["content"] == marker
        });
        self.kept()
    }

    fn next_frame(&mut self, deadline: Instant) -> Option<Value> {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1));
        self.stream().set_read_timeout(Some(left)).unwrap();
        match self.socket.read() {
            Ok(Message::Text(text)) => Some(serde_json::from_str(&text).unwrap()),
            Ok(Message::Close(frame)) => {
                // The answer to the close frame goes out with the flush, if anybody is there.
                let _gone = self.socket.flush();
                self.end = Some(frame.map(|frame| frame.code.into()));
                None
            }
            Ok(_) => None,
            Err(Error::Io(error))
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                None
            }
            Err(_) => {
                self.end = Some(None);
                None
            }
        }
    }
}
