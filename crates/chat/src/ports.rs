//! What the rules need from the world. Each store implements all of it and passes the one
//! conformance suite (`hubbub_store::conformance`).
//!
//! **Atomicity.** What a [`Writer`] wrote between `begin` and `commit` becomes visible to readers
//! and durable as a whole, or not at all. **Ordering.** There is one writer; a reader's snapshot
//! begun after a `commit` returned sees that commit. **Durability.** `commit` returns after the
//! data has been synced to disk (P1); a crash at any moment leaves the store as of some commit, none
//! that returned missing. **Idempotency.** `append` refuses a second entry of the same sender and
//! client id and says where the first one went.

mod groups;
mod operations;
mod people;
mod presence;
mod push;
mod receipts;
mod retention;
mod settings;

use hubbub_measure::Distribution;
use hubbub_proto::command::Role;
use hubbub_proto::event::ConversationKind;
use hubbub_proto::{ClientId, ConversationId, Effect, Timestamp, UserId};

pub use self::groups::{Groups, WriteGroups};
pub use self::receipts::{Reached, Receipts, Wanted, WriteReceipts};
pub use self::settings::WriteSettings;
use crate::model::{
    Conversation, ConversationKey, Counting, Entry, Member, Membership, NewEntry, Profile,
    Recorded, Rev, Unread, User, UserKey,
};

pub use operations::{OperationWrites, Operations};
pub use people::{People, WritePeople};
pub use presence::{Presences, WritePresences};
pub use push::{AudienceWriter, Audiences};
pub use retention::{Retention, RetentionWrites};

/// Why the store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full. The transaction was rolled back; later ones may succeed.
    #[error("the disk is full")]
    Full,
    /// The directory or a file in it cannot be written.
    #[error("the data directory is read-only: {0}")]
    ReadOnly(String),
    /// Another server holds the data, or, in a transaction, a tool has locked it for a while: it was
    /// rolled back and later ones may succeed.
    #[error("another server is running on this data: {0}")]
    InUse(String),
    /// The data was written by a newer version.
    #[error("the data has schema version {found}, this server knows {known} and older")]
    NewerSchema {
        /// What the store says.
        found: u32,
        /// What this server knows.
        known: u32,
    },
    /// The data is damaged.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// One row could not be written (a constraint); the rest of the batch may be tried without it.
    #[error("a row was refused: {0}")]
    Row(String),
    /// Reading, writing or syncing failed. Nothing may be acked after it.
    #[error("the store failed: {0}")]
    Io(String),
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, StoreError>;

/// How long the store's work with its disk took since the start, in microseconds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StoreTimes {
    /// Commits, each with its sync.
    pub commits: Distribution,
    /// Copying the log back into the database beside the writer.
    pub checkpoints: Distribution,
    /// The last part of that, for which the writer waits.
    pub checkpoint_ends: Distribution,
}

/// A store, shared by all threads; each thread takes a handle of its own.
pub trait Store: Send + Sync {
    /// The name of this store's history; a restore changes it.
    fn epoch(&self) -> &str;
    /// The one handle that writes.
    ///
    /// # Errors
    /// [`StoreError::InUse`] on the second call.
    fn writer(&self) -> Result<Box<dyn Writer>>;
    /// A handle that reads.
    ///
    /// # Errors
    /// When the store cannot be opened.
    fn reader(&self) -> Result<Box<dyn Reader>>;
    /// How long its disk took so far; a store without one has nothing to tell.
    fn times(&self) -> StoreTimes {
        StoreTimes::default()
    }
}

/// Users, by name.
pub trait Users {
    /// The user of that name, if the store has seen them.
    fn user(&mut self, id: &UserId) -> Result<Option<User>>;
}

/// Conversations, memberships and cursors.
pub trait Conversations {
    /// The conversation of that name.
    fn conversation(&mut self, id: &ConversationId) -> Result<Option<Conversation>>;
    /// The place of `user`, also where they left; `None` where they never were.
    fn membership(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
    ) -> Result<Option<Membership>>;
    /// Users with an open stay in a group, in the order of their ids, after `after`, at most
    /// `limit`; none of a direct conversation. The cost is that of the page.
    fn members(
        &mut self,
        conversation: ConversationKey,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<Member>>;
    /// How many have an open stay.
    fn member_count(&mut self, conversation: ConversationKey) -> Result<u64>;
    /// How many of them are owners.
    fn owner_count(&mut self, conversation: ConversationKey) -> Result<u64>;
    /// The ids of conversations of kind group, not dissolved, in which `user` has an open stay.
    fn open_groups(&mut self, user: UserKey) -> Result<Vec<ConversationId>>;
    /// How many those are.
    fn open_group_count(&mut self, user: UserKey) -> Result<u64>;
    /// What changed for `user` after `since`, oldest change first, at most `limit`. A change is
    /// that of the membership, and that of the conversation as long as the stay is open.
    fn changed(
        &mut self,
        user: UserKey,
        since: Rev,
        limit: u32,
    ) -> Result<Vec<(Conversation, Membership)>>;
    /// What changed for `user` before `before` (`None`: up to now), newest change first, at most
    /// `limit`.
    fn recent(
        &mut self,
        user: UserKey,
        before: Option<Rev>,
        limit: u32,
    ) -> Result<Vec<(Conversation, Membership)>>;
}

/// In which order entries are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// From the lowest seq up.
    Ascending,
    /// From the highest seq down.
    Descending,
}

/// Which entries to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Range {
    /// First seq, inclusive.
    pub from: u64,
    /// Last seq, inclusive.
    pub to: u64,
    /// From which end.
    pub order: Order,
    /// How many at most.
    pub limit: u32,
    /// Stop after the entry with which the contents exceed this many bytes.
    pub bytes: usize,
}

/// Entries.
pub trait Messages {
    /// Where the command of `sender` with this client id went, if it was committed (or written in
    /// this transaction).
    fn recorded(&mut self, sender: UserKey, client_id: &ClientId) -> Result<Option<Recorded>>;
    /// The entries of a range, in its order.
    fn entries(&mut self, conversation: ConversationKey, range: Range) -> Result<Vec<Entry>>;
    /// How many messages by others than the reader stand in `from..=to`, neither removed nor
    /// expired nor hidden, and how many mention the reader; counted to at most 100 from the newest
    /// one down, looking at the newest 1,000 entries of the range (P6).
    fn unread(
        &mut self,
        conversation: ConversationKey,
        reader: Counting<'_>,
        from: u64,
        to: u64,
    ) -> Result<Unread>;
    /// The first seq whose entry was written at `at` or later; `None` where there is none.
    fn first_seq_at(&mut self, conversation: ConversationKey, at: Timestamp)
    -> Result<Option<u64>>;
}

/// A handle that reads. Between `begin_read` and `end_read` everything is of one moment.
pub trait Reader:
    Users
    + Conversations
    + Messages
    + Operations
    + Groups
    + Receipts
    + People
    + Audiences
    + Presences
    + Send
{
    /// Begins a snapshot of the newest commit.
    fn begin_read(&mut self) -> Result<()>;
    /// Ends it.
    fn end_read(&mut self) -> Result<()>;
    /// The newest change in the snapshot.
    fn rev(&mut self) -> Result<Rev>;
}

/// The handle that writes; its reads see what it wrote, committed or not.
pub trait Writer:
    Users
    + Conversations
    + Messages
    + Operations
    + OperationWrites
    + Groups
    + WriteGroups
    + WriteSettings
    + Receipts
    + WriteReceipts
    + People
    + WritePeople
    + Audiences
    + AudienceWriter
    + Presences
    + WritePresences
    + Retention
    + RetentionWrites
    + Send
{
    /// The newest change that was committed.
    fn committed_rev(&mut self) -> Result<Rev>;
    /// Begins a transaction.
    fn begin(&mut self) -> Result<()>;
    /// Makes the transaction durable; `rev` is the newest change in it.
    fn commit(&mut self, rev: Rev) -> Result<()>;
    /// Forgets the transaction.
    fn rollback(&mut self) -> Result<()>;

    /// The user of that name, made or given the new display name where they differ. `None` for
    /// `name` leaves the name as it is.
    fn put_user(&mut self, id: &UserId, name: Option<&str>, at: Timestamp) -> Result<User>;

    /// Makes an empty conversation; the id must be free.
    fn create_conversation(
        &mut self,
        id: &ConversationId,
        kind: ConversationKind,
        profile: &Profile,
        at: Timestamp,
    ) -> Result<Conversation>;
    /// Writes back head and rev.
    fn set_head(&mut self, conversation: ConversationKey, head_seq: u64, rev: Rev) -> Result<()>;
    /// Changes what a group shows of itself.
    fn set_profile(&mut self, conversation: ConversationKey, profile: &Profile) -> Result<()>;
    /// Ends the conversation.
    fn dissolve(&mut self, conversation: ConversationKey) -> Result<()>;

    /// Opens a stay; the user must have none open. Cursors of an earlier stay are kept, and raised
    /// to `join_seq - 1`.
    fn open_stay(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        role: Role,
        join_seq: u64,
        rev: Rev,
    ) -> Result<()>;
    /// Closes the open stay; `left_seq` is the last seq it shows. The conversation's name of this
    /// moment is kept with the membership until another stay is opened.
    fn close_stay(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        left_seq: u64,
        rev: Rev,
    ) -> Result<()>;
    /// Gives another role.
    fn set_role(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        role: Role,
        rev: Rev,
    ) -> Result<()>;
    /// Moves cursors forward; a lower value than the stored one changes nothing (P5).
    fn advance_cursors(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        received_seq: u64,
        read_seq: u64,
        rev: Rev,
    ) -> Result<()>;

    /// Writes an entry, unless the sender has used the client id: then nothing is written and the
    /// answer says where the first one went. Its seq must be above those of the log's other entries.
    fn append(&mut self, entry: &NewEntry<'_>) -> Result<Appended>;
}

/// What became of an entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Appended {
    /// Written.
    New,
    /// The client id had been used.
    Duplicate(Recorded),
}

/// The way to the connections. Effects happen in the order given, and those of an earlier call
/// before those of a later one by the same thread.
pub trait Router: Send + Sync {
    /// Hands over effects; never blocks.
    fn post(&self, effects: Vec<Effect>);
    /// The queue has room again: connections parked for it may go on.
    fn resume(&self);
}

/// Time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Names and secrets for what the server itself makes.
pub trait Names: Send {
    /// A new unique name, at most 64 printable characters, sorting after earlier ones.
    fn unique(&mut self, now: Timestamp) -> String;
    /// 128 bits that nobody can guess; `None` where the system has no randomness.
    fn secret(&mut self) -> Option<[u8; 16]>;
    /// The SHA-256 of a text (FIPS 180-4), or in a simulation something like it.
    fn digest(&self, text: &str) -> [u8; 32];
}
