//! Blind mutation: the same seed and number always give the same input.

/// Inputs do not grow beyond this.
const LENGTH_MAX: usize = 1 << 17;
/// Values at which decoders tend to branch.
const INTERESTING: [u8; 12] =
    [0x00, 0x01, 0x22, 0x5c, 0x7b, 0x7d, 0x7e, 0x7f, 0x80, 0xc0, 0xed, 0xff];

/// A splitmix64 generator.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        Self(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, or 0 where there is none.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }
}

/// An input: an example changed in a few places, or, one time in sixteen, noise.
pub(crate) fn input(random: &mut Random, examples: &[Vec<u8>]) -> Vec<u8> {
    if random.below(16) == 0 {
        let length = random.below(300);
        return (0..length).map(|_| random.byte()).collect();
    }
    let mut bytes = examples[random.below(examples.len())].clone();
    for _ in 0..random.below(6) {
        mutate(random, &mut bytes, examples);
    }
    bytes.truncate(LENGTH_MAX);
    bytes
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>, examples: &[Vec<u8>]) {
    let at = random.below(bytes.len());
    // Half of the changes go to the front, where the headers are.
    let at = if random.below(2) == 0 { at % 16 } else { at }.min(bytes.len().saturating_sub(1));
    let end = (at + 1 + random.below(32)).min(bytes.len());
    match random.below(7) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[at] = random.byte(),
        2 if !bytes.is_empty() => bytes[at] = INTERESTING[random.below(INTERESTING.len())],
        3 if !bytes.is_empty() => drop(bytes.drain(at..end)),
        4 if !bytes.is_empty() => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        5 => bytes.truncate(at),
        _ => {
            let other = &examples[random.below(examples.len())];
            bytes.extend_from_slice(&other[random.below(other.len())..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_reproducible_and_varied() {
        let examples = vec![b"one example".to_vec(), vec![], vec![1; 1000]];
        let made = |seed| {
            (0..1000)
                .map(|number| input(&mut Random::new(seed, number), &examples))
                .collect::<Vec<_>>()
        };
        assert_eq!(made(7), made(7));
        assert_ne!(made(7), made(8));
        let distinct: std::collections::HashSet<_> = made(7).into_iter().collect();
        assert!(distinct.len() > 500, "{}", distinct.len());
    }
}
