//! Collects evidence of a failed test.

use std::path::{Path, PathBuf};

use super::space::path;
use super::{Failure, Space};

/// Writes all objects of the namespace, its Events in order of time and the output of its
/// containers to a directory in `LAB_DIR/failures` that is named after the test, and replaces what
/// an earlier run wrote there. Returns the directory.
pub(super) async fn dump(space: &Space, test: &str) -> Result<PathBuf, Failure> {
    let lab = path("LAB_DIR")?;
    let dir = lab.join("failures").join(test);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    let kinds = space.kubectl(&["api-resources", "--namespaced", "--verbs=list", "--output=name"]).await?;
    let kinds: Vec<&str> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
    let objects = space.kubectl(&["get", &kinds.join(","), "--output=yaml", "--ignore-not-found"]).await;
    write(&dir.join("objects.yaml"), objects)?;
    let events = space.kubectl(&["events"]).await;
    write(&dir.join("events.txt"), events)?;
    let pods = space.kubectl(&["get", "pods,deployments,replicasets", "--output=wide"]).await;
    write(&dir.join("overview.txt"), pods)?;
    for entry in std::fs::read_dir(lab.join("pods"))?.flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(&format!("{}_", space.name())) {
            std::fs::copy(entry.path(), dir.join(name))?;
        }
    }
    // The parts' logs keep growing: record the time at which this test ended.
    std::fs::write(
        dir.join("parts.txt"),
        format!("{}\nlogs: {}\n", jiff::Timestamp::now(), lab.join("logs").display()),
    )?;
    Ok(dir)
}

/// Writes the output, or the error: incomplete evidence is better than none.
fn write(file: &Path, output: Result<String, super::SupportError>) -> std::io::Result<()> {
    std::fs::write(file, output.unwrap_or_else(|error| format!("{error}\n")))
}
