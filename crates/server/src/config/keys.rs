//! Every key there is.

use hubbub_chat::{ChatConfig, ContentBytes, PushRules, UserRates};
use hubbub_hub::{CompressionConfig, Level, LiveConfig, Permit, UnknownPermit, WindowBits};
use hubbub_proto::Who;
use hubbub_proto::limits::Limits;
use hubbub_store::SqliteOptions;

use super::table::Rule::{
    Address, Any, Endpoints, Nets, NoAddress, OneOf, Origins, Permits, PermitsToken, Range, SomeOf,
    Text, Whose,
};
use super::table::{U16, U32, mirrors, sections};

sections! {
    families {
        /// A namespace of channels, `[namespaces.NAME]`: the channels whose names begin with `NAME:`.
        /// What no namespace allows nobody may do. Names are out of `a-z 0-9 _ -`. There is no
        /// environment variable for these.
        namespaces: Namespace {
            /// Who may subscribe. `everyone` is everyone who has signed in; roles come from the token, or
            /// from `user_roles`; `claim` is whoever has a token that names the channel, by `channels` or
            /// `caps`.
            /// `token` is whoever brings a token for this channel with `subscribe`.
            subscribe: Vec<String> = vec!["nobody".into()], PermitsToken;
            /// Who may subscribe to all channels whose names begin alike, `NAME:*` or `NAME:BEGINNING*`;
            /// for `claim`, where the token's pattern covers theirs.
            wildcard: Vec<String> = vec!["nobody".into()], Permits;
            /// Who may publish; they need not be subscribed.
            publish: Vec<String> = vec!["nobody".into()], Permits;
            /// Who may see who is subscribed, with `channel_presence`.
            presence: Vec<String> = vec!["nobody".into()], Permits;
            /// Who may read what is kept, with `channel_history`.
            history: Vec<String> = vec!["nobody".into()], Permits;
            /// Most publications that are kept of a channel, in memory; 0 for none.
            history_size: u32 = 0, Range(0, 10_000);
            /// Most bytes that they take.
            history_bytes: u32 = 256 << 10, Range(1024, 256 << 20);
            /// How long each is kept, in milliseconds. The channel is remembered as long.
            history_ms: u32 = 300_000, Range(1000, U32);
            /// Whether whoever may subscribe is told, on coming back, what they missed, as far as it is
            /// kept.
            recover: bool = false, Any;
            /// Whether whoever subscribes is told the last publication, which is kept for it.
            cache: bool = false, Any;
            /// Longest `data` of a publication, in bytes; above it `too_big`. 0 for what a message may
            /// have.
            message_bytes_max: u32 = 0, Range(0, 64 << 20);
            /// Publications per second of one connection in this namespace, and as many at once; above it
            /// `rate_limited`. 0 for what a connection may send.
            publishes_per_second: u32 = 0, Range(0, 1_000_000);
            /// Whether it is kept who is subscribed, for `channel_presence`.
            track_presence: bool = false, Any;
            /// Whether subscribers are told who comes and who leaves; it needs `track_presence`.
            join_leave: bool = false, Any;
            /// Above so many users on a channel nobody is told of anybody there.
            join_leave_members_max: u32 = 200, Range(1, 10_000);
            /// `ordered`, or `volatile`: publications are worth nothing later, so they have no offsets
            /// and no history, and are dropped where a receiver is behind. Of those with a `key` the
            /// newest one waits.
            delivery: String = "ordered".into(), OneOf(&["ordered", "volatile"]);
        }
    }

    /// The listener, the data directory, and the process.
    server: Server {
        /// Where to listen. Port 0 picks a free one and prints it. The default answers only this
        /// machine; set `[tls]`, or put a TLS proxy in front, before answering others.
        bind: String = "127.0.0.1:8080".into(), Address;
        /// The directory that holds everything the server keeps: the store and the signing secret.
        /// It is made, for its owner only, where it is missing.
        data_dir: String = "hubbub-data".into(), Text;
        /// Lets anybody on this machine sign in under any name. For development; refused unless
        /// `bind` is a loopback address.
        dev: bool = false, Any;
        /// Threads that serve connections; 0 for as many as there are cores.
        shards: u16 = 0, Range(0, 256);
        /// Bytes of events waiting for one of these threads above which more are dropped; what was
        /// dropped is still in the store, and the clients of that thread are told to fetch it.
        inbox_bytes_max: u32 = 64 << 20, Range(1 << 20, U32);
        /// Most connections at a time; one more is told 503. 0 for as many as the descriptor limit
        /// allows (less 256), which no number exceeds.
        connections_max: u32 = 0, Range(0, U32);
        /// Most connections let in per second, and at once; one more is told 503 and when to come
        /// back. 0 for any number.
        opens_per_second_max: u32 = 50_000, Range(0, 10_000_000);
        /// Most connections at a time that have said nothing yet or still speak HTTP; one more is
        /// told 503 and when to come back.
        handshakes_max: u32 = 16_384, Range(16, 1 << 20);
        /// Most WebSockets and event streams on one HTTP/2 connection; one more is told 429. It may open
        /// four times as many per second.
        http2_sockets_max: u32 = 16, Range(1, 256);
        /// Milliseconds from accepting a connection to the end of its request's headers, and from
        /// one request to the next.
        headers_timeout_ms: u32 = 10_000, Range(100, 600_000);
        /// Milliseconds that a shutdown may take before what is left is cut off.
        shutdown_ms: u32 = 10_000, Range(100, 600_000);
        /// Origins of pages that may connect besides the server's own, as browsers write them:
        /// `["https://chat.example.com"]`. `"*"` allows every page, but not to use the cookie.
        allowed_origins: Vec<String> = Vec::new(), Origins;
    }

    /// Who may come in from where, and which proxies are believed. All of it is read again on SIGHUP
    /// and holds from the next connection or request on.
    edge: Edge {
        /// Networks that may connect, such as `["10.0.0.0/8", "2001:db8::/32"]`; empty for all.
        allow: Vec<String> = Vec::new(), Nets;
        /// Networks that may not connect, whatever `allow` says.
        deny: Vec<String> = Vec::new(), Nets;
        /// Proxies that say for whom they connect. Of `X-Forwarded-For` only what they appended is
        /// believed, from the right to the first address that is none of theirs; that address is the
        /// client's in every list here, in the log, and for operators.
        trusted_proxies: Vec<String> = Vec::new(), Nets;
        /// The trusted proxies say it before anything else, by the PROXY protocol, version 2 (HAProxy's
        /// `send-proxy-v2`), and `X-Forwarded-For` is not looked at. A connection of theirs without it
        /// is closed.
        proxy_protocol: bool = false, Any;
        /// Paths that only some networks may ask for, each as `PATH NETWORK NETWORK …`, such as
        /// `["/api 10.0.0.0/8 ::1"]`. It holds for everything below the path too; where several do,
        /// all of them must allow it.
        endpoints: Vec<String> = Vec::new(), Endpoints;
        /// Most connections of one IPv4 address or one IPv6 network of 64 bits; one more is told 429,
        /// or closed with 4006 where a proxy brings it; WebSockets over HTTP/2 count beside the
        /// connection that carries them. 0 for any number, as behind a proxy that is not
        /// trusted, or for a whole office behind one address.
        connections_per_address_max: u32 = 0, Range(0, U32);
    }

    /// TLS, for everything on `server.bind`: with a certificate and its key, the server speaks
    /// `https` and `wss` there and nothing else. Both files are read again on SIGHUP, and some
    /// seconds after they have changed; open connections go on, and files that cannot be used are
    /// logged and change nothing.
    tls: Tls {
        /// The file with the server's certificate and those that lead to its authority, as PEM.
        /// Empty for no TLS.
        certificate_file: String = String::new(), Any;
        /// The file with the certificate's private key, as PEM, not encrypted; it should be
        /// readable by its owner only.
        key_file: String = String::new(), Any;
        /// The oldest version of TLS that is spoken.
        min_version: String = "1.2".into(), OneOf(&["1.2", "1.3"]);
        /// Milliseconds between two looks at the files. What has changed is read once it stood
        /// still from one look to the next.
        reload_interval_ms: u32 = 5_000, Range(50, 86_400_000);
    }

    /// Who may sign in. Tokens are JSON Web Tokens signed with the secret in `secret_file`.
    auth: Auth {
        /// The signature algorithms that are accepted.
        algorithms: Vec<String> = vec!["HS256".into()], SomeOf(&hubbub_access::token::ALGORITHMS);
        /// The file with the signing secret, at least 32 characters, readable by its owner only.
        /// Empty for `secret` in the data directory, which is made on the first start.
        secret_file: String = String::new(), Any;
        /// The `iss` that tokens must carry; empty for any.
        issuer: String = String::new(), Any;
        /// The `aud` that tokens must carry; empty for any.
        audience: String = String::new(), Any;
        /// The cookie that may bring a token, for the server's own pages and those of an origin that
        /// `server.allowed_origins` names; `"*"` names none.
        cookie: String = "hubbub_token".into(), Text;
        /// Seconds by which the clock of whoever signs tokens may differ from this one's.
        leeway_s: u32 = 2, Range(0, 600);
    }

    /// What one connection may use.
    limits: LimitsSection {
        /// Largest message a client may send, in bytes; above it the connection is closed (1009).
        message_bytes_max: u32 = Limits::default().message_bytes_max, Range(1024, 64 << 20);
        /// Most fragments of one message; above it the connection is closed (1009).
        fragments_max: u32 = Limits::default().fragments_max, Range(1, 1 << 20);
        /// Deepest nesting of a message's content; above it `too_deep`.
        content_depth_max: u32 = Limits::default().content_depth_max, Range(1, 100);
        /// Longest content of a text, in bytes of JSON; above it `too_big`, here and for the other kinds.
        text_bytes_max: u32 = 64 << 10, Range(1, 64 << 20);
        /// Longest content of an image, file, audio or video: what describes it, not what `url` leads
        /// to.
        media_bytes_max: u32 = 32 << 10, Range(1, 64 << 20);
        /// Longest content of a card or a location.
        card_bytes_max: u32 = 32 << 10, Range(1, 64 << 20);
        /// Longest content of a `custom:` kind.
        custom_bytes_max: u32 = 64 << 10, Range(1, 64 << 20);
        /// Commands without a reply before the connection is not read any further.
        commands_in_flight_max: u16 = Limits::default().commands_in_flight_max, Range(1, 4096);
        /// Commands per second, sustained; above it `rate_limited`.
        commands_per_second: u32 = Limits::default().commands_per_second, Range(1, 10_000_000);
        /// Commands at once on top of the sustained rate.
        commands_burst: u32 = Limits::default().commands_burst, Range(1, 10_000_000);
        /// Refusals for the rate, none admitted in between, before the connection is closed (4009).
        /// Each costs a tenth of a command, so that a client gets on only by waiting as told.
        rate_refusals_max: u16 = Limits::default().rate_refusals_max, Range(1, U16);
        /// Messages per second of one user, over all their connections; above it `rate_limited`. 0,
        /// here and for the other classes, for three times what one connection may do.
        user_messages_per_second: u32 = 0, Range(0, 10_000_000);
        /// The same for other commands that write.
        user_changes_per_second: u32 = 0, Range(0, 10_000_000);
        /// The same for commands that read, `sync` among them.
        user_reads_per_second: u32 = 0, Range(0, 10_000_000);
        /// The same for `read`, `received`, `typing` and what else may be lost or coalesced.
        user_volatile_per_second: u32 = 0, Range(0, 10_000_000);
        /// Commands of a class at once: as many as its rate allows in this time, in milliseconds.
        user_burst_ms: u32 = 10_000, Range(1, 3_600_000);
        /// Groups that a user may make in a day; above it `rate_limited`. 0 for any number.
        user_groups_per_day: u32 = 1_000, Range(0, U32);
        /// Pings and pongs of RFC 6455 in a second, and reads of less than 64 bytes in the midst of
        /// a frame, before the connection is closed (4009).
        control_frames_per_second: u16 = Limits::default().control_frames_per_second, Range(10, U16);
        /// Bytes waiting for a slow reader before it is closed (4008); from half of it on the
        /// connection is not read any further.
        outbox_bytes_max: u32 = Limits::default().outbox_bytes_max, Range(64 << 10, 1 << 30);
        /// Frames waiting for a slow reader before it is closed (4008).
        outbox_frames_max: u32 = Limits::default().outbox_frames_max, Range(16, 1 << 20);
        /// Conversations with unconfirmed messages that are tracked for one connection; above it
        /// the client is told to sync.
        unconfirmed_max: u16 = Limits::default().unconfirmed_max, Range(1, U16);
        /// Most channels that a connection may be subscribed to; above it `too_many_subscriptions`.
        subscriptions_max: u16 = Limits::default().subscriptions_max, Range(0, U16);
        /// Milliseconds between the server's pings.
        ping_interval_ms: u32 = Limits::default().ping_interval_ms, Range(1000, 3_600_000);
        /// Milliseconds without any sign of life after a ping before the connection is closed
        /// (4002).
        pong_timeout_ms: u32 = Limits::default().pong_timeout_ms, Range(1000, 3_600_000);
        /// Milliseconds until a client that brought no token must have sent `auth`, before it is
        /// closed (4010).
        auth_timeout_ms: u32 = Limits::default().auth_timeout_ms, Range(1000, 600_000);
        /// Milliseconds before a token's end at which `token_expiring` is sent.
        expiry_warning_ms: u32 = Limits::default().expiry_warning_ms, Range(0, 3_600_000);
        /// Milliseconds without confirmation before entries are sent again.
        redelivery_after_ms: u32 = Limits::default().redelivery_after_ms, Range(1000, 3_600_000);
        /// How often they are sent again while connected; later it is left to the next sync.
        redelivery_rounds_max: u8 = Limits::default().redelivery_rounds_max, Range(0, 100);
        /// Milliseconds that a closed connection may take to read its close frame.
        linger_ms: u32 = Limits::default().linger_ms, Range(0, 60_000);
    }

    /// permessage-deflate (RFC 7692) for clients that offer it, as browsers do. Messages of a chat
    /// are small: compressed each by itself they lose about 30 % of their bytes, with context takeover
    /// about 70 %, for some 15 to 40 microseconds of CPU each; what many get is compressed once.
    /// That pays where bandwidth does, and whoever sees the lengths on the wire and can have messages
    /// sent to a user learns something about the others, so it is off by default.
    compression: CompressionSection {
        /// Whether it is agreed on with clients that offer it.
        enabled: bool = false, Any;
        /// The shortest message that is compressed, in bytes.
        min_bytes: u32 = 200, Range(0, U32);
        /// How much work a message gets, from 1 (fast) to 9 (small).
        level: u8 = 6, Range(1, 9);
        /// Whether messages may refer to earlier ones of their connection, if the client wants that
        /// too. A message that goes to many is then compressed for each of them.
        context_takeover: bool = false, Any;
        /// The most memory that the contexts of all connections may take, in bytes. Where there is no
        /// room for another one, clients are answered without context takeover.
        takeover_bytes_max: u32 = 64 << 20, Range(0, U32);
        /// The largest window, as the base-2 logarithm of its bytes. A context takes this much for
        /// what is sent, and as much for what is received, or 32 KB where a client cannot be told.
        window_bits: u8 = 13, Range(9, 15);
    }

    /// Channels, whatever their namespace. Nothing that is published on them is stored; what is kept
    /// of it is in memory, and gone when the server stops.
    channels: ChannelsSection {
        /// Most channels that one thread keeps, with or without subscribers; above it
        /// `too_many_channels`.
        channels_max: u32 = LiveConfig::default().channels_max, Range(1, U32);
        /// Milliseconds after which a channel that nobody uses is forgotten (5 minutes; it may take
        /// twice as long). Used again, its offsets begin anew under another epoch.
        channel_idle_ms: u32 = LiveConfig::default().channel_idle_ms, Range(1000, U32);
        /// Most bytes that one thread keeps of what was published, of all its channels together. Above
        /// it the history of those is dropped that nobody has used for longest.
        history_bytes_max: u32 = LiveConfig::default().history_bytes_max, Range(1 << 20, U32);
        /// Most publications that somebody who comes back is told of a channel; who missed more has to
        /// begin anew. They take at most a quarter of `limits.outbox_bytes_max`.
        recovery_size_max: u32 = LiveConfig::default().recovery_size_max, Range(1, 10_000);
        /// Most users that one thread keeps as subscribed, over all its channels that track presence;
        /// above it, who comes is subscribed but not listed.
        members_max: u32 = LiveConfig::default().members_max, Range(0, U32);
        /// Most patterns to which connections of one thread are subscribed; above it
        /// `too_many_channels`. What is published on a channel is compared with each of its namespace.
        patterns_max: u32 = LiveConfig::default().patterns_max, Range(0, 10_000);
    }

    /// Signals: messages to a user's connections that are never stored.
    signals: Signals {
        /// Who may send them, to anybody.
        send: Vec<String> = vec!["nobody".into()], Whose;
    }

    /// Pushes: what the application's own parts send to users, to everyone with a role, or to everyone.
    push: PushSection {
        /// Who may push, to anybody. While it is `nobody`, no note is taken of who would be meant:
        /// a user gets what is pushed to everyone or to their roles from the first time they sign in
        /// after somebody was permitted.
        send: Vec<String> = vec!["nobody".into()], Whose;
    }

    /// What the application's own parts may do for users.
    admin: AdminSection {
        /// Who may give users roles, besides those of their tokens: whoever may can give themself any.
        /// A token of one of these also opens all of the HTTP API, as a key with the scope `*` does,
        /// and `/metrics`. There only the roles of the token itself count, not those given here.
        who: Vec<String> = vec!["nobody".into()], Whose;
    }

    /// Messages, groups, and the services behind them.
    chat: Chat {
        /// How long a device may have been away and still be caught up message by message, in
        /// milliseconds (7 days). Older messages are in the history.
        offline_window_ms: u64 = ChatConfig::default().offline_window_ms, Range(1000, i64::MAX);
        /// Most messages by which a device that was away is caught up in all, those that changed last
        /// first; a conversation of which there are more is begun anew. The others are in the history.
        offline_entries_max: u32 = ChatConfig::default().offline_entries_max, Range(1, U32);
        /// How long a client id is remembered at least, in milliseconds (30 days). Clients are told
        /// and give up older queued commands.
        dedupe_window_ms: u64 = ChatConfig::default().dedupe_window_ms, Range(1000, i64::MAX);
        /// How long messages and all other entries are kept, in milliseconds; 0: for ever. What is older
        /// is wiped and shown to nobody, and cannot be brought back; what is left of it is deleted once
        /// its client id is not remembered any more.
        retention_ms: u64 = ChatConfig::default().retention_ms, Range(0, i64::MAX);
        /// The shortest time for which a group may say that its entries are kept, in milliseconds (an
        /// hour). The longest is `retention_ms`.
        retention_min_ms: u64 = ChatConfig::default().retention_min_ms, Range(60_000, i64::MAX);
        /// Most entries that one step of the writer wipes for being too old, twenty times a second
        /// while there are more: as many for the server's retention, for those of groups, and that it
        /// deletes.
        retention_rows_max: u32 = ChatConfig::default().retention_rows_max, Range(1, 10_000);
        /// Most members of a group.
        group_members_max: u32 = ChatConfig::default().group_members_max, Range(1, U32);
        /// Most groups that a user may be in. Each costs a subscription of each of their connections.
        groups_per_user_max: u32 = ChatConfig::default().groups_per_user_max, Range(1, U32);
        /// Most stays of a user in one group: how often they may come back.
        stays_max: u32 = ChatConfig::default().stays_max, Range(1, U32);
        /// Most requests to join that may wait for one group.
        join_requests_max: u32 = ChatConfig::default().join_requests_max, Range(0, U32);
        /// Most requests to join of one user that may wait, in all groups.
        join_requests_per_user_max: u32 = ChatConfig::default().join_requests_per_user_max, Range(0, U32);
        /// Most users banned from one group.
        group_bans_max: u32 = ChatConfig::default().group_bans_max, Range(0, U32);
        /// Most links into one group that work.
        group_links_max: u32 = ChatConfig::default().group_links_max, Range(0, U32);
        /// Most bytes of a draft.
        draft_bytes_max: u32 = ChatConfig::default().draft_bytes_max, Range(0, 65_536);
        /// Largest group in which a member's receipts go to all the others.
        receipt_members_max: u32 = ChatConfig::default().receipt_members_max, Range(0, U32);
        /// Milliseconds between two receipts of one member in one conversation.
        receipt_interval_ms: u64 = ChatConfig::default().receipt_interval_ms, Range(1, 3_600_000);
        /// How long after sending a message its sender may edit it, in milliseconds (a day); 0:
        /// never.
        edit_window_ms: u64 = ChatConfig::default().edit_window_ms, Range(0, i64::MAX);
        /// Most edits of one message.
        edits_max: u32 = ChatConfig::default().edits_max, Range(1, 1000);
        /// How long after sending a message its sender may take it back, in milliseconds; 0: never.
        recall_window_ms: u64 = ChatConfig::default().recall_window_ms, Range(0, i64::MAX);
        /// Most different emojis with which one message is reacted to.
        reactions_max: u32 = ChatConfig::default().reactions_max, Range(1, 100);
        /// Whether users who have not said otherwise let only friends write to them.
        friends_only: bool = ChatConfig::default().friends_only, Any;
        /// Whether one who is refused because the other blocks them is told so. By default it looks
        /// like any refusal by privacy.
        reveal_blocks: bool = ChatConfig::default().reveal_blocks, Any;
        /// Most friends of a user.
        friends_max: u32 = ChatConfig::default().friends_max, Range(1, 1 << 20);
        /// Most friend requests of a user that wait, those sent and those received each.
        friend_requests_max: u32 = ChatConfig::default().friend_requests_max, Range(1, 1 << 20);
        /// Most friend requests that a user makes in a day: so many at once, and evenly renewed.
        friend_requests_per_day: u32 = ChatConfig::default().friend_requests_per_day, Range(1, 1 << 20);
        /// Most users that a user blocks.
        blocks_max: u32 = ChatConfig::default().blocks_max, Range(1, 1 << 20);
        /// Most ended friendships, requests and blocks of a user that are remembered for devices that
        /// were away; beyond that they read the whole list again.
        ended_relations_max: u32 = ChatConfig::default().ended_relations_max, Range(2, 1 << 20);
        /// Most devices of a user that are kept for `devices`, and most of them that are signed out.
        devices_max: u32 = ChatConfig::default().devices_max, Range(1, 10_000);
        /// How long older tokens are refused on a device that was signed out, in milliseconds (90
        /// days). Let tokens end sooner than that.
        sign_out_window_ms: u64 = ChatConfig::default().sign_out_window_ms, Range(1000, i64::MAX);
        /// Most bytes of `data` in a user's profile.
        profile_data_bytes_max: u32 = ChatConfig::default().profile_data_bytes_max, Range(0, 65_536);
        /// Most pinned messages of one conversation.
        pins_max: u32 = ChatConfig::default().pins_max, Range(1, 200);
        /// Most messages of one conversation that a user hides one by one.
        hidden_max: u32 = ChatConfig::default().hidden_max, Range(1, 1000);
        /// Most messages whose time was over that one step of the writer removes.
        expired_max: u32 = ChatConfig::default().expired_max, Range(1, 10_000);
        /// Most entries of one answer to `sync` or `pull`.
        sync_entries_max: u32 = ChatConfig::default().sync_entries_max, Range(1, 1000);
        /// Most bytes of entries in one answer to `sync`, `pull` or `history`.
        sync_bytes_max: u32 = ChatConfig::default().sync_bytes_max, Range(1024, 64 << 20);
        /// Most entries that one redelivery sends again.
        redelivery_entries: u32 = ChatConfig::default().redelivery_entries, Range(1, 1000);
        /// How long a user whose last connection ended is shown as before, in milliseconds, so that a
        /// reconnect is no flicker.
        presence_grace_ms: u64 = ChatConfig::default().presence_grace_ms, Range(0, 3_600_000);
        /// Milliseconds between two events of presence for one connection, and between two changes of
        /// a user that are told.
        presence_interval_ms: u64 = ChatConfig::default().presence_interval_ms, Range(1, 3_600_000);
        /// Most users whose presence is watched by name, over all connections; above it `overloaded`.
        presence_watches_max: u32 = ChatConfig::default().presence_watches_max, Range(0, U32);
        /// Commands that wait for the store; above it connections are not read any further.
        queue_commands_max: u32 = ChatConfig::default().queue_commands_max, Range(16, U32);
        /// Bytes of commands that wait for the store; above it connections are not read any
        /// further.
        queue_bytes_max: u32 = ChatConfig::default().queue_bytes_max, Range(128 << 10, U32);
        /// Threads that answer `history`, `pull`, `sync` and lists.
        readers: u16 = ChatConfig::default().readers, Range(1, 64);
        /// Most roles of a user that count for what is pushed to roles: the first in their order. Each
        /// costs a membership.
        push_roles_max: u32 = ChatConfig::default().push_roles_max, Range(0, 1000);
    }

    /// The embedded store (SQLite).
    store: Store {
        /// Most memory for pages of the thread that writes, in bytes.
        writer_cache_bytes: u32 = SqliteOptions::default().writer_cache_bytes, Range(1 << 20, U32);
        /// Most memory for pages of each thread that reads, in bytes.
        reader_cache_bytes: u32 = SqliteOptions::default().reader_cache_bytes, Range(1 << 20, U32);
        /// How long the write-ahead log gets, in bytes, before it is copied into the database.
        wal_bytes: u32 = SqliteOptions::default().wal_bytes, Range(1 << 20, 1 << 30);
        /// After a stop that was not clean, a database of at most this many bytes is checked for
        /// damage before it is used.
        check_bytes_max: u64 = SqliteOptions::default().check_bytes_max, Range(0, i64::MAX);
        /// Bytes that must be free where the store is for `/readyz` to say that the server is ready,
        /// so that others get its clients before the disk is full. 0 for any number.
        disk_free_min_bytes: u64 = 64 << 20, Range(0, i64::MAX);
    }

    /// The HTTP API for back ends, below `/api`. Without a key (`hubbub key create`) or an
    /// administrator's token ([admin]) nobody gets anything from it.
    api: ApiSection {
        /// Whether it is there.
        enabled: bool = true, Any;
        /// Largest body of a request, in bytes; above it 413.
        body_bytes_max: u32 = 1 << 20, Range(1024, 64 << 20);
        /// Most requests at a time; one more is told 503 and when to come back.
        in_flight_max: u32 = 1_024, Range(1, 65_536);
        /// Milliseconds from a request's headers to its answer; after that 503.
        timeout_ms: u32 = 10_000, Range(100, 600_000);
        /// Most requests per second of one key, and at once; above it 429. 0 for any number.
        requests_per_second: u32 = 0, Range(0, 10_000_000);
    }

    /// `GET /sse`, channels and a user's events as an event stream. What holds for every session holds
    /// for it, with the rates and limits of `limits`.
    sse: Sse {
        /// Most channels of one stream; one more is told 400.
        channels_max: u16 = 32, Range(1, 128);
    }

    /// `GET /echo`, a WebSocket that sends back what it gets, for conformance suites. Who is silent
    /// for `limits.ping_interval_ms` and `limits.pong_timeout_ms` together is closed (4002).
    echo: Echo {
        /// Whether it is there.
        enabled: bool = false, Any;
        /// Largest message, in bytes.
        message_bytes_max: u32 = 16 << 20, Range(1024, 64 << 20);
        /// Most frames of one message: 65,536 fragments and an empty last one.
        fragments_max: u32 = 65_537, Range(1, 1 << 20);
    }

    /// Metrics, for Prometheus and as JSON: `docs/metrics.md` says which. By default nobody sees them.
    metrics: MetricsSection {
        /// Where they are served apart from everything else, over plain HTTP, with the addresses of
        /// `/livez`, `/readyz` and `/version`. Empty for nowhere. A loopback address serves whoever is
        /// on this machine; any other needs `token_file`. `[edge]` is not asked there.
        bind: String = String::new(), NoAddress;
        /// The file with a token of at least 32 characters, readable by its owner only, that programs
        /// show to read them, here and on `server.bind`. Empty for none; users whom `[admin] who` names
        /// may read them on `server.bind` in any case.
        token_file: String = String::new(), Any;
    }

    /// The log, on standard error. It never holds tokens or the contents of messages.
    log: Log {
        /// The least severe level that is written. Read again on SIGHUP.
        level: String = "info".into(), OneOf(&["error", "warn", "info", "debug", "trace"]);
        /// Milliseconds between two lines that sum up what happened; where nothing did there is none. 0
        /// for no such lines.
        summary_ms: u32 = 60_000, Range(0, 86_400_000);
        /// Lines for people, or JSON objects for machines.
        format: String = "text".into(), OneOf(&["text", "json"]);
    }
}

mirrors!(LimitsSection => Limits {
    message_bytes_max, fragments_max, content_depth_max, commands_in_flight_max,
    commands_per_second, commands_burst, rate_refusals_max, control_frames_per_second,
    outbox_bytes_max, outbox_frames_max, unconfirmed_max, subscriptions_max,
    ping_interval_ms, pong_timeout_ms, auth_timeout_ms, expiry_warning_ms,
    redelivery_after_ms, redelivery_rounds_max, linger_ms,
});

mirrors!(Chat => ChatConfig, with what other sections say, {
    offline_window_ms, offline_entries_max, dedupe_window_ms, retention_ms, retention_min_ms, retention_rows_max, group_members_max, groups_per_user_max, stays_max,
    join_requests_max, join_requests_per_user_max, group_bans_max, group_links_max, draft_bytes_max,
    receipt_members_max,
    receipt_interval_ms, edit_window_ms, edits_max, recall_window_ms, reactions_max, pins_max, hidden_max, expired_max, sync_entries_max, sync_bytes_max, redelivery_entries, presence_grace_ms,
    presence_interval_ms, presence_watches_max, queue_commands_max,
    queue_bytes_max, readers, push_roles_max,
    friends_only, reveal_blocks, friends_max, friend_requests_max, friend_requests_per_day, blocks_max,
    ended_relations_max, profile_data_bytes_max, devices_max, sign_out_window_ms,
});

mirrors!(Store => SqliteOptions {
    writer_cache_bytes, reader_cache_bytes, wal_bytes, check_bytes_max,
});

impl From<&CompressionSection> for CompressionConfig {
    fn from(section: &CompressionSection) -> Self {
        Self {
            enabled: section.enabled,
            min_bytes: section.min_bytes as usize,
            // The rules of the table leave no other numbers.
            level: Level::new(section.level).unwrap_or_default(),
            takeover: section.context_takeover,
            takeover_bytes_max: section.takeover_bytes_max as usize,
            window: WindowBits::new(section.window_bits).unwrap_or_default(),
        }
    }
}

impl LimitsSection {
    fn user_rates(&self) -> UserRates {
        let rate = |configured: u32| match configured {
            0 => self.commands_per_second.saturating_mul(3),
            configured => configured,
        };
        UserRates {
            messages_per_second: rate(self.user_messages_per_second),
            changes_per_second: rate(self.user_changes_per_second),
            reads_per_second: rate(self.user_reads_per_second),
            volatile_per_second: rate(self.user_volatile_per_second),
            burst_ms: self.user_burst_ms,
            group_creates_per_day: self.user_groups_per_day,
        }
    }
}

impl Config {
    /// What the chat services need to know.
    ///
    /// # Errors
    /// As [`Config::live`].
    pub fn chat(&self) -> Result<ChatConfig, hubbub_proto::who::UnknownWho> {
        let send = Who::compile(self.push.send.iter().map(String::as_str))?;
        let user_rates = self.limits.user_rates();
        let content_bytes = ContentBytes {
            text: self.limits.text_bytes_max,
            media: self.limits.media_bytes_max,
            card: self.limits.card_bytes_max,
            custom: self.limits.custom_bytes_max,
        };
        let push = PushRules { send, ..PushRules::default() };
        let admin = Who::compile(self.admin.who.iter().map(String::as_str))?;
        Ok(ChatConfig { push, admin, user_rates, content_bytes, ..(&self.chat).into() })
    }

    /// What the hub needs to know of channels and signals.
    ///
    /// # Errors
    /// The first rule that says something unknown; none in a configuration that was loaded.
    pub fn live(&self) -> Result<LiveConfig, UnknownPermit> {
        let namespaces = self.namespaces.iter().map(|(name, section)| {
            let rules = section.rules()?;
            Ok((name.as_str().into(), rules))
        });
        let signal = Who::compile(self.signals.send.iter().map(String::as_str));
        Ok(LiveConfig {
            namespaces: namespaces.collect::<Result<_, _>>()?,
            // The rule of the table leaves no other words.
            signal: signal.unwrap_or_default(),
            channels_max: self.channels.channels_max,
            channel_idle_ms: self.channels.channel_idle_ms,
            history_bytes_max: self.channels.history_bytes_max,
            recovery_size_max: self.channels.recovery_size_max,
            members_max: self.channels.members_max,
            patterns_max: self.channels.patterns_max,
        })
    }
}

impl Namespace {
    fn rules(&self) -> Result<hubbub_hub::Namespace, UnknownPermit> {
        let permit = |words: &[String]| Permit::compile(words.iter().map(String::as_str));
        Ok(hubbub_hub::Namespace {
            subscribe: permit(&self.subscribe)?,
            wildcard: permit(&self.wildcard)?,
            publish: permit(&self.publish)?,
            presence: permit(&self.presence)?,
            history: permit(&self.history)?,
            history_size: self.history_size,
            history_bytes: self.history_bytes,
            history_ms: self.history_ms,
            recover: self.recover,
            cache: self.cache,
            message_bytes_max: self.message_bytes_max,
            publishes_per_second: self.publishes_per_second,
            track_presence: self.track_presence,
            join_leave_members_max: if self.join_leave { self.join_leave_members_max } else { 0 },
            volatile: self.delivery == "volatile",
        })
    }
}
