//! A database of ten million keys of 100,000 tenants, compared with one of 10,000 keys on the same PostgreSQL:
//!
//! ```sh
//! cargo bench --bench scale                              # some 20 minutes, 20 GB in the folder for temporary files
//! cargo bench --bench scale -- BINARY                    # another build of the service
//! BENCH_KEYS=100000 BENCH_TENANTS=1000 cargo bench --bench scale
//! BENCH_SECONDS=2 BENCH_ROUNDS=3 BENCH_REQUESTS=50       # of each measurement (5), for each median (5), of each page (200)
//! BENCH_SETTINGS="shared_buffers=10GB huge_pages=on"      # of PostgreSQL (shared_buffers: a quarter of the memory)
//! BENCH_PAUSE=1                                          # after the seeding and at the end, waits until stdin is closed
//! BENCH_FOLDER=/var/tmp/scale                            # keeps the database in this folder, where the next run finds it
//! ```
//!
//! One tenant has 100,000 of the keys. The keys of all tenants alternate in the tables, as if they had been created in
//! turns. Every key has a secret that works.
//!
//! Both databases are measured in turns, so that a disturbance of the machine affects both. The instances have no cache, so
//! that each check of a key is one of a cold key; load, service and PostgreSQL share the machine's cores.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "rules for the service, not for its benchmarks"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its results")]

mod copy;
mod report;
mod rows;
mod seed;
#[allow(dead_code, reason = "shared, and each program uses its part of it")]
#[path = "../stand/mod.rs"]
mod stand;

use std::{
    cell::Cell,
    env,
    fs::{self, OpenOptions},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use chrono::Utc;
use futures_util::future::try_join_all;
use rally_api_keys::{
    domain::{Scope, Slug},
    store::{self, TenantAdmin},
};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::{Instant, sleep};

use self::{
    report::{JobTime, Report, Round, TableSize},
    rows::{Size, Use},
    stand::{
        Outcome,
        client::{Connection, check, request},
        exact,
        keys::token,
        pages,
        postgres::Database,
        server::Server,
    },
};

/// Of the compared database.
const FEW_KEYS: u64 = 10_000;
const FEW_TENANTS: u64 = 100;
const MANY: &str = "bench";
const FEW: &str = "few";
/// Requests in flight.
const CONNECTIONS: usize = 64;
/// Starts of the service, for a median.
const STARTS: usize = 5;
/// Tenants that are created one after the other.
const NEW_TENANTS: u32 = 20;
/// Checks of other keys in each round. No more than this many are made.
const CHECKS: u64 = 100_000;
/// Revocations of other keys in each round.
const REVOCATIONS: u64 = 4_000;

struct Plan {
    keys: u64,
    tenants: u64,
    seconds: u64,
    rounds: u64,
    requests: u32,
}

impl Plan {
    fn read() -> Outcome<Self> {
        Ok(Self {
            keys: number("BENCH_KEYS", 10_000_000)?.max(1_000),
            tenants: number("BENCH_TENANTS", 100_000)?.max(2),
            seconds: number("BENCH_SECONDS", 5)?,
            rounds: number("BENCH_ROUNDS", 5)?,
            requests: u32::try_from(number("BENCH_REQUESTS", 200)?)?,
        })
    }
}

fn number(name: &str, default: u64) -> Outcome<u64> {
    match env::var(name) {
        Err(_) => Ok(default),
        Ok(text) => Ok(text.parse().ok().filter(|n| *n > 0).ok_or(format!("{name} must be a number above 0"))?),
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    if !args.iter().any(|arg| arg == "--bench") {
        println!("run the benchmark with: cargo bench --bench scale");
        return ExitCode::SUCCESS;
    }
    let program = args.into_iter().find(|arg| arg != "--bench");
    let program = program.map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_rally-api-keys")), PathBuf::from);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(&program))) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("scale: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(program: &Path) -> Outcome<Report> {
    let plan = Plan::read()?;
    let dir = env::temp_dir().join(format!("rally-api-keys-scale-{}", std::process::id()));
    let settings = settings()?;
    // Without WAL for what is copied into new tables; without autovacuum's part while rows are copied.
    let database = match env::var_os("BENCH_FOLDER") {
        Some(folder) => Database::start_kept(folder.into(), &settings).await?,
        None => Database::start_empty(dir, &settings).await?,
    };
    let outcome = measure(&plan, program, &database).await;
    pause(&database);
    database.stop().await?;
    outcome
}

/// The settings live as long as the process.
fn settings() -> Outcome<Vec<(&'static str, &'static str)>> {
    let quarter = || -> Outcome<String> {
        let text = fs::read_to_string("/proc/meminfo")?;
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
        let kib: u64 = total.trim().trim_end_matches(" kB").parse()?;
        Ok(format!("{}MB", kib / 1024 / 4))
    };
    let mut settings = vec![
        ("shared_buffers", &*quarter()?.leak()),
        ("wal_level", "minimal"),
        ("max_wal_senders", "0"),
        ("max_wal_size", "4GB"),
        ("track_io_timing", "on"),
    ];
    let more = env::var("BENCH_SETTINGS").unwrap_or_default().leak();
    for setting in more.split_whitespace() {
        let (name, value) = setting.split_once('=').ok_or("BENCH_SETTINGS: expected NAME=VALUE")?;
        settings.retain(|(other, _)| *other != name);
        settings.push((name, value));
    }
    Ok(settings)
}

fn pause(database: &Database) {
    if env::var_os("BENCH_PAUSE").is_some() {
        eprintln!("{} waits until stdin is closed", database.url_text());
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
    }
}

async fn measure(plan: &Plan, program: &Path, database: &Database) -> Outcome<Report> {
    let drop_few = format!("DROP DATABASE IF EXISTS {FEW}");
    sqlx::query(AssertSqlSafe(drop_few)).execute(&mut database.connect_to("postgres").await?).await?;
    store::create_database(&database.url_of("postgres"), FEW).await?;
    for name in [MANY, FEW] {
        store::migrate(&database.url_of(name)).await?;
    }
    let few = Size::new(FEW_KEYS, FEW_TENANTS)?;
    seed::write(database, FEW, &few).await?;
    let kept = Size::read(&mut database.connect().await?, plan.keys, plan.tenants).await?;
    let (many, seeded_in) = if let Some(kept) = kept {
        (kept, None)
    } else {
        let (size, begun) = (Size::new(plan.keys, plan.tenants)?, Instant::now());
        seed::write(database, MANY, &size).await?;
        (size, Some(begun.elapsed()))
    };
    verify_chain(program, database)?;
    let sizes = sizes(&mut database.connect().await?).await?;
    pause(database);

    let mut jobs = Vec::new();
    // In a database that was kept, an earlier run has done them.
    for (name, size) in [(FEW, &few), (MANY, &many)].into_iter().filter(|_| seeded_in.is_some()) {
        jobs.push(times_of_jobs(program, database, name, size).await?);
    }
    let starts = times_of_starts(program, database).await?;
    let mut servers = Vec::new();
    for name in [FEW, MANY] {
        let url = database.url_text_of(name);
        let settings = [("DATABASE_URL", url.as_str()), ("VERIFY_CACHE_ENTRIES", "0")];
        let server = Server::launch_program(program, database, &format!("cold-{name}"), &settings).await?;
        server.wait_until_ready().await?;
        servers.push(server);
    }
    read_all(database).await?;
    for (index, (name, size)) in [(FEW, &few), (MANY, &many)].into_iter().enumerate() {
        // So that the measured checks look keys up, and not tenants.
        let requests: Vec<_> = size.a_key_of_each_tenant()?.iter().map(check).collect();
        load(u64::MAX, database, &servers[index], name, &requests, 200).await?;
    }
    let (mut checks_of_some, mut checks, mut revocations) = (Vec::new(), Vec::new(), Vec::new());
    // The same requests of both, so that they differ by the size of the database alone; then a request of any key.
    let some = many.working_keys_of(FEW_TENANTS)?;
    for round in 0..plan.rounds {
        let few = few.working_keys(CHECKS, round, Use::Check)?.iter().map(check).collect::<Vec<_>>();
        let some =
            some.iter().cycle().skip(usize::try_from(round)? * 1_000).take(few.len()).map(check).collect::<Vec<_>>();
        let many = many.working_keys(CHECKS, round, Use::Check)?.iter().map(check).collect::<Vec<_>>();
        let of_few = load(plan.seconds, database, &servers[0], FEW, &few, 200).await?;
        let of_some = load(plan.seconds, database, &servers[1], "100 tenants", &some, 200).await?;
        let of_many = load(plan.seconds, database, &servers[1], MANY, &many, 200).await?;
        checks_of_some.extend([(FEW, of_few), (MANY, of_some)]);
        checks.extend([(FEW, of_few), (MANY, of_many)]);
    }
    for round in 0..plan.rounds.min(3) {
        for (index, (name, size)) in [(FEW, &few), (MANY, &many)].into_iter().enumerate() {
            // After the keys of the checks. Of the few, some are drawn twice: the second time there is nothing to do.
            let keys = size.working_keys(REVOCATIONS.min(size.keys / 10), round, Use::Revocation)?;
            let mut requests = Vec::new();
            for key in keys {
                let header = format!("Authorization: Bearer {}\r\n", token(&key.tenant, Scope::Admin)?);
                requests.push(request("DELETE", &format!("/api/v1/api-keys/{}", key.id.0), &key.tenant, &header, ""));
            }
            revocations.push((name, load(plan.seconds, database, &servers[index], name, &requests, 204).await?));
        }
    }
    let pages = pages::time_all(&servers[1], &many.tenant(0)?, plan.requests).await?;
    let new_tenants = [time_of_new_tenants(database, FEW).await?, time_of_new_tenants(database, MANY).await?];
    for server in servers {
        server.stop().await?;
    }
    Ok(Report {
        keys: plan.keys,
        tenants: plan.tenants,
        large: many.large(),
        requests: plan.requests,
        version: database.version().await?,
        settings: settings()?,
        seeded_in,
        sizes,
        jobs,
        starts,
        checks_of_some,
        checks,
        revocations,
        pages,
        new_tenants,
    })
}

/// The service's own program finds the large tenant's chain of events intact.
fn verify_chain(program: &Path, database: &Database) -> Outcome<()> {
    let verified = Command::new(program)
        .args(["events", "verify", "--tenant", "tenant-0"])
        .env_clear()
        .env("DATABASE_URL", database.url_text())
        .current_dir(database.dir())
        .output()?;
    if verified.status.success() {
        return Ok(());
    }
    Err(format!("events verify: {}", String::from_utf8_lossy(&verified.stderr)).into())
}

async fn sizes(connection: &mut PgConnection) -> Outcome<Vec<TableSize>> {
    let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        "SELECT relname::text, reltuples::bigint, pg_table_size(oid), pg_indexes_size(oid)
         FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND pg_total_relation_size(oid) > 1000000
         ORDER BY pg_total_relation_size(oid) DESC",
    )
    .fetch_all(connection)
    .await?;
    let size = |(table, rows, heap, indexes): (_, i64, i64, i64)| TableSize {
        table,
        rows: rows.unsigned_abs(),
        heap: heap.unsigned_abs(),
        indexes: indexes.unsigned_abs(),
    };
    Ok(rows.into_iter().map(size).collect())
}

/// The statements of the retention job, as one run sends them, then a run of the job of idle keys by an instance.
async fn times_of_jobs(
    program: &Path,
    database: &Database,
    name: &'static str,
    size: &Size,
) -> Outcome<Vec<(&'static str, JobTime)>> {
    let mut connection = database.connect_to(name).await?;
    let mut jobs = Vec::new();
    for (job, call) in [
        ("old hours of usage", "remove_old_usage(now() - interval '400 days', 10000)"),
        ("old callers", "remove_old_callers(now() - interval '30 days', 50, $1)"),
        ("ended secrets", "remove_ended_secrets(now() - interval '90 days', 100, 10000)"),
        ("idempotency records", "remove_old_idempotency_records(now() - interval '48 hours', 10000)"),
    ] {
        let (mut time, mut page) = (JobTime::default(), 0_i64);
        // One goes through the table, the others are called until nothing is left.
        let (is_paged, from) = (call.contains("$1"), if call.contains("$1") { "*" } else { "r, NULL::bigint" });
        loop {
            let begun = Instant::now();
            let query = AssertSqlSafe(format!("SELECT {from} FROM public.{call} r"));
            let query = sqlx::query_as(query);
            let query = if is_paged { query.bind(page) } else { query };
            let (removed, next): (Option<i32>, Option<i64>) = query.fetch_one(&mut connection).await?;
            let removed = removed.unwrap_or_default();
            time.add(begun.elapsed(), u64::from(removed.unsigned_abs()));
            match next {
                Some(next) => page = next,
                None if is_paged || removed == 0 => break,
                None => {}
            }
        }
        eprintln!("{name}: {job}: {time:?}");
        jobs.push((job, time));
    }
    let url = database.url_text_of(name);
    let server = Server::launch_program(program, database, "idle", &[("DATABASE_URL", &url)]).await?;
    server.wait_until_ready().await?;
    let begun = Instant::now();
    while metric(&server, "rally_idle_key_runs_total{outcome=\"completed\"}").await? == 0 {
        sleep(Duration::from_millis(20)).await;
    }
    let mut time = JobTime::default();
    time.add(begun.elapsed(), metric(&server, "rally_idle_key_notices_total").await?);
    eprintln!("{name}: idle keys of {} tenants: {time:?}", size.tenants / 10);
    jobs.push(("notices of idle keys", time));
    server.stop().await?;
    Ok(jobs)
}

async fn metric(server: &Server, name: &str) -> Outcome<u64> {
    let reply =
        Connection::open(server.address).await?.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let text = String::from_utf8(reply.body)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(value.ok_or(format!("no metric {name}"))?.parse()?)
}

/// From the start of the process to its first `ready`.
async fn times_of_starts(program: &Path, database: &Database) -> Outcome<Vec<(&'static str, Duration)>> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        for name in [FEW, MANY] {
            let url = database.url_text_of(name);
            let begun = Instant::now();
            let server = Server::launch_program(program, database, "start", &[("DATABASE_URL", &url)]).await?;
            let mut connection = Connection::open(server.address).await?;
            while connection.send("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").await?.status != 200 {
                sleep(Duration::from_millis(5)).await;
            }
            times.push((name, begun.elapsed()));
            server.stop().await?;
        }
    }
    Ok(times)
}

/// Reads what checks read once, so that it is in the memory of the kernel, as far as that suffices.
async fn read_all(database: &Database) -> Outcome<()> {
    for name in [MANY, FEW] {
        let mut connection = database.connect_to(name).await?;
        for file in
            ["tenants", "tenants_slug_key", "api_keys", "api_keys_pkey", "api_key_secrets", "api_key_secrets_pkey"]
        {
            let path: String = sqlx::query_scalar("SELECT pg_relation_filepath($1::text::regclass)")
                .bind(format!("public.{file}"))
                .fetch_one(&mut connection)
                .await?;
            let path = database.dir().join("postgres").join(path);
            let mut buffer = vec![0; 1 << 20];
            // A relation is a file for each GiB.
            for part in std::iter::once(path.clone()).chain((1..).map(|n| path.with_extension(n.to_string()))) {
                let Ok(mut file) = OpenOptions::new().read(true).open(part) else { break };
                while file.read(&mut buffer)? > 0 {}
            }
        }
    }
    Ok(())
}

/// Sends these requests, each once, for so many seconds at most.
async fn load(
    seconds: u64,
    database: &Database,
    server: &Server,
    name: &'static str,
    requests: &[String],
    status: u16,
) -> Outcome<Round> {
    database.settle().await?;
    server.empty_log()?;
    let before = (server.cpu(), database.cpu());
    let begun = Instant::now();
    let next = &Cell::new(0);
    let clients = (0..CONNECTIONS).map(|_| async move {
        let mut connection = Connection::open(server.address).await?;
        while begun.elapsed().as_secs() < seconds
            && let Some(request) = requests.get(next.replace(next.get() + 1))
        {
            let reply = connection.send(request).await?;
            if reply.status != status {
                let first = request.lines().next().unwrap_or_default();
                return Err(format!("{first}: expected {status}, got {}", reply.status).into());
            }
        }
        Outcome::Ok(())
    });
    try_join_all(clients).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let after = (server.cpu(), database.cpu());
    let count = exact(next.get().min(requests.len()) as u64);
    let cpu = |before: Option<Duration>, after: Option<Duration>| {
        before.zip(after).map_or(f64::NAN, |(before, after)| after.saturating_sub(before).as_secs_f64() * 1e6 / count)
    };
    let round =
        Round { per_second: count / seconds, server_cpu: cpu(before.0, after.0), postgres_cpu: cpu(before.1, after.1) };
    eprintln!("{name}: {round:?}");
    Ok(round)
}

async fn time_of_new_tenants(database: &Database, name: &str) -> Outcome<Duration> {
    let mut admin = TenantAdmin::connect(&database.url_of(name)).await?;
    let (now, begun) = (Utc::now(), Instant::now());
    for n in 0..NEW_TENANTS {
        admin.create_tenant(&Slug::parse(&format!("new-{}-{n}", now.timestamp()))?, "New", now).await?;
    }
    Ok(begun.elapsed() / NEW_TENANTS)
}
