//! What an operator may choose about messaging. Each field is the key of the same name in the
//! section `[chat]` of the configuration file.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hubbub_proto::Who;
use serde::{Deserialize, Serialize};

/// The longest time for which a group may keep its entries where the server keeps them for ever: a
/// hundred years.
const RETENTION_MS_MAX: u64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// The rules' numbers, and the sizes of the services.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChatConfig {
    /// How long a device may have been away and still be caught up entry by entry, in milliseconds
    /// (7 days). Older entries are left to `history`.
    pub offline_window_ms: u64,
    /// Most entries that a `sync` answer offers a user, over all their conversations: those that it
    /// holds and those that are left to `pull`. The rest is left to `history`.
    pub offline_entries_max: u32,
    /// How long a client id is promised to be remembered, in milliseconds (30 days). Announced to
    /// clients, which give up older queued commands.
    pub dedupe_window_ms: u64,
    /// How long entries are kept, in milliseconds; 0: for ever. What is older is wiped and shown to
    /// nobody; its rows go when its client id is not remembered any more.
    pub retention_ms: u64,
    /// The shortest time for which a group may say that its entries are kept, in milliseconds. The
    /// longest is `retention_ms`.
    pub retention_min_ms: u64,
    /// Most entries that one step of the writer wipes for being too old, most that it wipes in groups
    /// that say so themselves, and most whose rows it deletes.
    pub retention_rows_max: u32,
    /// Most members of a group.
    pub group_members_max: u32,
    /// Most groups that a user may be in. Each costs a subscription of each of their connections.
    pub groups_per_user_max: u32,
    /// Most stays of a user in one group: how often they may come back.
    pub stays_max: u32,
    /// Most requests to join that may wait for one group.
    pub join_requests_max: u32,
    /// Most requests to join of one user that may wait, in all groups.
    pub join_requests_per_user_max: u32,
    /// Most users banned from one group.
    pub group_bans_max: u32,
    /// Most links into one group that work.
    pub group_links_max: u32,
    /// Most bytes of a draft.
    pub draft_bytes_max: u32,
    /// Largest group in which a member's receipts go to all the others; above it only to the
    /// member's own devices.
    pub receipt_members_max: u32,
    /// Milliseconds between two receipts of one member in one conversation.
    pub receipt_interval_ms: u64,
    /// How long after sending a message its sender may edit it, in milliseconds (a day); 0: never.
    pub edit_window_ms: u64,
    /// Most edits of one message.
    pub edits_max: u32,
    /// How long after sending a message its sender may take it back, in milliseconds; 0: never.
    pub recall_window_ms: u64,
    /// Most different emojis with which one message is reacted to.
    pub reactions_max: u32,
    /// Whether users who have not chosen otherwise let only friends write to them.
    pub friends_only: bool,
    /// Whether one who is kept out by a block is told so, and not only that they are kept out.
    pub reveal_blocks: bool,
    /// Most friends of a user.
    pub friends_max: u32,
    /// Most friend requests of a user that wait, those sent and those received each.
    pub friend_requests_max: u32,
    /// Most friend requests of a user in a day, evenly renewed.
    pub friend_requests_per_day: u32,
    /// Most users that a user blocks.
    pub blocks_max: u32,
    /// Most relations that ended and of which a user's devices can still learn by `friends`; of
    /// older ones they learn by a `reset`.
    pub ended_relations_max: u32,
    /// Most devices of a user that are kept, and most that are signed out.
    pub devices_max: u32,
    /// How long older tokens are refused on a device that was signed out, in milliseconds. Tokens
    /// should end sooner.
    pub sign_out_window_ms: u64,
    /// Most bytes of the application's data in a profile.
    pub profile_data_bytes_max: u32,
    /// Most pinned messages of one conversation.
    pub pins_max: u32,
    /// Most messages of one conversation that a user hides one by one.
    pub hidden_max: u32,
    /// Most messages whose time was over that one step of the writer removes.
    pub expired_max: u32,
    /// Most entries of one `sync` answer, over all its conversations, and of one `pull`.
    pub sync_entries_max: u32,
    /// Most bytes of entries of one answer: `sync`, `pull` and `history`.
    pub sync_bytes_max: u32,
    /// Most entries that one redelivery sends again.
    pub redelivery_entries: u32,
    /// How long a user whose last connection ended is shown as before, in milliseconds.
    pub presence_grace_ms: u64,
    /// Milliseconds between two events of presence for one connection.
    pub presence_interval_ms: u64,
    /// Most users whose presence is watched by name, over all connections.
    pub presence_watches_max: u32,
    /// Most commands that wait for the writer or a reader; above it connections are parked.
    pub queue_commands_max: u32,
    /// Most bytes of commands that wait; above it connections are parked.
    pub queue_bytes_max: u32,
    /// Threads that answer `history`, `pull`, `sync` and lists.
    pub readers: u16,
    /// Most roles of a user that are looked at for what is pushed to roles; each costs a membership.
    pub push_roles_max: u32,
    /// The section `[push]`.
    #[serde(skip)]
    pub push: PushRules,
    /// Who may give users roles: the section `[admin]`.
    #[serde(skip)]
    pub admin: Who,
    /// The keys `user_…` of the section `[limits]`.
    #[serde(skip)]
    pub user_rates: UserRates,
    /// The keys `…_bytes_max` of the section `[limits]` that are about content.
    #[serde(skip)]
    pub content_bytes: ContentBytes,
}

/// How long content may be, in bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContentBytes {
    /// Of a text.
    pub text: u32,
    /// Of an image, file, audio or video: what describes it.
    pub media: u32,
    /// Of a card or a location.
    pub card: u32,
    /// Of the application's own kinds.
    pub custom: u32,
}

impl Default for ContentBytes {
    fn default() -> Self {
        Self { text: u32::MAX, media: u32::MAX, card: u32::MAX, custom: u32::MAX }
    }
}

/// How much one user may ask for, over all their connections. 0 is without a limit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserRates {
    /// Messages per second, sustained; above it `rate_limited`, as for the others.
    pub messages_per_second: u32,
    /// Other commands that write, per second.
    pub changes_per_second: u32,
    /// Commands that read, per second.
    pub reads_per_second: u32,
    /// `read`, `received`, `typing` and the like, per second.
    pub volatile_per_second: u32,
    /// Commands at once: as many as the rate allows in this time, in milliseconds.
    pub burst_ms: u32,
    /// Groups that a user may make in a day.
    pub group_creates_per_day: u32,
}

impl Default for UserRates {
    /// Without limits; those of a server follow from what one connection may do.
    fn default() -> Self {
        Self {
            messages_per_second: 0,
            changes_per_second: 0,
            reads_per_second: 0,
            volatile_per_second: 0,
            burst_ms: 10_000,
            group_creates_per_day: 0,
        }
    }
}

/// Who may push.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PushRules {
    /// To users, roles and everyone.
    pub send: Who,
    /// Whether keys of back ends may.
    pub by_key: ByKey,
}

impl PushRules {
    /// Whether anybody may, so that users have to be found for what is pushed to many.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.send != Who::Nobody || self.by_key.0.load(Ordering::Relaxed)
    }
}

/// Whether there are keys for something; all copies say the same, and it may change at any time.
#[derive(Clone, Debug, Default)]
pub struct ByKey(Arc<AtomicBool>);

impl ByKey {
    /// There are, or there are none any more.
    pub fn set(&self, are_there: bool) {
        self.0.store(are_there, Ordering::Relaxed);
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.load(Ordering::Relaxed) == other.0.load(Ordering::Relaxed)
    }
}

impl Eq for ByKey {}

impl Default for ChatConfig {
    fn default() -> Self {
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        Self {
            offline_window_ms: 7 * DAY_MS,
            offline_entries_max: 10_000,
            dedupe_window_ms: 30 * DAY_MS,
            retention_ms: 0,
            retention_min_ms: 60 * 60 * 1000,
            retention_rows_max: 500,
            group_members_max: 10_000,
            groups_per_user_max: 1_000,
            stays_max: 1_000,
            join_requests_max: 1_000,
            join_requests_per_user_max: 100,
            group_bans_max: 1_000,
            group_links_max: 50,
            draft_bytes_max: 1_024,
            receipt_members_max: 100,
            receipt_interval_ms: 1_000,
            edit_window_ms: DAY_MS,
            edits_max: 100,
            recall_window_ms: 120_000,
            reactions_max: 20,
            friends_only: false,
            reveal_blocks: false,
            friends_max: 2_000,
            friend_requests_max: 500,
            friend_requests_per_day: 100,
            blocks_max: 2_000,
            ended_relations_max: 500,
            devices_max: 50,
            sign_out_window_ms: 90 * DAY_MS,
            profile_data_bytes_max: 4 * 1024,
            pins_max: 50,
            hidden_max: 500,
            expired_max: 200,
            sync_entries_max: 1_000,
            sync_bytes_max: 256 * 1024,
            redelivery_entries: 50,
            presence_grace_ms: 10_000,
            presence_interval_ms: 1_000,
            presence_watches_max: 1_000_000,
            queue_commands_max: 16_384,
            queue_bytes_max: 64 * 1024 * 1024,
            readers: 2,
            push_roles_max: 32,
            push: PushRules::default(),
            admin: Who::Nobody,
            user_rates: UserRates::default(),
            content_bytes: ContentBytes::default(),
        }
    }
}

/// A key whose value cannot work.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("chat.{key} must be {rule}")]
pub struct InvalidConfig {
    /// Which key.
    pub key: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

impl ChatConfig {
    /// What a group may choose for how long its entries are kept, in milliseconds; empty where that
    /// is nothing.
    #[must_use]
    pub fn group_retentions(&self) -> RangeInclusive<u64> {
        let most = if self.retention_ms == 0 { RETENTION_MS_MAX } else { self.retention_ms };
        self.retention_min_ms..=most
    }

    /// How long entries are kept where a group says this of itself; `None` for ever.
    #[must_use]
    pub fn retention(&self, own_ms: Option<u64>) -> Option<u64> {
        let server_ms = Some(self.retention_ms).filter(|ms| *ms > 0);
        own_ms.into_iter().chain(server_ms).min()
    }

    /// Checks what the types do not.
    ///
    /// # Errors
    /// The first key whose value cannot work.
    pub fn check(&self) -> Result<(), InvalidConfig> {
        let rules = [
            ("offline_window_ms", self.offline_window_ms >= 1_000, "at least 1000"),
            ("offline_entries_max", self.offline_entries_max >= 1, "at least 1"),
            ("dedupe_window_ms", self.dedupe_window_ms >= 1_000, "at least 1000"),
            (
                "retention_ms",
                self.retention_ms == 0 || self.retention_ms >= 60_000,
                "0 or at least 60000",
            ),
            ("retention_min_ms", self.retention_min_ms >= 60_000, "at least 60000"),
            ("retention_rows_max", (1..=10_000).contains(&self.retention_rows_max), "1 to 10000"),
            ("group_members_max", self.group_members_max >= 1, "at least 1"),
            ("groups_per_user_max", self.groups_per_user_max >= 1, "at least 1"),
            ("stays_max", self.stays_max >= 1, "at least 1"),
            ("receipt_interval_ms", self.receipt_interval_ms >= 1, "at least 1"),
            ("edits_max", (1..=1_000).contains(&self.edits_max), "1 to 1000"),
            ("reactions_max", (1..=100).contains(&self.reactions_max), "1 to 100"),
            ("friends_max", self.friends_max >= 1, "at least 1"),
            ("friend_requests_max", self.friend_requests_max >= 1, "at least 1"),
            ("friend_requests_per_day", self.friend_requests_per_day >= 1, "at least 1"),
            ("blocks_max", self.blocks_max >= 1, "at least 1"),
            ("devices_max", self.devices_max >= 1, "at least 1"),
            ("sign_out_window_ms", self.sign_out_window_ms >= 1_000, "at least 1000"),
            ("ended_relations_max", self.ended_relations_max >= 2, "at least 2"),
            ("pins_max", (1..=200).contains(&self.pins_max), "1 to 200"),
            ("hidden_max", (1..=1_000).contains(&self.hidden_max), "1 to 1000"),
            ("expired_max", (1..=10_000).contains(&self.expired_max), "1 to 10000"),
            ("sync_entries_max", (1..=1_000).contains(&self.sync_entries_max), "1 to 1000"),
            ("sync_bytes_max", self.sync_bytes_max >= 1_024, "at least 1024"),
            ("redelivery_entries", (1..=1_000).contains(&self.redelivery_entries), "1 to 1000"),
            ("presence_grace_ms", self.presence_grace_ms <= 3_600_000, "at most 3600000"),
            ("presence_interval_ms", self.presence_interval_ms >= 1, "at least 1"),
            ("queue_commands_max", self.queue_commands_max >= 16, "at least 16"),
            ("queue_bytes_max", self.queue_bytes_max >= 128 * 1024, "at least 131072"),
            ("readers", (1..=64).contains(&self.readers), "1 to 64"),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            Some((key, _, rule)) => Err(InvalidConfig { key, rule }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_a_zero_is_named() {
        assert_eq!(ChatConfig::default().check(), Ok(()));
        let broken = ChatConfig { readers: 0, ..ChatConfig::default() };
        assert_eq!(broken.check().unwrap_err().to_string(), "chat.readers must be 1 to 64");
        // Half of them stay, and of one that would be none.
        let broken = ChatConfig { ended_relations_max: 1, ..ChatConfig::default() };
        assert_eq!(broken.check().unwrap_err().key, "ended_relations_max");
    }
}
