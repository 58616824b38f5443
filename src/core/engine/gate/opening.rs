//! What opened a gate, and the record of it.

use std::ops::Range;

use crate::{
    api,
    engine::reconcile::Reconcile,
    policy::{Policy, Stage},
};

/// Who or what opened a gate, and its answer.
pub(in crate::engine) struct Opening {
    /// A person, a webhook, a window.
    pub(in crate::engine) by: String,
    /// The answer of a webhook.
    pub(in crate::engine) response: Option<String>,
}

/// Records who or what opened the gates among these stages, counted from 0.
pub(in crate::engine) fn record(r: &mut Reconcile, policy: &Policy, stages: Range<usize>, opening: &Opening) {
    let at = Some(r.now());
    let Opening { by, response } = opening;
    for step in stages.filter(|step| matches!(policy.stages.get(*step), Some(Stage::Gate(_)))) {
        let opened = api::Opened { step: step + 1, by: by.clone(), at, response: response.clone() };
        r.trial().gates.push(opened);
    }
    r.trial().asked = None;
}
