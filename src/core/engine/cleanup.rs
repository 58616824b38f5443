//! Gives routes and Services back as they were before the rollout.

use super::{
    patches,
    plan::{Kind, Write},
    reasons::{Draining, WaitReason},
    reconcile::{Flow, GO_ON, Reconcile, STOP},
};
use crate::api;

/// Goes on once routes and Services are as they were. The canary Service goes once the router had time
/// to stop using it.
pub(super) fn cleaned(r: &mut Reconcile) -> Flow {
    if let Some(write) = r.unroute() {
        r.write(write);
        r.trial().stage_since = None;
        return STOP;
    }
    r.pin(None)?;
    disowned(r)?;
    let Some(service) = r.canary_service() else { return GO_ON };
    if !service.meta.labels.contains_key(api::ROLLOUT) {
        // The user's own.
        return r.write_all(patches::pin(service, None));
    }
    r.lasted(r.world().drain, &WaitReason::Draining(Draining::CanaryService))?;
    r.write_all([patches::delete(Kind::Service, &service.meta)])
}

/// Gives the record of who set the fields of routes and Services back as well.
fn disowned(r: &mut Reconcile) -> Flow {
    let route = r.route().and_then(|(route, _)| patches::disown(Kind::HttpRoute, &route.meta));
    let services = r.services().filter_map(|service| patches::disown(Kind::Service, &service.meta));
    let writes: Vec<Write> = route.into_iter().chain(services).collect();
    r.write_all(writes)
}
