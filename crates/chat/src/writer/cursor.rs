//! `received` and `read`: cursors of members, and the receipts that tell of them.

use hubbub_proto::command::Cursor;
use hubbub_proto::route::Topic;
use hubbub_proto::{Ack, ConversationName, Reason};
use smallvec::smallvec;

use super::transaction::{Caller, Transaction};
use crate::model::{ConversationKey, UserKey};
use crate::plan::address::Address;
use crate::plan::consent::Act;
use crate::plan::cursor::{Cursors, Which, advance};
use crate::plan::standing;
use crate::ports::Result;
use crate::receipts::Moved;
use crate::stop::Outcome;
use crate::visibility::Visibility;

/// A cursor that is to move.
struct Step {
    place: (ConversationKey, UserKey),
    cursors: Cursors,
    /// Where they were.
    was: Cursors,
    /// Whether the others are to know: not of one who left.
    present: bool,
}

impl Transaction<'_> {
    /// Soft: kept in memory for now, see [`crate::soft`].
    pub(super) fn received(&mut self, caller: Caller<'_>, command: &Cursor) -> Outcome<Ack> {
        let address = Address::named(&caller.identity.user, &command.conversation)?;
        if let Some(step) = self.step(caller, &address, Which::Received, command.seq)? {
            let received = step.cursors.received;
            let shows = self.shows(caller, &address)?;
            self.soft.advance(step.place, &command.conversation, received, shows, self.now);
            // Whoever pushed it is not told, and the user's other devices have nothing to learn.
            if !address.conversation.is_system() {
                if shows {
                    self.tell_wanted(caller, &address, step.was, step.cursors)?;
                }
                let told = self.told(caller, address, &step, shows)?;
                self.moved.extend(told);
            }
        }
        Ok(Ack::Done)
    }

    pub(super) fn read(&mut self, caller: Caller<'_>, command: &Cursor) -> Outcome<Ack> {
        let address = Address::named(&caller.identity.user, &command.conversation)?;
        self.unmark(caller, &address.conversation)?;
        if let Some(step) = self.step(caller, &address, Which::Read, command.seq)? {
            let shows = self.shows(caller, &address)?;
            self.write_cursors(&address, step.place, step.cursors, shows)?;
            if shows {
                self.tell_wanted(caller, &address, step.was, step.cursors)?;
            }
            let told = self.told(caller, address, &step, shows)?;
            self.moved.extend(told);
        }
        Ok(Ack::Done)
    }

    fn step(
        &mut self,
        caller: Caller<'_>,
        address: &Address,
        which: Which,
        seq: u64,
    ) -> Outcome<Option<Step>> {
        let key = self.cache.key(self.store, &caller.identity.user)?;
        let place = self.cache.place(self.store, &address.conversation, key)?;
        let (Some(key), Some((slot, Some(membership)))) = (key, place) else {
            // A direct conversation that is not made yet has nothing to confirm.
            return if address.peer.is_some() { Ok(None) } else { Err(Reason::NotAMember.into()) };
        };
        let place = (slot.row.key, key);
        let now = Cursors {
            received: membership.received_seq.max(self.soft.received(place)),
            read: membership.read_seq,
        };
        let present = standing(&slot.row, Some(membership)).is_some();
        let moved = advance(which, seq, &Visibility::of(&slot.row, membership), now);
        Ok(moved.map(|cursors| Step { place, cursors, was: now, present }))
    }

    /// Whether others may learn how far the caller is.
    fn shows(&mut self, caller: Caller<'_>, address: &Address) -> Result<bool> {
        let user = &caller.identity.user;
        match &address.peer {
            Some(peer) => Ok(self.consent(peer, user, Act::Receipts)?.is_given()),
            None => Ok(self.privacy_of(user)?.receipts),
        }
    }

    /// Writes cursors. In a direct conversation they are also what the other side sees of it, if
    /// they may, so that the conversation counts as changed.
    fn write_cursors(
        &mut self,
        address: &Address,
        place: (ConversationKey, UserKey),
        cursors: Cursors,
        shows: bool,
    ) -> Result<()> {
        let rev = self.next_rev();
        let (conversation, user) = place;
        let store = self.writing()?;
        store.advance_cursors(conversation, user, cursors.received, cursors.read, rev)?;
        if let Some(membership) = self.cache.known(place) {
            membership.received_seq = membership.received_seq.max(cursors.received);
            membership.read_seq = membership.read_seq.max(cursors.read);
            membership.rev = rev;
        }
        if address.peer.is_some() && shows {
            self.touch(&address.conversation, rev)?;
        }
        Ok(())
    }

    /// Writes the oldest `count` soft cursors.
    pub(super) fn flush(&mut self, count: usize) -> Result<()> {
        let oldest: Vec<_> = self
            .soft
            .oldest(count)
            .map(|(place, pending)| {
                (place, pending.conversation.clone(), pending.received, pending.shows)
            })
            .collect();
        for (place, conversation, received, shows) in oldest {
            let direct = matches!(conversation.name(), ConversationName::Direct(..));
            let rev = self.next_rev();
            self.writing()?.advance_cursors(place.0, place.1, received, 0, rev)?;
            if let Some(membership) = self.cache.known(place) {
                membership.received_seq = membership.received_seq.max(received);
                membership.rev = rev;
            }
            if direct && shows {
                self.touch(&conversation, rev)?;
            }
        }
        Ok(())
    }

    /// Who is to know: the other side of a direct conversation, the members of a small group, else
    /// only the user's own devices; also where the others may not.
    fn told(
        &mut self,
        caller: Caller<'_>,
        address: Address,
        step: &Step,
        shows: bool,
    ) -> Result<Option<Moved>> {
        if !step.present {
            return Ok(None);
        }
        let user = &caller.identity.user;
        let audience = match &address.peer {
            _ if !shows => smallvec![Topic::User(user.clone())],
            Some(_) => address.topics(user),
            None if address.conversation.is_system() => smallvec![Topic::User(user.clone())],
            None => {
                let slot = self.cache.slot(self.store, &address.conversation)?;
                let count = match slot {
                    Some(slot) => slot.member_count(self.store)?,
                    None => 0,
                };
                if count <= u64::from(self.config.receipt_members_max) {
                    smallvec![Topic::Conversation(address.conversation.clone())]
                } else {
                    smallvec![Topic::User(user.clone())]
                }
            }
        };
        Ok(Some(Moved {
            place: step.place,
            conversation: address.conversation,
            user: user.clone(),
            cursors: step.cursors,
            audience,
        }))
    }
}
