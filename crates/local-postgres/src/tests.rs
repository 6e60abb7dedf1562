//! Tests with the PostgreSQL that is installed on this machine.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::ffi::OsStrExt;
use std::time::UNIX_EPOCH;

use tokio::process::Command;

use super::account::run;
use super::cluster::*;
use super::programs::major_version;
use super::*;

const FAST: &[(&str, &str)] = &[("fsync", "off"), ("shared_buffers", "1MB")];

/// A data folder that PostgreSQL's user can enter too. Removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("rally-test-{}-{name}", std::process::id());
        Self(Path::new("/tmp").canonicalize().unwrap().join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // After a failed test, the server may still run. Its process id is read from its own folder.
        if let Ok(text) = fs::read_to_string(self.0.join("postgres/postmaster.pid")) {
            let pid = text.lines().next().unwrap_or_default();
            _ = std::process::Command::new("kill").args(["-9", pid]).status();
        }
        let run = socket_dir(&self.0);
        if !run.starts_with(&self.0) {
            _ = fs::remove_dir_all(run);
        }
        _ = fs::remove_dir_all(&self.0);
    }
}

impl PrivatePostgres {
    async fn query(&self, sql: &str) -> Result<String, Error> {
        let mut psql = self.cluster.account.command(Path::new("psql"));
        psql.arg("-h").arg(self.socket_dir()).args(["-p", &self.port().to_string()]);
        psql.args(["-U", self.user(), "-d", "postgres", "-AtXc", sql]);
        Ok(String::from_utf8(run(&mut psql).await?.stdout).unwrap().trim().to_owned())
    }

    fn pid(&self) -> u32 {
        self.cluster.pid_file().unwrap().0
    }

    /// Ends this use as the end of its process would. Closing the lock's file is not enough: a process that another test
    /// has just forked inherits it until its `exec`.
    fn abandon(self) {
        self.users_lock.unlock().unwrap();
    }
}

async fn kill_9(pid: u32) {
    run(Command::new("sh").args(["-c", &format!("kill -9 {pid}")])).await.unwrap();
    sleep(Duration::from_millis(300)).await;
}

#[test]
fn major_version_is_read_from_the_output_of_postgres() {
    for (printed, major) in [
        ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15)),
        ("postgres (PostgreSQL) 18.0\n", Some(18)),
        ("postgres (PostgreSQL) 19devel\n", Some(19)),
        ("postgres (PostgreSQL) 18beta1 (Homebrew)\n", Some(18)),
        ("postgres (PostgreSQL) 9.6.24\n", Some(9)),
        ("postgres (PostgreSQL) \n", None),
        ("something else 15.1\n", None),
    ] {
        assert_eq!(major_version(printed), major, "{printed}");
    }
}

#[test]
fn a_quoted_value_cannot_add_a_setting() {
    assert_eq!(quoted(""), "''");
    assert_eq!(quoted("it's C:\\x"), "'it''s C:\\\\x'");
    assert_eq!(quoted("a\nport = 1"), "'a\\nport = 1'");
}

#[test]
fn a_long_data_folder_has_its_socket_in_tmp() {
    assert_eq!(socket_dir(Path::new("/srv/rally")), Path::new("/srv/rally/run"));
    let long = PathBuf::from(format!("/srv/{}", "x".repeat(90)));
    assert_eq!(socket_dir(&long), Path::new("/tmp/rally-341b370382ff93ec"));
}

#[tokio::test]
async fn a_cluster_is_created_once_and_keeps_its_data_after_a_stop() {
    let folder = Folder::new("plain");
    fs::create_dir_all(folder.0.join("postgres.new-1/base")).unwrap(); // left by a killed initdb
    let server = start(&folder.0, FAST).await.unwrap();
    assert_eq!(server.query("create table t (n int); select 41 + 1").await.unwrap(), "CREATE TABLE\n42");
    assert_eq!(server.query("show fsync").await.unwrap(), "off");
    assert_eq!(server.query("show listen_addresses").await.unwrap(), "");
    let left = fs::read_dir(&folder.0).unwrap().flatten().map(|entry| entry.file_name());
    assert!(!left.into_iter().any(|name| name.as_bytes().starts_with(b"postgres.new")));
    server.stop().await.unwrap();
    assert!(!folder.0.join("postgres/postmaster.pid").exists());

    let server = start(&folder.0, FAST).await.unwrap();
    assert_eq!(server.query("select count(*) from t").await.unwrap(), "0");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_existing_cluster_is_started_and_a_missing_one_is_not_created() {
    let folder = Folder::new("existing");
    assert!(start_existing(&folder.0, FAST).await.unwrap().is_none());
    assert!(!folder.0.exists());
    fs::create_dir(&folder.0).unwrap();
    assert!(start_existing(&folder.0, FAST).await.unwrap().is_none());
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
    start(&folder.0, FAST).await.unwrap().stop().await.unwrap();
    let server = start_existing(&folder.0, FAST).await.unwrap().unwrap();
    assert_eq!(server.query("select 1").await.unwrap(), "1");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_new_cluster_is_utf8_and_knows_letters_beyond_ascii() {
    let folder = Folder::new("locale");
    let server = start(&folder.0, FAST).await.unwrap();
    assert_eq!(server.query("SHOW server_encoding").await.unwrap(), "UTF8");
    let is_known = "SELECT lower('\u{c4}') = '\u{e4}'";
    let is_there = "SELECT current_setting('server_version_num')::int >= 170000
                        OR EXISTS (SELECT FROM pg_collation WHERE collname IN ('C.utf8', 'C.UTF-8'))";
    assert_eq!(server.query(is_known).await.unwrap(), server.query(is_there).await.unwrap());
    assert_eq!(server.query("SELECT 'B' < 'a'").await.unwrap(), "t", "text is ordered by code points");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_last_user_stops_the_server() {
    let folder = Folder::new("shared");
    let (one, two) = tokio::join!(start(&folder.0, FAST), start(&folder.0, FAST));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.pid(), two.pid());
    one.stop().await.unwrap();
    assert_eq!(two.query("select 1").await.unwrap(), "1");
    two.abandon();
    let three = start(&folder.0, FAST).await.unwrap();
    assert_eq!(three.query("select 1").await.unwrap(), "1");
    three.stop().await.unwrap();
    assert!(!folder.0.join("postgres/postmaster.pid").exists());
}

#[tokio::test]
async fn a_data_folder_may_have_any_name() {
    for name in ["Application Support, it's \"$HOME\" `x` \\", &"long".repeat(40)] {
        let folder = Folder::new(name);
        let server = start(&folder.0, FAST).await.unwrap();
        assert_eq!(server.query("select 1").await.unwrap(), "1");
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_stale_lock_file_does_not_prevent_a_start() {
    let folder = Folder::new("stale");
    let server = start(&folder.0, FAST).await.unwrap();
    kill_9(server.pid()).await;
    let again = start(&folder.0, FAST).await.unwrap();
    assert_eq!(again.query("select 1").await.unwrap(), "1");
    server.abandon();

    // The server is killed, and another process of the same user gets its process id.
    let pid_file = folder.0.join("postgres/postmaster.pid");
    let text = fs::read_to_string(&pid_file).unwrap();
    let old = again.pid();
    let mut other = again.cluster.account.command(Path::new("sleep")).arg("300").spawn().unwrap();
    let new = other.id().unwrap();
    kill_9(old).await;
    let socket_lock = again.socket_dir().join(".s.PGSQL.5432.lock");
    fs::write(&pid_file, text.replace(&old.to_string(), &new.to_string())).unwrap();
    fs::write(&socket_lock, format!("{new}\n")).unwrap();
    assert_eq!(again.cluster.server().await, Server::Down);
    let third = start(&folder.0, FAST).await.unwrap();
    assert_eq!(third.query("select 1").await.unwrap(), "1");
    assert_eq!(other.try_wait().unwrap(), None, "the other process is still running");
    again.abandon();
    third.stop().await.unwrap();
    _ = other.kill().await;

    // A power failure has left an empty file.
    File::create(&pid_file).unwrap().set_modified(UNIX_EPOCH).unwrap();
    let fourth = start(&folder.0, FAST).await.unwrap();
    fourth.stop().await.unwrap();
}

#[tokio::test]
async fn an_error_says_why_the_start_failed() {
    let folder = Folder::new("failures");
    let error = start(&folder.0, &[("fsync", "off"), ("no_such_setting", "1")]).await.unwrap_err();
    assert!(error.to_string().contains("unrecognized configuration parameter"), "{error}");

    fs::write(folder.0.join("postgres/PG_VERSION"), "8\n").unwrap();
    let error = start(&folder.0, FAST).await.unwrap_err().to_string();
    assert!(error.contains("created by PostgreSQL 8") && error.contains("only PostgreSQL"), "{error}");

    if geteuid().is_root() {
        fs::create_dir(folder.0.join("closed")).unwrap();
        fs::set_permissions(folder.0.join("closed"), Permissions::from_mode(0o700)).unwrap();
        let error = start(&folder.0.join("closed/data"), FAST).await.unwrap_err();
        assert!(matches!(&error, Error::Unreachable { folder, .. } if folder.ends_with("closed")));
    }
}
