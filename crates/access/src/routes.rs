//! The addresses: pages, the two WebSocket endpoints, health, signing in for development, and what
//! is for operators (see `operator`).
//!
//! Invariant: every answer has the security headers, and every refusal is `{code, reason,
//! message}`; below `/api` they are problem documents (see [`crate::api`]).

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use http::header::{
    self, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    IF_NONE_MATCH,
};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use hubbub_hub::OpeningKind;
use hubbub_proto::{CloseCode, DeviceId, Identity, Refusal, Timestamp};

use crate::api::Api;
use crate::dev::{self, DevSignIn};
use crate::gate::{self, Gate, Visit};
use crate::handshake::{self, HandshakePolicy, Upgrade};
use crate::operator::{Metrics, Operators};
use crate::rejection::Rejection;
use crate::speaking::{HandOver, Peer};
use crate::sse;
use crate::token::Verifier;

/// What a page may load and where it may connect: this server, and nothing else.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data: blob:; connect-src 'self'; manifest-src 'self'; worker-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The time, read here and nowhere else in the checks.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A file of the pages.
pub struct Asset {
    /// Its content.
    pub bytes: Cow<'static, [u8]>,
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// Changes with the content; printable, without quotes.
    pub version: String,
}

/// Limits of `/echo`.
#[derive(Clone, Copy, Debug)]
pub struct EchoLimits {
    /// Largest message, in bytes.
    pub message_bytes_max: usize,
    /// Most fragments of one message.
    pub fragments_max: u32,
}

/// What the routes need to know.
pub struct Access {
    /// Checks tokens.
    pub verifier: Arc<Verifier>,
    /// The time by which they are checked.
    pub clock: Clock,
    /// Which pages may connect, and the cookie.
    pub policy: HandshakePolicy,
    /// `/echo`, where enabled.
    pub echo: Option<EchoLimits>,
    /// Most channels of one event stream.
    pub stream_channels_max: usize,
    /// What back ends ask for, where enabled.
    pub api: Option<Arc<Api>>,
    /// Signing in under any name, for development.
    pub dev: Option<DevSignIn>,
    /// Who may come in from where.
    pub gate: Arc<Gate>,
    /// A file by its path without the leading slash.
    pub asset: fn(&str) -> Option<Asset>,
    /// Whether the device of a token was signed out since it was made.
    pub is_signed_out: Box<dyn Fn(&Identity) -> bool + Send + Sync>,
    /// Whether the server can do its work, or why not.
    pub ready: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// The server's version.
    pub version: &'static str,
    /// Who may see what only operators see.
    pub operators: Operators,
    /// What was counted, where somebody writes it down.
    pub metrics: Option<Arc<dyn Metrics>>,
}

impl Access {
    /// The routes.
    pub fn router(self: &Arc<Self>) -> Router {
        let router = match &self.api {
            Some(api) => Router::new().route_service("/api/{*path}", api.router()),
            None => Router::new(),
        };
        router
            .route("/ws", any(socket))
            .route("/echo", any(socket))
            .route("/sse", any(sse::stream))
            .route("/dev/token", any(dev::token))
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/version", get(version))
            .fallback(file)
            .method_not_allowed_fallback(async || Rejection::method("GET, HEAD"))
            .with_state(self.clone())
            .merge(self.operator_routes())
            .layer(middleware::from_fn_with_state(self.clone(), gate::guard))
            .layer(middleware::from_fn(secure))
    }

    /// What a request to upgrade gets that came from `peer`; `None` where no WebSocket is at its
    /// address.
    pub(crate) fn upgrade(
        &self,
        request: &Parts,
        peer: SocketAddr,
    ) -> Option<Result<Admitted, Rejection>> {
        let upgrade = self.handshake(request)?;
        Some(upgrade.and_then(|mut upgrade| {
            let client = self.gate.client(peer, &request.headers, request.uri.path())?;
            let visit = self.gate.upgrade(peer, client).unwrap_or_else(|_| {
                upgrade.kind = OpeningKind::Refused(CloseCode::TooManyConnections);
                None
            });
            Ok(Admitted { upgrade, client, visit })
        }))
    }

    fn handshake(&self, request: &Parts) -> Option<Result<Upgrade, Rejection>> {
        match request.uri.path() {
            "/ws" => {
                let verify = |token: &str, device: Option<&_>| self.verify(token, device);
                Some(handshake::decide(request, &self.policy, verify))
            }
            "/echo" => {
                let EchoLimits { message_bytes_max, fragments_max } = self.echo?;
                let policy = &self.policy;
                Some(handshake::decide_echo(request, policy, message_bytes_max, fragments_max))
            }
            _ => None,
        }
    }

    pub(crate) fn verify(
        &self,
        token: &str,
        device: Option<&DeviceId>,
    ) -> Result<Identity, Refusal> {
        self.verifier.verify(token, device, (self.clock)())
    }
}

/// A WebSocket that comes in.
pub(crate) struct Admitted {
    pub(crate) upgrade: Upgrade,
    /// Whose it is.
    pub(crate) client: SocketAddr,
    /// Where it was not counted before.
    pub(crate) visit: Option<Visit>,
}

/// Answers a handshake, and leaves for the connection what is to become of its socket.
async fn socket(State(access): State<Arc<Access>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let Some(&Peer(peer)) = parts.extensions.get() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let admitted = match access.upgrade(&parts, peer) {
        Some(Ok(admitted)) => admitted,
        Some(Err(rejection)) => return rejection.into_response(),
        None => return Rejection::not_found().into_response(),
    };
    let Some(hand_over) = parts.extensions.get::<HandOver>() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut headers = HeaderMap::with_capacity(5);
    for (name, value) in admitted.upgrade.fields() {
        let Ok(value) = HeaderValue::try_from(value) else {
            return Rejection::bad_request("A subprotocol is not a token.").into_response();
        };
        headers.insert(name, value);
    }
    hand_over.put(admitted);
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

pub(crate) async fn livez() -> Response {
    plain(StatusCode::OK, "ok\n".to_owned())
}

pub(crate) async fn readyz(State(access): State<Arc<Access>>) -> Response {
    match (access.ready)() {
        Ok(()) => plain(StatusCode::OK, "ready\n".to_owned()),
        // The reason is in the log; strangers need not know what failed.
        Err(_) => Rejection::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_ready",
            "The server cannot do its work at the moment; see its log.",
        )
        .into_response(),
    }
}

fn plain(status: StatusCode, text: String) -> Response {
    let no_store = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (status, no_store, text).into_response()
}

pub(crate) async fn version(State(access): State<Arc<Access>>) -> Response {
    axum::Json(serde_json::json!({ "name": "hubbub", "version": access.version })).into_response()
}

async fn file(State(access): State<Arc<Access>>, request: Request) -> Response {
    let path = match request.uri().path() {
        "/" => "index.html",
        "/api" | "/api/" if access.api.is_some() => "reference/index.html",
        path => path.strip_prefix('/').unwrap_or(path),
    };
    let Some(asset) = (access.asset)(path) else {
        return Rejection::not_found().into_response();
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Rejection::method("GET, HEAD").into_response();
    }
    let tag = format!("\"{}\"", asset.version);
    let known = request
        .headers()
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .any(|line| line.split(',').any(|entry| entry.trim().trim_start_matches("W/") == tag));
    let mut headers = HeaderMap::with_capacity(3);
    // Asked again each time, answered by 304: a new server's page is never mixed with an old one's.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    let body = match asset.bytes {
        Cow::Borrowed(bytes) => Body::from(bytes),
        Cow::Owned(bytes) => Body::from(bytes),
    };
    (StatusCode::OK, headers, body).into_response()
}

/// Adds the headers that every answer has.
pub(crate) async fn secure(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 5] = [
        (CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let mut response = next.run(request).await;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        for (name, value) in HEADERS {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
