//! The way of effects to the connections, wherever those are.
//!
//! One node is a cluster of one: everything that is published goes through here.

mod local;

use hubbub_proto::Effect;

pub(crate) use local::Local;

/// The implementations.
pub(crate) enum Bus {
    /// All connections are in this process: a direct call.
    Local(Local),
}

impl Bus {
    /// Hands over effects; those of one thread arrive in order. Never blocks.
    pub(crate) fn post(&self, effects: Vec<Effect>) {
        match self {
            Self::Local(local) => local.post(effects),
        }
    }

    /// Tells all shards of this process that the upstream has room again.
    pub(crate) fn resume(&self) {
        match self {
            Self::Local(local) => local.resume(),
        }
    }
}
