//! Asking Prometheus: the queries of a policy and the sources they go to.

pub mod prometheus;
pub mod template;
pub mod terms;
