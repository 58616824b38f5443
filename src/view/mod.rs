//! The read model: a rollout as people look at it, made from what was read of the cluster. The plugin
//! shows it as a tree, an explanation or JSON.

mod facts;
mod metrics;
mod model;
mod versions;

pub(crate) use facts::Facts;
pub(crate) use metrics::Metric;
pub(crate) use model::View;
pub(crate) use versions::Running;
