//! Intents that have no effect: each is reported once, in the reconcile that first sees it.
//!
//! `kubectl steelyard` refuses such an intent before it sets it. Another client can set any.

use super::{
    reasons::{EventReason, Ignored, Lack},
    reconcile::Reconcile,
};
use crate::api::{Handover, Phase};

/// An intent of a Rollout's `spec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intent {
    Abort,
    Pause,
    PromoteStep(u32),
    PromoteFull,
    Retry(u32),
    Skip,
}

impl Intent {
    fn field(self) -> &'static str {
        match self {
            Self::Abort => "abort",
            Self::Pause => "pause",
            Self::PromoteStep(_) | Self::PromoteFull => "promote",
            Self::Retry(_) => "retry",
            Self::Skip => "skip",
        }
    }
}

/// Reports the intents that have no effect, if `spec` has changed since the last reconcile.
pub(super) fn report(r: &mut Reconcile) {
    let rollout = r.rollout();
    if rollout.meta.generation <= rollout.status.observed_generation {
        return;
    }
    for (intent, revision) in set(r) {
        if let Some(why) = ignored(r, intent, &revision) {
            r.report(&EventReason::IntentIgnored { intent: intent.field().to_owned(), why });
        }
    }
}

/// Returns the intents in `spec`, and the revision that each names.
fn set(r: &Reconcile) -> Vec<(Intent, String)> {
    let spec = &r.rollout().spec;
    let plain = |intent: Intent, set: &Option<crate::api::Intent>| {
        set.as_ref().map(|set| (intent, set.revision.clone()))
    };
    let promote = spec.promote.as_ref().map(|promote| {
        let step = promote.step.map_or(Intent::PromoteFull, Intent::PromoteStep);
        (step, promote.revision.clone())
    });
    let retry = spec.retry.as_ref().map(|retry| (Intent::Retry(retry.attempt), retry.revision.clone()));
    let plain = [
        plain(Intent::Abort, &spec.abort),
        plain(Intent::Pause, &spec.pause),
        plain(Intent::Skip, &spec.skip),
    ];
    plain.into_iter().chain([promote, retry]).flatten().collect()
}

/// Returns why an intent has no effect in the state that this reconcile found, if so.
fn ignored(r: &Reconcile, intent: Intent, revision: &str) -> Option<Ignored> {
    if !r.meant(revision) {
        return Some(Ignored::OtherTemplate);
    }
    let status = &r.rollout().status;
    let stage = status.trial.as_ref().and_then(|trial| trial.handover);
    let over = r.deployment_owns_canary() || stage >= Some(Handover::Transferring);
    let step = status.trial.as_ref().map(|trial| trial.step + 1);
    match (intent, status.phase) {
        (Intent::Retry(attempt), Phase::RollingBack | Phase::RolledBack) => {
            (attempt <= status.attempt.unwrap_or(1)).then_some(Ignored::OldAttempt)
        }
        (Intent::Retry(_), _) => Some(Ignored::NotRolledBack),
        (Intent::Skip | Intent::Abort, Phase::Promoting) if over => Some(Ignored::HandedOver),
        (Intent::Skip, Phase::Stable | Phase::RolledBack | Phase::RollingBack) => {
            (!r.held()).then_some(Ignored::NothingHeld)
        }
        (Intent::Skip, _) => None,
        (Intent::Pause, Phase::Promoting) if over || stage > Some(Handover::ScalingUp) => {
            Some(Ignored::HandedOver)
        }
        (Intent::PromoteStep(_) | Intent::PromoteFull, Phase::Promoting) => Some(Ignored::HandedOver),
        (_, Phase::RollingBack | Phase::RolledBack) => Some(Ignored::RolledBack),
        (_, Phase::Stable) if !r.held() => Some(Ignored::NothingHeld),
        (Intent::PromoteStep(wanted), Phase::Stepping | Phase::Waiting) => {
            (step != usize::try_from(wanted).ok()).then_some(Ignored::OtherStep)
        }
        (Intent::Abort, _) => (r.alone() == Some(Lack::Gone)).then_some(Ignored::Alone),
        (Intent::Pause | Intent::PromoteStep(_) | Intent::PromoteFull, _) => None,
    }
}
