//! Why a revision is rolled back: `status.failure`, and condition `Healthy=False`.

use std::fmt;

use strum::{EnumDiscriminants, EnumIter, EnumString, IntoStaticStr};

use super::evidence::{Because, Evidence, Obstacle};
use crate::{analysis::ErrorClass, api::Cause};

/// Why a revision is rolled back.
#[derive(Clone, Debug, PartialEq, EnumDiscriminants)]
#[strum_discriminants(name(FailureKind), derive(EnumIter, EnumString, IntoStaticStr))]
#[strum_discriminants(doc = "The word of a [`Failure`]: `status.failure.reason`.")]
#[strum_discriminants(allow(missing_docs))]
pub enum Failure {
    /// A person aborted it.
    Aborted {
        /// Who.
        by: String,
    },
    /// The template of the canary's `ReplicaSet` is no longer what was pushed.
    CanaryChanged,
    /// The canary's `ReplicaSet` was deleted.
    CanaryGone,
    /// A canary pod crashes again and again.
    CrashLoop {
        /// The pod.
        pod: String,
        /// The most restarts of one of its containers.
        restarts: i32,
    },
    /// It was rolled back earlier, and the reason is not known.
    Failed(Recalled),
    /// A webhook refused it more often than the policy allows.
    GateRefused {
        /// The webhook.
        webhook: String,
        /// How often it refused.
        refusals: u32,
        /// How often it was called.
        attempts: u32,
        /// Its last answer.
        said: String,
    },
    /// Metrics had no verdict for too long, and the policy says that this is a failure.
    Inconclusive(Evidence),
    /// A metric missed its threshold too often.
    MetricFailed(Missed),
    /// The source could not be queried for too long, and the policy says that this is a failure.
    MetricsUnavailable(Evidence),
    /// Canary pods were not ready in time.
    PodsNotReady(Option<Obstacle>),
    /// No gateway accepted the weight in time.
    RouterSilent,
    /// Endpoints did not follow their Services in time.
    EndpointsSilent,
}

/// When a revision was rolled back whose reason is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recalled {
    /// By an earlier leader, which left the mark on the route alone.
    ByEarlierLeader,
    /// Under an earlier Rollout of the Deployment.
    UnderEarlierRollout,
}

/// How a metric missed its threshold.
#[derive(Clone, Debug, PartialEq)]
pub enum Missed {
    /// The value is below `min`.
    Below {
        /// The metric.
        metric: String,
        /// Its value.
        value: f64,
        /// The least good value.
        min: f64,
    },
    /// The value is above `max`.
    Above {
        /// The metric.
        metric: String,
        /// Its value.
        value: f64,
        /// The greatest good value.
        max: f64,
    },
    /// There is no data, and the policy says that this is a failure.
    NoData {
        /// The metric.
        metric: String,
    },
}

impl Failure {
    /// The word for programs.
    pub fn word(&self) -> &'static str {
        FailureKind::from(self).into()
    }

    /// What it comes from: what follows depends on it.
    pub fn cause(&self) -> Cause {
        if matches!(self, Self::Aborted { .. }) { Cause::Abort } else { Cause::Failure }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aborted { by } => write!(f, "aborted by {by}"),
            Self::CanaryChanged => f.write_str("somebody changed the template of the canary's ReplicaSet"),
            Self::CanaryGone => f.write_str("the canary ReplicaSet was deleted"),
            Self::CrashLoop { pod, restarts } => {
                write!(f, "pod {pod} crashed again and again ({restarts} restarts)")
            }
            Self::Failed(recalled) => recalled.fmt(f),
            Self::GateRefused { webhook, refusals, attempts, said } => write!(
                f,
                "webhook {webhook} refused it in {refusals} of {attempts} attempts, the last time \
                 with: {said}"
            ),
            Self::Inconclusive(evidence) | Self::MetricsUnavailable(evidence) => evidence.fmt(f),
            Self::MetricFailed(missed) => missed.fmt(f),
            Self::PodsNotReady(obstacle) => {
                write!(f, "the canary's pods were not ready in time{}", Because(obstacle.as_ref()))
            }
            Self::RouterSilent => f.write_str("no gateway took the route's new weight in time"),
            Self::EndpointsSilent => {
                f.write_str("the Services' endpoints did not follow their selectors in time")
            }
        }
    }
}

impl fmt::Display for Recalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByEarlierLeader => "traffic was taken back before this term of leadership began",
            Self::UnderEarlierRollout => "this template was rejected before this Rollout was made",
        })
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below { metric, value, min } => write!(f, "metric {metric} is {value}, below min {min}"),
            Self::Above { metric, value, max } => write!(f, "metric {metric} is {value}, above max {max}"),
            Self::NoData { metric } => {
                write!(f, "metric {metric} has no data, which its noData says is a failure")
            }
        }
    }
}

impl FailureKind {
    /// What it means, and what helps.
    pub fn help(self) -> &'static str {
        match self {
            Self::Aborted => "A person aborted it; the message says who.",
            Self::CanaryChanged => "What is under analysis would no longer be what was pushed.",
            Self::CanaryGone => "The canary's ReplicaSet was deleted.",
            Self::CrashLoop => {
                "A canary pod is in CrashLoopBackOff, or was started again twice: see its log."
            }
            Self::Failed => "An earlier leader had taken the traffic back and ended before it could say why.",
            Self::GateRefused => {
                "A webhook that the policy asks with `onRefusal: fail` said no, or nothing, more often \
                 than its `retries` allow."
            }
            Self::Inconclusive => {
                "There was nothing to compare for too long, and the policy's `onInconclusive` says \
                 `fail`. See whether the query finds the canary's pods; `retry` tries it again."
            }
            Self::MetricFailed => {
                "A metric missed its threshold more often than `failureLimit` allows. `status.failure` \
                 has the query as sent, and the value."
            }
            Self::MetricsUnavailable => {
                "Prometheus couldn't be queried for too long, and the policy's `onError` says `fail`. \
                 It may be no fault of the new version's: `retry` tries it again."
            }
            Self::PodsNotReady => {
                "The canary's pods were not ready within the policy's `deadline`; the message names \
                 what kept them."
            }
            Self::RouterSilent => {
                "No gateway said within the policy's `deadline` that it had taken the route's weight."
            }
            Self::EndpointsSilent => {
                "The endpoints of a Service did not become those of the version it was switched to \
                 within the policy's `deadline`."
            }
        }
    }

    /// One value for each sentence that it has, for the docs.
    pub fn examples(self) -> Vec<Failure> {
        use Failure as F;
        let metric = || "success-rate".to_owned();
        match self {
            Self::Aborted => vec![F::Aborted { by: "ann".to_owned() }],
            Self::CanaryChanged => vec![F::CanaryChanged],
            Self::CanaryGone => vec![F::CanaryGone],
            Self::CrashLoop => {
                vec![F::CrashLoop { pod: "web-0a86lw5tz-57rxk".to_owned(), restarts: 2 }]
            }
            Self::Failed => [Recalled::ByEarlierLeader, Recalled::UnderEarlierRollout].map(F::Failed).into(),
            Self::GateRefused => vec![F::GateRefused {
                webhook: "qa".to_owned(),
                refusals: 4,
                attempts: 4,
                said: "403 no".to_owned(),
            }],
            Self::Inconclusive => {
                [Evidence::NoData { metric: metric() }, Evidence::Deadline].map(F::Inconclusive).into()
            }
            Self::MetricFailed => [
                Missed::Below { metric: metric(), value: 0.89, min: 0.99 },
                Missed::Above { metric: "latency".to_owned(), value: 0.8, max: 0.5 },
                Missed::NoData { metric: metric() },
            ]
            .map(F::MetricFailed)
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
            Self::RouterSilent => vec![F::RouterSilent],
            Self::EndpointsSilent => vec![F::EndpointsSilent],
        }
    }
}
