//! Lanes: each is a lab and the tests that run on it, some of them at once.

use std::{
    num::NonZeroUsize,
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
};

use super::{Error, queue::Queue, run::Run};
use crate::paths::Layout;

/// Tests that run on one lab.
pub(super) struct Lane<'a> {
    /// The lab.
    pub(super) layout: &'a Layout,
    /// The tests.
    pub(super) queue: Queue,
    /// How many of them run at once.
    pub(super) width: NonZeroUsize,
}

/// Runs the tests of all lanes, the lanes side by side; `ended` sees each test when it ends.
pub(super) fn run_all(
    lanes: &[Lane<'_>],
    program: &Path,
    ended: impl Fn(&Run) + Sync,
) -> Result<Vec<Run>, Error> {
    let worker = |lane: &Lane<'_>| {
        let mut done = Vec::new();
        while let Some(name) = lane.queue.next() {
            let run = Run::of(&name, program, lane.layout)?;
            ended(&run);
            done.push(run);
        }
        Ok(done)
    };
    let all = Mutex::new(Ok(Vec::new()));
    thread::scope(|scope| {
        for lane in lanes {
            for _ in 0..lane.width.get() {
                scope.spawn(|| {
                    let done = worker(lane);
                    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                    match (&mut *all, done) {
                        (Ok(all), Ok(done)) => all.extend(done),
                        (all @ Ok(_), Err(error)) => *all = Err(error),
                        (Err(_), _) => {}
                    }
                });
            }
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}
