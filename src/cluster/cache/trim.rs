//! What the cache keeps of an object. Pods and `EndpointSlices` are many, and little of them is
//! read.

use serde_json::{Map, Value, json};

use super::CachedKind;

/// Returns the object without what no reader uses.
pub(super) fn trimmed(kind: CachedKind, mut object: Value) -> Value {
    match kind {
        CachedKind::Pods => {
            let spec = object.get("spec");
            let containers = |field: &str| -> Vec<Value> {
                let all = spec.and_then(|spec| spec.get(field)).and_then(Value::as_array);
                all.into_iter().flatten().map(container).collect()
            };
            let kept = json!({
                "containers": containers("containers"),
                "initContainers": containers("initContainers"),
            });
            object["spec"] = kept;
            trim_metadata(&mut object, &["managedFields", "annotations"]);
        }
        CachedKind::EndpointSlices | CachedKind::Rollouts => {
            trim_metadata(&mut object, &["managedFields", "annotations"]);
        }
        // The rest is patched: annotations and `managedFields` matter.
        CachedKind::ReplicaSets | CachedKind::Services | CachedKind::Routes(_) => {}
    }
    object
}

/// Returns the name, the ports and the restart policy of a container.
fn container(container: &Value) -> Value {
    let fields = ["name", "ports", "restartPolicy"];
    let kept = fields.iter().filter_map(|field| Some(((*field).to_owned(), container.get(*field)?.clone())));
    Value::Object(kept.collect::<Map<_, _>>())
}

fn trim_metadata(object: &mut Value, fields: &[&str]) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in fields {
            metadata.remove(*field);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_keeps_what_its_readiness_and_its_ports_need() {
        let pod = json!({
            "metadata": {"name": "web-1", "labels": {"app": "web"}, "managedFields": [{}], "annotations": {"a": "b"}},
            "spec": {"nodeName": "n", "containers": [{"name": "app", "image": "app:v1", "ports": [{"containerPort": 80}]}],
                "initContainers": [{"name": "proxy", "restartPolicy": "Always"}]},
            "status": {"phase": "Running"},
        });
        assert_eq!(
            trimmed(CachedKind::Pods, pod),
            json!({
                "metadata": {"name": "web-1", "labels": {"app": "web"}},
                "spec": {"containers": [{"name": "app", "ports": [{"containerPort": 80}]}],
                    "initContainers": [{"name": "proxy", "restartPolicy": "Always"}]},
                "status": {"phase": "Running"},
            })
        );
    }
}
