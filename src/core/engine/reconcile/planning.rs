//! The plan of a reconcile: writes, Events, queries, calls.

use super::{
    context::Reconcile,
    flow::{Flow, GO_ON, STOP},
};
use crate::engine::{
    patches,
    plan::{Ask, Call, Event, Kind, Occupancy, Write},
    reasons::EventReason,
};

impl Reconcile<'_> {
    /// Plans a write.
    pub(in crate::engine) fn write(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// Plans these writes.
    pub(in crate::engine) fn plan(&mut self, writes: impl IntoIterator<Item = Write>) {
        self.writes.extend(writes);
    }

    /// Plans these writes. Continues if there are none.
    pub(in crate::engine) fn write_all(&mut self, writes: impl IntoIterator<Item = Write>) -> Flow {
        let before = self.writes.len();
        self.writes.extend(writes);
        if self.writes.len() == before { GO_ON } else { STOP }
    }

    /// Plans a write after the status write.
    pub(in crate::engine) fn write_last(&mut self, write: Option<Write>) {
        self.last_writes.extend(write);
    }

    /// Moves the writes of Services before all others.
    pub(in crate::engine) fn write_services_first(&mut self) {
        self.writes.sort_by_key(|write| !matches!(write, Write::Patch { kind: Kind::Service, .. }));
    }

    /// Plans writes that take traffic from the canary: they come before all others, and all are
    /// attempted.
    pub(in crate::engine) fn withdraw(&mut self, writes: impl IntoIterator<Item = Write>) {
        self.withdrawals.extend(writes);
    }

    /// Returns the number of writes planned so far.
    pub(in crate::engine) fn planned(&self) -> usize {
        self.withdrawals.len() + self.writes.len()
    }

    /// Drops the writes and queries that are planned so far.
    pub(in crate::engine) fn drop_plan(&mut self) {
        self.withdrawals.clear();
        self.writes.clear();
        self.asks.clear();
    }

    /// Reports an Event once all writes are done.
    pub(in crate::engine) fn report(&mut self, event: &EventReason) {
        self.events.push(Event::of(event));
    }

    /// Queries a source.
    pub(in crate::engine) fn ask(&mut self, ask: Ask) {
        self.asks.push(ask);
    }

    /// Calls a webhook.
    pub(in crate::engine) fn call(&mut self, call: Call) {
        self.calls.push(call);
    }

    /// Records that the rollout waits in the queue.
    pub(in crate::engine) fn queue(&mut self) {
        self.occupancy = Occupancy::Queued;
    }

    /// Deletes a canary that the Deployment does not own. Returns whether there is one.
    pub(in crate::engine) fn discard(&mut self) -> bool {
        let loose = self.canary().filter(|_| !self.deployment_owns_canary());
        self.writes.extend(loose.map(|canary| patches::delete(Kind::ReplicaSet, &canary.meta)));
        loose.is_some()
    }
}
