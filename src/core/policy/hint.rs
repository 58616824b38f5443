//! What is allowed in a policy, but seldom meant.

use super::{compile::valid, fault::Fault, problem::Sort, template};
use crate::api::RolloutPolicySpec;

/// Warnings about a policy that can be run; nothing about one that can't.
pub fn hints(spec: &RolloutPolicySpec) -> Vec<Fault> {
    let Ok(valid) = valid(spec) else { return Vec::new() };
    let mut hints = Vec::new();
    for (index, metric) in valid.metrics.iter().enumerate() {
        let path = format!("spec.analysis.metrics[{index}].query");
        let mut hint = |message: String| hints.push(Fault::new(Sort::Warning, path.clone(), message));
        let range = template::longest_range(&metric.query).unwrap_or_default();
        if metric.limits.failure_limit > 0 && valid.interval < range {
            hint(format!(
                "looks back {range:?}, but is asked every {:?}: one burst of errors fails several looks, so that failureLimit {} tolerates less than it seems",
                valid.interval, metric.limits.failure_limit
            ));
        }
        let plain: String = metric.query.split_whitespace().collect::<Vec<_>>().join(" ");
        if plain.contains("or vector(0)") || plain.contains("or on() vector(0)") {
            let why =
                "says 0 where there is no data: without traffic that is a value like any other, and may pass";
            hint(why.to_owned());
        }
    }
    hints
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn overlapping_windows_and_invented_zeros_are_pointed_out() {
        let hints = |interval: &str, limit: u32, query: &str| {
            let spec = crate::policy::spec(&json!({
                "strategy": {"canary": {"steps": [{"weight": 5}]}},
                "traffic": {"gatewayAPI": {}},
                "analysis": {"interval": interval, "metrics": [{"name": "a", "max": 1, "failureLimit": limit, "query": query}]},
            }))
            .expect("a policy");
            super::hints(&spec).len()
        };
        let query = "sum(rate(errors{pod=~\"$canary_pods\"}[1m]))";
        assert_eq!(hints("1m", 1, query), 0);
        assert_eq!(hints("30s", 1, query), 1);
        assert_eq!(hints("30s", 0, query), 0);
        assert_eq!(hints("30s", 1, &format!("{query} or\n vector(0)")), 2);
    }
}
