//! An accept loop on a free port, and clients that speak HTTP by hand.

use std::io::{IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use hubbub_access::{
    AcceptLimits, AcceptStats, Acceptor, Access, Asset, DataPlane, EchoLimits, Gate,
    HandshakePolicy, Permits, Secret, Security, TokenPolicy, Verifier, bind,
};
use hubbub_hub::tls::Tls;
use hubbub_hub::{Opening, Socket};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\n\
     Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What tokens are signed with.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The time by which they are checked, in seconds.
pub(crate) const NOW_S: u64 = 1_700_000_000;

/// A socket as the data plane got it.
pub(crate) struct Adopted {
    pub(crate) stream: TcpStream,
    /// Where TLS is spoken.
    pub(crate) tls: Option<Box<Tls>>,
    pub(crate) already_read: Bytes,
    pub(crate) opening: Opening,
}

struct Keeper(mpsc::Sender<Adopted>);

impl DataPlane for Keeper {
    fn adopt(&self, socket: Socket, already_read: Bytes, opening: Opening) {
        let (mut stream, mut tls) = match socket {
            Socket::Tcp(stream) => (stream, None),
            Socket::Tls(stream, tls) => (stream, Some(tls)),
            Socket::Unix(_) => panic!("a bridge: {socket:?}"),
        };
        stream.set_nodelay(true).unwrap();
        match &mut tls {
            None => stream.write_all(&opening.answer).unwrap(),
            Some(tls) => {
                tls.encrypt(&[IoSlice::new(&opening.answer)]).unwrap();
                tls.write_pending(&mut stream).unwrap();
            }
        }
        let _ = self.0.send(Adopted { stream, tls, already_read, opening });
    }
}

pub(crate) struct Face {
    pub(crate) address: SocketAddr,
    pub(crate) permits: Permits,
    pub(crate) stats: Arc<AcceptStats>,
    pub(crate) adopted: mpsc::Receiver<Adopted>,
    pub(crate) gate: Arc<Gate>,
    stop: watch::Sender<bool>,
    running: Option<JoinHandle<()>>,
    runtime: Runtime,
}

fn asset(path: &str) -> Option<Asset> {
    let bytes = match path {
        "index.html" => b"page".to_vec(),
        // More than any socket buffers, for a client that does not read.
        "large.js" => vec![b'x'; 64 << 20],
        _ => return None,
    };
    Some(Asset { bytes: bytes.into(), content_type: "text/plain", version: "1".into() })
}

impl Face {
    pub(crate) fn start(connections_max: usize, headers_timeout: Duration) -> Self {
        Self::start_with(connections_max, headers_timeout, None)
    }

    pub(crate) fn start_with(
        connections_max: usize,
        headers_timeout: Duration,
        security: Option<Security>,
    ) -> Self {
        let limits = AcceptLimits {
            opens_per_second_max: 0,
            handshakes_max: 1000,
            http2_sockets_max: 3,
            headers_timeout,
        };
        Self::with(connections_max, limits, security)
    }

    pub(crate) fn with(
        connections_max: usize,
        limits: AcceptLimits,
        security: Option<Security>,
    ) -> Self {
        let (sender, adopted) = mpsc::channel();
        let keeper = Arc::new(Keeper(sender));
        Self { adopted, ..Self::before(keeper, connections_max, limits, security) }
    }

    /// In front of another data plane; nothing comes out of `adopted`.
    pub(crate) fn before(
        data_plane: Arc<dyn DataPlane>,
        connections_max: usize,
        limits: AcceptLimits,
        security: Option<Security>,
    ) -> Self {
        let secret = Secret::from_text(SECRET);
        let policy = TokenPolicy { algorithms: vec!["HS256".into()], ..TokenPolicy::default() };
        let gate = Arc::<Gate>::default();
        let access = Access {
            stream_channels_max: 2,
            verifier: Arc::new(Verifier::new(&secret, policy).unwrap()),
            clock: Arc::new(|| hubbub_proto::Timestamp(NOW_S * 1000)),
            policy: HandshakePolicy::default(),
            echo: Some(EchoLimits { message_bytes_max: 1 << 20, fragments_max: 10 }),
            api: None,
            dev: None,
            asset,
            gate: gate.clone(),
            is_signed_out: Box::new(|_| false),
            ready: Box::new(|| Ok(())),
            version: "1",
            operators: hubbub_access::Operators::default(),
            metrics: None,
        };
        let (_, adopted) = mpsc::channel();
        let permits = Permits::new(connections_max);
        let stats = Arc::new(AcceptStats::default());
        let acceptor = Acceptor {
            access: Arc::new(access),
            data_plane,
            permits: permits.clone(),
            security,
            limits,
            stats: stats.clone(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (stop, stopped) = watch::channel(false);
        let (address, running) = runtime.block_on(async {
            let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let address = listener.local_addr().unwrap();
            (address, tokio::spawn(acceptor.run(listener, stopped)))
        });
        Self { address, permits, stats, adopted, gate, stop, running: Some(running), runtime }
    }

    pub(crate) fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Client(stream)
    }

    pub(crate) fn adopted(&self) -> Adopted {
        self.adopted.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    pub(crate) fn counted(counter: &std::sync::atomic::AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    /// Stops, and waits for the end of the loop.
    pub(crate) fn stop(&mut self) {
        self.stop.send_replace(true);
        let running = self.running.take().unwrap();
        self.runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(20), running).await.unwrap().unwrap();
        });
    }
}

pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn write_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// The same as [`Client::rest`], where the end may be a reset.
    pub(crate) fn until_end(&mut self) -> String {
        let mut bytes = Vec::new();
        let _ = self.0.read_to_end(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    /// Everything up to the end of the connection.
    pub(crate) fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// So many bytes.
    pub(crate) fn exactly(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// The head of one answer, and no byte more.
    pub(crate) fn head(&mut self) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
        String::from_utf8(bytes).unwrap()
    }
}
