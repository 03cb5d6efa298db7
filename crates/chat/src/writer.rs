//! The one place that changes the store: every batch is one transaction (group commit).
//!
//! Invariant: effects leave [`Scribe::execute`] only after the commit that they tell of has
//! returned (P1), in the order of the requests; a refusal writes nothing. A row that the store does
//! not take costs only the request that brought it; a full disk costs the batch a refusal; after
//! any other failure nothing is acked any more. Deliberately absent: threads and clocks, see
//! [`crate::service`].

mod attach;
mod audience;
mod consent;
mod cursor;
mod device;
mod group;
mod hide;
mod operation;
mod people;
mod presence;
mod push;
mod relation;
mod retention;
mod roles;
mod send;
mod settings;
mod transaction;
mod typing;
mod wanted;

use std::sync::Arc;

use hubbub_proto::command::Class;
use hubbub_proto::route::Work;
use hubbub_proto::{Command, Effect, Reason, Refusal, Request, Timestamp, UserId};

pub(crate) use self::relation::listed;
use self::transaction::{Done, Transaction, Waiting};
use crate::ChatConfig;
use crate::cache::Cache;
use crate::devices::{SIGNED_OUT_MAX, SignedOut, SignedOutView, Visits};
use crate::model::Rev;
use crate::ports::{Names, Result, StoreError, Writer};
use crate::presence::desk::concerns;
use crate::presence::{Heard, Shift};
use crate::quota::Quota;
use crate::rate::{Load, Rates};
use crate::reading::reply;
use crate::receipts::Receipts;
use crate::seen::LastSeen;
use crate::soft::SoftCursors;
use crate::stats::Stats;
use crate::sweep::Sweep;
use crate::typists::Typists;

/// When a command that met a full disk or a failed row makes sense again, in milliseconds.
const STORE_RETRY_MS: u64 = 1_000;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What came of a batch.
#[derive(Debug, Default)]
pub struct Executed {
    /// To be posted, in this order. What they tell of is durable.
    pub effects: Vec<Effect>,
    /// To be answered by readers, in this order, after the effects were posted.
    pub reads: Vec<Request>,
    /// What concerns presence, in this order, after the effects were posted: sessions that come and
    /// go, and what was carried out of what users ask. What was refused, or changed nothing of who
    /// may know what of whom, is not among it.
    pub presence: Vec<Heard>,
}

/// Executes commands, batch by batch.
pub struct Scribe {
    store: Box<dyn Writer>,
    config: ChatConfig,
    names: Box<dyn Names>,
    cache: Cache,
    soft: SoftCursors,
    last_seen: LastSeen,
    signed_out: SignedOut,
    visits: Visits,
    typists: Typists,
    receipts: Receipts,
    /// Friend requests of a day.
    requests: Quota,
    rates: Rates,
    committed: Rev,
    /// The newest time seen: a clock that steps back does not turn the order of entries around.
    now: Timestamp,
    /// Whether the store is in a transaction.
    open: bool,
    /// Soft cursors wait until then: the disk was full.
    flush_after: Timestamp,
    failed: Option<Box<str>>,
    /// When the next message expires.
    expiring: Option<Timestamp>,
    /// What is kept no longer.
    sweep: Sweep,
    /// When the newest entry was written before the server started, until the time is known.
    left_off: Option<Timestamp>,
    stats: Arc<Stats>,
}

/// Which soft cursors go along with a transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flush {
    Nothing,
    Due,
    Everything,
}

/// Effects so far, and the places in the batch of `sync` commands that no reader may answer.
#[derive(Default)]
struct Outcome {
    effects: Vec<Effect>,
    refused: Vec<usize>,
    /// What was changed of who may know what of whom, by places in the batch, in their order.
    shifts: Vec<(usize, Shift)>,
}

/// What was committed.
#[derive(Default)]
struct Settled {
    effects: Vec<Effect>,
    shifts: Vec<(usize, Shift)>,
}

/// Whether a command is answered elsewhere, after the writer's step.
fn handed_on(request: &Request) -> bool {
    let answered_there =
        matches!(&request.work, Work::Command { command: Command::PresenceGet(_), .. });
    answered_there || (is_read(request) && matches!(request.work, Work::Command { .. }))
}

/// Whether a request is answered by a reader, and needs of the writer no more than its place in
/// the order (and, for `sync`, live delivery turned on).
fn is_read(request: &Request) -> bool {
    match &request.work {
        Work::Command { command: Command::PresenceGet(_), .. } => false,
        Work::Command { command, .. } => matches!(command.class(), Class::Read | Class::Attach),
        Work::Redeliver { .. } => true,
        Work::Opened | Work::Renewed | Work::Closed => false,
    }
}

impl Scribe {
    /// A writer over the store's one handle.
    ///
    /// # Errors
    /// When the store cannot say how far it is.
    pub fn new(
        mut store: Box<dyn Writer>,
        config: ChatConfig,
        names: Box<dyn Names>,
    ) -> Result<Self> {
        let committed = store.committed_rev()?;
        let expiring = store.next_expiry()?;
        let sweep = config.retention_ms > 0
            || store.next_overdue()?.is_some()
            || !store.retired(1)?.is_empty();
        let left_off = store.newest_at()?;
        // How long ago that was is seen when it is asked.
        let limit = u32::try_from(SIGNED_OUT_MAX).unwrap_or(u32::MAX);
        let known = store.signed_out(Timestamp::default(), limit)?;
        let signed_out = SignedOut::new(config.sign_out_window_ms, known);
        Ok(Self {
            store,
            receipts: Receipts::new(config.receipt_interval_ms),
            requests: Quota::new(config.friend_requests_per_day, DAY_MS),
            rates: Rates::new(&config.user_rates),
            config,
            names,
            cache: Cache::default(),
            soft: SoftCursors::default(),
            last_seen: LastSeen::default(),
            signed_out,
            visits: Visits::default(),
            typists: Typists::default(),
            committed,
            now: Timestamp::default(),
            open: false,
            flush_after: Timestamp::default(),
            failed: None,
            expiring,
            sweep: Sweep::new(sweep),
            left_off,
            stats: Arc::default(),
        })
    }

    /// The counters that this writer moves.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    /// Which devices were signed out, for those who only look.
    pub(crate) fn signed_out(&self) -> SignedOutView {
        self.signed_out.view()
    }

    /// Why nothing is written any more, if so.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Executes a batch in the order given, in one transaction where the store takes it.
    pub fn execute(&mut self, mut batch: Vec<Request>, now: Timestamp) -> Executed {
        self.now = self.now.max(now);
        if let Some(newest) = self.left_off.take()
            && let Some(waits_ms) = self.sweep.started(newest, self.now)
        {
            tracing::warn!(
                newest = newest.0,
                now = self.now.0,
                waits_ms,
                "nothing was written for more than a day, or the clock runs ahead: retention waits"
            );
        }
        self.stats.batch(batch.len());
        let mut outcome = Outcome::default();
        let refused = self.turn_away(&mut batch);
        if self.failed.is_some() {
            self.refuse(&batch, 0, Reason::StoreFailed, &mut outcome);
        } else {
            match self.transact(&batch, Flush::Due) {
                Ok(settled) => {
                    (outcome.effects, outcome.shifts) = (settled.effects, settled.shifts);
                }
                Err(StoreError::Row(row)) => {
                    tracing::warn!(row, requests = batch.len(), "a row was refused, going singly");
                    self.sweep.put_off(self.now);
                    self.singly(&batch, &mut outcome);
                }
                Err(error) => self.give_up(&error, &batch, 0, &mut outcome),
            }
        }
        self.receipts.take_due(self.now, &mut outcome.effects);
        self.cache.sweep();
        self.rates.sweep(self.now);
        outcome.effects.extend(refused);
        let (mut reads, mut presence) = (Vec::new(), Vec::new());
        let mut shifts = outcome.shifts.into_iter().peekable();
        for (index, request) in batch.into_iter().enumerate() {
            let shift = shifts.next_if(|(place, _)| *place == index).map(|(_, shift)| shift);
            if shift.is_some() {
                presence.push(Heard { request, shift });
                continue;
            }
            let gone = !matches!(request.work, Work::Closed)
                && self.signed_out.refuses(&request.identity, self.now);
            if gone {
                if handed_on(&request) && outcome.refused.binary_search(&index).is_err() {
                    outcome.effects.extend(reply(&request, Err(Reason::SignedOut.into())));
                }
                continue;
            }
            let (is_read, concerns) = (is_read(&request), concerns(&request));
            if !(is_read || concerns) || outcome.refused.binary_search(&index).is_ok() {
                continue;
            }
            if concerns {
                presence.push(Heard { request, shift });
            } else {
                reads.push(request);
            }
        }
        Executed { effects: outcome.effects, reads, presence }
    }

    /// These users left then; it is written soon.
    pub fn saw(&mut self, seen: Vec<(UserId, Timestamp)>, now: Timestamp) {
        self.last_seen.add(seen, now);
    }

    /// Gives back what is remembered of users and not needed any more.
    pub(crate) fn tidy(&mut self, now: Timestamp) {
        self.rates.tidy(now);
    }

    /// The one place where users are held to their rates: takes what exceeds them out of the batch.
    fn turn_away(&mut self, batch: &mut Vec<Request>) -> Vec<Effect> {
        let mut replies = Vec::new();
        let (rates, stats, now) = (&mut self.rates, &self.stats, self.now);
        batch.retain(|request| {
            let Work::Command { command, .. } = &request.work else { return true };
            let Err(refusal) = rates.admit(request, command, now) else { return true };
            stats.refusal(refusal.reason);
            replies.extend(reply(request, Err(refusal)));
            false
        });
        replies
    }

    /// Writes soft cursors and tells receipts that are due; to be called at
    /// [`Scribe::next_deadline`], or every second.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Effect> {
        self.execute(Vec::new(), now).effects
    }

    /// Writes all soft cursors, whether they are due or not: for the end.
    pub fn finish(&mut self, now: Timestamp) -> Vec<Effect> {
        self.now = self.now.max(now);
        let mut outcome = Outcome::default();
        if self.failed.is_none() {
            match self.transact(&[], Flush::Everything) {
                Ok(settled) => outcome.effects = settled.effects,
                Err(error) => self.give_up(&error, &[], 0, &mut outcome),
            }
        }
        outcome.effects
    }

    /// When [`Scribe::tick`] has something to do; `None` while there is nothing.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let soft = [self.soft.next_due(), self.last_seen.next_due(), self.visits.next_due()];
        let soft = soft.into_iter().flatten().min();
        let soft = soft.filter(|_| self.failed.is_none());
        let soft = soft.map(|due| due.max(self.flush_after));
        let expiring = self.expiring.filter(|_| self.failed.is_none());
        let expiring = expiring.map(|due| due.max(self.flush_after));
        let sweep = self.sweep.due().filter(|_| self.failed.is_none());
        let sweep = sweep.map(|due| due.max(self.flush_after));
        [soft, expiring, sweep, self.receipts.next_due()].into_iter().flatten().min()
    }

    /// One transaction: everything is applied, then committed, and only then do the effects exist
    /// for anyone else.
    fn transact(&mut self, batch: &[Request], flush: Flush) -> Result<Settled> {
        let applied = self.apply(batch, flush);
        let committed = applied.and_then(|done| self.commit(&done).map(|()| done));
        match committed {
            Ok(done) => Ok(self.publish(done)),
            Err(error) => Err(self.roll_back(error)),
        }
    }

    fn apply(&mut self, batch: &[Request], flush: Flush) -> Result<Done> {
        let flushed = self.to_flush(flush);
        let mut transaction = Transaction {
            store: &mut *self.store,
            cache: &mut self.cache,
            soft: &mut self.soft,
            last_seen: &self.last_seen,
            typists: &mut self.typists,
            names: &mut *self.names,
            requests: &self.requests,
            rates: &self.rates,
            config: &self.config,
            stats: &self.stats,
            open: &mut self.open,
            now: self.now,
            expiring: self.expiring,
            sweep: self.sweep,
            rev: self.committed,
            wrote: false,
            effects: Vec::with_capacity(batch.len() * 2),
            moved: Vec::new(),
            dirty: Vec::new(),
            asked: Vec::new(),
            founded: Vec::new(),
            place: 0,
            shifts: Vec::new(),
            signed_out: &self.signed_out,
            visits: &self.visits,
            visitors: Vec::new(),
            gone: Vec::new(),
        };
        for (place, request) in batch.iter().enumerate() {
            transaction.place = place;
            transaction.request(request)?;
        }
        let sweeps = flush == Flush::Due && self.now >= self.flush_after;
        transaction.finish(flushed, sweeps)
    }

    fn to_flush(&self, flush: Flush) -> Waiting {
        let all = flush == Flush::Everything;
        if flush == Flush::Nothing || (!all && self.now < self.flush_after) {
            return Waiting::default();
        }
        Waiting {
            cursors: self.soft.due(self.now, all),
            last_seen: self.last_seen.due(self.now, all),
            visits: self.visits.due(self.now, all),
        }
    }

    /// A transaction that wrote nothing costs no fsync.
    fn commit(&mut self, done: &Done) -> Result<()> {
        if done.wrote {
            self.store.commit(done.rev)?;
            self.committed = done.rev;
            self.stats.commit();
        } else if self.open {
            self.store.rollback()?;
        }
        self.open = false;
        Ok(())
    }

    fn publish(&mut self, done: Done) -> Settled {
        self.soft.keep();
        self.expiring = done.expiring;
        self.sweep = done.sweep;
        self.soft.settle(done.flushed.cursors);
        self.last_seen.settle(done.flushed.last_seen);
        self.visits.settle(done.flushed.visits, self.now);
        for visit in done.visitors {
            self.visits.add(visit, self.now);
        }
        for (user, device, at) in done.gone {
            self.signed_out.add(user, device, at);
        }
        self.typists.keep();
        for user in &done.founded {
            self.rates.charge(user, Load::Groups, self.now);
        }
        for user in done.asked {
            self.requests.charge(user, self.now);
        }
        let mut effects = done.effects;
        for moved in done.moved {
            effects.extend(self.receipts.note(moved, self.now));
        }
        Settled { effects, shifts: done.shifts }
    }

    /// Forgets the transaction and all that was remembered of the store with it. The answer is why:
    /// the first error, unless the store cannot even go back to where it was.
    fn roll_back(&mut self, error: StoreError) -> StoreError {
        self.stats.rollback();
        self.soft.take_back();
        self.typists.take_back();
        self.cache.clear();
        if !std::mem::take(&mut self.open) {
            return error;
        }
        match (self.store.rollback(), error) {
            (Err(worse), StoreError::Row(_)) => worse,
            (_, error) => error,
        }
    }

    /// Each request in a transaction of its own, so that the one that cannot be written harms no
    /// other. Soft cursors that cannot be written are given up: they cost a redelivery.
    fn singly(&mut self, batch: &[Request], outcome: &mut Outcome) {
        for (index, request) in batch.iter().enumerate() {
            let alone = std::slice::from_ref(request);
            if self.failed.is_some() {
                self.refuse(alone, index, Reason::StoreFailed, outcome);
                continue;
            }
            match self.transact(alone, Flush::Nothing) {
                Ok(settled) => {
                    outcome.effects.extend(settled.effects);
                    outcome.shifts.extend(settled.shifts.into_iter().map(|(_, s)| (index, s)));
                }
                Err(StoreError::Row(row)) => {
                    tracing::error!(row, "a command could not be written");
                    self.refuse(alone, index, Reason::Internal, outcome);
                }
                Err(error) => self.give_up(&error, alone, index, outcome),
            }
        }
        let flushed = self.to_flush(Flush::Due);
        if self.failed.is_some() || flushed == Waiting::default() {
            return;
        }
        match self.transact(&[], Flush::Due) {
            Ok(settled) => outcome.effects.extend(settled.effects),
            Err(StoreError::Row(row)) => {
                tracing::error!(row, ?flushed, "what waited could not be written");
                self.soft.settle(flushed.cursors);
                self.last_seen.settle(flushed.last_seen);
                self.visits.settle(flushed.visits, self.now);
            }
            Err(error) => self.give_up(&error, &[], 0, outcome),
        }
    }

    /// A full disk may have room again, and a tool that locks the store lets it go; anything else is the end of writing.
    fn give_up(
        &mut self,
        error: &StoreError,
        batch: &[Request],
        first: usize,
        outcome: &mut Outcome,
    ) {
        if matches!(error, StoreError::Full | StoreError::InUse(_)) {
            tracing::warn!(%error, requests = batch.len(), "a batch was refused");
            self.flush_after = self.now.plus_ms(STORE_RETRY_MS);
        } else {
            tracing::error!(%error, "the store failed; nothing is written any more");
            self.failed = Some(error.to_string().into());
        }
        self.refuse(batch, first, Reason::StoreFailed, outcome);
    }

    /// Refuses all that is not left to the readers. `first` is the place of `batch` in the whole.
    fn refuse(&self, batch: &[Request], first: usize, reason: Reason, outcome: &mut Outcome) {
        for (index, request) in batch.iter().enumerate() {
            let Work::Command { id, command } = &request.work else { continue };
            match command.class() {
                Class::Read => continue,
                Class::Attach => outcome.refused.push(first + index),
                _ if concerns(request) => outcome.refused.push(first + index),
                _ => {}
            }
            self.stats.refusal(reason);
            outcome.effects.push(Effect::Reply {
                conn: request.conn,
                id: id.clone(),
                read_at: request.read_at,
                outcome: Err(Refusal::later(reason, STORE_RETRY_MS)),
            });
        }
    }
}
