//! Preparing: Services pinned to stable, the canary `ReplicaSet` at 0 pods, its Service. No traffic moves.

use super::{Kind, ReplicaSet, Write, object, pass::Pass, rest, step};
use crate::api::Phase;

/// Does what is missing first.
pub(super) fn go_on(pass: &mut Pass) {
    let Some(stable) = pass.stable() else {
        pass.wait("Stable", "the stable ReplicaSet is gone: waiting for the Deployment controller");
        return;
    };
    if step::suspended(pass) || !cleared(pass, stable) {
        return;
    }
    // These don't depend on each other, for the canary has no pods yet; the next pass sees whether all of them stand.
    let pinned = pass.pin(Some(&stable.hash));
    let Some(canary) = pass.canary() else {
        create(pass);
        return;
    };
    if canary.template != pass.d.template && pass.trial().native.is_none() {
        let pushed = pass.d.template.clone();
        pass.trial().native = Some(pushed);
        let note = "admission changes the template of ReplicaSets: the canary is measured, but it can't be handed over, \
                    so the Deployment controller will start pods of its own";
        pass.tell(true, "TemplateAltered", "Prepare", note);
    }
    if !canary_service(pass) || !pinned {
        return;
    }
    pass.status.phase = Phase::Stepping;
    step::go_on(pass);
}

/// No other `ReplicaSet` of the Deployment may have this template: its controller takes the oldest of them for the new one
/// (`FindNewReplicaSet`). Returns whether there is none.
fn cleared(pass: &mut Pass, stable: &ReplicaSet) -> bool {
    match pass.twin(stable) {
        None => true,
        Some(twin) if twin.replicas == 0 && twin.existing == 0 => {
            pass.writes.push(object::delete(Kind::ReplicaSet, &twin.meta));
            false
        }
        Some(twin) => {
            pass.wait(
                "Twin",
                format!("ReplicaSet {} has this template, and pods: waiting for them to end", twin.meta.name),
            );
            false
        }
    }
}

/// Makes the canary's `ReplicaSet`. A push that came before it renames what is on trial: nothing was made of the former.
fn create(pass: &mut Pass) {
    let known = pass.status.canary.clone().unwrap_or_default();
    if known.generation != pass.d.meta.generation {
        pass.status.canary = Some(rest::minted(pass));
        return;
    }
    let object = object::canary(pass.s, pass.d, pass.r, &known.replica_set, &known.revision);
    pass.writes.push(Write::Create { kind: Kind::ReplicaSet, object });
    canary_service(pass);
}

/// Makes the canary Service, or points it at the canary. Returns whether it stands.
pub(super) fn canary_service(pass: &mut Pass) -> bool {
    let revision = pass.revision();
    let (service, name) = (pass.trial().service.clone(), pass.trial().canary_service.clone());
    let write = match (pass.canary_service(), pass.services().find(|plain| plain.meta.name == service)) {
        (Some(own), _) => object::pin(own, Some(&revision)),
        (None, Some(stable)) => {
            let object = object::canary_service(pass.s, pass.d, pass.r, stable, &name, &revision);
            Some(Write::Create { kind: Kind::Service, object })
        }
        (None, None) => {
            pass.wait("Service", format!("Service {service} is gone: waiting for it"));
            return false;
        }
    };
    let stands = write.is_none();
    pass.writes.extend(write);
    stands
}
