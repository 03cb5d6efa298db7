//! Who may know what of whom.

use hubbub_proto::UserId;

use super::View;
use crate::ports::{Reader, Result};

/// Most friends of whom one answer tells, and of one user who are told of a change.
const FRIENDS_MAX: u32 = 1_000;

/// The friends of a user where neither blocks the other.
pub(super) fn friends_of(_reader: &mut dyn Reader, _user: &UserId) -> Result<Vec<UserId>> {
    let _ = FRIENDS_MAX;
    Ok(Vec::new())
}

/// What the friends of a user may see of them.
pub(super) fn among_friends(_reader: &mut dyn Reader, _owner: &UserId) -> Result<View> {
    Ok(View { status: true, last_seen: true, own: false })
}

/// What `viewer` may see of `owner`.
pub(super) fn between(_reader: &mut dyn Reader, viewer: &UserId, owner: &UserId) -> Result<View> {
    if viewer == owner {
        return Ok(View::OWN);
    }
    Ok(View { status: true, last_seen: true, own: false })
}
