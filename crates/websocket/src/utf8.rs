//! Text that arrives in pieces, validated as it arrives (RFC 6455 §8.1, RFC 3629).
//!
//! Invariant: [`Text`] holds validated UTF-8 plus at most three bytes that begin a character; the
//! first piece that no continuation could make valid is refused when it is pushed. Each piece is
//! validated once, with SIMD, except for a character that straddles two pieces. Absent: limits (the
//! caller says how large the text may become).

use crate::error::ProtocolError;

/// Text under construction. An empty one owns no memory.
#[derive(Debug, Default)]
pub struct Text {
    whole: String,
    /// The first bytes of a character whose rest has not arrived.
    cut: [u8; 4],
    cut_len: u8,
}

impl Text {
    /// Bytes received so far, the beginning of an incomplete character included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.whole.len() + usize::from(self.cut_len)
    }

    /// Whether nothing was received yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory allocated for the text.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.whole.capacity()
    }

    /// Appends a piece that may begin and end inside a character. Memory grows geometrically, but not
    /// beyond `bytes_max` (unless the piece itself needs more).
    ///
    /// # Errors
    /// [`ProtocolError::InvalidUtf8`] as soon as no continuation could make the text valid.
    pub fn push(&mut self, mut piece: &[u8], bytes_max: usize) -> Result<(), ProtocolError> {
        let more = usize::from(self.cut_len) + piece.len();
        let room = growth(self.whole.len(), self.whole.capacity(), more, bytes_max);
        self.whole.reserve_exact(room);

        while self.cut_len > 0
            && let Some((&byte, rest)) = piece.split_first()
        {
            piece = rest;
            self.continue_cut(byte)?;
        }
        let (whole, cut) = piece.split_at(piece.len() - cut_suffix_len(piece));
        self.whole.push_str(validate(whole)?);
        for &byte in cut {
            self.continue_cut(byte)?;
        }
        Ok(())
    }

    /// The complete text.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidUtf8`] when it ends inside a character.
    pub fn complete(&self) -> Result<&str, ProtocolError> {
        if self.cut_len > 0 {
            return Err(ProtocolError::InvalidUtf8);
        }
        Ok(&self.whole)
    }

    fn continue_cut(&mut self, byte: u8) -> Result<(), ProtocolError> {
        let len = usize::from(self.cut_len);
        self.cut[len] = byte;
        match str::from_utf8(&self.cut[..=len]) {
            Ok(character) => {
                self.whole.push_str(character);
                self.cut_len = 0;
                Ok(())
            }
            // The standard library reports no error length when the input could still become valid,
            // which four bytes never are: the index above stays in range.
            Err(error) if error.error_len().is_none() => {
                self.cut_len += 1;
                Ok(())
            }
            Err(_) => Err(ProtocolError::InvalidUtf8),
        }
    }
}

/// Checks a complete text.
///
/// # Errors
/// [`ProtocolError::InvalidUtf8`].
#[inline]
pub fn validate(bytes: &[u8]) -> Result<&str, ProtocolError> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| ProtocolError::InvalidUtf8)
}

/// How much to reserve beyond `len` so that `more` bytes fit: doubling, capped at `bytes_max`.
pub(crate) fn growth(len: usize, capacity: usize, more: usize, bytes_max: usize) -> usize {
    let need = len.saturating_add(more);
    if need <= capacity {
        return 0;
    }
    need.max(capacity.saturating_mul(2).min(bytes_max)) - len
}

/// How many bytes at the end begin a character that needs more bytes than are there. Bytes that are
/// invalid anyway count as none: they are left for the validation of the whole.
fn cut_suffix_len(bytes: &[u8]) -> usize {
    for (before, &byte) in bytes.iter().rev().take(3).enumerate() {
        let here = before + 1;
        let needed = match byte {
            0x80..=0xBF => continue,
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => return 0,
        };
        return if needed > here { here } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds pieces of `size` bytes; the text, or the index of the piece that was refused.
    fn pieces(bytes: &[u8], size: usize) -> Result<String, usize> {
        let mut text = Text::default();
        for (i, piece) in bytes.chunks(size).enumerate() {
            text.push(piece, usize::MAX).map_err(|_| i)?;
        }
        let count = bytes.chunks(size).len();
        text.complete().map(str::to_owned).map_err(|_| count)
    }

    #[test]
    fn agrees_with_the_standard_library_at_every_cut() {
        let samples: &[&[u8]] = &[
            b"",
            b"plain",
            "κόσμε €uro 𐍈 \u{10FFFF}\u{FFFF}\0".as_bytes(),
            b"\xed\xa0\x80 surrogate",
            b"overlong \xc0\xaf",
            b"overlong \xe0\x80\xaf",
            b"overlong \xf0\x80\x80\xaf",
            b"too high \xf4\x90\x80\x80",
            b"five \xf8\x88\x80\x80\x80",
            b"lone \x80",
            b"cut \xe2\x82",
            b"cut \xf0\x9f\x92",
            b"restart \xe2\xe2\x82\xac",
        ];
        for sample in samples {
            for size in 1..=sample.len().max(1) {
                let expected = str::from_utf8(sample).ok().map(str::to_owned);
                assert_eq!(pieces(sample, size).ok(), expected, "{sample:x?} by {size}");
            }
        }
    }

    #[test]
    fn every_sequence_of_up_to_three_interesting_bytes() {
        const BYTES: [u8; 20] = [
            0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xed,
            0xef, 0xf0, 0xf3, 0xf4, 0xf5, 0xff,
        ];
        for a in BYTES {
            for b in BYTES {
                for c in BYTES {
                    for d in BYTES {
                        let bytes = [a, b, c, d];
                        let expected = str::from_utf8(&bytes).is_ok();
                        for size in 1..=4 {
                            assert_eq!(pieces(&bytes, size).is_ok(), expected, "{bytes:x?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn refuses_at_the_first_octet_that_cannot_be_continued() {
        let check = |bytes: &[u8], refused_at: usize| {
            assert_eq!(pieces(bytes, 1), Err(refused_at), "{bytes:x?}");
        };
        check(b"ok\xff", 2);
        check(b"ok\xc0\x80", 2);
        check(b"ok\xf4\x90\x80\x80", 3);
        check(b"ok\xed\xa0\x80", 3);
        check(b"ok\xe0\x9f\x80", 3);
        check(b"ok\xf0\x8f\x80\x80", 3);
        check(b"ok\xe2\x82A", 4);
        check(b"ok\xe2\x82", 4);
    }

    #[test]
    fn memory_stays_under_the_ceiling() {
        let mut text = Text::default();
        for _ in 0..1000 {
            text.push("é".as_bytes(), 2000).unwrap();
            assert!(text.capacity() <= 2000);
        }
        assert_eq!(text.len(), 2000);
    }
}
