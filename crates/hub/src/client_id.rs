//! Names for connections: UUIDs of version 4 (RFC 9562 §5.4), as cheap as two hashes.
//!
//! Unique, and not guessable without the keys, which the standard library draws at random for each
//! process. Nothing is authorized by knowing one.

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};

/// A source of names, one for each shard.
#[derive(Debug, Default)]
pub(crate) struct ClientIds {
    low: RandomState,
    high: RandomState,
    made: u64,
}

impl ClientIds {
    pub(crate) fn next(&mut self) -> Box<str> {
        self.made += 1;
        let high = self.high.hash_one(self.made) & !0xf000 | 0x4000;
        let low = self.low.hash_one(self.made) & !(0b11 << 62) | 0b10 << 62;
        let mut text = String::with_capacity(36);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        );
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_version_4_and_distinct() {
        let mut ids = ClientIds::default();
        let names: Vec<_> = (0..1000).map(|_| ids.next()).collect();
        for name in &names {
            let parts: Vec<_> = name.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{name}");
            assert_eq!(&name[14..15], "4", "{name}");
            assert!("89ab".contains(&name[19..20]), "{name}");
        }
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    }
}
