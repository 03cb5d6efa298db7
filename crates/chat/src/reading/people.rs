//! `me` and `users`: what users show of themselves.

use std::sync::Arc;

use hubbub_proto::command::UserList;
use hubbub_proto::event::{DeviceItem, DeviceList, Me, UserPage};

use super::Desk;
use crate::model::Showing;
use crate::people;
use crate::ports::Result;

impl Desk<'_> {
    pub(super) fn me(&mut self) -> Result<Me> {
        let user = self.reader.user(self.user)?;
        let showing = match &user {
            Some(user) => self.reader.showing(user.key)?,
            None => Showing::default(),
        };
        let granted = match self.key {
            Some(key) => self.reader.roles(key)?,
            None => Arc::default(),
        };
        let identity = people::standing(self.identity, granted);
        Ok(people::me(&identity, user.as_ref(), &showing, self.config))
    }

    /// Where the calling device is not written yet, it is there all the same.
    pub(super) fn devices(&mut self) -> Result<DeviceList> {
        let known = match self.key {
            Some(key) => self.reader.devices(key)?,
            None => Vec::new(),
        };
        let own = self.identity;
        let mut devices: Vec<DeviceItem> = known
            .into_iter()
            .map(|device| DeviceItem {
                current: own.device_named && device.id == own.device,
                signed_out: device.not_before > device.last_seen,
                id: device.id,
                kind: device.kind,
                name: device.name,
                last_seen: device.last_seen,
            })
            .collect();
        if own.device_named && !devices.iter().any(|device| device.current) {
            let current = DeviceItem {
                id: own.device.clone(),
                kind: own.device_kind().map(Into::into),
                name: own.device_name().map(Into::into),
                last_seen: self.now,
                current: true,
                signed_out: false,
            };
            devices.insert(0, current);
        }
        Ok(DeviceList { devices })
    }

    pub(super) fn users(&mut self, command: &UserList) -> Result<UserPage> {
        let mut users = Vec::with_capacity(command.users.len());
        let mut bytes = self.config.sync_bytes_max as usize;
        for id in &command.users {
            if bytes == 0 {
                return Ok(UserPage { users, more: true });
            }
            if let Some(user) = self.reader.user(id)? {
                let showing = self.reader.showing(user.key)?;
                bytes = bytes.saturating_sub(showing.len());
                users.push(people::profile(user.id, user.name, &showing));
            }
        }
        Ok(UserPage { users, more: false })
    }
}
