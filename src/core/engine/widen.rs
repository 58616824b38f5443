//! Services that select both versions, between stable only and the canary only.

use jiff::SignedDuration;

use super::{
    reasons::{Endpoints, WaitReason},
    reconcile::{EndsBy, Flow, Reconcile, Since},
    snapshot::Service,
};

/// How long the Services select both versions before they are narrowed: kube-proxy needs this time
/// to follow.
pub(super) const OVERLAP: SignedDuration = SignedDuration::from_secs(1);

/// Makes the Services select both versions, and continues once they have done so for [`OVERLAP`].
pub(super) fn widened(r: &mut Reconcile) -> Flow {
    if let stop @ Flow::Break(_) = r.pin(None) {
        r.trial().stage_since = None;
        return stop;
    }
    let (stable, canary, n) = (r.stable_revision(), r.revision(), r.deployment().replicas);
    let behind = |service: &Service| {
        r.ready(service, &canary) >= n && (r.ready(service, &stable) > 0 || r.stable_pin(service).is_none())
    };
    if !r.services().all(behind) {
        r.trial().stage_since = None;
        let both = WaitReason::Endpoints(Endpoints::Both);
        return r.wait(&both, Since::FirstReported, EndsBy::Person);
    }
    r.lasted(OVERLAP, &WaitReason::Endpoints(Endpoints::Overlap))
}
