//! Poolers as docs/deployment.md configures them, in front of the tests' PostgreSQL, each in every version that is
//! installed. In transaction mode each transaction may run on another connection of the server, which other clients use
//! too.

mod stand;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use rally_api_keys::{
    app::{Service, StartError},
    auth::cache::lease::LEASE,
    domain::Clock,
    store::{self, ConnectError, DatabaseUrl},
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use self::stand::{Kind, Pooler, Program, documented, with};
use crate::{
    binary::{self, Home},
    client::{Client, Credential, PATH},
    every_call::{call_everything, run_every_command},
    harness::{JWT_SECRET, PEPPER, TestDatabase, TestServer, config, open, say, wait_until},
};

const CHECK: &str = "/forward-auth";
/// Held by the tests that work through many calls: together they would overload a small machine.
static TURN: Mutex<()> = Mutex::const_new(());

/// PgBouncer in transaction mode, with fewer connections to the server than the clients have, so that they share them.
fn transaction_mode() -> String {
    with(&documented("pool_mode = transaction"), "default_pool_size", 5)
}

fn odyssey() -> String {
    with(&documented("pool \"transaction\""), "pool_size", 5)
}

fn session_mode(connections: u32) -> String {
    with(&documented("pool_mode = session"), "default_pool_size", connections)
}

impl Program {
    /// True if the default of PgBouncer's `max_prepared_statements` is above 0.
    fn keeps_statements(&self) -> bool {
        self.version >= (1, 24)
    }
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
    for program in Kind::PgBouncer.installed() {
        work_through(&program, &transaction_mode(), "?statement-cache-capacity=0").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_transaction_mode_statements_that_the_pooler_keeps_are_prepared_once() {
    let (keep, lose): (Vec<_>, Vec<_>) = Kind::PgBouncer.installed().into_iter().partition(Program::keeps_statements);
    if keep.is_empty() {
        say(&format!("prepared statements through PgBouncer 1.24 or newer NOT TESTED; found: {lose:?}"));
    }
    for program in keep {
        work_through(&program, &transaction_mode(), "").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odyssey_in_transaction_mode_keeps_prepared_statements() {
    for program in Kind::Odyssey.installed() {
        work_through(&program, &odyssey(), "").await;
    }
}

/// With as many connections as an instance has, and as its commands need besides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_session_mode_one_url_suffices() {
    for program in Kind::PgBouncer.installed() {
        work_in_sessions(&program, &session_mode(30)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_pgpool_one_url_suffices() {
    let settings = with(&documented("backend_clustering_mode = 'raw'"), "num_init_children", 30);
    for program in Kind::Pgpool.installed() {
        work_in_sessions(&program, &settings).await;
    }
}

async fn work_in_sessions(program: &Program, settings: &str) {
    let _turn = TURN.lock().await;
    println!("{program:?}");
    let database = TestDatabase::create().await;
    let pooler = Pooler::start(program, &database, settings).await;
    let through = pooler.url(&database, "");
    let url = DatabaseUrl::parse(&through).unwrap();
    let mut server = TestServer::logged_in_by(&url, database.clone(), &[("DATABASE_URL", &through)]).await;
    server.wait_for_feed().await;
    call_everything(&server).await;
    hear_a_revocation(&server).await;
    let home = Home::new(&format!("sessions-{}", database.name));
    let printed = home.run(&["doctor"], &[("DATABASE_URL", &through)]).await.stdout;
    let printed = String::from_utf8(printed).unwrap();
    assert!(printed.contains("ok    change feed: a notification came back"), "{printed}");
    server.stop().await;
}

/// A cached key that another instance revokes is refused before a lease without a change feed would be over.
async fn hear_a_revocation(server: &TestServer) {
    let mut other = server.sibling(&[]).await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let holder = admin.with_key(&key.secret);
    for _ in 0..2 {
        assert_eq!(holder.get(CHECK).await.status, 200);
    }
    let begun = Instant::now();
    other.admin("acme").delete(&key.path()).await.expect(204);
    wait_until(async || holder.get(CHECK).await.status == 401).await;
    assert!(begun.elapsed() < LEASE, "{:?}", begun.elapsed());
    other.stop().await;
}

/// The login is a superuser, so a statement without the role would pass row-level security.
async fn work_through(program: &Program, settings: &str, query: &str) {
    let _turn = TURN.lock().await;
    println!("{program:?}");
    let database = TestDatabase::create().await;
    let pooler = Pooler::start(program, &database, settings).await;
    database.execute(COUNT_ROLES).await;
    let through = pooler.url(&database, query);
    let direct = database.url_text(None).await;
    let url = DatabaseUrl::parse(&through).unwrap();
    let settings = [("DATABASE_URL", through.as_str()), ("DATABASE_DIRECT_URL", direct.as_str())];
    let mut server = TestServer::logged_in_by(&url, database.clone(), &settings).await;
    server.wait_for_feed().await;

    let stop = Arc::new(AtomicBool::new(false));
    let others = (0..3).map(|_| watch(&pooler, &database, stop.clone()));
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
    hear_a_revocation(&server).await;
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
    pooler: &Pooler,
    database: &TestDatabase,
    stop: Arc<AtomicBool>,
) -> impl Future<Output = (u64, Vec<String>)> + use<> {
    let mut client = pooler.other_client(database).await;
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
    for program in Kind::PgBouncer.installed() {
        let database = TestDatabase::create().await;
        let mut settings = transaction_mode();
        if program.version >= (1, 21) {
            settings.push_str("max_prepared_statements = 0\n");
        }
        let pooler = Pooler::start(&program, &database, &settings).await;
        let error = open(&DatabaseUrl::parse(&pooler.url(&database, "")).unwrap()).await.err().expect("a refusal");
        assert!(matches!(error, ConnectError::LosesStatements(_)), "{error}");
        assert!(error.to_string().contains("add statement-cache-capacity=0"), "{error}");
        let home = Home::new(&format!("statements-{}", database.name));
        let doctor = async |url: &str| {
            let direct = database.url_text(None).await;
            let settings = [("DATABASE_URL", url), ("DATABASE_DIRECT_URL", &direct)];
            String::from_utf8(home.run(&["doctor"], &settings).await.stdout).unwrap()
        };
        let printed = doctor(&pooler.url(&database, "")).await;
        assert!(printed.contains("FAIL  statements: the pooler at "), "{printed}");
        let printed = doctor(&pooler.url(&database, "?statement-cache-capacity=0")).await;
        assert!(printed.contains("ok    statements: "), "{printed}");
        assert!(printed.contains("ok    migrations: ") && printed.contains("ok    triggers: "), "{printed}");
        // Without the pooler it is as usual, whatever the setting.
        open(&database.url().await).await.unwrap_or_else(|error| panic!("{error}")).close().await;
    }
}

/// A LISTEN through the pooler would stay on a connection of the server, and each notification would reach whichever client
/// uses it then, in the middle of a response.
#[tokio::test]
async fn a_change_feed_through_a_pooler_is_refused_and_no_client_receives_a_notification() {
    for program in Kind::PgBouncer.installed() {
        let database = TestDatabase::create().await;
        let pooler = Pooler::start(&program, &database, &transaction_mode()).await;
        for query in ["", "?statement-cache-capacity=0"] {
            let url = DatabaseUrl::parse(&pooler.url(&database, query)).unwrap();
            let error = store::check_direct(&url).await.expect_err("a refusal");
            assert!(matches!(error, ConnectError::NotDirect(_)), "{error}");
            assert!(error.to_string().contains("set DATABASE_DIRECT_URL"), "{error}");
        }
        let through = pooler.url(&database, "?statement-cache-capacity=0");
        let url = DatabaseUrl::parse(&through).unwrap();
        let refused = Service::start(&config(&[]), &url, Clock::default()).await.err().expect("a refusal");
        assert!(matches!(refused, StartError::Database(ConnectError::NotDirect(_))), "{refused}");
        let home = Home::new(&format!("feed-{}", database.name));
        let printed = home.run(&["doctor"], &[("DATABASE_URL", &through)]).await.stdout;
        let printed = String::from_utf8(printed).unwrap();
        assert!(printed.contains("FAIL  change feed: ") && printed.contains("set DATABASE_DIRECT_URL"), "{printed}");
        // On each connection that the pooler has to the server: nothing listens.
        let mut client = pooler.other_client(&database).await;
        let listening: Option<String> = sqlx::raw_sql("SELECT max(c) FROM pg_listening_channels() c")
            .fetch_one(&mut client)
            .await
            .map(|row| sqlx::Row::get(&row, 0))
            .unwrap();
        assert_eq!(listening, None);
        store::check_direct(&database.url().await).await.expect("the server itself");
    }
}

#[tokio::test]
async fn a_parameter_of_the_url_that_a_pooler_refuses_is_named() {
    for program in Kind::PgBouncer.installed() {
        let database = TestDatabase::create().await;
        let pooler = Pooler::start(&program, &database, &transaction_mode()).await;
        let url = pooler.url(&database, "?options=-c%20jit%3Doff");
        let error = open(&DatabaseUrl::parse(&url).unwrap()).await.err().expect("a refusal");
        let message = error.to_string();
        assert!(matches!(error, ConnectError::RefusedParameter { .. }), "{message}");
        assert!(message.contains("options") && message.contains("ignore_startup_parameters"), "{message}");
    }
}

#[tokio::test]
async fn a_migration_through_a_pooler_is_refused_with_what_to_run() {
    for program in Kind::PgBouncer.installed() {
        let database = TestDatabase::unmigrated().await;
        let pooler = Pooler::start(&program, &database, &transaction_mode()).await;
        let url = DatabaseUrl::parse(&pooler.url(&database, "?statement-cache-capacity=0")).unwrap();
        for error in [store::migrate(&url).await.err(), open(&url).await.err()] {
            let error = error.expect("a refusal");
            assert!(matches!(error, ConnectError::MigrationThroughPooler(_)), "{error}");
            assert!(error.to_string().contains("DATABASE_MIGRATION_URL"), "{error}");
        }
        store::migrate(&database.url().await).await.unwrap();
        store::migrate(&url).await.expect("nothing is left to migrate");
    }
}

/// Two instances with fewer connections than both take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_pool_that_is_too_small_is_named_in_the_log_and_nothing_hangs() {
    let start = async |program: Program| {
        let database = TestDatabase::create().await;
        let home = Home::new(&format!("few-{}", database.name));
        let (_pooler, first, second) = start_two(&program, &database, &home, &session_mode(20)).await;
        let log = second.log();
        let line = log.lines().find(|line| line.contains("could not open all connections")).expect("a line");
        assert!(line.contains("the default_pool_size of a pooler, suffice for all instances?"), "{line}");
        // The pool has none left for the change feed either.
        let client = second.client("acme", Credential::None);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(12) {
            for (path, expected) in [("/readyz", [200, 503]), (CHECK, [401, 503])] {
                let asked = Instant::now();
                let status = client.get(path).await.status.as_u16();
                assert!(expected.contains(&status), "{program:?} {path}: {status}");
                assert!(asked.elapsed() < Duration::from_secs(5), "{program:?} {path}: {:?}", asked.elapsed());
            }
            sleep(Duration::from_millis(200)).await;
        }
        assert!(second.log().contains("is the pool of a pooler exhausted"), "{}", second.log());
        first.terminate().await;
        wait_until(async || client.get("/readyz").await.json()["status"] == "ready").await;
        second.terminate().await;
    };
    join_all(Kind::PgBouncer.installed().into_iter().map(start)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_session_pool_suffices_for_two_instances() {
    for program in Kind::PgBouncer.installed() {
        let database = TestDatabase::create().await;
        let home = Home::new(&format!("enough-{}", database.name));
        let settings = documented("pool_mode = session");
        let (_pooler, first, second) = start_two(&program, &database, &home, &settings).await;
        for instance in [first, second] {
            let client = instance.client("acme", Credential::None);
            wait_until(async || client.get("/readyz").await.json()["status"] == "ready").await;
            let (_, log) = instance.terminate().await;
            assert!(!log.contains("is the pool of a pooler exhausted"), "{log}");
        }
    }
}

/// Two processes of the service, one after the other.
async fn start_two(
    program: &Program,
    database: &TestDatabase,
    home: &Home,
    settings: &str,
) -> (Pooler, binary::Service, binary::Service) {
    let pooler = Pooler::start(program, database, settings).await;
    let url = pooler.url(database, "");
    let settings = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)];
    let first = home.serve(&settings).await;
    let client = first.client("acme", Credential::None);
    wait_until(async || client.get("/readyz").await.json()["status"] == "ready").await;
    (pooler, first, home.serve(&settings).await)
}

/// The limits are those of docs/operations.md.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_a_frozen_pooler_calls_get_503_in_time_and_cached_keys_work() {
    let of_odyssey = Kind::Odyssey.installed().into_iter().map(|program| (program, odyssey()));
    let of_pgbouncer = Kind::PgBouncer.installed().into_iter().map(|program| (program, transaction_mode()));
    let freeze = async |(program, settings): (Program, String)| {
        let database = TestDatabase::create().await;
        let pooler = Pooler::start(&program, &database, &settings).await;
        let through = pooler.url(&database, "?statement-cache-capacity=0");
        let direct = database.url_text(None).await;
        let url = DatabaseUrl::parse(&through).unwrap();
        let settings = [("DATABASE_URL", through.as_str()), ("DATABASE_DIRECT_URL", direct.as_str())];
        let mut server = TestServer::logged_in_by(&url, database, &settings).await;
        server.wait_for_feed().await;
        let admin = server.admin("acme");
        let (cached, other) = (admin.create("cached", "read").await, admin.create("other", "read").await);
        let (cached, other) = (admin.with_key(&cached.secret), admin.with_key(&other.secret));
        assert_eq!(cached.get(CHECK).await.status, 200);

        pooler.freeze().await;
        let refused = async |client: &Client, path: &str, limit: u64| {
            let begun = Instant::now();
            client.get(path).await.refused(503, "database_unavailable");
            assert!(begun.elapsed() < Duration::from_secs(limit), "{program:?} {path}: {:?}", begun.elapsed());
        };
        let frozen = Instant::now();
        let goes_on = async {
            // Longer than a lease without a change feed.
            while frozen.elapsed() < LEASE + Duration::from_secs(2) {
                assert_eq!(cached.get(CHECK).await.status, 200, "{program:?}");
                sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::join!(goes_on, refused(&other, CHECK, 8), refused(&admin, PATH, 20));
        pooler.thaw();
        wait_until(async || admin.get(PATH).await.status == 200 && other.get(CHECK).await.status == 200).await;
        server.stop().await;
    };
    join_all(of_pgbouncer.chain(of_odyssey).map(freeze)).await;
}

#[tokio::test]
async fn a_start_through_a_frozen_pooler_says_so_and_waits() {
    for program in Kind::PgBouncer.installed() {
        let database = TestDatabase::create().await;
        let pooler = Pooler::start(&program, &database, &documented("pool_mode = session")).await;
        let url = pooler.url(&database, "");
        let home = Home::new(&format!("start-{}", database.name));
        pooler.freeze().await;
        let starting = home.launch(&[("DATABASE_URL", &url), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)]);
        // The first attempt takes 5 s, the start 30 s at most.
        sleep(Duration::from_secs(12)).await;
        pooler.thaw();
        let (_, log) = starting.listening().await.terminate().await;
        let line = log.lines().find(|line| line.contains("PostgreSQL does not respond yet")).expect("a line");
        assert!(line.contains("does its pool (default_pool_size of PgBouncer) suffice"), "{line}");
    }
}

#[tokio::test]
async fn a_pool_without_a_second_connection_is_named_at_the_start() {
    for program in Kind::PgBouncer.installed() {
        let database = TestDatabase::create().await;
        let pooler = Pooler::start(&program, &database, &session_mode(1)).await;
        let begun = Instant::now();
        let error = open(&DatabaseUrl::parse(&pooler.url(&database, "")).unwrap()).await.err().expect("a refusal");
        assert!(error.to_string().contains("does its pool (default_pool_size of PgBouncer) suffice"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn an_instance_that_gets_no_connection_ends_with_what_to_set() {
    let start = async |program: Program| {
        let database = TestDatabase::create().await;
        let pooler = Pooler::start(&program, &database, &session_mode(1)).await;
        let mut held = pooler.other_client(&database).await;
        sqlx::raw_sql("SELECT 1").execute(&mut held).await.unwrap();
        let url = pooler.url(&database, "");
        let home = Home::new(&format!("none-{}", database.name));
        let settings = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)];
        let log = home.fail(&[], &settings).await;
        let end = log.lines().last().expect("a line");
        assert!(end.contains("cannot connect to") && end.contains("default_pool_size of PgBouncer"), "{log}");
    };
    join_all(Kind::PgBouncer.installed().into_iter().map(start)).await;
}
