//! What other threads tell a shard.
//!
//! Invariants: posts arrive in the order in which one thread sent them; a wake-up cannot be lost,
//! because `sleeping` changes under the same lock as the posts. Bounded: above `bytes_max` all
//! publications and pushes are dropped and counted, volatile or not, until the shard takes what is
//! there; where entries were among them, the shard tells its sessions to pull. What is never
//! dropped is bounded elsewhere: replies and attachments by the windows of the connections, sockets
//! and what signing in brings by the number of connections, changes of membership by the
//! commands that the writer has queued.

use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hubbub_proto::event::Ack;
use hubbub_proto::route::DeliveryClass;
use hubbub_proto::{CommandId, ConnId, DeviceId, Event, Refusal, Topic, UserId};
use mio::Waker;

use crate::frame::Broadcast;
use crate::opening::Adoption;

pub(crate) enum Post {
    Adopt(Box<Adoption>),
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
    /// Connections of this user and device that were opened before `opened` are to be closed.
    Replace {
        user: UserId,
        device: DeviceId,
        opened: u64,
    },
    Resume,
    StopParsing(Sender<()>),
    Drain {
        retry_after_ms: u64,
        deadline: Instant,
    },
}

impl Post {
    /// How it may be dropped; `None` for what must arrive. A push is part of a redelivery, which is
    /// tried again.
    fn class(&self) -> Option<DeliveryClass> {
        match self {
            Self::Publish(broadcast) => Some(broadcast.publication().class),
            Self::Push { .. } => Some(DeliveryClass::Durable),
            _ => None,
        }
    }
}

/// What was dropped because the shard was behind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Losses {
    /// Nobody needs to know of these.
    pub(crate) volatile: u64,
    /// Entries, later than everything that was taken and was posted before them.
    pub(crate) durable: u64,
}

/// See the module.
pub(crate) struct Inbox {
    state: Mutex<State>,
    waker: Waker,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    posts: Vec<Post>,
    bytes: usize,
    sleeping: bool,
    losses: Losses,
    /// The shard has ended.
    closed: bool,
}

impl State {
    /// Drops what may be dropped and has no room. Answers what is left and its weight.
    fn admit(&mut self, posts: Vec<Post>, bytes_max: usize) -> (usize, Vec<Post>) {
        let mut bytes = 0;
        let mut kept = Vec::with_capacity(posts.len());
        for post in posts {
            if self.bytes + bytes > bytes_max
                && let Some(class) = post.class()
            {
                match class {
                    DeliveryClass::Volatile => self.losses.volatile += 1,
                    DeliveryClass::Durable => self.losses.durable += 1,
                }
                continue;
            }
            bytes += post.weight();
            kept.push(post);
        }
        (bytes, kept)
    }
}

impl Inbox {
    pub(crate) fn new(waker: Waker, bytes_max: usize) -> Self {
        Self { state: Mutex::new(State::default()), waker, bytes_max }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn post(&self, post: Post) {
        self.post_all(vec![post]);
    }

    /// Adds posts and wakes the shard if it sleeps. The lock is held for an append, or a swap where
    /// nothing waits.
    pub(crate) fn post_all(&self, mut posts: Vec<Post>) {
        let mut bytes = posts.iter().map(Post::weight).sum::<usize>();
        let wake = {
            let mut state = self.state();
            if state.closed {
                drop(state);
                return turn_away(posts);
            }
            if state.bytes + bytes > self.bytes_max {
                (bytes, posts) = state.admit(posts, self.bytes_max);
            }
            state.bytes += bytes;
            if state.posts.is_empty() {
                std::mem::swap(&mut state.posts, &mut posts);
            } else {
                state.posts.append(&mut posts);
            }
            !state.posts.is_empty() && std::mem::take(&mut state.sleeping)
        };
        if wake && let Err(error) = self.waker.wake() {
            tracing::error!(%error, "a shard could not be woken");
        }
    }

    /// Swaps the posts into `into`, which must be empty. Answers what was dropped since the last
    /// time.
    pub(crate) fn take(&self, into: &mut Vec<Post>) -> Losses {
        let mut state = self.state();
        state.sleeping = false;
        state.bytes = 0;
        std::mem::swap(&mut state.posts, into);
        std::mem::take(&mut state.losses)
    }

    /// Announces that the shard will sleep until it is woken; false when there are posts already.
    pub(crate) fn sleep(&self) -> bool {
        let mut state = self.state();
        state.sleeping = state.posts.is_empty();
        state.sleeping
    }

    /// The shard has ended: nothing is kept from here on, and sockets are closed.
    pub(crate) fn close(&self) {
        let posts = {
            let mut state = self.state();
            state.closed = true;
            std::mem::take(&mut state.posts)
        };
        turn_away(posts);
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

    fn reply(slot: u32) -> Post {
        let conn = ConnId { shard: 0, slot, generation: 0 };
        Post::Reply { conn, id: None, outcome: Ok(Ack::Done) }
    }

    fn publish(event: Event, class: DeliveryClass) -> Post {
        let topics = Default::default();
        Post::Publish(Broadcast::new(Publication { topics, event, except: None, class }))
    }

    fn typing() -> Post {
        let event = Event::Typing(TypingEvent {
            conversation: hubbub_proto::ConversationId::new("group:g").unwrap(),
            user: UserId::new("u").unwrap(),
            active: true,
        });
        publish(event, DeliveryClass::Volatile)
    }

    fn entry() -> Post {
        publish(delivered(&"x".repeat(500)), DeliveryClass::Durable)
    }

    fn redelivery() -> Post {
        let conn = ConnId { shard: 0, slot: 0, generation: 0 };
        Post::Push { conn, event: delivered(&"x".repeat(500)) }
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
            let must_arrive = 100 * reply(0).weight();
            for n in 0..1000 {
                let posts = if n < 100 { vec![reply(n), event()] } else { vec![event()] };
                inbox.post_all(posts);
                let most = 10_000 + event().weight() + must_arrive;
                assert!(inbox.state().bytes <= most, "{}", inbox.state().bytes);
            }
            let mut posts = Vec::new();
            let dropped = inbox.take(&mut posts);
            let kept = posts.iter().filter(|post| post.class().is_some()).count() as u64;
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
        check(typing, |volatile| Losses { volatile, durable: 0 });
        check(entry, |durable| Losses { volatile: 0, durable });
        check(redelivery, |durable| Losses { volatile: 0, durable });
    }

    #[test]
    fn after_a_dropped_entry_none_is_taken_until_the_shard_looks() {
        let (inbox, _poll) = inbox(10_000);
        inbox.post_all((0..100).map(|_| entry()).collect());
        let before = inbox.state().posts.len();
        inbox.post_all(vec![typing(), reply(7), entry(), redelivery()]);
        let mut posts = Vec::new();
        let losses = inbox.take(&mut posts);
        assert_eq!(losses, Losses { volatile: 1, durable: 102 - before as u64 });
        assert!(matches!(posts[before..], [Post::Reply { .. }]));
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
