//! Relations and profiles.

use hubbub_chat::model::{
    Counted, Device, Pair, PrivacyChoice, Relation, Rev, Showing, Side, UserKey,
};
use hubbub_proto::command::Circle;
use hubbub_proto::event::RelationState::{self, Friend, Received, Requested};

use hubbub_proto::{DeviceId, Timestamp};

use super::desk::{Desk, NOW, user_id};
use super::{Case, Fixture};

pub(super) const CASES: &[Case] = &[
    ("a pair is what both sides say, seen from either", pair),
    ("relations are told in the order in which they changed", relations),
    ("relations are counted by what they are", counted),
    ("friends are mutual and neither blocks the other", friends),
    ("the oldest tombstones are forgotten, and it is known up to where", forgotten),
    ("profile and privacy are kept as a whole", profile),
    ("roles are replaced as a whole, and rolled back with the rest", roles),
    ("devices are kept, the one away for longest goes, those signed out stay", devices),
    ("what is between users is rolled back with the rest", rolled_back),
];

fn side(state: RelationState, blocked: bool) -> Side {
    Side { state, blocked }
}

fn put(desk: &mut Desk, user: UserKey, other: UserKey, side: Side) -> Rev {
    let rev = desk.next();
    let note = (side.state == Received).then(|| "Hello ☃".into());
    let relation = Relation { side, note, at: NOW, rev };
    desk.writer.put_relation(user, other, &relation).unwrap();
    rev
}

fn pair(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob) = (desk.user("alice"), desk.user("bob"));
    assert_eq!(desk.writer.pair(alice, bob).unwrap(), Pair::default());
    assert_eq!(desk.writer.relation(alice, bob).unwrap(), None);
    let (mine, theirs) = (side(Requested, true), side(Received, false));
    put(&mut desk, alice, bob, mine);
    let rev = put(&mut desk, bob, alice, theirs);
    desk.commit();
    let mut reader = fixture.store().reader().unwrap();
    assert_eq!(reader.pair(alice, bob).unwrap(), Pair { mine, theirs });
    assert_eq!(reader.pair(bob, alice).unwrap(), Pair { mine: theirs, theirs: mine });
    let kept = Relation { side: theirs, note: Some("Hello ☃".into()), at: NOW, rev };
    assert_eq!(reader.relation(bob, alice).unwrap(), Some(kept));
}

fn relations(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let [alice, bob, carol, dave] = ["alice", "bob", "carol", "dave"].map(|id| desk.user(id));
    put(&mut desk, alice, carol, side(Friend, false));
    let second = put(&mut desk, alice, bob, Side::default());
    put(&mut desk, alice, dave, side(RelationState::None, true));
    let newest = put(&mut desk, alice, carol, side(Friend, true));
    put(&mut desk, bob, alice, side(Friend, false));
    desk.commit();
    let mut reader = fixture.store().reader().unwrap();
    let mut told = |since, tombstones, limit| -> Vec<String> {
        let found = reader.relations(alice, since, tombstones, limit).unwrap();
        found.into_iter().map(|(user, _)| user.id.to_string()).collect()
    };
    assert_eq!(told(Rev(0), true, 9), ["bob", "dave", "carol"]);
    assert_eq!(told(Rev(0), false, 9), ["dave", "carol"]);
    assert_eq!(told(Rev(0), true, 2), ["bob", "dave"]);
    assert_eq!(told(second, true, 9), ["dave", "carol"]);
    assert_eq!(told(newest, true, 9), [""; 0]);
    assert_eq!(reader.relations_rev(alice).unwrap(), (newest, Rev(0)));
    assert_eq!(reader.relations_rev(dave).unwrap(), (Rev(0), Rev(0)));
}

fn counted(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let alice = desk.user("alice");
    let sides = [
        side(Requested, false),
        side(Requested, true),
        side(Received, false),
        side(Friend, false),
        side(Friend, true),
        side(Friend, true),
        side(RelationState::None, true),
        Side::default(),
    ];
    for (n, side) in sides.into_iter().enumerate() {
        let other = desk.user(&format!("other-{n}"));
        put(&mut desk, alice, other, side);
    }
    let count = |counted| desk.writer.relation_count(alice, counted).unwrap();
    let counts = [Counted::Requested, Counted::Received, Counted::Friends, Counted::Blocked];
    assert_eq!(counts.map(count), [2, 1, 3, 4]);
}

fn friends(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let alice = desk.user("alice");
    for (name, mine, theirs) in [
        ("friend", side(Friend, false), side(Friend, false)),
        ("blocked", side(Friend, true), side(Friend, false)),
        ("blocking", side(Friend, false), side(Friend, true)),
        ("asked", side(Requested, false), side(Received, false)),
        ("one-sided", side(Friend, false), Side::default()),
        ("second", side(Friend, false), side(Friend, false)),
    ] {
        let other = desk.user(name);
        put(&mut desk, alice, other, mine);
        put(&mut desk, other, alice, theirs);
    }
    let mut friends = |limit| {
        let found = desk.writer.friends_of(alice, limit).unwrap();
        let mut found: Vec<String> = found.into_iter().map(|user| user.id.to_string()).collect();
        found.sort();
        found
    };
    assert_eq!(friends(9), ["friend", "second"]);
    assert_eq!(friends(1).len(), 1);
}

fn forgotten(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob) = (desk.user("alice"), desk.user("bob"));
    put(&mut desk, alice, bob, side(Friend, false));
    let mut revs = Vec::new();
    for n in 0..6 {
        let other = desk.user(&format!("other-{n}"));
        revs.push(put(&mut desk, alice, other, Side::default()));
        desk.writer.forget_relations(alice, 5).unwrap();
    }
    desk.commit();
    let mut reader = fixture.store().reader().unwrap();
    let left = reader.relations(alice, Rev(0), true, 99).unwrap();
    let left: Vec<Rev> = left.into_iter().map(|(_, relation)| relation.rev).skip(1).collect();
    assert_eq!(left, revs[4..], "the friend and the newest half of five");
    assert_eq!(reader.relations_rev(alice).unwrap(), (revs[5], revs[3]));
}

fn profile(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let alice = desk.user("alice");
    assert_eq!(desk.writer.showing(alice).unwrap(), Showing::default());
    let text = |text: &str| Some(text.into());
    let mut showing = Showing {
        picture: text("/p.png"),
        avatar: text("https://example.org/a.png"),
        about: text("Älice ☃"),
        data: text(r#"{"a":[1]}"#),
        rev: desk.next(),
    };
    desk.writer.put_showing(alice, &showing).unwrap();
    assert_eq!(desk.writer.showing(alice).unwrap(), showing);
    let choice = PrivacyChoice { messages: Some(Circle::Friends), ..PrivacyChoice::default() };
    showing.rev = desk.next();
    desk.writer.put_privacy(alice, choice, showing.rev).unwrap();
    desk.commit();
    let mut reader = fixture.store().reader().unwrap();
    assert_eq!(reader.showing(alice).unwrap(), showing);
    assert_eq!(reader.user(&user_id("alice")).unwrap().unwrap().privacy, choice);
}

fn roles(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob) = (desk.user("alice"), desk.user("bob"));
    assert!(desk.writer.roles(alice).unwrap().is_empty());
    let many: Vec<Box<str>> = vec!["Ä ☃, \"x\"".into(), "staff".into()];
    let mut rev = desk.next();
    for roles in [&many[..1], &many] {
        rev = desk.next();
        desk.writer.put_roles(alice, roles, rev).unwrap();
        assert_eq!(*desk.writer.roles(alice).unwrap(), *roles);
    }
    desk.commit();
    desk.writer.put_roles(alice, &[], rev).unwrap();
    assert!(desk.writer.roles(alice).unwrap().is_empty());
    desk.writer.rollback().unwrap();
    let mut reader = fixture.store().reader().unwrap();
    assert_eq!(*reader.roles(alice).unwrap(), *many);
    assert_eq!(reader.showing(alice).unwrap().rev, rev);
    assert!(reader.roles(bob).unwrap().is_empty());
}

fn devices(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob) = (desk.user("alice"), desk.user("bob"));
    let device = |id: &str, seen: u64, out: u64| Device {
        id: DeviceId::new(id).unwrap(),
        kind: Some("web".into()),
        name: None,
        last_seen: NOW.plus_ms(seen),
        not_before: if out == 0 { Timestamp(0) } else { NOW.plus_ms(out) },
    };
    for (id, seen, out) in [("a", 1, 9), ("b", 2, 0), ("c", 3, 0), ("b", 4, 0)] {
        desk.writer.put_device(alice, &device(id, seen, out), 1).unwrap();
    }
    desk.writer.put_device(bob, &device("d", 1, 7), 2).unwrap();
    desk.commit();
    let mut reader = fixture.store().reader().unwrap();
    assert_eq!(reader.devices(alice).unwrap(), [device("b", 4, 0), device("a", 1, 9)]);
    let mut out = |since: u64, limit| -> Vec<String> {
        let found = reader.signed_out(NOW.plus_ms(since), limit).unwrap();
        found
            .into_iter()
            .map(|(user, device, at)| format!("{user} {device} {}", at.since(NOW)))
            .collect()
    };
    assert_eq!(out(0, 9), ["alice a 9", "bob d 7"]);
    assert_eq!(out(7, 9), ["alice a 9"]);
    assert_eq!(out(0, 1), ["alice a 9"]);
}

fn rolled_back(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob) = (desk.user("alice"), desk.user("bob"));
    desk.commit();
    put(&mut desk, alice, bob, side(Friend, false));
    let choice = PrivacyChoice { receipts: Some(false), ..PrivacyChoice::default() };
    let rev = desk.next();
    desk.writer.put_privacy(alice, choice, rev).unwrap();
    desk.writer.rollback().unwrap();
    assert_eq!(desk.writer.pair(alice, bob).unwrap(), Pair::default());
    let kept = desk.writer.user(&user_id("alice")).unwrap().unwrap();
    assert_eq!(kept.privacy, PrivacyChoice::default());
    assert_eq!(desk.writer.showing(alice).unwrap().rev, Rev(0));
}
