//! What a user wrote in; a policy that can be run out, or every error at once, each with its path.
//!
//! `steelyard policy check` and the controller ask here; the rules of the definitions (CEL) say in
//! the API server what one object can say of itself. Shape first (names, types, bounds), then
//! meaning: what the first finds is left out for the second, which so finds the rest.

mod checks;
mod compile;
mod fault;
pub mod gate;
mod hint;
mod object;
mod problem;
mod read;
#[cfg(test)]
mod rules;
mod shape;
mod stages;
pub mod template;
pub mod terms;
#[cfg(test)]
mod tests;
mod yaml;

pub use compile::{Metric, Valid, Window, valid};
pub use fault::{Fault, Faults};
pub use gate::Gate;
pub use hint::hints;
pub use object::{Kind, kind, object};
pub use problem::{Problem, ProblemKind, Sort};
pub use read::{read, schema, spec};
pub use stages::{Shift, Size, Stage, Until};
pub use yaml::{Document, Flaw, Place, documents};
