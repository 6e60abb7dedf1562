//! PgBouncer as docs/deployment.md configures it, in front of the tests' PostgreSQL. In transaction mode each transaction
//! may run on another connection of the server, which other clients use too.

use std::{
    env, fs,
    net::SocketAddr,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::future::join_all;
use rally_api_keys::{
    app::{Service, StartError},
    domain::Clock,
    store::{self, ConnectError, DatabaseUrl},
};
use sqlx::{ConnectOptions as _, PgConnection, postgres::PgConnectOptions};

use crate::{
    binary::Home,
    every_call::{call_everything, run_every_command},
    harness::{TestDatabase, TestServer, config, free_address, not_tested, open, say, scratch_dir, wait_until},
};

/// Connections to the server. Fewer than the clients have, so that they share them.
const SERVER_CONNECTIONS: u32 = 5;
const DEPLOYMENT: &str = include_str!("../../docs/deployment.md");

struct PgBouncer {
    address: SocketAddr,
    dir: PathBuf,
    process: Child,
}

/// The configuration of the mode in docs/deployment.md, with the server's connections.
fn documented(mode: &str, connections: u32) -> String {
    let mut blocks = DEPLOYMENT.split("```ini\n").skip(1).filter_map(|rest| rest.split("```").next());
    let block = blocks.find(|block| block.contains(&format!("pool_mode = {mode}\n"))).expect("a documented block");
    let lines = block.lines().map(|line| {
        if line.starts_with("default_pool_size") {
            format!("default_pool_size = {connections}")
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

impl PgBouncer {
    /// In transaction mode. `None`: it is not installed.
    async fn start(database: &TestDatabase, name: &str) -> Option<Self> {
        Self::configured(database, name, &documented("transaction", SERVER_CONNECTIONS)).await
    }

    async fn configured(database: &TestDatabase, name: &str, documented: &str) -> Option<Self> {
        let Some(program) = program() else {
            not_tested("PgBouncer is not installed");
            return None;
        };
        let socket = database.socket().await;
        let (socket_dir, port) = (socket.parent().unwrap(), socket.extension().unwrap().to_str().unwrap());
        let address = free_address();
        let dir = scratch_dir(name);
        fs::write(dir.join("users"), "\"rally_owner\" \"\"\n").unwrap();
        // Each replaces a part of the documented configuration.
        let users = dir.join("users");
        let server = format!("{} = host={} port={port}", database.name, socket_dir.display());
        let mut settings = documented.to_owned();
        for (part, here) in [
            ("rally = host=db.internal port=5432", server.as_str()),
            ("listen_addr = 0.0.0.0", &format!("listen_addr = 127.0.0.1\nlisten_port = {}", address.port())),
            ("auth_type = scram-sha-256", "auth_type = trust\nunix_socket_dir ="),
            ("/etc/pgbouncer/userlist.txt", users.to_str().unwrap()),
        ] {
            assert!(settings.contains(part), "{part}: {settings}");
            settings = settings.replace(part, here);
        }
        fs::write(dir.join("pgbouncer.ini"), settings).unwrap();
        let process = spawn(&program, &dir, socket_dir);
        let bouncer = Self { address, dir, process };
        wait_until(async || tokio::net::TcpStream::connect(address).await.is_ok()).await;
        Some(bouncer)
    }

    fn url(&self, database: &TestDatabase, query: &str) -> String {
        format!("postgres://rally_owner@{}/{}{query}", self.address, database.name)
    }

    /// A client that has nothing to do with the service.
    async fn other_client(&self, database: &TestDatabase) -> PgConnection {
        let options = PgConnectOptions::new_without_pgpass().extra_float_digits(None);
        let options = options.host("127.0.0.1").port(self.address.port()).username("rally_owner");
        options.database(&database.name).connect().await.expect("a connection")
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("pgbouncer")).find(|program| program.is_file())
}

/// Whether it has prepared statements in transaction mode: version 1.21 or newer.
fn keeps_statements() -> bool {
    let Some(program) = program() else { return false };
    let printed = Command::new(program).arg("--version").output().expect("its version").stdout;
    let printed = String::from_utf8(printed).unwrap();
    let version = printed.split_whitespace().nth(1).expect("PgBouncer <version>");
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(1), Some(21))
}

/// It refuses to run as root: then it runs as the user that PostgreSQL runs as.
fn spawn(program: &Path, dir: &Path, socket_dir: &Path) -> Child {
    let mut command = Command::new(program);
    command.arg("-q").arg(dir.join("pgbouncer.ini")).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(fs::File::create(dir.join("log")).unwrap());
    let owner = fs::metadata(socket_dir).unwrap();
    if owner.uid() != fs::metadata(dir).unwrap().uid() {
        chown(dir, Some(owner.uid()), Some(owner.gid())).unwrap();
        command.uid(owner.uid()).gid(owner.gid());
    }
    command.spawn().expect("pgbouncer starts")
}

/// Counts the changes of each table by the role that makes them.
const COUNT_ROLES: &str = "
    CREATE TABLE public.changes (table_name text, role text, count bigint, PRIMARY KEY (table_name, role));
    GRANT SELECT, INSERT, UPDATE ON public.changes TO PUBLIC;
    CREATE FUNCTION public.count_role() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
    BEGIN
        INSERT INTO public.changes AS c VALUES (TG_TABLE_NAME, current_user, 1)
            ON CONFLICT (table_name, role) DO UPDATE SET count = c.count + 1;
        RETURN NULL;
    END
    $$;
    DO $$
    DECLARE t text;
    BEGIN
        FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
                     AND relname NOT IN ('changes', '_sqlx_migrations') LOOP
            EXECUTE format('CREATE TRIGGER count_role AFTER INSERT OR UPDATE OR DELETE ON public.%I
                            FOR EACH STATEMENT EXECUTE FUNCTION public.count_role()', t);
        END LOOP;
    END
    $$;";

const BY_LOGIN: &str = "SELECT count(*) FROM public.changes WHERE role NOT IN ('rally_app', 'rally_operator')";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_transaction_mode_each_change_is_made_by_its_role_and_nothing_leaks_to_other_clients() {
    let database = TestDatabase::create().await;
    let Some(bouncer) = PgBouncer::start(&database, "pooler").await else { return };
    work_through(&bouncer, database, "?statement-cache-capacity=0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_transaction_mode_statements_that_the_pooler_keeps_are_prepared_once() {
    let database = TestDatabase::create().await;
    let Some(bouncer) = PgBouncer::start(&database, "pooler-prepared").await else { return };
    if keeps_statements() {
        work_through(&bouncer, database, "").await;
    } else {
        // Not required: Debian 12 has 1.18.
        say("PgBouncer is older than 1.21: prepared statements through it NOT TESTED");
    }
}

/// With as many connections as an instance has, and as its commands need besides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_session_mode_one_url_suffices() {
    let database = TestDatabase::create().await;
    let settings = documented("session", 30);
    let Some(bouncer) = PgBouncer::configured(&database, "pooler-session", &settings).await else { return };
    let through = bouncer.url(&database, "");
    let url = DatabaseUrl::parse(&through).unwrap();
    let mut server = TestServer::logged_in_by(&url, database.clone(), &[("DATABASE_URL", &through)]).await;
    server.wait_for_feed().await;
    call_everything(&server).await;
    let printed = Home::new("pooler-session-doctor").run(&["doctor"], &[("DATABASE_URL", &through)]).await.stdout;
    let printed = String::from_utf8(printed).unwrap();
    assert!(printed.contains("ok    change feed: a notification came back"), "{printed}");
    server.stop().await;
}

/// The login is a superuser, so a statement without the role would pass row-level security.
async fn work_through(bouncer: &PgBouncer, database: TestDatabase, query: &str) {
    database.execute(COUNT_ROLES).await;
    let through = bouncer.url(&database, query);
    let direct = database.url_text(None).await;
    let url = DatabaseUrl::parse(&through).unwrap();
    let settings = [("DATABASE_URL", through.as_str()), ("DATABASE_DIRECT_URL", direct.as_str())];
    let mut server = TestServer::logged_in_by(&url, database.clone(), &settings).await;
    server.wait_for_feed().await;

    let stop = Arc::new(AtomicBool::new(false));
    let others = (0..3).map(|_| watch(bouncer, &database, stop.clone()));
    let others: Vec<_> = join_all(others).await.into_iter().map(tokio::spawn).collect();
    let (acme, globex) = (server.admin("acme"), server.admin("globex"));
    let creates = (0..80).map(|n| {
        let admin = [&acme, &globex][n % 2];
        async move { admin.create(&format!("Key {n}"), "read").await }
    });
    let created = join_all(creates).await;
    let checks = created.iter().enumerate().map(|(n, key)| {
        let admin = [&acme, &globex][n % 2];
        async move { admin.with_key(&key.secret).get("/forward-auth").await.status.as_u16() }
    });
    assert_eq!(join_all(checks).await, [200; 80]);
    call_everything(&server).await;
    // Each command that uses the database; doctor and the change feed use the server itself for notifications.
    let home = Home::new(&format!("pooler-commands-{}", database.name));
    run_every_command(&home, &database, &through).await;
    server.stop().await; // writes the usage that is left
    stop.store(true, Ordering::Relaxed);
    for other in others {
        let (questions, states) = other.await.unwrap();
        assert!(questions > 10, "{questions}");
        assert_eq!(states, ["rally_owner, \"$user\", public, "]);
    }

    let changes =
        database.texts("SELECT table_name || ' ' || role || ' ' || count FROM public.changes ORDER BY 1").await;
    println!("{changes:#?}");
    assert_eq!(database.count(BY_LOGIN).await, 0, "{changes:?}");
    for expected in ["api_key_usage rally_app", "api_key_last_uses rally_app", "tenants rally_operator"] {
        assert!(changes.iter().any(|change| change.starts_with(expected)), "{expected} in {changes:?}");
    }
    let created = "SELECT count FROM public.changes WHERE table_name = 'api_keys' AND role = 'rally_app'";
    assert!(database.count(created).await > 80, "{changes:?}");
    // The negative control: a statement by the login itself is counted.
    database.execute("UPDATE public.api_keys SET name = name").await;
    assert_eq!(database.count(BY_LOGIN).await, 1);
}

/// Asks for the state of the connection that the pooler gives, until `stop` is set. Returns how often it has asked, and
/// each state once.
async fn watch(
    bouncer: &PgBouncer,
    database: &TestDatabase,
    stop: Arc<AtomicBool>,
) -> impl Future<Output = (u64, Vec<String>)> + use<> {
    let mut client = bouncer.other_client(database).await;
    async move {
        let (mut questions, mut states) = (0, Vec::new());
        while !stop.load(Ordering::Relaxed) {
            let state: String = sqlx::raw_sql(
                "SELECT concat_ws(', ', current_user, current_setting('search_path'),
                                  coalesce(current_setting('rally.tenant_id', true), ''))",
            )
            .fetch_one(&mut client)
            .await
            .map(|row| sqlx::Row::get(&row, 0))
            .unwrap();
            questions += 1;
            if !states.contains(&state) {
                states.push(state);
            }
        }
        (questions, states)
    }
}

#[tokio::test]
async fn a_pooler_that_loses_prepared_statements_is_refused_with_what_to_set() {
    let database = TestDatabase::create().await;
    let mut settings = documented("transaction", SERVER_CONNECTIONS);
    if keeps_statements() {
        settings.push_str("\nmax_prepared_statements = 0\n");
    }
    let Some(bouncer) = PgBouncer::configured(&database, "pooler-statements", &settings).await else { return };
    let error = open(&DatabaseUrl::parse(&bouncer.url(&database, "")).unwrap()).await.err().expect("a refusal");
    assert!(matches!(error, ConnectError::LosesStatements(_)), "{error}");
    assert!(error.to_string().contains("add statement-cache-capacity=0"), "{error}");
    let home = Home::new("pooler-doctor");
    let doctor = async |url: &str| {
        let direct = database.url_text(None).await;
        let settings = [("DATABASE_URL", url), ("DATABASE_DIRECT_URL", &direct)];
        String::from_utf8(home.run(&["doctor"], &settings).await.stdout).unwrap()
    };
    let printed = doctor(&bouncer.url(&database, "")).await;
    assert!(printed.contains("FAIL  statements: the pooler at "), "{printed}");
    let printed = doctor(&bouncer.url(&database, "?statement-cache-capacity=0")).await;
    assert!(printed.contains("ok    statements: "), "{printed}");
    assert!(printed.contains("ok    migrations: ") && printed.contains("ok    triggers: "), "{printed}");
    // Without the pooler it is as usual, whatever the setting.
    open(&database.url().await).await.unwrap_or_else(|error| panic!("{error}")).close().await;
}

/// A LISTEN through the pooler would stay on a connection of the server, and each notification would reach whichever client
/// uses it then, in the middle of a response.
#[tokio::test]
async fn a_change_feed_through_a_pooler_is_refused_and_no_client_receives_a_notification() {
    let database = TestDatabase::create().await;
    let Some(bouncer) = PgBouncer::start(&database, "pooler-feed").await else { return };
    for query in ["", "?statement-cache-capacity=0"] {
        let url = DatabaseUrl::parse(&bouncer.url(&database, query)).unwrap();
        let error = store::check_direct(&url).await.expect_err("a refusal");
        assert!(matches!(error, ConnectError::NotDirect(_)), "{error}");
        assert!(error.to_string().contains("set DATABASE_DIRECT_URL"), "{error}");
    }
    let through = bouncer.url(&database, "?statement-cache-capacity=0");
    let url = DatabaseUrl::parse(&through).unwrap();
    let refused = Service::start(&config(&[]), &url, Clock::default()).await.err().expect("a refusal");
    assert!(matches!(refused, StartError::Database(ConnectError::NotDirect(_))), "{refused}");
    let printed = Home::new("pooler-feed-doctor").run(&["doctor"], &[("DATABASE_URL", &through)]).await.stdout;
    let printed = String::from_utf8(printed).unwrap();
    assert!(printed.contains("FAIL  change feed: ") && printed.contains("set DATABASE_DIRECT_URL"), "{printed}");
    // On each connection that the pooler has to the server: nothing listens.
    let mut client = bouncer.other_client(&database).await;
    let listening: Option<String> = sqlx::raw_sql("SELECT max(c) FROM pg_listening_channels() c")
        .fetch_one(&mut client)
        .await
        .map(|row| sqlx::Row::get(&row, 0))
        .unwrap();
    assert_eq!(listening, None);
    store::check_direct(&database.url().await).await.expect("the server itself");
}

#[tokio::test]
async fn a_parameter_of_the_url_that_a_pooler_refuses_is_named() {
    let database = TestDatabase::create().await;
    let Some(bouncer) = PgBouncer::start(&database, "pooler-parameter").await else { return };
    let url = bouncer.url(&database, "?options=-c%20jit%3Doff");
    let error = open(&DatabaseUrl::parse(&url).unwrap()).await.err().expect("a refusal");
    let message = error.to_string();
    assert!(matches!(error, ConnectError::RefusedParameter { .. }), "{message}");
    assert!(message.contains("options") && message.contains("ignore_startup_parameters"), "{message}");
}

#[tokio::test]
async fn a_migration_through_a_pooler_is_refused_with_what_to_run() {
    let database = TestDatabase::unmigrated().await;
    let Some(bouncer) = PgBouncer::start(&database, "pooler-migration").await else { return };
    let url = DatabaseUrl::parse(&bouncer.url(&database, "?statement-cache-capacity=0")).unwrap();
    for error in [store::migrate(&url).await.err(), open(&url).await.err()] {
        let error = error.expect("a refusal");
        assert!(matches!(error, ConnectError::MigrationThroughPooler(_)), "{error}");
        assert!(error.to_string().contains("DATABASE_MIGRATION_URL"), "{error}");
    }
    store::migrate(&database.url().await).await.unwrap();
    store::migrate(&url).await.expect("nothing is left to migrate");
}
