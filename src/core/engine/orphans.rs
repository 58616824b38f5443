//! What a Rollout left behind that was deleted by force: found by its label, and sent home like any other rollout.

use super::{Kind, ReplicaSet, Service, object, pass::Pass};
use crate::{
    api::{self, Failure, Phase, Trial},
    traffic::gateway::{self, Pair},
};

/// Looks for remains without a memory of them. Returns whether there are some.
pub(super) fn found(pass: &mut Pass) -> bool {
    let service =
        pass.s.services.iter().find(|service| !service.meta.deleting && ours(pass, &service.meta.labels));
    let known = pass.status.canary.as_ref().map(|canary| canary.replica_set.clone());
    let set = loose(pass).find(|set| Some(&set.meta.name) != known.as_ref() && !rejected_by_mark(pass, set));
    match (service, set) {
        (None, None) => return false,
        (None, Some(set)) if set.replicas == 0 && set.existing == 0 => {
            pass.writes.push(object::delete(Kind::ReplicaSet, &set.meta));
            return true;
        }
        _ => {}
    }
    pass.status.phase = Phase::RollingBack;
    pass.status.canary = set.map(|set| super::rest::version(&set.hash, &set.meta.name, &set.template, 0));
    let message = "a rollout was in flight that this Rollout knows nothing of".to_owned();
    pass.status.failure =
        Some(Failure { reason: "Orphaned".into(), message: message.clone(), ..Failure::default() });
    pass.status.trial = Some(service.map(|service| memory(pass, service)).unwrap_or_default());
    pass.writes.extend(object::finalizer(pass.r, true));
    pass.tell(true, "Orphaned", "SendHome", format!("{message}: all traffic goes back to stable"));
    true
}

/// What can be known of the lost rollout: the route's weights of before can't.
fn memory(pass: &Pass, service: &Service) -> Trial {
    let stable = service.meta.labels.get(api::CANARY_OF).cloned().unwrap_or_default();
    let pair = Pair { namespace: &pass.s.namespace, stable: &stable, canary: &service.meta.name };
    let touched = pass.s.routes.iter().filter(|route| gateway::names_canary(&route.spec, &pair));
    let routes =
        touched.map(|route| (route.meta.name.clone(), gateway::unknown(&route.spec, &pair))).collect();
    Trial { service: stable, canary_service: service.meta.name.clone(), routes, ..Trial::default() }
}

/// The `ReplicaSet` by which a rejected template is known, and why it was rejected.
pub(super) fn rejected<'a>(pass: &Pass<'a>) -> Option<(&'a ReplicaSet, String)> {
    loose(pass)
        .find(|set| rejected_by_mark(pass, set))
        .map(|set| (set, set.meta.annotations[api::FAILED].clone()))
}

fn rejected_by_mark(pass: &Pass, set: &ReplicaSet) -> bool {
    set.meta.annotations.contains_key(api::FAILED) && set.template == pass.d.template
}

/// Canaries that are nobody's, or ours.
fn loose<'a>(pass: &Pass<'a>) -> impl Iterator<Item = &'a ReplicaSet> + use<'a> {
    let (d, r, s) = (pass.d, pass.r, pass.s);
    s.replica_sets.iter().filter(move |set| {
        !d.owns(set) && !set.meta.deleting && set.meta.labels.get(api::ROLLOUT) == Some(&r.meta.name)
    })
}

fn ours(pass: &Pass, labels: &std::collections::BTreeMap<String, String>) -> bool {
    labels.get(api::ROLLOUT) == Some(&pass.r.meta.name)
}
