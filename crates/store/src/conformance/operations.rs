//! What was done to messages: chains of edits, removals, reactions, and who came later.

use hubbub_chat::model::{ConversationKey, Counting, EntryKey, Rev, UserKey};
use hubbub_chat::ports::{Appended, Order, Range};
use hubbub_proto::Timestamp;
use hubbub_proto::command::{Emoji, Kind};
use hubbub_proto::event::{Forwarded, Head, Removed};

use super::desk::{Desk, Draft, NOW, client_id, content, draft, user_id};
use super::{Case, Fixture};

pub(super) const CASES: &[Case] = &[
    ("an entry names the one it is about", about),
    ("edits are a chain from the newest to the first", edits),
    ("what is removed keeps its place and its digest", removed),
    ("a user reacts once with each emoji", reactions),
    ("reactions come in pages and up to a seq", reaction_pages),
    ("what is sent along is read as it was written", along),
    ("unread leaves out what is gone or hidden, and counts mentions", tally),
    ("pins are kept in order and go with the message", pins),
    ("what a user hides is theirs, and clearing forgets it", hiding),
    ("what expires is found when its time has come", expiring),
    ("what was done is as durable as the entry that says so", durable),
    ("who joined after a seq is found in order", joined_after),
];

fn key(conversation: ConversationKey, seq: u64, rev: Rev) -> EntryKey {
    EntryKey { conversation, seq, rev }
}

pub(super) fn emoji(text: &str) -> Emoji {
    Emoji::new(text).unwrap()
}

fn update(conversation: ConversationKey, seq: u64, sender: UserKey, about: u64) -> Draft {
    let kind = Kind::MessageEdited;
    Draft {
        kind,
        head: Some(Head { about: Some(about), ..Head::default() }),
        ..draft(conversation, seq, sender)
    }
}

fn only(desk: &mut Desk, conversation: ConversationKey, seq: u64) -> hubbub_chat::model::Entry {
    let one = Range { from: seq, to: seq, order: Order::Descending, limit: 1, bytes: 0 };
    desk.writer.entries(conversation, one).unwrap().remove(0)
}

fn about(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    desk.say(&draft(group, 1, alice));
    desk.say(&update(group, 2, alice, 1));
    assert_eq!(only(&mut desk, group, 1).head, None);
    let found = only(&mut desk, group, 2);
    assert_eq!(found.head.unwrap().about, Some(1));
    assert_eq!((found.fate.removed, found.fate.edited, found.fate.reacted), (None, None, false));
    let repeat = Draft { client_id: client_id("c1-2"), ..update(group, 3, alice, 1) };
    assert!(matches!(desk.append(&repeat).unwrap(), Appended::Duplicate(first) if first.seq == 2));
}

fn edits(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    let said = desk.say(&draft(group, 1, alice));
    let other = desk.say(&draft(group, 2, alice));
    let mut revs = Vec::new();
    for seq in 3..=5 {
        let rev = desk.say(&update(group, seq, alice, 1));
        desk.writer.chain_edit(key(group, 1, said), key(group, seq, rev)).unwrap();
        revs.push(rev);
    }
    assert_eq!(only(&mut desk, group, 1).fate.edited, Some(revs[2]));
    assert_eq!(only(&mut desk, group, 2).fate.edited, None);
    let mut found = Vec::new();
    let mut next = Some(revs[2]);
    while let Some(rev) = next {
        let edit = desk.writer.edit(group, rev).unwrap().unwrap();
        found.push((edit.seq, edit.content.get().to_owned(), edit.number));
        next = edit.before;
    }
    let expect = [(5, 3), (4, 2), (3, 1)];
    assert_eq!(found, expect.map(|(seq, number): (u64, u32)| (seq, format!("\"{seq}\""), number)));
    for none in [said, other, Rev(99)] {
        assert!(desk.writer.edit(group, none).unwrap().is_none());
    }
}

fn removed(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    let bob = desk.user("bob");
    let said = desk.say(&draft(group, 1, alice));
    desk.say(&draft(group, 2, alice));
    let target = key(group, 1, said);
    assert_eq!(desk.unread(group, bob, 1, 9), 2);
    for seq in 3..=4 {
        let rev = desk.say(&update(group, seq, alice, 1));
        desk.writer.chain_edit(target, key(group, seq, rev)).unwrap();
    }
    desk.writer.put_reaction(target, &emoji("👍"), alice, 5, draft(group, 5, alice).at).unwrap();
    let before = desk.writer.recorded(alice, &client_id("c1-1")).unwrap();
    desk.writer.remove(target, Removed::Recalled).unwrap();
    for (seq, gone) in [(1, true), (2, false), (3, true), (4, true)] {
        let entry = only(&mut desk, group, seq);
        let expect = if gone { content("null") } else { content("\"2\"") };
        assert_eq!(entry.content.get(), expect.get(), "{seq}");
        assert_eq!(entry.fate.removed, gone.then_some(Removed::Recalled), "{seq}");
        assert_eq!(entry.client_id, client_id(&format!("c1-{seq}")));
    }
    assert_eq!(only(&mut desk, group, 3).head.unwrap().about, Some(1));
    assert_eq!(desk.writer.recorded(alice, &client_id("c1-1")).unwrap(), before);
    assert_eq!(desk.writer.reaction_counts(target, alice, 9).unwrap(), []);
    assert_eq!(desk.unread(group, bob, 1, 9), 1, "there is nothing to read in it");
}

fn reactions(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob, group) = (desk.user("alice"), desk.user("bob"), desk.group("g"));
    let said = desk.say(&draft(group, 1, alice));
    let other = desk.say(&draft(group, 2, alice));
    let (target, other) = (key(group, 1, said), key(group, 2, other));
    let (up, heart) = (emoji("👍"), emoji("❤"));
    assert!(!only(&mut desk, group, 1).fate.reacted);
    let at = draft(group, 3, alice).at;
    for (emoji, user, seq) in [(&up, bob, 3), (&up, alice, 4), (&heart, alice, 5), (&up, bob, 6)] {
        desk.writer.put_reaction(target, emoji, user, seq, at).unwrap();
    }
    assert!(only(&mut desk, group, 1).fate.reacted && !only(&mut desk, group, 2).fate.reacted);
    assert!(desk.writer.has_reaction(target, &heart, alice).unwrap());
    assert!(!desk.writer.has_reaction(target, &heart, bob).unwrap());
    assert!(!desk.writer.has_reaction(other, &up, bob).unwrap());
    assert_eq!(desk.writer.emojis(target).unwrap(), [heart.clone(), up.clone()]);
    let mut told = |reader, through| {
        let counts = desk.writer.reaction_counts(target, reader, through).unwrap();
        let text = |count: hubbub_proto::event::ReactionCount| {
            let users: Vec<_> = count.users.iter().map(|user| user.as_str().to_owned()).collect();
            let mine = if count.mine { " mine" } else { "" };
            format!("{} {} {}{mine}", count.emoji.as_str(), count.count, users.join("+"))
        };
        counts.into_iter().map(text).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(told(bob, 9), "❤ 1 alice, 👍 2 alice+bob mine");
    assert_eq!(told(alice, 9), "❤ 1 alice mine, 👍 2 alice+bob mine");
    // The second one of bob was none; the first one counts from its own entry on.
    assert_eq!(told(alice, 3), "👍 1 bob");
    assert_eq!(told(alice, 2), "");
    desk.writer.drop_reaction(target, &up, alice).unwrap();
    desk.writer.drop_reaction(target, &heart, bob).unwrap();
    let counts = desk.writer.reaction_counts(target, alice, 9).unwrap();
    assert_eq!(
        counts.iter().map(|c| (c.count, c.mine)).collect::<Vec<_>>(),
        [(1, true), (1, false)]
    );
    assert_eq!(desk.writer.reaction_counts(other, alice, 9).unwrap(), []);
}

fn reaction_pages(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    let said = desk.say(&draft(group, 1, alice));
    let target = key(group, 1, said);
    let users: Vec<UserKey> = (0..7).map(|n| desk.user(&format!("u{n}"))).collect();
    let (a, b) = (emoji("a"), emoji("b"));
    let at = draft(group, 1, alice).at;
    for (index, user) in users.iter().enumerate() {
        let seq = index as u64 + 2;
        desk.writer.put_reaction(target, &a, *user, seq, at.plus_ms(seq)).unwrap();
    }
    desk.writer.put_reaction(target, &b, users[3], 9, at).unwrap();
    let mut check = |emoji, after, through, limit, expect: &str| {
        let page = desk.writer.reactions(target, emoji, after, through, limit).unwrap();
        let text: Vec<_> =
            page.iter().map(|r| format!("{}{}", r.emoji.as_str(), r.user.as_str())).collect();
        assert_eq!(text.join(" "), expect, "{emoji:?} {after:?}");
    };
    check(None, None, 9, 100, "au0 au1 au2 au3 au4 au5 au6 bu3");
    check(None, None, 9, 2, "au0 au1");
    check(None, Some((&a, users[1])), 9, 2, "au2 au3");
    check(None, Some((&a, users[6])), 9, 2, "bu3");
    check(Some(&a), Some((&a, users[6])), 9, 2, "");
    check(Some(&b), None, 9, 2, "bu3");
    check(Some(&b), Some((&a, users[2])), 9, 2, "bu3");
    check(None, None, 4, 100, "au0 au1 au2");
    let counts = desk.writer.reaction_counts(target, alice, 9).unwrap();
    assert_eq!((counts[0].count, counts[0].users.len(), counts[0].mine), (7, 5, false));
    let first = desk.writer.reactions(target, None, None, 9, 1).unwrap().remove(0);
    assert_eq!(first.at, at.plus_ms(2));
}

fn along(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    let head = Head {
        about: Some(7),
        mentions: vec![user_id("alice"), user_id("bob")],
        mention_all: true,
        forwarded: Some(Forwarded { from: user_id("carol"), at: NOW }),
        expires_at: Some(NOW.plus_ms(99)),
        receipt: true,
    };
    let parts = [
        Head { about: Some(7), ..Head::default() },
        Head { mentions: head.mentions.clone(), ..Head::default() },
        Head { mention_all: true, ..Head::default() },
        Head { forwarded: head.forwarded.clone(), ..Head::default() },
        Head { expires_at: head.expires_at, ..Head::default() },
        Head { receipt: true, ..Head::default() },
        head,
    ];
    for (seq, head) in (1..).zip(&parts) {
        desk.say(&Draft { head: Some(head.clone()), ..draft(group, seq, alice) });
    }
    for (seq, head) in (1..).zip(&parts) {
        assert_eq!(only(&mut desk, group, seq).head.as_deref(), Some(head));
    }
}

fn tally(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob, group) = (desk.user("alice"), desk.user("bob"), desk.group("g"));
    let mention = || Head { mentions: vec![user_id("bob")], ..Head::default() };
    let heads = [
        Some(mention()),
        None,
        Some(mention()),
        Some(Head { mention_all: true, ..Head::default() }),
        Some(Head { mentions: vec![user_id("carol")], ..Head::default() }),
        Some(Head { expires_at: Some(NOW.plus_ms(50)), ..mention() }),
    ];
    let mut revs = Vec::new();
    for (seq, head) in (1..).zip(heads) {
        revs.push(desk.say(&Draft { head, ..draft(group, seq, alice) }));
    }
    let id = user_id("bob");
    let check = |desk: &mut Desk,
                 now: Timestamp,
                 hidden: &[u64],
                 expect: (u32, u32, Option<u64>)| {
        let reader = Counting { user: bob, id: &id, now, hidden };
        let found = desk.writer.unread(group, reader, 1, 9).unwrap();
        assert_eq!((found.count, found.mentions, found.mention_seq), expect, "{now:?} {hidden:?}");
    };
    check(&mut desk, NOW, &[], (6, 4, Some(1)));
    check(&mut desk, NOW.plus_ms(50), &[], (5, 3, Some(1)));
    check(&mut desk, NOW.plus_ms(50), &[1, 2], (3, 2, Some(3)));
    desk.writer.remove(key(group, 3, revs[2]), Removed::Deleted).unwrap();
    check(&mut desk, NOW.plus_ms(50), &[1, 2], (2, 1, Some(4)));
}

fn pins(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob, group) = (desk.user("alice"), desk.user("bob"), desk.group("g"));
    let one = desk.say(&draft(group, 1, alice));
    let two = desk.say(&draft(group, 2, alice));
    let (one, two) = (key(group, 1, one), key(group, 2, two));
    desk.writer.put_pin(two, 3, alice, NOW).unwrap();
    desk.writer.put_pin(one, 4, bob, NOW.plus_ms(1)).unwrap();
    desk.writer.put_pin(two, 5, bob, NOW.plus_ms(2)).unwrap();
    let told = |desk: &mut Desk| -> Vec<(u64, u64, String, Timestamp)> {
        let pins = desk.writer.pins(group).unwrap();
        pins.iter().map(|p| (p.seq, p.by_seq, p.by.as_str().to_owned(), p.at)).collect()
    };
    let second = (1, 4, "bob".to_owned(), NOW.plus_ms(1));
    assert_eq!(told(&mut desk), [(2, 3, "alice".to_owned(), NOW), second.clone()]);
    desk.writer.remove(two, Removed::Deleted).unwrap();
    assert_eq!(told(&mut desk), [second]);
    desk.writer.drop_pin(one).unwrap();
    assert_eq!(told(&mut desk), []);
}

fn hiding(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, bob, group) = (desk.user("alice"), desk.user("bob"), desk.group("g"));
    desk.join(group, alice, 1);
    desk.join(group, bob, 1);
    let mut revs = Vec::new();
    for seq in [5, 2, 9] {
        let rev = desk.next();
        desk.writer.hide(group, alice, seq, rev).unwrap();
        revs.push(rev);
    }
    let check = |desk: &mut Desk, user, range, limit, expect: &[u64]| {
        let found = desk.writer.hidden(group, user, range, limit).unwrap();
        assert_eq!(found, expect, "{range:?}");
    };
    check(&mut desk, alice, (1, 99), 9, &[2, 5, 9]);
    check(&mut desk, alice, (3, 5), 9, &[5]);
    check(&mut desk, alice, (1, 99), 1, &[2]);
    check(&mut desk, bob, (1, 99), 9, &[]);
    assert_eq!(desk.writer.membership(group, alice).unwrap().unwrap().rev, revs[2]);
    let rev = desk.next();
    desk.writer.clear(group, alice, 5, rev).unwrap();
    check(&mut desk, alice, (1, 99), 9, &[9]);
    let place = desk.writer.membership(group, alice).unwrap().unwrap();
    assert_eq!((place.cleared_seq, place.rev), (5, rev));
    let rev = desk.next();
    desk.writer.clear(group, alice, 3, rev).unwrap();
    assert_eq!(desk.writer.membership(group, alice).unwrap().unwrap().cleared_seq, 5);
    assert_eq!(desk.writer.membership(group, bob).unwrap().unwrap().cleared_seq, 0);
}

fn expiring(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    assert_eq!(desk.writer.next_expiry().unwrap(), None);
    for (seq, ms) in [(1, 30), (2, 10), (3, 20)] {
        let head = Head { expires_at: Some(NOW.plus_ms(ms)), ..Head::default() };
        desk.say(&Draft { head: Some(head), ..draft(group, seq, alice) });
    }
    desk.say(&draft(group, 4, alice));
    let over = |desk: &mut Desk, ms, limit| -> Vec<u64> {
        let over = desk.writer.expired(NOW.plus_ms(ms), limit).unwrap();
        over.iter().map(|key| key.seq).collect()
    };
    assert!(over(&mut desk, 9, 9).is_empty());
    assert_eq!(over(&mut desk, 10, 9), [2]);
    assert_eq!(over(&mut desk, 99, 2), [2, 3]);
    for entry in desk.writer.expired(NOW.plus_ms(20), 9).unwrap() {
        desk.writer.remove(entry, Removed::Expired).unwrap();
    }
    assert_eq!(over(&mut desk, 99, 9), [1]);
    assert_eq!(desk.writer.next_expiry().unwrap(), Some(NOW.plus_ms(30)));
    assert_eq!(only(&mut desk, group, 2).fate.removed, Some(Removed::Expired));
    assert_eq!(only(&mut desk, group, 2).content.get(), "null");
    assert!(only(&mut desk, group, 1).is_over(NOW.plus_ms(30)));
}

fn durable(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (alice, group) = (desk.user("alice"), desk.group("g"));
    let said = desk.say(&draft(group, 1, alice));
    let target = key(group, 1, said);
    desk.commit();
    let up = emoji("👍");
    desk.writer.put_reaction(target, &up, alice, 2, draft(group, 2, alice).at).unwrap();
    desk.writer.remove(target, Removed::Recalled).unwrap();
    desk.writer.rollback().unwrap();
    assert_eq!(only(&mut desk, group, 1).content.get(), "\"1\"");
    assert!(desk.writer.emojis(target).unwrap().is_empty());
    desk.writer.begin().unwrap();
    desk.writer.put_reaction(target, &up, alice, 2, draft(group, 2, alice).at).unwrap();
    desk.commit();
    drop(desk);
    fixture.reopen();
    let mut reader = fixture.store().reader().unwrap();
    assert_eq!(reader.emojis(target).unwrap(), [up]);
}

fn joined_after(fixture: &mut dyn Fixture) {
    let mut desk = Desk::begin(fixture.store());
    let (group, other) = (desk.group("g"), desk.group("other"));
    for (name, seq) in [("a", 1), ("b", 4), ("c", 4), ("d", 9), ("e", 2)] {
        let user = desk.user(name);
        desk.join(group, user, seq);
        desk.join(other, user, 100);
    }
    let e = desk.user("e");
    desk.leave(group, e, 3);
    let mut check = |seq, expect: &str| {
        let found = desk.writer.joined_after(group, seq).unwrap();
        let text: Vec<_> = found.iter().map(|(seq, user)| format!("{seq}{user}")).collect();
        assert_eq!(text.join(" "), expect, "{seq}");
    };
    check(0, "1a 4b 4c 9d");
    check(1, "4b 4c 9d");
    check(4, "9d");
    check(9, "");
}
