//! Close frames (RFC 6455 §5.5.1, §7.4): which codes may travel, reading and building the body.
//!
//! Invariant: what is built here is accepted by [`parse`] and fits a control frame. Absent: what our
//! application's codes mean (`hubbub-proto` names them) and the closing handshake itself (the shard
//! drives it).

use bytes::Bytes;

use crate::error::ProtocolError;
use crate::frame::{CONTROL_BYTES_MAX, Header, OpCode};
use crate::mask::Mask;
use crate::utf8;

/// The longest reason that fits a close frame beside its code, in bytes.
pub const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// Whether a code may appear in a close frame: 1000–1003, 1007–1014 (RFC 6455 and the IANA registry)
/// and 3000–4999. 1004, 1005, 1006, 1015 and everything else must not be sent.
#[must_use]
pub const fn is_valid_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Reads the body of a close frame: the code, if there is one, and the reason.
///
/// # Errors
/// [`ProtocolError::ClosePayload`], [`ProtocolError::CloseCode`] or [`ProtocolError::InvalidUtf8`].
pub fn parse(body: &[u8]) -> Result<(Option<u16>, &str), ProtocolError> {
    match body {
        [] => Ok((None, "")),
        [_] => Err(ProtocolError::ClosePayload),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !is_valid_code(code) {
                return Err(ProtocolError::CloseCode);
            }
            Ok((Some(code), utf8::validate(reason)?))
        }
    }
}

/// Appends a close frame. `mask` is the key of a client, `None` for a server. The reason is cut to
/// [`REASON_BYTES_MAX`] bytes at a character boundary. Without a code, or with one that must not be
/// sent, the body is empty (so that an absent code can be echoed as such).
pub fn write(out: &mut Vec<u8>, code: Option<u16>, reason: &str, mask: Option<[u8; 4]>) {
    let code = code.filter(|&code| is_valid_code(code));
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let reason = &reason[..end];
    let len = if code.is_some() { 2 + reason.len() } else { 0 };
    let header = Header { fin: true, rsv: 0, opcode: OpCode::Close, mask, len: len as u64 };
    out.extend_from_slice(&header.encode());
    let start = out.len();
    if let Some(code) = code {
        out.extend_from_slice(&code.to_be_bytes());
        out.extend_from_slice(reason.as_bytes());
    }
    if let Some(key) = mask {
        Mask::new(key).apply(&mut out[start..]);
    }
}

/// A server's close frame, ready to be sent. See [`write()`] for how code and reason are treated.
#[must_use]
pub fn frame(code: Option<u16>, reason: &str) -> Bytes {
    let mut out = Vec::with_capacity(4 + reason.len().min(REASON_BYTES_MAX));
    write(&mut out, code, reason, None);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        let allowed = |code: u16| match code {
            1004..=1006 => false,
            1000..=1014 => true,
            3000..=4999 => true,
            _ => false,
        };
        for code in 0..=u16::MAX {
            assert_eq!(is_valid_code(code), allowed(code), "{code}");
        }
    }

    #[test]
    fn bodies() {
        let check = |body: &[u8], expected| assert_eq!(parse(body), expected, "{body:x?}");
        check(b"", Ok((None, "")));
        check(b"\x03", Err(ProtocolError::ClosePayload));
        check(b"\x03\xe8", Ok((Some(1000), "")));
        check(b"\x03\xe8bye", Ok((Some(1000), "bye")));
        check(b"\x03\xed", Err(ProtocolError::CloseCode));
        check(b"\x03\xe8\xff", Err(ProtocolError::InvalidUtf8));
    }

    #[test]
    fn built_frames_are_readable_and_short_enough() {
        let check = |code, reason: &str, expected_code, expected_reason: &str| {
            let frame = frame(code, reason);
            assert_eq!(frame[0], 0x88);
            assert_eq!(usize::from(frame[1]), frame.len() - 2);
            assert!(frame.len() <= 2 + CONTROL_BYTES_MAX);
            assert_eq!(parse(&frame[2..]), Ok((expected_code, expected_reason)));
        };
        check(Some(1000), "", Some(1000), "");
        check(Some(4002), "pong-timeout", Some(4002), "pong-timeout");
        check(None, "ignored", None, "");
        check(Some(1005), "ignored", None, "");
        check(Some(1000), &"a".repeat(200), Some(1000), &"a".repeat(123));
        check(Some(1000), &"€".repeat(50), Some(1000), &"€".repeat(41));
        check(
            Some(1000),
            &("a".to_owned() + &"€".repeat(50)),
            Some(1000),
            &("a".to_owned() + &"€".repeat(40)),
        );
    }

    #[test]
    fn a_client_masks() {
        let mut out = Vec::new();
        write(&mut out, Some(1001), "x", Some([1, 2, 3, 4]));
        assert_eq!(out, [0x88, 0x83, 1, 2, 3, 4, 0x03 ^ 1, 0xe9 ^ 2, b'x' ^ 3]);
    }
}
