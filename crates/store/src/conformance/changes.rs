//! What changed for a user, in the order of changes.

use hubbub_chat::model::{Conversation, Membership, Rev, UserKey};

use super::desk::{Desk, draft};
use super::{Case, Fixture};

pub(super) const CASES: &[Case] = &[
    ("changes come oldest first, recent ones newest first", orders),
    ("a change is the newest of membership and conversation", newest),
    ("who left sees no later change of the conversation", left),
    ("who is still in a dissolved conversation sees that change", dissolved),
    ("the conversation and the membership come whole", whole),
];

fn ids(found: &[(Conversation, Membership)]) -> Vec<&str> {
    found.iter().map(|(conversation, _)| conversation.id.as_str()).collect()
}

fn changed(desk: &mut Desk, user: UserKey, since: Rev, limit: u32, expect: &[&str]) {
    let found = desk.writer.changed(user, since, limit).unwrap();
    assert_eq!(ids(&found), expect, "changed since {since:?}, at most {limit}");
}

fn recent(desk: &mut Desk, user: UserKey, before: Option<Rev>, limit: u32, expect: &[&str]) {
    let found = desk.writer.recent(user, before, limit).unwrap();
    assert_eq!(ids(&found), expect, "recent before {before:?}, at most {limit}");
}

fn orders(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob) = (desk.user("alice"), desk.user("bob"));
    let [c, a, b] = ["c", "a", "b"].map(|id| desk.group(id));
    let [rc, ra, rb] = [c, a, b].map(|group| desk.join(group, alice, 1));
    assert!(rc < ra && ra < rb);
    desk.join(c, bob, 1);
    changed(&mut desk, alice, Rev(0), 10, &["group:c", "group:a", "group:b"]);
    changed(&mut desk, alice, Rev(0), 2, &["group:c", "group:a"]);
    changed(&mut desk, alice, rc, 10, &["group:a", "group:b"]);
    changed(&mut desk, alice, rb, 10, &[]);
    changed(&mut desk, alice, Rev(u64::MAX), 10, &[]);
    changed(&mut desk, alice, Rev(0), 0, &[]);
    changed(&mut desk, bob, Rev(0), 10, &["group:c"]);
    recent(&mut desk, alice, None, 10, &["group:b", "group:a", "group:c"]);
    recent(&mut desk, alice, None, 2, &["group:b", "group:a"]);
    recent(&mut desk, alice, Some(rb), 10, &["group:a", "group:c"]);
    recent(&mut desk, alice, Some(ra), 1, &["group:c"]);
    recent(&mut desk, alice, Some(rc), 10, &[]);
    recent(&mut desk, alice, Some(Rev(u64::MAX)), 1, &["group:b"]);
    let nobody = desk.user("nobody");
    changed(&mut desk, nobody, Rev(0), 10, &[]);
    recent(&mut desk, nobody, None, 10, &[]);
}

fn newest(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob) = (desk.user("alice"), desk.user("bob"));
    let [one, two] = ["one", "two"].map(|id| desk.group(id));
    for group in [one, two] {
        desk.join(group, alice, 1);
        desk.join(group, bob, 1);
    }
    recent(&mut desk, alice, None, 10, &["group:two", "group:one"]);
    let said = desk.say(&draft(one, 1, bob));
    recent(&mut desk, alice, None, 10, &["group:one", "group:two"]);
    changed(&mut desk, alice, Rev(said.0 - 1), 10, &["group:one"]);
    let rev = desk.next();
    desk.writer.advance_cursors(two, alice, 1, 1, rev).unwrap();
    recent(&mut desk, alice, None, 10, &["group:two", "group:one"]);
    changed(&mut desk, alice, said, 10, &["group:two"]);
    recent(&mut desk, bob, None, 10, &["group:one", "group:two"]);
}

fn left(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob) = (desk.user("alice"), desk.user("bob"));
    let [one, two] = ["one", "two"].map(|id| desk.group(id));
    for group in [one, two] {
        desk.join(group, alice, 1);
        desk.join(group, bob, 1);
    }
    desk.say(&draft(one, 1, bob));
    let left = desk.leave(one, alice, 1);
    changed(&mut desk, alice, Rev(left.0 - 1), 10, &["group:one"]);
    let said = desk.say(&draft(two, 1, bob));
    desk.say(&draft(one, 2, bob));
    changed(&mut desk, alice, left, 10, &["group:two"]);
    changed(&mut desk, alice, Rev(0), 10, &["group:one", "group:two"]);
    recent(&mut desk, alice, Some(said), 10, &["group:one"]);
    desk.join(one, alice, 3);
    changed(&mut desk, alice, said, 10, &["group:one"]);
}

fn dissolved(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob, group) = (desk.user("alice"), desk.user("bob"), desk.group("g"));
    let joined = desk.join(group, alice, 1);
    desk.join(group, bob, 1);
    desk.say(&draft(group, 1, bob));
    desk.writer.dissolve(group).unwrap();
    let found = desk.writer.changed(alice, joined, 10).unwrap();
    assert!(matches!(&found[..], [(row, place)] if row.dissolved && place.is_open()));
}

fn whole(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    desk.join(group, alice, 1);
    desk.leave(group, alice, 3);
    desk.join(group, alice, 7);
    desk.say(&draft(group, 7, alice));
    desk.commit();
    let id = super::desk::conversation_id("group:g");
    let row = desk.writer.conversation(&id).unwrap().unwrap();
    let place = desk.writer.membership(group, alice).unwrap().unwrap();
    let expect = vec![(row, place)];
    assert_eq!(desk.writer.changed(alice, Rev(0), 10).unwrap(), expect);
    assert_eq!(desk.writer.recent(alice, None, 10).unwrap(), expect);
    let mut reader = fixture.store().reader().unwrap();
    assert_eq!(reader.changed(alice, Rev(0), 10).unwrap(), expect);
}
