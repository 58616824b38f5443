//! A namespace for one test.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, Resource};
use tokio::process::Command;

use super::dump::dump;
use super::{Failure, SupportError};
use crate::agent::control::{self, Fault, Request};

/// If this variable is set to anything, the namespaces of tests are kept.
const KEEP: &str = "LAB_KEEP";

/// A namespace for one test, with a client.
#[derive(Clone)]
pub struct Space {
    client: Client,
    name: String,
}

impl Space {
    /// Runs `body` in a new namespace whose name begins with `test` (lower case, dashes, at most 40
    /// characters). If it fails or panics, the content of the namespace is written to files, and
    /// their directory is printed. The namespace is deleted at the end (its pods are still stopping
    /// when this returns).
    pub async fn run<F>(test: &str, body: F) -> Result<(), Failure>
    where
        F: AsyncFnOnce(&Self) -> Result<(), Failure>,
    {
        let space = Self::new(test).await?;
        let done = AssertUnwindSafe(body(&space)).catch_unwind().await;
        if !matches!(done, Ok(Ok(()))) {
            match dump(&space, test).await {
                Ok(dir) => {
                    eprintln!("{test}: the content of namespace {} is in {}", space.name, dir.display());
                }
                Err(error) => eprintln!("{test}: could not save the content of the namespace: {error}"),
            }
        }
        if std::env::var_os(KEEP).is_none()
            && let Err(error) = space.delete().await
        {
            eprintln!("{test}: {error}");
        }
        match done {
            Ok(result) => result,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Like [`Space::run`], for a test that measures time: begins when the namespaces of earlier
    /// tests are gone, since their removal takes processor time from the API server.
    pub async fn run_quietly<F>(test: &str, body: F) -> Result<(), Failure>
    where
        F: AsyncFnOnce(&Self) -> Result<(), Failure>,
    {
        Self::run(test, async |space| {
            space.until_none_is_terminating().await?;
            body(space).await
        })
        .await
    }

    async fn until_none_is_terminating(&self) -> Result<(), SupportError> {
        let namespaces = Api::<Namespace>::all(self.client());
        let all = namespaces.list(&ListParams::default()).await;
        let all = all.map_err(SupportError::api("list namespaces"))?;
        let terminating = all.iter().filter(|one| one.meta().deletion_timestamp.is_some());
        let names: Vec<String> = terminating.map(|one| format!("namespace/{}", one.name_any())).collect();
        if names.is_empty() {
            return Ok(());
        }
        let mut args = vec!["wait", "--for=delete", "--timeout=120s"];
        args.extend(names.iter().map(String::as_str));
        kubectl("default", &args).await.map(drop)
    }

    async fn new(test: &str) -> Result<Self, SupportError> {
        // A generated name: the namespace of an earlier run can still be terminating.
        Self::create(ObjectMeta { generate_name: Some(format!("{test}-")), ..ObjectMeta::default() }).await
    }

    /// Creates a namespace with exactly this name. If it exists from an earlier run, it is deleted
    /// first, with everything in it.
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
        let client = Client::try_from(config).map_err(SupportError::api("create a client"))?;
        let namespace = Namespace { metadata, ..Namespace::default() };
        let made = Api::<Namespace>::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .map_err(SupportError::api("create a namespace"))?;
        let space = Self { client, name: made.name_any() };
        // Pods can't be created or started without these, and a controller that tries too early
        // backs off.
        let limit = Duration::from_secs(10);
        space.until::<ServiceAccount, _>("default", "a default service account", limit, |_| Some(())).await?;
        space
            .until::<ConfigMap, _>("kube-root-ca.crt", "the CA in a config map", limit, |_| Some(()))
            .await?;
        Ok(space)
    }

    /// Deletes the namespace, and does not wait for its end.
    pub async fn delete(&self) -> Result<(), SupportError> {
        let api = Api::<Namespace>::all(self.client.clone());
        let deleted = api.delete(&self.name, &DeleteParams::background()).await;
        deleted.map(drop).map_err(SupportError::api(format!("delete namespace {}", self.name)))
    }

    /// Returns another, existing namespace, with the same client.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        Self { client: self.client.clone(), name: name.to_owned() }
    }

    /// Returns the namespace's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a client as administrator.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Returns the API of one kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Runs kubectl in the namespace, as administrator. Returns its output.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String, SupportError> {
        kubectl(&self.name, args).await
    }

    /// Injects a fault into a pod of this namespace.
    pub async fn fault(&self, fault: Fault, pod: &str) -> Result<(), Failure> {
        let request = Request::Pod { fault, pod: format!("{}/{pod}", self.name) };
        Ok(control::send(&path("LAB_DIR")?.join("agent.sock"), &request).await?)
    }

    /// Returns the log of a container of this namespace, which spans all its runs.
    pub fn log(&self, pod: &str, container: &str) -> Result<PathBuf, SupportError> {
        Ok(path("LAB_DIR")?.join("pods").join(format!("{}_{pod}_{container}.log", self.name)))
    }

    /// Returns the path of a pod's volume on this machine.
    pub fn volume(&self, pod: &Pod, volume: &str) -> Result<PathBuf, SupportError> {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        Ok(path("LAB_DIR")?.join("pods").join("pods").join(uid).join("volumes").join(volume))
    }
}

/// Returns a path from a variable that `cargo lab test` sets.
pub(super) fn path(name: &'static str) -> Result<PathBuf, SupportError> {
    std::env::var_os(name).map(PathBuf::from).ok_or(SupportError::Outside(name))
}

/// Runs kubectl in a namespace, as administrator. Returns its output.
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
