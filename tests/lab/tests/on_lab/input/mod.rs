//! Invalid input is refused before anything starts. A condition names the error and the fix, and
//! stable keeps serving. Once it is fixed, the held template rolls out.

mod crowd;
mod hostile;
mod names;
mod policies;
mod setups;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use lab::load::{Load, Plan, Running};
use lab::support::{Demo, Failure, Rollout, Space, SupportError, Trails, tell};
use serde_json::Value;

use crate::SOON;
use crate::canary::{ROLLOUT, held};

/// Requests per second on each path.
pub(crate) const RATE: f64 = 25.0;
/// How long a test checks that nothing starts. A canary pod normally exists within a second after a
/// push.
const QUIET: Duration = Duration::from_secs(3);

/// A policy with two short steps.
pub(crate) const POLICY: &str = "apiVersion: steelyard.io/v1alpha1
kind: RolloutPolicy
metadata: {name: web}
spec:
  strategy: {canary: {steps: [{weight: 5, duration: 1s}, {weight: 50, duration: 1s}]}}
  traffic: {gatewayAPI: {}}
  deadline: 2m
";

/// Sets the policy annotation.
pub(crate) async fn annotate(space: &Space, name: &str, policy: &str) -> Result<(), SupportError> {
    let annotation = format!("steelyard.io/policy={policy}");
    space.kubectl(&["annotate", "--overwrite", "deployment", name, &annotation]).await.map(drop)
}

/// Waits until a Rollout is not accepted for this reason, with a message that contains all of
/// `words`.
pub(crate) async fn refused(
    space: &Space,
    name: &str,
    reason: &str,
    words: &[&str],
) -> Result<(), SupportError> {
    let what = format!("{name} refused: {reason} {words:?}");
    let message = space
        .until(name, &what, SOON, |rollout: &Rollout| {
            let conditions = rollout.status["conditions"].as_array()?;
            let accepted = conditions.iter().find(|condition| condition["type"] == "Accepted")?;
            let message = accepted["message"].as_str()?;
            let matches = accepted["status"] == "False"
                && accepted["reason"] == reason
                && words.iter().all(|word| message.contains(word));
            matches.then(|| message.to_owned())
        })
        .await?;
    tell(format_args!("{reason}: {message}"));
    assert!(message.len() <= 1024, "{message}");
    Ok(())
}

/// Pushes a template that must not start: it is held and waits, and no pod of it starts for a
/// while.
pub(crate) async fn push_without_start(space: &Space, trails: &Trails) -> Result<(), Failure> {
    space.kubectl(&["set", "image", "deployment/web", "app=demo:v2"]).await?;
    assert_eq!(
        held(&space.api::<Deployment>().get("web").await?),
        Some(true),
        "held by the write that changed the template"
    );
    space
        .until("web", "a wait with a reason", SOON, |rollout: &Rollout| {
            (rollout.text("/waiting/reason") == "NotAccepted").then_some(())
        })
        .await?;
    tokio::time::sleep(QUIET).await;
    assert_eq!(trails.pods("demo:v2"), Vec::<String>::new(), "nothing starts");
    Ok(())
}

/// Waits until v2 is rolled out after the fix.
pub(crate) async fn rolls_out(space: &Space, fixed: Timestamp) -> Result<(), SupportError> {
    let done = space
        .until("web", "v2 stable and Complete", ROLLOUT, |rollout: &Rollout| {
            rollout.complete("v2").then(Timestamp::now)
        })
        .await?;
    tell(format_args!("Complete {:#} after the fix", done - fixed));
    Ok(())
}

/// A test of invalid input: the error, the refusal and the fix.
pub(crate) struct Case<'a> {
    /// `kubectl` commands that introduce the error before the Deployment is adopted.
    pub(crate) break_with: &'a [&'a [&'a str]],
    /// The condition's reason.
    pub(crate) reason: &'a str,
    /// Fragments of the condition's message.
    pub(crate) words: &'a [&'a str],
    /// `kubectl` commands that fix it.
    pub(crate) fix_with: &'a [&'a [&'a str]],
}

/// Runs a case on the demo app under load on these paths. No request may fail.
pub(crate) async fn run(space: &Space, ways: Vec<Plan>, case: Case<'_>) -> Result<(), Failure> {
    let Case { break_with, reason, words, fix_with } = case;
    space.apply(POLICY).await?;
    for command in break_with {
        space.kubectl(command).await?;
    }
    let loads: Vec<Running> = ways.into_iter().map(Load::start).collect();
    let trails = Trails::follow(space, "web");
    annotate(space, "web", "web").await?;
    refused(space, "web", reason, words).await?;
    push_without_start(space, &trails).await?;
    let fixed = Timestamp::now();
    for command in fix_with {
        space.kubectl(command).await?;
    }
    rolls_out(space, fixed).await?;
    all_answered(loads).await;
    Ok(())
}

/// Stops these loads. None of their requests may have failed.
pub(crate) async fn all_answered(loads: Vec<Running>) {
    for load in loads {
        let record = load.stop().await;
        tell(&record);
        assert_eq!(record.failed(), 0, "{record}");
        assert!(record.requests() > 100, "{record}");
    }
}

/// Serves the demo app behind its Service and its route. Returns a load plan for each.
pub(crate) async fn served(space: &Space) -> Result<Vec<Plan>, Failure> {
    let (gateway, service) = space.serve("web", &Demo::new("web", "v1").replicas(2), RATE).await?;
    Ok(vec![gateway, service])
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> std::path::PathBuf {
    lab::paths::repository().join(path)
}

/// The documents of a YAML text.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>, Failure> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
    Ok(all.into_iter().filter(|document| !document.is_null()).collect())
}
