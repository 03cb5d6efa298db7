//! Every metric there is: its name, what it says, and where its number comes from.
//!
//! Invariant: what stands here is all that is exported and all that `docs/metrics.md` lists; every
//! counter of `HubStats` and `AcceptStats` is used by some row (tests).

use hubbub_proto::Reason;

use super::picture::{Picture, read};
use super::text::Samples;

/// What a metric is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Comes and goes.
    Gauge,
    /// How often something had which size.
    Histogram(Unit),
}

/// What a histogram is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// Durations, noted in microseconds and exported in seconds.
    Seconds,
    /// How many requests.
    Requests,
}

/// One metric, with all its labels.
pub struct Family {
    /// Its name, as exported.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence without a backslash.
    pub help: &'static str,
    /// Under which heading it is documented.
    pub section: &'static str,
    pub(super) write: fn(&Picture, &mut Samples<'_>),
}

macro_rules! families {
    ($($section:literal { $(
        $kind:expr, $name:literal, [$($label:literal),*], $help:literal, |$now:pat_param, $out:pat_param| $write:expr;
    )* })*) => {
        /// Every metric, in the order of the documents.
        pub static FAMILIES: &[Family] = &[$($(
            Family {
                name: $name,
                kind: $kind,
                labels: &[$($label),*],
                help: $help,
                section: $section,
                write: |$now, $out| $write,
            },
        )*)*];
    };
}

use Kind::{Counter, Gauge, Histogram};

families! {
    "Connections" {
        Gauge, "hubbub_connections", ["transport", "dialect"],
            "WebSockets at the moment, those included that are being closed: over TCP, TLS, or a stream of HTTP/2 (h2).",
            |now, out| now.hub.carried.iter().for_each(|one| out.of(&[one.transport, one.dialect], one.open));
        Gauge, "hubbub_sessions", [], "WebSockets whose user has signed in.",
            |now, out| out.value(now.hub.sessions);
        Counter, "hubbub_connections_opened_total", ["transport", "dialect"], "WebSockets that came to a shard.",
            |now, out| now.hub.carried.iter().for_each(|one| out.of(&[one.transport, one.dialect], one.opened));
        Counter, "hubbub_connections_closed_total", ["code"],
            "WebSockets that ended: closed by the server with this code, by the client, or lost without a close frame.",
            |now, out| {
                for (code, count) in &now.hub.closes {
                    out.of(&[&code.code().to_string()], count);
                }
                out.of(&["client"], now.hub.closed_by_client);
                out.of(&["lost"], now.hub.lost);
            };
        Gauge, "hubbub_connections_parked", ["by"],
            "WebSockets that are not read at the moment: their window is full, they do not read what is written (outbox), the queue of the chat services is full (upstream), the server stops (stopped).",
            |now, out| now.hub.parked_now.iter().for_each(|(why, count)| out.of(&[why], count));
        Counter, "hubbub_parked_total", [], "Times that reading from a connection was put off.",
            |now, out| out.value(now.hub.parked);
        Counter, "hubbub_floods_total", [],
            "WebSockets closed for too many control frames or pieces of frames in a second.",
            |now, out| out.value(now.hub.floods);
    }

    "Accepting" {
        Gauge, "hubbub_places", [], "Connections that there may be.", |now, out| out.value(now.places);
        Gauge, "hubbub_places_used", [], "Places taken, those that speak HTTP included.",
            |now, out| out.value(now.places_used);
        Counter, "hubbub_accepted_total", [], "Connections accepted.",
            |now, out| out.value(read(&now.accept.accepted));
        Counter, "hubbub_upgraded_total", [], "Connections handed over to the shards.",
            |now, out| out.value(read(&now.accept.adopted));
        Counter, "hubbub_turned_away_total", ["reason"],
            "Connections not let in: all places taken (full), too many per second (paced), too many at HTTP (crowded), too many WebSockets on one HTTP/2 connection (http2), no request in time (late), an address that may not connect (address_denied) or has as many connections as it may (address_crowded), a trusted proxy that does not say whose connection it is (unintroduced).",
            |now, out| {
                out.of(&["full"], read(&now.accept.turned_away));
                out.of(&["paced"], read(&now.accept.paced));
                out.of(&["crowded"], read(&now.accept.crowded));
                out.of(&["http2"], read(&now.accept.http2_refused));
                out.of(&["late"], read(&now.accept.late));
                out.of(&["address_denied"], read(&now.gate.stats.denied));
                out.of(&["address_crowded"], read(&now.gate.stats.crowded));
                out.of(&["unintroduced"], read(&now.gate.stats.unintroduced));
            };
        Counter, "hubbub_accept_pauses_total", [], "Times that accepting paused for want of descriptors.",
            |now, out| out.value(read(&now.accept.pauses));
        Counter, "hubbub_http2_connections_total", [], "Connections that spoke HTTP/2.",
            |now, out| out.value(read(&now.accept.http2));
        Counter, "hubbub_http2_sockets_total", [], "WebSockets over HTTP/2.",
            |now, out| out.value(read(&now.accept.http2_sockets));
        Counter, "hubbub_streams_total", [], "Event streams opened.",
            |now, out| out.value(read(&now.accept.streams));
        Gauge, "hubbub_streams", [], "Event streams that are open.",
            |now, out| out.value(read(&now.accept.streams_open));
        Counter, "hubbub_tls_handshakes_total", ["outcome"], "TLS handshakes by what became of them.",
            |now, out| {
                let tls = &now.tls;
                let resumed = read(&tls.resumed);
                out.of(&["full"], read(&tls.handshakes).saturating_sub(resumed));
                out.of(&["resumed"], resumed);
                out.of(&["plaintext"], read(&tls.plaintext));
                out.of(&["garbage"], read(&tls.garbage));
                out.of(&["incompatible"], read(&tls.incompatible));
                out.of(&["rejected"], read(&tls.rejected));
                out.of(&["abandoned"], read(&tls.abandoned));
                out.of(&["timed_out"], read(&tls.timed_out));
                out.of(&["failed"], read(&tls.failed));
            };
        Counter, "hubbub_tls_broken_total", ["reason"],
            "WebSockets over TLS lost for what TLS does not allow (failure), or whose end was not announced (truncated).",
            |now, out| {
                out.of(&["failure"], now.hub.tls_failures);
                out.of(&["truncated"], now.hub.tls_truncated);
            };
    }

    "HTTP API" {
        Counter, "hubbub_api_requests_total", [], "Requests to the HTTP API, the parts of batches included.",
            |now, out| out.value(read(&now.api.api_requests));
        Counter, "hubbub_api_refused_total", ["reason"],
            "Requests to the HTTP API refused: no key or token that is good for it (stranger), more in a second than a key may bring (paced), as many at a time as may be (crowded), a body over the limit (too_big), no answer in time (late).",
            |now, out| {
                out.of(&["stranger"], read(&now.api.api_strangers));
                out.of(&["paced"], read(&now.api.api_paced));
                out.of(&["crowded"], read(&now.api.api_crowded));
                out.of(&["too_big"], read(&now.api.api_too_big));
                out.of(&["late"], read(&now.api.api_late));
            };
    }

    "Traffic" {
        Counter, "hubbub_messages_total", ["direction"], "WebSocket messages and control frames.",
            |now, out| {
                out.of(&["in"], now.hub.frames_in);
                out.of(&["out"], now.hub.frames_out);
            };
        Counter, "hubbub_bytes_total", ["direction"], "Bytes on WebSockets, as they stand on the wire below TLS.",
            |now, out| {
                out.of(&["in"], now.hub.bytes_in);
                out.of(&["out"], now.hub.bytes_out);
            };
        Counter, "hubbub_flushes_total", [], "Times that a connection was written to.",
            |now, out| out.value(now.hub.flushes);
        Counter, "hubbub_commands_total", [], "Commands and changes of sessions handed to the chat services.",
            |now, out| out.value(now.hub.commands);
        Counter, "hubbub_publications_total", [], "Events handed to the shards for topics, once for each shard.",
            |now, out| out.value(now.hub.publications);
        Counter, "hubbub_deliveries_total", [], "Events of topics, channels and signals given to connections.",
            |now, out| out.value(now.hub.deliveries);
        Counter, "hubbub_redeliveries_total", [], "Times that unconfirmed entries were asked for again.",
            |now, out| out.value(now.hub.redeliveries);
        Counter, "hubbub_dropped_total", ["reason"],
            "Events dropped: entries (lagging), volatile events (volatile) and publications of channels (publications) because a connection was behind; volatile events (inbox), entries (inbox_durable) and batches of channels (inbox_channels) because a shard was; typing because the queue was half full (typing).",
            |now, out| {
                out.of(&["lagging"], now.hub.dropped_lagging);
                out.of(&["volatile"], now.hub.dropped_volatile);
                out.of(&["publications"], now.hub.dropped_publications);
                out.of(&["inbox"], now.hub.dropped_inbox);
                out.of(&["inbox_durable"], now.hub.dropped_inbox_durable);
                out.of(&["inbox_channels"], now.hub.dropped_inbox_channels);
                out.of(&["typing"], now.chat.typing_dropped);
            };
        Counter, "hubbub_lags_total", [], "Times that a connection was told to catch up.",
            |now, out| out.value(now.hub.lags);
        Counter, "hubbub_refusals_total", ["reason"],
            "Commands of WebSockets answered with an error, whoever refused; those for a rate stand below.",
            |now, out| {
                for (reason, count) in &now.hub.refused {
                    if *reason != Reason::RateLimited {
                        out.of(&[reason.slug()], count);
                    }
                }
            };
        Counter, "hubbub_rate_limited_total", ["scope"],
            "Commands refused for a rate: of the connection, or of the user.",
            |now, out| {
                let users = now.chat.refusals.iter().find(|(reason, _)| *reason == Reason::RateLimited);
                out.of(&["connection"], now.hub.rate_limited);
                out.of(&["user"], users.map_or(0, |(_, count)| *count));
            };
        Counter, "hubbub_refused_by_total", ["by"],
            "Commands refused by the session, before anything else saw them, and by the chat services.",
            |now, out| {
                out.of(&["session"], now.hub.refusals);
                out.of(&["services"], now.chat.refusals.iter().map(|(_, count)| count).sum::<u64>());
            };
        Histogram(Unit::Seconds), "hubbub_ack_seconds", [],
            "From reading a command that the chat services answer to its reply in the outbox.",
            |now, out| out.distribution(&[], &now.hub.ack_us);
        Histogram(Unit::Seconds), "hubbub_delivery_seconds", [],
            "From the end of the commit to the event in the outbox, once for each connection that gets it.",
            |now, out| out.distribution(&[], &now.hub.delivery_us);
        Gauge, "hubbub_outbox_bytes", [], "Bytes that wait behind readers that are slow.",
            |now, out| out.value(now.hub.outbox_bytes);
        Counter, "hubbub_panics_total", ["place"],
            "Panics, each confined to one connection or one read.",
            |now, out| {
                out.of(&["connection"], now.hub.panics);
                out.of(&["read"], now.chat.panics);
            };
    }

    "Channels" {
        Gauge, "hubbub_channels", [], "Channels that the shards keep.",
            |now, out| out.value(now.hub.channels);
        Counter, "hubbub_channels_expired_total", [], "Channels forgotten because nobody used them.",
            |now, out| out.value(now.hub.channels_expired);
        Counter, "hubbub_channel_publications_total", [], "Publications on channels that were given their offset.",
            |now, out| out.value(now.hub.sequenced);
        Counter, "hubbub_channel_publications_refused_total", ["reason"],
            "Publications on channels refused: the channel's shard was behind (behind), or there were more than its namespace allows (rate).",
            |now, out| {
                out.of(&["behind"], now.hub.refused_inbox);
                out.of(&["rate"], now.hub.refused_pace);
            };
        Counter, "hubbub_channel_recoveries_total", ["outcome"],
            "Subscribers who asked for what they missed: told it (recovered), it is gone (lost), refused because their shard was behind (behind).",
            |now, out| {
                out.of(&["recovered"], now.hub.recovered);
                out.of(&["lost"], now.hub.not_recovered);
                out.of(&["behind"], now.hub.refused_recoveries);
            };
        Gauge, "hubbub_channel_history_bytes", [], "Memory for what was published on channels and is kept.",
            |now, out| out.value(now.hub.history_bytes);
        Counter, "hubbub_channel_histories_dropped_total", [], "Channels whose history was dropped for want of room.",
            |now, out| out.value(now.hub.histories_dropped);
        Gauge, "hubbub_channel_members", [], "Users kept as subscribed to channels that track presence.",
            |now, out| out.value(now.hub.channel_members);
        Counter, "hubbub_channel_members_unlisted_total", [], "Users who came to such a channel and could not be listed for want of room.",
            |now, out| out.value(now.hub.members_unlisted);
        Counter, "hubbub_channel_moves_total", [], "Times that subscribers were told of somebody who came or left.",
            |now, out| out.value(now.hub.members_told);
        Gauge, "hubbub_channel_patterns", [], "Patterns of channels with subscribers, in each shard that has any.",
            |now, out| out.value(now.hub.patterns);
        Counter, "hubbub_signals_total", [], "Signals sent.", |now, out| out.value(now.hub.signals);
        Counter, "hubbub_crossings_total", [], "Posts about channels and signals from one shard to another.",
            |now, out| out.value(now.hub.crossings);
    }

    "Compression" {
        Counter, "hubbub_compressed_messages_total", ["direction"],
            "Messages that came compressed, and that were compressed; one that goes to many once for each window size.",
            |now, out| {
                out.of(&["in"], now.hub.compressed_in);
                out.of(&["out"], now.hub.compressed_out);
            };
        Counter, "hubbub_compressed_bytes_total", ["direction", "form"], "Their bytes, compressed and plain.",
            |now, out| {
                out.of(&["in", "compressed"], now.hub.compressed_in_bytes);
                out.of(&["in", "plain"], now.hub.compressed_in_plain_bytes);
                out.of(&["out", "compressed"], now.hub.compressed_out_bytes);
                out.of(&["out", "plain"], now.hub.compressed_out_plain_bytes);
            };
        Gauge, "hubbub_compression_context_bytes", [], "Bytes set aside for contexts of compressed connections.",
            |now, out| out.value(now.hub.takeover_bytes);
        Counter, "hubbub_compression_contexts_refused_total", [],
            "Clients that had to do without a context for want of room.",
            |now, out| out.value(now.hub.takeover_refused);
    }

    "Shards" {
        Gauge, "hubbub_shard_connections", ["shard"], "WebSockets of each shard.",
            |now, out| out.shards(now, |stats| stats.connections as f64);
        Counter, "hubbub_shard_busy_seconds_total", ["shard"],
            "Seconds that each shard did not wait for something to do; its rate is how busy it is, 1 for all the time.",
            |now, out| out.shards(now, |stats| stats.busy_us as f64 / 1e6);
        Counter, "hubbub_shard_turns_total", ["shard"], "Turns of each shard's loop.",
            |now, out| out.shards(now, |stats| stats.turns as f64);
        Gauge, "hubbub_shard_inbox_posts", ["shard"], "Posts of other threads that wait for each shard.",
            |now, out| out.shards(now, |stats| stats.inbox_posts as f64);
        Gauge, "hubbub_shard_inbox_bytes", ["shard"], "About how many bytes these keep.",
            |now, out| out.shards(now, |stats| stats.inbox_bytes as f64);
        Counter, "hubbub_tidied_total", [], "Times that a shard gave memory back after it had calmed down.",
            |now, out| out.value(now.hub.tidied);
    }

    "The writer and the store" {
        Counter, "hubbub_requests_total", [], "Requests that the writer took.",
            |now, out| out.value(now.chat.commands);
        Counter, "hubbub_writer_busy_seconds_total", [],
            "Seconds that the writer worked on batches; its rate is how busy it is, 1 for all the time.",
            |now, out| out.value(now.chat.busy_us as f64 / 1e6);
        Histogram(Unit::Seconds), "hubbub_queue_wait_seconds", ["by"],
            "How long requests waited for the writer, and those that it left to them for a reader.",
            |now, out| {
                out.distribution(&["writer"], &now.chat.command_waits_us);
                out.distribution(&["reader"], &now.chat.read_waits_us);
            };
        Histogram(Unit::Seconds), "hubbub_read_seconds", [], "How long it took a reader to answer a request.",
            |now, out| out.distribution(&[], &now.chat.read_times_us);
        Counter, "hubbub_presence_events_total", [], "Events of presence that went out.",
            |now, out| out.value(now.chat.presence_events);
        Counter, "hubbub_entries_retired_total", [], "Entries that were wiped for being older than what is kept.",
            |now, out| out.value(now.chat.retired);
        Counter, "hubbub_entries_forgotten_total", [], "Entries of these whose rows were deleted.",
            |now, out| out.value(now.chat.forgotten);
        Gauge, "hubbub_queue_requests", [], "Requests that wait for the writer, a reader, or presence.",
            |now, out| out.value(now.chat.queued);
        Gauge, "hubbub_queue_bytes", [], "Their bytes.", |now, out| out.value(now.chat.queued_bytes);
        Histogram(Unit::Requests), "hubbub_batch_requests", [], "Requests that the writer took at a time, to be one transaction.",
            |now, out| out.distribution(&[], &now.chat.batch_sizes);
        Counter, "hubbub_commits_total", [], "Transactions that were made durable.",
            |now, out| out.value(now.chat.commits);
        Counter, "hubbub_rollbacks_total", [], "Transactions that were given up because the store refused something.",
            |now, out| out.value(now.chat.rollbacks);
        Histogram(Unit::Seconds), "hubbub_commit_seconds", [], "Commits of the store, each with its sync.",
            |now, out| out.distribution(&[], &now.chat.store.commits);
        Histogram(Unit::Seconds), "hubbub_checkpoint_seconds", ["part"],
            "Copying the log back into the database: beside the writer (copy), and the end, for which it waits (end).",
            |now, out| {
                out.distribution(&["copy"], &now.chat.store.checkpoints);
                out.distribution(&["end"], &now.chat.store.checkpoint_ends);
            };
        Gauge, "hubbub_disk_free_bytes", [], "Bytes that may still be written where the store is.",
            |now, out| out.known(now.disk_free);
    }

    "The process" {
        Gauge, "hubbub_build_info", ["version"], "Always 1; the label says which version runs.",
            |_, out| out.of(&[env!("CARGO_PKG_VERSION")], 1);
        Gauge, "hubbub_uptime_seconds", [], "Seconds since the start.",
            |now, out| out.value(now.uptime.as_secs_f64());
        Gauge, "process_resident_memory_bytes", [], "Bytes of the process in memory.",
            |now, out| out.known(now.process.resident);
        Gauge, "process_open_fds", [], "Open descriptors.",
            |now, out| out.known(now.process.descriptors);
        Gauge, "process_max_fds", [], "Descriptors that there may be.",
            |now, out| out.known(now.process.descriptors_max);
        Gauge, "process_threads", [], "Threads.", |now, out| out.known(now.process.threads);
        Counter, "process_cpu_seconds_total", [], "Seconds of CPU, for the process and by the system for it.",
            |now, out| out.known(now.process.cpu_s);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_as_prometheus_wants_them() {
        let mut names = BTreeSet::new();
        for Family { name, kind, labels, help, .. } in FAMILIES {
            assert!(names.insert(name), "{name} stands twice");
            assert!(name.starts_with("hubbub_") || name.starts_with("process_"), "{name}");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            );
            assert_eq!(name.ends_with("_total"), *kind == Counter, "{name}");
            assert_eq!(
                name.ends_with("_seconds"),
                *kind == Histogram(Unit::Seconds) || *name == "hubbub_uptime_seconds",
                "{name}"
            );
            assert!(
                !labels.contains(&"le")
                    && labels.iter().all(|label| label.bytes().all(|b| b.is_ascii_lowercase()))
            );
            assert!(help.ends_with('.') && !help.contains(['\\', '\n', '|']), "{name}");
        }
    }

    /// The fields of the counters' lists, from the sources: a new one has to be exported.
    #[test]
    fn every_counter_is_exported() {
        let hub = include_str!("../../../hub/src/stats.rs");
        let (_, list) = hub.split_once("\ncounters! {").unwrap();
        let list = list.split_once("\n}").unwrap().0;
        let fields: Vec<&str> =
            list.lines().filter_map(|line| line.trim().strip_suffix(',')).collect();
        let accept = include_str!("../../../access/src/accept.rs");
        let accepts = accept
            .lines()
            .filter_map(|line| line.trim().strip_prefix("pub ")?.strip_suffix(": AtomicU64,"));
        let accepts: Vec<&str> = accepts.collect();
        assert!(fields.len() > 40 && accepts.len() > 8, "{fields:?} {accepts:?}");
        let rows = include_str!("families.rs").split_once("\nfamilies! {").unwrap().1;
        let is_used = |field: &str, of: &str| {
            let uses = rows.split(of).skip(1);
            uses.into_iter().any(|rest| {
                rest.strip_prefix(field).is_some_and(|rest| {
                    !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
                })
            })
        };
        for field in fields {
            assert!(
                is_used(field, "now.hub.") || is_used(field, "stats.") || field == "adopted",
                "{field} of HubStats is not exported"
            );
        }
        for field in accepts {
            assert!(is_used(field, "now.accept."), "{field} of AcceptStats is not exported");
        }
    }
}
