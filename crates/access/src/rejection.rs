//! Refusals as HTTP answers: a status and `{code, reason, message}`, the shape of the wire's
//! `error`.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use hubbub_proto::{Reason, Refusal};
use serde::Serialize;

/// A request that is not served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Rejection {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// A stable slug.
    pub(crate) reason: &'static str,
    /// A sentence that says what is wrong.
    pub(crate) message: Cow<'static, str>,
    /// A header that the status asks for.
    pub(crate) header: Option<(HeaderName, HeaderValue)>,
    /// In how many milliseconds the same request may succeed.
    pub(crate) retry_after_ms: Option<NonZeroU32>,
}

#[derive(Serialize)]
struct Body<'a> {
    code: u16,
    reason: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<NonZeroU32>,
}

impl Rejection {
    /// A rejection without a header of its own.
    #[must_use]
    pub(crate) fn new(
        status: StatusCode,
        reason: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, reason, message: message.into(), header: None, retry_after_ms: None }
    }

    /// The same with a header.
    #[must_use]
    pub(crate) fn with(self, name: HeaderName, value: &'static str) -> Self {
        Self { header: Some((name, HeaderValue::from_static(value))), ..self }
    }

    /// 400: the request is not what RFC 6455 or the endpoint asks for.
    #[must_use]
    pub(crate) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 401 for a token that was refused.
    #[must_use]
    pub(crate) fn unauthorized(refusal: &Refusal) -> Self {
        let message = refusal.message().to_owned();
        Self::new(StatusCode::UNAUTHORIZED, refusal.reason.slug(), message)
            .with(header::WWW_AUTHENTICATE, "Bearer")
    }

    /// 403 for somebody who is known and may not.
    #[must_use]
    pub(crate) fn not_allowed() -> Self {
        let reason = Reason::NotAllowed;
        Self::new(StatusCode::FORBIDDEN, reason.slug(), reason.message())
    }

    /// 403 for a page from elsewhere.
    #[must_use]
    pub(crate) fn origin() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "origin_not_allowed",
            "Pages from this origin may not connect; see server.allowed_origins.",
        )
    }

    /// 403 for an address that may not come in.
    #[must_use]
    pub(crate) fn address() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "address_not_allowed",
            "This address may not connect; see [edge].",
        )
    }

    /// 429 for one connection too many of an address.
    #[must_use]
    pub(crate) fn address_full() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_connections",
            "This address has as many connections as it may.",
        )
    }

    /// 404
    #[must_use]
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address.")
    }

    /// 405; `allow` lists what would do.
    #[must_use]
    pub(crate) fn method(allow: &'static str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This address does not take this method.",
        )
        .with(header::ALLOW, allow)
    }

    /// 503 above the limit of connections.
    #[must_use]
    pub(crate) fn full(retry_after: Duration) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_connections",
            "The server has as many connections as it takes; try again.",
        )
        .after(retry_after)
    }

    /// 503 when more come at once than are let in.
    #[must_use]
    pub(crate) fn crowded(retry_after: Duration) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_at_once",
            "More clients are connecting than the server lets in at once; try again.",
        )
        .after(retry_after)
    }

    /// 429 for one WebSocket too many on a connection.
    #[must_use]
    pub(crate) fn sockets() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_sockets",
            "This connection has as many WebSockets as it may; open another connection.",
        )
    }

    /// 501 for a CONNECT that does not ask for a WebSocket (RFC 9220 §3).
    #[must_use]
    pub(crate) fn protocol() -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "protocol_not_supported",
            "CONNECT opens WebSockets here and nothing else; send `:protocol = websocket`.",
        )
    }

    /// What a session said of a command that a request came to.
    #[must_use]
    pub(crate) fn said(
        status: StatusCode,
        reason: &str,
        message: String,
        retry_after_ms: Option<u32>,
    ) -> Self {
        let known = Reason::ALL.iter().map(|known| known.slug()).find(|known| *known == reason);
        let rejection = Self::new(status, known.unwrap_or("closed"), message);
        match retry_after_ms {
            Some(ms) => rejection.after(Duration::from_millis(ms.into())),
            None => rejection,
        }
    }

    /// The same, to be tried again after a while.
    fn after(self, retry_after: Duration) -> Self {
        let seconds = retry_after.as_millis().div_ceil(1000);
        let header = HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX));
        let ms = u32::try_from(retry_after.as_millis()).unwrap_or(u32::MAX);
        let retry_after_ms = NonZeroU32::new(ms);
        Self { header: Some((header::RETRY_AFTER, header)), retry_after_ms, ..self }
    }

    fn json(&self) -> String {
        let body = Body {
            code: self.status.as_u16(),
            reason: self.reason,
            message: &self.message,
            retry_after_ms: self.retry_after_ms,
        };
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// The whole answer in HTTP/1.1, for a connection that ends with it.
    #[must_use]
    pub(crate) fn answer(&self) -> Vec<u8> {
        let body = self.json();
        let phrase = self.status.canonical_reason().unwrap_or_default();
        let mut head = format!("HTTP/1.1 {} {phrase}\r\n", self.status.as_str()).into_bytes();
        if let Some((name, value)) = &self.header {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
        let rest = format!(
            "content-type: application/json\r\ncache-control: no-store\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        head.extend_from_slice(rest.as_bytes());
        head
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let json = self.json();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((name, value)) = self.header {
            headers.insert(name, value);
        }
        (self.status, headers, json).into_response()
    }
}
