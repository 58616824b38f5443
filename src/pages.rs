//! Pages in `docs/` that tests generate from the code.

use std::{fs, path::Path};

/// Checks that a file of this repository matches the generated page. If `WRITE_DOCS` is set, writes
/// it first.
pub(crate) fn assert_current(file: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("WRITE_DOCS").is_some() {
        fs::write(&path, page).unwrap();
    }
    let current = fs::read_to_string(path).unwrap_or_default();
    assert!(current == page, "{file} is out of date: WRITE_DOCS=1 cargo test -p steelyard --lib page");
}

#[test]
fn the_page_of_reasons_matches_the_code() {
    assert_current("docs/reasons.md", &crate::engine::reasons::page());
}
