//! Entry points for fuzzing: arbitrary bytes in, invariants checked.
//!
//! Called by the coverage-guided targets in `fuzz/` and, seeded, by this crate's own tests.

use crate::Timestamp;
use crate::codec::{Codec, Incoming};
use crate::limits::Limits;

/// Longest reply to a message that is no command, in bytes.
const REFUSAL_BYTES_MAX: usize = 2_048;

/// Decodes `data` with every codec.
///
/// # Panics
/// When a command does not survive being encoded and decoded again, or a refusal is not a short,
/// well-formed `error`.
pub fn command(data: &[u8]) {
    let limits = Limits::default();
    for codec in Codec::ALL {
        match codec.decode(data, &limits) {
            Ok(incoming) => again(codec, &incoming),
            Err(malformed) => {
                let mut reply = Vec::new();
                let outcome = Err(malformed.refusal);
                codec.encode_reply(malformed.id.as_ref(), &outcome, Timestamp(0), &mut reply);
                assert!(reply.len() <= REFUSAL_BYTES_MAX, "{} bytes of error", reply.len());
                let well_formed = serde_json::from_slice::<serde_json::Value>(&reply).is_ok();
                assert!(well_formed, "not JSON: {}", String::from_utf8_lossy(&reply));
            }
        }
    }
}

/// A decoded command means the same after another round.
fn again(codec: Codec, incoming: &Incoming) {
    // Defaults are written out, so that the second message may be a little longer.
    let limits = Limits { message_bytes_max: u32::MAX, ..Limits::default() };
    let mut message = Vec::new();
    codec.encode_command(incoming.id.as_ref(), &incoming.command, &mut message);
    match codec.decode(&message, &limits) {
        Ok(second) => assert_eq!(format!("{incoming:?}"), format!("{second:?}")),
        Err(malformed) => panic!("{malformed:?}: {}", String::from_utf8_lossy(&message)),
    }
}
