//! Gates: a rollout waits for a person, a time of the week, or another system, and the way back waits for none of them.

mod receiver;
mod webhook;

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{RoundMode, Timestamp, ToSpan, Unit, ZonedRound};
use lab::support::{Failure, Policy, Rollout, Space, Trails, tell};

use crate::people::{adopted, plugin, push, status, told};

/// A canary of 25 %, this gate, and the rest.
fn gated(gate: &str) -> String {
    behind(gate, &Policy::new("web").step(25, 1).step(60, 1))
}

/// Puts this gate before the policy's step to 60 %.
fn behind(gate: &str, policy: &Policy) -> String {
    policy.to_string().replace("{weight: 60", &format!("{{gate: {gate}}}, {{weight: 60"))
}

/// Waits until the rollout of `web` waits for this.
async fn waits(space: &Space, reason: &str) -> Result<Rollout, Failure> {
    let waiting =
        |rollout: &Rollout| rollout.phase() == "Waiting" && rollout.text("/waiting/reason") == reason;
    Ok(status(space, &format!("waiting for {reason}"), waiting).await?)
}

/// Waits until v2 is handed over; gives the gates that it went through, as the history has them.
async fn through(space: &Space) -> Result<serde_json::Value, Failure> {
    let rollout = status(space, "v2 complete", |rollout| rollout.complete("v2")).await?;
    Ok(rollout.status["history"][0]["gates"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_s_gate_opens_by_promote_and_says_who() -> Result<(), Failure> {
    Space::run("gate-person", async |space| {
        adopted(space, &gated("{person: {message: look at the board}}")).await?;
        let trails = Trails::follow(space, "web");
        push(space, "v2").await?;
        let rollout = waits(space, "Gate").await?;
        assert_eq!(rollout.status["step"], "2/3");
        assert_eq!(rollout.status["weight"], 25, "what the canary has it keeps");
        let said = plugin(space, &["explain", "web"]).await?.good()?;
        for word in ["look at the board", "opens the gate at which it waits", "kubectl steelyard promote web"]
        {
            assert!(said.contains(word), "{word:?} in\n{said}");
        }
        // A promotion of the step before is late.
        let revision = rollout.text("/canary/revision");
        let late = format!(r#"{{"spec": {{"promote": {{"revision": "{revision}", "step": 1}}}}}}"#);
        space.kubectl(&["patch", "rollout", "web", "--type=merge", "-p", &late]).await?;
        status(space, "the late one seen", |r| {
            r.status["observedGeneration"].as_i64() == r.metadata.generation && r.spec["promote"]["step"] == 1
        })
        .await?;
        waits(space, "Gate").await?;
        plugin(space, &["promote", "web", "--as", "alice"]).await?.good()?;
        let gates = through(space).await?;
        assert_eq!((&gates[0]["by"], &gates[0]["step"]), (&"alice".into(), &2.into()), "{gates}");
        assert!(gates[0]["at"].is_string(), "{gates}");
        let notes = told(space, "GateOpened").await?;
        assert!(notes.len() == 1 && notes[0].contains("alice"), "{notes:?}");
        let weights: Vec<u64> = trails.weights().into_iter().map(|(_, weight)| weight).collect();
        assert_eq!(weights[..4], [0, 25, 60, 100], "{weights:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_that_is_shut_says_when_it_opens_and_then_does() -> Result<(), Failure> {
    Space::run("gate-window", async |space| {
        let steps = Policy::new("web").step(25, 1).step(60, 1).to_string();
        adopted(space, &steps).await?;
        // India is ahead of us by five hours and a half.
        let zone = TimeZone::get("Asia/Kolkata")?;
        let up = ZonedRound::new().smallest(Unit::Minute).mode(RoundMode::Ceil);
        let opens = (Timestamp::now().to_zoned(zone) + 15.seconds()).round(up)?;
        let (day, from) = (opens.strftime("%a").to_string(), opens.strftime("%H:%M").to_string());
        let to = (&opens + 2.hours()).strftime("%H:%M").to_string();
        let hours =
            format!(r#"{{window: {{days: [{day}], from: "{from}", to: "{to}", zone: Asia/Kolkata}}}}"#);
        // Before the first weight: nothing but the push comes before it.
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
        // The window alone may take more than a minute, which is not the rollout's own time.
        status(space, "past the window", |rollout| rollout.status["step"] == "2/3").await?;
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

/// How long after its opening the first weight may come on a busy machine.
const SECONDS: Duration = Duration::from_secs(30);
