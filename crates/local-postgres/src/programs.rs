//! Finds PostgreSQL's programs on this machine.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::OLDEST_MAJOR;
use crate::account::{Account, run};
use crate::error::Error;

/// Folders that may contain PostgreSQL's programs, in order of preference.
pub(crate) async fn program_folders(account: &Account) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).filter(|it| it.is_absolute()).collect();
    if let Ok(output) = run(account.command(Path::new("pg_config")).arg("--bindir")).await {
        folders.push(OsStr::from_bytes(output.stdout.trim_ascii()).into());
    }
    for (parent, prefix) in [
        ("/usr/lib/postgresql", ""),          // Debian, Ubuntu
        ("/usr", "pgsql-"),                   // Fedora, RHEL: the PostgreSQL project's packages
        ("/usr/lib", "postgresql"),           // SUSE
        ("/opt/homebrew/opt", "postgresql@"), // Homebrew on Apple silicon
        ("/usr/local/opt", "postgresql@"),    // Homebrew on Intel
        ("/Applications/Postgres.app/Contents/Versions", ""),
    ] {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let mut versions: Vec<(u32, PathBuf)> = entries
            .filter_map(|entry| {
                let name = entry.file_name();
                let major = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
                Some((major, entry.path().join("bin")))
            })
            .collect();
        versions.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
        folders.extend(versions.into_iter().map(|(_, folder)| folder));
    }
    folders.extend(["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from));
    folders
}

/// The folder of the programs to use. For an existing cluster, they must have its major version.
pub(crate) async fn find_programs(account: &Account, cluster: &Path) -> Result<PathBuf, Error> {
    let created_by = fs::read_to_string(cluster.join("PG_VERSION")).ok();
    let created_by = created_by.as_deref().map(str::trim);
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for folder in program_folders(account).await {
        // A link on the PATH may lead to another of the folders.
        let Ok(program) = folder.join("postgres").canonicalize() else {
            continue;
        };
        let complete = folder.join("initdb").exists() && folder.join("pg_ctl").exists();
        if !complete || seen.contains(&program) {
            continue;
        }
        seen.push(program.clone());
        // Run as the account, which must be able to execute it.
        let output = match run(account.command(&program).arg("--version")).await {
            Ok(output) => output,
            Err(error) => {
                found.push(format!("one in {} that user {} cannot run ({error})", folder.display(), account.name));
                continue;
            }
        };
        let Some(major) = major_version(&String::from_utf8_lossy(&output.stdout)) else {
            continue;
        };
        if created_by.map_or(major >= OLDEST_MAJOR, |created_by| created_by == major.to_string()) {
            return Ok(folder);
        }
        found.push(format!("PostgreSQL {major} ({})", folder.display()));
    }
    let found = match found.join(", ") {
        none if none.is_empty() => return Err(Error::NotFound),
        found => found,
    };
    Err(match created_by {
        Some(created_by) => Error::OtherMajor { cluster: cluster.to_owned(), created_by: created_by.to_owned(), found },
        None => Error::TooOld { found },
    })
}

/// 15 for `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, 19 for `… 19beta1`.
pub(crate) fn major_version(printed: &str) -> Option<u32> {
    let version = printed.strip_prefix("postgres (")?.split_once(") ")?.1;
    let end = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..end].parse().ok()
}
