//! Policies as tests need them: short steps, quick looks.

use std::fmt;

/// The share of 5xx in the canary's answers, over three seconds.
const ERRORS: &str = r#"sum(rate(http_requests_total{namespace="$namespace",pod=~"$canary_pods",code=~"5.."}[3s])) / sum(rate(http_requests_total{namespace="$namespace",pod=~"$canary_pods"}[3s]))"#;

/// A canary by `HTTPRoute` in a few steps. Prints as YAML.
#[derive(Debug, Clone)]
pub struct Policy {
    name: String,
    steps: Vec<(u8, u8)>,
    measured: bool,
    source: Option<String>,
    deadline: u8,
}

impl Policy {
    /// A policy of this name, without steps and without metrics.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), steps: Vec::new(), measured: false, source: None, deadline: 120 }
    }

    /// A step more: weight in percent, and how many seconds it lasts at least.
    #[must_use]
    pub fn step(mut self, weight: u8, hold: u8) -> Self {
        self.steps.push((weight, hold));
        self
    }

    /// Gives pods so many seconds to become ready, and steps to reach a verdict; without it two minutes.
    #[must_use]
    pub fn deadline(mut self, seconds: u8) -> Self {
        self.deadline = seconds;
        self
    }

    /// Takes traffic back once more than a tenth of the canary's answers are errors: metric `errors`, looked at every
    /// second.
    #[must_use]
    pub fn measured(mut self) -> Self {
        self.measured = true;
        self
    }

    /// As [`Policy::measured`], with answers from another of the operator's sources.
    #[must_use]
    pub fn measured_by(mut self, source: &str) -> Self {
        self.source = Some(source.to_owned());
        self.measured()
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<String> =
            self.steps.iter().map(|(weight, hold)| format!("{{weight: {weight}, hold: {hold}s}}")).collect();
        write!(
            f,
            r"apiVersion: steelyard.io/v1alpha1
kind: RolloutPolicy
metadata: {{name: {}}}
spec:
  strategy: {{canary: {{steps: [{}]}}}}
  traffic: {{gatewayAPI: {{}}}}
  deadline: {}s
",
            self.name,
            steps.join(", "),
            self.deadline
        )?;
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
    fn the_policy_says_what_was_asked() {
        let text = Policy::new("web").step(25, 3).step(50, 4).measured().to_string();
        let policy: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let steps = &policy["spec"]["strategy"]["canary"]["steps"];
        assert_eq!(steps, &serde_json::json!([{"weight": 25, "hold": "3s"}, {"weight": 50, "hold": "4s"}]));
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
}
