//! The whole of the behaviour: [`Snapshot`] in, [`Decision`] out, nothing else read or done.
//!
//! One pass is small: it reads where the rollout stands, writes what is missing there, and is made again until nothing is
//! missing. Status names a stage before the stage writes anything, so a crash between any two writes is picked up by the
//! next pass; the one exception is the way back, where the route comes first and carries a mark of its own.

mod back;
mod claims;
mod gate;
mod judge;
mod native;
mod object;
mod orphans;
mod pass;
mod plan;
mod prepare;
mod promote;
pub mod reasons;
mod refusal;
mod rest;
mod settle;
mod setup;
mod share;
mod shift;
mod snapshot;
mod step;
pub mod term;

#[cfg(test)]
mod tests;

pub use claims::{Claim, Rival};
pub use judge::variables;
pub use object::tag;
pub use plan::*;
pub use refusal::Refusal;
pub use snapshot::*;

use crate::api::Phase;
use pass::Pass;

/// Decides what is to be done in this world. Total and pure: the same snapshot gives the same decision.
pub fn decide(s: &Snapshot) -> Decision {
    let Some(d) = &s.deployment else { return rest::without_deployment(s) };
    let Some(r) = &s.rollout else { return rest::without_rollout(s, d) };
    if !r.owner.is_empty() && r.owner != d.meta.uid {
        return rest::without_deployment(s);
    }
    let mut pass = Pass::new(s, d, r);
    if pass.take_over() {
        return pass.finish();
    }
    share::read(&mut pass);
    gate::hear(&mut pass);
    match pass.status.phase {
        Phase::Stable | Phase::RolledBack => rest::at_rest(&mut pass),
        Phase::Preparing if pass.status.trial.is_none() => rest::at_rest(&mut pass),
        Phase::RollingBack => back::go_on(&mut pass),
        Phase::Preparing | Phase::Stepping | Phase::Waiting | Phase::Promoting => {
            if !judge::turned_back(&mut pass) {
                match pass.status.phase {
                    Phase::Preparing => prepare::go_on(&mut pass),
                    Phase::Promoting => promote::go_on(&mut pass),
                    _ => step::go_on(&mut pass),
                }
            }
        }
    }
    share::ask(&mut pass);
    pass.finish()
}
