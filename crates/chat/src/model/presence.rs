//! What outlasts a connection of a user's presence.

use hubbub_proto::Timestamp;
use hubbub_proto::command::Chosen;

/// What the store keeps of a user's presence.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct KeptPresence {
    /// What they chose to show; never `away`, which is of a connection.
    pub chosen: Chosen,
    /// When they were last there for others to see.
    pub last_seen: Option<Timestamp>,
}

impl KeptPresence {
    /// After the user chose `chosen` at `at`.
    #[must_use]
    pub fn choosing(self, chosen: Chosen, at: Timestamp) -> Self {
        let hides = chosen == Chosen::Invisible && self.chosen != Chosen::Invisible;
        let last_seen = if hides { self.last_seen.max(Some(at)) } else { self.last_seen };
        Self { chosen, last_seen }
    }

    /// After the user was there until `at`.
    #[must_use]
    pub fn seen(self, at: Timestamp) -> Self {
        match self.chosen {
            Chosen::Invisible => self,
            _ => Self { last_seen: self.last_seen.max(Some(at)), ..self },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_seen_stands_still_while_invisible() {
        let check = |steps: &[(Option<Chosen>, u64)], expect: Option<u64>| {
            let mut kept = KeptPresence::default();
            for (chosen, at) in steps {
                kept = match chosen {
                    Some(chosen) => kept.choosing(*chosen, Timestamp(*at)),
                    None => kept.seen(Timestamp(*at)),
                };
            }
            assert_eq!(kept.last_seen, expect.map(Timestamp), "{steps:?}");
        };
        check(&[], None);
        check(&[(Some(Chosen::Busy), 1)], None);
        check(&[(None, 5), (None, 4)], Some(5));
        check(&[(None, 5), (Some(Chosen::Invisible), 7), (None, 9)], Some(7));
        check(&[(Some(Chosen::Invisible), 7), (Some(Chosen::Invisible), 8)], Some(7));
        check(&[(Some(Chosen::Invisible), 7), (Some(Chosen::Online), 8), (None, 9)], Some(9));
    }
}
