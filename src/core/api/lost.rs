//! Since when the conditions that a step awaits are lost: their deadlines count from these times.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A condition that a step awaits with a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The canary has the pods of the step, ready in its Service.
    Pods,
    /// The router has accepted the routes.
    Router,
    /// The endpoints match the selectors of their Services.
    Endpoints,
    /// Every metric has a verdict, after the duration of the step.
    Verdict,
}

/// Since when each awaited condition is lost. A condition that holds is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Lost {
    /// Since when the canary has fewer ready pods than the step needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<Timestamp>,
    /// Since when a route is not accepted by its gateways.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router: Option<Timestamp>,
    /// Since when the endpoints differ from the selectors of their Services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Timestamp>,
    /// Since when a metric has no verdict although the duration of the step is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Timestamp>,
}

impl Lost {
    /// Returns since when a condition is lost.
    pub fn of(&mut self, condition: Awaited) -> &mut Option<Timestamp> {
        match condition {
            Awaited::Pods => &mut self.pods,
            Awaited::Router => &mut self.router,
            Awaited::Endpoints => &mut self.endpoints,
            Awaited::Verdict => &mut self.verdict,
        }
    }

    /// Forgets since when all conditions are lost, except for one.
    pub fn only(&mut self, condition: Option<Awaited>) {
        let kept = condition.and_then(|condition| *self.of(condition));
        *self = Self::default();
        if let Some(condition) = condition {
            *self.of(condition) = kept;
        }
    }

    /// Returns whether no condition is lost.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
