//! The paths of the lab: what it builds, and what it runs.

use std::{env, fmt, path::PathBuf, str::FromStr};

use crate::components::Part;

/// The name of one lab: 1..=32 of `a-z`, `0-9` and `-`. Labs of different names run side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabName(String);

/// The error for an invalid lab name.
#[derive(Debug, thiserror::Error)]
#[error("a lab's name consists of 1 to 32 characters from a-z, 0-9 and '-'")]
pub struct BadName;

impl FromStr for LabName {
    type Err = BadName;

    fn from_str(s: &str) -> Result<Self, BadName> {
        let fits = (1..=32).contains(&s.len());
        let plain = s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits && plain { Ok(Self(s.to_owned())) } else { Err(BadName) }
    }
}

impl LabName {
    /// Returns the name of a second lab for the same purpose.
    fn second(&self) -> Self {
        let room = self.0.len().min(30);
        Self(format!("{}-2", &self.0[..room]))
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The directories and files of one lab.
#[derive(Clone, Debug)]
pub struct Layout {
    name: LabName,
    cache: PathBuf,
}

/// Neither `XDG_CACHE_HOME` nor `HOME` is set.
#[derive(Debug, thiserror::Error)]
#[error("cannot store the lab: set XDG_CACHE_HOME or HOME")]
pub struct NoHome;

impl Layout {
    /// Returns the layout of lab `name` below `$XDG_CACHE_HOME/steelyard-lab`, or
    /// `~/.cache/steelyard-lab`.
    pub fn of(name: LabName) -> Result<Self, NoHome> {
        let set = |key| env::var_os(key).filter(|v| !v.is_empty()).map(PathBuf::from);
        let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache"))).ok_or(NoHome)?;
        Ok(Self::below(cache.join("steelyard-lab"), name))
    }

    /// Returns the layout of lab `name` below another directory.
    pub fn below(cache: PathBuf, name: LabName) -> Self {
        Self { name, cache }
    }

    /// Returns the layout of a second lab, for tests that would disturb others on this one.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self { name: self.name.second(), cache: self.cache.clone() }
    }

    /// Returns the file with the duration of each test's last successful run; shared by all labs.
    pub fn durations(&self) -> PathBuf {
        self.cache.join("run").join("durations.json")
    }

    /// Returns the lab's name.
    pub fn name(&self) -> &LabName {
        &self.name
    }

    /// Returns the name of the lab's network namespace.
    pub fn namespace(&self) -> String {
        format!("steelyard-lab-{}", self.name)
    }

    /// Returns the directory of programs that were built or installed, with one directory per
    /// digest; shared by all labs.
    pub fn parts(&self) -> PathBuf {
        self.cache.join("parts")
    }

    /// Returns the directory of this lab's state.
    pub fn run(&self) -> PathBuf {
        self.cache.join("run").join(self.name.to_string())
    }

    /// Returns the lock file that an `up` or `down` of this lab holds. It is next to the state
    /// directory, which `up` empties.
    pub fn lock(&self) -> PathBuf {
        self.cache.join("run").join(format!("{}.lock", self.name))
    }

    /// Returns the directory of programs that come first on the PATH inside the lab.
    pub fn bin(&self) -> PathBuf {
        self.run().join("bin")
    }

    /// Returns the directory of certificates and keys.
    pub fn certs(&self) -> PathBuf {
        self.run().join("certs")
    }

    /// Returns the kubeconfig file of one of the lab's users: `admin`, or a part's name.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.run().join(format!("{user}.kubeconfig"))
    }

    /// Returns the directory of logs.
    pub fn logs(&self) -> PathBuf {
        self.run().join("logs")
    }

    /// Returns the log of a part: its standard output and error.
    pub fn log(&self, part: Part) -> PathBuf {
        self.logs().join(format!("{part}.log"))
    }

    /// Returns the audit log of the API server: every request, without bodies.
    pub fn audit_log(&self) -> PathBuf {
        self.run().join("audit.log")
    }

    /// Returns the record of a part: its command line and its process.
    pub fn record(&self, part: Part) -> PathBuf {
        self.run().join("processes").join(format!("{part}.json"))
    }

    /// Returns the control socket of the node agent.
    pub fn agent_socket(&self) -> PathBuf {
        self.run().join("agent.sock")
    }
}

/// Returns the root of this repository, as it was when the lab was compiled.
pub fn repository() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.parent().and_then(std::path::Path::parent).map_or(package.clone(), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_leave_the_directory_is_rejected() {
        for bad in ["", "..", "a/b", "A", "a b", &"a".repeat(33)] {
            assert!(bad.parse::<LabName>().is_err(), "{bad:?}");
        }
        assert_eq!("ci-2".parse::<LabName>().map(|n| n.to_string()).ok().as_deref(), Some("ci-2"));
    }

    #[test]
    fn the_name_of_a_second_lab_is_valid_and_different() {
        for name in ["ci", &"a".repeat(32)] {
            let first: LabName = name.parse().expect("a name");
            let second = first.second();
            assert_ne!(first, second);
            assert_eq!(second.to_string().parse::<LabName>().ok(), Some(second));
        }
    }

    #[test]
    fn the_repository_contains_the_module_file_of_the_parts() {
        assert!(repository().join("tests/lab/parts/go.mod").is_file());
    }
}
