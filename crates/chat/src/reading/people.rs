//! `me` and `users`: what users show of themselves.

use hubbub_proto::command::UserList;
use hubbub_proto::event::{Me, UserPage};

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
        Ok(people::me(self.identity, user.as_ref(), &showing, self.config))
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
