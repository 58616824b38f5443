//! Policies for tests: short steps, frequent measurements.

use std::fmt;

/// The share of 5xx in the canary's answers over three seconds.
const ERRORS: &str = r#"sum(rate(http_requests_total{namespace="$namespace",pod=~"$canary_pods",code=~"5.."}[3s])) / sum(rate(http_requests_total{namespace="$namespace",pod=~"$canary_pods"}[3s]))"#;

/// A `RolloutPolicy`, with `HTTPRoute`s unless set otherwise. Prints as YAML. Times are in seconds.
#[derive(Debug, Clone)]
pub struct Policy {
    name: String,
    strategy: Strategy,
    by_service: bool,
    measured: bool,
    source: Option<String>,
    deadline: u8,
    window: Option<u8>,
    reverts: bool,
}

#[derive(Debug, Clone)]
enum Strategy {
    Canary { steps: Vec<(u8, u8)>, bake: Option<u8> },
    BlueGreen(Vec<String>),
}

impl Policy {
    /// Returns a canary policy of this name, without steps and without metrics.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            strategy: Strategy::Canary { steps: Vec::new(), bake: None },
            by_service: false,
            measured: false,
            source: None,
            deadline: 120,
            window: None,
            reverts: false,
        }
    }

    /// Returns a blue-green policy of this name, which switches as soon as the preview's pods are
    /// ready.
    pub fn blue_green(name: &str) -> Self {
        Self { strategy: Strategy::BlueGreen(Vec::new()), ..Self::new(name) }
    }

    /// Adds a canary step: weight in percent, and duration.
    #[must_use]
    pub fn step(mut self, weight: u8, duration: u8) -> Self {
        if let Strategy::Canary { steps, .. } = &mut self.strategy {
            steps.push((weight, duration));
        }
        self
    }

    /// Sets how long stable is kept after a canary's last step.
    #[must_use]
    pub fn bake(mut self, duration: u8) -> Self {
        if let Strategy::Canary { bake, .. } = &mut self.strategy {
            *bake = Some(duration);
        }
        self
    }

    /// Sets the number of the preview's pods, in percent.
    #[must_use]
    pub fn preview(self, percent: u8) -> Self {
        self.blue_green_field(format!("preview: {{replicas: {percent}%}}"))
    }

    /// Sets how long the preview is measured before the switch.
    #[must_use]
    pub fn before(self, duration: u8) -> Self {
        self.blue_green_field(format!("before: {{duration: {duration}s}}"))
    }

    /// Adds a gate before the switch, for a person.
    #[must_use]
    pub fn gate(self, message: &str) -> Self {
        self.blue_green_field(format!("gate: {{person: {{message: {message:?}}}}}"))
    }

    /// Sets how long the canary is measured after the switch.
    #[must_use]
    pub fn after(self, duration: u8) -> Self {
        self.blue_green_field(format!("after: {{duration: {duration}s}}"))
    }

    /// Sets how long stable is kept after that.
    #[must_use]
    pub fn keep_stable(self, duration: u8) -> Self {
        self.blue_green_field(format!("keepStable: {duration}s"))
    }

    fn blue_green_field(mut self, field: String) -> Self {
        if let Strategy::BlueGreen(fields) = &mut self.strategy {
            fields.push(field);
        }
        self
    }

    /// Uses no router: the Services alone move the traffic.
    #[must_use]
    pub fn by_service(mut self) -> Self {
        self.by_service = true;
        self
    }

    /// Sets the number of earlier revisions that return in one switch.
    #[must_use]
    pub fn window(mut self, revisions: u8) -> Self {
        self.window = Some(revisions);
        self
    }

    /// Writes stable's template back after a failure.
    #[must_use]
    pub fn reverts(mut self) -> Self {
        self.reverts = true;
        self
    }

    /// Sets how many seconds pods have to become ready, and steps to reach a verdict; two minutes
    /// without it.
    #[must_use]
    pub fn deadline(mut self, seconds: u8) -> Self {
        self.deadline = seconds;
        self
    }

    /// Rolls back when more than a tenth of the canary's answers are errors: metric `errors`,
    /// measured every second.
    #[must_use]
    pub fn measured(mut self) -> Self {
        self.measured = true;
        self
    }

    /// The same as [`Policy::measured`], with another of the operator's sources.
    #[must_use]
    pub fn measured_by(mut self, source: &str) -> Self {
        self.source = Some(source.to_owned());
        self.measured()
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Canary { steps, bake } => {
                let steps: Vec<String> = steps
                    .iter()
                    .map(|(weight, duration)| format!("{{weight: {weight}, duration: {duration}s}}"))
                    .collect();
                let bake = bake.map(|bake| format!(", bake: {bake}s")).unwrap_or_default();
                write!(f, "canary: {{steps: [{}]{bake}}}", steps.join(", "))
            }
            Self::BlueGreen(fields) => write!(f, "blueGreen: {{{}}}", fields.join(", ")),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            r"apiVersion: steelyard.io/v1alpha1
kind: RolloutPolicy
metadata: {{name: {}}}
spec:
  strategy: {{{}}}
  traffic: {{{}: {{}}}}
  deadline: {}s
",
            self.name,
            self.strategy,
            if self.by_service { "serviceSelector" } else { "gatewayAPI" },
            self.deadline
        )?;
        if let Some(revisions) = self.window {
            writeln!(f, "  rollbackWindow: {{revisions: {revisions}}}")?;
        }
        if self.reverts {
            writeln!(f, "  onFailure: Revert")?;
        }
        if self.measured {
            write!(
                f,
                r"  analysis:
    settle: 1s
    interval: 1s
    metrics:
    - {{name: errors, query: '{ERRORS}', max: 0.1, failureLimit: 0, minMeasurements: 2}}
"
            )?;
        }
        if let Some(source) = &self.source {
            writeln!(f, "    source: {source}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canary_policy_has_the_given_fields() {
        let text = Policy::new("web").step(25, 3).step(50, 4).measured().to_string();
        let policy: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let steps = &policy["spec"]["strategy"]["canary"]["steps"];
        assert_eq!(
            steps,
            &serde_json::json!([{"weight": 25, "duration": "3s"}, {"weight": 50, "duration": "4s"}])
        );
        assert_eq!(policy["spec"]["analysis"]["metrics"][0]["query"], ERRORS);
        let plain: serde_json::Value =
            serde_saphyr::from_str(&Policy::new("web").step(5, 1).to_string()).unwrap();
        assert!(plain["spec"]["analysis"].is_null());
        let text = Policy::new("web").step(5, 1).measured_by("odd").to_string();
        let policy: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(policy["spec"]["analysis"]["source"], "odd");
        assert_eq!(plain["spec"]["deadline"], "120s");
        let hasty: serde_json::Value =
            serde_saphyr::from_str(&Policy::new("web").deadline(9).to_string()).unwrap();
        assert_eq!(hasty["spec"]["deadline"], "9s");
    }

    #[test]
    fn the_blue_green_policy_has_the_given_fields() {
        let policy =
            Policy::blue_green("web").preview(50).before(2).gate("look: at it").after(3).keep_stable(4);
        let text = policy.by_service().window(2).reverts().measured().to_string();
        let policy: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let expected = serde_json::json!({"blueGreen": {
            "preview": {"replicas": "50%"}, "before": {"duration": "2s"}, "gate": {"person": {"message": "look: at it"}},
            "after": {"duration": "3s"}, "keepStable": "4s"}});
        assert_eq!(policy["spec"]["strategy"], expected);
        assert_eq!(policy["spec"]["traffic"], serde_json::json!({"serviceSelector": {}}));
        assert_eq!(policy["spec"]["rollbackWindow"]["revisions"], 2);
        assert_eq!(policy["spec"]["onFailure"], "Revert");
        let baked: serde_json::Value =
            serde_saphyr::from_str(&Policy::new("web").step(50, 1).bake(5).to_string()).unwrap();
        assert_eq!(baked["spec"]["strategy"]["canary"]["bake"], "5s");
    }
}
