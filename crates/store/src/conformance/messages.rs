//! Entries: appending, idempotency, ranges, counting, and finding by time.

use hubbub_chat::model::{ConversationKey, Recorded, Rev, UserKey};
use hubbub_chat::ports::{Appended, Order, Range, StoreError};
use hubbub_proto::command::Kind;

use super::desk::{Desk, Draft, NOW, client_id, content, conversation_id, draft};
use super::{Case, Fixture};

pub(super) const CASES: &[Case] = &[
    ("an entry is read as it was written", fields),
    ("every kind and every sort of client id survives", kinds_and_ids),
    ("a client id is written once, and the answer says where", duplicate),
    ("the same client id of another sender is another entry", other_sender),
    ("a seq and a rev are used once", used),
    ("ranges come in both orders, with limits", ranges),
    ("a range ends with the entry that exceeds its bytes", range_bytes),
    ("unread counts messages by others", unread),
    ("unread looks at the newest thousand and stops at a hundred", unread_bounds),
    ("the first seq at a time is found", first_seq_at),
];

fn begin(fixture: &dyn Fixture) -> (Desk, UserKey, UserKey, ConversationKey) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob, group) = (desk.user("alice"), desk.user("bob"), desk.group("g"));
    (desk, alice, bob, group)
}

const EVERYTHING: Range =
    Range { from: 1, to: u64::MAX, order: Order::Ascending, limit: 10_000, bytes: usize::MAX };

fn fields(fixture: &mut dyn Fixture) {
    let (mut desk, alice, _, group) = begin(fixture);
    let json = r#"{ "a" : [1, 2.50, "\u00e9 ☃"],  "a": null }"#;
    let entry = Draft {
        kind: Kind::Custom("custom:poll.v1".into()),
        content: content(json),
        digest: u64::MAX,
        ..draft(group, 1, alice)
    };
    let rev = desk.say(&entry);
    desk.commit();
    let found = desk.writer.entries(group, EVERYTHING).unwrap();
    let [found] = &found[..] else { panic!("one entry, not {found:?}") };
    assert_eq!((found.rev, found.seq, found.at), (rev, 1, entry.at));
    assert_eq!(found.sender.as_str(), "alice");
    assert_eq!((&found.client_id, &found.kind), (&entry.client_id, &entry.kind));
    assert_eq!(found.content.get(), json);
    let expect = Recorded {
        rev,
        conversation: conversation_id("group:g"),
        seq: 1,
        at: entry.at,
        digest: u64::MAX,
    };
    assert_eq!(desk.writer.recorded(alice, &entry.client_id).unwrap(), Some(expect));
}

fn kinds_and_ids(fixture: &mut dyn Fixture) {
    let (mut desk, alice, _, group) = begin(fixture);
    let kinds = [
        "text",
        "image",
        "file",
        "audio",
        "video",
        "location",
        "card",
        "group_created",
        "group_updated",
        "group_dissolved",
        "member_joined",
        "member_left",
        "member_kicked",
        "member_role",
        "custom:x",
    ];
    // The last ones are spellings of one UUID, which are client ids of their own.
    let ids = [
        "1",
        "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
        "0190A1B2-C3D4-7E5F-8A9B-0C1D2E3F4A5B",
        "0190a1b2c3d47e5f8a9b0c1d2e3f4a5b",
        "{0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b}",
        "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5g",
        "~!@#$%^&*()'\"`\\/<>?,.;:[]{}|=+-_",
    ];
    for (index, name) in kinds.iter().enumerate() {
        let kind = Kind::parse(name).unwrap();
        let id = ids.get(index).map_or_else(|| format!("id-{index}"), |id| (*id).to_owned());
        let entry = draft(group, index as u64 + 1, alice);
        let entry = Draft { kind, client_id: client_id(&id), ..entry };
        desk.say(&entry);
        let recorded = desk.writer.recorded(alice, &entry.client_id).unwrap().unwrap();
        assert_eq!(recorded.seq, entry.seq, "{id}");
    }
    let found = desk.writer.entries(group, EVERYTHING).unwrap();
    assert_eq!(found.iter().map(|entry| entry.kind.as_str()).collect::<Vec<_>>(), kinds);
    for (entry, id) in found.iter().zip(ids) {
        assert_eq!(entry.client_id.as_str(), id);
    }
}

fn duplicate(fixture: &mut dyn Fixture) {
    let (mut desk, alice, _, group) = begin(fixture);
    let other = desk.group("other");
    let first = draft(group, 1, alice);
    let rev = desk.say(&first);
    let expect = Appended::Duplicate(Recorded {
        rev,
        conversation: conversation_id("group:g"),
        seq: 1,
        at: first.at,
        digest: first.digest,
    });
    let repeat = |conversation, seq| Draft {
        client_id: first.client_id.clone(),
        content: content("\"another text\""),
        digest: 77,
        ..draft(conversation, seq, alice)
    };
    // In the same transaction, in a later one, in another conversation, and with a seq in use.
    assert_eq!(desk.append(&repeat(group, 2)).unwrap(), expect);
    desk.commit();
    assert_eq!(desk.append(&repeat(group, 2)).unwrap(), expect);
    assert_eq!(desk.append(&repeat(other, 1)).unwrap(), expect);
    assert_eq!(desk.append(&repeat(group, 1)).unwrap(), expect);
    desk.commit();
    assert_eq!(desk.writer.entries(group, EVERYTHING).unwrap().len(), 1);
    assert_eq!(desk.writer.entries(other, EVERYTHING).unwrap().len(), 0);
    desk.say(&draft(group, 2, alice));
}

fn other_sender(fixture: &mut dyn Fixture) {
    let (mut desk, alice, bob, group) = begin(fixture);
    let first = draft(group, 1, alice);
    let second = Draft { client_id: first.client_id.clone(), ..draft(group, 2, bob) };
    desk.say(&first);
    assert_eq!(desk.writer.recorded(bob, &first.client_id).unwrap(), None);
    desk.say(&second);
    for (sender, seq) in [(alice, 1), (bob, 2)] {
        let recorded = desk.writer.recorded(sender, &first.client_id).unwrap();
        assert_eq!(recorded.map(|recorded| recorded.seq), Some(seq));
    }
}

fn used(fixture: &mut dyn Fixture) {
    let (mut desk, alice, bob, group) = begin(fixture);
    let rev = desk.say(&draft(group, 1, alice));
    let seq_used = Draft { client_id: client_id("x"), ..draft(group, 1, bob) };
    assert!(matches!(desk.append(&seq_used), Err(StoreError::Row(_))));
    let rev_used = desk.append_at(&draft(group, 2, bob), rev);
    assert!(matches!(rev_used, Err(StoreError::Row(_))));
    assert_eq!(desk.writer.recorded(bob, &client_id("x")).unwrap(), None);
    assert_eq!(desk.writer.entries(group, EVERYTHING).unwrap().len(), 1);
}

fn ranges(fixture: &mut dyn Fixture) {
    let (mut desk, alice, bob, group) = begin(fixture);
    let other = desk.group("other");
    for seq in 1..=9 {
        desk.say(&draft(group, seq, if seq % 2 == 0 { alice } else { bob }));
    }
    desk.say(&draft(other, 1, alice));
    let mut check = |from, to, order, limit, expect: &[u64]| {
        let range = Range { from, to, order, limit, bytes: usize::MAX };
        let found = desk.writer.entries(group, range).unwrap();
        let seqs: Vec<u64> = found.iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs, expect, "{range:?}");
    };
    use Order::{Ascending, Descending};
    check(0, u64::MAX, Ascending, 100, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    check(3, 5, Ascending, 100, &[3, 4, 5]);
    check(3, 5, Descending, 100, &[5, 4, 3]);
    check(3, 8, Ascending, 2, &[3, 4]);
    check(3, 8, Descending, 2, &[8, 7]);
    check(8, 20, Ascending, 100, &[8, 9]);
    check(8, 20, Descending, 100, &[9, 8]);
    check(9, 9, Ascending, 1, &[9]);
    check(10, 20, Ascending, 100, &[]);
    check(5, 4, Ascending, 100, &[]);
    check(1, 9, Descending, 0, &[]);
    let none = desk.writer.entries(ConversationKey(99), EVERYTHING).unwrap();
    assert!(none.is_empty());
}

fn range_bytes(fixture: &mut dyn Fixture) {
    let (mut desk, alice, _, group) = begin(fixture);
    for seq in 1..=5 {
        // Ten bytes each.
        desk.say(&Draft { content: content("\"12345678\""), ..draft(group, seq, alice) });
    }
    for (bytes, expect) in [(0, 1), (9, 1), (10, 2), (19, 2), (20, 3), (49, 5), (500, 5)] {
        for order in [Order::Ascending, Order::Descending] {
            let range = Range { bytes, order, ..EVERYTHING };
            let found = desk.writer.entries(group, range).unwrap();
            assert_eq!(found.len(), expect, "{range:?}");
        }
    }
}

fn unread(fixture: &mut dyn Fixture) {
    let (mut desk, alice, bob, group) = begin(fixture);
    let carol = desk.user("carol");
    for (index, (sender, kind)) in [
        (alice, Kind::GroupCreated),
        (alice, Kind::Text),
        (bob, Kind::Image),
        (alice, Kind::MemberJoined),
        (alice, Kind::Custom("custom:x".into())),
        (bob, Kind::Text),
        (alice, Kind::Card),
    ]
    .into_iter()
    .enumerate()
    {
        desk.say(&Draft { kind, ..draft(group, index as u64 + 1, sender) });
    }
    let mut check = |reader, from, to, expect| {
        let found = desk.unread(group, reader, from, to);
        assert_eq!(found, expect, "{reader:?} {from} {to}");
    };
    check(carol, 1, 7, 5);
    check(alice, 1, 7, 2);
    check(bob, 1, 7, 3);
    check(bob, 3, u64::MAX, 2);
    check(bob, 6, 7, 1);
    check(alice, 4, 5, 0);
    check(alice, 8, 7, 0);
    assert_eq!(desk.unread(ConversationKey(99), alice, 1, 9), 0);
}

fn unread_bounds(fixture: &mut dyn Fixture) {
    let (mut desk, alice, bob, group) = begin(fixture);
    // 1..=150 by alice, 151..=1120 by bob, 1121..=1130 by alice.
    for seq in 1..=1130 {
        let sender = if seq > 150 && seq <= 1120 { bob } else { alice };
        assert_eq!(desk.append(&draft(group, seq, sender)).unwrap(), Appended::New);
    }
    let mut check = |from, to, expect| {
        assert_eq!(desk.unread(group, bob, from, to), expect, "{from} {to}");
    };
    check(1, 99, 99);
    check(1, 100, 100);
    check(1, 150, 100);
    // 131..=1130 are looked at: 20 of the older ones and 10 of the newest.
    check(1, 1130, 30);
    check(141, 1130, 20);
}

fn first_seq_at(fixture: &mut dyn Fixture) {
    let (mut desk, alice, _, group) = begin(fixture);
    assert_eq!(desk.writer.first_seq_at(group, NOW).unwrap(), None);
    // Milliseconds after the beginning; several entries may share a moment.
    for (index, ms) in [10, 10, 20, 30, 30, 30, 40].into_iter().enumerate() {
        let seq = index as u64 + 1;
        desk.say(&Draft { at: NOW.plus_ms(ms), ..draft(group, seq, alice) });
    }
    let other = desk.group("other");
    desk.say(&Draft { at: NOW.plus_ms(25), ..draft(other, 1, alice) });
    for (ms, expect) in [
        (0, Some(1)),
        (10, Some(1)),
        (11, Some(3)),
        (20, Some(3)),
        (21, Some(4)),
        (30, Some(4)),
        (31, Some(7)),
        (40, Some(7)),
        (41, None),
        (u64::MAX, None),
    ] {
        let found = desk.writer.first_seq_at(group, NOW.plus_ms(ms)).unwrap();
        assert_eq!(found, expect, "at {ms}");
    }
    desk.writer.commit(Rev(99)).unwrap();
}
