use hubbub_proto::DeviceId;

use super::*;

const RULES: Rules = Rules { grace_ms: 10_000, interval_ms: 1_000, watches_max: 3 };

fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

fn conn(slot: u32) -> ConnId {
    ConnId { shard: 0, slot, generation: 0 }
}

fn identity(id: &str) -> Identity {
    Identity {
        user: user(id),
        name: None,
        roles: Box::default(),
        device: DeviceId::new("d").unwrap(),
        device_named: false,
        expires_at: None,
        issued_at: None,
        rare: None,
        authority: hubbub_proto::route::Authority::default(),
    }
}

/// A roster, driven as the thread does it, by watchers who may see everything.
struct Play {
    roster: Roster,
    kept: HashMap<UserId, KeptPresence>,
    said: Vec<String>,
}

impl Play {
    fn new() -> Self {
        Self { roster: Roster::new(RULES), kept: HashMap::new(), said: Vec::new() }
    }

    fn open(&mut self, slot: u32, id: &str, kind: Option<&str>, now: u64) {
        self.roster.opened(conn(slot), &identity(id), kind, Timestamp(now));
    }

    fn close(&mut self, slot: u32, now: u64) {
        let user = self.whose(slot);
        self.roster.closed(conn(slot), &user, Timestamp(now));
    }

    fn whose(&self, slot: u32) -> UserId {
        let sits =
            |person: &&Person| person.seats.as_slice().iter().any(|seat| seat.conn == conn(slot));
        self.roster.people.iter().find(sits).unwrap().id.clone()
    }

    /// As the writer does before it tells of it.
    fn set(&mut self, slot: u32, id: &str, status: Chosen, now: u64) {
        if status != Chosen::Away {
            let kept = self.kept.entry(user(id)).or_default();
            *kept = kept.choosing(status, Timestamp(now));
        }
        self.roster.set(conn(slot), &user(id), status, Timestamp(now));
    }

    fn watch(&mut self, slot: u32, users: &[&str]) -> Result<(), TooMany> {
        let users: Vec<UserId> = users.iter().map(|id| user(id)).collect();
        let viewer = self.whose(slot);
        self.roster.watch(conn(slot), &viewer, false, &users)
    }

    /// What is seen of a user.
    fn sight(&mut self, id: &str, own: bool, now: u64) -> String {
        let now = Timestamp(now);
        let kept = self.kept.get(&user(id)).copied().unwrap_or_default();
        let known = match self.roster.appearance(&user(id), now) {
            Ok(known) => known,
            Err(Unasked) => {
                self.roster.recall(&user(id), kept);
                self.roster.appearance(&user(id), now).unwrap()
            }
        };
        let (look, kept) = known.unwrap_or((Look::default(), kept));
        let status = if own { look.status } else { look.shown };
        let mut seen = format!("{status:?}").to_lowercase();
        match status {
            Status::Offline => {
                let at = kept.last_seen.map_or("never".to_owned(), |at| at.0.to_string());
                seen = format!("{seen} {at}");
            }
            _ => {
                for kind in self.roster.kind_names(look, own) {
                    seen = format!("{seen} {kind}");
                }
            }
        }
        seen
    }

    /// Does what is due up to `now`; what was delivered, each with its moment.
    fn until(&mut self, now: u64) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(due) = self.roster.next_due().filter(|due| due.0 <= now) {
            let due = Timestamp(due.0);
            while let Some(step) = self.roster.next(due) {
                match step {
                    Step::Recall(id) => {
                        let kept = self.kept.get(&id).copied().unwrap_or_default();
                        self.roster.recall(&id, kept);
                    }
                    Step::Tell(change) => {
                        for (conn, viewer) in self.roster.named_watchers(&change.user) {
                            let own = viewer == change.user;
                            if own || change.public {
                                let view = View { status: true, last_seen: true, own };
                                self.roster.note(conn, &change.user, view, due);
                            }
                        }
                    }
                    Step::Deliver { conn, about, .. } => {
                        let seen: Vec<String> = about
                            .iter()
                            .map(|(id, view)| {
                                format!("{id} {}", self.sight(id.as_str(), view.own, due.0))
                            })
                            .collect();
                        told.push(format!("{} @{}: {}", due.0, conn.slot, seen.join(", ")));
                    }
                }
            }
            for (id, at) in self.roster.take_left() {
                let kept = self.kept.entry(id).or_default();
                *kept = kept.seen(at);
            }
        }
        self.said.extend(told.iter().cloned());
        told
    }
}

/// A watcher on place 0 of alice and bob.
fn watched() -> Play {
    let mut play = Play::new();
    play.open(0, "eve", None, 1);
    play.watch(0, &["alice", "bob"]).unwrap();
    assert_eq!(play.until(100), Vec::<String>::new(), "nobody is there");
    play
}

#[test]
fn devices_are_put_together() {
    let mut play = watched();
    play.open(1, "alice", Some("mobile"), 1_000);
    assert_eq!(play.until(1_999), ["1050 @0: alice online mobile"]);
    play.open(2, "alice", Some("desktop"), 2_000);
    play.set(1, "alice", Chosen::Away, 2_010);
    assert_eq!(play.until(3_999), ["2050 @0: alice online desktop mobile"]);
    play.set(2, "alice", Chosen::Away, 4_000);
    assert_eq!(play.until(5_999), ["4050 @0: alice away desktop mobile"]);
    play.set(2, "alice", Chosen::Busy, 6_000);
    play.set(1, "alice", Chosen::Away, 6_001);
    assert_eq!(play.until(7_999), ["6050 @0: alice busy desktop mobile"]);
    play.set(1, "alice", Chosen::Online, 8_000);
    assert_eq!(play.until(9_999), ["8050 @0: alice online desktop mobile"]);
    // A device that disconnects is shown for the grace period.
    play.close(2, 10_000);
    assert_eq!(play.sight("alice", false, 10_001), "online mobile", "an answer knows it at once");
    assert_eq!(play.until(20_100), ["20050 @0: alice online mobile"]);
}

#[test]
fn a_reconnect_is_no_flicker_and_who_stays_away_was_seen_when_they_left() {
    let mut play = watched();
    play.open(1, "alice", None, 1_000);
    assert_eq!(play.until(2_000).len(), 1);
    for n in 0..5 {
        let now = 3_000 + 10_000 * n;
        play.close(1, now);
        assert_eq!(play.sight("alice", false, now + 9_000), "online");
        play.open(1, "alice", None, now + 9_000);
        assert_eq!(play.until(now + 9_999), Vec::<String>::new(), "{n}");
    }
    play.close(1, 100_000);
    assert_eq!(play.until(109_999), Vec::<String>::new());
    assert_eq!(play.sight("alice", false, 109_999), "online");
    assert_eq!(play.sight("alice", false, 110_000), "offline 100000");
    assert_eq!(play.until(200_000), ["110050 @0: alice offline 100000"]);
    assert_eq!(play.sight("alice", false, 200_000), "offline 100000", "as the store has it");
    assert!(play.roster.people.find(&user("alice")).is_none(), "nothing is kept of who left");
    assert_eq!(play.roster.absent, 0);
}

#[test]
fn one_who_becomes_invisible_cannot_be_told_from_one_who_leaves() {
    type Deed = (u64, fn(&mut Play));
    // Bob leaves where alice hides; whatever alice does from then on must not show.
    let cases: [&[Deed]; 5] = [
        &[],
        &[(23_000, |play| play.close(1, 23_000))],
        &[
            (23_000, |play| play.close(1, 23_000)),
            (45_000, |play| play.open(3, "alice", Some("desktop"), 45_000)),
            (61_000, |play| play.close(3, 61_000)),
        ],
        &[(24_000, |play| play.set(1, "alice", Chosen::Invisible, 24_000))],
        &[
            (25_000, |play| play.open(3, "alice", Some("desktop"), 25_000)),
            (26_000, |play| play.set(3, "alice", Chosen::Away, 26_000)),
        ],
    ];
    for (n, deeds) in cases.iter().enumerate() {
        let mut play = watched();
        play.open(1, "alice", Some("mobile"), 1_000);
        play.open(2, "bob", Some("mobile"), 1_000);
        play.until(20_000);
        play.set(1, "alice", Chosen::Invisible, 22_000);
        play.close(2, 22_000);
        assert_eq!(play.sight("alice", true, 22_000), "invisible mobile");
        for now in (22_000..90_000).step_by(500) {
            play.until(now);
            for (_, deed) in deeds.iter().filter(|(at, _)| *at == now) {
                deed(&mut play);
            }
            let [alice, bob] = ["alice", "bob"].map(|id| play.sight(id, false, now));
            assert_eq!(alice, bob, "case {n} at {now}");
        }
        let said = play.said.join("\n");
        let expected = "1050 @0: alice online mobile, bob online mobile\n\
                        32050 @0: alice offline 22000, bob offline 22000";
        assert_eq!(said, expected, "case {n}");
    }
}

#[test]
fn one_who_is_invisible_comes_and_goes_without_a_word_but_to_themself() {
    let mut play = watched();
    play.kept.insert(
        user("alice"),
        KeptPresence { chosen: Chosen::Invisible, last_seen: Some(Timestamp(7)) },
    );
    play.open(1, "alice", Some("mobile"), 1_000);
    play.open(2, "alice", Some("desktop"), 1_000);
    play.watch(2, &["alice"]).unwrap();
    assert_eq!(play.until(5_000), ["1050 @2: alice invisible desktop mobile"]);
    play.close(1, 5_000);
    assert_eq!(play.until(30_000), ["15050 @2: alice invisible desktop"]);
    play.close(2, 30_000);
    assert_eq!(play.until(90_000), Vec::<String>::new());
    assert_eq!(play.sight("alice", false, 90_000), "offline 7");
    // And shows up again.
    play.open(1, "alice", None, 100_000);
    assert_eq!(play.until(101_000), Vec::<String>::new());
    play.set(1, "alice", Chosen::Online, 102_000);
    assert_eq!(play.until(110_000), ["102050 @0: alice online"]);
}

#[test]
fn a_watcher_gets_one_event_an_interval_with_the_newest_of_each() {
    let mut play = watched();
    for n in 0..100 {
        let now = 1_000 + n * 100;
        play.open(1, "alice", None, now);
        play.open(2, "bob", None, now);
        let status = if n % 2 == 0 { Chosen::Busy } else { Chosen::Online };
        play.set(1, "alice", status, now);
        play.set(2, "bob", status, now);
        play.until(now);
    }
    play.until(60_000);
    let moments: Vec<u64> =
        play.said.iter().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    assert!(moments.windows(2).all(|pair| pair[1] - pair[0] >= 1_000), "{:?}", play.said);
    assert!((10..=12).contains(&moments.len()), "{:?}", play.said);
    assert!(play.said.last().unwrap().ends_with("alice online, bob online"), "{:?}", play.said);
    assert_eq!(play.roster.pending, 0);
}

#[test]
fn what_is_watched_is_replaced_bounded_and_ends_with_the_connection() {
    let mut play = Play::new();
    for slot in 0..3 {
        play.open(slot, &format!("u{slot}"), None, 1);
    }
    assert_eq!(play.watch(0, &["a", "b", "c", "d"]), Err(TooMany));
    assert_eq!(play.watch(0, &["alice", "bob", "bob"]), Ok(()));
    assert_eq!(play.watch(1, &["alice"]), Ok(()));
    assert_eq!(play.watch(2, &["alice"]), Err(TooMany));
    assert_eq!(play.watch(0, &["bob", "carol"]), Ok(()), "in place of the others");
    assert_eq!(play.roster.named_watchers(&user("alice")), [(conn(1), user("u1"))]);
    play.close(1, 2);
    assert_eq!(play.watch(2, &["alice"]), Ok(()));
    assert_eq!(play.watch(0, &[]), Ok(()));
    play.close(2, 2);
    assert_eq!((play.roster.watches, play.roster.watchers.len()), (0, 0));
    play.until(60_000);
    play.close(0, 60_000);
    play.until(120_000);
    assert_eq!((play.roster.people.len(), play.roster.wishes.len()), (0, 0));
}

#[test]
fn where_nobody_watches_the_store_is_not_asked() {
    let mut roster = Roster::new(RULES);
    for slot in 0..100 {
        roster.opened(conn(slot), &identity(&format!("u{slot}")), None, Timestamp(1));
    }
    assert_eq!(roster.next(Timestamp(5_000)), None);
    for slot in 0..100 {
        roster.closed(conn(slot), &user(&format!("u{slot}")), Timestamp(10_000));
    }
    assert_eq!(roster.next(Timestamp(20_000)), None);
    assert_eq!(roster.take_left().len(), 100, "when they left is written all the same");
    assert_eq!(roster.next(Timestamp(60_000)), None);
    assert_eq!(roster.people.len(), 0);
}

#[test]
fn at_the_end_everybody_leaves_once() {
    let mut roster = Roster::new(RULES);
    roster.opened(conn(1), &identity("alice"), None, Timestamp(1));
    roster.opened(conn(2), &identity("bob"), None, Timestamp(1));
    roster.closed(conn(2), &user("bob"), Timestamp(5_000));
    let mut left = roster.all_leave(Timestamp(6_000));
    left.sort();
    assert_eq!(left, [(user("alice"), Timestamp(6_000)), (user("bob"), Timestamp(5_000))]);
}

#[test]
fn a_crowd_that_leaves_at_once_is_not_kept_for_its_grace() {
    let mut roster = Roster::new(RULES);
    let all = ABSENT_MAX as u32 + 10;
    for slot in 0..all {
        roster.opened(conn(slot), &identity(&format!("u{slot}")), None, Timestamp(1));
    }
    roster.next(Timestamp(2));
    for slot in 0..all {
        roster.closed(conn(slot), &user(&format!("u{slot}")), Timestamp(5_000));
    }
    roster.next(Timestamp(6_000));
    assert_eq!(roster.take_left().len(), 10, "those above the limit are gone at once");
    roster.next(Timestamp(16_000));
    assert_eq!(roster.take_left().len(), ABSENT_MAX);
}

#[test]
fn who_watches_no_more_leaves_the_others_in_their_places() {
    let mut roster = Roster::new(Rules { watches_max: 100, ..RULES });
    let users = ["x", "y", "z"].map(user);
    for slot in 0..12 {
        roster.opened(conn(slot), &identity("w"), None, Timestamp(1));
        roster.watch(conn(slot), &user("w"), false, &users[..1 + slot as usize % 3]).unwrap();
    }
    let mut left: Vec<u32> = (0..12).collect();
    for slot in [0, 11, 5, 4, 10, 1, 2, 9, 3, 6, 8, 7] {
        roster.closed(conn(slot), &user("w"), Timestamp(2));
        left.retain(|other| *other != slot);
        for (index, user) in users.iter().enumerate() {
            let mut watching: Vec<u32> =
                roster.named_watchers(user).iter().map(|(conn, _)| conn.slot).collect();
            watching.sort_unstable();
            let expect = left.iter().copied().filter(|slot| *slot as usize % 3 >= index);
            assert_eq!(watching, expect.collect::<Vec<_>>(), "{user} after {slot}");
        }
    }
    assert_eq!((roster.watches, roster.watchers.len()), (0, 0));
}
