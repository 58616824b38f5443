//! What the tests on the lab are made of: a namespace of their own, waits with a name and a deadline, and evidence
//! when a test fails.

mod adopt;
mod apply;
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
pub use errors::{Failure, SupportError};
pub use manifests::Demo;
pub use objects::{HttpRoute, Rollout};
pub use policy::Policy;
pub use space::Space;
pub use traffic::routed;
pub use trail::{Seen, Trail};
pub use wait::{asked, available, condition};

/// Prints a test's numbers where everybody sees them: what goes through `println!` is shown only if the test fails.
pub fn tell(text: impl std::fmt::Display) {
    use std::io::Write;
    // Numbers that nobody can read are no reason to fail.
    let _ = writeln!(std::io::stderr(), "{text}");
}
