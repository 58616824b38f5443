//! `cargo lab up`: makes a lab ready, from any state.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Instant,
};

use crate::{
    certs,
    cluster::{Cluster, LIMIT},
    components::{self, Configs, Part, Programs},
    digest,
    errors::{Error, on_file},
    machine,
    own::{self, Installed},
    parts,
    paths::Layout,
    process::Identity,
    ready::Prober,
    say, steelyard,
};

const ACCESS: &str = include_str!("../manifests/access.yaml");
const GATEWAY: &str = include_str!("../manifests/gateway.yaml");
const METRICS: &str = include_str!("../manifests/metrics.yaml");
const AUDIT: &str = include_str!("../manifests/audit-policy.yaml");
const PROMETHEUS: &str = include_str!("../manifests/prometheus.yaml");
const STEELYARD: &str = include_str!("../manifests/steelyard.yaml");

/// What `up` does not start.
#[derive(Clone, Debug, Default)]
pub struct Without {
    /// Whether the chart of this project is not installed.
    pub steelyard: bool,
    /// Parts that are not started.
    pub parts: Vec<Part>,
}

/// Starts or repairs the lab; returns when everything is ready. Downloads and builds happen first,
/// outside of the namespace, which has no route to the outside. Must be called before any thread is
/// started.
pub fn up(layout: &Layout, without: &Without) -> Result<(), Error> {
    let began = Instant::now();
    machine::ensure(layout)?;
    let lock = layout.lock();
    let folder = layout.run().parent().map_or_else(|| layout.run(), Path::to_owned);
    fs::create_dir_all(&folder).map_err(on_file(folder))?;
    let _locked = parts::lock_file(&lock).map_err(on_file(lock))?;
    let found = parts::ensure(layout)?;
    let built = own::build()?;
    let prepared = began.elapsed();

    let cluster = Cluster::of(layout);
    remove_leftovers(layout, &cluster)?;
    let own = own::install(layout, built)?;
    link_tools(layout, &found)?;
    certs::ensure(layout)?;
    let configs = write_configs(layout)?;
    cluster.namespace().enter()?;
    crate::in_runtime(bring_up(layout, &found, &own, &configs, without))?;
    say(format_args!(
        "lab {} is ready after {:.1} s ({:.1} s of these for parts and programs); enter it with `cargo lab shell`",
        layout.name(),
        began.elapsed().as_secs_f64(),
        prepared.as_secs_f64()
    ));
    Ok(())
}

/// Makes sure that the namespace and the state directory belong together; if only one of them
/// exists, it is removed.
fn remove_leftovers(layout: &Layout, cluster: &Cluster) -> Result<(), Error> {
    let (namespace, run) = (cluster.namespace(), layout.run());
    if !namespace.exists() || !layout.certs().join("done").exists() {
        cluster.down()?;
        if run.exists() {
            fs::remove_dir_all(&run).map_err(on_file(&run))?;
        }
        namespace.create()?;
    }
    for dir in [run.join("processes"), run.join("applied"), layout.logs(), layout.certs()] {
        fs::create_dir_all(&dir).map_err(on_file(dir))?;
    }
    Ok(())
}

/// Links the tools for users into the lab's PATH.
fn link_tools(layout: &Layout, found: &BTreeMap<&'static str, PathBuf>) -> Result<(), Error> {
    for name in ["kubectl", "helm"] {
        let link = layout.bin().join(name);
        let Some(target) = found.get(name) else { continue };
        if fs::read_link(&link).ok().as_ref() != Some(target) {
            let work = link.with_extension("new");
            let _ = fs::remove_file(&work);
            symlink(target, &work).and_then(|()| fs::rename(&work, &link)).map_err(on_file(link))?;
        }
    }
    Ok(())
}

fn write_configs(layout: &Layout) -> Result<Configs, Error> {
    for (name, text) in [("audit-policy.yaml", AUDIT), ("prometheus.yaml", PROMETHEUS)] {
        let path = layout.run().join(name);
        fs::write(&path, text).map_err(on_file(path))?;
    }
    Ok(Configs { prometheus: digest::of([PROMETHEUS]), audit: digest::of([AUDIT]) })
}

/// Returns the programs by part: those of other projects, and this repository's.
fn programs(found: &BTreeMap<&'static str, PathBuf>, own: &[Installed]) -> Programs {
    let ours = |name: &str| own.iter().find(|one| one.name == name);
    let path = |part: Part| found.get(part.name()).cloned().or_else(|| Some(ours(part.name())?.path.clone()));
    let image = |(image, name): (&str, &str)| Some((image.to_owned(), ours(name)?.path.clone()));
    Programs {
        paths: Part::ALL.into_iter().filter_map(|part| Some((part, path(part)?))).collect(),
        images: [("demo", "demo-app"), ("steelyard", "steelyard")].into_iter().filter_map(image).collect(),
        agent: ours("node-agent").map(|one| one.digest.clone()).unwrap_or_default(),
    }
}

struct Starter<'a> {
    cluster: Cluster,
    layout: &'a Layout,
    programs: Programs,
    configs: &'a Configs,
    without: &'a Without,
    running: BTreeMap<Part, Identity>,
}

impl Starter<'_> {
    fn start(&mut self, part: Part) -> Result<(), Error> {
        if !self.without.parts.contains(&part) {
            let spec = components::spec(part, self.layout, &self.programs, self.configs);
            self.running.insert(part, self.cluster.ensure(part, spec)?);
        }
        Ok(())
    }

    /// Applies a file of manifests, unless it was already applied to this lab.
    fn apply(&self, name: &str, file: &Path) -> Result<(), Error> {
        let stamp = self.layout.run().join("applied").join(name);
        let wanted = digest::of_file(file).map_err(on_file(file))?;
        if fs::read_to_string(&stamp).ok().as_ref() == Some(&wanted) {
            return Ok(());
        }
        self.cluster.kubectl(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            &file.display().to_string(),
        ])?;
        fs::write(&stamp, wanted).map_err(on_file(stamp))
    }

    fn apply_text(&self, name: &str, text: &str) -> Result<(), Error> {
        let file = self.layout.run().join(name);
        fs::write(&file, text).map_err(on_file(&file))?;
        self.apply(name, &file)
    }
}

async fn bring_up(
    layout: &Layout,
    found: &BTreeMap<&'static str, PathBuf>,
    own: &[Installed],
    configs: &Configs,
    without: &Without,
) -> Result<(), Error> {
    let prober = Prober::new(layout).await?;
    let mut starter = Starter {
        cluster: Cluster::of(layout),
        layout,
        programs: programs(found, own),
        configs,
        without,
        running: BTreeMap::new(),
    };
    starter.start(Part::Etcd)?;
    starter.start(Part::KubeApiserver)?;
    for part in [Part::Etcd, Part::KubeApiserver] {
        if let Some(process) = starter.running.get(&part) {
            prober.wait(part, *process, LIMIT).await?;
        }
    }
    for part in [Part::KubeControllerManager, Part::KubeScheduler, Part::NodeAgent] {
        starter.start(part)?;
    }
    starter.apply_text("access.yaml", ACCESS)?;
    // kube-proxy reads its Node first, and backs off if it is missing: let the node agent register
    // it before.
    starter.start(Part::KubeProxy)?;
    starter.start(Part::Prometheus)?;
    if let Some(manifests) = found.get("gateway-api.yaml") {
        starter.apply("gateway-api.yaml", manifests)?;
    }
    starter.apply_text("metrics.yaml", METRICS)?;
    if !layout.run().join("applied/gateway.yaml").exists() {
        starter.cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
    }
    starter.apply_text("gateway.yaml", GATEWAY)?;
    // After its kinds are served: a watch that fails at the start is retried only half a minute
    // later.
    starter.start(Part::Traefik)?;
    for (part, process) in &starter.running {
        prober.wait(*part, *process, LIMIT).await?;
    }
    match own.iter().find(|one| one.name == "steelyard") {
        Some(program) if !without.steelyard => {
            starter.apply_text("steelyard.yaml", STEELYARD)?;
            steelyard::ensure(layout, prober.kube(), program).await
        }
        _ => Ok(()),
    }
}
