//! What the thread of presence does: it takes requests in the order of the writer, answers those who
//! ask, and tells those who watch.
//!
//! Invariant: a request is taken at once, and what costs a look into the store is done afterwards in
//! short stretches, so that sessions coming and going never wait behind it: first what was changed
//! between users, which who asks later need not be told of, then answers, then events. Bounded:
//! questions that wait by [`GETS_MAX`], everything else by the roster.

use std::collections::{HashSet, VecDeque};

use hubbub_proto::command::PresenceGet;
use hubbub_proto::event::{Presence, Presences, Status};
use hubbub_proto::route::Work;
use hubbub_proto::{Ack, Command, Effect, Event, Reason, Refusal, Request, Timestamp, UserId};

use super::circle::{self, Sight};
use super::roster::{Change, Look, Roster, Rules, Step};
use super::{Heard, Shift, View};
use crate::ChatConfig;
use crate::model::{KeptPresence, Pair, PrivacyChoice};
use crate::ports::{Reader, Result};
use crate::reading::reply;
use crate::stop::{Outcome, Stop};

/// Most questions that wait; a connection asks one at a time.
const GETS_MAX: usize = 65_536;
/// Most pairs of users that wait to be told of each other; it is best effort.
const PAIRS_MAX: usize = 4_096;
/// Questions answered, and then things told, before the next requests are taken.
const STRETCH: usize = 32;
/// When a read that the store failed makes sense again, in milliseconds.
const STORE_RETRY_MS: u64 = 1_000;

/// Whether a request concerns presence: handed on by the writer after its commit. So is every other one
/// that changed who may know what of whom ([`Shift`]).
pub(crate) fn concerns(request: &Request) -> bool {
    match &request.work {
        Work::Opened | Work::Closed => true,
        Work::Command { command, .. } => {
            matches!(command, Command::PresenceSet(_) | Command::PresenceGet(_))
        }
        Work::Renewed | Work::Redeliver { .. } => false,
    }
}

/// Whom a command brings nearer or keeps away.
fn other_side(command: &Command) -> Option<&UserId> {
    match command {
        Command::FriendRequest(request) => Some(&request.user),
        Command::FriendAccept(target)
        | Command::FriendReject(target)
        | Command::FriendCancel(target)
        | Command::FriendRemove(target)
        | Command::FriendBlock(target)
        | Command::FriendUnblock(target) => Some(&target.user),
        _ => None,
    }
}

/// See the module.
pub(crate) struct Desk {
    config: ChatConfig,
    roster: Roster,
    gets: VecDeque<Request>,
    /// Users between whom something has changed, and what it was before.
    pairs: VecDeque<(UserId, UserId, Pair)>,
    /// Events that went out.
    pub(crate) told: u64,
}

impl Desk {
    pub(crate) fn new(config: &ChatConfig) -> Self {
        let rules = Rules {
            grace_ms: config.presence_grace_ms,
            interval_ms: config.presence_interval_ms,
            watches_max: config.presence_watches_max as usize,
        };
        Self {
            config: config.clone(),
            roster: Roster::new(rules),
            gets: VecDeque::new(),
            pairs: VecDeque::new(),
            told: 0,
        }
    }

    /// Takes a request; the answer is what cannot be kept.
    pub(crate) fn take(&mut self, heard: Heard, now: Timestamp) -> Vec<Effect> {
        let Heard { request, shift } = heard;
        let conn = request.conn;
        match &request.work {
            Work::Opened => {
                self.roster.opened(conn, &request.identity, request.identity.device_kind(), now);
            }
            Work::Closed => self.roster.closed(conn, &request.identity.user, now),
            Work::Command { command: Command::PresenceSet(set), .. } => {
                self.roster.set(conn, &request.identity.user, set.status, now);
            }
            Work::Command { command: Command::PresenceGet(_), .. } => {
                if self.gets.len() >= GETS_MAX {
                    let refusal = Refusal::later(Reason::Overloaded, STORE_RETRY_MS);
                    return reply(&request, Err(refusal));
                }
                self.gets.push_back(request);
            }
            Work::Command { command, .. } => match shift {
                Some(Shift::Privacy(before)) => {
                    self.roster.reconsider(&request.identity.user, before, now);
                }
                Some(Shift::Pair(before)) => {
                    if let Some(other) = other_side(command)
                        && self.pairs.len() < PAIRS_MAX
                    {
                        let user = request.identity.user.clone();
                        self.pairs.push_back((user, other.clone(), before));
                    }
                }
                None => {}
            },
            Work::Renewed | Work::Redeliver { .. } => {}
        }
        Vec::new()
    }

    /// When there is something to do.
    pub(crate) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        if self.gets.is_empty() && self.pairs.is_empty() {
            self.roster.next_due()
        } else {
            Some(now)
        }
    }

    /// Who left, and when, to be written.
    pub(crate) fn take_left(&mut self) -> Vec<(UserId, Timestamp)> {
        self.roster.take_left()
    }

    /// Gives back what a crowd took.
    pub(crate) fn tidy(&mut self) {
        self.gets.shrink_to(2 * self.gets.len());
        self.pairs.shrink_to(2 * self.pairs.len());
        self.roster.tidy();
    }

    /// The server stops: everybody leaves, and nobody is told.
    pub(crate) fn finish(&mut self, now: Timestamp) -> Vec<(UserId, Timestamp)> {
        self.roster.all_leave(now)
    }

    /// Refuses all who ask: the server stops, or the store cannot be read.
    pub(crate) fn refuse(&mut self, reason: Reason) -> Vec<Effect> {
        let refusal = Refusal::later(reason, STORE_RETRY_MS);
        self.gets.drain(..).flat_map(|get| reply(&get, Err(refusal.clone()))).collect()
    }

    /// A stretch of what is due.
    ///
    /// # Errors
    /// When there is no snapshot to be had.
    pub(crate) fn work(&mut self, reader: &mut dyn Reader, now: Timestamp) -> Result<Vec<Effect>> {
        reader.begin_read()?;
        let mut effects = Vec::new();
        for _ in 0..STRETCH {
            let Some((one, other, before)) = self.pairs.pop_front() else { break };
            let met = self
                .meet(reader, (&one, &other), before, now)
                .and_then(|()| self.meet(reader, (&other, &one), before.turned(), now));
            if let Err(error) = met {
                tracing::error!(%error, "two users were not told of each other");
            }
        }
        for _ in 0..STRETCH {
            let Some(request) = self.gets.pop_front() else { break };
            effects.extend(self.answer(reader, &request, now));
        }
        for _ in 0..STRETCH {
            let Some(step) = self.roster.next(now) else { break };
            match self.step(reader, step, now) {
                Ok(told) => effects.extend(told),
                Err(error) => tracing::error!(%error, "a change of presence was not told"),
            }
        }
        reader.end_read()?;
        Ok(effects)
    }

    fn step(
        &mut self,
        reader: &mut dyn Reader,
        step: Step,
        now: Timestamp,
    ) -> Result<Option<Effect>> {
        match step {
            Step::Recall(user) => {
                let kept = reader.presence(&user);
                // One that cannot be read must not be asked for again and again.
                self.roster.recall(&user, *kept.as_ref().unwrap_or(&Default::default()));
                kept?;
            }
            Step::Tell(change) => self.tell(reader, &change, now)?,
            Step::Deliver { conn, viewer, about } => {
                let presences = about
                    .iter()
                    .map(|(user, view)| self.presence(reader, user, *view, now))
                    .collect::<Result<_>>()?;
                tracing::trace!(%viewer, count = about.len(), "presence told");
                self.told += 1;
                let event = Event::OnlineStatus(Presences { presences });
                return Ok(Some(Effect::Push { conn, event }));
            }
        }
        Ok(None)
    }

    /// Notes a change for all who watch and may know.
    fn tell(&mut self, reader: &mut dyn Reader, change: &Change, now: Timestamp) -> Result<()> {
        let user = &change.user;
        let concerns_others = change.public || change.reconsider.is_some();
        if concerns_others
            && self.roster.friends_are_watched()
            && let Some(owner) = reader.user(user)?
        {
            let view = circle::among_friends(owner.privacy, &self.config);
            let was = change.reconsider.map(|was| circle::among_friends(was, &self.config));
            if is_to_tell(change, was, view) {
                for friend in reader.friends_of(owner.key, circle::FRIENDS_MAX)? {
                    for conn in self.roster.friend_watchers(&friend.id) {
                        self.roster.note(conn, user, view, now);
                    }
                }
            }
        }
        for (conn, viewer) in self.roster.named_watchers(user) {
            if viewer == *user {
                self.roster.note(conn, user, View::OWN, now);
            } else if concerns_others {
                let (sight, pair, _) = circle::sight(reader, &self.config, &viewer, user)?;
                let before = |choice: PrivacyChoice| {
                    Sight::new(pair, &choice.effective(&self.config)).by_name
                };
                let view = sight.by_name;
                if is_to_tell(change, change.reconsider.map(before), view) {
                    self.roster.note(conn, user, view, now);
                }
            }
        }
        Ok(())
    }

    /// What is between two users has changed: `viewer` is told how `owner` is for them now, if that
    /// is not what they saw before. So one who may see nothing before and after hears nothing,
    /// whether `owner` is there or not, and neither does one who sees the same.
    fn meet(
        &mut self,
        reader: &mut dyn Reader,
        (viewer, owner): (&UserId, &UserId),
        before: Pair,
        now: Timestamp,
    ) -> Result<()> {
        let [by_name, as_friend] = self.roster.watching(viewer, owner);
        if by_name.is_empty() && as_friend.is_empty() {
            return Ok(());
        }
        let Some((told, choice)) = self.roster.told(owner, now) else { return Ok(()) };
        let (sight, _, privacy) = circle::sight(reader, &self.config, viewer, owner)?;
        let was = Sight::new(before, &choice.unwrap_or(privacy).effective(&self.config));
        let shown = self.look(reader, owner, now)?.map_or(Status::Offline, |(look, _)| look.shown);
        let ways =
            [(by_name, was.by_name, sight.by_name), (as_friend, was.as_friend, sight.as_friend)];
        for (conns, was, view) in ways {
            if was.status != view.status && visible(was, told) != visible(view, shown) {
                for conn in conns {
                    self.roster.note(conn, owner, view, now);
                }
            }
        }
        Ok(())
    }

    fn answer(
        &mut self,
        reader: &mut dyn Reader,
        request: &Request,
        now: Timestamp,
    ) -> Vec<Effect> {
        let Work::Command { command: Command::PresenceGet(get), .. } = &request.work else {
            return Vec::new();
        };
        // Nobody reads what would be found out.
        if !request.conn.is_reception()
            && !self.roster.is_here(request.conn, &request.identity.user)
        {
            return reply(request, Err(Reason::NotFound.into()));
        }
        let outcome = match self.get(reader, request, get, now) {
            Ok(presences) => Ok(Ack::Presences(presences)),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(Stop::Store(error)) => {
                tracing::error!(%error, "presence could not be read");
                Err(Refusal::later(Reason::StoreFailed, STORE_RETRY_MS))
            }
        };
        reply(request, outcome)
    }

    fn get(
        &mut self,
        reader: &mut dyn Reader,
        request: &Request,
        get: &PresenceGet,
        now: Timestamp,
    ) -> Outcome<Presences> {
        let viewer = &request.identity.user;
        if get.watch && !request.conn.is_reception() {
            let watched = self.roster.watch(request.conn, viewer, get.friends, &get.users);
            watched.map_err(|_| Refusal::later(Reason::Overloaded, STORE_RETRY_MS))?;
        }
        let mut presences = Vec::new();
        let mut named = HashSet::new();
        for user in get.users.iter().filter(|user| named.insert(*user)) {
            let view = circle::between(reader, &self.config, viewer, user)?;
            presences.push(self.presence(reader, user, view, now)?);
        }
        if get.friends {
            for friend in circle::friends_of(reader, viewer)? {
                if named.contains(&friend.id) || !self.roster.may_be_here(&friend.id) {
                    continue;
                }
                let view = circle::among_friends(friend.privacy, &self.config);
                let presence = self.presence(reader, &friend.id, view, now)?;
                if presence.status != Status::Offline {
                    presences.push(presence);
                }
            }
        }
        Ok(Presences { presences })
    }

    /// A user as this view shows them.
    fn presence(
        &mut self,
        reader: &mut dyn Reader,
        user: &UserId,
        view: View,
        now: Timestamp,
    ) -> Result<Presence> {
        let (look, kept) = match self.look(reader, user, now)? {
            Some((look, kept)) => (look, Some(kept)),
            None => Default::default(),
        };
        let status = match view {
            View { own: true, .. } => look.status,
            View { status: true, .. } => look.shown,
            _ => Status::Offline,
        };
        let is_here = !matches!(status, Status::Offline);
        let last_seen = if is_here || !view.last_seen {
            None
        } else {
            match kept {
                Some(kept) => kept.last_seen,
                None => reader.presence(user)?.last_seen,
            }
        };
        let devices = if is_here { self.roster.kind_names(look, view.own) } else { Vec::new() };
        Ok(Presence { user: user.clone(), status, last_seen, devices })
    }

    /// How a user is who is here, or was until lately.
    fn look(
        &mut self,
        reader: &mut dyn Reader,
        user: &UserId,
        now: Timestamp,
    ) -> Result<Option<(Look, KeptPresence)>> {
        if let Ok(known) = self.roster.appearance(user, now) {
            return Ok(known);
        }
        let kept = reader.presence(user)?;
        self.roster.recall(user, kept);
        Ok(self.roster.appearance(user, now).unwrap_or_default())
    }
}

/// What one with this view sees of a user who is shown so.
const fn visible(view: View, shown: Status) -> Status {
    if view.status { shown } else { Status::Offline }
}

/// Whether somebody who has this view, and had another until the user chose anew, is told of a
/// change.
fn is_to_tell(change: &Change, was: Option<View>, view: View) -> bool {
    (change.public && view.status)
        || was.is_some_and(|was| visible(was, change.before) != visible(view, change.shown))
}
