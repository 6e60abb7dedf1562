//! The operator's commands: tenants and their keys, by the binary, beside a running service.

use reqwest::Method;
use serde_json::json;

use crate::{
    binary::Home,
    client::{Credential, PATH, send},
    harness::{PEPPER, TestDatabase, TestServer, wait_until},
};

/// The program, with the owner's URL alone.
struct Operator {
    home: Home,
    url: String,
}

impl Operator {
    async fn new(name: &str, database: &TestDatabase) -> Self {
        Self { home: Home::new(name), url: database.url_text(None).await }
    }

    fn settings(&self) -> [(&str, &str); 2] {
        [("DATABASE_MIGRATION_URL", &self.url), ("KEY_PEPPER", PEPPER)]
    }

    async fn run(&self, args: &[&str]) -> String {
        self.home.succeed(args, &self.settings()).await
    }

    async fn fail(&self, args: &[&str]) -> String {
        self.home.fail(args, &self.settings()).await
    }
}

#[tokio::test]
async fn a_key_that_an_operator_creates_works_and_its_events_name_the_operator() {
    let server = TestServer::with(&[("KEY_FALLBACK", "deny")]).await;
    let (operator, admin) = (Operator::new("keys", &server.database).await, server.admin("acme"));
    let create = ["keys", "create", "--tenant", "acme", "--name", "Nightly export", "--scopes", "read,write"];
    let secret = operator.run(&[&create[..], &["--expires-at", "2030-01-01T00:00:00Z", "--as", "Ada"]].concat()).await;
    let own = admin.with_key(secret.trim_end()).get(&format!("{PATH}/self")).await.expect(200);
    assert_eq!(
        [&own["name"], &own["scopes"], &own["expiresAt"], &own["createdBy"]],
        ["Nightly export", "read,write", "2030-01-01T00:00:00Z", "operator:Ada"]
    );
    operator.run(&create).await;
    let login = admin.get(PATH).await.expect(200)[0]["createdBy"].as_str().unwrap().to_owned();
    assert!(login.len() > "operator:".len() && login != "operator:Ada", "{login}");

    let list = operator.run(&["keys", "list", "--tenant", "acme"]).await;
    let lines: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((lines.len(), lines[0][0], lines[1][3]), (3, "ID", "active"), "{list}");
    assert_eq!(lines[2][..4], [own["id"].as_str().unwrap(), own["keyHint"].as_str().unwrap(), "read,write", "active"]);
    assert!(!list.contains(&secret.trim_end()[8..]), "{list}");
    assert_eq!(operator.run(&["keys", "list", "--tenant", "globex"]).await.lines().count(), 1);

    let id = own["id"].as_str().unwrap();
    let revoke = ["keys", "revoke", "--tenant", "acme", id, "--as", "Bob", "--reason", "Replaced"];
    assert_eq!(operator.run(&revoke).await, format!("revoked API key {id}\n"));
    let holder = admin.with_key(secret.trim_end());
    wait_until(async || holder.get("/forward-auth").await.status == 401).await;
    assert!(operator.run(&revoke).await.contains("was revoked before"));
    let why = operator.fail(&["keys", "revoke", "--tenant", "globex", id]).await;
    assert!(why.contains(&format!("tenant globex has no API key {id}")), "{why}");

    let events = admin.get(&format!("{PATH}/{id}/events")).await.expect(200);
    let of = |kind: &str| events.as_array().unwrap().iter().find(|event| event["type"] == kind).unwrap();
    for (kind, actor) in [("created", "operator:Ada"), ("revoked", "operator:Bob")] {
        let event = of(kind);
        assert_eq!([&event["actor"], &event["requestId"]], [actor, "command-line"], "{events}");
        assert_eq!(event["details"]["name"], "Nightly export");
    }
    assert_eq!(of("revoked")["details"]["reason"], "Replaced");
    operator.run(&["events", "verify", "--tenant", "acme"]).await;
}

#[tokio::test]
async fn a_key_that_an_operator_revokes_stops_working_on_every_instance() {
    let one = TestServer::start().await;
    let other = one.sibling(&[]).await;
    let operator = Operator::new("keys-revoke", &one.database).await;
    let key = one.admin("acme").create("Zapier", "read").await;
    let holders = [one.admin("acme").with_key(&key.secret), other.admin("acme").with_key(&key.secret)];
    for (server, holder) in [&one, &other].into_iter().zip(&holders) {
        server.wait_for_feed().await;
        assert_eq!(holder.get("/forward-auth").await.status, 200, "cached from now on");
    }
    operator.run(&["keys", "revoke", "--tenant", "acme", &key.id]).await;
    for holder in &holders {
        wait_until(async || holder.get("/forward-auth").await.status == 401).await;
        holder.get(PATH).await.refused(401, "key_revoked");
    }
}

#[tokio::test]
async fn a_key_of_an_operator_is_bound_by_the_tenants_policy() {
    let server = TestServer::start().await;
    let (operator, admin) = (Operator::new("keys-policy", &server.database).await, server.admin("acme"));
    let limit = json!({"requests": 5, "windowSeconds": 10});
    let policy = json!({"allowedScopes": "read", "maxActiveKeys": 1, "defaultRateLimit": limit});
    send(admin.request(Method::PUT, &format!("{PATH}/policy")).json(&policy)).await.expect(200);
    let create = ["keys", "create", "--tenant", "acme", "--name", "n", "--scopes"];
    let why = operator.fail(&[&create[..], &["admin"]].concat()).await;
    assert!(why.contains("`allowedScopes` = \"read\", and the key would have \"admin\""), "{why}");
    operator.run(&[&create[..], &["read"]].concat()).await;
    assert_eq!(admin.get(PATH).await.expect(200)[0]["rateLimit"], limit);
    let why = operator.fail(&[&create[..], &["read"]].concat()).await;
    assert!(why.contains("`maxActiveKeys` = 1, and the tenant would have 2"), "{why}");
}

#[tokio::test]
async fn bad_arguments_of_keys_are_refused_with_the_reason() {
    let database = TestDatabase::create().await;
    let operator = Operator::new("keys-bad", &database).await;
    let create = ["keys", "create", "--tenant", "acme"];
    let why = operator.fail(&[&create[..], &["--name", "n", "--expires-at", "2020-01-01T00:00:00Z"]].concat()).await;
    assert!(why.contains("must be in the future"), "{why}");
    let why = operator.fail(&["keys", "list", "--tenant", "nobody"]).await;
    assert!(why.contains("there is no tenant nobody"), "{why}");
    for (args, reason) in [
        (&["--name", ""][..], "1 to 100 characters"),
        (&["--name", "n", "--scopes", "root"], "scopes"),
        (&["--name", "n", "--expires-at", "tomorrow"], "RFC 3339"),
        (&["--name", "n", "--as", "a\u{200b}b"], "invisible"),
    ] {
        let output = operator.home.run(&[&create[..], args].concat(), &operator.settings()).await;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && text.contains(reason), "{args:?}: {text}");
    }
    assert_eq!(database.count("SELECT count(*) FROM api_keys").await, 0);
}

#[tokio::test]
async fn a_renamed_tenant_is_served_at_its_new_host_alone() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let operator = Operator::new("rename", &server.database).await;
    let key = server.admin("acme").create("Zapier", "read").await;
    let at = |slug: &str| server.client(slug, Credential::ApiKey(key.secret.clone()));
    at("acme").get(PATH).await.expect(200);
    at("acme-2").get(PATH).await.refused(404, "tenant_not_found");

    let printed = operator.run(&["tenant", "rename", "acme", "acme-2", "--name", "Acme Ltd"]).await;
    assert!(printed.contains("its host is acme-2.localhost now"), "{printed}");
    at("acme-2").get(PATH).await.expect(200);
    wait_until(async || at("acme").get(PATH).await.status == 404).await;
    assert!(operator.run(&["tenant", "list"]).await.contains("Acme Ltd"));
    operator.run(&["tenant", "rename", "acme-2", "--name", "Acme"]).await;
    at("acme-2").get(PATH).await.expect(200);
    for (args, why) in [
        (["acme-2", "globex"], "another tenant has this slug"),
        (["acme", "umbrella"], "there is no tenant acme"),
        (["acme-2", "Not a slug"], "the tenant's slug must"),
    ] {
        let message = operator.fail(&[&["tenant", "rename"], &args[..]].concat()).await;
        assert!(message.contains(why), "{message}");
    }
}

/// The number of rows of a tenant in each table that has any.
async fn rows_of(database: &TestDatabase, tenant: impl std::fmt::Display) -> Vec<(String, i64)> {
    let tables = "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
                  WHERE a.attname = 'tenant_id' AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY 1";
    let mut found = Vec::new();
    for table in database.texts(tables).await {
        let rows = database.count(&format!("SELECT count(*) FROM {table} WHERE tenant_id = '{tenant}'")).await;
        found.push((table, rows));
    }
    found
        .push(("tenants".into(), database.count(&format!("SELECT count(*) FROM tenants WHERE id = '{tenant}'")).await));
    found
}

#[tokio::test]
async fn a_deleted_tenant_leaves_no_row_and_no_working_key() {
    let mut server = TestServer::start().await;
    server.wait_for_feed().await;
    let (operator, database) = (Operator::new("delete", &server.database).await, server.database.clone());
    let mut secrets = Vec::new();
    for slug in ["acme", "globex"] {
        let admin = server.admin(slug);
        let quota = json!({"requests": 1000, "per": "day"});
        let key = admin.create_with(&json!({"name": "Zapier", "scopes": "read", "quota": quota})).await;
        admin.post(&format!("{}/rotate", key.path()), &json!({})).await.expect(200);
        assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 200);
        let request = admin.request(Method::POST, PATH).header("idempotency-key", "of-the-deletion");
        let reply = send(request.json(&json!({"name": "Old", "scopes": "read"}))).await;
        let revoked = format!("{PATH}/{}", reply.expect(201)["id"].as_str().unwrap());
        admin.delete(&revoked).await.expect(204);
        secrets.push(key.secret);
    }
    wait_until(async || database.count("SELECT count(DISTINCT tenant_id) FROM api_key_last_uses").await == 2).await;
    server.stop().await; // writes the rest of the usage
    let server = TestServer::on(database.clone(), &[]).await;
    server.wait_for_feed().await;
    let (acme, globex) = (server.admin("acme"), server.admin("globex"));
    let before = rows_of(&database, database.globex).await;
    assert!(before.iter().all(|(_, rows)| *rows > 0), "every table is tried: {before:?}");

    let why = operator.fail(&["tenant", "delete", "acme"]).await;
    for part in ["nothing was deleted", "2 API keys, 1 of them active, and 4 audit events", "events export", "--yes"] {
        assert!(why.contains(part), "{part} in {why}");
    }
    acme.get(PATH).await.expect(200);
    assert!(operator.fail(&["tenant", "delete", "nobody", "--yes"]).await.contains("there is no tenant nobody"));

    let printed = operator.run(&["tenant", "delete", "acme", "--yes"]).await;
    assert!(
        printed.starts_with("deleted tenant acme (") && printed.contains("1 of which were revoked now"),
        "{printed}"
    );
    assert!(rows_of(&database, database.acme).await.iter().all(|(_, rows)| *rows == 0));
    wait_until(async || acme.get(PATH).await.status == 404).await;
    assert_eq!(rows_of(&database, database.globex).await, before);
    globex.get(PATH).await.expect(200);
    // The slug is free again, and the old tenant's secrets are worth nothing there.
    operator.run(&["tenant", "create", "acme"]).await;
    wait_until(async || acme.get(PATH).await.status == 200).await;
    assert_eq!(acme.get(PATH).await.expect(200), json!([]));
    acme.with_key(&secrets[0]).get(PATH).await.refused(401, "invalid_key");
}

/// An operator's login deletes no event of a tenant that goes on, nor any other row of it.
#[tokio::test]
async fn the_operators_role_deletes_rows_of_deleted_tenants_alone() {
    let server = TestServer::start().await;
    server.admin("acme").create("Zapier", "read").await;
    let (database, acme) = (&server.database, server.database.acme);
    let before = rows_of(database, acme).await;
    let delete = "DELETE FROM api_key_secrets; DELETE FROM api_key_events; DELETE FROM api_key_event_heads;
                  DELETE FROM api_key_usage; DELETE FROM api_key_last_uses; DELETE FROM api_key_callers;
                  DELETE FROM api_key_quota_usage; DELETE FROM api_key_idempotency_records;
                  DELETE FROM api_keys";
    for setting in ["", &acme.to_string()] {
        database.execute(&format!("SET ROLE rally_operator; SET rally.deleted_tenant = '{setting}'; {delete}")).await;
        assert_eq!(rows_of(database, acme).await, before, "{setting}");
    }
    let mut connection = database.connect().await;
    for refused in [
        "SELECT count(*) FROM api_keys",
        "DELETE FROM tenants",
        "UPDATE api_key_events SET actor = 'x'",
        "TRUNCATE api_key_events",
    ] {
        let sql = format!("SET ROLE rally_operator; {refused}");
        let error = sqlx::Executor::execute(&mut connection, sqlx::AssertSqlSafe(sql)).await.expect_err(refused);
        let code =
            error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(std::borrow::Cow::into_owned);
        assert!(matches!(code.as_deref(), Some("42501" | "23503")), "{refused}: {error}");
    }
    assert_eq!(rows_of(database, acme).await, before);
}

#[tokio::test]
async fn migrate_under_the_wrong_login_says_which_login_it_needs() {
    TestDatabase::create().await; // its migrations create the roles of the cluster
    let database = TestDatabase::unmigrated().await;
    database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC").await; // the default since PostgreSQL 15
    let login = format!("login_{}", database.name);
    database.execute(&format!("CREATE ROLE {login} LOGIN IN ROLE rally_app")).await;
    let (home, url) = (Home::new("migrate-role"), database.url_text(Some(&login)).await);
    let why = home.fail(&["migrate"], &[("DATABASE_URL", &url)]).await;
    for part in [&*login, "may not migrate", "permission denied for schema public", "DATABASE_MIGRATION_URL", "GRANT"] {
        assert!(why.contains(part), "{part} in {why}");
    }
    assert!(!why.contains("line"), "{why}");
    // The owner of the database, whom nobody made a member of the two roles.
    database.execute(&format!("REVOKE rally_app FROM {login}; ALTER SCHEMA public OWNER TO {login}")).await;
    let why = home.fail(&["migrate"], &[("DATABASE_URL", &url)]).await;
    assert!(why.contains("may not migrate") && why.contains("rally_app, rally_operator TO the owner"), "{why}");
    database
        .execute(&format!("REASSIGN OWNED BY {login} TO rally_owner; DROP OWNED BY {login}; DROP ROLE {login}"))
        .await;
}

/// Without DATABASE_URL, which is the service's.
#[tokio::test]
async fn the_owners_url_alone_creates_tenants_once_the_database_is_migrated() {
    TestDatabase::create().await;
    let database = TestDatabase::unmigrated().await;
    let owner = format!("owner_{}", database.name);
    let roles = format!(
        "CREATE ROLE {owner} LOGIN; ALTER SCHEMA public OWNER TO {owner}; ALTER DATABASE {} OWNER TO {owner}",
        database.name
    );
    database.execute(&roles).await;
    let (home, url) = (Home::new("owner-alone"), database.url_text(Some(&owner)).await);
    let settings = [("DATABASE_MIGRATION_URL", url.as_str()), ("BASE_DOMAIN", "rallycrm.io")];
    for command in [&["tenant", "create", "acme"][..], &["tenant", "list"], &["keys", "list", "--tenant", "acme"]] {
        let why = home.fail(command, &settings).await;
        assert!(why.contains("lacks migration 1") && why.contains("run `rally-api-keys migrate`"), "{why}");
    }
    for command in [&["serve"][..], &["config", "check"]] {
        let why = home.fail(command, &settings).await;
        assert!(why.contains("DATABASE_URL is not set, and DATABASE_MIGRATION_URL is"), "{why}");
    }
    database.execute(&format!("GRANT rally_app, rally_operator TO {owner}")).await;
    home.succeed(&["migrate"], &settings).await;
    assert!(home.succeed(&["tenant", "create", "acme"], &settings).await.starts_with("created tenant acme"));
    assert_eq!(home.succeed(&["keys", "list", "--tenant", "acme"], &settings).await.lines().count(), 1);
    database
        .execute(&format!("REASSIGN OWNED BY {owner} TO rally_owner; DROP OWNED BY {owner}; DROP ROLE {owner}"))
        .await;
}
