//! A standby of a private PostgreSQL, by a base backup.

use std::{
    fs, io,
    os::unix::{
        fs::{DirBuilderExt as _, MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
};

use local_postgres::PrivatePostgres;

/// Makes a standby's data folder by a base backup, as the server's user.
pub fn follow(primary: &PrivatePostgres, data: &Path, copy: &Path) -> io::Result<()> {
    let owner = fs::metadata(data)?;
    fs::DirBuilder::new().mode(0o700).create(copy)?;
    chown(copy, Some(owner.uid()), Some(owner.gid()))?;
    let version = fs::read_to_string(data.join("PG_VERSION"))?;
    let installed = PathBuf::from(format!("/usr/lib/postgresql/{}/bin/pg_basebackup", version.trim()));
    let program = if installed.is_file() { installed } else { "pg_basebackup".into() };
    let mut backup = Command::new(program);
    backup.current_dir("/").arg("-h").arg(primary.socket_dir()).arg("-p").arg(primary.port().to_string());
    backup
        .args(["-U", primary.user(), "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "-D"])
        .arg(copy);
    if owner.uid() != nix::unistd::geteuid().as_raw() {
        backup.uid(owner.uid()).gid(owner.gid());
    }
    let output = backup.output()?;
    if output.status.success() { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&output.stderr))) }
}
