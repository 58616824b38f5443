//! The canary Service, which selects only the canary's pods.

use super::{
    manifests, patches,
    reasons::WaitReason,
    reconcile::{EndsBy, Flow, Reconcile, Since},
};

/// Continues once the canary Service exists and selects the canary.
pub(super) fn ensure(r: &mut Reconcile) -> Flow {
    let revision = r.revision();
    let (service, name) = (r.trial().service.clone(), r.trial().canary_service.clone());
    if let Some(own) = r.canary_service() {
        return r.write_all(patches::pin(own, Some(&revision)));
    }
    let Some(stable) = r.services().find(|stable| stable.meta.name == service) else {
        let gone = WaitReason::Service { name: service };
        return r.wait(&gone, Since::FirstReported, EndsBy::Person);
    };
    let (s, d, rollout) = (r.world(), r.deployment(), r.rollout());
    r.write_all([manifests::canary_service(s, d, rollout, stable, &name, &revision)])
}
