//! How subscriptions to channels begin and end: by a client's command, by its token, or by a back
//! end; to one channel, or to all that a pattern stands for.
//!
//! Invariants: a connection gets of a channel exactly what has an offset above that of its answer,
//! until the subscription ends; a shard that is told where a channel stands has got everything up to
//! there before. What comes by a pattern is live only.
//!
//! Deliberately absent: who may (see `rules`), and what a home keeps (see `channels`).

use std::sync::Arc;

use hubbub_proto::command::{ChannelPosition, Subscribe};
use hubbub_proto::event::{Ack, Position, Subscribed, Unsubscribed};
use hubbub_proto::{
    Channel, ChannelPattern, CommandId, ConnId, Event, Identity, Reason, Refusal, UserId,
};

use crate::channels::{Standing, home_of};
use crate::connection::{Connection, Phase};
use crate::desk::{Desk, Load};
use crate::inbox::Post;
use crate::rules::SubscribeTerms;
use crate::shard::Shard;
use crate::slab::At;
use crate::watches::Rows;

/// Who wants a subscription, and so how it is told of.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// The client, by a command: an ack.
    Client(Option<CommandId>),
    /// Its token or a back end: an event.
    Server,
}

impl Desk {
    /// `None` where the home was asked.
    pub(crate) fn subscribe(
        &mut self,
        at: At,
        connection: &mut Connection,
        identity: &Arc<Identity>,
        id: Option<&CommandId>,
        wanted: Subscribe,
    ) -> Result<Option<Ack>, Refusal> {
        let Subscribe { channel: pattern, recover, token } = wanted;
        let Some(channel) = pattern.channel() else {
            self.settings.rules.watch(&pattern, identity)?;
            self.watch(at, &pattern)?;
            return Ok(Some(Ack::Watching(pattern)));
        };
        let upstream = &self.upstream;
        let pass = || token.as_deref().map(|token| upstream.channel_pass(token));
        let terms = self.settings.rules.subscribe(&channel, identity, || {
            Some(pass()?.and_then(|(user, pattern)| {
                let is_meant = user == identity.user && pattern.covers(channel.as_str());
                if is_meant { Ok(()) } else { Err(Reason::NotAllowed.into()) }
            }))
        })?;
        let asked = Asked::Client(id.cloned());
        let standing = self.begin(at, connection, &channel, terms, recover, asked)?;
        if standing.is_none()
            && let Some(session) = connection.session()
        {
            // An `unsubscribe` right behind it must not be done before it, and answers must fit.
            session.hold();
        }
        Ok(standing.map(|standing| Ack::Subscribed(Box::new(subscribed(channel, standing)))))
    }

    /// Begins a subscription, here or by way of the channel's home; `None` where that will answer.
    fn begin(
        &mut self,
        at: At,
        connection: &mut Connection,
        channel: &Channel,
        terms: SubscribeTerms,
        recover: Option<ChannelPosition>,
        asked: Asked,
    ) -> Result<Option<Standing>, Reason> {
        let home = home_of(channel, self.settings.inboxes.len());
        if home == self.shard {
            let index = self.at_home(channel)?;
            self.join_channel(at, connection, index)?;
            let standing = self.channels.standing(index, recover, self.now)?;
            self.note_recovery(&standing);
            return Ok(Some(standing));
        }
        let index = self.channels.abroad(channel, terms.tracked);
        let known = self.channels.get(index).is_some_and(|record| record.row.is_some());
        if known && !terms.only_home && recover.is_none() {
            let position = self.join_channel(at, connection, index)?;
            return Ok(Some(Standing { position, recovered: None, publications: None }));
        }
        if let Some(record) = self.channels.get_mut(index) {
            record.subscribing += 1;
            record.asked = true;
        }
        let (conn, channel) = (self.conn_id(at), channel.clone());
        self.mail(home, Post::Subscribe { conn, asked, channel, recover });
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
        let is_new = record.row.is_none_or(|row| !topics.is_subscribed(row, at.slot));
        if is_new {
            if topics.channels(at.slot) >= usize::from(limits.subscriptions_max) {
                return Err(Reason::TooManySubscriptions);
            }
            let row = *record.row.get_or_insert_with(|| topics.channel_row(index));
            topics.subscribe(row, at.slot);
        }
        if !record.pending.is_empty() {
            record.late.push((at.slot, record.pending.mark()));
        }
        let position = record.position();
        if is_new && record.tracked {
            self.note_member(connection, index, true);
        }
        Ok(position)
    }

    pub(crate) fn unsubscribe(
        &mut self,
        at: At,
        connection: &mut Connection,
        pattern: &ChannelPattern,
    ) {
        let Some(channel) = pattern.channel() else {
            return self.unwatch(at, connection, pattern);
        };
        let Some(index) = self.channels.find(&channel) else { return };
        self.catch_up(at, connection, index);
        let Some(record) = self.channels.get(index) else { return };
        let tracked = record.tracked;
        if let Some(row) = record.row
            && self.topics.unsubscribe(row, at.slot)
        {
            if let Some(outbox) = &mut connection.outbox {
                outbox.forget_latest(row);
            }
            if tracked {
                self.note_member(connection, index, false);
            }
            self.settle_emptied();
        }
    }

    /// Gives a subscriber, to the channel or to a pattern of it, what was published so far in this
    /// tick, and notes that it is not to get it again.
    fn catch_up(&mut self, at: At, connection: &mut Connection, index: u32) {
        let Some((record, watches)) = self.channels.with_watches(index) else { return };
        if record.pending.is_empty() {
            return;
        }
        let patterns =
            if record.watched { watches.rows(record.channel.as_str()) } else { Rows::new() };
        let mut rows = record.row.into_iter().chain(patterns);
        let Some(row) = rows.find(|row| self.topics.is_subscribed(*row, at.slot)) else { return };
        let late = record.late.iter().rev().find(|(slot, _)| *slot == at.slot);
        let from = late.map(|(_, mark)| *mark).unwrap_or_default();
        let chunks = record.pending.since(&from);
        record.late.push((at.slot, record.pending.mark()));
        for chunk in chunks {
            self.give_later(at, connection, &chunk, row);
        }
    }

    /// Tells homes of channels that nobody here is subscribed to any more, and all shards of such
    /// patterns.
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
        while let Some(number) = self.topics.emptied_patterns.pop() {
            if let Some(pattern) = self.channels.watches.set_row(number, None) {
                self.announce(&pattern, false);
            }
        }
    }

    pub(crate) fn release(&mut self, index: u32) {
        if let Some(channel) = self.channels.release(index) {
            let home = home_of(&channel, self.settings.inboxes.len());
            self.mail(home, Post::Unsubscribe { shard: self.shard, channel });
        }
    }

    /// Subscribes a connection to a pattern.
    fn watch(&mut self, at: At, pattern: &ChannelPattern) -> Result<(), Reason> {
        let Self { channels, topics, limits, .. } = self;
        let known = channels.watches.find(pattern).and_then(|number| channels.watches.row(number));
        if known.is_some_and(|row| topics.is_subscribed(row, at.slot)) {
            return Ok(());
        }
        if topics.channels(at.slot) >= usize::from(limits.subscriptions_max) {
            return Err(Reason::TooManySubscriptions);
        }
        let row = match known {
            Some(row) => row,
            None => {
                if channels.watches.own() >= self.settings.keeping.patterns_max {
                    return Err(Reason::TooManyChannels);
                }
                let number = channels.watches.number(pattern);
                let row = topics.pattern_row(number);
                channels.watches.set_row(number, Some(row));
                self.announce(pattern, true);
                row
            }
        };
        self.topics.subscribe(row, at.slot);
        Ok(())
    }

    fn unwatch(&mut self, at: At, connection: &mut Connection, pattern: &ChannelPattern) {
        let watches = &self.channels.watches;
        if let Some(row) = watches.find(pattern).and_then(|number| watches.row(number))
            && self.topics.unsubscribe(row, at.slot)
        {
            if let Some(outbox) = &mut connection.outbox {
                outbox.forget_all_latest();
            }
            self.settle_emptied();
        }
    }

    /// This shard has subscribers of a pattern, or has none any more: every home has to know.
    fn announce(&mut self, pattern: &ChannelPattern, present: bool) {
        for shard in 0..self.settings.inboxes.len() as u16 {
            if shard != self.shard {
                let post = Post::Watch { shard: self.shard, pattern: pattern.clone(), present };
                self.mail(shard, post);
            }
        }
    }

    /// As the home of channels: another shard has subscribers of a pattern, or has none any more.
    pub(crate) fn on_watch(&mut self, shard: u16, pattern: &ChannelPattern, present: bool) {
        self.channels.watches.set_shard(pattern, shard, present);
    }

    /// At the home: another shard has a subscriber who has to be told where the channel stands.
    pub(crate) fn on_subscribe(
        &mut self,
        conn: ConnId,
        asked: Asked,
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
        self.mail(conn.shard, Post::Subscribed { conn, asked, channel, outcome });
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

    /// The home has answered. `who` is who asked, if it is still there.
    pub(crate) fn on_subscribed(
        &mut self,
        who: Option<(At, &mut Connection)>,
        asked: &Asked,
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
        if let Some((at, connection)) = who
            && connection.phase == Phase::Open
        {
            let outcome = outcome.and_then(|standing| {
                self.join_channel(at, connection, index)?;
                self.note_recovery(&standing);
                Ok(subscribed(channel.clone(), *standing))
            });
            match asked {
                Asked::Client(id) => {
                    let outcome = outcome.map(|all| Ack::Subscribed(Box::new(all)));
                    self.on_reply(at, connection, id.as_ref(), &outcome.map_err(Refusal::from));
                }
                Asked::Server => self.tell(at, connection, channel, outcome),
            }
        }
        self.release(index);
    }

    fn note_recovery(&self, standing: &Standing) {
        match standing.recovered {
            Some(true) => self.stats.recovered.add(1),
            Some(false) => self.stats.not_recovered.add(1),
            None => {}
        }
    }

    /// Subscribes a connection to what its token says.
    pub(crate) fn subscribe_by_token(
        &mut self,
        at: At,
        connection: &mut Connection,
        identity: &Identity,
    ) {
        let Some(claims) = identity.channels() else { return };
        for channel in &claims.subscribed {
            self.subscribe_by_server(at, connection, channel);
        }
    }

    /// Subscribes a connection without having been asked by its client.
    fn subscribe_by_server(&mut self, at: At, connection: &mut Connection, channel: &Channel) {
        let terms = self.settings.rules.terms(channel);
        let outcome =
            terms.and_then(|terms| self.begin(at, connection, channel, terms, None, Asked::Server));
        match outcome {
            Ok(None) => {}
            Ok(Some(standing)) => {
                self.tell(at, connection, channel, Ok(subscribed(channel.clone(), standing)));
            }
            Err(reason) => self.tell(at, connection, channel, Err(reason)),
        }
    }

    /// Whether a connection takes more than what it has to; what waits is written first, where the
    /// socket may take it.
    fn has_room(&mut self, at: At, connection: &mut Connection) -> bool {
        if self.load(connection) < Load::High {
            return true;
        }
        if connection.outbox.as_ref().is_some_and(|outbox| outbox.blocked_since().is_none()) {
            self.flush(at, connection);
        }
        self.load(connection) < Load::High
    }

    fn tell(
        &mut self,
        at: At,
        connection: &mut Connection,
        channel: &Channel,
        outcome: Result<Subscribed, Reason>,
    ) {
        let event = match outcome {
            Ok(mut subscribed) => {
                // Nobody asked one by one, so all values may come at once, on top of what waits.
                if subscribed.publications.is_some() && !self.has_room(at, connection) {
                    subscribed.publications = None;
                }
                Event::Subscribed(Box::new(subscribed))
            }
            Err(reason) => {
                let detail = format!("{channel}: {}", reason.message());
                Event::Error(Refusal::with(reason, detail))
            }
        };
        self.send_event(at, connection, &event);
    }
}

impl Shard {
    /// A back end subscribes all connections that a user has here, or ends their subscriptions.
    pub(crate) fn on_subscribe_user(&mut self, user: &UserId, channel: &Channel, present: bool) {
        for slot in self.desk.topics.connections(user).to_vec() {
            let Some((at, connection)) = self.slab.tenant(slot) else { continue };
            crate::shard::guard(&mut self.desk, at, connection, |desk, at, connection| {
                if present {
                    return desk.subscribe_by_server(at, connection, channel);
                }
                desk.unsubscribe(at, connection, &channel.clone().into());
                let event = Event::Unsubscribed(Unsubscribed { channel: channel.clone() });
                desk.send_event(at, connection, &event);
            });
        }
    }
}

/// What is told of a subscription that has begun.
fn subscribed(channel: Channel, standing: Standing) -> Subscribed {
    let Standing { position, recovered, publications } = standing;
    let Position { offset, epoch } = position;
    Subscribed { channel, offset, epoch, recovered, publications }
}
