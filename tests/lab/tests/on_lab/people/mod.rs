//! What users see and do with `kubectl steelyard` and plain kubectl, and who is recorded for it.

mod by;
mod plain;
mod see;
mod steer;
mod wait;

pub(crate) use steer::event_notes;

use std::process::Stdio;
use std::time::Duration;

use lab::support::{Demo, Failure, Policy, Rollout, Space, SupportError};
use tokio::process::Command;

/// The longest time of a step of a test, on a busy machine.
const LIMIT: Duration = Duration::from_mins(2);
/// A step duration, in seconds, that outlasts every test.
const LONG: u8 = 200;

/// The output and the exit code of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// Returns the output if the exit code is 0.
    pub(crate) fn good(self) -> Result<String, Failure> {
        if self.code == Some(0) { Ok(self.out) } else { Err(format!("{self:?}").into()) }
    }

    /// Checks the exit code and that the error output contains `word`.
    #[track_caller]
    fn refused(&self, code: i32, word: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.contains(word), "{word:?} in {self:?}");
    }
}

/// `kubectl steelyard` with these arguments, run through kubectl in the namespace.
fn command(space: &Space, args: &[&str]) -> Command {
    let mut command = Command::new("kubectl");
    command.arg("steelyard").args(args).args(["-n", space.name()]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs `kubectl steelyard` and waits for its exit.
pub(crate) async fn plugin(space: &Space, args: &[&str]) -> Result<Ran, Failure> {
    let output = tokio::time::timeout(LIMIT, command(space, args).output()).await??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
}

/// Deployment `web`, two pods of v1, adopted with this policy; and user Alice, who may edit in the
/// namespace.
pub(crate) async fn adopted(space: &Space, policy: &str) -> Result<Demo, Failure> {
    let demo = Demo::new("web", "v1").replicas(2);
    space.apply(&demo.manifest(space.name())).await?;
    space.apply(policy).await?;
    space.apply(ALICE).await?;
    space.rolled_out("web", LIMIT).await?;
    space.adopt("web", "web").await?;
    Ok(demo)
}

const ALICE: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: alice}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
";

/// A policy of these steps: weight in percent, duration in seconds.
fn policy(steps: &[(u8, u8)]) -> String {
    steps
        .iter()
        .fold(Policy::new("web"), |policy, (weight, duration)| policy.step(*weight, *duration))
        .to_string()
}

/// Pushes a version.
pub(crate) async fn push(space: &Space, tag: &str) -> Result<(), SupportError> {
    let image = format!("app=demo:{tag}");
    space.kubectl(&["set", "image", "deployment/web", &image]).await.map(drop)
}

/// Waits until `found` returns true for the Rollout of `web`. Returns it.
pub(crate) async fn status(
    space: &Space,
    what: &str,
    found: impl Fn(&Rollout) -> bool,
) -> Result<Rollout, SupportError> {
    space.until("web", what, LIMIT, |rollout: &Rollout| found(rollout).then(|| rollout.clone())).await
}

/// Waits until the rollout of `web` measures at this weight.
async fn at(space: &Space, weight: u64) -> Result<Rollout, SupportError> {
    let what = format!("the Hold at {weight} %");
    status(space, &what, |r| r.weight() == Some(weight) && r.text("/waiting/reason") == "StepDuration").await
}
