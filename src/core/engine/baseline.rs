//! What stable can do for the traffic. Absence is a value here: a stable that is gone, has no ready
//! pod, or is not selected by the Service carries nothing, and nothing waits for it. The first
//! ready version serves instead.

use super::{
    native_rollout::active,
    ownership::selects,
    patches,
    plan::Write,
    reasons::{EventReason, Lack, PromotedBy},
    reconcile::{Flow, Reconcile, STOP},
    snapshot::{ReplicaSet, Service},
};
use crate::api::{Handover, Lost, Phase, Promotion};

impl<'a> Reconcile<'a> {
    /// Returns why stable can't carry the traffic, if so.
    pub(super) fn lack(&self) -> Option<Lack> {
        let Some(stable) = self.stable().filter(|stable| !stable.meta.deleting) else {
            return Some(Lack::Gone);
        };
        if stable.available == 0 {
            return Some(Lack::NoPods);
        }
        let routed = self.status().trial.as_ref().map(|trial| trial.service.as_str());
        let unselected =
            |service: &&Service| routed == Some(service.meta.name.as_str()) && !selected(service, stable);
        self.services().find(unselected).map(|service| Lack::NotSelected(service.meta.name.clone()))
    }

    /// Returns the hash that pins a Service to stable; `None` if it has to select whatever is
    /// ready.
    pub(super) fn stable_pin(&self, service: &Service) -> Option<&'a str> {
        let stable = self.stable().filter(|stable| !stable.meta.deleting && stable.available > 0)?;
        selected(service, stable).then_some(stable.hash.as_str())
    }

    /// Pins the Services to stable, if it can serve behind them.
    pub(super) fn pin_to_stable(&mut self) -> Flow {
        let pins: Vec<Write> =
            self.services().filter_map(|service| patches::pin(service, self.stable_pin(service))).collect();
        self.write_all(pins)
    }

    /// Returns why stable can't carry the traffic, if the canary is the only version that serves:
    /// there is nothing to return to.
    pub(super) fn alone(&self) -> Option<Lack> {
        let canary = self.canary().filter(|canary| canary.available > 0 && canary.replicas > 0)?;
        let stable = self.stable().map(|stable| stable.meta.name.as_str());
        // After a push during a native handover, the Deployment controller's pods may serve.
        let mut others = active(self).filter(|set| set.meta.name != canary.meta.name);
        let another = others.any(|set| set.available > 0 && Some(set.meta.name.as_str()) != stable);
        let held = self.held() && self.deployment().replicas > 0;
        self.lack().filter(|_| held && !another)
    }
}

/// Returns whether a Service, without a pin, selects the pods of a `ReplicaSet`.
fn selected(service: &Service, set: &ReplicaSet) -> bool {
    let labels = serde_json::from_value(set.template["metadata"]["labels"].clone());
    selects(&service.selector, &labels.unwrap_or_default())
}

/// Hands the canary over at once, whatever its weight: it is the only version that serves.
pub(super) fn succeed(r: &mut Reconcile, lost: Lack) -> Flow {
    // The Services may select stable only.
    r.drop_plan();
    let _ = r.pin(None);
    r.set_failure(None);
    r.move_to(Phase::Promoting);
    let trial = r.trial();
    (trial.weight_accepted_at, trial.lost) = (None, Lost::default());
    trial.promotion = Promotion::Alone;
    r.enter(Handover::Transferring);
    r.report(&EventReason::Promoting(PromotedBy::Alone(lost)));
    STOP
}
