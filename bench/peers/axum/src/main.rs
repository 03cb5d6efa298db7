//! axum with tokio-tungstenite in the way its chat examples go: a broadcast channel for each
//! topic, a task that writes and an unbounded queue for each connection, a task for each
//! subscription. Nothing is stored. `/echo` sends everything back as it came.
//!
//! Usage: `peer-axum PORT`

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::net::TcpSocket;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;

/// Publications a subscriber may be behind before it misses some.
const TOPIC_CAPACITY: usize = 1024;

type Outbox = mpsc::UnboundedSender<Utf8Bytes>;

#[derive(Default)]
struct Chat {
    users: Mutex<HashMap<String, Outbox>>,
    topics: Mutex<HashMap<String, broadcast::Sender<Utf8Bytes>>>,
}

#[derive(Deserialize)]
struct Login {
    user: String,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Request {
    Subscribe { channel: String },
    Publish { channel: String, data: Value },
    Echo { data: Value },
    Direct { to: String, id: u64, data: Value },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Answer<'a> {
    Subscribed { channel: &'a str },
    Message { channel: &'a str, data: Value },
    Echo { data: Value },
    Direct { from: &'a str, data: Value },
    Ack { id: u64 },
}

impl Answer<'_> {
    fn text(&self) -> Utf8Bytes {
        serde_json::to_string(self).expect("plain data").into()
    }
}

impl Chat {
    fn topic(&self, channel: String) -> broadcast::Sender<Utf8Bytes> {
        let mut topics = self.topics.lock().expect("no holder panics");
        topics.entry(channel).or_insert_with(|| broadcast::channel(TOPIC_CAPACITY).0).clone()
    }

    fn send_to(&self, user: &str, text: Utf8Bytes) {
        if let Some(outbox) = self.users.lock().expect("no holder panics").get(user) {
            let _ = outbox.send(text);
        }
    }
}

async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut queue: mpsc::UnboundedReceiver<Utf8Bytes>,
) {
    while let Some(text) = queue.recv().await {
        if sink.send(Message::Text(text)).await.is_err() {
            return;
        }
    }
}

async fn forward(mut topic: broadcast::Receiver<Utf8Bytes>, outbox: Outbox) {
    loop {
        let text = match topic.recv().await {
            Ok(text) => text,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        if outbox.send(text).is_err() {
            return;
        }
    }
}

async fn serve(socket: WebSocket, user: String, chat: Arc<Chat>) {
    let (sink, mut stream) = socket.split();
    let (outbox, queue) = mpsc::unbounded_channel();
    chat.users.lock().expect("no holder panics").insert(user.clone(), outbox.clone());
    // Dropping the set at the end of the connection ends its tasks.
    let mut tasks = JoinSet::new();
    tasks.spawn(write(sink, queue));
    while let Some(Ok(message)) = stream.next().await {
        let Message::Text(text) = message else { continue };
        match serde_json::from_str(&text) {
            Ok(Request::Subscribe { channel }) => {
                let answer = Answer::Subscribed { channel: &channel }.text();
                tasks.spawn(forward(chat.topic(channel).subscribe(), outbox.clone()));
                let _ = outbox.send(answer);
            }
            Ok(Request::Publish { channel, data }) => {
                let text = Answer::Message { channel: &channel, data }.text();
                let _ = chat.topic(channel).send(text);
            }
            Ok(Request::Echo { data }) => {
                let _ = outbox.send(Answer::Echo { data }.text());
            }
            Ok(Request::Direct { to, id, data }) => {
                chat.send_to(&to, Answer::Direct { from: &user, data }.text());
                let _ = outbox.send(Answer::Ack { id }.text());
            }
            Err(_) => {}
        }
    }
    chat.users.lock().expect("no holder panics").remove(&user);
}

async fn echo_back(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_))
            && socket.send(message).await.is_err()
        {
            return;
        }
    }
}

async fn upgrade(
    upgrade: WebSocketUpgrade,
    Query(Login { user }): Query<Login>,
    State(chat): State<Arc<Chat>>,
) -> Response {
    upgrade.on_upgrade(move |socket| serve(socket, user, chat))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port: u16 = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(9005);
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    let routes = Router::new()
        .route("/", get(upgrade))
        .route("/echo", get(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(echo_back)))
        .with_state(Arc::new(Chat::default()));
    axum::serve(socket.listen(4096)?, routes).await
}
