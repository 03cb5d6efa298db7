//! Where a request can bring its token: the `Authorization` header, an entry of
//! `Sec-WebSocket-Protocol`, the query, and a cookie. (The fifth way, the first command, belongs
//! to the session.)
//!
//! Invariant: a token is used only where all that were brought are good and name one user. A
//! cookie counts only for the server's own pages and those of an origin that the configuration
//! names, because a browser sends it for any page: `*` would let every page speak as its visitor.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};
use hubbub_proto::{DeviceId, Identity, Reason, Refusal};

use crate::handshake::HandshakePolicy;

/// Most tokens that one request may bring.
const TOKENS_MAX: usize = 8;

/// What a request brought.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Credentials {
    /// In the order in which they are preferred.
    tokens: Vec<String>,
    /// Whether one came in the header that browsers cannot set, so that the answer's status will
    /// be read.
    pub(crate) by_header: bool,
    /// The device that the query names.
    pub(crate) device: Option<DeviceId>,
    /// What makes the request itself a bad one.
    pub(crate) malformed: Option<&'static str>,
    other_scheme: bool,
}

impl Credentials {
    /// Collects them. The origin has been checked.
    pub(crate) fn collect(
        headers: &HeaderMap,
        query: Option<&str>,
        policy: &HandshakePolicy,
    ) -> Self {
        let mut found = Self::default();
        for value in headers.get_all(AUTHORIZATION) {
            found.by_header = true;
            match value.to_str().ok().and_then(bearer) {
                Some(token) => found.tokens.push(token.to_owned()),
                None => found.other_scheme = true,
            }
        }
        for entry in entries(headers) {
            if let Some(token) = entry.strip_prefix("bearer.") {
                found.tokens.push(token.to_owned());
            }
        }
        for (key, value) in query.unwrap_or_default().split('&').filter_map(|p| p.split_once('=')) {
            let Some(value) = percent_decode(value) else {
                found.malformed = Some("The query is not percent-encoded UTF-8.");
                continue;
            };
            match key {
                "token" => found.tokens.push(value),
                "device" => match DeviceId::new(&value) {
                    Ok(device) => found.device = Some(device),
                    Err(_) => found.malformed = Some("`device` in the query is not a device id."),
                },
                _ => {}
            }
        }
        if crate::origin::is_trusted(headers, &policy.allowed_origins) {
            found.tokens.extend(cookies(headers, &policy.cookie).map(str::to_owned));
        }
        found
    }

    /// Who speaks; `None` where the request brought no token.
    ///
    /// # Errors
    /// When a token is bad, or two of them name different users.
    pub(crate) fn identify(
        &self,
        verify: impl Fn(&str, Option<&DeviceId>) -> Result<Identity, Refusal>,
    ) -> Result<Option<Identity>, Refusal> {
        if self.other_scheme {
            let detail = "the Authorization header is not `Bearer TOKEN`";
            return Err(Refusal::with(Reason::BadToken, detail));
        }
        if self.tokens.len() > TOKENS_MAX {
            return Err(Refusal::with(Reason::BadToken, "the request brings too many tokens"));
        }
        let mut identity: Option<Identity> = None;
        for (nth, token) in self.tokens.iter().enumerate() {
            if self.tokens[..nth].contains(token) {
                continue;
            }
            let named = verify(token, self.device.as_ref())?;
            match &identity {
                Some(first) if first.user != named.user => {
                    return Err(Refusal::with(
                        Reason::BadToken,
                        "the tokens of this request name different users",
                    ));
                }
                Some(_) => {}
                None => identity = Some(named),
            }
        }
        Ok(identity)
    }
}

/// The entries of `Sec-WebSocket-Protocol`, over all its lines.
pub(crate) fn entries(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
}

/// The token of the one `Authorization` header; `None` where there is none, or another scheme, or two.
pub(crate) fn bearer_of(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().and_then(bearer),
        _ => None,
    }
}

pub(crate) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(move |(key, _)| *key == name)
        .map(|(_, value)| value.trim_matches('"'))
}

/// Undoes percent-encoding (RFC 3986 §2.1). A plus sign stays one: it is part of ids, and spaces
/// are not.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            let high = char::from(digits[0]).to_digit(16)?;
            let low = char::from(digits[1]).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
            rest = after;
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{HeaderName, ORIGIN};
    use hubbub_proto::UserId;

    /// A token here is `user` or `!reason`.
    fn verify(token: &str, device: Option<&DeviceId>) -> Result<Identity, Refusal> {
        match token {
            "!bad" => Err(Reason::BadToken.into()),
            "!old" => Err(Reason::TokenExpired.into()),
            user => Ok(Identity {
                user: UserId::new(user).map_err(|_| Refusal::from(Reason::BadToken))?,
                name: None,
                roles: Box::default(),
                device: device.cloned().unwrap_or_else(|| DeviceId::new("made-up").unwrap()),
                device_named: device.is_some(),
                expires_at: None,
                issued_at: None,
                rare: None,
                authority: hubbub_proto::route::Authority::default(),
            }),
        }
    }

    fn identify(
        lines: &[(HeaderName, &str)],
        query: Option<&str>,
    ) -> Result<Option<Identity>, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.clone(), value.parse().unwrap());
        }
        let policy = HandshakePolicy {
            allowed_origins: vec!["*".into(), "http://here".into()],
            cookie: "hubbub_token".into(),
            ..HandshakePolicy::default()
        };
        Credentials::collect(&headers, query, &policy).identify(verify)
    }

    fn check(
        lines: &[(HeaderName, &str)],
        query: Option<&str>,
        expected: Result<Option<&str>, &str>,
    ) {
        let found = identify(lines, query);
        let found = match &found {
            Ok(identity) => Ok(identity.as_ref().map(|identity| identity.user.as_str())),
            Err(refusal) => Err(refusal.message()),
        };
        match (found, expected) {
            (Err(said), Err(expected)) => assert!(said.contains(expected), "{lines:?}: {said}"),
            (found, expected) => assert_eq!(found, expected, "{lines:?} {query:?}"),
        }
    }

    #[test]
    fn each_way() {
        check(&[], None, Ok(None));
        check(&[], Some(""), Ok(None));
        check(&[], Some("x=1&y"), Ok(None));
        check(&[(AUTHORIZATION, "Bearer a")], None, Ok(Some("a")));
        check(&[(AUTHORIZATION, "bearer  a ")], None, Ok(Some("a")));
        check(&[(AUTHORIZATION, "Basic a")], None, Err("Bearer TOKEN"));
        check(&[(AUTHORIZATION, "Bearer")], None, Err("Bearer TOKEN"));
        check(&[(SEC_WEBSOCKET_PROTOCOL, "hubbub.v1.json, bearer.a")], None, Ok(Some("a")));
        check(&[(SEC_WEBSOCKET_PROTOCOL, "hubbub.v1.json")], None, Ok(None));
        check(&[], Some("token=a"), Ok(Some("a")));
        check(&[], Some("token=%61"), Ok(Some("a")));
        check(&[], Some("token="), Err("not valid"));
        let page = (ORIGIN, "http://here");
        check(&[(COOKIE, "hubbub_token=a")], None, Ok(None));
        check(&[page.clone(), (COOKIE, "x=y; hubbub_token=a; z")], None, Ok(Some("a")));
        check(&[page.clone(), (COOKIE, "hubbub_token=\"a\"")], None, Ok(Some("a")));
        check(&[page, (COOKIE, "other=a")], None, Ok(None));
        // Every page may connect, but only the named one with what the browser adds.
        let other = (ORIGIN, "http://elsewhere");
        check(&[other.clone(), (COOKIE, "hubbub_token=a")], None, Ok(None));
        check(&[other.clone(), (COOKIE, "hubbub_token=a")], Some("token=b"), Ok(Some("b")));
        check(&[other, (COOKIE, "hubbub_token=!bad")], None, Ok(None));
    }

    #[test]
    fn several_must_agree() {
        let header = (AUTHORIZATION, "Bearer a");
        let entry = (SEC_WEBSOCKET_PROTOCOL, "bearer.a");
        check(&[header.clone(), entry], Some("token=a"), Ok(Some("a")));
        check(std::slice::from_ref(&header), Some("token=b"), Err("different users"));
        check(&[header], Some("token=!old"), Err("expired"));
        check(&[], Some("token=a&token=b"), Err("different users"));
        check(&[(SEC_WEBSOCKET_PROTOCOL, "bearer.a, bearer.!bad")], None, Err("not valid"));
        let page = (ORIGIN, "http://here");
        check(&[page, (COOKIE, "hubbub_token=b")], Some("token=a"), Err("different users"));
        check(&[], Some(&"token=a&".repeat(9)), Err("too many"));
    }

    #[test]
    fn devices() {
        let device = |query| identify(&[], Some(query)).unwrap().unwrap().device.to_string();
        assert_eq!(device("token=a&device=phone"), "phone");
        assert_eq!(device("token=a&device=a%40b+c"), "a@b+c");
        assert_eq!(device("token=a"), "made-up");
    }

    #[test]
    fn malformed_queries() {
        for (query, malformed) in [
            ("token=a&device=b", false),
            ("x=%zz", true),
            ("token=%6", true),
            ("token=%ff", true),
            ("device=%20", true),
            ("device=", true),
        ] {
            let found =
                Credentials::collect(&HeaderMap::new(), Some(query), &HandshakePolicy::default());
            assert_eq!(found.malformed.is_some(), malformed, "{query}");
        }
    }
}
