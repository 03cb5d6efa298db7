//! Devices: noted when they come and go, and signed out.

use hubbub_proto::command::DeviceSignOut;
use hubbub_proto::{Ack, DeviceId, Effect, Identity, Reason, Timestamp};

use super::transaction::{Caller, Transaction};
use crate::devices::Visit;
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
        let mut known = match self.cache.key(self.store, user)? {
            Some(key) => self.store.devices(key)?,
            None => Vec::new(),
        };
        // Those that came just now and are not written yet.
        let visits = self.visits.oldest(usize::MAX);
        let fresh = visits.map(|visit| (&*visit.identity, visit.at));
        let fresh = fresh.filter(|(identity, _)| identity.user == *user && identity.device_named);
        let fresh: Vec<Device> = fresh.map(|(identity, at)| device_of(identity, at)).collect();
        for device in fresh {
            if !known.iter().any(|one| one.id == device.id) {
                known.push(device);
            }
        }
        // What was signed out so long ago that older tokens are taken again is like any other.
        let since = self.now.minus_ms(self.config.sign_out_window_ms);
        let is_out = |device: &Device| device.not_before > since;
        let own = &caller.identity.device;
        let wanted = |device: &Device| match &command.device {
            Some(id) => device.id == *id,
            None => device.id != *own,
        };
        if command.device.is_some() && !known.iter().any(wanted) {
            return Err(Reason::NotFound.into());
        }
        let out = known.iter().filter(|one| is_out(one) || wanted(one)).count();
        if out > self.config.devices_max as usize || self.signed_out.is_full() {
            return Err(Reason::TooManyDevices.into());
        }
        let key = self.caller_key(caller.identity)?;
        for device in &mut known {
            if wanted(device) {
                device.not_before = self.now;
                self.gone.push((user.clone(), device.id.clone(), self.now));
            } else if device.not_before > Timestamp(0) && !is_out(device) {
                device.not_before = Timestamp(0);
            } else {
                continue;
            }
            self.put_device(key, device)?;
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
        let oldest: Vec<Visit> = self.visits.oldest(count).cloned().collect();
        for Visit { identity, at, came } in oldest {
            if came {
                self.keep_current(&identity)?;
            }
            if !identity.device_named {
                continue;
            }
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
        kind: identity.device_kind().map(Into::into),
        name: identity.device_name().map(Into::into),
        last_seen: at,
        not_before: Timestamp(0),
    }
}
