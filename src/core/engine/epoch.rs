//! Marks of a later leadership epoch than the one that decides.

use super::{plan::Event, reasons::EventReason, snapshot::Snapshot};

/// An object that carries a later epoch than this term's, with its epoch.
///
/// Whoever may write the object may write the mark, so it ends no leadership by itself: the lease is asked.
pub fn later(snapshot: &Snapshot) -> Option<(String, u64)> {
    let status = snapshot.rollout.iter().map(|r| ("Rollout", r.meta.name.as_str(), r.status.epoch));
    let deployment = snapshot.deployment.iter().map(|d| ("Deployment", &d.meta));
    let sets = snapshot.replica_sets.iter().map(|set| ("ReplicaSet", &set.meta));
    let services = snapshot.services.iter().map(|service| ("Service", &service.meta));
    let used = snapshot.rollout.iter().filter_map(|r| r.status.trial.as_ref()).flat_map(|t| t.routes.keys());
    let used: Vec<&String> = used.collect();
    let routes = snapshot.routes.iter().filter(|route| used.contains(&&route.meta.name));
    let routes = routes.map(|route| ("HTTPRoute", &route.meta));
    let objects = deployment.chain(sets).chain(services).chain(routes);
    let marks = objects.map(|(kind, meta)| (kind, meta.name.as_str(), meta.epoch)).chain(status);
    marks
        .filter(|(_, _, epoch)| *epoch > snapshot.epoch)
        .map(|(kind, name, epoch)| (format!("{kind} {name}"), epoch))
        .next()
}

/// The Event of such a mark, once the lease shows that this process still leads.
pub fn foreign(object: &str, found: u64, own: u64) -> Event {
    Event::of(&EventReason::EpochAhead { object: object.to_owned(), found, own })
}
