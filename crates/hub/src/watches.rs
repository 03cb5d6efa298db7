//! Subscriptions to all channels whose names begin alike.
//!
//! Every shard knows all patterns of the node: as the home of channels, to which other shards what is
//! published on them has to go; and its own subscribers to each. Invariant: a pattern is there as long
//! as somebody is subscribed to it, here or in a shard that has said so. What a subscriber gets is live
//! only: patterns have no offsets, so there is nothing to recover.
//!
//! Deliberately absent: who may (see `rules`), and connections (see `topics`).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use hubbub_proto::ChannelPattern;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::channels::ShardSet;
use crate::topics::Row;

/// The rows of those who get what is published on a channel by a pattern.
pub(crate) type Rows = SmallVec<[Row; 2]>;

#[derive(Debug)]
struct Watch {
    pattern: ChannelPattern,
    /// The other shards with subscribers.
    shards: ShardSet,
    /// Where those here stand in the topics.
    row: Option<Row>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    by_name: FxHashMap<ChannelPattern, u32>,
    watches: Vec<Option<Watch>>,
    free: Vec<u32>,
    by_namespace: FxHashMap<Box<str>, Beginnings>,
    /// Patterns with subscribers here.
    own: usize,
    /// Another one whenever a pattern comes or goes.
    generation: u64,
}

/// The patterns of a namespace, by what channels begin with.
#[derive(Debug, Default)]
struct Beginnings {
    numbers: FxHashMap<Box<str>, u32>,
    /// How many have this many bytes: what a channel has to be looked up by.
    lengths: BTreeMap<usize, u32>,
}

impl Beginnings {
    fn insert(&mut self, beginning: &str, number: u32) {
        if self.numbers.insert(beginning.into(), number).is_none() {
            *self.lengths.entry(beginning.len()).or_default() += 1;
        }
    }

    fn remove(&mut self, beginning: &str) {
        if self.numbers.remove(beginning).is_some()
            && let Entry::Occupied(mut count) = self.lengths.entry(beginning.len())
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Those that a channel begins with, the shortest first.
    fn of(&self, channel: &str) -> impl Iterator<Item = u32> {
        let beginnings = self.lengths.keys().filter_map(|len| channel.get(..*len));
        beginnings.filter_map(|beginning| self.numbers.get(beginning).copied())
    }
}

impl Watches {
    /// Patterns with subscribers here.
    pub(crate) fn own(&self) -> usize {
        self.own
    }

    pub(crate) fn find(&self, pattern: &ChannelPattern) -> Option<u32> {
        self.by_name.get(pattern).copied()
    }

    /// What was found out about patterns holds as long as this stays the same.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The number of a pattern, made if need be; the caller subscribes somebody to it.
    pub(crate) fn number(&mut self, pattern: &ChannelPattern) -> u32 {
        if let Some(number) = self.find(pattern) {
            return number;
        }
        let watch = Watch { pattern: pattern.clone(), shards: ShardSet::default(), row: None };
        let number = match self.free.pop() {
            Some(number) => {
                self.watches[number as usize] = Some(watch);
                number
            }
            None => {
                self.watches.push(Some(watch));
                (self.watches.len() - 1) as u32
            }
        };
        self.by_name.insert(pattern.clone(), number);
        let beginnings = self.by_namespace.entry(pattern.namespace().into()).or_default();
        beginnings.insert(beginning_of(pattern), number);
        self.generation += 1;
        number
    }

    /// Where the subscribers here stand.
    pub(crate) fn row(&self, number: u32) -> Option<Row> {
        self.watches.get(number as usize)?.as_ref()?.row
    }

    /// Notes where the subscribers here stand, or that there are none any more. Answers the pattern.
    pub(crate) fn set_row(&mut self, number: u32, row: Option<Row>) -> Option<ChannelPattern> {
        let watch = self.watches.get_mut(number as usize)?.as_mut()?;
        self.own += usize::from(row.is_some());
        self.own -= usize::from(watch.row.is_some());
        watch.row = row;
        let pattern = watch.pattern.clone();
        self.release(number);
        Some(pattern)
    }

    /// Another shard has subscribers, or has none any more.
    pub(crate) fn set_shard(&mut self, pattern: &ChannelPattern, shard: u16, present: bool) {
        let number = self.number(pattern);
        if let Some(watch) = &mut self.watches[number as usize] {
            watch.shards.set(shard, present);
        }
        self.release(number);
    }

    fn release(&mut self, number: u32) {
        let Some(Some(watch)) = self.watches.get(number as usize) else { return };
        if watch.row.is_some() || !watch.shards.is_empty() {
            return;
        }
        let namespace = watch.pattern.namespace();
        if let Some(beginnings) = self.by_namespace.get_mut(namespace) {
            beginnings.remove(beginning_of(&watch.pattern));
            if beginnings.numbers.is_empty() {
                self.by_namespace.remove(namespace);
            }
        }
        self.generation += 1;
        self.by_name.remove(&watch.pattern);
        self.watches[number as usize] = None;
        self.free.push(number);
    }

    fn matching<'a>(&'a self, channel: &'a str) -> impl Iterator<Item = &'a Watch> {
        let namespace = channel.split_once(':').map_or("", |(namespace, _)| namespace);
        let beginnings = self.by_namespace.get(namespace).into_iter();
        let numbers = beginnings.flat_map(move |beginnings| beginnings.of(channel));
        numbers.filter_map(|number| self.watches.get(number as usize)?.as_ref())
    }

    /// Whether anybody, wherever, gets what is published on a channel.
    pub(crate) fn watch(&self, channel: &str) -> bool {
        !self.by_name.is_empty() && self.matching(channel).next().is_some()
    }

    /// The other shards in which somebody does.
    pub(crate) fn shards(&self, channel: &str) -> ShardSet {
        self.matching(channel).fold(ShardSet::default(), |all, watch| all.with(watch.shards))
    }

    /// The rows of those who do here.
    pub(crate) fn rows(&self, channel: &str) -> Rows {
        self.matching(channel).filter_map(|watch| watch.row).collect()
    }
}

fn beginning_of(pattern: &ChannelPattern) -> &str {
    pattern.beginning().unwrap_or(pattern.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Found by their beginnings are those that cover the channel, whatever else comes and goes.
        #[test]
        fn patterns_are_found_by_what_channels_begin_with(
            steps in prop::collection::vec(("[ab]:[xyz]{0,4}", 0..2_u8), 1..40),
            channels in prop::collection::vec("[ab]:[xyz]{1,6}", 1..10),
        ) {
            let mut watches = Watches::default();
            let mut there = std::collections::BTreeSet::new();
            for (beginning, present) in steps {
                let (name, present) = (format!("{beginning}*"), present == 1);
                let before = watches.generation();
                watches.set_shard(&pattern(&name), 1, present);
                let changed =
                    if present { there.insert(name.clone()) } else { there.remove(&name) };
                prop_assert!(!changed || watches.generation() != before);
            }
            for channel in &channels {
                let found: Vec<&str> =
                    watches.matching(channel).map(|watch| watch.pattern.as_str()).collect();
                let mut expected: Vec<&str> = there.iter().map(String::as_str).collect();
                expected.retain(|name| pattern(name).covers(channel));
                expected.sort_by_key(|name| name.len());
                prop_assert_eq!(found, expected);
            }
        }
    }

    fn pattern(name: &str) -> ChannelPattern {
        ChannelPattern::new(name).unwrap()
    }

    #[test]
    fn a_channel_is_found_by_all_patterns_that_cover_it() {
        let mut watches = Watches::default();
        for (name, row) in [("a:*", 1), ("a:eu-*", 2), ("b:*", 3)] {
            let number = watches.number(&pattern(name));
            watches.set_row(number, Some(row));
        }
        watches.set_shard(&pattern("a:us-*"), 7, true);
        watches.set_shard(&pattern("a:*"), 9, true);
        let check = |watches: &Watches, channel: &str, rows: &[Row], shards: &[u16]| {
            assert_eq!(watches.rows(channel).as_slice(), rows, "{channel}");
            assert!(watches.shards(channel).iter().eq(shards.iter().copied()), "{channel}");
            assert_eq!(watches.watch(channel), !rows.is_empty() || !shards.is_empty());
        };
        check(&watches, "a:x", &[1], &[9]);
        check(&watches, "a:eu-1", &[1, 2], &[9]);
        check(&watches, "a:us-1", &[1], &[7, 9]);
        check(&watches, "b:1", &[3], &[]);
        check(&watches, "c:1", &[], &[]);
        assert_eq!(watches.own(), 3);
        let number = watches.find(&pattern("a:*")).unwrap();
        assert_eq!(watches.set_row(number, None), Some(pattern("a:*")));
        check(&watches, "a:us-1", &[], &[7, 9]);
        watches.set_shard(&pattern("a:*"), 9, false);
        watches.set_shard(&pattern("a:us-*"), 7, false);
        check(&watches, "a:us-1", &[], &[]);
        assert_eq!((watches.own(), watches.by_name.len()), (2, 2));
        let number = watches.number(&pattern("c:*"));
        watches.set_row(number, Some(4));
        check(&watches, "c:1", &[4], &[]);
    }
}
