//! Events and acks: what the server says.
//!
//! Every pushed entry carries `conversation` and `seq`. An event is codec-independent; the hub
//! encodes it once per codec and shares the bytes among all receivers.

mod admission;
mod live;
mod operation;
mod people;
mod presence;
mod settings;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

pub use people::*;

use crate::command::{Content, JoinPolicy, Kind, Role};
use crate::{
    ChannelPattern, ClientId, ConversationId, GroupId, PushType, Refusal, Timestamp, UserId,
};

pub use admission::*;
pub use live::*;
pub use operation::*;
pub use presence::*;
pub use settings::*;

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident $(($payload:ty))? = $($wire:literal)|+;)*) => {
        /// A server event of the native protocol. The payload struct is the JSON payload.
        #[derive(Clone, Debug)]
        pub enum Event {
            $($(#[$doc])* $name $(($payload))?,)*
        }

        impl Event {
            /// Every event's `type`, in the order of `docs/protocol.md`.
            pub const TYPES: &'static [&'static str] = &[$($($wire,)+)*];

            /// The `type` on the wire.
            #[must_use]
            pub fn type_name(&self) -> &str {
                match self {
                    Self::Entry(delivered) => return delivered.entry.kind.live_type(),
                    Self::Push(pushed) => return pushed.kind.as_str(),
                    _ => {}
                }
                match self {
                    $(Self::$name { .. } => events!(@first $($wire)|+),)*
                }
            }
        }

        /// The payload.
        impl Serialize for Event {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$name $((events!(@as $payload, payload)))? => {
                        events!(@write $(($payload), payload,)? s)
                    })*
                }
            }
        }
    };
    (@first $first:literal $(| $other:literal)*) => {
        $first
    };
    (@as $payload:ty, $name:ident) => {
        $name
    };
    (@write ($payload:ty), $value:ident, $s:ident) => {
        $value.serialize($s)
    };
    (@write $s:ident) => {
        $s.serialize_map(Some(0))?.end()
    };
}

events! {
    /// The session is open.
    Connected(Box<Connected>) = "connected";
    /// An entry of a log; its kind says which type it has.
    Entry(Delivered) = "message" | "message_updated" | "group_changed";
    /// Entries that are not for this member.
    Void(Void) = "void";
    /// How far a member is.
    Receipt(Receipt) = "receipt";
    /// Messages that this user wants to see no more.
    MessageHidden(MessageHidden) = "message_hidden";
    /// Somebody writes.
    Typing(TypingEvent) = "typing";
    /// Somebody asks to be let into a group, or was answered.
    JoinRequest(Box<JoinRequestEvent>) = "group_request";
    /// What the user keeps about a conversation has changed.
    ConversationUpdated(Box<ConversationUpdated>) = "conversation_updated";
    /// Somebody got or read a message whose sender asked to be told.
    MessageReceipt(Box<MessageReceipt>) = "message_receipt";

    /// This user's profile or privacy changed.
    UserUpdated(Box<Me>) = "user_updated";
    /// What is between this user and another changed.
    Relation(Relation) = "relation";

    /// The heartbeat.
    Ping(Ping) = "ping";
    /// The answer to the client's `ping`.
    Pong = "pong";
    /// Live deliveries were dropped.
    Lag(Lag) = "lag";
    /// The token ends soon.
    TokenExpiring(TokenExpiring) = "token_expiring";

    /// Others came, went, or show something else.
    OnlineStatus(Presences) = "online_status";

    /// What somebody published on a channel.
    Publication(Publication) = "publication";
    /// The server has subscribed this connection to a channel.
    Subscribed(Box<Subscribed>) = "subscribed";
    /// The server has ended a subscription.
    Unsubscribed(Unsubscribed) = "unsubscribed";
    /// Somebody came to a channel.
    ChannelJoined(ChannelMember) = "channel_joined";
    /// Somebody left it.
    ChannelLeft(ChannelMember) = "channel_left";
    /// What was pushed and is not kept. The type is that of the push, and may be the application's
    /// own; what is kept is an entry.
    Push(Box<Pushed>) = "notification" | "order_update" | "collaboration";
    /// What somebody sent to this user's connections.
    Signal(SignalEvent) = "signal";
    /// The server is about to close.
    Bye(Bye) = "bye";
    /// An error that answers no command.
    Error(Refusal) = "error";
}

/// `connected`: the session is open.
#[derive(Clone, Debug, Serialize)]
pub struct Connected {
    /// This connection, a UUID.
    pub client_id: Box<str>,
    /// Who is signed in.
    pub user: UserId,
    /// The display name, from the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// The client instance.
    pub device: crate::DeviceId,
    /// The store's epoch; a restore changes it.
    pub epoch: Box<str>,
    /// Milliseconds between the server's pings.
    pub heartbeat_ms: u64,
    /// What this connection may do.
    pub limits: AnnouncedLimits,
    /// Name and version of the server.
    pub server: &'static str,
    /// When the token ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// The limits that a client needs to know.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AnnouncedLimits {
    /// Commands in flight before the server stops reading.
    pub commands_in_flight: u32,
    /// Commands per second, sustained.
    pub commands_per_second: u32,
    /// Largest message, in bytes.
    pub message_bytes: u32,
    /// Deepest nesting of content.
    pub content_depth: u32,
    /// How long a client id is remembered, in milliseconds.
    pub dedupe_window_ms: u64,
    /// Most entries of a history page.
    pub history_entries: u32,
}

/// An entry of a conversation's log, as members see it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which log.
    pub conversation: ConversationId,
    /// Its place in it: 1, 2, 3 …
    pub seq: u64,
    /// Its place in the order of commits, unique in the store.
    pub message_id: u64,
    /// Who wrote it, or whose command made the server write it.
    pub from: UserId,
    /// What the content is.
    pub kind: Kind,
    /// As it came, or the server's own for group changes.
    pub content: Content,
    /// The sender's own name for it.
    pub client_id: ClientId,
    /// When it was committed.
    pub at: Timestamp,
    /// What else there is to say of it.
    pub extra: Option<Box<Extra>>,
}

impl Entry {
    fn fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("conversation", &self.conversation)?;
        map.serialize_entry("seq", &self.seq)?;
        map.serialize_entry("message_id", &DecimalText(self.message_id))?;
        map.serialize_entry("from", &self.from)?;
        map.serialize_entry("to", &Address(self))?;
        map.serialize_entry("kind", &self.kind)?;
        map.serialize_entry("content", &*self.content)?;
        map.serialize_entry("client_id", &self.client_id)?;
        map.serialize_entry("at", &self.at)?;
        match &self.extra {
            Some(extra) => extra.fields(self.kind.is_update(), map),
            None => Ok(()),
        }
    }
}

impl Entry {
    /// Those of a push on its way to a connection: its kind is the type of the event.
    fn push_fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("conversation", &self.conversation)?;
        map.serialize_entry("seq", &self.seq)?;
        map.serialize_entry("message_id", &DecimalText(self.message_id))?;
        map.serialize_entry("from", &self.from)?;
        map.serialize_entry("to", &Address(self))?;
        map.serialize_entry("at", &self.at)?;
        if let Some(end) = self.extra.as_ref().and_then(|extra| extra.head.expires_at) {
            map.serialize_entry("expires_at", &end)?;
        }
        map.serialize_entry("data", &*self.content)
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("type", self.kind.event_type())?;
        self.fields(&mut map)?;
        map.end()
    }
}

/// `user:ID` of the other side, the conversation id of a group, or whom a push is for.
struct Address<'a>(&'a Entry);

impl Serialize for Address<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if let Some(audience) = self.0.conversation.as_str().strip_prefix("system:") {
            return s.serialize_str(audience);
        }
        match self.0.conversation.peer_of(&self.0.from) {
            Some(peer) => s.collect_str(&format_args!("user:{peer}")),
            None => self.0.conversation.serialize(s),
        }
    }
}

/// A 64-bit number as a string, which JavaScript can hold.
struct DecimalText(u64);

impl Serialize for DecimalText {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

/// An entry on its way to a connection.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// What is delivered.
    pub entry: Entry,
    /// 1 for the first time, more for a redelivery.
    pub attempt: u8,
}

impl Serialize for Delivered {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        match self.entry.kind {
            Kind::Push(_) => self.entry.push_fields(&mut map)?,
            _ => self.entry.fields(&mut map)?,
        }
        map.serialize_entry("attempt", &self.attempt)?;
        map.end()
    }
}

/// `void`: entries from `seq` to `through` that the member may not see or that are gone.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Void {
    /// Which log.
    pub conversation: ConversationId,
    /// First seq.
    pub seq: u64,
    /// Last seq.
    pub through: u64,
}

/// One element of `entries` in `pull` and `sync`; together they leave no hole.
#[derive(Clone, Debug)]
pub enum LogItem {
    /// An entry, with `type` `message`, `message_updated`, `group_changed` or `push`.
    Entry(Entry),
    /// A stretch that is not for this member, with `type` `void`.
    Void(Void),
}

impl LogItem {
    /// The last seq it covers.
    #[must_use]
    pub const fn through(&self) -> u64 {
        match self {
            Self::Entry(entry) => entry.seq,
            Self::Void(void) => void.through,
        }
    }
}

impl Serialize for LogItem {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Entry(entry) => entry.serialize(s),
            Self::Void(void) => {
                let mut map = s.serialize_map(Some(4))?;
                map.serialize_entry("type", "void")?;
                map.serialize_entry("conversation", &void.conversation)?;
                map.serialize_entry("seq", &void.seq)?;
                map.serialize_entry("through", &void.through)?;
                map.end()
            }
        }
    }
}

/// `receipt`: how far a member is. At most one a second for a member of a conversation.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Receipt {
    /// Which log.
    pub conversation: ConversationId,
    /// Whose cursors.
    pub user: UserId,
    /// Some device of theirs has everything up to here.
    pub received_seq: u64,
    /// They have read up to here.
    pub read_seq: u64,
}

/// `typing` as others see it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct TypingEvent {
    /// Where.
    pub conversation: ConversationId,
    /// Who.
    pub user: UserId,
    /// Begun or ended.
    pub active: bool,
    /// When a client ends it by itself, in milliseconds from here; only of one who has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u32>,
}

/// `ping`: the heartbeat, with what this connection has not confirmed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Ping {
    /// Conversations with unconfirmed entries and their newest seq; at most 50.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "heads")]
    pub heads: Vec<(ConversationId, u64)>,
    /// There were more: `sync`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub resync: bool,
}

fn heads<S: Serializer>(heads: &[(ConversationId, u64)], s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(heads.iter().map(|(conversation, head)| (conversation, head)))
}

/// `lag`: live deliveries were dropped; pull from the cursor, or `sync` where none is named.
#[derive(Clone, Debug, Serialize)]
pub struct Lag {
    /// Which log; every one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
    /// Its newest seq.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<u64>,
}

/// `token_expiring`: `refresh` before then, or the connection is closed with 4004.
#[derive(Clone, Debug, Serialize)]
pub struct TokenExpiring {
    /// When the token ends.
    pub expires_at: Timestamp,
}

/// A push that is not kept, as the receiver sees it. Its type on the wire is `kind`.
#[derive(Clone, Debug, Serialize)]
pub struct Pushed {
    /// What sort of thing.
    #[serde(skip)]
    pub kind: PushType,
    /// Who pushed it.
    pub from: UserId,
    /// Whom it is for: `all`, `role:NAME` or `user:ID`.
    pub to: Box<str>,
    /// When.
    pub at: Timestamp,
    /// Until when it means anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// As it came.
    pub data: Content,
}

/// `bye`: the server is about to close on purpose.
#[derive(Clone, Debug, Serialize)]
pub struct Bye {
    /// Whether to come back.
    pub reconnect: bool,
    /// When, in milliseconds.
    pub retry_after_ms: u64,
}

/// The payload of the `ack` that answers a command.
#[derive(Clone, Debug)]
pub enum Ack {
    /// Nothing to say: `{}`.
    Done,
    /// To `send` and every group command: the entry it wrote.
    Written(Written),
    /// To `history`.
    History(HistoryPage),
    /// To `pull`.
    Pull(PullPage),
    /// To `sync`.
    Sync(SyncPage),
    /// To `conversations`.
    Conversations(ConversationPage),
    /// To `group_members`.
    Members(MemberPage),
    /// To `edits`.
    Edits(EditsPage),
    /// To `reactions`.
    Reactions(ReactionsPage),
    /// To `pins`.
    Pins(PinsPage),
    /// To `push`.
    Pushed(PushedTo),
    /// To `presence_get`.
    Presences(Presences),
    /// To `subscribe`.
    Subscribed(Box<Subscribed>),
    /// To `subscribe` to a pattern.
    Watching(ChannelPattern),
    /// To `channel_presence`.
    ChannelPresence(Box<ChannelPresencePage>),
    /// To `publish`.
    Channel(Position),
    /// To `channel_history`.
    ChannelHistory(Box<ChannelHistoryPage>),
    /// To `group_join`, where owner and admins decide.
    Requested(Requested),
    /// To `group_requests`.
    JoinRequests(JoinRequestPage),
    /// To `group_bans`.
    Bans(BanPage),
    /// To `me`, `profile_update` and `privacy_update`.
    Me(Box<Me>),
    /// To `users`.
    Users(UserPage),
    /// To every friend command.
    Relation(Related),
    /// To `friends`.
    Relations(RelationPage),
    /// To `group_link_create`.
    LinkMade(LinkMade),
    /// To `group_links`.
    Links(LinkList),
    /// To `receipts`.
    Receipts(ReceiptPage),
    /// To `devices`.
    Devices(DeviceList),
    /// To `clear`.
    Cleared(Cleared),
}

impl Serialize for Ack {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Done => s.serialize_map(Some(0))?.end(),
            Self::Written(written) => written.serialize(s),
            Self::History(page) => page.serialize(s),
            Self::Pull(page) => page.serialize(s),
            Self::Sync(page) => page.serialize(s),
            Self::Conversations(page) => page.serialize(s),
            Self::Members(page) => page.serialize(s),
            Self::Edits(page) => page.serialize(s),
            Self::Reactions(page) => page.serialize(s),
            Self::Pins(page) => page.serialize(s),
            Self::Pushed(pushed) => pushed.serialize(s),
            Self::Presences(presences) => presences.serialize(s),
            Self::Subscribed(subscribed) => subscribed.serialize(s),
            Self::Watching(pattern) => {
                let mut map = s.serialize_map(Some(1))?;
                map.serialize_entry("channel", pattern)?;
                map.end()
            }
            Self::ChannelPresence(page) => page.serialize(s),
            Self::Channel(position) => position.serialize(s),
            Self::ChannelHistory(page) => page.serialize(s),
            Self::Requested(requested) => requested.serialize(s),
            Self::JoinRequests(page) => page.serialize(s),
            Self::Bans(page) => page.serialize(s),
            Self::Me(me) => me.serialize(s),
            Self::Users(page) => page.serialize(s),
            Self::Relation(related) => related.serialize(s),
            Self::Relations(page) => page.serialize(s),
            Self::LinkMade(made) => made.serialize(s),
            Self::Links(list) => list.serialize(s),
            Self::Receipts(page) => page.serialize(s),
            Self::Devices(list) => list.serialize(s),
            Self::Cleared(cleared) => cleared.serialize(s),
        }
    }
}

/// The entry that a command wrote, now or when it first came.
#[derive(Clone, Debug, Serialize)]
pub struct Written {
    /// The group, for group commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// Which log.
    pub conversation: ConversationId,
    /// Its place in the log.
    pub seq: u64,
    /// Its place in the order of commits, as a string.
    #[serde(serialize_with = "decimal")]
    pub message_id: u64,
    /// When it was committed.
    pub timestamp: Timestamp,
    /// The command had been executed before.
    pub duplicate: bool,
}

/// `push`, where it is kept: the entries that it wrote, now or when it first came.
#[derive(Clone, Debug, Serialize)]
pub struct PushedTo {
    /// One for each target.
    pub written: Vec<PushEntry>,
    /// When they were committed.
    pub timestamp: Timestamp,
    /// The command had been executed before.
    pub duplicate: bool,
}

/// One entry of a push.
#[derive(Clone, Debug, Serialize)]
pub struct PushEntry {
    /// Whom it is for: `all`, `role:NAME` or `user:ID`.
    pub to: Box<str>,
    /// Which log.
    pub conversation: ConversationId,
    /// Its place in the log.
    pub seq: u64,
    /// Its place in the order of commits, as a string.
    #[serde(serialize_with = "decimal")]
    pub message_id: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn decimal<S: Serializer>(n: &u64, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(n)
}

/// `history`: visible messages as they are now and group changes, in ascending order of `seq`.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryPage {
    /// Ascending.
    pub entries: Vec<Entry>,
    /// Where the stretch begins that was looked through; continue before it.
    pub from_seq: u64,
    /// Where it ends; continue after it.
    pub through_seq: u64,
    /// The newest seq the member may see.
    pub head_seq: u64,
    /// Everything up to here is gone.
    pub floor_seq: u64,
    /// There is more in the direction asked for.
    pub more: bool,
}

/// `pull`: raw entries and voids without a hole from `from` on.
#[derive(Clone, Debug, Serialize)]
pub struct PullPage {
    /// Ascending, dense.
    pub entries: Vec<LogItem>,
    /// The newest seq the member may see.
    pub head_seq: u64,
    /// The answer ended before `to`.
    pub more: bool,
}

/// `sync`: what this device missed.
#[derive(Clone, Debug, Serialize)]
pub struct SyncPage {
    /// Which store the seqs belong to.
    pub epoch: Box<str>,
    /// Conversations that changed.
    pub conversations: Vec<SyncedConversation>,
    /// To be passed to the next `sync`.
    pub rev: u64,
    /// When one of this user's relations last changed: `friends` tells what is newer than known.
    pub relations_rev: u64,
    /// There are more conversations: `sync` again with this `rev` and the new cursors.
    pub more: bool,
}

/// One conversation in a sync answer.
#[derive(Clone, Debug, Serialize)]
pub struct SyncedConversation {
    /// The conversation and this user's place in it.
    #[serde(flatten)]
    pub summary: Summary,
    /// Drop what is cached of it and continue at `from_seq`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// Messages that the member hid since `rev`, ascending.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<u64>,
    /// Where `entries` begins; older ones by `history`.
    pub from_seq: u64,
    /// Dense from `from_seq` on.
    pub entries: Vec<LogItem>,
    /// The rest up to `head_seq` is to be pulled.
    pub more: bool,
}

/// A conversation as one member sees it.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Its id.
    pub id: ConversationId,
    /// `direct`, `group` or `system`.
    pub kind: ConversationKind,
    /// The group's name, for one who left that of the moment they did; absent for direct ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// The other side of a direct one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<PublicUser>,
    /// The member's role in a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Who may join a group; absent for one who left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join: Option<JoinPolicy>,
    /// What all members of a group are to read; absent for one who left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announcement: Option<Box<str>>,
    /// How long entries are kept, in milliseconds; absent for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_ms: Option<u64>,
    /// This member may only read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muted: Option<Muted>,
    /// All but owner and admins may only read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_muted: Option<Muted>,
    /// False once the member left or the group was dissolved: history stays, live ends.
    pub member: bool,
    /// The newest seq the member may see.
    pub head_seq: u64,
    /// Everything up to here is gone.
    pub floor_seq: u64,
    /// The first seq the member may ever see.
    pub first_seq: u64,
    /// Messages by others beyond what is read, 100 standing for 99+ (P6).
    pub unread: u32,
    /// How many of these mention the member, or all.
    #[serde(skip_serializing_if = "is_zero")]
    pub mentions: u32,
    /// The first of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mention_seq: Option<u64>,
    /// The member sees nothing up to here any more, by their own wish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleared_seq: Option<u64>,
    /// The member's own cursors.
    pub received_seq: u64,
    /// The member's own cursors.
    pub read_seq: u64,
    /// How far the others are: the furthest cursors of a direct conversation's other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_cursors: Option<PeerCursors>,
    /// What the user keeps about it; absent where nothing is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// When this member's view of it last changed, for paging.
    pub rev: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// The other side's cursors of a direct conversation.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PeerCursors {
    /// Delivered up to here.
    pub received_seq: u64,
    /// Read up to here.
    pub read_seq: u64,
}

/// A user as others see them.
#[derive(Clone, Debug, Serialize)]
pub struct PublicUser {
    /// The id.
    pub id: UserId,
    /// The display name, where a token has told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
}

/// What sort of log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationKind {
    /// Two users (or one, with themselves).
    Direct,
    /// A group.
    Group,
    /// What is pushed: nobody writes there by a command other than `push`.
    System,
}

/// `conversations`: most recently changed first.
#[derive(Clone, Debug, Serialize)]
pub struct ConversationPage {
    /// Summaries, each with its newest visible entry.
    pub conversations: Vec<Listed>,
    /// `before_rev` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// One conversation in the list.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// The conversation and this user's place in it.
    #[serde(flatten)]
    pub summary: Summary,
    /// The newest visible entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Entry>,
}

/// `group_members`: a page in the order of user ids.
#[derive(Clone, Debug, Serialize)]
pub struct MemberPage {
    /// The page.
    pub members: Vec<Member>,
    /// All members.
    pub count: u64,
    /// `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<UserId>,
}

/// A member of a group.
#[derive(Clone, Debug, Serialize)]
pub struct Member {
    /// Who.
    #[serde(flatten)]
    pub user: PublicUser,
    /// What they may do.
    pub role: Role,
    /// They may only read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muted: Option<Muted>,
}
