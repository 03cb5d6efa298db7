//! Commands: what a client may ask for, decoded and checked.
//!
//! Each payload struct is the JSON payload of the command of the same name in snake case.
//! Invariant: a decoded command satisfies the rules of its field types; sizes and depths are
//! checked by the codec against [`crate::limits::Limits`].

use std::fmt;
use std::sync::Arc;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::id::{InvalidName, Text};
use crate::{Channel, ClientId, ConversationId, DeviceId, GroupId, Timestamp, UserId};

/// JSON text, checked once and passed on as it came.
pub type Content = Arc<RawValue>;

/// A command of the native protocol.
#[derive(Clone, Debug)]
pub enum Command {
    /// `auth`: the token, where none came with the request.
    Auth(Auth),
    /// `refresh`: a newer token of the same user.
    Refresh(Refresh),
    /// `ping`: answered by `pong`.
    Ping,
    /// `pong`: the answer to the server's `ping`.
    Pong,
    /// `send`
    Send(Send),
    /// `received`: this device has everything up to `seq`; soft.
    Received(Cursor),
    /// `read`: this user has read everything up to `seq`.
    Read(Cursor),
    /// `typing`
    Typing(Typing),
    /// `history`
    History(History),
    /// `pull`
    Pull(Pull),
    /// `sync`
    Sync(Sync),
    /// `conversations`
    Conversations(Conversations),
    /// `group_create`
    GroupCreate(GroupCreate),
    /// `group_update`
    GroupUpdate(GroupUpdate),
    /// `group_invite`
    GroupInvite(GroupInvite),
    /// `group_join`
    GroupJoin(GroupTarget),
    /// `group_leave`
    GroupLeave(GroupTarget),
    /// `group_kick`
    GroupKick(GroupMember),
    /// `group_role`
    GroupRole(GroupRole),
    /// `group_dissolve`
    GroupDissolve(GroupTarget),
    /// `group_members`
    GroupMembers(GroupMembers),
    /// `subscribe`
    Subscribe(ChannelTarget),
    /// `unsubscribe`
    Unsubscribe(ChannelTarget),
    /// `publish`
    Publish(Publish),
    /// `signal`
    Signal(Signal),
}

/// How a command travels behind the session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// Answered by the session itself.
    Session,
    /// Goes to the writer, in the order sent; acked once durable.
    Write,
    /// Goes to the writer and is acked at once; may be lost in a crash (`received`).
    Soft,
    /// Goes to the writer's rules but writes nothing, and is dropped first under load (`typing`).
    Volatile,
    /// Only reads. It sees the connection's earlier writes.
    Read,
    /// Reads after a step in the writer that turns on live delivery (`sync`).
    Attach,
    /// Answered within the data plane: channels and signals, of which nothing is stored.
    Live,
}

impl Command {
    /// Every command's `type`, in the order of `docs/protocol.md`.
    pub const TYPES: [&'static str; 25] = [
        "auth",
        "refresh",
        "ping",
        "pong",
        "send",
        "received",
        "read",
        "typing",
        "history",
        "pull",
        "sync",
        "conversations",
        "group_create",
        "group_update",
        "group_invite",
        "group_join",
        "group_leave",
        "group_kick",
        "group_role",
        "group_dissolve",
        "group_members",
        "subscribe",
        "unsubscribe",
        "publish",
        "signal",
    ];

    /// The `type` on the wire.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Auth(_) => "auth",
            Self::Refresh(_) => "refresh",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Send(_) => "send",
            Self::Received(_) => "received",
            Self::Read(_) => "read",
            Self::Typing(_) => "typing",
            Self::History(_) => "history",
            Self::Pull(_) => "pull",
            Self::Sync(_) => "sync",
            Self::Conversations(_) => "conversations",
            Self::GroupCreate(_) => "group_create",
            Self::GroupUpdate(_) => "group_update",
            Self::GroupInvite(_) => "group_invite",
            Self::GroupJoin(_) => "group_join",
            Self::GroupLeave(_) => "group_leave",
            Self::GroupKick(_) => "group_kick",
            Self::GroupRole(_) => "group_role",
            Self::GroupDissolve(_) => "group_dissolve",
            Self::GroupMembers(_) => "group_members",
            Self::Subscribe(_) => "subscribe",
            Self::Unsubscribe(_) => "unsubscribe",
            Self::Publish(_) => "publish",
            Self::Signal(_) => "signal",
        }
    }

    /// How this command travels.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Auth(_) | Self::Refresh(_) | Self::Ping | Self::Pong => Class::Session,
            Self::Received(_) => Class::Soft,
            Self::Typing(_) => Class::Volatile,
            Self::Sync(_) => Class::Attach,
            Self::Subscribe(_) | Self::Unsubscribe(_) | Self::Publish(_) | Self::Signal(_) => {
                Class::Live
            }
            Self::History(_) | Self::Pull(_) | Self::Conversations(_) | Self::GroupMembers(_) => {
                Class::Read
            }
            Self::Send(_)
            | Self::Read(_)
            | Self::GroupCreate(_)
            | Self::GroupUpdate(_)
            | Self::GroupInvite(_)
            | Self::GroupJoin(_)
            | Self::GroupLeave(_)
            | Self::GroupKick(_)
            | Self::GroupRole(_)
            | Self::GroupDissolve(_) => Class::Write,
        }
    }

    /// Roughly what this command occupies in a queue, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let own = size_of::<Self>();
        own + match self {
            Self::Send(send) => send.content.get().len(),
            Self::Publish(publish) => publish.data.get().len(),
            Self::Signal(signal) => signal.data.get().len(),
            Self::Sync(sync) => sync.cursors.len() * 96,
            Self::GroupCreate(create) => create.members.len() * 48,
            Self::GroupInvite(invite) => invite.members.len() * 48,
            _ => 64,
        }
    }
}

/// `auth {token, device?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Auth {
    /// A JWT.
    pub token: String,
    /// The client instance; the token's `device` claim wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
}

/// The client instance that opens a session.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Device {
    /// Its id, kept over reconnects.
    pub id: DeviceId,
}

/// `refresh {token}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Refresh {
    /// A JWT of the same user.
    pub token: String,
}

/// `send {to, content, kind?, client_id, after?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Send {
    /// Whom it is for.
    pub to: Recipient,
    /// Any JSON, passed on as it came.
    #[serde(deserialize_with = "content")]
    pub content: Content,
    /// What the content is; `text` by default.
    #[serde(default, deserialize_with = "or_default")]
    pub kind: Kind,
    /// The sender's own name for this message (P2).
    pub client_id: ClientId,
    /// A client id of the same sender that must be committed first, else `out_of_order`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ClientId>,
}

fn content<'de, D: Deserializer<'de>>(d: D) -> Result<Content, D::Error> {
    Box::<RawValue>::deserialize(d).map(Arc::from)
}

/// The address of a message: `user:ID`, `group:ID`, or a conversation id.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Recipient {
    /// The direct conversation with this user, made on the first message.
    User(UserId),
    /// A conversation that exists.
    Conversation(ConversationId),
}

impl Recipient {
    fn parse(s: &str) -> Result<Self, InvalidName> {
        const RULE: &str = "user:ID, group:ID or direct:ID:ID (the ids in order)";
        match s.strip_prefix("user:") {
            Some(user) => UserId::new(user).map(Self::User),
            None => ConversationId::new(s)
                .map(Self::Conversation)
                .map_err(|_| InvalidName { what: "recipient", rule: RULE }),
        }
    }
}

impl<'de> Deserialize<'de> for Recipient {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(Text {
            expecting: "user:ID, group:ID or a conversation id",
            parse: Self::parse,
        })
    }
}

impl Serialize for Recipient {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::User(user) => s.collect_str(&format_args!("user:{user}")),
            Self::Conversation(conversation) => conversation.serialize(s),
        }
    }
}

/// What the content of a message is. Kinds of the server's own (`member_joined` …) cannot be sent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Kind {
    /// Text.
    #[default]
    Text,
    /// A picture.
    Image,
    /// A file.
    File,
    /// Sound.
    Audio,
    /// A video.
    Video,
    /// A place.
    Location,
    /// A card.
    Card,
    /// `custom:NAME`, the application's own; kept with its prefix.
    Custom(Box<str>),
    /// A group was made.
    GroupCreated,
    /// A group's name or join policy changed.
    GroupUpdated,
    /// A group ended.
    GroupDissolved,
    /// A member joined or was invited.
    MemberJoined,
    /// A member left.
    MemberLeft,
    /// A member was removed.
    MemberKicked,
    /// A member's role changed.
    MemberRole,
}

impl Kind {
    const PLAIN: [(&'static str, Self); 14] = [
        ("text", Self::Text),
        ("image", Self::Image),
        ("file", Self::File),
        ("audio", Self::Audio),
        ("video", Self::Video),
        ("location", Self::Location),
        ("card", Self::Card),
        ("group_created", Self::GroupCreated),
        ("group_updated", Self::GroupUpdated),
        ("group_dissolved", Self::GroupDissolved),
        ("member_joined", Self::MemberJoined),
        ("member_left", Self::MemberLeft),
        ("member_kicked", Self::MemberKicked),
        ("member_role", Self::MemberRole),
    ];

    /// The name on the wire and in the store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Custom(name) => name,
            plain => Self::PLAIN.iter().find(|(_, k)| k == plain).map_or("text", |(name, _)| name),
        }
    }

    /// Reads a name as it stands in the store or on the wire.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if let Some((_, kind)) = Self::PLAIN.iter().find(|(plain, _)| *plain == name) {
            return Some(kind.clone());
        }
        let custom = name.strip_prefix("custom:")?;
        let valid = (1..=64).contains(&custom.len())
            && custom.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        valid.then(|| Self::Custom(name.into()))
    }

    /// Whether a member may send it; the others are written by the server, and do not count as
    /// unread.
    #[must_use]
    pub const fn is_message(&self) -> bool {
        matches!(
            self,
            Self::Text
                | Self::Image
                | Self::File
                | Self::Audio
                | Self::Video
                | Self::Location
                | Self::Card
                | Self::Custom(_)
        )
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Kind {
    /// Takes only what a member may send.
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        const RULE: &str = "text, image, file, audio, video, location, card or custom:NAME";
        d.deserialize_str(Text {
            expecting: RULE,
            parse: |s| {
                Self::parse(s)
                    .filter(Self::is_message)
                    .ok_or(InvalidName { what: "kind", rule: RULE })
            },
        })
    }
}

/// `received` and `read {conversation, seq}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Cursor {
    /// Which log.
    pub conversation: ConversationId,
    /// Everything up to here, inclusive.
    pub seq: u64,
}

/// `typing {conversation, active}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Typing {
    /// Where.
    pub conversation: ConversationId,
    /// Begun (expires by itself after 6 s), or ended.
    pub active: bool,
}

/// `history {conversation, before? | after?, limit?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct History {
    /// Which log.
    pub conversation: ConversationId,
    /// Only entries before this seq, the nearest ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Only entries after this seq, the nearest ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// How many at most; 50 by default, at most 200.
    #[serde(default = "history_limit", deserialize_with = "limit_or_default")]
    pub limit: u32,
}

/// Entries of a history page where the client names no number.
pub const HISTORY_LIMIT_DEFAULT: u32 = 50;
/// Most entries of a history page.
pub const HISTORY_LIMIT_MAX: u32 = 200;

const fn history_limit() -> u32 {
    HISTORY_LIMIT_DEFAULT
}

fn limit_or_default<'de, D: Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    Option::deserialize(d).map(|limit| limit.unwrap_or(HISTORY_LIMIT_DEFAULT))
}

/// `pull {conversation, from, to}`: raw entries, both ends inclusive.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Pull {
    /// Which log.
    pub conversation: ConversationId,
    /// First seq wanted.
    pub from: u64,
    /// Last seq wanted; the answer may end before it and then says `more`.
    pub to: u64,
}

/// `sync {epoch?, cursors?, rev?}`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Sync {
    /// The store's epoch that the cursors belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Box<str>>,
    /// Per conversation, the last seq this device has.
    #[serde(
        default,
        deserialize_with = "cursors",
        serialize_with = "cursor_map",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub cursors: Vec<Cursor>,
    /// The `rev` of the last sync answer: conversations unchanged since are left out unless named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u64>,
}

/// Most cursors that one `sync` may name.
pub const SYNC_CURSORS_MAX: usize = 1_000;

fn cursors<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Cursor>, D::Error> {
    struct Map;
    impl<'de> Visitor<'de> for Map {
        type Value = Vec<Cursor>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map from conversation id to seq")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Cursor>, A::Error> {
            let mut cursors = Vec::new();
            while let Some((conversation, seq)) = map.next_entry()? {
                if cursors.len() == SYNC_CURSORS_MAX {
                    return Err(A::Error::custom("at most 1000 cursors in one sync"));
                }
                cursors.push(Cursor { conversation, seq });
            }
            Ok(cursors)
        }
    }
    d.deserialize_map(Map)
}

fn cursor_map<S: Serializer>(cursors: &[Cursor], s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(cursors.iter().map(|cursor| (&cursor.conversation, cursor.seq)))
}

/// `conversations {before_rev?, limit?}`: most recently changed first.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Conversations {
    /// Only those that changed before this `rev`: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_rev: Option<u64>,
    /// How many at most; 50 by default, at most 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Who may enter a group without being invited.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinPolicy {
    /// Nobody: owner and admins invite.
    #[default]
    Invite,
    /// Everybody signed in.
    Open,
}

/// What a member may do in a group.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Send and read.
    #[default]
    Member,
    /// Also invite, kick members and change the profile.
    Admin,
    /// Also give roles and dissolve.
    Owner,
}

/// `group_create {name, members?, join?, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupCreate {
    /// Shown to members; 1 to 128 characters.
    #[serde(deserialize_with = "group_name")]
    pub name: Box<str>,
    /// Invited at once, besides the creator.
    #[serde(default, deserialize_with = "members")]
    pub members: Vec<UserId>,
    /// Who may join.
    #[serde(default, deserialize_with = "or_default")]
    pub join: JoinPolicy,
    /// For a safe retry (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// `group_update {group, name?, join?, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupUpdate {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
    /// A new name.
    #[serde(
        default,
        deserialize_with = "optional_group_name",
        skip_serializing_if = "Option::is_none"
    )]
    pub name: Option<Box<str>>,
    /// A new policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<JoinPolicy>,
    /// For a safe retry (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// `group_invite {group, members, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupInvite {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
    /// Who enters; at least one.
    #[serde(deserialize_with = "members")]
    pub members: Vec<UserId>,
    /// For a safe retry (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// `group_join`, `group_leave`, `group_dissolve {group, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupTarget {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
    /// For a safe retry (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// `group_kick {group, user, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupMember {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
    /// Whom.
    pub user: UserId,
    /// For a safe retry (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// `group_role {group, user, role, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupRole {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
    /// Whose.
    pub user: UserId,
    /// The new role; `owner` hands over, and the giver becomes an admin.
    pub role: Role,
    /// For a safe retry (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// `group_members {group, after?, limit?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupMembers {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
    /// Only users after this id, in the order of ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<UserId>,
    /// How many at most; 100 by default, at most 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// `subscribe` and `unsubscribe {channel}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ChannelTarget {
    /// Which channel.
    #[serde(deserialize_with = "channel")]
    pub channel: Channel,
}

/// `publish {channel, data}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Publish {
    /// Which channel.
    #[serde(deserialize_with = "channel")]
    pub channel: Channel,
    /// Any JSON, passed on as it came.
    pub data: Data,
}

/// `signal {to, data}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Signal {
    /// Whom it is for, as `user:ID`.
    #[serde(deserialize_with = "user_address", serialize_with = "address_of")]
    pub to: UserId,
    /// Any JSON, passed on as it came.
    pub data: Data,
}

/// JSON text on its way through the data plane: it has one owner, unlike [`Content`].
pub type Data = Box<RawValue>;

fn channel<'de, D: Deserializer<'de>>(d: D) -> Result<Channel, D::Error> {
    d.deserialize_str(Text { expecting: "a channel: NAMESPACE:NAME", parse: Channel::new })
}

fn user_address<'de, D: Deserializer<'de>>(d: D) -> Result<UserId, D::Error> {
    const INVALID: InvalidName = InvalidName { what: "address", rule: "user:ID" };
    d.deserialize_str(Text {
        expecting: "user:ID",
        parse: |s| s.strip_prefix("user:").ok_or(INVALID).and_then(UserId::new),
    })
}

fn address_of<S: Serializer>(user: &UserId, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&format_args!("user:{user}"))
}

/// Takes `ID` and `group:ID`.
fn group<'de, D: Deserializer<'de>>(d: D) -> Result<GroupId, D::Error> {
    d.deserialize_any(Text {
        expecting: "a group id",
        parse: |s| GroupId::new(s.strip_prefix("group:").unwrap_or(s)),
    })
}

/// Longest name of a group, in characters.
pub const GROUP_NAME_CHARS_MAX: usize = 128;

fn group_name<'de, D: Deserializer<'de>>(d: D) -> Result<Box<str>, D::Error> {
    const RULE: &str = "1 to 128 characters, none of them a control character";
    d.deserialize_str(Text {
        expecting: "text of 1 to 128 characters",
        parse: |s| {
            // The byte length bounds the count before it is made.
            let valid = !s.is_empty()
                && s.len() <= 4 * GROUP_NAME_CHARS_MAX
                && s.chars().count() <= GROUP_NAME_CHARS_MAX
                && !s.chars().any(char::is_control);
            valid.then(|| s.into()).ok_or(InvalidName { what: "group name", rule: RULE })
        },
    })
}

fn optional_group_name<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Box<str>>, D::Error> {
    struct Optional;
    impl<'de> Visitor<'de> for Optional {
        type Value = Option<Box<str>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text of 1 to 128 characters")
        }

        fn visit_none<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
            group_name(d).map(Some)
        }
    }
    d.deserialize_option(Optional)
}

/// Most users that one command may name.
pub const MEMBERS_MAX: usize = 1_000;

fn members<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<UserId>, D::Error> {
    struct Users;
    impl<'de> Visitor<'de> for Users {
        type Value = Vec<UserId>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array of at most 1000 user ids")
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut users: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(user) = users.next_element()? {
                if members.len() == MEMBERS_MAX {
                    return Err(A::Error::custom("at most 1000 users in one command"));
                }
                members.push(user);
            }
            Ok(members)
        }
    }
    d.deserialize_any(Users)
}

/// Takes `null` for a field that is not there.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    d: D,
) -> Result<T, D::Error> {
    Option::deserialize(d).map(Option::unwrap_or_default)
}

/// When a session's token ends; used by [`crate::session`].
pub type Expiry = Option<Timestamp>;
