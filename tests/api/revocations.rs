//! `revocations export` and `apply`: a database that was restored to a time before.

use serde_json::{Value, json};

use crate::{
    binary::Home,
    client::{CreatedKey, Credential, PATH, send},
    harness::{PEPPER, TestDatabase, TestServer},
};

const CHECK: &str = "/forward-auth";

/// Runs the command as the owner of the database.
async fn run(home: &Home, database: &TestDatabase, args: &[&str]) -> String {
    let url = database.url_text(None).await;
    home.succeed(args, &[("DATABASE_MIGRATION_URL", &url), ("KEY_PEPPER", PEPPER)]).await
}

/// Backup, changes, loss, restore: what was revoked, suspended or ended in between is so again, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocations_after_a_backup_are_in_force_after_its_restore() {
    let mut server = TestServer::start().await;
    let home = Home::new("revocations");
    let admin = server.admin("acme");
    let create = async || admin.create("n", "read").await;
    let (revoked, suspended, resumed) = (create().await, create().await, create().await);
    let (rotated, overlapping, replaced, other) = (create().await, create().await, create().await, create().await);
    let old = create().await;
    admin.delete(&old.path()).await.expect(204);
    let since = chrono::Utc::now().to_rfc3339();
    admin.post(&format!("{}/rotate", replaced.path()), &json!({"overlapSeconds": 3600})).await.expect(200);
    server.stop().await;
    let backup = server.database.copy().await;
    let mut server = TestServer::on(server.database.clone(), &[]).await;
    let admin = server.admin("acme");
    admin.delete(&revoked.path()).await.expect(204);
    for key in [&suspended, &resumed] {
        admin.post(&format!("{}/suspend", key.path()), &json!({"reason": "Audit"})).await.expect(200);
    }
    admin.post(&format!("{}/resume", resumed.path()), &json!({})).await.expect(200);
    admin.post(&format!("{}/rotate", rotated.path()), &json!({"overlapSeconds": 0})).await.expect(200);
    admin.post(&format!("{}/rotate", overlapping.path()), &json!({"overlapSeconds": 3600})).await.expect(200);
    send(admin.request(reqwest::Method::DELETE, &format!("{}/previous-secret", replaced.path()))).await.expect(204);
    let later = admin.create("after the backup", "read").await;
    admin.delete(&later.path()).await.expect(204);

    let exported = run(&home, &server.database, &["revocations", "export", "--since", &since]).await;
    let all = run(&home, &server.database, &["revocations", "export"]).await;
    assert!(!exported.contains(&old.id) && all.contains(&old.id), "{all}");
    let file = home.dir().join("revocations.ndjson");
    std::fs::write(&file, &exported).unwrap();
    server.stop().await;

    let server = TestServer::on(backup, &[]).await;
    let admin = server.admin("acme");
    let status = async |key: &CreatedKey| admin.with_key(&key.secret).get(CHECK).await.status.as_u16();
    for key in [&revoked, &suspended, &resumed, &rotated, &overlapping, &replaced, &other] {
        assert_eq!(status(key).await, 200, "the backup is from before");
    }
    let apply = ["revocations", "apply", file.to_str().unwrap(), "--as", "Ada"];
    let said = run(&home, &server.database, &apply).await;
    assert!(said.starts_with("keys revoked: 1, keys suspended: 2, previous secrets ended: 1;"), "{said}");
    for (key, expected) in [(&revoked, 401), (&suspended, 401), (&rotated, 401), (&replaced, 401)] {
        assert_eq!(status(key).await, expected);
    }
    for key in [&resumed, &overlapping, &other] {
        assert_eq!(status(key).await, 200);
    }
    let events = admin.get(&format!("{PATH}/events?type=revoked&actor=operator:Ada")).await.expect(200);
    assert_eq!((events.as_array().unwrap().len(), &events[0]["keyId"]), (1, &json!(revoked.id)));
    assert!(events[0]["details"]["reason"].as_str().unwrap().contains("again after a restore"), "{events}");
    let events = admin.get(&format!("{}/events?type=suspended", rotated.path())).await.expect(200);
    assert!(events[0]["details"]["reason"].as_str().unwrap().ends_with("rotate it"), "{events}");
    // As the reason says.
    let new = admin.post(&format!("{}/rotate", rotated.path()), &json!({"overlapSeconds": 0})).await.expect(200);
    admin.post(&format!("{}/resume", rotated.path()), &json!({})).await.expect(200);
    assert_eq!(admin.with_key(new["key"].as_str().unwrap()).get(CHECK).await.status, 200);

    let again = run(&home, &server.database, &apply).await;
    // The key that was rotated and resumed has no line about its new secret.
    assert!(again.starts_with("keys revoked: 0, keys suspended: 0, previous secrets ended: 0;"), "{again}");
    assert_eq!(server.client("acme", Credential::None).get(CHECK).await.status, 401);
}

#[tokio::test]
async fn a_malformed_export_changes_nothing() {
    let server = TestServer::start().await;
    let home = Home::new("malformed-revocations");
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let line = |changes: &[(&str, Value)]| {
        let mut line = json!({
            "type": "key_revoked", "tenantId": server.database.acme.0, "tenant": "acme", "keyId": key.id,
            "at": "2026-11-24T09:00:00Z",
        });
        for (name, value) in changes {
            line[*name] = value.clone();
        }
        line.to_string()
    };
    let url = server.database.url_text(None).await;
    let settings = [("DATABASE_MIGRATION_URL", url.as_str())];
    let file = home.dir().join("revocations.ndjson");
    for (bad, why) in [
        (&"{".to_owned(), "EOF"),
        (&line(&[("type", json!("key_deleted"))]), "unknown variant `key_deleted`"),
        (&line(&[("at", json!("yesterday"))]), "a time or a digest is malformed"),
        (&line(&[("keyId", json!("7"))]), "UUID"),
        (&line(&[("type", json!("secret_ended"))]), "lookupDigest"),
        (&line(&[("type", json!("secret_ended")), ("lookupDigest", json!("é"))]), "a time or a digest is malformed"),
    ] {
        std::fs::write(&file, format!("{}\n\n{bad}\n", line(&[]))).unwrap();
        let said = home.fail(&["revocations", "apply", file.to_str().unwrap()], &settings).await;
        assert!(said.contains("line 3: ") && said.contains(why) && said.contains("nothing was changed"), "{said}");
    }
    let said = home.fail(&["revocations", "apply", "/no/such/file"], &settings).await;
    assert!(said.contains("cannot read /no/such/file"), "{said}");
    assert_eq!(admin.with_key(&key.secret).get(CHECK).await.status, 200);
    // A tenant and a key that this database does not have.
    let strangers = [
        ("tenantId", json!("7e0a7f4c-6f70-4f0e-8a2f-0f6f0f6d1c11")),
        ("keyId", json!("7e0a7f4c-6f70-4f0e-8a2f-0f6f0f6d1c11")),
    ];
    std::fs::write(&file, strangers.map(|stranger| line(&[stranger])).join("\n")).unwrap();
    let said = run(&home, &server.database, &["revocations", "apply", file.to_str().unwrap()]).await;
    assert!(said.ends_with("that this database does not have: 2\n"), "{said}");
}

#[tokio::test]
async fn a_suspension_is_prolonged_and_never_shortened() {
    let server = TestServer::start().await;
    let home = Home::new("prolonged-suspensions");
    let admin = server.admin("acme");
    let file = home.dir().join("revocations.ndjson");
    let (soon, later) = ("2040-01-01T00:00:00Z", "2050-01-01T00:00:00Z");
    for (in_force, exported, expected) in [
        (soon, json!(later), json!(later)),
        (soon, Value::Null, Value::Null),
        (later, json!(soon), json!(later)),
        (later, json!(later), json!(later)),
    ] {
        let key = admin.create("n", "read").await;
        admin.post(&format!("{}/suspend", key.path()), &json!({"until": in_force})).await.expect(200);
        let line = json!({
            "type": "key_suspended", "until": exported, "tenantId": server.database.acme.0, "tenant": "acme",
            "keyId": key.id, "at": "2026-11-24T09:00:00Z",
        });
        std::fs::write(&file, format!("{line}\n")).unwrap();
        let said = run(&home, &server.database, &["revocations", "apply", file.to_str().unwrap()]).await;
        let is_changed = expected != json!(in_force);
        assert!(said.contains(&format!("keys suspended: {},", u8::from(is_changed))), "{said}");
        let shown = admin.get(&key.path()).await.expect(200);
        assert_eq!((&shown["status"], &shown["suspendedUntil"]), (&json!("suspended"), &expected));
    }
}
