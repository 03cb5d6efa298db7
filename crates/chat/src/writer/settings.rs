//! `conversation_update`: what a user keeps about a conversation, told to their other devices.

use hubbub_proto::command::ConversationUpdate;
use hubbub_proto::event::ConversationUpdated;
use hubbub_proto::route::{DeliveryClass, Publication, Topic};
use hubbub_proto::{Ack, ConversationId, Effect, Event, Reason};
use smallvec::smallvec;

use super::transaction::{Caller, Transaction};
use crate::model::{ConversationKey, Settings, UserKey};
use crate::plan::address::Address;
use crate::plan::settings::{shown, update};
use crate::ports::Result;
use crate::stop::Outcome;
use crate::visibility::Visibility;

impl Transaction<'_> {
    pub(super) fn conversation_update(
        &mut self,
        caller: Caller<'_>,
        command: &ConversationUpdate,
    ) -> Outcome<Ack> {
        let address = Address::named(&caller.identity.user, &command.conversation)?;
        let key = self.cache.key(self.store, &caller.identity.user)?;
        let place = self.cache.place(self.store, &address.conversation, key)?;
        let (Some(key), Some((slot, Some(membership)))) = (key, place) else {
            let unknown =
                if address.peer.is_some() { Reason::NotFound } else { Reason::NotAMember };
            return Err(unknown.into());
        };
        let place = (slot.row.key, key);
        let head = Visibility::of(&slot.row, membership).head();
        let known = membership.settings.as_deref().cloned().unwrap_or_default();
        let draft_bytes_max = self.config.draft_bytes_max as usize;
        if let Some(next) = update(&known, command, head, draft_bytes_max)? {
            self.keep_settings(caller, &address.conversation, place, next, head)?;
        }
        Ok(Ack::Done)
    }

    /// Who has read a conversation does not want it shown as unread any more.
    pub(super) fn unmark(
        &mut self,
        caller: Caller<'_>,
        conversation: &ConversationId,
    ) -> Result<()> {
        let key = self.cache.key(self.store, &caller.identity.user)?;
        let place = self.cache.place(self.store, conversation, key)?;
        let (Some(key), Some((slot, Some(membership)))) = (key, place) else { return Ok(()) };
        let Some(settings) = membership.settings.as_deref().filter(|s| s.marked_unread) else {
            return Ok(());
        };
        let next = Settings { marked_unread: false, ..settings.clone() };
        let head = Visibility::of(&slot.row, membership).head();
        let place = (slot.row.key, key);
        self.keep_settings(caller, conversation, place, next, head)
    }

    fn keep_settings(
        &mut self,
        caller: Caller<'_>,
        conversation: &ConversationId,
        place: (ConversationKey, UserKey),
        settings: Settings,
        head: u64,
    ) -> Result<()> {
        let rev = self.next_rev();
        self.writing()?.set_settings(place.0, place.1, &settings, rev)?;
        let hidden = settings.hidden_seq.is_some_and(|seq| seq >= head);
        let told = shown(&settings, hidden);
        if let Some(membership) = self.cache.known(place) {
            membership.rev = rev;
            membership.settings =
                Some(settings).filter(|settings| *settings != Settings::default()).map(Box::new);
        }
        self.effects.push(Effect::Publish(Publication {
            topics: smallvec![Topic::User(caller.identity.user.clone())],
            event: Event::ConversationUpdated(Box::new(ConversationUpdated {
                conversation: conversation.clone(),
                settings: told,
                rev: rev.0,
            })),
            except: Some(caller.conn),
            class: DeliveryClass::Durable,
        }));
        Ok(())
    }
}
