//! The pages of the documentation and their fenced blocks.

use std::fmt;
use std::path::Path;

use lab::paths::repository;
use lab::support::Failure;

/// A fenced block of a page.
pub(super) struct Block {
    /// The page, from the repository's root.
    pub(super) page: String,
    /// The line where it begins, counted from 1.
    pub(super) line: usize,
    /// The last heading before it.
    pub(super) heading: String,
    /// The language after its fence.
    pub(super) language: String,
    pub(super) text: String,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { page, line, heading: _, language, text: _ } = self;
        write!(f, "{page}:{line} ({language})")
    }
}

impl Block {
    /// The commands in it: a script is one command; in a console block each line after `$ ` is one,
    /// with its continuation lines.
    pub(super) fn commands(&self) -> Vec<String> {
        match self.language.as_str() {
            "sh" => vec![self.text.clone()],
            "console" => typed(&self.text),
            _ => Vec::new(),
        }
    }
}

/// The commands of a console block: each line after `$ `, with its continuation lines.
pub(super) fn typed(text: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(command.to_owned());
        } else if let Some(last) = commands.last_mut().filter(|last| last.ends_with('\\')) {
            last.push('\n');
            last.push_str(line);
        }
    }
    commands
}

/// Every page of the documentation.
pub(super) fn pages() -> Result<Vec<String>, Failure> {
    fn walk(folder: &Path, pages: &mut Vec<String>) -> Result<(), Failure> {
        for entry in std::fs::read_dir(repository().join(folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                walk(&path, pages)?;
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path.display().to_string());
            }
        }
        Ok(())
    }
    let mut pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(str::to_owned).to_vec();
    walk(Path::new("docs"), &mut pages)?;
    Ok(pages)
}

/// The fenced blocks of a page, in order.
pub(super) fn blocks_of(page: &str) -> Result<Vec<Block>, Failure> {
    let text = std::fs::read_to_string(repository().join(page))?;
    let (mut blocks, mut open, mut heading) = (Vec::new(), None::<Block>, String::new());
    for (index, line) in text.lines().enumerate() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => {
                let (page, language) = (page.to_owned(), language.trim().to_owned());
                let heading = heading.clone();
                open = Some(Block { page, line: index + 1, heading, language, text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {
                if let Some((marks, title)) = line.split_once(' ')
                    && !marks.is_empty()
                    && marks.chars().all(|mark| mark == '#')
                {
                    title.clone_into(&mut heading);
                }
            }
        }
    }
    match open {
        Some(block) => Err(format!("{block} is never closed").into()),
        None => Ok(blocks),
    }
}

/// The fenced blocks of all pages.
pub(super) fn blocks() -> Result<Vec<Block>, Failure> {
    let mut all = Vec::new();
    for page in pages()? {
        all.extend(blocks_of(&page)?);
    }
    Ok(all)
}

/// The anchors of a page's headings, as GitHub generates them.
pub(super) fn anchors(text: &str) -> impl Iterator<Item = String> {
    text.lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')))
        .map(|title| {
            let kept = title.to_lowercase();
            kept.chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
}
