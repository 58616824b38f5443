//! The controller killed with all traffic on a bad version.

use lab::support::turn::{End, Turn};
use lab::support::{Failure, Policy, Rollout, Space};

use super::push_bad;
use crate::kills::controller::Controller;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_killed_right_after_the_switch_of_a_bad_version_all_comes_back() -> Result<(), Failure> {
    Space::run("bg-kill", async |space| {
        let policy = Policy::blue_green("web").after(60).measured();
        let case = "the controller killed right after the switch of a bad version";
        let turn = Turn::switching(space, case, &policy).await?;
        let controller = Controller::of(space);
        let leader = controller.leader().await?;
        let since = push_bad(&turn, "v2", 2).await?;
        let told = |rollout: &Rollout| rollout.text("/trial/side") == "Canary";
        turn.first(since, "all traffic on v2", told).await?;
        controller.kill(&leader.pod).await?;
        controller.after(&leader).await?;
        turn.ends(End::rolled_back("v1").since(since).bad("v2").started("v2", 4..=4)).await
    })
    .await
}
