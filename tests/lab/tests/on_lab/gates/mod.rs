//! Gates: a rollout waits for a person, a time window or a webhook; a rollback waits for none of
//! them.

mod receiver;
mod webhook;

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{RoundMode, Timestamp, ToSpan, Unit, ZonedRound};
use lab::support::{Failure, Policy, Rollout, Space, Trails, tell};

use crate::people::{adopted, event_notes, plugin, push, status};

/// A policy with a step of 25 %, this gate and a last step.
fn gated(gate: &str) -> String {
    behind(gate, &Policy::new("web").step(25, 1).step(60, 1))
}

/// Inserts this gate before the policy's step of 60 %.
fn behind(gate: &str, policy: &Policy) -> String {
    policy.to_string().replace("{weight: 60", &format!("{{gate: {gate}}}, {{weight: 60"))
}

/// Waits until the rollout of `web` waits for this reason.
async fn waits(space: &Space, reason: &str) -> Result<Rollout, Failure> {
    let waiting =
        |rollout: &Rollout| rollout.phase() == "Waiting" && rollout.text("/waiting/reason") == reason;
    Ok(status(space, &format!("waiting for {reason}"), waiting).await?)
}

/// Waits until v2 is handed over. Returns the gates that the history lists.
async fn through(space: &Space) -> Result<serde_json::Value, Failure> {
    let rollout = status(space, "v2 complete", |rollout| rollout.complete("v2")).await?;
    Ok(rollout.status["history"][0]["gates"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_gate_opens_on_promote_and_records_who_opened_it() -> Result<(), Failure> {
    Space::run("gate-person", async |space| {
        adopted(space, &gated("{person: {message: look at the board}}")).await?;
        let trails = Trails::follow(space, "web");
        push(space, "v2").await?;
        let rollout = waits(space, "Gate").await?;
        assert_eq!(rollout.status["progress"], "2/3");
        assert_eq!(rollout.weight(), Some(25), "the canary keeps its weight");
        let output = plugin(space, &["explain", "web"]).await?.good()?;
        for word in ["look at the board", "opens the gate", "kubectl steelyard promote web"] {
            assert!(output.contains(word), "{word:?} in\n{output}");
        }
        // A promotion of the previous step has no effect.
        let revision = rollout.text("/canary/revision");
        let late = format!(r#"{{"spec": {{"promote": {{"revision": "{revision}", "step": 1}}}}}}"#);
        space.kubectl(&["patch", "rollout", "web", "--type=merge", "-p", &late]).await?;
        status(space, "the late promotion processed", |r| {
            r.status["observedGeneration"].as_i64() == r.metadata.generation && r.spec["promote"]["step"] == 1
        })
        .await?;
        waits(space, "Gate").await?;
        plugin(space, &["promote", "web", "--as", "alice"]).await?.good()?;
        let gates = through(space).await?;
        assert_eq!((&gates[0]["by"], &gates[0]["step"]), (&"alice".into(), &2.into()), "{gates}");
        assert!(gates[0]["at"].is_string(), "{gates}");
        let notes = event_notes(space, "GateOpened").await?;
        assert!(notes.len() == 1 && notes[0].contains("alice"), "{notes:?}");
        let weights: Vec<u64> = trails.weights().into_iter().map(|(_, weight)| weight).collect();
        assert_eq!(weights[..4], [0, 25, 60, 100], "{weights:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_gate_reports_when_it_opens_and_then_opens() -> Result<(), Failure> {
    Space::run("gate-window", async |space| {
        let steps = Policy::new("web").step(25, 1).step(60, 1).to_string();
        adopted(space, &steps).await?;
        // The offset of Asia/Kolkata is five hours and a half.
        let zone = TimeZone::get("Asia/Kolkata")?;
        let up = ZonedRound::new().smallest(Unit::Minute).mode(RoundMode::Ceil);
        let opens = (Timestamp::now().to_zoned(zone) + 15.seconds()).round(up)?;
        let (day, from) = (opens.strftime("%a").to_string(), opens.strftime("%H:%M").to_string());
        let to = (&opens + 2.hours()).strftime("%H:%M").to_string();
        let hours =
            format!(r#"{{window: {{days: [{day}], from: "{from}", to: "{to}", timeZone: Asia/Kolkata}}}}"#);
        // Before the first weight, so that only the push precedes the gate.
        space.apply(&steps.replace("{weight: 25", &format!("{{gate: {hours}}}, {{weight: 25"))).await?;
        let trails = Trails::follow(space, "web");
        push(space, "v2").await?;
        let rollout = waits(space, "Window").await?;
        let message = rollout.text("/waiting/message");
        assert!(
            message.contains(&format!("{day} ")) && message.contains(&format!("{from} Asia/Kolkata")),
            "{message}"
        );
        let until: Timestamp = rollout.text("/waiting/until").parse()?;
        assert_eq!(until, opens.timestamp(), "{message}");
        // The wait for the window can take more than a minute, which does not count as time of the
        // rollout.
        status(space, "past the window", |rollout| rollout.status["progress"] == "2/3").await?;
        let gates = through(space).await?;
        assert_eq!(gates[0]["by"], "its window", "{gates}");
        let weights = trails.weights();
        let (on, _) = *weights.iter().find(|(_, weight)| *weight == 25).ok_or("never 25 %")?;
        tell(format_args!("the window opened at {until}, and the first weight came {:#} later", on - until));
        assert!(on >= until && on < until + SECONDS, "{until} {on}");
        Ok(())
    })
    .await
}

/// The longest time from the opening to the first weight, on a busy machine.
const SECONDS: Duration = Duration::from_secs(30);
