//! Channels and signals: what the data plane answers by itself.
//!
//! A command comes in on one connection's shard; what concerns a channel is decided at its home,
//! which may be another shard. Everything between two shards goes by `mail`, once a tick, in order:
//! so a shard that is told where a channel stands has got everything up to there before, and gets
//! everything after it. Invariants: each command is answered by one reply; a connection gets of a
//! channel exactly what has an offset above that of its ack, until it unsubscribes.
//!
//! Deliberately absent: how subscriptions begin and end (see `subscribing`), and handing batches to
//! subscribers (see `fanout`).

use std::sync::Arc;

use hubbub_proto::command::{ChannelHistory, Data, Publish};
use hubbub_proto::event::{Ack, Kept, Position, Publication, SignalEvent};
use hubbub_proto::{
    Channel, ClientId, Command, CommandId, ConnId, Event, Identity, PublicationKey, Reason,
    Refusal, UserId,
};
use hubbub_websocket::FrameBuilder;

use crate::batch::{self, Chunks};
use crate::channels::{self, Record, home_of};
use crate::connection::Connection;
use crate::desk::Desk;
use crate::frame::opcode;
use crate::inbox::Post;
use crate::slab::At;
use crate::topics::Row;
use crate::watches::Rows;

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
    pub(crate) key: Option<PublicationKey>,
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
    /// Nobody has to be told that it was lost.
    pub(crate) fn is_volatile(&self) -> bool {
        self.chunks.iter().any(|chunk| chunk.volatile.is_some())
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
            Command::Subscribe(wanted) => self.subscribe(at, connection, &identity, id, wanted),
            Command::Unsubscribe(target) => {
                self.unsubscribe(at, connection, &target.channel);
                Ok(Some(Ack::Done))
            }
            Command::Publish(publish) => self.admit(at, &identity, id, publish),
            Command::ChannelPresence(wanted) => {
                self.channel_presence(at, connection, &identity, id, wanted)
            }
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
    pub(crate) fn at_home(&mut self, channel: &Channel) -> Result<u32, Reason> {
        let rules = &self.settings.rules;
        self.channels.at_home(channel, self.now, |channel| rules.traits(channel))
    }

    /// The home that will answer a question; nothing of the connection is read until it has, so
    /// that later commands are not done before it, and answers fit into the outbox.
    pub(crate) fn ask(&mut self, connection: &mut Connection, home: u16, question: Post) {
        self.mail(home, question);
        if let Some(session) = connection.session() {
            session.hold();
        }
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
        let page = self.channels.page(wanted, self.now)?;
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

    /// Lets a publication in, where the rules do.
    fn admit(
        &mut self,
        at: At,
        identity: &Arc<Identity>,
        id: Option<&CommandId>,
        publish: Publish,
    ) -> Result<Option<Ack>, Refusal> {
        let Publish { channel, data, client_id, key } = publish;
        let terms = self.settings.rules.publish(&channel, data.get().len(), identity)?;
        if key.is_some() && !terms.volatile {
            return Err(Refusal::with(Reason::BadField, "`key` is for volatile namespaces."));
        }
        if let Err(wait_ms) = self.paces.charge(at, terms.namespace, terms.per_second, self.now) {
            self.stats.refused_pace.add(1);
            return Err(Refusal::later(Reason::RateLimited, wait_ms));
        }
        let (conn, from, id) = (self.conn_id(at), identity.user.clone(), id.cloned());
        Ok(self.publish(Draft { conn, id, channel, from, data, client_id, key })?)
    }

    /// Gives a draft its place, here or by way of its home; `None` where the home will answer.
    fn publish(&mut self, draft: Draft) -> Result<Option<Ack>, Reason> {
        let home = home_of(&draft.channel, self.settings.inboxes.len());
        if home == self.shard {
            return self.sequence(draft).map(Some);
        }
        self.stats.crossings.add(1);
        self.mail(home, Post::Draft(Box::new(draft)));
        Ok(None)
    }

    /// At the home: allots an offset, keeps the publication where any are kept, and frames it if
    /// anybody gets it.
    fn sequence(&mut self, draft: Draft) -> Result<Ack, Reason> {
        let index = self.at_home(&draft.channel)?;
        let Some((record, _)) = self.channels.with_watches(index) else {
            return Err(Reason::Internal);
        };
        let Draft { channel, from, data, client_id, key, .. } = draft;
        let home = record.home.as_ref();
        let is_volatile = home.is_some_and(|home| home.traits.volatile);
        let history = home.and_then(|home| home.history.as_ref());
        if let (Some(history), Some(client_id)) = (history, &client_id)
            && let Some(known) = history.find(&from, client_id)
        {
            let position = Position { offset: known.offset, ..record.position() };
            let is_same = known.data.get() == data.get();
            return if is_same { Ok(Ack::Channel(position)) } else { Err(Reason::Conflict) };
        }
        let is_kept = history.is_some();
        record.begin_post();
        record.offset += u64::from(!is_volatile);
        self.stats.sequenced.add(1);
        let (position, now) = (record.position(), self.now);
        let kept = is_kept.then(|| Kept {
            offset: position.offset,
            from: from.clone(),
            timestamp: now,
            data: data.clone().into(),
            client_id,
        });
        if record.is_heard() {
            let len_hint =
                ENVELOPE + channel.as_str().len() + from.as_str().len() + data.get().len();
            let offset = (!is_volatile).then_some(position.offset);
            let event =
                Event::Publication(Publication { channel, offset, from, key: key.clone(), data });
            record.pending.push(self.chunk_limits, len_hint, |codec, out| {
                let mut frame = FrameBuilder::begin(out, opcode(codec), len_hint);
                codec.encode_event(&event, now, frame.buffer());
                frame.finish();
            });
            if is_volatile {
                record.pending.mark_volatile(key);
            }
            list(record, index, &mut self.batches);
        }
        if let Some(kept) = kept {
            let dropped = self.channels.keep(index, kept);
            self.stats.histories_dropped.add(dropped);
        }
        Ok(if is_volatile { Ack::Done } else { Ack::Channel(position) })
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

    /// At the home: a publication from another shard.
    pub(crate) fn on_draft(&mut self, draft: Draft) {
        let (conn, id) = (draft.conn, draft.id.clone());
        let outcome = self.sequence(draft).map_err(Refusal::from);
        self.mail(conn.shard, Post::Reply { conn, id, outcome });
    }

    /// What the home has sequenced. Answers the row of those who miss something of it, because it
    /// was dropped where this shard was behind.
    pub(crate) fn on_parcel(&mut self, parcel: Parcel) -> Option<Row> {
        let index = match self.channels.find(&parcel.channel) {
            Some(index) => index,
            None if self.channels.watches.watch(parcel.channel.as_str()) => {
                self.channels.abroad(&parcel.channel, false)
            }
            None => return None,
        };
        let (record, _) = self.channels.with_watches(index)?;
        if record.row.is_none() && !record.watched {
            return None;
        }
        let missing = record.row.filter(|_| record.offset != parcel.after);
        record.offset = parcel.through;
        for chunk in parcel.chunks {
            record.pending.append(chunk);
        }
        list(record, index, &mut self.batches);
        missing
    }

    /// At the home: sends what was sequenced since the last time to the other shards with
    /// subscribers.
    pub(crate) fn post_batch(&mut self, index: u32) {
        let shard = self.shard;
        let Some((record, watches)) = self.channels.with_watches(index) else { return };
        let Some(home) = &record.home else { return };
        if record.pending.is_empty() {
            return;
        }
        let (mut shards, through) = (home.shards, record.offset);
        if record.watched {
            let mut others = watches.shards(record.channel.as_str());
            others.set(shard, false);
            shards = shards.with(others);
        }
        let Some(post) = record.post(!shards.is_empty()) else { return };
        let channels::Unsent { after, chunks } = post;
        let parcel = Parcel { channel: record.channel.clone(), after, through, chunks };
        for shard in shards.iter() {
            self.stats.crossings.add(1);
            self.mail(shard, Post::Parcel(Box::new(parcel.clone())));
        }
    }

    /// Takes the batch of a channel for its subscribers here, and posts it to the other shards.
    pub(crate) fn take_batch(&mut self, index: u32) -> Option<Outgoing> {
        self.post_batch(index);
        let (record, watches) = self.channels.with_watches(index)?;
        record.listed = false;
        if let Some(home) = &mut record.home {
            home.posted = Default::default();
        }
        let chunks = record.pending.take();
        let late = std::mem::take(&mut record.late);
        let row = record.row;
        let patterns =
            if record.watched { watches.rows(record.channel.as_str()) } else { Rows::new() };
        // It may have been there for this batch alone.
        self.release(index);
        if chunks.is_empty() || (row.is_none() && patterns.is_empty()) {
            return None;
        }
        Some(Outgoing { row, patterns, late, chunks })
    }
}

/// A batch on its way to the subscribers of one shard.
pub(crate) struct Outgoing {
    pub(crate) row: Option<Row>,
    /// Of those who get it by a pattern.
    pub(crate) patterns: Rows,
    /// Who joined when some of it was there already.
    pub(crate) late: Vec<(u32, batch::Mark)>,
    pub(crate) chunks: Chunks,
}

/// Puts a channel on the list of those with a batch.
pub(crate) fn list(record: &mut Record, index: u32, batches: &mut Vec<u32>) {
    if !record.listed {
        record.listed = true;
        batches.push(index);
    }
}
