//! Support for the tests on the lab: a namespace per test, waits with a name and a deadline, and
//! evidence of failures.

mod adopt;
mod apply;
mod autoscaler;
mod dump;
mod errors;
mod manifests;
mod objects;
mod policy;
mod space;
mod traffic;
mod trail;
pub mod turn;
mod wait;

pub use adopt::{Trails, runs};
pub use autoscaler::Autoscaler;
pub use errors::{Failure, SupportError};
pub use manifests::Demo;
pub use objects::{GrpcRoute, HttpRoute, Rollout};
pub use policy::Policy;
pub use space::Space;
pub use traffic::routed;
pub use trail::{Seen, Trail};
pub use wait::{asked, available, condition};

/// Prints a test's figures to standard error, which is always shown: the output of `println!` is
/// shown only if the test fails.
pub fn tell(text: impl std::fmt::Display) {
    use std::io::Write;
    // A test does not fail because its figures can't be printed.
    let _ = writeln!(std::io::stderr(), "{text}");
}
