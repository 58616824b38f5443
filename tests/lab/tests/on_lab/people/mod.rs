//! What people see and do: `kubectl steelyard`, plain kubectl, and who is written down for it.

mod by;
mod plain;
mod see;
mod steer;
mod wait;

pub(crate) use steer::told;

use std::process::Stdio;
use std::time::Duration;

use lab::support::{Demo, Failure, Policy, Rollout, Space, SupportError};
use tokio::process::Command;

/// How long a step of a test may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(2);
/// A hold, in seconds, that no test sees the end of.
const LONG: u8 = 200;

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// What it printed, if it ended with code 0.
    pub(crate) fn good(self) -> Result<String, Failure> {
        if self.code == Some(0) { Ok(self.out) } else { Err(format!("{self:?}").into()) }
    }

    /// Checks that it ended with this code and that its error says so much.
    #[track_caller]
    fn refused(&self, code: i32, word: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.contains(word), "{word:?} in {self:?}");
    }
}

/// `kubectl steelyard` with these arguments, in the namespace, by way of kubectl.
fn command(space: &Space, args: &[&str]) -> Command {
    let mut command = Command::new("kubectl");
    command.arg("steelyard").args(args).args(["-n", space.name()]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs `kubectl steelyard` to its end.
pub(crate) async fn plugin(space: &Space, args: &[&str]) -> Result<Ran, Failure> {
    let output = tokio::time::timeout(LIMIT, command(space, args).output()).await??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
}

/// Deployment `web`, three pods of v1, adopted with this policy; and Alice, who may edit in the namespace.
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

/// A policy of these steps: weight in percent, hold in seconds.
fn policy(steps: &[(u8, u8)]) -> String {
    steps.iter().fold(Policy::new("web"), |policy, (weight, hold)| policy.step(*weight, *hold)).to_string()
}

/// Pushes a version.
pub(crate) async fn push(space: &Space, tag: &str) -> Result<(), SupportError> {
    let image = format!("app=demo:{tag}");
    space.kubectl(&["set", "image", "deployment/web", &image]).await.map(drop)
}

/// Waits for something in the status of `web`; gives the Rollout.
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
    status(space, &what, |r| r.status["weight"] == weight && r.text("/waiting/reason") == "Hold").await
}
