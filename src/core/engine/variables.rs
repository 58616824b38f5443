//! The values of the variables of a query.

use std::collections::BTreeSet;

use super::reconcile::Reconcile;
use crate::{
    api::{RolloutStatus, Version},
    policy::query::{self, Variables},
};

/// Returns the values of the variables of a query, for the rollout in `status`.
pub fn variables(namespace: &str, deployment: &str, status: &RolloutStatus) -> Variables {
    let name = |version: &Option<Version>| version.as_ref().map_or("", |v| v.replica_set.as_str()).to_owned();
    let hash = |version: &Option<Version>| version.as_ref().map_or("", |v| v.revision.as_str()).to_owned();
    let trial = status.trial.as_ref();
    Variables {
        namespace: namespace.to_owned(),
        deployment: deployment.to_owned(),
        service: trial.map(|trial| trial.service.clone()).unwrap_or_default(),
        canary_service: trial.map(|trial| trial.canary_service.clone()).unwrap_or_default(),
        canary_pods: query::pod_pattern(&name(&status.canary)),
        stable_pods: query::pod_pattern(&name(&status.stable)),
        canary_hash: hash(&status.canary),
        stable_hash: hash(&status.stable),
    }
}

/// Returns the same, with pods listed by name if a pattern can't distinguish the versions.
pub(super) fn with_pods(r: &Reconcile) -> Variables {
    let world = r.world();
    let mut variables = variables(&world.namespace, &world.name, r.status());
    let (stable, canary) = (r.status().stable.as_ref(), r.status().canary.as_ref());
    variables.stable_pods = listed(r, stable).unwrap_or(variables.stable_pods);
    variables.canary_pods = listed(r, canary).unwrap_or(variables.canary_pods);
    variables
}

/// Returns the pods of a version by name, if their generated names are cut and do not distinguish
/// the versions. Pods that existed only between two reconciles are missing.
fn listed(r: &Reconcile, version: Option<&Version>) -> Option<String> {
    let version = version.filter(|version| query::is_cut(&version.replica_set))?;
    let of_version = r.world().pods.iter().filter(|pod| pod.hash == version.revision);
    let names: BTreeSet<&str> = of_version.map(|pod| pod.name.as_str()).collect();
    Some(query::listed(names.into_iter()))
}
