//! What a decision needs to be fresh: the controller reads it again and decides again before it
//! applies the plan, because its caches can lag behind the API server.
//!
//! A write of an object with an outdated version is a conflict, so a lagging cache matters only
//! where a write rests on other objects than the one that it changes.

use std::collections::BTreeSet;

use super::{plan::Write, written::Kind};
use crate::api::{Phase, RolloutStatus};

/// Objects that are read again before a plan is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fresh {
    /// The `EndpointSlices` of the Deployment's Services, and its pods.
    Endpoints,
    /// The `ReplicaSets` that the Deployment selects.
    ReplicaSets,
}

/// Returns what the writes need to be fresh. A withdrawal of traffic rests on nothing else, and
/// waits for nothing.
pub(super) fn needed(writes: &[Write], withdrawals: usize, before: &RolloutStatus) -> BTreeSet<Fresh> {
    if withdrawals > 0 {
        return BTreeSet::new();
    }
    writes.iter().filter_map(|write| basis(write, before)).collect()
}

fn basis(write: &Write, before: &RolloutStatus) -> Option<Fresh> {
    match write {
        // Weights, pins and selectors: the version that gets requests must have ready endpoints.
        Write::Patch { kind: Kind::Service | Kind::Route(_), .. } => Some(Fresh::Endpoints),
        // The Deployment controller then scales the ReplicaSets.
        Write::Patch { kind: Kind::Deployment, .. } => Some(Fresh::ReplicaSets),
        Write::Status { status, .. } => {
            let ends = |status: &RolloutStatus| matches!(status.phase, Phase::Stable | Phase::RolledBack);
            let ended = ends(status) && !ends(before);
            (ended || status.stable != before.stable).then_some(Fresh::ReplicaSets)
        }
        Write::Create { .. } | Write::Delete { .. } | Write::Patch { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::Stamp, traffic::gateway::HTTP_ROUTE};

    fn patch(kind: Kind) -> Write {
        let (namespace, name, version) = ("shop".into(), "web".into(), "1".into());
        Write::Patch { kind, namespace, name, version, ops: Vec::new(), stamp: Stamp::None }
    }

    fn status(phase: Phase) -> RolloutStatus {
        RolloutStatus { phase, ..RolloutStatus::default() }
    }

    #[test]
    fn traffic_rests_on_endpoints_and_the_deployment_on_its_replica_sets() {
        let before = status(Phase::Stepping);
        let needed = |kinds: &[Kind]| {
            let writes: Vec<Write> = kinds.iter().map(|kind| patch(*kind)).collect();
            super::needed(&writes, 0, &before)
        };
        assert_eq!(needed(&[Kind::Route(HTTP_ROUTE)]), [Fresh::Endpoints].into());
        assert_eq!(needed(&[Kind::Deployment, Kind::Service]), [Fresh::Endpoints, Fresh::ReplicaSets].into());
        assert_eq!(needed(&[Kind::ReplicaSet]), BTreeSet::new());
    }

    #[test]
    fn a_withdrawal_of_traffic_waits_for_nothing() {
        let writes = [patch(Kind::Route(HTTP_ROUTE)), patch(Kind::Deployment)];
        assert_eq!(needed(&writes, 1, &status(Phase::Stepping)), BTreeSet::new());
    }

    #[test]
    fn the_end_of_a_rollout_rests_on_the_replica_sets_and_a_step_does_not() {
        let needed = |phase| {
            let write = Write::Status { version: "1".into(), status: Box::new(status(phase)) };
            super::needed(&[write], 0, &status(Phase::Promoting))
        };
        assert_eq!(needed(Phase::Stable), [Fresh::ReplicaSets].into());
        assert_eq!(needed(Phase::Waiting), BTreeSet::new());
    }
}
