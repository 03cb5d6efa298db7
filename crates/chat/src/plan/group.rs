//! Who may change a group, and what the change consists of.
//!
//! Invariant: every change is one entry, and an accepted plan leaves the group with an owner or
//! dissolved. A group that is dissolved has no members, so nobody may do anything in it.

use hubbub_proto::command::{Content, GroupCreate, GroupUpdate, JoinPolicy, Kind, Role};
use hubbub_proto::{Reason, Refusal, UserId};

use crate::content::GroupContent;
use crate::model::Profile;

/// What is to be written: one entry, and what it says.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Kind of the entry.
    pub kind: Kind,
    /// Content of the entry.
    pub content: Content,
    /// In this order.
    pub changes: Vec<Change>,
}

/// One change of a group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// A stay begins with the entry.
    Enter(UserId, Role),
    /// A stay ends with the entry.
    Exit(UserId),
    /// Another role.
    Role(UserId, Role),
    /// Another name or policy.
    Profile(Profile),
    /// The end.
    Dissolve,
}

/// What decisions about a group depend on.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    /// Its name and policy.
    pub profile: &'a Profile,
    /// Whether it has ended.
    pub dissolved: bool,
    /// Who asks.
    pub actor: &'a UserId,
    /// Their role, where they are a member.
    pub role: Option<Role>,
    /// How many members it has.
    pub members: u64,
    /// How many of them are owners.
    pub owners: u64,
    /// How many it may have.
    pub members_max: u64,
}

impl State<'_> {
    fn role(&self) -> Result<Role, Refusal> {
        self.role.ok_or_else(|| Reason::NotAMember.into())
    }

    fn at_least(&self, needed: Role) -> Result<Role, Refusal> {
        let role = self.role()?;
        if role < needed { Err(Reason::NotAllowed.into()) } else { Ok(role) }
    }
}

/// The users in the order named, each once, without those that `skip` names.
pub fn distinct(users: &[UserId], skip: Option<&UserId>) -> Vec<UserId> {
    let mut seen = rustc_hash::FxHashSet::default();
    let wanted = users.iter().filter(|user| Some(*user) != skip && seen.insert(*user));
    wanted.cloned().collect()
}

/// A group with `creator` as its owner.
///
/// # Errors
/// `group_full`.
pub fn create(
    creator: &UserId,
    command: &GroupCreate,
    members_max: u64,
) -> Result<(Profile, Plan), Refusal> {
    let mut members = vec![creator.clone()];
    members.extend(distinct(&command.members, Some(creator)));
    if members.len() as u64 > members_max {
        return Err(Reason::GroupFull.into());
    }
    let content =
        GroupContent::Created { name: &command.name, join: command.join, members: &members }.json();
    let role = |index| if index == 0 { Role::Owner } else { Role::Member };
    let changes =
        members.into_iter().enumerate().map(|(i, user)| Change::Enter(user, role(i))).collect();
    let profile = Profile { name: Some(command.name.clone()), join: command.join };
    Ok((profile, Plan { kind: Kind::GroupCreated, content, changes }))
}

/// Another name or policy, by an admin or owner.
///
/// # Errors
/// `not_a_member`, `not_allowed`, `bad_field` where nothing is to be changed.
pub fn update(state: &State<'_>, command: &GroupUpdate) -> Result<Plan, Refusal> {
    state.at_least(Role::Admin)?;
    if command.name.is_none() && command.join.is_none() {
        return Err(Refusal::with(Reason::BadField, "`name` or `join` must be given."));
    }
    let profile = Profile {
        name: command.name.clone().or_else(|| state.profile.name.clone()),
        join: command.join.unwrap_or(state.profile.join),
    };
    let content = GroupContent::Updated { name: command.name.as_deref(), join: command.join };
    Ok(Plan {
        kind: Kind::GroupUpdated,
        content: content.json(),
        changes: vec![Change::Profile(profile)],
    })
}

/// Users enter at the word of a member: of an admin or owner, or of anyone in an open group.
/// `invitees` are distinct, each with whether they are a member already.
///
/// # Errors
/// `not_a_member`, `not_allowed`, `bad_field` for an empty list, `already_member` where all are,
/// `group_full`.
pub fn invite(state: &State<'_>, invitees: &[(UserId, bool)]) -> Result<Plan, Refusal> {
    match state.profile.join {
        JoinPolicy::Invite => state.at_least(Role::Admin)?,
        JoinPolicy::Open => state.role()?,
    };
    if invitees.is_empty() {
        return Err(Refusal::with(Reason::BadField, "`members` must name somebody."));
    }
    let users: Vec<UserId> =
        invitees.iter().filter(|(_, present)| !present).map(|(user, _)| user.clone()).collect();
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

/// The actor enters an open group.
///
/// # Errors
/// `not_found` where it has ended, `already_member`, `not_allowed` where it is not open,
/// `group_full`.
pub fn join(state: &State<'_>) -> Result<Plan, Refusal> {
    let reason = if state.dissolved {
        Reason::NotFound
    } else if state.role.is_some() {
        Reason::AlreadyMember
    } else if state.profile.join != JoinPolicy::Open {
        Reason::NotAllowed
    } else if state.members >= state.members_max {
        Reason::GroupFull
    } else {
        return Ok(Plan {
            kind: Kind::MemberJoined,
            content: GroupContent::Joined { user: state.actor, by: None }.json(),
            changes: vec![Change::Enter(state.actor.clone(), Role::Member)],
        });
    };
    Err(reason.into())
}

/// The actor leaves; the group ends with its only member.
///
/// # Errors
/// `not_a_member`, and `last_owner` where others would stay without an owner.
pub fn leave(state: &State<'_>) -> Result<Plan, Refusal> {
    let role = state.role()?;
    let exit = Change::Exit(state.actor.clone());
    if state.members <= 1 {
        return Ok(Plan {
            kind: Kind::GroupDissolved,
            content: GroupContent::Dissolved {}.json(),
            changes: vec![exit, Change::Dissolve],
        });
    }
    if role == Role::Owner && state.owners <= 1 {
        return Err(Reason::LastOwner.into());
    }
    Ok(Plan {
        kind: Kind::MemberLeft,
        content: GroupContent::Left { user: state.actor }.json(),
        changes: vec![exit],
    })
}

/// A member of lower role is removed.
///
/// # Errors
/// `not_a_member`, `not_allowed` (also for oneself: that is leaving), `not_found` where `user` is
/// not a member.
pub fn kick(state: &State<'_>, user: &UserId, target: Option<Role>) -> Result<Plan, Refusal> {
    let role = state.at_least(Role::Admin)?;
    if user == state.actor {
        return Err(Refusal::with(Reason::NotAllowed, "To go yourself, leave."));
    }
    if target.ok_or(Reason::NotFound)? >= role {
        return Err(Reason::NotAllowed.into());
    }
    Ok(Plan {
        kind: Kind::MemberKicked,
        content: GroupContent::Kicked { user, by: state.actor }.json(),
        changes: vec![Change::Exit(user.clone())],
    })
}

/// An owner gives a role. Giving `owner` hands the group over: the giver becomes an admin.
///
/// # Errors
/// `not_a_member`, `not_allowed`, `not_found` where `user` is not a member, `last_owner` where the
/// last owner would give up the role to nobody, `bad_field` where the role is theirs already.
pub fn role(
    state: &State<'_>,
    user: &UserId,
    target: Option<Role>,
    role: Role,
) -> Result<Plan, Refusal> {
    state.at_least(Role::Owner)?;
    if target.ok_or(Reason::NotFound)? == role {
        return Err(Refusal::with(Reason::BadField, "The member has this role already."));
    }
    if user == state.actor && state.owners <= 1 {
        return Err(Reason::LastOwner.into());
    }
    let mut changes = vec![Change::Role(user.clone(), role)];
    if role == Role::Owner {
        changes.push(Change::Role(state.actor.clone(), Role::Admin));
    }
    Ok(Plan { kind: Kind::MemberRole, content: GroupContent::Role { user, role }.json(), changes })
}

/// An owner ends the group.
///
/// # Errors
/// `not_a_member`, `not_allowed`.
pub fn dissolve(state: &State<'_>) -> Result<Plan, Refusal> {
    state.at_least(Role::Owner)?;
    Ok(Plan {
        kind: Kind::GroupDissolved,
        content: GroupContent::Dissolved {}.json(),
        changes: vec![Change::Dissolve],
    })
}

#[cfg(test)]
pub(crate) mod tests;
