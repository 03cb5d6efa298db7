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

use hubbub_proto::command::{ChannelHistory, ChannelPosition, Data, Publish, Subscribe};
use hubbub_proto::event::{Ack, Kept, Position, Publication, SignalEvent, Subscribed};
use hubbub_proto::{
    Channel, ClientId, Command, CommandId, ConnId, Event, Identity, Reason, Refusal, UserId,
};
use hubbub_websocket::FrameBuilder;

use crate::batch::{self, Chunks};
use crate::channels::{Record, Standing, home_of};
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
    pub(crate) client_id: Option<ClientId>,
}

/// What a home has made of drafts in one tick, on its way to a shard with subscribers.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) channel: Channel,
    /// The offset before the first publication.
    pub(crate) after: u64,
    /// That of the last one.
    pub(crate) through: u64,
    pub(crate) chunks: Chunks,
}

impl Parcel {
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
            Command::Subscribe(wanted) => self.subscribe(at, connection, &identity, id, wanted),
            Command::Unsubscribe(target) => {
                self.unsubscribe(at, connection, &target.channel);
                Ok(Some(Ack::Done))
            }
            Command::Publish(publish) => self.admit(at, &identity, id, publish),
            Command::ChannelHistory(wanted) => {
                self.channel_history(at, connection, &identity, id, wanted)
            }
            Command::Signal(signal) => match self.settings.rules.signal(&identity) {
                Ok(()) => {
                    self.signal(signal.to, identity.user.clone(), signal.data);
                    Ok(Some(Ack::Done))
                }
                Err(reason) => Err(reason.into()),
            },
            // Of another class; answered all the same.
            _ => Ok(Some(Ack::Done)),
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(ack)) => self.on_reply(at, connection, id, &Ok(ack)),
            Err(refusal) => self.on_reply(at, connection, id, &Err(refusal)),
        }
    }

    /// The record of a channel that is at home here.
    fn at_home(&mut self, channel: &Channel) -> Result<u32, Reason> {
        let rules = &self.settings.rules;
        self.channels.at_home(channel, self.now, |channel| rules.traits(channel))
    }

    /// The home that will answer a question; nothing of the connection is read until it has, so
    /// that later commands are not done before it, and answers fit into the outbox.
    fn ask(&mut self, connection: &mut Connection, home: u16, question: Post) {
        self.mail(home, question);
        if let Some(session) = connection.session() {
            session.hold();
        }
    }

    /// `None` where the home was asked.
    fn subscribe(
        &mut self,
        at: At,
        connection: &mut Connection,
        identity: &Arc<Identity>,
        id: Option<&CommandId>,
        wanted: Subscribe,
    ) -> Result<Option<Ack>, Refusal> {
        let Subscribe { channel, recover } = wanted;
        let only_home = self.settings.rules.subscribe(&channel, identity)?;
        let home = home_of(&channel, self.settings.inboxes.len());
        if home == self.shard {
            let index = self.at_home(&channel)?;
            self.join_channel(at, connection, index)?;
            let standing = self.channels.standing(index, recover, self.now)?;
            self.note_recovery(&standing);
            return Ok(Some(subscribed(channel, standing)));
        }
        let index = self.channels.abroad(&channel);
        let known = self.channels.get(index).is_some_and(|record| record.row.is_some());
        if known && !only_home && recover.is_none() {
            let position = self.join_channel(at, connection, index)?;
            let standing = Standing { position, recovered: None, publications: None };
            return Ok(Some(subscribed(channel, standing)));
        }
        if let Some(record) = self.channels.get_mut(index) {
            record.subscribing += 1;
        }
        let (conn, id) = (self.conn_id(at), id.cloned());
        self.ask(connection, home, Post::Subscribe { conn, id, channel, recover });
        Ok(None)
    }

    /// Enters a connection into a channel and says where it stands.
    fn join_channel(
        &mut self,
        at: At,
        connection: &mut Connection,
        index: u32,
    ) -> Result<Position, Reason> {
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
        Ok(record.position())
    }

    /// A page of what is kept, here or by way of its home; `None` where the home will answer.
    fn channel_history(
        &mut self,
        at: At,
        connection: &mut Connection,
        identity: &Arc<Identity>,
        id: Option<&CommandId>,
        wanted: ChannelHistory,
    ) -> Result<Option<Ack>, Refusal> {
        self.settings.rules.history(&wanted.channel, identity)?;
        let home = home_of(&wanted.channel, self.settings.inboxes.len());
        if home == self.shard {
            return Ok(Some(self.page(&wanted)?));
        }
        let (conn, id) = (self.conn_id(at), id.cloned());
        self.ask(connection, home, Post::ChannelHistory { conn, id, wanted: Box::new(wanted) });
        Ok(None)
    }

    fn page(&mut self, wanted: &ChannelHistory) -> Result<Ack, Reason> {
        let index = self.at_home(&wanted.channel)?;
        let page = self.channels.page(index, wanted, self.now)?;
        Ok(Ack::ChannelHistory(Box::new(page)))
    }

    /// At the home: another shard's connection asks for a page.
    pub(crate) fn on_channel_history(
        &mut self,
        conn: ConnId,
        id: Option<CommandId>,
        wanted: &ChannelHistory,
    ) {
        let outcome = self.page(wanted).map_err(Refusal::from);
        self.mail(conn.shard, Post::Reply { conn, id, outcome });
    }

    fn note_recovery(&self, standing: &Standing) {
        match standing.recovered {
            Some(true) => self.stats.recovered.add(1),
            Some(false) => self.stats.not_recovered.add(1),
            None => {}
        }
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

    /// Lets a publication in, where the rules do.
    fn admit(
        &mut self,
        at: At,
        identity: &Arc<Identity>,
        id: Option<&CommandId>,
        publish: Publish,
    ) -> Result<Option<Ack>, Refusal> {
        let Publish { channel, data, client_id } = publish;
        let terms = self.settings.rules.publish(&channel, data.get().len(), identity)?;
        if let Err(wait_ms) = self.paces.charge(at, terms.namespace, terms.per_second, self.now) {
            self.stats.refused_pace.add(1);
            return Err(Refusal::later(Reason::RateLimited, wait_ms));
        }
        let (conn, from, id) = (self.conn_id(at), identity.user.clone(), id.cloned());
        Ok(self.publish(Draft { conn, id, channel, from, data, client_id })?)
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

    /// At the home: allots an offset, keeps the publication where any are kept, and frames it if
    /// anybody gets it.
    fn sequence(&mut self, draft: Draft) -> Result<Position, Reason> {
        let index = self.at_home(&draft.channel)?;
        let Some(record) = self.channels.get_mut(index) else { return Err(Reason::Internal) };
        let Draft { channel, from, data, client_id, .. } = draft;
        let history = record.home.as_ref().and_then(|home| home.history.as_ref());
        if let (Some(history), Some(client_id)) = (history, &client_id)
            && let Some(offset) = history.find(&from, client_id)
        {
            return Ok(Position { offset, ..record.position() });
        }
        record.offset += 1;
        self.stats.sequenced.add(1);
        let (position, now) = (record.position(), self.now);
        let is_kept = history.is_some();
        let kept = is_kept.then(|| Kept {
            offset: position.offset,
            from: from.clone(),
            timestamp: now,
            data: data.clone().into(),
            client_id,
        });
        if record.is_heard() {
            record.begin_post();
            let len_hint =
                ENVELOPE + channel.as_str().len() + from.as_str().len() + data.get().len();
            let event =
                Event::Publication(Publication { channel, offset: position.offset, from, data });
            record.pending.push(self.chunk_limits, len_hint, |codec, out| {
                let mut frame = FrameBuilder::begin(out, opcode(codec), len_hint);
                codec.encode_event(&event, now, frame.buffer());
                frame.finish();
            });
            list(record, index, &mut self.batches);
        }
        if let Some(kept) = kept {
            let dropped = self.channels.keep(index, kept);
            self.stats.histories_dropped.add(dropped);
        }
        Ok(position)
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

    /// At the home: another shard has a subscriber who has to be told where the channel stands.
    pub(crate) fn on_subscribe(
        &mut self,
        conn: ConnId,
        id: Option<CommandId>,
        channel: Channel,
        recover: Option<ChannelPosition>,
    ) {
        let outcome = self.at_home(&channel).and_then(|index| {
            // What was published up to now is before its position, for that shard's other
            // subscribers it must have come by then.
            self.post_batch(index);
            let record = self.channels.get_mut(index).ok_or(Reason::Internal)?;
            if let Some(home) = &mut record.home {
                home.shards.set(conn.shard, true);
            }
            self.channels.standing(index, recover, self.now).map(Box::new)
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
        outcome: Result<Box<Standing>, Reason>,
    ) {
        let Some(index) = self.channels.find(channel) else { return };
        if let Some(record) = self.channels.get_mut(index) {
            record.subscribing = record.subscribing.saturating_sub(1);
            if let Ok(standing) = &outcome
                && record.row.is_none()
            {
                record.epoch = standing.position.epoch;
                record.offset = standing.position.offset;
            }
        }
        if let Some((at, connection)) = asked
            && connection.phase == Phase::Open
        {
            let outcome = outcome.and_then(|standing| {
                self.join_channel(at, connection, index)?;
                self.note_recovery(&standing);
                Ok(subscribed(channel.clone(), *standing))
            });
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
        record.offset = parcel.through;
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
        let (shards, through) = (home.shards, record.offset);
        let after = home.posted_offset;
        if shards.is_empty() {
            home.posted = record.pending.mark();
            return;
        }
        let chunks = record.pending.since(&home.posted);
        home.posted = record.pending.mark();
        if chunks.is_empty() {
            return;
        }
        let parcel = Parcel { channel: record.channel.clone(), after, through, chunks };
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

/// The ack of `subscribe`.
fn subscribed(channel: Channel, standing: Standing) -> Ack {
    let Standing { position, recovered, publications } = standing;
    let Position { offset, epoch } = position;
    Ack::Subscribed(Box::new(Subscribed { channel, offset, epoch, recovered, publications }))
}

fn list(record: &mut Record, index: u32, batches: &mut Vec<u32>) {
    if !record.listed {
        record.listed = true;
        batches.push(index);
    }
}
