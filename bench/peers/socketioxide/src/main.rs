//! socketioxide, a Socket.IO server in Rust, on axum: the same events as the peer on Node, a room
//! for each user and channel. Nothing is stored.
//!
//! Usage: `peer-socketioxide PORT`

use axum::Router;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use socketioxide::extract::{AckSender, Data, SocketRef};
use socketioxide::{SocketIo, TransportType};
use tokio::net::TcpSocket;

/// Packets that may wait for one connection; more are refused, and count as missing.
const QUEUE_PACKETS: usize = 4096;

#[derive(Deserialize, Serialize)]
struct Publication {
    channel: String,
    data: Value,
}

#[derive(Deserialize)]
struct Direct {
    to: String,
    data: Value,
}

#[derive(Serialize)]
struct Delivery {
    from: String,
    data: Value,
}

/// The user a connection was opened for.
#[derive(Clone, Default)]
struct User(String);

fn user_of(socket: &SocketRef) -> User {
    let query = socket.req_parts().uri.query().unwrap_or_default();
    User(query.split('&').find_map(|pair| pair.strip_prefix("user=")).unwrap_or_default().into())
}

async fn publish(io: SocketIo, Data(publication): Data<Publication>) {
    let _ = io.to(publication.channel.clone()).emit("message", &publication).await;
}

async fn direct(io: SocketIo, socket: SocketRef, Data(direct): Data<Direct>, ack: AckSender) {
    let User(from) = socket.extensions.get().unwrap_or_default();
    let delivery = Delivery { from, data: direct.data };
    let _ = io.to(format!("user:{}", direct.to)).emit("direct", &delivery).await;
    let _ = ack.send(&());
}

async fn connected(socket: SocketRef) {
    let user = user_of(&socket);
    socket.join(format!("user:{}", user.0));
    socket.extensions.insert(user);
    socket.on(
        "subscribe",
        async |socket: SocketRef, Data(channel): Data<String>, ack: AckSender| {
            socket.join(channel);
            let _ = ack.send(&());
        },
    );
    socket.on("publish", publish);
    socket.on("echo", async |socket: SocketRef, Data(data): Data<Value>| {
        let _ = socket.emit("echo", &data);
    });
    socket.on("direct", direct);
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port: u16 = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(9006);
    let (layer, io) = SocketIo::builder()
        .transports([TransportType::Websocket])
        .max_buffer_size(QUEUE_PACKETS)
        .build_layer();
    io.ns("/", connected);
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    axum::serve(socket.listen(4096)?, Router::new().layer(layer)).await
}
