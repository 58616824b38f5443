//! The table of turns: each case leaves a row, `cargo lab test` prints them.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What one case came to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Row {
    /// What happened in between.
    pub case: String,
    /// When, such as `at the first step`; empty where there is only one moment.
    #[serde(default)]
    pub at: String,
    /// Sorts the moments of a case.
    #[serde(default)]
    pub order: u8,
    /// Requests sent, all ways together.
    pub requests: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Pods that were started after the first push.
    pub pods: usize,
    /// Seconds from the first push until everything was as it should be.
    pub seconds: u64,
}

impl Row {
    /// Keeps the row in `dir`, replacing that of an earlier run.
    pub fn keep(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)?;
        let words = format!("{} {}", self.case, self.at);
        let name: String = words
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        std::fs::write(dir.join(format!("{}.json", name.trim_matches('-'))), serde_json::to_vec(self)?)
    }
}

/// Where the rows of a lab are.
pub fn folder(lab: &Path) -> PathBuf {
    lab.join("turns")
}

/// All rows in a folder, by case and moment; none where there is no such folder.
pub fn rows(dir: &Path) -> io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    match std::fs::read_dir(dir) {
        Ok(files) => {
            for file in files {
                rows.push(serde_json::from_slice(&std::fs::read(file?.path())?)?);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    rows.sort_by(|a: &Row, b: &Row| (&a.case, a.order, a).cmp(&(&b.case, b.order, b)));
    Ok(rows)
}

/// The rows as a table in Markdown.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| what happens in between | when | requests | failed | pods started | seconds |\n| --- | --- | ---: | ---: | ---: | ---: |\n",
    );
    for Row { case, at, order: _, requests, failed, pods, seconds } in rows {
        let _ = writeln!(text, "| {case} | {at} | {requests} | {failed} | {pods} | {seconds} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: &str, order: u8) -> Row {
        let (case, at) = (case.to_owned(), format!("moment {order}"));
        Row { case, at, order, requests: 100, failed: 0, pods: 4, seconds: 9 }
    }

    #[test]
    fn rows_are_kept_replaced_and_ordered() {
        let dir = std::env::temp_dir().join(format!("lab-rows-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        assert_eq!(rows(&dir).expect("no folder, no rows"), []);
        for row in [row("b", 1), row("a", 2), row("a", 1), row("a", 1)] {
            row.keep(&dir).expect("kept");
        }
        let kept = rows(&dir).expect("read");
        assert_eq!(kept, [row("a", 1), row("a", 2), row("b", 1)]);
        let text = table(&kept);
        assert!(text.contains("| a | moment 2 | 100 | 0 | 4 | 9 |\n| b |"), "{text}");
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
