//! Overload: cheap requests stay fast, and one tenant's load does not block another tenant.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::time::Instant;

use crate::{
    client::{CreatedKey, Credential, PATH},
    harness::TestServer,
};

const CHECK: &str = "/forward-auth";
const UNKNOWN: &str = "rk_live_00000000000000000000000000000000";

/// While the key tables are locked, requests that need no database query succeed or are refused as
/// usual, and the others get a 503 soon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_keys_are_refused_without_a_database_query() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let cached = admin.with_key(&key.secret);
    assert_eq!(cached.get(CHECK).await.status, 200);
    let mut locker = server.database.connect().await;
    locker.execute("BEGIN; LOCK TABLE api_keys, api_key_secrets IN ACCESS EXCLUSIVE MODE").await.unwrap();

    let started = Instant::now();
    let uppercase = key.secret.to_uppercase();
    let malformed = [
        "x",
        "rk_live_",
        "rk_test_00000000000000000000000000000000",
        "rk_live_0000000000000000000000000000000g",
        &uppercase,
    ];
    for secret in malformed {
        admin.with_key(secret).get(CHECK).await.refused(401, "invalid_key");
        admin.with_key(secret).get(PATH).await.refused(401, "invalid_key");
    }
    assert_eq!(cached.get(CHECK).await.status, 200, "a cached key needs no query");
    assert_eq!(admin.get(CHECK).await.status, 200, "a token needs no query");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());

    // More requests than database connections: each must end in time.
    let started = Instant::now();
    let unknown = admin.with_key(UNKNOWN);
    let others = (0..40).map(|n| admin.with_key(&format!("rk_live_{n:032x}"))).collect::<Vec<_>>();
    for reply in join_all(others.iter().map(|client| client.get(CHECK))).await {
        reply.refused(503, "database_unavailable");
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    admin.get(PATH).await.refused(503, "database_unavailable");
    locker.execute("ROLLBACK").await.unwrap();
    unknown.get(CHECK).await.refused(401, "invalid_key");
    admin.get(PATH).await.expect(200);
}

/// A secret that matches no key is refused without argon2, with or without a pepper.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_secrets_are_refused_without_argon2() {
    // A single hash takes seconds with these settings, so it would exceed the time limit below.
    let slow = [("ARGON2_MEMORY_KIB", "262144"), ("ARGON2_ITERATIONS", "16")];
    for pepper in [&[][..], &[("KEY_PEPPER", "")]] {
        let server = TestServer::with(&[&slow[..], pepper].concat()).await;
        let admin = server.admin("acme");
        let started = Instant::now();
        let clients: Vec<_> = (0..200).map(|n| admin.with_key(&format!("rk_live_{n:032x}"))).collect();
        for reply in join_all(clients.iter().map(|client| client.get(CHECK))).await {
            reply.refused(401, "invalid_key");
        }
        for reply in join_all((0..50).map(|n| {
            let client = server.client(&format!("unknown-{n}"), Credential::ApiKey(UNKNOWN.into()));
            async move { client.get(CHECK).await }
        }))
        .await
        {
            reply.refused(401, "tenant_not_found");
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}

/// The argon2 queue is bounded, requests without argon2 are not delayed, and tenants take turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_argon2_checks_is_bounded_and_does_not_block_other_requests() {
    const FLOOD: usize = 300;
    let stamped = TestServer::start().await;
    stamped.wait_for_feed().await;
    let (acme, globex) = (stamped.admin("acme"), stamped.admin("globex"));
    let key = acme.create("stamped", "read").await;
    let theirs = globex.create("stamped", "read").await;
    // Keys without a stamp: verifying one takes about 30 ms of argon2. Each row has its own secret's
    // digest but the hash of another secret, so that every check runs argon2 and then fails.
    let slow = stamped.sibling(&[("KEY_PEPPER", ""), ("ARGON2_MEMORY_KIB", "19456"), ("ARGON2_ITERATIONS", "3")]).await;
    let model = slow.admin("acme").create("model", "read").await;
    let secrets: Vec<String> = (0..FLOOD).map(|n| format!("rk_live_{n:032x}")).collect();
    let mut connection = stamped.database.connect().await;
    for secret in &secrets {
        let digest = CreatedKey { id: String::new(), secret: secret.clone() }.digest();
        let insert = format!(
            "WITH made AS (INSERT INTO api_keys (tenant_id, id, name, folded_name, scopes, created_at, last4)
                 VALUES ('{acme}', gen_random_uuid(), 'flood', 'flood', 'read', now(), '0000') RETURNING id)
             INSERT INTO api_key_secrets (tenant_id, lookup_digest, key_id, phc, last4, created_at)
             SELECT '{acme}', '\\x{digest}', made.id, s.phc, '0000', now() FROM made, api_key_secrets s
             WHERE s.key_id = '{model}'",
            acme = stamped.database.acme,
            model = model.id,
        );
        connection.execute(AssertSqlSafe(insert)).await.unwrap();
    }
    let cached = acme.with_key(&key.secret);
    assert_eq!(cached.get(CHECK).await.status, 200);

    let clients: Vec<_> = secrets.iter().map(|secret| acme.with_key(secret)).collect();
    let flood = join_all(clients.iter().map(|client| client.get(CHECK)));
    let other_requests = async {
        let mut slowest = Duration::ZERO;
        for n in 0..40 {
            let started = Instant::now();
            assert_eq!(cached.get(CHECK).await.status, 200);
            slowest = slowest.max(started.elapsed());
            // A key that is not cached needs the database, but no argon2.
            if n == 20 {
                assert_eq!(globex.with_key(&theirs.secret).get(CHECK).await.status, 200);
                acme.get(PATH).await.expect(200);
            }
        }
        // Another tenant's create needs argon2, and takes turns with the flooding tenant.
        let started = Instant::now();
        globex.post(PATH, &json!({"name": "other"})).await.expect(201);
        (slowest, started.elapsed())
    };
    let started = Instant::now();
    let (replies, (slowest, create)) = tokio::join!(flood, other_requests);
    let elapsed = started.elapsed();
    let mut busy = 0;
    for reply in &replies {
        if reply.status.as_u16() == 401 {
            reply.refused(401, "invalid_key");
        } else {
            reply.refused(503, "busy");
            busy += 1;
        }
    }
    println!("{busy} of {FLOOD} busy, in {elapsed:?}; a cached key took {slowest:?} at most, a create {create:?}");
    assert!(busy > 0 && busy < FLOOD, "{busy} of {FLOOD}");
    assert!(create < elapsed / 2, "another tenant's create waited {create:?} of {elapsed:?}");
}
