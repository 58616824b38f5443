//! The tables of turns and of switches: each case leaves a row, `cargo lab test` prints them.

use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A row of a table that tests leave behind. Rows are sorted as their order says.
pub trait Kept: Ord + Serialize + DeserializeOwned {
    /// The folder, within a lab's, where its table's rows are.
    const FOLDER: &'static str;
    /// The table's first two lines, in Markdown.
    const HEAD: &'static str;

    /// What tells it from other rows of its table.
    fn name(&self) -> String;

    /// It in Markdown.
    fn line(&self) -> String;

    /// Keeps the row in a lab's folder, replacing that of an earlier run.
    fn keep(&self, lab: &Path) -> io::Result<()> {
        let dir = folder::<Self>(lab);
        std::fs::create_dir_all(&dir)?;
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let name: String = self.name().chars().map(plain).collect();
        std::fs::write(dir.join(format!("{}.json", name.trim_matches('-'))), serde_json::to_vec(self)?)
    }
}

/// What one turn of events came to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Row {
    /// What happened in between.
    pub case: String,
    /// Sorts the moments of a case.
    #[serde(default)]
    pub order: u8,
    /// When, such as `at the first step`; empty where there is only one moment.
    #[serde(default)]
    pub at: String,
    /// Requests sent, all ways together.
    pub requests: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Pods that were started after the first push.
    pub pods: usize,
    /// Seconds from the first push until everything was as it should be.
    pub seconds: u64,
}

impl Kept for Row {
    const FOLDER: &'static str = "turns";
    const HEAD: &'static str = "| what happens in between | when | requests | failed | pods started | seconds |\n\
                                | --- | --- | ---: | ---: | ---: | ---: |\n";

    fn name(&self) -> String {
        format!("{} {}", self.case, self.at)
    }

    fn line(&self) -> String {
        let Self { case, order: _, at, requests, failed, pods, seconds } = self;
        format!("| {case} | {at} | {requests} | {failed} | {pods} | {seconds} |\n")
    }
}

/// What one switch of all traffic came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Switched {
    /// What happened.
    pub case: String,
    /// Requests through the Gateway and to the `ClusterIP`, each on new and on kept-alive connections.
    pub requests: [u64; 4],
    /// Requests that failed.
    pub failed: u64,
    /// Errors that a bad version answered itself.
    pub bad: u64,
    /// The longest that both versions answered at a switch, in milliseconds: through the Gateway, and on new connections to
    /// the `ClusterIP`; none where the traffic was shared.
    pub both: [Option<u64>; 2],
    /// Pods that were started after the first push.
    pub pods: usize,
    /// Seconds from the first push until everything was as it should be.
    pub seconds: u64,
}

impl Kept for Switched {
    const FOLDER: &'static str = "switches";
    const HEAD: &'static str = "| case | Gateway, new | Gateway, kept | ClusterIP, new | ClusterIP, kept | failed | bad answers | both by the Gateway, ms | both by the ClusterIP, ms | pods started | seconds |\n\
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

/// Where a table's rows are in a lab's folder.
pub fn folder<R: Kept>(lab: &Path) -> PathBuf {
    lab.join(R::FOLDER)
}

/// All rows of a table in a lab's folder, in their order; none where there is no such table.
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

/// The rows as a table in Markdown.
pub fn table<R: Kept>(rows: &[R]) -> String {
    let lines: String = rows.iter().map(R::line).collect();
    format!("{}{lines}", R::HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: &str, order: u8) -> Row {
        let (case, at) = (case.to_owned(), format!("moment {order}"));
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
        assert!(text.contains("| a | moment 2 | 100 | 0 | 4 | 9 |\n| b |"), "{text}");
        assert_eq!(rows::<Switched>(&lab).expect("another table"), []);
        std::fs::remove_dir_all(&lab).expect("removed");
    }

    #[test]
    fn a_switch_without_a_moment_of_both_versions_says_so() {
        let both = [Some(12), None];
        let row =
            Switched { case: "a".to_owned(), requests: [1, 2, 3, 4], both, pods: 4, ..Switched::default() };
        assert_eq!(row.line(), "| a | 1 | 2 | 3 | 4 | 0 | 0 | 12 | - | 4 | 0 |\n");
    }
}
