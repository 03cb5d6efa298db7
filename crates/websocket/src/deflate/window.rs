//! How far back a compressed message may refer.

use std::num::NonZeroU8;

/// The base-2 logarithm of a window's size in bytes, 9 to 15.
///
/// The wire knows 8 as well (RFC 7692 §7.1.2); it is not among these, because zlib cannot compress with
/// a window of 256 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(NonZeroU8);

impl WindowBits {
    /// 512 bytes.
    pub const MIN: Self = Self(NonZeroU8::new(9).unwrap());
    /// 32 KB: what applies where nothing is said.
    pub const MAX: Self = Self(NonZeroU8::new(15).unwrap());
    /// How many sizes there are.
    pub const COUNT: usize = 7;

    /// The window of this many bits; `None` outside of 9 to 15.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        match NonZeroU8::new(bits) {
            Some(bits) if bits.get() >= 9 && bits.get() <= 15 => Some(Self(bits)),
            _ => None,
        }
    }

    /// 9 to 15.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// The window's size in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        1 << self.get()
    }

    /// Its place among all sizes, from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        (self.get() - Self::MIN.get()) as usize
    }
}

impl Default for WindowBits {
    fn default() -> Self {
        Self::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_to_fifteen() {
        let all: Vec<u8> = (0..=u8::MAX).filter(|&bits| WindowBits::new(bits).is_some()).collect();
        assert_eq!(all, [9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(all.len(), WindowBits::COUNT);
        assert_eq!(WindowBits::MAX.index(), WindowBits::COUNT - 1);
        assert_eq!(WindowBits::MIN.bytes(), 512);
    }
}
