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

impl Inbox {
    pub(crate) fn new(waker: Waker, bytes_max: usize) -> Self {
        Self { state: Mutex::new(State::default()), waker, bytes_max }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn post(&self, post: Post) {
        self.post_all(std::iter::once(post));
    }

    /// Adds posts and wakes the shard if it sleeps. Never blocks for longer than a swap.
    pub(crate) fn post_all(&self, posts: impl Iterator<Item = Post>) {
        let wake = {
            let mut state = self.state();
            for post in posts {
                if state.bytes > self.bytes_max && post.is_volatile() {
                    state.dropped += 1;
                    continue;
                }
                state.bytes += post.weight();
                state.posts.push(post);
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
