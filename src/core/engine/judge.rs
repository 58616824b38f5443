//! Metrics and everything else that may turn a rollout back.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Ask, back, claims,
    pass::{Pass, person},
};
use crate::{
    analysis::{self, Measurement, Outcome, Verdict},
    api::{Handover, Phase, RolloutStatus, Version},
    policy::{
        Metric, Shift, Stage, Valid,
        template::{self, Variables},
        valid,
    },
};

/// The policy that the rollout began with.
pub(super) fn policy(pass: &Pass) -> Option<Valid> {
    let trial = pass.status.trial.as_ref()?;
    let spec = trial.policy.as_ref()?;
    let read = || {
        let mut valid = valid(spec).ok()?;
        if trial.returning {
            valid.stages = vec![Stage::Shift(Shift::ALL)];
        }
        Some(valid)
    };
    pass.valid.get_or_init(read).clone()
}

/// Turns back if anything asks for it: a person, a template, a pod, a metric. Returns whether the rollout turned.
pub(super) fn turned_back(pass: &mut Pass) -> bool {
    let native = pass.trial().handover.is_some_and(|stage| stage >= Handover::Native);
    if pass.adopted() || native && !pass.held() {
        return false;
    }
    let revision = pass.revision();
    if pass.marked_failed(&revision) {
        back::fail(pass, "Failed", "traffic was taken back before this term of leadership began", None);
        return true;
    }
    if let Some(abort) = pass.r.spec.abort.as_ref().filter(|abort| pass.meant(&abort.revision)) {
        let message = format!("aborted by {}", person(abort.by.as_deref()));
        back::fail(pass, "Aborted", &message, None);
        return true;
    }
    if let Some((reason, message)) = unwanted(pass) {
        back::withdraw(pass, reason, &message);
        return true;
    }
    // While it is being prepared, a difference is admission's doing, and dealt with there.
    if pass.status.phase != Phase::Preparing
        && pass.trial().native.is_none()
        && pass.canary().is_some_and(|canary| canary.template != pass.d.template)
    {
        back::fail(pass, "CanaryChanged", "somebody changed the template of the canary's ReplicaSet", None);
        return true;
    }
    let crashing = pass.s.pods.iter().find(|pod| {
        let looping = pod.trouble.as_ref().is_some_and(|(reason, _)| reason == "CrashLoopBackOff");
        pod.hash == revision && !pod.deleting && (looping || pod.restarts >= 2)
    });
    if let Some(pod) = crashing {
        let message = format!("pod {} crashed again and again ({} restarts)", pod.name, pod.restarts);
        back::fail(pass, "CrashLoop", &message, None);
        return true;
    }
    read(pass)
}

/// Why nobody wants this revision any more, if so.
fn unwanted(pass: &Pass) -> Option<(&'static str, String)> {
    if pass.s.policy == super::Policy::Unnamed || pass.r.meta.deleting || pass.d.meta.deleting {
        return Some(("Left", "Steelyard is asked to leave".into()));
    }
    if let Some((service, first)) = claims::lost(pass.s) {
        let why = format!(
            "Service {} was claimed by Deployment {} in the same moment",
            service.meta.name, first.deployment
        );
        return Some(("Conflict", why));
    }
    if !pass.held() {
        return Some(("Released", "the Deployment was resumed by somebody else".into()));
    }
    if let Some(skip) = pass.r.spec.skip.as_ref().filter(|skip| pass.meant(&skip.revision)) {
        let by = person(skip.by.as_deref());
        return Some(("Skipped", format!("{by} wants it rolled out natively, unmeasured")));
    }
    if pass.stable().is_some_and(|stable| stable.template == pass.d.template) {
        return Some(("Withdrawn", "stable's template was pushed again".into()));
    }
    // The generation also counts changes of replicas: only with another template is it a push.
    let trial = pass.status.trial.as_ref()?;
    let pushed = trial.native.as_ref().or_else(|| pass.canary().map(|canary| &canary.template))?;
    let minted = pass.status.canary.as_ref().map_or(0, |canary| canary.generation);
    (pass.d.meta.generation != minted && *pushed != pass.d.template)
        .then(|| ("Superseded", "a newer template was pushed".into()))
}

/// Counts the answers that came. Returns whether one of them failed its metric for good.
fn read(pass: &mut Pass) -> bool {
    let Some(valid) = policy(pass) else { return false };
    let revision = pass.revision();
    for reading in pass.s.readings.iter().filter(|reading| reading.revision == revision) {
        let Some(metric) = valid.metrics.iter().find(|metric| metric.name == reading.metric) else {
            continue;
        };
        let measurement = metric.measure(&reading.outcome);
        let range = template::longest_range(&reading.query).unwrap_or(Duration::ZERO);
        let begin = |since: Option<jiff::Timestamp>, settle: Duration| {
            since.is_some_and(|since| reading.at >= Pass::after(since, range + settle))
        };
        let trial = pass.trial();
        let counts = match (measurement, &reading.outcome) {
            // A failure needs its window within the time the revision has had traffic, all else within the step: also the
            // absence of data, of which there is none at first.
            (Measurement::Fail, Outcome::Value(_)) => begin(trial.traffic_since, Duration::ZERO),
            _ => reading.step == trial.step && begin(trial.weighted_at, valid.settle),
        };
        let state = trial.metrics.entry(reading.metric.clone()).or_default();
        state.last = Some(reading.outcome.clone());
        if !counts {
            continue;
        }
        state.tally.record(&measurement);
        if analysis::verdict(&metric.limits, &state.tally) == Verdict::Fail {
            let message = missed(metric, &reading.outcome);
            back::fail(pass, "MetricFailed", &message, Some(reading));
            return true;
        }
    }
    false
}

/// How an answer misses a metric.
fn missed(metric: &Metric, outcome: &Outcome) -> String {
    let Outcome::Value(value) = outcome else {
        return format!("metric {} has no data, which its noData says is a failure", metric.name);
    };
    let limit = match (metric.threshold.min, metric.threshold.max) {
        (Some(min), _) if *value < min => format!("below min {min}"),
        (_, Some(max)) => format!("above max {max}"),
        _ => "out of bounds".to_owned(),
    };
    format!("metric {} is {value}, {limit}", metric.name)
}

/// Asks each metric that is due, as long as the canary has traffic.
pub(super) fn ask(pass: &mut Pass, valid: &Valid) {
    if pass.trial().traffic_since.is_none() {
        return;
    }
    let now = pass.s.now;
    let (revision, step) = (pass.revision(), pass.trial().step);
    for metric in &valid.metrics {
        let state = pass.trial().metrics.entry(metric.name.clone()).or_default();
        let due = state.asked_at.map_or(now, |at| Pass::after(at, valid.interval));
        if pass.s.asking.contains(&metric.name) {
            continue;
        }
        if now < due {
            pass.wake_at(due);
            continue;
        }
        let mut variables = variables(&pass.s.namespace, &pass.s.name, &pass.status, valid.interval);
        let (stable, canary) = (pass.status.stable.as_ref(), pass.status.canary.as_ref());
        variables.stable_pods = listed(pass, stable).unwrap_or(variables.stable_pods);
        variables.canary_pods = listed(pass, canary).unwrap_or(variables.canary_pods);
        let Ok(query) = template::render(&metric.query, &variables) else { continue };
        let mut terms = metric.terms.clone();
        if let Some(samples) = &mut terms.samples {
            let Ok(count) = template::render(&samples.query, &variables) else { continue };
            samples.query = count;
        }
        pass.trial().metrics.entry(metric.name.clone()).or_default().asked_at = Some(now);
        let (source, metric) = (valid.source.clone(), metric.name.clone());
        pass.asks.push(Ask { source, revision: revision.clone(), step, metric, query, at: now, terms });
    }
}

/// The pods of a version by name, where their generated names are cut and don't tell the versions apart. Pods that came and
/// went between two looks are in no list.
fn listed(pass: &Pass, version: Option<&Version>) -> Option<String> {
    let version = version.filter(|version| template::is_cut(&version.replica_set))?;
    let of_version = pass.s.pods.iter().filter(|pod| pod.hash == version.revision);
    let names: BTreeSet<&str> = of_version.map(|pod| pod.name.as_str()).collect();
    Some(template::listed(names.into_iter()))
}

/// What the variables of a query stand for, in the trial that `status` tells of.
pub fn variables(namespace: &str, deployment: &str, status: &RolloutStatus, interval: Duration) -> Variables {
    let name = |version: &Option<Version>| version.as_ref().map_or("", |v| v.replica_set.as_str()).to_owned();
    let hash = |version: &Option<Version>| version.as_ref().map_or("", |v| v.revision.as_str()).to_owned();
    let trial = status.trial.as_ref();
    Variables {
        namespace: namespace.to_owned(),
        deployment: deployment.to_owned(),
        service: trial.map(|trial| trial.service.clone()).unwrap_or_default(),
        canary_service: trial.map(|trial| trial.canary_service.clone()).unwrap_or_default(),
        canary_pods: template::pod_pattern(&name(&status.canary)),
        stable_pods: template::pod_pattern(&name(&status.stable)),
        canary_hash: hash(&status.canary),
        stable_hash: hash(&status.stable),
        interval: format!("{}ms", interval.as_millis()),
    }
}

/// The verdict of the step so far.
pub(super) fn verdict(pass: &Pass, valid: &Valid) -> Verdict {
    let Some(metrics) = pass.status.trial.as_ref().map(|trial| &trial.metrics) else {
        return Verdict::Pending;
    };
    let of = |metric: &Metric| {
        metrics
            .get(&metric.name)
            .map_or(Verdict::Pending, |state| analysis::verdict(&metric.limits, &state.tally))
    };
    analysis::worst(valid.metrics.iter().map(of))
}

/// What the metrics said last that was no value.
pub(super) fn last_error(pass: &Pass) -> String {
    let said =
        pass.status.trial.iter().flat_map(|trial| &trial.metrics).find_map(|(name, state)| {
            match &state.last {
                Some(Outcome::Error { class, message }) => {
                    Some(format!("metric {name}: {class:?}: {message}"))
                }
                Some(Outcome::NoData) => Some(format!("metric {name}: no data")),
                Some(Outcome::NonFinite) => Some(format!("metric {name}: not a finite number")),
                Some(Outcome::TooFew { found, wanted }) => {
                    Some(format!("metric {name}: {found} requests are too few, {wanted} are wanted"))
                }
                _ => None,
            }
        });
    said.unwrap_or_else(|| "metrics have no verdict".to_owned())
}
