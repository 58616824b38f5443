//! Which ports of a Service the pods of a template can serve.

use std::collections::BTreeSet;

use serde_json::Value;

/// A port of a Service that is named in the containers of its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct NamedPort<'a> {
    /// The port of the Service.
    pub(in crate::engine) port: i64,
    /// The name of the container port.
    pub(in crate::engine) target: &'a str,
    protocol: &'a str,
}

/// Returns the names of the Service's ports that pods of one of these templates can serve; the name
/// of a single port is often empty. A port with a number is always served: Kubernetes does not
/// check whether anything listens.
pub fn served(ports: &Value, templates: &[&Value]) -> BTreeSet<String> {
    let one = |port: &&Value| {
        named(port).is_none_or(|named| templates.iter().any(|template| serves(template, named)))
    };
    let name = |port: &Value| port["name"].as_str().unwrap_or_default().to_owned();
    all(ports).filter(one).map(name).collect()
}

/// Returns the named ports of the Service that pods of this template can't serve.
pub(in crate::engine) fn unserved<'a>(
    ports: &'a Value,
    template: &Value,
) -> impl Iterator<Item = NamedPort<'a>> {
    all(ports).filter_map(named).filter(|port| !serves(template, *port))
}

/// Returns whether a container of the template has this port, as the `EndpointSlice` controller
/// looks it up: containers, and init containers that run beside them (`FindPort` of
/// `k8s.io/kubernetes/pkg/api/v1/pod`).
pub(in crate::engine) fn serves(template: &Value, port: NamedPort) -> bool {
    let of = |kind: &str| template["spec"][kind].as_array().into_iter().flatten();
    let sidecars = of("initContainers").filter(|container| container["restartPolicy"] == "Always");
    let containers = of("containers").chain(sidecars);
    let ports = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    let mut names = ports.map(|port| (port["name"].as_str(), port["protocol"].as_str().unwrap_or("TCP")));
    names.any(|(name, protocol)| name == Some(port.target) && protocol == port.protocol)
}

fn all(ports: &Value) -> impl Iterator<Item = &Value> {
    ports.as_array().into_iter().flatten()
}

fn named(port: &Value) -> Option<NamedPort<'_>> {
    let target = port["targetPort"].as_str()?;
    let protocol = port["protocol"].as_str().unwrap_or("TCP");
    Some(NamedPort { port: port["port"].as_i64().unwrap_or_default(), target, protocol })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_named_port_is_served_by_a_container_or_a_sidecar_with_a_port_of_this_name_and_protocol() {
        let template = json!({"spec": {
            "containers": [{"ports": [{"name": "http", "containerPort": 80}]}, {}],
            "initContainers": [
                {"restartPolicy": "Always", "ports": [{"name": "proxy", "containerPort": 81, "protocol": "TCP"}]},
                {"ports": [{"name": "setup", "containerPort": 82}]},
            ],
        }});
        let ports = json!([
            {"name": "http", "port": 80, "targetPort": "http"},
            {"name": "proxy", "port": 81, "targetPort": "proxy"},
            {"name": "setup", "port": 82, "targetPort": "setup"},
            {"name": "quic", "port": 80, "targetPort": "http", "protocol": "UDP"},
            {"name": "number", "port": 83, "targetPort": 8083},
            {"name": "same", "port": 84},
        ]);
        let found = served(&ports, &[&template]);
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), ["http", "number", "proxy", "same"]);
        let missing: Vec<_> = unserved(&ports, &template).map(|port| (port.port, port.target)).collect();
        assert_eq!(missing, [(82, "setup"), (80, "http")]);
        assert_eq!(served(&Value::Null, &[&template]).len(), 0);
    }
}
