//! Profile and privacy: written by their user, told to all of the user's devices.

use hubbub_proto::command::{PrivacyUpdate, ProfileUpdate};
use hubbub_proto::event::Me;
use hubbub_proto::route::{DeliveryClass, Publication, Topic};
use hubbub_proto::{Ack, ConnId, Effect, Event, Identity, Reason, Refusal};
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
            return Ok(Ack::Me(Box::new(self.me(caller.identity)?)));
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
            return Ok(Ack::Me(Box::new(self.me(caller.identity)?)));
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

    /// Name and picture as the newest token says. What it does not say stays; the user's devices hear
    /// of what changed. For a user of whom nothing changed nothing is written, nor is the store asked
    /// where the token has no picture.
    pub(super) fn keep_current(&mut self, identity: &Identity) -> Result<()> {
        let known = self.cache.user(self.store, &identity.user)?;
        let renamed =
            identity.name.is_some() && known.map(|user| &user.name) != Some(&identity.name);
        if !renamed && identity.picture().is_none() {
            return Ok(());
        }
        let is_known = known.is_some();
        let key = self.named_caller_key(identity)?;
        let before = self.store.showing(key)?;
        let mut after = before.clone();
        if let Some(picture) = identity.picture() {
            after.picture = Some(picture.into());
        }
        if after == before && !renamed {
            return Ok(());
        }
        after.rev = self.next_rev();
        self.writing()?.put_showing(key, &after)?;
        if is_known {
            let me = Box::new(self.me(identity)?);
            self.effects.push(updated(me, identity, None));
        }
        Ok(())
    }

    fn me(&mut self, identity: &Identity) -> Result<Me> {
        let user = self.cache.user(self.store, &identity.user)?.cloned();
        let showing = match &user {
            Some(user) => self.store.showing(user.key)?,
            None => Showing::default(),
        };
        let identity = self.standing(identity)?;
        Ok(people::me(&identity, user.as_ref(), &showing, self.config))
    }

    fn tell_devices(&mut self, caller: Caller<'_>) -> Outcome<Ack> {
        let me = Box::new(self.me(caller.identity)?);
        self.effects.push(updated(me.clone(), caller.identity, Some(caller.conn)));
        Ok(Ack::Me(me))
    }
}

/// What tells all devices of a user, but one, of what the user shows now.
fn updated(me: Box<Me>, identity: &Identity, except: Option<ConnId>) -> Effect {
    Effect::Publish(Publication {
        topics: smallvec![Topic::User(identity.user.clone())],
        event: Event::UserUpdated(me),
        except,
        class: DeliveryClass::Durable,
    })
}
