//! Bans, requests to join, and silence.

use hubbub_chat::model::{JoinRequest, Until};
use hubbub_chat::ports::StoreError;
use hubbub_proto::Timestamp;
use hubbub_proto::command::Role;

use super::desk::{Desk, NOW, user_id};
use super::{Case, Fixture};

pub(super) const CASES: &[Case] = &[
    ("a ban holds to its end, is replaced and forgotten", bans),
    ("a new ban takes those away that have ended", ended_bans),
    ("requests to join wait, are replaced and forgotten", requests),
    ("bans and requests come in pages in the order of ids", pages),
    ("a group that closes its doors keeps neither", doors),
    ("silence is kept through leaving, coming back and a reopening", silence),
    ("managers are owners, then admins, and no others", managers),
];

fn at(ms: u64) -> Option<Timestamp> {
    Some(NOW.plus_ms(ms))
}

fn bans(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob, group) = (desk.user("alice"), desk.user("bob"), desk.group("g"));
    assert_eq!(desk.writer.ban(group, bob).unwrap(), None);
    desk.writer.put_ban(group, bob, alice, NOW, Until::new(at(10))).unwrap();
    let ban = desk.writer.ban(group, bob).unwrap().unwrap();
    assert_eq!((ban.by, ban.at, ban.until.end()), (user_id("alice"), NOW, at(10)));
    for (now, count) in [(NOW, 1), (NOW.plus_ms(9), 1), (NOW.plus_ms(10), 0)] {
        assert_eq!(desk.writer.ban_count(group, now).unwrap(), count, "{now:?}");
        assert_eq!(desk.writer.bans(group, now, None, 9).unwrap().len() as u64, count, "{now:?}");
    }
    desk.writer.put_ban(group, bob, alice, NOW.plus_ms(1), Until::new(None)).unwrap();
    let ban = desk.writer.ban(group, bob).unwrap().unwrap();
    assert_eq!((ban.at, ban.until.end()), (NOW.plus_ms(1), None), "one ban");
    assert_eq!(desk.writer.ban_count(group, Timestamp(u64::MAX / 4)).unwrap(), 1, "for ever");
    let other = desk.group("other");
    assert_eq!(desk.writer.ban(other, bob).unwrap(), None);
    desk.writer.remove_ban(other, bob).unwrap();
    desk.commit();
    desk.writer.remove_ban(group, bob).unwrap();
    desk.writer.remove_ban(group, bob).unwrap();
    assert_eq!(desk.writer.ban(group, bob).unwrap(), None);
    desk.writer.rollback().unwrap();
    assert!(desk.writer.ban(group, bob).unwrap().is_some());
}

fn ended_bans(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    let [ended, holding, new] = ["ended", "holding", "new"].map(|id| desk.user(id));
    desk.writer.put_ban(group, ended, alice, NOW, Until::new(at(10))).unwrap();
    desk.writer.put_ban(group, holding, alice, NOW, Until::new(at(11))).unwrap();
    desk.writer.put_ban(group, new, alice, NOW.plus_ms(10), Until::new(None)).unwrap();
    assert_eq!(desk.writer.ban(group, ended).unwrap(), None);
    assert!(desk.writer.ban(group, holding).unwrap().is_some());
    assert_eq!(desk.writer.ban_count(group, NOW).unwrap(), 2);
}

fn requests(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group, other) = (desk.user("alice"), desk.group("g"), desk.group("other"));
    let first = JoinRequest { note: Some("let me in".into()), at: NOW };
    let second = JoinRequest { note: None, at: NOW.plus_ms(5) };
    assert_eq!(desk.writer.join_request(group, alice).unwrap(), None);
    desk.writer.put_join_request(group, alice, &first).unwrap();
    assert_eq!(desk.writer.join_request(group, alice).unwrap(), Some(first.clone()));
    desk.writer.put_join_request(group, alice, &second).unwrap();
    desk.writer.put_join_request(other, alice, &first).unwrap();
    assert_eq!(desk.writer.join_request(group, alice).unwrap(), Some(second));
    assert_eq!(desk.writer.join_request_count(group).unwrap(), 1);
    assert_eq!(desk.writer.own_join_request_count(alice).unwrap(), 2);
    desk.writer.remove_join_request(group, alice).unwrap();
    desk.writer.remove_join_request(group, alice).unwrap();
    assert_eq!(desk.writer.join_request(group, alice).unwrap(), None);
    assert_eq!(desk.writer.own_join_request_count(alice).unwrap(), 1);
}

fn pages(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    for id in ["zoe", "bob", "Bob", "9"] {
        let user = desk.user(id);
        let request = JoinRequest { note: Some(id.into()), at: NOW };
        desk.writer.put_join_request(group, user, &request).unwrap();
        desk.writer.put_ban(group, user, alice, NOW, Until::new(None)).unwrap();
    }
    for (after, limit, expect) in [
        (None, 9, &["9", "Bob", "bob", "zoe"][..]),
        (None, 2, &["9", "Bob"]),
        (Some("Bob"), 9, &["bob", "zoe"]),
        (Some("zoe"), 9, &[]),
    ] {
        let after = after.map(user_id);
        let asked = desk.writer.join_requests(group, after.as_ref(), limit).unwrap();
        for (user, request) in &asked {
            assert_eq!(request.note.as_deref(), Some(user.id.as_str()));
        }
        let asked: Vec<_> = asked.into_iter().map(|(user, _)| user.id.to_string()).collect();
        let banned = desk.writer.bans(group, NOW, after.as_ref(), limit).unwrap();
        let banned: Vec<_> = banned.into_iter().map(|(user, _)| user.id.to_string()).collect();
        assert_eq!(
            (asked, banned),
            (expect.iter().map(|id| (*id).to_owned()).collect(), {
                expect.iter().map(|id| (*id).to_owned()).collect()
            })
        );
    }
}

fn doors(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group, other) = (desk.user("alice"), desk.group("g"), desk.group("other"));
    let request = JoinRequest { note: None, at: NOW };
    for group in [group, other] {
        desk.writer.put_join_request(group, alice, &request).unwrap();
        desk.writer.put_ban(group, alice, alice, NOW, Until::new(None)).unwrap();
    }
    desk.writer.close_doors(group).unwrap();
    assert_eq!(desk.writer.ban(group, alice).unwrap(), None);
    assert_eq!(desk.writer.join_request(group, alice).unwrap(), None);
    assert!(desk.writer.ban(other, alice).unwrap().is_some());
    assert_eq!(desk.writer.own_join_request_count(alice).unwrap(), 1);
}

fn silence(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    let until = Some(Until::new(at(10)));
    let rev = desk.next();
    let unknown = desk.writer.silence(group, alice, until, rev);
    assert!(matches!(unknown, Err(StoreError::Row(_))), "never a member");
    desk.join(group, alice, 1);
    let rev = desk.next();
    desk.writer.silence(group, alice, until, rev).unwrap();
    desk.writer.silence_all(group, Some(Until::new(None))).unwrap();
    let place = desk.writer.membership(group, alice).unwrap().unwrap();
    assert_eq!((place.silenced, place.rev), (until, rev));
    desk.leave(group, alice, 1);
    desk.join(group, alice, 2);
    desk.commit();
    drop(desk);
    fixture.reopen();
    let mut desk = Desk::begin(fixture.store());
    assert_eq!(desk.writer.membership(group, alice).unwrap().unwrap().silenced, until);
    let listed = desk.writer.members(group, None, 9).unwrap();
    assert_eq!(listed.into_iter().map(|member| member.silenced).collect::<Vec<_>>(), [until]);
    let id = super::desk::conversation_id("group:g");
    let row = desk.writer.conversation(&id).unwrap().unwrap();
    assert_eq!(row.silenced.map(Until::end), Some(None));
    let rev = desk.next();
    desk.writer.silence(group, alice, None, rev).unwrap();
    desk.writer.silence_all(group, None).unwrap();
    assert_eq!(desk.writer.membership(group, alice).unwrap().unwrap().silenced, None);
    assert_eq!(desk.writer.conversation(&id).unwrap().unwrap().silenced, None);
}

fn managers(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let group = desk.group("g");
    for (id, role) in [
        ("member", Role::Member),
        ("admin", Role::Admin),
        ("owner", Role::Owner),
        ("gone", Role::Owner),
        ("second", Role::Admin),
    ] {
        let (user, rev) = (desk.user(id), desk.next());
        desk.writer.open_stay(group, user, role, 1, rev).unwrap();
    }
    let gone = desk.user("gone");
    desk.leave(group, gone, 1);
    let expect = ["owner", "admin", "second"].map(user_id);
    assert_eq!(desk.writer.managers(group, 9).unwrap(), expect);
    assert_eq!(desk.writer.managers(group, 2).unwrap(), expect[..2]);
}
