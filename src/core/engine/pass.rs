//! One pass in the making: the world as read, the status as it will be, and what is to be written.

use std::{cell::OnceCell, collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{
    Ask, Call, Decision, Deployment, Event, Kind, ReplicaSet, Rollout, Service, Slot, Snapshot, Write,
    object, setup::plain,
};
use crate::{
    api::{self, End, Handover, Past, Phase, RolloutStatus, Shifting, Trial, Waiting},
    policy::Valid,
};

/// One pass in the making.
pub(super) struct Pass<'a> {
    pub(super) s: &'a Snapshot,
    pub(super) d: &'a Deployment,
    pub(super) r: &'a Rollout,
    /// The policy of the rollout in flight, read once: its queries are parsed for that.
    pub(super) valid: OnceCell<Option<Valid>>,
    pub(super) hashes: BTreeMap<&'a str, &'a str>,
    pub(super) status: RolloutStatus,
    pub(super) writes: Vec<Write>,
    pub(super) late: Vec<Write>,
    pub(super) events: Vec<Event>,
    pub(super) asks: Vec<Ask>,
    pub(super) calls: Vec<Call>,
    pub(super) wake: Option<Timestamp>,
    pub(super) slot: Slot,
}

impl<'a> Pass<'a> {
    pub(super) fn new(s: &'a Snapshot, d: &'a Deployment, r: &'a Rollout) -> Self {
        let mut status = r.status.clone();
        status.observed_generation = r.meta.generation;
        status.waiting = None;
        let (hashes, writes, late) = (object::hashes(s), Vec::new(), Vec::new());
        let (events, asks, calls, valid) = (Vec::new(), Vec::new(), Vec::new(), OnceCell::new());
        let (wake, slot) = (None, Slot::None);
        let mut pass = Self { s, d, r, valid, hashes, status, writes, late, events, asks, calls, wake, slot };
        pass.status.weight = pass.weight();
        pass
    }

    /// In a new term, all objects of a rollout in flight get the new epoch before anything else is done: a write that a
    /// former leader sent late then meets a newer resource version. Returns whether there was anything to stamp.
    pub(super) fn take_over(&mut self) -> bool {
        if self.status.trial.is_none() || self.status.epoch == self.s.epoch {
            return false;
        }
        let old = |meta: &super::Meta| meta.epoch < self.s.epoch;
        let mut stamps = Vec::new();
        stamps.extend(
            self.route()
                .filter(|(route, _)| old(&route.meta))
                .map(|(r, _)| object::patch(Kind::HttpRoute, &r.meta, vec![])),
        );
        // A Service that leads to both versions has no pin to tell it by.
        let used = |service: &&Service| {
            service.selector.contains_key(api::HASH) || self.shifting() == Shifting::Services
        };
        for service in self.services().filter(used).filter(|service| old(&service.meta)) {
            stamps.push(object::patch(Kind::Service, &service.meta, vec![]));
        }
        if let Some(canary) = self.canary().filter(|canary| old(&canary.meta) && !self.adopted()) {
            stamps.push(object::patch(Kind::ReplicaSet, &canary.meta, vec![]));
        }
        self.writes = stamps;
        self.status.epoch = self.s.epoch;
        true
    }

    /// Ends the pass: the status is written if it says something new.
    pub(super) fn finish(mut self) -> Decision {
        self.status.epoch = if self.status.trial.is_some() { self.s.epoch } else { self.r.status.epoch };
        self.awaited_since();
        self.conditions();
        // What is refused is watched as well: the cure may lie in a Service or a route.
        let refused = self.status.conditions.iter().any(|c| c.type_ == "Accepted" && c.status == "False");
        let slot = if self.status.trial.is_some() { Slot::Taken } else { self.slot };
        let in_flight = self.status.trial.is_some() || self.status.waiting.is_some() || refused;
        if self.status != self.r.status {
            let status = Box::new(self.status);
            self.writes.push(Write::Status { version: self.r.meta.version.clone(), status });
        }
        self.writes.append(&mut self.late);
        Decision {
            writes: self.writes,
            events: self.events,
            asks: self.asks,
            calls: self.calls,
            wake: self.wake,
            in_flight,
            slot,
        }
    }

    /// A wait that goes on under its name goes on since when it began.
    fn awaited_since(&mut self) {
        let before = self.r.status.waiting.as_ref();
        let now = self.s.now;
        if let Some(waiting) = &mut self.status.waiting {
            let known =
                before.filter(|before| before.reason == waiting.reason).and_then(|before| before.since);
            waiting.since = Some(known.unwrap_or(now));
        }
    }

    /// Names what is awaited.
    pub(super) fn wait(&mut self, reason: &str, message: impl Into<String>) {
        self.status.waiting =
            Some(Waiting { reason: reason.to_owned(), message: message.into(), ..Waiting::default() });
    }

    /// Names what is awaited, until when at the latest, and looks again then.
    pub(super) fn wait_until(&mut self, reason: &str, message: impl Into<String>, until: Timestamp) {
        self.wait(reason, message);
        if let Some(waiting) = &mut self.status.waiting {
            waiting.until = Some(until);
        }
        self.wake_at(until);
    }

    /// Looks again at this time, or earlier.
    pub(super) fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |earlier| earlier.min(at)));
    }

    /// Tells an Event.
    pub(super) fn tell(
        &mut self,
        warning: bool,
        reason: &'static str,
        action: impl Into<String>,
        note: impl Into<String>,
    ) {
        self.events.push(Event { warning, reason, action: action.into(), note: note.into() });
    }

    /// The trial's memory. A phase in flight without it can't be; then an empty one does no harm.
    pub(super) fn trial(&mut self) -> &mut Trial {
        self.status.trial.get_or_insert_default()
    }

    /// A stage of the way that has lasted since it was first seen: true once `span` is over, else the wait is named.
    pub(super) fn lasted(&mut self, span: SignedDuration, reason: &str, message: &str) -> bool {
        let now = self.s.now;
        let since = *self.trial().stage_since.get_or_insert(now);
        self.lasted_since(since, span, reason, message)
    }

    /// Whether `span` is over since then, else the wait is named.
    pub(super) fn lasted_since(
        &mut self,
        since: Timestamp,
        span: SignedDuration,
        reason: &str,
        message: &str,
    ) -> bool {
        if self.s.now.duration_since(since) >= span {
            return true;
        }
        self.wait_until(reason, message, since + span);
        false
    }

    /// The canary's `ReplicaSet`.
    pub(super) fn canary(&self) -> Option<&'a ReplicaSet> {
        let name = &self.status.canary.as_ref()?.replica_set;
        self.s.replica_sets.iter().find(|set| set.meta.name == *name && !name.is_empty())
    }

    /// Stable's `ReplicaSet`.
    pub(super) fn stable(&self) -> Option<&'a ReplicaSet> {
        let name = &self.status.stable.as_ref()?.replica_set;
        self.s.replica_sets.iter().find(|set| set.meta.name == *name)
    }

    /// The canary's revision.
    pub(super) fn revision(&self) -> String {
        self.status.canary.as_ref().map(|canary| canary.revision.clone()).unwrap_or_default()
    }

    /// Stable's revision.
    pub(super) fn stable_revision(&self) -> String {
        self.status.stable.as_ref().map(|stable| stable.revision.clone()).unwrap_or_default()
    }

    /// Whether an intent is for the revision on trial, by its name or by the generation it came with.
    pub(super) fn meant(&self, revision: &str) -> bool {
        self.status.canary.as_ref().map_or_else(
            || self.d.meta.generation.to_string() == revision,
            |canary| canary.revision == revision || canary.generation.to_string() == revision,
        )
    }

    /// Whether a person wants the rollout to stay where it is, and who.
    pub(super) fn paused_by(&self) -> Option<String> {
        let pause = self.r.spec.pause.as_ref().filter(|pause| self.meant(&pause.revision))?;
        Some(person(pause.by.as_deref()))
    }

    /// Writes the rollout that ends here into the history.
    pub(super) fn record(&mut self, outcome: End) {
        const MOST: usize = 10;
        let Some(canary) = &self.status.canary else { return };
        let past = Past {
            revision: canary.revision.clone(),
            tag: canary.tag.clone(),
            before: self.stable_revision(),
            outcome,
            reason: self.status.failure.as_ref().map(|failure| failure.reason.clone()),
            gates: self.status.trial.as_ref().map(|trial| trial.gates.clone()).unwrap_or_default(),
            started: self.status.trial.as_ref().and_then(|trial| trial.since),
            ended: Some(self.s.now),
        };
        self.status.history.push(past);
        let surplus = self.status.history.len().saturating_sub(MOST);
        self.status.history.drain(..surplus);
    }

    /// Whether the Deployment's template is held: paused, with our label.
    pub(super) fn held(&self) -> bool {
        self.d.held()
    }

    /// Whether the canary is the Deployment's own already.
    pub(super) fn adopted(&self) -> bool {
        self.canary().is_some_and(|canary| self.d.owns(canary))
    }

    /// Another `ReplicaSet` of the Deployment than stable that has its template: its controller would take that one for new.
    pub(super) fn twin(&self, stable: &ReplicaSet) -> Option<&'a ReplicaSet> {
        let d = self.d;
        let of_template = |set: &&ReplicaSet| d.owns(set) && set.template == d.template;
        self.s.replica_sets.iter().filter(of_template).find(|set| set.meta.name != stable.meta.name)
    }

    /// Deletes a canary that is not the Deployment's own. Returns whether there is one.
    pub(super) fn discard(&mut self) -> bool {
        let loose = self.canary().filter(|_| !self.adopted());
        self.writes.extend(loose.map(|canary| object::delete(Kind::ReplicaSet, &canary.meta)));
        loose.is_some()
    }

    /// The Services that carry the Deployment's traffic.
    pub(super) fn services(&self) -> impl Iterator<Item = &'a Service> + use<'a> {
        let s = self.s;
        plain(s)
    }

    /// The canary Service.
    pub(super) fn canary_service(&self) -> Option<&'a Service> {
        let name = &self.status.trial.as_ref()?.canary_service;
        self.s.services.iter().find(|service| service.meta.name == *name)
    }

    /// How many ready pods of a hash stand behind a Service.
    pub(super) fn ready(&self, service: &Service, hash: &str) -> i32 {
        object::ready(service, &self.hashes, hash)
    }

    /// Plans these writes. Returns whether there are none: all is so already.
    pub(super) fn planned(&mut self, writes: Vec<Write>) -> bool {
        let done = writes.is_empty();
        self.writes.extend(writes);
        done
    }

    /// Enters a stage of the handover.
    pub(super) fn enter(&mut self, stage: Handover) {
        let trial = self.trial();
        trial.handover = Some(stage);
        trial.stage_since = None;
    }

    /// The time at which a span after `since` is over.
    pub(super) fn after(since: Timestamp, span: Duration) -> Timestamp {
        SignedDuration::try_from(span)
            .ok()
            .and_then(|span| since.checked_add(span).ok())
            .unwrap_or(Timestamp::MAX)
    }

    fn conditions(&mut self) {
        let phase = self.status.phase;
        let progressing = self.status.trial.is_some();
        let complete =
            phase == Phase::Stable && !progressing && !self.held() && self.status.waiting.is_none();
        let (reason, message) = self.status.waiting.as_ref().map_or_else(
            || (format!("{phase:?}"), String::new()),
            |waiting| (waiting.reason.clone(), waiting.message.clone()),
        );
        self.condition("Progressing", progressing, &reason, &message);
        self.condition("Complete", complete, &reason, &message);
        let failed = self
            .status
            .failure
            .as_ref()
            .filter(|_| matches!(phase, Phase::RollingBack | Phase::RolledBack))
            .cloned();
        match failed {
            Some(failure) => self.condition("Healthy", false, &failure.reason, &failure.message),
            None => self.condition("Healthy", true, "NoFailure", ""),
        }
    }

    /// Sets a condition; its transition time moves only when its status does.
    pub(super) fn condition(&mut self, type_: &str, value: bool, reason: &str, message: &str) {
        let status = if value { "True" } else { "False" };
        let before = self.status.conditions.iter().position(|condition| condition.type_ == type_);
        let since = before
            .map(|at| &self.status.conditions[at])
            .filter(|condition| condition.status == status)
            .map_or(Time(self.s.now), |condition| condition.last_transition_time.clone());
        let condition = Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition_time: since,
            observed_generation: Some(self.r.meta.generation),
        };
        match before {
            Some(at) => self.status.conditions[at] = condition,
            None => self.status.conditions.push(condition),
        }
    }
}

/// Who set an intent, in words.
pub(super) fn person(by: Option<&str>) -> String {
    by.map_or_else(|| "a person".to_owned(), str::to_owned)
}
