//! Access tokens: JWTs signed with HS256 (RFC 7515, RFC 7519) under the server's own secret.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

const LIFETIME_S: u64 = 3600;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Signs tokens; the key is the secret file's text without the white space around it.
pub(crate) struct Signer {
    keyed: Hmac<Sha256>,
}

impl Signer {
    pub(crate) fn new(secret: &[u8]) -> Self {
        let keyed =
            Hmac::new_from_slice(secret.trim_ascii()).expect("HMAC takes keys of every length");
        Self { keyed }
    }

    /// A token for `user` that is valid for an hour.
    pub(crate) fn token(&self, user: &str) -> String {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.sign(&format!(r#"{{"sub":"{user}","iat":{now_s},"exp":{}}}"#, now_s + LIFETIME_S))
    }

    fn sign(&self, claims: &str) -> String {
        let signed = format!(
            "{}.{}",
            base64url(br#"{"alg":"HS256","typ":"JWT"}"#),
            base64url(claims.as_bytes())
        );
        let signature = self.keyed.clone().chain_update(&signed).finalize().into_bytes();
        format!("{signed}.{}", base64url(&signature))
    }
}

/// Base 64 with the URL alphabet and without padding (RFC 4648, section 5).
fn base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * place)) as usize & 63]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_has_no_padding() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("??>", "Pz8-"),
        ] {
            assert_eq!(base64url(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn the_signature_is_that_of_an_independent_implementation() {
        // Computed with Python's hmac module; the white space around the secret does not count.
        let token = Signer::new(b"secret\n").sign(r#"{"sub":"u1"}"#);
        assert_eq!(
            token,
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ1MSJ9.e1nQDHRa3tJWY02MUXI8-wDl0Q6cpqw0JpzJLvJOUZk"
        );
    }
}
