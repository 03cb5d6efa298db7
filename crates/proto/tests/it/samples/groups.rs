//! Who gets into a group, who is kept out, and who may only read.

use hubbub_proto::event::*;
use hubbub_proto::{Ack, Event, GroupId};

use super::{NOW, Sample, user};

pub(super) const COMMANDS: &[Sample] = &[
    (
        "group_join",
        r#"{"group":"team"}"#,
        r#"{"group":"team","note":"I am Dave from sales","client_id":"g-4"}"#,
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
    vec![
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
