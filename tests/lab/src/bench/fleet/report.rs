//! The figures of all phases, as a table.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::meter::Cost;

/// The verbs that read.
const READS: [&str; 2] = ["get", "list"];
/// The verbs that write.
const WRITES: [&str; 4] = ["create", "update", "patch", "delete"];
/// How many kinds of requests are shown of each phase.
const SHOWN: usize = 12;

/// What the fleet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Phase {
    /// All Deployments are annotated.
    Adopt,
    /// Nothing happens for a minute.
    Idle,
    /// Steelyard's pod is replaced.
    Restart,
    /// Some Deployments change at once.
    Burst,
}

impl Phase {
    /// Returns its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Adopt => "adopt",
            Self::Idle => "idle",
            Self::Restart => "restart",
            Self::Burst => "burst",
        }
    }
}

/// All figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Report {
    deployments: usize,
    burst: usize,
    phases: Vec<(Phase, Cost)>,
    /// From the first push of the burst until all rollouts were complete, in seconds.
    complete: f64,
    /// The same for a native rolling update, in seconds.
    native: f64,
}

impl Report {
    /// Returns a report without figures.
    pub(super) fn new(deployments: usize, burst: usize) -> Self {
        Self { deployments, burst, phases: Vec::new(), complete: 0.0, native: 0.0 }
    }

    /// Adds the figures of a phase.
    pub(super) fn add(&mut self, phase: Phase, cost: Cost) {
        self.phases.push((phase, cost));
    }

    /// Sets the durations of the burst and of a native rolling update.
    pub(super) fn compare(&mut self, complete: Duration, native: Duration) {
        (self.complete, self.native) = (complete.as_secs_f64(), native.as_secs_f64());
    }

    /// Returns the number of Deployments that a phase concerns.
    fn concerned(&self, phase: Phase) -> usize {
        if phase == Phase::Burst { self.burst } else { self.deployments }
    }
}

/// Counts are far below 2^52.
#[allow(clippy::cast_precision_loss)]
fn each(count: u64, of: usize) -> f64 {
    count as f64 / of.max(1) as f64
}

impl fmt::Display for Report {
    /// Writes Markdown: a table of the phases, their requests, and the ratio to a native rolling
    /// update.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { deployments, burst, phases, complete, native } = self;
        writeln!(f, "{deployments} Deployments with one pod each; {burst} of them change at once.\n")?;
        writeln!(
            f,
            "| phase | time | requests | per Deployment | reads | writes | watches | CPU of Steelyard | of the API server | memory | peak |"
        )?;
        writeln!(f, "| --- |{}", " --- |".repeat(10))?;
        for (phase, cost) in phases {
            let Cost { seconds, requests, cpu, api_server_cpu, memory, peak } = cost;
            let concerned = self.concerned(*phase);
            let per = |count| each(count, concerned);
            writeln!(
                f,
                "| {} | {seconds:.1} s | {} | {:.1} | {:.1} | {:.1} | {} | {cpu:.1} s | {api_server_cpu:.1} s | {memory:.0} MiB | {peak:.0} MiB |",
                phase.name(),
                requests.total(),
                per(requests.total()),
                per(requests.of(&READS)),
                per(requests.of(&WRITES)),
                requests.of(&["watch"]),
            )?;
        }
        writeln!(f)?;
        for (phase, cost) in phases.iter().filter(|(_, cost)| cost.requests.total() > 0) {
            writeln!(f, "{}: {}.", phase.name(), cost.requests.most(SHOWN))?;
        }
        writeln!(
            f,
            "\n{burst} changed at once: all complete after {complete:.1} s; a native rolling update of as many takes {native:.1} s ({:.1}x).",
            complete / native
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_a_burst_are_divided_by_the_deployments_that_change() {
        let report = Report::new(1000, 100);
        assert_eq!((report.concerned(Phase::Burst), report.concerned(Phase::Adopt)), (100, 1000));
    }

    #[test]
    fn the_rows_of_the_table_have_as_many_columns_as_its_head() {
        let mut report = Report::new(10, 2);
        report.add(Phase::Idle, Cost::default());
        report.compare(Duration::from_secs(3), Duration::from_secs(2));
        let text = report.to_string();
        let rows: Vec<usize> =
            text.lines().filter(|line| line.starts_with('|')).map(|line| line.matches('|').count()).collect();
        assert!(rows.len() == 3 && rows.iter().all(|count| *count == rows[0]), "{text}");
        assert!(text.contains("(1.5x)"), "{text}");
    }
}
