//! Whose a Service is, where the pods of several Deployments under Steelyard stand behind it: the first one's.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Rollout, Service, Snapshot};

/// What decides who is first: the least claim. Two Rollouts that read each other's find the same one, whoever asks, and
/// after a restart too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// No revision of it is on trial: a rollout in flight is never disturbed by one that has yet to begin.
    pub idle: bool,
    /// When its Rollout was created: when it came under Steelyard.
    pub since: Option<Timestamp>,
    /// Its Rollout's uid, for two of one second.
    pub uid: String,
}

impl Claim {
    /// A Rollout's claim.
    pub fn of(rollout: &Rollout) -> Self {
        let (since, uid) = (rollout.meta.created, rollout.meta.uid.clone());
        Self { idle: rollout.status.trial.is_none(), since, uid }
    }
}

/// Another Deployment under Steelyard that claims a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rival {
    /// Its name.
    pub deployment: String,
    /// How it stands to other claims.
    pub claim: Claim,
    /// Its pods that the Service selects; read only before a rollout starts.
    pub pods: BTreeSet<String>,
}

/// Who has a Service, if that is another Deployment.
pub(super) fn first<'a>(s: &Snapshot, service: &'a Service) -> Option<&'a Rival> {
    let own = s.rollout.as_ref().map(Claim::of)?;
    service.rivals.iter().filter(|rival| rival.claim < own).min_by_key(|rival| &rival.claim)
}

/// Who holds a Service now, if that is another Deployment with a rollout in flight: its pin is not ours to change.
pub(super) fn holder<'a>(s: &Snapshot, service: &'a Service) -> Option<&'a Rival> {
    first(s, service).filter(|rival| !rival.claim.idle)
}

/// A Service that the rollout in flight works on and that another one, which came first, works on too: both began in the
/// same moment, and neither saw the other.
pub(super) fn lost(s: &Snapshot) -> Option<(&Service, &Rival)> {
    let trial = s.rollout.as_ref()?.status.trial.as_ref()?;
    let used = |service: &&Service| trial.services.contains(&service.meta.name);
    s.services.iter().filter(used).find_map(|service| Some((service, holder(s, service)?)))
}
