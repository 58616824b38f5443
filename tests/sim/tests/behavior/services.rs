//! Services that carry no traffic, that can't have endpoints, or that clients reach by DNS.

use super::*;

/// Adds a Service that selects the pods, with this targetPort and these labels.
fn add(world: &mut World, name: &str, change: impl FnOnce(&mut Service)) {
    let mut service = world.snapshot.services[0].clone();
    service.meta.name = name.into();
    service.meta.uid = format!("uid-{name}");
    service.ready.clear();
    change(&mut service);
    world.snapshot.services.push(service);
    world.settle();
}

fn service<'a>(world: &'a World, name: &str) -> &'a Service {
    world.snapshot.services.iter().find(|service| service.meta.name == name).unwrap()
}

fn pinned(world: &World, name: &str) -> bool {
    service(world, name).selector.contains_key(api::HASH)
}

#[test]
fn a_service_with_the_label_that_leaves_it_out_selects_both_versions_all_the_time() {
    let mut world = World::stable();
    add(&mut world, "web-metrics", |service| {
        service.meta.labels.insert(api::IGNORE.into(), "true".into());
    });
    let version = service(&world, "web-metrics").meta.version.clone();
    world.push("demo:v2");
    world.until(|world| world.weight() == 25);
    assert!(pinned(&world, "web") && !pinned(&world, "web-metrics"));
    let ready = &service(&world, "web-metrics").ready;
    assert!(ready.len() > 4, "pods of both versions are scraped: {ready:?}");
    world.until_idle();
    assert_eq!(world.status().phase, Phase::Stable);
    assert_eq!(service(&world, "web-metrics").meta.version, version, "nothing was written to it");
}

#[test]
fn a_service_that_is_labeled_during_a_rollout_is_unpinned() {
    let mut world = World::stable();
    add(&mut world, "web-metrics", |_| {});
    world.push("demo:v2");
    world.until(|world| world.weight() == 25);
    assert!(pinned(&world, "web-metrics"));
    let service = world.snapshot.services.iter_mut().find(|service| service.meta.name == "web-metrics");
    service.unwrap().meta.labels.insert(api::IGNORE.into(), String::new());
    world.until_idle();
    assert_eq!(world.status().phase, Phase::Stable);
    assert!(!pinned(&world, "web-metrics"));
    let annotations = &self::service(&world, "web-metrics").meta.annotations;
    assert!(!annotations.contains_key(api::EPOCH), "{annotations:?}");
}

#[test]
fn a_service_that_can_not_have_endpoints_is_neither_pinned_nor_waited_for() {
    for exposure in [Exposure::Cluster, Exposure::ExternalName] {
        let mut world = World::stable();
        add(&mut world, "web-metrics", |service| {
            let target = if exposure == Exposure::Cluster { json!("metrics") } else { json!(80) };
            service.ports = json!([{"port": 9090, "targetPort": target}]);
            service.exposure = exposure;
        });
        world.push("demo:v2");
        for _ in 0..200 {
            assert!(!pinned(&world, "web-metrics"));
            // The endpoints controller of the simulator does not know ports.
            let named = |service: &&mut Service| service.meta.name == "web-metrics";
            world.snapshot.services.iter_mut().find(named).unwrap().ready.clear();
            if !world.proceed() {
                break;
            }
        }
        assert_eq!(world.status().phase, Phase::Stable, "{:?}", world.status());
        assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    }
}

#[test]
fn a_template_without_a_port_that_stable_serves_is_refused_by_name() {
    let mut world = World::stable();
    let port = |world: &mut World, name: &str| {
        let d = world.snapshot.deployment.as_mut().unwrap();
        d.template["spec"]["containers"][0]["ports"] = json!([{"name": name, "containerPort": 8080}]);
        d.template.clone()
    };
    world.snapshot.replica_sets[0].template = port(&mut world, "http");
    world.snapshot.services[0].ports = json!([{"port": 80, "targetPort": "http"}]);
    world.push("demo:v2");
    port(&mut world, "web");
    world.until_idle();
    let accepted = api::condition_with(&world.status().conditions, "Accepted", "False").unwrap();
    assert_eq!(accepted.reason, "PortNotServed");
    assert!(accepted.message.starts_with("Service web: targetPort http of port 80 "), "{}", accepted.message);
    assert_eq!((world.weight(), world.started), (0, 0));
    port(&mut world, "http");
    world.snapshot.deployment.as_mut().unwrap().meta.generation += 1;
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
}

#[test]
fn a_headless_service_gets_a_headless_canary_and_drains_as_long_as_dns_answers_are_valid() {
    let mut world = World::stable();
    world.snapshot.services[0].exposure = Exposure::Headless;
    world.snapshot.services[0].ports = serde_json::Value::Null;
    world.push("demo:v2");
    world.until(|world| world.status().phase == Phase::Stepping);
    assert_eq!(service(&world, "web-canary").exposure, Exposure::Headless);
    let draining = |world: &World| {
        let waiting = world.status().waiting.as_ref()?;
        let span = waiting.until?.duration_since(waiting.since?);
        waiting.message.contains("connections to stable").then_some(span)
    };
    world.until(|world| draining(world).is_some());
    assert_eq!(draining(&world), Some(SignedDuration::from_secs(30)));
    world.until_idle();
    assert_eq!(world.status().phase, Phase::Stable);
}
