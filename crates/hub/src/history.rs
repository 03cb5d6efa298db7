//! What a channel's home keeps of what was published, for those who come back.
//!
//! Invariants: what is kept of a channel is without a hole and ends with its newest publication, or
//! it is nothing; it is bounded in number, bytes and age, and that of all channels of a shard
//! together in bytes. Beyond that the history of whole channels is dropped, of those first that
//! nobody has used for longest: somebody who comes back is told so.
//!
//! Deliberately absent: who may read it (see `rules`), and offsets (see `channels`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hubbub_proto::event::{Kept, KeptList};
use hubbub_proto::{ClientId, Timestamp, UserId};

/// What a publication takes besides its data: itself, its names, and what the allocator adds.
const OVERHEAD: usize = size_of::<Kept>() + 64;

/// How much is kept of one channel.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Extent {
    pub(crate) size: usize,
    pub(crate) bytes: usize,
    pub(crate) ms: u64,
}

/// How much of it one answer may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portion {
    pub(crate) size: usize,
    pub(crate) bytes: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct History {
    extent: Extent,
    items: VecDeque<Kept>,
    bytes: usize,
    /// Its place on the shelf; 0 for none.
    place: u64,
    /// The last answer, for those who come back together: everything after this offset.
    answer: Option<(u64, KeptList)>,
}

/// A part of a history, and whether there is more.
pub(crate) struct Page {
    pub(crate) list: KeptList,
    pub(crate) more: bool,
}

fn weight(kept: &Kept) -> usize {
    OVERHEAD + kept.data.get().len()
}

impl History {
    pub(crate) fn new(extent: Extent) -> Self {
        Self { extent, ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Keeps one more, at the cost of older ones.
    pub(crate) fn push(&mut self, kept: Kept) {
        let now = kept.timestamp;
        self.answer = None;
        self.bytes += weight(&kept);
        self.items.push_back(kept);
        self.prune(now);
        while self.items.len() > self.extent.size || self.bytes > self.extent.bytes {
            if !self.pop() {
                break;
            }
        }
    }

    /// Drops what is too old.
    pub(crate) fn prune(&mut self, now: Timestamp) {
        while let Some(oldest) = self.items.front()
            && now.since(oldest.timestamp) >= self.extent.ms
        {
            self.pop();
        }
    }

    fn pop(&mut self) -> bool {
        let Some(kept) = self.items.pop_front() else { return false };
        self.bytes -= weight(&kept);
        self.answer = None;
        true
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.items = VecDeque::new();
        self.bytes = 0;
        self.answer = None;
    }

    /// Everything after `after` up to `head`, the newest offset of the channel; `None` where some of
    /// it is gone or it is too much.
    pub(crate) fn since(&mut self, after: u64, head: u64, portion: Portion) -> Option<KeptList> {
        if let Some((offset, list)) = &self.answer
            && *offset == after
        {
            return Some(list.clone());
        }
        let missed = usize::try_from(head.checked_sub(after)?).ok()?;
        let skipped = self.items.len().checked_sub(missed)?;
        let is_too_much = missed > portion.size
            || self.items.range(skipped..).map(weight).sum::<usize>() > portion.bytes;
        if is_too_much {
            return None;
        }
        let list: KeptList = self.items.range(skipped..).cloned().collect();
        self.answer = Some((after, list.clone()));
        Some(list)
    }

    /// The newest one, as a list.
    pub(crate) fn last(&self) -> Option<KeptList> {
        self.items.back().map(|kept| Arc::from([kept.clone()]))
    }

    /// The oldest ones after an offset.
    pub(crate) fn after(&self, after: u64, portion: Portion) -> Page {
        let start = self.items.partition_point(|kept| kept.offset <= after);
        let mut bytes = 0;
        let fitting = self.items.range(start..).take(portion.size).take_while(|kept| {
            bytes += weight(kept);
            bytes <= portion.bytes
        });
        let list: KeptList = fitting.cloned().collect();
        Page { more: start + list.len() < self.items.len(), list }
    }

    /// The newest ones before an offset.
    pub(crate) fn before(&self, before: u64, portion: Portion) -> Page {
        let end = self.items.partition_point(|kept| kept.offset < before);
        let mut bytes = 0;
        let fitting = self.items.range(..end).rev().take(portion.size).take_while(|kept| {
            bytes += weight(kept);
            bytes <= portion.bytes
        });
        let start = end - fitting.count();
        Page { list: self.items.range(start..end).cloned().collect(), more: start > 0 }
    }

    /// What a user has published under this name.
    pub(crate) fn find(&self, user: &UserId, client_id: &ClientId) -> Option<&Kept> {
        self.items
            .iter()
            .rev()
            .find(|kept| kept.client_id.as_ref() == Some(client_id) && kept.from == *user)
    }
}

/// The histories of a shard in the order in which they were used, those first that are dropped first.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    /// The records of those that are not empty, by place.
    order: BTreeMap<u64, u32>,
    newest: u64,
    /// Of all histories.
    bytes: usize,
}

impl Shelf {
    /// Of all histories.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The history of this record is used.
    pub(crate) fn touch(&mut self, record: u32, history: &mut History) {
        if history.place != self.newest || history.place == 0 {
            self.order.remove(&history.place);
            self.newest += 1;
            history.place = self.newest;
            self.order.insert(history.place, record);
        }
    }

    /// Changes a history.
    pub(crate) fn change(&mut self, history: &mut History, change: impl FnOnce(&mut History)) {
        self.bytes -= history.bytes;
        change(history);
        self.bytes += history.bytes;
        if history.is_empty() {
            self.order.remove(&std::mem::take(&mut history.place));
        }
    }

    /// The record whose history is to be dropped, where more than this is kept.
    pub(crate) fn excess(&self, bytes_max: usize) -> Option<u32> {
        let first = self.order.first_key_value().map(|(_, record)| *record);
        first.filter(|_| self.bytes > bytes_max)
    }
}

#[cfg(test)]
mod tests;
