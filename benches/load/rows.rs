//! Throughput: rows a to i, l to n.

use std::path::PathBuf;

use chrono::TimeDelta;
use rally_api_keys::domain::{Scope, Secret, Tenant};

use crate::{
    Outcome, Plan,
    baseline::{self, Baseline},
    report::{Line, Report},
    seed::Seed,
    stand::{
        client::{check, request, send_each},
        exact,
        keys::{Key, token},
        postgres::Database,
        redis::Redis,
        server::Server,
    },
    wrk::{Load, Wrk, write_requests},
};

pub const CONNECTIONS: usize = 64;
/// Distinct requests in rows of many keys.
const REQUESTS: usize = 100_000;
pub const API: &str = "/api/v1/api-keys";

/// The server that a row measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An instance with default settings and a warm cache.
    Hot,
    /// As [`Self::Hot`], with a Redis for rate limits.
    Redis,
    /// An instance without a cache.
    Cold,
    /// An instance without a cache and without a pepper.
    Argon2,
    Bare,
    Select,
}

/// One line of the table.
pub struct Row {
    letter: char,
    /// The name in the table and in goals.
    pub name: &'static str,
    what: &'static str,
    pub target: Target,
    /// The status of every response.
    status: u16,
    /// The number of requests that are sent before each measurement to fill the cache.
    warm: usize,
    pub requests: Vec<String>,
}

/// The servers and the rows that measure them.
pub struct Stand {
    servers: Vec<(Target, Server)>,
    redis: Option<Redis>,
    pub rows: Vec<Row>,
}

/// `count` requests, for the items in turn. Each has another User-Agent.
fn requests<T>(items: &[T], count: usize, make: impl Fn(&T, String) -> String) -> Vec<String> {
    let items = items.iter().cycle().take(count).enumerate();
    items.map(|(n, item)| make(item, format!("User-Agent: load/{n}\r\n"))).collect()
}

fn forward_auth(tenant: &Tenant, agent: &str, secret: &str) -> String {
    request("GET", "/forward-auth", tenant, &format!("{agent}X-Api-Key: {secret}\r\n"), "")
}

fn with_token(method: &str, path: &str, tenant: &Tenant, agent: &str, token: &str, body: &str) -> String {
    request(method, path, tenant, &format!("{agent}Authorization: Bearer {token}\r\n"), body)
}

fn rows(seed: &Seed) -> Outcome<Vec<Row>> {
    let keys = |path: &'static str, keys: &[Key], count| {
        requests(keys, count, |key, agent| {
            request("GET", path, &key.tenant, &format!("{agent}X-Api-Key: {}\r\n", key.secret.reveal()), "")
        })
    };
    let tokens: Vec<(Tenant, String)> = seed
        .keys
        .iter()
        .take(10)
        .map(|key| Ok((key.tenant, token(&key.tenant, Scope::Read)?)))
        .collect::<Outcome<_>>()?;
    let row = |letter, name, what, target, status, requests| Row {
        letter,
        name,
        what,
        target,
        status,
        warm: match (target, letter) {
            (Target::Hot, 'b') | (Target::Hot | Target::Redis, 'n') => REQUESTS,
            _ => 0,
        },
        requests,
    };
    let checks = || keys("/forward-auth", &seed.keys, REQUESTS);
    let rows_by_id = requests(&seed.keys, REQUESTS, |key, agent| {
        request("GET", &format!("/rows/{}/{}", key.tenant.id, key.id), &key.tenant, &agent, "")
    });
    let malformed = requests(&seed.keys, 1_000, |key, agent| {
        let malformed = Secret::generate().reveal().to_uppercase(); // a key's length, but not its form
        forward_auth(&key.tenant, &agent, &malformed)
    });
    let unknown = requests(&seed.keys, REQUESTS, |key, agent| {
        forward_auth(&key.tenant, &agent, Secret::generate().reveal()) // of no key
    });
    let by_token = requests(&tokens[..1], 1, |(tenant, token), agent| {
        with_token("GET", "/forward-auth", tenant, &agent, token, "")
    });
    let admin = token(&seed.empty, Scope::Admin)?;
    let creates = requests(&["n"], 1_000, |_, agent| {
        with_token("POST", API, &seed.empty, &agent, &admin, r#"{"name":"Made under load","scopes":"read,write"}"#)
    });
    let listed_admin = token(&seed.listed[0].tenant, Scope::Admin)?;
    let rotating_admin = token(&seed.rotating[0].tenant, Scope::Admin)?;
    let rotations = requests(&seed.rotating, seed.rotating.len(), |key, agent| {
        with_token("POST", &format!("{API}/{}/rotate", key.id), &key.tenant, &agent, &rotating_admin, "{}")
    });
    let from = (seed.seeded_at - TimeDelta::days(399)).format("%Y-%m-%dT%H:%M:%SZ");
    let usages = requests(&seed.listed[..1], 1_000, |key, agent| {
        let path = format!("{API}/{}/usage?from={from}", key.id);
        with_token("GET", &path, &key.tenant, &agent, &listed_admin, "")
    });
    let one =
        Row { warm: 1, ..row('b', "b1", "hot, one key", Target::Hot, 200, keys("/forward-auth", &seed.keys[..1], 1)) };
    let denied = |name, what, target| {
        let requests = keys("/forward-auth", &seed.refused, 1);
        Row { warm: 1, ..row('n', name, what, target, 403, requests) }
    };
    let limited = || keys("/forward-auth", &seed.limited, REQUESTS);
    Ok(vec![
        row('a', "a", "empty route, the service's layers", Target::Hot, 200, keys("/healthz", &seed.keys[..1], 1)),
        row('a', "a bare", "empty route, bare axum", Target::Bare, 200, keys("/healthz", &seed.keys[..1], 1)),
        row(
            'a',
            "a many",
            "empty route, sent what b2 is sent",
            Target::Hot,
            200,
            keys("/healthz", &seed.keys, REQUESTS),
        ),
        one,
        row('b', "b2", "hot, 100,000 keys at random", Target::Hot, 200, checks()),
        row('c', "c", "by JWT", Target::Hot, 200, by_token),
        row('d', "d", "cold, stamps: no cache", Target::Cold, 200, checks()),
        row('e', "e", "bare axum, a SELECT of one row", Target::Select, 200, rows_by_id),
        row('f', "f", "cold, no pepper: argon2", Target::Argon2, 200, keys("/forward-auth", &seed.unstamped, 10_000)),
        row('g', "g1", "malformed secret", Target::Hot, 401, malformed),
        row('g', "g2", "unknown secret: a query each", Target::Hot, 401, unknown),
        row('h', "h", "create", Target::Hot, 201, creates),
        row('i', "i", "list of 1,000 keys", Target::Hot, 200, keys(API, &seed.listed, 1_000)),
        row('l', "l", "rotate", Target::Hot, 200, rotations),
        row('m', "m", "usage of 400 days, by day", Target::Hot, 200, usages),
        row('n', "n1", "as b2, with a rate limit", Target::Hot, 200, limited()),
        row('n', "n2", "as b2, with a rate limit in Redis", Target::Redis, 200, limited()),
        denied("n3", "as b1, beyond its rate limit", Target::Hot),
        denied("n4", "as b1, beyond its rate limit in Redis", Target::Redis),
    ])
}

impl Stand {
    pub async fn set_up(plan: &Plan, database: &Database, seed: &Seed) -> Outcome<Self> {
        let mut rows = rows(seed)?;
        rows.retain(|row| plan.has(row.letter));
        let no_cache = ("VERIFY_CACHE_ENTRIES", "0");
        let (mut servers, mut redis) = (Vec::new(), None);
        for target in [Target::Hot, Target::Redis, Target::Cold, Target::Argon2, Target::Bare, Target::Select] {
            if !rows.iter().any(|row| row.target == target) {
                continue;
            }
            let server = match target {
                Target::Hot => Server::instance(database, "hot", &[]).await?,
                Target::Redis => {
                    let url = redis.insert(Redis::start(database.dir()).await?).url.clone();
                    Server::instance(database, "redis", &[("REDIS_URL", &url)]).await?
                }
                Target::Cold => Server::instance(database, "cold", &[no_cache]).await?,
                // An empty value counts as none.
                Target::Argon2 => Server::instance(database, "argon2", &[no_cache, ("KEY_PEPPER", "")]).await?,
                Target::Bare => baseline::start(database, Baseline::Bare).await?,
                Target::Select => baseline::start(database, Baseline::Select).await?,
            };
            servers.push((target, server));
        }
        Ok(Self { servers, redis, rows })
    }

    pub fn server(&self, target: Target) -> Outcome<&Server> {
        let found = self.servers.iter().find(|(it, _)| *it == target);
        Ok(found.map(|(_, server)| server).ok_or("no such server was started")?)
    }

    /// Measures all rows in each round.
    pub async fn measure(&self, plan: &Plan, wrk: &Wrk, database: &Database, report: &mut Report) -> Outcome<()> {
        let mut files: Vec<PathBuf> = Vec::new();
        for row in &self.rows {
            let file = database.dir().join(format!("{}.requests", row.name));
            write_requests(&file, &row.requests)?;
            files.push(file);
            report.lines.push(Line::new(row.name, row.what, "requests/s"));
            // wrk does not distinguish 2xx statuses. A key beyond its limit was within it once.
            let first = if row.status == 403 { 200 } else { row.status };
            send_each(self.server(row.target)?.address, &row.requests[..1], first).await?;
        }
        for round in 1..=plan.rounds {
            for (index, (row, file)) in self.rows.iter().zip(&files).enumerate() {
                let server = self.server(row.target)?;
                send_each(server.address, &row.requests[..row.warm], row.status).await?;
                server.empty_log()?;
                database.settle().await?;
                let before = server.cpu();
                let load = match &row.requests[..] {
                    [one] => wrk.run_one(server.address, one, CONNECTIONS, plan.seconds).await?,
                    _ => wrk.run(server.address, file, CONNECTIONS, plan.seconds).await?,
                };
                let used = before.zip(server.cpu()).map(|(before, after)| after.saturating_sub(before).as_secs_f64());
                report.lines[index].add(rate(load), used.map(|used| used * 1e6 / exact(load.requests)));
                report.lines[index].wrong += wrong(load, row.status);
                eprintln!("round {round}: {:<6} {:>9.0} requests/s, {}", row.name, rate(load), row.what);
            }
        }
        Ok(())
    }

    pub async fn take_down(self) -> Outcome<()> {
        for (_, server) in self.servers {
            server.stop().await?;
        }
        if let Some(redis) = self.redis {
            redis.stop().await?;
        }
        Ok(())
    }
}

fn rate(load: Load) -> f64 {
    exact(load.requests) / load.seconds
}

/// The number of unexpected responses.
fn wrong(load: Load, status: u16) -> u64 {
    let refused_wrongly = if status < 400 { load.refused } else { load.requests - load.refused };
    refused_wrongly + load.broken
}

/// A gateway's checks of these keys.
pub fn checks(keys: &[Key]) -> Vec<String> {
    keys.iter().map(check).collect()
}
