//! Callers without a connection: what a back end asks of the data plane.
//!
//! A call goes straight to the home of its channel, as what another shard sends there, and is
//! answered like it; the reply leaves by [`Upstream::answered`](crate::Upstream::answered) in place
//! of a connection. Invariant: each call that was accepted is answered by one reply, also where the
//! shard is behind. Deliberately absent: whose reply it is, and how long they wait for it.

use hubbub_proto::command::Publish;
use hubbub_proto::{Ack, Channel, Command, ConnId, Identity, Reason, Refusal, UserId};

use crate::channels::home_of;
use crate::desk::Desk;
use crate::hub::Hub;
use crate::inbox::Post;
use crate::live::Draft;

/// The reply to a call.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The caller, as they named themselves.
    pub caller: ConnId,
    /// What came of it.
    pub outcome: Result<Ack, Refusal>,
}

impl Hub {
    /// Takes a live command of `caller`, who is no connection ([`ConnId::is_reception`]).
    ///
    /// # Errors
    /// What the rules refuse, and a command that only a connection can give. Nothing follows then.
    pub fn call(
        &self,
        caller: ConnId,
        identity: &Identity,
        command: Command,
    ) -> Result<(), Refusal> {
        match command {
            Command::Publish(publish) => {
                let Publish { channel, data, client_id, key } = publish;
                self.settings.rules.publish(&channel, data.get().len(), identity)?;
                let home = home_of(&channel, self.settings.inboxes.len());
                let from = identity.user.clone();
                let draft = Draft { conn: caller, id: None, channel, from, data, client_id, key };
                self.post_to(home, Post::Draft(Box::new(draft)))
            }
            Command::ChannelPresence(wanted) => {
                self.settings.rules.presence(&wanted.channel, identity)?;
                let home = home_of(&wanted.channel, self.settings.inboxes.len());
                let wanted = Box::new(wanted);
                self.post_to(home, Post::ChannelPresence { conn: caller, id: None, wanted })
            }
            Command::ChannelHistory(wanted) => {
                self.settings.rules.history(&wanted.channel, identity)?;
                let home = home_of(&wanted.channel, self.settings.inboxes.len());
                let wanted = Box::new(wanted);
                self.post_to(home, Post::ChannelHistory { conn: caller, id: None, wanted })
            }
            _ => Err(Reason::NotAllowed.into()),
        }
    }

    /// Subscribes all connections that a user has at the moment to a channel; each is told by
    /// `subscribed`. No rule is asked.
    ///
    /// # Errors
    /// `channel_unknown`.
    pub fn subscribe_user(&self, user: &UserId, channel: &Channel) -> Result<(), Refusal> {
        self.for_user(user, channel, true)
    }

    /// Ends the subscriptions of all connections of a user to a channel; each is told by
    /// `unsubscribed`.
    ///
    /// # Errors
    /// `channel_unknown`.
    pub fn unsubscribe_user(&self, user: &UserId, channel: &Channel) -> Result<(), Refusal> {
        self.for_user(user, channel, false)
    }

    fn for_user(&self, user: &UserId, channel: &Channel, present: bool) -> Result<(), Refusal> {
        self.settings.rules.terms(channel)?;
        for inbox in &*self.settings.inboxes {
            let (user, channel) = (user.clone(), channel.clone());
            inbox.post(Post::SubscribeUser { user, channel, present });
        }
        Ok(())
    }

    fn post_to(&self, shard: u16, post: Post) -> Result<(), Refusal> {
        match self.settings.inboxes.get(usize::from(shard)) {
            Some(inbox) => {
                inbox.post(post);
                Ok(())
            }
            None => Err(Reason::Internal.into()),
        }
    }
}

impl Desk {
    /// Keeps what is for somebody at the reception until the end of the tick.
    pub(crate) fn answer_call(&mut self, post: Post) {
        if let Post::Reply { conn, outcome, .. } = post {
            self.answers.push(Answer { caller: conn, outcome });
        }
    }

    /// Hands over the replies of this tick.
    pub(crate) fn send_answers(&mut self) {
        if !self.answers.is_empty() {
            self.upstream.answered(std::mem::take(&mut self.answers));
        }
    }
}
