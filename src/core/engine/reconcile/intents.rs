//! Requests of people for this revision.

use super::context::Reconcile;

/// Returns who set an intent, for messages.
pub(in crate::engine) fn person(by: Option<&str>) -> String {
    by.map_or_else(|| "a person".to_owned(), str::to_owned)
}

impl Reconcile<'_> {
    /// Returns whether an intent names the Deployment's present template: by its hash, or by the
    /// revision of the canary that has it. An intent for any other template has no effect, in any
    /// phase.
    pub(in crate::engine) fn meant(&self, revision: &str) -> bool {
        let hash = &self.status.template_hash;
        let canary = self.status.canary.as_ref().filter(|canary| canary.template_hash == *hash);
        revision == hash || canary.is_some_and(|canary| canary.revision == revision)
    }

    /// Returns who aborted this revision, if it is aborted.
    pub(in crate::engine) fn aborted_by(&self) -> Option<String> {
        let abort = self.r.spec.abort.as_ref().filter(|abort| self.meant(&abort.revision))?;
        Some(person(abort.by.as_deref()))
    }

    /// Returns who asked for a native rollout of this revision, if requested.
    pub(in crate::engine) fn skipped_by(&self) -> Option<String> {
        let skip = self.r.spec.skip.as_ref().filter(|skip| self.meant(&skip.revision))?;
        Some(person(skip.by.as_deref()))
    }

    /// Returns who paused the rollout, if it is paused.
    pub(in crate::engine) fn paused_by(&self) -> Option<String> {
        let pause = self.r.spec.pause.as_ref().filter(|pause| self.meant(&pause.revision))?;
        Some(person(pause.by.as_deref()))
    }
}
