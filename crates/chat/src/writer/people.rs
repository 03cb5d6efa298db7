//! Profile and privacy: written by their user, told to all of the user's devices.

use hubbub_proto::command::{PrivacyUpdate, ProfileUpdate};
use hubbub_proto::event::Me;
use hubbub_proto::route::{DeliveryClass, Publication, Topic};
use hubbub_proto::{Ack, Effect, Event, Reason, Refusal};
use smallvec::smallvec;

use super::transaction::{Caller, Transaction};
use crate::model::Showing;
use crate::people;
use crate::ports::Result;
use crate::presence::Shift;
use crate::stop::Outcome;

impl Transaction<'_> {
    pub(super) fn profile(&mut self, caller: Caller<'_>, update: &ProfileUpdate) -> Outcome<Ack> {
        let data_max = self.config.profile_data_bytes_max;
        if let Some(Some(data)) = &update.data
            && data.get().len() > data_max as usize
        {
            let detail = format!("`data` must not have more than {data_max} bytes.");
            return Err(Refusal::with(Reason::TooBig, detail).into());
        }
        let known = self.cache.key(self.store, &caller.identity.user)?;
        let before = match known {
            Some(key) => self.store.showing(key)?,
            None => Showing::default(),
        };
        let mut after = before.clone();
        if let Some(avatar) = &update.avatar {
            after.avatar.clone_from(avatar);
        }
        if let Some(about) = &update.about {
            after.about.clone_from(about);
        }
        if let Some(data) = &update.data {
            after.data = data.as_ref().map(|data| data.get().into());
        }
        if after == before {
            return Ok(Ack::Me(Box::new(self.me(caller)?)));
        }
        let key = self.caller_key(caller.identity)?;
        after.rev = self.next_rev();
        self.writing()?.put_showing(key, &after)?;
        self.tell_devices(caller)
    }

    pub(super) fn privacy(&mut self, caller: Caller<'_>, update: &PrivacyUpdate) -> Outcome<Ack> {
        let known = self.cache.user(self.store, &caller.identity.user)?;
        let before = known.map(|user| user.privacy).unwrap_or_default();
        let after = before.with(update);
        if after == before {
            return Ok(Ack::Me(Box::new(self.me(caller)?)));
        }
        let key = self.caller_key(caller.identity)?;
        let rev = self.next_rev();
        self.writing()?.put_privacy(key, after, rev)?;
        self.shifts.push((self.place, Shift::Privacy(before)));
        if let Some(user) = self.cache.user(self.store, &caller.identity.user)?.cloned() {
            self.cache.remember(crate::model::User { privacy: after, ..user });
        }
        self.tell_devices(caller)
    }

    fn me(&mut self, caller: Caller<'_>) -> Result<Me> {
        let user = self.cache.user(self.store, &caller.identity.user)?.cloned();
        let showing = match &user {
            Some(user) => self.store.showing(user.key)?,
            None => Showing::default(),
        };
        let identity = self.standing(caller.identity)?;
        Ok(people::me(&identity, user.as_ref(), &showing, self.config))
    }

    fn tell_devices(&mut self, caller: Caller<'_>) -> Outcome<Ack> {
        let me = Box::new(self.me(caller)?);
        self.effects.push(Effect::Publish(Publication {
            topics: smallvec![Topic::User(caller.identity.user.clone())],
            event: Event::UserUpdated(me.clone()),
            except: Some(caller.conn),
            class: DeliveryClass::Durable,
        }));
        Ok(Ack::Me(me))
    }
}
