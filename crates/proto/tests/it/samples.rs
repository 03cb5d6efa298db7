//! One example of everything that goes over the wire, with and without what may be absent.

mod groups;
mod live;
mod operations;
mod people;
mod presence;
mod push;

use std::sync::LazyLock;

use hubbub_proto::codec::Codec;
use hubbub_proto::command::{JoinPolicy, Kind, Role};
use hubbub_proto::event::*;
use hubbub_proto::{
    Ack, ClientId, Command, CommandId, ConversationId, DeviceId, Event, GroupId, Reason, Refusal,
    Timestamp, UserId,
};
use serde_json::value::RawValue;

pub(crate) const NOW: Timestamp = Timestamp(1_763_596_800_123);
const EPOCH: &str = "4f0c2a9e";

/// A command's `type`, its shortest payload and its fullest one.
type Sample = (&'static str, &'static str, &'static str);

/// All of them, in the order of the commands' table.
pub(crate) static COMMANDS: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    let mut samples = [
        FOUNDATION,
        groups::COMMANDS,
        operations::COMMANDS,
        people::COMMANDS,
        push::COMMANDS,
        presence::COMMANDS,
        live::COMMANDS,
    ]
    .concat();
    samples.sort_by_key(|(name, ..)| Command::TYPES.iter().position(|known| known == name));
    samples
});

const FOUNDATION: &[Sample] = &[
    (
        "auth",
        r#"{"token":"eyJ.eyJ.sig"}"#,
        r#"{"token":"eyJ.eyJ.sig","device":{"id":"laptop-1","kind":"web","name":"Firefox at home"}}"#,
    ),
    ("refresh", r#"{"token":"eyJ.eyJ.sig"}"#, r#"{"token":"eyJ.eyJ.sig"}"#),
    ("ping", "{}", "{}"),
    ("pong", "{}", "{}"),
    (
        "send",
        r#"{"to":"user:bob","content":"hi","client_id":"m-1"}"#,
        r#"{"to":"group:team","content":{"text":"hi"},"kind":"custom:poll","client_id":"m-2","after":"m-1","reply_to":40,"mentions":["bob"],"mention_all":true,"expires_in_ms":86400000,"receipt":true}"#,
    ),
    (
        "received",
        r#"{"conversation":"direct:alice:bob","seq":7}"#,
        r#"{"conversation":"direct:alice:bob","seq":7}"#,
    ),
    (
        "read",
        r#"{"conversation":"direct:alice:bob","seq":7}"#,
        r#"{"conversation":"direct:alice:bob","seq":7}"#,
    ),
    (
        "typing",
        r#"{"conversation":"direct:alice:bob","active":true}"#,
        r#"{"conversation":"direct:alice:bob","active":true}"#,
    ),
    (
        "history",
        r#"{"conversation":"direct:alice:bob"}"#,
        r#"{"conversation":"direct:alice:bob","before":100,"limit":20}"#,
    ),
    (
        "pull",
        r#"{"conversation":"direct:alice:bob","from":5,"to":9}"#,
        r#"{"conversation":"direct:alice:bob","from":5,"to":9}"#,
    ),
    (
        "sync",
        "{}",
        r#"{"epoch":"4f0c2a9e","cursors":{"direct:alice:bob":7,"group:team":40},"rev":911}"#,
    ),
    ("conversations", "{}", r#"{"before_rev":911,"limit":20}"#),
    (
        "group_create",
        r#"{"name":"Team"}"#,
        r#"{"name":"Team","members":["bob","carol"],"join":"open","client_id":"g-1"}"#,
    ),
    (
        "group_update",
        r#"{"group":"team"}"#,
        r#"{"group":"team","name":"The team","join":"invite","announcement":"Monday at nine","retention_ms":604800000,"client_id":"g-2"}"#,
    ),
    (
        "group_invite",
        r#"{"group":"team","members":["dave"]}"#,
        r#"{"group":"team","members":["dave"],"client_id":"g-3"}"#,
    ),
    ("group_leave", r#"{"group":"team"}"#, r#"{"group":"team","client_id":"g-5"}"#),
    (
        "group_kick",
        r#"{"group":"team","user":"dave"}"#,
        r#"{"group":"team","user":"dave","client_id":"g-6"}"#,
    ),
    (
        "group_role",
        r#"{"group":"team","user":"bob","role":"admin"}"#,
        r#"{"group":"team","user":"bob","role":"admin","client_id":"g-7"}"#,
    ),
    ("group_dissolve", r#"{"group":"team"}"#, r#"{"group":"team","client_id":"g-8"}"#),
    ("group_members", r#"{"group":"team"}"#, r#"{"group":"team","after":"bob","limit":50}"#),
];

/// A command's message as a client sends it.
pub(crate) fn message(name: &str, payload: &str) -> String {
    format!(r#"{{"type":"{name}","id":"c-1","payload":{payload}}}"#)
}

pub(crate) fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

fn direct() -> ConversationId {
    ConversationId::new("direct:alice:bob").unwrap()
}

fn team() -> ConversationId {
    ConversationId::new("group:team").unwrap()
}

fn text() -> Entry {
    Entry {
        conversation: direct(),
        seq: 7,
        message_id: 912,
        from: user("alice"),
        kind: Kind::Text,
        content: raw(r#""hi""#),
        client_id: ClientId::new("0199c5d2-6a3b-7d01-9f7e-3b5a4c2d1e0f").unwrap(),
        at: NOW,
        extra: None,
    }
}

fn change() -> Entry {
    Entry {
        conversation: team(),
        seq: 41,
        message_id: 913,
        from: user("alice"),
        kind: Kind::MemberJoined,
        content: raw(r#"{"user":"dave","by":"alice"}"#),
        client_id: ClientId::new("g-3").unwrap(),
        at: NOW,
        extra: None,
    }
}

fn raw(json: &str) -> hubbub_proto::command::Content {
    RawValue::from_string(json.to_owned()).unwrap().into()
}

fn connected(name: Option<&str>, expires_at: Option<Timestamp>) -> Event {
    Event::Connected(Box::new(Connected {
        client_id: "0199c5d2-5f1c-7b43-8a55-1c9d2e3f4a5b".into(),
        user: user("alice"),
        name: name.map(Into::into),
        device: DeviceId::new("laptop-1").unwrap(),
        epoch: EPOCH.into(),
        heartbeat_ms: 30_000,
        limits: AnnouncedLimits {
            commands_in_flight: 64,
            commands_per_second: 200,
            message_bytes: 65_536,
            content_depth: 32,
            dedupe_window_ms: 2_592_000_000,
            history_entries: 200,
        },
        server: "hubbub/0.1.0",
        expires_at,
    }))
}

/// Every event, with a label; the first of a type is its example in the reference.
pub(crate) fn events() -> Vec<(&'static str, Event)> {
    let mut own = text();
    own.conversation = ConversationId::new("direct:alice:alice").unwrap();
    let mut grouped = text();
    grouped.conversation = team();
    let foundation = vec![
        ("connected", connected(Some("Alice"), Some(Timestamp(1_763_600_400_000)))),
        ("connected, bare", connected(None, None)),
        ("message", Event::Entry(Delivered { entry: text(), attempt: 1 })),
        ("message in a group, again", Event::Entry(Delivered { entry: grouped, attempt: 2 })),
        ("message to oneself", Event::Entry(Delivered { entry: own, attempt: 1 })),
        ("group_changed", Event::Entry(Delivered { entry: change(), attempt: 1 })),
        ("void", Event::Void(Void { conversation: team(), seq: 12, through: 30 })),
        (
            "receipt",
            Event::Receipt(Receipt {
                conversation: direct(),
                user: user("bob"),
                received_seq: 7,
                read_seq: 5,
            }),
        ),
        (
            "typing",
            Event::Typing(TypingEvent {
                conversation: direct(),
                user: user("bob"),
                active: true,
                expires_in_ms: Some(6_000),
            }),
        ),
        (
            "typing, over",
            Event::Typing(TypingEvent {
                conversation: direct(),
                user: user("bob"),
                active: false,
                expires_in_ms: None,
            }),
        ),
        ("ping", Event::Ping(Ping { heads: vec![(direct(), 7), (team(), 41)], resync: true })),
        ("ping, idle", Event::Ping(Ping::default())),
        ("pong", Event::Pong),
        ("lag", Event::Lag(Lag { conversation: Some(team()), head: Some(41) })),
        ("lag everywhere", Event::Lag(Lag { conversation: None, head: None })),
        (
            "token_expiring",
            Event::TokenExpiring(TokenExpiring { expires_at: Timestamp(1_763_600_400_000) }),
        ),
        ("bye", Event::Bye(Bye { reconnect: true, retry_after_ms: 1_500 })),
        ("error", Event::Error(Refusal::with(Reason::Unauthorized, "Authenticate first."))),
    ];
    [
        foundation,
        groups::events(),
        operations::events(),
        people::events(),
        push::events(),
        presence::events(),
        live::events(),
    ]
    .concat()
}

fn direct_summary() -> Summary {
    Summary {
        id: direct(),
        kind: ConversationKind::Direct,
        name: None,
        peer: Some(PublicUser { id: user("bob"), name: Some("Bob".into()) }),
        role: None,
        join: None,
        announcement: None,
        retention_ms: None,
        muted: None,
        all_muted: None,
        member: true,
        head_seq: 7,
        floor_seq: 0,
        first_seq: 1,
        unread: 1,
        mentions: 1,
        mention_seq: Some(7),
        cleared_seq: None,
        received_seq: 7,
        read_seq: 6,
        peer_cursors: Some(PeerCursors { received_seq: 7, read_seq: 5 }),
        settings: None,
        rev: 912,
    }
}

fn group_summary() -> Summary {
    Summary {
        id: team(),
        kind: ConversationKind::Group,
        name: Some("Team".into()),
        peer: None,
        role: Some(Role::Owner),
        join: Some(JoinPolicy::Open),
        announcement: Some("Monday at nine".into()),
        retention_ms: Some(604_800_000),
        muted: None,
        all_muted: Some(Muted { until: Some(NOW) }),
        member: true,
        head_seq: 41,
        floor_seq: 0,
        first_seq: 1,
        unread: 0,
        mentions: 0,
        mention_seq: None,
        cleared_seq: None,
        received_seq: 41,
        read_seq: 41,
        peer_cursors: None,
        settings: Some(Settings {
            pinned: true,
            muted_until: Some(NOW),
            hidden: false,
            marked_unread: true,
            draft: Some("As I said".into()),
        }),
        rev: 913,
    }
}

/// The acks of every shape, with the command they answer.
pub(crate) fn acks() -> Vec<(&'static str, Ack)> {
    let written = |group: Option<&str>, conversation, seq, message_id| {
        Ack::Written(Written {
            group: group.map(|group| GroupId::new(group).unwrap()),
            conversation,
            seq,
            message_id,
            timestamp: NOW,
            duplicate: false,
        })
    };
    let void = LogItem::Void(Void { conversation: team(), seq: 38, through: 40 });
    let foundation = vec![
        ("read", Ack::Done),
        ("send", written(None, direct(), 7, 912)),
        ("group_create", written(Some("team"), team(), 1, 840)),
        (
            "history",
            Ack::History(HistoryPage {
                entries: vec![operations::spoken()],
                from_seq: 1,
                through_seq: 7,
                head_seq: 7,
                floor_seq: 0,
                more: true,
            }),
        ),
        (
            "pull",
            Ack::Pull(PullPage {
                entries: vec![void.clone(), LogItem::Entry(change())],
                head_seq: 41,
                more: false,
            }),
        ),
        (
            "sync",
            Ack::Sync(SyncPage {
                epoch: EPOCH.into(),
                conversations: vec![
                    SyncedConversation {
                        summary: direct_summary(),
                        reset: false,
                        hidden: vec![5],
                        from_seq: 7,
                        entries: vec![LogItem::Entry(text())],
                        more: false,
                    },
                    SyncedConversation {
                        summary: group_summary(),
                        reset: true,
                        hidden: Vec::new(),
                        from_seq: 38,
                        entries: vec![void, LogItem::Entry(change())],
                        more: false,
                    },
                ],
                rev: 913,
                relations_rev: 914,
                more: false,
            }),
        ),
        (
            "conversations",
            Ack::Conversations(ConversationPage {
                conversations: vec![
                    Listed { summary: group_summary(), last: Some(change()) },
                    Listed { summary: direct_summary(), last: None },
                ],
                next: Some(912),
            }),
        ),
        (
            "group_members",
            Ack::Members(MemberPage {
                members: vec![
                    Member {
                        user: PublicUser { id: user("alice"), name: Some("Alice".into()) },
                        role: Role::Owner,
                        muted: None,
                    },
                    Member {
                        user: PublicUser { id: user("bob"), name: None },
                        role: Role::Member,
                        muted: Some(Muted { until: None }),
                    },
                ],
                count: 3,
                next: Some(user("bob")),
            }),
        ),
    ];
    [
        foundation,
        groups::acks(),
        operations::acks(),
        people::acks(),
        push::acks(),
        presence::acks(),
        live::acks(),
    ]
    .concat()
}

/// Refusals of every form.
pub(crate) fn refusals() -> Vec<(&'static str, Refusal)> {
    vec![
        ("with its own sentence", Refusal::with(Reason::BadField, "`to` is missing.")),
        ("with the reason's sentence", Reason::NotAMember.into()),
        ("that ends by itself", Refusal::until(Reason::Muted, Some(NOW))),
        ("to be tried later", Refusal::later(Reason::RateLimited, 250)),
    ]
}

/// An event as it is sent.
pub(crate) fn encoded(event: &Event) -> String {
    let mut out = Vec::new();
    Codec::Json.encode_event(event, NOW, &mut out);
    String::from_utf8(out).unwrap()
}

/// A reply as it is sent.
pub(crate) fn reply(id: Option<&str>, outcome: &Result<Ack, Refusal>) -> String {
    let mut out = Vec::new();
    let id = id.map(|id| CommandId::new(id).unwrap());
    Codec::Json.encode_reply(id.as_ref(), outcome, NOW, &mut out);
    String::from_utf8(out).unwrap()
}
