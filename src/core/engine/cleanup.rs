//! Restores routes and Services at the end of a rollout.

use super::{
    acceptance, patches,
    plan::{Kind, Write},
    reasons::{Draining, WaitReason},
    reconcile::{Flow, GO_ON, Reconcile, STOP},
};

/// Continues once routes and Services are restored. Deletes the canary Service after the router has
/// had time to stop using it.
pub(super) fn cleaned(r: &mut Reconcile) -> Flow {
    let routes = r.unroute();
    if !routes.is_empty() {
        r.plan(routes);
        r.trial().stage_since = None;
        return STOP;
    }
    r.pin(None)?;
    disowned(r)?;
    let Some(service) = r.canary_service() else { return GO_ON };
    if !r.is_ours(&service.meta) {
        // The user created this canary Service.
        return r.write_all(patches::pin(service, None));
    }
    acceptance::released(r)?;
    r.lasted(r.world().drain, &WaitReason::Draining(Draining::CanaryService))?;
    r.write_all([patches::delete(Kind::Service, &service.meta)])
}

/// Removes Steelyard from `metadata.managedFields` of routes and Services.
fn disowned(r: &mut Reconcile) -> Flow {
    let routes = r.disown_routes();
    let services = r.services().filter_map(|service| patches::disown(Kind::Service, &service.meta));
    let writes: Vec<Write> = routes.into_iter().chain(services).collect();
    r.write_all(writes)
}
