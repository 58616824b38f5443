//! Pods of the canary that do not start, or that crash.

use super::*;

/// Pushes a version whose pods do not run for this reason.
fn stuck(container: &str, restarts: Option<&Restarts>) -> World {
    let mut world = World::stable();
    world.push("demo:v2");
    world.stop(Actor::Kubelet);
    world.until(|world| world.snapshot.pods.iter().any(|pod| pod.hash.starts_with('0')));
    for pod in world.snapshot.pods.iter_mut().filter(|pod| pod.hash.starts_with('0')) {
        pod.trouble = Some(Trouble {
            container: Some(container.to_owned()),
            reason: "CrashLoopBackOff".to_owned(),
            message: "back-off 20s".to_owned(),
        });
        pod.restarts = restarts.cloned();
    }
    world.start(Actor::Kubelet);
    world
}

#[test]
fn an_init_container_that_waits_for_a_dependency_has_until_the_deadline() {
    let mut world = stuck("wait-for-db", None);
    world.reconcile();
    let waiting = world.status().waiting.clone().expect("a wait");
    assert_eq!(waiting.reason, "Pods");
    assert!(waiting.message.contains("container wait-for-db: CrashLoopBackOff"), "{}", waiting.message);
    assert_eq!(world.status().phase, Phase::Stepping);
    let mut ready = world.clone();
    for pod in &mut ready.snapshot.pods {
        pod.trouble = None;
    }
    ready.settle();
    ready.until_idle();
    assert_eq!(ready.status().stable.as_ref().unwrap().tag, "v2");
    world.snapshot.now = waiting.until.expect("a deadline");
    world.until(|world| world.status().failure.is_some());
    let failure = world.status().failure.as_ref().unwrap();
    assert_eq!(failure.reason, "PodsNotReady");
    assert!(failure.message.contains("container wait-for-db"), "{}", failure.message);
}

#[test]
fn a_crash_loop_is_a_failure_that_names_the_container() {
    for (count, backing_off) in [(1, true), (2, false)] {
        let restarts = Restarts { container: "app".to_owned(), count, backing_off };
        let mut world = stuck("app", Some(&restarts));
        world.reconcile();
        let failure = world.status().failure.clone().expect("a failure");
        assert_eq!(failure.reason, "CrashLoop");
        assert!(failure.message.starts_with("container app of pod web-0"), "{}", failure.message);
    }
}
