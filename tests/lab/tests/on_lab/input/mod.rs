//! Wrong input: refused before anything starts, by a condition that names what is wrong and the cure, while the old version
//! serves on. Once it is cured, the template that was held goes out by itself.

mod crowd;
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

/// Requests per second on each way.
pub(crate) const RATE: f64 = 25.0;
/// How long nothing may start, to be taken for not starting: a canary's pod is there within a second of a push.
const QUIET: Duration = Duration::from_secs(3);

/// A policy with two quick steps.
pub(crate) const POLICY: &str = "apiVersion: steelyard.io/v1alpha1
kind: RolloutPolicy
metadata: {name: web}
spec:
  strategy: {canary: {steps: [{weight: 5, hold: 1s}, {weight: 50, hold: 1s}]}}
  traffic: {gatewayAPI: {}}
  deadline: 2m
";

/// Names a policy to Steelyard.
pub(crate) async fn annotate(space: &Space, name: &str, policy: &str) -> Result<(), SupportError> {
    let annotation = format!("steelyard.io/policy={policy}");
    space.kubectl(&["annotate", "--overwrite", "deployment", name, &annotation]).await.map(drop)
}

/// Waits until a Rollout is not accepted for this reason, in words that contain all of these.
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
            let said = accepted["status"] == "False"
                && accepted["reason"] == reason
                && words.iter().all(|word| message.contains(word));
            said.then(|| message.to_owned())
        })
        .await?;
    tell(format_args!("{reason}: {message}"));
    assert!(message.len() <= 1024, "{message}");
    Ok(())
}

/// Pushes a template that must not start: held, waiting, and no pod of it for a while.
pub(crate) async fn push_in_vain(space: &Space, trails: &Trails) -> Result<(), Failure> {
    space.kubectl(&["set", "image", "deployment/web", "app=demo:v2"]).await?;
    assert_eq!(held(&space.api::<Deployment>().get("web").await?), Some(true), "held by the write itself");
    space
        .until("web", "a named wait", SOON, |rollout: &Rollout| {
            (rollout.text("/waiting/reason") == "NotAccepted").then_some(())
        })
        .await?;
    tokio::time::sleep(QUIET).await;
    assert_eq!(trails.pods("demo:v2"), Vec::<String>::new(), "nothing starts");
    Ok(())
}

/// Waits until v2 is out, after what kept it was cured.
pub(crate) async fn goes_out(space: &Space, cured: Timestamp) -> Result<(), SupportError> {
    let done = space
        .until("web", "v2 stable and Complete", ROLLOUT, |rollout: &Rollout| {
            rollout.complete("v2").then(Timestamp::now)
        })
        .await?;
    tell(format_args!("Complete {:#} after the cure", done - cured));
    Ok(())
}

/// What a test of wrong input does: something wrong, the refusal, the cure.
pub(crate) struct Case<'a> {
    /// Objects that are applied over the demo's before it is adopted; `kubectl` arguments, one command each.
    pub(crate) spoil: &'a [&'a [&'a str]],
    /// The condition's reason.
    pub(crate) reason: &'a str,
    /// Words of its message.
    pub(crate) words: &'a [&'a str],
    /// `kubectl` commands that put it right.
    pub(crate) cure: &'a [&'a [&'a str]],
}

/// Runs a case on the demo app, under load on these ways: all requests must be answered, from first to last.
pub(crate) async fn run(space: &Space, ways: Vec<Plan>, case: Case<'_>) -> Result<(), Failure> {
    let Case { spoil, reason, words, cure } = case;
    space.apply(POLICY).await?;
    for command in spoil {
        space.kubectl(command).await?;
    }
    let loads: Vec<Running> = ways.into_iter().map(Load::start).collect();
    let trails = Trails::follow(space, "web");
    annotate(space, "web", "web").await?;
    refused(space, "web", reason, words).await?;
    push_in_vain(space, &trails).await?;
    let cured = Timestamp::now();
    for command in cure {
        space.kubectl(command).await?;
    }
    goes_out(space, cured).await?;
    answered(loads).await;
    Ok(())
}

/// Ends these loads; none of their requests may have failed.
pub(crate) async fn answered(loads: Vec<Running>) {
    for load in loads {
        let record = load.stop().await;
        tell(&record);
        assert_eq!(record.failed(), 0, "{record}");
        assert!(record.requests() > 100, "{record}");
    }
}

/// The demo app behind its Service and its route, ready for a load on both.
pub(crate) async fn served(space: &Space) -> Result<Vec<Plan>, Failure> {
    let (gateway, service) = space.serve("web", &Demo::new("web", "v1").replicas(2), RATE).await?;
    Ok(vec![gateway, service])
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> std::path::PathBuf {
    lab::paths::repository().join(path)
}

/// All documents of a YAML text.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>, Failure> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
    Ok(all.into_iter().filter(|document| !document.is_null()).collect())
}
