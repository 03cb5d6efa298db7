//! Stays, roles, and lists of members.

use hubbub_chat::model::{Member, Membership, Profile, Stay};
use hubbub_chat::ports::StoreError;
use hubbub_proto::command::Role;
use hubbub_proto::event::ConversationKind;

use super::desk::{Desk, NOW, conversation_id, user_id};
use super::{Case, Fixture};

pub(super) const CASES: &[Case] = &[
    ("a stay opens a membership", joins),
    ("a stay that ends is kept", leaves),
    ("who returns has both stays, with cursors kept and raised", returns),
    ("stays neither overlap nor nest nor are empty", refused_stays),
    ("a role is changed, also of one who left", roles),
    ("members come in the order of ids, in pages, without those who left", pages),
    ("owners are counted among members only", owners),
    ("open groups are groups, open, and not dissolved", open_groups),
];

fn joins(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    assert_eq!(desk.writer.membership(group, alice).unwrap(), None);
    let rev = desk.next();
    desk.writer.open_stay(group, alice, Role::Owner, 4, rev).unwrap();
    let expect = Membership {
        role: Role::Owner,
        received_seq: 3,
        read_seq: 3,
        cleared_seq: 0,
        rev,
        left_name: None,
        silenced: None,
        settings: None,
        stays: vec![Stay { join_seq: 4, left_seq: None }],
    };
    assert_eq!(desk.writer.membership(group, alice).unwrap(), Some(expect));
    assert_eq!(desk.writer.member_count(group).unwrap(), 1);
}

fn leaves(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    desk.join(group, alice, 1);
    let rev = desk.leave(group, alice, 6);
    let place = desk.writer.membership(group, alice).unwrap().unwrap();
    assert!(!place.is_open());
    assert_eq!(place.rev, rev);
    assert_eq!(place.stays, [Stay { join_seq: 1, left_seq: Some(6) }]);
    assert_eq!(desk.writer.member_count(group).unwrap(), 0);
    let name = place.left_name.clone();
    assert!(name.is_some());
    let renamed = Profile { name: Some("renamed".into()), ..Profile::default() };
    desk.writer.set_profile(group, &renamed).unwrap();
    let place = desk.writer.membership(group, alice).unwrap().unwrap();
    assert_eq!(place.left_name, name, "what comes after is not theirs");
}

fn returns(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob, group) = (desk.user("alice"), desk.user("bob"), desk.group("g"));
    for user in [alice, bob] {
        desk.join(group, user, 1);
        let rev = desk.next();
        let received = if user == alice { 5 } else { 90 };
        desk.writer.advance_cursors(group, user, received, 2, rev).unwrap();
        desk.leave(group, user, 6);
        desk.commit();
    }
    for (user, received) in [(alice, 10), (bob, 90)] {
        let rev = desk.next();
        desk.writer.open_stay(group, user, Role::Admin, 11, rev).unwrap();
        let expect = Membership {
            role: Role::Admin,
            received_seq: received,
            read_seq: 10,
            cleared_seq: 0,
            rev,
            left_name: None,
            silenced: None,
            settings: None,
            stays: vec![
                Stay { join_seq: 1, left_seq: Some(6) },
                Stay { join_seq: 11, left_seq: None },
            ],
        };
        assert_eq!(desk.writer.membership(group, user).unwrap(), Some(expect));
    }
    desk.leave(group, alice, 12);
    desk.join(group, alice, 13);
    assert_eq!(desk.writer.membership(group, alice).unwrap().unwrap().stays.len(), 3);
}

fn refused_stays(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    let rev = desk.next();
    let early = desk.writer.close_stay(group, alice, 1, rev);
    assert!(matches!(early, Err(StoreError::Row(_))), "never a member");
    desk.join(group, alice, 5);
    let before = desk.writer.membership(group, alice).unwrap();
    let rev = desk.next();
    let twice = desk.writer.open_stay(group, alice, Role::Owner, 7, rev);
    assert!(matches!(twice, Err(StoreError::Row(_))), "a member already");
    let empty = desk.writer.close_stay(group, alice, 4, rev);
    assert!(matches!(empty, Err(StoreError::Row(_))), "before it began");
    assert_eq!(desk.writer.membership(group, alice).unwrap(), before);
    desk.leave(group, alice, 5);
    let before = desk.writer.membership(group, alice).unwrap();
    let rev = desk.next();
    let closed = desk.writer.close_stay(group, alice, 8, rev);
    assert!(matches!(closed, Err(StoreError::Row(_))), "left already");
    let overlapping = desk.writer.open_stay(group, alice, Role::Owner, 5, rev);
    assert!(matches!(overlapping, Err(StoreError::Row(_))), "the last seq of the first stay");
    assert_eq!(desk.writer.membership(group, alice).unwrap(), before);
    desk.join(group, alice, 6);
}

fn roles(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    let rev = desk.next();
    let unknown = desk.writer.set_role(group, alice, Role::Admin, rev);
    assert!(matches!(unknown, Err(StoreError::Row(_))));
    desk.join(group, alice, 1);
    for role in [Role::Admin, Role::Owner, Role::Member] {
        let rev = desk.next();
        desk.writer.set_role(group, alice, role, rev).unwrap();
        let place = desk.writer.membership(group, alice).unwrap().unwrap();
        assert_eq!((place.role, place.rev, place.is_open()), (role, rev, true));
    }
    desk.leave(group, alice, 1);
    let rev = desk.next();
    desk.writer.set_role(group, alice, Role::Admin, rev).unwrap();
    let place = desk.writer.membership(group, alice).unwrap().unwrap();
    assert_eq!((place.role, place.is_open()), (Role::Admin, false));
    assert_eq!(desk.writer.member_count(group).unwrap(), 0);
}

fn pages(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (group, other) = (desk.group("g"), desk.group("other"));
    for id in ["zoe", "bob", "Bob", "alice", "~", "left", "9"] {
        let user = desk.user(id);
        desk.join(group, user, 1);
    }
    let (left, stranger) = (desk.user("left"), desk.user("m"));
    desk.leave(group, left, 2);
    desk.join(other, stranger, 1);
    let mut page = |after: Option<&str>, limit| {
        let members = desk.writer.members(group, after.map(user_id).as_ref(), limit).unwrap();
        members.into_iter().map(|member| member.user.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 100), ["9", "Bob", "alice", "bob", "zoe", "~"]);
    assert_eq!(page(None, 2), ["9", "Bob"]);
    assert_eq!(page(Some("Bob"), 3), ["alice", "bob", "zoe"]);
    assert_eq!(page(Some("c"), 100), ["zoe", "~"]);
    assert_eq!(page(Some("~"), 100), [""; 0]);
    assert_eq!(page(None, 0), [""; 0]);
    let found = desk.writer.members(group, None, 1).unwrap();
    let nine = desk.writer.user(&user_id("9")).unwrap().unwrap();
    assert_eq!(found, [Member { user: nine, role: Role::Member, silenced: None }]);
    assert_eq!(desk.writer.member_count(group).unwrap(), 6);
    assert_eq!(desk.writer.member_count(other).unwrap(), 1);
}

fn owners(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob, group) = (desk.user("alice"), desk.user("bob"), desk.group("g"));
    assert_eq!(desk.writer.owner_count(group).unwrap(), 0);
    let rev = desk.next();
    desk.writer.open_stay(group, alice, Role::Owner, 1, rev).unwrap();
    desk.join(group, bob, 1);
    assert_eq!(desk.writer.owner_count(group).unwrap(), 1);
    let rev = desk.next();
    desk.writer.set_role(group, bob, Role::Owner, rev).unwrap();
    assert_eq!(desk.writer.owner_count(group).unwrap(), 2);
    desk.leave(group, alice, 2);
    assert_eq!(desk.writer.owner_count(group).unwrap(), 1);
    let rev = desk.next();
    desk.writer.set_role(group, bob, Role::Admin, rev).unwrap();
    assert_eq!(desk.writer.owner_count(group).unwrap(), 0);
}

fn open_groups(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let alice = desk.user("alice");
    let [open, left, dissolved, again] = ["open", "left", "dissolved", "again"].map(|id| {
        let group = desk.group(id);
        desk.join(group, alice, 1);
        group
    });
    desk.group("never");
    let id = conversation_id("direct:alice:bob");
    let direct = desk
        .writer
        .create_conversation(&id, ConversationKind::Direct, &Profile::default(), NOW)
        .unwrap();
    desk.join(direct.key, alice, 1);
    desk.leave(left, alice, 1);
    desk.leave(again, alice, 1);
    desk.join(again, alice, 2);
    desk.writer.dissolve(dissolved).unwrap();
    let mut found = desk.writer.open_groups(alice).unwrap();
    found.sort();
    assert_eq!(found, ["group:again", "group:open"].map(conversation_id));
    assert_eq!(desk.writer.member_count(open).unwrap(), 1);
    let bob = desk.user("bob");
    assert!(desk.writer.open_groups(bob).unwrap().is_empty());
    let count = desk.writer.open_groups(alice).unwrap().len() as u64;
    assert_eq!(desk.writer.open_group_count(alice).unwrap(), count);
    assert_eq!(desk.writer.open_group_count(bob).unwrap(), 0);
}
