//! What the hub needs from above.

use std::collections::VecDeque;

use hubbub_proto::{ChannelPattern, DeviceId, Identity, Reason, Refusal, Request, UserId};

use crate::calls::Answer;

/// The chat services and the token check, as the shards see them.
///
/// **Ordering.** Requests are submitted in the order in which each connection sent them; the
/// upstream keeps that order for each connection; `Opened` comes before them and `Closed` behind. **Liveness.** After a `submit` that left
/// something behind, [`Router::resume`](crate::Router::resume) is called once there is room again.
pub trait Upstream: Send + Sync {
    /// Takes requests from the front while there is room; the rest stays, and the connections that
    /// want more are parked.
    fn submit(&self, batch: &mut VecDeque<Request>);

    /// Checks a token that came in `auth` or `refresh`. Called on a shard's thread: no blocking.
    ///
    /// # Errors
    /// What the client is told; a refusal with code 401 ends a connection that was not
    /// authenticated before.
    fn authenticate(&self, token: &str, device: Option<&DeviceId>) -> Result<Identity, Refusal>;

    /// Checks a token for one channel or pattern of channels, that came in `subscribe`. Answers whom
    /// it is for and where. Called on a shard's thread: no blocking. One that knows of no such tokens
    /// refuses each.
    ///
    /// # Errors
    /// What the client is told.
    fn channel_pass(&self, _token: &str) -> Result<(UserId, ChannelPattern), Refusal> {
        Err(Reason::BadToken.into())
    }

    /// Replies to calls ([`Hub::call`](crate::Hub::call)), in the order in which the shard gave
    /// them. Called on a shard's thread: no blocking. One that makes no calls gets none.
    fn answered(&self, _answers: Vec<Answer>) {}
}
