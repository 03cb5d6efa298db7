//! A node: the real session machine for each connection, the real writer and readers, and the real
//! codec, joined by queues as in the server but without threads.
//!
//! Invariant: like the server, effects are posted in commit order, reads are handed over after the
//! effects of their batch, and a crash keeps nothing but the store. What differs between threads
//! (when a reader takes its snapshot, when its answer is posted) is drawn at random.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hubbub_chat::ports::{Names, Reader};
use hubbub_chat::{Executed, Scribe};
use hubbub_proto::codec::Codec;
use hubbub_proto::event::{AnnouncedLimits, Connected};
use hubbub_proto::route::{Stamp, Work};
use hubbub_proto::session::{Action, Due, Session};
use hubbub_proto::{
    Ack, CloseCode, CommandId, ConnId, Effect, Event, Identity, Reason, Refusal, Request,
    Timestamp, Topic,
};

use crate::link::Frame;
use crate::report::Broken;
use crate::sabotage::Sabotage;
use crate::schedule::Happening;
use crate::spy::SpyStore;
use crate::stage::{Stage, trace};

/// A connection as the node has it.
pub(crate) struct Seat {
    pub(crate) session: Session,
    pub(crate) identity: Arc<Identity>,
    /// Conversations it is subscribed to.
    pub(crate) topics: Vec<Topic>,
    /// `sync` turned on live delivery.
    pub(crate) synced: bool,
    /// Live entries are dropped until it was told.
    pub(crate) lagging: bool,
    /// Frames that wait until a reply frees a place.
    backlog: VecDeque<String>,
    parked: bool,
    armed: Option<Timestamp>,
}

/// Unique over all lives of a node, as the server's are.
#[derive(Debug, Default)]
pub(crate) struct Numbered(u64, u64);

impl Names for Numbered {
    fn unique(&mut self, _now: Timestamp) -> String {
        self.1 += 1;
        format!("n{}-{}", self.0, self.1)
    }

    fn secret(&mut self) -> Option<[u8; 16]> {
        self.1 += 1;
        Some(((u128::from(self.0) << 64) | u128::from(self.1)).to_be_bytes())
    }

    fn digest(&self, text: &str) -> [u8; 32] {
        let mut digest = [0; 32];
        for (place, byte) in text.bytes().enumerate() {
            digest[place % 32] ^= byte.wrapping_mul(167).rotate_left(place as u32 / 32);
        }
        digest
    }
}

pub(crate) struct Node {
    pub(crate) store: SpyStore,
    pub(crate) seats: BTreeMap<usize, Seat>,
    pub(crate) sabotage: Option<Sabotage>,
    /// Which life this is; odd while it runs.
    pub(crate) life: u64,
    /// It crashes between its next commit and the posting of what came of it.
    pub(crate) doomed: bool,
    scribe: Option<Scribe>,
    reader: Option<Box<dyn Reader>>,
    inbox: VecDeque<Request>,
    /// What was committed and is to be posted.
    posting: Option<Executed>,
    reads: VecDeque<Request>,
    answers: BTreeMap<u64, Vec<Effect>>,
    answered: u64,
    executing: bool,
}

/// The connection of a link.
pub(crate) fn conn_of(link: usize) -> ConnId {
    ConnId { shard: 0, slot: u32::try_from(link).unwrap_or(u32::MAX), generation: 0 }
}

pub(crate) fn link_of(conn: ConnId) -> usize {
    conn.slot as usize
}

impl Node {
    pub(crate) fn new(store: SpyStore, sabotage: Option<Sabotage>) -> Self {
        Self {
            store,
            seats: BTreeMap::new(),
            sabotage,
            life: 0,
            doomed: false,
            scribe: None,
            reader: None,
            inbox: VecDeque::new(),
            posting: None,
            reads: VecDeque::new(),
            answers: BTreeMap::new(),
            answered: 0,
            executing: false,
        }
    }

    pub(crate) fn is(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.life % 2 == 1
    }

    /// Whether nothing is under way inside.
    pub(crate) fn is_idle(&self) -> bool {
        self.inbox.is_empty()
            && self.posting.is_none()
            && self.reads.is_empty()
            && self.answers.is_empty()
    }

    pub(crate) fn start(&mut self, stage: &mut Stage) {
        if self.is_up() {
            return;
        }
        self.life += 1;
        trace!(stage, "node starts, life {}", self.life);
        let names = Box::new(Numbered(self.life, 0));
        let writer = self.store.writer().expect("the writer's seat is free after a crash");
        let scribe = Scribe::new(writer, stage.variant.chat.clone(), names);
        self.scribe = Some(scribe.expect("a store in memory answers"));
        self.reader = Some(self.store.reader().expect("a store in memory answers"));
        stage.schedule.after(1_000, Happening::Tick { life: self.life });
    }

    /// Power off: everything but the store is gone. What was committed may have been told of to
    /// some, in part, or not at all.
    pub(crate) fn crash(&mut self, stage: &mut Stage) -> Result<(), Broken> {
        if !self.is_up() {
            return Ok(());
        }
        if self.is(Sabotage::AckBeforeCommit) {
            self.store.power_loss.set(true);
            self.execute(stage)?;
            self.store.power_loss.set(false);
            self.post(stage)?;
        }
        if let Some(executed) = self.posting.take() {
            let told = stage.rng.index(executed.effects.len() + 1);
            trace!(stage, "crash after a commit; {told} of {} told", executed.effects.len());
            stage.count("crashes after a commit");
            self.route(stage, executed.effects.into_iter().take(told).collect())?;
        }
        trace!(stage, "node crashes with {} commands waiting", self.inbox.len());
        stage.count("crashes");
        self.life += 1;
        self.doomed = false;
        self.scribe = None;
        self.reader = None;
        self.inbox.clear();
        self.reads.clear();
        self.answers.clear();
        self.executing = false;
        for link in std::mem::take(&mut self.seats).into_keys() {
            let told = stage.rng.chance(900);
            let link_ref = &mut stage.links[link];
            link_ref.up.forget();
            if let Some(at_ms) = link_ref.down.cut(stage.schedule.now_ms(), &mut stage.rng, told) {
                stage.schedule.at(at_ms, Happening::Down { link });
            }
        }
        Ok(())
    }

    /// A device has connected and brought a token.
    pub(crate) fn open(&mut self, stage: &mut Stage, link: usize, identity: Identity) {
        if !self.is_up() {
            stage.down(link, Frame::End(0));
            return;
        }
        let identity = Arc::new(identity);
        let older: Vec<usize> = self
            .seats
            .iter()
            .filter(|(_, seat)| {
                identity.device_named
                    && seat.identity.user == identity.user
                    && seat.identity.device == identity.device
            })
            .map(|(link, _)| *link)
            .collect();
        for older in older {
            self.close(stage, older, CloseCode::Replaced);
        }
        let (now, limits) = (stage.schedule.now(), stage.variant.limits);
        let phase = u32::try_from(stage.rng.below(1 << 20)).unwrap_or(0);
        let session = Session::open(Arc::clone(&identity), phase, now, &limits);
        let connected = Connected {
            client_id: format!("connection-{link}").into(),
            user: identity.user.clone(),
            name: identity.name.clone(),
            device: identity.device.clone(),
            epoch: hubbub_chat::ports::Store::epoch(&self.store.inner).into(),
            heartbeat_ms: limits.ping_interval_ms.into(),
            limits: AnnouncedLimits {
                commands_in_flight: limits.commands_in_flight_max.into(),
                commands_per_second: limits.commands_per_second,
                message_bytes: limits.message_bytes_max,
                content_depth: limits.content_depth_max,
                dedupe_window_ms: stage.variant.chat.dedupe_window_ms,
                history_entries: hubbub_proto::command::HISTORY_LIMIT_MAX,
            },
            server: "hubbub-sim",
            expires_at: identity.expires_at,
        };
        let seat = Seat {
            session,
            identity,
            topics: Vec::new(),
            synced: false,
            lagging: false,
            backlog: VecDeque::new(),
            parked: false,
            armed: None,
        };
        self.seats.insert(link, seat);
        self.submit(stage, link, Work::Opened);
        self.send(stage, link, &Event::Connected(Box::new(connected)));
        self.arm(stage, link);
    }

    /// The connection is gone, or made to go.
    pub(crate) fn close(&mut self, stage: &mut Stage, link: usize, code: CloseCode) {
        self.submit(stage, link, Work::Closed);
        if self.seats.remove(&link).is_some() {
            trace!(stage, "#{link} closed by the node: {}", code.code());
            stage.down(link, Frame::End(code.code()));
            stage.links[link].up.forget();
        }
    }

    pub(crate) fn on_frame(&mut self, stage: &mut Stage, link: usize, frame: Frame) {
        let Some(seat) = self.seats.get_mut(&link) else { return };
        match frame {
            Frame::End(_) => {
                trace!(stage, "#{link} lost by the node");
                self.submit(stage, link, Work::Closed);
                self.seats.remove(&link);
            }
            Frame::Text(text) => {
                seat.backlog.push_back(text);
                self.read(stage, link);
            }
        }
    }

    /// Decodes what waits, until the window is full.
    fn read(&mut self, stage: &mut Stage, link: usize) {
        let (now, limits) = (stage.schedule.now(), stage.variant.limits);
        while let Some(seat) = self.seats.get_mut(&link) {
            if seat.parked {
                if !seat.session.window_has_room(&limits) {
                    break;
                }
                seat.parked = false;
                seat.session.unparked(now, &limits);
            }
            if seat.backlog.is_empty() {
                break;
            }
            if seat.session.window_is_full(&limits) {
                seat.parked = true;
                stage.count("parked");
                break;
            }
            let Some(text) = seat.backlog.pop_front() else { break };
            seat.session.heard();
            let decoded = Codec::Json.decode(text.as_bytes(), &limits);
            let action = seat.session.on_message(decoded, now, &limits);
            self.act(stage, link, action);
        }
        self.arm(stage, link);
    }

    fn act(&mut self, stage: &mut Stage, link: usize, action: Action) {
        match action {
            Action::Nothing => {}
            Action::Reply { id, outcome } => {
                if outcome.is_err() {
                    stage.count("refused by the session");
                }
                self.reply(stage, link, id.as_ref(), &outcome);
            }
            Action::Pong { id } => {
                self.send(stage, link, &Event::Pong);
                if id.is_some() {
                    self.reply(stage, link, id.as_ref(), &Ok(Ack::Done));
                }
            }
            Action::Authenticate { id, .. } => {
                let refusal = Err(Reason::BadToken.into());
                self.reply(stage, link, id.as_ref(), &refusal);
            }
            Action::Forward { id, command } => {
                let Some(seat) = self.seats.get(&link) else { return };
                let journal = self.store.journal();
                stage.oracle.forwarded(
                    conn_of(link),
                    &seat.identity.user,
                    id.as_ref(),
                    &command,
                    &journal,
                );
                drop(journal);
                self.submit(stage, link, Work::Command { id, command });
            }
            // There are no channels here.
            Action::Live { id, .. } => {
                if let Some(seat) = self.seats.get_mut(&link) {
                    seat.session.replied();
                }
                self.reply(stage, link, id.as_ref(), &Err(Reason::ChannelUnknown.into()));
            }
            Action::Close { code, id, refusal } => {
                self.reply(stage, link, id.as_ref(), &Err(refusal));
                self.close(stage, link, code);
            }
        }
    }

    fn submit(&mut self, stage: &mut Stage, link: usize, work: Work) {
        let Some(seat) = self.seats.get(&link) else { return };
        let (conn, identity) = (conn_of(link), Arc::clone(&seat.identity));
        let request = Request { conn, read_at: Stamp::default(), identity, work };
        self.inbox.push_back(request);
        if self.is(Sabotage::SwapCommands) && stage.rng.chance(300) {
            let newest = self.inbox.len() - 1;
            self.inbox.swap(newest, newest.saturating_sub(1));
        }
        self.wake(stage);
    }

    fn wake(&mut self, stage: &mut Stage) {
        if !self.executing && self.posting.is_none() && !self.inbox.is_empty() {
            self.executing = true;
            let delay_ms = stage.think();
            stage.schedule.after(delay_ms, Happening::Execute { life: self.life });
        }
    }

    /// The writer executes what waits, as one batch.
    pub(crate) fn execute(&mut self, stage: &mut Stage) -> Result<(), Broken> {
        self.executing = false;
        if self.posting.is_some() {
            return Ok(());
        }
        let most = stage.rng.between(1, stage.variant.batch_max);
        let count = self.inbox.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        let batch: Vec<Request> = self.inbox.drain(..count).collect();
        self.run(stage, batch)
    }

    pub(crate) fn tick(&mut self, stage: &mut Stage) -> Result<(), Broken> {
        stage.schedule.after(1_000, Happening::Tick { life: self.life });
        if self.posting.is_some() {
            return Ok(());
        }
        self.run(stage, Vec::new())
    }

    fn run(&mut self, stage: &mut Stage, batch: Vec<Request>) -> Result<(), Broken> {
        let Some(scribe) = &mut self.scribe else { return Ok(()) };
        let executed = scribe.execute(batch, stage.schedule.now());
        self.store.journal().take_broken()?;
        if let Some(why) = scribe.failure() {
            return Err(crate::Promise::P1.broken(format!("the writer gave up: {why}")));
        }
        self.posting = Some(executed);
        let delay_ms = stage.think();
        stage.schedule.after(delay_ms, Happening::Post { life: self.life });
        Ok(())
    }

    /// The writer posts what came of the batch, and hands the reads to the readers.
    pub(crate) fn post(&mut self, stage: &mut Stage) -> Result<(), Broken> {
        if let Some(executed) = self.posting.take() {
            self.route(stage, executed.effects)?;
            for request in executed.reads {
                self.reads.push_back(request);
                let delay_ms = stage.think();
                stage.schedule.after(delay_ms, Happening::Read { life: self.life });
            }
        }
        self.wake(stage);
        Ok(())
    }

    /// A reader takes its snapshot and answers one request; the answer is posted later.
    pub(crate) fn answer(&mut self, stage: &mut Stage) -> Result<(), Broken> {
        let (Some(request), Some(reader)) = (self.reads.pop_front(), &mut self.reader) else {
            return Ok(());
        };
        let now = stage.schedule.now();
        let epoch = hubbub_chat::ports::Store::epoch(&self.store.inner);
        let effects = hubbub_chat::answer(&mut **reader, &stage.variant.chat, epoch, &request, now);
        stage.oracle.answered(&self.store.journal(), &request, &effects, &stage.variant, now)?;
        self.answered += 1;
        self.answers.insert(self.answered, effects);
        let delay_ms = stage.think();
        let answer = self.answered;
        stage.schedule.after(delay_ms, Happening::Answer { life: self.life, answer });
        Ok(())
    }

    pub(crate) fn post_answer(&mut self, stage: &mut Stage, answer: u64) -> Result<(), Broken> {
        let effects = self.answers.remove(&answer).unwrap_or_default();
        self.route(stage, effects)
    }

    /// A reply to a forwarded command.
    pub(crate) fn on_reply(
        &mut self,
        stage: &mut Stage,
        link: usize,
        id: Option<&CommandId>,
        outcome: &Result<Ack, Refusal>,
    ) -> Result<(), Broken> {
        stage.oracle.replied(&self.store.journal(), conn_of(link), id, outcome)?;
        let Some(seat) = self.seats.get_mut(&link) else { return Ok(()) };
        seat.session.replied();
        if id.is_some() || outcome.is_err() {
            self.reply(stage, link, id, outcome);
        }
        self.read(stage, link);
        Ok(())
    }

    pub(crate) fn on_deadline(&mut self, stage: &mut Stage, link: usize) {
        let (now, limits) = (stage.schedule.now(), stage.variant.limits);
        let Some(seat) = self.seats.get_mut(&link) else { return };
        if seat.armed.is_none_or(|at| at > now) {
            return;
        }
        seat.armed = None;
        let mut due = Vec::new();
        seat.session.on_deadline(now, &limits, seat.parked, &mut due);
        for due in due {
            match due {
                Due::Send(event) => self.send(stage, link, &event),
                Due::Submit(work) => {
                    stage.count("redeliveries");
                    trace!(stage, "#{link} redelivery {work:?}");
                    self.submit(stage, link, work);
                }
                Due::Close(code) => self.close(stage, link, code),
            }
        }
        self.arm(stage, link);
    }

    /// Sees that the session is called when it wants to be.
    pub(crate) fn arm(&mut self, stage: &mut Stage, link: usize) {
        let limits = stage.variant.limits;
        let Some(seat) = self.seats.get_mut(&link) else { return };
        let Some(next) = seat.session.next_deadline(&limits) else { return };
        if seat.armed.is_none_or(|armed| next < armed) {
            seat.armed = Some(next);
            stage.schedule.at(next.0, Happening::Deadline { link });
        }
    }

    fn reply(
        &self,
        stage: &mut Stage,
        link: usize,
        id: Option<&CommandId>,
        outcome: &Result<Ack, Refusal>,
    ) {
        let mut text = Vec::new();
        Codec::Json.encode_reply(id, outcome, stage.schedule.now(), &mut text);
        self.write(stage, link, text);
    }

    pub(crate) fn send(&self, stage: &mut Stage, link: usize, event: &Event) {
        let mut text = Vec::new();
        Codec::Json.encode_event(event, stage.schedule.now(), &mut text);
        self.write(stage, link, text);
    }

    fn write(&self, stage: &mut Stage, link: usize, text: Vec<u8>) {
        if self.seats.contains_key(&link) {
            let text = String::from_utf8(text).expect("the codec writes UTF-8");
            trace!(stage, "#{link} <- {text}");
            stage.down(link, Frame::Text(text));
        }
    }
}

/// Whether an event is an entry, or a hole where one is.
pub(crate) const fn is_durable(event: &Event) -> bool {
    matches!(event, Event::Entry(_) | Event::Void(_))
}
