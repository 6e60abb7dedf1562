//! Checks of a database, for operators (`rally-api-keys doctor`).

use std::time::Duration;

use chrono::TimeDelta;
use sqlx::PgConnection;
use tokio::time::timeout;

use super::{
    Change, ChangeFeed, ConnectError, DatabaseUrl, Durability, Error, Heartbeat, HeartbeatSender,
    connect::{Role, begin_inspection, check_direct, check_server, check_statements},
    database::check_bound,
    migrate,
    safeguards::{TENANT_TABLES, check_creators, check_row_level_security, check_triggers},
};
use crate::domain::{Clock, clock_offset};

/// Limit of the change feed's check.
const FEED_TIMEOUT: Duration = Duration::from_secs(5);
/// A larger difference between the clocks is reported.
const MAX_CLOCK_OFFSET: TimeDelta = TimeDelta::seconds(1);
/// The outcome of one check.
#[derive(Debug)]
pub struct Finding {
    /// What was checked.
    pub what: &'static str,
    /// The state; or what is wrong and what to do.
    pub outcome: Result<String, String>,
}

/// Checks everything that the service needs of a database; `direct` is for the change feed.
pub async fn inspect(url: &DatabaseUrl, direct: &DatabaseUrl, clock: &Clock) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut connection = match url.connect().await {
        Ok(connection) => connection,
        Err(error) => {
            let outcome = Err(format!("cannot connect to {url}: {error}. Does it run, and does DATABASE_URL name it?"));
            findings.push(Finding { what: "connection", outcome });
            return findings;
        }
    };
    findings.push(Finding { what: "connection", outcome: Ok(url.to_string()) });
    let statements = check_statements(&mut connection, url).await;
    findings
        .push(Finding { what: "statements", outcome: text(statements.map(|()| "stay prepared as expected".into())) });
    let server = check_server(&mut connection).await;
    findings
        .push(Finding { what: "server", outcome: text(server.map(|()| "version and encoding are supported".into())) });
    findings.push(Finding { what: "durability", outcome: durability(&mut connection).await });
    findings.push(Finding { what: "clock", outcome: compare_clocks(&mut connection, clock).await });
    let role = role(&mut connection).await;
    let name = role.as_ref().map(|role| role.name.clone()).unwrap_or_default();
    findings.push(Finding { what: "role", outcome: judge_role(&mut connection, role).await });
    let migrated = migrate::check_migrated(&mut connection, &name).await;
    findings.push(Finding { what: "migrations", outcome: text(migrated.map(|()| "all are applied".into())) });
    let secured = check_row_level_security(&mut connection).await;
    let on_all = || format!("enabled and forced on {} tables", TENANT_TABLES.len());
    findings.push(Finding { what: "row-level security", outcome: text(secured.map(|()| on_all())) });
    let creators = check_creators(&mut connection).await;
    findings
        .push(Finding { what: "schema", outcome: text(creators.map(|()| "only its owner may create objects".into())) });
    let triggers = check_triggers(&mut connection).await;
    findings.push(Finding { what: "triggers", outcome: text(triggers.map(|()| "run in every session".into())) });
    findings.push(Finding { what: "change feed", outcome: change_feed(direct).await });
    findings
}

fn text(outcome: Result<String, ConnectError>) -> Result<String, String> {
    outcome.map_err(|error| error.to_string())
}

async fn role(connection: &mut PgConnection) -> Result<Role, sqlx::Error> {
    Role::of(&mut *begin_inspection(connection).await?).await
}

async fn durability(connection: &mut PgConnection) -> Result<String, String> {
    let durability = Durability::of(connection).await.map_err(|error| error.to_string())?;
    if durability.is_replica {
        return Err("the server is a replica, which takes no writes; DATABASE_URL must name the primary".into());
    }
    match durability.weaknesses()[..] {
        [] => Ok("acknowledged changes survive a crash".into()),
        ref weak => Err(format!(
            "{}: a crash can lose acknowledged changes, revocations too; switch these on in postgresql.conf",
            weak.join(", ")
        )),
    }
}

async fn compare_clocks(connection: &mut PgConnection, clock: &Clock) -> Result<String, String> {
    let before = clock.now();
    let time = sqlx::query_scalar("SELECT pg_catalog.clock_timestamp()").persistent(false).fetch_one(connection).await;
    let offset = clock_offset(before, time.map_err(|error| error.to_string())?, clock.now());
    let direction = if offset < TimeDelta::zero() { "behind" } else { "ahead of" };
    let text = format!("this machine's clock is {:.3} s {direction} the database's", offset.abs().as_seconds_f64());
    if offset.abs() <= MAX_CLOCK_OFFSET {
        return Ok(text);
    }
    Err(format!(
        "{text}: keys and rotated secrets end at different moments on different machines; let NTP set both clocks"
    ))
}

async fn judge_role(connection: &mut PgConnection, role: Result<Role, sqlx::Error>) -> Result<String, String> {
    let role = role.map_err(|error| error.to_string())?;
    if role.is_app {
        check_bound(connection, &role.name).await.map_err(|error| error.to_string())?;
    }
    match role.unbound() {
        None => Ok(format!("\"{}\", which row-level security binds", role.name)),
        // The service takes the role rally_app in each transaction.
        Some(why) if role.bypasses_policies || role.owns => Ok(format!(
            "\"{}\" {why}; the service will work as rally_app. In production, use a login that is only a member of \
             rally_app",
            role.name
        )),
        Some(why) => Err(format!("\"{}\" {why}: GRANT rally_app TO \"{0}\"", role.name)),
    }
}

async fn change_feed(url: &DatabaseUrl) -> Result<String, String> {
    check_direct(url).await.map_err(|error| error.to_string())?;
    let received = async {
        let mut feed = ChangeFeed::listen(url).await?;
        let heartbeat = Heartbeat::random();
        HeartbeatSender::connect(url).await?.send(heartbeat).await?;
        while let Some(change) = feed.next().await? {
            if change == Change::Heartbeat(heartbeat) {
                return Ok::<_, Error>(true);
            }
        }
        Ok(false)
    };
    match timeout(FEED_TIMEOUT, received).await {
        Ok(Ok(true)) => Ok(format!("a notification came back through {url}")),
        Ok(Ok(false)) => Err("the connection was closed".into()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!(
            "no notification came back through {url}. If that is a pooler in transaction mode, set \
             DATABASE_DIRECT_URL to the server itself"
        )),
    }
}
