//! Secrets in files, as container platforms mount them: `KEY_PEPPER_FILE` names the file with `KEY_PEPPER`.

use std::{
    fs::{File, Metadata},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use super::replaceable::{Sticky, weakness};

/// Settings that hold a secret, and those that name a file with it.
pub(super) const SECRETS: [(&str, &str); 8] = [
    ("DATABASE_URL", "DATABASE_URL_FILE"),
    ("DATABASE_MIGRATION_URL", "DATABASE_MIGRATION_URL_FILE"),
    ("DATABASE_DIRECT_URL", "DATABASE_DIRECT_URL_FILE"),
    ("JWT_SECRET", "JWT_SECRET_FILE"),
    ("KEY_PEPPER", "KEY_PEPPER_FILE"),
    ("KEY_PEPPER_NEXT", "KEY_PEPPER_NEXT_FILE"),
    ("KEY_PEPPERS_RETIRED", "KEY_PEPPERS_RETIRED_FILE"),
    ("REDIS_URL", "REDIS_URL_FILE"),
];

/// In bytes; much more than any secret.
const MAX_LENGTH: u64 = 64 * 1024;

/// What the example setup in `docker-compose.yml` uses: a part of its passwords and its JWT secret, and its pepper.
const PUBLISHED: [&str; 2] = ["only-for-trying-out", "b25seS1mb3ItdHJ5aW5nLW91dC1vbmx5LWZvci10cnlpbmc="];

pub(super) struct SecretFile {
    /// Without the newline at its end.
    pub(super) text: String,
    /// What is wrong with the permissions of it and of its folders.
    pub(super) warnings: Vec<String>,
}

/// The error does not repeat the path, which may be the secret itself by mistake.
pub(super) fn read(path: &Path) -> Result<SecretFile, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    let mut text = String::new();
    file.take(MAX_LENGTH).read_to_string(&mut text).map_err(unreadable)?;
    let text = text.trim_end_matches(['\n', '\r']).to_owned();
    if text.trim().is_empty() {
        return Err("names an empty file".into());
    }
    let warnings = exposed(path, &found).collect();
    Ok(SecretFile { text, warnings })
}

/// Warnings, if others may read or replace the file.
pub(super) fn exposed(path: &Path, found: &Metadata) -> impl Iterator<Item = String> {
    readable_by_all(path, found).into_iter().chain(replaceable(path))
}

/// A read-only file of root is one that a container platform mounts (mode 0444), where there are no other users.
fn readable_by_all(path: &Path, found: &Metadata) -> Option<String> {
    let mode = found.mode() & 0o7777;
    let is_mounted = found.uid() == 0 && mode & 0o222 == 0;
    (mode & 0o006 != 0 && !is_mounted).then(|| {
        format!(
            "names {}, which every user of this machine can open (mode {mode:04o}): run `chmod o-rwx` on it, or mount it \
             with mode 0400",
            path.display()
        )
    })
}

/// A warning, if others may replace the file. What is no file of a folder, such as a pipe, has no such path.
pub(super) fn replaceable(path: &Path) -> Option<String> {
    let weakness = weakness(path, Sticky::Anything).ok().flatten()?;
    Some(format!(
        "names {}, which others may replace, since {weakness}: {}, or move the file into a folder of root's",
        path.display(),
        weakness.remedy()
    ))
}

/// Whether the secret is one of the published example setup.
pub(super) fn is_published(secret: &str) -> bool {
    PUBLISHED.iter().any(|published| secret.contains(published))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_of_the_example_setup_is_known() {
        let compose = include_str!("../../docker-compose.yml");
        for name in ["POSTGRES_PASSWORD", "RALLY_API_PASSWORD", "JWT_SECRET", "KEY_PEPPER"] {
            let start = format!("${{{name}");
            let uses: Vec<_> = compose.lines().filter_map(|line| line.split_once(&start)).collect();
            assert!(!uses.is_empty(), "{name}");
            for (_, default) in uses {
                let guard = format!("-${{BASE_DOMAIN:+${{{name}:?must be set where BASE_DOMAIN is}}}}");
                let (_, default) =
                    default.split_once(&guard).unwrap_or_else(|| panic!("{name} has no guard: {default}"));
                assert!(is_published(default), "{name}: {default}");
            }
        }
        assert!(!is_published("postgres://rally_api:password@db.internal:5432/rally"));
    }
}
