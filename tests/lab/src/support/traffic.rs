//! Waits for traffic to flow.

use std::time::Duration;

use super::SupportError;
use crate::load::{Load, Plan};

/// Requests per second while waiting.
const RATE: f64 = 20.0;

/// Waits until an application answers at the address of `plan`: a router or kube-proxy needs a
/// moment (a second or two) to apply a new route or Service, and load that starts earlier would
/// measure that.
pub async fn routed(plan: &Plan, limit: Duration) -> Result<(), SupportError> {
    let mut asking = plan.clone().kept_alive(0.0).timeout(Duration::from_millis(500));
    asking.rate = RATE;
    let running = Load::start(asking);
    let answered = async {
        // Several answers in a row without a failure: a router that is still applying the change
        // can answer intermittently.
        let answers = || {
            let recent = running.recent(Duration::from_millis(250));
            let answered: u64 = recent.by_version.values().map(|count| count.requests).sum();
            (answered, recent.lost())
        };
        while !matches!(answers(), (3.., 0)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(limit, answered).await;
    let record = running.stop().await;
    waited.map_err(|_| SupportError::Deadline {
        what: format!("an answer of an application at {} for host {}", plan.address, plan.host),
        limit,
        seen: record.to_string(),
    })
}
