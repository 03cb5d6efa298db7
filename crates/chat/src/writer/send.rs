//! `send`: an entry in a direct or group conversation.

use hubbub_proto::command::{MessageRef, Role, Send};
use hubbub_proto::event::ConversationKind;
use hubbub_proto::route::Authority;
use hubbub_proto::{Ack, ConversationId, Reason, Refusal, Timestamp};

use super::transaction::{Caller, Draft, Transaction, repeated, written};
use crate::digest;
use crate::model::{Entry, Profile, Rev, UserKey};
use crate::plan::address::Address;
use crate::plan::along::{self, Along, Source};
use crate::plan::consent::Act;
use crate::plan::send::{Plan, State, plan};
use crate::plan::size;
use crate::ports::Result;
use crate::stop::Outcome;
use crate::visibility::Visibility;

impl Transaction<'_> {
    pub(super) fn send(&mut self, caller: Caller<'_>, command: &Send) -> Outcome<Ack> {
        let address = match Address::of(&caller.identity.user, &command.to) {
            Ok(address) => address,
            Err(refusal) => return self.refused_send(caller, None, command, refusal),
        };
        let plan = match self.plan_send(caller, &address, command)? {
            Ok(plan) => plan,
            Err(refusal) => return self.refused_send(caller, Some(&address), command, refusal),
        };
        if let Some(peer) = &address.peer
            && caller.identity.authority != Authority::Backend
            && let Some(refusal) = self.refusal(&caller.identity.user, peer, Act::Message)?
        {
            return self.refused_send(caller, Some(&address), command, refusal);
        }
        let along = match self.plan_along(caller, &address, command, plan.at)? {
            Ok(along) => along,
            Err(refusal) => return self.refused_send(caller, Some(&address), command, refusal),
        };
        let (head, forwarded) = along.map(|along| (along.head, along.forwarded)).unzip();
        let forwarded = forwarded.flatten();
        let (kind, content) = match (&forwarded, &command.content) {
            (Some((kind, content)), _) => (kind, content),
            (None, Some(content)) => (&command.kind, content),
            (None, None) => return Err(Reason::BadField.into()),
        };
        let digest = digest::send(&address.conversation, command);
        // Making a conversation is a write, so a repeated command has to be known before it; in
        // one that exists `append` itself finds out, without a read.
        if plan.make
            && let Some(recorded) = self.recorded(caller.identity, &command.client_id)?
        {
            return Ok(repeated(None, recorded, digest)?);
        }
        let sender = self.caller_key(caller.identity)?;
        let rev = Rev(self.rev.0 + 1);
        if plan.make {
            self.make_direct(&address, sender, rev)?;
        }
        let draft = Draft {
            conversation: &address.conversation,
            sender,
            client_id: &command.client_id,
            seq: plan.seq,
            at: plan.at,
            kind,
            content,
            head: head.as_ref(),
            digest,
        };
        let Some(slot) = self.cache.slot(self.store, &address.conversation)? else {
            return Err(Reason::NotFound.into());
        };
        let key = slot.row.key;
        if let Err(recorded) = self.append(key, rev, &draft)? {
            return Ok(repeated(None, recorded, digest)?);
        }
        self.rev = rev;
        if command.receipt {
            self.store.want_receipt(key, draft.seq, rev)?;
            if let Some(slot) = self.cache.slot(self.store, &address.conversation)? {
                slot.want_receipts();
            }
        }
        self.expires(head.as_ref().and_then(|head| head.expires_at));
        self.publish(caller, address.topics(&caller.identity.user), rev, &draft);
        Ok(written(None, rev, &draft))
    }

    /// `None` where nothing comes along, as with most messages.
    fn plan_along(
        &mut self,
        caller: Caller<'_>,
        address: &Address,
        command: &Send,
        at: Timestamp,
    ) -> Outcome<std::result::Result<Option<Along>, Refusal>> {
        if along::is_plain(command) {
            return Ok(Ok(None));
        }
        let role = match address.peer {
            Some(_) => None,
            None => self.role_of(&address.conversation, &caller.identity.user)?,
        };
        let answered = match command.reply_to {
            Some(seq) => self.present(caller, &address.conversation, seq)?,
            None => None,
        };
        let source = match command.forward.as_deref() {
            Some(source) => self.source(caller, source)?,
            None => None,
        };
        let (answered, source) = (answered.as_ref(), source.as_ref());
        let state = along::State { role, answered, source, at };
        Ok(along::plan(command, &state).map(Some))
    }

    /// The entry `seq`, where the caller is in the conversation and sees it in this stay.
    fn present(
        &mut self,
        caller: Caller<'_>,
        id: &ConversationId,
        seq: u64,
    ) -> Outcome<Option<Entry>> {
        if self.cache.slot(self.store, id)?.is_none() {
            return Ok(None);
        }
        let found = self.message_meant(caller, id, seq)?;
        Ok(found.target.filter(|_| found.role.is_some() && seq >= found.since))
    }

    /// What the caller sees of a message that they forward, in whichever stay.
    fn source(&mut self, caller: Caller<'_>, source: &MessageRef) -> Outcome<Option<Source>> {
        let user = &caller.identity.user;
        let Ok(_) = Address::named(user, &source.conversation) else { return Ok(None) };
        let key = self.cache.key(self.store, user)?;
        let place = self.cache.place(self.store, &source.conversation, key)?;
        let Some((slot, Some(membership))) = place else { return Ok(None) };
        let end = Visibility::of(&slot.row, membership).end_of(source.seq);
        let conversation = slot.row.key;
        let (Some(end), Some(entry)) = (end, self.entry_at(conversation, source.seq)?) else {
            return Ok(None);
        };
        let mut content = entry.content.clone();
        let mut next = entry.fate.edited;
        while let Some(rev) = next {
            let Some(edit) = self.store.edit(conversation, rev)? else { break };
            if edit.seq <= end {
                content = edit.content;
                break;
            }
            next = edit.before;
        }
        Ok(Some(Source { entry, content }))
    }

    fn plan_send(
        &mut self,
        caller: Caller<'_>,
        address: &Address,
        command: &Send,
    ) -> Result<std::result::Result<Plan, Refusal>> {
        let predecessor = match &command.after {
            Some(after) => self.recorded(caller.identity, after)?.is_some(),
            None => true,
        };
        // Nobody leaves a direct conversation, so the place in it need not be looked up.
        let member = match &address.peer {
            Some(_) => None,
            None => self.cache.key(self.store, &caller.identity.user)?,
        };
        let place = self.cache.place(self.store, &address.conversation, member)?;
        let state = State {
            conversation: place.as_ref().map(|(slot, _)| &slot.row),
            membership: place.as_ref().and_then(|(_, membership)| *membership),
            last_at: place.as_ref().map(|(slot, _)| slot.last_at).unwrap_or_default(),
            predecessor,
            backend: caller.identity.authority == Authority::Backend,
        };
        let plan = plan(address, &state, self.now);
        let limits = &self.config.content_bytes;
        Ok(plan.and_then(|plan| match &command.content {
            Some(content) => size::check(limits, &command.kind, content).map(|()| plan),
            // What is forwarded was small enough for its first sender.
            None => Ok(plan),
        }))
    }

    /// Duplicates come before authorization: a command that was carried out once is acked again
    /// even if it would be refused now.
    fn refused_send(
        &mut self,
        caller: Caller<'_>,
        address: Option<&Address>,
        command: &Send,
        refusal: Refusal,
    ) -> Outcome<Ack> {
        match self.recorded(caller.identity, &command.client_id)? {
            None => Err(refusal.into()),
            Some(recorded) => {
                let digest = address.map(|a| digest::send(&a.conversation, command));
                // Without an address it cannot be what was carried out.
                let digest = digest.unwrap_or(!recorded.digest);
                Ok(repeated(None, recorded, digest)?)
            }
        }
    }

    /// A direct conversation with both sides in it from the first entry on.
    fn make_direct(&mut self, address: &Address, sender: UserKey, rev: Rev) -> Result<()> {
        let peer = match &address.peer {
            Some(peer) => self.user_key(peer)?,
            None => sender,
        };
        let now = self.now;
        let row = self.writing()?.create_conversation(
            &address.conversation,
            ConversationKind::Direct,
            &Profile::default(),
            now,
        )?;
        let key = row.key;
        self.store.open_stay(key, sender, Role::Member, 1, rev)?;
        if peer != sender {
            self.store.open_stay(key, peer, Role::Member, 1, rev)?;
        }
        self.cache.made(row);
        Ok(())
    }
}
