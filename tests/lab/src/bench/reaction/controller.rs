//! The controller's own measurements: its histogram of rollback latency.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use super::Error;
use crate::steelyard::NAMESPACE;
use crate::support::{Space, SupportError};

/// The histogram: from the arrival of a failing answer to the write that returns the traffic to
/// stable.
const ROLLBACK_LATENCY: &str = "steelyard_rollback_latency_seconds";

/// The number of rollbacks of a controller, and the sum of their latencies in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rollbacks {
    count: u64,
    seconds: f64,
}

impl Rollbacks {
    /// Reads the current values of all controllers in the lab.
    pub(super) async fn read(space: &Space) -> Result<Self, Error> {
        let pods = Api::<Pod>::namespaced(space.client(), NAMESPACE)
            .list(&ListParams::default().labels("app.kubernetes.io/name=steelyard"))
            .await
            .map_err(|source| SupportError::Api { what: "list Steelyard's pods".to_owned(), source })?;
        let addresses = pods.items.iter().filter_map(|pod| pod.status.as_ref()?.pod_ip.clone());
        let mut all = Self::default();
        for address in addresses {
            let failed = |error: reqwest::Error| Error::Metrics(error.to_string());
            let answer = reqwest::get(format!("http://{address}:8080/metrics")).await.map_err(failed)?;
            let text = answer.error_for_status().map_err(failed)?.text().await.map_err(failed)?;
            let one = Self::parse(&text)
                .ok_or_else(|| Error::Metrics(format!("no {ROLLBACK_LATENCY} in {text}")))?;
            all.count += one.count;
            all.seconds += one.seconds;
        }
        Ok(all)
    }

    fn parse(text: &str) -> Option<Self> {
        let value = |suffix: &str| {
            let name = format!("{ROLLBACK_LATENCY}_{suffix} ");
            text.lines().find_map(|line| line.strip_prefix(&name))
        };
        Some(Self { count: value("count")?.parse().ok()?, seconds: value("sum")?.parse().ok()? })
    }

    /// Returns the latency of the single rollback since `before`, or `None` if there was none or
    /// more than one.
    pub(super) fn since(self, before: Self) -> Option<f64> {
        (self.count == before.count + 1).then_some(self.seconds - before.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rollback_is_the_difference_of_two_histograms() {
        let page = "# TYPE steelyard_rollback_latency_seconds histogram\n\
                    steelyard_rollback_latency_seconds_sum 0.75\n\
                    steelyard_rollback_latency_seconds_count 3\n\
                    steelyard_rollback_latency_seconds_bucket{le=\"0.005\"} 0\n";
        let now = Rollbacks::parse(page).expect("the histogram");
        assert_eq!(now, Rollbacks { count: 3, seconds: 0.75 });
        assert_eq!(now.since(Rollbacks { count: 2, seconds: 0.5 }), Some(0.25));
        assert_eq!(now.since(Rollbacks { count: 3, seconds: 0.75 }), None);
        assert_eq!(now.since(Rollbacks { count: 1, seconds: 0.25 }), None);
        assert_eq!(Rollbacks::parse("steelyard_is_leader 1\n"), None);
    }
}
