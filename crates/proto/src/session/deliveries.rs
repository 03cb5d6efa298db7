//! What was delivered to one connection and not confirmed by it.
//!
//! Invariants: one row per conversation, at most as many as the caller has room for; a row's
//! cursor only moves forward; a row goes away when all of it is confirmed. Each row asks for at
//! most `redelivery_rounds_max` redeliveries between two signs of progress, then says it gives up,
//! once. New entries are delivered all the same: a client that never confirms is not cut off.

use smallvec::SmallVec;

use crate::limits::Limits;
use crate::{ConversationId, Timestamp};

/// Most redeliveries asked for in one call; the rest waits for the next one.
const STEPS_MAX: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Deliveries {
    rows: SmallVec<[Row; 1]>,
}

#[derive(Debug)]
struct Row {
    conversation: ConversationId,
    delivered: u64,
    confirmed: u64,
    /// When the oldest unconfirmed entry was delivered, redelivered, or progress was made.
    since: Timestamp,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// So many redeliveries were asked for.
    Rounds(u8),
    GivenUp,
}

#[derive(Debug, Eq, PartialEq)]
pub(super) enum Noted {
    /// The conversation is new here.
    New,
    Known,
    NoRoom,
}

/// What is due for one conversation.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Step {
    Again { conversation: ConversationId, after: u64, attempt: u8 },
    GiveUp { conversation: ConversationId, head: u64 },
}

impl Deliveries {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn position(&self, conversation: &ConversationId) -> Option<usize> {
        self.rows.iter().position(|row| row.conversation == *conversation)
    }

    pub(super) fn note(
        &mut self,
        conversation: &ConversationId,
        seq: u64,
        now: Timestamp,
        room: usize,
    ) -> Noted {
        if let Some(at) = self.position(conversation) {
            let row = &mut self.rows[at];
            row.delivered = row.delivered.max(seq);
            return Noted::Known;
        }
        if self.rows.len() >= room {
            return Noted::NoRoom;
        }
        self.rows.push(Row {
            conversation: conversation.clone(),
            delivered: seq,
            confirmed: seq.saturating_sub(1),
            since: now,
            state: State::Rounds(0),
        });
        Noted::New
    }

    /// Moves a cursor; true when nothing is left here.
    pub(super) fn confirm(
        &mut self,
        conversation: &ConversationId,
        seq: u64,
        now: Timestamp,
    ) -> bool {
        if let Some(at) = self.position(conversation) {
            let row = &mut self.rows[at];
            if seq >= row.delivered {
                self.rows.swap_remove(at);
            } else if seq > row.confirmed {
                row.confirmed = seq;
                row.since = now;
                row.state = State::Rounds(0);
            } else if row.state == State::GivenUp {
                // The client speaks about it again, so telling it again makes sense.
                row.since = now;
                row.state = State::Rounds(0);
            }
        }
        self.is_empty()
    }

    pub(super) fn next_deadline(&self, limits: &Limits) -> Option<Timestamp> {
        self.rows
            .iter()
            .filter(|row| row.state != State::GivenUp)
            .map(|row| row.since.plus_ms(limits.redelivery_after_ms.into()))
            .min()
    }

    /// Nothing can be confirmed at the moment: what is due is due one period later.
    pub(super) fn postpone(&mut self, now: Timestamp, limits: &Limits) {
        for row in &mut self.rows {
            if now.since(row.since) >= u64::from(limits.redelivery_after_ms) {
                row.since = now;
            }
        }
    }

    pub(super) fn due(&mut self, now: Timestamp, limits: &Limits, mut step: impl FnMut(Step)) {
        let after_ms = u64::from(limits.redelivery_after_ms);
        let due = |row: &&mut Row| row.state != State::GivenUp && now.since(row.since) >= after_ms;
        for row in self.rows.iter_mut().filter(due).take(STEPS_MAX) {
            let conversation = row.conversation.clone();
            row.since = now;
            match row.state {
                State::Rounds(done) if done < limits.redelivery_rounds_max => {
                    row.state = State::Rounds(done + 1);
                    let attempt = done.saturating_add(2);
                    step(Step::Again { conversation, after: row.confirmed, attempt });
                }
                _ => {
                    row.state = State::GivenUp;
                    step(Step::GiveUp { conversation, head: row.delivered });
                }
            }
        }
    }

    /// The newest seq of up to `max` conversations, and whether there are more.
    pub(super) fn heads(&self, max: usize) -> (Vec<(ConversationId, u64)>, bool) {
        let heads = self.rows.iter().take(max);
        let heads = heads.map(|row| (row.conversation.clone(), row.delivered)).collect();
        (heads, self.rows.len() > max)
    }
}
