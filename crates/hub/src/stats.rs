//! Counters: each shard writes its own, anybody reads the sum.

use hubbub_measure::{Counter, Distribution, Histogram};
use hubbub_proto::codec::Codec;
use hubbub_proto::{CloseCode, Reason};

use crate::connection::Kind;
use crate::inbox::Inbox;
use crate::transport::Transport;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of one shard. Written by its thread alone, so that
        /// relaxed loads and stores are enough.
        #[derive(Debug, Default)]
        pub(crate) struct ShardStats {
            $(pub(crate) $name: Counter,)*
            closes: [Counter; CloseCode::ALL.len()],
            /// By reason.
            refused: ByReason,
            /// By [`Carrier`].
            open: [Counter; CARRIERS],
            opened: [Counter; CARRIERS],
            /// By [`Parked`].
            pub(crate) parked_now: [Counter; PARKED.len()],
            pub(crate) ack_us: Histogram,
            pub(crate) delivery_us: Histogram,
        }

        /// The sums over all shards, since the start except where a unit says otherwise.
        #[derive(Clone, Debug, Default, Eq, PartialEq)]
        pub struct HubStats {
            $($(#[$doc])* pub $name: u64,)*
            /// Connections that this server closed, by code.
            pub closes: Vec<(CloseCode, u64)>,
            /// Commands of connections that were answered with a refusal, by reason, whoever refused.
            pub refused: Vec<(Reason, u64)>,
            /// Connections by how they come and how they speak.
            pub carried: Vec<Carried>,
            /// Connections that are not read at the moment, by what they wait for.
            pub parked_now: Vec<(&'static str, u64)>,
            /// Microseconds from reading a command that the services answer to its reply in the
            /// outbox.
            pub ack_us: Distribution,
            /// Microseconds from the services' handing over an event, behind its commit, to its being
            /// in an outbox; one for each.
            pub delivery_us: Distribution,
        }

        impl HubStats {
            pub(crate) fn sum<'a>(shards: impl Iterator<Item = &'a ShardStats> + Clone) -> Self {
                let closes = CloseCode::ALL.iter().enumerate();
                Self {
                    $($name: shards.clone().map(|shard| shard.$name.get()).sum(),)*
                    closes: closes
                        .map(|(i, code)| {
                            (*code, shards.clone().map(|shard| shard.closes[i].get()).sum())
                        })
                        .collect(),
                    refused: Reason::ALL
                        .iter()
                        .enumerate()
                        .map(|(i, reason)| {
                            (*reason, shards.clone().map(|shard| shard.refused.0[i].get()).sum())
                        })
                        .collect(),
                    carried: carried(&shards),
                    parked_now: PARKED
                        .iter()
                        .enumerate()
                        .map(|(i, name)| {
                            (*name, shards.clone().map(|shard| shard.parked_now[i].get()).sum())
                        })
                        .collect(),
                    ack_us: merged(shards.clone().map(|shard| &shard.ack_us)),
                    delivery_us: merged(shards.map(|shard| &shard.delivery_us)),
                }
            }
        }
    };
}

counters! {
    /// Connections at the moment, those that linger included.
    connections,
    /// Connections at the moment with an authenticated, open session.
    sessions,
    /// Sockets handed over by the HTTP side.
    adopted,
    /// Messages and control frames read.
    frames_in,
    /// Bytes read.
    bytes_in,
    /// Frames given to connections, in the order of writing.
    frames_out,
    /// Bytes written.
    bytes_out,
    /// Times that a connection was written to.
    flushes,
    /// Commands handed to the chat services.
    commands,
    /// Messages answered with a refusal by the session.
    refusals,
    /// Among them, those for the rate.
    rate_limited,
    /// Publications handled, once for each shard.
    publications,
    /// Frames that went from publications to connections.
    deliveries,
    /// Connections closed for too many control frames, or pieces of frames, in a second.
    floods,
    /// Publications on channels that were given their offset, at the channels' homes.
    sequenced,
    /// Signals sent.
    signals,
    /// Posts about channels and signals from one shard to another.
    crossings,
    /// Channels that the shards are home to, at the moment.
    channels,
    /// Channels forgotten because nobody used them.
    channels_expired,
    /// Bytes kept of what was published on channels, at the moment.
    history_bytes,
    /// Channels whose history was dropped for want of room.
    histories_dropped,
    /// Users kept as subscribed to channels, at the moment; one in several channels counts in each.
    channel_members,
    /// Users who came to a channel and could not be listed for want of room.
    members_unlisted,
    /// Times that subscribers of a channel were told of somebody who came or left.
    members_told,
    /// Patterns of channels with subscribers, at the moment; counted in each shard that has any.
    patterns,
    /// Subscribers who were told what they missed.
    recovered,
    /// Subscribers who asked for what they missed and have to begin anew.
    not_recovered,
    /// Subscribers who were to be told what they missed, refused because their shard was behind.
    refused_recoveries,
    /// Publications refused for the rate of their namespace.
    refused_pace,
    /// Publications on channels dropped because a subscriber was behind; it is told.
    dropped_publications,
    /// Batches of publications dropped because a shard was behind; its subscribers are told.
    dropped_inbox_channels,
    /// Publications refused because the channel's home was behind.
    refused_inbox,
    /// Volatile events dropped because the connection was behind.
    dropped_volatile,
    /// Volatile publications dropped because the shard was behind.
    dropped_inbox,
    /// Entries dropped because the shard was behind; those they were for have to pull.
    dropped_inbox_durable,
    /// Durable entries that a lagging connection has to pull.
    dropped_lagging,
    /// Times that a connection was told that it lagged.
    lags,
    /// Times that a connection was parked.
    parked,
    /// Bytes that wait in outboxes at the moment, behind readers that are slow.
    outbox_bytes,
    /// Posts that wait for the shards at the moment.
    inbox_posts,
    /// Roughly the memory that these keep, in bytes.
    inbox_bytes,
    /// Turns of the shards' loops.
    turns,
    /// Microseconds that they took, the waiting for events not counted.
    busy_us,
    /// Times that a shard gave memory back after it had calmed down.
    tidied,
    /// Redeliveries asked for.
    redeliveries,
    /// Connections closed by their client.
    closed_by_client,
    /// Connections that ended without a close frame.
    lost,
    /// Connections lost because what came was not what TLS allows.
    tls_failures,
    /// TLS connections whose client went away without saying so (`close_notify`).
    tls_truncated,
    /// Messages that came compressed.
    compressed_in,
    /// Their bytes as they came.
    compressed_in_bytes,
    /// Their bytes after inflating.
    compressed_in_plain_bytes,
    /// Messages that were compressed; one that goes to many once for each window size.
    compressed_out,
    /// Their bytes after compressing.
    compressed_out_bytes,
    /// Their bytes before.
    compressed_out_plain_bytes,
    /// Bytes set aside at the moment for contexts of compressed connections.
    takeover_bytes,
    /// Clients that had to do without a context for want of room.
    takeover_refused,
    /// Panics in the handling of one connection.
    panics,
}

/// How a connection comes: [`TRANSPORTS`] by [`dialects`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Carrier(usize);

/// The kinds of `Transport`, in their order.
const TRANSPORTS: [&str; 3] = ["tcp", "h2", "tls"];
/// Dialects that are no codec: `/echo`, and what is opened only to be told why it is closed.
const OTHERS: [&str; 2] = ["echo", "refused"];
const DIALECTS: usize = Codec::ALL.len() + OTHERS.len();
const CARRIERS: usize = TRANSPORTS.len() * DIALECTS;
/// The kinds of [`Parked`], in their order.
const PARKED: [&str; 4] = ["window", "outbox", "upstream", "stopped"];

/// The connections of one transport and dialect.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Carried {
    /// `tcp`, `tls`, or `h2` for one on a stream of HTTP/2.
    pub transport: &'static str,
    /// `json`, `echo`, or `refused` for one that was opened only to be told why it is closed.
    pub dialect: &'static str,
    /// How many there are.
    pub open: u64,
    /// How many there were in all.
    pub opened: u64,
}

impl Carrier {
    pub(crate) fn of(transport: &Transport, kind: &Kind) -> Self {
        let transport = match transport {
            Transport::Tcp(_) => 0,
            Transport::Unix(_) => 1,
            Transport::Tls(..) => 2,
        };
        let dialect = match kind {
            Kind::Session { codec, .. } => codec.index(),
            Kind::Echo(_) => Codec::ALL.len(),
            Kind::Refused => Codec::ALL.len() + 1,
        };
        Self(transport * DIALECTS + dialect)
    }
}

fn carried<'a>(shards: &(impl Iterator<Item = &'a ShardStats> + Clone)) -> Vec<Carried> {
    let dialects = || Codec::ALL.iter().map(|codec| codec.dialect()).chain(OTHERS);
    let named = TRANSPORTS.iter().flat_map(|transport| dialects().map(move |d| (*transport, d)));
    let sum = |of: fn(&ShardStats) -> &[Counter; CARRIERS], place: usize| {
        shards.clone().map(|shard| of(shard)[place].get()).sum()
    };
    named
        .enumerate()
        .map(|(place, (transport, dialect))| Carried {
            transport,
            dialect,
            open: sum(|shard| &shard.open, place),
            opened: sum(|shard| &shard.opened, place),
        })
        .collect()
}

fn merged<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Distribution {
    histograms.fold(Distribution::default(), |all, one| all.merged(&one.read()))
}

/// A counter for each reason, in the order of [`Reason::ALL`].
#[derive(Debug)]
struct ByReason(Box<[Counter]>);

impl Default for ByReason {
    fn default() -> Self {
        Self(Reason::ALL.iter().map(|_| Counter::default()).collect())
    }
}

impl HubStats {
    /// With what waits in these inboxes.
    pub(crate) fn with<'a>(self, inboxes: impl IntoIterator<Item = &'a Inbox>) -> Self {
        let waiting = inboxes.into_iter().map(Inbox::waiting);
        let (posts, bytes) =
            waiting.fold((0, 0), |sum, (posts, bytes)| (sum.0 + posts, sum.1 + bytes));
        Self { inbox_posts: posts as u64, inbox_bytes: bytes as u64, ..self }
    }
}

impl ShardStats {
    /// A connection came.
    pub(crate) fn came(&self, Carrier(place): Carrier) {
        self.open[place].add(1);
        self.opened[place].add(1);
    }

    /// A connection is gone.
    pub(crate) fn went(&self, Carrier(place): Carrier) {
        self.open[place].sub(1);
    }

    /// A command was answered with a refusal.
    pub(crate) fn refused(&self, reason: Reason) {
        self.refused.0[reason as usize].add(1);
    }

    /// The session refused a command; the answer is counted when it is sent.
    pub(crate) fn refused_here(&self, reason: Reason) {
        self.refusals.add(1);
        self.rate_limited.add(u64::from(reason == Reason::RateLimited));
    }

    pub(crate) fn closed(&self, code: CloseCode) {
        if let Some(place) = CloseCode::ALL.iter().position(|other| *other == code) {
            self.closes[place].add(1);
        }
    }
}
