//! This repository's programs: built by cargo, and copied into the lab, so that a later build
//! changes a running lab only through `up`.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use crate::{
    digest,
    paths::{Layout, repository},
};

/// The names of the programs.
pub const NAMES: [&str; 5] = ["steelyard", "kubectl-steelyard", "node-agent", "demo-app", "lab"];

/// The features of every cargo command: with other features cargo would build the lab's library
/// twice. Without this one, the tests on the lab are not built.
pub const FEATURES: &str = "--features=lab/on-lab";

/// The reason why this repository's programs are not available.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// cargo could not be run.
    #[error("cannot run cargo")]
    Run(#[source] io::Error),
    /// The code does not compile; cargo has printed the errors.
    #[error("`cargo {args}` failed")]
    Build {
        /// The arguments of cargo.
        args: String,
    },
    /// cargo did not build the program.
    #[error("`cargo {args}` did not build program {name}")]
    Absent {
        /// The arguments of cargo.
        args: String,
        /// The missing program.
        name: String,
    },
    /// A program could not be copied into the lab.
    #[error("cannot copy {} into the lab", path.display())]
    Copy {
        /// The program.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// A program that was copied into the lab.
#[derive(Clone, Debug)]
pub struct Installed {
    /// Its name.
    pub name: &'static str,
    /// Its path.
    pub path: PathBuf,
    /// The digest of its content.
    pub digest: String,
}

/// A program that cargo built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The name of its target.
    pub target: String,
    /// Its path.
    pub program: PathBuf,
    /// The directory of its package.
    pub package: PathBuf,
    /// Its purpose.
    pub purpose: Purpose,
}

/// The purpose of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Runs tests.
    Test,
    /// Any other.
    Use,
}

#[derive(Deserialize)]
struct Artifact {
    executable: Option<PathBuf>,
    target: Option<Target>,
    manifest_path: Option<PathBuf>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

impl Artifact {
    fn built(self) -> Option<Built> {
        Some(Built {
            target: self.target?.name,
            program: self.executable?,
            package: self.manifest_path?.parent()?.to_owned(),
            purpose: if self.profile?.test { Purpose::Test } else { Purpose::Use },
        })
    }
}

/// Returns a cargo command in this repository, with the profile of this program.
pub fn cargo(subcommand: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(repository()).arg(subcommand).args(args);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    // Variables that cargo sets for the program it runs must not affect another cargo.
    for (key, _) in env::vars_os() {
        if key.to_str().is_some_and(|k| k.starts_with("CARGO_PKG_") || k == "CARGO_MANIFEST_DIR") {
            command.env_remove(key);
        }
    }
    command
}

/// Runs a cargo command that builds, and returns the programs that it built.
pub fn programs(subcommand: &str, args: &[&str]) -> Result<Vec<Built>, Error> {
    let shown = || format!("{subcommand} {}", args.join(" "));
    let out = cargo(subcommand, args)
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(Error::Run)?;
    if !out.status.success() {
        return Err(Error::Build { args: shown() });
    }
    let lines = String::from_utf8_lossy(&out.stdout);
    let artifacts = lines.lines().filter_map(|line| serde_json::from_str::<Artifact>(line).ok());
    Ok(artifacts.filter_map(Artifact::built).collect())
}

/// Builds this repository's programs.
pub fn build() -> Result<Vec<(&'static str, PathBuf)>, Error> {
    let args = ["-p", "steelyard", "-p", "lab", "--bins", FEATURES];
    let made = programs("build", &args)?;
    let find = |name: &'static str| {
        let found = made.iter().find(|built| built.target == name).map(|built| (name, built.program.clone()));
        found
            .ok_or_else(|| Error::Absent { args: format!("build {}", args.join(" ")), name: name.to_owned() })
    };
    NAMES.into_iter().map(find).collect()
}

/// Copies programs into the lab if they differ.
pub fn install(layout: &Layout, built: Vec<(&'static str, PathBuf)>) -> Result<Vec<Installed>, Error> {
    let bin = layout.bin();
    fs::create_dir_all(&bin).map_err(|source| Error::Copy { path: bin.clone(), source })?;
    let one = |(name, path): (&'static str, PathBuf)| {
        let installed = replace(&path, &bin.join(name));
        let digest = installed.map_err(|source| Error::Copy { path, source })?;
        Ok(Installed { name, path: bin.join(name), digest })
    };
    built.into_iter().map(one).collect()
}

/// Makes `to` a copy of `from` atomically, and returns the digest of both.
fn replace(from: &Path, to: &Path) -> io::Result<String> {
    let digest = digest::of_file(from)?;
    if digest::of_file(to).ok().as_ref() != Some(&digest) {
        let work = to.with_extension("new");
        fs::copy(from, &work)?;
        fs::rename(&work, to)?;
    }
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_replaced_only_where_it_differs() {
        let dir = env::temp_dir().join(format!("lab-own-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a folder");
        let (from, to) = (dir.join("from"), dir.join("to"));
        fs::write(&from, "one").expect("written");
        let first = replace(&from, &to).expect("copied");
        let before = fs::metadata(&to).expect("there").modified().expect("a time");
        assert_eq!(replace(&from, &to).expect("same"), first);
        assert_eq!(fs::metadata(&to).expect("there").modified().expect("a time"), before);
        fs::write(&from, "two").expect("written");
        assert_ne!(replace(&from, &to).expect("copied"), first);
        assert_eq!(fs::read_to_string(&to).expect("read"), "two");
        fs::remove_dir_all(dir).expect("removed");
    }
}
