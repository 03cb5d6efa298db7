//! What a connection may do besides sending messages: a count for the current second, in four bytes.
//!
//! Commands have their rate in the session, and fragments are bounded within the message that they
//! belong to. What is left costs work and forms no message: pings and pongs, and bytes that trickle
//! in. It needs no clock of its own and no timer: the shard's second comes with every call.

use hubbub_proto::Timestamp;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chatter {
    /// The lower bits of the second that `count` is for.
    second: u16,
    count: u16,
}

impl Chatter {
    /// Counts one; true when it is one more than `max` in this second.
    pub(crate) fn is_too_much(&mut self, now: Timestamp, max: u16) -> bool {
        let second = now.as_secs() as u16;
        if self.second != second {
            *self = Self { second, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count > max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_begins_anew() {
        let mut chatter = Chatter::default();
        for second in [0, 1, 2, 65_535, 65_536, 100_000] {
            for n in 0..10 {
                let now = Timestamp(second * 1000 + n * 99);
                assert!(!chatter.is_too_much(now, 10), "{second} {n}");
            }
            assert!(chatter.is_too_much(Timestamp(second * 1000 + 999), 10));
        }
        let all = std::iter::repeat_with(|| chatter.is_too_much(Timestamp(7_000_000), u16::MAX));
        assert_eq!(all.take(100_000).filter(|is| *is).count(), 0, "65535 stands for no limit");
    }
}
