//! A namespace for one test.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, Resource};
use tokio::process::Command;

use super::dump::dump;
use super::{Failure, SupportError};
use crate::agent::control::{self, Fault, Request};

/// Set to anything, it keeps the namespaces of tests.
const KEEP: &str = "LAB_KEEP";

/// A namespace for one test, with a client.
#[derive(Clone)]
pub struct Space {
    client: Client,
    name: String,
}

impl Space {
    /// Runs `body` in a new namespace whose name begins with `test` (lower case, dashes, at most 40 characters).
    /// When it fails or panics, what there is in the namespace is written to files, whose folder is printed. The
    /// namespace is deleted at the end (its pods are still stopping when this returns).
    pub async fn run<F>(test: &str, body: F) -> Result<(), Failure>
    where
        F: AsyncFnOnce(&Self) -> Result<(), Failure>,
    {
        let space = Self::new(test).await?;
        let done = AssertUnwindSafe(body(&space)).catch_unwind().await;
        if !matches!(done, Ok(Ok(()))) {
            match dump(&space, test).await {
                Ok(dir) => eprintln!("{test}: what was in namespace {} is in {}", space.name, dir.display()),
                Err(error) => eprintln!("{test}: could not keep what was in the namespace: {error}"),
            }
        }
        if std::env::var_os(KEEP).is_none() {
            let api = Api::<Namespace>::all(space.client.clone());
            if let Err(error) = api.delete(&space.name, &DeleteParams::background()).await {
                eprintln!("{test}: could not delete namespace {}: {error}", space.name);
            }
        }
        match done {
            Ok(result) => result,
            Err(panic) => resume_unwind(panic),
        }
    }

    async fn new(test: &str) -> Result<Self, SupportError> {
        // Two runs of a test never meet: the older namespace may still be going away.
        Self::create(ObjectMeta { generate_name: Some(format!("{test}-")), ..ObjectMeta::default() }).await
    }

    /// A new namespace of this very name. One that is there from an earlier run is deleted first, with all that is in
    /// it.
    pub async fn fresh(name: &str) -> Result<Self, SupportError> {
        let args = ["delete", "namespace", name, "--ignore-not-found", "--wait", "--timeout=120s"];
        kubectl("default", &args).await?;
        Self::create(ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }).await
    }

    async fn create(metadata: ObjectMeta) -> Result<Self, SupportError> {
        crate::use_ring();
        let config = kube::Config::from_custom_kubeconfig(
            kube::config::Kubeconfig::read_from(path("KUBECONFIG")?)?,
            &kube::config::KubeConfigOptions::default(),
        )
        .await?;
        let client = Client::try_from(config).map_err(SupportError::api("make a client"))?;
        let namespace = Namespace { metadata, ..Namespace::default() };
        let made = Api::<Namespace>::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .map_err(SupportError::api("create a namespace"))?;
        let space = Self { client, name: made.name_any() };
        // Without these no pod can be made, or started: a controller that tries too early backs off.
        let limit = Duration::from_secs(10);
        space.until::<ServiceAccount, _>("default", "a default service account", limit, |_| Some(())).await?;
        space
            .until::<ConfigMap, _>("kube-root-ca.crt", "the CA in a config map", limit, |_| Some(()))
            .await?;
        Ok(space)
    }

    /// Another namespace, which is there already, through the same client.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        Self { client: self.client.clone(), name: name.to_owned() }
    }

    /// The namespace's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An administrator's client.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Objects of one kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Runs kubectl in the namespace, as an administrator; gives what it printed.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String, SupportError> {
        kubectl(&self.name, args).await
    }

    /// Stages a fault of a pod of this namespace.
    pub async fn fault(&self, fault: Fault, pod: &str) -> Result<(), Failure> {
        let request = Request::Pod { fault, pod: format!("{}/{pod}", self.name) };
        Ok(control::send(&path("LAB_DIR")?.join("agent.sock"), &request).await?)
    }

    /// Where the output of a container of this namespace is kept, over all its runs.
    pub fn log(&self, pod: &str, container: &str) -> Result<PathBuf, SupportError> {
        Ok(path("LAB_DIR")?.join("pods").join(format!("{}_{pod}_{container}.log", self.name)))
    }

    /// Where a pod's volume lies on this machine.
    pub fn volume(&self, pod: &Pod, volume: &str) -> Result<PathBuf, SupportError> {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        Ok(path("LAB_DIR")?.join("pods").join("pods").join(uid).join("volumes").join(volume))
    }
}

/// A path that `cargo lab test` gives in a variable.
pub(super) fn path(name: &'static str) -> Result<PathBuf, SupportError> {
    std::env::var_os(name).map(PathBuf::from).ok_or(SupportError::Outside(name))
}

/// Runs kubectl in a namespace, as an administrator; gives what it printed.
async fn kubectl(namespace: &str, args: &[&str]) -> Result<String, SupportError> {
    let command = || format!("kubectl -n {namespace} {}", args.join(" "));
    let output = Command::new("kubectl")
        .args(["-n", namespace])
        .args(args)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| SupportError::Run { command: command(), source })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(SupportError::Command { command: command(), output: text(&output.stderr) })
}
