//! Users, friends and blocks.

use hubbub_proto::command::Circle;
use hubbub_proto::event::*;
use hubbub_proto::{Ack, DeviceId, Event};
use serde_json::value::RawValue;

use super::{NOW, Sample, user};

pub(super) const COMMANDS: &[Sample] = &[
    ("me", "{}", "{}"),
    (
        "profile_update",
        "{}",
        r#"{"avatar":"https://example.org/alice.png","about":"In a meeting, as ever.","data":{"team":"blue"}}"#,
    ),
    (
        "privacy_update",
        "{}",
        r#"{"presence":"friends","last_seen":"nobody","messages":"friends","invites":"friends","receipts":false}"#,
    ),
    ("users", r#"{"users":["bob"]}"#, r#"{"users":["bob","carol"]}"#),
    ("friend_request", r#"{"user":"bob"}"#, r#"{"user":"bob","note":"We met at the fair."}"#),
    ("friend_accept", r#"{"user":"alice"}"#, r#"{"user":"alice"}"#),
    ("friend_reject", r#"{"user":"alice"}"#, r#"{"user":"alice"}"#),
    ("friend_cancel", r#"{"user":"bob"}"#, r#"{"user":"bob"}"#),
    ("friend_remove", r#"{"user":"bob"}"#, r#"{"user":"bob"}"#),
    ("friend_block", r#"{"user":"mallory"}"#, r#"{"user":"mallory"}"#),
    ("friend_unblock", r#"{"user":"mallory"}"#, r#"{"user":"mallory"}"#),
    ("friends", "{}", r#"{"since":911,"full":true,"limit":50}"#),
    ("devices", "{}", "{}"),
    ("device_sign_out", r#"{"device":"phone-1"}"#, r#"{"others":true}"#),
    ("user_roles", r#"{"user":"bob","roles":[]}"#, r#"{"user":"bob","roles":["staff","editor"]}"#),
];

fn profile(full: bool) -> UserProfile {
    let given = |text: &str| full.then(|| text.into());
    UserProfile {
        id: user(if full { "alice" } else { "bob" }),
        name: given("Alice"),
        avatar: given("https://example.org/alice.png"),
        about: given("In a meeting, as ever."),
        data: full.then(|| RawValue::from_string(r#"{"team":"blue"}"#.to_owned()).unwrap()),
    }
}

fn me() -> Box<Me> {
    Box::new(Me {
        user: profile(true),
        privacy: Privacy {
            presence: Circle::Friends,
            last_seen: Circle::Nobody,
            messages: Circle::Friends,
            invites: Circle::Friends,
            receipts: true,
        },
        roles: vec!["staff".into()],
        rev: 915,
    })
}

fn relation(full: bool) -> Relation {
    Relation {
        user: user(if full { "alice" } else { "mallory" }),
        name: full.then(|| "Alice".into()),
        state: if full { RelationState::Received } else { RelationState::None },
        blocked: !full,
        note: full.then(|| "We met at the fair.".into()),
        at: NOW,
        rev: if full { 914 } else { 916 },
    }
}

pub(super) fn events() -> Vec<(&'static str, Event)> {
    vec![
        ("user_updated", Event::UserUpdated(me())),
        ("relation", Event::Relation(relation(true))),
        ("relation, bare", Event::Relation(relation(false))),
    ]
}

fn device(full: bool) -> DeviceItem {
    DeviceItem {
        id: DeviceId::new(if full { "laptop-1" } else { "phone-1" }).unwrap(),
        kind: full.then(|| "web".into()),
        name: full.then(|| "Firefox at home".into()),
        last_seen: NOW,
        current: full,
        signed_out: !full,
    }
}

pub(super) fn acks() -> Vec<(&'static str, Ack)> {
    let friend = Relation { state: RelationState::Friend, note: None, ..relation(true) };
    let page = RelationPage {
        relations: vec![relation(true), relation(false)],
        rev: 916,
        more: false,
        reset: true,
    };
    vec![
        ("me", Ack::Me(me())),
        ("users", Ack::Users(UserPage { users: vec![profile(true), profile(false)], more: true })),
        ("friend_accept", Ack::Relation(Related { relation: friend })),
        ("friends", Ack::Relations(page)),
        ("devices", Ack::Devices(DeviceList { devices: vec![device(true), device(false)] })),
    ]
}
