//! Atomicity, visibility, snapshots, and the one writer.

use hubbub_chat::model::{Counting, Rev};
use hubbub_chat::ports::StoreError;

use super::desk::{Desk, NOW, conversation_id, draft, user_id};
use super::{Case, Fixture};

pub(super) const CASES: &[Case] = &[
    ("a store has an epoch and keeps it", epoch),
    ("there is one writer at a time", one_writer),
    ("what is not committed is invisible to readers", uncommitted),
    ("what was committed is visible to snapshots begun later", committed),
    ("a snapshot is of one moment", snapshot),
    ("a reader that ended its snapshot sees the newest commit", after_snapshot),
    ("a snapshot that was not ended is replaced by the next one", snapshot_again),
    ("the writer sees what it wrote", own_writes),
    ("a rollback forgets everything", rollback),
    ("ending what was not begun does no harm", nothing_open),
    ("nothing is written outside a transaction", no_transaction),
    ("transactions do not nest", no_nesting),
    ("a dropped writer leaves nothing of its transaction", dropped),
    ("a refused row leaves the transaction open", refused_row),
    ("the newest change never goes back", rev_forward),
    ("everything committed is found after reopening", reopened),
];

fn epoch(fixture: &mut dyn Fixture) {
    let epoch = fixture.store().epoch().to_owned();
    assert!(!epoch.is_empty());
    fixture.reopen();
    assert_eq!(fixture.store().epoch(), epoch);
}

fn one_writer(fixture: &mut dyn Fixture) {
    let first = fixture.store().writer().unwrap();
    assert!(matches!(fixture.store().writer(), Err(StoreError::InUse(_))));
    drop(first);
    let second = fixture.store().writer();
    assert!(second.is_ok());
}

fn uncommitted(fixture: &mut dyn Fixture) {
    let mut reader = fixture.store().reader().unwrap();
    let mut desk = Desk::begin(fixture.store());
    desk.user("alice");
    desk.group("g");
    assert_eq!(reader.user(&user_id("alice")).unwrap(), None);
    reader.begin_read().unwrap();
    assert_eq!(reader.conversation(&conversation_id("group:g")).unwrap(), None);
    assert_eq!(reader.rev().unwrap(), Rev(0));
}

fn committed(fixture: &mut dyn Fixture) {
    let mut reader = fixture.store().reader().unwrap();
    let mut desk = Desk::begin(fixture.store());
    let alice = desk.user("alice");
    let group = desk.group("g");
    let rev = desk.join(group, alice, 1);
    desk.commit();
    reader.begin_read().unwrap();
    assert_eq!(reader.rev().unwrap(), rev);
    assert_eq!(reader.user(&user_id("alice")).unwrap().map(|user| user.key), Some(alice));
    assert!(reader.membership(group, alice).unwrap().is_some());
}

fn snapshot(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let alice = desk.user("alice");
    let group = desk.group("g");
    let first = desk.say(&draft(group, 1, alice));
    desk.commit();
    let mut reader = fixture.store().reader().unwrap();
    reader.begin_read().unwrap();
    desk.say(&draft(group, 2, alice));
    desk.user("bob");
    desk.commit();
    assert_eq!(reader.rev().unwrap(), first);
    let seen = reader.conversation(&conversation_id("group:g")).unwrap().unwrap();
    assert_eq!((seen.head_seq, seen.rev), (1, first));
    let (user, id) = (desk.user("bob"), user_id("bob"));
    let counting = Counting { user, id: &id, now: NOW, hidden: &[] };
    assert_eq!(reader.unread(group, counting, 1, 9).unwrap().count, 1);
    assert_eq!(reader.user(&user_id("bob")).unwrap(), None);
}

fn after_snapshot(fixture: &mut dyn Fixture) {
    let mut reader = fixture.store().reader().unwrap();
    reader.begin_read().unwrap();
    let mut desk = Desk::begin(fixture.store());
    desk.user("alice");
    let rev = desk.next();
    desk.commit();
    assert_eq!(reader.user(&user_id("alice")).unwrap(), None);
    reader.end_read().unwrap();
    assert!(reader.user(&user_id("alice")).unwrap().is_some());
    assert_eq!(reader.rev().unwrap(), rev);
}

fn snapshot_again(fixture: &mut dyn Fixture) {
    let mut reader = fixture.store().reader().unwrap();
    reader.begin_read().unwrap();
    let mut desk = Desk::begin(fixture.store());
    desk.user("alice");
    desk.commit();
    reader.begin_read().unwrap();
    assert!(reader.user(&user_id("alice")).unwrap().is_some());
}

fn own_writes(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let alice = desk.user("alice");
    let group = desk.group("g");
    desk.join(group, alice, 1);
    let entry = draft(group, 1, alice);
    let rev = desk.say(&entry);
    let writer = &mut desk.writer;
    assert!(writer.user(&user_id("alice")).unwrap().is_some());
    assert!(writer.membership(group, alice).unwrap().is_some());
    let recorded = writer.recorded(alice, &entry.client_id).unwrap().unwrap();
    assert_eq!((recorded.rev, recorded.seq), (rev, 1));
    assert_eq!(writer.committed_rev().unwrap(), Rev(0));
    desk.commit();
    assert_eq!(desk.writer.committed_rev().unwrap(), rev);
}

fn rollback(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let alice = desk.user("alice");
    let group = desk.group("g");
    desk.join(group, alice, 1);
    desk.commit();
    let kept = desk.writer.committed_rev().unwrap();
    let entry = draft(group, 1, alice);
    desk.say(&entry);
    desk.leave(group, alice, 1);
    desk.user("bob");
    desk.writer.dissolve(group).unwrap();
    desk.writer.rollback().unwrap();
    let writer = &mut desk.writer;
    assert_eq!(writer.committed_rev().unwrap(), kept);
    assert_eq!(writer.user(&user_id("bob")).unwrap(), None);
    assert_eq!(writer.recorded(alice, &entry.client_id).unwrap(), None);
    assert!(writer.membership(group, alice).unwrap().unwrap().is_open());
    let row = writer.conversation(&conversation_id("group:g")).unwrap().unwrap();
    assert_eq!((row.head_seq, row.dissolved), (0, false));
    writer.begin().unwrap();
    desk.say(&entry);
    desk.commit();
}

fn nothing_open(fixture: &mut dyn Fixture) {
    let mut writer = fixture.store().writer().unwrap();
    writer.rollback().unwrap();
    assert!(writer.commit(Rev(1)).is_err());
    assert_eq!(writer.committed_rev().unwrap(), Rev(0));
    let mut reader = fixture.store().reader().unwrap();
    reader.end_read().unwrap();
}

fn no_transaction(fixture: &mut dyn Fixture) {
    let mut writer = fixture.store().writer().unwrap();
    assert!(writer.put_user(&user_id("alice"), None, NOW).is_err());
    assert_eq!(writer.user(&user_id("alice")).unwrap(), None);
}

fn no_nesting(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    desk.user("alice");
    assert!(desk.writer.begin().is_err());
    desk.commit();
    assert!(desk.writer.user(&user_id("alice")).unwrap().is_some());
}

fn dropped(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    desk.user("alice");
    desk.commit();
    desk.user("bob");
    drop(desk);
    let mut desk = Desk::begin(fixture.store());
    assert!(desk.writer.user(&user_id("alice")).unwrap().is_some());
    assert_eq!(desk.writer.user(&user_id("bob")).unwrap(), None);
    desk.user("carol");
    desk.commit();
}

fn refused_row(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let alice = desk.user("alice");
    let group = desk.group("g");
    desk.say(&draft(group, 1, alice));
    let mut taken = draft(group, 1, alice);
    taken.client_id = super::desk::client_id("another");
    assert!(matches!(desk.append(&taken), Err(StoreError::Row(_))));
    desk.say(&draft(group, 2, alice));
    desk.commit();
    assert!(desk.writer.recorded(alice, &draft(group, 2, alice).client_id).unwrap().is_some());
}

fn rev_forward(fixture: &mut dyn Fixture) {
    let mut writer = fixture.store().writer().unwrap();
    for (committed, expect) in [(5, 5), (3, 5), (0, 5), (6, 6)] {
        writer.begin().unwrap();
        writer.commit(Rev(committed)).unwrap();
        assert_eq!(writer.committed_rev().unwrap(), Rev(expect));
    }
    let mut reader = fixture.store().reader().unwrap();
    assert_eq!(reader.rev().unwrap(), Rev(6));
}

fn reopened(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let alice = desk.user("alice");
    let group = desk.group("g");
    desk.join(group, alice, 1);
    let rev = desk.say(&draft(group, 1, alice));
    desk.commit();
    desk.say(&draft(group, 2, alice));
    drop(desk);
    fixture.reopen();
    let mut reader = fixture.store().reader().unwrap();
    assert_eq!(reader.rev().unwrap(), rev);
    let row = reader.conversation(&conversation_id("group:g")).unwrap().unwrap();
    assert_eq!((row.key, row.head_seq, row.rev), (group, 1, rev));
    assert_eq!(reader.user(&user_id("alice")).unwrap().unwrap().key, alice);
    assert!(reader.membership(group, alice).unwrap().unwrap().is_open());
    assert!(reader.recorded(alice, &draft(group, 1, alice).client_id).unwrap().is_some());
    assert!(reader.recorded(alice, &draft(group, 2, alice).client_id).unwrap().is_none());
    let mut writer = fixture.store().writer().unwrap();
    assert_eq!(writer.committed_rev().unwrap(), rev);
}
