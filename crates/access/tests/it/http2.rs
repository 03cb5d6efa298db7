//! WebSockets over HTTP/2, over TLS and without, with the `h2` crate as the client and a real hub
//! behind the face.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request, StatusCode};
use hubbub_access::{
    AcceptLimits, Certificate, GateRules, Grant, GrantOfChannels, MinVersion, Secret, Security,
    Signer, TlsStats,
};
use hubbub_hub::{Announce, CompressionConfig, Hub, HubConfig, LiveConfig, Upstream};
use hubbub_proto::limits::Limits;
use hubbub_proto::{DeviceId, Identity, Refusal, Timestamp, UserId};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use crate::face::{Face, HANDSHAKE, NOW_S, SECRET};
use crate::tls::{files, make_certificate, trusting};

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
const SOCKETS_MAX: u32 = 3;

/// Nobody is above this hub.
struct Nobody;

impl Upstream for Nobody {
    fn submit(&self, batch: &mut VecDeque<hubbub_proto::Request>) {
        batch.clear();
    }

    fn authenticate(&self, _: &str, _: Option<&DeviceId>) -> Result<Identity, Refusal> {
        Err(hubbub_proto::Reason::BadToken.into())
    }
}

pub(crate) struct Both {
    pub(crate) face: Face,
    pub(crate) hub: Arc<Hub>,
}

impl Both {
    fn start(headers_timeout: Duration, security: Option<Security>) -> Self {
        let hub = Hub::new(HubConfig {
            shards: 1,
            limits: Limits::default(),
            inbox_bytes_max: 1 << 20,
            clock: Arc::new(|| Timestamp(NOW_S * 1000)),
            announce: Announce { epoch: "e".into(), server: "hubbub/test", dedupe_window_ms: 1 },
            live: LiveConfig::default(),
            compression: CompressionConfig::default(),
            on_calm: || {},
        })
        .unwrap();
        hub.run(Arc::new(Nobody)).unwrap();
        let hub = Arc::new(hub);
        let limits = AcceptLimits {
            opens_per_second_max: 0,
            handshakes_max: 100,
            http2_sockets_max: SOCKETS_MAX,
            headers_timeout,
        };
        Self { face: Face::before(hub.clone(), 100, limits, security), hub }
    }

    pub(crate) async fn connect(&self) -> SendRequest<Bytes> {
        self.connect_over(tokio::net::TcpStream::connect(self.face.address).await.unwrap()).await
    }

    async fn connect_over<S>(&self, stream: S) -> SendRequest<Bytes>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // As browsers do: what one stream leaves unread must not use up the connection's window.
        let mut builder = h2::client::Builder::new();
        builder.initial_connection_window_size(1 << 20);
        let (client, connection) = builder.handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        while !client.is_extended_connect_protocol_enabled() {
            // The server's settings come with the first answer.
            let (answer, _) = client.send_request(get("/livez"), true).unwrap();
            answer.await.unwrap();
            client = client.ready().await.unwrap();
        }
        client
    }

    /// Waits until a number is there.
    pub(crate) async fn wait_for(&self, what: &str, number: impl Fn(&Self) -> u64, wanted: u64) {
        let began = Instant::now();
        while number(self) != wanted {
            assert!(began.elapsed() < PATIENCE, "{what}: {}", number(self));
            tokio::task::yield_now().await;
        }
    }
}

/// Runs a client's side against a face and a hub of its own, and gives them back.
pub(crate) fn with(headers_timeout: Duration, client: impl AsyncFnOnce(&Both)) -> Both {
    with_security(headers_timeout, None, client)
}

fn with_security(
    headers_timeout: Duration,
    security: Option<Security>,
    client: impl AsyncFnOnce(&Both),
) -> Both {
    let both = Both::start(headers_timeout, security);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(client(&both));
    both
}

pub(crate) fn get(path: &str) -> Request<()> {
    Request::get(format!("http://here{path}")).body(()).unwrap()
}

/// A request to open a WebSocket; `fields` replace and add.
pub(crate) fn opening(path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://here{path}"))
        .extension(Protocol::from_static("websocket"));
    if !fields.iter().any(|(name, _)| *name == "sec-websocket-version") {
        request = request.header("sec-websocket-version", "13");
    }
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

pub(crate) struct Socket {
    to: SendStream<Bytes>,
    from: RecvStream,
    got: BytesMut,
}

impl Socket {
    pub(crate) async fn open(
        client: &mut SendRequest<Bytes>,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Self, StatusCode> {
        let (answer, to) = client.send_request(opening(path, fields), false).unwrap();
        let answer = answer.await.unwrap();
        if answer.status() != StatusCode::OK {
            return Err(answer.status());
        }
        Ok(Self { to, from: answer.into_body(), got: BytesMut::new() })
    }

    /// Sends a masked text frame of fewer than 126 bytes.
    fn send(&mut self, text: &str) {
        let head = [0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
        self.to.send_data([&head, text.as_bytes()].concat().into(), false).unwrap();
    }

    /// The opcode and the payload of the next frame; `None` at the end of the stream.
    async fn receive(&mut self) -> Option<(u8, Bytes)> {
        loop {
            if let [first, len, ..] = self.got[..] {
                let (head, len) = match len {
                    126 if self.got.len() >= 4 => {
                        (4, usize::from(u16::from_be_bytes([self.got[2], self.got[3]])))
                    }
                    126 => (4, usize::MAX - 4),
                    len => (2, usize::from(len)),
                };
                if self.got.len() >= head + len {
                    let frame = self.got.split_to(head + len).freeze();
                    return Some((first & 15, frame.slice(head..)));
                }
            }
            let data = tokio::time::timeout(PATIENCE, self.from.data()).await.unwrap()?.unwrap();
            self.from.flow_control().release_capacity(data.len()).unwrap();
            self.got.extend_from_slice(&data);
        }
    }

    pub(crate) async fn echoes(&mut self, text: &str) {
        self.send(text);
        assert_eq!(self.receive().await, Some((1, Bytes::copy_from_slice(text.as_bytes()))));
    }
}

/// So many text frames of 120 bytes.
fn burst(frames: usize) -> Bytes {
    let mut frame = vec![0x81, 0x80 | 120, 0, 0, 0, 0];
    frame.extend_from_slice(&[b'x'; 120]);
    frame.repeat(frames).into()
}

fn token() -> String {
    let grant = Grant {
        sub: UserId::new("alice").unwrap(),
        name: None,
        roles: Vec::new(),
        device: None,
        iss: None,
        aud: None,
        iat: NOW_S,
        exp: NOW_S + 60,
        of_channels: GrantOfChannels::default(),
    };
    Signer::new(&Secret::from_text(SECRET)).sign(&grant, "HS256").unwrap()
}

#[test]
fn several_sockets_on_one_connection_and_pages_beside_them() {
    with(PATIENCE, async |both| {
        let mut client = both.connect().await;
        let mut one = Socket::open(&mut client, "/echo", &[]).await.ok().unwrap();
        let mut two = Socket::open(&mut client, "/echo", &[]).await.ok().unwrap();
        one.echoes("one").await;
        two.echoes("two").await;
        let (answer, _) = client.send_request(get("/"), true).unwrap();
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(&body.data().await.unwrap().unwrap()[..], b"page");
        one.echoes("again").await;
        assert_eq!(Face::counted(&both.face.stats.accepted), 1);
        assert_eq!(Face::counted(&both.face.stats.http2), 1);
        assert_eq!(Face::counted(&both.face.stats.http2_sockets), 2);
        assert_eq!(both.face.permits.used(), 5, "the connection, and two descriptors for each");

        // A close frame is answered by one, and then both sides of the stream end.
        one.to.send_data(Bytes::from_static(b"\x88\x82\0\0\0\0\x03\xe8"), false).unwrap();
        assert_eq!(one.receive().await, Some((8, Bytes::from_static(b"\x03\xe8"))));
        assert_eq!(one.receive().await, None);
        one.to.send_data(Bytes::new(), true).unwrap();
        both.wait_for("closed", |both| both.hub.stats().connections, 1).await;
        // A stream that is reset is a lost connection.
        two.to.send_reset(Reason::CANCEL);
        both.wait_for("lost", |both| both.hub.stats().lost, 1).await;
        both.wait_for("places", |both| both.face.permits.used() as u64, 1).await;
        drop((client, body, one, two));
        both.wait_for("the last place", |both| both.face.permits.used() as u64, 0).await;
    });
}

#[test]
fn each_socket_counts_for_its_address() {
    with(PATIENCE, async |both| {
        let rules = GateRules { connections_per_address_max: 2, ..GateRules::default() };
        both.face.gate.replace(rules);
        let mut client = both.connect().await;
        let mut one = Socket::open(&mut client, "/echo", &[]).await.ok().unwrap();
        one.echoes("one").await;
        let refused = Socket::open(&mut client, "/echo", &[]).await.err().unwrap();
        assert_eq!(refused, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(Face::counted(&both.face.gate.stats.crowded), 1);
    });
}

#[test]
fn refusals_have_their_status() {
    with(PATIENCE, async |both| {
        let mut client = both.connect().await;
        for (path, fields, status) in [
            ("/elsewhere", &[][..], 404),
            ("/echo", &[("sec-websocket-version", "8")], 426),
            ("/echo", &[("origin", "http://elsewhere")], 403),
            ("/ws", &[("authorization", "Bearer bad")], 401),
            ("/ws", &[("sec-websocket-protocol", "chess")], 400),
        ] {
            let refused = Socket::open(&mut client, path, fields).await.err();
            assert_eq!(refused.map(|status| status.as_u16()), Some(status), "{path} {fields:?}");
        }
        let mut open = Vec::new();
        for _ in 0..SOCKETS_MAX {
            let own = [("origin", "http://here")];
            open.push(Socket::open(&mut client, "/echo", &own).await.ok().unwrap());
        }
        let above = Socket::open(&mut client, "/echo", &[]).await.err();
        assert_eq!(above, Some(StatusCode::TOO_MANY_REQUESTS));
        assert_eq!(Face::counted(&both.face.stats.http2_refused), 1);
        drop(open.pop());
        both.wait_for("a place", |both| both.hub.stats().connections, 2).await;
        both.wait_for("its descriptors", |both| both.face.permits.used() as u64, 5).await;
        assert!(Socket::open(&mut client, "/echo", &[]).await.is_ok());
    });
}

#[test]
fn a_slow_reader_does_not_hold_up_its_siblings() {
    with(PATIENCE, async |both| {
        let mut client = both.connect().await;
        let mut slow = Socket::open(&mut client, "/echo", &[]).await.ok().unwrap();
        let mut other = Socket::open(&mut client, "/echo", &[]).await.ok().unwrap();
        // Far more than all the buffers on the way hold; what comes back is not read.
        slow.to.send_data(burst(8_000), false).unwrap();
        for n in 0..200 {
            other.echoes(&format!("while it waits {n}")).await;
        }
        // Nothing is lost once it reads.
        for _ in 0..8_000 {
            assert_eq!(slow.receive().await.map(|(_, payload)| payload.len()), Some(120));
        }
    });
}

#[test]
fn a_shutdown_says_goodbye_on_each_socket() {
    let mut both = with(PATIENCE, async |both| {
        let mut client = both.connect().await;
        let bearer = format!("Bearer {}", token());
        let mut socket =
            Socket::open(&mut client, "/ws", &[("authorization", &bearer)]).await.ok().unwrap();
        let (_, connected) = socket.receive().await.unwrap();
        assert!(String::from_utf8_lossy(&connected).contains("\"connected\""), "{connected:?}");
        let hub = both.hub.clone();
        std::thread::spawn(move || {
            hub.stop_parsing();
            hub.drain(500..=500, Instant::now() + PATIENCE);
        });
        let (_, bye) = socket.receive().await.unwrap();
        assert!(String::from_utf8_lossy(&bye).contains("\"bye\""), "{bye:?}");
        let (opcode, code) = socket.receive().await.unwrap();
        assert_eq!((opcode, &code[..2]), (8, &1001_u16.to_be_bytes()[..]));
        assert_eq!(socket.receive().await, None);
        socket.to.send_data(Bytes::new(), true).unwrap();
        drop(client);
    });
    both.face.stop();
    let began = Instant::now();
    while both.face.permits.used() > 0 {
        // The shard gives the last place back when its thread ends.
        assert!(began.elapsed() < PATIENCE, "{}", both.face.permits.used());
        std::thread::yield_now();
    }
}

#[test]
fn resets_in_a_row_end_the_connection_and_nothing_else() {
    with(PATIENCE, async |both| {
        let mut client = both.connect().await;
        let mut opened = 0;
        // It ends before a peer could have thousands of them opened and thrown away.
        while let Ok(ready) = client.ready().await {
            client = ready;
            let Ok((_, mut stream)) = client.send_request(opening("/echo", &[]), false) else {
                break;
            };
            stream.send_reset(Reason::CANCEL);
            opened += 1;
            assert!(opened < 1_000_000);
            tokio::task::yield_now().await;
        }
        assert!(both.hub.stats().adopted < 100, "{}", both.hub.stats().adopted);
        let mut next = both.connect().await;
        Socket::open(&mut next, "/echo", &[]).await.ok().unwrap().echoes("still here").await;
    });
}

#[test]
fn a_connection_without_a_socket_ends_in_time() {
    with(Duration::from_millis(200), async |both| {
        let stream = tokio::net::TcpStream::connect(both.face.address).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        let client: SendRequest<Bytes> = client;
        tokio::time::timeout(PATIENCE, connection).await.unwrap().unwrap();
        drop(client);
        both.wait_for("places", |both| both.face.permits.used() as u64, 0).await;
    });
}

#[test]
fn over_tls_the_protocol_is_agreed_on_and_sockets_share_a_connection() {
    let folder = tempfile::tempdir().unwrap();
    make_certificate(&folder);
    let [certificate, key] = files(&folder);
    let certificate = Certificate::load(&certificate, &key).unwrap();
    let config = certificate.config(MinVersion::Tls12, &[b"h2", b"http/1.1"]).unwrap();
    let security = Security { config, stats: Arc::<TlsStats>::default() };
    with_security(PATIENCE, Some(security), async |both| {
        let connect = async |version, offered: &[&[u8]]| {
            let mut config = trusting(&folder, version);
            config.alpn_protocols = offered.iter().map(|protocol| protocol.to_vec()).collect();
            let stream = tokio::net::TcpStream::connect(both.face.address).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
            let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
            (stream, agreed)
        };
        for (connections, version) in (1..).zip([&TLS12, &TLS13]) {
            let (stream, agreed) = connect(version, &[b"http/1.1", b"h2"]).await;
            assert_eq!(agreed.as_deref(), Some(&b"h2"[..]), "the server's order, {version:?}");
            let mut client = both.connect_over(stream).await;
            let mut one = Socket::open(&mut client, "/echo", &[]).await.ok().unwrap();
            let mut two = Socket::open(&mut client, "/echo", &[]).await.ok().unwrap();
            one.echoes("one").await;
            // Many records, in both directions at once.
            two.to.send_data(burst(8_000), false).unwrap();
            for n in 0..100 {
                one.echoes(&format!("meanwhile {n}")).await;
            }
            for _ in 0..8_000 {
                assert_eq!(two.receive().await.map(|(_, payload)| payload.len()), Some(120));
            }
            assert_eq!(Face::counted(&both.face.stats.accepted), connections);
            assert_eq!(Face::counted(&both.face.stats.http2), connections);
            assert_eq!(Face::counted(&both.face.stats.http2_sockets), 2 * connections);
            drop((client, one, two));
            both.wait_for("places", |both| both.face.permits.used() as u64, 0).await;
        }

        // Who speaks HTTP/1.1 only gets the same WebSocket in the old way.
        let (mut stream, agreed) = connect(&TLS13, &[b"http/1.1"]).await;
        assert_eq!(agreed.as_deref(), Some(&b"http/1.1"[..]));
        stream.write_all(HANDSHAKE.replace("/ws", "/echo").as_bytes()).await.unwrap();
        stream.write_all(b"\x81\x82\0\0\0\0hi").await.unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"\r\n\r\n\x81\x02hi") {
            assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0, "{got:?}");
        }
        assert!(got.starts_with(b"HTTP/1.1 101 "));
        assert_eq!(Face::counted(&both.face.stats.http2), 2);
    });
}
