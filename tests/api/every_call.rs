//! Every kind of call and command once, for tests of what must hold for all of them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    binary::Home,
    client::{Client, Credential, PATH, send},
    harness::{JWT_SECRET, PEPPER, TestDatabase, TestServer, wait_until},
};

const CHECK: &str = "/forward-auth";

/// Each call that reads or changes keys, a check that asks the database, and a flush of usage.
pub async fn call_everything(server: &TestServer) {
    let admin = server.admin("acme");
    let key = admin.create("Zapier", "read,write").await;
    let path = key.path();
    admin.patch(&path, &json!({"name": "Zapier Sync", "scopes": "admin"})).await.expect(200);
    admin.post(&format!("{path}/suspend"), &json!({"reason": "a try"})).await.expect(200);
    admin.post(&format!("{path}/resume"), &json!({})).await.expect(200);
    let limits =
        json!({"description": "all day", "allowedAddresses": ["127.0.0.0/8"], "quota": {"requests": 9, "per": "day"}});
    admin.patch(&path, &limits).await.expect(200);
    admin.patch(&path, &json!({"quota": null})).await.expect(200);
    admin.get(&path).await.expect(200);
    let repeated = post_twice(&admin, PATH, &json!({"name": "Repeated"})).await;
    post_twice(&admin, &format!("{PATH}/{}/rotate", repeated["id"].as_str().expect("an id")), &json!({})).await;
    let holder = admin.with_key(&key.secret);
    assert_eq!(holder.get(CHECK).await.status, 200);
    holder.get(&format!("{PATH}/self")).await.expect(200);
    let rotated = admin.post(&format!("{path}/rotate"), &json!({})).await.expect(200);
    assert_eq!(holder.get(CHECK).await.status, 200, "the previous secret works until the overlap ends");
    admin.delete(&format!("{path}/previous-secret")).await.expect(204);
    assert_eq!(holder.get(CHECK).await.status, 401);
    let holder = admin.with_key(rotated["key"].as_str().expect("a secret"));
    assert_eq!(holder.get(CHECK).await.status, 200);
    wait_until(async || admin.get(&path).await.expect(200)["lastUsedAt"].is_string()).await;
    for query in [
        "",
        "?limit=1",
        "?status=active,expired",
        "?search=zap",
        "?unusedForDays=1",
        "?limit=5&status=active&search=sync&unusedForDays=3",
        "?limit=5&scope=read&createdBy=x&expiresBefore=2030-01-01T00:00:00Z",
        "?limit=5&include=usage",
        "?sort=createdAt&limit=5",
        "?sort=name&limit=5",
        "?sort=-name&search=zap&limit=5",
        "?sort=lastUsedAt&limit=5",
        "?sort=-lastUsedAt&status=active&limit=5",
        "?sort=expiresAt&limit=5",
        "?sort=-expiresAt&limit=5",
    ] {
        let listed = admin.get(&format!("{PATH}{query}")).await.expect(200);
        assert!(listed.as_array().is_some(), "{listed}");
    }
    let next = admin.get(&format!("{PATH}?limit=1")).await;
    if let Some(link) = next.headers.get("link") {
        let link = link.to_str().unwrap();
        let at = link.find("cursor=").expect("a cursor");
        let cursor = link[at..].split(['>', '&']).next().unwrap();
        admin.get(&format!("{PATH}?limit=1&{cursor}")).await.expect(200);
    }
    for part in ["usage", "callers", "events", "events?limit=2"] {
        admin.get(&format!("{path}/{part}")).await.expect(200);
    }
    admin.get(&format!("{PATH}/events")).await.expect(200);
    admin.get(&format!("{PATH}/usage")).await.expect(200);
    admin.get("/api/v1/me").await.expect(200);
    let policy = format!("{PATH}/policy");
    for rules in [json!({"maxActiveKeys": 1000, "allowedScopes": "admin"}), json!({})] {
        send(admin.request(Method::PUT, &policy).json(&rules)).await.expect(200);
        admin.get(&policy).await.expect(200);
    }
    let leaked = admin.create("Leaked", "read").await;
    let report = json!({"secrets": [leaked.secret], "url": "https://example.com/paste"});
    assert_eq!(admin.with(Credential::None).post("/leaks", &report).await.status, 202);
    wait_until(async || admin.get(&leaked.path()).await.expect(200)["status"] == "revoked").await;
    admin.delete(&path).await.expect(204);
    admin.delete(&path).await.expect(204);
    assert_eq!(holder.get(CHECK).await.status, 401);
    admin.with_key(&format!("rk_live_{}", "0".repeat(32))).get(PATH).await.refused(401, "invalid_key");
}

/// Posts the same twice under one `Idempotency-Key`.
async fn post_twice(admin: &Client, path: &str, body: &Value) -> Value {
    let key = uuid::Uuid::new_v4().to_string();
    let post = async || send(admin.request(Method::POST, path).header("idempotency-key", &key).json(body)).await;
    let first = post().await;
    assert_eq!(first.body, post().await.body);
    first.json()
}

/// Each command that uses the database, by that URL; the change feed connects to the server itself.
pub async fn run_every_command(home: &Home, database: &TestDatabase, url: &str) {
    let direct = database.url_text(None).await;
    let settings =
        [("DATABASE_URL", url), ("DATABASE_DIRECT_URL", &direct), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)];
    home.succeed(&["migrate"], &settings).await;
    let slug = format!("t{}", database.name.replace('_', ""));
    home.succeed(&["tenant", "create", &slug], &settings).await;
    home.succeed(&["tenant", "suspend", &slug], &settings).await;
    home.succeed(&["tenant", "resume", &slug], &settings).await;
    assert!(home.succeed(&["tenant", "list"], &settings).await.contains(&slug));
    home.succeed(&["tenant", "external-id", &slug, &format!("org-{slug}")], &settings).await;
    let renamed = format!("{slug}-2");
    home.succeed(&["tenant", "rename", &slug, &renamed, "--name", "Renamed"], &settings).await;
    let of = ["--tenant", &*renamed];
    home.succeed(&[&["keys", "create", "--name", "n"], &of[..]].concat(), &settings).await;
    let list = home.succeed(&[&["keys", "list"], &of[..]].concat(), &settings).await;
    let id = list.lines().nth(1).and_then(|line| line.split(' ').next()).expect("a key");
    home.succeed(&[&["keys", "suspend", id], &of[..]].concat(), &settings).await;
    home.succeed(&[&["keys", "resume", id], &of[..]].concat(), &settings).await;
    home.succeed(&[&["keys", "callers", id], &of[..]].concat(), &settings).await;
    home.succeed(&[&["keys", "revoke", id], &of[..]].concat(), &settings).await;
    home.succeed(&["tenant", "delete", &renamed, "--yes"], &settings).await;
    let verified = home.succeed(&["events", "verify", "--tenant", "acme"], &settings).await;
    assert!(verified.contains("the chain is intact"), "{verified}");
    home.succeed(&["events", "export", "--tenant", "acme"], &settings).await;
    // It fails, since the tests' PostgreSQL runs without fsync.
    home.fail(&["doctor"], &settings).await;
}
