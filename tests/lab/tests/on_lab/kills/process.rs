//! The controller is killed (SIGKILL) at each stage of a good and of a bad release, with steps and
//! with a switch.

use futures::future::try_join_all;
use jiff::Timestamp;
use lab::support::{Demo, Failure, Policy, Rollout, Space, tell};
use tokio::sync::Mutex;

use super::app::{App, Seen};
use super::controller::Controller;

/// Requests per second on each path.
const RATE: f64 = 10.0;
/// The number of attempts to kill it during a short stage.
const TRIES: usize = 4;
/// A short lease, so that a killed leader is replaced soon.
const LEASE: [&str; 2] = ["--set", "leaderElection.leaseSeconds=4,leaderElection.renewSeconds=1"];

/// A stage of a rollout.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Phase(&'static str),
    ScalingUp,
    Weight(u64),
    Stage(&'static str),
}

impl Moment {
    fn is(self, rollout: &Rollout) -> bool {
        let stepping = rollout.phase() == "Stepping";
        let weight = rollout.weight().unwrap_or(0);
        match self {
            Self::Phase(phase) => rollout.phase() == phase,
            Self::ScalingUp => stepping && weight == 0,
            Self::Weight(wanted) => stepping && weight == wanted,
            Self::Stage(stage) => rollout.text("/trial/handover") == stage,
        }
    }
}

/// Whether a version is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Release {
    Good,
    Bad,
}

const STEPS: [(Release, Moment); 13] = [
    (Release::Good, Moment::Phase("Preparing")),
    (Release::Good, Moment::ScalingUp),
    (Release::Good, Moment::Weight(25)),
    (Release::Good, Moment::Weight(50)),
    (Release::Good, Moment::Stage("ScalingUp")),
    (Release::Good, Moment::Stage("Widening")),
    (Release::Good, Moment::Stage("Narrowing")),
    (Release::Good, Moment::Stage("Transferring")),
    (Release::Good, Moment::Stage("Releasing")),
    (Release::Good, Moment::Stage("Draining")),
    (Release::Bad, Moment::Phase("Preparing")),
    (Release::Bad, Moment::Weight(25)),
    (Release::Bad, Moment::Phase("RollingBack")),
];

/// The stages by Services alone. The preview has weight 0, and no Service is widened.
const SWITCH: [(Release, Moment); 8] = [
    (Release::Good, Moment::Phase("Preparing")),
    (Release::Good, Moment::ScalingUp),
    (Release::Good, Moment::Weight(100)),
    (Release::Good, Moment::Stage("ScalingUp")),
    (Release::Good, Moment::Stage("Narrowing")),
    (Release::Good, Moment::Stage("Transferring")),
    (Release::Bad, Moment::Weight(100)),
    (Release::Bad, Moment::Phase("RollingBack")),
];

/// Kills the leader on request, one at a time, and waits until another one leads.
struct Killer<'a> {
    controller: &'a Controller,
    kills: Mutex<usize>,
}

impl Killer<'_> {
    /// Kills the leader if `app` is in this stage. Returns whether `app` was still in it
    /// afterwards.
    async fn kill(&self, app: &App<'_>, moment: Moment) -> Result<bool, Failure> {
        let mut kills = self.kills.lock().await;
        let leader = self.controller.leader().await?;
        if !moment.is(&app.rollout().await?) {
            return Ok(false);
        }
        // A process that restarts in its pod takes its predecessor's lease at once. The node agent
        // restarts without delay only the first time, so every second time the pod is deleted too.
        let in_place = *kills % 2 == 0;
        let (how, killed) = if in_place {
            ("in its pod", self.controller.kill(&leader.pod).await?)
        } else {
            ("with its pod", self.controller.kill_for_good(&leader.pod).await?)
        };
        *kills += 1;
        let there = moment.is(&app.rollout().await?);
        let next = self.controller.after(&leader).await?;
        let gone = Timestamp::now() - killed;
        tell(format_args!(
            "{} at {moment:?} (in time: {there}): killed {how}; {} leads {gone:#} later",
            app.name, next.pod
        ));
        assert_eq!(in_place, next.pod == leader.pod, "{next:?} follows {leader:?}");
        Ok(there)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_controller_is_killed_at_every_moment_of_a_release_on_a_quiet_machine() -> Result<(), Failure> {
    let policy = |name: &str, release| match release {
        Release::Good => Policy::new(name).step(25, 2).step(50, 2),
        Release::Bad => Policy::new(name).step(25, 5).step(50, 5).measured(),
    };
    at_every_moment(&STEPS, policy, Seen::only_bad_answers).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_controller_is_killed_at_every_moment_of_a_switch_on_a_quiet_machine() -> Result<(), Failure> {
    let policy = |name: &str, release| match release {
        Release::Good => Policy::blue_green(name).before(2).after(2).by_service(),
        Release::Bad => Policy::blue_green(name).after(20).measured().by_service(),
    };
    at_every_moment(&SWITCH, policy, Seen::only_own_errors).await
}

/// Kills the controller at each of these stages, each with a separate application.
async fn at_every_moment(
    cases: &[(Release, Moment)],
    policy: impl Fn(&str, Release) -> Policy,
    of_bad: fn(&Seen, &str),
) -> Result<(), Failure> {
    Space::run_quietly("kills", async |space| {
        Controller::with(space, &LEASE, async |controller| {
            let started = cases.iter().enumerate().map(|(index, (release, _))| {
                let name = format!("w{index}");
                let policy = policy(&name, *release);
                async move { App::start(space, &name, 2, policy, RATE).await }
            });
            let apps = try_join_all(started).await?;
            let killer = Killer { controller, kills: Mutex::new(0) };
            let died = cases.iter().zip(&apps).map(|((release, moment), app)| async {
                match release {
                    Release::Good => good(app, *moment, &killer).await,
                    Release::Bad => bad(app, *moment, &killer).await,
                }
            });
            try_join_all(died).await?;
            for ((release, _), app) in cases.iter().zip(apps) {
                let name = app.name.clone();
                let seen = app.stop().await;
                match release {
                    Release::Good => seen.nothing_failed(&name),
                    Release::Bad => of_bad(&seen, &name),
                }
            }
            Ok(())
        })
        .await
    })
    .await
}

/// Releases good versions until the controller was killed in this stage. Each version is handed
/// over.
async fn good(app: &App<'_>, moment: Moment, killer: &Killer<'_>) -> Result<(), Failure> {
    for version in 2..2 + TRIES {
        let tag = format!("v{version}");
        app.push(&app.demo.clone().tag(&tag)).await?;
        app.until(&format!("{moment:?} of {tag}"), |rollout| moment.is(rollout).then_some(())).await?;
        let met = killer.kill(app, moment).await?;
        app.completes(&tag).await?;
        if met {
            return Ok(());
        }
    }
    Err(format!("{}: in {TRIES} tries the controller was never killed at {moment:?}", app.name).into())
}

/// Releases a bad version, which rolls back because of its metric.
async fn bad(app: &App<'_>, moment: Moment, killer: &Killer<'_>) -> Result<(), Failure> {
    app.push(&Demo::new(&app.name, "v2").replicas(2).env("ERROR_RATE", "1")).await?;
    app.until(&format!("{moment:?}"), |rollout| moment.is(rollout).then_some(())).await?;
    let met = killer.kill(app, moment).await?;
    let rollout = app.rolls_back().await?;
    // Also if it was killed between the write of the traffic and that of the status.
    let failure = &rollout.status["failure"];
    assert_eq!(rollout.text("/failure/reason"), "MetricFailed", "{}: {failure}", app.name);
    assert!(failure["query"].is_string() && failure["value"].is_number(), "{}: {failure}", app.name);
    assert!(met, "{}: killed at {moment:?}", app.name);
    Ok(())
}
