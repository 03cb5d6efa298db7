//! What is kept of users' presence.

use hubbub_chat::model::KeptPresence;
use hubbub_proto::Timestamp;
use hubbub_proto::command::Chosen;

use super::desk::{Desk, user_id};
use super::{Case, Fixture};

pub(super) const CASES: &[Case] = &[
    ("nothing is kept of a user at first", nothing),
    ("a choice and last_seen are kept over a restart", kept),
    ("last_seen never moves back, and not while invisible", still),
];

fn nothing(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    assert_eq!(desk.writer.presence(&user_id("alice")).unwrap(), KeptPresence::default());
    desk.user("alice");
    assert_eq!(desk.writer.presence(&user_id("alice")).unwrap(), KeptPresence::default());
}

fn kept(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let [alice, bob] = ["alice", "bob"].map(|id| desk.user(id));
    desk.writer.choose(alice, Chosen::Busy, Timestamp(5)).unwrap();
    desk.writer.saw(alice, Timestamp(7)).unwrap();
    desk.writer.saw(bob, Timestamp(8)).unwrap();
    desk.commit();
    drop(desk);
    fixture.reopen();
    let mut reader = fixture.store().reader().unwrap();
    let mut check = |id, chosen, last_seen| {
        let last_seen = Some(Timestamp(last_seen));
        assert_eq!(reader.presence(&user_id(id)).unwrap(), KeptPresence { chosen, last_seen });
    };
    check("alice", Chosen::Busy, 7);
    check("bob", Chosen::Online, 8);
}

fn still(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let [alice, bob] = ["alice", "bob"].map(|id| desk.user(id));
    let mut step = |user, chosen: Option<Chosen>, at, expect: (Chosen, Option<u64>)| {
        let id = if user == alice { "alice" } else { "bob" };
        match chosen {
            Some(chosen) => desk.writer.choose(user, chosen, Timestamp(at)).unwrap(),
            None => desk.writer.saw(user, Timestamp(at)).unwrap(),
        }
        let (chosen, last_seen) = expect;
        let expect = KeptPresence { chosen, last_seen: last_seen.map(Timestamp) };
        assert_eq!(desk.writer.presence(&user_id(id)).unwrap(), expect, "{id} at {at}");
    };
    step(alice, None, 10, (Chosen::Online, Some(10)));
    step(alice, None, 9, (Chosen::Online, Some(10)));
    step(alice, Some(Chosen::Busy), 11, (Chosen::Busy, Some(10)));
    step(alice, Some(Chosen::Invisible), 12, (Chosen::Invisible, Some(12)));
    step(alice, Some(Chosen::Invisible), 13, (Chosen::Invisible, Some(12)));
    step(alice, None, 14, (Chosen::Invisible, Some(12)));
    step(alice, Some(Chosen::Online), 15, (Chosen::Online, Some(12)));
    step(alice, None, 16, (Chosen::Online, Some(16)));
    step(alice, Some(Chosen::Invisible), 15, (Chosen::Invisible, Some(16)));
    step(bob, Some(Chosen::Online), 1, (Chosen::Online, None));
    step(bob, Some(Chosen::Invisible), 2, (Chosen::Invisible, Some(2)));
}
