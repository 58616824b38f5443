//! Every state of a rollout x every input: each cell reaches an end, and the invariants hold on the
//! way. Both sides are made from enums, so that a new phase, stage, intent or input can't be
//! forgotten.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use steelyard_core::api::{HASH, Handover, Intent, Promote, Retry, RolloutSpec, Strategy, Traffic};
use strum::IntoEnumIterator as _;

/// More reconciles than any cell needs.
const MANY: usize = 2000;

/// What a person or another client may do to a rollout in any state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumIter)]
enum Input {
    /// Intent `abort`.
    Abort,
    /// Intent `pause`, which is removed once the rollout waits for that.
    Pause,
    /// Intent `promote` for the step.
    PromoteStep,
    /// Intent `promote` for all steps.
    PromoteFull,
    /// Intent `retry`.
    Retry,
    /// Intent `skip`.
    Skip,
    /// v3 is pushed.
    NewerPush,
    /// The template of v1 is pushed again.
    StablePush,
    /// The annotation is removed.
    AnnotationRemoved,
    /// The policy is deleted, and created again once the rollout waits for that.
    PolicyDeleted,
    /// The Deployment is scaled to 0 and back.
    ScaledToZero,
    /// `kubectl rollout resume`, where admission does not deny it.
    Resumed,
}

impl Input {
    /// The intent, if the input is one, for a revision.
    fn intent(self, revision: &str, step: u32) -> Option<RolloutSpec> {
        let intent = || Some(Intent { revision: revision.into(), by: None });
        let promote = Promote { revision: revision.into(), ..Promote::default() };
        let spec = RolloutSpec::default();
        Some(match self {
            Self::Abort => RolloutSpec { abort: intent(), ..spec },
            Self::Pause => RolloutSpec { pause: intent(), ..spec },
            Self::PromoteStep => {
                RolloutSpec { promote: Some(Promote { step: Some(step), ..promote }), ..spec }
            }
            Self::PromoteFull => {
                RolloutSpec { promote: Some(Promote { full: Some(true), ..promote }), ..spec }
            }
            Self::Retry => {
                RolloutSpec { retry: Some(Retry { revision: revision.into(), attempt: 2, by: None }), ..spec }
            }
            Self::Skip => RolloutSpec { skip: intent(), ..spec },
            Self::NewerPush
            | Self::StablePush
            | Self::AnnotationRemoved
            | Self::PolicyDeleted
            | Self::ScaledToZero
            | Self::Resumed => return None,
        })
    }

    fn happens(self, world: &mut World) {
        let step = world.status().step.and_then(|step| u32::try_from(step).ok()).unwrap_or(1);
        let canary = world.status().canary.as_ref().map(|canary| canary.revision.clone());
        let revision = canary.unwrap_or_else(|| world.status().template_hash.clone());
        if let Some(intent) = self.intent(&revision, step) {
            world.want(|spec, _| *spec = intent);
        }
        match self {
            Self::NewerPush => world.push("demo:v3"),
            Self::StablePush => world.push("demo:v1"),
            Self::AnnotationRemoved => {
                world.snapshot.deployment.as_mut().unwrap().meta.annotations.remove(api::POLICY);
                world.snapshot.policy = PolicyState::Unnamed;
            }
            Self::PolicyDeleted => world.snapshot.policy = PolicyState::Missing("p".into()),
            Self::ScaledToZero => world.scale(0),
            Self::Resumed => {
                let d = world.snapshot.deployment.as_mut().unwrap();
                d.meta.generation += i64::from(d.paused);
                d.paused = false;
            }
            Self::Retry => world.failed.clear(),
            Self::Abort | Self::Pause | Self::PromoteStep | Self::PromoteFull | Self::Skip => {}
        }
    }
}

/// How the rollout of v2 would go without the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumIter)]
enum Course {
    /// It passes.
    Good,
    /// A metric fails at 50 percent.
    Bad,
    /// Admission alters the canary's template, so that the Deployment controller replaces it.
    Altered,
    /// A newer template is pushed at 50 percent.
    Superseded,
}

/// A state of a rollout: what decisions distinguish.
type State = (String, Option<String>, Option<usize>, Option<String>, Option<String>);

fn state(world: &World) -> State {
    let status = world.status();
    let stage = status.trial.as_ref().and_then(|trial| trial.handover);
    let cause = status.failure.as_ref().map(|failure| format!("{:?}", failure.cause));
    let reason = status.waiting.as_ref().map(|wait| wait.reason.clone());
    (status.phase.to_string(), stage.map(|stage| format!("{stage:?}")), status.step, reason, cause)
}

/// Opens a gate, as a person would.
fn open(world: &mut World) {
    let waits = world.status().waiting.as_ref().is_some_and(|wait| wait.reason == "Gate");
    let step = world.status().step.and_then(|step| u32::try_from(step).ok());
    if waits {
        world.want(|spec, revision| {
            let revision = revision.to_owned();
            *spec = RolloutSpec {
                promote: Some(Promote { revision, step, ..Promote::default() }),
                ..RolloutSpec::default()
            };
        });
    }
}

/// All states that rollouts of these kinds go through, each with a world in it.
fn states(ways: &[(Strategy, Traffic)]) -> BTreeMap<State, World> {
    let mut states = BTreeMap::new();
    for (strategy, traffic) in ways {
        for course in Course::iter() {
            let mut world = World::stable();
            world.altering = course == Course::Altered;
            let spec = world.policy();
            (spec.strategy, spec.traffic) = (strategy.clone(), traffic.clone());
            world.until_idle();
            states.entry(state(&world)).or_insert_with(|| world.clone());
            world.push("demo:v2");
            let mut left = MANY;
            while world.proceed() || world.status().waiting.as_ref().is_some_and(|wait| wait.reason == "Gate")
            {
                states.entry(state(&world)).or_insert_with(|| world.clone());
                open(&mut world);
                let late = world.status().step == Some(3) && world.status().weight != percent(0);
                match course {
                    Course::Bad if late => world.measurement = Measurement::Bad,
                    Course::Superseded if late && world.status().phase == Phase::Stepping => {
                        world.push("demo:v2.1");
                    }
                    _ => {}
                }
                left -= 1;
                assert!(left > 0, "{course:?}: {:?}", world.status());
            }
            states.entry(state(&world)).or_insert_with(|| world.clone());
        }
    }
    states
}

/// Proceeds until nothing is left to do, and acts where the rollout waits for a person: opens
/// gates, ends a pause, creates the policy again, scales the Deployment up.
fn rest(world: &mut World, policy: &PolicyState) {
    let before = running(world);
    for _ in 0..MANY {
        if world.snapshot.rollout.is_none() {
            return;
        }
        let goes_on = world.proceed();
        only_measured(world, &before);
        if world.snapshot.rollout.is_none() {
            return;
        }
        let reason = world.status().waiting.as_ref().map(|wait| wait.reason.clone());
        match reason.as_deref() {
            Some("Gate") => open(world),
            Some("Paused" | "OldIntent") => world.want(|spec, _| *spec = RolloutSpec::default()),
            Some("NotAccepted") => world.snapshot.policy = policy.clone(),
            Some("ZeroReplicas") => world.scale(4),
            _ if goes_on => {}
            _ if world.snapshot.deployment.as_ref().unwrap().replicas == 0 => world.scale(4),
            _ => return,
        }
    }
    panic!("no end after {MANY} reconciles: {:?}", world.status());
}

/// The `ReplicaSets` that have pods.
fn running(world: &World) -> BTreeSet<String> {
    let sets = world.snapshot.replica_sets.iter().filter(|set| set.replicas > 0);
    sets.map(|set| set.meta.name.clone()).collect()
}

/// While a template is held, only stable and the canary start pods.
fn only_measured(world: &World, before: &BTreeSet<String>) {
    let (Some(d), Some(rollout)) = (&world.snapshot.deployment, &world.snapshot.rollout) else { return };
    let versions = [&rollout.status.stable, &rollout.status.canary];
    let known: BTreeSet<&str> =
        versions.into_iter().flatten().map(|version| version.replica_set.as_str()).collect();
    for name in running(world).iter().filter(|_| d.held()) {
        assert!(known.contains(name.as_str()) || before.contains(name), "{name} runs: {:?}", rollout.status);
    }
}

/// One version serves alone, and nothing of a rollout is left.
fn ended(world: &World, input: Input) {
    let (s, d) = (&world.snapshot, world.snapshot.deployment.as_ref().unwrap());
    let active: Vec<_> = s.replica_sets.iter().filter(|set| set.replicas > 0).collect();
    assert_eq!(active.len(), 1, "{:?}", s.replica_sets);
    let [replicas, available] = [active[0].replicas, active[0].available];
    assert_eq!((replicas, available, active[0].controller.as_deref()), (4, 4, Some("uid-web")));
    assert_eq!(s.routes[0].spec, json!({"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]}));
    assert_eq!(s.services.len(), 1, "{:?}", s.services);
    assert!(!s.services[0].selector.contains_key(HASH) && s.services[0].ready.len() == 4);
    for meta in [&s.routes[0].meta, &s.services[0].meta] {
        assert!(meta.annotations.is_empty() && meta.managed.is_empty(), "{meta:?}");
    }
    let serves = active[0].template["spec"]["containers"][0]["image"].as_str().unwrap();
    match input {
        Input::NewerPush => assert_eq!(serves, "demo:v3"),
        Input::StablePush => assert_eq!(serves, "demo:v1"),
        _ => {}
    }
    let Some(rollout) = &s.rollout else {
        assert_eq!(input, Input::AnnotationRemoved);
        assert!(d.meta.labels.is_empty(), "{:?}", d.meta.labels);
        assert_eq!(d.paused, active[0].template != d.template);
        return;
    };
    let status = &rollout.status;
    assert!(rollout.finalizers.is_empty() && status.trial.is_none(), "{status:?}");
    match status.phase {
        Phase::Stable => {
            assert!(!d.held() && !d.paused && active[0].template == d.template, "{status:?}");
        }
        Phase::RolledBack => {
            assert!(d.held() && active[0].template != d.template, "{status:?}");
            assert!(!matches!(input, Input::NewerPush | Input::StablePush | Input::Skip), "{status:?}");
        }
        other => panic!("{other}: {status:?}"),
    }
}

/// Tries every input in every state, and returns the phases and stages.
fn tried(ways: &[(Strategy, Traffic)]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (states, mut failed) = (states(ways), Vec::new());
    for (state, world) in &states {
        for input in Input::iter() {
            let cell = format!("{state:?} x {input:?}");
            let mut world = world.clone();
            let result = std::panic::catch_unwind(move || {
                let policy = world.snapshot.policy.clone();
                world.altering &= input != Input::NewerPush;
                world.measurement = Measurement::Good;
                input.happens(&mut world);
                rest(&mut world, &policy);
                ended(&world, input);
            });
            failed.extend(result.is_err().then_some(cell));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    let phases = states.keys().map(|state| state.0.clone()).collect();
    (phases, states.keys().filter_map(|state| state.1.clone()).collect())
}

fn way(strategy: serde_json::Value, traffic: serde_json::Value) -> (Strategy, Traffic) {
    (serde_json::from_value(strategy).unwrap(), serde_json::from_value(traffic).unwrap())
}

#[test]
fn every_state_of_a_rollout_with_a_route_hears_every_input() {
    let steps = json!({"canary": {"steps": [
        {"weight": 25, "duration": "5s"}, {"gate": {"person": {"message": "ok?"}}}, {"weight": 50, "duration": "5s"},
    ], "bake": "5s"}});
    let (mut phases, stages) = tried(&[way(steps, json!({"gatewayAPI": {}}))]);
    phases.insert(Phase::Unknown.to_string());
    assert_eq!(phases, Phase::iter().map(|phase| phase.to_string()).collect());
    assert_eq!(stages, Handover::iter().map(|stage| format!("{stage:?}")).collect());
}

#[test]
fn every_state_of_a_rollout_that_shifts_services_hears_every_input() {
    let switch = json!({"blueGreen": {"before": {"duration": "5s"}, "after": {"duration": "5s"}, "keepStable": "10s"}});
    let steps =
        json!({"canary": {"steps": [{"weight": 25, "duration": "5s"}, {"weight": 50, "duration": "5s"}]}});
    tried(&[
        way(switch.clone(), json!({"gatewayAPI": {}})),
        way(switch, json!({"serviceSelector": {}})),
        way(steps, json!({"serviceSelector": {}})),
    ]);
}

#[test]
fn every_intent_is_an_input() {
    let mut set = BTreeSet::new();
    for input in Input::iter() {
        // A new intent does not compile here.
        let Some(RolloutSpec { abort, pause, promote, retry, skip }) = input.intent("0a1", 1) else {
            continue;
        };
        let fields = [abort.is_some(), pause.is_some(), promote.is_some(), retry.is_some(), skip.is_some()];
        set.extend(fields.iter().enumerate().filter(|(_, set)| **set).map(|(at, _)| at));
    }
    assert_eq!(set, (0..5).collect());
}
