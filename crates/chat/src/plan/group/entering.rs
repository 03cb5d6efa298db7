//! Who gets into a group.
//!
//! Invariant: whoever enters is not banned, whichever way they come.

use hubbub_proto::command::{JoinPolicy, Kind, Role};
use hubbub_proto::event::JoinRequestState;
use hubbub_proto::{Reason, Refusal, UserId};

use super::links::enter_by;
use super::{Change, Plan, State, Target};
use crate::content::GroupContent;
use crate::model::{Ban, JoinRequest, Link};

/// Somebody whom an invitation names.
#[derive(Clone, Debug)]
pub struct Invitee {
    /// Who.
    pub user: UserId,
    /// They are a member already.
    pub present: bool,
    /// They are kept out, or were.
    pub ban: Option<Ban>,
}

/// What one who wants in meets.
#[derive(Clone, Copy, Debug)]
pub struct Door<'a> {
    /// They are kept out, or were.
    pub ban: Option<&'a Ban>,
    /// The link they bring: `Some(None)` for one that there is not.
    pub link: Option<Option<&'a Link>>,
    /// They have asked already.
    pub asked: bool,
    /// Requests that wait for the group, and how many may.
    pub requests: (u64, u64),
    /// Requests of this user that wait anywhere, and how many may.
    pub own_requests: (u64, u64),
}

/// What becomes of one who wants in.
#[derive(Clone, Debug)]
pub enum Entrance {
    /// They are in.
    In(Plan),
    /// Owner or an admin is to decide.
    Ask,
}

/// Users enter at the word of a member: of an admin or owner, or of anyone in an open group.
/// `invitees` are distinct.
///
/// # Errors
/// `not_a_member`, `not_allowed`, `bad_field` for an empty list, `banned` where somebody is,
/// `already_member` where all are, `group_full`.
pub fn invite(state: &State<'_>, invitees: &[Invitee]) -> Result<Plan, Refusal> {
    match state.profile.join {
        JoinPolicy::Invite | JoinPolicy::Approval => state.at_least(Role::Admin)?,
        JoinPolicy::Open => state.role()?,
    };
    if invitees.is_empty() {
        return Err(Refusal::with(Reason::BadField, "`members` must name somebody."));
    }
    let absent = || invitees.iter().filter(|invitee| !invitee.present);
    for invitee in absent() {
        not_banned(state, invitee.ban.as_ref())?;
    }
    let users: Vec<UserId> = absent().map(|invitee| invitee.user.clone()).collect();
    if users.is_empty() {
        return Err(Reason::AlreadyMember.into());
    }
    if state.members + users.len() as u64 > state.members_max {
        return Err(Reason::GroupFull.into());
    }
    let content = match users.as_slice() {
        [user] => GroupContent::Joined { user, by: Some(state.actor) }.json(),
        users => GroupContent::Invited { users, by: state.actor }.json(),
    };
    let changes = users.into_iter().map(|user| Change::Enter(user, Role::Member)).collect();
    Ok(Plan { kind: Kind::MemberJoined, content, changes })
}

/// The actor enters an open group, or any group by a link, or asks to be let into one that others
/// decide about.
///
/// # Errors
/// `not_found` where it has ended, `already_member`, `banned`, `link_invalid`, `not_allowed` where nobody gets in
/// by themself, `group_full`, `too_many_join_requests`.
pub fn join(state: &State<'_>, door: &Door<'_>) -> Result<Entrance, Refusal> {
    if state.dissolved {
        return Err(Reason::NotFound.into());
    }
    if state.role.is_some() {
        return Err(Reason::AlreadyMember.into());
    }
    not_banned(state, door.ban)?;
    if let Some(link) = door.link {
        return enter_by(state, link).map(Entrance::In);
    }
    match state.profile.join {
        JoinPolicy::Invite => Err(Reason::NotAllowed.into()),
        JoinPolicy::Open => enter(state, state.actor, None).map(Entrance::In),
        JoinPolicy::Approval if door.asked => Ok(Entrance::Ask),
        JoinPolicy::Approval => {
            let room = [door.requests, door.own_requests].iter().all(|(are, may)| are < may);
            if room { Ok(Entrance::Ask) } else { Err(Reason::TooManyJoinRequests.into()) }
        }
    }
}

/// An admin or owner lets one in who has asked.
///
/// # Errors
/// `not_a_member`, `not_allowed`, `already_member`, `not_found` where they have not asked,
/// `banned`, `group_full`.
pub fn approve(
    state: &State<'_>,
    user: &UserId,
    target: Option<Target>,
    request: Option<&JoinRequest>,
    ban: Option<&Ban>,
) -> Result<Plan, Refusal> {
    state.at_least(Role::Admin)?;
    if target.is_some() {
        return Err(Reason::AlreadyMember.into());
    }
    request.ok_or(Reason::NotFound)?;
    not_banned(state, ban)?;
    enter(state, user, Some(state.actor))
}

/// An admin or owner does not let one in who has asked, or they ask no more themself.
///
/// # Errors
/// `not_a_member`, `not_allowed`, `not_found` where they have not asked.
pub fn reject(
    state: &State<'_>,
    user: &UserId,
    request: Option<&JoinRequest>,
) -> Result<JoinRequestState, Refusal> {
    let outcome = if user == state.actor {
        JoinRequestState::Withdrawn
    } else {
        state.at_least(Role::Admin)?;
        JoinRequestState::Rejected
    };
    request.ok_or(Reason::NotFound)?;
    Ok(outcome)
}

fn enter(state: &State<'_>, user: &UserId, by: Option<&UserId>) -> Result<Plan, Refusal> {
    if state.members >= state.members_max {
        return Err(Reason::GroupFull.into());
    }
    Ok(Plan {
        kind: Kind::MemberJoined,
        content: GroupContent::Joined { user, by }.json(),
        changes: vec![Change::Enter(user.clone(), Role::Member)],
    })
}

fn not_banned(state: &State<'_>, ban: Option<&Ban>) -> Result<(), Refusal> {
    match ban.filter(|ban| ban.until.holds(state.now)) {
        Some(ban) => Err(Refusal::until(Reason::Banned, ban.until.end())),
        None => Ok(()),
    }
}
