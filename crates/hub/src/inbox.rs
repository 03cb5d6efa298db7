//! What other threads tell a shard.
//!
//! Order, wake-up and bound are those of `mailbox`. Above `bytes_max` all publications and pushes
//! are dropped and counted, volatile or not, until the shard takes what is there. Where entries were
//! published among them, the shard tells its sessions to pull; where a redelivery was, it tells that
//! one connection; where parcels of channels were, those who are subscribed to any; drafts are
//! refused, and so are subscribers who would be told what they missed. What is never dropped is bounded elsewhere: replies, subscriptions and attachments by the
//! windows of the connections, who came to channels by their subscriptions, sockets and what signing in brings by the number of connections,
//! lags by that of redeliveries, changes of membership and of roles and what the chat services close
//! by the commands that the writer has queued.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

use hubbub_proto::command::{ChannelHistory, ChannelPosition, ChannelPresence};
use hubbub_proto::event::{Ack, SignalEvent};
use hubbub_proto::route::{DeliveryClass, Stamp};
use hubbub_proto::{
    Channel, ChannelPattern, CloseCode, CommandId, ConnId, DeviceId, Event, Reason, Refusal, Topic,
    UserId,
};
use mio::Waker;

use crate::channels::Standing;
use crate::frame::Broadcast;
use crate::live::{Draft, Parcel};
use crate::mailbox::{Letter, Mailbox};
use crate::opening::Adoption;
use crate::subscribing::Asked;

pub(crate) enum Post {
    Adopt(Box<Adoption>),
    /// The chat services' reply to a command that was read then.
    Answer {
        conn: ConnId,
        id: Option<CommandId>,
        read_at: Stamp,
        outcome: Result<Ack, Refusal>,
    },
    /// Another shard's reply.
    Reply {
        conn: ConnId,
        id: Option<CommandId>,
        outcome: Result<Ack, Refusal>,
    },
    Publish(Broadcast),
    Push {
        conn: ConnId,
        event: Event,
    },
    /// Entries for this connection were dropped: it has to pull.
    Lag {
        conn: ConnId,
    },
    Attach {
        conn: ConnId,
        topics: Vec<Topic>,
    },
    Join {
        user: UserId,
        topic: Topic,
    },
    Leave {
        user: UserId,
        topic: Topic,
    },
    End {
        topic: Topic,
    },
    /// The connection is to be closed, behind what was posted for it before.
    Close {
        conn: ConnId,
        code: CloseCode,
    },
    /// The connections of this user were given these roles, from here on.
    Identity {
        user: UserId,
        roles: Arc<[Box<str>]>,
    },
    /// Connections of this user are to be closed: of this device, or of all but it.
    SignOut {
        user: UserId,
        device: DeviceId,
        others: bool,
    },
    /// Connections of this user and device that were opened before `opened` are to be closed.
    Replace {
        user: UserId,
        device: DeviceId,
        opened: u64,
    },
    /// To a channel's home: this connection of another shard subscribes.
    Subscribe {
        conn: ConnId,
        asked: Asked,
        channel: Channel,
        recover: Option<ChannelPosition>,
    },
    /// From a channel's home: where the channel stands.
    Subscribed {
        conn: ConnId,
        asked: Asked,
        channel: Channel,
        outcome: Result<Box<Standing>, Reason>,
    },
    /// To every shard: this one has subscribers of a pattern, or has none any more.
    Watch {
        shard: u16,
        pattern: ChannelPattern,
        present: bool,
    },
    /// The connections of this user are to be subscribed to a channel, or to be so no more.
    SubscribeUser {
        user: UserId,
        channel: Channel,
        present: bool,
    },
    /// To a channel's home: a connection of this user has come or has gone.
    Member {
        channel: Channel,
        user: UserId,
        joined: bool,
    },
    /// To a channel's home: this connection of another shard wants to know who is subscribed.
    ChannelPresence {
        conn: ConnId,
        id: Option<CommandId>,
        wanted: Box<ChannelPresence>,
    },
    /// To a channel's home: this connection of another shard wants a page of what is kept.
    ChannelHistory {
        conn: ConnId,
        id: Option<CommandId>,
        wanted: Box<ChannelHistory>,
    },
    /// To a channel's home: this shard has no subscribers any more.
    Unsubscribe {
        shard: u16,
        channel: Channel,
    },
    /// To a channel's home: to be published.
    Draft(Box<Draft>),
    /// In place of a draft for which there was no room.
    RefuseDraft {
        conn: ConnId,
        id: Option<CommandId>,
    },
    /// From a channel's home: what was published.
    Parcel(Box<Parcel>),
    Signal {
        to: UserId,
        event: SignalEvent,
    },
    Resume,
    StopParsing(Sender<()>),
    Drain {
        retry_after_ms: RangeInclusive<u64>,
        deadline: Instant,
    },
}

impl Letter for Post {
    type Losses = Losses;

    fn weight(&self) -> usize {
        Self::weight(self)
    }

    fn shrink(self, losses: &mut Losses) -> Option<Self> {
        match self {
            Self::Publish(broadcast) => {
                match broadcast.publication().class {
                    DeliveryClass::Volatile => losses.volatile += 1,
                    DeliveryClass::Durable => losses.durable += 1,
                }
                None
            }
            Self::Push { event: Event::OnlineStatus(_), .. } => {
                losses.volatile += 1;
                None
            }
            // A redelivery comes in several pushes; its connection is told once.
            Self::Push { conn, .. } => {
                losses.redelivered += 1;
                let told = losses.told.replace(conn) == Some(conn);
                (!told).then_some(Self::Lag { conn })
            }
            Self::Signal { .. } => {
                losses.volatile += 1;
                None
            }
            Self::Parcel(parcel) => {
                let lost =
                    if parcel.is_volatile() { &mut losses.volatile } else { &mut losses.parcels };
                *lost += 1;
                None
            }
            // Who is to be told what they missed has to ask again.
            Self::Subscribed { conn, asked, channel, outcome: Ok(standing) }
                if standing.publications.is_some() =>
            {
                losses.recoveries += 1;
                let outcome = Err(Reason::Overloaded);
                Some(Self::Subscribed { conn, asked, channel, outcome })
            }
            // Its window bounds how many of these a connection has.
            Self::Draft(draft) => {
                losses.drafts += 1;
                Some(Self::RefuseDraft { conn: draft.conn, id: draft.id })
            }
            post => Some(post),
        }
    }
}

/// What was dropped because the shard was behind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Losses {
    /// Nobody needs to know of these.
    pub(crate) volatile: u64,
    /// Published entries, later than everything that was taken and was posted before them.
    pub(crate) durable: u64,
    /// Pushed entries; a [`Post::Lag`] has the place of those.
    pub(crate) redelivered: u64,
    /// Parcels of publications, later than everything that was taken and was posted before them.
    pub(crate) parcels: u64,
    /// Publications of other shards; a [`Post::RefuseDraft`] has the place of each.
    pub(crate) drafts: u64,
    /// Subscribers who would have been told what they missed; each is refused.
    pub(crate) recoveries: u64,
    /// The last connection that such a lag is for.
    told: Option<ConnId>,
}

/// See the module.
pub(crate) struct Inbox {
    mailbox: Mailbox<Post>,
    waker: Waker,
}

impl Inbox {
    pub(crate) fn new(waker: Waker, bytes_max: usize) -> Self {
        Self { mailbox: Mailbox::new(bytes_max), waker }
    }

    pub(crate) fn post(&self, post: Post) {
        self.post_all(vec![post]);
    }

    /// Adds posts and wakes the shard if it sleeps.
    pub(crate) fn post_all(&self, posts: Vec<Post>) {
        match self.mailbox.put(posts) {
            Ok(true) => {
                if let Err(error) = self.waker.wake() {
                    tracing::error!(%error, "a shard could not be woken");
                }
            }
            Ok(false) => {}
            Err(posts) => turn_away(posts),
        }
    }

    /// Swaps the posts into `into`, which must be empty. Answers what was dropped since the last
    /// time.
    pub(crate) fn take(&self, into: &mut Vec<Post>) -> Losses {
        self.mailbox.take(into)
    }

    /// Announces that the shard will sleep until it is woken; false when there are posts already.
    pub(crate) fn sleep(&self) -> bool {
        self.mailbox.sleep()
    }

    /// How many posts wait, and about how many bytes they keep.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        self.mailbox.waiting()
    }

    /// The shard has ended: nothing is kept from here on, and sockets are closed.
    pub(crate) fn close(&self) {
        turn_away(self.mailbox.close());
    }
}

/// Closes the sockets among posts that nobody will take.
fn turn_away(posts: Vec<Post>) {
    for post in posts {
        if let Post::Adopt(adoption) = post {
            adoption.turn_away();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hubbub_proto::Ack;
    use hubbub_proto::event::TypingEvent;
    use hubbub_proto::route::Publication;
    use mio::{Events, Poll, Token};

    use super::*;
    use crate::weight::samples::delivered;

    fn inbox(bytes_max: usize) -> (Inbox, Poll) {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), Token(7)).unwrap();
        (Inbox::new(waker, bytes_max), poll)
    }

    fn conn(slot: u32) -> ConnId {
        ConnId { shard: 0, slot, generation: 0 }
    }

    fn reply(slot: u32) -> Post {
        Post::Reply { conn: conn(slot), id: None, outcome: Ok(Ack::Done) }
    }

    fn publish(event: Event, class: DeliveryClass) -> Post {
        let topics = Default::default();
        let publication = Publication { topics, event, except: None, class };
        Post::Publish(Broadcast::new(publication, Instant::now()))
    }

    fn typing() -> Post {
        let event = Event::Typing(TypingEvent {
            conversation: hubbub_proto::ConversationId::new("group:g").unwrap(),
            user: UserId::new("u").unwrap(),
            active: true,
            expires_in_ms: None,
        });
        publish(event, DeliveryClass::Volatile)
    }

    fn entry() -> Post {
        publish(delivered(&"x".repeat(500)), DeliveryClass::Durable)
    }

    fn redelivery(slot: u32) -> Post {
        Post::Push { conn: conn(slot), event: delivered(&"x".repeat(500)) }
    }

    fn may_be_dropped(post: &Post) -> bool {
        matches!(post, Post::Publish(_) | Post::Push { .. })
    }

    fn woken(poll: &mut Poll) -> bool {
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        !events.is_empty()
    }

    #[test]
    fn events_are_dropped_above_the_bound_and_nothing_else() {
        let check = |event: fn() -> Post, losses: fn(u64) -> Losses| {
            let (inbox, _poll) = inbox(10_000);
            let must_arrive = 101 * reply(0).weight();
            for n in 0..1000 {
                let posts = if n < 100 { vec![reply(n), event()] } else { vec![event()] };
                inbox.post_all(posts);
                let most = 10_000 + event().weight() + must_arrive;
                assert!(inbox.waiting().1 <= most, "{}", inbox.waiting().1);
            }
            let mut posts = Vec::new();
            let dropped = inbox.take(&mut posts);
            let kept = posts.iter().filter(|post| may_be_dropped(post)).count() as u64;
            assert!(kept > 0 && kept < 30, "{kept}");
            assert_eq!(dropped, losses(1000 - kept));
            let slots = posts.iter().filter_map(|post| match post {
                Post::Reply { conn, .. } => Some(conn.slot),
                _ => None,
            });
            assert!(slots.eq(0..100), "in order, all of them");
            posts.clear();
            assert_eq!((inbox.take(&mut posts), posts.len()), (Losses::default(), 0));
            inbox.post(event());
            inbox.take(&mut posts);
            assert_eq!(posts.len(), 1, "there is room again");
        };
        check(typing, |volatile| Losses { volatile, ..Losses::default() });
        check(entry, |durable| Losses { durable, ..Losses::default() });
        check(
            || redelivery(3),
            |redelivered| Losses { redelivered, told: Some(conn(3)), ..Losses::default() },
        );
    }

    #[test]
    fn after_a_dropped_entry_none_is_taken_until_the_shard_looks() {
        let (inbox, _poll) = inbox(10_000);
        let full = || (0..100).map(|_| entry());
        inbox.post_all(full().collect());
        let mut kept = Vec::new();
        inbox.take(&mut kept);
        inbox.post_all(full().collect());
        inbox.post_all(vec![typing(), reply(7), entry()]);
        let mut posts = Vec::new();
        let losses = inbox.take(&mut posts);
        let durable = 101 - kept.len() as u64;
        assert_eq!(losses, Losses { volatile: 1, durable, ..Losses::default() });
        assert!(matches!(posts[kept.len()..], [Post::Reply { .. }]));
    }

    #[test]
    fn a_dropped_redelivery_leaves_a_lag_for_its_connection_in_its_place() {
        let (inbox, _poll) = inbox(10_000);
        inbox.post_all((0..100).map(|_| typing()).collect());
        let pushes = [3, 3, 3, 4, 4].map(redelivery);
        inbox.post_all(pushes.into_iter().chain([reply(7)]).collect());
        let mut posts = Vec::new();
        let losses = inbox.take(&mut posts);
        assert_eq!((losses.durable, losses.redelivered), (0, 5));
        let [.., Post::Lag { conn: three }, Post::Lag { conn: four }, Post::Reply { .. }] =
            &posts[..]
        else {
            panic!("no lag in its place")
        };
        assert_eq!([three.slot, four.slot], [3, 4]);
    }

    #[test]
    fn a_closed_inbox_keeps_nothing() {
        let (inbox, _poll) = inbox(10_000);
        inbox.post(reply(0));
        inbox.close();
        inbox.post(reply(1));
        let mut posts = Vec::new();
        inbox.take(&mut posts);
        assert!(posts.is_empty());
    }

    #[test]
    fn only_a_sleeping_shard_is_woken() {
        let (inbox, mut poll) = inbox(10_000);
        inbox.post(reply(0));
        assert!(!woken(&mut poll));
        assert!(!inbox.sleep(), "there is something to do");
        inbox.take(&mut Vec::new());
        assert!(inbox.sleep());
        inbox.post(reply(1));
        inbox.post(reply(2));
        assert!(woken(&mut poll));
        assert!(!woken(&mut poll));
    }
}
