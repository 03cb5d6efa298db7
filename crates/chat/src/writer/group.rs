//! Group commands: one entry each, and what it changes.
//!
//! What is no entry (requests to join, and the answer no) is in [`doors`]; how a plan becomes an
//! entry with its changes in [`carry`].

mod carry;
mod doors;
mod links;

use hubbub_proto::command::{GroupCreate, GroupInvite, Role};
use hubbub_proto::event::ConversationKind;
use hubbub_proto::{
    Ack, ClientId, Command, ConversationId, ConversationName, GroupId, Reason, Refusal, UserId,
};

use super::transaction::{Caller, Transaction, repeated};
use crate::digest;
use crate::model::{ConversationKey, Profile, Until};
use crate::plan::group::{self, Invitee, State, Target};
use crate::plan::standing;
use crate::ports::Result;
use crate::rate::Load;
use crate::stop::Outcome;

/// What all group commands have in common.
struct Call<'a> {
    caller: Caller<'a>,
    /// The client's, or one made for it.
    client_id: &'a ClientId,
    digest: u64,
}

/// A group as it is before the change.
struct Found {
    key: ConversationKey,
    conversation: ConversationId,
    profile: Profile,
    dissolved: bool,
    silenced: Option<Until>,
    role: Option<Role>,
    members: u64,
    owners: u64,
}

impl Found {
    fn state<'a>(&'a self, transaction: &Transaction<'_>, actor: &'a UserId) -> State<'a> {
        State {
            now: transaction.now,
            profile: &self.profile,
            dissolved: self.dissolved,
            silenced: self.silenced,
            actor,
            role: self.role,
            members: self.members,
            owners: self.owners,
            members_max: u64::from(transaction.config.group_members_max),
        }
    }
}

impl Transaction<'_> {
    pub(super) fn group(&mut self, caller: Caller<'_>, command: &Command) -> Outcome<Ack> {
        let (group, client_id, digest) = match command {
            Command::GroupCreate(c) => (None, &c.client_id, digest::create(c)),
            Command::GroupUpdate(c) => (Some(&c.group), &c.client_id, digest::update(c)),
            Command::GroupInvite(c) => (Some(&c.group), &c.client_id, digest::invite(c)),
            Command::GroupJoin(c) => {
                (Some(&c.group), &c.client_id, digest::target("group_join", &c.group))
            }
            Command::GroupLeave(c) => {
                (Some(&c.group), &c.client_id, digest::target("group_leave", &c.group))
            }
            Command::GroupDissolve(c) => {
                (Some(&c.group), &c.client_id, digest::target("group_dissolve", &c.group))
            }
            Command::GroupKick(c) => {
                (Some(&c.group), &c.client_id, digest::member("group_kick", c))
            }
            Command::GroupRole(c) => (Some(&c.group), &c.client_id, digest::role(c)),
            Command::GroupApprove(c) => {
                (Some(&c.group), &c.client_id, digest::member("group_approve", c))
            }
            Command::GroupBan(c) => (Some(&c.group), &c.client_id, digest::ban(c)),
            Command::GroupUnban(c) => {
                (Some(&c.group), &c.client_id, digest::member("group_unban", c))
            }
            Command::GroupMute(c) => (Some(&c.group), &c.client_id, digest::mute(c)),
            _ => return Err(Reason::UnknownType.into()),
        };
        let made = match client_id {
            Some(_) => None,
            None => Some(self.own_client_id()?),
        };
        let Some(client_id) = client_id.as_ref().or(made.as_ref()) else {
            return Err(Reason::Internal.into());
        };
        if made.is_none()
            && let Some(recorded) = self.recorded(caller.identity, client_id)?
        {
            let group = group_of(&recorded.conversation);
            return Ok(repeated(group, recorded, digest)?);
        }
        let call = Call { caller, client_id, digest };
        match (command, group) {
            (Command::GroupCreate(create), _) => self.create(&call, create),
            (Command::GroupJoin(join), _) => self.join(&call, join),
            (_, Some(group)) => self.change(&call, group, command),
            (_, None) => Err(Reason::UnknownType.into()),
        }
    }

    fn create(&mut self, call: &Call<'_>, command: &GroupCreate) -> Outcome<Ack> {
        let creator = &call.caller.identity.user;
        let is_of_key = call.caller.identity.authority.is_of_key();
        let members_max = u64::from(self.config.group_members_max);
        let (profile, plan) = group::create(creator, command, members_max)?;
        self.ask_invitees(call.caller.identity, command.members.iter())?;
        self.check_room(None, &plan)?;
        if !is_of_key {
            let pending = self.founded.iter().filter(|founder| *founder == creator).count();
            self.rates.check(creator, Load::Groups, pending, self.now)?;
        }
        let name = self.names.unique(self.now);
        let group = GroupId::new(&name).map_err(|_| Reason::Internal)?;
        let conversation = ConversationId::group(&group);
        let now = self.now;
        let row = self.writing()?.create_conversation(
            &conversation,
            ConversationKind::Group,
            &profile,
            now,
        )?;
        self.cache.made(row);
        if !is_of_key {
            self.founded.push(creator.clone());
        }
        self.carry_out(call, &conversation, &plan)
    }

    fn change(&mut self, call: &Call<'_>, group: &GroupId, command: &Command) -> Outcome<Ack> {
        let actor = &call.caller.identity.user;
        let Some(found) = self.find(group, actor)? else { return Err(Reason::NotFound.into()) };
        let state = found.state(self, actor);
        let id = &found.conversation;
        let plan = match command {
            Command::GroupUpdate(update) => {
                group::update(&state, update, &self.config.group_retentions())?
            }
            Command::GroupInvite(invite) => {
                let invitees = self.invitees(&found, invite)?;
                let plan = group::invite(&state, &invitees)?;
                for change in &plan.changes {
                    if let group::Change::Enter(user, _) = change {
                        self.ask_invitees(call.caller.identity, std::iter::once(user))?;
                    }
                }
                plan
            }
            Command::GroupLeave(_) => group::leave(&state)?,
            Command::GroupDissolve(_) => group::dissolve(&state)?,
            Command::GroupKick(kick) => {
                group::kick(&state, &kick.user, self.target(id, &kick.user)?)?
            }
            Command::GroupRole(give) => {
                group::role(&state, &give.user, self.target(id, &give.user)?, give.role)?
            }
            Command::GroupApprove(approve) => self.approve(&found, &state, &approve.user)?,
            Command::GroupBan(ban) => self.ban(&found, &state, ban)?,
            Command::GroupUnban(unban) => {
                let known = self.ban_of(&found, &unban.user)?;
                group::unban(&state, &unban.user, known.as_ref())?
            }
            Command::GroupMute(mute) => {
                let target = match &mute.user {
                    Some(user) => self.target(id, user)?,
                    None => None,
                };
                group::mute(&state, mute, target)?
            }
            _ => return Err(Reason::UnknownType.into()),
        };
        self.check_room(Some(&found.conversation), &plan)?;
        self.carry_out(call, &found.conversation, &plan)
    }

    pub(super) fn own_client_id(&mut self) -> Outcome<ClientId> {
        let name = self.names.unique(self.now);
        Ok(ClientId::new(&name).map_err(|_| Reason::Internal)?)
    }

    fn find(&mut self, group: &GroupId, actor: &UserId) -> Result<Option<Found>> {
        let conversation = ConversationId::group(group);
        let role = self.target(&conversation, actor)?.map(|target| target.role);
        let Some(slot) = self.cache.slot(self.store, &conversation)? else { return Ok(None) };
        Ok(Some(Found {
            key: slot.row.key,
            members: slot.member_count(self.store)?,
            owners: slot.owner_count(self.store)?,
            profile: slot.row.profile.clone(),
            dissolved: slot.row.dissolved,
            silenced: slot.row.silenced,
            role,
            conversation,
        }))
    }

    /// What a present member may do.
    fn target(&mut self, conversation: &ConversationId, user: &UserId) -> Result<Option<Target>> {
        let Some(key) = self.cache.key(self.store, user)? else { return Ok(None) };
        let place = self.cache.place(self.store, conversation, Some(key))?;
        Ok(place.and_then(|(slot, membership)| {
            let role = standing(&slot.row, membership)?;
            Some(Target { role, silenced: membership?.silenced })
        }))
    }

    /// Whom an invitation names, each once, and whether they are members. Nobody is looked up for
    /// one who is not a member themself.
    fn invitees(&mut self, found: &Found, command: &GroupInvite) -> Outcome<Vec<Invitee>> {
        if found.role.is_none() {
            return Err(Refusal::from(Reason::NotAMember).into());
        }
        let mut invitees = Vec::with_capacity(command.members.len());
        for user in group::distinct(&command.members, None) {
            let present = self.target(&found.conversation, &user)?.is_some();
            let ban = self.ban_of(found, &user)?;
            invitees.push(Invitee { user, present, ban });
        }
        Ok(invitees)
    }
}

/// The group whose log this is.
fn group_of(conversation: &ConversationId) -> Option<GroupId> {
    match conversation.name() {
        ConversationName::Group(group) => GroupId::new(group).ok(),
        ConversationName::Direct(..) | ConversationName::System(_) => None,
    }
}
