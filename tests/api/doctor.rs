//! `rally-api-keys doctor` and `config check`.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::{
    binary::Home,
    harness::{JWT_SECRET, PEPPER, TestDatabase, TestServer},
    issuer::{Issuer, SigningKey},
};

#[tokio::test]
async fn doctor_prints_each_failure_with_its_remedy() {
    let (database, home) = (TestDatabase::create().await, Home::new("doctor"));
    let url = database.url_text(None).await;
    let settings = |url| [("DATABASE_URL", url), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)];
    let output = home.run(&["doctor"], &settings(url.as_str())).await;
    let printed = String::from_utf8(output.stdout).unwrap();
    // The tests' PostgreSQL runs without fsync, which is the only failure.
    let failed: Vec<_> = printed.lines().filter(|line| line.starts_with("FAIL")).collect();
    assert_eq!(failed.len(), 1, "{printed}");
    assert!(failed[0].starts_with("FAIL  durability: fsync = off, full_page_writes = off: a crash"), "{printed}");
    assert!(printed.contains("ok    row-level security: enabled and forced on 12 tables"), "{printed}");
    assert!(printed.contains("ok    change feed: a notification came back"), "{printed}");
    assert_eq!(output.status.code(), Some(1));
    assert!(!printed.contains(JWT_SECRET) && !printed.contains(&PEPPER[5..]));

    database
        .execute(
            "ALTER TABLE api_key_usage NO FORCE ROW LEVEL SECURITY; DELETE FROM _sqlx_migrations WHERE version = 4",
        )
        .await;
    let printed = home.run(&["doctor"], &[("DATABASE_URL", url.as_str())]).await.stdout;
    let printed = String::from_utf8(printed).unwrap();
    for line in [
        "FAIL  users' tokens: no user could log in, since no key verifies JWTs: set JWT_ISSUER",
        "FAIL  pepper: every first check of a key costs an argon2",
        "FAIL  migrations: the database lacks migration 4",
        "run: ALTER TABLE public.api_key_usage ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    let printed = home.run(&["doctor"], &settings("postgres://nobody@127.0.0.1:1/x")).await.stdout;
    let printed = String::from_utf8(printed).unwrap();
    assert!(printed.contains("FAIL  connection: cannot connect to postgres://nobody@127.0.0.1:1/x"), "{printed}");
}

#[tokio::test]
async fn doctor_says_of_an_empty_database_that_it_has_to_be_migrated_and_nothing_else() {
    let (database, home) = (TestDatabase::unmigrated().await, Home::new("doctor-empty"));
    database.execute("CREATE ROLE plain_login LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    let url = database.url_text(Some("plain_login")).await;
    let settings = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)];
    let printed = String::from_utf8(home.run(&["doctor"], &settings).await.stdout).unwrap();
    let advice = "FAIL  migrations: the database is empty, and role \"plain_login\" may not migrate it: run `rally-api-keys \
                  migrate` with DATABASE_MIGRATION_URL set to its owner, and then, as the owner: GRANT rally_app";
    assert!(printed.contains(advice), "{printed}");
    let url = database.url_text(None).await;
    let settings = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)];
    let printed = String::from_utf8(home.run(&["doctor"], &settings).await.stdout).unwrap();
    assert!(printed.contains("FAIL  migrations: the database is empty: run `rally-api-keys migrate`"), "{printed}");
    for wrong in ["ALTER TABLE", "row-level security", "triggers", "TRUNCATE"] {
        assert!(!printed.contains(wrong), "{wrong}: {printed}");
    }
}

#[tokio::test]
async fn doctor_says_that_it_is_the_direct_url_that_is_refused() {
    let (database, home) = (TestDatabase::create().await, Home::new("doctor-direct"));
    let url = database.url_text(None).await;
    let direct = "postgres://nobody:hunter2@127.0.0.1:1/x";
    let settings = [("DATABASE_URL", url.as_str()), ("DATABASE_DIRECT_URL", direct), ("JWT_SECRET", JWT_SECRET)];
    let printed = String::from_utf8(home.run(&["doctor"], &settings).await.stdout).unwrap();
    let why = "FAIL  change feed: cannot connect to DATABASE_DIRECT_URL (postgres://nobody@127.0.0.1:1/x)";
    assert!(printed.contains(why) && !printed.contains("hunter2"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_counts_secrets_without_a_stamp_and_looks_at_functions_and_proxies() {
    let server = TestServer::start().await;
    let home = Home::new("doctor-details");
    let admin = server.admin("acme");
    for name in ["one", "two", "three"] {
        admin.create(name, "read").await;
    }
    let url = server.database.url_text(None).await;
    let base = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)];
    let run = async |more: &[(&str, &str)]| {
        String::from_utf8(home.run(&["doctor"], &[&base[..], more].concat()).await.stdout).unwrap()
    };
    let printed = run(&[]).await;
    for line in ["ok    stamps: each live secret has one", "ok    search path: is empty", "ok    trusted proxies: none"]
    {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    server
        .database
        .execute(
            "UPDATE api_key_secrets SET stamp = NULL, pepper_id = NULL
             WHERE key_id = (SELECT id FROM api_keys WHERE name = 'one');
             UPDATE api_key_secrets SET pepper_id = 'lost' WHERE key_id = (SELECT id FROM api_keys WHERE name = 'two');
             ALTER FUNCTION find_tenants(text[]) RESET search_path",
        )
        .await;
    let printed = run(&[("BASE_DOMAIN", "rallycrm.io"), ("TRUSTED_PROXIES", "10.0.0.0/8,0.0.0.0/0")]).await;
    for line in [
        "WARN  stamps: 2 live secrets of 2 tenants have none under a configured pepper",
        "FAIL  search path: is not fixed in public.find_tenants(text[])",
        "FAIL  trusted proxies: TRUSTED_PROXIES contains every address",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    let printed = run(&[("BASE_DOMAIN", "rallycrm.io")]).await;
    assert!(printed.contains("WARN  trusted proxies: TRUSTED_PROXIES is not set"), "{printed}");

    // A login that sees one tenant at a time cannot count.
    server.database.execute("CREATE ROLE counts_nothing LOGIN IN ROLE rally_app").await;
    let plain = server.database.url_text(Some("counts_nothing")).await;
    let settings = [("DATABASE_URL", plain.as_str()), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)];
    let printed = String::from_utf8(home.run(&["doctor"], &settings).await.stdout).unwrap();
    assert!(printed.contains("skip  stamps: not counted"), "{printed}");
    let settings = [&settings[..], &[("DATABASE_MIGRATION_URL", url.as_str())]].concat();
    let printed = String::from_utf8(home.run(&["doctor"], &settings).await.stdout).unwrap();
    assert!(printed.contains("WARN  stamps: 2 live secrets"), "{printed}");
}

#[tokio::test]
async fn doctor_says_whether_users_can_sign_in_to_the_console() {
    let (issuer, home) =
        (Issuer::start(&[&SigningKey::generate("a", Algorithm::ES256)]).await, Home::new("doctor-console"));
    let name = issuer.name();
    let complete = json!({
        "issuer": name,
        "jwks_uri": issuer.keys_url(),
        "authorization_endpoint": format!("{name}/authorize"),
        "token_endpoint": format!("{name}/token"),
        "code_challenge_methods_supported": ["S256"],
    });
    let with = |member: &str, value: Value| {
        let mut document = complete.clone();
        document[member] = value;
        document
    };
    let elsewhere = with("token_endpoint", json!("https://tokens.example.com/token"));
    for (document, origins, says) in [
        (complete.clone(), "", "ok    console: users sign in at "),
        (elsewhere.clone(), "https://tokens.example.com", "ok    console: users sign in at "),
        (
            elsewhere,
            "",
            "FAIL  console: users cannot sign in: browsers may not call the issuer's token endpoint, which is at https://tokens.example.com; add that to CONSOLE_CONNECT_ORIGINS",
        ),
        (with("token_endpoint", Value::Null), "", "it names no `token_endpoint`"),
        (with("authorization_endpoint", Value::Null), "", "it names no `authorization_endpoint`"),
        (with("code_challenge_methods_supported", json!(["plain"])), "", "lack S256 (PKCE)"),
    ] {
        issuer.behaviour().configuration = Some(document);
        let settings =
            [("JWT_ISSUER", name.as_str()), ("CONSOLE_CLIENT_ID", "c"), ("CONSOLE_CONNECT_ORIGINS", origins)];
        let printed = String::from_utf8(home.run(&["doctor"], &settings).await.stdout).unwrap();
        assert!(printed.contains(says), "{says}: {printed}");
    }
    let printed = String::from_utf8(home.run(&["doctor"], &[]).await.stdout).unwrap();
    assert!(!printed.contains("  console:"), "{printed}");
}

#[tokio::test]
async fn doctor_prints_one_json_document_where_asked() {
    let (database, home) = (TestDatabase::create().await, Home::new("doctor-json"));
    let url = database.url_text(None).await;
    let settings = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)];
    let output = home.run(&["doctor", "--json"], &settings).await;
    assert_eq!(output.status.code(), Some(1), "the tests' PostgreSQL runs without fsync");
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = printed["checks"].as_array().unwrap();
    let outcome = |check: &str| checks.iter().find(|found| found["check"] == check).unwrap()["outcome"].clone();
    assert_eq!(
        (&printed["ok"], outcome("durability"), outcome("migrations")),
        (&json!(false), json!("fail"), json!("ok"))
    );
    assert!(checks.iter().all(|check| check["text"].as_str().is_some_and(|text| !text.is_empty())), "{printed}");
}

#[tokio::test]
async fn doctor_fetches_the_keys_of_each_issuer_and_reports_failures() {
    let (database, home) = (TestDatabase::create().await, Home::new("doctor-issuer"));
    let url = database.url_text(None).await;
    let key = SigningKey::generate("key", Algorithm::ES256);
    let (good, down) = (Issuer::start(&[&key]).await, Issuer::start(&[]).await);
    down.behaviour().down = true;
    let issuers = format!("{},{}", good.name(), down.name());
    let printed = home.run(&["doctor"], &[("DATABASE_URL", url.as_str()), ("JWT_ISSUER", &issuers)]).await.stdout;
    let printed = String::from_utf8(printed).unwrap();
    assert!(printed.contains(&format!("ok    users' tokens: {} publishes one key\n", good.name())), "{printed}");
    let failed =
        format!("FAIL  users' tokens: {}/.well-known/openid-configuration responded with status 503", down.name());
    assert!(printed.contains(&failed), "{printed}");
    assert!(printed.contains("WARN  users' tokens: JWT_AUDIENCE is not set"), "{printed}");

    // As Entra ID's `/common` does.
    let template = format!("{}/{{tenantid}}/v2.0", good.name());
    good.behaviour().configuration = Some(json!({"issuer": template, "jwks_uri": good.keys_url()}));
    let settings = [("DATABASE_URL", url.as_str()), ("JWT_ISSUER", &good.name()), ("JWT_AUDIENCE", "rally")];
    let printed = String::from_utf8(home.run(&["doctor"], &settings).await.stdout).unwrap();
    assert!(printed.contains("it is of an issuer for many directories"), "{printed}");
    assert!(!printed.contains("WARN"), "{printed}");
}

#[tokio::test]
async fn a_start_without_an_audience_warns() {
    let (database, home) = (TestDatabase::create().await, Home::new("no-audience"));
    let url = database.url_text(None).await;
    let key = SigningKey::generate("key", Algorithm::ES256);
    let name = Issuer::start(&[&key]).await.name();
    for (audience, warns) in [("", true), ("rally", false)] {
        let settings =
            [("DATABASE_URL", url.as_str()), ("JWT_ISSUER", &name), ("JWT_AUDIENCE", audience), ("KEY_PEPPER", PEPPER)];
        let (_, log) = home.serve(&settings).await.terminate().await;
        assert_eq!(log.contains("JWT_AUDIENCE is not set"), warns, "{log}");
    }
}

/// So that an operator sees on each instance which step of a rotation it has.
#[tokio::test]
async fn doctor_names_the_peppers_of_a_rotation() {
    let home = Home::new("doctor-peppers");
    let other = |id: &str| format!("{id}:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=");
    let (next, retired) = (other("p2"), other("p0"));
    let settings = [
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/x"),
        ("KEY_PEPPER", PEPPER),
        ("KEY_PEPPER_NEXT", &next),
        ("KEY_PEPPERS_RETIRED", &retired),
        ("KEY_FALLBACK", "deny"),
    ];
    let printed = String::from_utf8(home.run(&["doctor"], &settings).await.stdout).unwrap();
    let line = "ok    pepper: \"test\", next \"p2\", retired \"p0\"; rows without a stamp are refused\n";
    assert!(printed.contains(line), "{printed}");
}

#[tokio::test]
async fn config_check_prints_settings_without_secrets() {
    let home = Home::new("config-check");
    let url = ("DATABASE_URL", "postgres://u@h/d?sslmode=verify-full");
    let settings = [("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER), ("BASE_DOMAIN", "rallycrm.io"), url];
    let printed = home.succeed(&["config", "check"], &settings).await;
    assert!(printed.contains("BASE_DOMAIN=rallycrm.io\n") && printed.contains("JWT_SECRET=[hidden]\n"), "{printed}");
    assert!(printed.contains("DATABASE_URL=postgres://u@h:5432/d?sslmode=verify-full\n"), "{printed}");
    assert!(printed.contains("KEY_FALLBACK=argon2  # default\n") && printed.contains("JWT_ISSUER=\n"), "{printed}");
    assert!(!printed.contains(JWT_SECRET) && !printed.contains(&PEPPER[5..]));
    assert!(home.fail(&["config", "check"], &[("BASE_DOMAIN", "x:y")]).await.contains("BASE_DOMAIN must be"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_search_index_is_reported_with_what_to_run() {
    let (database, home) = (TestDatabase::create().await, Home::new("doctor-search"));
    let url = database.url_text(None).await;
    let settings = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)];
    let doctor = async || String::from_utf8(home.run(&["doctor"], &settings).await.stdout).unwrap();
    assert!(doctor().await.contains("ok    search index: searches use trigrams"));
    database.execute("DROP EXTENSION pg_trgm CASCADE; DROP SCHEMA rally_extensions").await;
    let printed = doctor().await;
    let missing = "search index: a search reads the texts of all keys";
    let line = printed.lines().find(|line| line.contains(missing)).unwrap_or_else(|| panic!("{printed}"));
    assert!(line.starts_with("WARN"), "{line}");
    let service = home.serve(&settings).await;
    let log = service.log();
    assert!(
        log.contains("the index api_key_texts_trigrams does not exist: a search reads")
            && log.contains("CREATE EXTENSION pg_trgm"),
        "{log}"
    );
    let (_, remedy) = line.split_once("run: ").unwrap();
    database.execute(remedy).await;
    assert!(doctor().await.contains("ok    search index: searches use trigrams"));
}

#[tokio::test]
async fn doctor_warns_of_a_database_elsewhere_whose_certificate_is_not_verified() {
    let home = Home::new("doctor-sslmode");
    // No such host exists (RFC 6761, section 6.4).
    for (host, mode, warns) in [
        ("db.invalid", "", true),
        ("db.invalid", "?sslmode=require", true),
        ("db.invalid", "?sslmode=verify-full", false),
        ("127.0.0.1", "", false),
        ("localhost", "", false),
    ] {
        let url = format!("postgres://rally_api:secret@{host}:1/rally{mode}");
        let printed = home.run(&["doctor"], &[("DATABASE_URL", &url)]).await.stdout;
        let printed = String::from_utf8(printed).unwrap();
        let warning = printed.lines().find(|line| line.starts_with("WARN  TLS to the database: "));
        assert_eq!(warning.is_some(), warns, "{url}: {printed}");
        assert!(!printed.contains("secret@"), "{printed}");
    }
}
