//! Manifests that many tests use.

use std::collections::BTreeMap;
use std::fmt;

/// The demo app with the manifests of an ordinary user: Deployment, Service and `HTTPRoute` of the
/// same name. Prints as YAML.
#[derive(Debug, Clone)]
pub struct Demo {
    name: String,
    tag: String,
    replicas: i32,
    env: BTreeMap<String, String>,
    linger: u8,
    policy: Option<String>,
    light: bool,
}

impl Demo {
    /// Returns four pods of `demo:TAG` behind Service `name` and, for host
    /// `NAME.NAMESPACE.example`, behind the lab's Gateway.
    pub fn new(name: &str, tag: &str) -> Self {
        Self {
            name: name.to_owned(),
            tag: tag.to_owned(),
            replicas: 4,
            env: BTreeMap::new(),
            linger: 0,
            policy: None,
            light: false,
        }
    }

    /// Sets the version.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        tag.clone_into(&mut self.tag);
        self
    }

    /// Sets the number of pods.
    #[must_use]
    pub fn replicas(mut self, replicas: i32) -> Self {
        self.replicas = replicas;
        self
    }

    /// Sets a variable of the app's environment, such as `ERROR_RATE`.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Delays SIGTERM by this many seconds when its pods are deleted. Without it they serve for two
    /// seconds after SIGTERM, which a router can need to notice: scaling down pods that carry
    /// traffic then loses requests, with Steelyard or without.
    #[must_use]
    pub fn linger(mut self, seconds: u8) -> Self {
        self.linger = seconds;
        self
    }

    /// Sets the policy annotation of the Deployment.
    #[must_use]
    pub fn policy(mut self, policy: &str) -> Self {
        self.policy = Some(policy.to_owned());
        self
    }

    /// Makes its pods ready without running anything, for tests with many pods.
    #[must_use]
    pub fn light(mut self) -> Self {
        self.light = true;
        self
    }

    /// Returns the version: the image's tag.
    pub fn version(&self) -> &str {
        &self.tag
    }

    /// Returns its host name on the Gateway.
    pub fn host(&self, namespace: &str) -> String {
        format!("{}.{namespace}.example", self.name)
    }

    /// Returns all three objects; the `HTTPRoute` needs the namespace for its host name.
    pub fn manifest(&self, namespace: &str) -> String {
        format!("{self}---\n{}---\n{}", self.manifest_of_service(), self.manifest_of_route(namespace))
    }

    /// Returns only the Service.
    pub fn manifest_of_service(&self) -> String {
        let name = &self.name;
        format!(
            r"apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: http, port: 80, targetPort: 8080}}]
"
        )
    }

    /// Returns only the `HTTPRoute`.
    pub fn manifest_of_route(&self, namespace: &str) -> String {
        let (name, host) = (&self.name, self.host(namespace));
        format!(
            r#"apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  hostnames: ["{host}"]
  parentRefs: [{{name: lab, namespace: lab-system}}]
  rules:
  - backendRefs: [{{name: {name}, port: 80}}]
"#
        )
    }
}

impl fmt::Display for Demo {
    /// Writes only the Deployment, which is applied again for a new version.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, tag, replicas, env, linger, policy, light } = self;
        let env: Vec<String> =
            env.iter().map(|(name, value)| format!("{{name: {name}, value: {value:?}}}")).collect();
        let lifecycle = match linger {
            0 => String::new(),
            seconds => format!("\n        lifecycle: {{preStop: {{sleep: {{seconds: {seconds}}}}}}}"),
        };
        let policy = policy.as_ref();
        let policy =
            policy.map(|it| format!(", annotations: {{steelyard.io/policy: {it}}}")).unwrap_or_default();
        let light = if *light { r#", annotations: {lab.steelyard.io/light: "true"}"# } else { "" };
        write!(
            f,
            r#"apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, labels: {{app: {name}}}{policy}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}{light}}}
    spec:
      terminationGracePeriodSeconds: 15
      containers:
      - name: app
        image: "demo:{tag}"
        env: [{env}]
        ports: [{{name: http, containerPort: 8080}}]{lifecycle}
        readinessProbe: {{httpGet: {{path: /healthz, port: http}}, periodSeconds: 1}}
"#,
            env = env.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_are_yaml_with_the_given_values() {
        let demo = Demo::new("web", "v1").replicas(2).env("ERROR_RATE", "0.5").tag("v2");
        let all: Vec<serde_json::Value> = serde_saphyr::from_multiple(&demo.manifest("shop")).unwrap();
        let kinds: Vec<&str> = all.iter().map(|object| object["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["Deployment", "Service", "HTTPRoute"]);
        let container = &all[0]["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], "demo:v2");
        assert_eq!(container["env"], serde_json::json!([{"name": "ERROR_RATE", "value": "0.5"}]));
        assert_eq!(all[0]["spec"]["replicas"], 2);
        assert!(container["lifecycle"].is_null());
        let lingering: serde_json::Value =
            serde_saphyr::from_str(&Demo::new("web", "v1").linger(3).to_string()).unwrap();
        let container = &lingering["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["lifecycle"]["preStop"]["sleep"]["seconds"], 3);
        assert_eq!(container["ports"][0]["name"], "http");
        assert_eq!(all[2]["spec"]["hostnames"][0], "web.shop.example");
        let light: serde_json::Value =
            serde_saphyr::from_str(&Demo::new("web", "v1").policy("p").light().to_string()).unwrap();
        assert_eq!(light["metadata"]["annotations"]["steelyard.io/policy"], "p");
        assert_eq!(light["spec"]["template"]["metadata"]["annotations"]["lab.steelyard.io/light"], "true");
    }
}
