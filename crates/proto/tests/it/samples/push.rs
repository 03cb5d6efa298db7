//! What is pushed.

use hubbub_proto::event::*;
use hubbub_proto::{PushType, Timestamp};

use super::*;

pub(super) const COMMANDS: &[Sample] = &[(
    "push",
    r#"{"to":"all","type":"notification","data":"Back at nine"}"#,
    r#"{"to":["user:alice","user:bob"],"type":"order_update","data":{"order":17,"state":"sent"},"durable":true,"expires_in_ms":86400000,"client_id":"p-1"}"#,
)];

fn entry(to: &str, kind: &str, data: &str) -> Entry {
    Entry {
        conversation: ConversationId::new(&format!("system:{to}")).unwrap(),
        seq: 3,
        message_id: 915,
        from: user("shop"),
        kind: Kind::push(&PushType::new(kind).unwrap()),
        content: raw(data),
        client_id: ClientId::new("p-1").unwrap(),
        at: NOW,
        extra: None,
    }
}

pub(super) fn events() -> Vec<(&'static str, Event)> {
    let live =
        |to, kind, data| Event::Entry(Delivered { entry: entry(to, kind, data), attempt: 1 });
    let volatile = |to: &str, kind: &str, expires_at| {
        Event::Push(Box::new(Pushed {
            kind: PushType::new(kind).unwrap(),
            from: user("editor"),
            to: to.into(),
            at: NOW,
            expires_at,
            data: raw(r#"{"document":9,"cursor":[4,17]}"#),
        }))
    };
    vec![
        ("notification", live("all", "notification", r#""Back at nine""#)),
        ("notification, volatile", volatile("role:staff", "notification", None)),
        ("order_update", live("user:alice", "order_update", r#"{"order":17,"state":"sent"}"#)),
        ("order_update, volatile", volatile("user:alice", "order_update", None)),
        ("collaboration", volatile("user:alice", "collaboration", Some(Timestamp(NOW.0 + 5_000)))),
        ("collaboration, kept", live("role:staff", "collaboration", "{}")),
    ]
}

pub(super) fn acks() -> Vec<(&'static str, Ack)> {
    let written = |to: &str, seq, message_id| PushEntry {
        to: to.into(),
        conversation: ConversationId::new(&format!("system:{to}")).unwrap(),
        seq,
        message_id,
    };
    vec![(
        "push",
        Ack::Pushed(PushedTo {
            written: vec![written("user:alice", 3, 915), written("user:bob", 1, 916)],
            timestamp: NOW,
            duplicate: false,
        }),
    )]
}
