//! The summary of a run: the slowest tests, the use of time, and the closing line.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use super::run::Run;

/// The number of slowest tests shown.
const SLOWEST: usize = 20;

/// Returns the slowest tests, one per line.
pub(super) fn slowest(runs: &[Run]) -> String {
    let mut all: Vec<&Run> = runs.iter().collect();
    all.sort_by_key(|run| std::cmp::Reverse(run.took));
    all.truncate(SLOWEST);
    let mut text = format!("the slowest {} tests:\n", all.len());
    for run in all {
        let _ = writeln!(text, "  {}", run.line());
    }
    text
}

/// Returns the sum of the tests' durations and their total time; `busy` is the share of time in
/// which the machine's processors were busy.
pub(super) fn totals(runs: &[Run], wall: Duration, busy: Option<f64>) -> String {
    let sum: Duration = runs.iter().map(|run| run.took).sum();
    let processor: Duration = runs.iter().map(|run| run.processor).sum();
    let (wall, sum, processor) = (wall.as_secs_f64(), sum.as_secs_f64(), processor.as_secs_f64());
    let mut text = format!(
        "{} tests in {wall:.0} s; {sum:.0} s sequentially, so {:.1} at once; processor time of the tests \
         themselves {processor:.0} s ({:.0} % of one processor)",
        runs.len(),
        sum / wall.max(0.001),
        100.0 * processor / wall.max(0.001),
    );
    if let Some(busy) = busy {
        let _ = write!(text, "; the machine's processors were {:.0} % busy", 100.0 * busy);
    }
    text
}

/// Returns the line that tools parse, in the format of Rust's test programs.
pub(super) fn closing(passed: usize, failed: usize, filtered: usize, wall: Duration) -> String {
    let result = if failed == 0 { "ok" } else { "FAILED" };
    format!(
        "test result: {result}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {filtered} filtered \
         out; finished in {:.2}s",
        wall.as_secs_f64()
    )
}

/// The phases of a run, in order.
pub(super) struct Phases {
    since: Instant,
    done: Vec<(&'static str, Duration)>,
}

impl Phases {
    /// Starts the clock.
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), done: Vec::new() }
    }

    /// Ends the current phase and starts the next one. Returns its duration.
    pub(super) fn end(&mut self, name: &'static str) -> Duration {
        let took = self.since.elapsed();
        self.since = Instant::now();
        self.done.push((name, took));
        took
    }

    /// Returns all phases on one line.
    pub(super) fn line(&self) -> String {
        let one = |(name, took): &(&str, Duration)| format!("{name} {:.0} s", took.as_secs_f64());
        format!("phases: {}", self.done.iter().map(one).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::run::Outcome;

    fn run(name: &str, took: u64, processor: u64) -> Run {
        Run {
            name: name.to_owned(),
            outcome: Outcome::Passed,
            took: Duration::from_secs(took),
            processor: Duration::from_secs(processor),
            notes: String::new(),
            output: String::new(),
        }
    }

    #[test]
    fn the_twenty_slowest_tests_are_shown_with_their_processor_share() {
        let runs: Vec<Run> = (0..30).map(|i| run(&format!("t{i}"), i, i / 2)).collect();
        let text = slowest(&runs);
        assert_eq!(text.lines().count(), 21, "{text}");
        assert_eq!(text.lines().nth(1), Some("    29.0 s (cpu  48 %) t29"));
        assert!(!text.contains(" t9\n"), "{text}");
        assert!(slowest(&runs[..2]).starts_with("the slowest 2 tests:\n"));
    }

    #[test]
    fn the_totals_distinguish_waiting_from_work() {
        let text = totals(&[run("a", 60, 6), run("b", 40, 4)], Duration::from_secs(50), Some(0.5));
        assert_eq!(
            text,
            "2 tests in 50 s; 100 s sequentially, so 2.0 at once; processor time of the tests themselves \
             10 s (20 % of one processor); the machine's processors were 50 % busy"
        );
    }

    #[test]
    fn the_closing_line_has_the_format_of_a_test_program() {
        let wall = Duration::from_millis(1500);
        assert_eq!(
            closing(178, 0, 3, wall),
            "test result: ok. 178 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1.50s"
        );
        assert!(closing(177, 1, 0, wall).starts_with("test result: FAILED. 177 passed; 1 failed;"));
    }
}
