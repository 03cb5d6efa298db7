//! The store as the node sees it: the real one, watched by the journal and broken on request.

mod groups;
mod personal;
mod presence;
mod retention;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hubbub_chat::model::{
    Conversation, ConversationKey, Counted, Counting, Device, Edit, Entry, EntryKey, Member,
    Membership, NewEntry, Pair, Pin, PrivacyChoice, Profile, Recorded, Relation, Rev, Showing,
    Stay, Unread, User, UserKey,
};
use hubbub_chat::ports::{
    Appended, AudienceWriter, Audiences, Conversations, Messages, OperationWrites, Operations,
    People, Range, Reader, Result, Store as _, StoreError, Users, WritePeople, Writer,
};
use hubbub_proto::command::{Emoji, Role};
use hubbub_proto::event::{ConversationKind, Reaction, ReactionCount, Removed};
use hubbub_proto::{ClientId, ConversationId, DeviceId, Timestamp, UserId};
use hubbub_store::MemoryStore;

use crate::journal::{Cursors, Journal};
use crate::sabotage::{PowerLoss, Sabotage};
use crate::trouble::Trouble;

/// A store with a journal beside it.
#[derive(Clone, Debug)]
pub(crate) struct SpyStore {
    pub(crate) inner: MemoryStore,
    pub(crate) power_loss: PowerLoss,
    pub(crate) trouble: Trouble,
    journal: Arc<Mutex<Journal>>,
    sabotage: Option<Sabotage>,
}

impl SpyStore {
    pub(crate) fn new(sabotage: Option<Sabotage>, seed: u64, trouble_per_mille: u64) -> Self {
        Self {
            inner: MemoryStore::with_epoch("epoch-of-the-simulation"),
            power_loss: PowerLoss::default(),
            trouble: Trouble::new(seed, trouble_per_mille),
            journal: Arc::default(),
            sabotage,
        }
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn writer(&self) -> Result<Box<dyn Writer>> {
        Ok(Box::new(Spy { inner: self.inner.writer()?, store: self.clone() }))
    }

    pub(crate) fn reader(&self) -> Result<Box<dyn Reader>> {
        Ok(Box::new(Spy { inner: self.inner.reader()?, store: self.clone() }))
    }
}

struct Spy<T: ?Sized> {
    inner: Box<T>,
    store: SpyStore,
}

impl<T: ?Sized> Spy<T> {
    fn is(&self, sabotage: Sabotage) -> bool {
        self.store.sabotage == Some(sabotage)
    }

    fn twist(&self, membership: &mut Membership) {
        if self.is(Sabotage::ForgetStays) {
            membership.stays = vec![Stay { join_seq: 1, left_seq: None }];
        }
        if self.is(Sabotage::ForgetMutes) {
            membership.silenced = None;
        }
        if self.is(Sabotage::ForgetRoles) {
            membership.role = Role::Owner;
        }
    }
}

impl<T: Users + ?Sized> Users for Spy<T> {
    fn user(&mut self, id: &UserId) -> Result<Option<User>> {
        let mut user = self.inner.user(id)?;
        if let (true, Some(user)) = (self.is(Sabotage::ForgetPrivacy), &mut user) {
            user.privacy = PrivacyChoice::default();
        }
        Ok(user)
    }
}

impl<T: Conversations + ?Sized> Conversations for Spy<T> {
    fn conversation(&mut self, id: &ConversationId) -> Result<Option<Conversation>> {
        let mut conversation = self.inner.conversation(id)?;
        if let (true, Some(conversation)) = (self.is(Sabotage::ForgetMutes), &mut conversation) {
            conversation.silenced = None;
        }
        Ok(conversation)
    }

    fn membership(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
    ) -> Result<Option<Membership>> {
        let mut membership = self.inner.membership(conversation, user)?;
        if let Some(membership) = &mut membership {
            self.twist(membership);
        }
        Ok(membership)
    }

    fn members(
        &mut self,
        conversation: ConversationKey,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<Member>> {
        self.inner.members(conversation, after, limit)
    }

    fn member_count(&mut self, conversation: ConversationKey) -> Result<u64> {
        self.inner.member_count(conversation)
    }

    fn owner_count(&mut self, conversation: ConversationKey) -> Result<u64> {
        self.inner.owner_count(conversation)
    }

    fn open_groups(&mut self, user: UserKey) -> Result<Vec<ConversationId>> {
        self.inner.open_groups(user)
    }

    fn open_group_count(&mut self, user: UserKey) -> Result<u64> {
        self.inner.open_group_count(user)
    }

    fn changed(
        &mut self,
        user: UserKey,
        since: Rev,
        limit: u32,
    ) -> Result<Vec<(Conversation, Membership)>> {
        let mut rows = self.inner.changed(user, since, limit)?;
        rows.iter_mut().for_each(|(_, membership)| self.twist(membership));
        Ok(rows)
    }

    fn recent(
        &mut self,
        user: UserKey,
        before: Option<Rev>,
        limit: u32,
    ) -> Result<Vec<(Conversation, Membership)>> {
        let mut rows = self.inner.recent(user, before, limit)?;
        rows.iter_mut().for_each(|(_, membership)| self.twist(membership));
        Ok(rows)
    }
}

impl<T: Audiences + ?Sized> Audiences for Spy<T> {
    fn audiences_of(&mut self, user: UserKey) -> Result<Vec<(ConversationKey, ConversationId)>> {
        self.inner.audiences_of(user)
    }
}

impl AudienceWriter for Spy<dyn Writer> {
    fn enter_audience(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        head_seq: u64,
        stays_max: u32,
        rev: Rev,
    ) -> Result<()> {
        self.store.journal().note_audience(conversation, user, Some(stays_max));
        self.inner.enter_audience(conversation, user, head_seq, stays_max, rev)
    }

    fn leave_audience(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        head_seq: u64,
        rev: Rev,
    ) -> Result<()> {
        self.store.journal().note_audience(conversation, user, None);
        self.inner.leave_audience(conversation, user, head_seq, rev)
    }
}

impl<T: Messages + ?Sized> Messages for Spy<T> {
    fn recorded(&mut self, sender: UserKey, client_id: &ClientId) -> Result<Option<Recorded>> {
        if self.is(Sabotage::ForgetClientIds) {
            return Ok(None);
        }
        self.inner.recorded(sender, client_id)
    }

    fn entries(&mut self, conversation: ConversationKey, range: Range) -> Result<Vec<Entry>> {
        let mut entries = self.inner.entries(conversation, range)?;
        if self.is(Sabotage::LoseHeads) {
            for head in entries.iter_mut().filter_map(|entry| entry.head.as_mut()) {
                (head.forwarded, head.mentions, head.mention_all) = (None, Vec::new(), false);
            }
        }
        if self.is(Sabotage::ShowExpired) {
            for head in entries.iter_mut().filter_map(|entry| entry.head.as_mut()) {
                head.expires_at = None;
            }
        }
        // The oracle itself reads with the journal open.
        if self.is(Sabotage::ForgetRemovals)
            && let Ok(journal) = self.store.journal.try_lock()
        {
            for entry in entries.iter_mut().filter(|entry| entry.fate.removed.is_some()) {
                entry.fate.removed = None;
                let committed = journal.find(conversation).and_then(|log| log.entry(entry.seq));
                entry.content = committed.map_or(entry.content.clone(), |was| was.content.clone());
            }
        }
        Ok(entries)
    }

    fn unread(
        &mut self,
        conversation: ConversationKey,
        reader: Counting<'_>,
        from: u64,
        to: u64,
    ) -> Result<Unread> {
        if self.is(Sabotage::CountRemovedMessages) {
            let journal = self.store.journal();
            let counts = |seq: &u64| {
                let entry = journal.find(conversation).and_then(|log| log.entry(*seq));
                entry.is_some_and(|entry| {
                    journal.user(reader.user) != Some(&entry.sender)
                        && entry.kind.counts_as_unread()
                })
            };
            let count = u32::try_from((from..=to).filter(counts).count()).unwrap_or(u32::MAX);
            return Ok(Unread { count, ..self.inner.unread(conversation, reader, from, to)? });
        }
        let user = if self.is(Sabotage::CountOwnMessages) { UserKey(-1) } else { reader.user };
        let reader = Counting { user, ..reader };
        let unread = self.inner.unread(conversation, reader, from, to)?;
        if self.is(Sabotage::LoseMentions) {
            return Ok(Unread { count: unread.count, ..Unread::default() });
        }
        Ok(unread)
    }

    fn first_seq_at(
        &mut self,
        conversation: ConversationKey,
        at: Timestamp,
    ) -> Result<Option<u64>> {
        self.inner.first_seq_at(conversation, at)
    }
}

impl<T: Operations + ?Sized> Operations for Spy<T> {
    fn edit(&mut self, conversation: ConversationKey, rev: Rev) -> Result<Option<Edit>> {
        if self.is(Sabotage::LoseEdits) {
            return Ok(None);
        }
        self.inner.edit(conversation, rev)
    }

    fn emojis(&mut self, target: EntryKey) -> Result<Vec<Emoji>> {
        self.inner.emojis(target)
    }

    fn has_reaction(&mut self, target: EntryKey, emoji: &Emoji, user: UserKey) -> Result<bool> {
        self.inner.has_reaction(target, emoji, user)
    }

    fn reaction_counts(
        &mut self,
        target: EntryKey,
        reader: UserKey,
        through: u64,
    ) -> Result<Vec<ReactionCount>> {
        self.inner.reaction_counts(target, reader, through)
    }

    fn reactions(
        &mut self,
        target: EntryKey,
        emoji: Option<&Emoji>,
        after: Option<(&Emoji, UserKey)>,
        through: u64,
        limit: u32,
    ) -> Result<Vec<Reaction>> {
        self.inner.reactions(target, emoji, after, through, limit)
    }

    fn pins(&mut self, conversation: ConversationKey) -> Result<Vec<Pin>> {
        self.inner.pins(conversation)
    }

    fn hidden(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        range: (u64, u64),
        limit: u32,
    ) -> Result<Vec<u64>> {
        self.inner.hidden(conversation, user, range, limit)
    }

    fn expired(&mut self, now: Timestamp, limit: u32) -> Result<Vec<EntryKey>> {
        self.inner.expired(now, limit)
    }

    fn next_expiry(&mut self) -> Result<Option<Timestamp>> {
        self.inner.next_expiry()
    }

    fn joined_after(
        &mut self,
        conversation: ConversationKey,
        seq: u64,
    ) -> Result<Vec<(u64, UserId)>> {
        self.inner.joined_after(conversation, seq)
    }
}

impl OperationWrites for Spy<dyn Writer> {
    fn chain_edit(&mut self, target: EntryKey, edit: EntryKey) -> Result<()> {
        self.inner.chain_edit(target, edit)
    }

    fn remove(&mut self, target: EntryKey, removed: Removed) -> Result<()> {
        let kept = self.is(Sabotage::KeepExpired) || self.is(Sabotage::ShowExpired);
        if kept && removed == Removed::Expired {
            return Ok(());
        }
        self.inner.remove(target, removed)
    }

    fn put_pin(&mut self, target: EntryKey, by_seq: u64, by: UserKey, at: Timestamp) -> Result<()> {
        if self.is(Sabotage::LosePins) {
            return Ok(());
        }
        self.inner.put_pin(target, by_seq, by, at)
    }

    fn drop_pin(&mut self, target: EntryKey) -> Result<()> {
        self.inner.drop_pin(target)
    }

    fn hide(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        seq: u64,
        rev: Rev,
    ) -> Result<()> {
        self.store.journal().note_hidden(conversation, user, seq, false);
        if self.is(Sabotage::ForgetHidden) {
            return Ok(());
        }
        self.inner.hide(conversation, user, seq, rev)
    }

    fn clear(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        seq: u64,
        rev: Rev,
    ) -> Result<()> {
        self.store.journal().note_hidden(conversation, user, seq, true);
        if self.is(Sabotage::ForgetCleared) {
            return Ok(());
        }
        self.inner.clear(conversation, user, seq, rev)
    }

    fn put_reaction(
        &mut self,
        target: EntryKey,
        emoji: &Emoji,
        user: UserKey,
        seq: u64,
        at: Timestamp,
    ) -> Result<()> {
        if self.is(Sabotage::LoseReactions) {
            return Ok(());
        }
        self.inner.put_reaction(target, emoji, user, seq, at)
    }

    fn drop_reaction(&mut self, target: EntryKey, emoji: &Emoji, user: UserKey) -> Result<()> {
        self.inner.drop_reaction(target, emoji, user)
    }
}

impl<T: People + ?Sized> People for Spy<T> {
    fn pair(&mut self, user: UserKey, other: UserKey) -> Result<Pair> {
        let mut pair = self.inner.pair(user, other)?;
        if self.is(Sabotage::ForgetBlocks) {
            (pair.mine.blocked, pair.theirs.blocked) = (false, false);
        }
        Ok(pair)
    }

    fn relation(&mut self, user: UserKey, other: UserKey) -> Result<Option<Relation>> {
        self.inner.relation(user, other)
    }

    fn relations(
        &mut self,
        user: UserKey,
        since: Rev,
        tombstones: bool,
        limit: u32,
    ) -> Result<Vec<(User, Relation)>> {
        self.inner.relations(user, since, tombstones, limit)
    }

    fn relations_rev(&mut self, user: UserKey) -> Result<(Rev, Rev)> {
        self.inner.relations_rev(user)
    }

    fn relation_count(&mut self, user: UserKey, counted: Counted) -> Result<u64> {
        self.inner.relation_count(user, counted)
    }

    fn friends_of(&mut self, user: UserKey, limit: u32) -> Result<Vec<User>> {
        self.inner.friends_of(user, limit)
    }

    fn roles(&mut self, user: UserKey) -> Result<Arc<[Box<str>]>> {
        self.inner.roles(user)
    }

    fn showing(&mut self, user: UserKey) -> Result<Showing> {
        self.inner.showing(user)
    }

    fn devices(&mut self, user: UserKey) -> Result<Vec<Device>> {
        self.inner.devices(user)
    }

    fn signed_out(
        &mut self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<(UserId, DeviceId, Timestamp)>> {
        self.inner.signed_out(since, limit)
    }
}

impl WritePeople for Spy<dyn Writer> {
    fn put_relation(&mut self, user: UserKey, other: UserKey, relation: &Relation) -> Result<()> {
        self.store.journal().note_relation(user, other, relation.side);
        self.inner.put_relation(user, other, relation)
    }

    fn forget_relations(&mut self, user: UserKey, keep: u32) -> Result<()> {
        self.inner.forget_relations(user, keep)
    }

    fn put_privacy(&mut self, user: UserKey, privacy: PrivacyChoice, rev: Rev) -> Result<()> {
        self.store.journal().note_privacy(user, privacy);
        self.inner.put_privacy(user, privacy, rev)
    }

    fn put_roles(&mut self, user: UserKey, roles: &[Box<str>], rev: Rev) -> Result<()> {
        self.inner.put_roles(user, roles, rev)
    }

    fn put_showing(&mut self, user: UserKey, showing: &Showing) -> Result<()> {
        self.inner.put_showing(user, showing)
    }

    fn put_device(&mut self, user: UserKey, device: &Device, keep: u32) -> Result<()> {
        self.inner.put_device(user, device, keep)
    }
}

impl Reader for Spy<dyn Reader> {
    fn begin_read(&mut self) -> Result<()> {
        self.inner.begin_read()
    }

    fn end_read(&mut self) -> Result<()> {
        self.inner.end_read()
    }

    fn rev(&mut self) -> Result<Rev> {
        self.inner.rev()
    }
}

impl Writer for Spy<dyn Writer> {
    fn committed_rev(&mut self) -> Result<Rev> {
        self.inner.committed_rev()
    }

    fn begin(&mut self) -> Result<()> {
        self.store.journal().rolled_back();
        self.inner.begin()
    }

    fn commit(&mut self, rev: Rev) -> Result<()> {
        if self.store.power_loss.is_set() {
            self.store.journal().rolled_back();
            return self.inner.rollback();
        }
        if self.store.trouble.strikes() {
            return Err(StoreError::Full);
        }
        self.inner.commit(rev)?;
        self.store.journal().committed();
        Ok(())
    }

    fn rollback(&mut self) -> Result<()> {
        self.store.journal().rolled_back();
        self.inner.rollback()
    }

    fn put_user(&mut self, id: &UserId, name: Option<&str>, at: Timestamp) -> Result<User> {
        let user = self.inner.put_user(id, name, at)?;
        self.store.journal().note_user(user.key, id);
        Ok(user)
    }

    fn create_conversation(
        &mut self,
        id: &ConversationId,
        kind: ConversationKind,
        profile: &Profile,
        at: Timestamp,
    ) -> Result<Conversation> {
        let row = self.inner.create_conversation(id, kind, profile, at)?;
        self.store.journal().note_conversation(row.key, id);
        Ok(row)
    }

    fn set_head(&mut self, conversation: ConversationKey, head_seq: u64, rev: Rev) -> Result<()> {
        let skipped = u64::from(self.is(Sabotage::SkipSeq));
        self.inner.set_head(conversation, head_seq + skipped, rev)
    }

    fn set_profile(&mut self, conversation: ConversationKey, profile: &Profile) -> Result<()> {
        self.inner.set_profile(conversation, profile)
    }

    fn dissolve(&mut self, conversation: ConversationKey) -> Result<()> {
        self.inner.dissolve(conversation)
    }

    fn open_stay(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        role: Role,
        join_seq: u64,
        rev: Rev,
    ) -> Result<()> {
        self.inner.open_stay(conversation, user, role, join_seq, rev)
    }

    fn close_stay(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        left_seq: u64,
        rev: Rev,
    ) -> Result<()> {
        self.inner.close_stay(conversation, user, left_seq, rev)
    }

    fn set_role(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        role: Role,
        rev: Rev,
    ) -> Result<()> {
        self.inner.set_role(conversation, user, role, rev)
    }

    fn advance_cursors(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        received_seq: u64,
        read_seq: u64,
        rev: Rev,
    ) -> Result<()> {
        let read_seq = if self.is(Sabotage::LoseRead) { 0 } else { read_seq };
        let to = Cursors { received: received_seq, read: read_seq };
        self.store.journal().note_cursors(conversation, user, to);
        self.inner.advance_cursors(conversation, user, received_seq, read_seq, rev)
    }

    fn append(&mut self, entry: &NewEntry<'_>) -> Result<Appended> {
        if self.store.trouble.strikes() {
            return Err(StoreError::Row("trouble".to_owned()));
        }
        let mut appended = self.inner.append(entry)?;
        if let (true, Appended::Duplicate(_), Ok(renamed)) = (
            self.is(Sabotage::ForgetClientIds),
            &appended,
            ClientId::new(&format!("forgotten-{}", entry.rev.0)),
        ) {
            appended = self.inner.append(&NewEntry { client_id: &renamed, ..entry.clone() })?;
        }
        if appended == Appended::New {
            self.store.journal().note_entry(entry);
        }
        Ok(appended)
    }
}
