//! What users keep about conversations, and receipts.

use hubbub_chat::model::{Rev, Settings, Until};
use hubbub_chat::ports::StoreError;

use super::desk::{Desk, NOW, draft, user_id};
use super::{Case, Fixture};

pub(super) const CASES: &[Case] = &[
    ("settings are kept with the place, also of one who left", settings),
    ("receipts that are wanted are found, newest first", wanted),
    ("those are told how far they are whose stay shows the entry", reached),
];

fn settings(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob, group) = (desk.user("alice"), desk.user("bob"), desk.group("g"));
    let full = Settings {
        pinned: true,
        muted: Some(Until::new(Some(NOW))),
        hidden_seq: Some(7),
        marked_unread: true,
        draft: Some("hm, \u{1f980}".into()),
    };
    let rev = desk.next();
    let unknown = desk.writer.set_settings(group, alice, &full, rev);
    assert!(matches!(unknown, Err(StoreError::Row(_))), "never a member");
    desk.join(group, alice, 1);
    desk.join(group, bob, 1);
    assert_eq!(desk.writer.membership(group, alice).unwrap().unwrap().settings, None);
    desk.leave(group, alice, 1);
    let rev = desk.next();
    desk.writer.set_settings(group, alice, &full, rev).unwrap();
    desk.commit();
    drop(desk);
    fixture.reopen();
    let mut desk = Desk::begin(fixture.store());
    let place = desk.writer.membership(group, alice).unwrap().unwrap();
    assert_eq!((place.settings.as_deref(), place.rev), (Some(&full), rev));
    desk.join(group, alice, 2);
    let found = desk.writer.changed(alice, Rev(0), 9).unwrap();
    assert_eq!(found[0].1.settings.as_deref(), Some(&full));
    assert_eq!(desk.writer.membership(group, bob).unwrap().unwrap().settings, None);
    let rev = desk.next();
    desk.writer.set_settings(group, alice, &Settings::default(), rev).unwrap();
    assert_eq!(desk.writer.membership(group, alice).unwrap().unwrap().settings, None);
}

fn wanted(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group, other) = (desk.user("alice"), desk.group("g"), desk.group("other"));
    assert_eq!(desk.writer.newest_receipt_wanted(group).unwrap(), 0);
    for seq in 1..=9 {
        let rev = desk.say(&draft(group, seq, alice));
        if [2, 5, 6, 8].contains(&seq) {
            desk.writer.want_receipt(group, seq, rev).unwrap();
        }
        desk.say(&draft(other, seq, alice));
    }
    let none = desk.writer.want_receipt(group, 20, Rev(1));
    assert!(matches!(none, Err(StoreError::Row(_))));
    let mut found = |from, to, limit| {
        let wanted = desk.writer.receipts_wanted(group, from, to, limit).unwrap();
        for one in &wanted {
            assert_eq!(one.sender, user_id("alice"));
            assert_eq!(one.client_id.as_str(), format!("c{}-{}", group.0, one.seq));
        }
        wanted.into_iter().map(|one| one.seq).collect::<Vec<_>>()
    };
    assert_eq!(found(1, 9, 9), [8, 6, 5, 2]);
    assert_eq!(found(1, 9, 2), [8, 6]);
    assert_eq!(found(3, 6, 9), [6, 5]);
    assert_eq!(found(3, 4, 9), [0u64; 0]);
    assert_eq!(found(6, 5, 9), [0u64; 0]);
    assert_eq!(desk.writer.newest_receipt_wanted(group).unwrap(), 8);
    assert_eq!(desk.writer.newest_receipt_wanted(other).unwrap(), 0);
}

fn reached(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let group = desk.group("g");
    let [alice, bob, late, gone, back] =
        ["alice", "bob", "late", "gone", "back"].map(|id| desk.user(id));
    for (user, seq) in [(alice, 1), (bob, 1), (late, 6), (gone, 1), (back, 1)] {
        desk.join(group, user, seq);
    }
    desk.leave(group, gone, 9);
    desk.leave(group, back, 3);
    desk.join(group, back, 5);
    let rev = desk.next();
    desk.writer.advance_cursors(group, bob, 8, 4, rev).unwrap();
    let mut found = |seq, except| {
        let mut all = Vec::new();
        desk.writer
            .reached(group, seq, except, &mut |one| {
                all.push((one.user.id.to_string(), one.received_seq, one.read_seq));
            })
            .unwrap();
        all.sort();
        all
    };
    let (bob_at, back_at) = (("bob".to_owned(), 8, 4), ("back".to_owned(), 4, 4));
    assert_eq!(found(5, alice), [back_at.clone(), bob_at.clone()]);
    assert_eq!(found(4, alice), std::slice::from_ref(&bob_at));
    assert_eq!(found(6, bob), [("alice".into(), 0, 0), back_at, ("late".into(), 5, 5)]);
}
