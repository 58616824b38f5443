//! The programs of other projects that the lab is made of: pinned with checksums, built or installed once, kept under
//! a digest of all that decides their content.

pub mod go;
pub mod python;

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use crate::{paths::Layout, say};

/// One thing to have in the cache.
#[derive(Clone, Debug)]
pub struct Item {
    /// The program's name, or that of a set of files.
    pub name: &'static str,
    /// How to get it.
    pub recipe: Recipe,
    /// Digest of everything that decides its content.
    pub key: String,
}

/// How to get a part.
#[derive(Clone, Debug)]
pub enum Recipe {
    /// `go build` of a package of the bill of materials.
    GoBuild(&'static go::Program),
    /// Manifests out of a Go module.
    GatewayApi,
    /// A wheel that holds a program.
    Traefik,
}

impl Item {
    /// The folder that holds it, once it is there.
    fn dir(&self, layout: &Layout) -> PathBuf {
        layout.parts().join(format!("{}-{}", self.name, &self.key[..16]))
    }

    /// The program, or the file of manifests. It is moved here whole or not at all.
    pub fn path(&self, layout: &Layout) -> PathBuf {
        self.dir(layout).join(self.name)
    }
}

/// Why a part could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tool could not be run at all.
    #[error("cannot run {tool}")]
    Run {
        /// The tool.
        tool: String,
        /// What the system said.
        source: io::Error,
    },
    /// A tool failed.
    #[error("{what} failed; log: {}\n{tail}", log.display())]
    Failed {
        /// What was tried.
        what: String,
        /// Its whole output.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A file of the cache could not be written or read.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

pub(crate) fn file_error(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    |source| Error::File { path, source }
}

/// Everything the lab takes from other projects.
pub fn all() -> Vec<Item> {
    let mut items: Vec<Item> = go::PROGRAMS
        .iter()
        .map(|program| Item { name: program.name, recipe: Recipe::GoBuild(program), key: go::key(program) })
        .collect();
    items.push(Item { name: "gateway-api.yaml", recipe: Recipe::GatewayApi, key: go::manifests_key() });
    items.push(Item { name: "traefik", recipe: Recipe::Traefik, key: python::key(python::TRAEFIK) });
    items
}

/// Those that are not in the cache yet.
pub fn missing(layout: &Layout) -> Vec<Item> {
    all().into_iter().filter(|item| !item.path(layout).exists()).collect()
}

/// Builds or installs what is missing, with a line per part, and says where each is.
pub fn ensure(layout: &Layout) -> Result<BTreeMap<&'static str, PathBuf>, Error> {
    if !missing(layout).is_empty() {
        let parts = layout.parts();
        fs::create_dir_all(&parts).map_err(file_error(&parts))?;
        // Whoever comes second waits here, and then finds the work done.
        let lock = parts.join("lock");
        let _held = hold(&lock).map_err(file_error(&lock))?;
        let todo = missing(layout);
        let began = Instant::now();
        for (index, item) in todo.iter().enumerate() {
            let one = Instant::now();
            say(format_args!("part {}/{}: {} ...", index + 1, todo.len(), item.name));
            make(item, layout)?;
            say(format_args!(
                "part {}/{}: {} done in {} s ({} s so far)",
                index + 1,
                todo.len(),
                item.name,
                one.elapsed().as_secs(),
                began.elapsed().as_secs()
            ));
        }
    }
    Ok(all().iter().map(|item| (item.name, item.path(layout))).collect())
}

/// Opens a lock file and waits for it; the lock ends with the file handle.
pub fn hold(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        say(format_args!("waiting for another run to let go of {}", path.display()));
        file.lock()?;
    }
    Ok(file)
}

fn make(item: &Item, layout: &Layout) -> Result<(), Error> {
    let dir = item.dir(layout);
    let work = layout.parts().join(format!(".{}", item.name));
    if work.exists() {
        fs::remove_dir_all(&work).map_err(file_error(&work))?;
    }
    fs::create_dir_all(&work).map_err(file_error(&work))?;
    let log = layout.parts().join(format!("{}.log", item.name));
    let made = match item.recipe {
        Recipe::GoBuild(program) => go::build(program, &go::find(layout, &log)?, &work, &log)?,
        Recipe::GatewayApi => go::manifests(&go::find(layout, &log)?, &work, &log)?,
        Recipe::Traefik => python::install(python::TRAEFIK, &work, &log)?.join("bin/traefik"),
    };
    fs::create_dir_all(&dir).map_err(file_error(&dir))?;
    fs::rename(&made, item.path(layout)).map_err(file_error(&made))?;
    fs::remove_dir_all(&work).map_err(file_error(&work))
}

/// Runs a tool with its output in a file; an error shows the end of it.
pub(crate) fn run(command: &mut Command, what: &str, log: &Path) -> Result<(), Error> {
    let out = File::create(log).map_err(file_error(log))?;
    let err = out.try_clone().map_err(file_error(log))?;
    let tool = command.get_program().to_string_lossy().into_owned();
    let status = command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .status()
        .map_err(|source| Error::Run { tool, source })?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Failed { what: what.to_owned(), log: log.to_owned(), tail: crate::tail(log, 15) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_parts_share_a_name_or_a_key() {
        let items = all();
        let names: BTreeSet<_> = items.iter().map(|item| item.name).collect();
        let keys: BTreeSet<_> = items.iter().map(|item| item.key.clone()).collect();
        assert_eq!((names.len(), keys.len()), (items.len(), items.len()));
    }

    #[test]
    fn a_failing_tool_shows_the_end_of_its_output() {
        let log = std::env::temp_dir().join(format!("lab-parts-{}.log", std::process::id()));
        let error =
            run(Command::new("sh").args(["-c", "echo early; echo the reason >&2; exit 3"]), "a build", &log)
                .expect_err("it fails");
        assert!(error.to_string().contains("a build failed"), "{error}");
        assert!(error.to_string().ends_with("the reason"), "{error}");
        fs::remove_file(log).expect("the log");
    }
}
