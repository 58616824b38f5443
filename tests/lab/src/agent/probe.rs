//! A probe's numbers and its verdict: pure, see [`super::check`] for what asks.

use std::time::Duration;

use k8s_openapi::api::core::v1::Probe;

/// What a probe decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The others wait for it; failing, it ends the container.
    Startup,
    /// Whether the pod gets traffic.
    Readiness,
    /// Failing, it ends the container.
    Liveness,
}

impl Kind {
    /// As Events call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

/// When to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    /// Before the first time, from the container's start.
    pub(crate) delay: Duration,
    /// Between two times.
    pub(crate) period: Duration,
    /// For an answer.
    pub(crate) timeout: Duration,
}

impl Timing {
    /// A probe's own numbers, with the API's defaults for those left out.
    pub(crate) fn of(probe: &Probe) -> Self {
        let seconds = |value: Option<i32>, default, least| {
            let seconds = value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default);
            Duration::from_secs(seconds.max(least))
        };
        Self {
            delay: seconds(probe.initial_delay_seconds, 0, 0),
            period: seconds(probe.period_seconds, 10, 1),
            timeout: seconds(probe.timeout_seconds, 1, 1),
        }
    }
}

/// Counts answers until enough of a kind came in a row.
#[derive(Debug, Clone)]
pub(crate) struct Counter {
    passes_needed: u32,
    failures_needed: u32,
    last: Option<bool>,
    run: u32,
    verdict: Option<bool>,
}

impl Counter {
    /// Thresholds as the probe has them (defaults: 1 success, 3 failures), no answer so far.
    pub(crate) fn of(probe: &Probe) -> Self {
        let threshold = |value: Option<i32>, default| {
            value.and_then(|value| u32::try_from(value).ok()).filter(|&value| value > 0).unwrap_or(default)
        };
        Self {
            passes_needed: threshold(probe.success_threshold, 1),
            failures_needed: threshold(probe.failure_threshold, 3),
            last: None,
            run: 0,
            verdict: None,
        }
    }

    /// Takes an answer; gives the verdict if this answer changed it.
    pub(crate) fn take(&mut self, passed: bool) -> Option<bool> {
        if self.last == Some(passed) {
            self.run = self.run.saturating_add(1);
        } else {
            (self.last, self.run) = (Some(passed), 1);
        }
        let needed = if passed { self.passes_needed } else { self.failures_needed };
        if self.run < needed || self.verdict == Some(passed) {
            return None;
        }
        self.verdict = Some(passed);
        self.verdict
    }

    /// How many answers of the same kind came in a row.
    pub(crate) fn run(&self) -> u32 {
        self.run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(probe: &Probe, answers: &str) -> Vec<Option<bool>> {
        let mut counter = Counter::of(probe);
        answers.chars().map(|answer| counter.take(answer == '+')).collect()
    }

    #[test]
    fn by_default_one_pass_is_enough_and_three_failures_in_a_row_are_needed() {
        let probe = Probe::default();
        assert_eq!(verdicts(&probe, "-+"), [None, Some(true)]);
        assert_eq!(verdicts(&probe, "+--+---"), [Some(true), None, None, None, None, None, Some(false)]);
    }

    #[test]
    fn a_verdict_is_given_once_until_it_turns() {
        let probe = Probe { failure_threshold: Some(1), ..Probe::default() };
        assert_eq!(verdicts(&probe, "++--++"), [Some(true), None, Some(false), None, Some(true), None]);
    }

    #[test]
    fn a_success_threshold_counts_passes_in_a_row() {
        let probe = Probe { success_threshold: Some(2), failure_threshold: Some(1), ..Probe::default() };
        assert_eq!(verdicts(&probe, "+-++"), [None, Some(false), None, Some(true)]);
    }

    #[test]
    fn numbers_left_out_are_the_api_s_defaults() {
        let second = Duration::from_secs(1);
        let timing = Timing::of(&Probe::default());
        assert_eq!(timing, Timing { delay: Duration::ZERO, period: 10 * second, timeout: second });
        let probe = Probe {
            initial_delay_seconds: Some(3),
            period_seconds: Some(2),
            timeout_seconds: Some(5),
            ..Probe::default()
        };
        assert_eq!(Timing::of(&probe), Timing { delay: 3 * second, period: 2 * second, timeout: 5 * second });
    }
}
