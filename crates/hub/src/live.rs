//! Channels and signals: what the data plane answers by itself.
//!
//! A command comes in on one connection's shard; what concerns a channel is decided at its home,
//! which may be another shard. Everything between two shards goes by `mail`, once a tick, in order:
//! so a shard that is told where a channel stands has got everything up to there before, and gets
//! everything after it. Invariants: each command is answered by one reply; a connection gets of a
//! channel exactly what has an offset above that of its ack, until it unsubscribes.
//!
//! Deliberately absent: handing batches to subscribers (see `fanout`).

use std::sync::Arc;

use hubbub_proto::command::Data;
use hubbub_proto::event::{Ack, Position, Publication, SignalEvent};
use hubbub_proto::{Channel, Command, CommandId, ConnId, Event, Identity, Reason, Refusal, UserId};
use hubbub_websocket::FrameBuilder;

use crate::batch::{self, Chunks};
use crate::channels::{Record, home_of};
use crate::connection::{Connection, Phase};
use crate::desk::Desk;
use crate::frame::opcode;
use crate::inbox::Post;
use crate::slab::At;
use crate::topics::Row;

/// Bytes of a publication's frame besides its channel and data.
const ENVELOPE: usize = 160;

/// A publication on its way to its channel's home.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) conn: ConnId,
    pub(crate) id: Option<CommandId>,
    pub(crate) channel: Channel,
    pub(crate) from: UserId,
    pub(crate) data: Data,
}

/// What a home has made of drafts in one tick, on its way to a shard with subscribers.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) channel: Channel,
    /// The offset before the first frame.
    pub(crate) after: u64,
    pub(crate) chunks: Chunks,
}

impl Parcel {
    fn frames(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.frames)).sum()
    }

    /// How much memory the frames take.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.iter().flat_map(|chunk| &chunk.bytes).map(bytes::Bytes::len).sum()
    }
}

impl Desk {
    /// Carries out a command of [`Class::Live`](hubbub_proto::command::Class::Live), or sends it to
    /// where it can be.
    pub(crate) fn live(
        &mut self,
        at: At,
        connection: &mut Connection,
        id: Option<&CommandId>,
        command: Command,
    ) {
        let identity = connection.session().and_then(|session| session.identity().cloned());
        let Some(identity) = identity else { return };
        let outcome = match command {
            Command::Subscribe(target) => {
                self.subscribe(at, connection, &identity, id, &target.channel)
            }
            Command::Unsubscribe(target) => {
                self.unsubscribe(at, connection, &target.channel);
                Ok(Some(Ack::Done))
            }
            Command::Publish(publish) => {
                let (conn, from) = (self.conn_id(at), identity.user.clone());
                let (channel, data) = (publish.channel, publish.data);
                match self.settings.rules.publish(&channel, &identity) {
                    Ok(()) => self.publish(Draft { conn, id: id.cloned(), channel, from, data }),
                    Err(reason) => Err(reason),
                }
            }
            Command::Signal(signal) => match self.settings.rules.signal(&identity) {
                Ok(()) => {
                    self.signal(signal.to, identity.user.clone(), signal.data);
                    Ok(Some(Ack::Done))
                }
                Err(reason) => Err(reason),
            },
            // Of another class; answered all the same.
            _ => Ok(Some(Ack::Done)),
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(ack)) => self.on_reply(at, connection, id, &Ok(ack)),
            Err(reason) => self.on_reply(at, connection, id, &Err(reason.into())),
        }
    }

    /// `None` where the home was asked.
    fn subscribe(
        &mut self,
        at: At,
        connection: &mut Connection,
        identity: &Arc<Identity>,
        id: Option<&CommandId>,
        channel: &Channel,
    ) -> Result<Option<Ack>, Reason> {
        self.settings.rules.subscribe(channel, identity)?;
        let home = home_of(channel, self.settings.inboxes.len());
        let record = if home == self.shard {
            self.channels.at_home(channel, self.now)?
        } else {
            let record = self.channels.abroad(channel);
            let known = self.channels.get(record).is_some_and(|record| record.row.is_some());
            if !known {
                if let Some(record) = self.channels.get_mut(record) {
                    record.subscribing += 1;
                }
                let (conn, id, channel) = (self.conn_id(at), id.cloned(), channel.clone());
                self.mail(home, Post::Subscribe { conn, id, channel });
                // An `unsubscribe` right behind it must not be done before it.
                if let Some(session) = connection.session() {
                    session.hold();
                }
                return Ok(None);
            }
            record
        };
        self.join_channel(at, connection, record).map(Some)
    }

    /// Enters a connection into a channel and says where it stands.
    fn join_channel(
        &mut self,
        at: At,
        connection: &mut Connection,
        index: u32,
    ) -> Result<Ack, Reason> {
        // Where it is subscribed already, what comes before its ack has an offset up to there.
        self.catch_up(at, connection, index);
        if connection.phase != Phase::Open {
            // Its socket failed meanwhile, and it stands in no table any more.
            return Err(Reason::Internal);
        }
        let Self { channels, topics, limits, .. } = self;
        let Some(record) = channels.get_mut(index) else { return Err(Reason::Internal) };
        if record.row.is_none_or(|row| !topics.is_subscribed(row, at.slot)) {
            if topics.channels(at.slot) >= usize::from(limits.subscriptions_max) {
                return Err(Reason::TooManySubscriptions);
            }
            let row = *record.row.get_or_insert_with(|| topics.channel_row(index));
            topics.subscribe(row, at.slot);
        }
        if !record.pending.is_empty() {
            record.late.push((at.slot, record.pending.mark()));
        }
        Ok(Ack::Channel(record.position(Some(record.channel.clone()))))
    }

    fn unsubscribe(&mut self, at: At, connection: &mut Connection, channel: &Channel) {
        let Some(index) = self.channels.find(channel) else { return };
        self.catch_up(at, connection, index);
        if let Some(row) = self.channels.get(index).and_then(|record| record.row) {
            self.topics.unsubscribe(row, at.slot);
            self.settle_emptied();
        }
    }

    /// Gives a subscriber what was published so far in this tick; the caller sees to it that it
    /// does not get it again.
    fn catch_up(&mut self, at: At, connection: &mut Connection, index: u32) {
        let Some(record) = self.channels.get_mut(index) else { return };
        let is_subscribed = record.row.is_some_and(|row| self.topics.is_subscribed(row, at.slot));
        if record.pending.is_empty() || !is_subscribed {
            return;
        }
        let late = record.late.iter().rev().find(|(slot, _)| *slot == at.slot);
        let from = late.map(|(_, mark)| *mark).unwrap_or_default();
        for chunk in record.pending.since(&from) {
            self.give_later(at, connection, &chunk);
        }
    }

    /// Tells homes of channels that nobody here is subscribed to any more.
    pub(crate) fn settle_emptied(&mut self) {
        while let Some(index) = self.topics.emptied.pop() {
            if let Some(record) = self.channels.get_mut(index) {
                record.row = None;
                if let Some(home) = &mut record.home {
                    home.used_at = self.now;
                }
            }
            self.release(index);
        }
    }

    fn release(&mut self, index: u32) {
        if let Some(channel) = self.channels.release(index) {
            let home = home_of(&channel, self.settings.inboxes.len());
            self.mail(home, Post::Unsubscribe { shard: self.shard, channel });
        }
    }

    /// Gives a draft its place, here or by way of its home; `None` where the home will answer.
    fn publish(&mut self, draft: Draft) -> Result<Option<Ack>, Reason> {
        let home = home_of(&draft.channel, self.settings.inboxes.len());
        if home == self.shard {
            return self.sequence(draft).map(|position| Some(Ack::Channel(position)));
        }
        self.stats.crossings.add(1);
        self.mail(home, Post::Draft(Box::new(draft)));
        Ok(None)
    }

    /// At the home: allots an offset, and frames the publication if anybody gets it.
    fn sequence(&mut self, draft: Draft) -> Result<Position, Reason> {
        let index = self.channels.at_home(&draft.channel, self.now)?;
        let Some(record) = self.channels.get_mut(index) else { return Err(Reason::Internal) };
        record.offset += 1;
        self.stats.sequenced.add(1);
        if record.is_heard() {
            let Draft { channel, from, data, .. } = draft;
            let (offset, now) = (record.offset, self.now);
            let len_hint =
                ENVELOPE + channel.as_str().len() + from.as_str().len() + data.get().len();
            let event = Event::Publication(Publication { channel, offset, from, data });
            record.pending.push(self.chunk_limits, len_hint, |codec, out| {
                let mut frame = FrameBuilder::begin(out, opcode(codec), len_hint);
                codec.encode_event(&event, now, frame.buffer());
                frame.finish();
            });
            list(record, index, &mut self.batches);
        }
        Ok(record.position(None))
    }

    /// To the user's connections at the end of the tick, here and in the other shards.
    fn signal(&mut self, to: UserId, from: UserId, data: Data) {
        self.stats.signals.add(1);
        let event = SignalEvent { from, data };
        for shard in 0..self.settings.inboxes.len() as u16 {
            if shard != self.shard {
                self.stats.crossings.add(1);
                self.mail(shard, Post::Signal { to: to.clone(), event: event.clone() });
            }
        }
        self.signals.push((to, Event::Signal(event)));
    }

    /// For another shard, or for a caller without a connection, at the end of the tick.
    pub(crate) fn mail(&mut self, shard: u16, post: Post) {
        if shard == ConnId::RECEPTION {
            return self.answer_call(post);
        }
        if let Some(bag) = self.outgoing.get_mut(usize::from(shard)) {
            bag.push(post);
        }
    }

    /// At the home: a shard without subscribers so far has one now.
    pub(crate) fn on_subscribe(&mut self, conn: ConnId, id: Option<CommandId>, channel: Channel) {
        let outcome = self.channels.at_home(&channel, self.now).and_then(|index| {
            // What was published up to now is before its position, for that shard's other
            // subscribers it must have come by then.
            self.post_batch(index);
            let record = self.channels.get_mut(index).ok_or(Reason::Internal)?;
            if let Some(home) = &mut record.home {
                home.shards.set(conn.shard, true);
            }
            Ok(record.position(None))
        });
        self.mail(conn.shard, Post::Subscribed { conn, id, channel, outcome });
    }

    /// At the home: a shard has no subscribers any more.
    pub(crate) fn on_unsubscribe(&mut self, shard: u16, channel: &Channel) {
        let Some(index) = self.channels.find(channel) else { return };
        let now = self.now;
        if let Some(home) = self.channels.get_mut(index).and_then(|record| record.home.as_mut()) {
            home.shards.set(shard, false);
            home.used_at = now;
        }
    }

    /// At the home: a publication from another shard.
    pub(crate) fn on_draft(&mut self, draft: Draft) {
        let (conn, id) = (draft.conn, draft.id.clone());
        let outcome = self.sequence(draft).map(Ack::Channel).map_err(Refusal::from);
        self.mail(conn.shard, Post::Reply { conn, id, outcome });
    }

    /// The home has answered. `connection` is who asked, if it is still there.
    pub(crate) fn on_subscribed(
        &mut self,
        asked: Option<(At, &mut Connection)>,
        id: Option<&CommandId>,
        channel: &Channel,
        outcome: Result<Position, Reason>,
    ) {
        let Some(index) = self.channels.find(channel) else { return };
        if let Some(record) = self.channels.get_mut(index) {
            record.subscribing = record.subscribing.saturating_sub(1);
            if let Ok(position) = &outcome
                && record.row.is_none()
            {
                record.epoch = position.epoch;
                record.offset = position.offset;
            }
        }
        if let Some((at, connection)) = asked
            && connection.phase == Phase::Open
        {
            let outcome = outcome.and_then(|_| self.join_channel(at, connection, index));
            self.on_reply(at, connection, id, &outcome.map_err(Refusal::from));
        }
        self.release(index);
    }

    /// What the home has sequenced. Answers the row of those who miss something of it, because it
    /// was dropped where this shard was behind.
    pub(crate) fn on_parcel(&mut self, parcel: Parcel) -> Option<Row> {
        let index = self.channels.find(&parcel.channel)?;
        let record = self.channels.get_mut(index)?;
        let row = record.row?;
        let gap = record.offset != parcel.after;
        record.offset = parcel.after + parcel.frames();
        for chunk in parcel.chunks {
            record.pending.append(chunk);
        }
        list(record, index, &mut self.batches);
        gap.then_some(row)
    }

    /// At the home: sends what was sequenced since the last time to the other shards with
    /// subscribers.
    pub(crate) fn post_batch(&mut self, index: u32) {
        let Some(record) = self.channels.get_mut(index) else { return };
        let Some(home) = &mut record.home else { return };
        if record.pending.is_empty() {
            return;
        }
        let shards = home.shards;
        if shards.is_empty() {
            home.posted = record.pending.mark();
            return;
        }
        let chunks = record.pending.since(&home.posted);
        home.posted = record.pending.mark();
        if chunks.is_empty() {
            return;
        }
        let mut parcel = Parcel { channel: record.channel.clone(), after: record.offset, chunks };
        parcel.after -= parcel.frames();
        for shard in shards.iter() {
            self.stats.crossings.add(1);
            self.mail(shard, Post::Parcel(Box::new(parcel.clone())));
        }
    }

    /// Takes the batch of a channel for its subscribers here, and posts it to the other shards.
    pub(crate) fn take_batch(&mut self, index: u32) -> Option<Outgoing> {
        self.post_batch(index);
        let record = self.channels.get_mut(index)?;
        record.listed = false;
        if let Some(home) = &mut record.home {
            home.posted = Default::default();
        }
        let chunks = record.pending.take();
        let late = std::mem::take(&mut record.late);
        let row = record.row?;
        if chunks.is_empty() {
            return None;
        }
        Some(Outgoing { row, late, chunks })
    }
}

/// A batch on its way to the subscribers of one shard.
pub(crate) struct Outgoing {
    pub(crate) row: Row,
    /// Who joined when some of it was there already.
    pub(crate) late: Vec<(u32, batch::Mark)>,
    pub(crate) chunks: Chunks,
}

fn list(record: &mut Record, index: u32, batches: &mut Vec<u32>) {
    if !record.listed {
        record.listed = true;
        batches.push(index);
    }
}
