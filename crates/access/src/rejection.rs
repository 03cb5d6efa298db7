//! Refusals as HTTP answers: a status and `{code, reason, message}`, the shape of the wire's
//! `error`.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use hubbub_proto::Refusal;
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
}

#[derive(Serialize)]
struct Body<'a> {
    code: u16,
    reason: &'a str,
    message: &'a str,
}

impl Rejection {
    /// A rejection without a header of its own.
    #[must_use]
    pub(crate) fn new(
        status: StatusCode,
        reason: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, reason, message: message.into(), header: None }
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

    /// 403 for a page from elsewhere.
    #[must_use]
    pub(crate) fn origin() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "origin_not_allowed",
            "Pages from this origin may not connect; see server.allowed_origins.",
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
    pub(crate) fn full() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_connections",
            "The server has as many connections as it takes; try again.",
        )
        .with(header::RETRY_AFTER, "5")
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let body = Body { code: self.status.as_u16(), reason: self.reason, message: &self.message };
        let json = serde_json::to_string(&body).unwrap_or_default();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((name, value)) = self.header {
            headers.insert(name, value);
        }
        (self.status, headers, json).into_response()
    }
}
