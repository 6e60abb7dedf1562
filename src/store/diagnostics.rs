//! Checks of a database, for operators (`rally-api-keys doctor`).

use std::{fmt::Display, time::Duration};

use chrono::TimeDelta;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    ChangeFeed, DatabaseUrl, Durability, Error, MessageSender, Notification,
    connect::{Role, begin_inspection, check_direct, check_server, check_statements, connect_in_time},
    database::check_bound,
    key_list::check_search_index,
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
    /// How it is.
    pub level: Level,
    /// The state; or what is wrong and what to do.
    pub text: String,
}

/// How good a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works; another choice is safer.
    Warn,
    /// It does not work, or is unsafe.
    Fail,
    /// It could not be checked.
    Skip,
}

impl Finding {
    /// A finding of that level.
    pub fn new(what: &'static str, level: Level, text: impl Into<String>) -> Self {
        Self { what, level, text: text.into() }
    }

    /// Good, or a failure.
    pub fn of(what: &'static str, outcome: Result<String, impl Display>) -> Self {
        match outcome {
            Ok(text) => Self::new(what, Level::Ok, text),
            Err(why) => Self::new(what, Level::Fail, why.to_string()),
        }
    }
}

/// Which database is checked.
#[derive(Clone, Copy, Debug)]
pub struct Inspected<'a> {
    /// For requests.
    pub url: &'a DatabaseUrl,
    /// For the change feed, where that is another one.
    pub direct: Option<&'a DatabaseUrl>,
    /// The login that sees all tenants, where that is another one.
    pub owner: Option<&'a DatabaseUrl>,
    /// The ids of the configured peppers.
    pub peppers: &'a [String],
}

/// Checks everything that the service needs of a database.
pub async fn inspect(inspected: Inspected<'_>, clock: &Clock) -> Vec<Finding> {
    let url = inspected.url;
    let urls = [Some(url), inspected.direct, inspected.owner].into_iter().flatten();
    let mut findings: Vec<_> = urls.filter(|url| url.is_unverified_remote()).map(unverified).collect();
    let mut connection = match connect_in_time(url).await {
        Ok(connection) => connection,
        Err(error) => {
            let why = format!("cannot connect to {url}: {error}. Does it run, and does DATABASE_URL name it?");
            findings.push(Finding::new("connection", Level::Fail, why));
            return findings;
        }
    };
    findings.push(Finding::new("connection", Level::Ok, url.to_string()));
    let statements = check_statements(&mut connection, url).await;
    findings.push(Finding::of("statements", statements.map(|()| "stay prepared as expected".into())));
    let server = check_server(&mut connection).await;
    findings.push(Finding::of("server", server.map(|()| "version and encoding are supported".into())));
    findings.push(Finding::of("durability", durability(&mut connection).await));
    findings.push(Finding::of("clock", compare_clocks(&mut connection, clock).await));
    match (role(&mut connection).await, has_tables(&mut connection).await) {
        (Ok(role), Ok(true)) => findings.extend(inspect_schema(&mut connection, &role, inspected).await),
        (Ok(role), Ok(false)) => findings.push(Finding::new("migrations", Level::Fail, judge_empty(&role))),
        (Err(error), _) | (_, Err(error)) => findings.push(Finding::of("role", Err(error))),
    }
    findings.push(Finding::of("change feed", change_feed(url, inspected.direct).await));
    findings
}

fn unverified(url: &DatabaseUrl) -> Finding {
    let problem = "the server's certificate is not verified, so whoever is on the way can read and change everything: set \
                   sslmode=verify-full, and sslrootcert for a private authority";
    Finding::new("TLS to the database", Level::Warn, format!("{}: {problem}", url.with_ssl_mode()))
}

/// What depends on the migrations.
async fn inspect_schema(connection: &mut PgConnection, role: &Role, inspected: Inspected<'_>) -> Vec<Finding> {
    let mut findings = vec![Finding::of("role", judge_role(connection, role).await)];
    let migrated = migrate::check_migrated(connection, &role.name).await;
    findings.push(Finding::of("migrations", migrated.map(|()| "all are applied".into())));
    let secured = check_row_level_security(connection).await;
    let on_all = || format!("enabled and forced on {} tables", TENANT_TABLES.len());
    findings.push(Finding::of("row-level security", secured.map(|()| on_all())));
    let creators = check_creators(connection).await;
    findings.push(Finding::of("schema", creators.map(|()| "only its owner may create objects".into())));
    findings.push(Finding::of("search path", search_path(connection).await));
    let triggers = check_triggers(connection).await;
    findings.push(Finding::of("triggers", triggers.map(|()| "run in every session".into())));
    findings.push(search_index(connection).await);
    findings.push(stamps(inspected).await);
    findings
}

async fn search_index(connection: &mut PgConnection) -> Finding {
    let (level, text) = match check_search_index(connection).await {
        Ok(Ok(())) => (Level::Ok, "searches use trigrams".into()),
        Ok(Err(what)) => (Level::Warn, what),
        Err(error) => (Level::Fail, error.to_string()),
    };
    Finding::new("search index", level, text)
}

async fn has_tables(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let mut transaction = begin_inspection(connection).await?;
    sqlx::query_scalar("SELECT to_regclass('public.api_keys') IS NOT NULL")
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await
}

fn judge_empty(role: &Role) -> String {
    let Role { name, may_create, .. } = role;
    if *may_create {
        return format!(
            "the database is empty: run `rally-api-keys migrate`, or start the service, which migrates it as \"{name}\". In \
             production, let its owner do that: set DATABASE_MIGRATION_URL for the command"
        );
    }
    format!(
        "the database is empty, and role \"{name}\" may not migrate it: run `rally-api-keys migrate` with \
         DATABASE_MIGRATION_URL set to its owner, and then, as the owner: GRANT rally_app TO \"{name}\""
    )
}

/// Each function names its objects by their schema, and says so to PostgreSQL.
async fn search_path(connection: &mut PgConnection) -> Result<String, String> {
    let mut transaction = begin_inspection(connection).await.map_err(|error| error.to_string())?;
    let open: Vec<String> = sqlx::query_scalar(
        "SELECT p.oid::regprocedure::text FROM pg_proc p
         WHERE p.pronamespace = 'public'::regnamespace
           AND p.proowner = (SELECT relowner FROM pg_class WHERE oid = to_regclass('public.api_keys'))
           AND NOT coalesce('search_path=\"\"' = ANY (p.proconfig), false)
         ORDER BY 1",
    )
    .persistent(false)
    .fetch_all(&mut *transaction)
    .await
    .map_err(|error| error.to_string())?;
    if open.is_empty() {
        return Ok("is empty in each function".into());
    }
    Err(format!(
        "is not fixed in {0}, which could run objects of others; as the owner: ALTER FUNCTION {0} SET search_path = ''",
        open.join(", ")
    ))
}

/// At most so many tenants are counted.
const MAX_COUNTED_TENANTS: usize = 5_000;

/// Live secrets without a stamp under a configured pepper. A login that may manage tenants is needed to see them all.
async fn stamps(inspected: Inspected<'_>) -> Finding {
    match count_stamps(inspected.owner.unwrap_or(inspected.url), inspected.peppers).await {
        Ok((0, _)) => Finding::new("stamps", Level::Ok, "each live secret has one under a configured pepper"),
        Ok((without, tenants)) => {
            let advice = "each costs an argon2 at its first check, or is refused with KEY_FALLBACK=deny; see \
                          docs/operations.md#rotate-the-pepper";
            let text =
                format!("{without} live secrets of {tenants} tenants have none under a configured pepper: {advice}");
            Finding::new("stamps", Level::Warn, text)
        }
        Err(error) => {
            let text =
                format!("not counted ({error}): set DATABASE_MIGRATION_URL to the database's owner to count them");
            Finding::new("stamps", Level::Skip, text)
        }
    }
}

/// The secrets without a stamp, and the tenants that were looked at.
async fn count_stamps(url: &DatabaseUrl, peppers: &[String]) -> Result<(i64, usize), sqlx::Error> {
    let mut connection = connect_in_time(url).await?;
    let begin = "SET LOCAL ROLE rally_operator; SET LOCAL search_path = ''; BEGIN READ ONLY";
    let mut transaction = connection.begin_with(begin).await?;
    let tenants: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM public.tenants ORDER BY id LIMIT $1")
        .bind(i64::try_from(MAX_COUNTED_TENANTS).unwrap_or(i64::MAX))
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await?;
    transaction.execute("SET LOCAL ROLE rally_app").await?;
    let mut without = 0;
    for tenant in &tenants {
        sqlx::query("SELECT set_config('rally.tenant_id', $1::text, true)")
            .bind(tenant)
            .persistent(false)
            .execute(&mut *transaction)
            .await?;
        let counted: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM public.api_key_secrets s
             JOIN public.api_keys k ON k.tenant_id = s.tenant_id AND k.id = s.key_id
             WHERE s.tenant_id = $1 AND coalesce(s.pepper_id <> ALL ($2), true) AND k.revoked_at IS NULL
               AND coalesce(k.expires_at > now(), true) AND s.ended_at IS NULL AND coalesce(s.expires_at > now(), true)",
        )
        .bind(tenant)
        .bind(peppers)
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await?;
        without += counted;
    }
    Ok((without, tenants.len()))
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

async fn judge_role(connection: &mut PgConnection, role: &Role) -> Result<String, String> {
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

async fn change_feed(url: &DatabaseUrl, direct: Option<&DatabaseUrl>) -> Result<String, String> {
    if let Some(direct) = direct
        && let Err(error) = connect_in_time(direct).await
    {
        let advice =
            "It must name the same database without a pooler, with a login and a password of the server itself";
        return Err(format!("cannot connect to DATABASE_DIRECT_URL ({direct}): {error}. {advice}"));
    }
    let url = direct.unwrap_or(url);
    check_direct(url).await.map_err(|error| error.to_string())?;
    let received = async {
        let mut feed = ChangeFeed::listen(url).await?;
        // Instances ignore what is no message of theirs.
        let probe = format!("probe {}", Uuid::new_v4());
        MessageSender::connect(url).await?.send(std::slice::from_ref(&probe), false).await?;
        while let Some(notification) = feed.next().await? {
            if notification == Notification::Message(probe.clone()) {
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
