//! `typing`: told to those who may see it, written nowhere.

use hubbub_proto::command::Typing;
use hubbub_proto::event::TypingEvent;
use hubbub_proto::route::{DeliveryClass, Publication};
use hubbub_proto::{Ack, Effect, Event};
use smallvec::smallvec;

use super::transaction::{Caller, Transaction};
use crate::plan;
use crate::plan::address::Address;
use crate::stop::Outcome;

impl Transaction<'_> {
    pub(super) fn typing(&mut self, caller: Caller<'_>, command: &Typing) -> Outcome<Ack> {
        let user = &caller.identity.user;
        let address = Address::named(user, &command.conversation)?;
        let key = self.cache.key(self.store, user)?;
        let place = self.cache.place(self.store, &command.conversation, key)?;
        let (slot, membership) = place.unzip();
        let row = slot.map(|slot| &slot.row);
        let topic = plan::typing::plan(&address, row, membership.flatten(), self.now)?;
        if let Some(topic) = topic {
            self.effects.push(Effect::Publish(Publication {
                topics: smallvec![topic],
                event: Event::Typing(TypingEvent {
                    conversation: command.conversation.clone(),
                    user: user.clone(),
                    active: command.active,
                }),
                except: Some(caller.conn),
                class: DeliveryClass::Volatile,
            }));
        }
        Ok(Ack::Done)
    }
}
