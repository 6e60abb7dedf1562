//! The links between the pages of the documentation.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let folders = ["", "docs", "docs/gateways", "docs/scanners", "deploy/kubernetes", "deploy/helm/rally-api-keys"]
        .map(|folder| root().join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    files.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The headings of a page as anchors, in the way of GitHub.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| {
        let kept = heading.to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// A broken link, if it is one.
fn broken(page: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    let is_page = target.extension().is_some_and(|extension| extension == "md");
    let exists = target.exists() && (anchor.is_empty() || !is_page || anchors(&target).contains(anchor));
    (!exists).then(|| format!("{}: {link}", page.display()))
}

#[test]
fn every_link_between_pages_leads_to_a_heading_that_exists() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut broken_links = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        broken_links.extend(link.captures_iter(&text).filter_map(|found| broken(&page, &found[1])));
    }
    assert_eq!(broken_links, [""; 0]);
    let page = root().join("docs/operations.md");
    assert!(broken(&page, "#no-such-heading").is_some() && broken(&page, "nothing.md").is_some(), "the test sees them");
}

#[test]
fn operations_begin_with_symptoms_that_lead_to_sections() {
    let text = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let rows: Vec<_> =
        text.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).collect();
    assert!(text.starts_with("# Operations\n\n| Symptom | Section |") && rows.len() > 15, "{rows:?}");
    for row in &rows[2..] {
        assert!(row.contains('#') || row.contains('`'), "{row}");
    }
}
