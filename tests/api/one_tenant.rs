//! Each statement of the service stays within one tenant, but for those named here, and each key of a table leads with the
//! tenant: see docs/scale.md. Statements are looked at as PostgreSQL plans them, since a text alone does not say which
//! table a condition is about.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    str::FromStr as _,
};

use proc_macro2::{TokenStream, TokenTree};
use regex::Regex;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

use crate::harness::TestDatabase;

/// Statements that touch rows of tenants without the condition of one tenant, by their beginning, and why.
const ACROSS_TENANTS: [(&str, &str); 6] = [
    ("DELETE FROM public.tenants WHERE id = $1", "deletes a tenant, by its own key"),
    ("UPDATE public.tenants SET external_id", "changes a tenant, by its slug"),
    ("UPDATE public.tenants SET slug", "changes a tenant, by its slug"),
    ("UPDATE public.tenants SET suspended_at", "suspends a tenant, by its slug"),
    ("SELECT name FROM public.tenants WHERE slug = $1 AND id = $2", "the name of a tenant, by its slug and key"),
    (
        "SELECT id, slug, name, created_at, suspended_at, external_id FROM public.tenants",
        "the command line lists tenants",
    ),
];

/// Functions that touch rows of tenants: true where one call is about several tenants; and why, or what keeps it within one.
const FUNCTIONS: [(&str, bool, &str); 14] = [
    ("find_tenants", true, "looks several tenants up by their slugs: reads only tenants"),
    (
        "find_api_key_secrets",
        true,
        "looks secrets of several tenants up, each by a statement of its own within its tenant",
    ),
    ("find_reported_secrets", true, "a report of a leak names no tenant: reads api_key_secrets by the digest alone"),
    ("tenants_with_idle_rule", true, "the job of idle keys begins with the tenants that have the rule"),
    ("record_usage", true, "a batch has the usage of several tenants; each row is written under its own tenant's key"),
    ("remove_old_usage", true, "retention, by the hour"),
    ("remove_old_callers", true, "retention, by the last use"),
    ("remove_ended_secrets", true, "retention, by the end"),
    ("remove_old_idempotency_records", true, "retention, by the creation"),
    ("refuse_ambiguous_name", true, "compares a tenant's names with those of all others: reads only tenants"),
    ("start_policy", false, "a trigger of a new tenant: inserts a row of it"),
    ("start_event_chain", false, "a trigger of a new tenant: inserts a row of it"),
    ("count_new_keys", false, "a trigger of new keys: updates the row of each key's tenant"),
    ("write_key_text", false, "a trigger of a key: writes its row under the same tenant"),
];

/// Statements that are not checked at compile time, in files of src/, by a part of them, and why they need no condition or
/// have it elsewhere.
const UNCHECKED: [(&str, &str, &str); 3] = [
    (
        "store/tenant_admin.rs",
        "DELETE FROM public.api_key_idempotency_records",
        "row-level security limits it to the deleted tenant",
    ),
    ("store/diagnostics.rs", "SELECT id FROM public.tenants ORDER BY id LIMIT $1", "doctor reads some tenants"),
    (
        "store/diagnostics.rs",
        "FROM public.api_key_secrets s JOIN public.api_keys k",
        "doctor counts under the tenant that it has set",
    ),
];

/// Tables whose primary key does not lead with the tenant, and why.
const OTHER_KEYS: [(&str, &str); 4] = [
    ("_sqlx_migrations", "of the migrator"),
    ("instance_secrets", "one row, for all instances"),
    ("tenants", "its key is the tenant"),
    ("usage_writers", "a row for each instance: the number of its last batch"),
];

fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The service's statements: each that is checked at compile time is here.
pub fn checked_statements() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let statements = files.map(|file| {
        let query: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        query["query"].as_str().unwrap().to_owned()
    });
    statements.collect()
}

async fn tables(database: &TestDatabase, condition: &str) -> BTreeSet<String> {
    let sql = format!(
        "SELECT c.relname::text FROM pg_class c
         WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND {condition}"
    );
    database.texts(&sql).await.into_iter().collect()
}

const WITH_TENANTS: &str = "(c.relname = 'tenants' OR EXISTS (
    SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))";

/// The plan of a statement for whatever arguments.
async fn plan(connection: &mut PgConnection, statement: &str) -> Value {
    let parameters =
        pattern(r"(?-u)\$([0-9]+)").captures_iter(statement).map(|it| it[1].parse::<usize>().unwrap()).max();
    let arguments = vec!["NULL"; parameters.unwrap_or(0)].join(", ");
    let arguments = if arguments.is_empty() { arguments } else { format!("({arguments})") };
    connection.execute(AssertSqlSafe(format!("PREPARE planned AS {statement}"))).await.unwrap();
    let explain = AssertSqlSafe(format!("EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE planned{arguments}"));
    let plan: Value = sqlx::query_scalar(explain).persistent(false).fetch_one(&mut *connection).await.unwrap();
    connection.execute("DEALLOCATE planned").await.unwrap();
    plan[0]["Plan"].clone()
}

/// What the nodes of a plan say about tenants.
#[derive(Default)]
struct Found {
    /// The parameters that are a tenant.
    parameters: BTreeSet<String>,
    /// Tables that are read or written without the condition of one tenant.
    without: BTreeSet<String>,
}

impl Found {
    fn look_at(&mut self, node: &Value, tables: &BTreeSet<String>) {
        let text = |name: &str| node[name].as_str().unwrap_or_default();
        let children = || node["Plans"].as_array().into_iter().flatten();
        let table = text("Relation Name");
        if tables.contains(table) {
            let is_scan = text("Node Type").ends_with("Scan");
            let conditions: Vec<&str> = if is_scan {
                ["Index Cond", "Recheck Cond", "Filter"].map(text).to_vec()
            } else if text("Operation") == "Insert" {
                // The columns of a new row, of which the tenant is the first.
                children().filter_map(|child| child["Output"][0].as_str()).collect()
            } else {
                Vec::new() // an update or a deletion: what it scans is looked at
            };
            let of = if is_scan { r"(?-u)\btenant_id = (\$[0-9]+|[a-z_0-9]+\.tenant_id)" } else { r"^(\$[0-9]+)$" };
            let tenants: Vec<String> = conditions
                .iter()
                .flat_map(|condition| {
                    pattern(of).captures_iter(condition).map(|it| it[1].to_owned()).collect::<Vec<_>>()
                })
                .collect();
            if tenants.is_empty() && (is_scan || text("Operation") == "Insert") {
                self.without.insert(table.to_owned());
            }
            self.parameters.extend(tenants.into_iter().filter(|tenant| tenant.starts_with('$')));
        }
        children().for_each(|child| self.look_at(child, tables));
    }

    fn is_within_one_tenant(&self) -> bool {
        self.without.is_empty() && self.parameters.len() <= 1
    }
}

async fn found(connection: &mut PgConnection, tables: &BTreeSet<String>, statement: &str) -> Found {
    let mut found = Found::default();
    found.look_at(&plan(connection, statement).await, tables);
    found
}

async fn planner(database: &TestDatabase) -> PgConnection {
    let mut connection = database.connect().await;
    connection.execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
    connection
}

#[tokio::test]
async fn each_statement_stays_within_one_tenant_but_for_those_that_are_named() {
    let database = TestDatabase::create().await;
    let (mut connection, tables) = (planner(&database).await, tables(&database, WITH_TENANTS).await);
    let statements = checked_statements();
    assert!(statements.len() > 60, "{}", statements.len());
    let mut across = BTreeMap::new();
    let mut within = 0;
    for statement in &statements {
        let found = found(&mut connection, &tables, statement).await;
        let call = pattern(r"(?-u)\bpublic\.([a-z_]+)\(");
        let calls = call.captures_iter(statement).map(|it| it[1].to_owned());
        let calls: Vec<_> = calls.filter(|name| name != "server_identity").collect();
        for name in &calls {
            assert!(FUNCTIONS.iter().any(|(function, ..)| function == name), "{name} is not in FUNCTIONS: {statement}");
        }
        if !found.is_within_one_tenant() {
            across.insert(in_one_line(statement), format!("{:?} {:?}", found.without, found.parameters));
        } else if !found.parameters.is_empty() {
            within += 1;
        }
    }
    assert!(within > 40, "{within}");
    for (statement, why) in &across {
        let is_named = ACROSS_TENANTS.iter().any(|(beginning, _)| statement.starts_with(beginning));
        assert!(is_named, "no condition of one tenant: {why}: {statement}");
    }
    for (beginning, _) in ACROSS_TENANTS {
        assert!(across.keys().any(|statement| statement.starts_with(beginning)), "named, but not needed: {beginning}");
    }
}

/// Without it, the test above might look at the wrong places.
#[tokio::test]
async fn statements_across_tenants_are_recognised() {
    let database = TestDatabase::create().await;
    let (mut connection, tables) = (planner(&database).await, tables(&database, WITH_TENANTS).await);
    for (statement, is_within) in [
        ("SELECT name FROM public.api_keys WHERE tenant_id = $1 AND id = $2", true),
        ("SELECT name FROM public.api_keys WHERE id = $1", false),
        ("UPDATE public.api_keys SET name = $2 WHERE id = $1", false),
        ("DELETE FROM public.api_key_usage WHERE tenant_id <> $1", false),
        ("SELECT k.name FROM public.api_keys k JOIN public.api_key_secrets s ON s.tenant_id = k.tenant_id AND s.key_id = k.id
          WHERE k.tenant_id = $1", true),
        ("SELECT k.name FROM public.api_keys k JOIN public.api_key_secrets s ON s.key_id = k.id WHERE k.tenant_id = $1", false),
        ("SELECT k.name FROM public.api_keys k, public.api_key_secrets s WHERE k.tenant_id = $1 AND s.tenant_id = $2", false),
        ("SELECT (SELECT count(*) FROM public.api_key_events) FROM public.api_keys WHERE tenant_id = $1", false),
        ("INSERT INTO public.api_key_texts (tenant_id, key_id, text) VALUES ($1, $2, $3)", true),
        ("INSERT INTO public.api_key_texts (key_id, tenant_id, text) SELECT id, tenant_id, $2 FROM public.api_keys WHERE id = $1",
         false),
        ("WITH moved AS (DELETE FROM public.api_key_texts WHERE key_id = $2 RETURNING text)
          INSERT INTO public.api_key_texts (tenant_id, key_id, text) SELECT $1, $2, text FROM moved", false),
    ] {
        let found = found(&mut connection, &tables, statement).await;
        assert_eq!(found.is_within_one_tenant(), is_within, "{statement}: {:?} {:?}", found.without, found.parameters);
    }
}

/// The string literals of a file.
fn literals(tokens: TokenStream, all: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => literals(group.stream(), all),
            TokenTree::Literal(literal) => all.push(literal.to_string()),
            _ => {}
        }
    }
}

fn source_files(folder: &Path, all: &mut Vec<std::path::PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            source_files(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(path);
        }
    }
}

#[tokio::test]
async fn statements_that_are_not_checked_at_compile_time_are_named() {
    let database = TestDatabase::create().await;
    let tables: Vec<_> = tables(&database, WITH_TENANTS).await.into_iter().collect();
    let names_table = pattern(&format!(r"(?-u)\b(FROM|JOIN|INTO|UPDATE|TABLE) public\.({})\b", tables.join("|")));
    let checked: Vec<_> = checked_statements().iter().map(|statement| in_one_line(statement)).collect();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut files, mut unchecked) = (Vec::new(), Vec::new());
    source_files(&src, &mut files);
    for file in files {
        let mut all = Vec::new();
        literals(TokenStream::from_str(&fs::read_to_string(&file).unwrap()).unwrap(), &mut all);
        for literal in all {
            let text = literal.trim_start_matches('r').trim_matches('#').trim_matches('"');
            let text = in_one_line(&text.replace("\\n", " ").replace("\\\"", "\""));
            // A macro may put a statement together from several literals.
            if names_table.is_match(&text) && !checked.iter().any(|statement| statement.contains(&text)) {
                unchecked.push((file.strip_prefix(&src).unwrap().display().to_string(), text));
            }
        }
    }
    let is_named = |file: &str, text: &str, named: &(&str, &str, &str)| named.0 == file && text.contains(named.1);
    for (file, text) in &unchecked {
        assert!(UNCHECKED.iter().any(|named| is_named(file, text, named)), "not named: {file}: {text}");
    }
    for named in &UNCHECKED {
        assert!(unchecked.iter().any(|(file, text)| is_named(file, text, named)), "named, but not there: {named:?}");
    }
}

#[tokio::test]
async fn functions_that_touch_rows_of_tenants_are_named() {
    let database = TestDatabase::create().await;
    let tables: Vec<_> = tables(&database, WITH_TENANTS).await.into_iter().collect();
    let sql = format!(
        r"SELECT proname::text FROM pg_proc
          WHERE pronamespace = 'public'::regnamespace AND prosrc ~ '\mpublic\.({})\M' ORDER BY 1",
        tables.join("|")
    );
    let mut named: Vec<_> = FUNCTIONS.iter().map(|(name, ..)| *name).collect();
    named.sort_unstable();
    assert_eq!(database.texts(&sql).await, named);
}

/// So that the rows of a tenant can be kept on one node of several, with what refers to them.
#[tokio::test]
async fn each_key_of_a_table_leads_with_the_tenant_but_for_those_that_are_named() {
    let database = TestDatabase::create().await;
    let led_by_tenant =
        "EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                                 WHERE i.indrelid = c.oid AND i.indisprimary AND a.attname = 'tenant_id')";
    let others: Vec<_> = tables(&database, &format!("NOT {led_by_tenant}")).await.into_iter().collect();
    assert_eq!(others, OTHER_KEYS.map(|(table, _)| table));
    assert!(tables(&database, led_by_tenant).await.len() > 8);

    // Uniqueness and references hold within one tenant.
    let unique_without = "
        SELECT i.indexrelid::regclass::text FROM pg_index i
        WHERE i.indisunique AND i.indrelid IN (SELECT attrelid FROM pg_attribute WHERE attname = 'tenant_id')
          AND i.indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
          AND NOT EXISTS (SELECT FROM pg_attribute a
                          WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) AND a.attname = 'tenant_id')";
    assert_eq!(database.texts(unique_without).await, [""; 0]);
    let references = "
        SELECT c.conrelid::regclass || ' ' || c.conname FROM pg_constraint c
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
        JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = c.confkey[1]
        WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace
          AND (a.attname, f.attname) NOT IN (('tenant_id', 'tenant_id'), ('tenant_id', 'id'))";
    assert_eq!(database.texts(references).await, [""; 0]);

    database
        .execute("ALTER TABLE api_key_usage DROP CONSTRAINT api_key_usage_pkey, ADD PRIMARY KEY (key_id, hour)")
        .await;
    assert!(tables(&database, &format!("NOT {led_by_tenant}")).await.contains("api_key_usage"));
}
