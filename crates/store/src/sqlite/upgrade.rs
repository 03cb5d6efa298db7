//! A store as the first release that kept chained logs left it, opened by this one: everything in it
//! is found again, by what is kept besides since then, too.

use hubbub_chat::model::{Counted, Counting, Entry, Membership, PrivacyChoice, Showing, Stay};
use hubbub_chat::ports::{Order, Range};
use hubbub_proto::ClientId;
use tempfile::TempDir;

use super::*;

/// alice and bob talk, and bob has read the first message; alice owns a group in which bob is, in
/// which carol was twice, and that she left with its name; nobody is in what was dissolved.
const DATA: &str = "
    INSERT INTO user VALUES (1, 'alice', 'Alice', 10), (2, 'bob', NULL, 20), (3, 'carol', NULL, 30);
    INSERT INTO conversation (key, id, kind, head_seq, floor_seq, rev, name, join_policy, dissolved,
        created_at, tail) VALUES
        (1, 'direct:alice:bob', 0, 3, 0, 4, NULL, 0, 0, 100, 4),
        (2, 'group:g', 1, 66, 0, 90, 'Gardeners', 0, 0, 200, 90),
        (3, 'group:old', 1, 0, 0, 5, 'Old', 0, 1, 300, NULL);
    INSERT INTO stay VALUES
        (1, 1, 1, NULL), (1, 2, 1, NULL), (2, 1, 1, NULL), (2, 2, 2, NULL), (2, 3, 1, 4), (2, 3, 6, 9),
        (3, 1, 1, 1);
    INSERT INTO member VALUES
        (1, 1, 0, 3, 3, 1, 1, NULL), (2, 1, 0, 2, 1, 3, 1, NULL),
        (1, 2, 2, 66, 60, 11, 1, NULL), (2, 2, 0, 5, 5, 12, 1, NULL),
        (3, 2, 0, 9, 7, 13, 0, 'Gardeners'), (1, 3, 2, 0, 0, 14, 0, 'Old');
    INSERT INTO entry VALUES
        (1, 1, 1, NULL, 1, 'a1', 1000, 'text', NULL, 7, '\"one\"'),
        (2, 1, 2, 1, 2, 'b1', 2000, 'text', NULL, 8, '{\"text\":\"two\"}'),
        (4, 1, 3, 2, 1, 'a2', 3000, 'text', NULL, 9, '\"three\"');
    WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < 66)
        INSERT INTO entry SELECT 24 + seq, 2, seq, iif(seq = 1, NULL, 23 + seq), 1, 'g' || seq,
            4000 + seq, 'text', NULL, seq, '\"hello\"' FROM n;
    UPDATE meta SET value = 90 WHERE key = 'rev';
";

fn id<T, E: std::fmt::Debug>(made: std::result::Result<T, E>) -> T {
    made.unwrap()
}

fn user(name: &str) -> UserId {
    id(UserId::new(name))
}

/// What stood in the store of version 2 that is opened now.
fn upgraded() -> (TempDir, SqliteStore) {
    let dir = tempfile::tempdir().unwrap();
    let options = SqliteOptions::default();
    let epoch = {
        let old = SqliteStore::open_with(dir.path(), options.clone(), &MIGRATIONS[..2]).unwrap();
        old.keeper.lock().unwrap().execute_batch(DATA).unwrap();
        old.epoch().to_owned()
    };
    let store = SqliteStore::open(dir.path(), options).unwrap();
    assert_eq!(store.epoch(), epoch, "clients go on from where they are");
    (dir, store)
}

fn all(to: u64) -> Range {
    Range { from: 1, to, order: Order::Ascending, limit: 100, bytes: usize::MAX }
}

fn brief(entry: &Entry) -> String {
    let Entry { rev, seq, sender, client_id, at, content, .. } = entry;
    format!("{} {seq} {sender} {} {} {}", rev.0, client_id.as_str(), at.0, content.get())
}

#[test]
fn users_know_nobody_yet_and_have_chosen_nothing() {
    let (_dir, store) = upgraded();
    let mut reader = store.reader().unwrap();
    let alice = reader.user(&user("alice")).unwrap().unwrap();
    assert_eq!(alice.name.as_deref(), Some("Alice"));
    assert_eq!(alice.privacy, PrivacyChoice::default());
    assert_eq!(reader.showing(alice.key).unwrap(), Showing::default());
    assert!(reader.roles(alice.key).unwrap().is_empty());
    assert!(reader.devices(alice.key).unwrap().is_empty());
    assert_eq!(reader.relation_count(alice.key, Counted::Friends).unwrap(), 0);
    assert_eq!(reader.relations_rev(alice.key).unwrap(), (Rev(0), Rev(0)));
    assert!(reader.audiences_of(alice.key).unwrap().is_empty());
    assert_eq!(reader.presence(&user("alice")).unwrap(), Default::default());
    assert_eq!(reader.rev().unwrap(), Rev(90));
}

#[test]
fn members_are_found_by_all_that_is_kept_of_them_since() {
    let (_dir, store) = upgraded();
    let mut reader = store.reader().unwrap();
    let group = reader.conversation(&id(ConversationId::new("group:g"))).unwrap().unwrap();
    assert_eq!((group.head_seq, group.rev, group.silenced), (66, Rev(90), None));
    assert_eq!(group.profile.name.as_deref(), Some("Gardeners"));
    assert_eq!(group.profile.announcement, None);
    let keys: Vec<UserKey> = ["alice", "bob", "carol"]
        .map(|name| reader.user(&user(name)).unwrap().unwrap().key)
        .to_vec();

    let page = reader.members(group.key, None, 10).unwrap();
    let page: Vec<_> =
        page.iter().map(|one| (one.user.id.as_str(), one.role, one.silenced)).collect();
    assert_eq!(page, [("alice", Role::Owner, None), ("bob", Role::Member, None)]);
    let rest = reader.members(group.key, Some(&user("alice")), 10).unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(reader.member_count(group.key).unwrap(), 2);
    assert_eq!(reader.owner_count(group.key).unwrap(), 1);
    assert_eq!(reader.managers(group.key, 9).unwrap(), [user("alice")]);

    let groups = |reader: &mut dyn Reader, key| {
        let groups = reader.open_groups(key).unwrap();
        assert_eq!(reader.open_group_count(key).unwrap(), groups.len() as u64);
        groups.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(groups(&mut *reader, keys[0]), ["group:g"], "the dissolved one is none");
    assert_eq!(groups(&mut *reader, keys[1]), ["group:g"]);
    assert!(groups(&mut *reader, keys[2]).is_empty());

    let carol = reader.membership(group.key, keys[2]).unwrap().unwrap();
    let stays = [(1, 4), (6, 9)];
    let stays = stays.map(|(join_seq, left)| Stay { join_seq, left_seq: Some(left) });
    assert_eq!(
        carol,
        Membership {
            role: Role::Member,
            received_seq: 9,
            read_seq: 7,
            cleared_seq: 0,
            rev: Rev(13),
            left_name: Some("Gardeners".into()),
            silenced: None,
            settings: None,
            stays: stays.to_vec(),
        }
    );

    let late = reader.joined_after(group.key, 1).unwrap();
    assert_eq!(late, [(2, user("bob"))]);
    let mut reached = Vec::new();
    let mut visit = |one: hubbub_chat::ports::Reached| reached.push((one.user.id, one.read_seq));
    reader.reached(group.key, 5, keys[0], &mut visit).unwrap();
    assert_eq!(reached, [(user("bob"), 5)]);

    let changed = reader.changed(keys[0], Rev(0), 10).unwrap();
    let changed: Vec<_> = changed.iter().map(|(one, _)| one.id.as_str()).collect();
    assert_eq!(changed, ["direct:alice:bob", "group:old", "group:g"]);
    let recent = reader.recent(keys[1], None, 1).unwrap();
    assert_eq!(recent[0].0.id, group.id);
}

#[test]
fn entries_are_what_they_were_and_a_repeated_client_id_finds_its_own() {
    let (_dir, store) = upgraded();
    let mut reader = store.reader().unwrap();
    let direct = ConversationId::direct(&user("alice"), &user("bob"));
    let direct = reader.conversation(&direct).unwrap().unwrap();
    let (alice, bob) = (
        reader.user(&user("alice")).unwrap().unwrap().key,
        reader.user(&user("bob")).unwrap().unwrap().key,
    );
    let entries = reader.entries(direct.key, all(3)).unwrap();
    assert_eq!(
        entries.iter().map(brief).collect::<Vec<_>>(),
        [
            "1 1 alice a1 1000 \"one\"",
            "2 2 bob b1 2000 {\"text\":\"two\"}",
            "4 3 alice a2 3000 \"three\"",
        ]
    );
    assert!(entries.iter().all(|entry| entry.head.is_none()));
    assert!(entries.iter().all(|entry| entry.fate == Default::default()));
    let recorded = reader.recorded(alice, &id(ClientId::new("a2"))).unwrap().unwrap();
    assert_eq!((recorded.rev, recorded.seq, recorded.digest), (Rev(4), 3, 9));
    assert!(reader.recorded(bob, &id(ClientId::new("a2"))).unwrap().is_none());
    let name = user("bob");
    let bob = Counting { user: bob, id: &name, now: Timestamp(9_000), hidden: &[] };
    assert_eq!(reader.unread(direct.key, bob, 2, 3).unwrap().count, 1);

    let group = reader.conversation(&id(ConversationId::new("group:g"))).unwrap().unwrap();
    let newest = Range { from: 60, order: Order::Descending, limit: 3, ..all(66) };
    let seqs = |range, reader: &mut dyn Reader| {
        let entries = reader.entries(group.key, range).unwrap();
        entries.iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(newest, &mut *reader), [66, 65, 64]);
    assert_eq!(seqs(all(2), &mut *reader), [1, 2], "past a signpost");
    assert_eq!(reader.first_seq_at(group.key, Timestamp(4_010)).unwrap(), Some(10));
    assert!(reader.pins(group.key).unwrap().is_empty());
    assert_eq!(reader.newest_receipt_wanted(group.key).unwrap(), 0);
    assert_eq!(reader.next_expiry().unwrap(), None);
}

#[test]
fn it_is_written_to_as_before() {
    let (_dir, store) = upgraded();
    let mut writer = store.writer().unwrap();
    let group = writer.conversation(&id(ConversationId::new("group:g"))).unwrap().unwrap();
    let carol = writer.user(&user("carol")).unwrap().unwrap();
    writer.begin().unwrap();
    writer.open_stay(group.key, carol.key, Role::Admin, 67, Rev(91)).unwrap();
    writer.commit(Rev(91)).unwrap();
    let page = writer.members(group.key, None, 10).unwrap();
    let ids: Vec<_> = page.iter().map(|one| one.user.id.as_str()).collect();
    assert_eq!(ids, ["alice", "bob", "carol"]);
    assert_eq!(writer.open_group_count(carol.key).unwrap(), 1);
    assert_eq!(writer.managers(group.key, 9).unwrap(), [user("alice"), user("carol")]);
    let place = writer.membership(group.key, carol.key).unwrap().unwrap();
    assert_eq!((place.stays.len(), place.received_seq, place.left_name), (3, 66, None));
}
