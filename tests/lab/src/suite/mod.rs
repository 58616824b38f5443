//! `cargo lab test`: runs the tests that need no lab first, then those that run on one.
//!
//! Each test on the lab is a separate process. Most run concurrently on one lab, each in a separate
//! Kubernetes namespace. Those that disturb the whole lab run at the same time on a second lab, one
//! at a time. Those that measure time run at the end, with nothing else running.

mod busy;
mod case;
mod history;
mod lane;
mod plain;
mod queue;
mod report;
mod run;
mod tables;
mod unsteady;

use std::{
    collections::BTreeMap,
    io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use busy::Ticks;
use case::Isolation;
use lane::Lane;
use plain::Programs;
use queue::Queue;
use report::Phases;
use run::{Attempt, Outcome, Run};

use crate::{errors::Error as LabError, machine, paths::Layout, say};

/// The number of tests that run at once on the shared lab, unless [`WIDTH`] is set. With six, and
/// one on the second lab, two processors are 95 % busy: more would only delay rollouts.
const SIDE_BY_SIDE: NonZeroUsize = NonZeroUsize::new(5).unwrap();
/// The environment variable for the number of tests that run at once.
const WIDTH: &str = "LAB_TESTS_AT_ONCE";
/// The test program of the tests on the lab.
const ON_LAB: &str = "on_lab";
/// Failed tests are not retried if there are more than this: then a retry would only take long to
/// show the same error.
const MAX_RETRIES: usize = 10;

/// The reason why the tests could not be run, or did not pass.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program could not be run.
    #[error("cannot run {}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file or directory could not be read or written.
    #[error("cannot read or write {}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// No test matches the filter.
    #[error("no test on the lab has a name that contains {filter:?}")]
    NoMatch {
        /// The filter.
        filter: String,
    },
    /// The variable for the number of tests that run at once is not a number.
    #[error("{WIDTH} must be a whole number of at least 1, but is {value:?}")]
    Width {
        /// Its value.
        value: String,
    },
    /// A lab for the tests did not start, or did not stop.
    #[error("`cargo lab --name {name} {command}` failed")]
    Lab {
        /// Its name.
        name: String,
        /// The command that failed.
        command: &'static str,
    },
    /// The list of unsteady tests breaks its rules.
    #[error("the list of unsteady tests (tests/lab/src/suite/unsteady.rs) is invalid: {}", faults.join("; "))]
    Unsteady {
        /// The violations.
        faults: Vec<String>,
    },
    /// At least one test failed.
    #[error("failed: {}; the lab still runs (cargo lab shell), its logs are in {}", what.join(", "), logs.display())]
    Failed {
        /// The failed groups of tests.
        what: Vec<&'static str>,
        /// The directory of the logs.
        logs: PathBuf,
    },
}

/// Runs the tests; with a filter, only those on the lab whose name contains it.
pub fn test(layout: &Layout, filter: Option<&str>) -> Result<(), LabError> {
    let mut phases = Phases::new();
    let width = width()?;
    // Fail now rather than after the first ten minutes.
    machine::ensure(layout)?;
    let programs = match filter {
        None => Programs::build()?,
        Some(_) => Programs::build_on_lab()?,
    };
    phases.end("building the tests");
    let names = case::names(&programs.on_lab)?;
    let faults = unsteady::faults(unsteady::LIST, &names, jiff::Zoned::now().date());
    if !faults.is_empty() {
        return Err(Error::Unsteady { faults }.into());
    }
    let mut failed = Vec::new();
    if filter.is_none() {
        say("tests that need no lab");
        if !programs.run_others()? {
            failed.push("tests that need no lab");
        }
        phases.end("tests that need no lab");
    }
    let chosen = case::chosen(&names, filter);
    if let (Some(filter), true) = (filter, chosen.is_empty()) {
        return Err(Error::NoMatch { filter: filter.to_owned() }.into());
    }
    let mut suite = Suite::new(layout, &programs.on_lab, chosen, width);
    suite.up()?;
    phases.end("starting the labs");
    let began = (Instant::now(), Ticks::now());
    let runs = suite.run()?;
    let busy = began.1.zip(Ticks::now()).map(|(began, now)| now.busy_since(began));
    let totals = report::totals(&runs, began.0.elapsed(), busy);
    phases.end("tests on the labs");
    let lost = suite.retry(&runs)?;
    phases.end("retries");
    tables::show(&suite.labs())?;
    println!("\n{}\n{totals}\n{}", report::slowest(&runs), phases.line());
    let filtered = names.len() - runs.len();
    println!("{}\n", report::closing(runs.len() - lost, lost, filtered, began.0.elapsed()));
    if lost > 0 {
        failed.push("tests on the lab");
    }
    if failed.is_empty() { Ok(()) } else { Err(Error::Failed { what: failed, logs: layout.logs() }.into()) }
}

/// Returns the number of tests that run at once on the shared lab.
fn width() -> Result<NonZeroUsize, Error> {
    let Ok(value) = std::env::var(WIDTH) else { return Ok(SIDE_BY_SIDE) };
    value.parse().map_err(|_| Error::Width { value })
}

/// The tests on the lab, by isolation.
struct Suite<'a> {
    layout: &'a Layout,
    second: Layout,
    program: &'a Path,
    width: NonZeroUsize,
    isolations: BTreeMap<Isolation, Vec<String>>,
}

impl<'a> Suite<'a> {
    fn new(layout: &'a Layout, program: &'a Path, chosen: Vec<String>, width: NonZeroUsize) -> Self {
        let mut isolations: BTreeMap<Isolation, Vec<String>> = BTreeMap::new();
        for name in chosen {
            isolations.entry(Isolation::of(&name)).or_default().push(name);
        }
        Self { layout, second: layout.beside(), program, width, isolations }
    }

    /// Returns the lab for tests of an isolation: a second one is needed only if the first is in
    /// use.
    fn lab(&self, isolation: Isolation) -> &Layout {
        let used = self.isolations.contains_key(&Isolation::Shared);
        if isolation == Isolation::Exclusive && used { &self.second } else { self.layout }
    }

    /// Returns the labs that the tests need.
    fn labs(&self) -> Vec<Layout> {
        let mut labs = vec![self.layout.clone()];
        if self.isolations.keys().any(|isolation| self.lab(*isolation).name() != self.layout.name()) {
            labs.push(self.second.clone());
        }
        labs
    }

    /// Starts the labs, one after the other: the later ones use what the first one builds.
    fn up(&self) -> Result<(), Error> {
        for layout in self.labs() {
            lab(&layout, "up")?;
            tables::clear(&layout)?;
        }
        Ok(())
    }

    /// Runs all tests, each with its isolation.
    fn run(&mut self) -> Result<Vec<Run>, Error> {
        let file = self.layout.durations();
        let durations = history::read(&file);
        let mut runs = Vec::new();
        for isolations in [&[Isolation::Shared, Isolation::Exclusive][..], &[Isolation::Quiet]] {
            let lanes: Vec<Lane<'_>> =
                isolations.iter().filter_map(|isolation| self.lane(*isolation, &durations)).collect();
            let exclusive = isolations.contains(&Isolation::Exclusive) && self.labs().len() > 1;
            let done = lane::run_all(&lanes, self.program, |run| print!("{}", run.report()))?;
            // It is no longer needed, and would take processor time from the next tests.
            let sound = |run: &Run| {
                run.outcome == Outcome::Passed || Isolation::of(&run.name) != Isolation::Exclusive
            };
            if exclusive && done.iter().all(sound) {
                lab(&self.second, "down")?;
            }
            runs.extend(done);
        }
        let passed = runs.iter().filter(|run| run.outcome == Outcome::Passed);
        let new = passed.map(|run| (run.name.clone(), run.took));
        history::write(&file, new).map_err(|source| Error::File { path: file, source })?;
        Ok(runs)
    }

    /// Returns the lane of an isolation, if it has tests.
    fn lane(&self, isolation: Isolation, durations: &BTreeMap<String, Duration>) -> Option<Lane<'_>> {
        let names = self.isolations.get(&isolation)?.clone();
        let (layout, count) = (self.lab(isolation), names.len());
        let width = if isolation == Isolation::Shared { self.width } else { NonZeroUsize::MIN };
        let name = layout.name();
        match isolation {
            Isolation::Shared => say(format_args!("on lab {name}: {count} tests, {width} at once")),
            Isolation::Exclusive => {
                say(format_args!("on lab {name}: {count} tests that disturb it, one at a time"));
            }
            Isolation::Quiet => {
                say(format_args!(
                    "on lab {name}, with nothing else running: {count} tests that measure time"
                ));
            }
        }
        Some(Lane { layout, queue: Queue::new(names, durations), width })
    }

    /// Retries each failed test once, with nothing else running. Returns the number of tests that
    /// failed. A test that passes now still counts as failed, unless it is on the list of unsteady
    /// tests.
    fn retry(&self, runs: &[Run]) -> Result<usize, Error> {
        let failed: Vec<&Run> = runs.iter().filter(|run| run.outcome != Outcome::Passed).collect();
        if failed.len() > MAX_RETRIES {
            say(format_args!("{} tests failed; more than {MAX_RETRIES} are not retried", failed.len()));
            return Ok(failed.len());
        }
        let mut lost = 0;
        for run in failed {
            let name = &run.name;
            say(format_args!("failed, retrying with nothing else running: {name}"));
            let again = Run::of(name, Attempt::Second, self.program, self.lab(Isolation::of(name)))?;
            print!("{}", again.report());
            match (again.outcome, unsteady::lists(unsteady::LIST, name)) {
                (Outcome::Passed, true) => say(format_args!("UNSTEADY, as listed: {name}")),
                (Outcome::Passed, false) => {
                    say(format_args!(
                        "UNSTEADY, passed only at the second attempt, which fails the run: {name}"
                    ));
                    lost += 1;
                }
                (Outcome::Failed | Outcome::Late, _) => lost += 1,
            }
        }
        Ok(lost)
    }
}

/// Starts or stops a lab, in a separate process: a process that has entered a lab can't leave it.
fn lab(layout: &Layout, command: &'static str) -> Result<(), Error> {
    let program =
        std::env::current_exe().map_err(|source| Error::Run { program: "cargo lab".into(), source })?;
    let name = layout.name().to_string();
    let status = Command::new(&program).args(["--name", &name, command]).status();
    let status = status.map_err(|source| Error::Run { program, source })?;
    if status.success() { Ok(()) } else { Err(Error::Lab { name, command }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite<'a>(layout: &'a Layout, names: &[&str]) -> Suite<'a> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Suite::new(layout, Path::new("/bin/true"), names, SIDE_BY_SIDE)
    }

    #[test]
    fn a_second_lab_is_needed_only_for_tests_that_disturb_a_lab_in_use() {
        let layout = Layout::below("/tmp".into(), "ci".parse().expect("a name"));
        let both = suite(&layout, &["a::kept", "a::alone_stops"]);
        let labs: Vec<String> = both.labs().iter().map(|lab| lab.name().to_string()).collect();
        assert_eq!(labs, ["ci", "ci-2"]);
        assert_eq!(both.lab(Isolation::Exclusive).name().to_string(), "ci-2");
        assert_eq!(both.lab(Isolation::Quiet).name().to_string(), "ci");
        let one = suite(&layout, &["a::alone_stops", "a::soon_on_a_quiet_machine"]);
        assert_eq!(one.labs().len(), 1);
        assert_eq!(one.lab(Isolation::Exclusive).name().to_string(), "ci");
    }
}
