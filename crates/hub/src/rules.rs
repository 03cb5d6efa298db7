//! Who may do what on channels, compiled once from the configuration.
//!
//! Invariant: what no rule names is refused; a claim of a token counts only where the rule of the
//! namespace says so.

use std::fmt;

use hubbub_proto::{Channel, ChannelAction, ChannelPattern, Identity, Reason, Refusal, Who};
use rustc_hash::FxHashMap;

use crate::channels::Traits;
use crate::history::Extent;

/// Who may do something on the channels of a namespace.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Permit {
    /// Whatever the channel.
    pub who: Who,
    /// Whoever has a token that names the channel.
    pub claim: bool,
    /// Whoever brings a token for this channel.
    pub token: bool,
}

/// A word of a rule that means nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownPermit(Box<str>);

impl fmt::Display for UnknownPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = "\"nobody\", \"everyone\", \"role:NAME\", \"claim\", or to subscribe \"token\"";
        write!(f, "\"{}\" is not known; use {known}", self.0)
    }
}

impl std::error::Error for UnknownPermit {}

impl From<Who> for Permit {
    fn from(who: Who) -> Self {
        Self { who, ..Self::default() }
    }
}

impl Permit {
    /// Compiles a list of `nobody`, `everyone`, `role:NAME`, `claim` and `token`; each one permits
    /// more.
    ///
    /// # Errors
    /// The first word that is none of these.
    pub fn compile<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, UnknownPermit> {
        let mut permit = Self::default();
        let mut others = Vec::new();
        for word in words {
            match word {
                "claim" => permit.claim = true,
                "token" => permit.token = true,
                word => {
                    Who::compile([word]).map_err(|_| UnknownPermit(word.into()))?;
                    others.push(word);
                }
            }
        }
        // Each of them was compiled by itself, so that nothing is left to go wrong.
        permit.who = Who::compile(others).unwrap_or_default();
        Ok(permit)
    }

    /// Whether this one may do `action` on `name`.
    fn permits(&self, action: ChannelAction, name: &str, identity: &Identity) -> bool {
        let claims = || identity.channels().is_some_and(|all| all.permit(action, name));
        self.who.permits(identity) || (self.claim && claims())
    }

    fn check(&self, action: ChannelAction, name: &str, who: &Identity) -> Result<(), Reason> {
        if self.permits(action, name, who) { Ok(()) } else { Err(Reason::NotAllowed) }
    }
}

/// The rules of one namespace of channels.
#[derive(Clone, Debug, Default)]
pub struct Namespace {
    /// Who may subscribe.
    pub subscribe: Permit,
    /// Who may subscribe to patterns of channels.
    pub wildcard: Permit,
    /// Who may publish.
    pub publish: Permit,
    /// Who may see who is subscribed.
    pub presence: Permit,
    /// Who may read what is kept.
    pub history: Permit,
    /// Most publications kept of a channel; 0 for none.
    pub history_size: u32,
    /// Most bytes of them.
    pub history_bytes: u32,
    /// How long each is kept, in milliseconds.
    pub history_ms: u32,
    /// Whether subscribers who come back are told what they missed.
    pub recover: bool,
    /// Whether subscribers are told the last publication.
    pub cache: bool,
    /// Longest `data` of a publication, in bytes; 0 for what a message may have.
    pub message_bytes_max: u32,
    /// Publications per second of one connection; 0 for what a connection may send.
    pub publishes_per_second: u32,
    /// Whether it is kept who is subscribed.
    pub track_presence: bool,
    /// Up to so many users are told of each other's coming and going; 0 for none.
    pub join_leave_members_max: u32,
    /// Whether publications are worth nothing later: without an order and a history, and dropped
    /// where a receiver is behind.
    pub volatile: bool,
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
    /// Most bytes that a shard keeps of what was published.
    pub history_bytes_max: u32,
    /// Most publications that a subscriber who comes back is told.
    pub recovery_size_max: u32,
    /// Most users whom a shard keeps as subscribed to channels at home there.
    pub members_max: u32,
    /// Most patterns to which connections of a shard are subscribed.
    pub patterns_max: u32,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            signal: Who::Nobody,
            channels_max: 100_000,
            channel_idle_ms: 300_000,
            history_bytes_max: 64 << 20,
            recovery_size_max: 1000,
            members_max: 1_000_000,
            patterns_max: 1000,
        }
    }
}

/// What is looked up for each command.
#[derive(Debug)]
pub(crate) struct Rules {
    by_name: FxHashMap<Box<str>, u16>,
    namespaces: Vec<Namespace>,
    signal: Who,
    tracks: bool,
}

/// What a subscriber gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SubscribeTerms {
    /// Only the channel's home can answer.
    pub(crate) only_home: bool,
    /// It is kept who is subscribed.
    pub(crate) tracked: bool,
}

/// What a publisher is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublishTerms {
    /// Which namespace.
    pub(crate) namespace: u16,
    pub(crate) per_second: u32,
    pub(crate) volatile: bool,
}

impl Rules {
    pub(crate) fn new(config: &LiveConfig) -> Self {
        let names = config.namespaces.iter().zip(0..);
        Self {
            by_name: names.map(|((name, _), index)| (name.clone(), index)).collect(),
            namespaces: config.namespaces.iter().map(|(_, namespace)| namespace.clone()).collect(),
            signal: config.signal.clone(),
            tracks: config.namespaces.iter().any(|(_, namespace)| namespace.track_presence),
        }
    }

    /// What a channel is like.
    pub(crate) fn traits(&self, channel: &Channel) -> Traits {
        let Ok((_, namespace)) = self.namespace(channel.namespace()) else {
            return Traits::default();
        };
        // A cache is the last one of a history.
        let size = namespace.history_size.max(u32::from(namespace.cache));
        let extent = (size > 0 && !namespace.volatile).then(|| Extent {
            size: size as usize,
            bytes: namespace.history_bytes as usize,
            ms: namespace.history_ms.into(),
        });
        Traits {
            extent,
            recover: namespace.recover,
            cache: namespace.cache,
            volatile: namespace.volatile,
            tracked: namespace.track_presence,
            told_max: namespace.join_leave_members_max as usize,
        }
    }

    /// Whether it is kept of any channel who is subscribed.
    pub(crate) fn tracks(&self) -> bool {
        self.tracks
    }

    /// What holds for whoever is subscribed to a channel.
    pub(crate) fn terms(&self, channel: &Channel) -> Result<SubscribeTerms, Reason> {
        let (_, namespace) = self.namespace(channel.namespace())?;
        let only_home = namespace.cache && !namespace.volatile;
        Ok(SubscribeTerms { only_home, tracked: namespace.track_presence })
    }

    /// `pass` answers whether a token for the channel is good, where the client has brought one.
    pub(crate) fn subscribe(
        &self,
        channel: &Channel,
        who: &Identity,
        pass: impl FnOnce() -> Option<Result<(), Refusal>>,
    ) -> Result<SubscribeTerms, Refusal> {
        let (_, namespace) = self.namespace(channel.namespace())?;
        let (rule, name) = (&namespace.subscribe, channel.as_str());
        let is_given = || who.channels().is_some_and(|claims| claims.subscribed.contains(channel));
        if !rule.permits(ChannelAction::Subscribe, name, who) && !is_given() {
            match pass().filter(|_| rule.token) {
                Some(outcome) => outcome?,
                None => return Err(Reason::NotAllowed.into()),
            }
        }
        Ok(self.terms(channel)?)
    }

    pub(crate) fn watch(&self, pattern: &ChannelPattern, who: &Identity) -> Result<(), Reason> {
        let (_, namespace) = self.namespace(pattern.namespace())?;
        namespace.wildcard.check(ChannelAction::Subscribe, pattern.as_str(), who)
    }

    pub(crate) fn presence(&self, channel: &Channel, who: &Identity) -> Result<(), Reason> {
        let (_, namespace) = self.namespace(channel.namespace())?;
        namespace.presence.check(ChannelAction::Presence, channel.as_str(), who)
    }

    pub(crate) fn publish(
        &self,
        channel: &Channel,
        bytes: usize,
        who: &Identity,
    ) -> Result<PublishTerms, Reason> {
        let (index, namespace) = self.namespace(channel.namespace())?;
        namespace.publish.check(ChannelAction::Publish, channel.as_str(), who)?;
        let bytes_max = namespace.message_bytes_max as usize;
        if bytes_max > 0 && bytes > bytes_max {
            return Err(Reason::TooBig);
        }
        let per_second = namespace.publishes_per_second;
        Ok(PublishTerms { namespace: index, per_second, volatile: namespace.volatile })
    }

    pub(crate) fn history(&self, channel: &Channel, who: &Identity) -> Result<(), Reason> {
        let (_, namespace) = self.namespace(channel.namespace())?;
        namespace.history.check(ChannelAction::History, channel.as_str(), who)
    }

    pub(crate) fn signal(&self, identity: &Identity) -> Result<(), Reason> {
        if self.signal.permits(identity) { Ok(()) } else { Err(Reason::NotAllowed) }
    }

    fn namespace(&self, name: &str) -> Result<(u16, &Namespace), Reason> {
        let index = self.by_name.get(name).ok_or(Reason::ChannelUnknown)?;
        let namespace = self.namespaces.get(usize::from(*index)).ok_or(Reason::ChannelUnknown)?;
        Ok((*index, namespace))
    }
}
