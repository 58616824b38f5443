//! The handover of a `ReplicaSet` between Steelyard and the Deployment controller
//! (`pkg/controller/deployment/util`).

use serde_json::{Map, Value, json};

use super::{
    operations::{add, replace},
    write::{patch, unstamped},
};
use crate::{
    api,
    engine::{
        manifests::{controlled_by, owned_by},
        plan::{Kind, Stamp, Write},
        snapshot::{Deployment, Meta, ReplicaSet, Rollout},
    },
};

/// The annotation with which the Deployment controller numbers its `ReplicaSets`.
pub(in crate::engine) const REVISION: &str = "deployment.kubernetes.io/revision";

/// Hands the canary `ReplicaSet` over to the Deployment: sets the owner, the labels and the two
/// annotations by which the Deployment controller recognizes a saturated `ReplicaSet`
/// (`IsSaturated`), in one patch.
pub(in crate::engine) fn transfer_to_deployment(d: &Deployment, meta: &Meta, hash: &str) -> Write {
    let mut labels: Map<String, Value> =
        d.template["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.insert(api::HASH.to_owned(), json!(hash));
    let mut owner = controlled_by(d);
    owner["blockOwnerDeletion"] = json!(true);
    let annotations = json!({
        "deployment.kubernetes.io/desired-replicas": d.replicas.to_string(),
        "deployment.kubernetes.io/max-replicas": (d.replicas + d.max_surge).to_string(),
    });
    let ops = vec![
        replace(["metadata", "ownerReferences"], json!([owner])),
        add(["metadata", "labels"], Value::Object(labels)),
        add(["metadata", "annotations"], annotations),
    ];
    unstamped(Kind::ReplicaSet, meta, ops)
}

/// Takes a transferred `ReplicaSet` back: undoes what [`transfer_to_deployment`] and the Deployment
/// controller wrote on it, in one patch.
pub(in crate::engine) fn transfer_to_rollout(d: &Deployment, r: &Rollout, set: &ReplicaSet) -> Write {
    let labels = json!({(api::ROLLOUT): r.meta.name, (api::HASH): set.hash});
    let ops = vec![
        replace(["metadata", "ownerReferences"], json!(owned_by(&r.meta, d))),
        add(["metadata", "labels"], labels),
        add(["metadata", "annotations"], json!({})),
    ];
    patch(Kind::ReplicaSet, &set.meta, ops, Stamp::Annotation { exists: true })
}

/// Returns the Deployment controller's number of a `ReplicaSet`, if it has one.
pub(in crate::engine) fn number(meta: &Meta) -> Option<u64> {
    meta.annotations.get(REVISION)?.parse().ok()
}

/// Numbers a `ReplicaSet` in place of the Deployment controller.
pub(in crate::engine) fn numbered(meta: &Meta, number: u64) -> Write {
    let op = add(["metadata", "annotations", REVISION], json!(number.to_string()));
    unstamped(Kind::ReplicaSet, meta, vec![op])
}
