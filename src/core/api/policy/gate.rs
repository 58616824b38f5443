//! Gates: what a rollout waits for beside pods, time and metrics.

use std::collections::BTreeMap;

use kube::{KubeSchema, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::span;

/// A step that waits. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("[has(self.person), has(self.window), has(self.webhook)].filter(x, x).size() == 1").message("a gate is exactly one of person, window and webhook"))]
pub struct Gate {
    /// For a person, who promotes the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
    /// For a time of the week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// For the yes of another system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
}

/// A person's gate.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Person {
    /// What to look at before promoting, such as a dashboard's address.
    #[schemars(length(min = 1, max = 1024))]
    pub message: String,
}

/// A time of the week: open from `from` to `to` on each of the days.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.from != self.to").message("from and to must differ; a whole day is from 00:00 to 24:00"))]
pub struct Window {
    /// The days on which it opens: such as `Sat`, or a range such as `Mon-Fri` or `Fri-Mon`.
    #[schemars(length(min = 1, max = 7), inner(length(max = 7)))]
    #[x_kube(validation = Rule::new("self.all(d, d.matches('^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)(-(Mon|Tue|Wed|Thu|Fri|Sat|Sun))?$'))").message("days are Mon, Tue, Wed, Thu, Fri, Sat, Sun, or ranges such as Mon-Fri"))]
    pub days: Vec<String>,
    /// When it opens on each of the days, `HH:MM`.
    #[schemars(length(max = 5))]
    #[x_kube(validation = Rule::new("self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')").message("must be a time of the day, HH:MM, in quotes"))]
    pub from: String,
    /// When it shuts, `HH:MM` or `24:00`; before `from` it is that time of the next day.
    #[schemars(length(max = 5))]
    #[x_kube(validation = Rule::new("self.matches('^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$')").message("must be a time of the day, HH:MM or 24:00, in quotes"))]
    pub to: String,
    /// The IANA time zone of these times, such as `Europe/Berlin`.
    #[schemars(length(min = 1, max = 64))]
    pub zone: String,
}

/// Another system's gate: it opens when an endpoint answers with a status of 200 to 299.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.retries) || (has(self.onRefusal) && self.onRefusal == 'fail')").message("retries go with onRefusal: fail"))]
pub struct Webhook {
    /// The endpoint, by its name in the operator's configuration.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What any other answer does, and none within the endpoint's timeout.
    #[serde(default)]
    pub on_refusal: OnRefusal,
    /// How often it is asked again before the traffic is taken back, 0 to 100, with `onRefusal: fail`. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub retries: Option<u32>,
    /// The pause before it is asked again, from 1s on; twice as long each time, but no longer than 1m or this. Default: 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "span::some")]
    pub backoff: Option<Duration>,
    /// Words that are sent along as they are, 16 at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub metadata: BTreeMap<String, String>,
}

/// What an answer does that is no yes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum OnRefusal {
    /// It is asked again and again.
    #[default]
    #[serde(rename = "wait")]
    Wait,
    /// After its retries the traffic is taken back.
    #[serde(rename = "fail")]
    Fail,
}
