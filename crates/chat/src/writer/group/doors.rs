//! Those who want into a group: who asks, who is let in, who is kept out.
//!
//! A request is no entry: members do not see it. Owner and admins are told of it, and the one who
//! asks of what became of it.

use hubbub_proto::command::{GroupBan, GroupJoin, GroupMember};
use hubbub_proto::event::{JoinRequestEvent, JoinRequestState, Requested};
use hubbub_proto::route::{DeliveryClass, Publication, Topic};
use hubbub_proto::{Ack, ConversationId, Effect, Event, Reason, UserId};
use smallvec::smallvec;

use super::{Call, Found, group_of};
use crate::model::{Ban, JoinRequest, UserKey};
use crate::plan::group::{self, Bans, Door, Entrance, Plan, State};
use crate::ports::Result;
use crate::stop::Outcome;
use crate::writer::transaction::{Caller, Transaction};

/// Most owners and admins that are told of a request; further ones find it in the list.
const TOLD_MAX: u32 = 100;

impl Transaction<'_> {
    pub(super) fn join(&mut self, call: &Call<'_>, command: &GroupJoin) -> Outcome<Ack> {
        let actor = &call.caller.identity.user;
        let found = self.find(&command.group, actor)?.ok_or(Reason::NotFound)?;
        let key = self.cache.key(self.store, actor)?;
        let ban = self.ban_of(&found, actor)?;
        let before = self.request_of(&found, key)?;
        let own = match key {
            Some(key) => self.store.own_join_request_count(key)?,
            None => 0,
        };
        let link = match &command.link {
            Some(link) => Some(self.link_of(&found, link)?),
            None => None,
        };
        let door = Door {
            ban: ban.as_ref(),
            link: link.as_ref().map(Option::as_ref),
            asked: before.is_some(),
            requests: (
                self.store.join_request_count(found.key)?,
                u64::from(self.config.join_requests_max),
            ),
            own_requests: (own, u64::from(self.config.join_requests_per_user_max)),
        };
        match group::join(&found.state(self, actor), &door)? {
            Entrance::In(plan) => {
                self.check_room(Some(&found.conversation), &plan)?;
                self.carry_out(call, &found.conversation, &plan)
            }
            // Who asks again in the same words has been heard.
            Entrance::Ask if before.is_some_and(|before| before.note == command.note) => {
                Ok(Ack::Requested(Requested { requested: true }))
            }
            Entrance::Ask => {
                let user = self.caller_key(call.caller.identity)?;
                let request = JoinRequest { note: command.note.clone(), at: self.now };
                self.writing()?.put_join_request(found.key, user, &request)?;
                let state = JoinRequestState::Pending;
                self.tell_request(call.caller, &found.conversation, actor, request, state)?;
                Ok(Ack::Requested(Requested { requested: true }))
            }
        }
    }

    pub(in crate::writer) fn reject(
        &mut self,
        caller: Caller<'_>,
        command: &GroupMember,
    ) -> Outcome<Ack> {
        let actor = &caller.identity.user;
        let found = self.find(&command.group, actor)?.ok_or(Reason::NotFound)?;
        let key = self.cache.key(self.store, &command.user)?;
        let request = self.request_of(&found, key)?;
        let state = group::reject(&found.state(self, actor), &command.user, request.as_ref())?;
        self.answer_request(caller, &found.conversation, &command.user, state)?;
        Ok(Ack::Done)
    }

    pub(super) fn approve(
        &mut self,
        found: &Found,
        state: &State<'_>,
        user: &UserId,
    ) -> Outcome<Plan> {
        let target = self.target(&found.conversation, user)?;
        let key = self.cache.key(self.store, user)?;
        let request = self.request_of(found, key)?;
        let ban = self.ban_of(found, user)?;
        Ok(group::approve(state, user, target, request.as_ref(), ban.as_ref())?)
    }

    pub(super) fn ban(
        &mut self,
        found: &Found,
        state: &State<'_>,
        command: &GroupBan,
    ) -> Outcome<Plan> {
        let target = self.target(&found.conversation, &command.user)?;
        let known = self.ban_of(found, &command.user)?;
        let bans = Bans {
            known: known.as_ref(),
            count: self.store.ban_count(found.key, self.now)?,
            count_max: u64::from(self.config.group_bans_max),
        };
        Ok(group::ban(state, command, target, &bans)?)
    }

    pub(super) fn ban_of(&mut self, found: &Found, user: &UserId) -> Result<Option<Ban>> {
        match self.cache.key(self.store, user)? {
            Some(user) => self.store.ban(found.key, user),
            None => Ok(None),
        }
    }

    fn request_of(&mut self, found: &Found, user: Option<UserKey>) -> Result<Option<JoinRequest>> {
        match user {
            Some(user) => self.store.join_request(found.key, user),
            None => Ok(None),
        }
    }

    /// Ends the request of `user`, if there is one, and tells of that.
    pub(super) fn answer_request(
        &mut self,
        caller: Caller<'_>,
        conversation: &ConversationId,
        user: &UserId,
        state: JoinRequestState,
    ) -> Result<()> {
        let Some(slot) = self.cache.slot(self.store, conversation)? else { return Ok(()) };
        let group = slot.row.key;
        let Some(asked) = self.cache.key(self.store, user)? else { return Ok(()) };
        let Some(request) = self.store.join_request(group, asked)? else { return Ok(()) };
        self.writing()?.remove_join_request(group, asked)?;
        self.tell_request(caller, conversation, user, request, state)
    }

    /// Tells owner and admins, and the one who asks, how it stands with a request.
    fn tell_request(
        &mut self,
        caller: Caller<'_>,
        conversation: &ConversationId,
        user: &UserId,
        request: JoinRequest,
        state: JoinRequestState,
    ) -> Result<()> {
        let name = self.cache.user(self.store, user)?.and_then(|user| user.name.clone());
        let Some(slot) = self.cache.slot(self.store, conversation)? else { return Ok(()) };
        let managers = self.store.managers(slot.row.key, TOLD_MAX)?;
        let Some(group) = group_of(conversation) else { return Ok(()) };
        let mut topics = smallvec![Topic::User(user.clone())];
        topics.extend(managers.into_iter().map(Topic::User));
        self.effects.push(Effect::Publish(Publication {
            topics,
            event: Event::JoinRequest(Box::new(JoinRequestEvent {
                group,
                user: user.clone(),
                name,
                note: request.note,
                at: request.at,
                state,
            })),
            except: Some(caller.conn),
            class: DeliveryClass::Durable,
        }));
        Ok(())
    }
}
