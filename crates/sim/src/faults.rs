//! What breaks.

use crate::report::Broken;
use crate::schedule::Happening;
use crate::stage::trace;
use crate::world::World;

/// A kind of fault.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// A connection is cut, and both ends learn of it.
    Cut,
    /// A connection is cut, and not both ends learn of it.
    HalfOpen,
    /// The node loses power, and starts again.
    Crash,
    /// Nothing arrives for a while, in one direction.
    Stall,
    /// A device goes away for a while, politely.
    Away,
    /// A device goes away for long.
    LongAway,
    /// A device loses its memory.
    Amnesia,
}

const FAULTS: [Fault; 7] = [
    Fault::Cut,
    Fault::HalfOpen,
    Fault::Crash,
    Fault::Stall,
    Fault::Away,
    Fault::LongAway,
    Fault::Amnesia,
];

impl World {
    /// Breaks something, and plans the next time.
    pub(crate) fn break_something(&mut self) -> Result<(), Broken> {
        let longest_ms = self.stage.variant.break_ms;
        if longest_ms == 0 || self.healed {
            return Ok(());
        }
        let delay_ms = self.stage.rng.between(longest_ms / 10, longest_ms);
        self.stage.schedule.after(delay_ms, Happening::Break);
        let weights = self.stage.variant.faults;
        let mut at = self.stage.rng.below(weights.iter().sum());
        for (fault, weight) in FAULTS.into_iter().zip(weights) {
            if at < weight {
                return self.inflict(fault);
            }
            at -= weight;
        }
        Ok(())
    }

    fn inflict(&mut self, fault: Fault) -> Result<(), Broken> {
        let device = self.stage.rng.index(self.devices.len());
        let Some(device) = self.devices.get_mut(device) else { return Ok(()) };
        let stage = &mut self.stage;
        trace!(stage, "fault {fault:?} around device {}", device.index);
        let now_ms = stage.now_ms();
        match (fault, device.link) {
            (Fault::Crash, _) if stage.rng.chance(500) => self.node.doomed = true,
            (Fault::Crash, _) => {
                let down_ms = stage.rng.between(0, 4_000);
                stage.schedule.after(down_ms, Happening::Restart);
                return self.node.crash(stage);
            }
            (Fault::Cut | Fault::HalfOpen, Some(link)) => {
                stage.count("connections cut");
                let told = match fault {
                    Fault::Cut => (true, true),
                    _ => [(true, false), (false, true), (false, false)][stage.rng.index(3)],
                };
                let pipes = &mut stage.links[link];
                if let Some(at_ms) = pipes.up.cut(now_ms, &mut stage.rng, told.0) {
                    stage.schedule.at(at_ms, Happening::Up { link });
                }
                if let Some(at_ms) = pipes.down.cut(now_ms, &mut stage.rng, told.1) {
                    stage.schedule.at(at_ms, Happening::Down { link });
                }
            }
            (Fault::Stall, Some(link)) => {
                stage.count("stalls");
                let until_ms = now_ms + stage.rng.between(100, 35_000);
                if stage.rng.chance(500) {
                    stage.links[link].up.stall(until_ms);
                } else {
                    stage.links[link].down.stall(until_ms);
                }
            }
            (Fault::Away | Fault::LongAway, Some(_)) => {
                let longest_ms = if matches!(fault, Fault::Away) { 5_000 } else { 150_000 };
                device.away_until_ms = now_ms + stage.rng.between(0, longest_ms);
                device.hang_up(stage);
            }
            (Fault::Amnesia, _) if stage.rng.chance(300) => device.forget(stage),
            _ => {}
        }
        Ok(())
    }

    /// From now on nothing breaks.
    pub(crate) fn heal(&mut self) {
        trace!(self.stage, "everything heals");
        self.healed = true;
        self.stage.variant.lag_per_mille = 0;
        self.node.store.trouble.end();
        self.node.start(&mut self.stage);
        for device in &mut self.devices {
            device.away_until_ms = 0;
            if device.link.is_none() {
                self.stage.schedule.after(1, Happening::Dial { device: device.index });
            }
        }
    }
}
