//! Client ids: UUIDs written straight into a message, without allocation.
//!
//! Time-ordered ids (version 7, RFC 9562) are what the SDKs send, and their locality is worth a
//! factor in the server's index; random ids show the cost without it.

use crate::clock::now_ns;
use std::time::{SystemTime, UNIX_EPOCH};

/// How the generator's client ids are spread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// Version 7: milliseconds, then a counter, then noise.
    Time,
    /// Version 4.
    Random,
}

/// Makes ids that no other run makes and that never repeat.
pub(crate) struct ClientIds {
    order: Order,
    random: u64,
    counter: u64,
    epoch_ms_at_start: u64,
}

fn random_seed() -> u64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    // Spread by a multiplication, because nearby seeds would make nearby first values.
    (wall ^ u64::from(std::process::id()) << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

impl ClientIds {
    pub(crate) fn new(order: Order) -> Self {
        let wall_ms =
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        Self {
            order,
            random: random_seed(),
            counter: 0,
            epoch_ms_at_start: wall_ms - now_ns() / 1_000_000,
        }
    }

    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// The next id, in its usual form of 36 characters.
    pub(crate) fn next(&mut self) -> [u8; 36] {
        let noise = self.next_random();
        let (high, low) = match self.order {
            Order::Random => (noise & !0xf000 | 0x4000, self.next_random()),
            Order::Time => {
                let ms = self.epoch_ms_at_start + now_ns() / 1_000_000;
                self.counter += 1;
                // 42 bits of counter keep the order within a millisecond, 32 of noise set runs apart.
                let count = self.counter;
                (
                    ms << 16 | 0x7000 | count >> 30 & 0xfff,
                    (count & 0x3fff_ffff) << 32 | noise & 0xffff_ffff,
                )
            }
        };
        written(high, low & !(3 << 62) | 2 << 62)
    }
}

fn written(high: u64, low: u64) -> [u8; 36] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    let mut at = 0;
    for half in [high, low] {
        for digit in (0..16).rev() {
            if matches!(at, 8 | 13 | 18 | 23) {
                at += 1;
            }
            text[at] = HEX[(half >> (4 * digit)) as usize & 15];
            at += 1;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_hyphens_in_place() {
        let text = written(0x0123_4567_89ab_7def, 0x8123_4567_89ab_cdef);
        assert_eq!(&text, b"01234567-89ab-7def-8123-456789abcdef");
    }

    fn check(order: Order, version: u8) {
        let mut ids = ClientIds::new(order);
        let made: Vec<_> = (0..1000).map(|_| ids.next()).collect();
        for id in &made {
            assert_eq!(id[14], version);
            assert!(matches!(id[19], b'8' | b'9' | b'a' | b'b'), "the variant of RFC 9562");
        }
        let mut sorted = made.clone();
        sorted.sort_unstable();
        assert_eq!(sorted == made, order == Order::Time);
        sorted.dedup();
        assert_eq!(sorted.len(), made.len());
    }

    #[test]
    fn ids_are_unique_and_ordered_as_asked() {
        check(Order::Time, b'7');
        check(Order::Random, b'4');
    }
}
