//! Compares two binaries of the service, each with a PostgreSQL of its own, in alternating rounds.
//!
//! The binaries may have different schemas: each migrates its own database, and keys are inserted by SQL that fits both.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rally_api_keys::domain::{Slug, Tenant};
use sqlx::Executor as _;
use tokio::{
    process::Command,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    Outcome, number_from_env,
    rows::{API, CONNECTIONS, checks},
    stand::{
        client::{Connection, request, send_each},
        exact,
        keys::{Key, copy_stamped, generate},
        postgres::Database,
        server::Server,
        table::{machine, median, write_table},
    },
    wrk::{self, Wrk, write_requests},
};

pub const ARGUMENT: &str = "compare";

const TENANTS: usize = 10;
const LISTED_KEYS: usize = 1_000;
/// In constant use, each key is used this often.
const USE_INTERVAL: Duration = Duration::from_secs(5);
const USE_CONNECTIONS: usize = 32;
/// The server's capacity in this load: more keys than this rate allows are used less often.
const MAX_USE_RATE: f64 = 10_000.0;

struct Plan {
    seconds: u64,
    rounds: usize,
    /// In b2 and in constant use; the row of memory has twice as many.
    keys: usize,
    usage_seconds: u64,
}

/// A binary, with a database and a running instance.
struct Side {
    name: &'static str,
    program: PathBuf,
    database: Database,
    server: Server,
    keys: Vec<Key>,
    listed: Vec<Key>,
    /// The request of b1, and the files of the requests of b2 and of the list.
    one: String,
    many: PathBuf,
    lists: PathBuf,
}

/// One side's result of a measurement.
#[derive(Clone, Copy, Default)]
struct Figure {
    value: f64,
    /// Microseconds per request.
    server_cpu: Option<f64>,
    postgres_cpu: Option<f64>,
}

struct Line {
    what: String,
    unit: &'static str,
    /// Old and new, for each round.
    rounds: Vec<[Figure; 2]>,
}

#[derive(Clone, Copy)]
enum Row {
    OneKey,
    ManyKeys,
    List,
}

pub async fn run(arguments: &[String]) -> Outcome<()> {
    let [old, new] = arguments else {
        return Err("usage: cargo bench --bench load -- compare OLD_BINARY NEW_BINARY".into());
    };
    let plan = Plan {
        seconds: number_from_env("BENCH_SECONDS", 5)?,
        rounds: usize::try_from(number_from_env("BENCH_ROUNDS", 5)?)?,
        keys: usize::try_from(number_from_env("BENCH_KEYS", 100_000)?)?,
        usage_seconds: number_from_env("BENCH_USAGE_SECONDS", 60)?,
    };
    let wrk_program = wrk::find()?;
    let mut sides = Vec::new();
    for (name, program) in [("old", old), ("new", new)] {
        sides.push(Side::start(name, Path::new(program).canonicalize()?, &plan).await?);
        eprintln!("{name}: {program} is ready, with {} keys", sides[sides.len() - 1].keys.len());
    }
    let wrk = Wrk::new(wrk_program, sides[0].database.dir())?;
    let lines = measure(&plan, &sides, &wrk).await;
    let postgres = sides[0].database.version().await?;
    for side in sides {
        side.server.stop().await?;
        side.database.stop().await?;
    }
    println!("\n{}, PostgreSQL {postgres}", machine());
    println!("old: {old}\nnew: {new}\n{} alternating rounds of {} s each\n", plan.rounds, plan.seconds);
    println!("{}", Table(lines?));
    Ok(())
}

async fn measure(plan: &Plan, sides: &[Side], wrk: &Wrk) -> Outcome<Vec<Line>> {
    let rows = [
        (Row::OneKey, "hot check, one key (b1)".to_owned()),
        (Row::ManyKeys, format!("hot check, {} keys at random (b2)", plan.keys)),
        (Row::List, format!("list of {LISTED_KEYS} keys")),
    ];
    let mut lines: Vec<_> =
        rows.iter().map(|(_, what)| Line { what: what.clone(), unit: "requests/s", rounds: vec![] }).collect();
    for round in 0..plan.rounds {
        for ((row, what), line) in rows.iter().zip(&mut lines) {
            let mut figures = [Figure::default(); 2];
            for side in order(round) {
                figures[side] = sides[side].throughput(plan, wrk, *row).await?;
                let (name, rate) = (sides[side].name, figures[side].value);
                eprintln!("round {}: {name} {rate:>9.0} requests/s, {what}", round + 1);
            }
            line.rounds.push(figures);
        }
    }
    for count in [plan.keys / 10, plan.keys] {
        let what = format!("PostgreSQL's CPU, {count} keys in constant use");
        lines.push(once(sides, what, "% of a core", async |side| side.constant_use(plan, count).await).await?);
    }
    let what = format!("peak memory, {} cached keys", 2 * plan.keys);
    lines.push(once(sides, what, "MiB", async |side| side.peak_memory().await).await?);
    Ok(lines)
}

/// The side that is measured first alternates.
fn order(round: usize) -> [usize; 2] {
    if round.is_multiple_of(2) { [0, 1] } else { [1, 0] }
}

/// A measurement that takes long, and varies little.
async fn once(
    sides: &[Side],
    what: String,
    unit: &'static str,
    measure: impl AsyncFn(&Side) -> Outcome<Figure>,
) -> Outcome<Line> {
    let figures = [measure(&sides[0]).await?, measure(&sides[1]).await?];
    eprintln!("{what}: old {:.1}, new {:.1} {unit}", figures[0].value, figures[1].value);
    Ok(Line { what, unit, rounds: vec![figures] })
}

impl Side {
    async fn start(name: &'static str, program: PathBuf, plan: &Plan) -> Outcome<Self> {
        let dir = std::env::temp_dir().join(format!("rally-api-keys-compare-{name}-{}", std::process::id()));
        let database = Database::start_empty(dir, &[]).await?;
        command(&program, &database, &["migrate"]).await?;
        let mut tenants = Vec::new();
        for n in 0..=TENANTS {
            tenants.push(create_tenant(&program, &database, &format!("tenant-{n}")).await?);
        }
        let keys = generate(&tenants[1..], 2 * plan.keys);
        let listed = generate(&tenants[..1], LISTED_KEYS);
        let mut connection = database.connect().await?;
        for keys in [&keys, &listed] {
            copy_stamped(&mut connection, keys).await?;
        }
        connection.execute("VACUUM (ANALYZE)").await?;
        connection.execute("CHECKPOINT").await?;
        let file = |name| database.dir().join(name);
        let (many, lists) = (file("many.requests"), file("list.requests"));
        let checked = checks(&keys[..plan.keys]);
        write_requests(&many, &checked)?;
        write_requests(&lists, &listed.iter().map(list).collect::<Vec<_>>())?;
        let one = checked[0].clone();
        let server = Server::launch_program(&program, &database, name, &[]).await?;
        server.wait_until_ready().await?;
        send_each(server.address, &checked, 200).await?;
        Ok(Self { name, program, database, server, keys, listed, one, many, lists })
    }

    async fn throughput(&self, plan: &Plan, wrk: &Wrk, row: Row) -> Outcome<Figure> {
        self.settle().await?;
        let (address, seconds) = (self.server.address, plan.seconds);
        match row {
            Row::OneKey | Row::ManyKeys => send_each(address, std::slice::from_ref(&self.one), 200).await?,
            Row::List => send_each(address, &[list(&self.listed[0])], 200).await?,
        }
        let before = self.cpu()?;
        let load = match row {
            Row::OneKey => wrk.run_one(address, &self.one, CONNECTIONS, seconds).await?,
            Row::ManyKeys => wrk.run(address, &self.many, CONNECTIONS, seconds).await?,
            Row::List => wrk.run(address, &self.lists, CONNECTIONS, seconds).await?,
        };
        let after = self.cpu()?;
        if load.refused + load.broken > 0 {
            return Err(format!("{}: {} responses were not 200", self.name, load.refused + load.broken).into());
        }
        let per_request = |n: usize| Some((after[n] - before[n]) * 1e6 / exact(load.requests));
        let value = exact(load.requests) / load.seconds;
        Ok(Figure { value, server_cpu: per_request(0), postgres_cpu: per_request(1) })
    }

    /// PostgreSQL's CPU time while each of the keys is used again and again, at the same rate on both sides.
    async fn constant_use(&self, plan: &Plan, count: usize) -> Outcome<Figure> {
        let requests = checks(&self.keys[..count]);
        let rate = (exact(u64::try_from(count)?) / USE_INTERVAL.as_secs_f64()).min(MAX_USE_RATE);
        self.settle().await?;
        let done = Instant::now() + Duration::from_secs(plan.usage_seconds + plan.usage_seconds / 4);
        let load = use_constantly(&self.server, &requests, rate, done);
        let measured = async {
            sleep(Duration::from_secs(plan.usage_seconds / 4)).await;
            let (begun, before) = (Instant::now(), self.cpu()?);
            sleep(Duration::from_secs(plan.usage_seconds)).await;
            Outcome::Ok((self.cpu()?[1] - before[1]) / begun.elapsed().as_secs_f64())
        };
        let (sent, cores) = tokio::try_join!(load, measured)?;
        let reached = exact(sent) / exact(plan.usage_seconds + plan.usage_seconds / 4);
        eprintln!("{}: {count} keys, {reached:.0} of {rate:.0} requests/s", self.name);
        Ok(Figure { value: 100.0 * cores, ..Figure::default() })
    }

    /// Of a new instance that looks up all keys.
    async fn peak_memory(&self) -> Outcome<Figure> {
        let server = Server::launch_program(&self.program, &self.database, "memory", &[]).await?;
        server.wait_until_ready().await?;
        send_each(server.address, &checks(&self.keys), 200).await?;
        self.settle().await?;
        let value = server.memory("VmHWM")?;
        server.stop().await?;
        Ok(Figure { value, ..Figure::default() })
    }

    /// The CPU time of the server and of PostgreSQL, in seconds.
    fn cpu(&self) -> Outcome<[f64; 2]> {
        let times = self.server.cpu().zip(self.database.cpu()).ok_or("CPU time is read from Linux's /proc")?;
        Ok([times.0.as_secs_f64(), times.1.as_secs_f64()])
    }

    /// Waits until PostgreSQL has nothing more to write for the last measurement. In both schemas, usage is written
    /// within seconds.
    async fn settle(&self) -> Outcome<()> {
        self.server.empty_log()?;
        for _ in 0..30 {
            let before = self.cpu()?[1];
            sleep(Duration::from_secs(3)).await;
            if self.cpu()?[1] - before < 0.1 {
                break;
            }
        }
        Ok(())
    }
}

fn list(key: &Key) -> String {
    request("GET", API, &key.tenant, &format!("X-Api-Key: {}\r\n", key.secret.reveal()), "")
}

/// Goes through the requests in order, again and again, and returns how many it has sent.
async fn use_constantly(server: &Server, requests: &[String], rate: f64, done: Instant) -> Outcome<u64> {
    let interval = Duration::from_secs_f64(exact(USE_CONNECTIONS as u64) / rate);
    let workers = (0..USE_CONNECTIONS).map(|worker| async move {
        let mut connection = Connection::open(server.address).await?;
        let (mut next, mut due, mut sent) = (worker, Instant::now(), 0_u64);
        while due < done && Instant::now() < done {
            sleep_until(due).await;
            let reply = connection.send(&requests[next % requests.len()]).await?;
            if reply.status != 200 {
                return Err(format!("a check has status {}", reply.status).into());
            }
            next += USE_CONNECTIONS;
            due += interval;
            sent += 1;
        }
        Outcome::Ok(sent)
    });
    Ok(futures_util::future::try_join_all(workers).await?.into_iter().sum())
}

/// Runs a command of the binary on the database.
async fn command(program: &Path, database: &Database, arguments: &[&str]) -> Outcome<()> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("DATABASE_URL", database.url_text()).current_dir(database.dir());
    let output = command.stdin(Stdio::null()).output().await?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{} {arguments:?} failed: {}", program.display(), String::from_utf8_lossy(&output.stderr)).into())
}

async fn create_tenant(program: &Path, database: &Database, slug: &str) -> Outcome<Tenant> {
    command(program, database, &["tenant", "create", slug]).await?;
    let id: uuid::Uuid = sqlx::query_scalar("SELECT id FROM tenants WHERE slug = $1")
        .bind(slug)
        .fetch_one(&mut database.connect().await?)
        .await?;
    Ok(Tenant { id: rally_api_keys::domain::TenantId(id), slug: Slug::parse(slug)?, external_id: None })
}

/// Medians of the rounds. The ratio is the median of the rounds' ratios, so that a disturbance of the machine weighs
/// on both sides.
struct Table(Vec<Line>);

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading =
            ["what", "unit", "old", "new", "new/old", "min–max", "server's CPU, µs", "PostgreSQL's CPU, µs", "rounds"];
        let mut table = vec![heading.map(str::to_owned).to_vec()];
        for Line { what, unit, rounds } in &self.0 {
            let values = |pick: &dyn Fn(&Figure) -> Option<f64>, side: usize| {
                median(&rounds.iter().filter_map(|figures| pick(&figures[side])).collect::<Vec<_>>())
            };
            let ratios: Vec<f64> = rounds.iter().map(|[old, new]| new.value / old.value).collect();
            let bound = |pick: fn(f64, f64) -> f64| ratios.iter().copied().fold(f64::NAN, pick);
            let pair = |pick: &dyn Fn(&Figure) -> Option<f64>| match [values(pick, 0), values(pick, 1)] {
                [old, new] if old.is_finite() && new.is_finite() => format!("{old:.1} → {new:.1}"),
                _ => String::new(),
            };
            let digits = usize::from(*unit != "requests/s");
            let value = |side| format!("{:.digits$}", values(&|figure| Some(figure.value), side));
            table.push(vec![
                what.clone(),
                (*unit).to_owned(),
                value(0),
                value(1),
                format!("{:.3}", median(&ratios)),
                format!("{:.3}–{:.3}", bound(f64::min), bound(f64::max)),
                pair(&|figure| figure.server_cpu),
                pair(&|figure| figure.postgres_cpu),
                rounds.len().to_string(),
            ]);
        }
        write_table(f, &table)
    }
}
