//! Who is let in when more come than can be served at once.
//!
//! [`Pace`] is a pure function of what was asked for and when: so many opens per second with a
//! second's worth at once, and for everybody beyond it a moment to come back at. Those moments are
//! spread, at half the rate so that others find room too: a crowd that is refused does not return
//! as a crowd. Absent: clocks, and counting connections (see [`crate::permit`]).

use std::time::Duration;

/// How long somebody who is refused waits at least.
const RETURN_MIN: Duration = Duration::from_millis(500);
/// How long somebody who is refused waits at most.
const RETURN_MAX: Duration = Duration::from_secs(60);
/// Opens per second for which the returns are spread where no rate is set.
const NOMINAL_PER_SECOND: u32 = 10_000;

/// See the module. Times are since any fixed moment, and never go back.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Opens per second; 0 for any number.
    per_second: u32,
    /// When the last one let in would have come at an even pace.
    even: Duration,
    /// The latest moment that was given to somebody to come back at.
    promised: Duration,
}

impl Pace {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second, even: Duration::ZERO, promised: Duration::ZERO }
    }

    /// Lets one in (a virtual scheduling algorithm, ITU-T I.371), or says how long to wait.
    pub(crate) fn admit(&mut self, now: Duration) -> Result<(), Duration> {
        if self.per_second == 0 {
            return Ok(());
        }
        // A second later, so that there is a second's worth at the beginning of time too.
        let even = self.even.max(now);
        if even >= now + Duration::from_secs(1) {
            return Err(self.put_off(now));
        }
        self.even = even + Duration::from_secs(1) / self.per_second;
        Ok(())
    }

    /// How long somebody who cannot be served now is to wait.
    pub(crate) fn put_off(&mut self, now: Duration) -> Duration {
        let per_second = if self.per_second == 0 { NOMINAL_PER_SECOND } else { self.per_second };
        let interval = Duration::from_secs(2) / per_second;
        self.promised = self.promised.max(now + RETURN_MIN) + interval;
        if self.promised > now + RETURN_MAX {
            self.promised = now + RETURN_MIN;
        }
        self.promised - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(pace: &mut Pace, asked: usize, now: Duration) -> usize {
        (0..asked).filter(|_| pace.admit(now).is_ok()).count()
    }

    #[test]
    fn a_second_s_worth_at_once_and_then_the_rate() {
        let start = Duration::from_millis(1);
        let mut pace = Pace::new(1000);
        assert_eq!(admitted(&mut pace, 5000, start), 1000);
        assert_eq!(admitted(&mut pace, 5000, start), 0);
        assert_eq!(admitted(&mut pace, 5000, start + Duration::from_millis(250)), 250);
        assert_eq!(admitted(&mut pace, 5000, start + Duration::from_secs(60)), 1000);
        let mut unlimited = Pace::new(0);
        assert_eq!(admitted(&mut unlimited, 5000, start), 5000);
    }

    #[test]
    fn nobody_is_refused_twice() {
        let start = Duration::from_secs(100);
        let mut pace = Pace::new(1000);
        let mut returns: Vec<Duration> =
            (0..6000).filter_map(|_| pace.admit(start).err()).map(|wait| start + wait).collect();
        assert_eq!(returns.len(), 5000);
        assert!(returns.iter().all(|at| *at > start + RETURN_MIN));
        // They come back when they were told to, among others that come for the first time.
        returns.extend((0..4000_u32).map(|n| start + RETURN_MIN + Duration::from_millis(2) * n));
        returns.sort_unstable();
        for at in returns {
            assert!(pace.admit(at).is_ok(), "{at:?}");
        }
    }

    #[test]
    fn the_wait_has_bounds() {
        let now = Duration::from_secs(100);
        let mut pace = Pace::new(1);
        let waits: Vec<Duration> = (0..100).map(|_| pace.put_off(now)).collect();
        assert!(waits.iter().all(|wait| (RETURN_MIN..=RETURN_MAX).contains(wait)));
        assert!(waits[1] > waits[0]);
    }
}
