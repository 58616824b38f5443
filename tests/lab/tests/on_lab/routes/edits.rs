//! Routes edited in each way during a rollout: at the end each is what the user would have had
//! without a rollout.
//!
//! All routes that name the Service shift together, so one rollout covers all edits at one stage.

use std::time::Duration;

use kube::ResourceExt;
use kube::api::ListParams;
use lab::support::turn::{At, LONG};
use lab::support::{Demo, Failure, HttpRoute, Policy, Rollout, Space};
use serde_json::{Value, json};

use crate::people::plugin;

/// The longest time until an edit takes effect.
const SEEN: Duration = Duration::from_secs(20);

/// A way to edit a route.
#[derive(Clone, Copy, Debug)]
enum Edit {
    /// Another weight for the Service, by a JSON patch.
    Weight,
    /// Another backend, by a JSON patch.
    Backend,
    /// Another rule before the others, by a JSON patch.
    AddRule,
    /// The first rule goes, by a JSON patch.
    RemoveRule,
    /// The rules in the reverse order, as `kubectl edit` writes them.
    Reorder,
    /// The whole manifest, with another host name, by client-side apply.
    Apply,
    /// The same by server-side apply.
    ApplyServerSide,
}

impl Edit {
    const ALL: [Self; 7] = [
        Self::Weight,
        Self::Backend,
        Self::AddRule,
        Self::RemoveRule,
        Self::Reorder,
        Self::Apply,
        Self::ApplyServerSide,
    ];

    /// The name of the route that gets this edit.
    fn route(self) -> String {
        format!("web-{self:?}").to_lowercase()
    }

    /// Makes the edit on a `spec`: the user's manifest, or the route during the shift.
    fn make(self, spec: &mut Value, plain: &Value) {
        let rules = spec["rules"].as_array_mut().expect("rules");
        match self {
            Self::Weight => {
                for backend in rules[0]["backendRefs"].as_array_mut().expect("backends") {
                    if backend["name"] == "web" {
                        backend["weight"] = 4000.into();
                    }
                }
            }
            Self::Backend => {
                rules[0]["backendRefs"].as_array_mut().expect("backends").push(backend("spare", 200));
            }
            Self::AddRule => rules.insert(0, rule("/new", 300)),
            Self::RemoveRule => drop(rules.remove(0)),
            Self::Reorder => rules.reverse(),
            Self::Apply | Self::ApplyServerSide => {
                *spec = plain.clone();
                let host = format!("also.{}", spec["hostnames"][0].as_str().expect("a host name"));
                spec["hostnames"].as_array_mut().expect("host names").push(host.into());
            }
        }
    }
}

fn backend(name: &str, weight: i64) -> Value {
    json!({"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight})
}

/// A rule with a second Service, so that weights are shares of the user's weight.
fn rule(path: &str, weight: i64) -> Value {
    json!({
        "matches": [{"path": {"type": "PathPrefix", "value": path}}],
        "backendRefs": [backend("web", weight), backend("spare", 100)],
    })
}

fn manifest(edit: Edit, namespace: &str, spec: &Value) -> String {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": edit.route(), "namespace": namespace}, "spec": spec,
    })
    .to_string()
}

fn plain(edit: Edit, namespace: &str) -> Value {
    json!({
        "hostnames": [format!("{}.{namespace}.example", edit.route())],
        "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "lab", "namespace": "lab-system"}],
        "rules": [rule("/a", 100), rule("/b", 900)],
    })
}

/// Makes an edit on the cluster as a user would.
async fn edit(space: &Space, edit: Edit, before: &Value) -> Result<(), Failure> {
    let name = edit.route();
    match edit {
        Edit::Apply | Edit::ApplyServerSide => {
            let mut wanted = before.clone();
            edit.make(&mut wanted, before);
            let file = std::env::temp_dir().join(format!("{}-{name}.json", space.name()));
            std::fs::write(&file, manifest(edit, space.name(), &wanted))?;
            let path = file.display().to_string();
            let mut args = vec!["apply", "-f", &path];
            if matches!(edit, Edit::ApplyServerSide) {
                args.extend(["--server-side", "--force-conflicts"]);
            }
            space.kubectl(&args).await?;
            std::fs::remove_file(file)?;
        }
        _ => {
            // Edits the live object with its resourceVersion, as an editor that retries after a
            // conflict.
            for _ in 0..20 {
                let live = space.api::<HttpRoute>().get(&name).await?;
                let mut wanted = live.spec.clone();
                edit.make(&mut wanted, before);
                let version = live.resource_version().unwrap_or_default();
                let ops = json!([
                    {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
                    {"op": "replace", "path": "/spec", "value": wanted},
                ]);
                let patch = ops.to_string();
                if space.kubectl(&["patch", "httproute", &name, "--type=json", "-p", &patch]).await.is_ok() {
                    return Ok(());
                }
            }
            return Err(format!("{name} could not be edited").into());
        }
    }
    Ok(())
}

/// Runs a rollout in which each route is edited in its way at this stage, and checks the result.
async fn edited(at: At) -> Result<(), Failure> {
    let test = format!("edits-{at:?}").to_lowercase();
    Space::run(&test, async |space| {
        let demo = Demo::new("web", "v1").replicas(2);
        space.serve("web", &demo, 20.0).await?;
        space
            .apply("apiVersion: v1\nkind: Service\nmetadata: {name: spare}\nspec: {selector: {app: spare}, ports: [{port: 80}]}\n")
            .await?;
        for edit in Edit::ALL {
            let file = std::env::temp_dir().join(format!("{}-{}.json", space.name(), edit.route()));
            std::fs::write(&file, manifest(edit, space.name(), &plain(edit, space.name())))?;
            space.kubectl(&["apply", "-f", &file.display().to_string()]).await?;
            std::fs::remove_file(file)?;
        }
        space.apply(&Policy::new("web").step(25, 4).to_string()).await?;
        space.adopt("web", "web").await?;
        let mut wanted = Vec::new();
        for edit in Edit::ALL {
            let before = space.api::<HttpRoute>().get(&edit.route()).await?.spec;
            let mut after = before.clone();
            edit.make(&mut after, &before);
            wanted.push((edit, before, after));
        }
        space.kubectl(&["set", "image", "deployment/web", "app=demo:v2"]).await?;
        if at == At::RollingBack {
            space.until("web", "the first step", LONG, |r: &Rollout| At::FirstStep.is(r).then_some(())).await?;
            plugin(space, &["abort", "web"]).await?.good()?;
        }
        space.until("web", &at.to_string(), LONG, |r: &Rollout| at.is(r).then_some(())).await?;
        for (change, before, _) in &wanted {
            edit(space, *change, before).await?;
        }
        let end = if at == At::RollingBack { "RolledBack" } else { "Stable" };
        let ended = |rollout: &Rollout| {
            (rollout.phase() == end && rollout.status["trial"].is_null()).then_some(())
        };
        space.until("web", end, LONG, ended).await?;
        for (change, _, after) in &wanted {
            let what = format!("{change:?} {at}: the route as the user would have it");
            let same = |route: &HttpRoute| (route.spec == *after).then_some(());
            space.until(&change.route(), &what, SEEN, same).await?;
        }
        for route in space.api::<HttpRoute>().list(&ListParams::default()).await? {
            let marks: Vec<_> = route.annotations().keys().filter(|key| key.starts_with("steelyard.io/")).collect();
            assert!(marks.is_empty(), "{}: {marks:?}", route.name_any());
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_edited_at_the_first_step_keep_their_edits() -> Result<(), Failure> {
    edited(At::FirstStep).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_edited_while_the_canary_takes_all_traffic_keep_their_edits() -> Result<(), Failure> {
    edited(At::ScalingUp).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_edited_after_the_handover_keep_their_edits() -> Result<(), Failure> {
    edited(At::Releasing).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_edited_during_a_rollback_keep_their_edits() -> Result<(), Failure> {
    edited(At::RollingBack).await
}
