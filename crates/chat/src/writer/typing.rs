//! `typing`: told to those who may see it, now and then, written nowhere. Nobody learns that one who is
//! invisible types.

use hubbub_proto::command::{Chosen, Typing};
use hubbub_proto::event::TypingEvent;
use hubbub_proto::route::{DeliveryClass, Publication};
use hubbub_proto::{Ack, Effect, Event};
use smallvec::smallvec;

use super::transaction::{Caller, Transaction};
use crate::plan;
use crate::plan::address::Address;
use crate::plan::consent::Act;
use crate::stop::Outcome;
use crate::typists::EXPIRES_MS;

impl Transaction<'_> {
    pub(super) fn typing(&mut self, caller: Caller<'_>, command: &Typing) -> Outcome<Ack> {
        let user = &caller.identity.user;
        let address = Address::named(user, &command.conversation)?;
        let key = self.cache.key(self.store, user)?;
        let place = self.cache.place(self.store, &command.conversation, key)?;
        let (slot, membership) = place.unzip();
        let conversation = slot.map(|slot| slot.row.key);
        let row = slot.map(|slot| &slot.row);
        let topic = plan::typing::plan(&address, row, membership.flatten(), self.now)?;
        if let Some(peer) = &address.peer
            && !self.consent(user, peer, Act::Typing)?.is_given()
        {
            return Ok(Ack::Done);
        }
        if let (Some(topic), Some(conversation), Some(key)) = (topic, conversation, key)
            && self.cache.chosen(self.store, user)? != Chosen::Invisible
            && self.typists.is_news((conversation, key), command.active, self.now)
        {
            self.effects.push(Effect::Publish(Publication {
                topics: smallvec![topic],
                event: Event::Typing(TypingEvent {
                    conversation: command.conversation.clone(),
                    user: user.clone(),
                    active: command.active,
                    expires_in_ms: command.active.then_some(EXPIRES_MS),
                }),
                except: Some(caller.conn),
                class: DeliveryClass::Volatile,
            }));
        }
        Ok(Ack::Done)
    }
}
