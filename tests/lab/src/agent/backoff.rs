//! How long to wait before trying again, by kubelet's numbers.

use std::time::{Duration, Instant};

/// The first wait.
const FIRST: Duration = Duration::from_secs(10);
/// The longest wait.
const LONGEST: Duration = Duration::from_mins(5);
/// A container that ran this long starts over with the first wait (kubelet: twice the longest).
const FORGOTTEN: Duration = Duration::from_mins(10);

/// Waits between restarts of one container, or between pulls of its image: 10 s, doubled each time up to 300 s.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backoff {
    last: Option<(Instant, Duration)>,
}

impl Backoff {
    /// The wait after a container ended at `ended`. The first restart is at once; so is one after a long run.
    pub(crate) fn restart(&mut self, ended: Instant) -> Duration {
        match self.last {
            Some((started, wait)) if ended.saturating_duration_since(started) <= FORGOTTEN => {
                self.last = Some((ended + wait, (wait * 2).min(LONGEST)));
                wait
            }
            _ => {
                self.last = Some((ended, FIRST));
                Duration::ZERO
            }
        }
    }

    /// The wait after a failed pull; even the first one waits.
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
    fn a_long_run_is_forgiven() {
        let mut backoff = Backoff::default();
        let start = Instant::now();
        assert_eq!(backoff.restart(start), Duration::ZERO);
        assert_eq!(backoff.restart(start + Duration::from_mins(9)), FIRST);
        let restarted = start + Duration::from_mins(9) + FIRST;
        assert_eq!(backoff.restart(restarted + Duration::from_mins(11)), Duration::ZERO);
        assert_eq!(backoff.restart(restarted + Duration::from_mins(12)), FIRST);
    }

    #[test]
    fn pulls_wait_from_the_first_failure_on() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        let waits: Vec<u64> = (0..7).map(|_| backoff.pull(now).as_secs()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
    }
}
