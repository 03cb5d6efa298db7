//! What is done to messages.

use hubbub_proto::command::Emoji;

use super::*;

pub(super) const COMMANDS: &[Sample] = &[
    (
        "edit",
        r#"{"conversation":"direct:alice:bob","seq":7,"content":"hi!"}"#,
        r#"{"conversation":"direct:alice:bob","seq":7,"content":"hi!","client_id":"e-1"}"#,
    ),
    (
        "recall",
        r#"{"conversation":"direct:alice:bob","seq":7}"#,
        r#"{"conversation":"direct:alice:bob","seq":7,"client_id":"e-2"}"#,
    ),
    (
        "react",
        r#"{"conversation":"group:team","seq":40,"emoji":"👍"}"#,
        r#"{"conversation":"group:team","seq":40,"emoji":"👍","active":false,"client_id":"e-3"}"#,
    ),
    (
        "delete",
        r#"{"conversation":"group:team","seq":40}"#,
        r#"{"conversation":"group:team","seq":40,"for":"all","client_id":"e-4"}"#,
    ),
    (
        "pin",
        r#"{"conversation":"group:team","seq":40}"#,
        r#"{"conversation":"group:team","seq":40,"active":false,"client_id":"e-5"}"#,
    ),
    (
        "clear",
        r#"{"conversation":"direct:alice:bob","seq":7}"#,
        r#"{"conversation":"direct:alice:bob","seq":7}"#,
    ),
    ("pins", r#"{"conversation":"group:team"}"#, r#"{"conversation":"group:team"}"#),
    (
        "edits",
        r#"{"conversation":"direct:alice:bob","seq":7}"#,
        r#"{"conversation":"direct:alice:bob","seq":7}"#,
    ),
    (
        "reactions",
        r#"{"conversation":"group:team","seq":40}"#,
        r#"{"conversation":"group:team","seq":40,"emoji":"👍","after":{"emoji":"👍","user":"bob"},"limit":50}"#,
    ),
];

fn emoji(text: &str) -> Emoji {
    Emoji::new(text).unwrap()
}

fn update(kind: Kind, content: &str, removed: Option<Removed>) -> Event {
    let extra = Extra {
        head: Head { about: Some(7), ..Head::default() },
        current: Current { removed, ..Current::default() },
    };
    let (content, extra) = (raw(content), Some(Box::new(extra)));
    let client_id = ClientId::new("e-1").unwrap();
    let entry = Entry { seq: 9, message_id: 915, kind, content, client_id, extra, ..text() };
    Event::Entry(Delivered { entry, attempt: 1 })
}

fn taken_back() -> Entry {
    let current = Current { removed: Some(Removed::Recalled), ..Current::default() };
    let extra = Some(Box::new(Extra { current, ..Extra::default() }));
    Entry { content: raw("null"), extra, ..text() }
}

/// A message that was edited and reacted to, as `history` shows it.
pub(super) fn spoken() -> Entry {
    let reactions = vec![ReactionCount {
        emoji: emoji("👍"),
        count: 2,
        users: vec![user("alice"), user("bob")],
        mine: true,
    }];
    let current = Current { edited_at: Some(NOW), reactions, pinned: true, ..Current::default() };
    let extra = Some(Box::new(Extra { current, ..Extra::default() }));
    Entry { content: raw(r#""hi!""#), extra, ..text() }
}

/// A message with all that may come along.
fn laden() -> Entry {
    let head = Head {
        about: Some(3),
        mentions: vec![user("bob")],
        mention_all: true,
        forwarded: Some(Forwarded { from: user("carol"), at: NOW }),
        expires_at: Some(NOW.plus_ms(60_000)),
        receipt: true,
    };
    Entry { extra: Some(Box::new(Extra { head, ..Extra::default() })), ..text() }
}

pub(super) fn events() -> Vec<(&'static str, Event)> {
    let reaction = r#"{"emoji":"👍","active":true}"#;
    let removed = Some(Removed::Recalled);
    vec![
        ("message_updated", update(Kind::MessageEdited, r#""hi!""#, None)),
        ("message_updated, a reaction", update(Kind::MessageReaction, reaction, None)),
        ("message_updated, taken back", update(Kind::MessageRecalled, "null", None)),
        ("message_updated, withheld", update(Kind::MessageEdited, "null", removed)),
        (
            "message_hidden",
            Event::MessageHidden(MessageHidden {
                conversation: direct(),
                seqs: vec![7],
                through: Some(3),
            }),
        ),
        ("message, with all", Event::Entry(Delivered { entry: laden(), attempt: 1 })),
        ("message, taken back", Event::Entry(Delivered { entry: taken_back(), attempt: 2 })),
    ]
}

pub(super) fn acks() -> Vec<(&'static str, Ack)> {
    let version = |content, at| Version { content: raw(content), at };
    vec![
        ("clear", Ack::Cleared(Cleared { through: 7 })),
        (
            "edits",
            Ack::Edits(EditsPage {
                versions: vec![version(r#""hi""#, NOW), version(r#""hi!""#, NOW.plus_ms(2_000))],
            }),
        ),
        (
            "pins",
            Ack::Pins(PinsPage {
                pins: vec![PinItem { seq: 7, by: user("bob"), at: NOW, entry: spoken() }],
            }),
        ),
        (
            "reactions",
            Ack::Reactions(ReactionsPage {
                reactions: vec![Reaction { emoji: emoji("👍"), user: user("bob"), at: NOW }],
                more: false,
            }),
        ),
    ]
}
