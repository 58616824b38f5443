//! `cargo lab test`: first what needs no lab, then the tests that run on one.
//!
//! Each test on the lab is a process of its own. Most run side by side on one lab, each in a Kubernetes
//! namespace of its own. Those that disturb the whole lab run meanwhile on a second one, one at a time;
//! those that measure time run at the end, with nothing beside them.

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
use case::Place;
use lane::Lane;
use plain::Programs;
use queue::Queue;
use report::Phases;
use run::{Outcome, Run};

use crate::{errors::Error as LabError, machine, paths::Layout, say};

/// How many tests run at once on the lab that they share, unless [`WIDTH`] says otherwise. With six, and
/// one on the second lab, two processors are 95 % busy: more would only make verdicts late.
const SIDE_BY_SIDE: NonZeroUsize = NonZeroUsize::new(5).unwrap();
/// Says how many tests run at once.
const WIDTH: &str = "LAB_TESTS_AT_ONCE";
/// The test program of the tests on the lab.
const ON_LAB: &str = "on_lab";
/// More failures than this are not tried again: then something is wrong that a second try would only
/// take long to show.
const TRIED_AGAIN: usize = 10;

/// Why the tests could not be run, or didn't pass.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program could not be run.
    #[error("cannot run {}", program.display())]
    Run {
        /// Which.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or folder could not be read or written.
    #[error("cannot read or write {}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing to run.
    #[error("no test on the lab has a name that contains {filter:?}")]
    NoMatch {
        /// What was asked for.
        filter: String,
    },
    /// The variable that says how many tests run at once holds no number.
    #[error("{WIDTH} is no number from 1: {value:?}")]
    Width {
        /// What it holds.
        value: String,
    },
    /// A lab for the tests did not come up, or did not end.
    #[error("`cargo lab --name {name} {command}` failed")]
    Lab {
        /// Its name.
        name: String,
        /// What it should do.
        command: &'static str,
    },
    /// The list of unsteady tests breaks its rules.
    #[error("the list of unsteady tests (tests/lab/src/suite/unsteady.rs): {}", faults.join("; "))]
    Unsteady {
        /// In which ways.
        faults: Vec<String>,
    },
    /// At least one test failed.
    #[error("failed: {}; the lab is still up (cargo lab shell), its logs are in {}", what.join(", "), logs.display())]
    Failed {
        /// Which of the runs.
        what: Vec<&'static str>,
        /// Where to look.
        logs: PathBuf,
    },
}

/// Runs the tests; with a filter only those on the lab whose name contains it.
pub fn test(layout: &Layout, filter: Option<&str>) -> Result<(), LabError> {
    let mut phases = Phases::new();
    let width = width()?;
    // Rather now than after the first ten minutes.
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
    let lost = suite.judge(&runs)?;
    phases.end("second tries");
    tables::show(&suite.labs())?;
    println!("\n{}\n{totals}\n{}", report::slowest(&runs), phases.line());
    let filtered = names.len() - runs.len();
    println!("{}\n", report::closing(runs.len() - lost, lost, filtered, began.0.elapsed()));
    if lost > 0 {
        failed.push("tests on the lab");
    }
    if failed.is_empty() { Ok(()) } else { Err(Error::Failed { what: failed, logs: layout.logs() }.into()) }
}

/// How many tests run at once on the lab that they share.
fn width() -> Result<NonZeroUsize, Error> {
    let Ok(value) = std::env::var(WIDTH) else { return Ok(SIDE_BY_SIDE) };
    value.parse().map_err(|_| Error::Width { value })
}

/// The tests on the lab, by the place where each runs.
struct Suite<'a> {
    layout: &'a Layout,
    second: Layout,
    program: &'a Path,
    width: NonZeroUsize,
    places: BTreeMap<Place, Vec<String>>,
}

impl<'a> Suite<'a> {
    fn new(layout: &'a Layout, program: &'a Path, chosen: Vec<String>, width: NonZeroUsize) -> Self {
        let mut places: BTreeMap<Place, Vec<String>> = BTreeMap::new();
        for name in chosen {
            places.entry(Place::of(&name)).or_default().push(name);
        }
        Self { layout, second: layout.beside(), program, width, places }
    }

    /// The lab on which tests of a place run: a second one is needed only where the first is in use.
    fn lab(&self, place: Place) -> &Layout {
        let used = self.places.contains_key(&Place::Beside);
        if place == Place::Alone && used { &self.second } else { self.layout }
    }

    /// The labs that the tests need.
    fn labs(&self) -> Vec<Layout> {
        let mut labs = vec![self.layout.clone()];
        if self.places.keys().any(|place| self.lab(*place).name() != self.layout.name()) {
            labs.push(self.second.clone());
        }
        labs
    }

    /// Brings the labs up, one after the other: what the first one builds the others find.
    fn up(&self) -> Result<(), Error> {
        for layout in self.labs() {
            lab(&layout, "up")?;
            tables::forget(&layout)?;
        }
        Ok(())
    }

    /// Runs all tests, each in its place.
    fn run(&mut self) -> Result<Vec<Run>, Error> {
        let file = self.layout.durations();
        let durations = history::read(&file);
        let mut runs = Vec::new();
        for places in [&[Place::Beside, Place::Alone][..], &[Place::Quiet]] {
            let lanes: Vec<Lane<'_>> =
                places.iter().filter_map(|place| self.lane(*place, &durations)).collect();
            let alone = places.contains(&Place::Alone) && self.labs().len() > 1;
            let done = lane::run_all(&lanes, self.program, |run| print!("{}", run.report()))?;
            // Of no more use, it would take processor time from what comes next.
            let sound = |run: &Run| run.outcome == Outcome::Passed || Place::of(&run.name) != Place::Alone;
            if alone && done.iter().all(sound) {
                lab(&self.second, "down")?;
            }
            runs.extend(done);
        }
        let passed = runs.iter().filter(|run| run.outcome == Outcome::Passed);
        let new = passed.map(|run| (run.name.clone(), run.took));
        history::write(&file, new).map_err(|source| Error::File { path: file, source })?;
        Ok(runs)
    }

    /// The lane of a place, if it has tests.
    fn lane(&self, place: Place, durations: &BTreeMap<String, Duration>) -> Option<Lane<'_>> {
        let names = self.places.get(&place)?.clone();
        let (layout, count) = (self.lab(place), names.len());
        let width = if place == Place::Beside { self.width } else { NonZeroUsize::MIN };
        let name = layout.name();
        match place {
            Place::Beside => say(format_args!("on lab {name}: {count} tests, {width} at once")),
            Place::Alone => say(format_args!("on lab {name}: {count} tests that disturb it, one at a time")),
            Place::Quiet => say(format_args!("on lab {name}, by itself: {count} tests that measure time")),
        }
        Some(Lane { layout, queue: Queue::new(names, durations), width })
    }

    /// Tries what failed once more, with nothing beside it; gives how many have failed for good. One that
    /// passes now has failed all the same, unless it is on the list of unsteady tests.
    fn judge(&self, runs: &[Run]) -> Result<usize, Error> {
        let failed: Vec<&Run> = runs.iter().filter(|run| run.outcome != Outcome::Passed).collect();
        if failed.len() > TRIED_AGAIN {
            say(format_args!("{} tests failed; that many are not tried again", failed.len()));
            return Ok(failed.len());
        }
        let mut lost = 0;
        for run in failed {
            let name = &run.name;
            say(format_args!("failed, and tried once more by itself: {name}"));
            let again = Run::of(name, self.program, self.lab(Place::of(name)))?;
            print!("{}", again.report());
            match (again.outcome, unsteady::lists(unsteady::LIST, name)) {
                (Outcome::Passed, true) => say(format_args!("UNSTEADY, as the list says: {name}")),
                (Outcome::Passed, false) => {
                    say(format_args!("UNSTEADY, passed at its second try only, which fails the run: {name}"));
                    lost += 1;
                }
                (Outcome::Failed | Outcome::Late, _) => lost += 1,
            }
        }
        Ok(lost)
    }
}

/// Brings a lab up or ends it, in a process of its own: one that has entered a lab can't leave it.
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
    fn a_second_lab_is_needed_only_for_what_disturbs_a_lab_in_use() {
        let layout = Layout::below("/tmp".into(), "ci".parse().expect("a name"));
        let both = suite(&layout, &["a::kept", "a::alone_stops"]);
        let labs: Vec<String> = both.labs().iter().map(|lab| lab.name().to_string()).collect();
        assert_eq!(labs, ["ci", "ci-2"]);
        assert_eq!(both.lab(Place::Alone).name().to_string(), "ci-2");
        assert_eq!(both.lab(Place::Quiet).name().to_string(), "ci");
        let one = suite(&layout, &["a::alone_stops", "a::soon_on_a_quiet_machine"]);
        assert_eq!(one.labs().len(), 1);
        assert_eq!(one.lab(Place::Alone).name().to_string(), "ci");
    }
}
