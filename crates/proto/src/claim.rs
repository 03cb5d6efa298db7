//! What a token says of channels: which its user may use, and which they are subscribed to from the
//! start.
//!
//! Invariant: a claim permits nothing by itself; it counts where a namespace's rule says `claim`.

use crate::{Channel, ChannelPattern};

/// Most channels and patterns of one claim.
pub const CLAIMS_MAX: usize = 64;

/// Something that a namespace has a rule about.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ChannelAction {
    /// Being subscribed.
    Subscribe,
    /// Publishing.
    Publish,
    /// Seeing who is there.
    Presence,
    /// Reading what is kept.
    History,
}

impl ChannelAction {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Subscribe, Self::Publish, Self::Presence, Self::History];

    /// Its name in a token and in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::Presence => "presence",
            Self::History => "history",
        }
    }
}

/// One thing that a token permits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChannelClaim {
    /// Where.
    pub pattern: ChannelPattern,
    /// What.
    pub actions: Box<[ChannelAction]>,
}

/// See the module.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ChannelClaims {
    /// What is permitted.
    pub permitted: Box<[ChannelClaim]>,
    /// What the connection is subscribed to from the start.
    pub subscribed: Box<[Channel]>,
}

impl ChannelClaims {
    /// Whether the token permits this on `name`, a channel or a pattern.
    #[must_use]
    pub fn permit(&self, action: ChannelAction, name: &str) -> bool {
        self.permitted.iter().any(|one| one.actions.contains(&action) && one.pattern.covers(name))
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.permitted.is_empty() && self.subscribed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_begins_so() {
        for (pattern, name, expected) in [
            ("orders:*", "orders:1", true),
            ("orders:*", "orders:*", true),
            ("orders:*", "orders2:1", false),
            ("orders:eu-*", "orders:eu-7", true),
            ("orders:eu-*", "orders:eu-", true),
            ("orders:eu-*", "orders:us-7", false),
            ("orders:eu-*", "orders:eu-west*", true),
            ("orders:eu-*", "orders:*", false),
            ("orders:7", "orders:7", true),
            ("orders:7", "orders:77", false),
            ("orders:7", "orders:7*", false),
        ] {
            let pattern = ChannelPattern::new(pattern).unwrap();
            assert_eq!(pattern.covers(name), expected, "{pattern} and {name}");
        }
    }

    #[test]
    fn names_that_are_no_patterns() {
        for bad in ["", "*", "orders", "orders:", "orders*", ":*", "a:**", "a:*b", "user:*", "A:*"]
        {
            assert!(ChannelPattern::new(bad).is_err(), "{bad}");
        }
        for bad in ["a:*", "a:b*", "chan:1", "a:b\"c"] {
            assert!(Channel::new(bad).is_err(), "{bad}");
        }
    }
}
