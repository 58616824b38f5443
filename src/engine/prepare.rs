//! Preparing: Services pinned to stable, the canary `ReplicaSet` at 0 pods, its Service. No traffic moves.

use super::{Kind, Write, back, object, pass::Pass};
use crate::api::{self, Phase};

/// Does what is missing first.
pub(super) fn go_on(pass: &mut Pass) {
    let Some(stable) = pass.stable() else {
        pass.wait("Stable", "the stable ReplicaSet is gone: waiting for the Deployment controller");
        return;
    };
    let twin = pass.s.replica_sets.iter().find(|set| {
        let own = set.controller.as_deref() == Some(&pass.d.meta.uid);
        own && set.meta.name != stable.meta.name
            && set.template == pass.d.template
            && set.replicas == 0
            && set.existing == 0
    });
    if let Some(twin) = twin {
        // The Deployment controller takes the oldest ReplicaSet with this template for the new one (FindNewReplicaSet).
        pass.writes.push(object::delete(Kind::ReplicaSet, &twin.meta));
        return;
    }
    if !pass.pin(Some(&stable.hash)) {
        return;
    }
    let revision = pass.revision();
    let Some(canary) = pass.canary() else {
        let name = pass.status.canary.as_ref().map(|canary| canary.replica_set.clone()).unwrap_or_default();
        let object = object::canary(pass.s, pass.d, pass.r, &name, &revision);
        pass.writes.push(Write::Create { kind: Kind::ReplicaSet, object });
        return;
    };
    if canary.template != pass.d.template {
        // The template is compared with the Deployment's on every pass before this one; here it was changed on its way.
        back::fail(
            pass,
            "TemplateAltered",
            "admission changes the template of ReplicaSets, so the canary is not what was pushed",
            None,
        );
        return;
    }
    let service = pass.status.trial.as_ref().map(|trial| trial.service.clone()).unwrap_or_default();
    let name = pass.status.trial.as_ref().map(|trial| trial.canary_service.clone()).unwrap_or_default();
    match (pass.canary_service(), pass.services().find(|plain| plain.meta.name == service)) {
        (Some(own), _) => {
            if let Some(write) = object::pin(own, Some(&revision)) {
                pass.writes.push(write);
                return;
            }
        }
        (None, Some(stable)) => {
            let object = object::canary_service(pass.s, pass.r, stable, &name, &revision);
            pass.writes.push(Write::Create { kind: Kind::Service, object });
            return;
        }
        (None, None) => {
            pass.wait("Service", format!("Service {service} is gone: waiting for it"));
            return;
        }
    }
    debug_assert!(stable.meta.labels.contains_key(api::HASH));
    pass.status.phase = Phase::Stepping;
    let now = pass.s.now;
    pass.trial().step_since = Some(now);
}
