//! What reconciles share.

use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use tokio::sync::mpsc::UnboundedSender;

use super::{
    ObjectKey, answers::Answers, cache::Caches, concurrency::Concurrency, events::EventRecorder,
    hold_probe::HoldProbe, lease::Fence, raw::Caller,
};
use crate::{
    engine::Router,
    policy::Cache,
    sources::{Sources, webhook::Webhooks},
    telemetry::metrics::Metrics,
};

/// The dependencies of a reconcile.
pub struct Context {
    /// The API server.
    pub caller: Caller,
    /// The objects of rollouts.
    pub caches: Caches,
    /// Whether writes may be sent.
    pub fence: Fence,
    /// The controller's metrics.
    pub metrics: Arc<Metrics>,
    /// Publishes Events.
    pub events: EventRecorder,
    /// The named metrics sources.
    pub sources: Sources,
    /// The named webhooks.
    pub webhooks: Webhooks,
    /// How long pods keep running after traffic has left them.
    pub drain: SignedDuration,
    /// The query of the weight that the router reports, if the operator configures it.
    pub router: Option<Router>,
    /// Limits the number of rollouts in progress.
    pub concurrency: Concurrency,
    /// Finds out whether admission holds template changes.
    pub hold_probe: HoldProbe,
    /// Answers that have not been handled yet.
    pub answers: Answers,
    /// Compiled policies, by the Deployments that use them.
    pub policies: Mutex<Cache<ObjectKey>>,
    /// Queues a Deployment for a reconcile without a delay.
    pub wakes: UnboundedSender<ObjectKey>,
    /// Whether annotated Deployments are managed.
    pub mode: Mode,
}

/// Whether annotated Deployments are managed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Manages annotated Deployments.
    Manage,
    /// Treats Deployments as if none had the annotation, before Steelyard is uninstalled.
    Unmanage,
}
