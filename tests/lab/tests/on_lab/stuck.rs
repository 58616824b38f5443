//! Canaries that can't start: the reason is reported within seconds, the canary is removed at the
//! deadline, and stable keeps serving.

use jiff::{SignedDuration, Timestamp};
use lab::load::Load;
use lab::support::{Demo, Failure, Policy, Rollout, Space, tell};

use crate::canary::{ROLLOUT, rolled_back, still_held};
use crate::pods_of;

/// Requests per second through the Gateway and to the `ClusterIP` each.
const RATE: f64 = 50.0;
/// The policy's deadline, in seconds: long enough to distinguish an immediate report from one at
/// the deadline.
const DEADLINE: u8 = 25;
/// The longest time until the reason is reported, once the pods are awaited.
const NAMED: SignedDuration = SignedDuration::from_secs(12);

/// Applies `obstacle` (a manifest, may be empty), pushes a version that can't start with `kubectl
/// patch`, and follows it to its end. The messages must contain all of `words`.
async fn stuck(space: &Space, obstacle: &str, patch: &str, words: &[&str]) -> Result<(), Failure> {
    let (gateway, service) = space.serve("web", &Demo::new("web", "v1"), RATE).await?;
    let before = pods_of(space, "web", 4).await?;
    space.apply(obstacle).await?;
    space.apply(&Policy::new("web").step(25, 1).deadline(DEADLINE).to_string()).await?;
    space.adopt("web", "web").await?;
    let (gateway, service) = (Load::start(gateway), Load::start(service));
    let pushed = Timestamp::now();
    space.kubectl(&["patch", "deployment", "web", "--type=strategic", "--patch", patch]).await?;
    let waiting = space
        .until("web", &format!("waiting with {words:?}"), ROLLOUT, |rollout: &Rollout| {
            let message = rollout.text("/waiting/message");
            words.iter().all(|word| message.contains(word)).then(|| rollout.status["waiting"].clone())
        })
        .await?;
    let named = Timestamp::now();
    let until: Timestamp = waiting["until"].as_str().expect("a deadline").parse()?;
    let awaited = until - SignedDuration::from_secs(DEADLINE.into());
    tell(format_args!(
        "reported {:#} after the push, {:#} after the pods were awaited: {waiting}",
        named - pushed,
        named - awaited
    ));
    assert!(named.duration_since(awaited) <= NAMED, "{waiting}");
    let rollout = rolled_back(space).await?;
    let failure = &rollout.status["failure"];
    tell(format_args!("failed as {failure}"));
    assert_eq!(failure["reason"], "PodsNotReady", "{failure}");
    assert!(words.iter().all(|word| rollout.text("/failure/message").contains(word)), "{failure}");
    let failed: Timestamp = rollout.text("/failure/at").parse()?;
    assert!(failed >= until && failed.duration_since(until).as_secs() < 5, "failed at {failed}, due {until}");
    still_held(space, &before).await?;
    for (way, record) in [("Gateway", gateway.stop().await), ("ClusterIP", service.stop().await)] {
        tell(format_args!("through the {way}: {record}"));
        assert_eq!(record.failed(), 0, "through the {way}: {record}");
        let answered = record.by_version();
        assert!(answered.len() == 1 && answered.contains_key("v1"), "stable keeps all traffic: {record}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_image_is_reported_and_fails_at_the_deadline() -> Result<(), Failure> {
    Space::run("no-image", async |space| {
        let patch = r#"{"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "nowhere/absent:v2"}]}}}}"#;
        stuck(space, "", patch, &["ImagePull", "nowhere/absent:v2"]).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exceeded_quota_is_reported_and_fails_at_the_deadline() -> Result<(), Failure> {
    Space::run("quota", async |space| {
        let quota =
            r#"{apiVersion: v1, kind: ResourceQuota, metadata: {name: four}, spec: {hard: {pods: "4"}}}"#;
        let patch = r#"{"spec": {"template": {"metadata": {"annotations": {"release": "two"}}}}}"#;
        stuck(space, quota, patch, &["exceeded quota: four"]).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unschedulable_canary_is_reported_and_fails_at_the_deadline() -> Result<(), Failure> {
    Space::run("no-node", async |space| {
        let patch = r#"{"spec": {"template": {"spec": {"nodeSelector": {"example.com/disk": "fast"}}}}}"#;
        stuck(space, "", patch, &["Unschedulable", "0/1 nodes are available"]).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_never_becomes_ready_is_reported_and_fails_at_the_deadline() -> Result<(), Failure> {
    Space::run("never-ready", async |space| {
        let patch = r#"{"spec": {"template": {"spec": {"containers": [{"name": "app", "env": [{"name": "START_DELAY", "value": "1h"}]}]}}}}"#;
        stuck(space, "", patch, &["NotReady", "app"]).await
    })
    .await
}
