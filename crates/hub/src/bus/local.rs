//! The bus of a single node: straight into the inboxes of the shards.

use std::sync::Arc;
use std::time::Instant;

use hubbub_proto::{ConnId, Effect};

use crate::frame::Broadcast;
use crate::inbox::{Inbox, Post};

/// See the module.
pub(crate) struct Local {
    inboxes: Arc<[Inbox]>,
}

/// To whom a post goes.
enum Scope {
    One(u16),
    All,
}

impl Local {
    pub(crate) fn new(inboxes: Arc<[Inbox]>) -> Self {
        Self { inboxes }
    }

    pub(crate) fn post(&self, effects: Vec<Effect>) {
        let posted = Instant::now();
        let address = |effect| address(effect, posted);
        if let [only] = &*self.inboxes {
            only.post_all(effects.into_iter().map(|effect| address(effect).1).collect());
            return;
        }
        let mut batches: Vec<Vec<Post>> = self.inboxes.iter().map(|_| Vec::new()).collect();
        for effect in effects {
            let (scope, post) = address(effect);
            match scope {
                Scope::One(shard) => {
                    if let Some(batch) = batches.get_mut(usize::from(shard)) {
                        batch.push(post);
                    }
                }
                Scope::All => {
                    for batch in &mut batches {
                        batch.extend(copy(&post));
                    }
                }
            }
        }
        for (inbox, batch) in self.inboxes.iter().zip(batches) {
            if !batch.is_empty() {
                inbox.post_all(batch);
            }
        }
    }

    pub(crate) fn resume(&self) {
        for inbox in &*self.inboxes {
            inbox.post(Post::Resume);
        }
    }
}

fn address(effect: Effect, posted: Instant) -> (Scope, Post) {
    let one = |conn: ConnId| Scope::One(conn.shard);
    match effect {
        Effect::Reply { conn, id, read_at, outcome } => {
            (one(conn), Post::Answer { conn, id, read_at, outcome })
        }
        Effect::Push { conn, event } => (one(conn), Post::Push { conn, event }),
        Effect::Attach { conn, topics } => (one(conn), Post::Attach { conn, topics }),
        Effect::Close { conn, code } => (one(conn), Post::Close { conn, code }),
        Effect::Identity { user, roles } => (Scope::All, Post::Identity { user, roles }),
        Effect::SignOut { user, device, others } => {
            (Scope::All, Post::SignOut { user, device, others })
        }
        Effect::Publish(publication) => {
            (Scope::All, Post::Publish(Broadcast::new(publication, posted)))
        }
        Effect::Veil { publication, unseen } => {
            (Scope::All, Post::Publish(Broadcast::veiled(*publication, unseen, posted)))
        }
        Effect::Join { user, topic } => (Scope::All, Post::Join { user, topic }),
        Effect::Leave { user, topic } => (Scope::All, Post::Leave { user, topic }),
        Effect::End { topic } => (Scope::All, Post::End { topic }),
    }
}

/// Copies what goes to all shards.
fn copy(post: &Post) -> Option<Post> {
    Some(match post {
        Post::Publish(broadcast) => Post::Publish(broadcast.clone()),
        Post::Join { user, topic } => Post::Join { user: user.clone(), topic: topic.clone() },
        Post::Leave { user, topic } => Post::Leave { user: user.clone(), topic: topic.clone() },
        Post::Identity { user, roles } => {
            Post::Identity { user: user.clone(), roles: Arc::clone(roles) }
        }
        Post::SignOut { user, device, others } => {
            Post::SignOut { user: user.clone(), device: device.clone(), others: *others }
        }
        Post::End { topic } => Post::End { topic: topic.clone() },
        _ => return None,
    })
}
