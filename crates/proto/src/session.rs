//! What one connection may do and when: decode result in, action out; time in, what is due out.
//!
//! Invariants: never more than `commands_in_flight_max` commands are forwarded without a reply, and
//! nothing behind a read until it is answered, because answers to reads are large (P9);
//! every command with an id has exactly one answer, from here or from the chat services; an open
//! session with nothing unconfirmed holds no memory beyond this struct. One value,
//! [`Session::next_deadline`], says when to call [`Session::on_deadline`] again.
//!
//! Deliberately absent: sockets, codecs, clocks, and checking tokens. The hub decodes, encodes,
//! asks the upstream about tokens, and closes; it stops decoding while [`Session::window_is_full`].

mod deliveries;
mod rate;

use std::sync::Arc;

use crate::codec::{Incoming, Malformed};
use crate::command::{Class, Device};
use crate::event::{Ack, Lag, Ping, TokenExpiring};
use crate::limits::Limits;
use crate::route::{Rare, Work};
use crate::{
    CloseCode, Command, CommandId, ConversationId, Event, Identity, Reason, Refusal, Timestamp,
};

use deliveries::Deliveries;
use rate::{Bucket, Cost};

/// Most conversations that one `ping` names.
pub const PING_HEADS_MAX: usize = 50;

/// The state of one connection.
#[derive(Debug)]
pub struct Session {
    identity: Option<Arc<Identity>>,
    /// Present only while something is unconfirmed.
    deliveries: Option<Box<Deliveries>>,
    bucket: Bucket,
    /// Awaiting auth: when it must have come. Open: when the next ping is due.
    due_at: Timestamp,
    /// When a sign of life must have come; zero when none is awaited.
    pong_by: Timestamp,
    in_flight: u16,
    refusals: u16,
    phase: Phase,
    /// The last command forwarded was a read, or one that holds up what follows, and its answer is
    /// awaited.
    reading: bool,
    warned: bool,
    confirming: Confirming,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    AwaitingAuth,
    Open,
    Closing,
}

/// Of which deliveries a confirmation is awaited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Confirming {
    All,
    /// There was no room for the others: the client is to sync.
    Some,
    /// The client does not confirm.
    None,
}

/// What to do about a message.
#[derive(Debug)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Answer; an `Ok` without id says nothing to anybody and does not come out of here.
    Reply {
        /// The client's correlation id.
        id: Option<CommandId>,
        /// What came of the command.
        outcome: Result<Ack, Refusal>,
    },
    /// Send a `pong` event, and an ack if there is an id.
    Pong {
        /// The client's correlation id.
        id: Option<CommandId>,
    },
    /// Check the token and hand what came of it to [`Session::sign_in`].
    Authenticate {
        /// The client's correlation id.
        id: Option<CommandId>,
        /// A JWT.
        token: String,
        /// The device that the client names in `auth`.
        device: Option<Device>,
    },
    /// Hand the command up; its place in the window is taken.
    Forward {
        /// The client's correlation id.
        id: Option<CommandId>,
        /// What to do.
        command: Command,
    },
    /// Answer it within the data plane; its place in the window is taken until
    /// [`Session::replied`].
    Live {
        /// The client's correlation id.
        id: Option<CommandId>,
        /// What to do.
        command: Command,
    },
    /// Answer, then close.
    Close {
        /// Why.
        code: CloseCode,
        /// The client's correlation id.
        id: Option<CommandId>,
        /// The answer.
        refusal: Refusal,
    },
}

/// What came of a token.
#[derive(Debug, Eq, PartialEq)]
pub enum Signed {
    /// The session is open: send `connected`, then an ack if there is an id.
    Opened,
    /// The session goes on under the newer token: ack.
    Renewed,
    /// Answer with the refusal, then close if a code says so.
    Refused {
        /// The answer.
        refusal: Refusal,
        /// Why to close.
        close: Option<CloseCode>,
    },
}

/// What time brought.
#[derive(Debug)]
pub enum Due {
    /// Send this event.
    Send(Event),
    /// Hand this up; it has no reply.
    Submit(Work),
    /// Close; nothing else comes with it or after it.
    Close(CloseCode),
}

impl Session {
    /// A connection without a token: `auth` must come within `auth_timeout_ms`.
    #[must_use]
    pub fn awaiting_auth(now: Timestamp, limits: &Limits) -> Self {
        Self {
            identity: None,
            deliveries: None,
            bucket: Bucket::default(),
            due_at: now.plus_ms(limits.auth_timeout_ms.into()),
            pong_by: NEVER,
            in_flight: 0,
            refusals: 0,
            phase: Phase::AwaitingAuth,
            reading: false,
            warned: false,
            confirming: Confirming::All,
        }
    }

    /// The same for a client that cannot confirm: nothing is sent to it again for want of that.
    #[must_use]
    pub fn open_unconfirmed(
        identity: Arc<Identity>,
        phase: u32,
        now: Timestamp,
        limits: &Limits,
    ) -> Self {
        Self { confirming: Confirming::None, ..Self::open(identity, phase, now, limits) }
    }

    /// A connection whose request brought a valid token. `phase` spreads the pings of many
    /// connections: any number, best a hash; the first ping comes after half to one interval.
    #[must_use]
    pub fn open(identity: Arc<Identity>, phase: u32, now: Timestamp, limits: &Limits) -> Self {
        let mut session = Self::awaiting_auth(now, limits);
        session.enter(identity, phase, now, limits);
        session
    }

    fn enter(&mut self, identity: Arc<Identity>, phase: u32, now: Timestamp, limits: &Limits) {
        let half = u64::from(limits.ping_interval_ms / 2);
        self.identity = Some(identity);
        self.phase = Phase::Open;
        self.due_at = now.plus_ms(half + u64::from(phase) % (half + 1));
    }

    /// Who speaks; `None` before authentication.
    #[must_use]
    pub const fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }

    /// Whether the session is authenticated and not closing.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// From here on nothing is due and every message is ignored.
    pub fn close(&mut self) {
        self.phase = Phase::Closing;
        self.deliveries = None;
    }

    /// Any frame came from the client: a sign of life.
    pub const fn heard(&mut self) {
        self.pong_by = NEVER;
    }

    /// The connection was parked, nothing could be heard, and it goes on now.
    pub fn unparked(&mut self, now: Timestamp, limits: &Limits) {
        if self.pong_by != NEVER {
            self.pong_by = now.plus_ms(limits.pong_timeout_ms.into());
        }
    }

    /// Whether decoding must pause until a reply came.
    #[must_use]
    pub const fn window_is_full(&self, limits: &Limits) -> bool {
        self.reading || self.in_flight >= limits.commands_in_flight_max
    }

    /// Whether a connection parked for its window should go on: it is half empty, and no read is
    /// awaited.
    #[must_use]
    pub const fn window_has_room(&self, limits: &Limits) -> bool {
        !self.reading && self.in_flight <= limits.commands_in_flight_max / 2
    }

    /// Commands forwarded and not answered.
    #[must_use]
    pub const fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// The command handed out last changes what later ones mean: none of them is decoded before its
    /// reply came.
    pub const fn hold(&mut self) {
        self.reading = true;
    }

    /// The reply to a forwarded command came: its place is free. A read is answered after all
    /// that was forwarded before it.
    pub const fn replied(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.in_flight == 0 {
            self.reading = false;
        }
    }

    /// Decides about one message, in the order of the messages.
    ///
    /// Each costs something in the rate, see [`rate`]; what cannot be read costs a whole command,
    /// and what is refused for the rate a tenth of one. Such refusals count while none in between
    /// was admitted; at `rate_refusals_max` the connection is closed with 4009.
    pub fn on_message(
        &mut self,
        message: Result<Incoming, Box<Malformed>>,
        now: Timestamp,
        limits: &Limits,
    ) -> Action {
        if self.phase == Phase::Closing {
            return Action::Nothing;
        }
        let cost = message.as_ref().map_or(Cost::WHOLE, |incoming| Cost::of(&incoming.command));
        if let Err(wait_ms) = self.bucket.charge(cost, now, limits) {
            let id = match message {
                Ok(incoming) => incoming.id,
                Err(malformed) => malformed.id,
            };
            return self.refuse_for_rate(id, wait_ms, limits);
        }
        self.refusals = 0;
        match message {
            Ok(incoming) => self.on_command(incoming, now, limits),
            Err(malformed) => refuse(malformed.id, malformed.refusal),
        }
    }

    fn refuse_for_rate(&mut self, id: Option<CommandId>, wait_ms: u64, limits: &Limits) -> Action {
        // Behind those that were refused before it, so that all fit when they come again.
        let behind_ms =
            u64::from(self.refusals) * 1000 / u64::from(limits.commands_per_second.max(1));
        let refusal = Refusal::later(Reason::RateLimited, wait_ms + behind_ms);
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals >= limits.rate_refusals_max.max(1) {
            return Action::Close { code: CloseCode::RateLimited, id, refusal };
        }
        refuse(id, refusal)
    }

    fn on_command(&mut self, incoming: Incoming, now: Timestamp, limits: &Limits) -> Action {
        let Incoming { id, command } = incoming;
        match command {
            Command::Ping => Action::Pong { id },
            Command::Pong => match id {
                Some(_) => Action::Reply { id, outcome: Ok(Ack::Done) },
                None => Action::Nothing,
            },
            Command::Auth(auth) => {
                Action::Authenticate { id, token: auth.token, device: auth.device }
            }
            _ if self.phase == Phase::AwaitingAuth => refuse(id, Reason::Unauthorized.into()),
            Command::Refresh(refresh) => {
                Action::Authenticate { id, token: refresh.token, device: None }
            }
            // The hub pauses before this can happen; a refusal keeps the window's bound anyway.
            _ if self.window_is_full(limits) => refuse(id, Reason::Overloaded.into()),
            command => {
                self.observe(&command, now);
                self.in_flight += 1;
                match command.class() {
                    Class::Live => Action::Live { id, command },
                    class => {
                        self.reading = matches!(class, Class::Read | Class::Attach);
                        Action::Forward { id, command }
                    }
                }
            }
        }
    }

    /// Takes from a forwarded command what it says about this device's deliveries.
    fn observe(&mut self, command: &Command, now: Timestamp) {
        match command {
            Command::Received(cursor) | Command::Read(cursor) => {
                if let Some(deliveries) = &mut self.deliveries
                    && deliveries.confirm(&cursor.conversation, cursor.seq, now)
                {
                    self.deliveries = None;
                }
            }
            // The client has told its cursors; the answer covers all that was delivered so far.
            Command::Sync(_) => {
                self.deliveries = None;
                if self.confirming == Confirming::Some {
                    self.confirming = Confirming::All;
                }
            }
            _ => {}
        }
    }

    /// Takes what came of checking the token of `auth` or `refresh`. A session that is open keeps
    /// its device and the later of the two expiries.
    pub fn sign_in(
        &mut self,
        outcome: Result<Identity, Refusal>,
        phase: u32,
        now: Timestamp,
        limits: &Limits,
    ) -> Signed {
        match (&self.identity, outcome) {
            (None, Ok(identity)) => {
                self.enter(Arc::new(identity), phase, now, limits);
                Signed::Opened
            }
            (None, Err(refusal)) => {
                let close = (refusal.reason.code() == 401).then_some(CloseCode::Unauthorized);
                Signed::Refused { refusal, close }
            }
            (Some(_), Err(refusal)) => Signed::Refused { refusal, close: None },
            (Some(current), Ok(newer)) if current.user != newer.user => {
                Signed::Refused { refusal: Reason::OtherUser.into(), close: None }
            }
            (Some(current), Ok(newer)) => {
                let expires_at = match (current.expires_at, newer.expires_at) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    _ => None,
                };
                self.warned = self.warned && expires_at == current.expires_at;
                self.identity = Some(Arc::new(Identity {
                    user: current.user.clone(),
                    device: current.device.clone(),
                    device_named: current.device_named,
                    expires_at,
                    rare: Rare {
                        device_kind: newer
                            .device_kind()
                            .or_else(|| current.device_kind())
                            .map(Into::into),
                        device_name: current.device_name().map(Into::into),
                        picture: newer.picture().map(Into::into),
                        granted: current.granted().into(),
                        channels: newer.channels().cloned(),
                    }
                    .boxed(),
                    ..newer
                }));
                Signed::Renewed
            }
        }
    }

    /// What a back end gave the user besides the roles of their token.
    pub fn set_granted(&mut self, roles: &Arc<[Box<str>]>) {
        if let Some(identity) = &mut self.identity {
            Arc::make_mut(identity).change_rare(|rare| rare.granted = Arc::clone(roles));
        }
    }

    /// An entry goes out on this connection. Answers when the session wants to be called for it,
    /// where that is new.
    pub fn delivered(
        &mut self,
        conversation: &ConversationId,
        seq: u64,
        now: Timestamp,
        limits: &Limits,
    ) -> Option<Timestamp> {
        if self.phase != Phase::Open || self.confirming == Confirming::None {
            return None;
        }
        let room = usize::from(limits.unconfirmed_max);
        let deliveries = self.deliveries.get_or_insert_default();
        match deliveries.note(conversation, seq, now, room) {
            deliveries::Noted::Known => None,
            deliveries::Noted::New => Some(now.plus_ms(limits.redelivery_after_ms.into())),
            deliveries::Noted::NoRoom => {
                self.confirming = Confirming::Some;
                if deliveries.is_empty() {
                    self.deliveries = None;
                }
                None
            }
        }
    }

    /// Conversations with unconfirmed deliveries.
    #[must_use]
    pub fn unconfirmed(&self) -> usize {
        self.deliveries.as_ref().map_or(0, |deliveries| deliveries.len())
    }

    /// When [`on_deadline`](Self::on_deadline) has something to say; `None` for never.
    #[must_use]
    pub fn next_deadline(&self, limits: &Limits) -> Option<Timestamp> {
        match self.phase {
            Phase::Closing => None,
            Phase::AwaitingAuth => Some(self.due_at),
            Phase::Open => {
                let mut next = self.due_at;
                if self.pong_by != NEVER {
                    next = next.min(self.pong_by);
                }
                if let Some(end) = self.identity.as_ref().and_then(|identity| identity.expires_at) {
                    let warning_ms = if self.warned { 0 } else { limits.expiry_warning_ms.into() };
                    next = next.min(end.minus_ms(warning_ms));
                }
                if let Some(deliveries) = &self.deliveries
                    && let Some(at) = deliveries.next_deadline(limits)
                {
                    next = next.min(at);
                }
                Some(next)
            }
        }
    }

    /// Says what is due. `parked`: nothing is read from the connection at the moment, so neither
    /// silence nor missing confirmations mean anything.
    pub fn on_deadline(
        &mut self,
        now: Timestamp,
        limits: &Limits,
        parked: bool,
        due: &mut Vec<Due>,
    ) {
        match self.phase {
            Phase::Closing => {}
            Phase::AwaitingAuth => {
                if now >= self.due_at {
                    due.push(Due::Close(CloseCode::AuthTimeout));
                }
            }
            Phase::Open => {
                if let Some(code) = self.must_close(now, limits, parked) {
                    due.push(Due::Close(code));
                    return;
                }
                self.warn_of_expiry(now, limits, due);
                self.redeliver(now, limits, parked, due);
                self.ping(now, limits, parked, due);
            }
        }
    }

    fn must_close(&mut self, now: Timestamp, limits: &Limits, parked: bool) -> Option<CloseCode> {
        let end = self.identity.as_ref().and_then(|identity| identity.expires_at);
        if end.is_some_and(|end| now >= end) {
            return Some(CloseCode::TokenExpired);
        }
        if parked {
            self.unparked(now, limits);
        }
        (self.pong_by != NEVER && now >= self.pong_by).then_some(CloseCode::PongTimeout)
    }

    fn warn_of_expiry(&mut self, now: Timestamp, limits: &Limits, due: &mut Vec<Due>) {
        let end = self.identity.as_ref().and_then(|identity| identity.expires_at);
        let Some(expires_at) = end.filter(|_| !self.warned) else { return };
        if now >= expires_at.minus_ms(limits.expiry_warning_ms.into()) {
            self.warned = true;
            due.push(Due::Send(Event::TokenExpiring(TokenExpiring { expires_at })));
        }
    }

    fn redeliver(&mut self, now: Timestamp, limits: &Limits, parked: bool, due: &mut Vec<Due>) {
        let Some(deliveries) = &mut self.deliveries else { return };
        if parked {
            deliveries.postpone(now, limits);
            return;
        }
        deliveries.due(now, limits, |step| {
            due.push(match step {
                deliveries::Step::Again { conversation, after, attempt } => {
                    Due::Submit(Work::Redeliver { conversation, after, attempt })
                }
                deliveries::Step::GiveUp { conversation, head } => Due::Send(Event::Lag(Lag {
                    conversation: Some(conversation),
                    head: Some(head),
                })),
            });
        });
    }

    fn ping(&mut self, now: Timestamp, limits: &Limits, parked: bool, due: &mut Vec<Due>) {
        if now < self.due_at {
            return;
        }
        // The next one stays in this connection's phase, however late this one is.
        let interval = u64::from(limits.ping_interval_ms).max(1);
        let late = now.since(self.due_at);
        self.due_at = self.due_at.plus_ms((late / interval + 1) * interval);
        if parked {
            return;
        }
        if self.pong_by == NEVER {
            self.pong_by = now.plus_ms(limits.pong_timeout_ms.into());
        }
        let (heads, more) = match &self.deliveries {
            Some(deliveries) => deliveries.heads(PING_HEADS_MAX),
            None => (Vec::new(), false),
        };
        due.push(Due::Send(Event::Ping(Ping {
            heads,
            resync: more || self.confirming == Confirming::Some,
        })));
    }
}

/// The zero of an optional moment: the epoch is never a deadline.
const NEVER: Timestamp = Timestamp(0);

fn refuse(id: Option<CommandId>, refusal: Refusal) -> Action {
    Action::Reply { id, outcome: Err(refusal) }
}

#[cfg(test)]
mod tests;
