//! Events.

use super::{Place::Event, Reason, reason};

pub(super) const ALL: &[Reason] = &[
    reason(
        Event,
        "CanaryUnready",
        "No canary pod is ready, so none may get traffic. The rollout goes on once one is, or comes back at the deadline.",
        &["no canary pod is ready: its traffic goes to stable until one is"],
    ),
    reason(
        Event,
        "Complete",
        "The new version serves alone, and all is as it was.",
        &[
            "… serves; …",
            "its pods are the ones that were measured",
            "its pods were started by the Deployment controller",
        ],
    ),
    reason(
        Event,
        "EpochAhead",
        "The mark of a later term of leadership than the present one: a leader of old may have written it in its last moment, or a tool brought it back. Steelyard never writes against it.",
        &[
            "… carries epoch … in steelyard.io/epoch, and Steelyard is at …: somebody else wrote that, and nothing is written here as long as it stands: remove it",
        ],
    ),
    reason(
        Event,
        "Left",
        "Steelyard has let go of the Deployment.",
        &[
            "Steelyard no longer manages this Deployment; where it is paused, `kubectl rollout resume` rolls it natively",
        ],
    ),
    reason(Event, "NotAccepted", "A rollout can't start: see above.", &["the message of condition Accepted"]),
    reason(
        Event,
        "NotAdopted",
        "The Deployment controller was too slow or too busy; nothing was lost.",
        &["the Deployment controller did not take the canary's ReplicaSet as its own in time: trying again"],
    ),
    reason(Event, "Orphaned", "See above.", &["…: all traffic goes back to stable"]),
    reason(
        Event,
        "GateOpened",
        "A step that waited for something else goes on.",
        &["the gate of step … of … was opened by ……", "… promoted it past the gate, step … of …"],
    ),
    reason(
        Event,
        "GateShut",
        "A webhook did not say yes. It is asked again, or the traffic is taken back, as the policy's `onRefusal` says.",
        &["webhook … does not let it past step …: …"],
    ),
    reason(
        Event,
        "Preparing",
        "A rollout begins.",
        &[
            "… is held; its canary … is being made",
            "… is held; it served not long ago, so it comes back in one switch, as …",
        ],
    ),
    reason(
        Event,
        "Promoting",
        "The steps are over, or a person left them.",
        &[
            "…: the canary's pods are being handed over to the Deployment",
            "all steps passed",
            "… promoted it past all steps",
        ],
    ),
    reason(
        Event,
        "Released",
        "The Deployment is as it was before the push.",
        &["stable's template is in place again: the Deployment is no longer held"],
    ),
    reason(
        Event,
        "Resized",
        "The Deployment's replicas changed in the moment of the handover: it begins anew.",
        &["the Deployment was resized in the moment of the handover, which begins anew"],
    ),
    reason(
        Event,
        "Retrying",
        "A person asked for another try of what was rolled back.",
        &["… wants … tried again"],
    ),
    reason(
        Event,
        "RolledBack",
        "The old version serves alone again.",
        &[
            "…; the template stays held: push another, or the old one again",
            "…; stable's template is written back",
        ],
    ),
    reason(
        Event,
        "RollingBack",
        "All traffic goes back to the old version, at once.",
        &["…: all traffic goes back to stable"],
    ),
    reason(
        Event,
        "RouteRestored",
        "Somebody, or a GitOps tool that applies the route again and again, took the weight off; Steelyard put it back.",
        &["somebody else changed the route: the canary gets its … % again"],
    ),
    reason(
        Event,
        "Settling",
        "Two native versions were in the middle of a change when a template was pushed.",
        &["a native rollout was on when this template was pushed: it is let to its end first"],
    ),
    reason(
        Event,
        "Skipped",
        "A person let the template roll out natively.",
        &["… wants the template rolled out natively, unmeasured"],
    ),
    reason(Event, "StepPassed", "The step's time is over and every metric passed.", &["step … of … passed"]),
    reason(
        Event,
        "StepUnmeasured",
        "The policy's `onInconclusive` or `onError` says `continue`: the step ends though a metric has no verdict.",
        &["step … of … ends without a verdict, as the policy says: …"],
    ),
    reason(Event, "StepSkipped", "A person left the step.", &["… promoted it past step … of …"]),
    reason(
        Event,
        "TemplateAltered",
        "A webhook or policy changes templates of ReplicaSets, not of Deployments. The rollout goes on; its end starts new pods.",
        &[
            "admission changes the template of ReplicaSets: the canary is measured, but it can't be handed over, so the Deployment controller will start pods of its own",
        ],
    ),
    reason(
        Event,
        "WeightShifted",
        "The route gives the canary this share.",
        &["the canary gets … % of the traffic"],
    ),
    reason(
        Event,
        "Withdrawing",
        "Nobody wants this revision any more: see above for why.",
        &["…: all traffic goes back to stable"],
    ),
];
