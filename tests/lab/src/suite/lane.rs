//! Lanes: a lane is a lab and the tests that run on it, several at once.

use std::{
    num::NonZeroUsize,
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
};

use super::{
    Error,
    queue::{End, Queue},
    run::{Attempt, Run},
};
use crate::paths::Layout;

/// Tests that run on one lab.
pub(super) struct Lane<'a> {
    /// The lab.
    pub(super) layout: &'a Layout,
    /// The tests.
    pub(super) queue: Queue,
    /// The number of tests that run at once.
    pub(super) width: NonZeroUsize,
}

/// Runs the tests of all lanes, the lanes concurrently. Calls `ended` with each test that ends.
pub(super) fn run_all(
    lanes: &[Lane<'_>],
    program: &Path,
    ended: impl Fn(&Run) + Sync,
) -> Result<Vec<Run>, Error> {
    let work = |lane: &Lane<'_>, end: End| {
        let mut done = Vec::new();
        while let Some(name) = lane.queue.next(end) {
            let run = Run::of(&name, Attempt::First, program, lane.layout)?;
            ended(&run);
            done.push(run);
        }
        Ok(done)
    };
    let all = Mutex::new(Ok(Vec::new()));
    thread::scope(|scope| {
        for lane in lanes {
            for worker in 0..lane.width.get() {
                let (all, work) = (&all, &work);
                scope.spawn(move || {
                    let done = work(lane, End::of(worker));
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
