//! Parts that Go builds, from one module file that lists them all.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

use super::{Error, file_error, python, run};
use crate::{digest, paths::Layout, paths::repository};

const GO_MOD: &str = include_str!("../../parts/go.mod");
const GO_SUM: &str = include_str!("../../parts/go.sum");
const GATEWAY_MOD: &str = include_str!("../../parts/gateway-api/go.mod");
const GATEWAY_SUM: &str = include_str!("../../parts/gateway-api/go.sum");
const GATEWAY_MODULE: &str = "sigs.k8s.io/gateway-api";

/// A program of the module file.
#[derive(Debug)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    package: &'static str,
    tags: &'static str,
    /// Whether the linker sets its version, as in Kubernetes' programs.
    versioned: bool,
}

impl Program {
    const fn kubernetes(name: &'static str, package: &'static str) -> Self {
        Self { name, package, tags: "", versioned: true }
    }
}

/// The programs, and how to build them.
pub static PROGRAMS: [Program; 8] = [
    // First: it shares no packages with the others, and is the quickest to show that building
    // works.
    Program { name: "etcd", package: "go.etcd.io/etcd/server/v3", tags: "", versioned: false },
    Program::kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    Program::kubernetes("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    Program::kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    Program::kubernetes("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
    Program::kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    Program { name: "helm", package: "helm.sh/helm/v4/cmd/helm", tags: "", versioned: false },
    Program {
        name: "prometheus",
        package: "github.com/prometheus/prometheus/cmd/prometheus",
        // All other kinds of discovery depend on the client libraries of every cloud.
        tags: "remove_all_sd,enable_kubernetes_sd,enable_http_sd",
        versioned: false,
    },
];

/// Returns a digest of everything that determines a program's content.
pub fn key(program: &Program) -> String {
    digest::of([GO_MOD, GO_SUM, program.package, program.tags, &ldflags(program), env::consts::ARCH])
}

/// Returns a digest of everything that determines the Gateway API's manifests.
pub fn manifests_key() -> String {
    digest::of([GATEWAY_MOD, GATEWAY_SUM])
}

/// Returns the version of a required module in the module file: `v1.37.2`.
fn required<'a>(go_mod: &'a str, module: &str) -> Option<&'a str> {
    go_mod.lines().find_map(|line| {
        let line = line.trim().strip_prefix("require ").unwrap_or(line.trim());
        line.strip_prefix(module)?.strip_prefix(' ')?.split_whitespace().next()
    })
}

/// Returns the lowest version of Go that the module file allows.
pub fn wanted() -> Version {
    let line = GO_MOD.lines().find_map(|line| line.strip_prefix("go "));
    line.and_then(Version::parse).unwrap_or(Version(u32::MAX, 0, 0))
}

fn ldflags(program: &Program) -> String {
    let version = required(GO_MOD, "k8s.io/kubernetes").unwrap_or_default();
    if !program.versioned {
        return "-s -w".to_owned();
    }
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let set = |name: &str, value: &str| format!(" -X k8s.io/component-base/version.{name}={value}");
    ["-s -w".to_owned(), set("gitVersion", version), set("gitMajor", major), set("gitMinor", minor)].concat()
}

/// A version of Go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32, u32);

impl Version {
    /// Parses `1.26`, `1.26.0` or `go1.26.8`; ignores everything from a blank or a dash on.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches("go").split([' ', '-']).next()?;
        let mut numbers = text.split('.').map(str::parse);
        let mut next = || numbers.next().unwrap_or(Ok(0)).ok();
        Some(Self(next()?, next()?, next()?))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Returns the Go on the PATH, if it is new enough.
pub fn on_path() -> Option<PathBuf> {
    let out = Command::new("go").env("GOTOOLCHAIN", "local").args(["env", "GOVERSION"]).output().ok()?;
    let version = Version::parse(&String::from_utf8_lossy(&out.stdout))?;
    (version >= wanted()).then(|| PathBuf::from("go"))
}

/// Returns the Go to build with: the one on the PATH, else one from a wheel, installed on first
/// use.
pub(super) fn find(layout: &Layout, log: &Path) -> Result<PathBuf, Error> {
    if let Some(go) = on_path() {
        return Ok(go);
    }
    let home = layout.parts().join(format!("go-{}", &python::key(python::GO)[..16]));
    let marker = home.join("complete");
    if !marker.exists() {
        // Its programs contain their own path, so the directory can't be moved: the marker shows
        // that it is complete.
        if home.exists() {
            fs::remove_dir_all(&home).map_err(file_error(&home))?;
        }
        python::install(python::GO, &home, log)?;
        fs::write(&marker, "").map_err(file_error(&marker))?;
    }
    python::package_file(&home, "go/bin/go").map_err(file_error(&home))
}

fn go(program: &Path, module: &str) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(repository().join("tests/lab/parts").join(module))
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=readonly")
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off");
    command
}

pub(super) fn build(program: &Program, with: &Path, work: &Path, log: &Path) -> Result<PathBuf, Error> {
    let out = work.join("out");
    let mut command = go(with, "");
    command.args([
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags",
        &ldflags(program),
        "-tags",
        program.tags,
    ]);
    run(command.arg("-o").arg(&out).arg(program.package), &format!("building {}", program.name), log)?;
    Ok(out)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Download {
    dir: PathBuf,
}

/// Writes all manifests of the standard channel into one file. Go verifies the module with the sum
/// file next to its module file.
pub(super) fn manifests(with: &Path, work: &Path, log: &Path) -> Result<PathBuf, Error> {
    let version = required(GATEWAY_MOD, GATEWAY_MODULE).unwrap_or_default();
    let what = "getting the Gateway API";
    run(
        go(with, "gateway-api").args(["mod", "download", "-json", &format!("{GATEWAY_MODULE}@{version}")]),
        what,
        log,
    )?;
    let answer = fs::read_to_string(log).map_err(file_error(log))?;
    let unreadable =
        |_| Error::Failed { what: what.to_owned(), log: log.to_owned(), tail: crate::tail(log, 15) };
    let download: Download = serde_json::from_str(&answer).map_err(unreadable)?;
    let dir = download.dir.join("config/crd/standard");
    let mut files = fs::read_dir(&dir)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
        .map_err(file_error(&dir))?;
    files.retain(|path| path.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    let mut all = String::new();
    for file in files {
        all.push_str("---\n");
        all.push_str(&fs::read_to_string(&file).map_err(file_error(&file))?);
    }
    let out = work.join("out");
    fs::write(&out, all).map_err(file_error(&out))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_a_tool_of_the_module_file() {
        for program in &PROGRAMS {
            assert!(GO_MOD.lines().any(|line| line.trim() == program.package), "{}", program.package);
        }
    }

    #[test]
    fn kubernetes_gets_the_version_that_is_built() {
        let flags = ldflags(&PROGRAMS[1]);
        assert!(flags.contains("gitVersion=v1.37.2 "), "{flags}");
        assert!(flags.ends_with("gitMajor=1 -X k8s.io/component-base/version.gitMinor=37"), "{flags}");
        assert_eq!(ldflags(&PROGRAMS[0]), "-s -w");
    }

    #[test]
    fn another_flag_changes_the_key() {
        let [etcd, .., prometheus] = &PROGRAMS;
        let tagged =
            Program { name: etcd.name, package: etcd.package, tags: prometheus.tags, versioned: false };
        assert_ne!(key(etcd), key(&tagged));
        assert_eq!(key(etcd), key(&PROGRAMS[0]));
    }

    #[test]
    fn versions_of_go_compare_as_numbers() {
        let read = |text| Version::parse(text).expect("a version");
        assert!(read("go1.26.8") >= wanted());
        assert!(read("go1.9.1") < wanted());
        assert!(read("go1.26.8 X:nodwarf5") > read("1.26"));
        assert_eq!(Version::parse("devel"), None);
    }

    #[test]
    fn a_requirement_is_found_by_its_whole_name() {
        assert_eq!(
            required("require (\n\tk8s.io/api v1\n\tk8s.io/apix v2 // indirect\n)", "k8s.io/apix"),
            Some("v2")
        );
        assert_eq!(required(GATEWAY_MOD, GATEWAY_MODULE), Some("v1.6.3"));
        assert_eq!(required(GO_MOD, "k8s.io/kube"), None);
    }
}
