//! A private PostgreSQL with default durability, on a socket.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use local_postgres::PrivatePostgres;
use rally_api_keys::store::{self, DatabaseUrl};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, sleep};

use super::{Outcome, cpu, standby};

const NAME: &str = "bench";
/// For the pools of all instances that run at the same time. All other settings have their defaults.
const SETTINGS: &[(&str, &str)] = &[("max_connections", "300")];

/// A private PostgreSQL with a database, and the folder for all files of the run.
pub struct Database {
    /// `None` while it is down.
    server: Option<PrivatePostgres>,
    settings: Vec<(&'static str, &'static str)>,
    socket_dir: PathBuf,
    port: u16,
    user: String,
    dir: PathBuf,
    /// When this closes, which also happens when this process is killed, the cleaner stops the server.
    alive: ChildStdin,
    cleaner: Child,
}

impl Database {
    /// In a temporary folder with this name. The database is migrated.
    pub async fn start(name: &str) -> Outcome<Self> {
        let dir = std::env::temp_dir().join(format!("rally-api-keys-{name}-{}", std::process::id()));
        Self::start_in(dir, &[]).await
    }

    /// In this folder, with additional server settings.
    pub async fn start_in(dir: PathBuf, settings: &[(&'static str, &'static str)]) -> Outcome<Self> {
        let database = Self::start_empty(dir, settings).await?;
        store::migrate(&database.url()).await?;
        Ok(database)
    }

    /// Starts a server in `dir` with an empty database.
    pub async fn start_empty(dir: PathBuf, settings: &[(&'static str, &'static str)]) -> Outcome<Self> {
        let cleaner = clean_up_afterwards(&dir, Folder::Remove)?;
        Self::start_with(dir, settings, cleaner).await
    }

    /// As [`Self::start_empty`], or with the database that an earlier run has left in the folder, which stays.
    pub async fn start_kept(dir: PathBuf, settings: &[(&'static str, &'static str)]) -> Outcome<Self> {
        let cleaner = clean_up_afterwards(&dir, Folder::Keep)?;
        Self::start_with(dir, settings, cleaner).await
    }

    async fn start_with(dir: PathBuf, settings: &[(&'static str, &'static str)], mut cleaner: Child) -> Outcome<Self> {
        let alive = cleaner.stdin.take().ok_or("the cleaner has no stdin")?;
        let settings = [SETTINGS, settings].concat();
        let server = local_postgres::start(&dir, &settings).await?;
        let (socket_dir, port, user) = (server.socket_dir().to_owned(), server.port(), server.user().to_owned());
        let database = Self { server: Some(server), settings, socket_dir, port, user, dir, alive, cleaner };
        store::create_database(&database.url_of("postgres"), NAME).await?;
        Ok(database)
    }

    /// A standby of this server, by a base backup, in a folder of its own. An error if pg_basebackup does not run.
    pub async fn standby(&self, dir: PathBuf) -> Outcome<Self> {
        let server = self.server.as_ref().ok_or("PostgreSQL is down")?;
        let mut cleaner = clean_up_afterwards(&dir, Folder::Remove)?;
        let alive = cleaner.stdin.take().ok_or("the cleaner has no stdin")?;
        // PostgreSQL's user must be able to enter it.
        fs::DirBuilder::new().recursive(true).mode(0o711).create(&dir)?;
        standby::follow(server, &self.dir.join("postgres"), &dir.join("postgres"))?;
        let settings = self.settings.clone();
        let server = local_postgres::start(&dir, &settings).await?;
        let (socket_dir, port, user) = (server.socket_dir().to_owned(), server.port(), server.user().to_owned());
        Ok(Self { server: Some(server), settings, socket_dir, port, user, dir, alive, cleaner })
    }

    /// The server's Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.socket_dir.join(format!(".s.PGSQL.{}", self.port))
    }

    /// The database in the form of `DATABASE_URL`, through a proxy.
    pub fn url_through(&self, proxy: SocketAddr) -> String {
        format!("postgres://{}@{proxy}/{NAME}", self.user)
    }

    /// The database, under its owner's login.
    pub fn url(&self) -> DatabaseUrl {
        self.url_of(NAME)
    }

    /// Another database of the server.
    pub fn url_of(&self, name: &str) -> DatabaseUrl {
        DatabaseUrl::socket(&self.socket_dir, self.port, &self.user, name)
    }

    /// The value of `DATABASE_URL` for the server's first database.
    pub fn url_text(&self) -> String {
        self.url_text_of(NAME)
    }

    /// Another database in the form of `DATABASE_URL`.
    pub fn url_text_of(&self, name: &str) -> String {
        let socket_dir = self.socket_dir.display().to_string().replace('/', "%2F");
        format!("postgres://{}@{socket_dir}:{}/{name}", self.user, self.port)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A connection as superuser: row-level security does not apply.
    pub async fn connect(&self) -> Outcome<PgConnection> {
        self.connect_to(NAME).await
    }

    /// As [`Self::connect`], to another database.
    pub async fn connect_to(&self, name: &str) -> Outcome<PgConnection> {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(&self.socket_dir)
            .port(self.port)
            .username(&self.user)
            .database(name)
            .application_name("load");
        Ok(PgConnection::connect_with(&options).await?)
    }

    pub async fn version(&self) -> Outcome<String> {
        Ok(sqlx::query_scalar("SELECT current_setting('server_version')").fetch_one(&mut self.connect().await?).await?)
    }

    /// Waits until no instance has usage left to write from a measurement (each writes a batch a second), and nothing is
    /// being vacuumed after it: both would disturb the next one.
    pub async fn settle(&self) -> Outcome<()> {
        const BUSY: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity
            WHERE application_name = 'rally-api-keys' AND query ~ 'record_usage' AND query_start > now() - interval '2.5 s'
               OR backend_type = 'autovacuum worker')";
        let mut connection = self.connect().await?;
        for _ in 0..600 {
            // Batches that began before the measurement's end are seen, since it looks back for longer than a tick.
            sleep(Duration::from_millis(100)).await;
            if !sqlx::query_scalar(BUSY).fetch_one(&mut connection).await? {
                break;
            }
        }
        Ok(())
    }

    /// The CPU time of all processes of the server since its start.
    pub fn cpu(&self) -> Option<Duration> {
        cpu::of_family(&self.pid()?)
    }

    /// Stops the server in order.
    pub async fn stop_server(&mut self) -> Outcome<()> {
        if let Some(server) = self.server.take() {
            server.stop().await?;
        }
        Ok(())
    }

    /// Ends the server as a crash would: by SIGQUIT, without a checkpoint.
    pub async fn crash_server(&mut self) -> Outcome<()> {
        drop(self.server.take());
        let pid = self.pid().ok_or("PostgreSQL is not running")?;
        Command::new("kill").args(["-s", "QUIT", &pid]).status()?;
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.pid().is_some() {
            if Instant::now() > deadline {
                return Err("PostgreSQL does not end".into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The process id of the postmaster, while it runs.
    pub fn pid(&self) -> Option<String> {
        let text = fs::read_to_string(self.dir.join("postgres/postmaster.pid")).ok()?;
        let pid = text.lines().next()?.trim().to_owned();
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|command| !command.is_empty()).then_some(pid)
    }

    /// Starts the server again after a stop or crash.
    pub async fn start_server(&mut self) -> Outcome<()> {
        drop(self.server.take());
        self.server = Some(local_postgres::start(&self.dir, &self.settings).await?);
        Ok(())
    }

    /// Stops the server and waits until the folder is removed.
    pub async fn stop(mut self) -> Outcome<()> {
        self.stop_server().await?;
        let Self { alive, mut cleaner, .. } = self;
        drop(alive);
        cleaner.wait()?;
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Folder {
    Keep,
    Remove,
}

/// Starts a process that waits until this one ends, then stops the server and, if so wanted, removes its folder.
fn clean_up_afterwards(dir: &Path, folder: Folder) -> Outcome<Child> {
    let script = r#"
        trap '' INT TERM HUP
        read -r _
        if pid=$(head -n 1 "$0/postgres/postmaster.pid" 2>/dev/null); then
            kill -INT "$pid" 2>/dev/null
            for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" 2>/dev/null || break; sleep 0.5; done
        fi
        [ "$1" = keep ] && exit
        # If the folder is a file system of its own.
        umount "$0" 2>/dev/null
        rm -rf "$0"
    "#;
    let mut sh = Command::new("sh");
    let what = match folder {
        Folder::Keep => "keep",
        Folder::Remove => "remove",
    };
    sh.arg("-c").arg(script).arg(dir).arg(what).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(sh.spawn()?)
}
