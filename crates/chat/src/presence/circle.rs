//! Who may know what of whom.
//!
//! Everything is asked of the store at the moment it is needed, so that a change of privacy, a
//! friendship or a block counts from the next event on.

use hubbub_proto::UserId;
use hubbub_proto::command::Circle;
use hubbub_proto::event::RelationState;

use super::View;
use crate::ChatConfig;
use crate::model::{Pair, User};
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
pub(super) fn among_friends(owner: &User, config: &ChatConfig) -> View {
    let privacy = owner.privacy.effective(config);
    View {
        status: privacy.presence != Circle::Nobody,
        last_seen: privacy.last_seen != Circle::Nobody,
        own: false,
    }
}

/// What `viewer` may see of `owner`, and whether they are friends.
pub(super) fn between(
    reader: &mut dyn Reader,
    config: &ChatConfig,
    viewer: &UserId,
    owner: &UserId,
) -> Result<(View, bool)> {
    if viewer == owner {
        return Ok((View::OWN, false));
    }
    // Of one whom the store does not know nothing is kept from anybody.
    let Some(owner) = reader.user(owner)? else {
        return Ok((View { status: true, last_seen: true, own: false }, false));
    };
    let pair = match reader.user(viewer)? {
        Some(viewer) => reader.pair(viewer.key, owner.key)?,
        None => Pair::default(),
    };
    let privacy = owner.privacy.effective(config);
    let view = View {
        status: consent(Act::Presence, pair, &privacy).is_given(),
        last_seen: consent(Act::LastSeen, pair, &privacy).is_given(),
        own: false,
    };
    let friends = pair.mine.state == RelationState::Friend
        && pair.theirs.state == RelationState::Friend
        && !pair.mine.blocked
        && !pair.theirs.blocked;
    Ok((view, friends))
}
