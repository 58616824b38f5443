//! What opened a gate, and the record of it.

use std::ops::Range;

use crate::{
    api,
    engine::reconcile::Reconcile,
    policy::{Stage, Valid},
};

/// Who or what opened a gate, and what it said.
pub(in crate::engine) struct Key {
    /// A person, a webhook, a window.
    pub(in crate::engine) by: String,
    /// The answer of a webhook.
    pub(in crate::engine) said: Option<String>,
}

/// Writes down who or what opened the gates among these stages, counted from 0.
pub(in crate::engine) fn record(r: &mut Reconcile, valid: &Valid, stages: Range<usize>, key: &Key) {
    let at = Some(r.now());
    let Key { by, said } = key;
    for step in stages.filter(|step| matches!(valid.stages.get(*step), Some(Stage::Gate(_)))) {
        let opened = api::Opened { step: step + 1, by: by.clone(), at, said: said.clone() };
        r.trial().gates.push(opened);
    }
    r.trial().asked = None;
}
