//! Latency of pages of 50 of a tenant's 100,000 keys, as a console reads them:
//!
//! ```sh
//! cargo bench --bench lists                 # some two minutes
//! cargo bench --bench lists -- BINARY       # of another build of the service; what it does not know is left out
//! BENCH_KEYS=10000 BENCH_REQUESTS=50        # keys of the tenant (100,000), and requests of each kind (200)
//! ```
//!
//! One request at a time, over one connection, on a private PostgreSQL with default settings. Another tenant has half as many
//! keys with the same names. 90 % of the keys were used, in any of the last 60 days; a tenth is revoked, a quarter has an end.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "rules for the service, not for its benchmarks"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its results")]

#[allow(dead_code, reason = "shared, and each program uses its part of it")]
#[path = "../stand/mod.rs"]
mod stand;

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use rally_api_keys::{domain::Tenant, store::TenantAdmin};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

use self::stand::{
    Outcome,
    keys::tenant,
    pages::{self, KEY_NAMES, Times},
    postgres::Database,
    server::Server,
    table::{machine, write_table},
};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    if !args.iter().any(|arg| arg == "--bench") {
        println!("run the benchmark with: cargo bench --bench lists");
        return ExitCode::SUCCESS;
    }
    let program = args.into_iter().find(|arg| arg != "--bench").map(PathBuf::from);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(program.as_deref())));
    match outcome {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("lists: {error}");
            ExitCode::FAILURE
        }
    }
}

fn number(name: &str, default: u32) -> Outcome<u32> {
    env::var(name).map_or(Ok(default), |text| text.parse().map_err(|_| format!("{name} must be a number").into()))
}

async fn run(program: Option<&Path>) -> Outcome<Report> {
    let dir = env::temp_dir().join(format!("rally-api-keys-lists-{}", std::process::id()));
    // The service migrates it.
    let database = Database::start_empty(dir, &[]).await?;
    let outcome = measure(&database, program).await;
    database.stop().await?;
    outcome
}

async fn measure(database: &Database, program: Option<&Path>) -> Outcome<Report> {
    let program = program.unwrap_or(Path::new(env!("CARGO_BIN_EXE_rally-api-keys")));
    let server = Server::launch_program(program, database, "lists", &[]).await?;
    server.wait_until_ready().await?;
    let (keys, requests) = (number("BENCH_KEYS", 100_000)?, number("BENCH_REQUESTS", 200)?);
    let mut admin = TenantAdmin::connect(&database.url()).await?;
    let (ours, theirs) = (tenant(&mut admin, "large").await?, tenant(&mut admin, "other").await?);
    let mut connection = database.connect().await?;
    seed(&mut connection, &ours, keys).await?;
    seed(&mut connection, &theirs, keys / 2).await?;
    connection.execute("VACUUM (ANALYZE)").await?;
    connection.execute("CHECKPOINT").await?;

    let rows = pages::time_all(&server, &ours, requests).await?;
    server.stop().await?;
    Ok(Report { keys, requests, version: database.version().await?, rows })
}

/// Keys, their secrets and last uses, and an hour of usage for each of the last days of some of them.
async fn seed(connection: &mut PgConnection, tenant: &Tenant, keys: u32) -> Outcome<()> {
    let id = tenant.id;
    let sql = format!(
        "WITH made AS (
             INSERT INTO public.api_keys (tenant_id, id, name, folded_name, scopes, created_at, expires_at, created_by, last4, revoked_at)
             SELECT '{id}',
                    (lpad(to_hex((extract(epoch FROM created) * 1000)::bigint), 12, '0') || '7'
                     || substr(md5('{id}' || n), 1, 3) || '8' || substr(md5('{id}' || n), 4, 15))::uuid,
                    name, lower(name), (ARRAY['read', 'read,write', 'admin'])[1 + n % 3], created,
                    CASE WHEN n % 4 = 0 THEN now() + (n % 1000 - 200) * interval '1 day' END,
                    'user' || n % 50 || '@acme.com', substr(md5(n::text), 1, 4), CASE WHEN n % 10 = 0 THEN now() END
             FROM generate_series(1, {keys}) n
             CROSS JOIN LATERAL (SELECT now() - ({keys} - n) * interval '1 minute' AS created) c
             CROSS JOIN LATERAL (SELECT (ARRAY['{}'])[1 + n % 6] || ' ' || n AS name) named
             RETURNING tenant_id, id
         )
         INSERT INTO public.api_key_secrets (tenant_id, lookup_digest, key_id, phc, last4, created_at)
         SELECT tenant_id, decode(md5(id::text), 'hex'), id, '$argon2id$v=19$m=19456,t=2,p=1$x$x', '0000', now() FROM made;
         INSERT INTO public.api_key_last_uses (tenant_id, key_id, lookup_digest, used_at, address, user_agent)
         SELECT tenant_id, key_id, lookup_digest, now() - random() * interval '60 days', '203.0.113.7', 'etl/2.1'
         FROM public.api_key_secrets WHERE tenant_id = '{id}' AND random() < 0.9;
         INSERT INTO public.api_key_usage (tenant_id, key_id, hour, requests, denied_expired, denied_scope, denied_revoked)
         SELECT tenant_id, id, date_trunc('hour', now(), 'UTC') - n * interval '1 hour', 9, 1, 1, 1
         FROM (SELECT tenant_id, id FROM public.api_keys WHERE tenant_id = '{id}' ORDER BY created_at DESC LIMIT 100) k
         CROSS JOIN generate_series(0, 30 * 24 - 1) n",
        KEY_NAMES.join("', '")
    );
    connection.execute(AssertSqlSafe(sql)).await?;
    Ok(())
}

struct Report {
    keys: u32,
    requests: u32,
    version: String,
    rows: Vec<(&'static str, Option<Times>)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {}; {} keys, {} requests of each kind\n", machine(), self.version, self.keys, self.requests)?;
        write_table(f, &pages::table(&self.rows))
    }
}
