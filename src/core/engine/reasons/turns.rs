//! Why traffic was taken back.

use super::{
    Place::{Failure, Withdrawal},
    Reason, reason,
};

pub(super) const ALL: &[Reason] = &[
    reason(Failure, "Aborted", "A person aborted it; the message says who.", &["aborted by …"]),
    reason(
        Failure,
        "CanaryChanged",
        "What is on trial would no longer be what was pushed.",
        &["somebody changed the template of the canary's ReplicaSet"],
    ),
    reason(
        Failure,
        "CanaryGone",
        "Somebody deleted the canary's ReplicaSet.",
        &["the canary ReplicaSet was deleted"],
    ),
    reason(
        Failure,
        "CrashLoop",
        "A canary pod is in CrashLoopBackOff, or was started again twice: see its log.",
        &["pod … crashed again and again (… restarts)"],
    ),
    reason(
        Failure,
        "Failed",
        "An earlier leader had taken the traffic back and was gone before it could say why.",
        &[
            "traffic was taken back before this term of leadership began",
            "this template was rejected before this Rollout was made",
        ],
    ),
    reason(
        Failure,
        "GateRefused",
        "A webhook that the policy asks with `onRefusal: fail` said no, or nothing, more often than its `retries` allow.",
        &["webhook … refused it in … of … attempts, the last time with: …"],
    ),
    reason(
        Failure,
        "Inconclusive",
        "There was nothing to compare for too long, and the policy's `onInconclusive` says `fail`. See whether the query finds the canary's pods; `retry` tries it again.",
        &["metric …: no data", "the step reached its deadline without a verdict"],
    ),
    reason(
        Failure,
        "MetricFailed",
        "A metric missed its bound more often than `failureLimit` allows. `status.failure` has the query as sent, and the value.",
        &[
            "metric … is …, …",
            "below min …",
            "above max …",
            "out of bounds",
            "metric … has no data, which its noData says is a failure",
        ],
    ),
    reason(
        Failure,
        "MetricsUnavailable",
        "Prometheus couldn't be asked for too long, and the policy's `onError` says `fail`. It may be no fault of the new version's: `retry` tries it again.",
        &["metric …: …: …"],
    ),
    reason(
        Failure,
        "PodsNotReady",
        "The canary's pods were not ready within the policy's `deadline`; the message names what kept them.",
        &["the canary's pods were not ready in time…"],
    ),
    reason(
        Failure,
        "RouterSilent",
        "No gateway said within the policy's `deadline` that it had taken the route's weight.",
        &["no gateway took the route's new weight in time"],
    ),
    reason(
        Failure,
        "EndpointsSilent",
        "The endpoints of a Service did not become those of the version it was switched to within the policy's `deadline`.",
        &["the Services' endpoints did not follow their selectors in time"],
    ),
    reason(
        Withdrawal,
        "Conflict",
        "Two Deployments behind one Service began at once; the one that came under Steelyard first goes on.",
        &["Service … was claimed by Deployment … in the same moment"],
    ),
    reason(
        Withdrawal,
        "Left",
        "The annotation was taken off, or the Rollout or the Deployment is being deleted.",
        &["Steelyard is asked to leave"],
    ),
    reason(
        Withdrawal,
        "Orphaned",
        "The Rollout was deleted by force in the middle; what it left behind was found and sent home.",
        &["a rollout was in flight that this Rollout knows nothing of"],
    ),
    reason(
        Withdrawal,
        "Released",
        "Somebody let go of the held Deployment.",
        &["the Deployment was resumed by somebody else"],
    ),
    reason(
        Withdrawal,
        "Skipped",
        "A person wants it rolled out natively; the message says who.",
        &["… wants it rolled out natively, unmeasured"],
    ),
    reason(
        Withdrawal,
        "Superseded",
        "The newest template is tried; those between never serve.",
        &["a newer template was pushed"],
    ),
    reason(
        Withdrawal,
        "Withdrawn",
        "The Deployment is let go; no pod starts.",
        &["stable's template was pushed again"],
    ),
];
