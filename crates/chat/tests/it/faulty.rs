//! A store whose writer fails on demand, and that notes what it is asked to do.

mod presence;
mod retention;

use std::sync::{Arc, Mutex};

use hubbub_chat::model::{
    Ban, Conversation, ConversationKey, Counted, Counting, Device, Edit, Entry, EntryKey,
    JoinRequest, Link, Member, Membership, NewEntry, Pair, Pin, PrivacyChoice, Profile, Recorded,
    Relation, Rev, Settings, Showing, Unread, Until, User, UserKey,
};
use hubbub_chat::ports::{
    Appended, AudienceWriter, Audiences, Conversations, Groups, Messages, OperationWrites,
    Operations, Order, People, Range, Reached, Receipts, Result, Store, StoreError, Users, Wanted,
    WriteGroups, WritePeople, WriteReceipts, WriteSettings, Writer,
};
use hubbub_proto::command::{Emoji, Role};
use hubbub_proto::event::{ConversationKind, Reaction, ReactionCount, Removed};
use hubbub_proto::{ClientId, ConversationId, DeviceId, Timestamp, UserId};
use hubbub_store::MemoryStore;

/// What to do wrong.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Fault {
    #[default]
    None,
    /// `append` refuses the row of this client id.
    Row(&'static str),
    /// `append` finds the disk full.
    FullAtAppend,
    /// `commit` finds the disk full.
    FullAtCommit,
    /// `commit` fails.
    IoAtCommit,
    /// `advance_cursors` refuses the row.
    CursorRow,
    /// `retire` refuses the row.
    RetireRow,
}

#[derive(Default)]
pub(crate) struct Script {
    pub(crate) fault: Fault,
    /// What the writer was asked for.
    pub(crate) calls: Vec<&'static str>,
    /// How many rows it answered with about who joined after messages.
    pub(crate) latecomers: usize,
}

pub(crate) struct Faulty {
    inner: Box<dyn Writer>,
    script: Arc<Mutex<Script>>,
}

impl Faulty {
    pub(crate) fn over(store: &MemoryStore) -> (Self, Arc<Mutex<Script>>) {
        let script = Arc::<Mutex<Script>>::default();
        (Self { inner: store.writer().unwrap(), script: Arc::clone(&script) }, script)
    }

    /// Notes a call and says what is to go wrong.
    fn note(&self, call: &'static str) -> Fault {
        let mut script = self.script.lock().unwrap();
        script.calls.push(call);
        script.fault
    }
}

impl Users for Faulty {
    fn user(&mut self, id: &UserId) -> Result<Option<User>> {
        self.note("user");
        self.inner.user(id)
    }
}

impl Audiences for Faulty {
    fn audiences_of(&mut self, user: UserKey) -> Result<Vec<(ConversationKey, ConversationId)>> {
        self.inner.audiences_of(user)
    }
}

impl AudienceWriter for Faulty {
    fn enter_audience(
        &mut self,
        c: ConversationKey,
        user: UserKey,
        head_seq: u64,
        stays_max: u32,
        rev: Rev,
    ) -> Result<()> {
        self.note("enter_audience");
        self.inner.enter_audience(c, user, head_seq, stays_max, rev)
    }

    fn leave_audience(
        &mut self,
        c: ConversationKey,
        user: UserKey,
        head_seq: u64,
        rev: Rev,
    ) -> Result<()> {
        self.note("leave_audience");
        self.inner.leave_audience(c, user, head_seq, rev)
    }
}

impl Conversations for Faulty {
    fn conversation(&mut self, id: &ConversationId) -> Result<Option<Conversation>> {
        self.note("conversation");
        self.inner.conversation(id)
    }

    fn membership(&mut self, c: ConversationKey, user: UserKey) -> Result<Option<Membership>> {
        self.note("membership");
        self.inner.membership(c, user)
    }

    fn members(
        &mut self,
        c: ConversationKey,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<Member>> {
        self.inner.members(c, after, limit)
    }

    fn member_count(&mut self, c: ConversationKey) -> Result<u64> {
        self.note("member_count");
        self.inner.member_count(c)
    }

    fn owner_count(&mut self, c: ConversationKey) -> Result<u64> {
        self.inner.owner_count(c)
    }

    fn open_group_count(&mut self, user: UserKey) -> Result<u64> {
        self.inner.open_group_count(user)
    }

    fn open_groups(&mut self, user: UserKey) -> Result<Vec<ConversationId>> {
        self.inner.open_groups(user)
    }

    fn changed(
        &mut self,
        user: UserKey,
        since: Rev,
        limit: u32,
    ) -> Result<Vec<(Conversation, Membership)>> {
        self.inner.changed(user, since, limit)
    }

    fn recent(
        &mut self,
        user: UserKey,
        before: Option<Rev>,
        limit: u32,
    ) -> Result<Vec<(Conversation, Membership)>> {
        self.inner.recent(user, before, limit)
    }
}

impl Messages for Faulty {
    fn recorded(&mut self, sender: UserKey, client_id: &ClientId) -> Result<Option<Recorded>> {
        self.note("recorded");
        self.inner.recorded(sender, client_id)
    }

    fn entries(&mut self, c: ConversationKey, range: Range) -> Result<Vec<Entry>> {
        self.note("entries");
        assert_eq!(range.order, Order::Descending);
        self.inner.entries(c, range)
    }

    fn unread(
        &mut self,
        c: ConversationKey,
        reader: Counting<'_>,
        from: u64,
        to: u64,
    ) -> Result<Unread> {
        self.inner.unread(c, reader, from, to)
    }

    fn first_seq_at(&mut self, c: ConversationKey, at: Timestamp) -> Result<Option<u64>> {
        self.inner.first_seq_at(c, at)
    }
}

impl Operations for Faulty {
    fn edit(&mut self, conversation: ConversationKey, rev: Rev) -> Result<Option<Edit>> {
        self.note("edit");
        self.inner.edit(conversation, rev)
    }

    fn emojis(&mut self, target: EntryKey) -> Result<Vec<Emoji>> {
        self.note("emojis");
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
        self.note("pins");
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
        let joined = self.inner.joined_after(conversation, seq)?;
        self.script.lock().unwrap().latecomers += joined.len();
        Ok(joined)
    }
}

impl OperationWrites for Faulty {
    fn chain_edit(&mut self, target: EntryKey, edit: EntryKey) -> Result<()> {
        self.inner.chain_edit(target, edit)
    }

    fn remove(&mut self, target: EntryKey, removed: Removed) -> Result<()> {
        self.inner.remove(target, removed)
    }

    fn put_pin(&mut self, target: EntryKey, by_seq: u64, by: UserKey, at: Timestamp) -> Result<()> {
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
        self.inner.hide(conversation, user, seq, rev)
    }

    fn clear(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        seq: u64,
        rev: Rev,
    ) -> Result<()> {
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
        self.inner.put_reaction(target, emoji, user, seq, at)
    }

    fn drop_reaction(&mut self, target: EntryKey, emoji: &Emoji, user: UserKey) -> Result<()> {
        self.inner.drop_reaction(target, emoji, user)
    }
}

impl Groups for Faulty {
    fn ban(&mut self, c: ConversationKey, user: UserKey) -> Result<Option<Ban>> {
        self.inner.ban(c, user)
    }

    fn bans(
        &mut self,
        c: ConversationKey,
        now: Timestamp,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<(User, Ban)>> {
        self.inner.bans(c, now, after, limit)
    }

    fn ban_count(&mut self, c: ConversationKey, now: Timestamp) -> Result<u64> {
        self.inner.ban_count(c, now)
    }

    fn join_request(&mut self, c: ConversationKey, user: UserKey) -> Result<Option<JoinRequest>> {
        self.inner.join_request(c, user)
    }

    fn join_requests(
        &mut self,
        c: ConversationKey,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<(User, JoinRequest)>> {
        self.inner.join_requests(c, after, limit)
    }

    fn join_request_count(&mut self, c: ConversationKey) -> Result<u64> {
        self.inner.join_request_count(c)
    }

    fn own_join_request_count(&mut self, user: UserKey) -> Result<u64> {
        self.inner.own_join_request_count(user)
    }

    fn links(&mut self, c: ConversationKey) -> Result<Vec<Link>> {
        self.inner.links(c)
    }

    fn managers(&mut self, c: ConversationKey, limit: u32) -> Result<Vec<UserId>> {
        self.inner.managers(c, limit)
    }
}

impl WriteGroups for Faulty {
    fn put_ban(
        &mut self,
        c: ConversationKey,
        user: UserKey,
        by: UserKey,
        at: Timestamp,
        until: Until,
    ) -> Result<()> {
        self.inner.put_ban(c, user, by, at, until)
    }

    fn remove_ban(&mut self, c: ConversationKey, user: UserKey) -> Result<()> {
        self.inner.remove_ban(c, user)
    }

    fn put_join_request(
        &mut self,
        c: ConversationKey,
        user: UserKey,
        request: &JoinRequest,
    ) -> Result<()> {
        self.inner.put_join_request(c, user, request)
    }

    fn remove_join_request(&mut self, c: ConversationKey, user: UserKey) -> Result<()> {
        self.inner.remove_join_request(c, user)
    }

    fn put_link(&mut self, c: ConversationKey, by: UserKey, link: &Link) -> Result<()> {
        self.inner.put_link(c, by, link)
    }

    fn use_link(&mut self, c: ConversationKey, digest: &[u8; 32]) -> Result<()> {
        self.inner.use_link(c, digest)
    }

    fn remove_link(&mut self, c: ConversationKey, digest: &[u8; 32]) -> Result<()> {
        self.inner.remove_link(c, digest)
    }

    fn close_doors(&mut self, c: ConversationKey) -> Result<()> {
        self.inner.close_doors(c)
    }

    fn silence(
        &mut self,
        c: ConversationKey,
        user: UserKey,
        until: Option<Until>,
        rev: Rev,
    ) -> Result<()> {
        self.inner.silence(c, user, until, rev)
    }

    fn silence_all(&mut self, c: ConversationKey, until: Option<Until>) -> Result<()> {
        self.inner.silence_all(c, until)
    }
}

impl People for Faulty {
    fn pair(&mut self, user: UserKey, other: UserKey) -> Result<Pair> {
        self.note("pair");
        self.inner.pair(user, other)
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
        self.note("roles");
        self.inner.roles(user)
    }

    fn showing(&mut self, user: UserKey) -> Result<Showing> {
        self.note("showing");
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

impl WritePeople for Faulty {
    fn put_relation(&mut self, user: UserKey, other: UserKey, relation: &Relation) -> Result<()> {
        self.note("put_relation");
        self.inner.put_relation(user, other, relation)
    }

    fn forget_relations(&mut self, user: UserKey, keep: u32) -> Result<()> {
        self.inner.forget_relations(user, keep)
    }

    fn put_privacy(&mut self, user: UserKey, privacy: PrivacyChoice, rev: Rev) -> Result<()> {
        self.note("put_privacy");
        self.inner.put_privacy(user, privacy, rev)
    }

    fn put_roles(&mut self, user: UserKey, roles: &[Box<str>], rev: Rev) -> Result<()> {
        self.note("put_roles");
        self.inner.put_roles(user, roles, rev)
    }

    fn put_showing(&mut self, user: UserKey, showing: &Showing) -> Result<()> {
        self.note("put_showing");
        self.inner.put_showing(user, showing)
    }

    fn put_device(&mut self, user: UserKey, device: &Device, keep: u32) -> Result<()> {
        self.inner.put_device(user, device, keep)
    }
}

impl WriteSettings for Faulty {
    fn set_settings(
        &mut self,
        c: ConversationKey,
        user: UserKey,
        settings: &Settings,
        rev: Rev,
    ) -> Result<()> {
        self.inner.set_settings(c, user, settings, rev)
    }
}

impl Receipts for Faulty {
    fn receipts_wanted(
        &mut self,
        c: ConversationKey,
        from: u64,
        to: u64,
        limit: u32,
    ) -> Result<Vec<Wanted>> {
        self.note("receipts_wanted");
        self.inner.receipts_wanted(c, from, to, limit)
    }

    fn newest_receipt_wanted(&mut self, c: ConversationKey) -> Result<u64> {
        self.note("newest_receipt_wanted");
        self.inner.newest_receipt_wanted(c)
    }

    fn reached(
        &mut self,
        c: ConversationKey,
        seq: u64,
        except: UserKey,
        visit: &mut dyn FnMut(Reached),
    ) -> Result<()> {
        self.inner.reached(c, seq, except, visit)
    }
}

impl WriteReceipts for Faulty {
    fn want_receipt(&mut self, c: ConversationKey, seq: u64, rev: Rev) -> Result<()> {
        self.inner.want_receipt(c, seq, rev)
    }
}

impl Writer for Faulty {
    fn committed_rev(&mut self) -> Result<Rev> {
        self.inner.committed_rev()
    }

    fn begin(&mut self) -> Result<()> {
        self.note("begin");
        self.inner.begin()
    }

    fn commit(&mut self, rev: Rev) -> Result<()> {
        match self.note("commit") {
            Fault::FullAtCommit => {
                self.inner.rollback()?;
                Err(StoreError::Full)
            }
            Fault::IoAtCommit => Err(StoreError::Io("the disk is gone".into())),
            _ => self.inner.commit(rev),
        }
    }

    fn rollback(&mut self) -> Result<()> {
        self.note("rollback");
        self.inner.rollback()
    }

    fn put_user(&mut self, id: &UserId, name: Option<&str>, at: Timestamp) -> Result<User> {
        self.note("put_user");
        self.inner.put_user(id, name, at)
    }

    fn create_conversation(
        &mut self,
        id: &ConversationId,
        kind: ConversationKind,
        profile: &Profile,
        at: Timestamp,
    ) -> Result<Conversation> {
        self.note("create_conversation");
        self.inner.create_conversation(id, kind, profile, at)
    }

    fn set_head(&mut self, c: ConversationKey, head_seq: u64, rev: Rev) -> Result<()> {
        self.note("set_head");
        self.inner.set_head(c, head_seq, rev)
    }

    fn set_profile(&mut self, c: ConversationKey, profile: &Profile) -> Result<()> {
        self.inner.set_profile(c, profile)
    }

    fn dissolve(&mut self, c: ConversationKey) -> Result<()> {
        self.inner.dissolve(c)
    }

    fn open_stay(
        &mut self,
        c: ConversationKey,
        user: UserKey,
        role: Role,
        join_seq: u64,
        rev: Rev,
    ) -> Result<()> {
        self.note("open_stay");
        self.inner.open_stay(c, user, role, join_seq, rev)
    }

    fn close_stay(
        &mut self,
        c: ConversationKey,
        user: UserKey,
        left_seq: u64,
        rev: Rev,
    ) -> Result<()> {
        self.inner.close_stay(c, user, left_seq, rev)
    }

    fn set_role(&mut self, c: ConversationKey, user: UserKey, role: Role, rev: Rev) -> Result<()> {
        self.inner.set_role(c, user, role, rev)
    }

    fn advance_cursors(
        &mut self,
        c: ConversationKey,
        user: UserKey,
        received_seq: u64,
        read_seq: u64,
        rev: Rev,
    ) -> Result<()> {
        match self.note("advance_cursors") {
            Fault::CursorRow => Err(StoreError::Row("a cursor".into())),
            _ => self.inner.advance_cursors(c, user, received_seq, read_seq, rev),
        }
    }

    fn append(&mut self, entry: &NewEntry<'_>) -> Result<Appended> {
        match self.note("append") {
            Fault::Row(id) if entry.client_id.as_str() == id => Err(StoreError::Row(id.into())),
            Fault::FullAtAppend => Err(StoreError::Full),
            _ => self.inner.append(entry),
        }
    }
}
