//! The hash chain of the audit trail: `rally-api-keys events verify` and `events export`.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    binary::Home,
    client::CreatedKey,
    harness::{TestDatabase, TestServer},
};

/// Records eight events of acme, and some of globex.
async fn record_history(server: &TestServer) -> Vec<CreatedKey> {
    let (acme, globex) = (server.admin("acme"), server.admin("globex"));
    let mut keys = Vec::new();
    for n in 0..3 {
        let key = acme.create(&format!("Key {n} \u{1f511} \"quoted\" \u{e4}"), "read").await;
        globex.create("Theirs", "read").await;
        acme.patch(&key.path(), &json!({"name": format!("Renamed {n}"), "expiresAt": "2099-01-01T00:00:00Z"}))
            .await
            .expect(200);
        keys.push(key);
    }
    acme.post(&format!("{}/rotate", keys[0].path()), &json!({})).await.expect(200);
    acme.delete(&keys[1].path()).await.expect(204);
    keys
}

struct Verifier {
    home: Home,
    url: String,
}

impl Verifier {
    async fn new(name: &str, database: &TestDatabase) -> Self {
        Self { home: Home::new(name), url: database.url_text(None).await }
    }

    fn settings(&self) -> [(&str, &str); 1] {
        [("DATABASE_URL", self.url.as_str())]
    }

    async fn verify(&self, args: &[&str]) -> String {
        self.home.succeed(&[&["events", "verify", "--tenant", "acme"], args].concat(), &self.settings()).await
    }

    async fn verify_fails(&self, args: &[&str]) -> String {
        self.home.fail(&[&["events", "verify", "--tenant", "acme"], args].concat(), &self.settings()).await
    }
}

/// Changes events with the privileges of the database's owner.
async fn tamper(database: &TestDatabase, sql: &str) {
    database
        .execute(&format!(
            "ALTER TABLE api_key_events DISABLE TRIGGER append_only; {sql};
             ALTER TABLE api_key_events ENABLE ALWAYS TRIGGER append_only"
        ))
        .await;
}

#[tokio::test]
async fn an_unchanged_trail_is_verified() {
    let server = TestServer::start().await;
    record_history(&server).await;
    let verifier = Verifier::new("chain-holds", &server.database).await;
    let printed = verifier.verify(&[]).await;
    assert!(printed.starts_with("tenant acme: 8 events, the chain is intact; last event: 8:"), "{printed}");
    let last = printed.trim().rsplit(' ').next().unwrap().to_owned();
    verifier.verify(&["--expect", &last]).await;
    server.admin("acme").create("One more", "read").await;
    verifier.verify(&["--expect", &last]).await;

    let unknown = ["events", "verify", "--tenant", "nobody"];
    assert!(verifier.home.fail(&unknown, &verifier.settings()).await.contains("no tenant nobody"));
    for bad in ["8", "x:y", "0:00", &last[..last.len() - 1]] {
        assert!(verifier.verify_fails(&["--expect", bad]).await.contains("--expect must be"), "{bad}");
    }
}

#[tokio::test]
async fn a_tampered_event_is_detected() {
    let cases = [
        ("another actor", "UPDATE api_key_events SET actor = 'somebody.else@acme.com' WHERE seq = 3 AND {acme}", "event 3 "),
        ("another time", "UPDATE api_key_events SET occurred_at = occurred_at - interval '1 microsecond' WHERE seq = 1 AND {acme}", "event 1 "),
        // A year that RFC 3339 cannot represent.
        ("a time past the year 9999", "UPDATE api_key_events SET occurred_at = occurred_at + interval '10000 years' WHERE seq = 1 AND {acme}", "event 1 "),
        ("other details", "UPDATE api_key_events SET details = details || '{\"x\": 1}' WHERE seq = 4 AND {acme}", "event 4 "),
        ("another address", "UPDATE api_key_events SET address = '203.0.113.1' WHERE seq = 2 AND {acme}", "event 2 "),
        ("another hash", "UPDATE api_key_events SET hash = sha256('x') WHERE seq = 5 AND {acme}", "event 5 "),
        ("one removed", "DELETE FROM api_key_events WHERE seq = 4 AND {acme}", "event 5 "),
        ("the first removed", "DELETE FROM api_key_events WHERE seq = 1 AND {acme}", "event 2 "),
        ("the last removed", "DELETE FROM api_key_events WHERE seq = 8 AND {acme}", "the last event is 7, but 8 were recorded"),
        (
            "two swapped",
            "UPDATE api_key_events SET seq = 1000 - seq WHERE seq IN (3, 4) AND {acme};
             UPDATE api_key_events SET seq = CASE seq WHEN 997 THEN 4 ELSE 3 END WHERE seq > 990 AND {acme}",
            "event 3 ",
        ),
        (
            "one inserted",
            "INSERT INTO api_key_events SELECT tenant_id, gen_random_uuid(), key_id, 'revoked', now(), 'x', NULL, 'r', '{}',
                 9, hash, sha256('forged') FROM api_key_events WHERE seq = 8 AND {acme}",
            "event 9 ",
        ),
        ("all removed", "DELETE FROM api_key_events WHERE {acme}", "the last event is 0, but 8 were recorded"),
    ];
    let server = TestServer::start().await;
    record_history(&server).await;
    let verifier = Verifier::new("chain-tampered", &server.database).await;
    let mine = format!("tenant_id = '{}'", server.database.acme);
    server.database.execute("CREATE TABLE kept AS SELECT * FROM api_key_events").await;
    for (what, sql, found) in cases {
        tamper(&server.database, &sql.replace("{acme}", &mine)).await;
        let printed = verifier.verify_fails(&[]).await;
        assert!(printed.contains("was tampered with") && printed.contains(found), "{what}: {printed}");
        tamper(&server.database, "DELETE FROM api_key_events; INSERT INTO api_key_events SELECT * FROM kept").await;
        verifier.verify(&[]).await;
    }
}

/// The recorded end of the chain is rewritten too. Only an earlier printed hash reveals that.
#[tokio::test]
async fn a_rewritten_trail_is_detected_with_an_expected_hash() {
    let server = TestServer::start().await;
    record_history(&server).await;
    let verifier = Verifier::new("chain-rewritten", &server.database).await;
    let last = verifier.verify(&[]).await.trim().rsplit(' ').next().unwrap().to_owned();
    let acme = server.database.acme;
    let cut = format!(
        "DELETE FROM api_key_events WHERE tenant_id = '{acme}' AND seq = 8;
         UPDATE api_key_event_heads h SET seq = 7, hash = e.hash FROM api_key_events e
             WHERE h.tenant_id = '{acme}' AND e.tenant_id = h.tenant_id AND e.seq = 7"
    );
    tamper(&server.database, &cut).await;
    assert!(verifier.verify(&[]).await.contains("7 events"));
    let printed = verifier.verify_fails(&["--expect", &last]).await;
    assert!(printed.contains("event 8 is expected, but the last one is 7"), "{printed}");
    assert!(printed.contains("or the database was restored"), "{printed}");
    server.admin("acme").create("Another eighth", "read").await;
    assert!(verifier.verify_fails(&["--expect", &last]).await.contains("event 8 has another hash than expected"));
}

#[tokio::test]
async fn an_export_can_be_verified_with_sha256_alone() {
    let server = TestServer::start().await;
    let keys = record_history(&server).await;
    let verifier = Verifier::new("chain-export", &server.database).await;
    let export = verifier.home.succeed(&["events", "export", "--tenant", "acme"], &verifier.settings()).await;
    let lines: Vec<&str> = export.lines().collect();
    assert_eq!(lines.len(), 8);
    let mut previous = "0".repeat(64);
    for (n, line) in lines.iter().enumerate() {
        let entry: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&entry["seq"], &entry["previousHash"]), (&json!(n + 1), &json!(previous)));
        assert_eq!(entry["tenantId"], server.database.acme.to_string());
        // The hash is the SHA-256 of the line without its `hash` member.
        let hash = entry["hash"].as_str().unwrap();
        let without = line.replacen(&format!("\"hash\":\"{hash}\","), "", 1);
        let digest: String = Sha256::digest(without.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, hash, "{line}");
        hash.clone_into(&mut previous);
    }
    let types: Vec<_> = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].clone()).collect();
    assert_eq!(types, ["created", "updated", "created", "updated", "created", "updated", "rotated", "revoked"]);
    assert!(keys.iter().all(|key| !export.contains(&key.secret[8..])));
}

/// With two tenants and two instances.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_changes_of_each_kind_leave_an_unbroken_chain() {
    let one = TestServer::start().await;
    let other = one.sibling(&[]).await;
    let lives = (0..30).map(|n| {
        let server = if n % 2 == 0 { &one } else { &other };
        let admin = server.admin(if n % 3 == 0 { "globex" } else { "acme" });
        async move {
            let path = admin.create(&format!("n{n}"), "read").await.path();
            admin.patch(&path, &json!({"name": format!("m{n}")})).await.expect(200);
            admin.post(&format!("{path}/rotate"), &json!({})).await.expect(200);
            admin.delete(&format!("{path}/previous-secret")).await.expect(204);
            admin.delete(&path).await.expect(204);
        }
    });
    futures_util::future::join_all(lives).await;
    let verifier = Verifier::new("chain-at-once", &one.database).await;
    assert!(verifier.verify(&[]).await.contains("100 events"));
    let globex = ["events", "verify", "--tenant", "globex"];
    assert!(verifier.home.succeed(&globex, &verifier.settings()).await.contains("50 events"));
}

#[tokio::test]
async fn a_locked_chain_does_not_delay_another_tenant() {
    let server = TestServer::start().await;
    for slug in ["acme", "globex"] {
        server.admin(slug).create("n", "read").await;
    }
    let mut connection = server.database.connect().await;
    let lock =
        format!("BEGIN; SELECT FROM api_key_event_heads WHERE tenant_id = '{}' FOR UPDATE", server.database.acme);
    sqlx::Executor::execute(&mut connection, sqlx::AssertSqlSafe(lock)).await.unwrap();
    server.admin("globex").create("m", "read").await;
    server.admin("acme").post(crate::client::PATH, &json!({"name": "m"})).await.refused(503, "database_unavailable");
    sqlx::Executor::execute(&mut connection, "ROLLBACK").await.unwrap();
    server.admin("acme").create("m", "read").await;
}
