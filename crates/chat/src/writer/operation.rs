//! What is done to messages: an entry that says so, and the change of what it is about.

use std::sync::Arc;

use hubbub_proto::command::{Delete, DeletedFor, Edit, MessageTarget, Pin, React, Role};
use hubbub_proto::event::Head;
use hubbub_proto::{Ack, ClientId, Command, ConversationId, Effect, Reason, Refusal, UserId};

use super::transaction::{Caller, Draft, Transaction, publication, repeated, written};
use crate::digest;
use crate::model::{ConversationKey, Entry, EntryKey, Rev};
use crate::plan::address::Address;
use crate::plan::consent::Act;
use crate::plan::operation::{self, Change, Plan, Reactions, State};
use crate::plan::{silenced, size, standing};
use crate::ports::{Order, Range, Result, StoreError};
use crate::stop::Outcome;
use crate::visibility::Visibility;

/// The message that a command is about, as the caller finds it.
pub(super) struct Found {
    address: Address,
    pub(super) role: Option<Role>,
    pub(super) since: u64,
    /// Why they may only read, if so.
    silenced: Option<Refusal>,
    key: EntryKey,
    pub(super) target: Option<Entry>,
}

impl Transaction<'_> {
    pub(super) fn operate(&mut self, caller: Caller<'_>, command: &Command) -> Outcome<Ack> {
        let (id, client_id, digest) = match command {
            Command::Edit(c) => (&c.conversation, &c.client_id, digest::edit(c)),
            Command::Recall(c) => (&c.conversation, &c.client_id, digest::recall(c)),
            Command::React(c) => (&c.conversation, &c.client_id, digest::react(c)),
            Command::Pin(c) => (&c.conversation, &c.client_id, digest::pin(c)),
            Command::Delete(c) if c.whose == DeletedFor::Me => return self.hide(caller, c),
            Command::Delete(c) => (&c.conversation, &c.client_id, digest::delete(c)),
            Command::Clear(c) => return self.clear(caller, c),
            _ => return Err(Reason::UnknownType.into()),
        };
        if let Some(client_id) = client_id
            && let Some(recorded) = self.recorded(caller.identity, client_id)?
        {
            return Ok(repeated(None, recorded, digest)?);
        }
        Address::named(&caller.identity.user, id)?.writable()?;
        let (found, plan) = match command {
            Command::Edit(edit) => self.plan_edit(caller, edit)?,
            Command::Recall(recall) => self.plan_recall(caller, recall)?,
            Command::Delete(delete) => self.plan_delete(caller, delete)?,
            Command::Pin(pin) => match self.plan_pin(caller, pin)? {
                Some(planned) => planned,
                None => return Ok(Ack::Done),
            },
            Command::React(react) => match self.plan_react(caller, react)? {
                Some(planned) => planned,
                None => return Ok(Ack::Done),
            },
            _ => return Err(Reason::UnknownType.into()),
        };
        let made = match client_id {
            Some(_) => None,
            None => Some(self.own_client_id()?),
        };
        let Some(client_id) = client_id.as_ref().or(made.as_ref()) else {
            return Err(Reason::Internal.into());
        };
        self.write_operation(caller, &found, &plan, client_id, digest)
    }

    fn plan_edit(&mut self, caller: Caller<'_>, command: &Edit) -> Outcome<(Found, Plan)> {
        let found = self.message_meant(caller, &command.conversation, command.seq)?;
        self.state(caller, &found).may_edit(self.config.edit_window_ms)?;
        self.check_voice(caller, &found)?;
        let edits = self.count_edits(&found)?;
        let limits = (self.config.edit_window_ms, self.config.edits_max);
        let plan = operation::edit(&self.state(caller, &found), &command.content, edits, limits)?;
        if let Some(target) = &found.target {
            size::check(&self.config.content_bytes, &target.kind, &command.content)?;
            target.kind.check(&command.content)?;
        }
        Ok((found, plan))
    }

    /// Whether the caller may say something here: not where they may only read, nor to one who
    /// does not want to hear from them.
    fn check_voice(&mut self, caller: Caller<'_>, found: &Found) -> Outcome<()> {
        if let Some(refusal) = &found.silenced {
            return Err(refusal.clone().into());
        }
        if let Some(peer) = &found.address.peer
            && let Some(refusal) = self.refusal(&caller.identity.user, peer, Act::Message)?
        {
            return Err(refusal.into());
        }
        Ok(())
    }

    fn plan_recall(
        &mut self,
        caller: Caller<'_>,
        command: &MessageTarget,
    ) -> Outcome<(Found, Plan)> {
        let found = self.message_meant(caller, &command.conversation, command.seq)?;
        let window_ms = self.config.recall_window_ms;
        let plan = operation::recall(&self.state(caller, &found), window_ms)?;
        Ok((found, plan))
    }

    fn plan_delete(&mut self, caller: Caller<'_>, command: &Delete) -> Outcome<(Found, Plan)> {
        let found = self.message_meant(caller, &command.conversation, command.seq)?;
        self.state(caller, &found).may_delete()?;
        let author = found.target.as_ref().map(|target| target.sender.clone());
        let author = match author {
            Some(author) => self.role_of(&command.conversation, &author)?,
            None => None,
        };
        let plan = operation::delete(&self.state(caller, &found), author)?;
        Ok((found, plan))
    }

    fn plan_pin(&mut self, caller: Caller<'_>, command: &Pin) -> Outcome<Option<(Found, Plan)>> {
        let found = self.message_meant(caller, &command.conversation, command.seq)?;
        self.state(caller, &found).may_pin()?;
        self.check_voice(caller, &found)?;
        let pins = self.store.pins(found.key.conversation)?;
        let pinned = pins.iter().any(|pin| pin.seq == command.seq);
        let bounds = (pins.len(), self.config.pins_max);
        let plan = operation::pin(&self.state(caller, &found), command.active, pinned, bounds)?;
        Ok(plan.map(|plan| (found, plan)))
    }

    fn plan_react(
        &mut self,
        caller: Caller<'_>,
        command: &React,
    ) -> Outcome<Option<(Found, Plan)>> {
        let found = self.message_meant(caller, &command.conversation, command.seq)?;
        self.state(caller, &found).may_react()?;
        self.check_voice(caller, &found)?;
        let emoji = &command.emoji;
        let mine = match self.cache.key(self.store, &caller.identity.user)? {
            Some(user) => self.store.has_reaction(found.key, emoji, user)?,
            None => false,
        };
        let there = self.store.emojis(found.key)?;
        let reactions = Reactions {
            mine,
            known: there.contains(emoji),
            distinct: u32::try_from(there.len()).unwrap_or(u32::MAX),
            distinct_max: self.config.reactions_max,
        };
        let state = self.state(caller, &found);
        let plan = operation::react(&state, emoji, command.active, reactions)?;
        Ok(plan.map(|plan| (found, plan)))
    }

    fn state<'s>(&self, caller: Caller<'s>, found: &'s Found) -> State<'s> {
        State {
            actor: &caller.identity.user,
            role: found.role,
            since: found.since,
            target: found.target.as_ref(),
            now: self.now,
            group: found.address.peer.is_none(),
        }
    }

    /// Looks for the caller's place and, where they are a member, for the entry `seq`.
    pub(super) fn message_meant(
        &mut self,
        caller: Caller<'_>,
        id: &ConversationId,
        seq: u64,
    ) -> Outcome<Found> {
        let user = &caller.identity.user;
        let address = Address::named(user, id)?;
        let key = self.cache.key(self.store, user)?;
        let place = self.cache.place(self.store, id, key)?;
        let Some((slot, membership)) = place else {
            // A direct conversation that nobody has begun has no messages; of groups nothing is
            // said to those who are not in them.
            let reason = if address.peer.is_some() { Reason::NotFound } else { Reason::NotAMember };
            return Err(reason.into());
        };
        let role = standing(&slot.row, membership);
        let since = membership.map_or(u64::MAX, |membership| {
            let floor = slot.row.floor_seq.max(membership.cleared_seq);
            Visibility::of(&slot.row, membership).newest_join().max(floor + 1)
        });
        let silenced = silenced(&slot.row, membership, self.now).err();
        let conversation = slot.row.key;
        let target = match role {
            Some(_) => self.entry_at(conversation, seq)?,
            None => None,
        };
        let rev = target.as_ref().map_or(Rev(0), |target| target.rev);
        Ok(Found {
            address,
            role,
            since,
            silenced,
            key: EntryKey { conversation, seq, rev },
            target,
        })
    }

    /// The role of a present member.
    pub(super) fn role_of(&mut self, id: &ConversationId, user: &UserId) -> Result<Option<Role>> {
        let Some(key) = self.cache.key(self.store, user)? else { return Ok(None) };
        let place = self.cache.place(self.store, id, Some(key))?;
        Ok(place.and_then(|(slot, membership)| standing(&slot.row, membership)))
    }

    /// One entry.
    pub(super) fn entry_at(
        &mut self,
        conversation: ConversationKey,
        seq: u64,
    ) -> Result<Option<Entry>> {
        let one = Range { from: seq, to: seq, order: Order::Descending, limit: 1, bytes: 0 };
        Ok(self.store.entries(conversation, one)?.into_iter().next())
    }

    /// How many edits the message has: the newest one knows.
    fn count_edits(&mut self, found: &Found) -> Result<u32> {
        let newest = found.target.as_ref().and_then(|target| target.fate.edited);
        let newest = match newest {
            Some(rev) => self.store.edit(found.key.conversation, rev)?,
            None => None,
        };
        Ok(newest.map_or(0, |edit| edit.number))
    }

    fn write_operation(
        &mut self,
        caller: Caller<'_>,
        found: &Found,
        plan: &Plan,
        client_id: &ClientId,
        digest: u64,
    ) -> Outcome<Ack> {
        let sender = self.caller_key(caller.identity)?;
        let id = &found.address.conversation;
        let Some(slot) = self.cache.slot(self.store, id)? else {
            return Err(Reason::NotFound.into());
        };
        let (seq, at) = (slot.row.head_seq + 1, self.now.max(slot.last_at));
        let rev = self.next_rev();
        let head = Head {
            about: Some(found.key.seq),
            expires_at: found.target.as_ref().and_then(|target| plan.expires_at(target)),
            ..Head::default()
        };
        let draft = Draft {
            conversation: id,
            sender,
            client_id,
            seq,
            at,
            kind: &plan.kind,
            content: &plan.content,
            head: Some(&head),
            digest,
        };
        if let Err(recorded) = self.append(found.key.conversation, rev, &draft)? {
            // Looked for above, in this very transaction.
            let why = format!("client id {client_id} appeared at {}", recorded.rev.0);
            return Err(StoreError::Row(why).into());
        }
        let target = found.key;
        match &plan.change {
            Change::Edit => self.store.chain_edit(target, EntryKey { seq, rev, ..target })?,
            Change::Remove(removed) => self.store.remove(target, *removed)?,
            Change::React(emoji) => self.store.put_reaction(target, emoji, sender, seq, at)?,
            Change::Pin => self.store.put_pin(target, seq, sender, at)?,
            Change::Unpin => self.store.drop_pin(target)?,
            Change::Unreact(emoji) => self.store.drop_reaction(target, emoji, sender)?,
        }
        let topics = found.address.topics(&caller.identity.user);
        let publication = publication(caller, topics, rev, &draft);
        let unseen = match found.address.peer {
            Some(_) => Arc::default(),
            None => self.cache.joined_after(self.store, target.conversation, target.seq)?,
        };
        self.effects.push(match unseen.is_empty() {
            true => Effect::Publish(publication),
            false => Effect::Veil { publication: Box::new(publication), unseen },
        });
        Ok(written(None, rev, &draft))
    }
}
