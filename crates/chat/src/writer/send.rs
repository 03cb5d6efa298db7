//! `send`: an entry in a direct or group conversation.

use hubbub_proto::command::{Role, Send};
use hubbub_proto::event::ConversationKind;
use hubbub_proto::{Ack, Reason, Refusal};

use super::transaction::{Caller, Draft, Transaction, repeated, written};
use crate::digest;
use crate::model::{Profile, Rev, UserKey};
use crate::plan::address::Address;
use crate::plan::consent::Act;
use crate::plan::send::{Plan, State, plan};
use crate::plan::size;
use crate::ports::Result;
use crate::stop::Outcome;

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
            && let Some(refusal) = self.refusal(&caller.identity.user, peer, Act::Message)?
        {
            return self.refused_send(caller, Some(&address), command, refusal);
        }
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
            kind: &command.kind,
            content: &command.content,
            head: None,
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
        self.publish(caller, address.topics(&caller.identity.user), rev, &draft);
        Ok(written(None, rev, &draft))
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
        };
        let plan = plan(address, &state, self.now);
        let limits = &self.config.content_bytes;
        Ok(plan
            .and_then(|plan| size::check(limits, &command.kind, &command.content).map(|()| plan)))
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
