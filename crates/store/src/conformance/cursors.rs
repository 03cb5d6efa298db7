//! Cursors: only forward.

use hubbub_chat::ports::StoreError;

use super::desk::Desk;
use super::{Case, Fixture};

pub(super) const CASES: &[Case] = &[
    ("cursors move forward, each on its own", forward),
    ("who was never a member has no cursors", stranger),
];

fn forward(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    let mut rev = desk.join(group, alice, 1);
    // Asked for, expected, and whether that is a change.
    for ((received, read), expect, moves) in [
        ((5, 0), (5, 0), true),
        ((5, 0), (5, 0), false),
        ((4, 3), (5, 3), true),
        ((3, 2), (5, 3), false),
        ((9, 1), (9, 3), true),
        ((0, 0), (9, 3), false),
        ((10, 10), (10, 10), true),
    ] {
        let next = desk.next();
        desk.writer.advance_cursors(group, alice, received, read, next).unwrap();
        if moves {
            rev = next;
        }
        let place = desk.writer.membership(group, alice).unwrap().unwrap();
        assert_eq!((place.received_seq, place.read_seq), expect, "after {received} {read}");
        assert_eq!(place.rev, rev, "after {received} {read}");
        desk.commit();
    }
    desk.leave(group, alice, 20);
    let next = desk.next();
    desk.writer.advance_cursors(group, alice, 20, 20, next).unwrap();
    let place = desk.writer.membership(group, alice).unwrap().unwrap();
    assert_eq!((place.received_seq, place.read_seq, place.is_open()), (20, 20, false));
}

fn stranger(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    let rev = desk.next();
    let refused = desk.writer.advance_cursors(group, alice, 1, 1, rev);
    assert!(matches!(refused, Err(StoreError::Row(_))));
    assert_eq!(desk.writer.membership(group, alice).unwrap(), None);
}
