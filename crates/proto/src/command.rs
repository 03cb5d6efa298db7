//! Commands: what a client may ask for, decoded and checked.
//!
//! The table [`commands!`] names each command once: its `type` on the wire, its payload and how it
//! travels. The payload structs stand in the modules by subject; each is the JSON payload of the
//! command of the same name in snake case. Invariant: a decoded command satisfies the rules of its
//! field types; sizes and depths are checked by the codec against [`crate::limits::Limits`].

mod admission;
mod group;
mod live;
mod message;
mod operation;
mod people;
mod presence;
mod push;
mod reading;
mod session;
mod settings;
mod shape;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, IgnoredAny, MapAccess};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use admission::*;
pub use group::*;
pub use live::*;
pub use message::*;
pub use operation::*;
pub use people::*;
pub use presence::*;
pub use push::*;
pub use reading::*;
pub use session::*;
pub use settings::*;
pub use shape::URL_BYTES_MAX;

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

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident $(($payload:ty))? = $wire:literal, $class:ident;)*) => {
        /// A command of the native protocol.
        #[derive(Clone, Debug)]
        pub enum Command {
            $($(#[$doc])* $name $(($payload))?,)*
        }

        impl Command {
            /// Every command's `type`, in the order of `docs/protocol.md`.
            pub const TYPES: &'static [&'static str] = &[$($wire,)*];

            /// The `type` on the wire.
            #[must_use]
            pub const fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $wire,)*
                }
            }

            /// How this command travels.
            #[must_use]
            pub const fn class(&self) -> Class {
                match self {
                    $(Self::$name { .. } => Class::$class,)*
                }
            }

            /// Reads the payload of a command of type `name`.
            pub(crate) fn read<'de, A: MapAccess<'de>>(name: &str, map: A) -> Result<Self, A::Error> {
                match name {
                    $($wire => commands!(@read $name $(($payload))?, map),)*
                    _ => Err(A::Error::custom("unknown type")),
                }
            }
        }

        /// The payload.
        impl Serialize for Command {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$name $((commands!(@as $payload, payload)))? => {
                        commands!(@write $(($payload), payload,)? s)
                    })*
                }
            }
        }
    };
    (@read $name:ident ($payload:ty), $map:ident) => {
        <$payload>::deserialize(MapAccessDeserializer::new($map)).map(Self::$name)
    };
    (@read $name:ident, $map:ident) => {
        IgnoredAny::deserialize(MapAccessDeserializer::new($map)).map(|_| Self::$name)
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

commands! {
    /// The token, where none came with the request.
    Auth(Auth) = "auth", Session;
    /// A newer token of the same user.
    Refresh(Refresh) = "refresh", Session;
    /// Answered by `pong`.
    Ping = "ping", Session;
    /// The answer to the server's `ping`.
    Pong = "pong", Session;

    /// A message.
    Send(Send) = "send", Write;
    /// This device has everything up to `seq`; soft.
    Received(Cursor) = "received", Soft;
    /// This user has read everything up to `seq`.
    Read(Cursor) = "read", Write;
    /// Begins or ends to write.
    Typing(Typing) = "typing", Volatile;

    /// A page of messages in their current state.
    History(History) = "history", Read;
    /// Raw entries, to fill a gap.
    Pull(Pull) = "pull", Read;
    /// What this device missed.
    Sync(Sync) = "sync", Attach;
    /// A page of the conversation list.
    Conversations(Conversations) = "conversations", Read;

    /// A new group.
    GroupCreate(GroupCreate) = "group_create", Write;
    /// Another name or policy.
    GroupUpdate(GroupUpdate) = "group_update", Write;
    /// Users enter at a member's word.
    GroupInvite(GroupInvite) = "group_invite", Write;
    /// The caller enters.
    GroupJoin(GroupJoin) = "group_join", Write;
    /// The caller leaves.
    GroupLeave(GroupTarget) = "group_leave", Write;
    /// A member is removed.
    GroupKick(GroupMember) = "group_kick", Write;
    /// A member gets another role.
    GroupRole(GroupRole) = "group_role", Write;
    /// The end of a group.
    GroupDissolve(GroupTarget) = "group_dissolve", Write;
    /// A page of members.
    GroupMembers(GroupMembers) = "group_members", Read;

    /// Who asks to be let in.
    GroupRequests(GroupPage) = "group_requests", Read;
    /// One of them is let in.
    GroupApprove(GroupMember) = "group_approve", Write;
    /// One of them is not, or asks no more.
    GroupReject(GroupMember) = "group_reject", Write;
    /// A user is kept out.
    GroupBan(GroupBan) = "group_ban", Write;
    /// No more.
    GroupUnban(GroupMember) = "group_unban", Write;
    /// Who is kept out.
    GroupBans(GroupPage) = "group_bans", Read;
    /// A member, or all but owner and admins, may only read.
    GroupMute(GroupMute) = "group_mute", Write;
    /// A link that lets one in.
    GroupLinkCreate(GroupLinkCreate) = "group_link_create", Write;
    /// The links that there are.
    GroupLinks(GroupLinks) = "group_links", Read;
    /// One of them lets nobody in any more.
    GroupLinkRevoke(GroupLinkRevoke) = "group_link_revoke", Write;
    /// What the user keeps about a conversation.
    ConversationUpdate(ConversationUpdate) = "conversation_update", Write;
    /// Who got and read a message.
    Receipts(Receipts) = "receipts", Read;

    /// A message gets another content.
    Edit(Edit) = "edit", Write;
    /// A message is taken back.
    Recall(MessageTarget) = "recall", Write;
    /// A reaction to a message comes or goes.
    React(React) = "react", Write;
    /// A message is gone, for the caller or for all.
    Delete(Delete) = "delete", Write;
    /// A message is pinned, or no more.
    Pin(Pin) = "pin", Write;
    /// Everything up to a message is gone for the caller.
    Clear(MessageRef) = "clear", Write;
    /// What a message said before.
    Edits(MessageRef) = "edits", Read;
    /// Who reacted to a message.
    Reactions(Reactions) = "reactions", Read;
    /// What is pinned.
    Pins(ConversationRef) = "pins", Read;

    /// One's own profile and privacy.
    Me = "me", Read;
    /// Another profile.
    ProfileUpdate(ProfileUpdate) = "profile_update", Write;
    /// Another privacy.
    PrivacyUpdate(PrivacyUpdate) = "privacy_update", Write;
    /// Profiles of others.
    Users(UserList) = "users", Read;
    /// Asks somebody to be friends.
    FriendRequest(FriendRequest) = "friend_request", Write;
    /// Says yes.
    FriendAccept(UserTarget) = "friend_accept", Write;
    /// Says no.
    FriendReject(UserTarget) = "friend_reject", Write;
    /// Takes a request back.
    FriendCancel(UserTarget) = "friend_cancel", Write;
    /// Ends a friendship.
    FriendRemove(UserTarget) = "friend_remove", Write;
    /// Keeps somebody away.
    FriendBlock(UserTarget) = "friend_block", Write;
    /// Does so no more.
    FriendUnblock(UserTarget) = "friend_unblock", Write;
    /// Relations that changed.
    Friends(Friends) = "friends", Read;
    /// The devices from which one has signed in.
    Devices = "devices", Read;
    /// Ends the sessions of a device, and those that its tokens could begin.
    DeviceSignOut(DeviceSignOut) = "device_sign_out", Write;
    /// A user gets other roles, besides those of their tokens.
    UserRoles(UserRoles) = "user_roles", Write;

    /// Something for users, a role or everyone.
    Push(Push) = "push", Write;

    /// What the user shows of themself.
    PresenceSet(PresenceSet) = "presence_set", Write;
    /// Who is there.
    PresenceGet(PresenceGet) = "presence_get", Read;

    /// Publications of a channel from here on.
    Subscribe(Subscribe) = "subscribe", Live;
    /// No more of them.
    Unsubscribe(ChannelTarget) = "unsubscribe", Live;
    /// To a channel's subscribers.
    Publish(Publish) = "publish", Live;
    /// Who is subscribed.
    ChannelPresence(ChannelPresence) = "channel_presence", Live;
    /// What was published and is kept.
    ChannelHistory(ChannelHistory) = "channel_history", Live;
    /// To a user's connections.
    Signal(Signal) = "signal", Live;
}

impl Command {
    /// Roughly what this command occupies in a queue, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let own = size_of::<Self>();
        own + match self {
            Self::Send(send) => {
                let content = send.content.as_ref().map_or(0, |content| content.get().len());
                content + send.mentions.len() * 48
            }
            Self::Publish(publish) => publish.data.get().len(),
            Self::Subscribe(subscribe) => subscribe.token.as_ref().map_or(64, |token| token.len()),
            Self::Signal(signal) => signal.data.get().len(),
            Self::ConversationUpdate(update) => update.draft.as_deref().map_or(0, str::len),
            Self::Sync(sync) => sync.cursors.len() * 96,
            Self::Edit(edit) => edit.content.get().len(),
            Self::GroupCreate(create) => create.members.len() * 48,
            Self::GroupInvite(invite) => invite.members.len() * 48,
            Self::ProfileUpdate(update) => {
                let data = update.data.as_ref().and_then(Option::as_ref);
                64 + AVATAR_BYTES_MAX + data.map_or(0, |data| data.get().len())
            }
            Self::Users(list) => list.users.len() * 48,
            Self::UserRoles(given) => 64 + given.roles.len() * (16 + ROLE_BYTES_MAX),
            Self::FriendRequest(request) => {
                request.note.as_ref().map_or(64, |note| 64 + note.len())
            }
            Self::Push(push) => push.weight(),
            Self::PresenceGet(get) => get.users.len() * 48,
            _ => 64,
        }
    }
}

/// Takes `null` for a field that is not there.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    d: D,
) -> Result<T, D::Error> {
    Option::deserialize(d).map(Option::unwrap_or_default)
}
