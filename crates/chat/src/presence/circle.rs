//! Who may know what of whom.
//!
//! Everything is asked of the store at the moment it is needed, so that a change of privacy, a
//! friendship or a block counts from the next event on.

use hubbub_proto::UserId;
use hubbub_proto::command::Circle;
use hubbub_proto::event::{Privacy, RelationState};

use super::View;
use crate::ChatConfig;
use crate::model::{Pair, PrivacyChoice, User};
use crate::plan::consent::{Act, consent};
use crate::ports::{Reader, Result};

/// Most friends of whom one answer tells, and of one user who are told of a change.
pub(super) const FRIENDS_MAX: u32 = 1_000;

/// The friends of a user where neither blocks the other.
pub(super) fn friends_of(reader: &mut dyn Reader, user: &UserId) -> Result<Vec<User>> {
    match reader.user(user)? {
        Some(user) => reader.friends_of(user.key, FRIENDS_MAX),
        None => Ok(Vec::new()),
    }
}

/// What a user lets their friends see.
pub(super) fn among_friends(choice: PrivacyChoice, config: &ChatConfig) -> View {
    let privacy = choice.effective(config);
    View {
        status: privacy.presence != Circle::Nobody,
        last_seen: privacy.last_seen != Circle::Nobody,
        own: false,
    }
}

/// What one may see of another, by name and as a friend.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Sight {
    /// Where they watch them by name.
    pub(super) by_name: View,
    /// Where they watch all friends; nothing of one who is none.
    pub(super) as_friend: View,
}

impl Sight {
    /// `pair` is seen from the viewer, `privacy` is the owner's.
    pub(super) fn new(pair: Pair, privacy: &Privacy) -> Self {
        let by_name = View {
            status: consent(Act::Presence, pair, privacy).is_given(),
            last_seen: consent(Act::LastSeen, pair, privacy).is_given(),
            own: false,
        };
        let friends = pair.mine.state == RelationState::Friend
            && pair.theirs.state == RelationState::Friend
            && !pair.mine.blocked
            && !pair.theirs.blocked;
        Self { by_name, as_friend: if friends { by_name } else { View::default() } }
    }
}

/// What `viewer` may see of `owner`, who is another.
pub(super) fn sight(
    reader: &mut dyn Reader,
    config: &ChatConfig,
    viewer: &UserId,
    owner: &UserId,
) -> Result<(Sight, Pair, PrivacyChoice)> {
    let (viewer, owner) = (reader.user(viewer)?, reader.user(owner)?);
    let pair = match (viewer, &owner) {
        (Some(viewer), Some(owner)) => reader.pair(viewer.key, owner.key)?,
        _ => Pair::default(),
    };
    let privacy = owner.map(|owner| owner.privacy).unwrap_or_default();
    Ok((Sight::new(pair, &privacy.effective(config)), pair, privacy))
}

/// What `viewer` may see of `owner` by name.
pub(super) fn between(
    reader: &mut dyn Reader,
    config: &ChatConfig,
    viewer: &UserId,
    owner: &UserId,
) -> Result<View> {
    if viewer == owner {
        return Ok(View::OWN);
    }
    Ok(sight(reader, config, viewer, owner)?.0.by_name)
}
