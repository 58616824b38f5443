//! The tables of turns and of switches: each case leaves a row, the run prints and keeps them.

use std::io;

use super::Error;
use crate::{
    paths::{Layout, repository},
    support::turn::{Kept, Row, Switched, folder, rows, table},
};

/// Set to anything, it keeps the tables of the run in [`TURNS`] and [`SWITCHES`]; else they are only
/// printed.
const WRITE: &str = "WRITE_DOCS";
/// Where the table of the turns of events is kept, in this repository.
const TURNS: &str = "docs/turns.md";
/// Where the table of switches is kept, in this repository.
const SWITCHES: &str = "docs/blue-green.md";
/// Begins the line above which a table's file is written by hand.
const FROM_HERE: &str = "<!-- measured: ";

/// Removes the rows of an earlier run on this lab.
pub(super) fn forget(layout: &Layout) -> Result<(), Error> {
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

/// Prints the tables of what was tried on these labs.
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
        std::fs::write(&path, kept(&text, &table).ok_or(io::ErrorKind::InvalidData)?)
    };
    written().map_err(|source| Error::File { path: path.clone(), source })
}

/// A page with another table below what is written by hand; none if no line begins with
/// [`FROM_HERE`].
fn kept(page: &str, table: &str) -> Option<String> {
    let (by_hand, rest) = page.split_once(FROM_HERE)?;
    let mark = rest.lines().next()?;
    Some(format!("{by_hand}{FROM_HERE}{mark}\n\n{table}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_replaces_the_one_before_it_and_nothing_above_it() {
        let page = "# Page\n\n<!-- measured: by a command -->\n\nold\n";
        assert_eq!(kept(page, "new\n").expect("marked"), page.replace("old", "new"));
        assert_eq!(kept("# Page", "new"), None);
    }
}
