//! One reconcile: decide, apply, take the answers. And many of them, in virtual time.

use jiff::Timestamp;
use steelyard_core::engine::{Answer, Decision, Reading, call_name};

use crate::{Rejection, World, invariants::Scope, writes::Own};

/// More reconciles than any rollout here needs.
const MANY: usize = 2000;
/// More than any test needs: one that waits in a loop of its own fails instead of running forever.
const ENDLESS: usize = 20 * MANY;

/// What a reconcile did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciled {
    /// How many writes were planned.
    pub planned: usize,
    /// How many of them were applied.
    pub applied: usize,
    /// How many measurements were made.
    pub measured: usize,
    /// Why not all writes were applied.
    pub rejection: Option<Rejection>,
    /// When to reconcile again if nothing changes until then.
    pub wake: Option<Timestamp>,
}

impl World {
    /// One reconcile, and what the controllers make of each of its writes. Time stands still.
    pub fn reconcile(&mut self) -> Reconciled {
        self.reconciles += 1;
        assert!(self.reconciles < ENDLESS, "no end: {:?}", self.status());
        let decision = self.decide();
        let readings = std::mem::take(&mut self.snapshot.readings);
        let answers = std::mem::take(&mut self.snapshot.answers);
        self.snapshot.refused.clear();
        let (mut own, mut applied, mut status, mut rejection) = (Own::default(), 0, false, None);
        for write in &decision.writes {
            let sent = self.send(write, &own);
            if let Err(why) = self.transport().and_then(|()| self.arrive(&sent, &mut own)) {
                rejection = Some(why);
                break;
            }
            applied += 1;
            status |= crate::writes::status_in(write).is_some();
            self.settle();
            // Each prefix of a plan is a world that a crash may leave behind.
            self.check();
        }
        self.settle();
        if rejection.is_some() && !status {
            // Without the status, no tally has counted the answers.
            (self.snapshot.readings, self.snapshot.answers) = (readings, answers);
        }
        if let Some(Rejection::Refused(refused)) = &rejection {
            self.snapshot.refused.push(refused.clone());
        }
        if rejection.is_none() {
            self.check_after_plan();
            self.ask(&decision);
            self.check();
        }
        let (planned, measured) = (decision.writes.len(), decision.asks.len());
        Reconciled { planned, applied, measured, rejection, wake: decision.wake }
    }

    /// Makes the measurements and calls of a decision.
    fn ask(&mut self, decision: &Decision) {
        for ask in &decision.asks {
            // No metric of a policy has a slash in its name.
            let outcome =
                if ask.metric.contains('/') { self.share.outcome() } else { self.measurement.outcome() };
            let (revision, metric, query) = (ask.revision.clone(), ask.metric.clone(), ask.query.clone());
            self.snapshot.readings.push(Reading {
                revision,
                step: ask.step,
                metric,
                query,
                at: ask.at,
                outcome,
            });
        }
        for call in &decision.calls {
            let (revision, step, attempt, at) =
                (call.revision.clone(), call.step, call.attempt, self.snapshot.now);
            match self.webhook {
                Some((word, said)) => {
                    let said = said.to_owned();
                    self.snapshot.answers.push(Answer { revision, step, attempt, at, word, said });
                }
                None => drop(self.snapshot.asking.insert(call_name(step, attempt))),
            }
            self.calls.push(call.clone());
        }
    }

    /// One reconcile; if it has nothing to write or to measure, time goes on to the next one.
    /// Returns whether there is a next one.
    pub fn proceed(&mut self) -> bool {
        let done = self.reconcile();
        if done.planned > 0 || done.measured > 0 {
            return true;
        }
        if let Some(wake) = done.wake {
            self.snapshot.now = wake.max(self.snapshot.now);
        }
        done.wake.is_some()
    }

    /// Proceeds until `there`. Panics if nothing is left to do before that.
    pub fn until(&mut self, there: impl Fn(&Self) -> bool) {
        for _ in 0..MANY {
            if there(self) {
                return;
            }
            assert!(self.proceed(), "nothing is left to do: {:?}", self.status());
        }
        panic!("not reached after {MANY} reconciles: {:?}", self.status());
    }

    /// Proceeds until nothing is left to do.
    pub fn rest(&mut self) {
        for _ in 0..MANY {
            if !self.proceed() {
                return;
            }
        }
        panic!("no rest after {MANY} reconciles: {:?}", self.status());
    }

    /// Asserts what holds in every world that can be reached.
    pub fn check(&self) {
        self.assert(Scope::EveryWrite);
    }

    fn check_after_plan(&self) {
        self.assert(Scope::EveryPlan);
    }

    fn assert(&self, scope: Scope) {
        let violated = self.violated(scope);
        assert!(violated.is_empty(), "violated: {violated:?}: {:?}", self.status());
    }
}
