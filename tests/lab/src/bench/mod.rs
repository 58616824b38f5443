//! `cargo lab bench reaction`: how soon a bad release loses its traffic and how long a good one's handover takes, in
//! figures, beside those of two other tools on the same work.

mod controller;
mod figures;
mod peers;
mod release;

use std::io;
use std::process::Command;

use crate::errors::Error as LabError;
use crate::load::Plan;
use crate::paths::Layout;
use crate::shell;
use crate::support::{Demo, Failure, Policy, Space, SupportError};
use crate::up::{self, Without};

pub use figures::{Figure, Figures};

/// Where the benchmark runs; made anew by each run.
const NAMESPACE: &str = "bench";
/// The Deployment, its Service, its `HTTPRoute`, its policy and its Rollout.
const NAME: &str = "web";
/// Requests per second through the Gateway.
const RATE: f64 = 100.0;
/// The canary's weight while it is measured, in percent, and how many seconds it lasts at least.
const STEP: (u8, u8) = (10, 5);

/// Why there are no figures, or why they are not what was promised.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program could not be run.
    #[error("cannot run the benchmark inside the lab")]
    Run(#[source] io::Error),
    /// The benchmark inside the lab said why.
    #[error("the benchmark failed")]
    Failed,
    /// Setting the stage failed.
    #[error("cannot set the stage: {0}")]
    Stage(Failure),
    /// A step of it failed.
    #[error(transparent)]
    Step(#[from] SupportError),
    /// The controller's own figures can't be read.
    #[error("cannot read Steelyard's own metrics: {0}")]
    Metrics(String),
    /// A release showed less than what is measured.
    #[error("{version} showed no {what}")]
    Missing {
        /// The release's version.
        version: String,
        /// What it lacked.
        what: &'static str,
    },
    /// Medians beyond their goals.
    #[error("not within its goal: {}", .0.join(", "))]
    Goals(Vec<String>),
}

/// Brings the lab up and runs the benchmark on it. No thread may run yet.
pub fn run(layout: &Layout, releases: usize) -> Result<(), LabError> {
    up::up(layout, &Without::default())?;
    // As the demo's, its clients find the lab by the environment, which this process can't change for itself.
    let program = std::env::current_exe().map_err(Error::Run)?;
    let mut command = Command::new(program);
    command.args(["bench", "reaction", "--inside", "--releases", &releases.to_string()]);
    shell::environment(layout, &mut command);
    let status = command.status().map_err(Error::Run)?;
    if status.success() { Ok(()) } else { Err(Error::Failed.into()) }
}

/// Runs the benchmark and prints its table. To be called inside the lab's namespace, with its environment.
pub async fn show(releases: usize) -> Result<(), LabError> {
    Ok(table(releases).await?)
}

async fn table(releases: usize) -> Result<(), Error> {
    let space = Space::fresh(NAMESPACE).await?;
    let figures = measure(&space, releases, |line| crate::say(line)).await?;
    println!("{figures}");
    let missed = figures.missed(1.0);
    if missed.is_empty() { Ok(()) } else { Err(Error::Goals(missed)) }
}

/// Makes so many bad releases and as many good ones, in turns, in one namespace under constant load; `progress` is told
/// a line for each. Nothing else may be rolled back meanwhile: the controller's own clock is read from its metrics.
pub async fn measure(space: &Space, releases: usize, progress: impl Fn(&str)) -> Result<Figures, Error> {
    let plan = stage(space).await.map_err(Error::Stage)?;
    let mut figures = Figures::default();
    for n in 1..=releases {
        let line = release::bad(space, &plan, &format!("bad{n}"), &mut figures).await?;
        progress(&format!("{n} of {releases}: {line}"));
        let line = release::good(space, &plan, &format!("good{n}"), &mut figures).await?;
        progress(&format!("{n} of {releases}: {line}"));
    }
    Ok(figures)
}

/// The application, serving and adopted; gives the load it gets.
async fn stage(space: &Space) -> Result<Plan, Failure> {
    let (plan, _) = space.serve(NAME, &Demo::new(NAME, "good0"), RATE).await?;
    space.apply(&Policy::new(NAME).step(STEP.0, STEP.1).measured().to_string()).await?;
    space.adopt(NAME, NAME).await?;
    Ok(plan)
}
