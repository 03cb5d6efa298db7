//! What a peer can do wrong on an open WebSocket, and the close code that answers it.
//!
//! Invariant: every variant has one close code and one reason that never changes, so that clients and
//! metrics may rely on both. Absent: I/O errors (nothing here does I/O).

use thiserror::Error;

/// A violation of RFC 6455, or of our limits, by the peer. The connection must be failed: send a close
/// frame with [`close_code`](Self::close_code) and [`reason`](Self::reason), then stop reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[error("{}", self.reason())]
pub enum ProtocolError {
    /// A reserved bit is set that no extension has negotiated (RFC 6455 §5.2).
    ReservedBits,
    /// Opcode 3–7 or 11–15 (§5.2).
    ReservedOpcode,
    /// A client frame without a mask (§5.1).
    MaskMissing,
    /// A server frame with a mask (§5.1).
    MaskUnexpected,
    /// A length written in more bytes than it needs (§5.2).
    LengthNotMinimal,
    /// A 64-bit length with its highest bit set (§5.2).
    LengthOverflow,
    /// A control frame with more than 125 bytes, or in the length form for more (§5.5).
    ControlTooLong,
    /// A control frame without FIN (§5.5).
    ControlFragmented,
    /// A continuation frame with nothing to continue (§5.4).
    ContinuationUnexpected,
    /// A new text or binary frame inside a fragmented message (§5.4).
    ContinuationMissing,
    /// A close frame with a body of one byte (§5.5.1).
    ClosePayload,
    /// A close code that must not be sent (§7.4).
    CloseCode,
    /// Text or a close reason that is not UTF-8 (§8.1).
    InvalidUtf8,
    /// The message is longer than [`Limits::message_bytes_max`](crate::Limits::message_bytes_max).
    MessageTooBig,
    /// The message has more frames than [`Limits::fragments_max`](crate::Limits::fragments_max).
    TooManyFragments,
    /// A compressed message that is not deflate data, or stops in the middle of a block (RFC 7692 §7.2.2).
    DeflateInvalid,
}

impl ProtocolError {
    /// Every variant, for tables and metrics.
    pub const ALL: [Self; 16] = [
        Self::ReservedBits,
        Self::ReservedOpcode,
        Self::MaskMissing,
        Self::MaskUnexpected,
        Self::LengthNotMinimal,
        Self::LengthOverflow,
        Self::ControlTooLong,
        Self::ControlFragmented,
        Self::ContinuationUnexpected,
        Self::ContinuationMissing,
        Self::ClosePayload,
        Self::CloseCode,
        Self::InvalidUtf8,
        Self::MessageTooBig,
        Self::TooManyFragments,
        Self::DeflateInvalid,
    ];

    /// The code for our close frame: 1002, 1007 or 1009 (RFC 6455 §7.4.1).
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::InvalidUtf8 | Self::DeflateInvalid => 1007,
            Self::MessageTooBig | Self::TooManyFragments => 1009,
            _ => 1002,
        }
    }

    /// A short, stable, machine-readable reason for our close frame and for metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ReservedBits => "reserved-bits",
            Self::ReservedOpcode => "reserved-opcode",
            Self::MaskMissing => "mask-missing",
            Self::MaskUnexpected => "mask-unexpected",
            Self::LengthNotMinimal => "length-not-minimal",
            Self::LengthOverflow => "length-overflow",
            Self::ControlTooLong => "control-too-long",
            Self::ControlFragmented => "control-fragmented",
            Self::ContinuationUnexpected => "continuation-unexpected",
            Self::ContinuationMissing => "continuation-missing",
            Self::ClosePayload => "close-payload",
            Self::CloseCode => "close-code",
            Self::InvalidUtf8 => "invalid-utf8",
            Self::MessageTooBig => "message-too-big",
            Self::TooManyFragments => "too-many-fragments",
            Self::DeflateInvalid => "deflate-invalid",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_distinct_and_codes_may_be_sent() {
        let mut reasons: Vec<_> = ProtocolError::ALL.iter().map(|e| e.reason()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons.len(), ProtocolError::ALL.len());
        for error in ProtocolError::ALL {
            assert!(crate::close::is_valid_code(error.close_code()), "{error:?}");
            assert_eq!(error.to_string(), error.reason());
        }
    }
}
