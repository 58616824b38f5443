//! What a reconcile plans: writes, Events, queries, calls.

use super::{
    context::Reconcile,
    flow::{Flow, GO_ON, STOP},
};
use crate::engine::{
    patches,
    plan::{Ask, Call, Event, Kind, Slot, Write},
    reasons::EventReason,
};

impl Reconcile<'_> {
    /// Plans a write.
    pub(in crate::engine) fn write(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// Plans these writes, whatever comes next.
    pub(in crate::engine) fn plan(&mut self, writes: impl IntoIterator<Item = Write>) {
        self.writes.extend(writes);
    }

    /// Plans these writes. Goes on where there are none: all is so already.
    pub(in crate::engine) fn write_all(&mut self, writes: impl IntoIterator<Item = Write>) -> Flow {
        let before = self.writes.len();
        self.writes.extend(writes);
        if self.writes.len() == before { GO_ON } else { STOP }
    }

    /// Plans a write that comes after the status.
    pub(in crate::engine) fn write_last(&mut self, write: Option<Write>) {
        self.last_writes.extend(write);
    }

    /// Plans the writes of Services before all others.
    pub(in crate::engine) fn write_services_first(&mut self) {
        self.writes.sort_by_key(|write| !matches!(write, Write::Patch { kind: Kind::Service, .. }));
    }

    /// How many writes are planned so far.
    pub(in crate::engine) fn planned(&self) -> usize {
        self.writes.len()
    }

    /// Drops the writes and queries that are planned so far.
    pub(in crate::engine) fn drop_plan(&mut self) {
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

    /// The rollout waits in the queue.
    pub(in crate::engine) fn queue(&mut self) {
        self.slot = Slot::Queued;
    }

    /// Deletes a canary that is not the Deployment's own. Returns whether there is one.
    pub(in crate::engine) fn discard(&mut self) -> bool {
        let loose = self.canary().filter(|_| !self.adopted());
        self.writes.extend(loose.map(|canary| patches::delete(Kind::ReplicaSet, &canary.meta)));
        loose.is_some()
    }
}
