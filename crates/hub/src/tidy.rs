//! Giving back what a shard grew for a crowd or a burst and does not need any more.
//!
//! Invariants: what is in use stays where it is; a list keeps the room of its next growth, so that
//! a shard whose load changes does not move its tables all the time. Called once in a while, never
//! between a readable socket and its answer (see `calm`).

use std::collections::VecDeque;

use crate::shard::Shard;

/// Room that a list keeps in any case, in entries.
pub(crate) const KEPT: usize = 64;
/// Outboxes that stay in the pool.
const OUTBOXES_KEPT: usize = 16;

/// Whether a list with so much room is worth another, smaller one.
pub(crate) fn is_wide(len: usize, capacity: usize) -> bool {
    capacity > KEPT && len < capacity / 4
}

/// Gives room back where less than a quarter is used.
pub(crate) fn slim<T>(list: &mut Vec<T>) {
    if is_wide(list.len(), list.capacity()) {
        list.shrink_to(KEPT.max(2 * list.len()));
    }
}

fn slim_queue<T>(queue: &mut VecDeque<T>) {
    if is_wide(queue.len(), queue.capacity()) {
        queue.shrink_to(KEPT.max(2 * queue.len()));
    }
}

impl Shard {
    /// Shrinks tables and lists, then has the thread's allocator return what is free.
    pub(crate) fn tidy(&mut self) {
        self.slab.tidy();
        slim(&mut self.posts);
        slim(&mut self.targets);
        slim_queue(&mut self.adopting);
        let desk = &mut self.desk;
        desk.topics.tidy();
        desk.turns.tidy();
        desk.pool.truncate(OUTBOXES_KEPT);
        slim(&mut desk.pool);
        slim(&mut desk.dirty);
        slim(&mut desk.gone);
        slim(&mut desk.opened);
        slim(&mut desk.batches);
        slim(&mut desk.signals);
        slim(&mut desk.due);
        slim_queue(&mut desk.ready);
        slim_queue(&mut desk.batch);
        slim_queue(&mut desk.waiting);
        desk.stats.tidied.add(1);
        (desk.settings.on_calm)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_list_that_is_nearly_empty_shrinks() {
        let mut list: Vec<u32> = Vec::with_capacity(1000);
        list.extend(0..250);
        slim(&mut list);
        assert!(list.capacity() >= 1000);
        list.truncate(200);
        slim(&mut list);
        assert!((400..500).contains(&list.capacity()), "{}", list.capacity());
        list.clear();
        slim(&mut list);
        assert!(list.capacity() >= KEPT && list.capacity() < 100);
        let mut queue: VecDeque<u32> = VecDeque::with_capacity(1000);
        queue.extend([1, 2, 3]);
        slim_queue(&mut queue);
        assert!(queue.capacity() < 100);
        assert_eq!(queue, [1, 2, 3]);
    }
}
