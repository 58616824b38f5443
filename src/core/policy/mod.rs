//! Turns a policy as it was written into a compiled policy, or returns all its errors, each with
//! its path.
//!
//! `steelyard policy check` and the controller use it; the API server checks the CEL rules of the
//! CRDs. The first check is that of the schema (names, types, bounds). The second is that of the
//! values; it leaves out what the first one has reported, so that both sets of errors are returned
//! together.

mod cache;
mod checks;
mod compile;
mod fault;
pub mod gate;
mod hint;
mod metric;
mod names;
mod object;
mod problem;
pub mod query;
mod read;
#[cfg(test)]
mod rules;
mod shape;
pub mod source;
mod stages;
#[cfg(test)]
mod tests;
mod yaml;

pub use cache::{Cache, Compiled, Written};
pub use compile::{Policy, Window, compile};
pub use fault::{Fault, Faults};
pub use gate::Gate;
pub use hint::hints;
pub use metric::{Metric, Mode};
pub use object::{DocumentKind, kind, object};
pub use problem::{Problem, ProblemKind, Sort};
pub use query::Query;
pub use read::{read, schema, spec, stored};
pub use source::{Request, Source};
pub use stages::{Shift, Size, Stage, Until};
pub use yaml::{Document, Flaw, Place, documents};
