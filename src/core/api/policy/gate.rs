//! Gates: steps that wait for a person, a time window or a webhook.

use std::collections::BTreeMap;

use kube::{KubeSchema, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::span;

/// A step that waits. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.person), has(self.window), has(self.webhook)].filter(x, x).size() == 1").message("a gate is exactly one of person, window and webhook"))]
pub struct Gate {
    /// Opens when a person promotes the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
    /// Opens during a time window of the week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Opens when an HTTP endpoint approves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
}

/// A gate that a person opens.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// What the person has to check before promoting, such as the address of a dashboard.
    #[schemars(length(min = 1, max = 1024))]
    pub message: String,
}

/// A time window of the week: open from `from` to `to` on each of the days.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.from != self.to").message("from and to must differ; a whole day is from 00:00 to 24:00"))]
pub struct Window {
    /// The days on which the window opens, such as `Sat`, or a range such as `Mon-Fri` or
    /// `Fri-Mon`.
    #[schemars(length(min = 1, max = 7), inner(length(max = 7)))]
    #[x_kube(validation = Rule::new("self.all(d, d.matches('^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)(-(Mon|Tue|Wed|Thu|Fri|Sat|Sun))?$'))").message("days are Mon, Tue, Wed, Thu, Fri, Sat, Sun, or ranges such as Mon-Fri"))]
    pub days: Vec<String>,
    /// The time of day at which the window opens, `HH:MM`.
    #[schemars(length(max = 5))]
    #[x_kube(validation = Rule::new("self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')").message("must be a time of the day, HH:MM, in quotes"))]
    pub from: String,
    /// The time of day at which the window closes, `HH:MM` or `24:00`. A time before `from` is on
    /// the next day.
    #[schemars(length(max = 5))]
    #[x_kube(validation = Rule::new("self.matches('^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$')").message("must be a time of the day, HH:MM or 24:00, in quotes"))]
    pub to: String,
    /// The IANA time zone of these times, such as `Europe/Berlin`.
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
}

/// A gate that opens when an HTTP endpoint answers with a status from 200 to 299.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.retries) || (has(self.onRefusal) && self.onRefusal == 'RollBack')").message("retries requires onRefusal: RollBack"))]
pub struct Webhook {
    /// The name of the endpoint in the configuration of Steelyard.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What happens after any other answer, or without an answer within the timeout of the
    /// endpoint.
    #[serde(default)]
    pub on_refusal: OnRefusal,
    /// The number of calls after the first refusal before the rollout is rolled back, 0 to 100.
    /// Requires `onRefusal: RollBack`. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub retries: Option<u32>,
    /// The time before the second call, at least 1s. It doubles with each call, up to the larger of
    /// 1m and this value. Default: 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "span::some")]
    pub backoff: Option<Duration>,
    /// Data to send to the endpoint unchanged, at most 16 fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub metadata: BTreeMap<String, String>,
}

/// What happens after a refusal of a webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum OnRefusal {
    /// The endpoint is called again until it approves.
    #[default]
    Wait,
    /// The rollout is rolled back after `retries` more calls.
    RollBack,
}
