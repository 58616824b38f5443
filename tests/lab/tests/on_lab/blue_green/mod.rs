//! Blue-green switches, and canaries without a router. None of four kinds of clients may lose a
//! request.

mod back;
mod bad;
mod good;
mod kill;
mod people;
mod preview;
mod shares;
mod turns;

use jiff::Timestamp;
use lab::support::turn::Turn;
use lab::support::{Demo, Failure, Rollout};

/// Returns whether a version has all traffic and the router and the Services have applied it.
fn switched(rollout: &Rollout, tag: &str) -> bool {
    rollout.text("/canary/tag") == tag
        && rollout.text("/trial/side") == "Canary"
        && rollout.status["trial"]["weightAcceptedAt"].is_string()
}

/// Waits until a version pushed after `since` has all traffic.
async fn until_switched(turn: &Turn, since: Timestamp, tag: &str) -> Result<Rollout, Failure> {
    let what = format!("{tag} has all traffic");
    Ok(turn.first(since, &what, |rollout| switched(rollout, tag)).await?)
}

/// Waits until a version pushed after `since` is measured in this step, such as `3/3`.
async fn until_step(turn: &Turn, since: Timestamp, tag: &str, step: &str) -> Result<Rollout, Failure> {
    let there = |rollout: &Rollout| {
        rollout.text("/canary/tag") == tag
            && rollout.text("/progress") == step
            && rollout.status["trial"]["weightAcceptedAt"].is_string()
    };
    Ok(turn.first(since, &format!("{tag} in step {step}"), there).await?)
}

/// Pushes a version whose pods fail all requests once one gets more than `above` requests in a
/// second. Returns the time before the push.
async fn push_bad(turn: &Turn, tag: &str, above: u8) -> Result<Timestamp, Failure> {
    let since = Timestamp::now();
    let bad: Demo = turn.demo.clone().tag(tag).env("ERRORS_ABOVE_RPS", &above.to_string());
    turn.space.apply(&bad.to_string()).await?;
    Ok(since)
}

/// Checks that no stable pod ended before the handover.
fn stable_was_whole(turn: &Turn) {
    let promoting = turn.trails.rollout.all().into_iter().find(|seen| seen.object.phase() == "Promoting");
    let promoting = promoting.expect("a handover").at;
    let ended =
        turn.trails.pods.all().into_iter().find(|seen| seen.object.metadata.deletion_timestamp.is_some());
    assert!(ended.is_none_or(|seen| seen.at > promoting), "stable stays at full scale until the handover");
}
