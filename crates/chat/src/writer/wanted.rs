//! Receipts that senders have asked for: told as cursors pass their messages.
//!
//! Invariant: a cursor passes a message once, so each user's two statuses of it are told once while
//! the server runs. A conversation without such messages costs one look when it is remembered
//! ([`crate::cache::Slot::receipts_wanted`]).

use hubbub_proto::event::{MessageReceipt, ReceiptStatus};
use hubbub_proto::route::{DeliveryClass, Publication, Topic};
use hubbub_proto::{Effect, Event, UserId};
use smallvec::smallvec;

use super::transaction::{Caller, Transaction};
use crate::model::ConversationKey;
use crate::plan::address::Address;
use crate::plan::cursor::Cursors;
use crate::plan::standing;
use crate::ports::{Result, Wanted};

/// Most messages that one move of a cursor tells of, the newest.
const TOLD_MAX: u32 = 100;

impl Transaction<'_> {
    /// Tells the senders of what lies between the cursors before and after.
    pub(super) fn tell_wanted(
        &mut self,
        caller: Caller<'_>,
        address: &Address,
        was: Cursors,
        is: Cursors,
    ) -> Result<()> {
        let Some(slot) = self.cache.slot(self.store, &address.conversation)? else {
            return Ok(());
        };
        if slot.receipts_wanted(self.store)? <= was.received.min(was.read) {
            return Ok(());
        }
        let group = address.peer.is_none();
        if group && slot.member_count(self.store)? > u64::from(self.config.receipt_members_max) {
            return Ok(());
        }
        let key = slot.row.key;
        for (status, from, to) in [
            (ReceiptStatus::Received, was.received, is.received),
            (ReceiptStatus::Read, was.read, is.read),
        ] {
            for wanted in self.passed(key, from, to)? {
                if wanted.sender == caller.identity.user
                    || !self.listens(address, &wanted.sender)?
                {
                    continue;
                }
                self.effects.push(Effect::Publish(Publication {
                    topics: smallvec![Topic::User(wanted.sender)],
                    event: Event::MessageReceipt(Box::new(MessageReceipt {
                        conversation: address.conversation.clone(),
                        seq: wanted.seq,
                        client_id: wanted.client_id,
                        user: caller.identity.user.clone(),
                        status,
                        at: self.now,
                    })),
                    except: None,
                    class: DeliveryClass::Volatile,
                }));
            }
        }
        Ok(())
    }

    /// What a cursor passes, in the order of the log.
    fn passed(&mut self, key: ConversationKey, from: u64, to: u64) -> Result<Vec<Wanted>> {
        if from >= to {
            return Ok(Vec::new());
        }
        let mut passed = self.store.receipts_wanted(key, from + 1, to, TOLD_MAX)?;
        passed.reverse();
        Ok(passed)
    }

    /// Whether the sender is still there to be told.
    fn listens(&mut self, address: &Address, sender: &UserId) -> Result<bool> {
        if address.peer.is_some() {
            return Ok(true);
        }
        let key = self.cache.key(self.store, sender)?;
        let place = self.cache.place(self.store, &address.conversation, key)?;
        Ok(place.is_some_and(|(slot, membership)| standing(&slot.row, membership).is_some()))
    }
}
