//! This repository's own programs: built by cargo, and copied into the lab, so that a later build changes a running lab
//! only through `up`.

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

/// The programs, by name.
pub const NAMES: [&str; 5] = ["steelyard", "kubectl-steelyard", "node-agent", "demo-app", "lab"];

/// The features that every cargo command uses: with another set cargo would build the lab's library once
/// more. Without this one it leaves out the tests on the lab.
pub const FEATURES: &str = "--features=lab/on-lab";

/// Why our programs can't be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// cargo could not be run.
    #[error("cannot run cargo")]
    Run(#[source] io::Error),
    /// The code doesn't build; cargo has said why.
    #[error("`cargo {args}` failed")]
    Build {
        /// What cargo was asked.
        args: String,
    },
    /// cargo built something else.
    #[error("`cargo {args}` built no program {name}")]
    Absent {
        /// What cargo was asked.
        args: String,
        /// Which program is missing.
        name: String,
    },
    /// A program could not be copied into the lab.
    #[error("cannot copy {} into the lab", path.display())]
    Copy {
        /// The program.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A program that was copied into the lab.
#[derive(Clone, Debug)]
pub struct Installed {
    /// Its name.
    pub name: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// The digest of its content.
    pub digest: String,
}

/// A program that cargo built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The name of its target.
    pub target: String,
    /// Where it is.
    pub program: PathBuf,
    /// The folder of its package.
    pub package: PathBuf,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a program is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It runs tests.
    Test,
    /// It is used.
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

/// A cargo command in this repository, in the profile that this program was built with.
pub fn cargo(subcommand: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(repository()).arg(subcommand).args(args);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    // What cargo sets for the program it runs must not leak into the next cargo.
    for (key, _) in env::vars_os() {
        if key.to_str().is_some_and(|k| k.starts_with("CARGO_PKG_") || k == "CARGO_MANIFEST_DIR") {
            command.env_remove(key);
        }
    }
    command
}

/// Runs a cargo command that builds, and gives the programs that it made.
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

/// Builds our programs.
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

/// Copies programs into the lab, where they differ.
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

/// Makes `to` a copy of `from` in one step, and gives back the digest of both.
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
