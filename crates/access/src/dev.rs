//! `POST /dev/token`: signs in under any name, for development on one's own machine.
//!
//! Invariant: it answers only a peer on the loopback interface that calls this machine by a name
//! that only itself goes by, and only pages of the server's own; so a page from elsewhere, even one
//! whose name resolves to 127.0.0.1, gets no token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, HeaderValue};
use http::{Method, StatusCode};
use hubbub_proto::{Timestamp, UserId};
use serde::Deserialize;

use crate::api::keys::{OF_KEYS, is_of_key};
use crate::gate::Client;
use crate::origin;
use crate::rejection::Rejection;
use crate::routes::Access;
use crate::token::{Grant, GrantOfChannels, Signer};

/// Largest request, in bytes.
const BODY_BYTES_MAX: usize = 4096;
/// How long a token holds, in seconds.
const LIFETIME_S: u64 = 12 * 60 * 60;

/// Signs the tokens of the development page.
pub struct DevSignIn {
    /// With the server's own secret.
    pub signer: Signer,
    /// One of those that the server accepts.
    pub algorithm: String,
    /// The issuer that the server asks for.
    pub issuer: Option<String>,
    /// The audience that the server asks for.
    pub audience: Option<String>,
}

#[derive(Deserialize)]
struct Wanted {
    user: UserId,
    name: Option<String>,
}

pub(crate) async fn token(State(access): State<Arc<Access>>, request: Request) -> Response {
    let Some(dev) = &access.dev else { return Rejection::not_found().into_response() };
    if let Err(rejection) = check(&request, &access.policy.allowed_origins) {
        return rejection.into_response();
    }
    let Ok(body) = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await else {
        return Rejection::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_big",
            "The request is larger than 4 KiB.",
        )
        .into_response();
    };
    let wanted: Wanted = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) => {
            let message = format!("Expected {{\"user\": ID, \"name\"?: TEXT}}: {error}.");
            return Rejection::bad_request(message).into_response();
        }
    };
    match sign(dev, wanted, (access.clock)()) {
        Ok(answer) => {
            let no_store = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
            (no_store, axum::Json(answer)).into_response()
        }
        Err(message) => Rejection::bad_request(message).into_response(),
    }
}

fn check(request: &Request, allowed_origins: &[String]) -> Result<(), Rejection> {
    if request.method() != Method::POST {
        return Err(Rejection::method("POST"));
    }
    let local = request
        .extensions()
        .get::<Client>()
        .is_some_and(|Client(address)| address.ip().to_canonical().is_loopback());
    if !local || !origin::is_loopback_host(request.headers()) {
        return Err(Rejection::new(
            StatusCode::FORBIDDEN,
            "not_local",
            "Signing in for development works on the server's own machine only.",
        ));
    }
    if !origin::is_allowed(request.headers(), allowed_origins) {
        return Err(Rejection::origin());
    }
    Ok(())
}

fn sign(dev: &DevSignIn, wanted: Wanted, now: Timestamp) -> Result<serde_json::Value, String> {
    if is_of_key(&wanted.user) {
        return Err(OF_KEYS.to_owned());
    }
    let exp = now.as_secs() + LIFETIME_S;
    let grant = Grant {
        sub: wanted.user,
        name: wanted.name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()),
        roles: Vec::new(),
        device: None,
        iss: dev.issuer.clone(),
        aud: dev.audience.clone(),
        iat: now.as_secs(),
        exp,
        of_channels: GrantOfChannels::default(),
    };
    let token = dev.signer.sign(&grant, &dev.algorithm).map_err(|error| error.to_string())?;
    let expires_at = Timestamp(exp * 1000);
    Ok(serde_json::json!({ "token": token, "user": grant.sub, "expires_at": expires_at }))
}
