//! What README.md, CONTRIBUTING.md and docs/ show is tried: each command runs, each object is given to the API server.

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

/// Commands that none of these tests runs, and why not.
const ELSEWHERE: [(&str, &str); 6] = [
    ("cargo build", "`cargo lab up` builds the same"),
    ("cargo test", "the first thing that `cargo lab test` does"),
    ("cargo lab up", "these tests run inside of what it brings up"),
    ("cargo lab test", "this is one of its tests"),
    ("cargo lab down", "it would end this very test; `.ci/run` ends with it"),
    ("cargo lab demo", "run by `.ci/run`, as it stands in README.md"),
];

/// Who tries a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// `console`: at rest, and with a version that goes out.
    Tour,
    /// `console`: a template that was held when Steelyard was left.
    Left,
    /// `helm`: a chart of an application.
    Helm,
    /// `emergency`: Steelyard is gone.
    Emergency,
    /// `readme`.
    Readme,
    /// `people::plain`, which reads docs/plugin.md itself.
    Plain,
    /// Nobody here: see [`ELSEWHERE`].
    Elsewhere,
}

impl Block {
    /// Who tries this command of the block. A page that is new has to be given to somebody.
    fn by(&self, command: &str) -> Result<By, Failure> {
        if ELSEWHERE.iter().any(|(line, _)| *line == command) {
            return Ok(By::Elsewhere);
        }
        Ok(match (self.page.as_str(), self.heading.as_str()) {
            ("README.md" | "CONTRIBUTING.md" | "docs/lab.md", _) => By::Readme,
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
    if all.is_empty() { Err(format!("no page has anything for {by:?}").into()) } else { Ok(all) }
}

#[test]
fn every_block_of_a_page_is_of_a_language_that_is_tried_and_every_command_is_somebodys() -> Result<(), Failure>
{
    let mut excused = Vec::new();
    for block in blocks()? {
        let known = ["console", "sh", "yaml", "json", "python", "text"].contains(&block.language.as_str());
        assert!(known, "{block}: nothing tries this language");
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
        "the variables and the completion program, which it takes by their places"
    );
    for (line, why) in ELSEWHERE {
        assert!(excused.iter().any(|command| command == line), "`{line}` stands on no page any more ({why})");
    }
    Ok(())
}

/// Checks what only shows what others send or might run: that JSON is JSON, and a Python program one.
fn sound(block: &Block) -> Result<(), Failure> {
    match block.language.as_str() {
        "json" => {
            let read = serde_json::from_str::<serde_json::Value>(&block.text);
            read.map(drop).map_err(|error| format!("{block}: {error}").into())
        }
        "python" => {
            let compile = ["-c", "import sys; compile(sys.argv[1], 'page', 'exec')", &block.text];
            let output = std::process::Command::new("python3").args(compile).output()?;
            let told = String::from_utf8_lossy(&output.stderr);
            if output.status.success() { Ok(()) } else { Err(format!("{block}: {told}").into()) }
        }
        _ => Ok(()),
    }
}

#[test]
fn every_reason_that_troubleshooting_speaks_of_is_one_that_steelyard_gives() -> Result<(), Failure> {
    let text = std::fs::read_to_string(repository().join("docs/troubleshooting.md"))?;
    let reasons: BTreeSet<&str> =
        steelyard::engine::reasons::all().iter().map(|reason| reason.name).collect();
    let word = |text: &&str| text.starts_with(char::is_uppercase) && text.chars().all(char::is_alphanumeric);
    let said: Vec<&str> = text.split('`').skip(1).step_by(2).filter(word).collect();
    assert!(said.len() > 20, "{said:?}");
    // A phase, and a condition.
    let unknown: Vec<&str> = said
        .into_iter()
        .filter(|word| !reasons.contains(word) && !["Stable", "Accepted"].contains(word))
        .collect();
    assert!(unknown.is_empty(), "no reason: {unknown:?}");
    Ok(())
}

#[test]
fn links_between_pages_lead_somewhere() -> Result<(), Failure> {
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
