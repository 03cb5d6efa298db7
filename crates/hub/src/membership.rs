//! Who is subscribed to channels, in namespaces that track it: from the connections to the homes, and
//! back to the subscribers.
//!
//! Invariant: a home hears of each connection that comes once when it comes, and once when it goes;
//! in other namespaces nothing of this is done. Deliberately absent: what is counted and told (see
//! `roster`).

use hubbub_proto::command::ChannelPresence;
use hubbub_proto::event::{Ack, ChannelMember};
use hubbub_proto::{Channel, CommandId, ConnId, Event, Identity, Refusal, UserId};
use hubbub_websocket::FrameBuilder;

use crate::channels::home_of;
use crate::connection::Connection;
use crate::desk::Desk;
use crate::frame::opcode;
use crate::inbox::Post;
use crate::live::list;
use crate::roster::Entered;
use crate::slab::At;

/// Bytes of an event besides its names.
const ENVELOPE: usize = 120;

impl Desk {
    /// A connection has come to a channel or has gone from it: its home is told.
    pub(crate) fn note_member(&mut self, connection: &mut Connection, index: u32, joined: bool) {
        let user = connection.session().and_then(|session| session.identity());
        let user = user.map(|identity| identity.user.clone());
        if let Some(user) = user {
            self.note_user(user, index, joined);
        }
    }

    fn note_user(&mut self, user: UserId, index: u32, joined: bool) {
        let Some(record) = self.channels.get(index) else { return };
        if record.home.is_some() {
            return self.move_member(index, &user, joined);
        }
        let channel = record.channel.clone();
        let home = home_of(&channel, self.settings.inboxes.len());
        self.mail(home, Post::Member { channel, user, joined });
    }

    /// A connection ends: it leaves all channels that it is subscribed to.
    pub(crate) fn leave_channels(&mut self, at: At, identity: &Identity) {
        if !self.settings.rules.tracks() {
            return;
        }
        let records: Vec<u32> = self.topics.channel_records(at.slot).collect();
        for index in records {
            if self.channels.get(index).is_some_and(|record| record.tracked) {
                self.note_user(identity.user.clone(), index, false);
            }
        }
    }

    /// At the home: somebody of another shard has come or gone.
    pub(crate) fn on_member(&mut self, channel: &Channel, user: &UserId, joined: bool) {
        if let Some(index) = self.channels.find(channel) {
            self.move_member(index, user, joined);
        }
    }

    fn move_member(&mut self, index: u32, user: &UserId, joined: bool) {
        if self.channels.move_member(index, user, joined) == Some(Entered::Unlisted) {
            self.stats.members_unlisted.add(1);
        }
    }

    /// At the homes: tells subscribers who came and who left. Once a second.
    pub(crate) fn tell_members(&mut self) {
        for (index, moves) in self.channels.settle_members() {
            let Some((record, _)) = self.channels.with_watches(index) else { continue };
            if !record.is_heard() {
                continue;
            }
            let is_volatile = record.home.as_ref().is_some_and(|home| home.traits.volatile);
            record.begin_post();
            for (user, joined) in moves {
                let len_hint = ENVELOPE + record.channel.as_str().len() + user.as_str().len();
                let member = ChannelMember { channel: record.channel.clone(), user };
                let event =
                    if joined { Event::ChannelJoined(member) } else { Event::ChannelLeft(member) };
                let now = self.now;
                record.pending.push(self.chunk_limits, len_hint, |codec, out| {
                    let mut frame = FrameBuilder::begin(out, opcode(codec), len_hint);
                    codec.encode_event(&event, now, frame.buffer());
                    frame.finish();
                });
                if is_volatile {
                    record.pending.mark_volatile(None);
                }
                self.stats.members_told.add(1);
            }
            list(record, index, &mut self.batches);
        }
    }

    /// A page of those who are subscribed, here or by way of the home; `None` where that will answer.
    pub(crate) fn channel_presence(
        &mut self,
        at: At,
        connection: &mut Connection,
        identity: &Identity,
        id: Option<&CommandId>,
        wanted: ChannelPresence,
    ) -> Result<Option<Ack>, Refusal> {
        self.settings.rules.presence(&wanted.channel, identity)?;
        let home = home_of(&wanted.channel, self.settings.inboxes.len());
        if home == self.shard {
            return Ok(Some(self.members_of(&wanted)));
        }
        let (conn, id) = (self.conn_id(at), id.cloned());
        self.ask(connection, home, Post::ChannelPresence { conn, id, wanted: Box::new(wanted) });
        Ok(None)
    }

    fn members_of(&self, wanted: &ChannelPresence) -> Ack {
        Ack::ChannelPresence(Box::new(self.channels.members_of(wanted)))
    }

    /// At the home: another shard's connection asks for a page.
    pub(crate) fn on_channel_presence(
        &mut self,
        conn: ConnId,
        id: Option<CommandId>,
        wanted: &ChannelPresence,
    ) {
        let outcome = Ok(self.members_of(wanted));
        self.mail(conn.shard, Post::Reply { conn, id, outcome });
    }
}
