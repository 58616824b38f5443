//! `cargo lab bench reaction`: measures how soon a bad release loses its traffic and how long the
//! handover of a good one takes, next to the figures of two other tools for the same work.

mod controller;
mod figures;
mod peers;
mod release;

use super::{Error, inside};
use crate::errors::Error as LabError;
use crate::load::Plan;
use crate::paths::Layout;
use crate::support::{Demo, Failure, Policy, Space};

pub use figures::{Figure, Figures};

/// The namespace of the benchmark; recreated by each run.
const NAMESPACE: &str = "bench";
/// The name of the Deployment, its Service, `HTTPRoute`, policy and Rollout.
const NAME: &str = "web";
/// Requests per second through the Gateway.
const RATE: f64 = 100.0;
/// The canary's weight while it is measured, in percent, and the duration of that step, in seconds.
const STEP: (u8, u8) = (10, 5);

/// Starts the lab and runs the benchmark on it. Must be called before any thread is started.
pub fn run(layout: &Layout, releases: usize) -> Result<(), LabError> {
    inside(layout, &["reaction".to_owned(), "--releases".to_owned(), releases.to_string()])
}

/// Runs the benchmark and prints its table. Must be called inside the lab's namespace, with its
/// environment.
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

/// Makes the given number of bad releases and of good ones, alternately, in one namespace under
/// constant load. Calls `progress` with a line for each. Nothing else must be rolled back
/// meanwhile: the rollback latency is read from the controller's metrics.
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

/// Deploys the application, waits until it serves and is adopted, and returns the load plan.
async fn stage(space: &Space) -> Result<Plan, Failure> {
    let (plan, _) = space.serve(NAME, &Demo::new(NAME, "good0"), RATE).await?;
    space.apply(&Policy::new(NAME).step(STEP.0, STEP.1).measured().to_string()).await?;
    space.adopt(NAME, NAME).await?;
    Ok(plan)
}
