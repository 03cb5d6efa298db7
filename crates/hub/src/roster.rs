//! Who is subscribed to a channel, at its home, in namespaces that track it.
//!
//! A user is there from their first connection to their last one. Who came and who left is told once
//! a second, so that a reconnect within it is nothing to tell of, and only while there are few: where
//! many came, each would be told of each. Invariant: as long as they are few, what others were told
//! of a user and what is true are the same after [`Roster::settle`]; of who left only those are told
//! who were told of their coming. Whoever is listed is so with all their connections, also those that
//! came while there was no room.
//!
//! Deliberately absent: who may know (see `rules`), and how those who are told are reached.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher as _;
use std::ops::Bound;

use hubbub_proto::UserId;
use hubbub_proto::event::{ChannelPresencePage, ChannelUser};

/// One user.
#[derive(Debug, Default)]
struct Member {
    connections: u32,
    /// The others know that this one is there.
    told: bool,
    /// On the list of those who came or went.
    listed: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// Those who are there, and those who left and of whom it is to be told.
    members: BTreeMap<UserId, Member>,
    /// How many are there.
    present: usize,
    /// Who came or went since it was told.
    changed: Vec<UserId>,
    /// Connections of those for whom there was no room, by a hash of their name: a few bytes for each
    /// that is subscribed, which is what bounds them.
    unlisted: HashMap<u64, u32>,
    /// Up to so many are told of each other; 0 for none.
    told_max: usize,
}

/// What became of somebody who came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Entered {
    /// They were there already.
    Again,
    /// They are there now.
    New,
    /// There is no room to remember them.
    Unlisted,
}

impl Roster {
    pub(crate) fn new(told_max: usize) -> Self {
        Self { told_max, ..Self::default() }
    }

    /// Entries that it keeps.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Somebody is to be told that somebody came or went.
    pub(crate) fn is_restless(&self) -> bool {
        !self.changed.is_empty()
    }

    /// A connection of this user came.
    pub(crate) fn enter(&mut self, user: &UserId, has_room: bool) -> Entered {
        if !has_room && !self.members.contains_key(user) {
            *self.unlisted.entry(self.unlisted.hasher().hash_one(user)).or_default() += 1;
            return Entered::Unlisted;
        }
        let member = self.members.entry(user.clone()).or_default();
        member.connections += 1;
        if member.connections > 1 {
            return Entered::Again;
        }
        if !self.unlisted.is_empty() {
            let hash = self.unlisted.hasher().hash_one(user);
            member.connections += self.unlisted.remove(&hash).unwrap_or(0);
        }
        self.present += 1;
        self.note(user);
        Entered::New
    }

    /// A connection of this user went.
    pub(crate) fn leave(&mut self, user: &UserId) {
        let Some(member) = self.members.get_mut(user).filter(|member| member.connections > 0)
        else {
            return self.leave_unlisted(user);
        };
        member.connections -= 1;
        if member.connections == 0 {
            self.present -= 1;
            if self.told_max == 0 {
                self.members.remove(user);
            } else {
                self.note(user);
            }
        }
    }

    fn leave_unlisted(&mut self, user: &UserId) {
        let hash = self.unlisted.hasher().hash_one(user);
        let Some(connections) = self.unlisted.get_mut(&hash) else { return };
        *connections -= 1;
        if *connections == 0 {
            self.unlisted.remove(&hash);
            if self.unlisted.is_empty() {
                self.unlisted.shrink_to_fit();
            }
        }
    }

    fn note(&mut self, user: &UserId) {
        if self.told_max > 0
            && let Some(member) = self.members.get_mut(user)
            && !std::mem::replace(&mut member.listed, true)
        {
            self.changed.push(user.clone());
        }
    }

    /// Who came and who left since the last time, `true` for those who came; nobody where there are
    /// too many to tell.
    pub(crate) fn settle(&mut self) -> Vec<(UserId, bool)> {
        let tells = self.present <= self.told_max;
        let mut moves = Vec::new();
        for user in std::mem::take(&mut self.changed) {
            let Some(member) = self.members.get_mut(&user) else { continue };
            member.listed = false;
            let is_there = member.connections > 0;
            let was_told = member.told;
            member.told = if tells { is_there } else { was_told };
            if !is_there {
                self.members.remove(&user);
            }
            if tells && is_there != was_told {
                moves.push((user, is_there));
            }
        }
        moves
    }

    /// Those behind `after`, in the order of their ids.
    pub(crate) fn page(&self, after: Option<&UserId>, limit: usize) -> ChannelPresencePage {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut there = self
            .members
            .range::<UserId, _>((start, Bound::Unbounded))
            .filter(|(_, member)| member.connections > 0);
        let users = there.by_ref().take(limit);
        let users = users.map(|(user, member)| ChannelUser {
            user: user.clone(),
            connections: member.connections,
        });
        let users = users.collect();
        ChannelPresencePage { users, total: self.present as u64, more: there.next().is_some() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn user(n: u8) -> UserId {
        UserId::new(&format!("u{n}")).unwrap()
    }

    proptest! {
        /// What the others were told is what is true, as long as they are few.
        #[test]
        fn what_is_told_is_true(
            steps in prop::collection::vec((0..12_u8, 0..4_u8), 1..200),
            told_max in 0..20_usize,
        ) {
            let mut roster = Roster::new(told_max);
            let mut there: BTreeMap<UserId, u32> = BTreeMap::new();
            let mut told: BTreeSet<UserId> = BTreeSet::new();
            let mut always_few = true;
            for (n, what) in steps {
                match what {
                    0 | 1 => {
                        roster.enter(&user(n), true);
                        *there.entry(user(n)).or_default() += 1;
                    }
                    2 => {
                        roster.leave(&user(n));
                        if let Some(count) = there.get_mut(&user(n)) {
                            *count -= 1;
                        }
                        there.retain(|_, count| *count > 0);
                    }
                    _ => {
                        always_few &= there.len() <= told_max;
                        for (user, came) in roster.settle() {
                            let is_new = if came { told.insert(user) } else { told.remove(&user) };
                            prop_assert!(is_new || !always_few, "told twice");
                        }
                        prop_assert!(!roster.is_restless());
                        if always_few {
                            prop_assert!(there.keys().eq(told.iter()));
                        }
                        prop_assert_eq!(roster.len(), there.len());
                    }
                }
                let page = roster.page(None, 100);
                prop_assert_eq!(page.total as usize, there.len());
                let users = page.users.iter().map(|one| (&one.user, &one.connections));
                prop_assert!(users.eq(there.iter()));
            }
        }
    }

    #[test]
    fn pages_follow_each_other() {
        let mut roster = Roster::new(0);
        for n in 10..30 {
            roster.enter(&user(n), true);
        }
        let (mut after, mut all) = (None, Vec::new());
        loop {
            let page = roster.page(after.as_ref(), 7);
            all.extend(page.users.iter().map(|one| one.user.clone()));
            after = all.last().cloned();
            if !page.more {
                break;
            }
        }
        assert!(all.iter().eq((10..30).map(user).collect::<Vec<_>>().iter()));
        assert_eq!(roster.page(Some(&user(29)), 7).users.len(), 0);
    }

    #[test]
    fn who_came_without_room_is_counted_whole_once_they_are_listed() {
        let mut roster = Roster::new(9);
        let counted = |roster: &Roster| {
            let users = roster.page(None, 9).users;
            users.iter().map(|one| one.connections).collect::<Vec<_>>()
        };
        assert_eq!(roster.enter(&user(1), false), Entered::Unlisted);
        assert_eq!(roster.enter(&user(1), false), Entered::Unlisted);
        assert_eq!(roster.enter(&user(2), false), Entered::Unlisted);
        roster.leave(&user(2));
        assert_eq!(counted(&roster), [0; 0]);
        assert_eq!(roster.enter(&user(1), true), Entered::New);
        assert_eq!(roster.enter(&user(2), true), Entered::New);
        assert_eq!(counted(&roster), [3, 1]);
        for _ in 0..2 {
            roster.leave(&user(1));
        }
        assert_eq!(counted(&roster), [1, 1], "the one that was counted is still there");
        roster.leave(&user(1));
        assert_eq!(counted(&roster), [1]);
        assert!(roster.unlisted.is_empty(), "nothing is kept of who is gone");
        roster.settle();
        // Nor is a connection counted twice.
        assert_eq!(roster.enter(&user(1), true), Entered::New);
        assert_eq!(counted(&roster), [1, 1]);
    }

    #[test]
    fn without_room_nobody_new_is_listed_and_nobody_is_counted_wrong() {
        let mut roster = Roster::new(0);
        assert_eq!(roster.enter(&user(1), true), Entered::New);
        assert_eq!(roster.enter(&user(2), false), Entered::Unlisted);
        assert_eq!(roster.enter(&user(1), false), Entered::Again);
        roster.leave(&user(2));
        roster.leave(&user(1));
        assert_eq!(roster.page(None, 9).total, 1);
        roster.leave(&user(1));
        roster.leave(&user(1));
        assert_eq!((roster.page(None, 9).total, roster.len()), (0, 0));
    }
}
