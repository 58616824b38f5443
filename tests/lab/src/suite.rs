//! `cargo lab test`: first everything that needs no lab, then the tests that run on one.

use std::{
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    errors::Error as LabError,
    machine, own,
    paths::{Layout, repository},
    say, shell,
    support::turn::{Kept, Row, Switched, folder, rows, table},
    up::{self, Without},
};

/// How many tests run on the lab at once. Each has a Kubernetes namespace of its own.
const SIDE_BY_SIDE: usize = 4;
/// Tests whose name contains this disturb the whole lab (they stop parts of it), and run after all others.
const ALONE: &str = "alone";
/// Tests whose name contains this try further moments of something that another test tries: they run only when a filter
/// asks for them.
const FURTHER: &str = "::also_";

/// Set to anything, it keeps the tables of the run in [`TURNS`] and [`SWITCHES`]; else they are only printed.
const WRITE: &str = "WRITE_DOCS";
/// Where the table of the turns of events is kept, in this repository.
const TURNS: &str = "docs/turns.md";
/// Where the table of switches is kept, in this repository.
const SWITCHES: &str = "docs/blue-green.md";
/// What begins the line above which a table's file is written by hand.
const FROM_HERE: &str = "<!-- measured: ";

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
    /// Nothing to run.
    #[error("no test on the lab has a name that contains {filter:?}")]
    NoMatch {
        /// What was asked for.
        filter: String,
    },
    /// The table of turns, or of switches, could not be read or written.
    #[error("cannot read or write {}", dir.display())]
    Rows {
        /// Where.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
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

/// Runs the tests; with a filter only those on the lab whose name contains it. No thread may run yet.
pub fn test(layout: &Layout, filter: Option<&str>) -> Result<(), LabError> {
    // Rather now than after the first ten minutes.
    machine::ensure(layout)?;
    let mut failed = Vec::new();
    if filter.is_none() {
        say("tests that need no lab: cargo test --workspace");
        if !passes(&mut own::cargo("test", &["--workspace"]))? {
            failed.push("cargo test --workspace");
        }
    }
    let args = ["-p", "lab", "--features", "on-lab", "--test", "on_lab", "--no-run"];
    let built = own::executables("test", &args)?;
    let absent =
        || own::Error::Absent { args: format!("test {}", args.join(" ")), name: "on_lab".to_owned() };
    let (_, program) = built.into_iter().find(|(target, _)| target == "on_lab").ok_or_else(absent)?;
    up::up(layout, &Without::default())?;

    forget(layout)?;
    let (together, alone) = split(&names(&program)?, filter);
    if let (Some(filter), true, true) = (filter, together.is_empty(), alone.is_empty()) {
        return Err(Error::NoMatch { filter: filter.to_owned() }.into());
    }
    let mut again = Vec::new();
    for (label, tests, threads) in
        [("tests on the lab", together, SIDE_BY_SIDE), ("tests alone on the lab", alone, 1)]
    {
        if !tests.is_empty() {
            say(format_args!("{label}: {}, {threads} at once", tests.len()));
            again.extend(on_lab(layout, &program, &tests, threads)?);
        }
    }
    if !again.is_empty() {
        // What fails on a machine that can't keep up passes alone; what is wrong fails again.
        say(format_args!("failed, and tried once more alone: {}", again.join(", ")));
        let still = on_lab(layout, &program, &again, 1)?;
        if still.is_empty() {
            say(format_args!("UNSTEADY, passed only alone, look for the cause: {}", again.join(", ")));
        } else {
            failed.push("tests on the lab");
        }
    }
    print::<Row>(layout, TURNS)?;
    print::<Switched>(layout, SWITCHES)?;
    if failed.is_empty() { Ok(()) } else { Err(Error::Failed { what: failed, logs: layout.logs() }.into()) }
}

/// Forgets the rows of an earlier run.
fn forget(layout: &Layout) -> Result<(), Error> {
    for dir in [folder::<Row>(&layout.run()), folder::<Switched>(&layout.run())] {
        match std::fs::remove_dir_all(&dir) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(Error::Rows { dir, source });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Prints the table of what was tried, and keeps it in `file` if [`WRITE`] says so.
fn print<R: Kept>(layout: &Layout, file: &str) -> Result<(), Error> {
    let rows =
        rows::<R>(&layout.run()).map_err(|source| Error::Rows { dir: folder::<R>(&layout.run()), source })?;
    if rows.is_empty() {
        return Ok(());
    }
    let table = table(&rows);
    println!("\n{table}");
    if std::env::var_os(WRITE).is_none() {
        return Ok(());
    }
    let file = repository().join(file);
    let written = || -> io::Result<()> {
        let text = std::fs::read_to_string(&file)?;
        std::fs::write(&file, kept(&text, &table).ok_or(io::ErrorKind::InvalidData)?)
    };
    written().map_err(|source| Error::Rows { dir: file.clone(), source })
}

/// A page with another table below what is written by hand; none if the line that begins with [`FROM_HERE`] is missing.
fn kept(page: &str, table: &str) -> Option<String> {
    let (by_hand, rest) = page.split_once(FROM_HERE)?;
    let mark = rest.lines().next()?;
    Some(format!("{by_hand}{FROM_HERE}{mark}\n\n{table}"))
}

/// Runs these tests of the program; gives the names of those that failed.
fn on_lab(layout: &Layout, program: &Path, tests: &[String], threads: usize) -> Result<Vec<String>, Error> {
    let told = |source| Error::Run { program: program.to_owned(), source };
    let mut command = Command::new(program);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(tests).arg("--exact");
    command.arg(format!("--test-threads={threads}")).stdout(Stdio::piped());
    shell::environment(layout, &mut command);
    let mut child = command.spawn().map_err(told)?;
    let mut lines = Vec::new();
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
        let line = line.map_err(told)?;
        println!("{line}");
        lines.push(line);
    }
    let status = child.wait().map_err(told)?;
    let failed = failed(&lines);
    // One that died without a word may have been in the middle of any of them.
    Ok(if status.success() || !failed.is_empty() { failed } else { tests.to_vec() })
}

/// The names that a test program lists under its last `failures:`.
fn failed(lines: &[String]) -> Vec<String> {
    let Some(from) = lines.iter().rposition(|line| line == "failures:") else { return Vec::new() };
    let names = lines[from + 1..].iter().map_while(|line| line.strip_prefix("    "));
    names.map(str::to_owned).collect()
}

fn passes(command: &mut Command) -> Result<bool, Error> {
    let status =
        command.status().map_err(|source| Error::Run { program: command.get_program().into(), source })?;
    Ok(status.success())
}

/// The names of all tests in a test program.
fn names(program: &Path) -> Result<Vec<String>, Error> {
    let out = Command::new(program).args(["--list", "--format=terse"]).output();
    let out = out.map_err(|source| Error::Run { program: program.to_owned(), source })?;
    let text = String::from_utf8_lossy(&out.stdout);
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// Tests that run side by side, and those that run alone.
fn split(names: &[String], filter: Option<&str>) -> (Vec<String>, Vec<String>) {
    // As people write it: `blue-green` for `blue_green`.
    let part = filter.map(|part| part.replace('-', "_"));
    let chosen = names
        .iter()
        .filter(|name| part.as_ref().map_or(!name.contains(FURTHER), |part| name.contains(part.as_str())));
    let (alone, together) = chosen.cloned().partition(|name| name.contains(ALONE));
    (together, alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_disturbs_the_lab_is_never_beside_another() {
        let names = ["canary::kept", "faults::alone_prometheus_stops", "canary::alone_b"].map(String::from);
        let (together, alone) = split(&names, None);
        assert_eq!(together, ["canary::kept"]);
        assert_eq!(alone, ["faults::alone_prometheus_stops", "canary::alone_b"]);
        let (together, alone) = split(&names, Some("canary"));
        assert_eq!((together.len(), alone), (1, vec!["canary::alone_b".to_owned()]));
        assert_eq!(split(&names, Some("prometheus-stops")).1, ["faults::alone_prometheus_stops"]);
    }

    #[test]
    fn further_moments_are_tried_only_when_they_are_asked_for() {
        let names = ["turns::at_rest", "turns::also_in_flight"].map(String::from);
        assert_eq!(split(&names, None).0, ["turns::at_rest"]);
        assert_eq!(split(&names, Some("turns")).0.len(), 2);
    }

    #[test]
    fn a_table_replaces_the_one_before_it_and_nothing_above_it() {
        let page = "# Page\n\n<!-- measured: by a command -->\n\nold\n";
        assert_eq!(kept(page, "new\n").expect("marked"), page.replace("old", "new"));
        assert_eq!(kept("# Page", "new"), None);
    }

    #[test]
    fn the_tests_that_failed_are_those_of_the_last_list() {
        let out = "running 2 tests\ntest a::b ... FAILED\n\nfailures:\n\n---- a::b stdout ----\nfailures:\n    no\n\nfailures:\n    a::b\n    c\n\ntest result: FAILED.";
        let lines: Vec<String> = out.lines().map(str::to_owned).collect();
        assert_eq!(failed(&lines), ["a::b", "c"]);
        assert!(failed(&lines[..2]).is_empty());
    }

    #[test]
    fn the_names_in_a_test_program_are_found() {
        let here = std::env::current_exe().expect("this program");
        let own = "suite::tests::the_names_in_a_test_program_are_found".to_owned();
        assert!(names(&here).expect("listed").contains(&own));
    }
}
