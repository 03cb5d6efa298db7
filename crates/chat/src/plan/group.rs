//! Who may change a group, and what the change consists of.
//!
//! Invariant: every change is one entry, and an accepted plan leaves the group with an owner or
//! dissolved. A group that is dissolved has no members, so nobody may do anything in it.
//!
//! What the group itself is stands here; who gets in in [`entering`] and [`links`], who is sent out or may only
//! read in [`discipline`].

mod discipline;
mod entering;
mod links;
#[cfg(test)]
mod matrix;

use std::ops::RangeInclusive;

use hubbub_proto::command::{Content, GroupCreate, GroupUpdate, Kind, Role};
use hubbub_proto::{Reason, Refusal, Timestamp, UserId};

pub use self::discipline::{Bans, ban, kick, mute, unban};
pub use self::entering::{Door, Entrance, Invitee, approve, invite, join, reject};
pub use self::links::{make, revoke};
use crate::content::GroupContent;
use crate::model::{Profile, Until};

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
    /// Another name, policy, announcement or retention.
    Profile(Profile),
    /// A user is kept out.
    Ban(UserId, Until),
    /// No more.
    Unban(UserId),
    /// Somebody entered by the link of this digest.
    UseLink([u8; 32]),
    /// A member may only read, or may write again.
    Silence(UserId, Option<Until>),
    /// The same for all but owner and admins.
    SilenceAll(Option<Until>),
    /// The end.
    Dissolve,
}

/// A member on whom another one acts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Target {
    /// What they may do.
    pub role: Role,
    /// They may only read, or could until then.
    pub silenced: Option<Until>,
}

/// What decisions about a group depend on.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    /// Now.
    pub now: Timestamp,
    /// Its name, policy, announcement and retention.
    pub profile: &'a Profile,
    /// Whether it has ended.
    pub dissolved: bool,
    /// All but owner and admins may only read, or could until then.
    pub silenced: Option<Until>,
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
    let profile =
        Profile { name: Some(command.name.clone()), join: command.join, ..Profile::default() };
    Ok((profile, Plan { kind: Kind::GroupCreated, content, changes }))
}

/// Another name, policy, announcement or retention, by an admin or owner; `retentions` is what a group
/// may choose, in milliseconds.
///
/// # Errors
/// `not_a_member`, `not_allowed`, `bad_field` where nothing is to be changed, or for a retention that is
/// too short or too long.
pub fn update(
    state: &State<'_>,
    command: &GroupUpdate,
    retentions: &RangeInclusive<u64>,
) -> Result<Plan, Refusal> {
    state.at_least(Role::Admin)?;
    let GroupUpdate { name, join, announcement, retention_ms, .. } = command;
    if name.is_none() && join.is_none() && announcement.is_none() && retention_ms.is_none() {
        let detail = "`name`, `join`, `announcement` or `retention_ms` must be given.";
        return Err(Refusal::with(Reason::BadField, detail));
    }
    if let Some(ms) = retention_ms
        && *ms > 0
        && !retentions.contains(ms)
    {
        let (least, most) = (retentions.start(), retentions.end());
        let detail = format!("`retention_ms` must be 0, or from {least} to {most}.");
        return Err(Refusal::with(Reason::BadField, detail));
    }
    let told = announcement.clone().map(|text| Some(text).filter(|text| !text.is_empty()));
    let profile = Profile {
        name: name.clone().or_else(|| state.profile.name.clone()),
        join: join.unwrap_or(state.profile.join),
        announcement: told.unwrap_or_else(|| state.profile.announcement.clone()),
        retention_ms: retention_ms
            .map_or(state.profile.retention_ms, |ms| Some(ms).filter(|ms| *ms > 0)),
    };
    let content = GroupContent::Updated {
        name: name.as_deref(),
        join: *join,
        announcement: announcement.as_deref(),
        retention_ms: *retention_ms,
    };
    Ok(Plan {
        kind: Kind::GroupUpdated,
        content: content.json(),
        changes: vec![Change::Profile(profile)],
    })
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

/// An owner gives a role. Giving `owner` hands the group over: the giver becomes an admin. Who rises
/// may write again.
///
/// # Errors
/// `not_a_member`, `not_allowed`, `not_found` where `user` is not a member, `last_owner` where the
/// last owner would give up the role to nobody, `bad_field` where the role is theirs already.
pub fn role(
    state: &State<'_>,
    user: &UserId,
    target: Option<Target>,
    role: Role,
) -> Result<Plan, Refusal> {
    state.at_least(Role::Owner)?;
    let target = target.ok_or(Reason::NotFound)?;
    if target.role == role {
        return Err(Refusal::with(Reason::BadField, "The member has this role already."));
    }
    if user == state.actor && state.owners <= 1 {
        return Err(Reason::LastOwner.into());
    }
    let mut changes = vec![Change::Role(user.clone(), role)];
    if role > target.role && target.silenced.is_some() {
        changes.push(Change::Silence(user.clone(), None));
    }
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
