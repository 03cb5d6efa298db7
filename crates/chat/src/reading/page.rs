//! A page of what a member sees, each message as it is now.
//!
//! Invariant: of a message the state is shown that the member may know of: as it was at the end of
//! the stay in which they see it (P7). A page looks through at most [`SCANNED_MAX`] entries, and says
//! which stretch it covers, so that a reader gets on where there is nothing to show.

use hubbub_proto::event::Entry;

use super::Desk;
use super::log::{Budget, Sight, fetch, shown};
use crate::model::{self, Conversation, EntryKey, Pin};
use crate::ports::{Order, Result};
use crate::visibility::Segment;

/// Most entries that one page looks through.
const SCANNED_MAX: usize = 2_000;

/// Entries that are fetched at a time, once the first ones were not to be shown.
const STEP: usize = 128;

/// What was found, in the order asked for.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    /// The stretch that was looked through; empty where `from` is above `through`.
    pub(super) from: u64,
    pub(super) through: u64,
    /// There may be more in the direction asked for.
    pub(super) more: bool,
}

impl Page {
    /// Everything up to this entry was looked through.
    const fn reach(&mut self, seq: u64, order: Order) {
        match order {
            Order::Ascending => self.through = seq,
            Order::Descending => self.from = seq,
        }
    }
}

impl Desk<'_> {
    /// What the member sees of `from..=to`, the nearest to the beginning of `order` first.
    pub(super) fn page(
        &mut self,
        conversation: &Conversation,
        sight: &Sight<'_>,
        (from, to): (u64, u64),
        order: Order,
        mut budget: Budget,
    ) -> Result<Page> {
        let mut page = Page { entries: Vec::new(), from, through: to, more: false };
        let mut segments = sight.view.segments(from, to);
        if order == Order::Descending {
            segments.reverse();
        }
        let mut edge = match order {
            Order::Ascending => from.saturating_sub(1),
            Order::Descending => to.saturating_add(1),
        };
        let pins = self.reader.pins(conversation.key)?;
        let mut scanned = 0;
        for segment in segments {
            let mut rest = Some(segment).filter(|segment| segment.visible);
            while let Some(segment) = rest {
                if budget.spent() || scanned >= SCANNED_MAX {
                    page.reach(edge, order);
                    page.more = true;
                    return Ok(page);
                }
                let (entries, all) =
                    fetch(self.reader, conversation, segment, order, &budget, scanned.min(STEP))?;
                scanned += entries.len();
                for entry in entries {
                    let seq = entry.seq;
                    if let Some(entry) = self.as_it_is(conversation, sight, &pins, entry)? {
                        if !budget.take(&entry) {
                            page.reach(edge, order);
                            page.more = true;
                            return Ok(page);
                        }
                        page.entries.push(entry);
                    }
                    edge = seq;
                }
                rest = if all { None } else { behind(segment, edge, order) };
            }
            edge = match order {
                Order::Ascending => segment.to,
                Order::Descending => segment.from,
            };
        }
        Ok(page)
    }

    /// A message or group change as the member sees it now; `None` where it is not to be shown.
    pub(super) fn as_it_is(
        &mut self,
        conversation: &Conversation,
        sight: &Sight<'_>,
        pins: &[Pin],
        entry: model::Entry,
    ) -> Result<Option<Entry>> {
        if entry.kind.is_update() || !sight.shows(&entry) {
            return Ok(None);
        }
        let (seq, rev, fate) = (entry.seq, entry.rev, entry.fate);
        let mut shown = shown(&conversation.id, entry);
        let end = sight.view.end_of(seq).unwrap_or(seq);
        let mut next = fate.edited.filter(|_| fate.removed.is_none());
        while let Some(edited) = next {
            let Some(edit) = self.reader.edit(conversation.key, edited)? else { break };
            if edit.seq <= end {
                shown.content = edit.content;
                shown.extra.get_or_insert_default().current.edited_at = Some(edit.at);
                break;
            }
            next = edit.before;
        }
        if let (true, Some(reader)) = (fate.reacted, self.key) {
            let target = EntryKey { conversation: conversation.key, seq, rev };
            let reactions = self.reader.reaction_counts(target, reader, end)?;
            if !reactions.is_empty() {
                shown.extra.get_or_insert_default().current.reactions = reactions;
            }
        }
        if pins.iter().any(|pin| pin.seq == seq && pin.by_seq <= end) {
            shown.extra.get_or_insert_default().current.pinned = true;
        }
        Ok(Some(shown))
    }
}

/// What of a segment lies behind `edge`.
fn behind(segment: Segment, edge: u64, order: Order) -> Option<Segment> {
    let rest = match order {
        Order::Ascending => Segment { from: edge.saturating_add(1), ..segment },
        Order::Descending => Segment { to: edge.saturating_sub(1), ..segment },
    };
    (rest.from <= rest.to).then_some(rest)
}
