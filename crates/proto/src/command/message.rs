//! Messages and what is done to them.

use std::fmt;
use std::sync::Arc;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::operation::MessageRef;
use super::or_default;
use crate::id::{InvalidName, Text, is_push_word};
use crate::{ClientId, ConversationId, PushType, Reason, Refusal, UserId};

/// JSON text, checked once and passed on as it came.
pub type Content = Arc<RawValue>;

/// `send {to, content?, kind?, client_id, after?, reply_to?, mentions?, mention_all?, forward?,
/// expires_in_ms?, receipt?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Send {
    /// Whom it is for.
    pub to: Recipient,
    /// Any JSON, passed on as it came; absent where something is forwarded, and only there.
    #[serde(default, deserialize_with = "some_content", skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// What the content is; `text` by default.
    #[serde(default, deserialize_with = "or_default")]
    pub kind: Kind,
    /// The sender's own name for this message (P2).
    pub client_id: ClientId,
    /// A client id of the same sender that must be committed first, else `out_of_order`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ClientId>,
    /// The message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<u64>,
    /// Who is to take notice in particular.
    #[serde(default, deserialize_with = "mentioned", skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
    /// Everybody is.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_false")]
    pub mention_all: bool,
    /// The message whose kind and content this one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<Box<MessageRef>>,
    /// Nobody sees it any more after so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
    /// The sender wants to be told who has got and read it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_false")]
    pub receipt: bool,
}

impl Send {
    /// What is wrong with it beyond the types of its fields.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let detail = match (&self.content, &self.forward) {
            (None, None) => "`content` is missing.",
            (Some(_), Some(_)) => "Give `content` or `forward`, not both.",
            _ if self.expires_in_ms == Some(0) => "`expires_in_ms` must be at least 1.",
            _ => return Ok(()),
        };
        Err(Refusal::with(Reason::BadField, detail))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Most users that one message mentions by name.
pub const MENTIONS_MAX: usize = 50;

fn mentioned<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<UserId>, D::Error> {
    struct Users;
    impl<'de> Visitor<'de> for Users {
        type Value = Vec<UserId>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array of at most 50 user ids")
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut users: A) -> Result<Self::Value, A::Error> {
            let mut mentions = Vec::new();
            while let Some(user) = users.next_element()? {
                if mentions.len() == MENTIONS_MAX {
                    return Err(A::Error::custom("at most 50 users in one message"));
                }
                mentions.push(user);
            }
            Ok(mentions)
        }
    }
    d.deserialize_any(Users)
}

fn some_content<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Content>, D::Error> {
    content(d).map(Some)
}

pub(super) fn content<'de, D: Deserializer<'de>>(d: D) -> Result<Content, D::Error> {
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
    /// A user was removed, or is kept out.
    MemberBanned,
    /// They may come back.
    MemberUnbanned,
    /// A member may only read, or may write again.
    MemberMuted,
    /// A message has another content.
    MessageEdited,
    /// A message was taken back by its sender.
    MessageRecalled,
    /// A reaction to a message came or went.
    MessageReaction,
    /// A message was deleted by an admin.
    MessageDeleted,
    /// A message was pinned, or is no more.
    MessagePin,
    /// `push:TYPE`, what was pushed under this type; kept with its prefix.
    Push(Box<str>),
}

/// What the kinds of pushes begin with.
const PUSH: &str = "push:";

impl Kind {
    const PLAIN: [(&'static str, Self); 22] = [
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
        ("member_banned", Self::MemberBanned),
        ("member_unbanned", Self::MemberUnbanned),
        ("member_muted", Self::MemberMuted),
        ("message_edited", Self::MessageEdited),
        ("message_recalled", Self::MessageRecalled),
        ("message_reaction", Self::MessageReaction),
        ("message_deleted", Self::MessageDeleted),
        ("message_pin", Self::MessagePin),
    ];

    /// The name on the wire and in the store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Custom(name) | Self::Push(name) => name,
            plain => Self::PLAIN.iter().find(|(_, k)| k == plain).map_or("text", |(name, _)| name),
        }
    }

    /// Reads a name as it stands in the store or on the wire.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if let Some((_, kind)) = Self::PLAIN.iter().find(|(plain, _)| *plain == name) {
            return Some(kind.clone());
        }
        if let Some(word) = name.strip_prefix(PUSH) {
            return is_push_word(word).then(|| Self::Push(name.into()));
        }
        let custom = name.strip_prefix("custom:")?;
        let valid = (1..=64).contains(&custom.len())
            && custom.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        valid.then(|| Self::Custom(name.into()))
    }

    /// The `type` of the event, and of the entry in a page, with which members see it.
    #[must_use]
    pub const fn event_type(&self) -> &'static str {
        match self {
            Self::Push(_) => "push",
            kind if kind.is_message() => "message",
            kind if kind.is_update() => "message_updated",
            _ => "group_changed",
        }
    }

    /// Whether it says what was done to an earlier entry, its target.
    #[must_use]
    pub const fn is_update(&self) -> bool {
        matches!(
            self,
            Self::MessageEdited
                | Self::MessageRecalled
                | Self::MessageReaction
                | Self::MessageDeleted
                | Self::MessagePin
        )
    }

    /// The kind of what is pushed under this type.
    #[must_use]
    pub fn push(kind: &PushType) -> Self {
        Self::Push(format!("{PUSH}{kind}").into())
    }

    /// The `type` of the event with which it comes live: that of a push is its own.
    #[must_use]
    pub fn live_type(&self) -> &str {
        match self {
            Self::Push(name) => name.strip_prefix(PUSH).unwrap_or(name),
            kind => kind.event_type(),
        }
    }

    /// Whether it counts as unread to others (P6).
    #[must_use]
    pub const fn counts_as_unread(&self) -> bool {
        self.is_message() || matches!(self, Self::Push(_))
    }

    /// Whether a member may send it; the others are written by the server.
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
