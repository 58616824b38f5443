//! `cargo lab demo`: three releases of a small application under load, on the lab, with what became of each request.

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

use act::{Ending, release};
use screen::Screen;

/// Where the demo plays; it is left for looking, and made anew by the next demo.
const NAMESPACE: &str = "demo";
/// The Deployment, its Service, its `HTTPRoute` and, by Steelyard's rule, its Rollout.
const NAME: &str = "web";
/// Requests per second through the Gateway.
const RATE: f64 = 100.0;
/// Pods of the application.
const REPLICAS: usize = 4;
/// Load on one pod, in requests per second, from which the bad release fails: more than it gets at 10 % of
/// [`RATE`], less than at 25 %.
const FAULTY_ABOVE: &str = "17";
/// The longest that a failing version may keep its traffic, from its first bad answer to weight 0.
const BACK_WITHIN: Duration = Duration::from_secs(6);

/// Why the demo could not be shown, or showed something else than what was promised.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program could not be run.
    #[error("cannot run the demo inside the lab")]
    Run(#[source] io::Error),
    /// The demo inside the lab said why.
    #[error(
        "the demo did not show what it promised; look into it with `cargo lab shell -- kubectl -n {NAMESPACE} describe rollouts`"
    )]
    Failed,
    /// The policy can't be read.
    #[error("cannot read {file}")]
    Policy {
        /// Where it lies.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// Setting the stage failed.
    #[error("cannot set the stage: {0}")]
    Stage(Failure),
    /// A step of it failed.
    #[error(transparent)]
    Step(#[from] SupportError),
    /// What was shown is not what was promised.
    #[error("not as promised: {0}")]
    Promise(String),
}

/// Brings the lab up and shows the demo on it. No thread may run yet.
pub fn run(layout: &Layout) -> Result<(), LabError> {
    up::up(layout, &Without::default())?;
    // The clients of the demo find the lab by its environment, as tests do; this process can't change its own.
    let program = std::env::current_exe().map_err(Error::Run)?;
    let mut command = Command::new(program);
    command.args(["demo", "--inside"]);
    shell::environment(layout, &mut command);
    let status = command.status().map_err(Error::Run)?;
    if status.success() { Ok(()) } else { Err(Error::Failed.into()) }
}

/// Shows the demo. To be called inside the lab's namespace, with its environment.
pub async fn show() -> Result<(), LabError> {
    Ok(acts().await?)
}

async fn acts() -> Result<(), Error> {
    let mut screen = Screen::new();
    screen.say(&format!(
        "\nNamespace {NAMESPACE}: Deployment {NAME}, {REPLICAS} pods of demo:v1, its Service and HTTPRoute."
    ));
    let (space, plan) = stage().await?;
    screen.say(&format!(
        "It answers {RATE} requests per second through the Gateway. policies/quick-canary.yaml says how it is released:\n\
         10, 25 and 50 % of the traffic for ten seconds each, measured every second in Prometheus.\n\
         One annotation, and Steelyard takes it on; no pod was restarted."
    ));

    screen.title("Act 1: a good release", "demo:v2 is applied over demo:v1, as ever");
    let shown =
        release(&space, &plan, &mut screen, &Demo::new(NAME, "v1").tag("v2"), Ending::HandedOver).await?;
    report::good(&mut screen, &shown)?;

    screen.title(
        "Act 2: a release that fails once it gets more load",
        "demo:v3 answers well at 10 %, and every request with an error from 25 % on",
    );
    let bad = Demo::new(NAME, "v3").env("ERRORS_ABOVE_RPS", FAULTY_ABOVE);
    let shown = release(&space, &plan, &mut screen, &bad, Ending::TakenBack).await?;
    report::bad(&mut screen, &shown)?;

    screen.title("Act 3: the fix", "demo:v4 is pushed over the rejected template");
    let shown = release(&space, &plan, &mut screen, &Demo::new(NAME, "v4"), Ending::HandedOver).await?;
    report::good(&mut screen, &shown)?;

    screen.say(
        "\nAll as promised. It is left for looking:\n\
         \n  cargo lab shell -- kubectl -n demo get rollouts,deployments,replicasets,pods\
         \n  cargo lab shell -- kubectl -n demo describe rollout web\
         \n  cargo lab shell -- kubectl -n demo get events --sort-by=.lastTimestamp\
         \n  cargo lab shell -- kubectl -n demo set image deployment/web app=demo:v5\
         \n  cargo lab down",
    );
    Ok(())
}

/// The application in a namespace of its own, serving, and adopted by Steelyard; and the load it gets.
async fn stage() -> Result<(Space, Plan), Error> {
    let file = repository().join("policies/quick-canary.yaml");
    let policy = std::fs::read_to_string(&file)
        .map_err(|source| Error::Policy { file: file.display().to_string(), source })?;
    let space = Space::fresh(NAMESPACE).await?;
    let (plan, _) = space.serve(NAME, &Demo::new(NAME, "v1"), RATE).await.map_err(Error::Stage)?;
    space.apply(&policy).await?;
    space.adopt(NAME, "quick-canary").await?;
    Ok((space, plan))
}
