//! XOR masking of payloads (RFC 6455 §5.3), in place and resumable.
//!
//! Invariant: applying a [`Mask`] to a payload in pieces of any size is the same as applying it once.
//! Works on words of eight bytes, which the compiler turns into vector instructions; no `unsafe`.

/// A mask key and how far into the payload it has been applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mask {
    /// The key, rotated so that its first byte belongs to the next payload byte.
    key: [u8; 4],
}

impl Mask {
    /// The mask for a payload that starts now. The key is in wire order.
    #[must_use]
    pub const fn new(key: [u8; 4]) -> Self {
        Self { key }
    }

    /// Masks or unmasks the next `payload.len()` bytes of the payload.
    #[inline]
    pub fn apply(&mut self, payload: &mut [u8]) {
        let [a, b, c, d] = self.key;
        let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let (words, tail) = payload.as_chunks_mut::<8>();
        for chunk in words {
            *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
        }
        for (byte, key) in tail.iter_mut().zip(word.to_ne_bytes()) {
            *byte ^= key;
        }
        self.key.rotate_left(payload.len() % 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(key: [u8; 4], payload: &mut [u8]) {
        for (i, byte) in payload.iter_mut().enumerate() {
            *byte ^= key[i % 4];
        }
    }

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 131 + 7) as u8).collect()
    }

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    #[test]
    fn rfc_example() {
        // RFC 6455 §5.7: a masked "Hello".
        let mut payload = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        Mask::new(KEY).apply(&mut payload);
        assert_eq!(&payload, b"Hello");
    }

    #[test]
    fn equals_the_naive_loop_at_every_length_and_alignment() {
        for start in 0..8 {
            for len in 0..70 {
                let mut fast = bytes(start + len);
                let mut slow = fast.clone();
                Mask::new(KEY).apply(&mut fast[start..]);
                naive(KEY, &mut slow[start..]);
                assert_eq!(fast, slow, "start {start} len {len}");
            }
        }
    }

    #[test]
    fn continues_where_a_piece_ended() {
        for first in 0..20 {
            for second in 0..20 {
                let mut pieces = bytes(60);
                let mut whole = pieces.clone();
                let mut mask = Mask::new(KEY);
                mask.apply(&mut pieces[..first]);
                mask.apply(&mut pieces[first..first + second]);
                mask.apply(&mut pieces[first + second..]);
                naive(KEY, &mut whole);
                assert_eq!(pieces, whole, "{first} + {second}");
            }
        }
    }
}
