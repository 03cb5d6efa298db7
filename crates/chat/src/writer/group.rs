//! Group commands: one entry each, and what it changes.

use hubbub_proto::command::{GroupCreate, GroupInvite, Role};
use hubbub_proto::event::ConversationKind;
use hubbub_proto::route::Topic;
use hubbub_proto::{
    Ack, ClientId, Command, ConversationId, ConversationName, Effect, GroupId, Reason, Refusal,
    UserId,
};
use smallvec::smallvec;

use super::transaction::{Caller, Draft, Transaction, repeated, written};
use crate::digest;
use crate::model::{Profile, Rev, UserKey};
use crate::plan::group::{self, Change, Plan, State};
use crate::plan::standing;
use crate::ports::{Result, StoreError};
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
    conversation: ConversationId,
    profile: Profile,
    dissolved: bool,
    role: Option<Role>,
    members: u64,
    owners: u64,
}

impl Transaction<'_> {
    pub(super) fn group(&mut self, caller: Caller<'_>, command: &Command) -> Outcome<Ack> {
        let (group, client_id, digest) = match command {
            Command::GroupCreate(c) => (None, &c.client_id, digest::create(c)),
            Command::GroupUpdate(c) => (Some(&c.group), &c.client_id, digest::update(c)),
            Command::GroupInvite(c) => (Some(&c.group), &c.client_id, digest::invite(c)),
            Command::GroupJoin(c) => {
                (Some(&c.group), &c.client_id, digest::target("group_join", c))
            }
            Command::GroupLeave(c) => {
                (Some(&c.group), &c.client_id, digest::target("group_leave", c))
            }
            Command::GroupDissolve(c) => {
                (Some(&c.group), &c.client_id, digest::target("group_dissolve", c))
            }
            Command::GroupKick(c) => (Some(&c.group), &c.client_id, digest::kick(c)),
            Command::GroupRole(c) => (Some(&c.group), &c.client_id, digest::role(c)),
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
            (_, Some(group)) => self.change(&call, group, command),
            (_, None) => Err(Reason::UnknownType.into()),
        }
    }

    fn create(&mut self, call: &Call<'_>, command: &GroupCreate) -> Outcome<Ack> {
        let creator = &call.caller.identity.user;
        let members_max = u64::from(self.config.group_members_max);
        let (profile, plan) = group::create(creator, command, members_max)?;
        self.check_room(None, &plan)?;
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
        self.carry_out(call, &conversation, &plan)
    }

    fn change(&mut self, call: &Call<'_>, group: &GroupId, command: &Command) -> Outcome<Ack> {
        let actor = &call.caller.identity.user;
        let Some(found) = self.find(group, actor)? else { return Err(Reason::NotFound.into()) };
        let state = State {
            profile: &found.profile,
            dissolved: found.dissolved,
            actor,
            role: found.role,
            members: found.members,
            owners: found.owners,
            members_max: u64::from(self.config.group_members_max),
        };
        let plan = match command {
            Command::GroupUpdate(update) => group::update(&state, update)?,
            Command::GroupInvite(invite) => {
                let invitees = self.invitees(&found.conversation, &state, invite)?;
                group::invite(&state, &invitees)?
            }
            Command::GroupJoin(_) => group::join(&state)?,
            Command::GroupLeave(_) => group::leave(&state)?,
            Command::GroupDissolve(_) => group::dissolve(&state)?,
            Command::GroupKick(kick) => {
                let target = self.role_of(&found.conversation, &kick.user)?;
                group::kick(&state, &kick.user, target)?
            }
            Command::GroupRole(give) => {
                let target = self.role_of(&found.conversation, &give.user)?;
                group::role(&state, &give.user, target, give.role)?
            }
            _ => return Err(Reason::UnknownType.into()),
        };
        self.check_room(Some(&found.conversation), &plan)?;
        self.carry_out(call, &found.conversation, &plan)
    }

    fn find(&mut self, group: &GroupId, actor: &UserId) -> Result<Option<Found>> {
        let conversation = ConversationId::group(group);
        let role = self.role_of(&conversation, actor)?;
        let Some(slot) = self.cache.slot(self.store, &conversation)? else { return Ok(None) };
        Ok(Some(Found {
            members: slot.member_count(self.store)?,
            owners: slot.owner_count(self.store)?,
            profile: slot.row.profile.clone(),
            dissolved: slot.row.dissolved,
            role,
            conversation,
        }))
    }

    /// The role of a present member.
    fn role_of(&mut self, conversation: &ConversationId, user: &UserId) -> Result<Option<Role>> {
        let Some(key) = self.cache.key(self.store, user)? else { return Ok(None) };
        let place = self.cache.place(self.store, conversation, Some(key))?;
        Ok(place.and_then(|(slot, membership)| standing(&slot.row, membership)))
    }

    /// Whom an invitation names, each once, and whether they are members. Nobody is looked up for
    /// one who is not a member themself.
    fn invitees(
        &mut self,
        conversation: &ConversationId,
        state: &State<'_>,
        command: &GroupInvite,
    ) -> Outcome<Vec<(UserId, bool)>> {
        if state.role.is_none() {
            return Err(Refusal::from(Reason::NotAMember).into());
        }
        let mut invitees = Vec::with_capacity(command.members.len());
        for user in group::distinct(&command.members, None) {
            let present = self.role_of(conversation, &user)?.is_some();
            invitees.push((user, present));
        }
        Ok(invitees)
    }

    /// Writes the entry and its changes. Who enters gets the topic before the entry goes out, who
    /// exits loses it after, so that both see the entry and nothing else that is not theirs.
    fn carry_out(
        &mut self,
        call: &Call<'_>,
        conversation: &ConversationId,
        plan: &Plan,
    ) -> Outcome<Ack> {
        let sender = self.caller_key(call.caller.identity)?;
        let Some(slot) = self.cache.slot(self.store, conversation)? else {
            return Err(Reason::NotFound.into());
        };
        let (key, seq, at) = (slot.row.key, slot.row.head_seq + 1, self.now.max(slot.last_at));
        let rev = self.next_rev();
        let draft = Draft {
            conversation,
            sender,
            client_id: call.client_id,
            seq,
            at,
            kind: &plan.kind,
            content: &plan.content,
            digest: call.digest,
        };
        if let Err(recorded) = self.append(key, rev, &draft)? {
            // Looked for above, in this very transaction.
            return Err(StoreError::Row(format!(
                "client id {} appeared at {}",
                draft.client_id, recorded.rev.0
            ))
            .into());
        }
        let topic = || Topic::Conversation(conversation.clone());
        let mut exits = Vec::new();
        for change in &plan.changes {
            self.apply(conversation, change, seq, rev)?;
            match change {
                Change::Enter(user, _) => {
                    self.effects.push(Effect::Join { user: user.clone(), topic: topic() });
                }
                Change::Exit(user) => {
                    exits.push(Effect::Leave { user: user.clone(), topic: topic() });
                }
                Change::Role(..) | Change::Profile(_) | Change::Dissolve => {}
            }
        }
        self.publish(call.caller, smallvec![topic()], rev, &draft);
        self.effects.append(&mut exits);
        if plan.changes.contains(&Change::Dissolve) {
            self.effects.push(Effect::End { topic: topic() });
        }
        Ok(written(group_of(conversation), rev, &draft))
    }

    /// Nobody enters more groups than their connections may have subscriptions for, nor one group
    /// more often than a membership has stays (P9).
    fn check_room(&mut self, conversation: Option<&ConversationId>, plan: &Plan) -> Outcome<()> {
        let groups_max = u64::from(self.config.groups_per_user_max);
        let stays_max = self.config.stays_max as usize;
        for change in &plan.changes {
            let Change::Enter(user, _) = change else { continue };
            let Some(key) = self.cache.key(self.store, user)? else { continue };
            if self.store.open_group_count(key)? >= groups_max {
                return Err(Reason::TooManyGroups.into());
            }
            let Some(conversation) = conversation else { continue };
            let place = self.cache.place(self.store, conversation, Some(key))?;
            let stays = place.and_then(|(_, membership)| membership).map_or(0, |m| m.stays.len());
            if stays >= stays_max {
                let detail = "A user has come and gone too often.";
                return Err(Refusal::with(Reason::NotAllowed, detail).into());
            }
        }
        Ok(())
    }

    pub(super) fn own_client_id(&mut self) -> Outcome<ClientId> {
        let name = self.names.unique(self.now);
        Ok(ClientId::new(&name).map_err(|_| Reason::Internal)?)
    }

    fn apply(
        &mut self,
        conversation: &ConversationId,
        change: &Change,
        seq: u64,
        rev: Rev,
    ) -> Result<()> {
        let user: Option<UserKey> = match change {
            Change::Enter(user, _) | Change::Exit(user) | Change::Role(user, _) => {
                Some(self.user_key(user)?)
            }
            Change::Profile(_) | Change::Dissolve => None,
        };
        self.writing()?;
        let Some(slot) = self.cache.slot(self.store, conversation)? else { return Ok(()) };
        let key = slot.row.key;
        match (change, user) {
            (Change::Enter(_, role), Some(user)) => {
                self.store.open_stay(key, user, *role, seq, rev)?;
            }
            (Change::Exit(_), Some(user)) => self.store.close_stay(key, user, seq, rev)?,
            (Change::Role(_, role), Some(user)) => self.store.set_role(key, user, *role, rev)?,
            (Change::Profile(profile), _) => {
                self.store.set_profile(key, profile.name.as_deref(), profile.join)?;
                slot.row.profile = profile.clone();
            }
            (Change::Dissolve, _) => {
                self.store.dissolve(key)?;
                slot.row.dissolved = true;
            }
            (Change::Enter(..) | Change::Exit(_) | Change::Role(..), None) => {}
        }
        slot.recount();
        if let Some(user) = user {
            self.cache.forget((key, user));
        }
        Ok(())
    }
}

/// The group whose log this is.
fn group_of(conversation: &ConversationId) -> Option<GroupId> {
    match conversation.name() {
        ConversationName::Group(group) => GroupId::new(group).ok(),
        ConversationName::Direct(..) | ConversationName::System(_) => None,
    }
}
