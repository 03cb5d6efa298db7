//! The opening handshake: what a request to `/ws` or `/echo` gets (RFC 6455 §4.2).
//!
//! [`decide`] is a pure function of the request. Its order is: is this a handshake at all, may the
//! page connect, which codec, who speaks. A request is refused with a status as long as its sender
//! can read one; a token that a browser brought and that is refused opens the socket and closes it
//! with a code, because a page sees nothing else.

use bytes::Bytes;
use http::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Version};
use hubbub_hub::{Compressed, Compression, OpeningKind};
use hubbub_proto::codec::Codec;
use hubbub_proto::{CloseCode, DeviceId, Identity, Reason, Refusal};
use hubbub_websocket::handshake::accept_key;

use crate::credentials::{self, Credentials};
use crate::origin;
use crate::rejection::Rejection;

/// What the configuration says about handshakes.
#[derive(Clone, Debug, Default)]
pub struct HandshakePolicy {
    /// Origins besides the server's own, as a browser writes them; `*` for all, without the cookie.
    pub allowed_origins: Vec<String>,
    /// The cookie that may hold a token.
    pub cookie: String,
    /// Answers offers of permessage-deflate.
    pub compression: Compression,
}

/// A handshake that succeeds.
pub(crate) struct Upgrade {
    /// `Sec-WebSocket-Accept`; none over HTTP/2 (RFC 8441 §5).
    pub(crate) accept: Option<String>,
    /// `Sec-WebSocket-Protocol`
    pub(crate) subprotocol: Option<String>,
    /// `Sec-WebSocket-Extensions`
    pub(crate) extensions: Option<String>,
    /// What the data plane is to do with the socket.
    pub(crate) kind: OpeningKind,
}

impl Upgrade {
    /// The header fields of the answer.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (HeaderName, &str)> {
        [
            (CONNECTION, self.accept.as_ref().map(|_| "upgrade")),
            (UPGRADE, self.accept.as_ref().map(|_| "websocket")),
            (SEC_WEBSOCKET_ACCEPT, self.accept.as_deref()),
            (SEC_WEBSOCKET_PROTOCOL, self.subprotocol.as_deref()),
            (SEC_WEBSOCKET_EXTENSIONS, self.extensions.as_deref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }

    /// The whole 101. The values were taken from header fields, or are made here, so none of them
    /// can end a line.
    pub(crate) fn answer(&self) -> Bytes {
        let mut answer = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
        for (name, value) in self.fields() {
            for part in [name.as_str(), ": ", value, "\r\n"] {
                answer.extend_from_slice(part.as_bytes());
            }
        }
        answer.extend_from_slice(b"\r\n");
        answer.into()
    }
}

/// The answer to a request to `/ws`.
pub(crate) fn decide(
    request: &Parts,
    policy: &HandshakePolicy,
    verify: impl Fn(&str, Option<&DeviceId>) -> Result<Identity, Refusal>,
) -> Result<Upgrade, Rejection> {
    let accept = accept(request)?;
    if !origin::is_allowed(&request.headers, &policy.allowed_origins) {
        return Err(Rejection::origin());
    }
    let (codec, subprotocol) = negotiate(&request.headers)?;
    let credentials = Credentials::collect(&request.headers, request.uri.query(), policy);
    if let Some(what) = credentials.malformed {
        return Err(Rejection::bad_request(what));
    }
    let mut extensions = None;
    let kind = match credentials.identify(verify) {
        Ok(identity) => {
            let compressed;
            (extensions, compressed) = compression(&request.headers, policy)?;
            let identity = identity.map(Into::into);
            OpeningKind::Session { codec, identity, device: credentials.device, compressed }
        }
        Err(refusal) if credentials.by_header => return Err(Rejection::unauthorized(&refusal)),
        Err(refusal) => OpeningKind::Refused(match refusal.reason {
            Reason::TokenExpired => CloseCode::TokenExpired,
            _ => CloseCode::Unauthorized,
        }),
    };
    Ok(Upgrade { accept, subprotocol, extensions, kind })
}

/// The answer to a request to `/echo`, which knows no users and no codecs.
pub(crate) fn decide_echo(
    request: &Parts,
    policy: &HandshakePolicy,
    message_bytes_max: usize,
    fragments_max: u32,
) -> Result<Upgrade, Rejection> {
    let accept = accept(request)?;
    if !origin::is_allowed(&request.headers, &policy.allowed_origins) {
        return Err(Rejection::origin());
    }
    let (extensions, compressed) = compression(&request.headers, policy)?;
    let kind = OpeningKind::Echo { message_bytes_max, fragments_max, compressed };
    Ok(Upgrade { accept, subprotocol: None, extensions, kind })
}

/// The header that accepts an offer of compression, and what it agrees on.
fn compression(
    headers: &HeaderMap,
    policy: &HandshakePolicy,
) -> Result<(Option<String>, Option<Compressed>), Rejection> {
    let malformed =
        || Rejection::bad_request("Sec-WebSocket-Extensions is not a list of extensions.");
    let mut offers = Vec::new();
    for line in headers.get_all(SEC_WEBSOCKET_EXTENSIONS) {
        offers.push(line.to_str().map_err(|_| malformed())?);
    }
    Ok(policy.compression.agree(&offers).map_err(|_| malformed())?.unzip())
}

/// Checks the request against RFC 6455 §4.2.1 and answers the key; over HTTP/2 there is none
/// (RFC 8441 §5), and that it asks for a WebSocket is what brought it here.
fn accept(request: &Parts) -> Result<Option<String>, Rejection> {
    let headers = &request.headers;
    let over_http2 = request.version == Version::HTTP_2 && request.method == Method::CONNECT;
    if !over_http2 {
        if request.method != Method::GET {
            return Err(Rejection::method("GET"));
        }
        if request.version != Version::HTTP_11 {
            return Err(Rejection::bad_request(
                "A WebSocket handshake needs HTTP/1.1, or CONNECT over HTTP/2.",
            ));
        }
        if !has_token(headers, &UPGRADE, "websocket") || !has_token(headers, &CONNECTION, "upgrade")
        {
            return Err(Rejection::bad_request(
                "This is the address of a WebSocket: send `Connection: Upgrade` and `Upgrade: websocket`.",
            ));
        }
    }
    if only(headers, &SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(Rejection::new(
            StatusCode::UPGRADE_REQUIRED,
            "upgrade_required",
            "This server speaks version 13 of the WebSocket protocol.",
        )
        .with(SEC_WEBSOCKET_VERSION, "13"));
    }
    if over_http2 {
        return Ok(None);
    }
    match only(headers, &SEC_WEBSOCKET_KEY).map(accept_key) {
        Some(Ok(accept)) => Ok(Some(accept)),
        _ => Err(Rejection::bad_request(
            "Sec-WebSocket-Key must be there once, the base64 of 16 bytes.",
        )),
    }
}

/// Which codec, and what `Sec-WebSocket-Protocol` says about it.
fn negotiate(headers: &HeaderMap) -> Result<(Codec, Option<String>), Rejection> {
    let mut only_bearer = None;
    let mut unknown = false;
    for entry in credentials::entries(headers) {
        if let Some(codec) = Codec::from_subprotocol(entry) {
            return Ok((codec, Some(entry.to_owned())));
        }
        if entry.starts_with("bearer.") {
            only_bearer.get_or_insert(entry);
        } else {
            unknown = true;
        }
    }
    if unknown {
        return Err(Rejection::new(
            StatusCode::BAD_REQUEST,
            "unknown_subprotocol",
            "None of the subprotocols is known here; use hubbub.v1.json.",
        ));
    }
    // A browser that offered something fails the connection where nothing was selected, so a page
    // that offers its token alone gets it back.
    Ok((Codec::default(), only_bearer.map(str::to_owned)))
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().map(str::trim),
        _ => None,
    }
}

/// Whether a header that lists tokens has this one.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|entry| entry.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
