//! `ReplicaSets` without pods that the Deployment controller would start instead of stable while a
//! template is held: they have been neither stable since nor measured.

use super::{
    patches,
    plan::{Kind, Write},
    reasons::WaitReason,
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, Since},
    snapshot::ReplicaSet,
};

/// Continues if the Deployment controller would start stable, and no other `ReplicaSet` of the
/// Deployment, whatever its size becomes.
pub(super) fn remove(r: &mut Reconcile) -> Flow {
    without_same_template(r)?;
    if r.deployment().replicas > 0 { GO_ON } else { without_newer(r) }
}

/// Continues if no other `ReplicaSet` of the Deployment has the held template: the Deployment
/// controller uses the oldest of them as the new one (`FindNewReplicaSet`). It would start it once
/// the Deployment is scaled up from 0 (`FindActiveOrLatest`), and prefer it to the canary.
fn without_same_template(r: &mut Reconcile) -> Flow {
    let Some(other) = r.same_template() else { return GO_ON };
    if empty(other) {
        return r.write_all([patches::delete(Kind::ReplicaSet, &other.meta)]);
    }
    let waits = WaitReason::SameTemplate { replica_set: other.meta.name.clone() };
    r.wait(&waits, Since::FirstReported, EndsBy::Person)
}

/// Continues if no other `ReplicaSet` of the Deployment is newer than stable: of several without
/// pods, the Deployment controller starts the newest one once the Deployment is scaled up from 0.
fn without_newer(r: &mut Reconcile) -> Flow {
    let Some(stable) = r.stable() else { return GO_ON };
    let d = r.deployment();
    let age = |set: &ReplicaSet| (set.meta.created, set.meta.name.clone());
    let newer = |set: &&ReplicaSet| d.owns(set) && !set.meta.deleting && empty(set) && age(set) > age(stable);
    let deletions: Vec<Write> = r
        .world()
        .replica_sets
        .iter()
        .filter(newer)
        .map(|set| patches::delete(Kind::ReplicaSet, &set.meta))
        .collect();
    r.write_all(deletions)
}

fn empty(set: &ReplicaSet) -> bool {
    set.replicas == 0 && set.existing == 0
}
