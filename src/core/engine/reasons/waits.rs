//! What a rollout waits for.

use super::{Place::Waiting, Reason, reason};

pub(super) const ALL: &[Reason] = &[
    reason(
        Waiting,
        "DeploymentController",
        "The pods are the Deployment's own; Kubernetes' Deployment controller has to say so. After 10 s Steelyard takes them back and tries again.",
        &["waiting for the Deployment controller to take the canary's ReplicaSet as its own"],
    ),
    reason(
        Waiting,
        "Draining",
        "A named pause of the operator's `drain`: connections end before pods do.",
        &[
            "traffic is back on stable: connections to the canary drain",
            "connections to stable drain",
            "routes are as they were: the router lets go of the canary Service",
        ],
    ),
    reason(
        Waiting,
        "Endpoints",
        "The Services' endpoints have to follow their selectors before the rollout goes on.",
        &[
            "waiting for the Services' endpoints to follow their selectors",
            "waiting for both versions behind the Services",
            "both versions stand behind the Services",
            "waiting for the canary alone behind the Services",
        ],
    ),
    reason(
        Waiting,
        "Gate",
        "The step waits for a person. `kubectl steelyard promote` goes on; metrics guard the rollout meanwhile.",
        &["waiting for a person to promote this step: …"],
    ),
    reason(
        Waiting,
        "Handover",
        "Something that the handover of the pods needs does not hold at this moment; each pass looks again.",
        &[
            "the handover waits: …",
            "the Deployment is not paused",
            "the canary's template is not the Deployment's",
            "another ReplicaSet of the Deployment has this template",
            "the ReplicaSets' sizes are not the Deployment's",
            "not all canary pods are available",
            "minReadySeconds differs",
            "the canary's ReplicaSet is older than stable's",
            "a ReplicaSet is being deleted",
            "the canary carries a revision already",
        ],
    ),
    reason(
        Waiting,
        "Hold",
        "The step's `hold` is not over. Metrics are asked meanwhile, and a failing one ends it at once.",
        &["holding … % and measuring", "holding 100 % and measuring, with stable kept to go back to"],
    ),
    reason(
        Waiting,
        "Inconclusive",
        "Prometheus answers, but with no number (no series, NaN), or with too few: neither a pass nor a failure. The weight stays. See whether the query finds the canary's pods; `promote` goes on without it, `abort` takes the traffic back.",
        &[
            "metric …: no data",
            "metric …: not a finite number",
            "metric …: … requests are too few, … are wanted",
            "metrics have no verdict",
            "the step reached its deadline without a verdict",
            "…: it holds and asks",
        ],
    ),
    reason(
        Waiting,
        "Metrics",
        "The hold is over; a metric has not been looked at often enough yet.",
        &["waiting for each metric's verdict"],
    ),
    reason(
        Waiting,
        "MetricsUnavailable",
        "Prometheus can't be reached, or refuses the query: neither a pass nor a failure. The weight stays until it answers. See to Prometheus or to the query; `promote` goes on without it, `abort` takes the traffic back.",
        &["metric …: …: …"],
    ),
    reason(
        Waiting,
        "NativeRollout",
        "The Deployment controller rolls out by itself: the template was never held (see condition Gated), was skipped, or can't be handed over because admission alters it.",
        &[
            "the Deployment rolls out natively: its template is not held",
            "the Deployment controller rolls out while the canary serves",
            "waiting for the Deployment controller's own pods of the new version",
        ],
    ),
    reason(
        Waiting,
        "NotAccepted",
        "The policy, a Service or a route does not fit: condition Accepted says which, and what helps.",
        &["the template stays held: see condition Accepted"],
    ),
    reason(
        Waiting,
        "OldIntent",
        "A retry is asked for, but a wish for the try before would end it at once, or promote it unmeasured. `kubectl steelyard retry` removes it in the same write.",
        &["spec.abort or spec.promote still names this revision: remove it to retry"],
    ),
    reason(
        Waiting,
        "Paused",
        "A person paused it: `kubectl steelyard resume`, or `abort`.",
        &[
            "the gate is open; paused by …: waiting for `resume`",
            "paused by … before … %: waiting for `resume`",
            "the step passed; paused by …: waiting for `resume`",
            "the step has no verdict, and may end; paused by …: waiting for `resume`",
        ],
    ),
    reason(
        Waiting,
        "Preview",
        "Blue-green, before the switch: the new version is reached by the canary Service alone, and measured.",
        &["measuring the preview, which only its own Service leads to"],
    ),
    reason(
        Waiting,
        "Queue",
        "As many rollouts are in flight as the operator's `concurrency` allows. The template stays held meanwhile; namespaces take turns.",
        &["waiting for its turn, … of …: … rollouts are in flight"],
    ),
    reason(
        Waiting,
        "Pods",
        "Pods of the canary have to become ready, or to end. What keeps one from it (image, quota, node, probe) is in the message; at the deadline the rollout comes back.",
        &[
            "waiting for … ready canary pods…",
            "; …: … …",
            "; pods can't be created: …",
            "; …: NotReady …",
            "waiting for the canary's pods to end",
        ],
    ),
    reason(
        Waiting,
        "ReplicaSets",
        "Somebody deleted a ReplicaSet in the middle of the handover.",
        &["a ReplicaSet of the handover is gone", "the canary's ReplicaSet is gone"],
    ),
    reason(
        Waiting,
        "RouteChanged",
        "Somebody changed the route so that it can't carry the step's weight: give the rule its backends back.",
        &["somebody changed the route: …; waiting for it to fit again"],
    ),
    reason(
        Waiting,
        "RouteGone",
        "Somebody deleted the route: apply it again.",
        &["the route was deleted: waiting for it"],
    ),
    reason(
        Waiting,
        "RouteRejected",
        "The gateway says that it can't use the route: what it says is in the message.",
        &["the gateway refuses the route: … …"],
    ),
    reason(
        Waiting,
        "Router",
        "The router has to take the new weight, or to let go of the old version.",
        &[
            "waiting for the route's gateway to take the new weight",
            "waiting for the router's own count of requests to show the shift",
            "all traffic is on the canary: the router lets go of stable",
        ],
    ),
    reason(
        Waiting,
        "Service",
        "Somebody deleted the Service whose traffic is routed: apply it again.",
        &["Service … is gone: waiting for it"],
    ),
    reason(
        Waiting,
        "Settling",
        "A template was pushed, or the Deployment adopted, in the middle of a native rollout: that one ends first.",
        &[
            "the Deployment's pods are between two versions: waiting for one of them to serve alone",
            "the native rollout has settled: the template that was pushed meanwhile is brought now",
        ],
    ),
    reason(
        Waiting,
        "Stable",
        "The ReplicaSet that serves was deleted: the Deployment controller has to make it anew.",
        &[
            "the stable ReplicaSet is gone: waiting for the Deployment controller",
            "waiting for pods of stable before the canary's are ended",
        ],
    ),
    reason(
        Waiting,
        "Twin",
        "An older ReplicaSet has the very template that is to be tried, and still has pods.",
        &["ReplicaSet … has this template, and pods: waiting for them to end"],
    ),
    reason(
        Waiting,
        "Webhook",
        "Another system has to say yes. It is asked again until it does, or until its refusals take the traffic back, as the policy's `onRefusal` says; `kubectl steelyard promote` goes on without it.",
        &[
            "waiting for webhook … to say yes",
            "waiting for webhook … to say yes, attempt …; the last answer: …",
        ],
    ),
    reason(
        Waiting,
        "Window",
        "The step waits for a time of the week. `kubectl steelyard promote` goes on before it.",
        &["the window is shut; it opens on …"],
    ),
    reason(
        Waiting,
        "ZeroReplicas",
        "Nothing can be measured without pods: scale the Deployment up.",
        &["the Deployment is scaled to zero: waiting for replicas"],
    ),
];
