//! Selects the requests that the demo app answers with an error.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Returns whether request `n` (from 1) is one of the failing share `ppm` (millionths), spread as
/// evenly as whole requests allow: of the first `n`, exactly `n * ppm / 1_000_000` (rounded down)
/// fail. Random errors would make the result of a test depend on chance.
pub fn spread(n: u64, ppm: u32) -> bool {
    let failed = |n: u64| u128::from(n) * u128::from(ppm) / 1_000_000;
    n > 0 && failed(n) > failed(n - 1)
}

/// Decides for each request whether it fails; there is one per app.
#[derive(Debug)]
pub struct Faults {
    ppm: u32,
    above: Option<u32>,
    begun: bool,
    counted: u64,
    recent: VecDeque<Instant>,
}

impl Faults {
    /// Fails a share of `ppm` millionths, from the start or, with `above`, once there were more
    /// than `above` requests within one second.
    pub fn new(ppm: u32, above: Option<u32>) -> Self {
        Self { ppm, above, begun: above.is_none(), counted: 0, recent: VecDeque::new() }
    }

    /// Records a request at `now` and returns whether it fails. `now` must not decrease.
    pub fn fails(&mut self, now: Instant) -> bool {
        if let (false, Some(above)) = (self.begun, self.above) {
            self.recent.push_back(now);
            while self.recent.front().is_some_and(|&at| now.duration_since(at) >= Duration::from_secs(1)) {
                self.recent.pop_front();
            }
            self.begun = self.recent.len() > above as usize;
            if self.begun {
                self.recent = VecDeque::new();
            }
        }
        if !self.begun {
            return false;
        }
        self.counted += 1;
        spread(self.counted, self.ppm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failing_share_is_exact_and_evenly_spread() {
        let hits: Vec<u64> = (1..=40).filter(|&n| spread(n, 100_000)).collect();
        assert_eq!(hits, [10, 20, 30, 40]);
        for ppm in [0, 1, 333_333, 500_000, 999_999, 1_000_000] {
            let failed = (1..=10_000).filter(|&n| spread(n, ppm)).count() as u64;
            assert_eq!(failed, 10_000 * u64::from(ppm) / 1_000_000, "{ppm}");
        }
    }

    #[test]
    fn errors_begin_when_the_load_exceeds_the_limit_and_continue() {
        let start = Instant::now();
        let mut faults = Faults::new(1_000_000, Some(10));
        // 10 a second for three seconds: at the limit, not above it.
        for i in 0..30 {
            assert!(!faults.fails(start + Duration::from_millis(i * 100)), "{i}");
        }
        // One more within the same second.
        assert!(faults.fails(start + Duration::from_millis(2_950)));
        // Errors continue after a minute without requests.
        assert!(faults.fails(start + Duration::from_mins(1)));
    }

    #[test]
    fn a_rate_below_one_applies_after_the_limit_too() {
        let start = Instant::now();
        let mut faults = Faults::new(500_000, Some(0));
        let hits = (0..10).filter(|i| faults.fails(start + Duration::from_millis(i * 10))).count();
        assert_eq!(hits, 5);
    }
}
