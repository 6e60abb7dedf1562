//! The schema as a whole: what holds for each function, and databases that another version made.

use rally_api_keys::store::ConnectError;

use crate::{
    binary::Home,
    harness::{TestDatabase, open},
};

const OURS: &str = "FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace";

/// An operator or a function that another login creates in `public` is never chosen, and nobody calls a function but
/// the role that it is made for.
#[tokio::test]
async fn each_function_has_an_empty_search_path_and_no_execute_for_public() {
    let database = TestDatabase::create().await;
    let all = database.texts(&format!("SELECT p.proname::text {OURS} ORDER BY 1")).await;
    for function in ["find_tenants", "find_api_key_secrets", "record_usage", "notify_key_change"] {
        assert!(all.iter().any(|name| name == function), "{function} in {all:?}");
    }
    let bound = format!("SELECT p.proname::text {OURS} AND 'search_path=\"\"' = ANY (p.proconfig) ORDER BY 1");
    assert_eq!(database.texts(&bound).await, all);
    let callable = |role: &str| {
        format!("SELECT p.proname::text {OURS} AND has_function_privilege('{role}', p.oid, 'EXECUTE') ORDER BY 1")
    };
    assert_eq!(database.texts(&callable("public")).await, [""; 0]);
    assert_eq!(database.texts(&callable("rally_operator")).await, [""; 0]);
    let of_the_service = [
        "find_api_key_secrets",
        "find_reported_secrets",
        "find_tenants",
        "record_usage",
        "remove_ended_secrets",
        "remove_old_callers",
        "remove_old_idempotency_records",
        "remove_old_usage",
        "server_identity",
        "tenants_with_idle_rule",
    ];
    assert_eq!(database.texts(&callable("rally_app")).await, of_the_service);
    // The service calls them outside its transactions, which set the role. One reads nothing that needs a role.
    let with_role = format!("SELECT p.proname::text {OURS} AND 'role=rally_app' = ANY (p.proconfig) ORDER BY 1");
    let reading: Vec<_> = of_the_service.into_iter().filter(|name| *name != "server_identity").collect();
    assert_eq!(database.texts(&with_role).await, reading);
    assert_eq!(database.texts(&format!("SELECT p.proname::text {OURS} AND p.prosecdef")).await, [""; 0]);
}

#[tokio::test]
async fn nobody_but_the_owner_may_create_objects_in_the_schema() {
    let database = TestDatabase::create().await;
    let may = "SELECT rolname::text FROM pg_roles WHERE rolname IN ('rally_app', 'rally_operator')
                   AND has_schema_privilege(rolname, 'public', 'CREATE')
               UNION ALL SELECT 'public' WHERE has_schema_privilege('public', 'public', 'CREATE')";
    assert_eq!(database.texts(may).await, [""; 0]);
}

/// The triggers of the migrations, as `<table> <trigger>`.
const TRIGGERS: &str = "SELECT c.relname || ' ' || t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
                        WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal";

/// A restore of data alone by pg_restore --disable-triggers leaves them as ordinary triggers, or disabled if it is
/// interrupted. Each of them is then reported, and no other.
#[tokio::test]
async fn triggers_that_do_not_always_run_are_refused_with_what_to_run() {
    let database = TestDatabase::create().await;
    let (home, url) = (Home::new("triggers"), database.url_text(None).await);
    let doctor = async || String::from_utf8(home.run(&["doctor"], &[("DATABASE_URL", &url)]).await.stdout).unwrap();
    assert!(doctor().await.contains("ok    triggers: run in every session"));
    // Those that write rows beside a new one must not run where a replica receives these rows too.
    let of_origin = database.texts(&format!("{TRIGGERS} AND t.tgenabled = 'O' ORDER BY 1")).await;
    let expected =
        ["api_keys count_new_keys", "api_keys write_text", "tenants start_event_chain", "tenants start_policy"];
    assert_eq!(of_origin, expected);

    let all = database.texts(&format!("{TRIGGERS} ORDER BY 1")).await;
    assert!(all.len() > 10, "{all:?}");
    for trigger in &all {
        let (table, name) = trigger.split_once(' ').unwrap();
        for state in ["DISABLE", "ENABLE REPLICA", "ENABLE"] {
            if of_origin.contains(trigger) && state == "ENABLE" {
                continue;
            }
            database.execute(&format!("ALTER TABLE {table} {state} TRIGGER {name}")).await;
            let error = open(&database.url().await).await.err().unwrap_or_else(|| panic!("{trigger}: {state}"));
            let message = error.to_string();
            let (_, remedy) = message.split_once("run: ").unwrap_or_else(|| panic!("{message}"));
            assert!(matches!(error, ConnectError::TriggersOff(_)) && remedy.ends_with(name), "{message}");
            database.execute(remedy).await;
            open(&database.url().await).await.unwrap_or_else(|error| panic!("{error}")).close().await;
        }
    }

    // As pg_restore does, and interrupted half-way: then the triggers of foreign keys are disabled too.
    database.execute("ALTER TABLE api_keys DISABLE TRIGGER ALL; ALTER TABLE api_keys ENABLE TRIGGER ALL").await;
    database.execute("ALTER TABLE api_key_secrets DISABLE TRIGGER ALL; DROP TRIGGER notify_update ON tenants").await;
    let printed = doctor().await;
    let line = printed.lines().find(|line| line.starts_with("FAIL  triggers: ")).unwrap_or_else(|| panic!("{printed}"));
    let (_, remedy) = line.split_once("run: ").unwrap();
    for part in ["public.api_keys ENABLE ALWAYS TRIGGER revoked_is_final", "TRIGGER \"RI_ConstraintTrigger_", "tenants"]
    {
        assert!(remedy.contains(part), "{part} in {remedy}");
    }
    let create = "CREATE TRIGGER notify_update AFTER UPDATE ON tenants FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW)
                  EXECUTE FUNCTION notify_tenant_change()";
    database.execute(&format!("{create}; {remedy}")).await;
    assert!(doctor().await.contains("ok    triggers: run in every session"));
}

#[tokio::test]
async fn a_database_of_another_version_is_refused_with_what_to_do() {
    let of_before = "UPDATE _sqlx_migrations SET checksum = sha256('another file')";
    let with_more = "INSERT INTO _sqlx_migrations SELECT 13, description, installed_on, success, checksum, 0
                     FROM _sqlx_migrations WHERE version = 1";
    for change in [of_before, with_more] {
        let database = TestDatabase::create().await;
        database.execute(change).await;
        let error = open(&database.url().await).await.err().expect("a refusal");
        assert!(matches!(error, ConnectError::ForeignMigrations(_)), "{error}");
        let message = error.to_string();
        assert!(message.contains("create a new database") && message.contains("remove DATA_DIR"), "{message}");
    }
}
