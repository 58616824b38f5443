//! Pages in `docs/` that tests make from the code.

use std::{fs, path::Path};

/// Checks that a file of this repository says what the code makes of it; with `WRITE_DOCS` set it is written first.
pub(crate) fn assert_current(file: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("WRITE_DOCS").is_some() {
        fs::write(&path, page).unwrap();
    }
    let there = fs::read_to_string(path).unwrap_or_default();
    assert!(there == page, "{file} is out of date: WRITE_DOCS=1 cargo test -p steelyard --lib page");
}

#[test]
fn the_page_of_reasons_is_the_one_that_the_code_makes() {
    assert_current("docs/reasons.md", &crate::engine::reasons::page());
}
