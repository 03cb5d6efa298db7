//! Counters: each shard writes its own, anybody reads the sum.

use hubbub_measure::Counter;
use hubbub_proto::CloseCode;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of one shard. Written by its thread alone, so that
        /// relaxed loads and stores are enough.
        #[derive(Debug, Default)]
        pub(crate) struct ShardStats {
            $(pub(crate) $name: Counter,)*
            closes: [Counter; CloseCode::ALL.len()],
        }

        /// The sums over all shards, since the start except where a unit says otherwise.
        #[derive(Clone, Debug, Default, Eq, PartialEq)]
        pub struct HubStats {
            $($(#[$doc])* pub $name: u64,)*
            /// Connections that this server closed, by code.
            pub closes: Vec<(CloseCode, u64)>,
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

impl ShardStats {
    pub(crate) fn closed(&self, code: CloseCode) {
        if let Some(place) = CloseCode::ALL.iter().position(|other| *other == code) {
            self.closes[place].add(1);
        }
    }
}
