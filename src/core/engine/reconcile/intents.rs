//! What people want of this revision.

use super::context::Reconcile;

/// Who set an intent, in words.
pub(in crate::engine) fn person(by: Option<&str>) -> String {
    by.map_or_else(|| "a person".to_owned(), str::to_owned)
}

impl Reconcile<'_> {
    /// Whether an intent is for the revision under analysis, by its name or by the generation it came with.
    pub(in crate::engine) fn meant(&self, revision: &str) -> bool {
        self.status.canary.as_ref().map_or_else(
            || self.d.meta.generation.to_string() == revision,
            |canary| canary.revision == revision || canary.generation.to_string() == revision,
        )
    }

    /// Who wants this revision aborted, if someone does.
    pub(in crate::engine) fn aborted_by(&self) -> Option<String> {
        let abort = self.r.spec.abort.as_ref().filter(|abort| self.meant(&abort.revision))?;
        Some(person(abort.by.as_deref()))
    }

    /// Who wants this revision rolled out natively, unmeasured, if someone does.
    pub(in crate::engine) fn skipped_by(&self) -> Option<String> {
        let skip = self.r.spec.skip.as_ref().filter(|skip| self.meant(&skip.revision))?;
        Some(person(skip.by.as_deref()))
    }

    /// Who wants the rollout to stay at its weight, if someone does.
    pub(in crate::engine) fn paused_by(&self) -> Option<String> {
        let pause = self.r.spec.pause.as_ref().filter(|pause| self.meant(&pause.revision))?;
        Some(person(pause.by.as_deref()))
    }
}
