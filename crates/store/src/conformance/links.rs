//! Links into groups.

use hubbub_chat::model::{Link, Until};
use hubbub_chat::ports::StoreError;

use super::desk::{Desk, NOW, user_id};
use super::{Case, Fixture};

pub(super) const CASES: &[Case] = &[
    ("links are kept, counted and forgotten", links),
    ("a new link takes those away that have ended", ended),
];

fn link(byte: u8, end_ms: Option<u64>, uses_left: Option<u32>) -> Link {
    let until = Until::new(end_ms.map(|ms| NOW.plus_ms(ms)));
    Link {
        digest: [byte; 32],
        by: user_id("alice"),
        at: NOW.plus_ms(byte.into()),
        until,
        uses_left,
    }
}

fn links(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group, other) = (desk.user("alice"), desk.group("g"), desk.group("other"));
    let (second, first) = (link(2, None, None), link(1, Some(900), Some(2)));
    for link in [&second, &first] {
        desk.writer.put_link(group, alice, link).unwrap();
    }
    let twice = desk.writer.put_link(group, alice, &first);
    assert!(matches!(twice, Err(StoreError::Row(_))));
    desk.writer.put_link(other, alice, &link(3, None, None)).unwrap();
    assert_eq!(desk.writer.links(group).unwrap(), [first.clone(), second.clone()]);
    desk.commit();
    drop(desk);
    fixture.reopen();
    let mut desk = Desk::begin(fixture.store());
    for left in [1, 0, 0] {
        desk.writer.use_link(group, &first.digest).unwrap();
        desk.writer.use_link(group, &second.digest).unwrap();
        let used = Link { uses_left: Some(left), ..first.clone() };
        assert_eq!(desk.writer.links(group).unwrap(), [used, second.clone()]);
    }
    desk.writer.remove_link(group, &second.digest).unwrap();
    desk.writer.remove_link(group, &second.digest).unwrap();
    assert_eq!(desk.writer.links(group).unwrap().len(), 1);
    desk.writer.close_doors(group).unwrap();
    assert_eq!(desk.writer.links(group).unwrap(), []);
    assert_eq!(desk.writer.links(other).unwrap().len(), 1);
}

fn ended(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    let (late, used, kept) =
        (link(1, Some(9), None), link(2, None, Some(1)), link(3, Some(10), None));
    for link in [&late, &used, &kept] {
        desk.writer.put_link(group, alice, link).unwrap();
    }
    desk.writer.use_link(group, &used.digest).unwrap();
    desk.writer.put_link(group, alice, &link(9, None, None)).unwrap();
    let left: Vec<_> =
        desk.writer.links(group).unwrap().iter().map(|link| link.digest[0]).collect();
    assert_eq!(left, [3, 9]);
}
