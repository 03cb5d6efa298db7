//! What the tests play on: a hub, an upstream that does as told, and clients.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hubbub_hub::{
    Announce, Answer, CompressionConfig, Hub, HubConfig, HubStats, LiveConfig, Opening,
    OpeningKind, Router, Upstream,
};
use hubbub_proto::claim::ChannelClaim;
use hubbub_proto::codec::Codec;
use hubbub_proto::command::Kind;
use hubbub_proto::event::{Ack, Delivered, Entry};
use hubbub_proto::limits::Limits;
use hubbub_proto::route::{DeliveryClass, Publication, Rare, Stamp, Work};
use hubbub_proto::{
    Channel, ChannelAction, ChannelClaims, ChannelPattern, ClientId, CloseCode, Command, ConnId,
    ConversationId, DeviceId, Effect, Event, Identity, Reason, Refusal, Request, Timestamp, Topic,
    UserId,
};
use serde_json::{Value, json};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

/// What may wait for a shard.
pub(crate) const INBOX_BYTES_MAX: usize = 1 << 20;
/// No wait takes longer than this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Stage {
    pub(crate) hub: Hub,
    pub(crate) router: Router,
    pub(crate) script: Arc<Script>,
    pub(crate) listener: TcpListener,
    /// Milliseconds that the hub's clock is ahead.
    ahead_ms: Arc<AtomicU64>,
}

/// An upstream that keeps what it takes until a test asks for it.
pub(crate) struct Script {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    room: usize,
    taken: VecDeque<Request>,
    refused: u64,
    /// A shard's thread is held up.
    held: bool,
    /// The lives of sessions are kept as well.
    lives: bool,
    /// Replies to callers without a connection.
    answers: VecDeque<Answer>,
}

fn is_life(request: &Request) -> bool {
    matches!(request.work, Work::Opened | Work::Renewed | Work::Closed)
}

impl Upstream for Script {
    fn submit(&self, batch: &mut VecDeque<Request>) {
        let mut state = self.lock();
        while state.room > 0
            && let Some(request) = batch.pop_front()
        {
            // Told of every session, but most tests are about something else.
            if is_life(&request) && !state.lives {
                continue;
            }
            state.room -= 1;
            state.taken.push_back(request);
        }
        state.refused += u64::from(!batch.is_empty());
        self.changed.notify_all();
    }

    /// `USER`, `USER/DEVICE`, `USER/DEVICE/EXPIRY`, then roles and claims; `bad` and `panic` do as they say, and `hold`
    /// holds up the shard until it is let go.
    fn authenticate(&self, token: &str, device: Option<&DeviceId>) -> Result<Identity, Refusal> {
        match token {
            "bad" => Err(Reason::BadToken.into()),
            "panic" => panic!("asked for by a test"),
            "hold" => {
                let mut state = self.lock();
                state.held = true;
                self.changed.notify_all();
                // A test that fails must not hang.
                drop(self.changed.wait_timeout_while(state, PATIENCE, |state| state.held));
                Ok(identity(token, device))
            }
            _ => Ok(identity(token, device)),
        }
    }

    /// `USER/CHANNEL`, or `bad`.
    fn channel_pass(&self, token: &str) -> Result<(UserId, ChannelPattern), Refusal> {
        let (user, channel) = token.split_once('/').ok_or(Reason::BadToken)?;
        Ok((UserId::new(user).unwrap(), ChannelPattern::new(channel).unwrap()))
    }

    fn answered(&self, answers: Vec<Answer>) {
        self.lock().answers.extend(answers);
        self.changed.notify_all();
    }
}

pub(crate) fn identity(text: &str, asked: Option<&DeviceId>) -> Identity {
    let mut parts = text.split('/');
    let user = UserId::new(parts.next().unwrap()).unwrap();
    let named = parts.next().filter(|device| !device.is_empty());
    let named = named.map(|device| DeviceId::new(device).unwrap()).or(asked.cloned());
    let expires_at =
        parts.next().filter(|at| !at.is_empty()).map(|at| Timestamp(at.parse().unwrap()));
    let (claims, roles): (Vec<_>, Vec<_>) = parts.partition(|part| part.starts_with('+'));
    Identity {
        user,
        name: None,
        device_named: named.is_some(),
        device: named.unwrap_or_else(|| DeviceId::new("made-up").unwrap()),
        expires_at,
        roles: roles.into_iter().map(Into::into).collect(),
        issued_at: None,
        authority: hubbub_proto::route::Authority::default(),
        rare: Rare {
            channels: (!claims.is_empty()).then(|| Arc::new(claimed(&claims))),
            ..Rare::default()
        }
        .boxed(),
    }
}

/// `+CHANNELS` for everything on these, `+ACTION=CHANNELS` for that, `++CHANNEL` for being subscribed
/// from the start.
fn claimed(claims: &[&str]) -> ChannelClaims {
    let (given, claims): (Vec<&&str>, Vec<&&str>) =
        claims.iter().partition(|text| text.starts_with("++"));
    let subscribed = given.iter().map(|text| Channel::new(text.trim_start_matches('+')).unwrap());
    let subscribed = subscribed.collect();
    let one = |text: &&str| {
        let text = text.trim_start_matches('+');
        let (action, pattern) = text.split_once('=').unwrap_or(("", text));
        let named = |known: &ChannelAction| action.is_empty() || known.name() == action;
        ChannelClaim {
            pattern: ChannelPattern::new(pattern).unwrap(),
            actions: ChannelAction::ALL.into_iter().filter(named).collect(),
        }
    };
    ChannelClaims { permitted: claims.into_iter().map(one).collect(), subscribed }
}

impl Script {
    /// A failed assertion under the lock must not bring the shard down with it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request that was submitted.
    pub(crate) fn next(&self) -> Request {
        let state = self.lock();
        let (mut state, timeout) = self
            .changed
            .wait_timeout_while(state, PATIENCE, |state| state.taken.is_empty())
            .unwrap();
        assert!(!timeout.timed_out(), "no request came");
        state.taken.pop_front().unwrap()
    }

    /// The next reply to a caller without a connection.
    pub(crate) fn next_answer(&self) -> Answer {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, PATIENCE, |s| s.answers.is_empty());
        waited.unwrap().0.answers.pop_front().expect("an answer")
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.lock().taken.is_empty()
    }

    /// Keeps from here on what says that sessions come and go.
    pub(crate) fn keep_lives(&self) {
        self.lock().lives = true;
    }

    /// Takes so many more.
    pub(crate) fn give_room(&self, room: usize) {
        self.lock().room = room;
    }

    /// Waits until a shard is held up.
    pub(crate) fn wait_until_held(&self) {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, PATIENCE, |state| !state.held);
        assert!(!waited.unwrap().1.timed_out(), "no shard was held up");
    }

    pub(crate) fn let_go(&self) {
        self.lock().held = false;
        self.changed.notify_all();
    }

    /// Waits until a submit left something behind.
    pub(crate) fn wait_until_full(&self) {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, PATIENCE, |state| state.refused == 0);
        assert!(!waited.unwrap().1.timed_out(), "the upstream never was full");
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

impl Stage {
    pub(crate) fn new(shards: u16, limits: Limits) -> Self {
        Self::with_live(shards, limits, LiveConfig::default())
    }

    pub(crate) fn with_live(shards: u16, limits: Limits, live: LiveConfig) -> Self {
        Self::with(shards, limits, live, CompressionConfig::default())
    }

    pub(crate) fn with(
        shards: u16,
        limits: Limits,
        live: LiveConfig,
        compression: CompressionConfig,
    ) -> Self {
        let ahead_ms = Arc::new(AtomicU64::new(0));
        let ahead = ahead_ms.clone();
        let hub = Hub::new(HubConfig {
            shards,
            limits,
            inbox_bytes_max: INBOX_BYTES_MAX,
            clock: Arc::new(move || Timestamp(now() + ahead.load(Ordering::SeqCst))),
            announce: Announce {
                epoch: "epoch-1".into(),
                server: "hubbub/test",
                dedupe_window_ms: 1000,
            },
            live,
            compression,
            on_calm: || {},
        })
        .unwrap();
        let state = State {
            room: usize::MAX,
            taken: VecDeque::new(),
            refused: 0,
            held: false,
            lives: false,
            answers: VecDeque::new(),
        };
        let script = Arc::new(Script { state: Mutex::new(state), changed: Condvar::new() });
        hub.run(script.clone()).unwrap();
        Self {
            router: hub.router(),
            hub,
            script,
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            ahead_ms,
        }
    }

    /// Moves the hub's clock and has every shard look at it.
    pub(crate) fn advance(&self, ms: u64) {
        self.ahead_ms.fetch_add(ms, Ordering::SeqCst);
        self.router.resume();
    }

    pub(crate) fn open(&self, kind: OpeningKind) -> Client {
        self.open_with(kind, b"", Box::new(()), |_| {})
    }

    /// Opens a connection whose server side is prepared by `prepare`.
    pub(crate) fn open_with(
        &self,
        kind: OpeningKind,
        already_read: &'static [u8],
        permit: Box<dyn Send>,
        prepare: impl FnOnce(&TcpStream),
    ) -> Client {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        let (server, remote) = self.listener.accept().unwrap();
        prepare(&server);
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.set_write_timeout(Some(PATIENCE)).unwrap();
        client.set_nodelay(true).unwrap();
        let opening = Opening { kind, answer: Bytes::new(), remote, permit };
        self.hub.adopt(server.into(), Bytes::from_static(already_read), opening);
        Client { socket: WebSocket::from_raw_socket(client, Role::Client, None) }
    }

    /// A connection without a token.
    pub(crate) fn stranger(&self) -> Client {
        self.open(OpeningKind::Session {
            codec: Codec::Json,
            identity: None,
            device: None,
            compressed: None,
        })
    }

    /// An open session; `who` as the script reads tokens. Answers with where it is, too.
    pub(crate) fn session(&self, who: &str) -> (Client, ConnId) {
        self.session_with(who, |_| {})
    }

    pub(crate) fn session_with(
        &self,
        who: &str,
        prepare: impl FnOnce(&TcpStream),
    ) -> (Client, ConnId) {
        let identity = Some(Arc::new(identity(who, None)));
        let kind =
            OpeningKind::Session { codec: Codec::Json, identity, device: None, compressed: None };
        let mut client = self.open_with(kind, b"", Box::new(()), prepare);
        let conn = self.introduce(&mut client);
        (client, conn)
    }

    /// Takes a new session's greeting. Answers with where it is.
    pub(crate) fn introduce(&self, client: &mut Client<impl Read + Write>) -> ConnId {
        client.expect("connected");
        // A command says where the connection is.
        client.send(&json!({"type": "conversations", "id": "where", "payload": {}}));
        let conn = self.script.next().conn;
        self.reply(conn, "where");
        client.expect("ack");
        conn
    }

    pub(crate) fn reply(&self, conn: ConnId, id: &str) {
        self.router.post(vec![reply(conn, id)]);
    }

    /// Waits until the counters are as wanted.
    pub(crate) fn wait_for(&self, what: &str, wanted: impl Fn(&HubStats) -> bool) -> HubStats {
        let start = Instant::now();
        loop {
            let stats = self.hub.stats();
            if wanted(&stats) {
                return stats;
            }
            assert!(start.elapsed() < PATIENCE, "{what}: {stats:?}");
            std::thread::yield_now();
        }
    }
}

/// Sockets that hold little, so that a reader falls behind soon.
pub(crate) fn small_buffers(server: &TcpStream) {
    socket2::SockRef::from(server).set_send_buffer_size(4096).unwrap();
}

pub(crate) fn reply(conn: ConnId, id: &str) -> Effect {
    let id = Some(hubbub_proto::CommandId::new(id).unwrap());
    Effect::Reply { read_at: Stamp::default(), conn, id, outcome: Ok(Ack::Done) }
}

pub(crate) fn user_topic(user: &str) -> Topic {
    Topic::User(UserId::new(user).unwrap())
}

pub(crate) fn group_topic(group: &str) -> Topic {
    Topic::Conversation(conversation(group))
}

pub(crate) fn conversation(group: &str) -> ConversationId {
    ConversationId::new(&format!("group:{group}")).unwrap()
}

/// An entry for the subscribers of `topics`.
pub(crate) fn entry(topics: &[Topic], group: &str, seq: u64, content: &str) -> Publication {
    let content = serde_json::value::to_raw_value(content).unwrap();
    Publication {
        topics: topics.iter().cloned().collect(),
        event: Event::Entry(Delivered {
            entry: Entry {
                conversation: conversation(group),
                seq,
                message_id: seq,
                from: UserId::new("somebody").unwrap(),
                kind: Kind::Text,
                content: content.into(),
                client_id: ClientId::new("c").unwrap(),
                at: Timestamp(1),
                extra: None,
            },
            attempt: 1,
        }),
        except: None,
        class: DeliveryClass::Durable,
    }
}

/// The id of a submitted command and its type.
pub(crate) fn id_of(request: &Request) -> String {
    match &request.work {
        Work::Command { id, .. } => id.as_ref().map_or_else(String::new, ToString::to_string),
        Work::Redeliver { .. } => "redeliver".to_owned(),
        Work::Opened => "opened".to_owned(),
        Work::Renewed => "renewed".to_owned(),
        Work::Closed => "closed".to_owned(),
    }
}

pub(crate) fn command_of(request: &Request) -> &Command {
    match &request.work {
        Work::Command { command, .. } => command,
        other => panic!("no command: {other:?}"),
    }
}

pub(crate) struct Client<S = TcpStream> {
    pub(crate) socket: WebSocket<S>,
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn send(&mut self, value: &Value) {
        self.socket.send(Message::text(value.to_string())).unwrap();
    }

    /// All of them in one write.
    pub(crate) fn send_together(&mut self, values: &[Value]) {
        for value in values {
            self.socket.write(Message::text(value.to_string())).unwrap();
        }
        self.socket.flush().unwrap();
    }

    /// A command that goes up and lets others follow before it is answered.
    pub(crate) fn command(&mut self, id: &str) {
        self.send(&json!({"type": "group_leave", "id": id, "payload": {"group": "g"}}));
    }

    /// Signs in with a token.
    pub(crate) fn auth(&mut self, token: &str) {
        self.send(&json!({"type": "auth", "id": "auth", "payload": {"token": token}}));
    }

    /// The next message.
    pub(crate) fn receive(&mut self) -> Value {
        loop {
            match self.socket.read().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// The next message, which must be of this type.
    pub(crate) fn expect(&mut self, kind: &str) -> Value {
        let value = self.receive();
        assert_eq!(value["type"], kind, "{value}");
        value
    }

    pub(crate) fn expect_entry(&mut self, seq: u64) {
        let value = self.expect("message");
        assert_eq!(value["payload"]["seq"], seq, "{value}");
    }

    /// Sends a `ping` and takes its `pong`, which must be the next message: nothing else was
    /// on its way before it.
    pub(crate) fn expect_silence(&mut self) {
        self.send(&json!({"type": "ping"}));
        self.expect("pong");
    }

    /// Reads up to the close frame, then to the end. Answers with the code and what came before.
    pub(crate) fn close_code(&mut self) -> (u16, Vec<Value>) {
        let mut before = Vec::new();
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => before.push(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(frame)) => {
                    let code = frame.map_or(1005, |frame| frame.code.into());
                    while self.socket.read().is_ok() {}
                    return (code, before);
                }
                Ok(_) => {}
                Err(error) => panic!("ended without a close frame: {error} after {before:?}"),
            }
        }
    }

    pub(crate) fn expect_close(&mut self, code: CloseCode) {
        let (got, before) = self.close_code();
        assert_eq!(got, code.code(), "{before:?}");
    }
}
