//! The controller's own clock: what its histogram of ways back says.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use super::Error;
use crate::steelyard::NAMESPACE;
use crate::support::{Space, SupportError};

/// The histogram: from the arrival of a failing answer to the write that took traffic back.
const BREACH: &str = "steelyard_breach_to_write_seconds";

/// How many ways back a controller has taken, and how many seconds they took from the failing answer to the write.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct WaysBack {
    count: u64,
    seconds: f64,
}

impl WaysBack {
    /// What all controllers of the lab say now.
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
            let one = Self::parse(&text).ok_or_else(|| Error::Metrics(format!("no {BREACH} in {text}")))?;
            all.count += one.count;
            all.seconds += one.seconds;
        }
        Ok(all)
    }

    fn parse(text: &str) -> Option<Self> {
        let value = |suffix: &str| {
            let name = format!("{BREACH}_{suffix} ");
            text.lines().find_map(|line| line.strip_prefix(&name))
        };
        Some(Self { count: value("count")?.parse().ok()?, seconds: value("sum")?.parse().ok()? })
    }

    /// How long the one way back took that was taken since `before`; none if there was none, or more than one.
    pub(super) fn since(self, before: Self) -> Option<f64> {
        (self.count == before.count + 1).then_some(self.seconds - before.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_histogram_of_a_page_of_metrics_tells_one_way_back_from_the_next() {
        let page = "# TYPE steelyard_breach_to_write_seconds histogram\n\
                    steelyard_breach_to_write_seconds_sum 0.75\n\
                    steelyard_breach_to_write_seconds_count 3\n\
                    steelyard_breach_to_write_seconds_bucket{le=\"0.005\"} 0\n";
        let now = WaysBack::parse(page).expect("the histogram");
        assert_eq!(now, WaysBack { count: 3, seconds: 0.75 });
        assert_eq!(now.since(WaysBack { count: 2, seconds: 0.5 }), Some(0.25));
        assert_eq!(now.since(WaysBack { count: 3, seconds: 0.75 }), None);
        assert_eq!(now.since(WaysBack { count: 1, seconds: 0.25 }), None);
        assert_eq!(WaysBack::parse("steelyard_is_leader 1\n"), None);
    }
}
