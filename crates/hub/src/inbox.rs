//! What other threads tell a shard.
//!
//! Invariants: posts arrive in the order in which one thread sent them; a wake-up cannot be lost,
//! because `sleeping` changes under the same lock as the posts. Bounded: above `bytes_max`
//! volatile publications are dropped and counted; the number of all other posts is bounded by the
//! connections' windows and by the batches of the writer.

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
    /// Roughly what it occupies, in bytes.
    fn weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Publish(broadcast) => match &broadcast.publication().event {
                    Event::Entry(delivered) => 600 + 2 * delivered.entry.content.get().len(),
                    _ => 500,
                },
                Self::Push { event: Event::Entry(delivered), .. } => {
                    delivered.entry.content.get().len()
                }
                Self::Attach { topics, .. } => topics.len() * 64,
                _ => 0,
            }
    }

    fn is_volatile(&self) -> bool {
        matches!(
            self,
            Self::Publish(broadcast)
                if broadcast.publication().class == DeliveryClass::Volatile
        )
    }
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
    dropped: u64,
}

impl State {
    /// Drops the volatile posts for which there is no room. Answers what is left and its weight.
    fn without_volatile(&mut self, posts: Vec<Post>, bytes_max: usize) -> (usize, Vec<Post>) {
        let mut bytes = 0;
        let mut kept = Vec::with_capacity(posts.len());
        for post in posts {
            if self.bytes + bytes > bytes_max && post.is_volatile() {
                self.dropped += 1;
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
            if state.bytes + bytes > self.bytes_max {
                (bytes, posts) = state.without_volatile(posts, self.bytes_max);
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

    /// Swaps the posts into `into`, which must be empty. Answers how many were dropped.
    pub(crate) fn take(&self, into: &mut Vec<Post>) -> u64 {
        let mut state = self.state();
        state.sleeping = false;
        state.bytes = 0;
        std::mem::swap(&mut state.posts, into);
        std::mem::take(&mut state.dropped)
    }

    /// Announces that the shard will sleep until it is woken; false when there are posts already.
    pub(crate) fn sleep(&self) -> bool {
        let mut state = self.state();
        state.sleeping = state.posts.is_empty();
        state.sleeping
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

    fn inbox(bytes_max: usize) -> (Inbox, Poll) {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), Token(7)).unwrap();
        (Inbox::new(waker, bytes_max), poll)
    }

    fn reply(slot: u32) -> Post {
        let conn = ConnId { shard: 0, slot, generation: 0 };
        Post::Reply { conn, id: None, outcome: Ok(Ack::Done) }
    }

    fn typing() -> Post {
        Post::Publish(Broadcast::new(Publication {
            topics: Default::default(),
            event: Event::Typing(TypingEvent {
                conversation: hubbub_proto::ConversationId::new("group:g").unwrap(),
                user: UserId::new("u").unwrap(),
                active: true,
            }),
            except: None,
            class: DeliveryClass::Volatile,
        }))
    }

    fn woken(poll: &mut Poll) -> bool {
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        !events.is_empty()
    }

    #[test]
    fn volatile_posts_are_dropped_above_the_bound_and_nothing_else() {
        let (inbox, _poll) = inbox(10_000);
        for slot in 0..1000 {
            inbox.post_all(vec![reply(slot), typing()]);
        }
        let mut posts = Vec::new();
        let dropped = inbox.take(&mut posts);
        let kept = posts.iter().filter(|post| post.is_volatile()).count() as u64;
        assert!(kept > 0 && kept < 20, "{kept}");
        assert_eq!(kept + dropped, 1000);
        let slots = posts.iter().filter_map(|post| match post {
            Post::Reply { conn, .. } => Some(conn.slot),
            _ => None,
        });
        assert!(slots.eq(0..1000), "in order, all of them");
        posts.clear();
        assert_eq!((inbox.take(&mut posts), posts.len()), (0, 0));
        inbox.post(typing());
        inbox.take(&mut posts);
        assert_eq!(posts.len(), 1, "there is room again");
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
