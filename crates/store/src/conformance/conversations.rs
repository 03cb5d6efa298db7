//! Conversations: their rows.

use hubbub_chat::model::{ConversationKey, Profile, Rev};
use hubbub_chat::ports::StoreError;
use hubbub_proto::command::JoinPolicy;
use hubbub_proto::event::ConversationKind;

use super::desk::{Desk, NOW, conversation_id};
use super::{Case, Fixture};

pub(super) const CASES: &[Case] = &[
    ("a conversation begins empty, with its profile", created),
    ("a conversation's id must be free", taken),
    ("head, profile and dissolution are written back", changed),
    ("a conversation that does not exist cannot be changed", missing),
];

fn created(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let named =
        Profile { name: Some("Friends".into()), join: JoinPolicy::Open, ..Profile::default() };
    for (id, kind, profile) in [
        ("group:friends", ConversationKind::Group, named),
        ("direct:alice:bob", ConversationKind::Direct, Profile::default()),
    ] {
        let id = conversation_id(id);
        assert_eq!(desk.writer.conversation(&id).unwrap(), None);
        let made = desk.writer.create_conversation(&id, kind, &profile, NOW).unwrap();
        assert_eq!((&made.id, made.kind, &made.profile), (&id, kind, &profile));
        assert_eq!((made.head_seq, made.floor_seq, made.rev), (0, 0, Rev(0)));
        assert!(!made.dissolved);
        assert_eq!(desk.writer.conversation(&id).unwrap(), Some(made));
    }
}

fn taken(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let key = desk.group("g");
    let again = desk.writer.create_conversation(
        &conversation_id("group:g"),
        ConversationKind::Group,
        &Profile::default(),
        NOW,
    );
    assert!(matches!(again, Err(StoreError::Row(_))));
    let row = desk.writer.conversation(&conversation_id("group:g")).unwrap().unwrap();
    assert_eq!((row.key, row.profile.name.as_deref()), (key, Some("g")));
}

fn changed(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let key = desk.group("g");
    let other = desk.group("other");
    desk.writer.set_head(key, 7, Rev(9)).unwrap();
    let garden = Profile {
        name: Some("Garden".into()),
        join: JoinPolicy::Approval,
        announcement: Some("Water it".into()),
        retention_ms: Some(86_400_000),
    };
    desk.writer.set_profile(key, &garden).unwrap();
    let id = conversation_id("group:g");
    let row = desk.writer.conversation(&id).unwrap().unwrap();
    assert_eq!((row.head_seq, row.rev, row.dissolved), (7, Rev(9), false));
    assert_eq!(row.profile, garden);
    desk.writer.set_profile(key, &Profile::default()).unwrap();
    desk.writer.dissolve(key).unwrap();
    let row = desk.writer.conversation(&id).unwrap().unwrap();
    assert_eq!((row.head_seq, row.rev, row.dissolved), (7, Rev(9), true));
    assert_eq!(row.profile, Profile::default());
    let row = desk.writer.conversation(&conversation_id("group:other")).unwrap().unwrap();
    assert_eq!((row.key, row.head_seq, row.dissolved), (other, 0, false));
}

fn missing(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let none = ConversationKey(99);
    let writer = &mut desk.writer;
    assert!(matches!(writer.set_head(none, 1, Rev(1)), Err(StoreError::Row(_))));
    assert!(matches!(writer.dissolve(none), Err(StoreError::Row(_))));
    let changed = writer.set_profile(none, &Profile::default());
    assert!(matches!(changed, Err(StoreError::Row(_))));
}
