//! Who is there, on which connections and how; who watches whom; and what is to be told when.
//!
//! A pure state machine: sessions open, end and say what they show, and time passes; out come
//! [`Step`]s, in each of which whoever drives it asks the store what only the store knows. Invariants:
//! a user is told of at most once in an interval, and so is a connection that watches; one whose last
//! connection ends stays as they were for the grace period; what a choice kept in the store means for
//! a user is asked for before anything is told of them. Bounded: users and connections by those that
//! are connected, users in grace by [`ABSENT_MAX`], what is watched by name by a configured number,
//! what waits to be told by [`PENDING_MAX`] (above it changes wait, of which there is one for each
//! user).

use std::collections::HashMap;

use hubbub_proto::command::Chosen;
use hubbub_proto::event::Status;
use hubbub_proto::{ConnId, Identity, Timestamp, UserId};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::View;
use super::agenda::Agenda;
use super::people::{NEVER, Parting, People, Person, Seat, Story};
use crate::model::{KeptPresence, PrivacyChoice};

/// Most users without a connection who are remembered for their grace period; one more is gone at once.
pub(super) const ABSENT_MAX: usize = 131_072;
/// Most changes that wait for the next event of a connection, over all connections.
pub(super) const PENDING_MAX: usize = 1 << 20;
/// Most users in one event.
pub(super) const EVENT_USERS_MAX: usize = 200;
/// How long a change waits for others to go with it.
const GATHER_MS: u64 = 50;
/// Changes of one connection above which those of the same user are put together now and then.
const MERGE_FROM: usize = 64;
/// Most kinds of devices that are told apart.
const KINDS_MAX: usize = 64;

/// The numbers of the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// How long one who disconnects is shown as before.
    pub(crate) grace_ms: u64,
    /// Between two events of a connection, and between two changes of a user.
    pub(crate) interval_ms: u64,
    /// Users that are watched by name, over all connections.
    pub(crate) watches_max: usize,
}

/// How a user is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Look {
    /// As they see it themself.
    pub(super) status: Status,
    /// As others see it.
    pub(super) shown: Status,
    /// A bit for each kind of device.
    kinds: u64,
    /// Those that others see.
    shown_kinds: u64,
}

impl Look {
    /// What others see.
    const fn public(self) -> (Status, u64) {
        (self.shown, self.shown_kinds)
    }
}

/// What a connection wants to be told of.
#[derive(Debug, Default)]
struct Watch {
    /// Where its user is, who has a place for as long as the connection is there.
    owner: u32,
    friends: bool,
    /// In order.
    users: Box<[UserId]>,
    /// Where the connection stands among those who watch each of them.
    places: Box<[u32]>,
    /// What is to be told.
    pending: Vec<(UserId, View)>,
    told_at: Timestamp,
    /// Stands in the agenda.
    filed: bool,
}

/// What is to be done next.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Ask the store what it keeps of this user, and [`Roster::recall`] it.
    Recall(UserId),
    /// Find those who watch this user and may know, and [`Roster::note`] it for each.
    Tell(Change),
    /// Send this connection one event.
    Deliver { conn: ConnId, viewer: UserId, about: Vec<(UserId, View)> },
}

/// A user is to be told of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Change {
    pub(super) user: UserId,
    /// Others see something of it, too.
    pub(super) public: bool,
    /// What those saw until now who might.
    pub(super) before: Status,
    /// What they see who may.
    pub(super) shown: Status,
    /// Who might see it was decided by this until now.
    pub(super) reconsider: Option<PrivacyChoice>,
}

/// Too much is watched by name.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct TooMany;

/// The store was not asked about a user.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Unasked;

/// See the module.
#[derive(Debug)]
pub(super) struct Roster {
    rules: Rules,
    people: People,
    /// What those connections want that want anything.
    wishes: FxHashMap<ConnId, Watch>,
    /// By whom a user is watched by name.
    watchers: HashMap<UserId, Vec<ConnId>>,
    /// How many that are together.
    watches: usize,
    /// Connections that watch all friends.
    friend_watchers: usize,
    absent: usize,
    pending: usize,
    kinds: Vec<Box<str>>,
    looks: Agenda<u32>,
    deliveries: Agenda<ConnId>,
    /// Who left and when, to be written.
    left: Vec<(UserId, Timestamp)>,
}

impl Roster {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            people: People::default(),
            wishes: FxHashMap::default(),
            watchers: HashMap::new(),
            watches: 0,
            friend_watchers: 0,
            absent: 0,
            pending: 0,
            kinds: Vec::new(),
            looks: Agenda::default(),
            deliveries: Agenda::default(),
            left: Vec::new(),
        }
    }

    // What happens.

    /// A session was opened.
    pub(super) fn opened(
        &mut self,
        conn: ConnId,
        identity: &Identity,
        kind: Option<&str>,
        now: Timestamp,
    ) {
        if self.people.place_at(&identity.user, conn).is_some() {
            return;
        }
        let place = self.people.enter(&identity.user);
        let kind = kind.and_then(|kind| self.kind_number(kind));
        if let Some(person) = self.people.get_mut(place) {
            let was_absent = person.seats.is_empty() && person.parting().left_at != NEVER;
            person.part(|parting| {
                parting.left_at = NEVER;
                parting.look = Look::default();
                parting.gone = false;
            });
            self.absent -= usize::from(was_absent);
        }
        self.people.sit(place, Seat { conn, kind, away: false });
        self.file_look(place, now);
    }

    /// A session is gone.
    pub(super) fn closed(&mut self, conn: ConnId, user: &UserId, now: Timestamp) {
        self.unwatch(conn);
        let Some(place) = self.people.place_at(user, conn) else { return };
        let look = self.present_look(place, now);
        self.people.rise(place, conn);
        let crowded = self.absent >= ABSENT_MAX;
        let grace_ms = if crowded { 0 } else { self.rules.grace_ms };
        let Some(person) = self.people.get_mut(place) else { return };
        if person.seats.is_empty() {
            person.part(|parting| {
                parting.left_at = now.max(Timestamp(1));
                // Without grace they left so long ago.
                parting.look = if crowded { Look::default() } else { look };
            });
            self.absent += 1;
        }
        self.file_look(place, now.plus_ms(grace_ms));
    }

    /// A connection says what it, or its user, shows.
    pub(super) fn set(&mut self, conn: ConnId, user: &UserId, status: Chosen, now: Timestamp) {
        let Some(place) = self.people.place_at(user, conn) else { return };
        let person = self.people.get_mut(place);
        if let Some(seat) = person.and_then(|person| person.seats.get_mut(conn)) {
            seat.away = status == Chosen::Away;
        }
        let shown = self.present_look(place, now).public();
        if status != Chosen::Away
            && let Some(person) = self.people.get_mut(place)
        {
            let hides = status == Chosen::Invisible;
            let kept = person.story().kept;
            let was_visible = kept.is_some_and(|kept| kept.chosen != Chosen::Invisible);
            person.part(|parting| match (hides, was_visible) {
                // As one who leaves: gone only after the grace period.
                (true, true) => (parting.hidden_at, parting.veil) = (now, shown),
                (true, false) => {}
                (false, _) => {
                    (parting.hidden_at, parting.veil) = (NEVER, (Status::Offline, 0));
                }
            });
            // What the store keeps was written before this was heard of. When the user was last
            // seen is by the writer's clock, so the store is asked anew.
            let kept = kept.filter(|_| !hides).map(|kept| kept.choosing(status, now));
            person.tell(|story| story.kept = kept);
        }
        self.file_look(place, now);
    }

    /// What is told of a user has to be weighed anew: they changed whom they let know, from this.
    pub(super) fn reconsider(&mut self, user: &UserId, from: PrivacyChoice, now: Timestamp) {
        if let Some(place) = self.people.place_of(user) {
            if let Some(person) = self.people.get_mut(place) {
                person.part(|parting| {
                    parting.reconsider.get_or_insert(from);
                });
            }
            self.file_look(place, now);
        }
    }

    /// From here on this connection is told of these users, and of no others.
    ///
    /// # Errors
    /// Where too much is watched; then nothing changes.
    pub(super) fn watch(
        &mut self,
        conn: ConnId,
        viewer: &UserId,
        friends: bool,
        users: &[UserId],
    ) -> Result<(), TooMany> {
        let Some(owner) = self.people.place_at(viewer, conn) else { return Ok(()) };
        let mut users = users.to_vec();
        users.sort_unstable();
        users.dedup();
        let watch = self.wishes.get(&conn);
        let had = watch.map_or(0, |watch| watch.users.len());
        if self.watches - had + users.len() > self.rules.watches_max {
            return Err(TooMany);
        }
        let told_at = watch.map_or(NEVER, |watch| watch.told_at);
        let filed = watch.is_some_and(|watch| watch.filed);
        self.unwatch(conn);
        let places = users.iter().map(|user| {
            let watchers = self.watchers.entry(user.clone()).or_default();
            watchers.push(conn);
            u32::try_from(watchers.len() - 1).unwrap_or(u32::MAX)
        });
        let places = places.collect();
        self.watches += users.len();
        self.friend_watchers += usize::from(friends);
        let is_nothing = users.is_empty() && !friends;
        let users = users.into();
        let watch = Watch { owner, friends, users, places, pending: Vec::new(), told_at, filed };
        if !is_nothing || filed {
            self.wishes.insert(conn, watch);
        }
        Ok(())
    }

    fn unwatch(&mut self, conn: ConnId) {
        let Some(watch) = self.wishes.remove(&conn) else { return };
        self.pending -= watch.pending.len();
        self.watches -= watch.users.len();
        self.friend_watchers -= usize::from(watch.friends);
        for (user, place) in watch.users.iter().zip(&watch.places) {
            let Some(watchers) = self.watchers.get_mut(user) else { continue };
            // The last one takes the place, so that a crowd that drops costs each of them the same.
            watchers.swap_remove(*place as usize);
            let moved = watchers.get(*place as usize).copied();
            if watchers.is_empty() {
                self.watchers.remove(user);
            }
            let moved = moved.and_then(|moved| self.wishes.get_mut(&moved));
            if let Some(moved) = moved
                && let Ok(at) = moved.users.binary_search(user)
            {
                moved.places[at] = *place;
            }
        }
    }

    // What is to be done.

    /// The next thing to do; `None` when there is nothing at the moment.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<Step> {
        if let Some(step) = self.next_delivery(now) {
            return Some(step);
        }
        while self.pending < PENDING_MAX
            && let Some((at, place)) = self.looks.take(now)
        {
            if let Some(step) = self.look(at, place, now) {
                return Some(step);
            }
        }
        None
    }

    /// When [`Roster::next`] has something to do.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let look = self.looks.next().filter(|_| self.pending < PENDING_MAX);
        [look, self.deliveries.next()].into_iter().flatten().min()
    }

    fn look(&mut self, at: Timestamp, place: u32, now: Timestamp) -> Option<Step> {
        let grace_ms = self.rules.grace_ms;
        let listened = self.friend_watchers > 0 || !self.watchers.is_empty();
        let person = self.people.get_mut(place)?;
        if person.look_at != at {
            return None;
        }
        person.look_at = NEVER;
        let is_absent = person.seats.is_empty();
        let parting = person.parting();
        if is_absent && parting.gone {
            self.people.remove(place);
            self.absent -= 1;
            return None;
        }
        let over = parting.left_at.plus_ms(grace_ms);
        let in_grace = is_absent && parting.look != Look::default() && now < over;
        if listened && person.story().kept.is_none() {
            person.look_at = at;
            let user = person.id.clone();
            self.looks.file(at, place);
            return Some(Step::Recall(user));
        }
        if is_absent && !in_grace {
            person.part(|parting| {
                parting.gone = true;
                parting.look = Look::default();
            });
            person.tell(|story| story.kept = story.kept.map(|kept| kept.seen(parting.left_at)));
            self.left.push((person.id.clone(), parting.left_at));
        }
        let change = self.change(place, listened, now);
        let unveiled = parting.hidden_at.plus_ms(grace_ms);
        if parting.hidden_at != NEVER && now < unveiled {
            self.file_look(place, unveiled);
        }
        if in_grace {
            self.file_look(place, over);
        } else if is_absent {
            // Long enough that what is told of them, and what is written, can be asked for here.
            self.file_look(place, now.plus_ms(2 * self.rules.interval_ms + 1_000));
        }
        change.map(Step::Tell)
    }

    fn change(&mut self, place: u32, listened: bool, now: Timestamp) -> Option<Change> {
        let look = self.current_look(place, now);
        let person = self.people.get_mut(place)?;
        let reconsider = person.parting().reconsider;
        person.part(|parting| parting.reconsider = None);
        let Story { kept, told, .. } = person.story();
        let before = (!person.overlooked).then_some(told);
        person.overlooked = !listened;
        if !listened {
            person.tell(|story| story.told = Look::default());
            return None;
        }
        person.tell(|story| story.told = look);
        if before == Some(look) && reconsider.is_none() {
            return None;
        }
        person.tell(|story| story.told_at = now);
        let public = match before {
            Some(before) => before.public() != look.public(),
            // Nobody must learn that an invisible user came or went.
            None => kept.is_some_and(|kept| kept.chosen != Chosen::Invisible),
        };
        let before = before.unwrap_or(look).shown;
        Some(Change { user: person.id.clone(), public, before, shown: look.shown, reconsider })
    }

    fn next_delivery(&mut self, now: Timestamp) -> Option<Step> {
        while let Some((_, conn)) = self.deliveries.take(now) {
            let Some(watch) = self.wishes.get_mut(&conn) else { continue };
            watch.filed = false;
            let before = watch.pending.len();
            merge(&mut watch.pending);
            let count = watch.pending.len().min(EVENT_USERS_MAX);
            let rest = watch.pending.split_off(count);
            let about = std::mem::replace(&mut watch.pending, rest);
            self.pending -= before - watch.pending.len();
            if about.is_empty() {
                continue;
            }
            watch.told_at = now;
            if !watch.pending.is_empty() {
                watch.filed = true;
                self.deliveries.file(now.plus_ms(self.rules.interval_ms), conn);
            }
            let owner = watch.owner;
            let Some(viewer) = self.people.get(owner).map(|person| person.id.clone()) else {
                continue;
            };
            return Some(Step::Deliver { conn, viewer, about });
        }
        None
    }

    /// The store keeps this of a user.
    pub(super) fn recall(&mut self, user: &UserId, kept: KeptPresence) {
        if let Some(place) = self.people.place_of(user)
            && let Some(person) = self.people.get_mut(place)
        {
            let Parting { gone, left_at, .. } = person.parting();
            // That they left may not be written yet.
            let kept = if gone { kept.seen(left_at) } else { kept };
            person.tell(|story| {
                story.kept.get_or_insert(kept);
            });
        }
    }

    /// A connection is to be told of a user with its next event.
    pub(super) fn note(&mut self, conn: ConnId, user: &UserId, view: View, now: Timestamp) {
        let Some(watch) = self.wishes.get_mut(&conn) else { return };
        watch.pending.push((user.clone(), view));
        self.pending += 1;
        let count = watch.pending.len();
        if count >= MERGE_FROM && count.is_power_of_two() {
            merge(&mut watch.pending);
            self.pending -= count - watch.pending.len();
        }
        if !watch.filed {
            watch.filed = true;
            let due = now.plus_ms(GATHER_MS).max(watch.told_at.plus_ms(self.rules.interval_ms));
            self.deliveries.file(due, conn);
        }
    }

    /// Who left since the last time, and when.
    pub(super) fn take_left(&mut self) -> Vec<(UserId, Timestamp)> {
        std::mem::take(&mut self.left)
    }

    /// Everybody leaves: the server stops.
    pub(super) fn all_leave(&mut self, now: Timestamp) -> Vec<(UserId, Timestamp)> {
        let mut left = self.take_left();
        for person in self.people.iter().filter(|person| !person.parting().gone) {
            let at = if person.seats.is_empty() { person.parting().left_at } else { now };
            left.push((person.id.clone(), at));
        }
        left
    }

    // What is known.

    /// Whether any connection watches all friends.
    pub(super) const fn friends_are_watched(&self) -> bool {
        self.friend_watchers > 0
    }

    /// The connections of `viewer` that are told of all friends.
    pub(super) fn friend_watchers(&self, viewer: &UserId) -> SmallVec<[ConnId; 2]> {
        let watches = |conn: &ConnId| self.wishes.get(conn).is_some_and(|watch| watch.friends);
        self.conns_of(viewer).filter(watches).collect()
    }

    /// The connections that watch `user` by name, and whose they are.
    pub(super) fn named_watchers(&self, user: &UserId) -> Vec<(ConnId, UserId)> {
        let watchers = self.watchers.get(user).map_or(&[][..], |watchers| watchers);
        let viewer = |conn: &ConnId| {
            let owner = self.wishes.get(conn)?.owner;
            Some((*conn, self.people.get(owner)?.id.clone()))
        };
        watchers.iter().filter_map(viewer).collect()
    }

    /// The connections of `viewer` that watch `user` by name, and those that do as one of all
    /// friends and not by name.
    pub(super) fn watching(&self, viewer: &UserId, user: &UserId) -> [SmallVec<[ConnId; 2]>; 2] {
        let mut found = <[SmallVec<[ConnId; 2]>; 2]>::default();
        for conn in self.conns_of(viewer) {
            let Some(watch) = self.wishes.get(&conn) else { continue };
            if watch.users.binary_search(user).is_ok() {
                found[0].push(conn);
            } else if watch.friends {
                found[1].push(conn);
            }
        }
        found
    }

    /// What those who may see it were told of a user last, and by what it was decided who may if it
    /// is another choice than the one that holds; `None` of one who is not here.
    pub(super) fn told(
        &self,
        user: &UserId,
        now: Timestamp,
    ) -> Option<(Status, Option<PrivacyChoice>)> {
        let place = self.people.place_of(user)?;
        let person = self.people.get(place)?;
        let told =
            if person.overlooked { self.current_look(place, now) } else { person.story().told };
        Some((told.shown, person.parting().reconsider))
    }

    /// Whether the connection is still there.
    pub(super) fn is_here(&self, conn: ConnId, user: &UserId) -> bool {
        self.people.place_at(user, conn).is_some()
    }

    /// Whether the user may be there: false of one of whom only the store knows.
    pub(super) fn may_be_here(&self, user: &UserId) -> bool {
        self.people.place_of(user).is_some()
    }

    /// How a user is; `None` where they are not known here and only the store can say.
    ///
    /// # Errors
    /// Where the store has to be asked first.
    pub(super) fn appearance(
        &self,
        user: &UserId,
        now: Timestamp,
    ) -> Result<Option<(Look, KeptPresence)>, Unasked> {
        let Some(place) = self.people.place_of(user) else { return Ok(None) };
        let Some(person) = self.people.get(place) else { return Ok(None) };
        let kept = person.story().kept.ok_or(Unasked)?;
        let left_at = person.parting().left_at;
        let over = left_at.plus_ms(self.rules.grace_ms) <= now;
        // It may not have been looked at.
        let kept = if person.seats.is_empty() && over { kept.seen(left_at) } else { kept };
        Ok(Some((self.current_look(place, now), kept)))
    }

    /// The names of the kinds of devices, in alphabetical order, as the user or as others see them.
    pub(super) fn kind_names(&self, look: Look, own: bool) -> Vec<Box<str>> {
        let kinds = if own { look.kinds } else { look.shown_kinds };
        let named = self.kinds.iter().enumerate();
        let mut names: Vec<Box<str>> = named
            .filter(|(bit, _)| kinds & (1 << bit) != 0)
            .map(|(_, name)| name.clone())
            .collect();
        names.sort_unstable();
        names
    }

    fn current_look(&self, place: u32, now: Timestamp) -> Look {
        let Some(person) = self.people.get(place) else { return Look::default() };
        if !person.seats.is_empty() {
            return self.present_look(place, now);
        }
        let parting = person.parting();
        if now < parting.left_at.plus_ms(self.rules.grace_ms) {
            let Look { status, kinds, .. } = parting.look;
            return self.chosen_look(person, status, kinds, now);
        }
        Look::default()
    }

    /// How a user with connections is.
    fn present_look(&self, place: u32, now: Timestamp) -> Look {
        let Some(person) = self.people.get(place) else { return Look::default() };
        let (mut kinds, mut away) = (0, true);
        for seat in person.seats.as_slice() {
            kinds |= seat.kind.map_or(0, |kind| 1 << kind);
            away &= seat.away;
        }
        let status = if away { Status::Away } else { Status::Online };
        self.chosen_look(person, status, kinds, now)
    }

    /// How it looks by what the user chose.
    fn chosen_look(&self, person: &Person, status: Status, kinds: u64, now: Timestamp) -> Look {
        const NOTHING: (Status, u64) = (Status::Offline, 0);
        let chosen = person.story().kept.map(|kept| kept.chosen);
        let (status, (shown, shown_kinds)) = match (status, chosen) {
            (Status::Offline, _) => (Status::Offline, NOTHING),
            (_, Some(Chosen::Invisible)) => {
                let Parting { hidden_at, veil, .. } = person.parting();
                let veiled = hidden_at != NEVER && now < hidden_at.plus_ms(self.rules.grace_ms);
                (Status::Invisible, if veiled { veil } else { NOTHING })
            }
            (_, Some(Chosen::Busy)) => (Status::Busy, (Status::Busy, kinds)),
            (status, _) => (status, (status, kinds)),
        };
        Look { status, shown, kinds, shown_kinds }
    }

    // Tables.

    fn kind_number(&mut self, kind: &str) -> Option<u8> {
        let known = self.kinds.iter().position(|known| **known == *kind);
        let number = known.unwrap_or_else(|| {
            if self.kinds.len() < KINDS_MAX {
                let last = self.kinds.len() + 1 == KINDS_MAX;
                self.kinds.push(if last { "other".into() } else { kind.into() });
            }
            self.kinds.len() - 1
        });
        u8::try_from(number).ok()
    }

    /// The connections of a user.
    fn conns_of(&self, user: &UserId) -> impl Iterator<Item = ConnId> {
        let seats = self.people.find(user).map_or(&[][..], |person| person.seats.as_slice());
        seats.iter().map(|seat| seat.conn)
    }

    /// Gives back what a crowd took.
    pub(super) fn tidy(&mut self) {
        self.people.tidy();
        self.wishes.shrink_to(2 * self.wishes.len());
        self.watchers.shrink_to(2 * self.watchers.len());
    }

    /// Sees that the user is looked at then, or earlier; after the interval since they were told of.
    fn file_look(&mut self, place: u32, at: Timestamp) {
        let interval_ms = self.rules.interval_ms;
        let Some(person) = self.people.get_mut(place) else { return };
        let at = at.max(Timestamp(1));
        let told_at = person.story().told_at;
        let at = if told_at == NEVER { at } else { at.max(told_at.plus_ms(interval_ms)) };
        if person.look_at == NEVER || at < person.look_at {
            person.look_at = at;
            self.looks.file(at, place);
        }
    }
}

/// Keeps the last of several changes of a user.
fn merge(pending: &mut Vec<(UserId, View)>) {
    if pending.len() < 2 {
        return;
    }
    pending.reverse();
    pending.sort_by(|(a, _), (b, _)| a.cmp(b));
    pending.dedup_by(|(later, _), (first, _)| later == first);
}

#[cfg(test)]
mod tests;
