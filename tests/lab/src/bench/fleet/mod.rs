//! `cargo lab bench fleet`: what many Deployments cost, idle and when some change at once,
//! beside a native rolling update of as many.

mod audit;
mod meter;
mod process;
mod report;
mod stage;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Error, inside, released};
use crate::errors::Error as LabError;
use crate::paths::Layout;
use crate::support::{Failure, Space};
use crate::{in_runtime, say};
use meter::Meter;
use report::{Phase, Report};

/// The namespaces of the annotated Deployments.
const NAMESPACES: usize = 10;
/// How long an idle fleet is watched.
const IDLE: Duration = Duration::from_mins(1);

/// The size of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Fleet {
    /// Number of annotated Deployments
    #[arg(long, default_value_t = 1000)]
    pub deployments: usize,
    /// How many of them change at once
    #[arg(long, default_value_t = 100)]
    pub burst: usize,
    /// Write the figures to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The lab is running and this process is inside it, with its environment: only measure
    #[arg(long, hide = true)]
    pub inside: bool,
}

impl Fleet {
    fn args(&self) -> Vec<String> {
        let Self { deployments, burst, json, inside: _ } = self;
        let sizes = [("--deployments", deployments), ("--burst", burst)];
        let sizes = sizes.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value.to_string()]);
        let json = json.iter().flat_map(|file| ["--json".to_owned(), file.display().to_string()]);
        std::iter::once("fleet".to_owned()).chain(sizes).chain(json).collect()
    }
}

/// Starts the lab, with programs built for release, and runs the benchmark on it. Must be called
/// before any thread is started.
pub fn run(layout: &Layout, fleet: &Fleet) -> Result<(), LabError> {
    if fleet.inside {
        return in_runtime(async { Ok(show(layout, fleet).await?) });
    }
    if cfg!(debug_assertions) { released(layout, &fleet.args()) } else { inside(layout, &fleet.args()) }
}

async fn show(layout: &Layout, fleet: &Fleet) -> Result<(), Error> {
    let report = measure(&layout.run(), fleet).await?;
    println!("{report}");
    if let Some(path) = &fleet.json {
        let text = serde_json::to_string_pretty(&report).unwrap_or_default();
        std::fs::write(path, text + "\n").map_err(Error::file(path))?;
    }
    Ok(())
}

/// Runs all phases.
async fn measure(lab: &Path, fleet: &Fleet) -> Result<Report, Error> {
    let &Fleet { deployments, burst, .. } = fleet;
    say(format_args!("creating {deployments} Deployments in {NAMESPACES} namespaces"));
    let spaces = stage::namespaces(NAMESPACES).await?;
    let shares = stage::shares(deployments, NAMESPACES);
    let staged = |failure: Failure| Error::Stage(failure);
    stage::deployments(&spaces, &shares).await.map_err(staged)?;
    let first = &spaces[0];
    let mut report = Report::new(deployments, burst);
    let mut done = |phase: Phase, cost: meter::Cost| {
        say(format_args!("{}: {:.1} s, {} requests", phase.name(), cost.seconds, cost.requests.total()));
        report.add(phase, cost);
    };

    let meter = Meter::begin(first, lab).await?;
    stage::annotate(&spaces).await?;
    stage::adopted(&spaces, &shares).await?;
    done(Phase::Adopt, meter.end_when_quiet().await?);

    let meter = Meter::begin(first, lab).await?;
    tokio::time::sleep(IDLE).await;
    done(Phase::Idle, meter.end().await?);

    let meter = Meter::begin(first, lab).await?;
    stage::restart(first).await?;
    done(Phase::Restart, meter.end_when_quiet().await?);

    let changed = stage::shares(burst.min(deployments), NAMESPACES);
    let meter = Meter::begin(first, lab).await?;
    let began = Instant::now();
    stage::push(&spaces, &changed, "v2").await?;
    stage::complete(&spaces, &changed, "v2").await?;
    let complete = began.elapsed();
    done(Phase::Burst, meter.end_when_quiet().await?);

    let native = native(burst).await.map_err(staged)?;
    report.compare(complete, native);
    for space in &spaces {
        space.delete().await?;
    }
    Ok(report)
}

/// Returns how long a native rolling update of as many Deployments takes.
async fn native(burst: usize) -> Result<Duration, Failure> {
    let space = [Space::fresh("fleet-native").await?];
    stage::deployments(&space, &[burst]).await?;
    let began = Instant::now();
    stage::push(&space, &[burst], "v2").await?;
    stage::rolled_out(&space[0], burst, "v2").await?;
    let took = began.elapsed();
    space[0].delete().await?;
    Ok(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_for_release_gets_the_same_arguments() {
        let fleet = Fleet { deployments: 20, burst: 2, json: Some("out.json".into()), inside: false };
        let args = fleet.args();
        assert_eq!(args, ["fleet", "--deployments", "20", "--burst", "2", "--json", "out.json"]);
    }
}
