//! The tables of turns and of switches: each case records a row, and the run prints and stores
//! them.

use std::io;

use super::Error;
use crate::{
    paths::{Layout, repository},
    support::turn::{Kept, Row, Switched, folder, rows, table},
};

/// If this variable is set to anything, the tables of the run are stored in [`TURNS`] and
/// [`SWITCHES`]; else they are only printed.
const WRITE: &str = "WRITE_DOCS";
/// The page with the table of turns, in this repository.
const TURNS: &str = "docs/turns.md";
/// The page with the table of switches, in this repository.
const SWITCHES: &str = "docs/blue-green.md";
/// The start of the line at which the generated part of a page begins.
const FROM_HERE: &str = "<!-- measured: ";

/// Removes the rows of an earlier run on this lab.
pub(super) fn clear(layout: &Layout) -> Result<(), Error> {
    for dir in [folder::<Row>(&layout.run()), folder::<Switched>(&layout.run())] {
        match std::fs::remove_dir_all(&dir) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(Error::File { path: dir, source });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Prints the tables of the cases that ran on these labs.
pub(super) fn show(labs: &[Layout]) -> Result<(), Error> {
    print::<Row>(labs, TURNS)?;
    print::<Switched>(labs, SWITCHES)
}

fn print<R: Kept>(labs: &[Layout], file: &str) -> Result<(), Error> {
    let mut all = Vec::new();
    for layout in labs {
        let path = folder::<R>(&layout.run());
        all.extend(rows::<R>(&layout.run()).map_err(|source| Error::File { path, source })?);
    }
    all.sort();
    if all.is_empty() {
        return Ok(());
    }
    let table = table(&all);
    println!("\n{table}");
    if std::env::var_os(WRITE).is_none() {
        return Ok(());
    }
    let path = repository().join(file);
    let written = || -> io::Result<()> {
        let text = std::fs::read_to_string(&path)?;
        std::fs::write(&path, replace_table(&text, &table).ok_or(io::ErrorKind::InvalidData)?)
    };
    written().map_err(|source| Error::File { path: path.clone(), source })
}

/// Returns a page with the table replaced, or `None` if no line begins with [`FROM_HERE`]. The text
/// above that line is kept.
fn replace_table(page: &str, table: &str) -> Option<String> {
    let (by_hand, rest) = page.split_once(FROM_HERE)?;
    let mark = rest.lines().next()?;
    Some(format!("{by_hand}{FROM_HERE}{mark}\n\n{table}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_replaces_only_the_generated_part() {
        let page = "# Page\n\n<!-- measured: by a command -->\n\nold\n";
        assert_eq!(replace_table(page, "new\n").expect("marked"), page.replace("old", "new"));
        assert_eq!(replace_table("# Page", "new"), None);
    }
}
