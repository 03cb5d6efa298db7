//! The head of a connection's first request, as far as it takes to know who goes on with it.
//!
//! Opening handshakes of well-formed HTTP/1.1 are recognised here, because parsing them apart from
//! everything else that HTTP can be is what a crowd of connections costs least with. Invariant:
//! nothing is refused here. Whatever is not plainly such a handshake is the HTTP library's, with
//! every byte that was read, so that both ways give the same answers. Absent: bodies, and any
//! second request.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

/// Header lines of a request that are looked at here; more are the HTTP library's to judge.
const LINES_MAX: usize = 64;
/// What an HTTP/2 connection by prior knowledge begins with (RFC 9113 §3.4).
pub(crate) const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes of a connection are.
#[derive(Debug)]
pub(crate) enum Head {
    /// The beginning of something; more has to come.
    Partial,
    /// A request to upgrade, whole and without a body, and how many bytes it takes.
    Upgrade(Box<Parts>, usize),
    /// An HTTP/2 connection.
    Http2,
    /// Anything else.
    Other,
}

/// Looks at the first bytes of a connection, of which `seen` were looked at before.
pub(crate) fn look(bytes: &[u8], seen: usize) -> Head {
    let Some(first) = bytes.first() else { return Head::Partial };
    if bytes.len() < HTTP2_PREFACE.len() && HTTP2_PREFACE.starts_with(bytes) {
        return Head::Partial;
    }
    if bytes.starts_with(HTTP2_PREFACE) {
        return Head::Http2;
    }
    if !first.is_ascii_alphabetic() {
        return Head::Other;
    }
    if !has_end(bytes, seen) {
        return Head::Partial;
    }
    upgrade(bytes).map_or(Head::Other, |(parts, len)| Head::Upgrade(Box::new(parts), len))
}

/// Whether an empty line is among the bytes; `seen` of them have none.
fn has_end(bytes: &[u8], seen: usize) -> bool {
    if bytes.ends_with(b"\r\n\r\n") {
        return true;
    }
    let from = seen.saturating_sub(3);
    bytes[from..].iter().enumerate().any(|(at, byte)| {
        let rest = &bytes[from + at..];
        *byte == b'\n' && (rest.starts_with(b"\n\n") || rest.starts_with(b"\n\r\n"))
    })
}

/// The request, where it is one to upgrade that needs nothing of HTTP but its head.
fn upgrade(bytes: &[u8]) -> Option<(Parts, usize)> {
    let mut lines = [httparse::EMPTY_HEADER; LINES_MAX];
    let mut request = httparse::Request::new(&mut lines);
    let Ok(httparse::Status::Complete(len)) = request.parse(bytes) else { return None };
    if request.method != Some("GET") || request.version != Some(1) {
        return None;
    }
    let target = request.path.filter(|target| target.starts_with('/'))?;
    if !request.headers.iter().any(|line| line.name.eq_ignore_ascii_case("upgrade")) {
        return None;
    }
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::GET;
    parts.version = Version::HTTP_11;
    parts.uri = Uri::try_from(target).ok()?;
    parts.headers = HeaderMap::with_capacity(request.headers.len());
    for line in request.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        if matches!(name, http::header::CONTENT_LENGTH | http::header::TRANSFER_ENCODING) {
            return None;
        }
        parts.headers.append(name, HeaderValue::from_bytes(line.value).ok()?);
    }
    Some((parts, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPGRADE: &str = "GET /ws?token=a HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n";

    fn kind(bytes: &[u8], seen: usize) -> &'static str {
        match look(bytes, seen) {
            Head::Partial => "partial",
            Head::Upgrade(..) => "upgrade",
            Head::Http2 => "http2",
            Head::Other => "other",
        }
    }

    #[test]
    fn what_goes_where() {
        for (text, expected) in [
            ("", "partial"),
            ("G", "partial"),
            ("GET /ws HTTP/1.1\r\nHost: a\r\n", "partial"),
            (UPGRADE, "upgrade"),
            ("GET /ws HTTP/1.1\nUpgrade: x\n\n", "upgrade"),
            ("GET /ws HTTP/1.1\r\nHost: a\r\n\r\n", "other"),
            ("POST /ws HTTP/1.1\r\nUpgrade: x\r\n\r\n", "other"),
            ("GET /ws HTTP/1.0\r\nUpgrade: x\r\n\r\n", "other"),
            ("GET http://a/ws HTTP/1.1\r\nUpgrade: x\r\n\r\n", "other"),
            ("GET /ws HTTP/1.1\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n", "other"),
            ("GET /ws HTTP/1.1\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n", "other"),
            ("GET /ws HTTP/1.1\r\nUpgrade: x\r\n folded: y\r\n\r\n", "other"),
            ("GET /ws\r\n\r\n", "other"),
            ("\r\n", "other"),
            ("\u{16}\u{3}", "other"),
            ("PRI * HTTP/2.0\r\n\r\n", "partial"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n and more", "http2"),
            ("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "other"),
        ] {
            assert_eq!(kind(text.as_bytes(), 0), expected, "{text:?}");
        }
        let many =
            format!("GET /ws HTTP/1.1\r\nUpgrade: x\r\n{}\r\n", "a: b\r\n".repeat(LINES_MAX));
        assert_eq!(kind(many.as_bytes(), 0), "other");
    }

    #[test]
    fn the_end_is_found_however_the_bytes_come() {
        let bytes = [UPGRADE.as_bytes(), b"frames"].concat();
        for cut in 0..UPGRADE.len() {
            assert_eq!(kind(&bytes[..cut], 0), "partial", "{cut}");
            assert_eq!(kind(&bytes, cut), "upgrade", "{cut}");
        }
        let Head::Upgrade(parts, len) = look(&bytes, 0) else { panic!() };
        assert_eq!((&bytes[len..], parts.uri.query()), (&b"frames"[..], Some("token=a")));
        assert_eq!(parts.headers["host"], "a");
    }
}
