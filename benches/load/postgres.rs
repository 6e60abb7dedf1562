//! The benchmark's own PostgreSQL: as durable as one is by default, behind a socket.

use std::{
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use rally_api_keys::store::{
    self, DatabaseUrl,
    private_postgres::{self, PrivatePostgres},
};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::time::sleep;

use crate::Outcome;

const NAME: &str = "bench";

/// A migrated database, and the folder of everything that the run leaves behind.
pub struct Database {
    server: PrivatePostgres,
    dir: PathBuf,
    /// The cleaner acts when this closes: with the process, however that ends.
    alive: ChildStdin,
    cleaner: Child,
}

impl Database {
    pub async fn start() -> Outcome<Self> {
        let dir = std::env::temp_dir().join(format!("rally-api-keys-load-{}", std::process::id()));
        let mut cleaner = clean_up_afterwards(&dir)?;
        let alive = cleaner.stdin.take().ok_or("the cleaner has no stdin")?;
        // Room for the pools of all instances that run at once; everything else is as it comes.
        let server = private_postgres::start(&dir, &[("max_connections", "200")]).await?;
        let database = Self { server, dir, alive, cleaner };
        store::create_database(&database.url_of("postgres"), NAME).await?;
        store::migrate(&database.url()).await?;
        Ok(database)
    }

    /// As its owner.
    pub fn url(&self) -> DatabaseUrl {
        self.url_of(NAME)
    }

    fn url_of(&self, name: &str) -> DatabaseUrl {
        DatabaseUrl::socket(self.server.socket_dir(), self.server.port(), self.server.user(), name)
    }

    /// The same for `DATABASE_URL`.
    pub fn url_text(&self) -> String {
        let socket_dir = self.server.socket_dir().display().to_string().replace('/', "%2F");
        format!("postgres://{}@{socket_dir}:{}/{NAME}", self.server.user(), self.server.port())
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A connection past all policies.
    pub async fn connect(&self) -> Outcome<PgConnection> {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(self.server.socket_dir())
            .port(self.server.port())
            .username(self.server.user())
            .database(NAME)
            .application_name("load");
        Ok(PgConnection::connect_with(&options).await?)
    }

    pub async fn version(&self) -> Outcome<String> {
        Ok(sqlx::query_scalar("SELECT current_setting('server_version')").fetch_one(&mut self.connect().await?).await?)
    }

    /// Until no instance writes any more what a measurement left it to write, which would
    /// disturb the next one. Writers wake each second.
    pub async fn settle(&self) -> Outcome<()> {
        const BUSY: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity
            WHERE application_name = 'rally-api-keys' AND (state <> 'idle' OR query_start > now() - interval '0.2 s')
              AND query LIKE '%record_use%')";
        let mut connection = self.connect().await?;
        let mut quiet = 0;
        for _ in 0..100 {
            let busy: bool = sqlx::query_scalar(BUSY).fetch_one(&mut connection).await?;
            quiet = if busy { 0 } else { quiet + 1 };
            if quiet == 12 {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Stops the server and waits until the folder is gone.
    pub async fn stop(self) -> Outcome<()> {
        let Self { server, alive, mut cleaner, .. } = self;
        server.stop().await?;
        drop(alive);
        cleaner.wait()?;
        Ok(())
    }
}

/// A process that waits for this one to end, then stops the server and removes its folder.
fn clean_up_afterwards(dir: &Path) -> Outcome<Child> {
    let script = r#"
        trap '' INT TERM HUP
        read -r _
        if pid=$(head -n 1 "$0/postgres/postmaster.pid" 2>/dev/null); then
            kill -INT "$pid" 2>/dev/null
            for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" 2>/dev/null || break; sleep 0.5; done
        fi
        rm -rf "$0"
    "#;
    let mut sh = Command::new("sh");
    sh.arg("-c").arg(script).arg(dir).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(sh.spawn()?)
}
