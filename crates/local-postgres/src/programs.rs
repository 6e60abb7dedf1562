//! PostgreSQL's programs on this machine.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::OLDEST_MAJOR;
use crate::account::{Account, run};
use crate::error::Error;

/// Folders that may hold PostgreSQL's programs, the preferred ones first.
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

/// The folder of the programs to use: of exactly the version that made the cluster, if it exists.
pub(crate) async fn find_programs(account: &Account, cluster: &Path) -> Result<PathBuf, Error> {
    let made_by = fs::read_to_string(cluster.join("PG_VERSION")).ok();
    let made_by = made_by.as_deref().map(str::trim);
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for folder in program_folders(account).await {
        // A link on the PATH and the folder it leads to are one and the same PostgreSQL.
        let Ok(program) = folder.join("postgres").canonicalize() else {
            continue;
        };
        let whole = folder.join("initdb").exists() && folder.join("pg_ctl").exists();
        if !whole || seen.contains(&program) {
            continue;
        }
        seen.push(program.clone());
        // Run as the account: programs that it cannot reach are of no use.
        let output = match run(account.command(&program).arg("--version")).await {
            Ok(output) => output,
            Err(error) => {
                found.push(format!("one that user {} cannot run ({error})", account.name));
                continue;
            }
        };
        let Some(major) = major_version(&String::from_utf8_lossy(&output.stdout)) else {
            continue;
        };
        if made_by.map_or(major >= OLDEST_MAJOR, |made_by| made_by == major.to_string()) {
            return Ok(folder);
        }
        found.push(format!("PostgreSQL {major} ({})", folder.display()));
    }
    let found = match found.join(", ") {
        none if none.is_empty() => return Err(Error::NotFound),
        found => found,
    };
    Err(match made_by {
        Some(made_by) => Error::OtherMajor { cluster: cluster.to_owned(), made_by: made_by.to_owned(), found },
        None => Error::TooOld { found },
    })
}

/// The 15 of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, the 19 of `… 19beta1`.
pub(crate) fn major_version(printed: &str) -> Option<u32> {
    let version = printed.strip_prefix("postgres (")?.split_once(") ")?.1;
    let end = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..end].parse().ok()
}
