//! The controller is killed while a bad version has all traffic.

use lab::support::turn::{End, Turn};
use lab::support::{Failure, Policy, Rollout, Space};

use super::push_bad;
use crate::kills::controller::Controller;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_traffic_returns_to_stable_when_the_controller_is_killed_right_after_a_bad_switch()
-> Result<(), Failure> {
    Space::run("bg-kill", async |space| {
        let policy = Policy::blue_green("web").after(60).measured();
        let case = "the controller killed right after the switch of a bad version";
        let turn = Turn::switching(space, case, &policy).await?;
        let controller = Controller::of(space);
        let leader = controller.leader().await?;
        let since = push_bad(&turn, "v2", 2).await?;
        let switched = |rollout: &Rollout| rollout.text("/trial/side") == "Canary";
        turn.first(since, "all traffic on v2", switched).await?;
        controller.kill(&leader.pod).await?;
        controller.after(&leader).await?;
        turn.ends(End::rolled_back("v1").since(since).bad("v2").started("v2", 4..=4)).await
    })
    .await
}
