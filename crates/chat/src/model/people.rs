//! What is between users, and whom they let near.

use hubbub_proto::command::{Circle, PrivacyUpdate};
use hubbub_proto::event::{Privacy, RelationState};
use hubbub_proto::{DeviceId, Timestamp};

use super::Rev;
use crate::ChatConfig;

/// What a user has chosen; where they have not, the configuration decides.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct PrivacyChoice {
    /// Who sees whether they are there.
    pub presence: Option<Circle>,
    /// Who sees when they were last there.
    pub last_seen: Option<Circle>,
    /// Who may write to them.
    pub messages: Option<Circle>,
    /// Who may bring them into groups.
    pub invites: Option<Circle>,
    /// Whether others learn how far they have received and read.
    pub receipts: Option<bool>,
}

impl PrivacyChoice {
    /// The choice after an update: what it does not name stays.
    #[must_use]
    pub fn with(self, update: &PrivacyUpdate) -> Self {
        Self {
            presence: update.presence.or(self.presence),
            last_seen: update.last_seen.or(self.last_seen),
            messages: update.messages.or(self.messages),
            invites: update.invites.or(self.invites),
            receipts: update.receipts.or(self.receipts),
        }
    }

    /// What holds.
    #[must_use]
    pub fn effective(self, config: &ChatConfig) -> Privacy {
        let messages = if config.friends_only { Circle::Friends } else { Circle::Everyone };
        Privacy {
            presence: self.presence.unwrap_or_default(),
            last_seen: self.last_seen.unwrap_or_default(),
            messages: self.messages.unwrap_or(messages),
            invites: self.invites.unwrap_or_default(),
            receipts: self.receipts.unwrap_or(true),
        }
    }

    /// The choice as one number, two bits for each, for stores.
    #[must_use]
    pub fn packed(self) -> u16 {
        let circle = |choice: Option<Circle>| match choice {
            None => 0,
            Some(Circle::Everyone) => 1,
            Some(Circle::Friends) => 2,
            Some(Circle::Nobody) => 3,
        };
        let receipts = self.receipts.map_or(0, |told| if told { 1 } else { 2 });
        circle(self.presence)
            | circle(self.last_seen) << 2
            | circle(self.messages) << 4
            | circle(self.invites) << 6
            | receipts << 8
    }

    /// Reads what [`PrivacyChoice::packed`] wrote.
    #[must_use]
    pub const fn unpacked(bits: u16) -> Self {
        const fn circle(bits: u16) -> Option<Circle> {
            match bits & 3 {
                0 => None,
                1 => Some(Circle::Everyone),
                2 => Some(Circle::Friends),
                _ => Some(Circle::Nobody),
            }
        }
        Self {
            presence: circle(bits),
            last_seen: circle(bits >> 2),
            messages: circle(bits >> 4),
            invites: circle(bits >> 6),
            receipts: match (bits >> 8) & 3 {
                0 => None,
                told => Some(told == 1),
            },
        }
    }
}

/// What a user has to do with another, as far as it is theirs to say.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Side {
    /// How far they have come to be friends.
    pub state: RelationState,
    /// They keep the other away.
    pub blocked: bool,
}

impl Side {
    /// Whether there is nothing to tell but that there is nothing any more.
    #[must_use]
    pub const fn is_nothing(self) -> bool {
        matches!(self.state, RelationState::None) && !self.blocked
    }
}

/// Both sides of what is between two users.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Pair {
    /// Of the one who asks.
    pub mine: Side,
    /// Of the other.
    pub theirs: Side,
}

impl Pair {
    /// The same, seen from the other side.
    #[must_use]
    pub const fn turned(self) -> Self {
        Self { mine: self.theirs, theirs: self.mine }
    }
}

/// One side as the store keeps it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Relation {
    /// What it is.
    pub side: Side,
    /// What came with the request, while it waits.
    pub note: Option<Box<str>>,
    /// When it changed.
    pub at: Timestamp,
    /// Its place in the order of changes.
    pub rev: Rev,
}

/// What is counted against a limit.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Counted {
    /// Requests that the user has sent and that wait.
    Requested,
    /// Requests that wait for the user.
    Received,
    /// Friends.
    Friends,
    /// Users that the user blocks.
    Blocked,
}

/// What a user shows, beyond their name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Showing {
    /// The picture that a token named.
    pub picture: Option<Box<str>>,
    /// The user's own picture, which wins.
    pub avatar: Option<Box<str>>,
    /// A sentence about them.
    pub about: Option<Box<str>>,
    /// JSON text of the application.
    pub data: Option<Box<str>>,
    /// When profile, privacy or roles last changed; 0 for never.
    pub rev: Rev,
}

impl Showing {
    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        let texts = [&self.picture, &self.avatar, &self.about, &self.data];
        texts.into_iter().flatten().map(|text| text.len()).sum()
    }

    /// Whether there is nothing to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A device of a user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// What sort of device it is.
    pub kind: Option<Box<str>>,
    /// What its user calls it.
    pub name: Option<Box<str>>,
    /// When it last came or went.
    pub last_seen: Timestamp,
    /// Tokens made until then are refused on it; 0 for none.
    pub not_before: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_survives_packing() {
        let circles = [None, Some(Circle::Everyone), Some(Circle::Friends), Some(Circle::Nobody)];
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..4_usize.pow(4) {
            for receipts in [None, Some(true), Some(false)] {
                let choice = PrivacyChoice {
                    presence: circles[n % 4],
                    last_seen: circles[n / 4 % 4],
                    messages: circles[n / 16 % 4],
                    invites: circles[n / 64],
                    receipts,
                };
                assert_eq!(PrivacyChoice::unpacked(choice.packed()), choice);
                assert!(seen.insert(choice.packed()));
            }
        }
    }

    #[test]
    fn the_configuration_decides_where_the_user_has_not() {
        let only_friends = ChatConfig { friends_only: true, ..ChatConfig::default() };
        let nothing = PrivacyChoice::default();
        assert_eq!(nothing.effective(&ChatConfig::default()).messages, Circle::Everyone);
        assert_eq!(nothing.effective(&only_friends).messages, Circle::Friends);
        assert_eq!(nothing.effective(&only_friends).invites, Circle::Everyone);
        let everyone = PrivacyUpdate {
            messages: Some(Circle::Everyone),
            receipts: Some(false),
            ..PrivacyUpdate::default()
        };
        let chosen = nothing.with(&everyone);
        let holds = chosen.with(&PrivacyUpdate::default()).effective(&only_friends);
        assert_eq!((holds.messages, holds.receipts), (Circle::Everyone, false));
    }
}
