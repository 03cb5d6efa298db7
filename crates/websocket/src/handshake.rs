//! The one computation of the opening handshake (RFC 6455 §4.2.2): `Sec-WebSocket-Accept`.
//!
//! Absent: HTTP. The caller checks method, `Upgrade`, `Connection` and `Sec-WebSocket-Version`, and a
//! client brings 16 random bytes of its own.

use thiserror::Error;

use crate::sha1;

/// Concatenated to the key before hashing (RFC 6455 §1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `Sec-WebSocket-Key` is not the base64 of 16 bytes: answer HTTP 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("Sec-WebSocket-Key is not the base64 form of 16 bytes")]
pub struct InvalidKey;

/// The value of `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`. A client compares it with what the
/// server answered.
///
/// # Errors
/// [`InvalidKey`] when the key (surrounding white space removed) is not 22 base64 digits and `==`. The
/// four unused bits of the last digit are not looked at: the key is hashed as text.
pub fn accept_key(key: &str) -> Result<String, InvalidKey> {
    let key = key.trim_ascii();
    let digits = key.strip_suffix("==").ok_or(InvalidKey)?;
    if digits.len() != 22 || !digits.bytes().all(|byte| ALPHABET.contains(&byte)) {
        return Err(InvalidKey);
    }
    Ok(base64(&sha1::digest(format!("{key}{GUID}").as_bytes())))
}

/// A client's `Sec-WebSocket-Key` from 16 random bytes.
#[must_use]
pub fn key_from_nonce(nonce: [u8; 16]) -> String {
    base64(&nonce)
}

/// Standard base64 with padding (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for digit in 0..4 {
            if digit > chunk.len() {
                out.push('=');
            } else {
                let index = bits >> (18 - 6 * digit) & 63;
                out.push(char::from(ALPHABET[index as usize]));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_example() {
        // RFC 6455 §1.3.
        let expected = Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned());
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), expected);
        assert_eq!(accept_key(" dGhlIHNhbXBsZSBub25jZQ== "), expected);
        assert_eq!(key_from_nonce(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
    }

    #[test]
    fn bad_keys() {
        for key in [
            "",
            "==",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ===",
            "dGhlIHNhbXBsZSBub25j==",
            "dGhlIHNhbXBsZSBub25jZQAA==",
            "dGhlIHNhbXBs ZSBub25jQ==",
            "dGhlIHNhbXBsZSBub25jZé==",
        ] {
            assert_eq!(accept_key(key), Err(InvalidKey), "{key}");
        }
    }

    #[test]
    fn base64_vectors() {
        // RFC 4648 §10.
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), expected);
        }
    }
}
