//! Who is sent out of a group, and who may only read in it.
//!
//! Invariant: all of it is done by admins and owners, to those of a lower role.

use hubbub_proto::command::{GroupBan, GroupMute, Kind, Role};
use hubbub_proto::{Reason, Refusal, Timestamp, UserId};

use super::{Change, Plan, State, Target};
use crate::content::GroupContent;
use crate::model::{Ban, Until};

/// What there is of bans already.
#[derive(Clone, Copy, Debug)]
pub struct Bans<'a> {
    /// The user's own, also one that has ended.
    pub known: Option<&'a Ban>,
    /// How many hold.
    pub count: u64,
    /// How many may.
    pub count_max: u64,
}

impl State<'_> {
    /// The actor may act on somebody of this role.
    fn above(&self, user: &UserId, target: Option<Role>) -> Result<(), Refusal> {
        let role = self.at_least(Role::Admin)?;
        if user == self.actor {
            return Err(Refusal::with(Reason::NotAllowed, "To go yourself, leave."));
        }
        if target.is_some_and(|target| target >= role) {
            return Err(Reason::NotAllowed.into());
        }
        Ok(())
    }

    fn ends(&self, until: Option<Timestamp>) -> Result<Until, Refusal> {
        let until = Until::new(until);
        if until.holds(self.now) {
            Ok(until)
        } else {
            Err(Refusal::with(Reason::BadField, "`until` must be in the future."))
        }
    }
}

/// A member of lower role is removed.
///
/// # Errors
/// `not_a_member`, `not_allowed` (also for oneself: that is leaving), `not_found` where `user` is
/// not a member.
pub fn kick(state: &State<'_>, user: &UserId, target: Option<Target>) -> Result<Plan, Refusal> {
    state.above(user, target.map(|target| target.role))?;
    target.ok_or(Reason::NotFound)?;
    Ok(Plan {
        kind: Kind::MemberKicked,
        content: GroupContent::Kicked { user, by: state.actor }.json(),
        changes: vec![Change::Exit(user.clone())],
    })
}

/// A user is kept out, and removed where they are a member of lower role.
///
/// # Errors
/// `not_a_member`, `not_allowed`, `bad_field` where `until` is past or nothing would change,
/// `too_many_bans`.
pub fn ban(
    state: &State<'_>,
    command: &GroupBan,
    target: Option<Target>,
    bans: &Bans<'_>,
) -> Result<Plan, Refusal> {
    let user = &command.user;
    state.above(user, target.map(|target| target.role))?;
    let until = state.ends(command.until)?;
    match bans.known.filter(|ban| ban.until.holds(state.now)) {
        Some(known) if known.until == until => {
            return Err(Refusal::with(Reason::BadField, "The user is banned already."));
        }
        None if bans.count >= bans.count_max => return Err(Reason::TooManyBans.into()),
        _ => {}
    }
    let mut changes = vec![Change::Ban(user.clone(), until)];
    changes.extend(target.map(|_| Change::Exit(user.clone())));
    let content = GroupContent::Banned { user, by: state.actor, until: until.end() };
    Ok(Plan { kind: Kind::MemberBanned, content: content.json(), changes })
}

/// A user may come back.
///
/// # Errors
/// `not_a_member`, `not_allowed`, `not_found` where they are not banned.
pub fn unban(state: &State<'_>, user: &UserId, known: Option<&Ban>) -> Result<Plan, Refusal> {
    state.at_least(Role::Admin)?;
    known.filter(|ban| ban.until.holds(state.now)).ok_or(Reason::NotFound)?;
    Ok(Plan {
        kind: Kind::MemberUnbanned,
        content: GroupContent::Unbanned { user, by: state.actor }.json(),
        changes: vec![Change::Unban(user.clone())],
    })
}

/// A member of lower role, or all but owner and admins, may only read, or may write again.
///
/// # Errors
/// `not_a_member`, `not_allowed`, `not_found` where the user is not a member, `bad_field` where
/// `until` is past or makes no sense, or nothing would change.
pub fn mute(
    state: &State<'_>,
    command: &GroupMute,
    target: Option<Target>,
) -> Result<Plan, Refusal> {
    let by = state.actor;
    let known = match &command.user {
        None => {
            state.at_least(Role::Admin)?;
            state.silenced
        }
        Some(user) => {
            state.above(user, target.map(|target| target.role))?;
            target.ok_or(Reason::NotFound)?.silenced
        }
    };
    let until = match (command.muted, command.until) {
        (true, until) => Some(state.ends(until)?),
        (false, None) => None,
        (false, Some(_)) => {
            return Err(Refusal::with(Reason::BadField, "`until` goes with `muted: true`."));
        }
    };
    if until == known.filter(|known| known.holds(state.now)) {
        return Err(Refusal::with(Reason::BadField, "It is so already."));
    }
    let (muted, end) = (command.muted, until.and_then(Until::end));
    Ok(match &command.user {
        None => Plan {
            kind: Kind::GroupUpdated,
            content: GroupContent::AllMuted { muted, until: end }.json(),
            changes: vec![Change::SilenceAll(until)],
        },
        Some(user) => Plan {
            kind: Kind::MemberMuted,
            content: GroupContent::Muted { user, by, muted, until: end }.json(),
            changes: vec![Change::Silence(user.clone(), until)],
        },
    })
}
