//! Entries that a device has not confirmed, pushed once more.

use hubbub_proto::event::{Delivered, LogItem};
use hubbub_proto::{ConnId, ConversationId, Effect, Event};

use super::log::{Budget, dense};
use super::{Desk, Place};
use crate::stop::Outcome;
use crate::visibility::Visibility;

impl Desk<'_> {
    /// What follows `after`, as far as the user may see it; voids keep the device dense.
    pub(super) fn redeliver(
        &mut self,
        conn: ConnId,
        conversation: &ConversationId,
        after: u64,
        attempt: u8,
    ) -> Outcome<Vec<Effect>> {
        let Some(Place { conversation, membership }) = self.place(conversation)? else {
            return Ok(Vec::new());
        };
        let view = Visibility::of(&conversation, &membership);
        let mut budget = Budget {
            entries: self.config.redelivery_entries as usize,
            bytes: self.config.sync_bytes_max as usize,
            first_free: true,
        };
        let range = (after.saturating_add(1), view.head());
        let sight = self.sight(&conversation, &membership, range)?;
        let items = dense(self.reader, &conversation, &sight, range, &mut budget)?.items;
        let push = |item| match item {
            LogItem::Entry(entry) => Event::Entry(Delivered { entry, attempt }),
            LogItem::Void(void) => Event::Void(void),
        };
        Ok(items.into_iter().map(|item| Effect::Push { conn, event: push(item) }).collect())
    }
}
