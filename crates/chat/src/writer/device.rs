//! Devices: noted when they come and go, and signed out.

use std::sync::Arc;

use hubbub_proto::command::DeviceSignOut;
use hubbub_proto::{Ack, DeviceId, Effect, Identity, Reason, Timestamp};

use super::transaction::{Caller, Transaction};
use crate::model::{Device, UserKey};
use crate::ports::Result;
use crate::stop::Outcome;

impl Transaction<'_> {
    /// Whether the device was signed out after its token was made, also within this transaction.
    pub(super) fn is_signed_out(&self, identity: &Identity) -> bool {
        let here = || {
            self.gone.iter().any(|(user, device, _)| {
                *user == identity.user && *device == identity.device && identity.device_named
            })
        };
        self.signed_out.refuses(identity, self.now) || (!self.gone.is_empty() && here())
    }

    pub(super) fn sign_out(&mut self, caller: Caller<'_>, command: &DeviceSignOut) -> Outcome<Ack> {
        let user = &caller.identity.user;
        let key = self.caller_key(caller.identity)?;
        let mut known = self.store.devices(key)?;
        // Those that came just now and are not written yet.
        let visits = self.visits.oldest(usize::MAX);
        let fresh = visits.filter(|(identity, _)| identity.user == *user && identity.device_named);
        let fresh: Vec<Device> = fresh.map(|(identity, at)| device_of(identity, *at)).collect();
        for device in fresh {
            if !known.iter().any(|one| one.id == device.id) {
                known.push(device);
            }
        }
        // What was signed out so long ago that older tokens are taken again is like any other.
        let since = self.now.minus_ms(self.config.sign_out_window_ms);
        for device in &mut known {
            if device.not_before > Timestamp(0) && device.not_before <= since {
                device.not_before = Timestamp(0);
                self.put_device(key, device)?;
            }
        }
        let own = &caller.identity.device;
        let wanted = |device: &Device| match &command.device {
            Some(id) => device.id == *id,
            None => device.id != *own,
        };
        let already = known.iter().filter(|one| one.not_before > Timestamp(0)).count();
        let found: Vec<Device> = known.into_iter().filter(|device| wanted(device)).collect();
        if command.device.is_some() && found.is_empty() {
            return Err(Reason::NotFound.into());
        }
        let new = found.iter().filter(|one| one.not_before == Timestamp(0)).count();
        if already + new > self.config.devices_max as usize || self.signed_out.is_full() {
            return Err(Reason::TooManyDevices.into());
        }
        for device in found {
            let not_before = self.now;
            self.put_device(key, &Device { not_before, ..device.clone() })?;
            self.gone.push((user.clone(), device.id, not_before));
        }
        self.effects.push(Effect::SignOut {
            user: user.clone(),
            device: command.device.clone().unwrap_or_else(|| own.clone()),
            others: command.others,
        });
        Ok(Ack::Done)
    }

    /// Writes the `count` longest waiting visits.
    pub(super) fn note_visits(&mut self, count: usize) -> Result<()> {
        let oldest: Vec<(Arc<Identity>, Timestamp)> = self.visits.oldest(count).cloned().collect();
        for (identity, at) in oldest {
            let key = self.caller_key(&identity)?;
            let known = self.store.devices(key)?.into_iter().find(|one| one.id == identity.device);
            let seen = device_of(&identity, at);
            let device = match known {
                // What an older token says counts until a newer one was there.
                Some(known) => Device {
                    kind: seen.kind.or(known.kind),
                    name: seen.name.or(known.name),
                    not_before: known.not_before,
                    ..seen
                },
                None => seen,
            };
            self.put_device(key, &device)?;
        }
        Ok(())
    }

    fn put_device(&mut self, key: UserKey, device: &Device) -> Result<()> {
        let keep = self.config.devices_max;
        self.writing()?.put_device(key, device, keep)
    }
}

fn device_of(identity: &Identity, at: Timestamp) -> Device {
    let id: DeviceId = identity.device.clone();
    Device {
        id,
        kind: identity.device_kind.clone(),
        name: identity.device_name.clone(),
        last_seen: at,
        not_before: Timestamp(0),
    }
}
