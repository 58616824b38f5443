//! Gates: a rollout waits at one until it opens.

use super::pass::Pass;
use crate::api::Gate;

/// Whether this gate is open; else the wait is named. A person's opens by `spec.promote`, which the step looks at first.
pub(super) fn open(pass: &mut Pass, gate: &Gate) -> bool {
    if let Some(person) = &gate.person {
        pass.wait("Gate", format!("waiting for a person to promote this step: {}", person.message));
    }
    false
}
