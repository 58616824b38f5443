//! The tables of turns and of switches: each case records a row, and `cargo lab test` prints them.

use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A row of a table that tests record. Rows are sorted by their order.
pub trait Kept: Ord + Serialize + DeserializeOwned {
    /// The directory of the table's rows, within a lab's directory.
    const FOLDER: &'static str;
    /// The table's first two lines, in Markdown.
    const HEAD: &'static str;

    /// Returns what distinguishes it from other rows of its table.
    fn name(&self) -> String;

    /// Returns it in Markdown.
    fn line(&self) -> String;

    /// Writes the row to a lab's directory, and replaces that of an earlier run.
    fn keep(&self, lab: &Path) -> io::Result<()> {
        let dir = folder::<Self>(lab);
        std::fs::create_dir_all(&dir)?;
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let name: String = self.name().chars().map(plain).collect();
        std::fs::write(dir.join(format!("{}.json", name.trim_matches('-'))), serde_json::to_vec(self)?)
    }
}

/// The result of one case of the table of turns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Row {
    /// The event.
    pub case: String,
    /// The order of the points of a case.
    #[serde(default)]
    pub order: u8,
    /// The point, such as `at the first step`; empty if there is only one.
    #[serde(default)]
    pub at: String,
    /// Number of requests, on all paths together.
    pub requests: u64,
    /// Number of those that failed.
    pub failed: u64,
    /// Number of pods that were started after the first push.
    pub pods: usize,
    /// Seconds from the first push until the expected end.
    pub seconds: u64,
}

impl Kept for Row {
    const FOLDER: &'static str = "turns";
    const HEAD: &'static str = "| event during the rollout | when | requests | failed | pods started | seconds |\n\
                                | --- | --- | ---: | ---: | ---: | ---: |\n";

    fn name(&self) -> String {
        format!("{} {}", self.case, self.at)
    }

    fn line(&self) -> String {
        let Self { case, order: _, at, requests, failed, pods, seconds } = self;
        format!("| {case} | {at} | {requests} | {failed} | {pods} | {seconds} |\n")
    }
}

/// The result of one switch of all traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Switched {
    /// The event.
    pub case: String,
    /// Requests through the Gateway and to the `ClusterIP`, each on new and on kept-alive
    /// connections.
    pub requests: [u64; 4],
    /// Number of requests that failed.
    pub failed: u64,
    /// Number of errors that a bad version answered.
    pub bad: u64,
    /// The longest time in milliseconds during which both versions answered at a switch: through
    /// the Gateway, and on new connections to the `ClusterIP`; `None` where the traffic was shared.
    pub both: [Option<u64>; 2],
    /// Number of pods that were started after the first push.
    pub pods: usize,
    /// Seconds from the first push until the expected end.
    pub seconds: u64,
}

impl Kept for Switched {
    const FOLDER: &'static str = "switches";
    const HEAD: &'static str = "| case | Gateway, new | Gateway, kept | ClusterIP, new | ClusterIP, kept | failed | bad answers | both versions by the Gateway, ms | both versions by the ClusterIP, ms | pods started | seconds |\n\
                                | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";

    fn name(&self) -> String {
        self.case.clone()
    }

    fn line(&self) -> String {
        let Self { case, requests: [a, b, c, d], failed, bad, both, pods, seconds } = self;
        let [by_gateway, by_service] = both.map(|ms| ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string()));
        format!(
            "| {case} | {a} | {b} | {c} | {d} | {failed} | {bad} | {by_gateway} | {by_service} | {pods} | {seconds} |\n"
        )
    }
}

/// Returns the directory of a table's rows in a lab's directory.
pub fn folder<R: Kept>(lab: &Path) -> PathBuf {
    lab.join(R::FOLDER)
}

/// Returns all rows of a table in a lab's directory, sorted; none if the table does not exist.
pub fn rows<R: Kept>(lab: &Path) -> io::Result<Vec<R>> {
    let mut rows = Vec::new();
    match std::fs::read_dir(folder::<R>(lab)) {
        Ok(files) => {
            for file in files {
                rows.push(serde_json::from_slice(&std::fs::read(file?.path())?)?);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    rows.sort();
    Ok(rows)
}

/// Returns the rows as a table in Markdown.
pub fn table<R: Kept>(rows: &[R]) -> String {
    let lines: String = rows.iter().map(R::line).collect();
    format!("{}{lines}", R::HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: &str, order: u8) -> Row {
        let (case, at) = (case.to_owned(), format!("point {order}"));
        Row { case, order, at, requests: 100, failed: 0, pods: 4, seconds: 9 }
    }

    #[test]
    fn rows_are_kept_replaced_and_ordered() {
        let lab = std::env::temp_dir().join(format!("lab-rows-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&lab);
        assert_eq!(rows::<Row>(&lab).expect("no folder, no rows"), []);
        for row in [row("b", 1), row("a", 2), row("a", 1), row("a", 1)] {
            row.keep(&lab).expect("kept");
        }
        let kept: Vec<Row> = rows(&lab).expect("read");
        assert_eq!(kept, [row("a", 1), row("a", 2), row("b", 1)]);
        let text = table(&kept);
        assert!(text.contains("| a | point 2 | 100 | 0 | 4 | 9 |\n| b |"), "{text}");
        assert_eq!(rows::<Switched>(&lab).expect("another table"), []);
        std::fs::remove_dir_all(&lab).expect("removed");
    }

    #[test]
    fn a_switch_without_overlap_shows_a_dash() {
        let both = [Some(12), None];
        let row =
            Switched { case: "a".to_owned(), requests: [1, 2, 3, 4], both, pods: 4, ..Switched::default() };
        assert_eq!(row.line(), "| a | 1 | 2 | 3 | 4 | 0 | 0 | 12 | - | 4 | 0 |\n");
    }
}
