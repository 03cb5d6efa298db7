//! What a run consists of, and how a seed varies it.

use hubbub_chat::{ChatConfig, PushRules};
use hubbub_proto::Who;
use hubbub_proto::limits::Limits;

use crate::Sabotage;
use crate::journal::PUSHER_ROLE;
use crate::rng::Rng;

/// How much happens in a run. The seed decides about the rest.
#[derive(Clone, Debug)]
pub struct Config {
    /// Most users; at least two take part.
    pub users_max: u64,
    /// Most devices of one user.
    pub devices_max: u64,
    /// Most things that users do.
    pub actions_max: u64,
    /// Most milliseconds of virtual time until every promise must be kept once nothing breaks any
    /// more.
    pub settle_ms: u64,
    /// Most lines of the trace that are kept.
    pub trace_lines: usize,
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            users_max: 4,
            devices_max: 3,
            actions_max: 90,
            settle_ms: 240_000,
            trace_lines: 60,
            sabotage: None,
        }
    }
}

/// What one seed makes of a [`Config`]: some runs are calm, some only crash, some only lag, so that
/// one fault does not hide another.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    pub(crate) users: u64,
    pub(crate) actions: u64,
    /// Longest pause between two actions.
    pub(crate) pause_ms: u64,
    /// Longest delay of a frame.
    pub(crate) delay_ms: u64,
    /// Longest time that each step inside the node takes.
    pub(crate) think_ms: u64,
    /// Longest time between two faults; 0 for none.
    pub(crate) break_ms: u64,
    /// Weights of the faults, in the order of `faults::Fault`.
    pub(crate) faults: [u64; 7],
    /// Of a thousand events to a connection, how many make it lag.
    pub(crate) lag_per_mille: u64,
    /// Of a thousand writes to the store, how many fail.
    pub(crate) trouble_per_mille: u64,
    /// Most commands of one batch.
    pub(crate) batch_max: u64,
    pub(crate) limits: Limits,
    pub(crate) chat: ChatConfig,
}

impl Variant {
    pub(crate) fn draw(config: &Config, rng: &mut Rng) -> Self {
        let limits = Limits {
            commands_in_flight_max: [1, 2, 8, 64][rng.index(4)],
            unconfirmed_max: [1, 3, 256][rng.index(3)],
            commands_per_second: [20, 200][rng.index(2)],
            commands_burst: [40, 400][rng.index(2)],
            ..Limits::default()
        };
        let chat = ChatConfig {
            offline_window_ms: [20_000, 90_000, 7 * 24 * 3_600_000][rng.index(3)],
            group_members_max: [3, 10_000][rng.index(2)],
            receipt_members_max: [2, 100][rng.index(2)],
            sync_entries_max: [4, 30, 1_000][rng.index(3)],
            sync_bytes_max: [1_024, 256 * 1024][rng.index(2)],
            redelivery_entries: [1, 50][rng.index(2)],
            push: PushRules {
                send: Who::Roles([PUSHER_ROLE.into()].into()),
                ..PushRules::default()
            },
            ..ChatConfig::default()
        };
        let mut faults = [0; 7];
        for weight in &mut faults {
            *weight = if rng.chance(600) { rng.between(1, 4) } else { 0 };
        }
        let mut variant = Self {
            users: rng.between(2, config.users_max.max(2)),
            actions: rng.between(config.actions_max / 3, config.actions_max),
            pause_ms: [30, 300, 3_000][rng.index(3)],
            delay_ms: [2, 40, 400][rng.index(3)],
            think_ms: [1, 5, 150][rng.index(3)],
            break_ms: [0, 1_500, 10_000][rng.index(3)],
            faults,
            lag_per_mille: [0, 0, 20, 150][rng.index(4)],
            trouble_per_mille: [0, 0, 30, 200][rng.index(4)],
            batch_max: [1, 4, 64][rng.index(3)],
            limits,
            chat,
        };
        // Now and then a node that is only slow: drops follow upon drops, and no reconnection
        // covers up what they lose.
        if rng.chance(120) {
            variant.pause_ms = 300;
            variant.think_ms = 150;
            variant.break_ms = 0;
            variant.lag_per_mille = 300;
            variant.limits.unconfirmed_max = 256;
        }
        variant
    }
}
