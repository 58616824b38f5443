//! What a rollout waits for: `status.waiting`, and the reason of conditions Progressing and
//! Complete.

use std::fmt;

use strum::{EnumDiscriminants, EnumIter, EnumString, IntoStaticStr};

use super::evidence::{Because, Evidence, Lack, Obstacle, Rejection};
use crate::{
    analysis::ErrorClass,
    engine::{snapshot::Trouble, written::RefusedWrite},
    policy::{Fault, Faults, Problem},
    traffic::{RouteError, Weight},
};

/// What a rollout waits for.
#[derive(Clone, Debug, PartialEq, EnumDiscriminants)]
#[strum_discriminants(name(WaitKind), derive(EnumIter, EnumString, IntoStaticStr))]
#[strum_discriminants(doc = "The kind of a [`WaitReason`]: `status.waiting.reason`.")]
#[strum_discriminants(allow(missing_docs))]
pub enum WaitReason {
    /// The Deployment controller has to use the canary's `ReplicaSet` as the new one.
    DeploymentController,
    /// Connections and routers have time to stop using what no longer serves.
    Draining(Draining),
    /// Endpoints have to match the selectors of their Services.
    Endpoints(Endpoints),
    /// A person has to promote the step.
    Gate {
        /// What the person has to check.
        message: String,
    },
    /// A precondition of the handover is not met.
    Handover(Unfit),
    /// The duration of the step is not over.
    StepDuration {
        /// The canary's weight.
        weight: Weight,
    },
    /// The source answered, and a metric has no verdict.
    Inconclusive(Evidence),
    /// The duration is over, and a metric has too few measurements.
    Metrics,
    /// The source can't be queried.
    MetricsUnavailable(Evidence),
    /// The Deployment rolls out natively.
    NativeRollout(NativeRollout),
    /// The rollout can't start: see condition Accepted.
    NotAccepted,
    /// A retry is requested, and an older intent names the same revision.
    OldIntent,
    /// A person paused the rollout.
    Paused(Paused),
    /// The policy that the rollout started with can't be run.
    Policy(Unrunnable),
    /// Blue-green: the preview is measured before the switch.
    Preview,
    /// The limit of concurrent rollouts is reached.
    Queue {
        /// Its place, counted from 1.
        place: usize,
        /// The length of the queue.
        of: usize,
        /// The number of rollouts in progress.
        in_flight: usize,
    },
    /// Pods have to become ready or to terminate.
    Pods(Pods),
    /// The canary's `ReplicaSet` was deleted during the handover.
    ReplicaSets,
    /// The route, as another client changed it, can't carry the weight.
    RouteChanged {
        /// Its kind and name.
        route: String,
        /// Why.
        error: RouteError,
    },
    /// The route was deleted.
    RouteGone,
    /// A gateway rejects the route for a reason that it did not report before the rollout.
    RouteRejected(Rejection),
    /// The router has to accept a weight or to stop using stable.
    Router(Router),
    /// The routed Service was deleted.
    Service {
        /// Its name.
        name: String,
    },
    /// A template was pushed during a native rollout: one version has to get the pods of the
    /// others.
    Settling {
        /// The `ReplicaSet` that is kept.
        kept: String,
        /// Those that are scaled to 0.
        others: Vec<String>,
    },
    /// Stable has to have a `ReplicaSet`, or pods.
    StableUnavailable(Stable),
    /// Another `ReplicaSet` has the same template, and pods.
    SameTemplate {
        /// Its name.
        replica_set: String,
    },
    /// A webhook has to approve.
    Webhook {
        /// Its name in the operator's configuration.
        name: String,
        /// The number of attempts.
        attempts: u32,
        /// Its last answer.
        response: Option<String>,
    },
    /// A time window has to open.
    Window {
        /// When it opens, in its own time zone.
        opens: String,
    },
    /// The API server, or an admission policy, refuses a write.
    WriteRefused(RefusedWrite),
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

/// Which endpoints the Services must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoints {
    /// Those of the version that its selector names.
    Selected,
    /// Those of both versions.
    Both,
    /// Those of both versions, for a minimum time.
    Overlap,
    /// Those of the canary only.
    CanaryAlone,
}

/// Why the handover can't start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter)]
pub enum Unfit {
    /// The Deployment is not paused, so its controller would act at once.
    NotPaused,
    /// The canary is not what was pushed last.
    OtherTemplate,
    /// The Deployment controller would use another `ReplicaSet` as the new one.
    SameTemplate,
    /// One of the `ReplicaSets` is larger or smaller than the Deployment.
    Sizes,
    /// Canary pods are missing.
    NotAvailable,
    /// The Deployment controller would count availability differently.
    MinReadySeconds,
    /// The Deployment controller would use stable as the new one.
    OlderThanStable,
    /// A `ReplicaSet` is being deleted.
    Deleting,
    /// The canary already has a revision number of the Deployment controller.
    Numbered,
}

/// The state of a native rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeRollout {
    /// The template was never held.
    NotHeld,
    /// Two versions of the Deployment have pods.
    TwoVersions,
    /// It rolls out while the canary serves.
    Running,
    /// It has not created its own pods yet.
    NoPods,
}

/// Where a rollout is paused.
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
        /// The weight.
        weight: Weight,
    },
    /// After a step that passed.
    AfterPass {
        /// Who paused it.
        by: String,
    },
    /// After a step that ends without a verdict, as the policy allows.
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
        /// What keeps one of them from being ready, if known.
        obstacle: Option<Obstacle>,
    },
    /// To terminate.
    End,
}

/// Why the policy that a rollout started with can't be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unrunnable {
    /// This version of Steelyard finds faults in it.
    Invalid(Faults),
    /// It is not in the status.
    Gone,
}

/// What the router has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Router {
    /// To accept the route.
    Accept,
    /// To show the weight in its request metrics.
    Observe,
    /// To stop using stable.
    ReleaseStable,
    /// To stop using the canary, or its Service.
    ReleaseCanary,
}

/// What stable lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stable {
    /// It can't take the traffic back, so the canary's pods stay after a rollback.
    Return(Lack),
    /// A first ready pod.
    Start,
}

impl WaitReason {
    /// Returns the reason, in one word.
    pub fn word(&self) -> &'static str {
        WaitKind::from(self).into()
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeploymentController => f.write_str(
                "waiting for the Deployment controller to use the canary's ReplicaSet as the new one",
            ),
            Self::Draining(what) => what.fmt(f),
            Self::Endpoints(whose) => whose.fmt(f),
            Self::Gate { message } => write!(f, "waiting for a person to promote this step: {message}"),
            Self::Handover(unfit) => write!(f, "the handover can't start: {unfit}"),
            Self::StepDuration { weight: Weight::ALL } => {
                f.write_str("weight is 100%; waiting for the step's duration, with stable at full scale")
            }
            Self::StepDuration { weight } => write!(f, "weight is {weight}; waiting for the step's duration"),
            Self::Inconclusive(late @ Evidence::Deadline) => {
                write!(f, "{late}; waiting for a Pass, or for `promote` or `abort`")
            }
            Self::Inconclusive(evidence) | Self::MetricsUnavailable(evidence) => evidence.fmt(f),
            Self::Metrics => f.write_str("waiting for every metric to pass"),
            Self::NativeRollout(what) => what.fmt(f),
            Self::NotAccepted => {
                f.write_str("the rollout can't start, and the template stays held: see condition Accepted")
            }
            Self::OldIntent => {
                f.write_str("spec.abort or spec.promote still names this revision: remove it to retry")
            }
            Self::Paused(paused) => paused.fmt(f),
            Self::Policy(why) => why.fmt(f),
            Self::Preview => {
                f.write_str("measuring the preview, which gets requests only through the canary Service")
            }
            Self::Queue { place, of, in_flight } => {
                let place = ordinal(*place);
                write!(f, "waiting in the queue, {place} of {of}: {in_flight} rollouts are in progress")
            }
            Self::Pods(pods) => pods.fmt(f),
            Self::ReplicaSets => f.write_str("the canary's ReplicaSet was deleted during the handover"),
            Self::RouteChanged { route, error } => {
                write!(f, "another client changed {route}: {error}; restore the rule's backendRefs")
            }
            Self::RouteGone => f.write_str("the route was deleted: apply it again"),
            Self::RouteRejected(rejection) => rejection.fmt(f),
            Self::Router(what) => what.fmt(f),
            Self::Service { name } => write!(f, "Service {name} was deleted: apply it again"),
            Self::Settling { kept, others } => write!(
                f,
                "this template was pushed during a native rollout: waiting for ReplicaSet {kept} to get the \
                 pods of {}",
                others.join(", ")
            ),
            Self::StableUnavailable(stable) => stable.fmt(f),
            Self::SameTemplate { replica_set } => {
                write!(
                    f,
                    "waiting for the pods of ReplicaSet {replica_set}, which has the same template, \
                     to terminate"
                )
            }
            Self::Webhook { name, response: None, .. } => write!(f, "waiting for webhook {name} to approve"),
            Self::Webhook { name, attempts, response: Some(response) } => write!(
                f,
                "waiting for webhook {name} to approve, attempt {attempts}; its last answer: {response}"
            ),
            Self::Window { opens } => write!(f, "the time window is closed; it opens on {opens}"),
            Self::WriteRefused(write) => write.fmt(f),
            Self::ZeroReplicas => f.write_str("spec.replicas of the Deployment is 0: scale it up"),
        }
    }
}

impl fmt::Display for Draining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Canary => "stable has all traffic; waiting for connections to the canary to drain",
            Self::Stable => "the canary has all traffic; waiting for connections to stable to drain",
            Self::CanaryService => {
                "routes are restored; waiting for the router to stop using the canary Service"
            }
        })
    }
}

impl fmt::Display for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Selected => "waiting for the Services' endpoints to match their selectors",
            Self::Both => "waiting for the Services to have endpoints of both versions",
            Self::Overlap => "the Services have endpoints of both versions; waiting before stable is removed",
            Self::CanaryAlone => "waiting for the Services to have endpoints of the canary only",
        })
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPaused => "spec.paused of the Deployment is not true: set it to true",
            Self::OtherTemplate => {
                "the template of the canary's ReplicaSet differs from the Deployment's: push it again"
            }
            Self::SameTemplate => "another ReplicaSet of the Deployment has the same template: delete it",
            Self::Sizes => {
                "spec.replicas of a ReplicaSet differs from the Deployment's: remove what else scales it"
            }
            Self::NotAvailable => "not all canary pods are available",
            Self::MinReadySeconds => {
                "spec.minReadySeconds of the canary's ReplicaSet differs from the Deployment's"
            }
            Self::OlderThanStable => "the canary's ReplicaSet is older than stable's: abort, and push again",
            Self::Deleting => {
                "stable's or the canary's ReplicaSet is being deleted: wait until it is gone, or abort"
            }
            Self::Numbered => {
                "the canary's ReplicaSet already has annotation deployment.kubernetes.io/revision: \
                 remove it"
            }
        })
    }
}

impl fmt::Display for NativeRollout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHeld => {
                "the Deployment rolls out natively: its template is not held (after `skip`, after a \
                 resume, or because condition HoldEnforced is False)"
            }
            Self::TwoVersions => {
                "two versions of the Deployment have pods: waiting for the native rollout to finish"
            }
            Self::Running => {
                "waiting for the Deployment controller to roll out its own pods; the canary serves \
                 meanwhile"
            }
            Self::NoPods => "waiting for the Deployment controller to create pods of the new version",
        })
    }
}

impl fmt::Display for Paused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOpenGate { by } => write!(f, "the gate is open, but {by} paused the rollout")?,
            Self::BeforeWeight { by, weight } => write!(f, "{by} paused the rollout before weight {weight}")?,
            Self::AfterPass { by } => write!(f, "the step passed, but {by} paused the rollout")?,
            Self::WithoutVerdict { by } => {
                write!(f, "the step can end without a verdict, but {by} paused the rollout")?;
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
            Self::End => f.write_str("waiting for the canary's pods to terminate"),
        }
    }
}

impl fmt::Display for Unrunnable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(faults) => {
                write!(
                    f,
                    "this version of Steelyard can't run the policy that the rollout started with: \
                     {faults}"
                )
            }
            Self::Gone => f.write_str(
                "the status of the Rollout lacks the policy that the rollout started with: abort it, \
                 or push again",
            ),
        }
    }
}

impl fmt::Display for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "waiting for a gateway to accept the new weight of the routes",
            Self::Observe => "waiting for the observed weight to follow the desired weight",
            Self::ReleaseStable => "the canary has all traffic; waiting for the router to stop using stable",
            Self::ReleaseCanary => {
                "no route gives traffic to the canary Service; waiting for the router to stop using it"
            }
        })
    }
}

impl fmt::Display for Stable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Return(lost) => write!(
                f,
                "{lost}: the canary's pods stay until another version serves; push a template that works"
            ),
            Self::Start => f.write_str("no pod of the Deployment has been ready yet"),
        }
    }
}

/// Returns an ordinal number: 1st, 2nd, 3rd, 4th, 11th, 21st.
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
    /// Returns the meaning and the fix, for the docs.
    pub fn help(self) -> &'static str {
        match self {
            Self::DeploymentController => {
                "The ReplicaSet belongs to the Deployment, but the Deployment controller has not \
                 confirmed it. After 10 s Steelyard takes the ReplicaSet back and tries again."
            }
            Self::Draining => {
                "Steelyard waits for the `drain` time of its configuration, so that connections end \
                 before pods terminate."
            }
            Self::Endpoints => {
                "The rollout continues once the Services' endpoints match their selectors. Check that the \
                 pods are ready, and that kube-controller-manager runs."
            }
            Self::Gate => {
                "The step waits for a person: `kubectl steelyard promote` continues the rollout. \
                 Metrics guard it meanwhile."
            }
            Self::Handover => "The handover starts as soon as the objects are as the message requires.",
            Self::StepDuration => {
                "The step's `duration` is not over. Metrics are measured meanwhile; the verdict \
                 Fail rolls back at once."
            }
            Self::Inconclusive => {
                "Prometheus answers without a number (no series, NaN) or with too few requests: \
                 neither a pass nor a failure. The weight stays. Check that the query finds the \
                 canary's pods; `promote` continues without a verdict, `abort` rolls back."
            }
            Self::Metrics => "The step's `duration` is over, but a metric has too few measurements.",
            Self::MetricsUnavailable => {
                "Prometheus can't be reached, or refuses the query: neither a pass nor a failure. The \
                 weight stays until it answers. Check Prometheus and the query; `promote` continues \
                 without a verdict, `abort` rolls back."
            }
            Self::NativeRollout => {
                "The Deployment controller rolls out the template: a person skipped the steps, another \
                 client resumed the Deployment, admission did not hold it (see condition HoldEnforced), \
                 its rollout was in progress before, or it can't be handed over because admission changes templates of ReplicaSets."
            }
            Self::NotAccepted => {
                "The policy, a Service or a route does not fit: condition Accepted names it and the fix."
            }
            Self::OldIntent => {
                "An intent for the previous attempt would abort or promote the retry at once. \
                 `kubectl steelyard retry` removes it in the same write."
            }
            Self::Paused => "A person paused the rollout: use `kubectl steelyard resume` or `abort`.",
            Self::Policy => {
                "The rollout started under another version of Steelyard, which accepted this policy. \
                 Traffic stays as it is, and no metric guards it. Run that version again, use \
                 `kubectl steelyard abort`, or change the policy and push again."
            }
            Self::Preview => {
                "Blue-green, before the switch: the new version gets requests only through the canary \
                 Service, and is measured."
            }
            Self::Queue => {
                "The `concurrency` limit of Steelyard's configuration is reached. The template stays held meanwhile; \
                 namespaces take turns."
            }
            Self::Pods => {
                "Canary pods have to become ready, or to terminate after a rollback. The message names \
                 the obstacle (image, quota, node, probe). If they are not ready at the deadline, the \
                 rollout is rolled back."
            }
            Self::ReplicaSets => {
                "A ReplicaSet was deleted during the handover: push the template again, or use \
                 `kubectl steelyard abort`."
            }
            Self::RouteChanged => {
                "Another client changed the route so that it can't carry the step's weight: restore \
                 the rule's backendRefs."
            }
            Self::RouteGone => "The route was deleted: apply it again.",
            Self::RouteRejected => {
                "The gateway can't use the route: the message has the gateway's reason. Metrics guard \
                 the canary meanwhile. At the deadline, the rollout is rolled back. What the gateway \
                 reported before the rollout does not count."
            }
            Self::Router => {
                "The router has to accept the new weight, clients have to get it, or the router has to \
                 stop using stable. Check that the gateway runs and accepts the route."
            }
            Self::Service => "The Service whose traffic is routed was deleted: apply it again.",
            Self::Settling => {
                "A template was pushed during a native rollout. The version with most of the available \
                 pods gets those of the others; at the policy's `deadline`, the others end in any case. \
                 Then the rollout of the pushed template starts."
            }
            Self::StableUnavailable => {
                "Stable can't carry the traffic: its ReplicaSet was deleted, none of its pods is \
                 available, or the Service no longer selects them. A push is rolled out in any case; \
                 `kubectl steelyard skip` rolls it out natively."
            }
            Self::SameTemplate => "An older ReplicaSet has the same template and still has pods.",
            Self::Webhook => {
                "Another system has to approve. It is called again until it approves, or until its \
                 refusals roll back, as the policy's `onRefusal` says; `kubectl steelyard promote` \
                 continues without it."
            }
            Self::Window => {
                "The step waits for a time window; `kubectl steelyard promote` continues at once."
            }
            Self::WriteRefused => {
                "A quota, an admission policy or missing permissions make the API server refuse a \
                 write; the message has its words. Steelyard sends the write again, and the rollout is \
                 rolled back at the policy's `deadline`, unless its canary has been handed over or its \
                 rollback has begun."
            }
            Self::ZeroReplicas => "Nothing can be measured without pods: scale the Deployment up.",
        }
    }

    /// Returns one value per message, for the docs.
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
            Self::StepDuration => {
                vec![W::StepDuration { weight: Weight::percent(25) }, W::StepDuration { weight: Weight::ALL }]
            }
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
            Self::NativeRollout => [
                NativeRollout::NotHeld,
                NativeRollout::TwoVersions,
                NativeRollout::Running,
                NativeRollout::NoPods,
            ]
            .map(W::NativeRollout)
            .into(),
            Self::NotAccepted => vec![W::NotAccepted],
            Self::OldIntent => vec![W::OldIntent],
            Self::Paused => [
                Paused::AtOpenGate { by: by() },
                Paused::BeforeWeight { by: by(), weight: Weight::percent(50) },
                Paused::AfterPass { by: by() },
                Paused::WithoutVerdict { by: by() },
            ]
            .map(W::Paused)
            .into(),
            Self::Policy => {
                let fault = Fault::of("spec.analysis.metrics[0].query", &Problem::BothVersions);
                [Unrunnable::Invalid(Faults(vec![fault])), Unrunnable::Gone].map(W::Policy).into()
            }
            Self::Preview => vec![W::Preview],
            Self::Queue => vec![W::Queue { place: 2, of: 5, in_flight: 3 }],
            Self::Pods => {
                let pod = || "web-0a86lw5tz-57rxk".to_owned();
                let obstacles = [
                    None,
                    Some(Obstacle::Trouble {
                        pod: pod(),
                        trouble: Trouble {
                            container: Some("app".to_owned()),
                            reason: "ErrImagePull".to_owned(),
                            message: "no such image".to_owned(),
                        },
                    }),
                    Some(Obstacle::NotCreated { message: "exceeded quota: pods=4".to_owned() }),
                    Some(Obstacle::NotReady { pod: pod(), message: "unready: [app]".to_owned() }),
                ];
                let ready = obstacles.map(|obstacle| Pods::Ready { wanted: 2, obstacle });
                ready.into_iter().chain([Pods::End]).map(W::Pods).collect()
            }
            Self::ReplicaSets => vec![W::ReplicaSets],
            Self::RouteChanged => {
                let error = RouteError::NotNamed { service: "web".to_owned() };
                vec![W::RouteChanged { route: "HTTPRoute web".to_owned(), error }]
            }
            Self::RouteGone => vec![W::RouteGone],
            Self::RouteRejected => vec![W::RouteRejected(Rejection::example())],
            Self::Router => [Router::Accept, Router::Observe, Router::ReleaseStable, Router::ReleaseCanary]
                .map(W::Router)
                .into(),
            Self::Service => vec![W::Service { name: "web".to_owned() }],
            Self::Settling => vec![W::Settling {
                kept: "web-5d8c9b7f4".to_owned(),
                others: vec!["web-7f6b5d9c8".to_owned()],
            }],
            Self::StableUnavailable => Lack::examples()
                .map(Stable::Return)
                .into_iter()
                .chain([Stable::Start])
                .map(W::StableUnavailable)
                .collect(),
            Self::SameTemplate => vec![W::SameTemplate { replica_set: "web-5d8c9b7f4".to_owned() }],
            Self::Webhook => {
                let name = || "qa".to_owned();
                vec![
                    W::Webhook { name: name(), attempts: 1, response: None },
                    W::Webhook { name: name(), attempts: 3, response: Some("409 not yet".to_owned()) },
                ]
            }
            Self::Window => {
                vec![W::Window { opens: "Mon 30 Nov 2026 at 09:00 Europe/Berlin".to_owned() }]
            }
            Self::WriteRefused => vec![W::WriteRefused(RefusedWrite::example())],
            Self::ZeroReplicas => vec![W::ZeroReplicas],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_the_queue_are_ordinals() {
        let places = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal);
        let wanted = ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"];
        assert_eq!(places, wanted);
    }
}
