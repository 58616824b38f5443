//! How soon a bad release loses its traffic, with a margin for a busy machine. `cargo lab bench
//! reaction` measures it precisely.

use lab::bench::reaction;
use lab::support::{Failure, Space, tell};

/// The number of releases of each kind.
const RELEASES: usize = 2;
/// The factor by which a busy machine may be slower.
const MARGIN: f64 = 2.5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_release_loses_its_traffic_within_the_goals_on_a_quiet_machine() -> Result<(), Failure> {
    Space::run_quietly("reaction", async |space| {
        let figures = reaction::measure(space, RELEASES, |line| tell(line)).await?;
        tell(&figures);
        assert_eq!(figures.missed(MARGIN), Vec::<String>::new());
        Ok(())
    })
    .await
}
