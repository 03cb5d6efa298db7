//! Memberships in the logs of what is pushed.

use hubbub_chat::model::{ConversationKey, Profile, Stay, UserKey};
use hubbub_chat::ports::StoreError;
use hubbub_proto::event::ConversationKind;

use super::desk::{Desk, NOW, conversation_id};
use super::{Case, Fixture};

pub(super) const CASES: &[Case] = &[
    ("who enters an audience sees what follows", enters),
    ("who comes back before anything followed never left", goes_on),
    ("a stay that showed nothing leaves no trace", shows_nothing),
    ("of many stays the newest are kept", newest_are_kept),
    ("audiences are those of everyone and of roles, while they last", lists),
    ("entering twice and leaving twice are refused", refused_twice),
];

fn system(desk: &mut Desk, name: &str) -> ConversationKey {
    let id = conversation_id(&format!("system:{name}"));
    let (kind, profile) = (ConversationKind::System, Profile::default());
    desk.writer.create_conversation(&id, kind, &profile, NOW).unwrap().key
}

fn enter(desk: &mut Desk, log: ConversationKey, user: UserKey, head_seq: u64, stays_max: u32) {
    let rev = desk.next();
    desk.writer.enter_audience(log, user, head_seq, stays_max, rev).unwrap();
    let place = desk.writer.membership(log, user).unwrap().unwrap();
    assert!(place.is_open());
    assert_eq!(place.rev, rev);
}

fn leave(desk: &mut Desk, log: ConversationKey, user: UserKey, head_seq: u64) {
    let rev = desk.next();
    desk.writer.leave_audience(log, user, head_seq, rev).unwrap();
    let place = desk.writer.membership(log, user).unwrap().unwrap();
    assert!(!place.is_open());
    assert_eq!(place.rev, rev);
}

fn stays(desk: &mut Desk, log: ConversationKey, user: UserKey) -> Vec<(u64, Option<u64>)> {
    let place = desk.writer.membership(log, user).unwrap().unwrap();
    place.stays.into_iter().map(|Stay { join_seq, left_seq }| (join_seq, left_seq)).collect()
}

fn enters(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, all) = (desk.user("alice"), system(&mut desk, "all"));
    enter(&mut desk, all, alice, 7, 9);
    assert_eq!(stays(&mut desk, all, alice), [(8, None)]);
    let place = desk.writer.membership(all, alice).unwrap().unwrap();
    assert_eq!((place.received_seq, place.read_seq), (7, 7));
    leave(&mut desk, all, alice, 9);
    enter(&mut desk, all, alice, 12, 9);
    assert_eq!(stays(&mut desk, all, alice), [(8, Some(9)), (13, None)]);
    let found = desk.writer.conversation(&conversation_id("system:all")).unwrap().unwrap();
    assert_eq!((found.kind, found.key), (ConversationKind::System, all));
}

fn goes_on(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, all) = (desk.user("alice"), system(&mut desk, "role:staff"));
    enter(&mut desk, all, alice, 0, 9);
    leave(&mut desk, all, alice, 3);
    enter(&mut desk, all, alice, 3, 9);
    assert_eq!(stays(&mut desk, all, alice), [(1, None)]);
    let place = desk.writer.membership(all, alice).unwrap().unwrap();
    assert_eq!(place.read_seq, 0, "what was not read is still there");
}

fn shows_nothing(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, all) = (desk.user("alice"), system(&mut desk, "role:staff"));
    enter(&mut desk, all, alice, 5, 9);
    leave(&mut desk, all, alice, 5);
    assert_eq!(stays(&mut desk, all, alice), []);
    enter(&mut desk, all, alice, 6, 9);
    assert_eq!(stays(&mut desk, all, alice), [(7, None)]);
}

fn newest_are_kept(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, all) = (desk.user("alice"), system(&mut desk, "role:staff"));
    for n in 0..5 {
        enter(&mut desk, all, alice, 10 * n, 3);
        leave(&mut desk, all, alice, 10 * n + 1);
    }
    enter(&mut desk, all, alice, 90, 3);
    assert_eq!(stays(&mut desk, all, alice), [(31, Some(31)), (41, Some(41)), (91, None)]);
}

fn lists(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob) = (desk.user("alice"), desk.user("bob"));
    let group = desk.group("g");
    let [all, staff, left, own] =
        ["all", "role:staff", "role:left", "user:alice"].map(|name| system(&mut desk, name));
    desk.join(group, alice, 1);
    desk.join(own, alice, 1);
    for log in [all, staff, left] {
        enter(&mut desk, log, alice, 0, 9);
    }
    leave(&mut desk, left, alice, 0);
    enter(&mut desk, all, bob, 0, 9);
    let mut of = |user| {
        let found = desk.writer.audiences_of(user).unwrap();
        found.into_iter().map(|(key, id)| (key, id.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(
        of(alice),
        [(all, "system:all".to_owned()), (staff, "system:role:staff".to_owned())]
    );
    assert_eq!(of(bob), [(all, "system:all".to_owned())]);
    let groups = desk.writer.open_groups(alice).unwrap();
    assert_eq!(groups, [conversation_id("group:g")], "and these are no groups");
    assert_eq!(desk.writer.open_group_count(alice).unwrap(), 1);
}

fn refused_twice(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, all) = (desk.user("alice"), system(&mut desk, "all"));
    let rev = desk.next();
    let never = desk.writer.leave_audience(all, alice, 0, rev);
    assert!(matches!(never, Err(StoreError::Row(_))), "{never:?}");
    enter(&mut desk, all, alice, 0, 9);
    let rev = desk.next();
    let twice = desk.writer.enter_audience(all, alice, 4, 9, rev);
    assert!(matches!(twice, Err(StoreError::Row(_))), "{twice:?}");
    leave(&mut desk, all, alice, 4);
    let twice = desk.writer.leave_audience(all, alice, 5, rev);
    assert!(matches!(twice, Err(StoreError::Row(_))), "{twice:?}");
    assert_eq!(stays(&mut desk, all, alice), [(1, Some(4))]);
}
