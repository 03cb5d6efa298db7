//! The limits of one connection. Every one is a configuration key of the same name.

/// What one connection may use. See `docs/configuration.md` for the meaning of each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Largest message a client may send, in bytes; above it the connection is closed with 1009.
    pub message_bytes_max: u32,
    /// Fragments of one message; above it 1009.
    pub fragments_max: u32,
    /// Deepest nesting of a message's content; above it `too_deep`.
    pub content_depth_max: u32,
    /// Commands without a reply before the connection is parked.
    pub commands_in_flight_max: u16,
    /// Commands per second, sustained; above it `rate_limited`.
    pub commands_per_second: u32,
    /// Commands at once on top of the sustained rate.
    pub commands_burst: u32,
    /// Refusals in a row for the rate before 4009.
    pub rate_refusals_max: u16,
    /// Pings, pongs, and small pieces of unfinished frames per second before 4009.
    pub control_frames_per_second: u16,
    /// Bytes waiting for a slow reader before 4008; from half of it the connection is parked.
    pub outbox_bytes_max: u32,
    /// Frames waiting for a slow reader before 4008.
    pub outbox_frames_max: u32,
    /// Unconfirmed conversations tracked for one connection; above it a ping says `resync`.
    pub unconfirmed_max: u16,
    /// Channels that one connection may be subscribed to; above it `too_many_subscriptions`.
    pub subscriptions_max: u16,
    /// Milliseconds between the server's pings.
    pub ping_interval_ms: u32,
    /// Milliseconds without any sign of life after a ping before 4002.
    pub pong_timeout_ms: u32,
    /// Milliseconds until `auth` must have come, before 4010.
    pub auth_timeout_ms: u32,
    /// Milliseconds before the token's end at which `token_expiring` is sent.
    pub expiry_warning_ms: u32,
    /// Milliseconds without confirmation before entries are sent again.
    pub redelivery_after_ms: u32,
    /// How often they are sent again while connected.
    pub redelivery_rounds_max: u8,
    /// Milliseconds that a closed connection may take to read its close frame.
    pub linger_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: 64 * 1024,
            fragments_max: 1024,
            content_depth_max: 32,
            commands_in_flight_max: 64,
            commands_per_second: 200,
            commands_burst: 400,
            rate_refusals_max: 100,
            control_frames_per_second: 1000,
            outbox_bytes_max: 1024 * 1024,
            outbox_frames_max: 4096,
            unconfirmed_max: 256,
            subscriptions_max: 128,
            ping_interval_ms: 30_000,
            pong_timeout_ms: 10_000,
            auth_timeout_ms: 10_000,
            expiry_warning_ms: 60_000,
            redelivery_after_ms: 10_000,
            redelivery_rounds_max: 3,
            linger_ms: 2_000,
        }
    }
}
