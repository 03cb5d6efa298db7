//! Who gets into a group, who is kept out, and who may only read; what users keep about
//! conversations, and receipts.

use hubbub_proto::command::Link;
use hubbub_proto::event::*;
use hubbub_proto::{Ack, ClientId, Event, GroupId};

use super::{NOW, Sample, direct, user};

pub(super) const COMMANDS: &[Sample] = &[
    (
        "group_join",
        r#"{"group":"team"}"#,
        r#"{"group":"team","link":"9f86d081884c7d659a2feaa0c55ad015","note":"I am Dave from sales","client_id":"g-4"}"#,
    ),
    ("group_requests", r#"{"group":"team"}"#, r#"{"group":"team","after":"bob","limit":50}"#),
    (
        "group_approve",
        r#"{"group":"team","user":"dave"}"#,
        r#"{"group":"team","user":"dave","client_id":"g-9"}"#,
    ),
    ("group_reject", r#"{"group":"team","user":"dave"}"#, r#"{"group":"team","user":"dave"}"#),
    (
        "group_ban",
        r#"{"group":"team","user":"dave"}"#,
        r#"{"group":"team","user":"dave","until":1763683200000,"client_id":"g-10"}"#,
    ),
    (
        "group_unban",
        r#"{"group":"team","user":"dave"}"#,
        r#"{"group":"team","user":"dave","client_id":"g-11"}"#,
    ),
    ("group_bans", r#"{"group":"team"}"#, r#"{"group":"team","after":"bob","limit":50}"#),
    (
        "group_mute",
        r#"{"group":"team","muted":false}"#,
        r#"{"group":"team","user":"dave","muted":true,"until":1763683200000,"client_id":"g-12"}"#,
    ),
    (
        "group_link_create",
        r#"{"group":"team"}"#,
        r#"{"group":"team","expires_in_ms":86400000,"uses_max":10}"#,
    ),
    ("group_links", r#"{"group":"team"}"#, r#"{"group":"team"}"#),
    (
        "group_link_revoke",
        r#"{"group":"team","link":"e3b0c44298fc1c14"}"#,
        r#"{"group":"team","link":"e3b0c44298fc1c14"}"#,
    ),
    (
        "conversation_update",
        r#"{"conversation":"group:team"}"#,
        r#"{"conversation":"group:team","pinned":true,"muted_until":1763683200000,"hidden":false,"marked_unread":true,"draft":"As I said"}"#,
    ),
    (
        "receipts",
        r#"{"conversation":"group:team","seq":7}"#,
        r#"{"conversation":"group:team","seq":7}"#,
    ),
];

pub(super) fn events() -> Vec<(&'static str, Event)> {
    let request = |name: Option<&str>, note: Option<&str>, state| {
        Event::JoinRequest(Box::new(JoinRequestEvent {
            group: GroupId::new("team").unwrap(),
            user: user("dave"),
            name: name.map(Into::into),
            note: note.map(Into::into),
            at: NOW,
            state,
        }))
    };
    let note = Some("I am Dave from sales");
    vec![
        ("group_request", request(Some("Dave"), note, JoinRequestState::Pending)),
        ("group_request, answered", request(None, None, JoinRequestState::Rejected)),
        (
            "conversation_updated",
            Event::ConversationUpdated(Box::new(ConversationUpdated {
                conversation: direct(),
                settings: Settings {
                    pinned: true,
                    muted_until: Some(NOW),
                    hidden: false,
                    marked_unread: false,
                    draft: Some("As I said".into()),
                },
                rev: 913,
            })),
        ),
        (
            "conversation_updated, nothing set",
            Event::ConversationUpdated(Box::new(ConversationUpdated {
                conversation: direct(),
                settings: Settings::default(),
                rev: 914,
            })),
        ),
        (
            "message_receipt",
            Event::MessageReceipt(Box::new(MessageReceipt {
                conversation: direct(),
                seq: 7,
                client_id: ClientId::new("m-1").unwrap(),
                user: user("bob"),
                status: ReceiptStatus::Read,
                at: NOW,
            })),
        ),
    ]
}

pub(super) fn acks() -> Vec<(&'static str, Ack)> {
    let request = JoinRequestItem {
        user: user("dave"),
        name: Some("Dave".into()),
        note: Some("I am Dave from sales".into()),
        at: NOW,
    };
    let ban = |until| BanItem {
        user: user("eve"),
        name: Some("Eve".into()),
        by: user("alice"),
        at: NOW,
        until,
    };
    let link = |by: &str, expires_at, uses_left| LinkItem {
        link: "e3b0c44298fc1c14".into(),
        by: user(by),
        at: NOW,
        expires_at,
        uses_left,
    };
    let reached = |id: &str, read_seq| MemberCursors { user: user(id), received_seq: 7, read_seq };
    vec![
        (
            "group_link_create",
            Ack::LinkMade(LinkMade {
                link: Link::new("9f86d081884c7d659a2feaa0c55ad015"),
                expires_at: Some(NOW),
                uses_max: Some(10),
            }),
        ),
        (
            "group_links",
            Ack::Links(LinkList {
                links: vec![link("alice", None, None), link("bob", Some(NOW), Some(9))],
            }),
        ),
        (
            "receipts",
            Ack::Receipts(ReceiptPage {
                received: 2,
                read: 1,
                members: Some(vec![reached("bob", 7), reached("carol", 3)]),
                total: 2,
            }),
        ),
        ("group_join", Ack::Requested(Requested { requested: true })),
        (
            "group_requests",
            Ack::JoinRequests(JoinRequestPage { requests: vec![request], more: false }),
        ),
        (
            "group_bans",
            Ack::Bans(BanPage { bans: vec![ban(None), ban(Some(NOW.plus_ms(1)))], more: true }),
        ),
    ]
}
