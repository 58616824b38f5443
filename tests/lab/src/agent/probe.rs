//! The thresholds and the result of a probe. Pure; [`super::check`] runs the probe.

use std::time::Duration;

use k8s_openapi::api::core::v1::Probe;

/// The kind of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ProbeKind {
    /// Holds off the other probes until it passes; a failure ends the container.
    Startup,
    /// Decides whether the pod gets traffic.
    Readiness,
    /// A failure ends the container.
    Liveness,
}

impl ProbeKind {
    /// Returns its name in Events.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

/// The timing of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    /// Delay of the first probe, from the container's start.
    pub(crate) delay: Duration,
    /// Interval between probes.
    pub(crate) period: Duration,
    /// Time limit of a probe.
    pub(crate) timeout: Duration,
}

impl Timing {
    /// Returns the timing of a probe, with the API's defaults for missing fields.
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

/// Counts results until enough equal ones came in a row.
#[derive(Debug, Clone)]
pub(crate) struct Counter {
    passes_needed: u32,
    failures_needed: u32,
    last: Option<bool>,
    run: u32,
    verdict: Option<bool>,
}

impl Counter {
    /// Returns a counter with the probe's thresholds (defaults: 1 success, 3 failures) and no
    /// result.
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

    /// Adds a result. Returns the new state if this result changed it.
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

    /// Returns the number of equal results in a row.
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
    fn by_default_one_success_or_three_failures_in_a_row_decide() {
        let probe = Probe::default();
        assert_eq!(verdicts(&probe, "-+"), [None, Some(true)]);
        assert_eq!(verdicts(&probe, "+--+---"), [Some(true), None, None, None, None, None, Some(false)]);
    }

    #[test]
    fn a_result_is_reported_once_until_it_changes() {
        let probe = Probe { failure_threshold: Some(1), ..Probe::default() };
        assert_eq!(verdicts(&probe, "++--++"), [Some(true), None, Some(false), None, Some(true), None]);
    }

    #[test]
    fn a_success_threshold_counts_successes_in_a_row() {
        let probe = Probe { success_threshold: Some(2), failure_threshold: Some(1), ..Probe::default() };
        assert_eq!(verdicts(&probe, "+-++"), [None, Some(false), None, Some(true)]);
    }

    #[test]
    fn missing_fields_get_the_defaults_of_the_api() {
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
