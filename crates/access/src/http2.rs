//! HTTP/2 connections, and WebSockets over them (RFC 8441).
//!
//! Each WebSocket is a stream, bridged through a pair of sockets whose other end is a shard's like
//! any client's (see [`crate::bridge`]). Invariants: everything that a peer can make the connection
//! hold is bounded by a window or a count; a connection without a WebSocket ends like one that
//! speaks HTTP/1.1 (see [`crate::outstay`]), and one that is not let in ends with the first answer
//! that says so; a WebSocket takes the places of the two descriptors it costs. Ordinary requests get
//! the same routes.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::{Method, Request};
use hubbub_hub::Opening;
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::watch;
use tower_service::Service as _;

use crate::accept::{Acceptor, HEAD_BYTES_MAX, RETURN_WHEN_FULL, count};
use crate::admission::Pace;
use crate::bridge;
use crate::io::Io;
use crate::outstay::{Outstay, Stay};
use crate::permit::Permit;
use crate::rejection::Rejection;
use crate::rewind::Rewind;
use crate::routes::Admitted;
use crate::speaking::{HTTP_GRACE, HTTP_LIFETIME, Peer, Place, is_about_health};
use crate::sse::{Host, Hosted};

/// Bytes that a stream may send before they are taken.
const STREAM_WINDOW: u32 = 64 * 1024;
/// Bytes of a stream that wait to be sent.
const SEND_BYTES_MAX: usize = 32 * 1024;
/// Ordinary requests at a time, besides the WebSockets.
const REQUESTS_MAX: u32 = 16;
/// Streams that were reset before they were served, beyond which the connection ends: what a rapid
/// reset costs (CVE-2023-44487).
const RESETS_MAX: usize = 20;

/// WebSockets that a connection may open per second, for each that it may have at a time.
const OPENS_PER_SOCKET: u32 = 4;

/// What the requests of one connection share.
struct Connection {
    acceptor: Arc<Acceptor>,
    peer: std::net::SocketAddr,
    rejection: Option<Rejection>,
    /// The WebSockets, and when they or their absence end it.
    outstay: Arc<Outstay>,
    /// How fast WebSockets are opened: each costs far more than the frames that open and reset it.
    pace: Mutex<Pace>,
    /// Its place among those that speak HTTP, until it has a WebSocket.
    handshake: Mutex<Option<Permit>>,
}

impl Acceptor {
    /// Serves a connection to its end.
    pub(crate) async fn serve_http2(
        self: Arc<Self>,
        stream: Io,
        read: Bytes,
        peer: std::net::SocketAddr,
        place: Place,
        mut stop: watch::Receiver<bool>,
    ) {
        count(&self.stats.http2);
        let (_place, handshake, rejection) = match place {
            Place::Within { permit, handshake, .. } => (permit, Some(handshake), None),
            Place::Above { rejection, permit } => (permit, None, Some(rejection)),
        };
        let sockets_max = self.limits.http2_sockets_max;
        let idle_timeout = self.limits.headers_timeout;
        let connection = Arc::new(Connection {
            acceptor: self,
            peer,
            rejection,
            outstay: Arc::new(Outstay::new(sockets_max as usize)),
            pace: Mutex::new(Pace::new(sockets_max * OPENS_PER_SOCKET)),
            handshake: Mutex::new(handshake),
        });
        let shared = connection.clone();
        let service = hyper::service::service_fn(move |request| shared.clone().answer(request));
        let mut serving = pin!(
            http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .enable_connect_protocol()
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(STREAM_WINDOW * (sockets_max + REQUESTS_MAX))
                .max_concurrent_streams(sockets_max + REQUESTS_MAX)
                .max_send_buf_size(SEND_BYTES_MAX)
                .max_header_list_size(HEAD_BYTES_MAX as u32)
                .max_pending_accept_reset_streams(RESETS_MAX)
                .max_local_error_reset_streams(RESETS_MAX)
                .serve_connection(TokioIo::new(Rewind::new(read, stream)), service)
        );
        tokio::select! {
            _ = &mut serving => return,
            () = connection.outstay.cut() => return,
            () = connection.outstay.leaves(idle_timeout, HTTP_LIFETIME) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        serving.as_mut().graceful_shutdown();
        // The data plane ends its WebSockets when it stops; only the others have a deadline here.
        let mut grace = pin!(async {
            loop {
                tokio::time::sleep(HTTP_GRACE).await;
                if connection.outstay.sockets() == 0 {
                    return;
                }
            }
        });
        tokio::select! {
            _ = &mut serving => {}
            () = connection.outstay.cut() => {}
            () = &mut grace => {}
        }
    }
}

impl Connection {
    async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Result<Response, std::convert::Infallible> {
        self.outstay.asked();
        if let Some(rejection) = &self.rejection
            && !is_about_health(request.uri().path())
        {
            // What was true when it came is not true for ever: it is to come back on another one.
            self.outstay.leave();
            return Ok(rejection.clone().into_response());
        }
        name_host(&mut request);
        if request.method() == Method::CONNECT {
            let is_websocket = request
                .extensions()
                .get::<Protocol>()
                .is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"));
            let answer = if is_websocket { self.open(request) } else { Err(Rejection::protocol()) };
            return Ok(answer.unwrap_or_else(Rejection::into_response));
        }
        request.extensions_mut().insert(Peer(self.peer));
        request.extensions_mut().insert(Hosted(self.clone()));
        self.acceptor.access.router().call(request.map(Body::new)).await
    }

    /// Opens a WebSocket: the stream goes on once the answer is on its way.
    fn open(self: &Arc<Self>, mut request: Request<Incoming>) -> Result<Response, Rejection> {
        let acceptor = &self.acceptor;
        let stream = hyper::upgrade::on(&mut request);
        let (parts, _) = request.into_parts();
        let admitted = acceptor.access.upgrade(&parts, self.peer);
        let Admitted { upgrade, client, visit } =
            admitted.unwrap_or(Err(Rejection::not_found()))?;
        // Each is a connection of its own, besides the one that carries it.
        let visit = match visit {
            None => acceptor.access.gate.introduce(client.ip())?,
            counted => counted,
        };
        let socket = self.admit()?;
        let places = acceptor.permits.take().zip(acceptor.permits.take());
        let Some((mut near, far)) = places else {
            count(&acceptor.stats.turned_away);
            return Err(Rejection::full(RETURN_WHEN_FULL));
        };
        let mut response = Response::default();
        for (name, value) in upgrade.fields() {
            let Ok(value) = HeaderValue::try_from(value) else {
                return Err(Rejection::bad_request("A subprotocol is not a token."));
            };
            response.headers_mut().insert(name, value);
        }
        let (bridge, end) = bridge::pair().map_err(|error| {
            tracing::warn!(%error, "no pair of sockets for a WebSocket over HTTP/2");
            Rejection::full(RETURN_WHEN_FULL)
        })?;
        self.settle();
        count(&acceptor.stats.http2_sockets);
        count(&acceptor.stats.adopted);
        near.keep(visit);
        let opening = Opening {
            kind: upgrade.kind,
            answer: Bytes::new(),
            remote: client,
            permit: Box::new(near),
        };
        acceptor.data_plane.adopt(end.into(), Bytes::new(), opening);
        let open = self.outstay.sockets();
        tracing::debug!(remote = %client, open, "a WebSocket over HTTP/2");
        tokio::spawn(async move {
            if let Ok(stream) = stream.await {
                bridge::run(TokioIo::new(stream), bridge).await;
            }
            drop((socket, far));
        });
        Ok(response)
    }
}

impl Host for Connection {
    fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }

    /// A place for one more WebSocket or event stream of this connection.
    fn admit(&self) -> Result<Stay, Rejection> {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let refusal = match pace.admit(self.outstay.age()) {
            Ok(()) => match self.outstay.take() {
                Some(socket) => return Ok(socket),
                None => Rejection::sockets(),
            },
            Err(wait) => Rejection::crowded(wait),
        };
        count(&self.acceptor.stats.http2_refused);
        self.outstay.refused();
        Err(refusal)
    }

    /// From here on the connection is one of the data plane's.
    fn settle(&self) {
        self.handshake.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// What HTTP/1.1 calls `Host` (RFC 9113 §8.3.1), for those who compare it.
fn name_host(request: &mut Request<Incoming>) {
    let host = request.uri().authority().map(|authority| authority.as_str().to_owned());
    if let Some(host) = host.and_then(|host| HeaderValue::try_from(host).ok())
        && !request.headers().contains_key(HOST)
    {
        request.headers_mut().insert(HOST, host);
    }
}
