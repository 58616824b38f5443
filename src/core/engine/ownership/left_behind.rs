//! Services that select the pods of stable, but not those of the new template.

use std::collections::BTreeMap;

use super::services::selects;
use crate::{api, engine::snapshot::LeftBehind};

/// Returns what a Service with this selector misses in the new template, if pods of the Deployment
/// are behind it; `serving` are the labels of the Deployment's templates that have pods.
pub fn left_behind(
    service: &str,
    labels: &BTreeMap<String, String>,
    selector: &BTreeMap<String, String>,
    serving: &[BTreeMap<String, String>],
    template_labels: &BTreeMap<String, String>,
) -> Option<LeftBehind> {
    if [api::CANARY_OF, api::ROLLOUT, api::IGNORE].iter().any(|label| labels.contains_key(*label)) {
        return None;
    }
    if selects(selector, template_labels) || !serving.iter().any(|pods| selects(selector, pods)) {
        return None;
    }
    let lacking =
        |(key, value): &(&String, &String)| *key != api::HASH && template_labels.get(*key) != Some(*value);
    let labels = selector.iter().filter(lacking).map(|(key, value)| format!("{key}={value}")).collect();
    Some(LeftBehind { service: service.to_owned(), labels })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_service_that_selects_stable_and_not_the_new_template_is_named_with_the_label() {
        let stable = [map(&[("app", "web"), ("version", "v1")])];
        let new = map(&[("app", "web"), ("version", "v2")]);
        let found = |selector: &[(&str, &str)], labels: &[(&str, &str)], serving| {
            left_behind("web", &map(labels), &map(selector), serving, &new).map(|it| it.labels)
        };
        let v1 = [("app", "web"), ("version", "v1"), (api::HASH, "5d8c9b7f4")];
        assert_eq!(found(&v1, &[], &stable), Some(vec!["version=v1".to_owned()]));
        assert_eq!(found(&[("app", "web")], &[], &stable), None, "it selects both");
        assert_eq!(found(&[("app", "shop")], &[], &stable), None, "it is another workload's");
        assert_eq!(found(&v1, &[], &[]), None, "no pods are behind it");
        assert_eq!(found(&v1, &[(api::IGNORE, "")], &stable), None);
    }
}
