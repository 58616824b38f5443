//! Tests of README.md, CONTRIBUTING.md and docs/: each command runs, and the API server validates
//! each object.

mod console;
mod emergency;
mod health;
mod helm;
mod page;
mod readme;
mod run;
mod yaml;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lab::paths::repository;
use lab::support::Failure;

use page::{Block, anchors, blocks, pages};

/// Commands that none of these tests runs, and the reasons.
const ELSEWHERE: [(&str, &str); 6] = [
    ("cargo build", "`cargo lab up` builds the same"),
    ("cargo test", "`cargo lab test` does this first"),
    ("cargo lab up", "these tests run inside the lab that it starts"),
    ("cargo lab test", "it runs these tests"),
    ("cargo lab down", "it would end this test; `.ci/run` ends with it"),
    ("cargo lab demo", "`.ci/run` runs it as README.md shows it"),
];

/// The test that runs a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// `console`: without a rollout, and during one.
    Tour,
    /// `console`: a template that was held when the annotation was removed.
    Left,
    /// `helm`: a chart of an application.
    Helm,
    /// `emergency`: Steelyard is gone.
    Emergency,
    /// `readme`.
    Readme,
    /// `people::plain`, which reads docs/plugin.md itself.
    Plain,
    /// None of these tests: see [`ELSEWHERE`].
    Elsewhere,
}

impl Block {
    /// The test that runs this command of the block. Add each new page here.
    fn by(&self, command: &str) -> Result<By, Failure> {
        if ELSEWHERE.iter().any(|(line, _)| *line == command) {
            return Ok(By::Elsewhere);
        }
        Ok(match (self.page.as_str(), self.heading.as_str()) {
            ("README.md" | "CONTRIBUTING.md" | "docs/lab.md" | "docs/faults.md", _) => By::Readme,
            ("docs/recipes/helm.md", _) => By::Helm,
            ("docs/troubleshooting.md", heading) if heading.starts_with("Emergency") => By::Emergency,
            ("docs/troubleshooting.md", "A Deployment was left paused") => By::Left,
            ("docs/plugin.md", "The same with kubectl alone" | "Completion") => By::Plain,
            ("docs/plugin.md" | "docs/troubleshooting.md" | "docs/recipes/ci.md", _) => By::Tour,
            _ => return Err(format!("{self}: no test runs `{command}`").into()),
        })
    }
}

/// The commands of all pages that a test has to run, with their pages.
fn commands(by: By) -> Result<Vec<(String, String)>, Failure> {
    let mut all = Vec::new();
    for block in blocks()? {
        for command in block.commands() {
            if block.by(&command)? == by {
                all.push((block.page.clone(), command));
            }
        }
    }
    if all.is_empty() { Err(format!("no page has a command for {by:?}").into()) } else { Ok(all) }
}

#[test]
fn every_block_has_a_known_language_and_a_test_runs_every_command() -> Result<(), Failure> {
    let mut excused = Vec::new();
    for block in blocks()? {
        let known = ["console", "sh", "yaml", "json", "python", "text"].contains(&block.language.as_str());
        assert!(known, "{block}: no test knows this language");
        sound(&block)?;
        let commands = block.commands();
        assert!(
            !commands.is_empty() || !["console", "sh"].contains(&block.language.as_str()),
            "{block}: a command begins with `$ `"
        );
        for command in commands {
            if block.by(&command)? == By::Elsewhere {
                excused.push(command);
            }
        }
    }
    assert_eq!(
        commands(By::Plain)?.len(),
        2,
        "the variables and the completion program, which it finds by their position"
    );
    for (line, why) in ELSEWHERE {
        assert!(excused.iter().any(|command| command == line), "no page has `{line}` any more ({why})");
    }
    Ok(())
}

/// Checks blocks that are not run: that JSON and Python parse.
fn sound(block: &Block) -> Result<(), Failure> {
    match block.language.as_str() {
        "json" => {
            let read = serde_json::from_str::<serde_json::Value>(&block.text);
            read.map(drop).map_err(|error| format!("{block}: {error}").into())
        }
        "python" => {
            let compile = ["-c", "import sys; compile(sys.argv[1], 'page', 'exec')", &block.text];
            let output = std::process::Command::new("python3").args(compile).output()?;
            let errors = String::from_utf8_lossy(&output.stderr);
            if output.status.success() { Ok(()) } else { Err(format!("{block}: {errors}").into()) }
        }
        _ => Ok(()),
    }
}

#[test]
fn every_reason_in_troubleshooting_exists() -> Result<(), Failure> {
    let text = std::fs::read_to_string(repository().join("docs/troubleshooting.md"))?;
    let reasons: BTreeSet<&str> =
        steelyard::engine::reasons::all().iter().map(|reason| reason.name).collect();
    let word = |text: &&str| text.starts_with(char::is_uppercase) && text.chars().all(char::is_alphanumeric);
    let named: Vec<&str> = text.split('`').skip(1).step_by(2).filter(word).collect();
    assert!(named.len() > 20, "{named:?}");
    // A phase, and a condition.
    let unknown: Vec<&str> = named
        .into_iter()
        .filter(|word| !reasons.contains(word) && !["Stable", "Accepted"].contains(word))
        .collect();
    assert!(unknown.is_empty(), "no reason: {unknown:?}");
    Ok(())
}

#[test]
fn links_between_pages_resolve() -> Result<(), Failure> {
    let mut broken = Vec::new();
    for page in pages()? {
        let text = std::fs::read_to_string(repository().join(&page))?;
        let folder = Path::new(&page).parent().unwrap_or(Path::new(""));
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let (file, part) = link.split_once('#').unwrap_or((link, ""));
            if file.contains("://") {
                continue;
            }
            let target = if file.is_empty() { PathBuf::from(&page) } else { folder.join(file) };
            let target = repository().join(target);
            let found = target.is_dir() && part.is_empty()
                || std::fs::read_to_string(&target)
                    .is_ok_and(|text| part.is_empty() || anchors(&text).any(|a| a == part));
            if !found {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    Ok(())
}
