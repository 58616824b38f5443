//! How soon a bad release loses its traffic, with room for a busy machine: `cargo lab bench reaction` says it exactly.

use lab::bench;
use lab::support::{Failure, Space, tell};

/// Releases of each kind.
const RELEASES: usize = 3;
/// A machine that does other work as well may take so many times as long.
const MARGIN: f64 = 2.5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_release_loses_its_traffic_within_the_goals_on_a_quiet_machine() -> Result<(), Failure> {
    Space::run("reaction", async |space| {
        let figures = bench::measure(space, RELEASES, |line| tell(line)).await?;
        tell(&figures);
        assert_eq!(figures.missed(MARGIN), Vec::<String>::new());
        Ok(())
    })
    .await
}
