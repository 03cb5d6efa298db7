//! How many commands a connection may send: a token bucket in eight bytes.
//!
//! It keeps the moment at which the bucket would be full again (the theoretical arrival time of
//! the generic cell rate algorithm, ITU-T I.371), in microseconds.

use crate::command::Class;
use crate::limits::Limits;
use crate::{Command, Timestamp};

/// Full at any time in the past.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    full_at_us: u64,
}

/// What one message costs, in tenths of a command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Cost(u32);

impl Cost {
    pub(super) const WHOLE: Self = Self(10);

    /// What writes and what reads are a whole command, `sync` is five, because it reads for all
    /// conversations. What may be lost is a fifth; `ping`, `pong` and `received`, with which a client
    /// answers what it gets, are a tenth. Each user that a group command brings in, and each that a
    /// push names, is a tenth more, because it writes as many rows.
    pub(super) fn of(command: &Command) -> Self {
        let more = |users: usize| u32::try_from(users).unwrap_or(u32::MAX).saturating_add(10);
        match command {
            Command::Ping | Command::Pong => Self(1),
            Command::GroupCreate(create) => Self(more(create.members.len())),
            Command::GroupInvite(invite) => Self(more(invite.members.len())),
            Command::Push(push) => Self(more(push.users())),
            command => match command.class() {
                Class::Soft => Self(1),
                Class::Volatile => Self(2),
                Class::Attach => Self(50),
                Class::Session | Class::Write | Class::Read | Class::Live => Self::WHOLE,
            },
        }
    }
}

impl Bucket {
    /// Takes the cost out, or says in how many milliseconds it could.
    ///
    /// A refusal costs a tenth of a command: whoever does not wait as told runs into debt, so that
    /// mixing what is admitted with many times as much that is refused does not work.
    pub(super) fn charge(
        &mut self,
        cost: Cost,
        now: Timestamp,
        limits: &Limits,
    ) -> Result<(), u64> {
        let whole_us = 1_000_000 / u64::from(limits.commands_per_second.max(1));
        let depth_us = whole_us.max(1).saturating_mul(u64::from(limits.commands_burst.max(1)));
        // What costs more than a full bucket passes when it is full, or it never would.
        let cost_us = (whole_us.saturating_mul(cost.0.into()) / 10).clamp(1, depth_us);
        let now_us = now.0.saturating_mul(1000);
        let full_at_us = self.full_at_us.max(now_us).saturating_add(cost_us);
        let missing_us = full_at_us.saturating_sub(now_us.saturating_add(depth_us));
        if missing_us > 0 {
            let fine_us = (whole_us / 10).clamp(1, cost_us);
            self.full_at_us = self.full_at_us.max(now_us).saturating_add(fine_us);
            return Err(missing_us.saturating_add(fine_us).div_ceil(1000));
        }
        self.full_at_us = full_at_us;
        Ok(())
    }
}
