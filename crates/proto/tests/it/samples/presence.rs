//! Presence.

use hubbub_proto::event::*;
use hubbub_proto::{Ack, Event};

use super::{NOW, Sample, user};

pub(super) const COMMANDS: &[Sample] = &[
    ("presence_set", r#"{"status":"online"}"#, r#"{"status":"busy"}"#),
    ("presence_get", "{}", r#"{"users":["bob","carol"],"friends":true,"watch":true}"#),
];

fn presences() -> Presences {
    let bob = Presence {
        user: user("bob"),
        status: Status::Online,
        last_seen: None,
        devices: vec!["desktop".into(), "mobile".into()],
    };
    let carol = Presence {
        user: user("carol"),
        status: Status::Offline,
        last_seen: Some(NOW),
        devices: Vec::new(),
    };
    Presences { presences: vec![bob, carol] }
}

pub(super) fn events() -> Vec<(&'static str, Event)> {
    let bare =
        |status| Presence { user: user("bob"), status, last_seen: None, devices: Vec::new() };
    let each = [Status::Offline, Status::Invisible, Status::Away, Status::Online, Status::Busy];
    let each = Presences { presences: each.map(bare).to_vec() };
    vec![
        ("online_status", Event::OnlineStatus(presences())),
        ("online_status, each", Event::OnlineStatus(each)),
    ]
}

pub(super) fn acks() -> Vec<(&'static str, Ack)> {
    vec![("presence_get", Ack::Presences(presences()))]
}
