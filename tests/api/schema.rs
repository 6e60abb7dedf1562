//! The schema as a whole: what holds for each function, and databases that another version made.

use rally_api_keys::store::ConnectError;

use crate::harness::{TestDatabase, open};

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
    let of_the_service = ["find_api_key_secrets", "find_tenants", "record_usage", "remove_old_usage"];
    assert_eq!(database.texts(&callable("rally_app")).await, of_the_service);
    // The service calls them outside its transactions, which set the role.
    let with_role = format!("SELECT p.proname::text {OURS} AND 'role=rally_app' = ANY (p.proconfig) ORDER BY 1");
    assert_eq!(database.texts(&with_role).await, of_the_service);
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
