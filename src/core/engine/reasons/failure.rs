//! Why a revision is rolled back: `status.failure`, and condition `Healthy=False`.

use std::fmt;

use strum::{EnumDiscriminants, EnumIter, EnumString, IntoStaticStr};

use super::evidence::{Because, Evidence, Obstacle, Rejection};
use crate::{
    analysis::{ErrorClass, Miss},
    api::Cause,
    engine::written::RefusedWrite,
};

/// Why a revision is rolled back.
#[derive(Clone, Debug, PartialEq, EnumDiscriminants)]
#[strum_discriminants(name(FailureKind), derive(EnumIter, EnumString, IntoStaticStr))]
#[strum_discriminants(doc = "The kind of a [`Failure`]: `status.failure.reason`.")]
#[strum_discriminants(allow(missing_docs))]
pub enum Failure {
    /// A person aborted the rollout.
    Aborted {
        /// Who.
        by: String,
    },
    /// The template of the canary's `ReplicaSet` is no longer what was pushed.
    CanaryChanged,
    /// The canary's `ReplicaSet` was deleted.
    CanaryGone,
    /// A canary pod is crash looping.
    CrashLoop {
        /// The pod.
        pod: String,
        /// The container that restarted most often.
        container: String,
        /// How often it restarted.
        restarts: i32,
    },
    /// The revision was rolled back earlier, and the reason is not known.
    CauseUnknown(Recalled),
    /// A webhook refused more often than the policy allows.
    GateRefused {
        /// The webhook.
        webhook: String,
        /// How often it refused.
        refusals: u32,
        /// How often it was called.
        attempts: u32,
        /// Its last answer.
        response: String,
    },
    /// Metrics had no verdict for too long, and the policy says that this is a failure.
    Inconclusive(Evidence),
    /// A metric missed its criterion too often.
    MetricFailed {
        /// The metric.
        metric: String,
        /// How its last result missed it.
        miss: Miss,
    },
    /// The source could not be queried for too long, and the policy says that this is a failure.
    MetricsUnavailable(Evidence),
    /// Canary pods were not ready before the deadline.
    PodsNotReady(Option<Obstacle>),
    /// A gateway still rejected the route at the deadline.
    RouteRejected(Rejection),
    /// No gateway accepted the weight before the deadline.
    RouterTimeout,
    /// Endpoints did not match the selectors of their Services before the deadline.
    EndpointsTimeout,
    /// The API server refused a write until the deadline.
    WriteRefused(RefusedWrite),
}

/// When a revision was rolled back for an unknown reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recalled {
    /// By an earlier leader, which wrote only the mark on the route.
    ByEarlierLeader,
    /// Under an earlier Rollout of the Deployment.
    UnderEarlierRollout,
}

impl Failure {
    /// Returns the reason, in one word.
    pub fn word(&self) -> &'static str {
        FailureKind::from(self).into()
    }

    /// Returns the cause, which decides what follows.
    pub fn cause(&self) -> Cause {
        if matches!(self, Self::Aborted { .. }) { Cause::Abort } else { Cause::Failure }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aborted { by } => write!(f, "aborted by {by}"),
            Self::CanaryChanged => {
                f.write_str("another client changed the template of the canary's ReplicaSet")
            }
            Self::CanaryGone => f.write_str("the canary's ReplicaSet was deleted"),
            Self::CrashLoop { pod, container, restarts } => {
                write!(f, "container {container} of pod {pod} is crash looping ({restarts} restarts)")
            }
            Self::CauseUnknown(recalled) => recalled.fmt(f),
            Self::GateRefused { webhook, refusals, attempts, response } => write!(
                f,
                "webhook {webhook} refused {refusals} of {attempts} attempts; its last answer: {response}"
            ),
            Self::Inconclusive(evidence) | Self::MetricsUnavailable(evidence) => evidence.fmt(f),
            Self::MetricFailed { metric, miss } => write!(f, "metric {metric} {miss}"),
            Self::PodsNotReady(obstacle) => {
                write!(
                    f,
                    "the canary's pods were not ready before the deadline{}",
                    Because(obstacle.as_ref())
                )
            }
            Self::RouteRejected(rejection) => rejection.fmt(f),
            Self::RouterTimeout => {
                f.write_str("no gateway accepted the route's new weight before the deadline")
            }
            Self::EndpointsTimeout => {
                f.write_str("the Services' endpoints did not match their selectors before the deadline")
            }
            Self::WriteRefused(write) => write!(f, "until the deadline, {write}"),
        }
    }
}

impl fmt::Display for Recalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByEarlierLeader => {
                "an earlier leader returned the traffic to stable without recording the reason"
            }
            Self::UnderEarlierRollout => "this template was rejected before this Rollout was created",
        })
    }
}

impl FailureKind {
    /// Returns the meaning and the fix, for the docs.
    pub fn help(self) -> &'static str {
        match self {
            Self::Aborted => "A person aborted the rollout; the message names the person.",
            Self::CanaryChanged => "The canary no longer has the template that was pushed.",
            Self::CanaryGone => "The canary's ReplicaSet was deleted.",
            Self::CrashLoop => {
                "A container of a canary pod is in CrashLoopBackOff, or restarted at least twice: check \
                 its log. Init containers have until the policy's `deadline`."
            }
            Self::CauseUnknown => "An earlier leader rolled back and ended before it recorded the reason.",
            Self::GateRefused => {
                "A webhook with `onRefusal: RollBack` refused, or did not answer, more often than its \
                 `retries` allow."
            }
            Self::Inconclusive => {
                "There was no data for too long, and the policy has `onInconclusive: RollBack`. Check \
                 that the query finds the canary's pods; `retry` tries the revision again."
            }
            Self::MetricFailed => {
                "A metric missed its threshold more often than `failureLimit` allows. \
                 `status.failure` has the query and the value."
            }
            Self::MetricsUnavailable => {
                "Prometheus could not be queried for too long, and the policy has `onError: \
                 RollBack`. The new version may be fine: `retry` tries the revision again."
            }
            Self::PodsNotReady => {
                "The canary's pods were not ready within the policy's `deadline`; the message names \
                 the obstacle."
            }
            Self::RouteRejected => {
                "A gateway rejected the route, for a reason that it did not report before the rollout, \
                 until the policy's `deadline`. The message has the gateway's reason."
            }
            Self::RouterTimeout => {
                "No gateway accepted the route's new weight within the policy's `deadline`."
            }
            Self::EndpointsTimeout => {
                "The endpoints of a Service did not match its new selector within the policy's `deadline`."
            }
            Self::WriteRefused => {
                "The API server refused a write that the rollout needs for longer than the policy's \
                 `deadline`: change the quota, admission policy or permission that the message names, \
                 then `retry`."
            }
        }
    }

    /// Returns one value per message, for the docs.
    pub fn examples(self) -> Vec<Failure> {
        use Failure as F;
        let metric = || "success-rate".to_owned();
        match self {
            Self::Aborted => vec![F::Aborted { by: "ann".to_owned() }],
            Self::CanaryChanged => vec![F::CanaryChanged],
            Self::CanaryGone => vec![F::CanaryGone],
            Self::CrashLoop => {
                let (pod, container) = ("web-0a86lw5tz-57rxk".to_owned(), "app".to_owned());
                vec![F::CrashLoop { pod, container, restarts: 2 }]
            }
            Self::CauseUnknown => {
                [Recalled::ByEarlierLeader, Recalled::UnderEarlierRollout].map(F::CauseUnknown).into()
            }
            Self::GateRefused => vec![F::GateRefused {
                webhook: "qa".to_owned(),
                refusals: 4,
                attempts: 4,
                response: "403 no".to_owned(),
            }],
            Self::Inconclusive => {
                [Evidence::NoData { metric: metric() }, Evidence::Deadline].map(F::Inconclusive).into()
            }
            Self::MetricFailed => [
                (metric(), Miss::Below { value: 0.89, min: 0.99 }),
                ("latency".to_owned(), Miss::Above { value: 0.8, max: 0.5 }),
                (metric(), Miss::NoData),
            ]
            .map(|(metric, miss)| F::MetricFailed { metric, miss })
            .into(),
            Self::MetricsUnavailable => vec![F::MetricsUnavailable(Evidence::Error {
                metric: metric(),
                class: ErrorClass::Unreachable,
                message: "connection refused".to_owned(),
            })],
            Self::PodsNotReady => vec![
                F::PodsNotReady(None),
                F::PodsNotReady(Some(Obstacle::NotCreated { message: "exceeded quota: pods=4".to_owned() })),
            ],
            Self::RouteRejected => vec![F::RouteRejected(Rejection::example())],
            Self::RouterTimeout => vec![F::RouterTimeout],
            Self::EndpointsTimeout => vec![F::EndpointsTimeout],
            Self::WriteRefused => vec![F::WriteRefused(RefusedWrite::example())],
        }
    }
}
