//! More than can be done: what is cheap stays cheap, and nobody's load is another's end.

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

/// While nobody can read the keys, what needs no reading is answered, and what does is told soon
/// that it cannot be known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_keys_ask_no_database() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let known = admin.with_key(&key.secret);
    assert_eq!(known.get(CHECK).await.status, 200);
    let mut locking = server.database.connect().await;
    locking.execute("BEGIN; LOCK TABLE api_keys, api_key_secrets IN ACCESS EXCLUSIVE MODE").await.unwrap();

    let begun = Instant::now();
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
    assert_eq!(known.get(CHECK).await.status, 200, "what is remembered needs no reading");
    assert_eq!(admin.get(CHECK).await.status, 200, "nor does a token");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());

    // More than there are connections, none of which may wait for ever.
    let begun = Instant::now();
    let unknown = admin.with_key(UNKNOWN);
    let others = (0..40).map(|n| admin.with_key(&format!("rk_live_{n:032x}"))).collect::<Vec<_>>();
    for reply in join_all(others.iter().map(|client| client.get(CHECK))).await {
        reply.refused(503, "database_unavailable");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    admin.get(PATH).await.refused(503, "database_unavailable");
    locking.execute("ROLLBACK").await.unwrap();
    unknown.get(CHECK).await.refused(401, "invalid_key");
    admin.get(PATH).await.expect(200);
}

/// A wrong secret costs no argon2, with a pepper or without one, however many come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_secrets_cost_no_hash() {
    // A hash takes seconds here, so that one would show.
    let slow = [("ARGON2_MEMORY_KIB", "262144"), ("ARGON2_ITERATIONS", "16")];
    for pepper in [&[][..], &[("KEY_PEPPER", "")]] {
        let server = TestServer::with(&[&slow[..], pepper].concat()).await;
        let admin = server.admin("acme");
        let begun = Instant::now();
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
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

/// A flood of checks that need argon2: the queue is bounded, and what needs none is not held up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_hashes_is_bounded() {
    const FLOOD: usize = 300;
    let stamped = TestServer::start().await;
    stamped.wait_for_feed().await;
    let (acme, globex) = (stamped.admin("acme"), stamped.admin("globex"));
    let key = acme.create("stamped", "read").await;
    let theirs = globex.create("stamped", "read").await;
    // Keys whose rows have no stamp; a hash takes some 30 ms. All have the same hash, and the
    // secrets' own digests: each costs its check, and none of them holds.
    let slow = stamped.sibling(&[("KEY_PEPPER", ""), ("ARGON2_MEMORY_KIB", "19456"), ("ARGON2_ITERATIONS", "3")]).await;
    let model = slow.admin("acme").create("model", "read").await;
    let secrets: Vec<String> = (0..FLOOD).map(|n| format!("rk_live_{n:032x}")).collect();
    let mut connection = stamped.database.connect().await;
    for secret in &secrets {
        let digest = CreatedKey { id: String::new(), secret: secret.clone() }.digest();
        let insert = format!(
            "WITH made AS (INSERT INTO api_keys (tenant_id, id, name, scopes, created_at, last4)
                 VALUES ('{acme}', gen_random_uuid(), 'flood', 'read', now(), '0000') RETURNING id)
             INSERT INTO api_key_secrets (tenant_id, lookup_digest, key_id, phc, last4, created_at)
             SELECT '{acme}', '\\x{digest}', made.id, s.phc, '0000', now() FROM made, api_key_secrets s
             WHERE s.key_id = '{model}'",
            acme = stamped.database.acme,
            model = model.id,
        );
        connection.execute(AssertSqlSafe(insert)).await.unwrap();
    }
    let known = acme.with_key(&key.secret);
    assert_eq!(known.get(CHECK).await.status, 200);

    let clients: Vec<_> = secrets.iter().map(|secret| acme.with_key(secret)).collect();
    let flood = join_all(clients.iter().map(|client| client.get(CHECK)));
    let beside = async {
        let mut slowest = Duration::ZERO;
        for n in 0..40 {
            let begun = Instant::now();
            assert_eq!(known.get(CHECK).await.status, 200);
            slowest = slowest.max(begun.elapsed());
            // A key that is not remembered yet needs the database, and no hash.
            if n == 20 {
                assert_eq!(globex.with_key(&theirs.secret).get(CHECK).await.status, 200);
                acme.get(PATH).await.expect(200);
            }
        }
        // Another tenant's create needs a hash, and takes turns with the flood's tenant.
        let begun = Instant::now();
        globex.post(PATH, &json!({"name": "beside"})).await.expect(201);
        (slowest, begun.elapsed())
    };
    let begun = Instant::now();
    let (replies, (slowest, create)) = tokio::join!(flood, beside);
    let took = begun.elapsed();
    let mut busy = 0;
    for reply in &replies {
        if reply.status.as_u16() == 401 {
            reply.refused(401, "invalid_key");
        } else {
            reply.refused(503, "busy");
            busy += 1;
        }
    }
    println!("{busy} of {FLOOD} busy, in {took:?}; a remembered key {slowest:?} at most, a create {create:?}");
    assert!(busy > 0 && busy < FLOOD, "{busy} of {FLOOD}");
    assert!(create < took / 2, "another tenant's create waited {create:?} of {took:?}");
}
