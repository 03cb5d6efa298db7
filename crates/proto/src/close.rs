//! Close codes: why the server ends a connection, and what the client should do.

/// A close code with its meaning on the native protocol (RFC 6455 §7.4 and the table in
/// `docs/protocol.md`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u16)]
pub enum CloseCode {
    /// The client closed, and nothing was wrong.
    Normal = 1000,
    /// The server is going away: reconnect after `retry_after_ms`, jittered.
    GoingAway = 1001,
    /// A broken WebSocket frame.
    Protocol = 1002,
    /// A message of a type that this codec does not take.
    Unsupported = 1003,
    /// Text that is not UTF-8.
    BadUtf8 = 1007,
    /// Address or origin not allowed.
    Policy = 1008,
    /// A message over the limit.
    TooBig = 1009,
    /// A fault of the server confined to this connection.
    Internal = 1011,
    /// No valid token: get one.
    Unauthorized = 4001,
    /// Nothing came within the pong timeout: reconnect.
    PongTimeout = 4002,
    /// Disconnected by an administrator, or this device was signed out: stop.
    Disconnected = 4003,
    /// The token expired: refresh, reconnect.
    TokenExpired = 4004,
    /// A newer connection of the same device took over: stop.
    Replaced = 4005,
    /// Too many connections: reconnect with backoff.
    TooManyConnections = 4006,
    /// The client reads too slowly: reconnect, sync.
    SlowConsumer = 4008,
    /// Rate limits were ignored: reconnect with backoff.
    RateLimited = 4009,
    /// No `auth` came in time: reconnect.
    AuthTimeout = 4010,
}

impl CloseCode {
    /// Every code, in the order of the table in `docs/protocol.md`.
    pub const ALL: [Self; 17] = [
        Self::Normal,
        Self::GoingAway,
        Self::Protocol,
        Self::Unsupported,
        Self::BadUtf8,
        Self::Policy,
        Self::TooBig,
        Self::Internal,
        Self::Unauthorized,
        Self::PongTimeout,
        Self::Disconnected,
        Self::TokenExpired,
        Self::Replaced,
        Self::TooManyConnections,
        Self::SlowConsumer,
        Self::RateLimited,
        Self::AuthTimeout,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The reason text sent with it.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Normal => "",
            Self::GoingAway => "Server shutting down",
            Self::Protocol => "Protocol error",
            Self::Unsupported => "Unsupported data",
            Self::BadUtf8 => "Invalid UTF-8",
            Self::Policy => "Not allowed",
            Self::TooBig => "Message too big",
            Self::Internal => "Internal error",
            Self::Unauthorized => "Unauthorized",
            Self::PongTimeout => "Pong timeout",
            Self::Disconnected => "Disconnected",
            Self::TokenExpired => "Token expired",
            Self::Replaced => "Replaced by a newer connection",
            Self::TooManyConnections => "Too many connections",
            Self::SlowConsumer => "Slow consumer",
            Self::RateLimited => "Rate limit exceeded",
            Self::AuthTimeout => "Authentication timeout",
        }
    }

    /// What a client should do about it, as the protocol document says.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Normal => "nothing",
            Self::GoingAway => "reconnect after `retry_after_ms`, jittered",
            Self::Protocol | Self::Unsupported | Self::BadUtf8 | Self::TooBig => {
                "not reconnect automatically with the same input"
            }
            Self::Policy | Self::Disconnected | Self::Replaced => "stop",
            Self::Internal | Self::PongTimeout | Self::AuthTimeout => "reconnect",
            Self::Unauthorized => "stop; get a token",
            Self::TokenExpired => "refresh, reconnect",
            Self::TooManyConnections | Self::RateLimited => "reconnect with backoff",
            Self::SlowConsumer => "reconnect, sync",
        }
    }
}
