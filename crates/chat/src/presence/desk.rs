//! What the thread of presence does: it takes requests in the order of the writer, answers those who
//! ask, and tells those who watch.
//!
//! Invariant: a request is taken at once, and what costs a look into the store is done afterwards in
//! short stretches, answers first, so that sessions coming and going never wait behind it. Bounded:
//! questions that wait by [`GETS_MAX`], everything else by the roster.

use std::collections::{HashSet, VecDeque};

use hubbub_proto::command::PresenceGet;
use hubbub_proto::event::{Presence, Presences, Status};
use hubbub_proto::route::Work;
use hubbub_proto::{Ack, Command, Effect, Event, Reason, Refusal, Request, Timestamp, UserId};

use super::View;
use super::circle;
use super::roster::{Change, Roster, Rules, Step};
use crate::ChatConfig;
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

/// Whether a request concerns presence: handed on by the writer after its commit.
pub(crate) fn concerns(request: &Request) -> bool {
    match &request.work {
        Work::Opened | Work::Closed => true,
        Work::Command { command, .. } => {
            matches!(
                command,
                Command::PresenceSet(_) | Command::PresenceGet(_) | Command::PrivacyUpdate(_)
            ) || other_side(command).is_some()
        }
        Work::Renewed | Work::Redeliver { .. } => false,
    }
}

/// Whom a command brings nearer or keeps away.
fn other_side(command: &Command) -> Option<&UserId> {
    match command {
        Command::FriendRequest(request) => Some(&request.user),
        Command::FriendAccept(target)
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
    /// Users between whom something has changed.
    pairs: VecDeque<(UserId, UserId)>,
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
    pub(crate) fn take(&mut self, request: Request, now: Timestamp) -> Vec<Effect> {
        let conn = request.conn;
        match &request.work {
            Work::Opened => self.roster.opened(
                conn,
                &request.identity,
                request.identity.device_kind.as_deref(),
                now,
            ),
            Work::Closed => self.roster.closed(conn, now),
            Work::Command { command: Command::PresenceSet(set), .. } => {
                self.roster.set(conn, set.status, now);
            }
            Work::Command { command: Command::PresenceGet(_), .. } => {
                if self.gets.len() >= GETS_MAX {
                    let refusal = Refusal::later(Reason::Overloaded, STORE_RETRY_MS);
                    return reply(&request, Err(refusal));
                }
                self.gets.push_back(request);
            }
            Work::Command { command: Command::PrivacyUpdate(_), .. } => {
                self.roster.reconsider(&request.identity.user, now);
            }
            Work::Command { command, .. } => {
                if let Some(other) = other_side(command)
                    && self.pairs.len() < PAIRS_MAX
                {
                    self.pairs.push_back((request.identity.user.clone(), other.clone()));
                }
            }
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
            let Some(request) = self.gets.pop_front() else { break };
            effects.extend(self.answer(reader, &request, now));
        }
        for _ in 0..STRETCH {
            let Some((one, other)) = self.pairs.pop_front() else { break };
            let met = self
                .meet(reader, &one, &other, now)
                .and_then(|()| self.meet(reader, &other, &one, now));
            if let Err(error) = met {
                tracing::error!(%error, "two users were not told of each other");
            }
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
        if change.public
            && self.roster.friends_are_watched()
            && let Some(owner) = reader.user(user)?
        {
            let view = circle::among_friends(&owner, &self.config);
            if view.status || change.reconsider {
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
            } else if change.public {
                let (view, _) = circle::between(reader, &self.config, &viewer, user)?;
                if view.status || change.reconsider {
                    self.roster.note(conn, user, view, now);
                }
            }
        }
        Ok(())
    }

    /// What is between two users has changed: `viewer` is told how `owner` is for them now.
    fn meet(
        &mut self,
        reader: &mut dyn Reader,
        viewer: &UserId,
        owner: &UserId,
        now: Timestamp,
    ) -> Result<()> {
        let by_name = self.roster.named_watchers(owner).into_iter();
        let by_name: Vec<_> =
            by_name.filter(|(_, who)| who == viewer).map(|(conn, _)| conn).collect();
        let as_friend = self.roster.friend_watchers(viewer);
        if by_name.is_empty() && (as_friend.is_empty() || !self.roster.may_be_here(owner)) {
            return Ok(());
        }
        let (view, friends) = circle::between(reader, &self.config, viewer, owner)?;
        for conn in as_friend.into_iter().filter(|conn| !by_name.contains(conn)) {
            self.roster.note(conn, owner, if friends { view } else { View::default() }, now);
        }
        for conn in by_name {
            self.roster.note(conn, owner, view, now);
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
        if !self.roster.is_here(request.conn) {
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
        if get.watch {
            let watched = self.roster.watch(request.conn, get.friends, &get.users);
            watched.map_err(|_| Refusal::later(Reason::Overloaded, STORE_RETRY_MS))?;
        }
        let mut presences = Vec::new();
        let mut named = HashSet::new();
        for user in get.users.iter().filter(|user| named.insert(*user)) {
            let (view, _) = circle::between(reader, &self.config, viewer, user)?;
            presences.push(self.presence(reader, user, view, now)?);
        }
        if get.friends {
            for friend in circle::friends_of(reader, viewer)? {
                if named.contains(&friend.id) || !self.roster.may_be_here(&friend.id) {
                    continue;
                }
                let view = circle::among_friends(&friend, &self.config);
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
        let known = match self.roster.appearance(user, now) {
            Ok(known) => known,
            Err(_) => {
                let kept = reader.presence(user)?;
                self.roster.recall(user, kept);
                self.roster.appearance(user, now).unwrap_or_default()
            }
        };
        let (look, kept) = match known {
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
}
