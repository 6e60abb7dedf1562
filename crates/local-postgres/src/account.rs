//! The operating system's user that the server runs as, and running programs as that user.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use nix::unistd::{Uid, User, geteuid};
use tokio::process::Command;

use crate::error::{Error, io_error};

/// The operating system's user that PostgreSQL runs as.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) name: String,
    /// The process is root and switches to this user.
    pub(crate) switch: bool,
}

impl Account {
    /// The current user. For root: the owner of the cluster, and for a new cluster `postgres` or `nobody`.
    pub(crate) fn choose(cluster: &Path) -> Result<Self, Error> {
        let me = geteuid();
        let owner = fs::metadata(cluster).ok().map(|found| (found.uid(), found.gid()));
        if !me.is_root() {
            let account = Self::named(me.as_raw(), nix::unistd::getegid().as_raw(), false);
            return match owner {
                Some((owner, _)) if owner != account.uid => Err(account.does_not_own(cluster, owner)),
                _ => Ok(account),
            };
        }
        if let Some((uid, gid)) = owner.filter(|owner| owner.0 != 0) {
            return Ok(Self::named(uid, gid, true));
        }
        let mut users = ["postgres", "nobody"].iter().filter_map(|name| User::from_name(name).ok());
        let user = users.find_map(|user| user.filter(|user| !user.uid.is_root()));
        let user = user.ok_or(Error::NoUser)?;
        Ok(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw(), name: user.name, switch: true })
    }

    pub(crate) fn named(uid: u32, gid: u32, switch: bool) -> Self {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let name = user.map_or_else(|| uid.to_string(), |user| user.name);
        Self { uid, gid, name, switch }
    }

    pub(crate) fn does_not_own(&self, folder: &Path, owner: u32) -> Error {
        Error::ForeignFolder { folder: folder.to_owned(), owner, user: self.name.clone() }
    }

    /// Fails if this user may not enter the folder or one of its ancestors, and names that one.
    pub(crate) fn check_access(&self, folder: &Path) -> Result<(), Error> {
        let mut ancestors: Vec<_> = folder.ancestors().collect();
        ancestors.reverse();
        for folder in ancestors {
            let found = fs::metadata(folder).map_err(io_error("read the metadata of", folder))?;
            let enter = match () {
                () if found.uid() == self.uid => 0o100,
                () if found.gid() == self.gid => 0o010,
                () => 0o001,
            };
            if found.mode() & enter == 0 {
                return Err(Error::Unreachable { folder: folder.to_owned(), user: self.name.clone() });
            }
        }
        Ok(())
    }

    /// A program to run as this user, with `/` as its working directory, since the user may not be able to enter the
    /// current one, and a minimal environment: the server outlives this process, and must not keep its secrets.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir("/").stdin(Stdio::null());
        command.envs(["PATH", "TZ", "LD_LIBRARY_PATH"].iter().filter_map(|name| {
            Some((name, std::env::var_os(name)?)) // not PGDATA, PGPORT and the like
        }));
        // For messages in English. On macOS, the server does not start without a valid locale.
        command.env("LC_ALL", "C").env("HOME", "/");
        if self.switch {
            command.uid(self.uid).gid(self.gid); // drops the supplementary groups too
        }
        command
    }
}

/// Runs a program to its end. If it fails, the error contains the end of its output.
pub(crate) async fn run(command: &mut Command) -> Result<Output, Error> {
    let program = PathBuf::from(command.as_std().get_program());
    let output = command.output().await.map_err(io_error("run", &program))?;
    if output.status.success() {
        return Ok(output);
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(Error::Program { program, output: last_lines(&printed) })
}

pub(crate) fn last_lines(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<_> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
