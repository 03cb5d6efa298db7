//! Links that let one into a group.
//!
//! Invariant: what is known here of a link is its digest; who makes one is told it, once.

use hubbub_proto::command::{GroupLinkCreate, Kind, Role};
use hubbub_proto::{Reason, Refusal, Timestamp};

use super::{Change, Plan, State};
use crate::content::GroupContent;
use crate::model::{Link, Until};

/// Bytes of the digest that name a link in lists.
const NAME_BYTES: usize = 8;

impl Link {
    /// Whether it lets anybody in at `now`.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.holds(now) && self.uses_left != Some(0)
    }

    /// Its name in lists, which lets nobody in.
    #[must_use]
    pub fn name(&self) -> String {
        self.digest[..NAME_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// For how long a new link works, and how often, at the word of an admin or owner. `links` are those
/// that there are.
///
/// # Errors
/// `not_a_member`, `not_allowed`, `bad_field` for one that would let nobody in, `too_many_links`.
pub fn make(
    state: &State<'_>,
    command: &GroupLinkCreate,
    links: &[Link],
    links_max: u64,
) -> Result<Until, Refusal> {
    state.at_least(Role::Admin)?;
    if command.expires_in_ms == Some(0) {
        return Err(Refusal::with(Reason::BadField, "`expires_in_ms` must be at least 1."));
    }
    if command.uses_max == Some(0) {
        return Err(Refusal::with(Reason::BadField, "`uses_max` must be at least 1."));
    }
    if links.iter().filter(|link| link.holds(state.now)).count() as u64 >= links_max {
        return Err(Reason::TooManyLinks.into());
    }
    Ok(Until::new(command.expires_in_ms.map(|ms| state.now.plus_ms(ms))))
}

/// Which link an admin or owner ends: named as it is listed, or known by its digest.
///
/// # Errors
/// `not_a_member`, `not_allowed`, `not_found`.
pub fn revoke<'l>(
    state: &State<'_>,
    links: &'l [Link],
    named: &str,
    digest: &[u8; 32],
) -> Result<&'l Link, Refusal> {
    state.at_least(Role::Admin)?;
    let found = links.iter().find(|link| link.digest == *digest || link.name() == named);
    found.ok_or_else(|| Reason::NotFound.into())
}

/// The actor enters by a link; `None` stands for one that there is not.
pub(super) fn enter_by(state: &State<'_>, link: Option<&Link>) -> Result<Plan, Refusal> {
    let link = link.filter(|link| link.holds(state.now)).ok_or(Reason::LinkInvalid)?;
    if state.members >= state.members_max {
        return Err(Reason::GroupFull.into());
    }
    let name = link.name();
    let content = GroupContent::Linked { user: state.actor, by: &link.by, link: &name };
    Ok(Plan {
        kind: Kind::MemberJoined,
        content: content.json(),
        changes: vec![
            Change::Enter(state.actor.clone(), Role::Member),
            Change::UseLink(link.digest),
        ],
    })
}
