//! Entries out of the store, as one member sees them.
//!
//! Invariant: [`dense`] leaves no hole: what the member may not see, and what the store no longer
//! has, is a void. It stops at its budget, and says so.

use hubbub_proto::event::{Current, Entry, Extra, LogItem, Void};
use hubbub_proto::{ConversationId, Timestamp};

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
    pub(super) fn take(&mut self, entry: &Entry) -> bool {
        let cost = FIELDS_BYTES
            + entry.content.get().len()
            + entry.conversation.as_str().len()
            + entry.from.as_str().len()
            + entry.client_id.as_str().len()
            + entry.extra.as_ref().map_or(0, |extra| extra.weight());
        if self.entries == 0 || (cost > self.bytes && !self.first_free) {
            return false;
        }
        self.entries -= 1;
        self.bytes = self.bytes.saturating_sub(cost);
        self.first_free = false;
        true
    }

    pub(super) const fn spent(&self) -> bool {
        self.entries == 0 || (self.bytes == 0 && !self.first_free)
    }
}

/// An entry as it goes out, without what has become of it, except that it was removed.
pub(super) fn shown(conversation: &ConversationId, entry: model::Entry) -> Entry {
    let removed = entry.fate.removed;
    let extra = (entry.head.is_some() || removed.is_some()).then(|| {
        let head = entry.head.map(|head| *head).unwrap_or_default();
        Box::new(Extra { head, current: Current { removed, ..Current::default() } })
    });
    Entry {
        extra,
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

/// What one member sees of a log at one moment.
pub(super) struct Sight<'a> {
    pub(super) view: Visibility<'a>,
    /// What they hid, ascending.
    pub(super) hidden: Vec<u64>,
    pub(super) now: Timestamp,
}

impl Sight<'_> {
    /// Whether they see an entry of a segment that is theirs: what expired or is hidden is not
    /// shown, and what was done to a message only to those who see the message itself (P7).
    pub(super) fn shows(&self, entry: &model::Entry) -> bool {
        if entry.is_over(self.now) || self.hides(entry.seq) {
            return false;
        }
        let about = entry.head.as_ref().and_then(|head| head.about);
        match about.filter(|_| entry.kind.is_update()) {
            Some(about) => self.view.covers(entry.seq, about) && !self.hides(about),
            None => !entry.kind.is_update(),
        }
    }

    fn hides(&self, seq: u64) -> bool {
        self.hidden.binary_search(&seq).is_ok()
    }
}

/// Entries of one segment in `order`, as many as fit and one, or `least`, and whether they are all there are.
pub(super) fn fetch(
    reader: &mut dyn Reader,
    conversation: &Conversation,
    segment: Segment,
    order: Order,
    budget: &Budget,
    least: usize,
) -> Result<(Vec<model::Entry>, bool)> {
    // One more than fits, to know whether there is more.
    let limit = u32::try_from((budget.entries + 1).max(least)).unwrap_or(u32::MAX);
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
    sight: &Sight<'_>,
    (from, to): (u64, u64),
    budget: &mut Budget,
) -> Result<Dense> {
    let mut dense = Dense::default();
    for segment in sight.view.segments(from, to) {
        if !segment.visible {
            dense.void(&conversation.id, segment.from, segment.to);
            continue;
        }
        if budget.spent() {
            dense.cut = true;
            return Ok(dense);
        }
        let (entries, all) = fetch(reader, conversation, segment, Order::Ascending, budget, 0)?;
        let (mut next, mut passed) = (segment.from, segment.from);
        for entry in entries {
            let seq = entry.seq;
            passed = seq + 1;
            if !sight.shows(&entry) {
                continue;
            }
            dense.void(&conversation.id, next, seq - 1);
            let entry = shown(&conversation.id, entry);
            if !budget.take(&entry) {
                dense.cut = true;
                return Ok(dense);
            }
            dense.items.push(LogItem::Entry(entry));
            next = seq + 1;
        }
        if !all {
            dense.void(&conversation.id, next, passed - 1);
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
