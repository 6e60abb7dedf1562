//! One PostgreSQL for the whole run, a database for each test, and servers in this process.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use chrono::Utc;
use local_postgres::PrivatePostgres;
use rally_api_keys::{
    app::{Service, Stop},
    config::Config,
    domain::{Clock, Slug, TenantId},
    store::{self, ConnectError, Database, DatabaseUrl, PoolSettings, TenantAdmin},
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions};
use tokio::sync::{OnceCell, oneshot};

use crate::client::{Client, Credential};

/// The HS256 secret that signs the tests' tokens.
pub const JWT_SECRET: &str = "a secret of tests, of more than 32 bytes";
/// A pepper: an id and 32 bytes in Base64.
pub const PEPPER: &str = "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static DATABASES: AtomicUsize = AtomicUsize::new(0);

/// The run's PostgreSQL, with a migrated template database.
struct Cluster {
    dir: PathBuf,
    server: PrivatePostgres,
    /// Tenants of the template database.
    acme: TenantId,
    globex: TenantId,
    /// The option of CREATE DATABASE. `file_copy` takes a third of the time of `wal_log`, the default since PostgreSQL 15;
    /// before, there is no option.
    strategy: &'static str,
    /// The cleaner reads from this pipe. The pipe closes when the test process ends, also when it is killed, and the
    /// cleaner then removes the cluster.
    _alive: ChildStdin,
}

impl Cluster {
    async fn get() -> &'static Self {
        CLUSTER.get_or_init(Self::start).await
    }

    async fn start() -> Self {
        let dir = std::env::temp_dir().join(format!("rally-api-keys-tests-{}", std::process::id()));
        let alive = clean_up_afterwards(&dir).stdin.take().expect("a piped standard input");
        let settings = [
            // The data need not survive a crash, and a database is cloned for each test.
            ("fsync", "off"),
            ("full_page_writes", "off"),
            ("wal_level", "minimal"),
            ("max_wal_senders", "0"),
            ("max_wal_size", "4GB"),
            ("checkpoint_timeout", "1h"),
            ("autovacuum", "off"),
            ("max_connections", "300"),
            // %d is the database's name, by which a test finds its own lines in the server's log.
            ("log_line_prefix", "%m [%p] %d "),
        ];
        let server = local_postgres::start(&dir, &settings).await.unwrap_or_else(|error| panic!("{error}"));
        let placeholder = TenantId(uuid::Uuid::nil());
        let mut cluster = Self { dir, server, strategy: "", acme: placeholder, globex: placeholder, _alive: alive };
        let mut connection = PgConnection::connect_with(&cluster.options("postgres")).await.expect("a connection");
        let version = sqlx::query_scalar::<_, i32>("SELECT current_setting('server_version_num')::int");
        if version.fetch_one(&mut connection).await.expect("a version") >= 150_000 {
            cluster.strategy = "STRATEGY file_copy";
        }
        cluster.execute("CREATE DATABASE template_migrated").await;
        let url = cluster.url("template_migrated");
        store::migrate(&url).await.unwrap_or_else(|error| panic!("{error}"));
        let mut operator = TenantAdmin::connect(&url).await.unwrap_or_else(|error| panic!("{error}"));
        let mut tenant = async |slug| {
            let slug = Slug::parse(slug).unwrap();
            operator.create_tenant(&slug, "A tenant", Utc::now()).await.unwrap().expect("a new tenant")
        };
        cluster.acme = tenant("acme").await;
        cluster.globex = tenant("globex").await;
        drop(operator); // PostgreSQL clones no database with open sessions; it waits until this one has ended
        cluster
    }

    fn url(&self, database: &str) -> DatabaseUrl {
        DatabaseUrl::socket(self.server.socket_dir(), self.server.port(), self.server.user(), database)
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(self.server.socket_dir())
            .port(self.server.port())
            .username(self.server.user())
            .database(database)
    }

    async fn execute(&self, sql: &str) {
        let mut connection = PgConnection::connect_with(&self.options("postgres")).await.expect("a connection");
        connection.execute(AssertSqlSafe(sql)).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        connection.close().await.expect("the connection closes");
    }
}

/// Says that a test was skipped, since what it needs is missing. Panics where REQUIRE_TEST_PROGRAMS is set.
pub fn not_tested(missing: &str) {
    let message = format!("{missing} (.ci/test-programs installs it): NOT TESTED");
    assert!(std::env::var_os("REQUIRE_TEST_PROGRAMS").is_none(), "{message}");
    say(&message);
}

/// A loopback address for a program that binds it itself. Its port is below those that the system gives to clients, so that no
/// connection of another test takes it in the meantime.
pub fn free_address() -> SocketAddr {
    static USED: AtomicU32 = AtomicU32::new(0);
    loop {
        // Other processes of tests begin elsewhere.
        let offset = std::process::id() * 97 + USED.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + u16::try_from(offset % 20_000).expect("below 20,000");
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return SocketAddr::from(([127, 0, 0, 1], port));
        }
    }
}

/// Not by `eprintln!`: libtest captures that, and hides it when the test passes.
pub fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "\n*** {message} ***");
}

/// True if there is a Node.js that runs the packages in `tests/`: version 20 or newer.
pub fn has_node() -> bool {
    let script = "process.exit(Number(process.versions.node.split('.')[0]) >= 20 ? 0 : 1)";
    Command::new("node").args(["-e", script]).status().is_ok_and(|status| status.success())
}

/// The folder of an npm package's project `tests/{project}`. `None`, and said so, where it or Node.js is not installed.
pub fn npm_project(project: &str, package: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(project);
    if has_node() && folder.join("node_modules").join(package).is_dir() {
        return Some(folder);
    }
    not_tested(&format!("npm's {package}, or Node.js 20, is not installed"));
    None
}

/// Starts a process that waits until its standard input is closed (which also happens when this process ends), stops the
/// PostgreSQL server in the data folder `dir`, if one runs, and removes the folder.
pub fn clean_up_afterwards(dir: &Path) -> Child {
    let script = r#"
        trap '' INT TERM HUP
        read -r _
        if pid=$(head -n 1 "$0/postgres/postmaster.pid" 2>/dev/null); then
            kill -INT "$pid" 2>/dev/null
            for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
        fi
        rm -rf "$0"
    "#;
    Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh starts")
}

/// A migrated database for one test, with the tenants `acme` and `globex`. A clone of this value refers to the same
/// database, for a second server on it.
#[derive(Clone)]
pub struct TestDatabase {
    pub name: String,
    pub acme: TenantId,
    pub globex: TenantId,
    _drop: Arc<DropDatabase>,
}

/// Each DROP DATABASE makes a checkpoint, of which only the first of several at once has much to write.
const DROPPED_TOGETHER: usize = 32;

/// Drops its database when the test is done with it, so that a run needs little space on disk.
struct DropDatabase(String);

impl Drop for DropDatabase {
    fn drop(&mut self) {
        static DROPS: LazyLock<mpsc::Sender<String>> = LazyLock::new(|| {
            let (drops, names) = mpsc::channel::<String>();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                let mut waiting = Vec::new();
                for name in names {
                    waiting.push(name);
                    if waiting.len() < DROPPED_TOGETHER {
                        continue;
                    }
                    for name in waiting.drain(..) {
                        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                        runtime.block_on(async { Cluster::get().await.execute(&drop).await });
                    }
                }
            });
            drops
        });
        let _ = DROPS.send(std::mem::take(&mut self.0));
    }
}

impl TestDatabase {
    pub async fn create() -> Self {
        let cluster = Cluster::get().await;
        Self { acme: cluster.acme, globex: cluster.globex, ..Self::empty("TEMPLATE template_migrated").await }
    }

    /// A copy as it is now, as from a backup. No server may run on the original.
    pub async fn copy(&self) -> Self {
        Self { acme: self.acme, globex: self.globex, ..Self::empty(&format!("TEMPLATE {}", self.name)).await }
    }

    /// An empty database, without migrations.
    pub async fn unmigrated() -> Self {
        Self::empty("TEMPLATE template0").await
    }

    /// As [`Self::unmigrated`], with options of CREATE DATABASE, such as its locale.
    pub async fn unmigrated_with(options: &str) -> Self {
        Self::empty(&format!("TEMPLATE template0 {options}")).await
    }

    async fn empty(template: &str) -> Self {
        let placeholder = TenantId(uuid::Uuid::nil());
        let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let cluster = Cluster::get().await;
        cluster.execute(&format!("CREATE DATABASE {name} {template} {}", cluster.strategy)).await;
        let drop = Arc::new(DropDatabase(name.clone()));
        Self { name, acme: placeholder, globex: placeholder, _drop: drop }
    }

    /// The database's URL, with the owner as login, who is also a superuser.
    pub async fn url(&self) -> DatabaseUrl {
        Cluster::get().await.url(&self.name)
    }

    /// The database's URL as text for `DATABASE_URL`, with `login` instead of the owner where given.
    pub async fn url_text(&self, login: Option<&str>) -> String {
        let server = &Cluster::get().await.server;
        let socket_dir = server.socket_dir().display().to_string().replace('/', "%2F");
        format!("postgres://{}@{socket_dir}:{}/{}", login.unwrap_or(server.user()), server.port(), self.name)
    }

    /// The Unix socket of the PostgreSQL server.
    pub async fn socket(&self) -> PathBuf {
        let server = &Cluster::get().await.server;
        server.socket_dir().join(format!(".s.PGSQL.{}", server.port()))
    }

    /// The database's URL through the proxy at that address.
    pub fn url_through(&self, proxy: SocketAddr) -> String {
        format!("postgres://rally_owner@{proxy}/{}", self.name)
    }

    /// A connection as the owner, to which row-level security does not apply.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect_with(&Cluster::get().await.options(&self.name)).await.expect("a connection")
    }

    /// Runs a statement as the owner.
    pub async fn execute(&self, sql: &str) {
        let mut connection = self.connect().await;
        connection.execute(AssertSqlSafe(sql)).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The log of the PostgreSQL server, of all tests of the run. It contains warnings, but no statements.
    pub async fn server_log() -> String {
        let log = Cluster::get().await.dir.join("postgres/server.log");
        String::from_utf8_lossy(&std::fs::read(log).expect("a readable server log")).into_owned()
    }

    /// The lines of the server's log that belong to this database.
    pub async fn own_log(&self) -> Vec<String> {
        let ours = format!("] {} ", self.name);
        Self::server_log().await.lines().filter(|line| line.contains(&ours)).map(str::to_owned).collect()
    }

    /// Runs a query as the owner and returns each row as a JSON object.
    pub async fn rows(&self, query: &str) -> Vec<Value> {
        let mut connection = self.connect().await;
        sqlx::query_scalar(AssertSqlSafe(format!("SELECT to_jsonb(found) FROM ({query}) AS found")))
            .fetch_all(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// Runs a query for a single number as the owner.
    pub async fn count(&self, sql: &str) -> i64 {
        let mut connection = self.connect().await;
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Lets PostgreSQL refuse the first batch of usage, as can happen during a migration.
    pub async fn refuse_usage_once(&self) {
        self.execute(
            "CREATE SEQUENCE attempts;
             GRANT USAGE ON attempts TO rally_app;
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN IF nextval(''public.attempts'') = 1 THEN RAISE undefined_function; END IF; RETURN new; END';
             CREATE TRIGGER refuse BEFORE INSERT ON api_key_usage FOR EACH ROW
                 WHEN (new.key_id <> 'ffffffff-ffff-ffff-ffff-ffffffffffff') EXECUTE FUNCTION refuse()",
        )
        .await;
    }

    /// The number of attempts to write a key's row of usage since [`Self::refuse_usage_once`], including the refused one.
    pub async fn usage_attempts(&self) -> i64 {
        self.count("SELECT last_value FROM attempts").await
    }

    /// The sum of all counted requests.
    pub async fn counted_requests(&self) -> i64 {
        self.count(
            "SELECT coalesce(sum(requests), 0)::bigint FROM api_key_usage
             WHERE key_id <> 'ffffffff-ffff-ffff-ffff-ffffffffffff'",
        )
        .await
    }

    /// Runs a query with a single column of text as the owner and returns its rows.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let mut connection = self.connect().await;
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }
}

/// A server in this process on a test database.
pub struct TestServer {
    pub address: SocketAddr,
    /// The address for metrics, if they have their own.
    pub admin_address: Option<SocketAddr>,
    pub database: TestDatabase,
    pub clock: Clock,
    http: reqwest::Client,
    stop: Option<oneshot::Sender<Stop>>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl TestServer {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a server with additional settings, which override the tests' defaults.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        Self::on(TestDatabase::create().await, settings).await
    }

    /// Starts a server on an existing database.
    pub async fn on(database: TestDatabase, settings: &[(&str, &str)]) -> Self {
        let url = database.url().await;
        Self::start_on(&url, database, settings, Clock::default()).await
    }

    /// Starts a server on an existing database, which it reaches by `url`.
    pub async fn logged_in_by(url: &DatabaseUrl, database: TestDatabase, settings: &[(&str, &str)]) -> Self {
        Self::start_on(url, database, settings, Clock::default()).await
    }

    /// Starts a server that reaches its database through the proxy at that address. The change feed does not, so cached
    /// keys stay valid while the proxy interrupts, and heartbeats do not pass it.
    pub async fn through(proxy: SocketAddr, database: TestDatabase, settings: &[(&str, &str)]) -> Self {
        let (through, direct) = (database.url_through(proxy), database.url_text(None).await);
        let urls = [("DATABASE_URL", through.as_str()), ("DATABASE_DIRECT_URL", direct.as_str())];
        let url = DatabaseUrl::parse(&through).expect("a URL");
        Self::logged_in_by(&url, database, &[&urls, settings].concat()).await
    }

    async fn start_on(url: &DatabaseUrl, database: TestDatabase, settings: &[(&str, &str)], clock: Clock) -> Self {
        let service =
            Service::start(&config(settings), url, clock.clone()).await.unwrap_or_else(|error| panic!("{error}"));
        let (address, admin_address) = (service.address(), service.admin_address());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(service.run(async { stopped.await.unwrap_or(Stop::AtOnce) }));
        let http = reqwest::Client::builder().timeout(Duration::from_secs(40)).build().expect("a client");
        Self { address, admin_address, database, clock, http, stop: Some(stop), task: Some(task) }
    }

    /// Another instance on the same database, with the same clock.
    pub async fn sibling(&self, settings: &[(&str, &str)]) -> Self {
        let url = self.database.url().await;
        Self::start_on(&url, self.database.clone(), settings, self.clock.clone()).await
    }

    /// Waits until the change feed is established, from when on lookups are cached.
    pub async fn wait_for_feed(&self) {
        // Without TLS, which the public address may have.
        let base = format!("http://{}", self.admin_address.unwrap_or(self.address));
        let client = Client::new(self.http.clone(), base, "acme.localhost".to_owned(), Credential::None);
        wait_until(async || client.get("/readyz").await.json()["status"] == "ready").await;
    }

    /// Stops the server as SIGINT does, and waits for its end.
    pub async fn stop(&mut self) {
        self.stop_by(Stop::AtOnce).await;
    }

    /// Stops the server in the given way, and waits for its end.
    pub async fn stop_by(&mut self, how: Stop) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(how);
        }
        if let Some(task) = self.task.take() {
            task.await.expect("the server ends without a panic");
        }
    }

    /// `http://127.0.0.1:<port>`
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of tenant `slug`.
    pub fn client(&self, slug: &str, credential: Credential) -> Client {
        Client::new(self.http.clone(), self.base(), format!("{slug}.localhost"), credential)
    }

    /// A client of tenant `slug` with an admin's JWT.
    pub fn admin(&self, slug: &str) -> Client {
        self.user(slug, "admin")
    }

    /// A client of tenant `slug` with the JWT of a user with those scopes.
    pub fn user(&self, slug: &str, scopes: &str) -> Client {
        self.client(slug, Credential::Bearer(self.token(slug, scopes)))
    }

    /// A JWT of tenant `slug` with those scopes, valid for an hour.
    pub fn token(&self, slug: &str, scopes: &str) -> String {
        sign(&json!({
            "sub": "42",
            "email": format!("admin@{slug}.com"),
            "tenant": slug,
            "scope": scopes,
            "exp": (self.clock.now() + chrono::TimeDelta::hours(1)).timestamp(),
        }))
    }

    /// Sends bytes unchanged and reads until the server closes the connection, so a request needs `Connection: close`.
    pub async fn raw(&self, request: impl Into<Vec<u8>>) -> String {
        raw(self.address, request).await
    }
}

/// As [`TestServer::raw`], to any server.
pub async fn raw(address: SocketAddr, request: impl Into<Vec<u8>>) -> String {
    let request = request.into();
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a read timeout is set");
        stream.write_all(&request).expect("the request is sent");
        let mut response = Vec::new();
        let _ = stream.read_to_end(&mut response); // a reset after the response is not an error
        String::from_utf8_lossy(&response).into_owned()
    })
    .await
    .expect("a response")
}

/// Polls a condition until it is true, and fails the test if it is still false after 15 s.
#[track_caller]
pub fn wait_until(mut condition: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + Duration::from_secs(15);
        while !condition().await {
            assert!(Instant::now() < deadline, "timed out waiting for the condition at {caller}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A configuration from the tests' defaults (a free port, the cheapest argon2, a pepper) and `settings`, which override
/// them.
pub fn config(settings: &[(&str, &str)]) -> Config {
    let defaults = [
        ("LISTEN_ADDR", "127.0.0.1:0"),
        ("JWT_SECRET", JWT_SECRET),
        ("KEY_PEPPER", PEPPER),
        ("ARGON2_MEMORY_KIB", "8"),
        ("ARGON2_ITERATIONS", "1"),
        ("SHUTDOWN_GRACE_SECONDS", "5"),
    ];
    let pairs = defaults.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::from_values(pairs).unwrap_or_else(|error| panic!("{error}"))
}

/// Opens the database as the service does, without starting a service.
pub async fn open(url: &DatabaseUrl) -> Result<Database, ConnectError> {
    let settings = PoolSettings {
        max_connections: 2,
        max_check_connections: 2,
        acquire_timeout: Duration::from_secs(3),
        check_acquire_timeout: Duration::from_secs(3),
    };
    Database::open(url, settings, Arc::new(|_, _| {})).await
}

/// Signs a JWT by HS256 with the tests' secret.
pub fn sign(claims: &Value) -> String {
    use jsonwebtoken::{EncodingKey, Header, encode};
    encode(&Header::default(), claims, &EncodingKey::from_secret(JWT_SECRET.as_bytes()).expect("a secret"))
        .expect("a token")
}

/// Creates an empty folder for a test.
pub fn scratch_dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("rally-api-keys-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("a folder");
    dir
}
