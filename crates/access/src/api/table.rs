//! The routes: one row each, from which both the addresses and the OpenAPI document are made, so that
//! neither can say what the other does not.
//!
//! A row is a thin mapping: which command of the protocol, or which act of the API's own, and which
//! field each part of the address fills. Invariant: what a body may hold is checked by the command's
//! decoder and by nothing here.

use super::scope::Scope;

/// A method.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What a part of the address says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// Who acts.
    Actor,
    /// A field of the command, as text.
    Text(&'static str),
    /// Who acts, and the only one in a list of the command.
    ActorIn(&'static str),
    /// A field of the command, as a whole number.
    Number(&'static str),
    /// A field of the command, as a whole number of 1 to 200.
    Limit,
    /// Read by the act itself.
    Own,
}

/// A part of a path in braces, or a parameter of a query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    /// Of the document's components.
    pub(crate) schema: &'static str,
}

/// What a route does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Does {
    /// A command of this type.
    Command(&'static str),
    Broadcast,
    Disconnect,
    Subscribe,
    Unsubscribe,
    MakeToken,
    ListKeys,
    MakeKey,
    RotateKey,
    RevokeKey,
    Batch,
    /// `{roomId, text}`, as simple chat servers have it.
    RoomMessage,
}

/// A body that a route takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Body {
    None,
    /// Of this form; may be left out.
    Optional(&'static str),
    /// Of this form.
    Required(&'static str),
}

/// One row.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) verb: Verb,
    pub(crate) path: &'static str,
    /// The id of the operation.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// What a key needs; `None` where each part has its own.
    pub(crate) scope: Option<Scope>,
    pub(crate) does: Does,
    pub(crate) parts: &'static [Part],
    pub(crate) query: &'static [Part],
    pub(crate) body: Body,
    /// The form of what is answered.
    pub(crate) answer: &'static str,
    /// Takes an `Idempotency-Key`, which becomes the command's client id.
    pub(crate) once: bool,
    /// Needs a client id; one is made up where none is given.
    pub(crate) named: bool,
    /// Can be done on behalf of a user.
    pub(crate) behalf: bool,
}

const PLAIN: Route = Route {
    verb: Verb::Get,
    path: "",
    name: "",
    about: "",
    scope: None,
    does: Does::Batch,
    parts: &[],
    query: &[],
    body: Body::None,
    answer: "Nothing",
    once: false,
    named: false,
    behalf: false,
};

const fn part(name: &'static str, place: Place, schema: &'static str) -> Part {
    Part { name, place, schema }
}

const ACTOR: Part = part("user", Place::Actor, "UserId");
const MEMBER: Part = part("user", Place::Text("user"), "UserId");
const GROUP: Part = part("group", Place::Text("group"), "GroupId");
const CHANNEL: Part = part("channel", Place::Text("channel"), "Channel");
const KEY: Part = part("key", Place::Own, "KeyId");
const LIMIT: Part = part("limit", Place::Limit, "Limit");

/// All of them, in the order of the document.
pub(crate) static ROUTES: &[Route] = &[
    Route {
        verb: Verb::Post,
        path: "/api/v1/messages",
        name: "sendMessage",
        about: "Writes a message to a user or a group, durably. A key writes as itself, also into \
                groups that it is not in, or as the user named by `X-Hubbub-User`.",
        scope: Some(Scope::Messages),
        does: Does::Command("send"),
        body: Body::Required("Message"),
        answer: "Written",
        once: true,
        named: true,
        behalf: true,
        ..PLAIN
    },
    Route {
        verb: Verb::Post,
        path: "/api/v1/push",
        name: "push",
        about: "Something for users, a role or everyone: kept for those who are not there, or told \
                only to those who are. An `Idempotency-Key` holds for what is kept.",
        scope: Some(Scope::Push),
        does: Does::Command("push"),
        body: Body::Required("Push"),
        answer: "Pushed",
        once: true,
        ..PLAIN
    },
    Route {
        verb: Verb::Post,
        path: "/api/v1/channels/{channel}/publish",
        name: "publish",
        about: "To everybody subscribed to a channel. An `Idempotency-Key` holds for as long as \
                the channel's history keeps what was published, and for nothing where none is kept.",
        scope: Some(Scope::Channels),
        does: Does::Command("publish"),
        parts: &[CHANNEL],
        body: Body::Required("Publish"),
        answer: "Position",
        once: true,
        behalf: true,
        ..PLAIN
    },
    Route {
        verb: Verb::Post,
        path: "/api/v1/broadcast",
        name: "broadcast",
        about: "The same on several channels, at most 100. Each has its own outcome.",
        scope: Some(Scope::Channels),
        does: Does::Broadcast,
        body: Body::Required("Broadcast"),
        answer: "Broadcasted",
        behalf: true,
        ..PLAIN
    },
    Route {
        path: "/api/v1/channels/{channel}/history",
        name: "listPublications",
        about: "What a channel keeps, in ascending order: what came after the offset `after` in the \
                life `epoch` of the channel, or the newest.",
        scope: Some(Scope::Channels),
        does: Does::Command("channel_history"),
        parts: &[CHANNEL],
        query: &[
            part("after", Place::Number("after"), "Count"),
            part("epoch", Place::Text("epoch"), "Epoch"),
            LIMIT,
        ],
        answer: "Publications",
        ..PLAIN
    },
    Route {
        path: "/api/v1/channels/{channel}/presence",
        name: "listSubscribers",
        about: "Who is subscribed to a channel, where its namespace keeps track of that: a page in \
                the order of their ids. `after` is the last one of the page before.",
        scope: Some(Scope::Channels),
        does: Does::Command("channel_presence"),
        parts: &[CHANNEL],
        query: &[part("after", Place::Text("after"), "UserId"), LIMIT],
        answer: "Subscribers",
        ..PLAIN
    },
    Route {
        verb: Verb::Post,
        path: "/api/v1/users/{user}/subscriptions/{channel}",
        name: "subscribeUser",
        about: "Subscribes the connections that a user has at the moment to a channel.",
        scope: Some(Scope::Channels),
        does: Does::Subscribe,
        parts: &[part("user", Place::Own, "UserId"), part("channel", Place::Own, "Channel")],
        ..PLAIN
    },
    Route {
        verb: Verb::Delete,
        path: "/api/v1/users/{user}/subscriptions/{channel}",
        name: "unsubscribeUser",
        about: "Ends the subscriptions of a user's connections to a channel.",
        scope: Some(Scope::Channels),
        does: Does::Unsubscribe,
        parts: &[part("user", Place::Own, "UserId"), part("channel", Place::Own, "Channel")],
        ..PLAIN
    },
    Route {
        path: "/api/v1/users/{user}",
        name: "getUser",
        about: "A user's profile, privacy and roles, as they see them themselves. One whom the \
                server has not seen has those of the configuration.",
        scope: Some(Scope::Users),
        does: Does::Command("me"),
        parts: &[ACTOR],
        answer: "Me",
        ..PLAIN
    },
    Route {
        verb: Verb::Patch,
        path: "/api/v1/users/{user}",
        name: "updateUser",
        about: "Changes a profile: what is absent stays, what is `null` is cleared.",
        scope: Some(Scope::Users),
        does: Does::Command("profile_update"),
        parts: &[ACTOR],
        body: Body::Required("Profile"),
        answer: "Me",
        ..PLAIN
    },
    Route {
        verb: Verb::Put,
        path: "/api/v1/users/{user}/roles",
        name: "setRoles",
        about: "Gives a user roles, besides those of their tokens; replaces what was given before.",
        scope: Some(Scope::Users),
        does: Does::Command("user_roles"),
        parts: &[MEMBER],
        body: Body::Required("Roles"),
        ..PLAIN
    },
    Route {
        path: "/api/v1/users/{user}/conversations",
        name: "listConversations",
        about: "A user's conversations, most recently changed first. `after` is the `next` of the \
                page before.",
        scope: Some(Scope::Users),
        does: Does::Command("conversations"),
        parts: &[ACTOR],
        query: &[part("after", Place::Number("before_rev"), "Count"), LIMIT],
        answer: "Conversations",
        ..PLAIN
    },
    Route {
        path: "/api/v1/users/{user}/conversations/{conversation}/messages",
        name: "listMessages",
        about: "A page of a conversation as a user in it sees it, in ascending order: the newest, \
                or those next to `before`, `after` or `around`, of which one may be given.",
        scope: Some(Scope::Users),
        does: Does::Command("history"),
        parts: &[ACTOR, part("conversation", Place::Text("conversation"), "ConversationId")],
        query: &[
            part("before", Place::Number("before"), "Count"),
            part("after", Place::Number("after"), "Count"),
            part("around", Place::Number("around"), "Count"),
            LIMIT,
        ],
        answer: "History",
        ..PLAIN
    },
    Route {
        path: "/api/v1/users/{user}/friends",
        name: "listFriends",
        about: "What is between a user and others, in the order in which it changed. `after` is \
                the `rev` of the page before.",
        scope: Some(Scope::Users),
        does: Does::Command("friends"),
        parts: &[ACTOR],
        query: &[part("after", Place::Number("since"), "Count"), LIMIT],
        answer: "Friends",
        ..PLAIN
    },
    Route {
        path: "/api/v1/users/{user}/devices",
        name: "listDevices",
        about: "The devices from which a user has signed in.",
        scope: Some(Scope::Users),
        does: Does::Command("devices"),
        parts: &[ACTOR],
        answer: "Devices",
        ..PLAIN
    },
    Route {
        verb: Verb::Delete,
        path: "/api/v1/users/{user}/devices/{device}",
        name: "signOutDevice",
        about: "Ends the sessions of a device, and those that its tokens could begin.",
        scope: Some(Scope::Users),
        does: Does::Command("device_sign_out"),
        parts: &[ACTOR, part("device", Place::Text("device"), "DeviceId")],
        ..PLAIN
    },
    Route {
        path: "/api/v1/users/{user}/presence",
        name: "getPresence",
        about: "Whether a user is there, as they see it themselves.",
        scope: Some(Scope::Presence),
        does: Does::Command("presence_get"),
        parts: &[part("user", Place::ActorIn("users"), "UserId")],
        answer: "Presences",
        ..PLAIN
    },
    Route {
        verb: Verb::Post,
        path: "/api/v1/users/{user}/disconnect",
        name: "disconnectUser",
        about: "Closes a user's connections (4003), or those of one device. Their tokens go on; see \
                the route that signs a device out.",
        scope: Some(Scope::Connections),
        does: Does::Disconnect,
        parts: &[part("user", Place::Own, "UserId")],
        body: Body::Optional("Disconnect"),
        ..PLAIN
    },
    Route {
        verb: Verb::Post,
        path: "/api/v1/groups",
        name: "createGroup",
        about: "A new group. Who makes it is its owner: the key, or the user named by \
                `X-Hubbub-User`.",
        scope: Some(Scope::Groups),
        does: Does::Command("group_create"),
        body: Body::Required("NewGroup"),
        answer: "Written",
        once: true,
        behalf: true,
        ..PLAIN
    },
    Route {
        verb: Verb::Patch,
        path: "/api/v1/groups/{group}",
        name: "updateGroup",
        about: "Another name, policy or announcement.",
        scope: Some(Scope::Groups),
        does: Does::Command("group_update"),
        parts: &[GROUP],
        body: Body::Required("GroupChange"),
        answer: "Written",
        once: true,
        behalf: true,
        ..PLAIN
    },
    Route {
        verb: Verb::Delete,
        path: "/api/v1/groups/{group}",
        name: "dissolveGroup",
        about: "The end of a group.",
        scope: Some(Scope::Groups),
        does: Does::Command("group_dissolve"),
        parts: &[GROUP],
        answer: "Written",
        once: true,
        behalf: true,
        ..PLAIN
    },
    Route {
        path: "/api/v1/groups/{group}/members",
        name: "listMembers",
        about: "A page of members in the order of their ids. `after` is the `next` of the page \
                before.",
        scope: Some(Scope::Groups),
        does: Does::Command("group_members"),
        parts: &[GROUP],
        query: &[part("after", Place::Text("after"), "UserId"), LIMIT],
        answer: "Members",
        behalf: true,
        ..PLAIN
    },
    Route {
        verb: Verb::Post,
        path: "/api/v1/groups/{group}/members",
        name: "addMembers",
        about: "Users enter a group.",
        scope: Some(Scope::Groups),
        does: Does::Command("group_invite"),
        parts: &[GROUP],
        body: Body::Required("NewMembers"),
        answer: "Written",
        once: true,
        behalf: true,
        ..PLAIN
    },
    Route {
        verb: Verb::Delete,
        path: "/api/v1/groups/{group}/members/{user}",
        name: "removeMember",
        about: "A member is removed.",
        scope: Some(Scope::Groups),
        does: Does::Command("group_kick"),
        parts: &[GROUP, MEMBER],
        answer: "Written",
        once: true,
        behalf: true,
        ..PLAIN
    },
    Route {
        verb: Verb::Put,
        path: "/api/v1/groups/{group}/members/{user}/role",
        name: "setMemberRole",
        about: "A member gets another role; `owner` hands the group over.",
        scope: Some(Scope::Groups),
        does: Does::Command("group_role"),
        parts: &[GROUP, MEMBER],
        body: Body::Required("MemberRole"),
        answer: "Written",
        once: true,
        behalf: true,
        ..PLAIN
    },
    Route {
        verb: Verb::Post,
        path: "/api/v1/tokens",
        name: "createToken",
        about: "A token with which a user signs in, signed with the server's secret. Roles that \
                `[admin] who` names need the scope `*`.",
        scope: Some(Scope::Tokens),
        does: Does::MakeToken,
        body: Body::Required("NewToken"),
        answer: "Token",
        ..PLAIN
    },
    Route {
        path: "/api/v1/keys",
        name: "listKeys",
        about: "All keys, those that were revoked included; never their secrets.",
        scope: Some(Scope::Keys),
        does: Does::ListKeys,
        answer: "Keys",
        ..PLAIN
    },
    Route {
        verb: Verb::Post,
        path: "/api/v1/keys",
        name: "createKey",
        about: "A new key, with no scope that the one who asks does not have. Its secret is shown \
                here and never again.",
        scope: Some(Scope::Keys),
        does: Does::MakeKey,
        body: Body::Required("NewKey"),
        answer: "KeyMade",
        ..PLAIN
    },
    Route {
        verb: Verb::Post,
        path: "/api/v1/keys/{key}/rotate",
        name: "rotateKey",
        about: "A new secret for a key; the old one holds for `grace_s` more (an hour). Four hold \
                at a time; more are refused, as is a key that has expired.",
        scope: Some(Scope::Keys),
        does: Does::RotateKey,
        parts: &[KEY],
        body: Body::Optional("Rotation"),
        answer: "KeyMade",
        ..PLAIN
    },
    Route {
        verb: Verb::Delete,
        path: "/api/v1/keys/{key}",
        name: "revokeKey",
        about: "Ends a key for ever, at once; one with no scope that the one who asks does not \
                have.",
        scope: Some(Scope::Keys),
        does: Does::RevokeKey,
        parts: &[KEY],
        answer: "Key",
        ..PLAIN
    },
    Route {
        verb: Verb::Post,
        path: "/api/v1/batch",
        name: "batch",
        about: "Several requests in one, at most 100, handed on in their order. Each has its own \
                status and needs its own scope. A batch or a broadcast cannot be one of them.",
        does: Does::Batch,
        body: Body::Required("Batch"),
        answer: "BatchResult",
        ..PLAIN
    },
    Route {
        verb: Verb::Post,
        path: "/api/message",
        name: "sendRoomMessage",
        about: "A text for a room, in the form of simple chat servers. The room is a group by its \
                id, or any address that `to` of a message takes.",
        scope: Some(Scope::Messages),
        does: Does::RoomMessage,
        body: Body::Required("RoomMessage"),
        answer: "Sent",
        once: true,
        named: true,
        behalf: true,
        ..PLAIN
    },
];

/// Where the document is.
pub(crate) const DOCUMENT: &str = "/api/v1/openapi.json";

/// The addresses, each once, in the order of the table.
pub(crate) fn paths() -> Vec<&'static str> {
    let mut paths: Vec<&str> = Vec::new();
    for route in ROUTES {
        if !paths.contains(&route.path) {
            paths.push(route.path);
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use hubbub_proto::Command;

    use super::*;

    #[test]
    fn rows_say_what_can_be() {
        for (nth, route) in ROUTES.iter().enumerate() {
            for other in &ROUTES[..nth] {
                assert_ne!(route.name, other.name);
                assert_ne!((route.verb, route.path), (other.verb, other.path), "{}", route.name);
            }
            let braces: Vec<&str> = route
                .path
                .split('/')
                .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
                .collect();
            let parts: Vec<&str> = route.parts.iter().map(|part| part.name).collect();
            assert_eq!(braces, parts, "{}", route.name);
            if let Does::Command(name) = route.does {
                assert!(Command::TYPES.contains(&name), "{name}");
            }
            let names_actor = |part: &Part| matches!(part.place, Place::Actor | Place::ActorIn(_));
            assert!(!route.behalf || !route.parts.iter().any(names_actor), "{}", route.name);
            assert!(!route.about.contains("  "), "{}", route.name);
        }
    }
}
