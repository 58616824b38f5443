//! Webhooks that refuse, are slow, or check signatures.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use lab::load::Load;
use lab::support::{Demo, Failure, Policy, Rollout, Space, Trails, tell};
use serde_json::{Value, json};
use sha2::Sha256;

use super::receiver::{Call, Receiver, Reply};
use super::{behind, gated, through, waits};
use crate::SOON;
use crate::canary::{ROLLOUT, rolled_back};
use crate::people::{adopted, event_notes, push, status};

/// The ports of the webhooks in the lab's values.
const DESK: u16 = 9201;
const SLOW: u16 = 9202;
const STRICT: u16 = 9203;
const OLD: u16 = 9204;
/// The key in the lab's Secret.
const KEY: &[u8] = b"known to the lab alone";

/// Checks that a call has a current signature made with the key.
fn signed(call: &Call) -> Result<(), Failure> {
    let time = &call.headers["x-steelyard-timestamp"];
    let age = Timestamp::now().as_second() - time.parse::<i64>()?;
    assert!((-5..60).contains(&age), "{age} s old");
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY)?;
    mac.update(format!("{time}.").as_bytes());
    mac.update(&call.body);
    let wanted = format!("sha256={:x}", mac.finalize().into_bytes());
    assert_eq!(call.headers["x-steelyard-signature"], wanted);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_gets_signed_requests_until_it_accepts() -> Result<(), Failure> {
    Space::run("gate-webhook", async |space| {
        let busy = Reply::Status(503, "come back later");
        let yes = Reply::Status(200, "ticket 17");
        let desk = Receiver::serve(DESK, [busy, busy, yes]).await?;
        let policy = Policy::new("web").step(25, 1).step(60, 1).measured();
        let (gateway, _) = space.serve("web", &Demo::new("web", "v1").replicas(2), 20.0).await?;
        space
            .apply(&behind("{webhook: {name: desk, backoff: 1s, metadata: {board: blue}}}", &policy))
            .await?;
        space.adopt("web", "web").await?;
        let load = Load::start(gateway);
        push(space, "v2").await?;
        let rollout = waits(space, "Webhook").await?;
        let revision = rollout.text("/canary/revision").to_owned();
        let gates = through(space).await?;
        assert_eq!(load.stop().await.failed(), 0);
        assert_eq!((&gates[0]["by"], &gates[0]["step"]), (&"webhook desk".into(), &2.into()), "{gates}");
        assert_eq!(gates[0]["response"], "HTTP 200 OK: ticket 17");

        let calls = desk.calls();
        assert_eq!(calls.len(), 3, "called until it accepts, and no more");
        calls.iter().try_for_each(signed)?;
        let ids: BTreeSet<&String> = calls.iter().map(|call| &call.headers["x-steelyard-id"]).collect();
        assert_eq!(ids.len(), 3, "a different id for each attempt: {ids:?}");
        let mut body = calls[2].json();
        let metric = body["metrics"][0].take();
        assert!(metric["name"] == "errors" && metric["value"] == 0.0, "{metric}");
        let id = body["id"].take();
        assert_eq!(id, calls[2].headers["x-steelyard-id"].as_str());
        let wanted = json!({
            "id": null, "attempt": 3, "namespace": space.name(), "deployment": "web", "revision": revision,
            "step": 2, "steps": 3, "weight": "25%", "metrics": [null], "metadata": {"board": "blue"},
            "images": {"stable": {"app": "demo:v1"}, "canary": {"app": "demo:v2"}},
        });
        assert_eq!(body, wanted);
        let shut = event_notes(space, "GateNotApproved").await?;
        assert!(
            shut.len() == 1 && shut[0].contains("HTTP 503 Service Unavailable: come back later"),
            "{shut:?}"
        );
        let open = event_notes(space, "GateOpened").await?;
        assert!(open.len() == 1 && open[0].contains("ticket 17"), "{open:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_call_does_not_delay_a_rollback() -> Result<(), Failure> {
    Space::run("gate-slow", async |space| {
        let slow = Receiver::serve(SLOW, [Reply::Silence]).await?;
        let policy = Policy::new("web").step(25, 1).step(60, 1).measured();
        let (gateway, _) = space.serve("web", &Demo::new("web", "v1").replicas(2), 20.0).await?;
        space.apply(&behind("{webhook: {name: slow}}", &policy)).await?;
        space.adopt("web", "web").await?;
        let mut rush = gateway.clone();
        rush.rate = 150.0;
        let quiet = Load::start(gateway);
        // Fails each request once a pod gets more than ten in a second.
        let v2 = Demo::new("web", "v2").replicas(2).env("ERRORS_ABOVE_RPS", "10");
        space.apply(&v2.to_string()).await?;
        slow.called(1, ROLLOUT).await?;
        let trails = Trails::follow(space, "web");
        let (since, rush) = (Timestamp::now(), Load::start(rush));
        let rollout = rolled_back(space).await?;
        assert_eq!(rollout.text("/failure/reason"), "MetricFailed", "{}", rollout.status);
        let back = |rollout: &Rollout| rollout.phase() == "RollingBack";
        let found = |seen: &lab::support::Seen<Rollout>| back(&seen.object).then_some(seen.at);
        let at = trails.rollout.first(since, "the rollback", SOON, found).await?;
        tell(format_args!(
            "a failed metric returned the traffic {:#} after the errors began, the call still open",
            at - since
        ));
        rush.stop().await;

        // And an abort, while the call of a second attempt hangs.
        let calls = slow.calls().len();
        space.apply(&Demo::new("web", "v3").replicas(2).to_string()).await?;
        slow.called(calls + 1, ROLLOUT).await?;
        let asked = Instant::now();
        crate::people::plugin(space, &["abort", "web"]).await?.good()?;
        space.weight("web", 0, SOON).await?;
        let took = asked.elapsed();
        tell(format_args!("an abort returned the traffic in {took:?}, the call still open"));
        assert!(took < Duration::from_secs(10), "{took:?}");
        assert_eq!(slow.calls().len(), calls + 1, "the call was not repeated meanwhile");
        quiet.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_rolls_back_where_the_policy_says_so() -> Result<(), Failure> {
    Space::run("gate-refused", async |space| {
        let strict = Receiver::serve(STRICT, [Reply::Status(403, "not this week")]).await?;
        let hook = "{webhook: {name: strict, onRefusal: RollBack, retries: 2, backoff: 1s}}";
        adopted(space, &gated(hook)).await?;
        push(space, "v2").await?;
        let rollout = rolled_back(space).await?;
        assert_eq!(rollout.text("/failure/reason"), "GateRefused", "{}", rollout.status);
        let message = rollout.text("/failure/message");
        assert!(
            message.contains("strict") && message.contains("HTTP 403 Forbidden: not this week"),
            "{message}"
        );
        assert_eq!(strict.calls().len(), 3, "one call and two retries");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_written_for_flagger_gets_the_body_that_flagger_sends() -> Result<(), Failure> {
    Space::run("gate-flagger", async |space| {
        let old = Receiver::serve(OLD, [Reply::Status(412, ""), Reply::Status(202, "")]).await?;
        adopted(space, &gated("{webhook: {name: old, backoff: 1s, metadata: {type: bash}}}")).await?;
        push(space, "v2").await?;
        let rollout = waits(space, "Webhook").await?;
        let gates = through(space).await?;
        assert_eq!(gates[0]["response"], "HTTP 202 Accepted", "{gates}");
        let calls: Vec<Value> = old.calls().iter().map(Call::json).collect();
        let wanted = json!({"name": "web", "namespace": space.name(), "phase": "Progressing",
            "checksum": rollout.text("/canary/revision"), "metadata": {"type": "bash"}});
        assert_eq!(calls, [wanted.clone(), wanted]);
        assert!(!old.calls()[0].headers.contains_key("x-steelyard-signature"), "no key, no signature");
        let done = status(space, "complete", |rollout| rollout.complete("v2")).await?;
        assert!(done.status["trial"].is_null());
        Ok(())
    })
    .await
}
