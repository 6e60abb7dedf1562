//! Batched lookups of secrets and tenants: each returns its own row, and a slow one does not delay others.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::time::sleep;

use crate::{
    client::{Credential, PATH},
    harness::{TestDatabase, TestServer, wait_until},
    proxy::Proxy,
};

const CHECK: &str = "/forward-auth";

/// Hundreds of lookups at once without a cache: active, revoked and unknown secrets of two tenants.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_lookups_each_return_their_own_row() {
    let server = TestServer::with(&[("VERIFY_CACHE_ENTRIES", "0")]).await;
    let tenants = [server.admin("acme"), server.admin("globex")];
    let mut keys = Vec::new();
    for n in 0..30 {
        let owner = n % 2;
        let key = tenants[owner].create("n", ["read", "write", "admin"][n % 3]).await;
        let revoked = n % 5 == 4;
        if revoked {
            tenants[owner].delete(&key.path()).await.expect(204);
        }
        keys.push((owner, ["read", "write", "admin"][n % 3], revoked, key));
    }
    for _ in 0..5 {
        let mut known = Vec::new();
        for (owner, scopes, revoked, key) in &keys {
            for (place, tenant) in tenants.iter().enumerate() {
                known.push(async move {
                    let reply = tenant.with_key(&key.secret).get(CHECK).await;
                    match (place == *owner, revoked) {
                        (false, _) => drop(reply.refused(401, "invalid_key")),
                        (true, true) => drop(reply.refused(401, "key_revoked")),
                        (true, false) => {
                            assert_eq!(reply.status, 200);
                            assert_eq!(reply.headers["x-rally-key-id"], key.id);
                            assert_eq!(reply.headers["x-rally-scopes"], scopes);
                        }
                    }
                });
            }
        }
        let unknown = (0..60).map(|n| {
            let tenant = tenants[n % 2].with_key(&format!("rk_live_{n:032x}"));
            async move { tenant.get(CHECK).await.refused(401, "invalid_key") }
        });
        tokio::join!(join_all(known), join_all(unknown));
    }
}

/// With more slow statements than lookups run concurrently by default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_lookups_do_not_delay_others() {
    const SLOW: usize = 4;
    let server = TestServer::with(&[("VERIFY_CACHE_ENTRIES", "0")]).await;
    let admin = server.admin("acme");
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        slow.push(admin.create("slow", "read").await);
    }
    let quick = admin.create("quick", "read").await;
    let digests: Vec<_> = slow.iter().map(|key| format!(r"'\x{}'::bytea", key.digest())).collect();
    let definition =
        server.database.texts("SELECT pg_get_functiondef('find_api_key_secrets'::regproc)").await.remove(0);
    let original = definition.replace("find_api_key_secrets", "original");
    let (head, _) = definition.split_once("AS $function$").unwrap();
    let slowed = format!(
        "{head} AS $function$ BEGIN
             IF wanted_digests && ARRAY[{}] THEN PERFORM pg_sleep(1.5); END IF;
             RETURN QUERY SELECT * FROM public.original(wanted_tenants, wanted_digests);
         END $function$",
        digests.join(", ")
    );
    let mut owner = server.database.connect().await;
    owner.execute(AssertSqlSafe(original)).await.unwrap();
    owner.execute(AssertSqlSafe(slowed)).await.unwrap();

    let mut under_way = Vec::new();
    for key in &slow {
        let client = admin.with_key(&key.secret);
        under_way.push(tokio::spawn(async move { client.get(CHECK).await.status }));
        sleep(Duration::from_millis(50)).await; // so that each runs in its own statement
    }
    for _ in 0..10 {
        assert_eq!(admin.with_key(&quick.secret).get(CHECK).await.status, 200);
    }
    assert!(under_way.iter().all(|slow| !slow.is_finished()), "the quick lookups waited for the slow ones");
    for slow in under_way {
        assert_eq!(slow.await.unwrap(), 200);
    }
    admin.get(PATH).await.expect(200);
}

/// With one connection and more lookups than fit in one batch. If abandoned lookups were still run, they would delay
/// later ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_lookups_do_not_pile_up_behind_a_locked_table() {
    let server = TestServer::with(&[("VERIFY_CACHE_ENTRIES", "0"), ("DATABASE_CHECK_CONNECTIONS", "1")]).await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let secrets = (0..200).map(|n| admin.with_key(&format!("rk_live_{n:032x}"))).collect::<Vec<_>>();
    let tenants = (0..200).map(|n| admin.on(format!("unknown-{n}.localhost"))).collect();
    for (table, clients) in [("api_key_secrets", secrets), ("tenants", tenants)] {
        let mut lock = server.database.connect().await;
        lock.execute(AssertSqlSafe(format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))).await.unwrap();
        for reply in join_all(clients.iter().map(|client| client.get(CHECK))).await {
            reply.refused(503, "database_unavailable");
        }
        let metrics = admin.with(Credential::None).get("/metrics").await.body;
        assert!(metrics.contains("\nrally_lookups_waiting 0\n"), "{metrics}");
        lock.execute("ROLLBACK").await.unwrap();
        assert_eq!(admin.with_key(&key.secret).get(CHECK).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_lookups_of_tenants_share_statements() {
    const TENANTS: usize = 200;
    let database = TestDatabase::create().await;
    let proxy = Proxy::start(database.socket().await).await;
    let server = TestServer::through(proxy.address, database, &[]).await;
    server.wait_for_feed().await;
    let acme = server.admin("acme");
    let clients: Vec<_> = (0..TENANTS).map(|n| acme.on(format!("unknown-{n}.localhost"))).collect();
    let before = proxy.round_trips();
    let known = join_all((0..10).map(|_| acme.get(PATH)));
    let (unknown, known) = tokio::join!(join_all(clients.iter().map(|client| client.get(CHECK))), known);
    let round_trips = proxy.round_trips() - before;
    for reply in unknown {
        reply.refused(401, "tenant_not_found");
    }
    for reply in known {
        reply.expect(200);
    }
    assert!((1..TENANTS / 2).contains(&round_trips), "{round_trips} round trips for {TENANTS} tenants");
}

/// PostgreSQL caches the plan of a lookup. A plan that was made when there were few keys must not scan all keys later.
/// (Autovacuum is off, so nothing analyses the tables in between.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lookup_reads_no_more_rows_when_there_are_more_keys() {
    let server = TestServer::with(&[("VERIFY_CACHE_ENTRIES", "0")]).await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let checks = AtomicI64::new(0);
    let check = async || {
        assert_eq!(admin.with_key(&key.secret).get(CHECK).await.status, 200);
        checks.fetch_add(1, Ordering::Relaxed);
    };
    server.database.execute("ANALYZE").await;
    for _ in 0..20 {
        check().await;
    }
    let more = format!(
        "INSERT INTO api_keys (tenant_id, id, name, folded_name, scopes, created_at, last4)
         SELECT '{0}', md5('key ' || n)::uuid, 'n', 'n', 'read', now(), '0000' FROM generate_series(1, 20000) n;
         INSERT INTO api_key_secrets (tenant_id, lookup_digest, key_id, phc, last4, created_at)
         SELECT '{0}', decode(md5('digest ' || n), 'hex'), md5('key ' || n)::uuid, '$argon2id$v=19$', '0000', now()
         FROM generate_series(1, 20000) n;
         SELECT pg_stat_force_next_flush()",
        server.database.acme
    );
    server.database.execute(&more).await;
    let rows_read = async || {
        let rows = "SELECT sum(seq_tup_read + idx_tup_fetch)::bigint FROM pg_stat_user_tables
                    WHERE relname IN ('api_keys', 'api_key_secrets')";
        server.database.count(rows).await
    };
    // A session publishes its statistics about a second later.
    sleep(Duration::from_millis(1_500)).await;
    let (before, begun) = (rows_read().await, checks.load(Ordering::Relaxed));
    wait_until(async || {
        check().await;
        rows_read().await - before >= 40
    })
    .await;
    let (read, checked) = (rows_read().await - before, checks.load(Ordering::Relaxed) - begun);
    let by_index = "SELECT string_agg(concat_ws(' ', indexrelname, idx_scan, idx_tup_read, idx_tup_fetch), ', ')
                    FROM pg_stat_user_indexes WHERE relname IN ('api_keys', 'api_key_secrets') AND idx_scan > 0";
    let by_index = server.database.texts(by_index).await;
    assert!(read <= 10 * (checked + 20), "{read} rows for {checked} checks: {by_index:?}");
}
