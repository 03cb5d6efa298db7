//! `GET /sse`: channels and the user's events as an event stream (HTML Living Standard, §9.2).
//!
//! A stream is a session of the native protocol like any other: a shard has one end of a pair of
//! sockets, and the body of the answer speaks as the client at the other. So every rule, rate and
//! limit is the session's, and there is no second set of them. Invariants: what does not begin is
//! refused with a status; a stream takes the places of the two descriptors it costs, and none of
//! those that speak HTTP.
//!
//! - `request`: what is asked for; `position`: the `id` of an event.
//! - `feed`, `missed`: from the session's events to the stream's; `text`: how they are written.
//! - `relay`: between the sockets.

mod feed;
mod missed;
mod position;
mod relay;
mod request;
mod text;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_ORIGIN,
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Version};
use hubbub_hub::{Opening, OpeningKind};
use hubbub_proto::CloseCode;

use crate::accept::{AcceptStats, Acceptor, RETURN_WHEN_FULL, count};
use crate::bridge;
use crate::gate::Client;
use crate::origin;
use crate::outstay::Stay;
use crate::permit::Permit;
use crate::rejection::Rejection;
use crate::routes::Access;
use crate::speaking::Peer;

use feed::{End, Feed};
use relay::Relay;
use request::{Decision, Wanted};

/// The connection that a request came on.
pub(crate) trait Host: Send + Sync {
    /// What it came through.
    fn acceptor(&self) -> &Acceptor;
    /// A place for one more stream.
    ///
    /// # Errors
    /// Where it has too many, or opens them too fast.
    fn admit(&self) -> Result<Stay, Rejection>;
    /// It carries a stream from here on and counts no more among those that speak HTTP.
    fn settle(&self);
}

/// The same, as an extension of each request.
#[derive(Clone)]
pub(crate) struct Hosted(pub(crate) Arc<dyn Host>);

/// What a stream holds to its end.
struct Held {
    _stay: Stay,
    _place: Permit,
    stats: Arc<AcceptStats>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stats.streams_open.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) async fn stream(State(access): State<Arc<Access>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let answer = if parts.method == Method::OPTIONS {
        preflight(&parts.headers, &access)
    } else {
        open(&access, &parts).await
    };
    let mut response = answer.unwrap_or_else(Rejection::into_response);
    permit_origin(&parts.headers, &access.policy.allowed_origins, response.headers_mut());
    response
}

/// What a page asks that sends more than a simple request does.
fn preflight(headers: &HeaderMap, access: &Access) -> Result<Response, Rejection> {
    if !origin::is_allowed(headers, &access.policy.allowed_origins) {
        return Err(Rejection::origin());
    }
    let allowed = HeaderValue::from_static("authorization, last-event-id, cache-control");
    Ok((StatusCode::NO_CONTENT, [(ACCESS_CONTROL_ALLOW_HEADERS, allowed)]).into_response())
}

/// Lets a page read the answer that may ask, and one that is named also with its cookies.
fn permit_origin(request: &HeaderMap, allowed: &[String], response: &mut HeaderMap) {
    let Some(page) = request.get(ORIGIN) else { return };
    if !origin::is_allowed(request, allowed) {
        return;
    }
    response.append(VARY, HeaderValue::from_static("origin"));
    if origin::is_trusted(request, allowed) {
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, page.clone());
        response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    } else {
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
}

async fn open(access: &Access, parts: &Parts) -> Result<Response, Rejection> {
    let verify = |token: &str, device: Option<&_>| access.verify(token, device);
    let channels_max = access.stream_channels_max;
    let wanted = match request::decide(parts, &access.policy, channels_max, verify)? {
        Decision::Open(wanted) => *wanted,
        Decision::Over => return Ok(StatusCode::NO_CONTENT.into_response()),
    };
    let extensions = &parts.extensions;
    let (Some(Hosted(host)), Some(Client(client)), Some(Peer(peer))) =
        (extensions.get(), extensions.get(), extensions.get())
    else {
        // Only connections that are accepted for everybody carry streams.
        return Err(Rejection::not_found());
    };
    let acceptor = host.acceptor();
    let stay = host.admit()?;
    let places = acceptor.permits.take().zip(acceptor.permits.take());
    let Some((mut near, far)) = places else {
        count(&acceptor.stats.turned_away);
        return Err(Rejection::full(RETURN_WHEN_FULL));
    };
    let visit = match access.gate.upgrade(*peer, *client)? {
        // Over HTTP/2 each is a connection of its own, besides the one that carries it.
        None if parts.version == Version::HTTP_2 => access.gate.introduce(client.ip())?,
        counted => counted,
    };
    near.keep(visit);
    let (session, end) = bridge::pair().map_err(|error| {
        tracing::warn!(%error, "no pair of sockets for an event stream");
        Rejection::full(RETURN_WHEN_FULL)
    })?;
    let Wanted { identity, channels, user, from } = wanted;
    let opening = Opening {
        kind: OpeningKind::Stream { identity },
        answer: Bytes::new(),
        remote: *client,
        permit: Box::new(near),
    };
    count(&acceptor.stats.adopted);
    acceptor.data_plane.adopt(end.into(), Bytes::new(), opening);
    count(&acceptor.stats.streams);
    count(&acceptor.stats.streams_open);
    let held = Held { _stay: stay, _place: far, stats: acceptor.stats.clone() };
    let mut relay = Relay::new(session, Feed::new(channels, user, from), held);
    match tokio::time::timeout(acceptor.limits.headers_timeout, relay.begin()).await {
        Ok(Ok(())) => {}
        Ok(Err(end)) => return Err(rejection(end)),
        Err(_) => return Err(Rejection::crowded(RETURN_WHEN_FULL)),
    }
    host.settle();
    tracing::debug!(remote = %client, "an event stream");
    let mut response = Body::new(relay).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    if parts.version != Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// What is said instead of a stream.
fn rejection(end: End) -> Rejection {
    let End { code, reason, message, retry_after_ms, retry } = end;
    let is = |known: CloseCode| known.code() == code;
    let status = if is(CloseCode::Unauthorized) || is(CloseCode::TokenExpired) {
        StatusCode::UNAUTHORIZED
    } else if is(CloseCode::TooManyConnections) || is(CloseCode::RateLimited) {
        StatusCode::TOO_MANY_REQUESTS
    } else {
        let said =
            StatusCode::from_u16(code).ok().filter(|status| code < 600 && status.as_u16() >= 400);
        said.unwrap_or(if retry { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::FORBIDDEN })
    };
    Rejection::said(status, &reason, message, retry_after_ms)
}
