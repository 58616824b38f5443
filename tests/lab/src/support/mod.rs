//! What the tests on the lab are made of: a namespace of their own, waits with a name and a deadline, and evidence
//! when a test fails.

mod apply;
mod dump;
mod errors;
mod manifests;
mod space;
mod traffic;
mod wait;

pub use errors::{Failure, SupportError};
pub use manifests::Demo;
pub use space::Space;
pub use traffic::routed;
pub use wait::{available, condition};

/// Prints a test's numbers where everybody sees them: what goes through `println!` is shown only if the test fails.
pub fn tell(text: impl std::fmt::Display) {
    use std::io::Write;
    // Numbers that nobody can read are no reason to fail.
    let _ = writeln!(std::io::stderr(), "{text}");
}
