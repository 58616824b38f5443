//! Both versions behind the Services, between stable alone and the canary alone.

use jiff::SignedDuration;

use super::{
    reasons::{Endpoints, WaitReason},
    reconcile::{EndsBy, Flow, Reconcile, Since},
    snapshot::Service,
};

/// how long both versions are behind the Services before they are narrowed: kube-proxy's own pace.
pub(super) const OVERLAP: SignedDuration = SignedDuration::from_secs(1);

/// Puts both versions behind the Services, and goes on once they have been there long enough.
pub(super) fn widened(r: &mut Reconcile) -> Flow {
    if let stop @ Flow::Break(_) = r.pin(None) {
        r.trial().stage_since = None;
        return stop;
    }
    let (stable, canary, n) = (r.stable_revision(), r.revision(), r.deployment().replicas);
    let behind = |service: &Service| r.ready(service, &canary) >= n && r.ready(service, &stable) > 0;
    if !r.services().all(behind) {
        r.trial().stage_since = None;
        let both = WaitReason::Endpoints(Endpoints::Both);
        return r.wait(&both, Since::FirstReported, EndsBy::Person);
    }
    r.lasted(OVERLAP, &WaitReason::Endpoints(Endpoints::Overlap))
}
