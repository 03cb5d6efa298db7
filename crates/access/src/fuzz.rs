//! Fuzz entry point: the opening handshake with everything in it that is decoded — headers, the query,
//! cookies, subprotocols, tokens. Used by the seeded test beside it and by the harnesses in `fuzz/`.

use http::{HeaderName, HeaderValue, Request};
use hubbub_hub::OpeningKind;
use hubbub_proto::{Timestamp, UserId};

use crate::handshake::{HandshakePolicy, Upgrade, decide};
use crate::secret::Secret;
use crate::token::{Grant, GrantOfChannels, Signer, TokenPolicy, Verifier};

/// The only user for whom a token is signed here.
const USER: &str = "alice";
const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn secret() -> Secret {
    Secret::from_text("0123456789abcdef0123456789abcdef")
}

/// Decides about a request: its target in the first line, a header in each that follows.
///
/// # Panics
/// When somebody else than the one user with a token gets in.
pub fn handshake(data: &[u8]) {
    let Some(upgrade) = upgrade(data) else { return };
    assert!(upgrade.accept.is_some(), "an upgrade is answered");
    if let Some(user) = user(upgrade) {
        assert_eq!(user.as_str(), USER, "nobody signed a token for them");
    }
}

fn user(upgrade: Upgrade) -> Option<UserId> {
    match upgrade.kind {
        OpeningKind::Session { identity, .. } => identity.map(|identity| identity.user.clone()),
        _ => None,
    }
}

fn upgrade(data: &[u8]) -> Option<Upgrade> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let target = lines.next().unwrap_or_default();
    let mut request = Request::builder().uri(target);
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            request = request.header(name, value);
        }
    }
    let request = request.body(()).ok()?;
    let policy = HandshakePolicy {
        allowed_origins: vec!["https://good.example".into()],
        cookie: "hubbub_token".into(),
        ..HandshakePolicy::default()
    };
    let tokens = TokenPolicy { algorithms: vec!["HS256".into()], ..TokenPolicy::default() };
    let verifier = Verifier::new(&secret(), tokens).ok()?;
    let verify = |token: &str, device: Option<&_>| verifier.verify(token, device, NOW);
    decide(&request.into_parts().0, &policy, verify).ok()
}

/// Requests worth mutating: each way to bring a token, alone and together.
///
/// # Panics
/// When the example token cannot be signed.
#[must_use]
pub fn handshakes() -> Vec<Vec<u8>> {
    let grant = Grant {
        sub: UserId::new(USER).expect("a user id"),
        name: Some("Alice".into()),
        roles: vec!["staff".into()],
        device: None,
        iss: None,
        aud: None,
        iat: NOW.as_secs(),
        exp: NOW.as_secs() + 3_600,
        of_channels: GrantOfChannels::default(),
    };
    let token = Signer::new(&secret()).sign(&grant, "HS256").expect("a token");
    let upgrade = "Host: chat.example\nConnection: keep-alive, Upgrade\nUpgrade: websocket\n\
                   Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n";
    let ways = [
        ("/ws".to_owned(), String::new()),
        ("/ws".to_owned(), format!("Authorization: Bearer {token}")),
        (format!("/ws?token={token}&device=tab-%31"), String::new()),
        ("/ws".to_owned(), format!("Sec-WebSocket-Protocol: hubbub.v1.json, bearer.{token}")),
        (
            "/ws".to_owned(),
            format!("Origin: https://good.example\nCookie: a=b; hubbub_token={token}"),
        ),
        (
            format!("/ws?token={token}"),
            format!("Authorization: Bearer {token}\nOrigin: http://chat.example"),
        ),
    ];
    ways.iter().map(|(target, more)| format!("{target}\n{upgrade}{more}").into_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_gets_in() {
        let signed_in: Vec<bool> =
            handshakes().iter().map(|data| user(upgrade(data).unwrap()).is_some()).collect();
        assert_eq!(signed_in, [false, true, true, true, true, true]);
    }

    /// A generator of reproducible numbers (xorshift64, Marsaglia 2003).
    fn next(state: &mut u64) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        usize::try_from(*state >> 16).unwrap_or(0)
    }

    #[test]
    fn mutated_requests_let_nobody_else_in() {
        let examples = handshakes();
        let mut state = 0x9e37_79b9_7f4a_7c15;
        for _ in 0..5_000 {
            let mut data = examples[next(&mut state) % examples.len()].clone();
            for _ in 0..=next(&mut state) % 4 {
                let at = next(&mut state) % data.len();
                match next(&mut state) % 3 {
                    0 => data[at] = u8::try_from(next(&mut state) % 256).unwrap(),
                    1 => {
                        data.remove(at);
                    }
                    _ => data.insert(at, data[next(&mut state) % data.len()]),
                }
            }
            handshake(&data);
        }
    }
}
