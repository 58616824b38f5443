//! What a rollout waits for: `status.waiting`, and the reason of conditions Progressing and Complete.

use std::fmt;

use strum::{EnumDiscriminants, EnumIter, EnumString, IntoStaticStr};

use super::evidence::{Because, Evidence, Obstacle};
use crate::{analysis::ErrorClass, traffic::gateway::RouteError};

/// What a rollout waits for.
#[derive(Clone, Debug, PartialEq, EnumDiscriminants)]
#[strum_discriminants(name(WaitKind), derive(EnumIter, EnumString, IntoStaticStr))]
#[strum_discriminants(doc = "The word of a [`WaitReason`]: `status.waiting.reason`.")]
#[strum_discriminants(allow(missing_docs))]
pub enum WaitReason {
    /// The Deployment controller has to take the canary's `ReplicaSet` as its own.
    DeploymentController,
    /// Connections and routers get time to leave what no longer serves.
    Draining(Draining),
    /// Endpoints have to follow the selectors of their Services.
    Endpoints(Endpoints),
    /// A person has to promote the step.
    Gate {
        /// What the person has to check.
        message: String,
    },
    /// A precondition of the handover does not hold.
    Handover(Unfit),
    /// The minimum time of the step is not over.
    Hold {
        /// The canary's weight, in percent.
        weight: u8,
    },
    /// The source answered, and a metric has no verdict.
    Inconclusive(Evidence),
    /// The minimum time is over, and a metric has too few measurements.
    Metrics,
    /// The source can't be queried.
    MetricsUnavailable(Evidence),
    /// The Deployment controller rolls out by itself.
    NativeRollout(NativeRollout),
    /// The rollout can't start: see condition Accepted.
    NotAccepted,
    /// A retry is asked for, and an older intent names the same revision.
    OldIntent,
    /// A person paused the rollout.
    Paused(Paused),
    /// Blue-green: the preview is measured before the switch.
    Preview,
    /// As many rollouts are in progress as the operator allows.
    Queue {
        /// Its place, from 1.
        place: usize,
        /// How many wait.
        of: usize,
        /// How many are in progress.
        in_flight: usize,
    },
    /// Pods have to become ready, or to end.
    Pods(Pods),
    /// A `ReplicaSet` that the handover needs is gone.
    ReplicaSets(ReplicaSets),
    /// The route, as another client changed it, can't carry the weight.
    RouteChanged(RouteError),
    /// The route was deleted.
    RouteGone,
    /// The gateway refuses the route.
    RouteRejected {
        /// The reason of the gateway's condition.
        reason: String,
        /// Its message.
        message: String,
    },
    /// The router has to take a weight.
    Router(Router),
    /// The routed Service was deleted.
    Service {
        /// Its name.
        name: String,
    },
    /// A native rollout has to end first.
    Settling(Settling),
    /// Stable has to have a `ReplicaSet`, or pods.
    Stable(Stable),
    /// Another `ReplicaSet` has the template, and pods.
    Twin {
        /// Its name.
        replica_set: String,
    },
    /// A webhook has to approve.
    Webhook {
        /// Its name in the operator's configuration.
        name: String,
        /// How many calls were made.
        attempts: u32,
        /// Its last answer.
        said: Option<String>,
    },
    /// A time of the week has to come.
    Window {
        /// When it opens, in its own time zone.
        opens: String,
    },
    /// The Deployment has no replicas.
    ZeroReplicas,
}

/// What drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draining {
    /// Connections to the canary, after a rollback.
    Canary,
    /// Connections to stable, before the handover.
    Stable,
    /// The router's use of the canary Service.
    CanaryService,
}

/// Whose endpoints a Service has to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoints {
    /// Those of the version that its selector names.
    Selected,
    /// Those of both versions.
    Both,
    /// Those of both versions, for a moment longer.
    Overlap,
    /// The canary's alone.
    CanaryAlone,
}

/// Why the handover can't begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter)]
pub enum Unfit {
    /// The Deployment controller would act at once.
    NotPaused,
    /// The canary is not what was pushed last.
    OtherTemplate,
    /// The Deployment controller would take another `ReplicaSet` for the new one.
    Twin,
    /// One of the `ReplicaSets` is larger or smaller than the Deployment.
    Sizes,
    /// Canary pods are missing.
    NotAvailable,
    /// The Deployment controller would count availability in another way.
    MinReadySeconds,
    /// The Deployment controller would take stable for the new one.
    OlderThanStable,
    /// A `ReplicaSet` is about to go.
    Deleting,
    /// The Deployment controller knows the canary already.
    Numbered,
}

/// What the Deployment controller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeRollout {
    /// The template was never held.
    NotHeld,
    /// It rolls out while the canary serves.
    Running,
    /// It has not created its own pods yet.
    NoPods,
}

/// Where a paused rollout stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paused {
    /// At a gate that is open.
    AtOpenGate {
        /// Who paused it.
        by: String,
    },
    /// Before the next weight.
    BeforeWeight {
        /// Who paused it.
        by: String,
        /// The weight, in percent.
        weight: u8,
    },
    /// After a step that passed.
    AfterPass {
        /// Who paused it.
        by: String,
    },
    /// After a step that the policy lets end without a verdict.
    WithoutVerdict {
        /// Who paused it.
        by: String,
    },
}

/// What canary pods have to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pods {
    /// To be ready.
    Ready {
        /// How many.
        wanted: i32,
        /// What keeps one of them from it, if that is known.
        obstacle: Option<Obstacle>,
    },
    /// To end.
    End,
}

/// Which `ReplicaSet` is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaSets {
    /// One of the two of the handover.
    OfHandover,
    /// The canary's.
    Canary,
}

/// What the router has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Router {
    /// To accept the route.
    Accept,
    /// To show the weight in its own count of requests.
    Observe,
    /// To stop using stable.
    ReleaseStable,
}

/// Where a native rollout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settling {
    /// Two versions have pods.
    Between,
    /// One version serves, and the template that was pushed meanwhile comes next.
    Settled,
}

/// What stable lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stable {
    /// Its `ReplicaSet`.
    Gone,
    /// Ready pods.
    NoPods,
}

impl WaitReason {
    /// The word for programs.
    pub fn word(&self) -> &'static str {
        WaitKind::from(self).into()
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeploymentController => f.write_str(
                "waiting for the Deployment controller to take the canary's ReplicaSet as its own",
            ),
            Self::Draining(what) => what.fmt(f),
            Self::Endpoints(whose) => whose.fmt(f),
            Self::Gate { message } => write!(f, "waiting for a person to promote this step: {message}"),
            Self::Handover(unfit) => write!(f, "the handover waits: {unfit}"),
            Self::Hold { weight: 100 } => {
                f.write_str("holding 100 % and measuring, with stable kept to go back to")
            }
            Self::Hold { weight } => write!(f, "holding {weight} % and measuring"),
            Self::Inconclusive(late @ Evidence::Deadline) => write!(f, "{late}: it holds and asks"),
            Self::Inconclusive(evidence) | Self::MetricsUnavailable(evidence) => evidence.fmt(f),
            Self::Metrics => f.write_str("waiting for each metric's verdict"),
            Self::NativeRollout(what) => what.fmt(f),
            Self::NotAccepted => f.write_str("the template stays held: see condition Accepted"),
            Self::OldIntent => {
                f.write_str("spec.abort or spec.promote still names this revision: remove it to retry")
            }
            Self::Paused(paused) => paused.fmt(f),
            Self::Preview => f.write_str("measuring the preview, which only its own Service leads to"),
            Self::Queue { place, of, in_flight } => {
                let place = ordinal(*place);
                write!(f, "waiting for its turn, {place} of {of}: {in_flight} rollouts are in flight")
            }
            Self::Pods(pods) => pods.fmt(f),
            Self::ReplicaSets(which) => which.fmt(f),
            Self::RouteChanged(error) => {
                write!(f, "somebody changed the route: {error}; waiting for it to fit again")
            }
            Self::RouteGone => f.write_str("the route was deleted: waiting for it"),
            Self::RouteRejected { reason, message } => {
                write!(f, "the gateway refuses the route: {reason} {message}")
            }
            Self::Router(what) => what.fmt(f),
            Self::Service { name } => write!(f, "Service {name} is gone: waiting for it"),
            Self::Settling(settling) => settling.fmt(f),
            Self::Stable(stable) => stable.fmt(f),
            Self::Twin { replica_set } => {
                write!(f, "ReplicaSet {replica_set} has this template, and pods: waiting for them to end")
            }
            Self::Webhook { name, said: None, .. } => write!(f, "waiting for webhook {name} to say yes"),
            Self::Webhook { name, attempts, said: Some(said) } => write!(
                f,
                "waiting for webhook {name} to say yes, attempt {attempts}; the last answer: {said}"
            ),
            Self::Window { opens } => write!(f, "the window is shut; it opens on {opens}"),
            Self::ZeroReplicas => f.write_str("the Deployment is scaled to zero: waiting for replicas"),
        }
    }
}

impl fmt::Display for Draining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Canary => "traffic is back on stable: connections to the canary drain",
            Self::Stable => "connections to stable drain",
            Self::CanaryService => "routes are as they were: the router lets go of the canary Service",
        })
    }
}

impl fmt::Display for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Selected => "waiting for the Services' endpoints to follow their selectors",
            Self::Both => "waiting for both versions behind the Services",
            Self::Overlap => "both versions stand behind the Services",
            Self::CanaryAlone => "waiting for the canary alone behind the Services",
        })
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPaused => "the Deployment is not paused",
            Self::OtherTemplate => "the canary's template is not the Deployment's",
            Self::Twin => "another ReplicaSet of the Deployment has this template",
            Self::Sizes => "the ReplicaSets' sizes are not the Deployment's",
            Self::NotAvailable => "not all canary pods are available",
            Self::MinReadySeconds => "minReadySeconds differs",
            Self::OlderThanStable => "the canary's ReplicaSet is older than stable's",
            Self::Deleting => "a ReplicaSet is being deleted",
            Self::Numbered => "the canary carries a revision already",
        })
    }
}

impl fmt::Display for NativeRollout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHeld => "the Deployment rolls out natively: its template is not held",
            Self::Running => "the Deployment controller rolls out while the canary serves",
            Self::NoPods => "waiting for the Deployment controller's own pods of the new version",
        })
    }
}

impl fmt::Display for Paused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOpenGate { by } => write!(f, "the gate is open; paused by {by}")?,
            Self::BeforeWeight { by, weight } => write!(f, "paused by {by} before {weight} %")?,
            Self::AfterPass { by } => write!(f, "the step passed; paused by {by}")?,
            Self::WithoutVerdict { by } => {
                write!(f, "the step has no verdict, and may end; paused by {by}")?;
            }
        }
        f.write_str(": waiting for `resume`")
    }
}

impl fmt::Display for Pods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { wanted, obstacle } => {
                write!(f, "waiting for {wanted} ready canary pods{}", Because(obstacle.as_ref()))
            }
            Self::End => f.write_str("waiting for the canary's pods to end"),
        }
    }
}

impl fmt::Display for ReplicaSets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OfHandover => "a ReplicaSet of the handover is gone",
            Self::Canary => "the canary's ReplicaSet is gone",
        })
    }
}

impl fmt::Display for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "waiting for the route's gateway to take the new weight",
            Self::Observe => "waiting for the router's own count of requests to show the shift",
            Self::ReleaseStable => "all traffic is on the canary: the router lets go of stable",
        })
    }
}

impl fmt::Display for Settling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Between => {
                "the Deployment's pods are between two versions: waiting for one of them to serve alone"
            }
            Self::Settled => {
                "the native rollout has settled: the template that was pushed meanwhile is brought now"
            }
        })
    }
}

impl fmt::Display for Stable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "the stable ReplicaSet is gone: waiting for the Deployment controller",
            Self::NoPods => "waiting for pods of stable before the canary's are ended",
        })
    }
}

/// 1st, 2nd, 3rd, 4th, 11th, 21st.
fn ordinal(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (1, of) if of != 11 => "st",
        (2, of) if of != 12 => "nd",
        (3, of) if of != 13 => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

impl WaitKind {
    /// What it means, and what helps.
    pub fn help(self) -> &'static str {
        match self {
            Self::DeploymentController => {
                "The pods are the Deployment's own; Kubernetes' Deployment controller has to say so. \
                 After 10 s Steelyard takes them back and tries again."
            }
            Self::Draining => "A named pause of the operator's `drain`: connections end before pods do.",
            Self::Endpoints => {
                "The Services' endpoints have to follow their selectors before the rollout goes on."
            }
            Self::Gate => {
                "The step waits for a person. `kubectl steelyard promote` goes on; metrics guard the \
                 rollout meanwhile."
            }
            Self::Handover => {
                "Something that the handover of the pods needs does not hold; each reconcile checks \
                 again."
            }
            Self::Hold => {
                "The step's `hold` is not over. Metrics are queried meanwhile, and a failing one ends \
                 it at once."
            }
            Self::Inconclusive => {
                "Prometheus answers, but with no number (no series, NaN), or with too few: neither a \
                 pass nor a failure. The weight stays. See whether the query finds the canary's pods; \
                 `promote` goes on without it, `abort` takes the traffic back."
            }
            Self::Metrics => "The hold is over; a metric has not been measured often enough yet.",
            Self::MetricsUnavailable => {
                "Prometheus can't be reached, or refuses the query: neither a pass nor a failure. The \
                 weight stays until it answers. Check Prometheus or the query; `promote` goes on \
                 without it, `abort` takes the traffic back."
            }
            Self::NativeRollout => {
                "The Deployment controller rolls out by itself: the template was never held (see \
                 condition Gated), was skipped, or can't be handed over because admission alters it."
            }
            Self::NotAccepted => {
                "The policy, a Service or a route does not fit: condition Accepted says which, and what \
                 helps."
            }
            Self::OldIntent => {
                "A retry is asked for, but an intent for the try before would end it at once, or \
                 promote it unmeasured. `kubectl steelyard retry` removes it in the same write."
            }
            Self::Paused => "A person paused it: `kubectl steelyard resume`, or `abort`.",
            Self::Preview => {
                "Blue-green, before the switch: the new version is reached by the canary Service \
                 alone, and measured."
            }
            Self::Queue => {
                "As many rollouts are in progress as the operator's `concurrency` allows. The template \
                 stays held meanwhile; namespaces take turns."
            }
            Self::Pods => {
                "Pods of the canary have to become ready, or to end. What keeps one from it (image, \
                 quota, node, probe) is in the message; at the deadline the rollout is rolled back."
            }
            Self::ReplicaSets => "A ReplicaSet was deleted during the handover.",
            Self::RouteChanged => {
                "Another client changed the route so that it can't carry the step's weight: give the \
                 rule its backends back."
            }
            Self::RouteGone => "The route was deleted: apply it again.",
            Self::RouteRejected => {
                "The gateway says that it can't use the route: what it says is in the message."
            }
            Self::Router => "The router has to take the new weight, or to stop using the old version.",
            Self::Service => "The Service whose traffic is routed was deleted: apply it again.",
            Self::Settling => {
                "A template was pushed, or the Deployment adopted, during a native rollout: that one \
                 ends first."
            }
            Self::Stable => {
                "The ReplicaSet that serves was deleted: the Deployment controller has to create it \
                 again."
            }
            Self::Twin => {
                "An older ReplicaSet has the very template that is to be tried, and still has pods."
            }
            Self::Webhook => {
                "Another system has to say yes. It is called again until it does, or until its \
                 refusals take the traffic back, as the policy's `onRefusal` says; `kubectl steelyard \
                 promote` goes on without it."
            }
            Self::Window => {
                "The step waits for a time of the week. `kubectl steelyard promote` goes on before it."
            }
            Self::ZeroReplicas => "Nothing can be measured without pods: scale the Deployment up.",
        }
    }

    /// One value for each sentence that it has, for the docs.
    pub fn examples(self) -> Vec<WaitReason> {
        use WaitReason as W;
        let by = || "ann".to_owned();
        let metric = || "success-rate".to_owned();
        match self {
            Self::DeploymentController => vec![W::DeploymentController],
            Self::Draining => {
                [Draining::Canary, Draining::Stable, Draining::CanaryService].map(W::Draining).into()
            }
            Self::Endpoints => {
                [Endpoints::Selected, Endpoints::Both, Endpoints::Overlap, Endpoints::CanaryAlone]
                    .map(W::Endpoints)
                    .into()
            }
            Self::Gate => vec![W::Gate { message: "check the dashboards".to_owned() }],
            Self::Handover => {
                use strum::IntoEnumIterator as _;
                Unfit::iter().map(W::Handover).collect()
            }
            Self::Hold => vec![W::Hold { weight: 25 }, W::Hold { weight: 100 }],
            Self::Inconclusive => [
                Evidence::NoData { metric: metric() },
                Evidence::NonFinite { metric: metric() },
                Evidence::TooFew { metric: metric(), found: 12.0, wanted: 100.0 },
                Evidence::Nothing,
                Evidence::Deadline,
            ]
            .map(W::Inconclusive)
            .into(),
            Self::Metrics => vec![W::Metrics],
            Self::MetricsUnavailable => vec![W::MetricsUnavailable(Evidence::Error {
                metric: metric(),
                class: ErrorClass::Timeout,
                message: "no answer within 10s".to_owned(),
            })],
            Self::NativeRollout => [NativeRollout::NotHeld, NativeRollout::Running, NativeRollout::NoPods]
                .map(W::NativeRollout)
                .into(),
            Self::NotAccepted => vec![W::NotAccepted],
            Self::OldIntent => vec![W::OldIntent],
            Self::Paused => [
                Paused::AtOpenGate { by: by() },
                Paused::BeforeWeight { by: by(), weight: 50 },
                Paused::AfterPass { by: by() },
                Paused::WithoutVerdict { by: by() },
            ]
            .map(W::Paused)
            .into(),
            Self::Preview => vec![W::Preview],
            Self::Queue => vec![W::Queue { place: 2, of: 5, in_flight: 3 }],
            Self::Pods => {
                let pod = || "web-0a86lw5tz-57rxk".to_owned();
                let obstacles = [
                    None,
                    Some(Obstacle::Trouble {
                        pod: pod(),
                        reason: "ErrImagePull".to_owned(),
                        message: "no such image".to_owned(),
                    }),
                    Some(Obstacle::NotCreated { message: "exceeded quota: pods=4".to_owned() }),
                    Some(Obstacle::NotReady { pod: pod(), message: "unready: [app]".to_owned() }),
                ];
                let ready = obstacles.map(|obstacle| Pods::Ready { wanted: 2, obstacle });
                ready.into_iter().chain([Pods::End]).map(W::Pods).collect()
            }
            Self::ReplicaSets => [ReplicaSets::OfHandover, ReplicaSets::Canary].map(W::ReplicaSets).into(),
            Self::RouteChanged => {
                vec![W::RouteChanged(RouteError::NotNamed { service: "web".to_owned() })]
            }
            Self::RouteGone => vec![W::RouteGone],
            Self::RouteRejected => vec![W::RouteRejected {
                reason: "NoMatchingParent".to_owned(),
                message: "the Gateway has no such listener".to_owned(),
            }],
            Self::Router => [Router::Accept, Router::Observe, Router::ReleaseStable].map(W::Router).into(),
            Self::Service => vec![W::Service { name: "web".to_owned() }],
            Self::Settling => [Settling::Between, Settling::Settled].map(W::Settling).into(),
            Self::Stable => [Stable::Gone, Stable::NoPods].map(W::Stable).into(),
            Self::Twin => vec![W::Twin { replica_set: "web-5d8c9b7f4".to_owned() }],
            Self::Webhook => {
                let name = || "qa".to_owned();
                vec![
                    W::Webhook { name: name(), attempts: 1, said: None },
                    W::Webhook { name: name(), attempts: 3, said: Some("409 not yet".to_owned()) },
                ]
            }
            Self::Window => {
                vec![W::Window { opens: "Mon 30 Nov 2026 at 09:00 Europe/Berlin".to_owned() }]
            }
            Self::ZeroReplicas => vec![W::ZeroReplicas],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_the_queue_read_as_people_count() {
        let places = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal);
        let wanted = ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"];
        assert_eq!(places, wanted);
    }
}
