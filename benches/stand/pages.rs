//! Pages of 50 of a tenant's keys, as a console reads them, one request at a time.

use std::time::{Duration, Instant};

use super::{
    Outcome,
    client::{Connection, request},
    keys::token,
    server::Server,
};
use rally_api_keys::domain::{Scope, Tenant};

/// The names of the keys, which the searches look for.
pub const KEY_NAMES: [&str; 6] =
    ["Zapier Sync", "ETL Pipeline", "Warehouse", "Partner portal", "Mobile app", "Invoice export"];

/// Each measured request: its name and its query.
pub const KINDS: [(&str, &str); 24] = [
    ("first page", ""),
    ("by name", "&sort=name"),
    ("latest use first", "&sort=-lastUsedAt"),
    ("never used first", "&sort=lastUsedAt"),
    ("by expiry", "&sort=expiresAt"),
    ("latest expiry first", "&sort=-expiresAt"),
    ("search, no match", "&search=no+such+key"),
    ("search, a few matches", "&search=zapier+sync+123"),
    ("search, a sixth matches", "&search=zap"),
    ("search, a sixth, by name", "&search=zap&sort=name"),
    ("search, two letters", "&search=zq"),
    ("search, last 4 digits", "&search=1b4c"),
    ("active", "&status=active"),
    ("revoked", "&status=revoked"),
    ("revoked, latest use first", "&status=revoked&sort=-lastUsedAt"),
    ("scope admin", "&scope=admin"),
    ("scope admin, by name", "&scope=admin&sort=name"),
    ("one creator", "&createdBy=user7@acme.com"),
    ("expires within 3 days", "&expiresBefore={in 3 days}&sort=expiresAt"),
    ("unused for 1 day", "&unusedForDays=1"),
    ("unused for 50 days", "&unusedForDays=50"),
    ("unused for 50 days, by last use", "&unusedForDays=50&sort=lastUsedAt"),
    ("search of active admins", "&search=sync&status=active&scope=admin&sort=name"),
    ("with usage", "&include=usage"),
];

/// Each policy whose violations are listed, by a dry run.
const POLICIES: [(&str, &str); 4] = [
    ("policy that all keys break", r#"{"requireAllowedAddresses":true}"#),
    ("policy of 90 days", r#"{"maxLifetimeDays":90}"#),
    ("policy of 30 idle days", r#"{"idleSuspendDays":30}"#),
    // The oldest keys, of which a tenth was never used.
    ("policy of 69 idle days", r#"{"idleSuspendDays":69}"#),
];

pub struct Times {
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
}

/// Times each kind. `None` for one that the build does not know.
pub async fn time_all(server: &Server, tenant: &Tenant, requests: u32) -> Outcome<Vec<(&'static str, Option<Times>)>> {
    let header = format!("Authorization: Bearer {}\r\n", token(tenant, Scope::Read)?);
    let soon = (chrono::Utc::now() + chrono::TimeDelta::days(3)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut rows = Vec::new();
    for (kind, query) in KINDS {
        let path = format!("/api/v1/api-keys?limit=50{}", query.replace("{in 3 days}", &soon));
        let times = time(server, &request("GET", &path, tenant, &header, ""), requests).await?;
        rows.push((kind, times));
    }
    let header = format!("Authorization: Bearer {}\r\n", token(tenant, Scope::Admin)?);
    for (kind, policy) in POLICIES {
        let dry_run = request("PUT", "/api/v1/api-keys/policy?dryRun=true", tenant, &header, policy);
        rows.push((kind, time(server, &dry_run, requests).await?));
    }
    Ok(rows)
}

/// The table of those times, with its head.
pub fn table(rows: &[(&'static str, Option<Times>)]) -> Vec<Vec<String>> {
    let mut table = vec![["page of 50", "p50 ms", "p99 ms", "max ms"].map(str::to_owned).to_vec()];
    for (kind, times) in rows {
        let ms = |time: Option<Duration>| time.map_or("-".into(), |time| format!("{:.1}", time.as_secs_f64() * 1e3));
        let times = times.as_ref();
        table.push(vec![
            (*kind).to_owned(),
            ms(times.map(|times| times.p50)),
            ms(times.map(|times| times.p99)),
            ms(times.map(|times| times.max)),
        ]);
    }
    table
}

/// `None`: the build does not know the query.
async fn time(server: &Server, request: &str, requests: u32) -> Outcome<Option<Times>> {
    let mut connection = Connection::open(server.address).await?;
    let mut times = Vec::new();
    for n in 0..requests + 5 {
        let begun = Instant::now();
        let reply = connection.send(request).await?;
        match reply.status {
            200 if n < 5 => {} // a connection to PostgreSQL that is new, and its cache
            200 => times.push(begun.elapsed()),
            400 => return Ok(None),
            status => return Err(format!("status {status}: {}", String::from_utf8_lossy(&reply.body)).into()),
        }
    }
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len() - 1)).copied();
    let (Some(p50), Some(p99), Some(max)) = (at(50), at(99), times.last().copied()) else { return Ok(None) };
    Ok(Some(Times { p50, p99, max }))
}
