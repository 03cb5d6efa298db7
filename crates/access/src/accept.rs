//! The accept loop, and the life of a connection as long as it speaks HTTP.
//!
//! A connection takes a place before anything is read from it and keeps it to its end, also on the
//! data plane. Above the limit a few more are accepted, only to be told so (503). Invariants: no
//! connection is held by HTTP without a deadline; a full descriptor table pauses accepting and
//! never spins; what the data plane gets is a bare socket and the bytes that were read too far,
//! nothing that pins a buffer of HTTP's.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Version};
use hubbub_hub::{Opening, OpeningKind};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tower_service::Service as _;

use crate::io::Io;
use crate::permit::{Permit, Permits};
use crate::rejection::Rejection;
use crate::secured::Security;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// How long accepting pauses when there is no descriptor left.
const PAUSE: Duration = Duration::from_millis(250);
/// Connections above the limit that are told so at a time.
const TURNED_AWAY_MAX: usize = 64;
/// Bytes of a request's head, and of everything HTTP buffers for one connection.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// How long one connection may go on speaking HTTP; then it ends after the answer under way.
const HTTP_LIFETIME: Duration = Duration::from_secs(60);
/// How long the answer under way may take after that.
const HTTP_GRACE: Duration = Duration::from_secs(5);
/// How long a connection that was answered may take to close.
const LINGER: Duration = Duration::from_secs(1);
/// How much it may send meanwhile, in bytes.
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// Where upgraded sockets go.
pub trait DataPlane: Send + Sync {
    /// Takes a nonblocking socket on which the 101 has been written, and the bytes already read.
    fn adopt(&self, socket: hubbub_hub::Socket, already_read: Bytes, opening: Opening);
}

impl DataPlane for hubbub_hub::Hub {
    fn adopt(&self, socket: hubbub_hub::Socket, already_read: Bytes, opening: Opening) {
        Self::adopt(self, socket, already_read, opening);
    }
}

/// What the accept loop did so far.
#[derive(Debug, Default)]
pub struct AcceptStats {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections handed to the data plane.
    pub adopted: AtomicU64,
    /// Connections above the limit.
    pub turned_away: AtomicU64,
    /// How often accepting paused because there was no descriptor left.
    pub pauses: AtomicU64,
}

/// How connections are accepted.
pub struct Acceptor {
    /// The routes.
    pub router: Router,
    /// Where upgraded sockets go.
    pub data_plane: Arc<dyn DataPlane>,
    /// Places for connections.
    pub permits: Permits,
    /// TLS, for every connection; `None` for none.
    pub security: Option<Security>,
    /// From accept to the end of the headers, TLS included, and from one request to the next.
    pub headers_timeout: Duration,
    /// Counted here.
    pub stats: Arc<AcceptStats>,
}

/// The peer of a connection; an extension of each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Where a handler leaves what is to become of the connection after a 101; an extension of each
/// request.
#[derive(Clone, Default)]
pub(crate) struct HandOver(Arc<Mutex<Option<OpeningKind>>>);

impl HandOver {
    pub(crate) fn put(&self, kind: OpeningKind) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(kind);
    }

    fn take(&self) -> Option<OpeningKind> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Binds `address`; a server that was just stopped does not keep it.
///
/// # Errors
/// As the system says; `AddrInUse` where somebody listens there.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

impl Acceptor {
    /// Accepts until `stop` says so, and returns when the listener is closed and every connection
    /// that still spoke HTTP has ended; that takes at most the time of an answer and a few seconds.
    pub async fn run(self, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let acceptor = Arc::new(self);
        let turned_away = Permits::new(TURNED_AWAY_MAX);
        let (alive, mut all_ended) = mpsc::channel::<()>(1);
        let mut last_warning: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    acceptor.stats.accepted.fetch_add(1, Ordering::Relaxed);
                    let Some(place) = acceptor.place(&turned_away) else { continue };
                    let connection = acceptor.clone().connection(stream, peer, place, stop.clone());
                    let alive = alive.clone();
                    tokio::spawn(async move {
                        connection.await;
                        drop(alive);
                    });
                }
                Err(error) if is_exhaustion(&error) => {
                    acceptor.stats.pauses.fetch_add(1, Ordering::Relaxed);
                    if last_warning.is_none_or(|at| at.elapsed() >= Duration::from_secs(1)) {
                        tracing::warn!(%error, "accepting paused: lower server.connections_max or raise the descriptor limit");
                        last_warning = Some(Instant::now());
                    }
                    tokio::select! {
                        _ = stop.wait_for(|stop| *stop) => break,
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                }
                // The peer gave up before it was accepted.
                Err(_) => {}
            }
        }
        drop(listener);
        drop(alive);
        all_ended.recv().await;
    }

    fn place(&self, turned_away: &Permits) -> Option<Place> {
        match self.permits.take() {
            Some(permit) => Some(Place::Within(permit)),
            None => {
                self.stats.turned_away.fetch_add(1, Ordering::Relaxed);
                turned_away.take().map(Place::Above)
            }
        }
    }

    /// One connection, from accept to its end or to its hand-over.
    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        place: Place,
        stop: watch::Receiver<bool>,
    ) {
        let accepted = Instant::now();
        // It costs only latency where it fails, and the peer may be gone already.
        let _ = stream.set_nodelay(true);
        let Some(stream) = self.secure(stream, stop.clone()).await else { return };
        let hand_over = HandOver::default();
        let (stream, read_too_far) = self
            .speak_http(stream, peer, accepted, matches!(place, Place::Above(_)), &hand_over, stop)
            .await;
        match (hand_over.take(), place) {
            (Some(kind), Place::Within(permit)) => {
                let Ok((socket, not_seen)) = stream.into_socket() else { return };
                self.stats.adopted.fetch_add(1, Ordering::Relaxed);
                let opening =
                    Opening { kind, answer: Bytes::new(), remote: peer, permit: Box::new(permit) };
                // A copy, because the original is a view of HTTP's whole read buffer.
                let already_read = [&read_too_far[..], &not_seen].concat().into();
                drop(read_too_far);
                self.data_plane.adopt(socket, already_read, opening);
            }
            (_, place) => {
                linger(stream).await;
                drop(place);
            }
        }
    }

    /// Shakes hands, where TLS is spoken. What is left of the time for the headers is theirs.
    async fn secure(&self, stream: TcpStream, mut stop: watch::Receiver<bool>) -> Option<Io> {
        let Some(security) = &self.security else { return Some(Io::Plain(stream)) };
        let deadline = tokio::time::Instant::now() + self.headers_timeout;
        let shaken = tokio::select! {
            shaken = security.accept(stream, deadline) => shaken,
            _ = stop.wait_for(|stop| *stop) => return None,
        };
        match shaken {
            Ok(secured) => Some(Io::Secured(Box::new(secured))),
            Err(stream) => {
                linger(stream).await;
                None
            }
        }
    }

    /// Serves requests until the connection ends or is upgraded, and gives the socket back.
    async fn speak_http(
        &self,
        stream: Io,
        peer: SocketAddr,
        accepted: Instant,
        turned_away: bool,
        hand_over: &HandOver,
        mut stop: watch::Receiver<bool>,
    ) -> (Io, Bytes) {
        let router = self.router.clone();
        let left_by_handler = hand_over.clone();
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let mut router = router.clone();
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(left_by_handler.clone());
            let answer: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move {
                if turned_away && !is_about_health(request.uri().path()) {
                    return Ok(close_after(Rejection::full().into_response(), request.version()));
                }
                router.call(request.map(Body::new)).await
            });
            answer
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.headers_timeout.saturating_sub(accepted.elapsed()))
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);

        let ended = {
            let mut done =
                std::future::poll_fn(|context| connection.poll_without_shutdown(context));
            tokio::select! {
                _ = Pin::new(&mut done) => true,
                () = tokio::time::sleep(HTTP_LIFETIME) => false,
                _ = stop.wait_for(|stop| *stop) => false,
            }
        };
        if !ended {
            Pin::new(&mut connection).graceful_shutdown();
            let done = std::future::poll_fn(|context| connection.poll_without_shutdown(context));
            if tokio::time::timeout(HTTP_GRACE, done).await.is_err() {
                // An answer that nobody reads is cut off, an upgrade included.
                hand_over.take();
            }
        }
        let parts = connection.into_parts();
        (parts.io.into_inner(), parts.read_buf)
    }
}

/// A connection's place; it is given back when this is dropped.
enum Place {
    /// One of those that the configuration allows.
    Within(Permit),
    /// One to be told that there is none.
    Above(#[expect(dead_code, reason = "held, never looked at")] Permit),
}

fn is_about_health(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz")
}

fn close_after(mut response: Response, version: Version) -> Response {
    if version == Version::HTTP_11 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Ends a connection so that the peer can read what was answered: closing a socket with unread
/// input would send a reset, which destroys it.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let _ = stream.shutdown().await;
    let discard = async {
        let mut scratch = [0; 1024];
        let mut total = 0;
        while total < LINGER_BYTES_MAX {
            match stream.read(&mut scratch).await {
                Ok(0) | Err(_) => break,
                Ok(read) => total += read,
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, discard).await;
}

/// Whether the process, or the machine, has no descriptor or no memory for one more connection.
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}
