//! The read model: a rollout as users see it, computed from the objects of one Deployment. The
//! plugin prints it as a tree, an explanation or JSON.

mod facts;
mod metrics;
mod model;
mod versions;

pub(crate) use facts::Facts;
pub(crate) use metrics::Metric;
pub(crate) use model::View;
pub(crate) use versions::Running;
