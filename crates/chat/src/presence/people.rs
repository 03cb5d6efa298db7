//! Who is there and on which connections, found by name.
//!
//! Invariant: everybody here has a place that stays theirs, and is found by their name. Idle users are
//! what a server has most of, so a person is small, names are kept once, and places lie in chunks: a
//! crowd that grows moves nobody and leaves no room to spare. Deliberately absent: what anything of it
//! means (see `roster`), and a table of connections, because whoever speaks of one says whose it is.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use hubbub_proto::event::Status;
use hubbub_proto::{ConnId, Timestamp, UserId};

use super::roster::Look;
use crate::model::{KeptPresence, PrivacyChoice};

/// Places that lie together.
const CHUNK: usize = 256;
/// The zero of an optional moment.
pub(super) const NEVER: Timestamp = Timestamp(0);

/// A connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) conn: ConnId,
    /// The number of its device's kind, if it has one.
    pub(super) kind: Option<u8>,
    pub(super) away: bool,
}

/// The connections of a user, most of whom have one.
#[derive(Debug, Default)]
pub(super) enum Seats {
    #[default]
    None,
    One(Seat),
    #[expect(clippy::box_collection, reason = "a list's own three words would widen every person")]
    Many(Box<Vec<Seat>>),
}

impl Seats {
    pub(super) fn as_slice(&self) -> &[Seat] {
        match self {
            Self::None => &[],
            Self::One(seat) => std::slice::from_ref(seat),
            Self::Many(seats) => seats,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Seat> {
        let seats = match self {
            Self::None => &mut [],
            Self::One(seat) => std::slice::from_mut(seat),
            Self::Many(seats) => &mut seats[..],
        };
        seats.iter_mut().find(|seat| seat.conn == conn)
    }

    fn push(&mut self, seat: Seat) {
        match self {
            Self::None => *self = Self::One(seat),
            Self::One(first) => *self = Self::Many(Box::new(vec![*first, seat])),
            Self::Many(seats) => seats.push(seat),
        }
    }

    fn remove(&mut self, conn: ConnId) {
        match self {
            Self::One(seat) if seat.conn == conn => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::Many(seats) => {
                seats.retain(|seat| seat.conn != conn);
                if let [last] = seats[..] {
                    *self = Self::One(last);
                }
            }
        }
    }
}

/// A user who is there, or was until lately.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) id: UserId,
    pub(super) seats: Seats,
    /// The moment in the agenda that counts.
    pub(super) look_at: Timestamp,
    /// Nobody listened when they were looked at, so that it does not count what was told before.
    pub(super) overlooked: bool,
    story: Option<Box<Story>>,
    parting: Option<Box<Parting>>,
}

/// What is known and told of a user while somebody watches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Story {
    /// What the store keeps of them; `None` until it was asked.
    pub(super) kept: Option<KeptPresence>,
    /// What was told last.
    pub(super) told: Look,
    pub(super) told_at: Timestamp,
}

/// What there is of a user who leaves, hides, or changes whom they let know.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Parting {
    /// When the last connection ended, and how they were then.
    pub(super) left_at: Timestamp,
    pub(super) look: Look,
    /// When they became invisible, and what others saw until then and see for the grace period.
    pub(super) hidden_at: Timestamp,
    pub(super) veil: (Status, u64),
    /// They left and it was taken note of.
    pub(super) gone: bool,
    /// Whom they let know has changed since they were told of: what they had chosen then.
    pub(super) reconsider: Option<PrivacyChoice>,
}

impl Person {
    fn new(id: UserId) -> Self {
        Self {
            id,
            seats: Seats::None,
            look_at: NEVER,
            overlooked: false,
            story: None,
            parting: None,
        }
    }

    pub(super) fn story(&self) -> Story {
        self.story.as_deref().copied().unwrap_or_default()
    }

    pub(super) fn parting(&self) -> Parting {
        self.parting.as_deref().copied().unwrap_or_default()
    }

    /// Changes it, and keeps only what says something.
    pub(super) fn tell(&mut self, change: impl FnOnce(&mut Story)) {
        write(&mut self.story, change);
    }

    /// As [`Person::tell`].
    pub(super) fn part(&mut self, change: impl FnOnce(&mut Parting)) {
        write(&mut self.parting, change);
    }
}

fn write<T: Copy + Default + PartialEq>(kept: &mut Option<Box<T>>, change: impl FnOnce(&mut T)) {
    let mut value = kept.as_deref().copied().unwrap_or_default();
    change(&mut value);
    match kept {
        _ if value == T::default() => *kept = None,
        Some(kept) => **kept = value,
        None => *kept = Some(Box::new(value)),
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct People {
    chunks: Vec<Vec<Option<Person>>>,
    /// The lowest comes first, so that the last chunks become empty.
    free: BinaryHeap<Reverse<u32>>,
    /// By names, which clients choose; so hashed with a secret.
    by_name: HashTable<u32>,
    secret: RandomState,
}

impl People {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Person> {
        self.chunks.iter().flatten().flatten()
    }

    pub(super) fn get(&self, place: u32) -> Option<&Person> {
        person(&self.chunks, place)
    }

    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut Person> {
        let place = place as usize;
        self.chunks.get_mut(place / CHUNK)?.get_mut(place % CHUNK)?.as_mut()
    }

    /// Where a user is.
    pub(super) fn place_of(&self, user: &UserId) -> Option<u32> {
        let is_theirs = |place: &u32| person(&self.chunks, *place).is_some_and(|p| p.id == *user);
        self.by_name.find(self.secret.hash_one(user), is_theirs).copied()
    }

    pub(super) fn find(&self, user: &UserId) -> Option<&Person> {
        self.place_of(user).and_then(|place| self.get(place))
    }

    /// Where a user is who has this connection.
    pub(super) fn place_at(&self, user: &UserId, conn: ConnId) -> Option<u32> {
        let place = self.place_of(user)?;
        let seats = &self.get(place)?.seats;
        seats.as_slice().iter().any(|seat| seat.conn == conn).then_some(place)
    }

    /// The place of a user, who is put into one if need be.
    pub(super) fn enter(&mut self, user: &UserId) -> u32 {
        let Self { chunks, free, by_name, secret, .. } = self;
        let is_theirs = |place: &u32| person(chunks, *place).is_some_and(|p| p.id == *user);
        let rehash =
            |place: &u32| person(chunks, *place).map_or(0, |person| secret.hash_one(&person.id));
        let vacant = match by_name.entry(secret.hash_one(user), is_theirs, rehash) {
            Entry::Occupied(known) => return *known.get(),
            Entry::Vacant(vacant) => vacant,
        };
        let next = chunks.len() * CHUNK;
        let place =
            free.pop().map_or(u32::try_from(next).unwrap_or(u32::MAX), |Reverse(place)| place);
        vacant.insert(place);
        if place as usize >= next {
            chunks.push(std::iter::repeat_with(|| None).take(CHUNK).collect());
            free.extend((place + 1..).take(CHUNK - 1).map(Reverse));
        }
        chunks[place as usize / CHUNK][place as usize % CHUNK] = Some(Person::new(user.clone()));
        place
    }

    /// A connection of the user in this place.
    pub(super) fn sit(&mut self, place: u32, seat: Seat) {
        if let Some(person) = self.get_mut(place) {
            person.seats.push(seat);
        }
    }

    /// A connection of the user in this place is gone.
    pub(super) fn rise(&mut self, place: u32, conn: ConnId) {
        if let Some(person) = self.get_mut(place) {
            person.seats.remove(conn);
        }
    }

    /// Forgets a user who has no connection.
    pub(super) fn remove(&mut self, place: u32) {
        let Some(held) = self.chunks.get_mut(place as usize / CHUNK) else { return };
        let Some(person) = held[place as usize % CHUNK].take() else { return };
        let hash = self.secret.hash_one(&person.id);
        if let Ok(known) = self.by_name.find_entry(hash, |known| *known == place) {
            known.remove();
        }
        self.free.push(Reverse(place));
        if self.len() == 0 {
            *self = Self::default();
        }
    }

    /// Gives back what a crowd took.
    pub(super) fn tidy(&mut self) {
        while self.chunks.pop_if(|chunk| chunk.iter().all(Option::is_none)).is_some() {}
        let places = self.chunks.len() * CHUNK;
        self.free.retain(|Reverse(place)| (*place as usize) < places);
        self.free.shrink_to_fit();
        let (chunks, secret) = (&self.chunks, &self.secret);
        let rehash =
            |place: &u32| person(chunks, *place).map_or(0, |person| secret.hash_one(&person.id));
        self.by_name.shrink_to(2 * self.by_name.len(), rehash);
    }
}

fn person(chunks: &[Vec<Option<Person>>], place: u32) -> Option<&Person> {
    chunks.get(place as usize / CHUNK)?.get(place as usize % CHUNK)?.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: usize) -> UserId {
        UserId::new(&format!("u{n}")).unwrap()
    }

    fn conn(n: usize) -> ConnId {
        ConnId { shard: 0, slot: u32::try_from(n).unwrap(), generation: 0 }
    }

    fn crowd(people: &mut People, count: usize) {
        for n in 0..count {
            let place = people.enter(&user(n));
            people.sit(place, Seat { conn: conn(n), kind: None, away: false });
        }
    }

    #[test]
    fn a_person_is_small() {
        assert!(size_of::<Option<Person>>() <= 64, "{}", size_of::<Option<Person>>());
        let mut people = People::default();
        crowd(&mut people, 1);
        let person = people.get_mut(0).unwrap();
        person.tell(|story| story.told_at = Timestamp(5));
        assert!(person.story.is_some() && person.parting.is_none());
        person.tell(|story| story.told_at = NEVER);
        assert!(person.story.is_none(), "nothing is known");
    }

    #[test]
    fn everybody_is_found_by_name() {
        let mut people = People::default();
        crowd(&mut people, 3 * CHUNK);
        let second = conn(9_999);
        people.sit(
            people.place_of(&user(7)).unwrap(),
            Seat { conn: second, kind: None, away: false },
        );
        for n in 0..3 * CHUNK {
            assert_eq!(people.find(&user(n)).map(|person| &person.id), Some(&user(n)));
            assert_eq!(people.place_at(&user(n), conn(n)), people.place_of(&user(n)));
            assert_eq!(people.place_at(&user(n), conn(n + 1)), None);
        }
        assert_eq!(people.place_at(&user(7), second), people.place_of(&user(7)));
        assert_eq!(people.place_at(&user(8), second), None);
        assert_eq!(people.enter(&user(7)), people.place_of(&user(7)).unwrap());
        assert_eq!((people.len(), people.iter().count()), (3 * CHUNK, 3 * CHUNK));
        people.rise(people.place_of(&user(7)).unwrap(), second);
        assert_eq!(people.place_at(&user(7), second), None);
        assert!(matches!(people.find(&user(7)).unwrap().seats, Seats::One(_)));
        assert!(people.place_at(&user(7), conn(7)).is_some());
        assert!(people.place_of(&user(9_999)).is_none());
    }

    #[test]
    fn what_a_crowd_took_is_given_back() {
        let mut people = People::default();
        crowd(&mut people, 3 * CHUNK);
        let stays = CHUNK + 7;
        for n in (0..3 * CHUNK).filter(|n| *n != stays) {
            let place = people.place_of(&user(n)).unwrap();
            people.rise(place, conn(n));
            people.remove(place);
        }
        people.tidy();
        assert_eq!((people.chunks.len(), people.free.len()), (2, 2 * CHUNK - 1));
        assert!(people.by_name.capacity() < CHUNK);
        assert!(people.place_at(&user(stays), conn(stays)).is_some());
        assert_eq!(people.enter(&user(0)), 0, "the first place that is free");
        people.remove(0);
        let place = people.place_of(&user(stays)).unwrap();
        people.rise(place, conn(stays));
        people.remove(place);
        assert!(people.chunks.is_empty() && people.free.is_empty());
    }
}
