//! Conversations, members, stays and entries as the rules and the stores see them.

mod people;
mod presence;

use hubbub_proto::command::{Content, JoinPolicy, Kind, Role};
use hubbub_proto::event::{ConversationKind, Head, Removed};
use hubbub_proto::{ClientId, ConversationId, Timestamp, UserId};

pub use people::*;
pub use presence::KeptPresence;

/// The store's short name of a user.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UserKey(pub i64);

/// The store's short name of a conversation.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConversationKey(pub i64);

/// A number that orders every change of the store: each entry and each change of a membership has
/// one of its own. An entry's is also its message id.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Rev(pub u64);

/// A user that the store has seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// Short name.
    pub key: UserKey,
    /// Name.
    pub id: UserId,
    /// Display name, from the newest token.
    pub name: Option<Box<str>>,
    /// Whom they let near.
    pub privacy: PrivacyChoice,
}

/// What a group shows of itself. Empty for direct conversations.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Profile {
    /// Shown to members.
    pub name: Option<Box<str>>,
    /// Who may join.
    pub join: JoinPolicy,
    /// What all members are to read.
    pub announcement: Option<Box<str>>,
    /// How long its entries are kept, in milliseconds, where it says so itself; never 0.
    pub retention_ms: Option<u64>,
}

/// A conversation's row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conversation {
    /// Short name.
    pub key: ConversationKey,
    /// Name.
    pub id: ConversationId,
    /// Direct or group.
    pub kind: ConversationKind,
    /// The newest seq; 0 while empty.
    pub head_seq: u64,
    /// Everything up to here is gone; 0 at first.
    pub floor_seq: u64,
    /// The newest change.
    pub rev: Rev,
    /// Name and policy.
    pub profile: Profile,
    /// No entry follows, and nobody is a member any more.
    pub dissolved: bool,
    /// All but owner and admins may only read.
    pub silenced: Option<Until>,
}

/// When something ends by itself, if nobody ends it before.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Until(Timestamp);

impl Until {
    /// The moment for what does not end by itself; what a store can hold.
    const NEVER: u64 = i64::MAX as u64;

    /// At this moment, or never.
    #[must_use]
    pub fn new(end: Option<Timestamp>) -> Self {
        Self(Timestamp(end.map_or(Self::NEVER, |end| end.0.min(Self::NEVER))))
    }

    /// Whether it has not ended yet.
    #[must_use]
    pub fn holds(self, now: Timestamp) -> bool {
        now < self.0
    }

    /// When it ends; `None` for never.
    #[must_use]
    pub fn end(self) -> Option<Timestamp> {
        Some(self.0).filter(|end| end.0 < Self::NEVER)
    }

    /// When, also where that is never.
    #[must_use]
    pub const fn moment(self) -> Timestamp {
        self.0
    }

    /// As a number that only a later end has a greater one of.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0.0
    }
}

/// A user who is kept out of a group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ban {
    /// Who said so.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
    /// When it ends.
    pub until: Until,
}

/// A user who asks to be let into a group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JoinRequest {
    /// What they wrote.
    pub note: Option<Box<str>>,
    /// When.
    pub at: Timestamp,
}

/// A link that lets one into a group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// SHA-256 of the link itself, which only those have who were given it.
    pub digest: [u8; 32],
    /// Who made it.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
    /// When it ends.
    pub until: Until,
    /// How many may still enter by it; any number where none is said.
    pub uses_left: Option<u32>,
}

/// A user who is in a group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Who.
    pub user: User,
    /// What they may do.
    pub role: Role,
    /// They may only read.
    pub silenced: Option<Until>,
}

/// What a user keeps about a conversation, the same on all their devices.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Settings {
    /// Shown before others.
    pub pinned: bool,
    /// Nothing is to make a noise until then.
    pub muted: Option<Until>,
    /// Not shown as long as no message follows this seq.
    pub hidden_seq: Option<u64>,
    /// To be shown as unread, whatever was read.
    pub marked_unread: bool,
    /// A message that is being written.
    pub draft: Option<Box<str>>,
}

/// One stay of a member, both ends inclusive (P7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stay {
    /// The first seq it shows.
    pub join_seq: u64,
    /// The last seq it shows; `None` while it lasts.
    pub left_seq: Option<u64>,
}

/// A user's place in a conversation: also of one who left.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Membership {
    /// What they may do, or could when they left.
    pub role: Role,
    /// The furthest any of their devices has confirmed.
    pub received_seq: u64,
    /// How far they have read.
    pub read_seq: u64,
    /// They see nothing up to here any more, by their own wish.
    pub cleared_seq: u64,
    /// The newest change of this membership.
    pub rev: Rev,
    /// The conversation's name when they left; `None` while they are a member.
    pub left_name: Option<Box<str>>,
    /// They may only read, also when they leave and come back.
    pub silenced: Option<Until>,
    /// What they keep about the conversation; `None` where nothing is set.
    pub settings: Option<Box<Settings>>,
    /// Ascending, not overlapping, never empty; only the last one may be open.
    pub stays: Vec<Stay>,
}

impl Membership {
    /// Whether the last stay is open. A dissolved conversation has no members whatever this says.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.stays.last().is_some_and(|stay| stay.left_seq.is_none())
    }
}

/// An entry as the store keeps it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place in the order of commits; the message id.
    pub rev: Rev,
    /// Its place in the log.
    pub seq: u64,
    /// Who wrote it.
    pub sender: UserId,
    /// The sender's own name for it.
    pub client_id: ClientId,
    /// When. Never earlier than that of the entry before.
    pub at: Timestamp,
    /// What the content is.
    pub kind: Kind,
    /// JSON text; `null` where it was removed.
    pub content: Content,
    /// What was sent along with it.
    pub head: Option<Box<Head>>,
    /// What was done to it.
    pub fate: Fate,
}

impl Entry {
    /// Whether it can still be read at `now`.
    #[must_use]
    pub fn is_there(&self, now: Timestamp) -> bool {
        self.fate.removed.is_none() && !self.is_over(now)
    }

    /// Whether its time is over at `now`, so that nothing of it is shown.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        let end = self.head.as_ref().and_then(|head| head.expires_at);
        self.fate.removed == Some(Removed::Expired) || end.is_some_and(|end| end <= now)
    }
}

/// What was done to an entry since it was written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Fate {
    /// Its content is gone.
    pub removed: Option<Removed>,
    /// Of a message its newest edit, of an edit the one before it.
    pub edited: Option<Rev>,
    /// Somebody has reacted to it; perhaps nobody does any more.
    pub reacted: bool,
}

/// Which entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EntryKey {
    /// Which log.
    pub conversation: ConversationKey,
    /// Its place in it.
    pub seq: u64,
    /// Its place in the order of commits.
    pub rev: Rev,
}

/// An entry with its age.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Aged {
    /// Which entry.
    pub entry: EntryKey,
    /// The name of its log.
    pub conversation: ConversationId,
    /// When it was written.
    pub at: Timestamp,
}

/// A pinned message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pin {
    /// Which message.
    pub seq: u64,
    /// The entry that says so.
    pub by_seq: u64,
    /// Who pinned it.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
}

/// Who counts what is unread, and when.
#[derive(Clone, Copy, Debug)]
pub struct Counting<'a> {
    /// Who reads; their own messages do not count.
    pub user: UserKey,
    /// The same, by name: as messages mention them.
    pub id: &'a UserId,
    /// What has expired by then does not count.
    pub now: Timestamp,
    /// These seqs do not count; ascending.
    pub hidden: &'a [u64],
}

/// What is unread.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Unread {
    /// How many.
    pub count: u32,
    /// How many of them mention the reader.
    pub mentions: u32,
    /// The first one that does.
    pub mention_seq: Option<u64>,
}

impl Unread {
    /// Counts an entry of this head, by somebody else, on the way down.
    pub fn add(&mut self, seq: u64, mentioned: bool) {
        self.count += 1;
        if mentioned {
            self.mentions += 1;
            self.mention_seq = Some(seq);
        }
    }
}

/// One edit of a message.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The edit's own place in the log.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What the message says since; `null` where it was removed.
    pub content: Content,
    /// The edit before.
    pub before: Option<Rev>,
    /// How many edits of the message there are up to this one.
    pub number: u32,
}

/// An entry to be written.
#[derive(Clone, Debug)]
pub struct NewEntry<'a> {
    /// Its place in the order of commits; greater than every one before.
    pub rev: Rev,
    /// Which log.
    pub conversation: ConversationKey,
    /// Its place in the log: head + 1.
    pub seq: u64,
    /// Who writes it.
    pub sender: UserKey,
    /// The sender's own name for it; unique with the sender.
    pub client_id: &'a ClientId,
    /// When.
    pub at: Timestamp,
    /// What the content is.
    pub kind: &'a Kind,
    /// JSON text.
    pub content: &'a Content,
    /// What is sent along with it.
    pub head: Option<&'a Head>,
    /// Digest of the whole command, to tell a retry from a conflict.
    pub digest: u64,
}

/// Where the command with a client id went, and what it was (P2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recorded {
    /// The message id.
    pub rev: Rev,
    /// Which log.
    pub conversation: ConversationId,
    /// Its place in it.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Digest of the whole command.
    pub digest: u64,
}
