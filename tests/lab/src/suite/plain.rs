//! The tests that need no lab.

use std::{path::PathBuf, process::Command};

use super::{Error, ON_LAB};
use crate::own::{self, FEATURES, Purpose};

/// The test programs of this repository.
pub(super) struct Programs {
    /// The test program of the tests on the lab.
    pub(super) on_lab: PathBuf,
    /// All other test programs, each with the directory of its package.
    others: Vec<(PathBuf, PathBuf)>,
}

impl Programs {
    /// Builds all test programs.
    pub(super) fn build() -> Result<Self, own::Error> {
        Self::of(&["--workspace", FEATURES, "--no-run"])
    }

    /// Builds only that of the tests on the lab.
    pub(super) fn build_on_lab() -> Result<Self, own::Error> {
        Self::of(&["--package", "lab", FEATURES, "--test", ON_LAB, "--no-run"])
    }

    fn of(args: &[&str]) -> Result<Self, own::Error> {
        let mut others = Vec::new();
        let mut on_lab = None;
        for built in own::programs("test", args)?.into_iter().filter(|built| built.purpose == Purpose::Test) {
            if built.target == ON_LAB {
                on_lab = Some(built.program);
            } else {
                others.push((built.program, built.package));
            }
        }
        let absent =
            || own::Error::Absent { args: format!("test {}", args.join(" ")), name: ON_LAB.to_owned() };
        Ok(Self { on_lab: on_lab.ok_or_else(absent)?, others })
    }

    /// Runs all tests except those on the lab, as `cargo test` does. Returns whether all passed.
    pub(super) fn run_others(&self) -> Result<bool, Error> {
        let mut passed = true;
        for (program, package) in &self.others {
            let mut command = Command::new(program);
            command.current_dir(package).env("CARGO_MANIFEST_DIR", package);
            passed &= passes(&mut command)?;
        }
        Ok(passed & passes(&mut own::cargo("test", &["--workspace", FEATURES, "--doc"]))?)
    }
}

fn passes(command: &mut Command) -> Result<bool, Error> {
    let program = PathBuf::from(command.get_program());
    Ok(command.status().map_err(|source| Error::Run { program, source })?.success())
}
