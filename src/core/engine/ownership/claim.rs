//! Whose a Service is that selects the pods of several Deployments under Steelyard: the first one's.

use crate::engine::snapshot::{Claim, Rival, Service, Snapshot};

/// Who has a Service, if that is another Deployment.
pub(in crate::engine) fn first<'a>(s: &Snapshot, service: &'a Service) -> Option<&'a Rival> {
    let own = s.rollout.as_ref().map(Claim::of)?;
    service.rivals.iter().filter(|rival| rival.claim < own).min_by_key(|rival| &rival.claim)
}

/// Who holds a Service now, if that is another Deployment with a rollout in flight: its pin is not ours to change.
pub(in crate::engine) fn holder<'a>(s: &Snapshot, service: &'a Service) -> Option<&'a Rival> {
    first(s, service).filter(|rival| !rival.claim.idle)
}

/// A Service that the rollout in flight works on and that another one, which came first, works on too: both began in the
/// same moment, and neither saw the other.
pub(in crate::engine) fn lost(s: &Snapshot) -> Option<(&Service, &Rival)> {
    let trial = s.rollout.as_ref()?.status.trial.as_ref()?;
    let used = |service: &&Service| trial.services.contains(&service.meta.name);
    s.services.iter().filter(used).find_map(|service| Some((service, holder(s, service)?)))
}
