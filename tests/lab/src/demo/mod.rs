//! `cargo lab demo`: shows releases of a small application under load on the lab, and the result of
//! each request.

mod act;
mod report;
mod screen;

use std::io;
use std::process::Command;
use std::time::Duration;

use crate::errors::Error as LabError;
use crate::load::Plan;
use crate::paths::{Layout, repository};
use crate::shell;
use crate::support::{Demo, Failure, Space, SupportError};
use crate::up::{self, Without};

use act::{Ending, Way, release};
use screen::Screen;

/// The demo's namespace; it remains for inspection, and the next demo recreates it.
const NAMESPACE: &str = "demo";
/// The name of the Deployment, its Service, its `HTTPRoute` and, as always, its Rollout.
const NAME: &str = "web";
/// Requests per second through the Gateway.
const RATE: f64 = 100.0;
/// Number of pods of the application.
const REPLICAS: usize = 4;
/// The steps of policies/quick-canary.yaml, in percent.
const STEPS: [u64; 3] = [10, 25, 50];
/// Requests per second from testers to a preview: too few to make [`FAULTY_ABOVE`] fail.
const TESTERS: f64 = 12.0;
/// Load on one pod, in requests per second, above which the bad release fails: more than it gets at
/// 10 % of [`RATE`], less than at 25 %.
const FAULTY_ABOVE: &str = "17";
/// The maximum time from the first bad answer of a failing version to weight 0.
const BACK_WITHIN: Duration = Duration::from_secs(6);

/// The acts to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acts {
    /// Canaries in steps: a good one, a bad one, its fix.
    Three,
    /// Blue-green too: a bad one, its fix.
    Four,
}

/// The reason why the demo could not run, or what differed from the expected result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program could not be run.
    #[error("cannot run the demo inside the lab")]
    Run(#[source] io::Error),
    /// The demo inside the lab failed and has printed the reason.
    #[error(
        "the demo did not show the expected result; inspect it with `cargo lab shell -- kubectl -n {NAMESPACE} describe rollouts`"
    )]
    Failed,
    /// The policy can't be read.
    #[error("cannot read {file}")]
    Policy {
        /// Its path.
        file: String,
        /// The cause.
        source: io::Error,
    },
    /// The setup failed.
    #[error("cannot set up the demo: {0}")]
    Stage(Failure),
    /// A step of the demo failed.
    #[error(transparent)]
    Step(#[from] SupportError),
    /// The result differs from the expected one.
    #[error("unexpected result: {0}")]
    Unexpected(String),
}

/// Starts the lab and runs the demo on it. Must be called before any thread is started.
pub fn run(layout: &Layout, acts: Acts) -> Result<(), LabError> {
    up::up(layout, &Without::default())?;
    // As in tests, the clients of the demo find the lab through environment variables, which this
    // process can't change for itself.
    let program = std::env::current_exe().map_err(Error::Run)?;
    let mut command = Command::new(program);
    command.args(["demo", "--inside"]);
    command.args((acts == Acts::Four).then_some("--blue-green"));
    shell::environment(layout, &mut command);
    let status = command.status().map_err(Error::Run)?;
    if status.success() { Ok(()) } else { Err(Error::Failed.into()) }
}

/// Runs the demo. Must be called inside the lab's namespace, with its environment.
pub async fn show(acts: Acts) -> Result<(), LabError> {
    Ok(play(acts).await?)
}

async fn play(acts: Acts) -> Result<(), Error> {
    let mut screen = Screen::new();
    screen.say(&format!(
        "\nNamespace {NAMESPACE}: Deployment {NAME}, {REPLICAS} pods of demo:v1, its Service and HTTPRoute."
    ));
    let (space, plan) = stage().await?;
    screen.say(&format!(
        "It answers {RATE} requests per second through the Gateway. Its policy is policies/quick-canary.yaml:\n\
         10, 25 and 50 % of the traffic for ten seconds each, measured every second in Prometheus.\n\
         One annotation, and Steelyard takes it on; no pod was restarted."
    ));

    screen.title("Act 1: a good release", "demo:v2 replaces demo:v1 with an ordinary apply");
    let good = Demo::new(NAME, "v2");
    let shown = release(&space, &plan, &mut screen, &good, Way::InSteps, Ending::HandedOver).await?;
    report::good(&mut screen, &shown, &STEPS)?;

    screen.title(
        "Act 2: a release that fails under more load",
        "demo:v3 succeeds at 10 %, and fails every request from 25 % on",
    );
    let bad = Demo::new(NAME, "v3").env("ERRORS_ABOVE_RPS", FAULTY_ABOVE);
    let shown = release(&space, &plan, &mut screen, &bad, Way::InSteps, Ending::RolledBack).await?;
    report::bad(&mut screen, &shown)?;

    screen.title("Act 3: the fix", "demo:v4 is pushed over the rejected template");
    let fix = Demo::new(NAME, "v4");
    let shown = release(&space, &plan, &mut screen, &fix, Way::InSteps, Ending::HandedOver).await?;
    report::good(&mut screen, &shown, &STEPS)?;

    let next = if acts == Acts::Four {
        all_at_once(&space, &plan, &mut screen).await?;
        "v7"
    } else {
        "v5"
    };
    screen.say(&format!(
        "\nAll results are as expected. The namespace remains for inspection:\n\
         \n  cargo lab shell -- kubectl -n demo get rollouts,deployments,replicasets,pods\
         \n  cargo lab shell -- kubectl -n demo describe rollout web\
         \n  cargo lab shell -- kubectl -n demo get events --sort-by=.lastTimestamp\
         \n  cargo lab shell -- kubectl -n demo set image deployment/web app=demo:{next}\
         \n  cargo lab down"
    ));
    Ok(())
}

/// Act 4: a preview, the switch, and the rollback; then the same with a good version.
async fn all_at_once(space: &Space, plan: &Plan, screen: &mut Screen) -> Result<(), Error> {
    screen.title(
        "Act 4: blue-green, with a release that fails once it has all traffic",
        "policies/quick-blue-green.yaml: all pods of demo:v5 run as a preview that only testers reach, then the switch",
    );
    adopt(space, "quick-blue-green").await?;
    let bad = Demo::new(NAME, "v5").env("ERRORS_ABOVE_RPS", FAULTY_ABOVE);
    let shown = release(space, plan, screen, &bad, Way::AtOnce, Ending::RolledBack).await?;
    report::preview(screen, &shown)?;
    report::bad(screen, &shown)?;

    screen.title("The fix, also blue-green", "demo:v6 is pushed over the rejected template");
    let fix = Demo::new(NAME, "v6");
    let shown = release(space, plan, screen, &fix, Way::AtOnce, Ending::HandedOver).await?;
    report::preview(screen, &shown)?;
    report::good(screen, &shown, &[])
}

/// Deploys the application in a new namespace, waits until it serves and Steelyard has adopted it,
/// and returns the load plan.
async fn stage() -> Result<(Space, Plan), Error> {
    let space = Space::fresh(NAMESPACE).await?;
    let (plan, _) = space.serve(NAME, &Demo::new(NAME, "v1"), RATE).await.map_err(Error::Stage)?;
    adopt(&space, "quick-canary").await?;
    Ok((space, plan))
}

/// Applies one of this repository's policies and annotates the Deployment with it.
async fn adopt(space: &Space, policy: &str) -> Result<(), Error> {
    let file = repository().join(format!("policies/{policy}.yaml"));
    let text = std::fs::read_to_string(&file)
        .map_err(|source| Error::Policy { file: file.display().to_string(), source })?;
    space.apply(&text).await?;
    space.adopt(NAME, policy).await?;
    Ok(())
}
