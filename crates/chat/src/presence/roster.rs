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
/// The zero of an optional moment.
const NEVER: Timestamp = Timestamp(0);

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

/// A connection.
#[derive(Debug)]
struct Seat {
    person: u32,
    /// The bit of its device's kind; 0 where it has none.
    kind: u64,
    away: bool,
    watch: Option<Box<Watch>>,
}

/// What a connection wants to be told of.
#[derive(Debug, Default)]
struct Watch {
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

/// A user who is there, or was until lately.
#[derive(Debug)]
struct Person {
    id: UserId,
    seats: SmallVec<[ConnId; 1]>,
    /// What the store keeps of them; `None` until it was asked.
    kept: Option<KeptPresence>,
    /// What was told last; `None` where nobody listened.
    told: Option<Look>,
    told_at: Timestamp,
    /// When the last connection ended, and how they were then.
    left_at: Timestamp,
    parting: Look,
    /// When they became invisible, and what others saw until then and see for the grace period.
    hidden_at: Timestamp,
    veil: (Status, u64),
    /// The moment in the agenda that counts.
    look_at: Timestamp,
    /// They left and it was taken note of.
    gone: bool,
    /// Whom they let know has changed since they were told of: what they had chosen then.
    reconsider: Option<PrivacyChoice>,
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
    seats: FxHashMap<ConnId, Seat>,
    people: Vec<Option<Person>>,
    free: Vec<u32>,
    /// Keyed by what clients choose, so hashed with a secret.
    by_id: HashMap<UserId, u32>,
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
            seats: FxHashMap::default(),
            people: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
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
        if self.seats.contains_key(&conn) {
            return;
        }
        let index = self.person_index(&identity.user);
        let kind = kind.map_or(0, |kind| self.kind_bit(kind));
        self.seats.insert(conn, Seat { person: index, kind, away: false, watch: None });
        if let Some(person) = self.person_mut(index) {
            let was_absent = person.seats.is_empty() && person.left_at != NEVER;
            person.seats.push(conn);
            person.left_at = NEVER;
            person.gone = false;
            self.absent -= usize::from(was_absent);
        }
        self.file_look(index, now);
    }

    /// A session is gone.
    pub(super) fn closed(&mut self, conn: ConnId, now: Timestamp) {
        self.unwatch(conn);
        let Some(seat) = self.seats.get(&conn) else { return };
        let index = seat.person;
        let parting = self.present_look(index, now);
        self.seats.remove(&conn);
        let crowded = self.absent >= ABSENT_MAX;
        let grace_ms = if crowded { 0 } else { self.rules.grace_ms };
        let Some(person) = self.person_mut(index) else { return };
        person.seats.retain(|seat| *seat != conn);
        if person.seats.is_empty() {
            person.left_at = now.max(Timestamp(1));
            // Without grace they left so long ago.
            if crowded {
                person.parting = Look::default();
            } else {
                person.parting = parting;
            }
            self.absent += 1;
        }
        self.file_look(index, now.plus_ms(grace_ms));
    }

    /// A connection says what it, or its user, shows.
    pub(super) fn set(&mut self, conn: ConnId, status: Chosen, now: Timestamp) {
        let Some(seat) = self.seats.get_mut(&conn) else { return };
        seat.away = status == Chosen::Away;
        let index = seat.person;
        let shown = self.present_look(index, now).public();
        if status != Chosen::Away
            && let Some(person) = self.person_mut(index)
        {
            let hides = status == Chosen::Invisible;
            let was_visible = person.kept.is_some_and(|kept| kept.chosen != Chosen::Invisible);
            (person.hidden_at, person.veil) = match (hides, was_visible) {
                // As one who leaves: gone only after the grace period.
                (true, true) => (now, shown),
                (true, false) => (person.hidden_at, person.veil),
                (false, _) => (NEVER, (Status::Offline, 0)),
            };
            // What the store keeps was written before this was heard of. When the user was last
            // seen is by the writer's clock, so the store is asked anew.
            person.kept = person.kept.filter(|_| !hides).map(|kept| kept.choosing(status, now));
        }
        self.file_look(index, now);
    }

    /// What is told of a user has to be weighed anew: they changed whom they let know, from this.
    pub(super) fn reconsider(&mut self, user: &UserId, from: PrivacyChoice, now: Timestamp) {
        if let Some(index) = self.by_id.get(user).copied() {
            if let Some(person) = self.person_mut(index) {
                person.reconsider.get_or_insert(from);
            }
            self.file_look(index, now);
        }
    }

    /// From here on this connection is told of these users, and of no others.
    ///
    /// # Errors
    /// Where too much is watched; then nothing changes.
    pub(super) fn watch(
        &mut self,
        conn: ConnId,
        friends: bool,
        users: &[UserId],
    ) -> Result<(), TooMany> {
        let Some(seat) = self.seats.get(&conn) else { return Ok(()) };
        let mut users = users.to_vec();
        users.sort_unstable();
        users.dedup();
        let had = seat.watch.as_ref().map_or(0, |watch| watch.users.len());
        if self.watches - had + users.len() > self.rules.watches_max {
            return Err(TooMany);
        }
        let told_at = seat.watch.as_ref().map_or(NEVER, |watch| watch.told_at);
        let filed = seat.watch.as_ref().is_some_and(|watch| watch.filed);
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
        let watch = Watch { friends, users, places, pending: Vec::new(), told_at, filed };
        if let Some(seat) = self.seats.get_mut(&conn) {
            seat.watch = (!is_nothing || filed).then(|| Box::new(watch));
        }
        Ok(())
    }

    fn unwatch(&mut self, conn: ConnId) {
        let Some(watch) = self.seats.get_mut(&conn).and_then(|seat| seat.watch.take()) else {
            return;
        };
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
            let moved = moved.and_then(|moved| self.seats.get_mut(&moved)?.watch.as_mut());
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
            && let Some((at, index)) = self.looks.take(now)
        {
            if let Some(step) = self.look(at, index, now) {
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

    fn look(&mut self, at: Timestamp, index: u32, now: Timestamp) -> Option<Step> {
        let grace_ms = self.rules.grace_ms;
        let listened = self.friend_watchers > 0 || !self.watchers.is_empty();
        let person = self.people.get_mut(index as usize)?.as_mut()?;
        if person.look_at != at {
            return None;
        }
        person.look_at = NEVER;
        let is_absent = person.seats.is_empty();
        if is_absent && person.gone {
            self.remove(index);
            return None;
        }
        let over = person.left_at.plus_ms(grace_ms);
        let in_grace = is_absent && person.parting != Look::default() && now < over;
        if listened && person.kept.is_none() {
            person.look_at = at;
            let user = person.id.clone();
            self.looks.file(at, index);
            return Some(Step::Recall(user));
        }
        if is_absent && !in_grace {
            person.gone = true;
            person.parting = Look::default();
            person.kept = person.kept.map(|kept| kept.seen(person.left_at));
            self.left.push((person.id.clone(), person.left_at));
        }
        let change = self.change(index, listened, now);
        if let Some(person) = self.person(index) {
            let unveiled = person.hidden_at.plus_ms(grace_ms);
            if person.hidden_at != NEVER && now < unveiled {
                self.file_look(index, unveiled);
            }
        }
        if in_grace {
            self.file_look(index, over);
        } else if is_absent {
            // Long enough that what is told of them, and what is written, can be asked for here.
            self.file_look(index, now.plus_ms(2 * self.rules.interval_ms + 1_000));
        }
        change.map(Step::Tell)
    }

    fn change(&mut self, index: u32, listened: bool, now: Timestamp) -> Option<Change> {
        let look = self.current_look(index, now);
        let person = self.person_mut(index)?;
        if !listened {
            person.told = None;
            person.reconsider = None;
            return None;
        }
        let reconsider = person.reconsider.take();
        let before = person.told.replace(look);
        if before == Some(look) && reconsider.is_none() {
            return None;
        }
        person.told_at = now;
        let public = match before {
            Some(before) => before.public() != look.public(),
            // Nobody must learn that an invisible user came or went.
            None => person.kept.is_some_and(|kept| kept.chosen != Chosen::Invisible),
        };
        let before = before.unwrap_or(look).shown;
        Some(Change { user: person.id.clone(), public, before, shown: look.shown, reconsider })
    }

    fn next_delivery(&mut self, now: Timestamp) -> Option<Step> {
        while let Some((_, conn)) = self.deliveries.take(now) {
            let Some(seat) = self.seats.get_mut(&conn) else { continue };
            let person = seat.person;
            let Some(watch) = &mut seat.watch else { continue };
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
            let Some(viewer) = self.person(person).map(|person| person.id.clone()) else {
                continue;
            };
            return Some(Step::Deliver { conn, viewer, about });
        }
        None
    }

    /// The store keeps this of a user.
    pub(super) fn recall(&mut self, user: &UserId, kept: KeptPresence) {
        if let Some(index) = self.by_id.get(user).copied()
            && let Some(person) = self.person_mut(index)
        {
            // That they left may not be written yet.
            let kept = if person.gone { kept.seen(person.left_at) } else { kept };
            person.kept.get_or_insert(kept);
        }
    }

    /// A connection is to be told of a user with its next event.
    pub(super) fn note(&mut self, conn: ConnId, user: &UserId, view: View, now: Timestamp) {
        let Some(watch) = self.seats.get_mut(&conn).and_then(|seat| seat.watch.as_mut()) else {
            return;
        };
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
        for person in self.people.iter().flatten().filter(|person| !person.gone) {
            let at = if person.seats.is_empty() { person.left_at } else { now };
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
        let seats = self.find(viewer).map_or(&[][..], |person| &person.seats);
        let watches = |conn: &&ConnId| {
            let watch = self.seats.get(conn).and_then(|seat| seat.watch.as_ref());
            watch.is_some_and(|watch| watch.friends)
        };
        seats.iter().filter(watches).copied().collect()
    }

    /// The connections that watch `user` by name, and whose they are.
    pub(super) fn named_watchers(&self, user: &UserId) -> Vec<(ConnId, UserId)> {
        let watchers = self.watchers.get(user).map_or(&[][..], |watchers| watchers);
        let viewer = |conn: &ConnId| {
            let seat = self.seats.get(conn)?;
            Some((*conn, self.person(seat.person)?.id.clone()))
        };
        watchers.iter().filter_map(viewer).collect()
    }

    /// The connections of `viewer` that watch `user` by name, and those that do as one of all
    /// friends and not by name.
    pub(super) fn watching(&self, viewer: &UserId, user: &UserId) -> [SmallVec<[ConnId; 2]>; 2] {
        let mut found = <[SmallVec<[ConnId; 2]>; 2]>::default();
        for conn in self.find(viewer).map_or(&[][..], |person| &person.seats) {
            let watch = self.seats.get(conn).and_then(|seat| seat.watch.as_ref());
            let Some(watch) = watch else { continue };
            if watch.users.binary_search(user).is_ok() {
                found[0].push(*conn);
            } else if watch.friends {
                found[1].push(*conn);
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
        let index = *self.by_id.get(user)?;
        let person = self.person(index)?;
        let told = person.told.unwrap_or_else(|| self.current_look(index, now));
        Some((told.shown, person.reconsider))
    }

    /// Whether the connection is still there.
    pub(super) fn is_here(&self, conn: ConnId) -> bool {
        self.seats.contains_key(&conn)
    }

    /// Whether the user may be there: false of one of whom only the store knows.
    pub(super) fn may_be_here(&self, user: &UserId) -> bool {
        self.by_id.contains_key(user)
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
        let Some(index) = self.by_id.get(user).copied() else { return Ok(None) };
        let Some(person) = self.person(index) else { return Ok(None) };
        let kept = person.kept.ok_or(Unasked)?;
        let over = person.left_at.plus_ms(self.rules.grace_ms) <= now;
        // It may not have been looked at.
        let kept = if person.seats.is_empty() && over { kept.seen(person.left_at) } else { kept };
        Ok(Some((self.current_look(index, now), kept)))
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

    fn current_look(&self, index: u32, now: Timestamp) -> Look {
        let Some(person) = self.person(index) else { return Look::default() };
        if !person.seats.is_empty() {
            return self.present_look(index, now);
        }
        if now < person.left_at.plus_ms(self.rules.grace_ms) {
            let Look { status, kinds, .. } = person.parting;
            return self.chosen_look(person, status, kinds, now);
        }
        Look::default()
    }

    /// How a user with connections is.
    fn present_look(&self, index: u32, now: Timestamp) -> Look {
        let Some(person) = self.person(index) else { return Look::default() };
        let (mut kinds, mut away) = (0, true);
        for seat in person.seats.iter().filter_map(|conn| self.seats.get(conn)) {
            kinds |= seat.kind;
            away &= seat.away;
        }
        let status = if away { Status::Away } else { Status::Online };
        self.chosen_look(person, status, kinds, now)
    }

    /// How it looks by what the user chose.
    fn chosen_look(&self, person: &Person, status: Status, kinds: u64, now: Timestamp) -> Look {
        const NOTHING: (Status, u64) = (Status::Offline, 0);
        let (status, (shown, shown_kinds)) = match (status, person.kept.map(|kept| kept.chosen)) {
            (Status::Offline, _) => (Status::Offline, NOTHING),
            (_, Some(Chosen::Invisible)) => {
                let veiled = person.hidden_at != NEVER
                    && now < person.hidden_at.plus_ms(self.rules.grace_ms);
                (Status::Invisible, if veiled { person.veil } else { NOTHING })
            }
            (_, Some(Chosen::Busy)) => (Status::Busy, (Status::Busy, kinds)),
            (status, _) => (status, (status, kinds)),
        };
        Look { status, shown, kinds, shown_kinds }
    }

    // Tables.

    fn kind_bit(&mut self, kind: &str) -> u64 {
        let known = self.kinds.iter().position(|known| **known == *kind);
        let place = known.unwrap_or_else(|| {
            if self.kinds.len() < KINDS_MAX {
                let last = self.kinds.len() + 1 == KINDS_MAX;
                self.kinds.push(if last { "other".into() } else { kind.into() });
            }
            self.kinds.len() - 1
        });
        1 << place
    }

    fn find(&self, user: &UserId) -> Option<&Person> {
        self.by_id.get(user).and_then(|index| self.person(*index))
    }

    fn person(&self, index: u32) -> Option<&Person> {
        self.people.get(index as usize)?.as_ref()
    }

    fn person_mut(&mut self, index: u32) -> Option<&mut Person> {
        self.people.get_mut(index as usize)?.as_mut()
    }

    fn person_index(&mut self, user: &UserId) -> u32 {
        if let Some(index) = self.by_id.get(user) {
            return *index;
        }
        let person = Person {
            id: user.clone(),
            seats: SmallVec::new(),
            kept: None,
            told: Some(Look::default()),
            told_at: NEVER,
            left_at: NEVER,
            parting: Look::default(),
            hidden_at: NEVER,
            veil: (Status::Offline, 0),
            look_at: NEVER,
            gone: false,
            reconsider: None,
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.people.push(None);
            u32::try_from(self.people.len() - 1).unwrap_or(u32::MAX)
        });
        self.people[index as usize] = Some(person);
        self.by_id.insert(user.clone(), index);
        index
    }

    fn remove(&mut self, index: u32) {
        if let Some(person) = self.people.get_mut(index as usize).and_then(Option::take) {
            self.by_id.remove(&person.id);
            self.free.push(index);
            self.absent -= 1;
        }
        if self.by_id.is_empty() {
            // A crowd is gone: what it took is given back.
            self.people = Vec::new();
            self.free = Vec::new();
            self.by_id = HashMap::new();
            self.seats = FxHashMap::default();
        }
    }

    /// Sees that the user is looked at then, or earlier; after the interval since they were told of.
    fn file_look(&mut self, index: u32, at: Timestamp) {
        let interval_ms = self.rules.interval_ms;
        let Some(person) = self.person_mut(index) else { return };
        let at = at.max(Timestamp(1));
        let at =
            if person.told_at == NEVER { at } else { at.max(person.told_at.plus_ms(interval_ms)) };
        if person.look_at == NEVER || at < person.look_at {
            person.look_at = at;
            self.looks.file(at, index);
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
