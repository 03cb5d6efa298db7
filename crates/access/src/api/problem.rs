//! What a request that is not carried out gets: problem details (RFC 9457), with the code and reason
//! of the wire's refusals.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, StatusCode};
use hubbub_proto::{Reason, Refusal, Timestamp};
use serde::Serialize;

/// In how many milliseconds one is to try again where nobody knows better.
pub(crate) const RETRY_MS: u64 = 1_000;

/// A request that is not carried out.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    reason: &'static str,
    detail: Cow<'static, str>,
    retry: bool,
    retry_after_ms: Option<u64>,
    until: Option<Timestamp>,
    allow: Option<HeaderValue>,
}

#[derive(Serialize)]
struct Details<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    code: u16,
    reason: &'a str,
    detail: &'a str,
    retry: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

impl Problem {
    /// One that the wire does not know.
    pub(crate) fn new(
        status: StatusCode,
        reason: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (retry, retry_after_ms, until, allow) = (false, None, None, None);
        Self { status, reason, detail: detail.into(), retry, retry_after_ms, until, allow }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address.")
    }

    pub(crate) fn method(allow: HeaderValue) -> Self {
        let said = "This address does not take this method; see `Allow`.";
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", said);
        Self { allow: Some(allow), ..problem }
    }

    pub(crate) fn media_type() -> Self {
        let said = "The body must be JSON: `Content-Type: application/json`.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", said)
    }

    /// A field, header or parameter that is not as it must be.
    pub(crate) fn bad_field(detail: impl Into<Box<str>>) -> Self {
        Refusal::with(Reason::BadField, detail).into()
    }

    /// To be tried again, under the same idempotency key.
    pub(crate) fn busy(detail: &'static str) -> Self {
        Refusal { detail: Some(detail.into()), ..Refusal::later(Reason::Overloaded, RETRY_MS) }
            .into()
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        let details = Details {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            code: self.status.as_u16(),
            reason: self.reason,
            detail: &self.detail,
            retry: self.retry,
            retry_after_ms: self.retry_after_ms,
            until: self.until,
        };
        serde_json::to_vec(&details).unwrap_or_default()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let reason = refusal.reason;
        let status = StatusCode::from_u16(reason.code());
        let retry_after_ms = match (refusal.retry_after_ms, reason.code()) {
            (None, 429 | 503) => Some(RETRY_MS),
            (named, _) => named,
        };
        Self {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            reason: reason.slug(),
            detail: refusal.message().to_owned().into(),
            retry: reason.retry(),
            retry_after_ms,
            until: refusal.until,
            allow: None,
        }
    }
}

impl From<Reason> for Problem {
    fn from(reason: Reason) -> Self {
        Refusal::from(reason).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(ms) = self.retry_after_ms {
            headers.insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000)));
        }
        if let Some(allow) = self.allow.clone() {
            headers.insert(ALLOW, allow);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        (self.status, headers, self.body()).into_response()
    }
}
