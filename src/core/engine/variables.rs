//! What the variables of a query stand for.

use std::{collections::BTreeSet, time::Duration};

use super::reconcile::Reconcile;
use crate::{
    api::{RolloutStatus, Version},
    policy::template::{self, Variables},
};

/// What the variables of a query stand for, in the rollout that `status` describes.
pub fn variables(namespace: &str, deployment: &str, status: &RolloutStatus, interval: Duration) -> Variables {
    let name = |version: &Option<Version>| version.as_ref().map_or("", |v| v.replica_set.as_str()).to_owned();
    let hash = |version: &Option<Version>| version.as_ref().map_or("", |v| v.revision.as_str()).to_owned();
    let trial = status.trial.as_ref();
    Variables {
        namespace: namespace.to_owned(),
        deployment: deployment.to_owned(),
        service: trial.map(|trial| trial.service.clone()).unwrap_or_default(),
        canary_service: trial.map(|trial| trial.canary_service.clone()).unwrap_or_default(),
        canary_pods: template::pod_pattern(&name(&status.canary)),
        stable_pods: template::pod_pattern(&name(&status.stable)),
        canary_hash: hash(&status.canary),
        stable_hash: hash(&status.stable),
        interval: format!("{}ms", interval.as_millis()),
    }
}

/// The same, with pods listed by name where a pattern can't tell the versions apart.
pub(super) fn with_pods(r: &Reconcile, interval: Duration) -> Variables {
    let world = r.world();
    let mut variables = variables(&world.namespace, &world.name, r.status(), interval);
    let (stable, canary) = (r.status().stable.as_ref(), r.status().canary.as_ref());
    variables.stable_pods = listed(r, stable).unwrap_or(variables.stable_pods);
    variables.canary_pods = listed(r, canary).unwrap_or(variables.canary_pods);
    variables
}

/// The pods of a version by name, where their generated names are cut and don't tell the versions
/// apart. Pods that came and went between two reconciles are in no list.
fn listed(r: &Reconcile, version: Option<&Version>) -> Option<String> {
    let version = version.filter(|version| template::is_cut(&version.replica_set))?;
    let of_version = r.world().pods.iter().filter(|pod| pod.hash == version.revision);
    let names: BTreeSet<&str> = of_version.map(|pod| pod.name.as_str()).collect();
    Some(template::listed(names.into_iter()))
}
