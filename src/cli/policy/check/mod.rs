//! `steelyard policy check`: reports every error in policy files.

use std::{
    collections::BTreeSet,
    io::Read as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    found::Found,
    queries::{self, Answer},
};
use crate::policy::{self, Document, DocumentKind, Place, Sort};

/// The flags of `policy check`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Files, or directories in which all *.yaml, *.yml and *.json files are read; `-` is standard
    /// input
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Output format
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    queries: queries::QueryOptions,
}

/// An output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// One line per error, in the format of compilers.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// An error or a warning, and its place.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Finding {
    file: String,
    line: usize,
    column: usize,
    /// `error` or `warning`.
    level: &'static str,
    sort: &'static str,
    path: String,
    message: String,
}

/// All policies and findings.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) policies: Vec<Found>,
    pub(super) findings: Vec<Finding>,
}

pub(super) async fn run(options: Options) -> ExitCode {
    let Options { paths, output, queries } = options;
    let mut report = Report::default();
    let mut unread = Vec::new();
    for (path, named) in files(&paths, &mut unread) {
        match text(&path) {
            Ok(text) => report.file(&path.display().to_string(), &text, named),
            Err(error) => unread.push(format!("{}: {error}", path.display())),
        }
    }
    report.findings.sort();
    let answers = match queries::all(&queries, &report.policies).await {
        Ok(answers) => answers,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    match output {
        Output::Text => print!("{}", report.text(&answers)),
        Output::Json => println!("{:#}", report.json(&answers)),
    }
    for message in &unread {
        eprintln!("error: {message}");
    }
    if report.policies.is_empty() && unread.is_empty() {
        eprintln!("error: these files contain no RolloutPolicy and no ClusterRolloutPolicy");
        return ExitCode::from(2);
    }
    let wrong =
        report.findings.iter().any(|finding| finding.level == "error") || answers.iter().any(Answer::wrong);
    ExitCode::from(if unread.is_empty() { u8::from(wrong) } else { 2 })
}

fn text(path: &Path) -> std::io::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        return std::io::stdin().read_to_string(&mut text).map(|_| text);
    }
    std::fs::read_to_string(path)
}

/// Returns the files to read, each with whether it was named as an argument. Directories that can't
/// be listed are added to `unread`.
fn files(paths: &[PathBuf], unread: &mut Vec<String>) -> Vec<(PathBuf, bool)> {
    let mut files = Vec::new();
    let mut seen = BTreeSet::new();
    for path in paths {
        if path.is_dir() {
            let mut found = Vec::new();
            if let Err(error) = walk(path, &mut found) {
                unread.push(format!("{}: {error}", path.display()));
            }
            found.sort();
            files
                .extend(found.into_iter().filter(|file| seen.insert(file.clone())).map(|file| (file, false)));
        } else if seen.insert(path.clone()) {
            files.push((path.clone(), true));
        }
    }
    files
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        // A symbolic link to a directory may form a cycle.
        if path.is_dir() && !path.is_symlink() && !hidden {
            walk(&path, files)?;
        } else if path.is_file()
            && path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|e| end == *e))
        {
            files.push(path);
        }
    }
    Ok(())
}

impl Report {
    /// Checks one file. In a file that was not named as an argument, invalid YAML is reported only
    /// if the file mentions policies.
    pub(super) fn file(&mut self, file: &str, text: &str, named: bool) {
        let (documents, flaws) = policy::documents(text);
        if named || text.contains("RolloutPolicy") {
            for flaw in flaws {
                self.add(file, flaw.place, "error", "Syntax", "", flaw.message);
            }
        }
        for document in documents {
            let is_list = document.value["kind"] == "List" && document.value["items"].is_array();
            let items: Vec<(String, Value)> = match document.value["items"].as_array() {
                Some(items) if is_list => items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| (format!("items[{at}]"), item.clone()))
                    .collect(),
                _ => vec![(String::new(), document.value.clone())],
            };
            for (at, value) in
                items.into_iter().filter(|(_, value)| policy::kind(value) != DocumentKind::Other)
            {
                self.policy(file, document.clone(), at, value);
            }
        }
    }

    fn policy(&mut self, file: &str, document: Document, at: String, value: Value) {
        for flaw in document.flaws.clone() {
            self.add(file, flaw.place, "error", "Syntax", "", flaw.message);
        }
        let checked = policy::object(&value);
        let hints = checked.as_ref().map(policy::hints).unwrap_or_default();
        let faults = checked.as_ref().err().cloned().unwrap_or_default();
        for fault in faults.into_iter().chain(hints) {
            let path = if at.is_empty() { fault.path.clone() } else { format!("{at}.{}", fault.path) };
            let (level, sort) = match fault.sort {
                Sort::UnknownField => ("error", "UnknownField"),
                Sort::Missing => ("error", "Missing"),
                Sort::Invalid => ("error", "Invalid"),
                Sort::Warning => ("warning", "Warning"),
            };
            let place = match fault.sort {
                Sort::UnknownField | Sort::Missing => document.key_at(&path),
                Sort::Invalid | Sort::Warning => document.value_at(&path),
            };
            self.add(file, place, level, sort, &fault.path, fault.message);
        }
        self.policies.push(Found { file: file.to_owned(), document, at, value, policy: checked.ok() });
    }

    fn add(
        &mut self,
        file: &str,
        place: Place,
        level: &'static str,
        sort: &'static str,
        path: &str,
        message: String,
    ) {
        let Place { line, column } = place;
        let (file, path) = (file.to_owned(), path.to_owned());
        self.findings.push(Finding { file, line, column, level, sort, path, message });
    }

    /// Returns the lines for people and editors.
    pub(super) fn text(&self, answers: &[Answer]) -> String {
        let mut lines: Vec<String> = self
            .findings
            .iter()
            .map(|finding| {
                let Finding { file, line, column, level, sort: _, path, message } = finding;
                let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
                format!("{file}:{line}:{column}: {level}: {path}{message}\n")
            })
            .collect();
        lines.extend(answers.iter().map(ToString::to_string));
        for found in self.policies.iter().filter(|found| found.policy.is_some()) {
            let line = found.document.value_at(&found.at).line;
            lines.push(format!("{}:{line}: {}: ok\n", found.file, found.title()));
        }
        lines.concat()
    }

    fn json(&self, answers: &[Answer]) -> Value {
        let policies: Vec<Value> = self
            .policies
            .iter()
            .map(|found| {
                json!({
                    "file": found.file,
                    "line": found.document.value_at(&found.at).line,
                    "kind": found.value["kind"],
                    "name": found.value["metadata"]["name"],
                    "ok": found.policy.is_some(),
                })
            })
            .collect();
        json!({"policies": policies, "findings": self.findings, "answers": answers})
    }
}

#[cfg(test)]
mod tests;
