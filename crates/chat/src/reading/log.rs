//! Entries out of the store, as one member sees them.
//!
//! Invariant: [`dense`] leaves no hole: what the member may not see, and what the store no longer
//! has, is a void. Both readers stop at their budget, and say so.

use hubbub_proto::ConversationId;
use hubbub_proto::event::{Entry, LogItem, Void};

use crate::model::{self, Conversation};
use crate::ports::{Order, Range, Reader, Result};
use crate::visibility::{Segment, Visibility};

/// About what the names of an entry's fields occupy in an answer, in bytes.
const FIELDS_BYTES: usize = 160;

/// How much may still be put into an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) entries: usize,
    pub(super) bytes: usize,
    /// The first entry may exceed the bytes, so that a reader always gets on.
    pub(super) first_free: bool,
}

impl Budget {
    /// Takes the cost of an entry, unless it is too much.
    fn take(&mut self, conversation: &ConversationId, entry: &model::Entry) -> bool {
        let cost = FIELDS_BYTES
            + entry.content.get().len()
            + conversation.as_str().len()
            + entry.sender.as_str().len()
            + entry.client_id.as_str().len();
        if self.entries == 0 || (cost > self.bytes && !self.first_free) {
            return false;
        }
        self.entries -= 1;
        self.bytes = self.bytes.saturating_sub(cost);
        self.first_free = false;
        true
    }

    const fn spent(&self) -> bool {
        self.entries == 0 || (self.bytes == 0 && !self.first_free)
    }
}

/// An entry as it goes out.
pub(super) fn shown(conversation: &ConversationId, entry: model::Entry) -> Entry {
    Entry {
        conversation: conversation.clone(),
        seq: entry.seq,
        message_id: entry.rev.0,
        from: entry.sender,
        kind: entry.kind,
        content: entry.content,
        client_id: entry.client_id,
        at: entry.at,
    }
}

/// Entries of one segment in `order`, and whether they are all there are.
fn fetch(
    reader: &mut dyn Reader,
    conversation: &Conversation,
    segment: Segment,
    order: Order,
    budget: &Budget,
) -> Result<(Vec<model::Entry>, bool)> {
    // One more than fits, to know whether there is more.
    let limit = u32::try_from(budget.entries + 1).unwrap_or(u32::MAX);
    let range = Range { from: segment.from, to: segment.to, order, limit, bytes: budget.bytes };
    let entries = reader.entries(conversation.key, range)?;
    let bytes: usize = entries.iter().map(|entry| entry.content.get().len()).sum();
    let end = match order {
        Order::Ascending => segment.to,
        Order::Descending => segment.from,
    };
    let all = entries.last().is_some_and(|entry| entry.seq == end)
        || (entries.len() < limit as usize && bytes <= budget.bytes);
    Ok((entries, all))
}

/// What the member may see of `from..=to`, the nearest to the beginning of `order` first, and
/// whether the budget ended it.
pub(super) fn visible(
    reader: &mut dyn Reader,
    conversation: &Conversation,
    segments: Vec<Segment>,
    order: Order,
    mut budget: Budget,
) -> Result<(Vec<Entry>, bool)> {
    let mut found = Vec::new();
    let mut segments: Vec<_> = segments.into_iter().filter(|segment| segment.visible).collect();
    if order == Order::Descending {
        segments.reverse();
    }
    for segment in segments {
        if budget.entries > 0 && budget.spent() {
            return Ok((found, true));
        }
        let (entries, all) = fetch(reader, conversation, segment, order, &budget)?;
        for entry in entries {
            if !budget.take(&conversation.id, &entry) {
                return Ok((found, true));
            }
            found.push(shown(&conversation.id, entry));
        }
        if !all {
            return Ok((found, true));
        }
    }
    Ok((found, false))
}

/// A stretch of a log without a hole.
#[derive(Debug, Default)]
pub(super) struct Dense {
    pub(super) items: Vec<LogItem>,
    /// It ended before what was asked for.
    pub(super) cut: bool,
}

/// `from..=to` of a log, each seq once, as an entry or in a void.
pub(super) fn dense(
    reader: &mut dyn Reader,
    conversation: &Conversation,
    view: &Visibility<'_>,
    (from, to): (u64, u64),
    budget: &mut Budget,
) -> Result<Dense> {
    let mut dense = Dense::default();
    for segment in view.segments(from, to) {
        if !segment.visible {
            dense.void(&conversation.id, segment.from, segment.to);
            continue;
        }
        if budget.spent() {
            dense.cut = true;
            return Ok(dense);
        }
        let (entries, all) = fetch(reader, conversation, segment, Order::Ascending, budget)?;
        let mut next = segment.from;
        for entry in entries {
            if !budget.take(&conversation.id, &entry) {
                dense.cut = true;
                return Ok(dense);
            }
            let seq = entry.seq;
            dense.void(&conversation.id, next, seq - 1);
            dense.items.push(LogItem::Entry(shown(&conversation.id, entry)));
            next = seq + 1;
        }
        if !all {
            dense.cut = true;
            return Ok(dense);
        }
        dense.void(&conversation.id, next, segment.to);
    }
    Ok(dense)
}

impl Dense {
    /// Adds a void, joined with the one before it; nothing where it is empty.
    fn void(&mut self, conversation: &ConversationId, seq: u64, through: u64) {
        if seq > through {
            return;
        }
        if let Some(LogItem::Void(last)) = self.items.last_mut() {
            last.through = through;
            return;
        }
        let conversation = conversation.clone();
        self.items.push(LogItem::Void(Void { conversation, seq, through }));
    }
}
