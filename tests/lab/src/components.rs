//! The processes of the lab, and the flags they run with: one table.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use clap::ValueEnum;

use crate::{
    net::{GATEWAY, NODE, PODS, PROMETHEUS, SERVICES},
    paths::Layout,
    process::Spec,
};

/// The address of the API server.
pub const API_SERVER: &str = "https://192.0.2.10:6443";
/// The name of the lab's only Node.
pub const NODE_NAME: &str = "node-1";
const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEER: &str = "http://127.0.0.1:2380";

/// A process of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Part {
    /// etcd, the store of the API server.
    Etcd,
    /// The API server, with an audit log.
    KubeApiserver,
    /// The controllers of Deployments, `ReplicaSets`, `EndpointSlices`, garbage collection and
    /// others.
    KubeControllerManager,
    /// The scheduler.
    KubeScheduler,
    /// kube-proxy, which implements `ClusterIP`s with nftables.
    KubeProxy,
    /// The lab's replacement for kubelet, which runs pods as processes.
    NodeAgent,
    /// Prometheus, which scrapes pods and Traefik every second.
    Prometheus,
    /// Traefik, the Gateway.
    Traefik,
}

impl Part {
    /// All parts, in the order in which they start.
    pub const ALL: [Self; 8] = [
        Self::Etcd,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::KubeProxy,
        Self::NodeAgent,
        Self::Prometheus,
        Self::Traefik,
    ];

    /// Returns the part's name, which is also the name of its program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::KubeProxy => "kube-proxy",
            Self::NodeAgent => "node-agent",
            Self::Prometheus => "prometheus",
            Self::Traefik => "traefik",
        }
    }

    /// Returns the probe that checks that the part works.
    pub fn probe(self) -> Probe {
        match self {
            Self::Etcd => Probe::Http(format!("{ETCD}/health")),
            Self::KubeApiserver => Probe::Http(format!("{API_SERVER}/readyz")),
            Self::KubeControllerManager => Probe::Http("https://127.0.0.1:10257/healthz".into()),
            Self::KubeScheduler => Probe::Http("https://127.0.0.1:10259/healthz".into()),
            Self::KubeProxy => Probe::Http("http://127.0.0.1:10256/livez".into()),
            Self::NodeAgent => Probe::Node,
            Self::Prometheus => Probe::Http(format!("{PROMETHEUS}/-/ready")),
            Self::Traefik => Probe::Gateway,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A probe that checks that a part works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A GET returns a 2xx status; TLS is verified against the lab's authority.
    Http(String),
    /// The Node's condition Ready is True, and was renewed by the current process.
    Node,
    /// Traefik answers, and the Gateway's condition Programmed is True.
    Gateway,
}

/// The paths of the parts' programs, with a digest of each program that its path does not identify.
pub struct Programs {
    /// Path of each part's program.
    pub paths: BTreeMap<Part, PathBuf>,
    /// The programs that the node agent runs in place of images: name and path.
    pub images: Vec<(String, PathBuf)>,
    /// Digest of the node agent's program.
    pub agent: String,
}

/// Digests of files that a part reads once, when it starts.
pub struct Configs {
    /// Digest of Prometheus's configuration.
    pub prometheus: String,
    /// Digest of the audit policy.
    pub audit: String,
}

/// Returns the command line of a part.
pub fn spec(part: Part, layout: &Layout, programs: &Programs, configs: &Configs) -> Spec {
    let args = match part {
        Part::Etcd => etcd(layout),
        Part::KubeApiserver => api_server(layout),
        Part::KubeControllerManager => controller_manager(layout),
        Part::KubeScheduler => scheduler(layout),
        Part::KubeProxy => proxy(layout),
        Part::NodeAgent => node_agent(layout, programs),
        Part::Prometheus => prometheus(layout),
        Part::Traefik => traefik(),
    };
    let mut env = BTreeMap::from([
        ("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOME".to_owned(), layout.run().display().to_string()),
        // The node agent's log needs backtraces.
        ("RUST_BACKTRACE".to_owned(), "1".to_owned()),
    ]);
    if part == Part::Traefik {
        env.insert("KUBECONFIG".to_owned(), layout.kubeconfig("traefik").display().to_string());
    }
    let content = match part {
        Part::NodeAgent => programs.agent.clone(),
        Part::Prometheus => configs.prometheus.clone(),
        Part::KubeApiserver => configs.audit.clone(),
        _ => String::new(),
    };
    let program = programs.paths.get(&part).cloned().unwrap_or_else(|| PathBuf::from(part.name()));
    Spec { program, args, env, content }
}

fn etcd(layout: &Layout) -> Vec<String> {
    vec![
        flag("data-dir", layout.run().join("etcd").display()),
        flag("listen-client-urls", ETCD),
        flag("advertise-client-urls", ETCD),
        flag("listen-peer-urls", ETCD_PEER),
        flag("initial-advertise-peer-urls", ETCD_PEER),
        flag("initial-cluster", format!("default={ETCD_PEER}")),
        flag("log-level", "warn"),
        // If the machine crashes, the lab is created again, so its data need not survive.
        "--unsafe-no-fsync".to_owned(),
    ]
}

fn api_server(layout: &Layout) -> Vec<String> {
    let certs = layout.certs();
    let cert = |name: &str| certs.join(name).display().to_string();
    vec![
        flag("etcd-servers", ETCD),
        flag("bind-address", NODE),
        flag("advertise-address", NODE),
        flag("secure-port", 6443),
        flag("cert-dir", certs.join("kube-apiserver").display()),
        flag("tls-cert-file", cert("server.crt")),
        flag("tls-private-key-file", cert("server.key")),
        flag("client-ca-file", cert("ca.crt")),
        flag("authorization-mode", "Node,RBAC"),
        flag("enable-admission-plugins", "NodeRestriction"),
        flag("service-account-issuer", "https://kubernetes.default.svc"),
        flag("service-account-key-file", cert("service-accounts.pub")),
        flag("service-account-signing-key-file", cert("service-accounts.key")),
        flag("service-cluster-ip-range", SERVICES),
        flag("allow-privileged", true),
        flag("audit-policy-file", layout.run().join("audit-policy.yaml").display()),
        flag("audit-log-path", layout.audit_log().display()),
    ]
}

fn controller_manager(layout: &Layout) -> Vec<String> {
    let kubeconfig = layout.kubeconfig("kube-controller-manager");
    let certs = layout.certs();
    vec![
        flag("kubeconfig", kubeconfig.display()),
        flag("bind-address", "127.0.0.1"),
        flag("tls-cert-file", certs.join("server.crt").display()),
        flag("tls-private-key-file", certs.join("server.key").display()),
        flag("root-ca-file", certs.join("ca.crt").display()),
        flag("service-account-private-key-file", certs.join("service-accounts.key").display()),
        flag("use-service-account-credentials", true),
        flag("leader-elect", false),
        flag("horizontal-pod-autoscaler-sync-period", "1s"),
        flag("allocate-node-cidrs", false),
        flag("cluster-cidr", PODS),
    ]
}

fn scheduler(layout: &Layout) -> Vec<String> {
    let certs = layout.certs();
    vec![
        flag("kubeconfig", layout.kubeconfig("kube-scheduler").display()),
        flag("bind-address", "127.0.0.1"),
        flag("tls-cert-file", certs.join("server.crt").display()),
        flag("tls-private-key-file", certs.join("server.key").display()),
        flag("leader-elect", false),
    ]
}

fn proxy(layout: &Layout) -> Vec<String> {
    vec![
        flag("kubeconfig", layout.kubeconfig("kube-proxy").display()),
        flag("proxy-mode", "nftables"),
        flag("hostname-override", NODE_NAME),
        flag("cluster-cidr", PODS),
        flag("metrics-bind-address", "127.0.0.1:10249"),
        flag("healthz-bind-address", "127.0.0.1:10256"),
        // The limit applies to the whole machine, not to the namespace: do not change it.
        flag("conntrack-max-per-core", 0),
    ]
}

fn node_agent(layout: &Layout, programs: &Programs) -> Vec<String> {
    let mut args = Vec::new();
    let mut pair = |name: &str, value: String| args.extend([format!("--{name}"), value]);
    pair("kubeconfig", layout.kubeconfig("node-agent").display().to_string());
    pair("node", NODE_NAME.to_owned());
    pair("address", NODE.to_owned());
    pair("pod-cidr", PODS.to_owned());
    pair("dir", layout.run().join("pods").display().to_string());
    for (name, path) in &programs.images {
        pair("image", format!("{name}={}", path.display()));
    }
    pair("control", layout.agent_socket().display().to_string());
    args
}

fn prometheus(layout: &Layout) -> Vec<String> {
    vec![
        flag("config.file", layout.run().join("prometheus.yaml").display()),
        flag("storage.tsdb.path", layout.run().join("prometheus").display()),
        flag("web.listen-address", format!("{NODE}:9090")),
        // With the default, a new pod waits up to 5 s for its first scrape.
        flag("scrape.discovery-reload-interval", "1s"),
    ]
}

fn traefik() -> Vec<String> {
    vec![
        flag("entrypoints.web.address", format!("{NODE}:8000")),
        flag("entrypoints.metrics.address", format!("{NODE}:8082")),
        flag("providers.kubernetesgateway", true),
        flag("providers.kubernetesgateway.statusaddress.ip", NODE),
        flag("metrics.prometheus", true),
        flag("metrics.prometheus.entrypoint", "metrics"),
        flag("metrics.prometheus.addserviceslabels", true),
        flag("ping", true),
        flag("ping.entrypoint", "metrics"),
        flag("log.level", "INFO"),
        flag("global.checknewversion", false),
        flag("global.sendanonymoususage", false),
    ]
}

fn flag(name: &str, value: impl fmt::Display) -> String {
    format!("--{name}={value}")
}

/// Returns the URL of Traefik's health check.
pub fn traefik_ping() -> String {
    format!("http://{NODE}:8082/ping")
}

/// Returns the environment variables of every command in the lab, in addition to PATH and
/// KUBECONFIG.
pub fn addresses() -> [(&'static str, &'static str); 2] {
    [("LAB_GATEWAY", GATEWAY), ("LAB_PROMETHEUS", PROMETHEUS)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs() -> Vec<Spec> {
        let layout = Layout::of("table".parse().expect("a name")).expect("a home");
        let programs = Programs {
            paths: Part::ALL.into_iter().map(|p| (p, PathBuf::from("/parts").join(p.name()))).collect(),
            images: vec![("demo".into(), "/bin/demo-app".into())],
            agent: "digest".into(),
        };
        let configs = Configs { prometheus: "p".into(), audit: "a".into() };
        Part::ALL.iter().map(|part| spec(*part, &layout, &programs, &configs)).collect()
    }

    #[test]
    fn every_part_runs_the_program_of_its_name() {
        for (part, spec) in Part::ALL.iter().zip(specs()) {
            assert_eq!(spec.program.file_name().and_then(|n| n.to_str()), Some(part.name()));
            assert_eq!(part.to_possible_value().expect("a value").get_name(), part.name());
        }
    }

    #[test]
    fn nothing_listens_on_all_addresses() {
        for spec in specs() {
            assert!(!spec.args.iter().any(|a| a.contains("0.0.0.0") || a.ends_with("=:")), "{spec:?}");
        }
    }

    #[test]
    fn no_part_inherits_a_proxy_or_a_kubeconfig() {
        for (part, spec) in Part::ALL.iter().zip(specs()) {
            let allowed: &[&str] = if *part == Part::Traefik {
                &["HOME", "KUBECONFIG", "PATH", "RUST_BACKTRACE"]
            } else {
                &["HOME", "PATH", "RUST_BACKTRACE"]
            };
            assert_eq!(spec.env.keys().map(String::as_str).collect::<Vec<_>>(), allowed, "{part}");
        }
    }
}
