//! docs/asvs.md: the tests that it names, and the form of its rows.

use std::{fs, path::Path};

const PAGE: &str = include_str!("../../docs/asvs.md");

/// The file and the function of each test that a text names in a code span, as `file::function`.
fn named_tests(text: &str) -> Vec<(&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")).collect()
}

/// True if the file, whose path starts at the repository's root, has a test of that name.
fn exists(file: &str, name: &str) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let is_typescript = path.extension().is_some_and(|extension| extension == "ts");
    let test = if is_typescript { format!("test('{name}'") } else { format!("fn {name}(") };
    fs::read_to_string(path).is_ok_and(|source| source.contains(&test))
}

#[test]
fn every_test_that_the_page_names_exists() {
    let named = named_tests(PAGE);
    assert!(named.len() > 100, "only {} tests are named", named.len());
    let missing: Vec<_> = named.iter().filter(|(file, function)| !exists(file, function)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let file = "tests/api/asvs_page.rs";
    assert!(exists(file, "every_test_that_the_page_names_exists") && !exists(file, "no_such_test"));
}

#[test]
fn every_row_has_a_level_a_state_and_what_shows_it() {
    let mut rows = 0;
    for row in PAGE.lines().filter(|line| line.starts_with("| v5.0.0-")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_, level, summary, state, shown_by] = cells[..] else { panic!("{row}") };
        assert!(["1", "2", "3", "1, 2", "2, 3", "1, 2, 3"].contains(&level), "{row}");
        assert!(["met", "partly", "not", "not applicable"].contains(&state), "{row}");
        assert!(!summary.is_empty() && !shown_by.is_empty(), "{row}");
        let is_shown = shown_by.contains('`') || shown_by.contains("](") || shown_by.contains("No test");
        assert!(state != "met" || is_shown, "{row}");
        rows += 1;
    }
    assert!(rows > 150, "{rows}");
}
