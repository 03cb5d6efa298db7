//! The channels that a shard knows: those it is home to, and those it has subscribers of.
//!
//! A channel's home is found by its name. The home allots the offsets and knows which other shards
//! have subscribers; those know where they stand. Invariants: a record is there as long as somebody
//! here is subscribed or about to be, and at its home until it has been unused for a while and
//! nothing is kept of it any more; an epoch names one life of a record at its home, and within it no
//! offset is given out twice.
//!
//! Deliberately absent: connections, and the frames' way to them (see `live` and `fanout`).

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};

use hubbub_proto::command::{
    CHANNEL_HISTORY_LIMIT_MAX, CHANNEL_PRESENCE_LIMIT_MAX, ChannelHistory, ChannelPosition,
    ChannelPresence,
};
use hubbub_proto::event::{
    ChannelHistoryPage, ChannelPresencePage, Epoch, Kept, KeptList, Position,
};
use hubbub_proto::{Channel, Reason, Timestamp, UserId};
use rustc_hash::{FxHashMap, FxHasher};

use crate::batch::{Chunks, Mark, Pending};
use crate::history::{Extent, History, Portion, Shelf};
use crate::roster::{Entered, Roster};
use crate::topics::Row;
use crate::watches::Watches;

/// Which of `shards` a channel is at home in.
pub(crate) fn home_of(channel: &Channel, shards: usize) -> u16 {
    if shards < 2 {
        return 0;
    }
    let mut hasher = FxHasher::default();
    hasher.write(channel.as_str().as_bytes());
    (hasher.finish() % shards as u64) as u16
}

/// A set of shards.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct ShardSet([u64; 4]);

impl ShardSet {
    pub(crate) fn set(&mut self, shard: u16, present: bool) {
        let bit = 1 << (shard % 64);
        let word = &mut self.0[usize::from(shard / 64) % 4];
        *word = if present { *word | bit } else { *word & !bit };
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = u16> {
        (0..256_u16).filter(move |shard| self.0[usize::from(shard / 64)] >> (shard % 64) & 1 == 1)
    }
}

/// What only the home knows.
#[derive(Debug, Default)]
pub(crate) struct Home {
    /// The other shards with subscribers.
    pub(crate) shards: ShardSet,
    pub(crate) used_at: Timestamp,
    /// What of the batch the other shards have been sent already.
    pub(crate) posted: Mark,
    /// The last offset before what they have not been sent.
    pub(crate) posted_offset: u64,
    pub(crate) traits: Traits,
    /// Where the namespace keeps any.
    pub(crate) history: Option<Box<History>>,
    /// Who is subscribed, where the namespace tracks it.
    pub(crate) roster: Option<Box<Roster>>,
    /// On the list of channels to which somebody came or from which somebody went.
    pub(crate) restless: bool,
}

/// What the rules of its namespace make of a channel.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Traits {
    /// How much is kept, if anything is.
    pub(crate) extent: Option<Extent>,
    pub(crate) recover: bool,
    pub(crate) cache: bool,
    /// Publications have no place in an order, and are dropped where a receiver is behind.
    pub(crate) volatile: bool,
    /// It is kept who is subscribed.
    pub(crate) tracked: bool,
    /// So many are told of each other.
    pub(crate) told_max: usize,
}

/// How a channel stands for one who subscribes.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) position: Position,
    pub(crate) recovered: Option<bool>,
    pub(crate) publications: Option<KeptList>,
}

/// A channel as one shard sees it.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) channel: Channel,
    pub(crate) epoch: Epoch,
    /// The last offset given out, or the last one that came from the home.
    pub(crate) offset: u64,
    /// Where its subscribers here stand in the topics.
    pub(crate) row: Option<Row>,
    /// Subscriptions for which the home was asked.
    pub(crate) subscribing: u32,
    pub(crate) home: Option<Home>,
    /// The batch of this tick.
    pub(crate) pending: Pending,
    /// Who joined in the middle of it.
    pub(crate) late: Vec<(u32, Mark)>,
    /// On the list of channels with a batch.
    pub(crate) listed: bool,
    /// It is kept who is subscribed.
    pub(crate) tracked: bool,
    /// Its home was asked, and is told once nobody here needs it.
    pub(crate) asked: bool,
    /// Somebody gets it by a pattern; as of then.
    pub(crate) watched: bool,
    watched_in: u64,
}

impl Record {
    fn new(channel: Channel, epoch: Epoch, home: Option<Home>, tracked: bool) -> Self {
        Self {
            channel,
            epoch,
            offset: 0,
            row: None,
            subscribing: 0,
            home,
            pending: Pending::default(),
            late: Vec::new(),
            listed: false,
            tracked,
            asked: false,
            watched: false,
            watched_in: 0,
        }
    }

    pub(crate) fn position(&self) -> Position {
        Position { offset: self.offset, epoch: self.epoch }
    }

    /// Whether anybody would get what is published now.
    pub(crate) fn is_heard(&self) -> bool {
        self.watched || self.is_subscribed()
    }

    fn is_subscribed(&self) -> bool {
        self.row.is_some() || self.home.as_ref().is_some_and(|home| !home.shards.is_empty())
    }

    /// Before something is added to the batch and counted: notes where what other shards have not
    /// been sent begins, if it is the first of it.
    pub(crate) fn begin_post(&mut self) {
        if let Some(home) = &mut self.home
            && home.posted == self.pending.mark()
        {
            home.posted_offset = self.offset;
        }
    }

    /// What of the batch other shards have not been sent; from here on they have. Nothing is put
    /// together where it is for nobody.
    pub(crate) fn post(&mut self, is_for_somebody: bool) -> Option<Unsent> {
        let home = self.home.as_mut()?;
        let after = home.posted_offset;
        let chunks = is_for_somebody.then(|| self.pending.since(&home.posted));
        home.posted = self.pending.closed_mark();
        let chunks = chunks.filter(|chunks| !chunks.is_empty())?;
        Some(Unsent { after, chunks })
    }

    fn history(&mut self) -> Option<&mut History> {
        self.home.as_mut()?.history.as_deref_mut()
    }

    fn is_used(&self) -> bool {
        self.is_subscribed() || self.subscribing > 0 || self.listed
    }
}

/// What other shards get of a batch at once.
pub(crate) struct Unsent {
    /// The offset before it.
    pub(crate) after: u64,
    pub(crate) chunks: Chunks,
}

/// How many channels a home keeps, how much of them, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeping {
    pub(crate) channels_max: usize,
    pub(crate) idle_ms: u64,
    /// Of what was published on all of them.
    pub(crate) history_bytes_max: usize,
    /// What one answer may hold of it.
    pub(crate) portion: Portion,
    /// Most users that are kept as subscribed, over all channels.
    pub(crate) members_max: usize,
    /// Most patterns with subscribers.
    pub(crate) patterns_max: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Channels {
    keeping: Keeping,
    by_name: FxHashMap<Channel, u32>,
    records: Vec<Option<Record>>,
    free: Vec<u32>,
    /// Records that are at home here.
    homes: usize,
    /// Each of them, with the moment at which to look whether it is still used.
    looks: VecDeque<(Timestamp, u32)>,
    epochs: RandomState,
    made: u64,
    shelf: Shelf,
    pub(crate) watches: Watches,
    /// Users kept as subscribed, over all channels.
    members: usize,
    /// Channels to which somebody came or from which somebody went.
    restless: Vec<Channel>,
}

impl Channels {
    pub(crate) fn new(keeping: Keeping) -> Self {
        Self {
            keeping,
            by_name: FxHashMap::default(),
            records: Vec::new(),
            free: Vec::new(),
            homes: 0,
            looks: VecDeque::new(),
            epochs: RandomState::new(),
            made: 0,
            shelf: Shelf::default(),
            watches: Watches::default(),
            members: 0,
            restless: Vec::new(),
        }
    }

    pub(crate) fn find(&self, channel: &Channel) -> Option<u32> {
        self.by_name.get(channel).copied()
    }

    pub(crate) fn get(&self, record: u32) -> Option<&Record> {
        self.records.get(record as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, record: u32) -> Option<&mut Record> {
        self.records.get_mut(record as usize)?.as_mut()
    }

    /// A record, and who gets channels by patterns; looked up again where patterns have come or gone
    /// since.
    pub(crate) fn with_watches(&mut self, record: u32) -> Option<(&mut Record, &Watches)> {
        let record = self.records.get_mut(record as usize)?.as_mut()?;
        if record.watched_in != self.watches.generation() {
            record.watched_in = self.watches.generation();
            record.watched = self.watches.watch(record.channel.as_str());
        }
        Some((record, &self.watches))
    }

    /// The record of a channel that is at home here; used now. `traits` says what it is like, where
    /// it is new.
    ///
    /// # Errors
    /// When there are too many.
    pub(crate) fn at_home(
        &mut self,
        channel: &Channel,
        now: Timestamp,
        traits: impl FnOnce(&Channel) -> Traits,
    ) -> Result<u32, Reason> {
        if let Some(index) = self.find(channel) {
            if let Some(home) = self.get_mut(index).and_then(|record| record.home.as_mut()) {
                home.used_at = now;
            }
            return Ok(index);
        }
        if self.homes >= self.keeping.channels_max {
            return Err(Reason::TooManyChannels);
        }
        self.made += 1;
        let epoch = Epoch(self.epochs.hash_one(self.made) as u32);
        let traits = traits(channel);
        let history = traits.extent.map(|extent| Box::new(History::new(extent)));
        let roster = traits.tracked.then(|| Box::new(Roster::new(traits.told_max)));
        let home = Home { used_at: now, traits, history, roster, ..Home::default() };
        let index = self.insert(Record::new(channel.clone(), epoch, Some(home), traits.tracked));
        self.homes += 1;
        self.looks.push_back((now.plus_ms(self.keeping.idle_ms), index));
        Ok(index)
    }

    /// The record of a channel that is at home elsewhere.
    pub(crate) fn abroad(&mut self, channel: &Channel, tracked: bool) -> u32 {
        match self.find(channel) {
            Some(index) => index,
            None => self.insert(Record::new(channel.clone(), Epoch(0), None, tracked)),
        }
    }

    fn insert(&mut self, mut record: Record) -> u32 {
        record.watched_in = self.watches.generation();
        record.watched = self.watches.watch(record.channel.as_str());
        let channel = record.channel.clone();
        let index = match self.free.pop() {
            Some(index) => {
                self.records[index as usize] = Some(record);
                index
            }
            None => {
                self.records.push(Some(record));
                (self.records.len() - 1) as u32
            }
        };
        self.by_name.insert(channel, index);
        index
    }

    /// Forgets a record that is not at home here once nobody needs it and its batch was taken;
    /// answers its channel where its home was asked and so is to be told.
    pub(crate) fn release(&mut self, index: u32) -> Option<Channel> {
        let record = self.get(index)?;
        if record.home.is_some() || record.is_used() {
            return None;
        }
        let asked = record.asked;
        self.remove(index).filter(|_| asked)
    }

    /// At the home: a connection of a user came or went. Answers what became of who came.
    pub(crate) fn move_member(
        &mut self,
        index: u32,
        user: &UserId,
        joined: bool,
    ) -> Option<Entered> {
        let has_room = self.members < self.keeping.members_max;
        let record = self.records.get_mut(index as usize)?.as_mut()?;
        let home = record.home.as_mut()?;
        let roster = home.roster.as_mut()?;
        let before = roster.len();
        let entered = if joined {
            Some(roster.enter(user, has_room))
        } else {
            roster.leave(user);
            None
        };
        self.members = self.members + roster.len() - before;
        if roster.is_restless() && !std::mem::replace(&mut home.restless, true) {
            self.restless.push(record.channel.clone());
        }
        entered
    }

    /// At the home: who came and who left, by channel, since the last time.
    pub(crate) fn settle_members(&mut self) -> Vec<(u32, Vec<(UserId, bool)>)> {
        let mut all = Vec::new();
        for channel in std::mem::take(&mut self.restless) {
            let Some(index) = self.find(&channel) else { continue };
            let record = self.records.get_mut(index as usize).and_then(Option::as_mut);
            let Some(home) = record.and_then(|record| record.home.as_mut()) else { continue };
            home.restless = false;
            let Some(roster) = &mut home.roster else { continue };
            let before = roster.len();
            let moves = roster.settle();
            self.members = self.members + roster.len() - before;
            if !moves.is_empty() {
                all.push((index, moves));
            }
        }
        all
    }

    /// At the home: a page of those who are subscribed.
    pub(crate) fn members_of(&self, wanted: &ChannelPresence) -> ChannelPresencePage {
        let limit = wanted.limit.min(CHANNEL_PRESENCE_LIMIT_MAX) as usize;
        let record = self.find(&wanted.channel).and_then(|index| self.get(index));
        let roster = record.and_then(|record| record.home.as_ref()?.roster.as_ref());
        match roster {
            Some(roster) => roster.page(wanted.after.as_ref(), limit),
            None => ChannelPresencePage { users: Vec::new(), total: 0, more: false },
        }
    }

    /// Users that are kept as subscribed, over all channels.
    pub(crate) fn members(&self) -> usize {
        self.members
    }

    fn remove(&mut self, index: u32) -> Option<Channel> {
        let mut record = self.records.get_mut(index as usize)?.take()?;
        self.by_name.remove(&record.channel);
        self.homes -= usize::from(record.home.is_some());
        if let Some(history) = record.history() {
            self.shelf.change(history, History::clear);
        }
        let roster = record.home.as_ref().and_then(|home| home.roster.as_ref());
        self.members -= roster.map_or(0, |roster| roster.len());
        self.free.push(index);
        Some(record.channel)
    }

    /// Forgets what has been unused for `idle_ms`; it is noticed within another `idle_ms`.
    pub(crate) fn expire(&mut self, now: Timestamp) -> u64 {
        let mut expired = 0;
        while let Some((at, index)) = self.looks.front().copied()
            && at <= now
        {
            self.looks.pop_front();
            let idle_ms = self.keeping.idle_ms;
            self.prune(index, now);
            let Some(record) = self.get(index) else { continue };
            let Some(home) = &record.home else { continue };
            let is_kept = home.history.as_ref().is_some_and(|history| !history.is_empty());
            if !record.is_used() && !is_kept && now.since(home.used_at) >= idle_ms {
                self.remove(index);
                expired += 1;
            } else {
                self.looks.push_back((now.plus_ms(idle_ms.max(1)), index));
            }
        }
        expired
    }

    /// The history of a record, and the shelf.
    fn history(&mut self, index: u32) -> Option<(&mut History, &mut Shelf)> {
        let record = self.records.get_mut(index as usize)?.as_mut()?;
        Some((record.history()?, &mut self.shelf))
    }

    /// Drops what is too old of a channel's history.
    fn prune(&mut self, index: u32, now: Timestamp) {
        if let Some((history, shelf)) = self.history(index) {
            shelf.change(history, |history| history.prune(now));
        }
    }

    /// Drops what is too old of a channel's history, and notes that somebody uses the rest.
    fn look_up(&mut self, index: u32, now: Timestamp) {
        self.prune(index, now);
        if let Some((history, shelf)) = self.history(index)
            && !history.is_empty()
        {
            shelf.touch(index, history);
        }
    }

    /// At the home: keeps a publication, where any are kept. Answers how many channels lost their
    /// history for it.
    pub(crate) fn keep(&mut self, index: u32, kept: Kept) -> u64 {
        let bytes_max = self.keeping.history_bytes_max;
        let Some((history, shelf)) = self.history(index) else { return 0 };
        shelf.touch(index, history);
        shelf.change(history, |history| history.push(kept));
        let mut dropped = 0;
        while let Some(index) = self.shelf.excess(bytes_max)
            && let Some((history, shelf)) = self.history(index)
        {
            shelf.change(history, History::clear);
            dropped += 1;
        }
        dropped
    }

    /// At the home: how a channel stands, and what one who was at `recover` has missed.
    pub(crate) fn standing(
        &mut self,
        index: u32,
        recover: Option<ChannelPosition>,
        now: Timestamp,
    ) -> Result<Standing, Reason> {
        self.look_up(index, now);
        let portion = self.keeping.portion;
        let record = self.get_mut(index).ok_or(Reason::Internal)?;
        let position = record.position();
        let home = record.home.as_mut().ok_or(Reason::Internal)?;
        let (traits, history) = (home.traits, &mut home.history);
        let missed = recover
            .filter(|known| traits.recover && known.epoch == position.epoch)
            .and_then(|known| match history {
                Some(history) => history.since(known.offset, position.offset, portion),
                // Without a history, whoever has missed nothing has missed nothing.
                None => (known.offset == position.offset).then(|| KeptList::from([])),
            });
        let recovered = recover.map(|_| missed.is_some());
        let last = |history: &mut Option<Box<History>>| history.as_mut()?.last();
        let publications = missed.or_else(|| if traits.cache { last(history) } else { None });
        Ok(Standing { position, recovered, publications })
    }

    /// At the home: a page of what is kept of a channel. Asking does not make one: of a channel that
    /// is not there nothing is kept, and no epoch of it is known.
    pub(crate) fn page(
        &mut self,
        wanted: &ChannelHistory,
        now: Timestamp,
    ) -> Result<ChannelHistoryPage, Reason> {
        let Some(index) = self.find(&wanted.channel) else {
            let publications = KeptList::from([]);
            let nothing =
                ChannelHistoryPage { publications, offset: 0, epoch: Epoch(0), more: false };
            return if wanted.epoch.is_some() { Err(Reason::BadRange) } else { Ok(nothing) };
        };
        self.look_up(index, now);
        let bytes = self.keeping.portion.bytes;
        let record = self.get_mut(index).ok_or(Reason::Internal)?;
        let Position { offset, epoch } = record.position();
        if wanted.epoch.is_some_and(|known| known != epoch) {
            return Err(Reason::BadRange);
        }
        let portion = Portion { size: wanted.limit.min(CHANNEL_HISTORY_LIMIT_MAX) as usize, bytes };
        let history = record.home.as_mut().and_then(|home| home.history.as_mut());
        let page = history.map(|history| match (wanted.after, wanted.before) {
            (Some(after), _) => history.after(after, portion),
            (None, before) => history.before(before.unwrap_or(u64::MAX), portion),
        });
        let (publications, more) =
            page.map_or_else(|| (KeptList::from([]), false), |page| (page.list, page.more));
        Ok(ChannelHistoryPage { publications, offset, epoch, more })
    }

    /// Bytes that are kept of what was published.
    pub(crate) fn history_bytes(&self) -> usize {
        self.shelf.bytes()
    }

    /// Records that are at home here.
    pub(crate) fn homes(&self) -> usize {
        self.homes
    }
}

#[cfg(test)]
mod tests {
    use hubbub_proto::ChannelPattern;

    use super::*;
    use crate::batch::ChunkLimits;

    fn channel(n: u32) -> Channel {
        Channel::new(&format!("news:{n}")).unwrap()
    }

    fn channels(channels_max: usize) -> Channels {
        Channels::new(Keeping {
            channels_max,
            idle_ms: 1000,
            history_bytes_max: 10_000,
            portion: Portion { size: 100, bytes: 10_000 },
            members_max: 1000,
            patterns_max: 10,
        })
    }

    fn plain(_: &Channel) -> Traits {
        Traits::default()
    }

    #[test]
    fn shards_are_found_again() {
        let mut set = ShardSet::default();
        for shard in [0, 63, 64, 200, 255] {
            set.set(shard, true);
        }
        set.set(64, false);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 200, 255]);
        assert!(!set.is_empty());
    }

    #[test]
    fn asking_for_a_page_makes_no_channel() {
        let mut channels = channels(1);
        let ask = |epoch| ChannelHistory {
            channel: channel(1),
            after: None,
            before: None,
            epoch,
            limit: 10,
        };
        let page = channels.page(&ask(None), Timestamp(1)).unwrap();
        assert_eq!((page.publications.len(), page.offset, page.more), (0, 0, false));
        let refused = channels.page(&ask(Some(Epoch(0))), Timestamp(1)).map(|page| page.offset);
        assert_eq!(refused, Err(Reason::BadRange));
        assert_eq!(channels.homes(), 0);
        assert!(channels.at_home(&channel(2), Timestamp(1), plain).is_ok());
    }

    #[test]
    fn a_record_knows_of_patterns_that_come_and_go() {
        let mut channels = channels(2);
        let index = channels.at_home(&channel(1), Timestamp(1), plain).unwrap();
        let watched = |channels: &mut Channels| channels.with_watches(index).unwrap().0.watched;
        assert!(!watched(&mut channels));
        let pattern = ChannelPattern::new("news:*").unwrap();
        for _ in 0..2 {
            channels.watches.set_shard(&pattern, 1, true);
            assert!(watched(&mut channels));
            channels.watches.set_shard(&pattern, 1, false);
            assert!(!watched(&mut channels));
        }
    }

    #[test]
    fn homes_are_spread_and_stay() {
        let mut counts = [0; 3];
        for n in 0..3000 {
            let home = home_of(&channel(n), 3);
            assert_eq!(home, home_of(&channel(n), 3));
            counts[usize::from(home)] += 1;
        }
        assert!(counts.iter().all(|count| (700..1300).contains(count)), "{counts:?}");
    }

    #[test]
    fn no_more_channels_than_the_limit_and_room_again_after_a_while() {
        let mut channels = channels(3);
        for n in 0..3 {
            channels.at_home(&channel(n), Timestamp(10), plain).unwrap();
        }
        assert_eq!(
            channels.at_home(&channel(3), Timestamp(10), plain),
            Err(Reason::TooManyChannels)
        );
        assert!(channels.at_home(&channel(0), Timestamp(900), plain).is_ok(), "it is there");
        let elsewhere = channels.abroad(&channel(9), false);
        assert_eq!(channels.expire(Timestamp(1009)), 0);
        assert_eq!(channels.expire(Timestamp(1010)), 2);
        assert_eq!(channels.homes(), 1);
        assert!(channels.find(&channel(0)).is_some(), "it was used since");
        assert!(channels.at_home(&channel(3), Timestamp(1010), plain).is_ok());
        assert_eq!(channels.expire(Timestamp(2010)), 2);
        let record = channels.get_mut(elsewhere).unwrap();
        (record.asked, record.listed) = (true, true);
        assert_eq!(channels.release(elsewhere), None, "its batch is for patterns as well");
        assert!(channels.find(&channel(9)).is_some());
        channels.get_mut(elsewhere).unwrap().listed = false;
        assert_eq!(channels.release(elsewhere), Some(channel(9)));
        let elsewhere = channels.abroad(&channel(9), false);
        assert_eq!(channels.release(elsewhere), None, "its home never heard of this shard");
        assert!(channels.find(&channel(9)).is_none());
    }

    #[test]
    fn what_was_for_nobody_is_before_what_is_sent_later() {
        let limits = ChunkLimits { bytes: 1000, frames: 100 };
        let mut record = Record::new(channel(1), Epoch(1), Some(Home::default()), false);
        let publish = |record: &mut Record| {
            record.begin_post();
            record.offset += 1;
            record.pending.push(limits, 1, |_, out| out.push(b'x'));
        };
        publish(&mut record);
        assert!(record.post(false).is_none());
        // Somebody here joins, who has to be given what there is of the batch.
        assert_eq!(record.pending.since(&Mark::default()).len(), 1);
        publish(&mut record);
        publish(&mut record);
        let post = record.post(true).unwrap();
        let frames: u32 = post.chunks.iter().map(|chunk| chunk.frames).sum();
        assert_eq!((post.after, frames), (1, 2));
        assert!(record.post(true).is_none());
    }

    #[test]
    fn what_is_subscribed_to_stays_and_a_new_life_has_a_new_epoch() {
        let mut channels = channels(10);
        let mut now = Timestamp(0);
        let mut epochs = Vec::new();
        for _ in 0..3 {
            let index = channels.at_home(&channel(1), now, plain).unwrap();
            let record = channels.get_mut(index).unwrap();
            assert_eq!(record.offset, 0);
            record.offset = 7;
            record.row = Some(1);
            epochs.push(record.epoch);
            now = now.plus_ms(5000);
            assert_eq!(channels.expire(now), 0);
            channels.get_mut(index).unwrap().row = None;
            now = now.plus_ms(1000);
            assert_eq!(channels.expire(now), 1);
        }
        epochs.sort_by_key(|epoch| epoch.0);
        epochs.dedup();
        assert_eq!(epochs.len(), 3);
    }
}
