//! Who may do what on channels, compiled once from the configuration.
//!
//! Invariant: what no rule names is refused.

use hubbub_proto::{Channel, Identity, Reason, Who};
use rustc_hash::FxHashMap;

/// The rules of one namespace of channels.
#[derive(Clone, Debug, Default)]
pub struct Namespace {
    /// Who may subscribe.
    pub subscribe: Who,
    /// Who may publish.
    pub publish: Who,
}

/// Channels and signals: what is allowed, and how much of it is kept.
#[derive(Clone, Debug)]
pub struct LiveConfig {
    /// The namespaces by name.
    pub namespaces: Vec<(Box<str>, Namespace)>,
    /// Who may send signals.
    pub signal: Who,
    /// Most channels that a shard is home to; above it `too_many_channels`.
    pub channels_max: u32,
    /// Milliseconds that a channel is remembered after its last use; up to twice as long.
    pub channel_idle_ms: u32,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            signal: Who::Nobody,
            channels_max: 100_000,
            channel_idle_ms: 300_000,
        }
    }
}

/// What is looked up for each command.
#[derive(Debug)]
pub(crate) struct Rules {
    namespaces: FxHashMap<Box<str>, Namespace>,
    signal: Who,
}

impl Rules {
    pub(crate) fn new(config: &LiveConfig) -> Self {
        Self {
            namespaces: config.namespaces.iter().cloned().collect(),
            signal: config.signal.clone(),
        }
    }

    pub(crate) fn subscribe(&self, channel: &Channel, identity: &Identity) -> Result<(), Reason> {
        permitted(&self.namespace(channel)?.subscribe, identity)
    }

    pub(crate) fn publish(&self, channel: &Channel, identity: &Identity) -> Result<(), Reason> {
        permitted(&self.namespace(channel)?.publish, identity)
    }

    pub(crate) fn signal(&self, identity: &Identity) -> Result<(), Reason> {
        permitted(&self.signal, identity)
    }

    fn namespace(&self, channel: &Channel) -> Result<&Namespace, Reason> {
        self.namespaces.get(channel.namespace()).ok_or(Reason::ChannelUnknown)
    }
}

fn permitted(who: &Who, identity: &Identity) -> Result<(), Reason> {
    if who.permits(identity) { Ok(()) } else { Err(Reason::NotAllowed) }
}
