//! Delays between retries, with kubelet's numbers.

use std::time::{Duration, Instant};

/// The first delay.
const FIRST: Duration = Duration::from_secs(10);
/// The longest delay.
const LONGEST: Duration = Duration::from_mins(5);
/// After a run of this length, a container's delays start again from the first one (kubelet: twice
/// the longest).
const RESET_AFTER: Duration = Duration::from_mins(10);

/// Delays between restarts of one container, or between pulls of its image: 10 s, doubled each time
/// up to 300 s.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backoff {
    last: Option<(Instant, Duration)>,
}

impl Backoff {
    /// Returns the delay after a container ended at `ended`. It is zero for the first restart and
    /// after a long run.
    pub(crate) fn restart(&mut self, ended: Instant) -> Duration {
        match self.last {
            Some((started, wait)) if ended.saturating_duration_since(started) <= RESET_AFTER => {
                self.last = Some((ended + wait, (wait * 2).min(LONGEST)));
                wait
            }
            _ => {
                self.last = Some((ended, FIRST));
                Duration::ZERO
            }
        }
    }

    /// Returns the delay after a failed pull; it is never zero.
    pub(crate) fn pull(&mut self, failed: Instant) -> Duration {
        let wait = self.last.map_or(FIRST, |(_, wait)| wait);
        self.last = Some((failed, (wait * 2).min(LONGEST)));
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_are_immediate_then_ten_seconds_doubling_to_five_minutes() {
        let mut backoff = Backoff::default();
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..8 {
            let wait = backoff.restart(now);
            waits.push(wait.as_secs());
            now += wait + Duration::from_secs(1);
        }
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn a_long_run_resets_the_delay() {
        let mut backoff = Backoff::default();
        let start = Instant::now();
        assert_eq!(backoff.restart(start), Duration::ZERO);
        assert_eq!(backoff.restart(start + Duration::from_mins(9)), FIRST);
        let restarted = start + Duration::from_mins(9) + FIRST;
        assert_eq!(backoff.restart(restarted + Duration::from_mins(11)), Duration::ZERO);
        assert_eq!(backoff.restart(restarted + Duration::from_mins(12)), FIRST);
    }

    #[test]
    fn pulls_are_delayed_from_the_first_failure() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        let waits: Vec<u64> = (0..7).map(|_| backoff.pull(now).as_secs()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
    }
}
