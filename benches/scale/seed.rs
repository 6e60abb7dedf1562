//! Writes a database by COPY, the way `pg_restore` does: rows, then indexes, then foreign keys, which checks all rows.
//!
//! Left out while rows are copied: indexes, primary and foreign keys; the triggers of inserts, what they would write being
//! copied too; for tenants, the trigger that looks for another tenant of that name, since it reads all tenants for each row.
//! Everything is there again at the end, which is compared. The chains of events are genuine; only every tenth tenant has one.

use std::{cell::RefCell, collections::HashMap, collections::VecDeque};

use futures_util::future::try_join;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use tokio::time::Instant;

use crate::{
    Outcome,
    copy::Rows,
    rows::{Head, Size},
    stand::postgres::Database,
};

const PART: usize = 1 << 20;

/// The tables that have a row or more for each key, in the order in which they are copied: the longest first.
const TABLES: [(&str, &str); 7] = [
    ("api_keys", "tenant_id, id, name, folded_name, scopes, created_at, expires_at, created_by, last4, revoked_at"),
    ("api_key_secrets", "tenant_id, lookup_digest, key_id, phc, stamp, pepper_id, last4, created_at"),
    ("api_key_texts", "tenant_id, key_id, text"),
    ("api_key_last_uses", "tenant_id, key_id, lookup_digest, used_at, address, user_agent"),
    (
        "api_key_callers",
        "tenant_id, key_id, lookup_digest, caller, address, user_agent, first_seen_at, last_seen_at, requests",
    ),
    (
        "api_key_events",
        "tenant_id, id, key_id, kind, occurred_at, actor, address, request_id, details, seq, previous_hash, hash",
    ),
    ("api_key_usage", "tenant_id, key_id, hour, requests, denied_expired, denied_scope, denied_revoked"),
];

/// Indexes and constraints of these tables: table, what drops it, what creates it. Foreign keys last.
const DEFINITIONS: &str = "
    SELECT c.conrelid::regclass::text AS of, format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname),
           format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid)),
           c.contype = 'f' AS is_foreign_key
    FROM pg_constraint c
    WHERE c.contype IN ('p', 'f') AND c.conrelid = ANY ($1::regclass[])
  UNION ALL
    SELECT i.indrelid::regclass::text, format('DROP INDEX %s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid), false
    FROM pg_index i
    WHERE i.indrelid = ANY ($1::regclass[]) AND NOT i.indisprimary
  ORDER BY 4 DESC, 1, 2";

type Definition = (String, String, String, bool);

async fn definitions(connection: &mut PgConnection) -> Outcome<Vec<Definition>> {
    let tables = TABLES.map(|(table, _)| table);
    let query = AssertSqlSafe(DEFINITIONS.replace("$1::regclass[]", "$1::text[]::regclass[]"));
    Ok(sqlx::query_as(query).bind(tables).fetch_all(connection).await?)
}

enum Step {
    Copy(usize),
    Run(Vec<String>),
}

/// Writes all rows.
pub async fn write(database: &Database, name: &str, size: &Size) -> Outcome<()> {
    let begun = Instant::now();
    let (mut first, mut second) = (database.connect_to(name).await?, database.connect_to(name).await?);
    for connection in [&mut first, &mut second] {
        connection
            .execute(
                "SET maintenance_work_mem = '1GB'; SET work_mem = '512MB'; SET max_parallel_maintenance_workers = 0",
            )
            .await?;
    }
    set_autovacuum(&mut first, "SET autovacuum = off").await?;
    write_tenants(&mut first, size).await?;
    let before = definitions(&mut first).await?;
    for (_, drop, ..) in &before {
        first.execute(AssertSqlSafe(drop.clone())).await?;
    }

    let heads = RefCell::new(HashMap::new());
    let indexes = |of: &str| {
        let of_table = before.iter().filter(|(table, _, _, is_foreign_key)| table == of && !is_foreign_key);
        of_table.map(|(_, _, create, _)| create.clone()).collect::<Vec<_>>()
    };
    let steps =
        TABLES.iter().enumerate().map(|(n, (table, _))| vec![Step::Copy(n), Step::Run(indexes(table))]).collect();
    work(&mut first, &mut second, steps, size, &heads).await?;
    eprintln!("{name}: rows and indexes after {:.0} s", begun.elapsed().as_secs_f64());
    let foreign_keys = before.iter().filter(|(.., is_foreign_key)| *is_foreign_key);
    let foreign_keys: Vec<_> = foreign_keys.map(|(_, _, create, _)| create.clone()).collect();
    // One after the other: each locks the table that it refers to.
    for create in foreign_keys {
        first.execute(AssertSqlSafe(create)).await?;
    }
    write_heads(&mut first, size, heads.into_inner()).await?;
    let vacuums = TABLES.iter().map(|(table, _)| vec![Step::Run(vec![format!("VACUUM (ANALYZE) {table}")])]).collect();
    work(&mut first, &mut second, vacuums, size, &RefCell::default()).await?;
    first.execute("VACUUM (ANALYZE)").await?;
    first.execute("CHECKPOINT").await?;
    set_autovacuum(&mut first, "RESET autovacuum").await?;
    if definitions(&mut first).await? != before {
        return Err("not all indexes and constraints are there again".into());
    }
    Ok(())
}

/// It would take a core from the rest, and PostgreSQL runs it for all new rows.
async fn set_autovacuum(connection: &mut PgConnection, change: &str) -> Outcome<()> {
    connection.execute(AssertSqlSafe(format!("ALTER SYSTEM {change}"))).await?;
    connection.execute("SELECT pg_reload_conf()").await?;
    Ok(())
}

/// On two connections, each of which takes the next steps once it is done.
async fn work(
    first: &mut PgConnection,
    second: &mut PgConnection,
    steps: VecDeque<Vec<Step>>,
    size: &Size,
    heads: &RefCell<HashMap<u64, Head>>,
) -> Outcome<()> {
    let steps = &RefCell::new(steps);
    let worker = |connection| async move {
        let connection: &mut PgConnection = connection;
        loop {
            let Some(next) = steps.borrow_mut().pop_front() else { return Outcome::Ok(()) };
            for step in next {
                let begun = Instant::now();
                let what = match step {
                    Step::Copy(table) => {
                        copy(connection, table, size, heads).await?;
                        format!("COPY {}", TABLES[table].0)
                    }
                    Step::Run(statements) => {
                        for statement in &statements {
                            connection.execute(AssertSqlSafe(statement.clone())).await?;
                        }
                        format!("{} statements: {}", statements.len(), statements.first().map_or("", String::as_str))
                    }
                };
                if begun.elapsed().as_secs() > 2 {
                    eprintln!("{:.0} s: {what}", begun.elapsed().as_secs_f64());
                }
            }
        }
    };
    try_join(worker(first), worker(second)).await?;
    Ok(())
}

/// Copies into a table that is truncated in the same transaction: its rows need no WAL (wal_level = minimal) and no vacuum.
async fn copy(
    connection: &mut PgConnection,
    table: usize,
    size: &Size,
    heads: &RefCell<HashMap<u64, Head>>,
) -> Outcome<()> {
    let (name, columns) = TABLES[table];
    connection.execute("SET session_replication_role = replica; BEGIN").await?;
    // It refuses TRUNCATE. What is truncated is empty.
    let is_append_only = name == "api_key_events";
    if is_append_only {
        connection.execute("ALTER TABLE api_key_events DISABLE TRIGGER append_only").await?;
    }
    connection.execute(AssertSqlSafe(format!("TRUNCATE {name}"))).await?;
    let mut copy =
        connection.copy_in_raw(&format!("COPY public.{name} ({columns}) FROM STDIN (FORMAT binary, FREEZE)")).await?;
    let mut rows = Rows::begin();
    for key in 0..size.keys {
        match table {
            0 => size.keys(&mut rows, key),
            1 => size.secrets(&mut rows, key),
            2 => size.texts(&mut rows, key),
            3 => size.last_uses(&mut rows, key),
            4 => size.callers(&mut rows, key),
            5 => size.events(&mut rows, key, &mut heads.borrow_mut())?,
            _ => size.usage(&mut rows, key),
        }
        if let Some(part) = rows.take_if_above(PART) {
            copy.send(part).await?;
        }
    }
    rows.end();
    copy.send(rows.take_if_above(0).unwrap_or_default()).await?;
    copy.finish().await?;
    if is_append_only {
        connection.execute("ALTER TABLE api_key_events ENABLE ALWAYS TRIGGER append_only").await?;
    }
    connection.execute("COMMIT; RESET session_replication_role").await?;
    Ok(())
}

/// Tenants, by whose triggers each gets its policy and the start of its chain.
async fn write_tenants(connection: &mut PgConnection, size: &Size) -> Outcome<()> {
    connection.execute("ALTER TABLE tenants DISABLE TRIGGER refuse_ambiguous_name").await?;
    let statement = "COPY public.tenants (id, slug, name, created_at) FROM STDIN (FORMAT binary)";
    let mut copy = connection.copy_in_raw(statement).await?;
    let mut rows = Rows::begin();
    (0..size.tenants).for_each(|tenant| size.tenants(&mut rows, tenant));
    rows.end();
    copy.send(rows.take_if_above(0).unwrap_or_default()).await?;
    copy.finish().await?;
    connection.execute("ALTER TABLE tenants ENABLE ALWAYS TRIGGER refuse_ambiguous_name").await?;
    let mut with_rule = Vec::new();
    for tenant in (0..size.tenants).filter(|tenant| Size::has_idle_rule(*tenant)) {
        with_rule.push(size.tenant(tenant)?.id.0);
    }
    sqlx::query(
        "UPDATE api_key_policies SET idle_suspend_days = 365, idle_suspend_set_at = now() - interval '30 days'
         WHERE tenant_id = ANY ($1)",
    )
    .bind(&with_rule)
    .execute(connection)
    .await?;
    Ok(())
}

/// The ends of the chains of events, with the numbers of keys.
async fn write_heads(connection: &mut PgConnection, size: &Size, mut heads: HashMap<u64, Head>) -> Outcome<()> {
    size.count_keys(&mut heads);
    connection.execute("CREATE TEMP TABLE heads (tenant_id uuid, seq bigint, hash bytea, keys bigint)").await?;
    let mut copy = connection.copy_in_raw("COPY heads FROM STDIN (FORMAT binary)").await?;
    let mut rows = Rows::begin();
    for (tenant, head) in &heads {
        size.heads(&mut rows, *tenant, head);
    }
    rows.end();
    copy.send(rows.take_if_above(0).unwrap_or_default()).await?;
    copy.finish().await?;
    let update = "UPDATE api_key_event_heads h SET seq = n.seq, hash = n.hash, keys = n.keys
                  FROM heads n WHERE h.tenant_id = n.tenant_id";
    connection.execute(update).await?;
    connection.execute("DROP TABLE heads").await?;
    Ok(())
}
