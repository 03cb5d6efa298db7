//! The life of a connection that speaks HTTP and is a task: one that did not bring its whole
//! handshake at once, or wants something else.
//!
//! Invariants: no connection is held by HTTP without a deadline; what the data plane gets is a bare
//! socket and the bytes that were read too far, nothing that pins a buffer of HTTP's.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Version};
use hubbub_hub::Opening;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tower_service::Service as _;

use crate::accept::{Acceptor, First, HEAD_BYTES_MAX, count};
use crate::gate::{Visit, canonical};
use crate::introduction;
use crate::io::Io;
use crate::outstay::{Outstay, Stay};
use crate::permit::Permit;
use crate::rejection::Rejection;
use crate::rewind::Rewind;
use crate::routes::Admitted;
use crate::sse::{Host, Hosted};

/// How long one connection may go on speaking HTTP; then it ends after the answer under way.
pub(crate) const HTTP_LIFETIME: Duration = Duration::from_secs(60);
/// How long the answer under way may take after that.
pub(crate) const HTTP_GRACE: Duration = Duration::from_secs(5);
/// Event streams on a connection, which ends with the first.
const STREAMS_MAX: usize = 1;
/// How long a connection that was answered may take to close.
const LINGER: Duration = Duration::from_secs(1);
/// How much it may send meanwhile, in bytes.
const LINGER_BYTES_MAX: usize = 256 * 1024;
/// Bytes taken from a socket at once while the head of the first request is read.
const READ_BYTES: usize = 4 * 1024;

/// The peer of a connection; an extension of each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Where a handler leaves what is to become of the connection after a 101; an extension of each
/// request.
#[derive(Clone, Default)]
pub(crate) struct HandOver(Arc<Mutex<Option<Admitted>>>);

impl HandOver {
    pub(crate) fn put(&self, admitted: Admitted) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(admitted);
    }

    fn take(&self) -> Option<Admitted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A connection's place; it is given back when this is dropped.
pub(crate) enum Place {
    /// One of those that the configuration allows.
    Within {
        /// To the connection's end.
        permit: Permit,
        /// As long as it speaks HTTP.
        handshake: Permit,
        /// A proxy is to say first whose it is.
        introduced: bool,
    },
    /// One to be told that there is none.
    Above { rejection: Rejection, permit: Permit },
}

impl Place {
    fn keep(&mut self, visit: Option<Visit>) {
        let (Self::Within { permit, .. } | Self::Above { permit, .. }) = self;
        permit.keep(visit);
    }
}

/// What the requests of one connection share.
struct Speaker {
    acceptor: Arc<Acceptor>,
    peer: SocketAddr,
    /// Why it is not let in.
    rejection: Option<Rejection>,
    hand_over: HandOver,
    /// Its event stream, and how long it may be without.
    outstay: Arc<Outstay>,
    /// Its place among those that speak HTTP.
    handshake: Mutex<Option<Permit>>,
}

impl Host for Speaker {
    fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }

    fn admit(&self) -> Result<Stay, Rejection> {
        self.outstay.take().ok_or_else(Rejection::sockets)
    }

    fn settle(&self) {
        self.handshake.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Acceptor {
    /// One connection, to its end or to its hand-over. `read` was read from it before.
    pub(crate) async fn connection(
        self: Arc<Self>,
        mut stream: TcpStream,
        mut peer: SocketAddr,
        mut place: Place,
        mut read: Vec<u8>,
        mut stop: watch::Receiver<bool>,
    ) {
        let deadline = Instant::now() + self.limits.headers_timeout;
        if matches!(place, Place::Within { introduced: true, .. }) {
            let introduced = tokio::select! {
                introduced = introduction::read(&mut stream) => introduced,
                () = tokio::time::sleep_until(deadline) => return count(&self.stats.late),
                _ = stop.wait_for(|stop| *stop) => return,
            };
            let gate = &self.access.gate;
            match introduced {
                Ok(Some(client)) => match gate.introduce(client.ip()) {
                    Ok(visit) => {
                        peer = canonical(client);
                        place.keep(visit);
                    }
                    // What the client speaks is not known yet, so there are no words for it.
                    Err(_) => return,
                },
                Ok(None) => {}
                Err(error) => {
                    count(&gate.stats.unintroduced);
                    return tracing::debug!(%error, %peer, "a proxy did not say whose connection it is");
                }
            }
        }
        let Some(mut stream) = self.secure(stream, deadline, stop.clone()).await else { return };
        let first = tokio::select! {
            first = self.read_first(&mut stream, &mut read, peer) => first,
            () = tokio::time::sleep_until(deadline) => return count(&self.stats.late),
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match (first, place) {
            (Err(_) | Ok(First::Waits), _) => {}
            (Ok(First::Upgrade(admitted, head)), Place::Within { permit, handshake, .. }) => {
                let Ok((socket, not_seen)) = stream.into_socket() else { return };
                drop(handshake);
                let rest = [&read[head..], &not_seen].concat();
                self.hand_over(socket, &rest, *admitted, permit);
            }
            (Ok(First::Http2), place) => {
                if stream.prepare().await.is_ok() {
                    self.serve_http2(stream, read.into(), peer, place, stop).await;
                }
            }
            (Ok(_), place) => self.serve(stream, read.into(), peer, place, stop).await,
        }
    }

    /// Shakes hands, where TLS is spoken. What is left of the time for the headers is theirs.
    async fn secure(
        &self,
        stream: TcpStream,
        deadline: Instant,
        mut stop: watch::Receiver<bool>,
    ) -> Option<Io> {
        let Some(security) = &self.security else { return Some(Io::Plain(stream)) };
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

    /// Reads until it is known what the connection wants.
    async fn read_first(
        &self,
        stream: &mut Io,
        read: &mut Vec<u8>,
        peer: SocketAddr,
    ) -> io::Result<First> {
        let mut seen = 0;
        loop {
            match self.first(read, seen, peer) {
                First::Waits => {}
                first => return Ok(first),
            }
            seen = read.len();
            if std::future::poll_fn(|context| poll_read_some(stream, read, context)).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Has the HTTP library serve the connection.
    async fn serve(
        self: &Arc<Self>,
        stream: Io,
        read: Bytes,
        peer: SocketAddr,
        place: Place,
        stop: watch::Receiver<bool>,
    ) {
        if stream.prepare().await.is_err() {
            return;
        }
        let hand_over = HandOver::default();
        let (mut permit, handshake, rejection) = match place {
            Place::Within { permit, handshake, .. } => (permit, Some(handshake), None),
            Place::Above { rejection, permit } => (permit, None, Some(rejection)),
        };
        let speaker = Arc::new(Speaker {
            acceptor: self.clone(),
            peer,
            rejection,
            hand_over: hand_over.clone(),
            outstay: Arc::new(Outstay::new(STREAMS_MAX)),
            handshake: Mutex::new(handshake),
        });
        let (stream, read_too_far) = self.speak_http(stream, read, &speaker, stop).await;
        match hand_over.take() {
            Some(admitted) if speaker.rejection.is_none() => {
                let Ok((socket, not_seen)) = stream.into_socket() else { return };
                speaker.settle();
                count(&self.stats.adopted);
                let answer = Bytes::new();
                let Admitted { upgrade, client, visit } = admitted;
                permit.keep(visit);
                let permit = Box::new(permit);
                let opening = Opening { kind: upgrade.kind, answer, remote: client, permit };
                let already_read = [&read_too_far[..], &not_seen].concat().into();
                self.data_plane.adopt(socket, already_read, opening);
            }
            _ => {
                linger(stream).await;
                drop((permit, speaker));
            }
        }
    }

    /// Serves requests until the connection ends or is upgraded, and gives the socket back with
    /// what was read too far.
    async fn speak_http(
        &self,
        stream: Io,
        read: Bytes,
        speaker: &Arc<Speaker>,
        mut stop: watch::Receiver<bool>,
    ) -> (Io, Bytes) {
        let router = self.access.router();
        let shared = speaker.clone();
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let mut router = router.clone();
            request.extensions_mut().insert(Peer(shared.peer));
            request.extensions_mut().insert(shared.hand_over.clone());
            request.extensions_mut().insert(Hosted(shared.clone()));
            let rejection =
                shared.rejection.clone().filter(|_| !is_about_health(request.uri().path()));
            let answer: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move {
                if let Some(rejection) = rejection {
                    return Ok(close_after(rejection.into_response(), request.version()));
                }
                router.call(request.map(Body::new)).await
            });
            answer
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.headers_timeout)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(Rewind::new(read, stream)), service);

        let ended = {
            let mut done =
                std::future::poll_fn(|context| connection.poll_without_shutdown(context));
            tokio::select! {
                _ = Pin::new(&mut done) => true,
                () = speaker.outstay.outlived(HTTP_LIFETIME) => false,
                _ = stop.wait_for(|stop| *stop) => false,
            }
        };
        if !ended {
            Pin::new(&mut connection).graceful_shutdown();
            // The data plane ends an event stream when it stops; only the others have a deadline here.
            loop {
                let done =
                    std::future::poll_fn(|context| connection.poll_without_shutdown(context));
                if tokio::time::timeout(HTTP_GRACE, done).await.is_ok() {
                    break;
                }
                if speaker.outstay.sockets() == 0 {
                    // An answer that nobody reads is cut off, an upgrade included.
                    speaker.hand_over.take();
                    break;
                }
            }
        }
        let parts = connection.into_parts();
        let (unread, stream) = parts.io.into_inner().into_parts();
        // A copy, because the originals are views of HTTP's whole read buffer.
        (stream, [parts.read_buf, unread].concat().into())
    }
}

/// Appends what can be read. The buffer is the thread's, not one of each connection that waits.
fn poll_read_some(
    stream: &mut Io,
    read: &mut Vec<u8>,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut buffer = [0; READ_BYTES];
    let mut buffer = ReadBuf::new(&mut buffer);
    ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
    read.extend_from_slice(buffer.filled());
    Poll::Ready(Ok(buffer.filled().len()))
}

pub(crate) fn is_about_health(path: &str) -> bool {
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
