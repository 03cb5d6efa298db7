//! What is kept no longer.

use hubbub_chat::model::{Aged, ConversationKey, Counting, EntryKey, Rev};
use hubbub_chat::ports::{Order, Range};
use hubbub_proto::command::Kind;
use hubbub_proto::event::{Head, Removed};

use super::desk::{Desk, Draft, NOW, client_id, draft, user_id};
use super::operations::emoji;
use super::{Case, Fixture};

pub(super) const CASES: &[Case] = &[
    ("entries of all logs are found in the order of commits", in_order),
    ("how far the logs were swept is kept", swept),
    ("groups are looked at when they are due", overdue),
    ("a floor is raised and never lowered", floor),
    ("what is retired is wiped with all that was done to it", retires),
    ("what is retired is still recognised", recognised),
    ("an edit goes with its message, wherever it stands", edits),
    ("what is to be forgotten is found in the order of its times", by_time),
    ("what is forgotten is gone, and the log goes on", forgets),
    ("the newest of a log is left until another follows", newest),
    ("what is forgotten is forgotten by a commit alone", durable),
];

const ALL: Range =
    Range { from: 1, to: u64::MAX, order: Order::Ascending, limit: 999, bytes: usize::MAX };

fn key(conversation: ConversationKey, seq: u64, rev: Rev) -> EntryKey {
    EntryKey { conversation, seq, rev }
}

fn seqs(desk: &mut Desk, conversation: ConversationKey) -> Vec<u64> {
    let ascending: Vec<u64> =
        desk.writer.entries(conversation, ALL).unwrap().iter().map(|entry| entry.seq).collect();
    let down = Range { order: Order::Descending, ..ALL };
    let mut descending: Vec<u64> =
        desk.writer.entries(conversation, down).unwrap().iter().map(|entry| entry.seq).collect();
    descending.reverse();
    assert_eq!(ascending, descending, "a log is the same from both ends");
    ascending
}

fn revs(found: &[Aged]) -> Vec<Rev> {
    found.iter().map(|aged| aged.entry.rev).collect()
}

fn in_order(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, one, other) = (desk.user("alice"), desk.group("one"), desk.group("other"));
    assert!(desk.writer.committed_after(Rev(0), 9).unwrap().is_empty());
    assert_eq!(desk.writer.newest_at().unwrap(), None);
    let first = desk.say(&draft(one, 1, alice));
    let second = desk.say(&draft(other, 1, alice));
    let third = desk.say(&draft(one, 2, alice));
    let found = desk.writer.committed_after(Rev(0), 9).unwrap();
    assert_eq!(revs(&found), [first, second, third]);
    assert_eq!(found[2].entry, key(one, 2, third));
    assert_eq!((found[2].at, found[2].conversation.as_str()), (NOW.plus_ms(2), "group:one"));
    assert_eq!(revs(&desk.writer.committed_after(first, 1).unwrap()), [second]);
    assert!(desk.writer.committed_after(third, 9).unwrap().is_empty());
    assert_eq!(desk.writer.newest_at().unwrap(), Some(NOW.plus_ms(2)));
}

fn swept(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    assert_eq!(desk.writer.swept().unwrap(), Rev(0));
    desk.writer.set_swept(Rev(7)).unwrap();
    desk.commit();
    desk.writer.set_swept(Rev(9)).unwrap();
    assert_eq!(desk.writer.swept().unwrap(), Rev(9));
    drop(desk);
    fixture.reopen();
    assert_eq!(Desk::begin(fixture.store()).writer.swept().unwrap(), Rev(7));
}

fn overdue(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let [a, b, c] = ["a", "b", "c"].map(|name| desk.group(name));
    assert_eq!(desk.writer.next_overdue().unwrap(), None);
    for (group, ms) in [(a, 30), (b, 10), (c, 20)] {
        desk.writer.set_overdue(group, Some(NOW.plus_ms(ms))).unwrap();
    }
    let mut due = |ms, limit| -> Vec<String> {
        let due = desk.writer.overdue(NOW.plus_ms(ms), limit).unwrap();
        due.iter().map(ToString::to_string).collect()
    };
    assert_eq!(due(9, 9), [""; 0]);
    assert_eq!(due(20, 9), ["group:b", "group:c"]);
    assert_eq!(due(99, 2), ["group:b", "group:c"]);
    desk.writer.set_overdue(b, None).unwrap();
    assert_eq!(desk.writer.next_overdue().unwrap(), Some(NOW.plus_ms(20)));
}

fn floor(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let group = desk.group("g");
    let id = super::desk::conversation_id("group:g");
    for (seq, expect) in [(3, 3), (2, 3), (5, 5)] {
        desk.writer.raise_floor(group, seq).unwrap();
        assert_eq!(desk.writer.conversation(&id).unwrap().unwrap().floor_seq, expect);
    }
}

fn retires(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob, group) = (desk.user("alice"), desk.user("bob"), desk.group("g"));
    desk.join(group, alice, 1);
    desk.join(group, bob, 1);
    let head = Head {
        about: None,
        mentions: vec![user_id("bob")],
        expires_at: Some(NOW.plus_ms(99)),
        receipt: true,
        ..Head::default()
    };
    let said = desk.say(&Draft { head: Some(head), ..draft(group, 1, alice) });
    let told = Head { about: Some(1), ..Head::default() };
    let second = desk.say(&Draft { head: Some(told), ..draft(group, 2, alice) });
    let (one, other) = (key(group, 1, said), key(group, 2, second));
    for target in [one, other] {
        desk.writer.put_reaction(target, &emoji("👍"), bob, 3, NOW).unwrap();
        desk.writer.put_pin(target, 4, alice, NOW).unwrap();
        let rev = desk.next();
        desk.writer.hide(group, bob, target.seq, rev).unwrap();
    }
    for _ in 0..2 {
        desk.writer.retire(one).unwrap();
    }
    let entries = desk.writer.entries(group, ALL).unwrap();
    let [gone, left] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((gone.content.get(), gone.fate.removed), ("null", Some(Removed::Expired)));
    assert_eq!((&gone.head, gone.fate.edited, gone.fate.reacted), (&None, None, false));
    assert_eq!((gone.seq, gone.rev, gone.at), (1, said, NOW.plus_ms(1)));
    assert_eq!((left.content.get(), left.fate.removed, left.fate.reacted), ("\"2\"", None, true));
    assert!(left.head.as_ref().is_some_and(|head| head.about == Some(1)));
    assert!(desk.writer.emojis(one).unwrap().is_empty());
    assert_eq!(desk.writer.emojis(other).unwrap().len(), 1);
    let pins: Vec<u64> = desk.writer.pins(group).unwrap().iter().map(|pin| pin.seq).collect();
    assert_eq!(pins, [2]);
    assert_eq!(desk.writer.hidden(group, bob, (1, 9), 9).unwrap(), [2]);
    assert_eq!(desk.writer.newest_receipt_wanted(group).unwrap(), 0);
    assert_eq!(desk.writer.next_expiry().unwrap(), None);
    let id = user_id("bob");
    let reader = Counting { user: bob, id: &id, now: NOW, hidden: &[] };
    let unread = desk.writer.unread(group, reader, 1, 9).unwrap();
    assert_eq!((unread.count, unread.mentions), (1, 0));
    assert_eq!(revs(&desk.writer.retired(9).unwrap()), [said]);
}

fn recognised(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    let said = desk.say(&draft(group, 1, alice));
    let id = draft(group, 1, alice).client_id;
    let before = desk.writer.recorded(alice, &id).unwrap();
    assert!(before.is_some());
    desk.writer.retire(key(group, 1, said)).unwrap();
    assert_eq!(desk.writer.recorded(alice, &id).unwrap(), before);
    desk.say(&draft(group, 2, alice));
    desk.writer.forget(key(group, 1, said)).unwrap();
    assert_eq!(desk.writer.recorded(alice, &id).unwrap(), None);
}

fn edits(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    let said = desk.say(&draft(group, 1, alice));
    let mut edited = Vec::new();
    for seq in 2..=4 {
        let head = Some(Head { about: Some(1), ..Head::default() });
        let edit = Draft { kind: Kind::MessageEdited, head, ..draft(group, seq, alice) };
        let rev = desk.say(&edit);
        desk.writer.chain_edit(key(group, 1, said), key(group, seq, rev)).unwrap();
        edited.push(rev);
    }
    desk.writer.retire(key(group, 1, said)).unwrap();
    for entry in desk.writer.entries(group, ALL).unwrap() {
        assert_eq!(entry.content.get(), "null", "{}", entry.seq);
    }
    assert_eq!(revs(&desk.writer.retired(9).unwrap()), [said], "they have a time of their own");
    for (seq, rev) in (2..).zip(&edited) {
        desk.writer.retire(key(group, seq, *rev)).unwrap();
    }
    assert_eq!(revs(&desk.writer.retired(3).unwrap()), [said, edited[0], edited[1]]);
}

fn by_time(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, late, early) = (desk.user("alice"), desk.group("late"), desk.group("early"));
    let mut told = Vec::new();
    for (group, seq, ms) in
        [(late, 1, 8), (late, 2, 9), (early, 1, 1), (early, 2, 3), (early, 3, 8)]
    {
        let rev = desk.say(&Draft { at: NOW.plus_ms(ms), ..draft(group, seq, alice) });
        desk.writer.retire(key(group, seq, rev)).unwrap();
        told.push(rev);
    }
    let expect = [told[2], told[3], told[0], told[4], told[1]];
    assert_eq!(revs(&desk.writer.retired(9).unwrap()), expect);
    assert_eq!(revs(&desk.writer.retired(2).unwrap()), expect[..2]);
}

fn forgets(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group, other) = (desk.user("alice"), desk.group("g"), desk.group("other"));
    let mut keys = Vec::new();
    for seq in 1..=200 {
        let rev = desk.say(&draft(group, seq, alice));
        keys.push(key(group, seq, rev));
        desk.say(&draft(other, seq, alice));
    }
    desk.writer.forget(keys[0]).unwrap();
    assert_eq!(seqs(&mut desk, group).len(), 200, "only what was retired");
    for entry in &keys[..150] {
        desk.writer.retire(*entry).unwrap();
        desk.writer.forget(*entry).unwrap();
    }
    desk.commit();
    assert_eq!(seqs(&mut desk, group), (151..=200).collect::<Vec<u64>>());
    assert_eq!(seqs(&mut desk, other).len(), 200);
    assert!(desk.writer.retired(9).unwrap().is_empty());
    for (from, to, expect) in [(1, 100, 0), (100, 160, 10), (151, 151, 1), (190, 300, 11)] {
        let range = Range { from, to, ..ALL };
        assert_eq!(desk.writer.entries(group, range).unwrap().len(), expect, "{from}..={to}");
    }
    for (ms, expect) in [(0, 151), (151, 151), (180, 180)] {
        let found = desk.writer.first_seq_at(group, NOW.plus_ms(ms)).unwrap();
        assert_eq!(found, Some(expect), "{ms}");
    }
    desk.say(&draft(group, 201, alice));
    assert_eq!(seqs(&mut desk, group).last(), Some(&201));
}

fn newest(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    let said = |desk: &mut Desk, seq| {
        let rev = desk.say(&draft(group, seq, alice));
        desk.writer.retire(key(group, seq, rev)).unwrap();
        key(group, seq, rev)
    };
    let first = said(&mut desk, 1);
    desk.writer.forget(first).unwrap();
    assert_eq!(seqs(&mut desk, group), [1]);
    assert!(desk.writer.retired(9).unwrap().is_empty(), "and not looked at for ever");
    desk.commit();
    let again = draft(group, 1, alice).client_id;
    assert_eq!(desk.writer.recorded(alice, &again).unwrap(), None, "its client id is free");
    let other = desk.group("other");
    let rev = desk.say(&Draft { client_id: again.clone(), ..draft(other, 1, alice) });
    let refused = desk.append(&Draft { client_id: client_id("x"), ..draft(group, 1, alice) });
    assert!(refused.is_err(), "its seq is taken");
    let second = said(&mut desk, 2);
    let third = said(&mut desk, 3);
    assert_eq!(seqs(&mut desk, group), [1, 2, 3]);
    desk.writer.forget(second).unwrap();
    assert_eq!(seqs(&mut desk, group), [3], "with the one that was left");
    desk.writer.forget(third).unwrap();
    assert_eq!(seqs(&mut desk, group), [3]);
    desk.say(&draft(group, 4, alice));
    assert_eq!(seqs(&mut desk, group), [3, 4]);
    let found = desk.writer.recorded(alice, &again).unwrap();
    assert_eq!(found.map(|found| found.rev), Some(rev), "of the entry that got it later");
}

fn durable(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    let [first, second] = [1, 2].map(|seq| (seq, desk.say(&draft(group, seq, alice))));
    desk.commit();
    desk.writer.retire(key(group, first.0, first.1)).unwrap();
    desk.writer.forget(key(group, first.0, first.1)).unwrap();
    desk.writer.retire(key(group, second.0, second.1)).unwrap();
    desk.writer.raise_floor(group, 2).unwrap();
    desk.writer.rollback().unwrap();
    desk.writer.begin().unwrap();
    assert_eq!(seqs(&mut desk, group), [1, 2]);
    let contents: Vec<_> = desk.writer.entries(group, ALL).unwrap();
    assert!(contents.iter().all(|entry| entry.content.get() != "null"));
    desk.writer.retire(key(group, first.0, first.1)).unwrap();
    desk.writer.forget(key(group, first.0, first.1)).unwrap();
    desk.commit();
    drop(desk);
    fixture.reopen();
    let mut desk = Desk::begin(fixture.store());
    assert_eq!(seqs(&mut desk, group), [2]);
}
