//! What a user does not want to see any more: no entry of the log, but a change of their own place,
//! which their other devices hear of at once or by `sync`.

use hubbub_proto::command::{Delete, MessageRef};
use hubbub_proto::event::Cleared;
use hubbub_proto::event::MessageHidden;
use hubbub_proto::route::{DeliveryClass, Publication};
use hubbub_proto::{Ack, ConversationId, Effect, Event, Reason, Topic};
use smallvec::smallvec;

use super::transaction::{Caller, Transaction};
use crate::model::{ConversationKey, UserKey};
use crate::plan::address::Address;
use crate::stop::Outcome;
use crate::visibility::Visibility;

/// The caller's place in a conversation in which they are or were.
struct Own {
    conversation: ConversationKey,
    user: UserKey,
    head: u64,
    cleared: u64,
    sees: bool,
}

impl Transaction<'_> {
    /// `delete` for the caller: repeating it is fine.
    pub(super) fn hide(&mut self, caller: Caller<'_>, command: &Delete) -> Outcome<Ack> {
        let Own { conversation, user, sees, head, .. } =
            self.own_place(caller, &command.conversation, command.seq)?;
        if !sees {
            return Err(Reason::NotFound.into());
        }
        let one = (command.seq, command.seq);
        if !self.store.hidden(conversation, user, one, 1)?.is_empty() {
            return Ok(Ack::Done);
        }
        let most = self.config.hidden_max;
        if self.store.hidden(conversation, user, (0, head), most)?.len() >= most as usize {
            return Err(Reason::TooManyHidden.into());
        }
        // What was done to a message goes with it: hidden alone it would be missing on those devices
        // only that had not heard of it yet.
        let entry = self.entry_at(conversation, command.seq)?;
        if entry.is_none_or(|entry| entry.kind.is_update()) {
            return Err(Reason::NotFound.into());
        }
        let rev = self.next_rev();
        self.writing()?.hide(conversation, user, command.seq, rev)?;
        self.cache.forget((conversation, user));
        self.tell_hidden(caller, &command.conversation, vec![command.seq], None);
        Ok(Ack::Done)
    }

    /// `clear`: what is cleared stays so.
    pub(super) fn clear(&mut self, caller: Caller<'_>, command: &MessageRef) -> Outcome<Ack> {
        let Own { conversation, user, head, cleared, .. } =
            self.own_place(caller, &command.conversation, command.seq)?;
        let seq = command.seq.min(head);
        if seq <= cleared {
            return Ok(Ack::Cleared(Cleared { through: cleared }));
        }
        let rev = self.next_rev();
        self.writing()?.clear(conversation, user, seq, rev)?;
        self.cache.forget((conversation, user));
        self.tell_hidden(caller, &command.conversation, Vec::new(), Some(seq));
        Ok(Ack::Cleared(Cleared { through: seq }))
    }

    fn own_place(&mut self, caller: Caller<'_>, id: &ConversationId, seq: u64) -> Outcome<Own> {
        let user = &caller.identity.user;
        let address = Address::named(user, id)?;
        let key = self.cache.key(self.store, user)?;
        let place = self.cache.place(self.store, id, key)?;
        let found = place.and_then(|(slot, membership)| Some((slot, membership?, key?)));
        let Some((slot, membership, user)) = found else {
            let reason = if address.peer.is_some() { Reason::NotFound } else { Reason::NotAMember };
            return Err(reason.into());
        };
        let view = Visibility::of(&slot.row, membership);
        Ok(Own {
            conversation: slot.row.key,
            user,
            head: view.head(),
            cleared: membership.cleared_seq,
            sees: view.end_of(seq).is_some(),
        })
    }

    fn tell_hidden(
        &mut self,
        caller: Caller<'_>,
        id: &ConversationId,
        seqs: Vec<u64>,
        through: Option<u64>,
    ) {
        let conversation = id.clone();
        self.effects.push(Effect::Publish(Publication {
            topics: smallvec![Topic::User(caller.identity.user.clone())],
            event: Event::MessageHidden(MessageHidden { conversation, seqs, through }),
            except: Some(caller.conn),
            class: DeliveryClass::Durable,
        }));
    }
}
