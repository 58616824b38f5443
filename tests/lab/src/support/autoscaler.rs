//! A `HorizontalPodAutoscaler` and the metric that it reads.

use std::time::Duration;

use jiff::{Timestamp, Unit};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use serde_json::json;

use super::{Failure, Space};

/// Time limit for the autoscaler to read a value and to scale the Deployment. It reads each second.
const LIMIT: Duration = Duration::from_mins(1);

/// An autoscaler of one Deployment, from 1 to 10 replicas. It follows an external metric, as those
/// of KEDA do: one replica for each unit of the demand.
pub struct Autoscaler<'a> {
    space: &'a Space,
    deployment: &'a str,
}

impl<'a> Autoscaler<'a> {
    /// Creates it for a Deployment that has as many replicas as the demand, and waits until it has
    /// read the metric.
    pub async fn new(space: &'a Space, deployment: &'a str, demand: i32) -> Result<Self, Failure> {
        let scaler = Self { space, deployment };
        scaler.write(demand).await?;
        let object = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": deployment},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
                "minReplicas": 1, "maxReplicas": 10,
                "metrics": [{"type": "External", "external": {
                    "metric": {"name": "demand"}, "target": {"type": "AverageValue", "averageValue": "1"}}}],
                // Without the five minutes that it otherwise waits before it scales down.
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}});
        space.apply(&object.to_string()).await?;
        let read = |hpa: &HorizontalPodAutoscaler| {
            let metrics = hpa.status.as_ref()?.current_metrics.as_ref()?;
            metrics.iter().any(|metric| metric.external.is_some()).then_some(())
        };
        space.until(deployment, "a metric read by the autoscaler", LIMIT, read).await?;
        Ok(scaler)
    }

    /// Changes the demand, and waits until the autoscaler has scaled the Deployment to it.
    pub async fn demand(&self, replicas: i32) -> Result<(), Failure> {
        self.write(replicas).await?;
        let scaled = |d: &Deployment| (d.spec.as_ref()?.replicas? == replicas).then_some(());
        let what = format!("scaled to {replicas} by the autoscaler");
        Ok(self.space.until(self.deployment, &what, LIMIT, scaled).await?)
    }

    async fn write(&self, demand: i32) -> Result<(), Failure> {
        let value = json!({
            "apiVersion": "external.metrics.k8s.io/v1beta1", "kind": "ExternalMetricValue",
            "metadata": {"name": self.deployment},
            "metricName": "demand", "metricLabels": {},
            "timestamp": Timestamp::now().round(Unit::Second)?.to_string(),
            "value": demand.to_string()});
        Ok(self.space.apply(&value.to_string()).await?)
    }
}
