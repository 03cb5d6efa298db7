//! Users and their names.

use super::desk::{Desk, NOW, user_id};
use super::{Case, Fixture};

pub(super) const CASES: &[Case] = &[
    ("a user is unknown until put", unknown),
    ("putting a user again keeps the key and takes the new name", names),
    ("user ids are told apart byte by byte", bytes),
];

fn unknown(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    assert_eq!(desk.writer.user(&user_id("alice")).unwrap(), None);
    let put = desk.writer.put_user(&user_id("alice"), Some("Alice"), NOW).unwrap();
    assert_eq!(desk.writer.user(&user_id("alice")).unwrap(), Some(put));
}

fn names(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let alice = user_id("alice");
    let key = desk.writer.put_user(&alice, None, NOW).unwrap().key;
    let steps = [
        (None, None),
        (Some("Alice"), Some("Alice")),
        (None, Some("Alice")),
        (Some("Älice ☃"), Some("Älice ☃")),
        (Some("Älice ☃"), Some("Älice ☃")),
        (Some(""), Some("")),
    ];
    for (name, expect) in steps {
        let user = desk.writer.put_user(&alice, name, NOW).unwrap();
        assert_eq!((user.key, user.name.as_deref()), (key, expect), "after {name:?}");
        assert_eq!(desk.writer.user(&alice).unwrap(), Some(user));
        desk.commit();
    }
}

fn bytes(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let keys = ["bob", "Bob", "bob.", "BOB"].map(|id| desk.user(id).0);
    let mut distinct = keys.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), keys.len());
}
