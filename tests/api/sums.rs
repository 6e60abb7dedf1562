//! What was noted of keys' use is summed up: right, in time, and in nobody's way.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use futures_util::future::join_all;
use prometheus_client::{encoding::text::encode, registry::Registry};
use rally_api_keys::{
    domain::{ApiKeyId, Secret, Slug, Tenant},
    store,
    usage::{self, Tally},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use tokio::time::{Instant, sleep};

use crate::{
    client::{CreatedKey, Credential, PATH},
    harness::{TestDatabase, TestServer, open, wait_until},
    usage::{CHECK, usage},
};

/// Notes of that key, one a row.
fn notes_of(server: &TestServer, key: &CreatedKey, rows: u32) -> String {
    format!(
        "INSERT INTO api_key_usage_notes
             (tenant_id, hour, digests, used_at, requests, addresses, agents, client_lengths)
         SELECT '{}', date_trunc('hour', now(), 'UTC'), '\\x{}', '7', '1', '', E'\t\n', '1'
         FROM generate_series(1, {rows})",
        server.database.acme,
        key.digest()
    )
}

/// Somebody who sums up what was noted of acme's keys, until it says COMMIT.
async fn summer(server: &TestServer) -> PgConnection {
    let mut summer = server.database.connect().await;
    let lock = format!(
        "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('rally-api-keys usage {}', 0))",
        server.database.acme
    );
    summer.execute(AssertSqlSafe(lock)).await.unwrap();
    summer
}

fn acme(server: &TestServer) -> Tenant {
    Tenant { id: server.database.acme, slug: Slug::parse("acme").unwrap() }
}

/// With statistics from when each tenant had one key, PostgreSQL would rather hold each secret of the tenant against
/// each that was noted. (Nothing analyses the tests' tables by itself.)
#[tokio::test]
async fn each_secret_that_was_noted_is_looked_up() {
    const KEYS: i64 = 300;
    let database = TestDatabase::create().await;
    let plant = |tenant, from: i64, to: i64| {
        format!(
            "INSERT INTO api_keys (tenant_id, id, name, scopes, created_at)
             SELECT '{tenant}', md5('key ' || n)::uuid, 'n', 'read', now() FROM generate_series({from}, {to}) n;
             INSERT INTO api_key_secrets (tenant_id, lookup_digest, key_id, phc, last4, created_at)
             SELECT '{tenant}', decode(md5('digest ' || n), 'hex'), md5('key ' || n)::uuid, '$argon2id$v=19$', '0000',
                    now()
             FROM generate_series({from}, {to}) n"
        )
    };
    database.execute(&plant(database.acme, 1, 1)).await;
    database.execute(&plant(database.globex, 0, 0)).await;
    database.execute("ANALYZE").await;
    database.execute(&plant(database.acme, 2, KEYS)).await;
    let note = format!(
        "SELECT note_usage('00000000-0000-4000-8000-00000000000a', 1, ARRAY['{}'::uuid],
             ARRAY[date_trunc('hour', now(), 'UTC')], ARRAY[string_agg(decode(md5('digest ' || n), 'hex'), '')],
             ARRAY[string_agg('7', ',')], ARRAY[string_agg('1', ',')], NULL, NULL, ARRAY['192.0.2.1'],
             ARRAY[E'curl\n'], ARRAY['{KEYS}'])
         FROM generate_series(1, {KEYS}) n",
        database.acme
    );
    database.execute(&note).await;
    let look_ups = async || {
        let scans = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'api_key_secrets_pkey'";
        database.count(scans).await
    };
    let before = look_ups().await;
    database.sum_up_usage().await;
    // Its figures, and its last use. A session tells what it has done when it ends, or a little later.
    wait_until(async || look_ups().await - before >= 2 * KEYS).await;
    let used = "SELECT count(*) FROM api_key_secrets WHERE last_used_at IS NOT NULL";
    assert_eq!((database.count(used).await, database.count("SELECT count(*) FROM api_key_usage").await), (KEYS, KEYS));
}

/// Where many secrets were used, all of the tenant's are held against them at once: each has its own last use.
#[tokio::test]
async fn each_of_many_secrets_has_its_own_last_use() {
    const KEYS: i64 = 1_500;
    let database = TestDatabase::create().await;
    for tenant in [database.acme, database.globex] {
        let plant = format!(
            "INSERT INTO api_keys (tenant_id, id, name, scopes, created_at)
             SELECT '{tenant}', gen_random_uuid(), n, 'read', '2001-01-01Z' FROM generate_series(1, {KEYS}) n;
             INSERT INTO api_key_secrets (tenant_id, lookup_digest, key_id, phc, last4, created_at, last_used_at, last_address,
                                          last_user_agent)
             SELECT tenant_id, decode(md5(name), 'hex'), id, '$argon2id$v=19$', '0000', '2001-01-01Z',
                    -- Of some a later use is known, of others an earlier one.
                    CASE name::int % 3 WHEN 0 THEN '2001-02-03T05:00:00Z'::timestamptz WHEN 1 THEN '2001-02-03Z' END,
                    '198.51.100.1', 'wget'
             FROM api_keys
             WHERE tenant_id = '{tenant}'"
        );
        database.execute(&plant).await;
    }
    // In any order; the clients of half of them are known already.
    let note = format!(
        "INSERT INTO api_key_usage_notes
             (tenant_id, hour, digests, used_at, requests, addresses, agents, client_lengths)
         SELECT '{}', '2001-02-03T04:00:00Z', string_agg(decode(md5(n::text), 'hex'), '' ORDER BY place),
                string_agg(n::text, ',' ORDER BY place), string_agg(n::text, ',' ORDER BY place), '192.0.2.1,',
                E'curl\n\t\n', '{half},{half}'
         FROM (SELECT n, (n % 2, md5(n || 'anywhere')) AS place FROM generate_series(1, {KEYS}) n) secrets",
        database.acme,
        half = KEYS / 2
    );
    database.execute(&note).await;
    let sum_up = format!("SET ROLE rally_app; SELECT sum_up_usage(ARRAY['{}'::uuid], 40000)", database.acme);
    database.execute(&sum_up).await;
    let right = |tenant, expected| {
        format!(
            "SELECT count(*)
             FROM (SELECT n, n % 2 = 0 AS tells, n % 3 = 0 AS is_older, last_used_at, host(last_address) AS address,
                          last_user_agent AS agent, requests
                   FROM (SELECT name::int AS n, id FROM api_keys WHERE tenant_id = '{tenant}') k
                        JOIN api_key_secrets ON key_id = id LEFT JOIN api_key_usage USING (tenant_id, key_id)) found
             WHERE {expected}"
        )
    };
    let ours =
        "CASE WHEN is_older THEN last_used_at = '2001-02-03T05:00:00Z' AND address = '198.51.100.1' AND agent = 'wget'
                ELSE last_used_at = '2001-02-03T04:00:00Z'::timestamptz + n * interval '1 microsecond'
                     AND address = CASE WHEN tells THEN '192.0.2.1' ELSE '198.51.100.1' END
                     AND agent = CASE WHEN tells THEN 'curl' ELSE 'wget' END END
                AND requests = n";
    assert_eq!(database.count(&right(database.acme, ours)).await, KEYS);
    let theirs =
        "requests IS NULL AND address = '198.51.100.1' AND last_used_at IS DISTINCT FROM '2001-02-03T04:00:00Z'";
    assert_eq!(database.count(&right(database.globex, theirs)).await, KEYS);
}

/// Readers sum up what was noted, each time anew, while two instances go on noting: nothing is counted twice,
/// and nothing is left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_noted_is_summed_up_once() {
    let mut one = TestServer::start().await;
    let mut other = one.sibling(&[]).await;
    let admin = one.admin("acme");
    let (mut keys, mut sent) = (Vec::new(), 0);
    for n in 0..4 {
        keys.push(admin.create(&format!("n{n}"), "read").await);
    }
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        let checks = keys
            .iter()
            .flat_map(|key| [&one, &other].map(|server| server.client("acme", Credential::ApiKey(key.secret.clone()))));
        let checks = join_all(checks.map(|client| async move { client.get(CHECK).await.status })).await;
        assert!(checks.iter().all(|status| *status == 200));
        sent += i64::try_from(checks.len()).unwrap();
        let theirs = other.client("acme", admin.credential().clone());
        let (usage, list) = (usage(&keys[0]), format!("{PATH}?limit=2"));
        let [usage, list] = tokio::join!(admin.get(&usage), theirs.get(&list)).into();
        usage.expect(200);
        list.expect(200);
    }
    one.stop().await;
    other.stop().await;
    one.database.sum_up_usage().await;
    let sum = "SELECT sum(requests)::bigint FROM api_key_usage";
    assert_eq!(one.database.count(sum).await, sent);
    assert_eq!(one.database.count("SELECT count(*) FROM api_key_usage_notes").await, 0);
}

/// A tenant whose figures nobody reads: they are summed up all the same, by and by.
#[tokio::test]
async fn notes_that_nobody_asks_for_are_summed_up_by_and_by() {
    let server = TestServer::start().await;
    let (key, theirs) =
        (server.admin("acme").create("n", "read").await, server.admin("globex").create("n", "read").await);
    let store = open(&server.database.url().await).await.unwrap();
    let (recorder, writer) = usage::recorder(store, server.clock.clone(), TimeDelta::days(1));
    let writer = tokio::spawn(writer.summing_up_after([Duration::ZERO; 2]).run(std::future::pending()));
    for (tenant, key) in [(server.database.acme, &key), (server.database.globex, &theirs)] {
        let digest = Secret::parse(key.secret.as_bytes()).unwrap().lookup_digest();
        let tally = Arc::new(Tally::new(tenant, ApiKeyId::parse(&key.id).unwrap(), digest));
        recorder.used(&tally, server.clock.now(), usage::Client::default());
    }
    wait_until(async || server.database.count("SELECT count(*) FROM api_key_usage WHERE requests = 1").await == 2)
        .await;
    let used = "SELECT count(*) FROM api_key_secrets WHERE last_used_at IS NOT NULL";
    assert_eq!(server.database.count(used).await, 2);
    assert_eq!(server.database.count("SELECT count(*) FROM api_key_usage_notes").await, 0);
    writer.abort();
}

/// Somebody else is at it, and is stuck.
#[tokio::test]
async fn sums_that_are_not_made_are_counted() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("n", "read").await;
    let mut summer = summer(&server).await;
    let store = open(&server.database.url().await).await.unwrap();
    let (recorder, writer) = usage::recorder(store, server.clock.clone(), TimeDelta::days(1));
    let mut registry = Registry::default();
    recorder.register(&mut registry);
    let writer = tokio::spawn(writer.summing_up_after([Duration::ZERO; 2]).run(std::future::pending()));
    let digest = Secret::parse(key.secret.as_bytes()).unwrap().lookup_digest();
    let tally = Arc::new(Tally::new(server.database.acme, ApiKeyId::parse(&key.id).unwrap(), digest));
    recorder.used(&tally, server.clock.now(), usage::Client::default());
    let failed = || {
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        !text.contains("rally_usage_sums_failed_total 0")
    };
    wait_until(async || failed()).await;
    assert_eq!(server.database.count("SELECT count(*) FROM api_key_usage").await, 0);
    summer.execute("COMMIT").await.unwrap();
    wait_until(async || server.database.count("SELECT count(*) FROM api_key_usage WHERE requests = 1").await == 1)
        .await;
    writer.abort();
}

/// Below the service: whatever it is asked to sum up, a tenant's notes become that tenant's figures.
#[tokio::test]
async fn notes_stay_within_their_tenant() {
    let server = TestServer::start().await;
    let (ours, theirs) = (server.database.acme, server.database.globex);
    let key = server.admin("acme").create("n", "read").await;
    let note = |tenant, number| {
        format!(
            "SET ROLE rally_app;
             SELECT note_usage('00000000-0000-4000-8000-00000000000a', {number}, ARRAY['{tenant}'::uuid],
                 ARRAY[date_trunc('hour', now(), 'UTC')], ARRAY['\\x{}'::bytea], ARRAY['7'], ARRAY['5'], NULL, NULL,
                 ARRAY['192.0.2.1'], ARRAY[E'curl\n'], ARRAY['1'])",
            key.digest()
        )
    };
    let figures = async || {
        let figures = "SELECT (SELECT coalesce(sum(requests), 0) FROM api_key_usage)::bigint * 10
                              + (SELECT count(*) FROM api_key_secrets WHERE last_used_at IS NOT NULL)";
        server.database.count(figures).await
    };
    let sum_up = async |tenant| {
        let sql = format!("SET ROLE rally_app; SELECT sum_up_usage(ARRAY['{tenant}'::uuid])");
        server.database.execute(&sql).await;
    };
    // Of a secret that is another tenant's.
    server.database.execute(&note(theirs, 1)).await;
    sum_up(theirs).await;
    assert_eq!(figures().await, 0);
    server.database.execute(&note(ours, 2)).await;
    sum_up(theirs).await;
    assert_eq!(figures().await, 0, "ours was not asked for");
    sum_up(ours).await;
    assert_eq!(figures().await, 51);
}

/// However long that takes, within reason; and without a connection that others need.
#[tokio::test]
async fn readers_wait_for_whoever_sums_up() {
    let server = TestServer::start().await;
    let (admin, theirs) = (server.admin("acme"), server.admin("globex"));
    let key = admin.create("n", "read").await;
    assert_eq!(admin.with_key(&key.secret).get(CHECK).await.status, 200);
    wait_until(async || server.database.count("SELECT count(*) FROM api_key_usage_notes").await == 1).await;
    let mut summer = summer(&server).await;
    let path = usage(&key);
    // More than there are connections.
    let readers = join_all((0..30).map(|_| admin.get(&path)));
    let meanwhile = async {
        sleep(Duration::from_secs(1)).await;
        let begun = Instant::now();
        theirs.create("n", "read").await;
        let waited = begun.elapsed();
        sleep(Duration::from_secs(4).saturating_sub(waited)).await;
        summer.execute("COMMIT").await.unwrap();
        waited
    };
    let (read, waited) = tokio::join!(readers, meanwhile);
    assert!(read.into_iter().all(|reply| reply.expect(200)["requests"] == 1), "what had been noted before");
    assert!(waited < Duration::from_secs(2), "{waited:?}");
}

/// Of keys in constant use, something is noted all the time.
#[tokio::test]
async fn readers_do_not_wait_for_what_is_noted_later() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    server.database.execute(&notes_of(&server, &key, 1)).await;
    let mut summer = summer(&server).await;
    let begun = Instant::now();
    let path = usage(&key);
    let meanwhile = async {
        sleep(Duration::from_millis(500)).await;
        let sum_up = format!("SELECT sum_up_usage(ARRAY['{}'::uuid], 40000)", server.database.acme);
        summer.execute(AssertSqlSafe(sum_up)).await.unwrap();
        // And goes on to do so with later ones.
        server.database.execute(&notes_of(&server, &key, 1)).await;
        summer.execute("SELECT set_config('rally.tenant_id', '', true); COMMIT AND CHAIN").await.unwrap();
    };
    let lock_again = self::summer(&server);
    let (read, (), mut next) = tokio::join!(admin.get(&path), meanwhile, lock_again);
    assert_eq!(read.expect(200)["requests"], 1);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    next.execute("COMMIT").await.unwrap();
    assert_eq!(admin.get(&path).await.expect(200)["requests"], 2);
}

/// Who has summed up, and goes on to read, holds up nobody who does the same.
#[tokio::test]
async fn nobody_reads_under_the_lock_of_sums() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("n", "read").await;
    server.database.execute(&notes_of(&server, &key, 3)).await;
    let store = open(&server.database.url().await).await.unwrap();
    let mut reading = store.tenant(&acme(&server)).begin_reading().await.unwrap();
    drop(summer(&server).await);
    server
        .database
        .execute(&format!(
            "UPDATE api_key_secrets SET last_address = NULL WHERE tenant_id = '{}'",
            server.database.acme
        ))
        .await;
    let id = ApiKeyId::parse(&key.id).unwrap();
    assert!(reading.key(id).await.unwrap().unwrap().last_used_at.is_some());
}

/// Rotations do not hold connections meanwhile, and say when it takes too long; a revocation does not wait at all.
#[tokio::test]
async fn changes_wait_for_whoever_sums_up_but_not_for_ever() {
    let server = TestServer::start().await;
    let (admin, theirs) = (server.admin("acme"), server.admin("globex"));
    let key = admin.create("n", "read").await;
    let rotate = format!("{}/rotate", key.path());
    let end_previous = format!("{}/previous-secret", key.path());
    let mut first = summer(&server).await;
    // More than there are connections.
    let (body, ended) = (json!({}), join_all((0..10).map(|_| admin.delete(&end_previous))));
    let rotations = join_all((0..10).map(|_| admin.post(&rotate, &body)));
    let meanwhile = async {
        sleep(Duration::from_secs(1)).await;
        let begun = Instant::now();
        theirs.create("n", "read").await;
        let waited = begun.elapsed();
        first.execute("COMMIT").await.unwrap();
        waited
    };
    let (rotated, ended, waited) = tokio::join!(rotations, ended, meanwhile);
    assert!(rotated.iter().all(|reply| reply.status == 200) && ended.iter().all(|reply| reply.status == 204));
    assert!(waited < Duration::from_millis(800), "{waited:?}");

    server.database.execute(&notes_of(&server, &key, 1)).await;
    let mut second = summer(&server).await;
    let before = server.database.texts("SELECT lookup_digest::text FROM api_key_secrets ORDER BY 1").await;
    let (path, patch) = (key.path(), json!({"name": "renamed"}));
    let begun = Instant::now();
    let renaming = async { (admin.patch(&path, &patch).await, begun.elapsed()) };
    let meanwhile = async {
        sleep(Duration::from_millis(1_500)).await;
        server.database.count("SELECT count(*) FROM api_keys WHERE name = 'renamed'").await
    };
    let (rotated, (renamed, took), renamed_already) = tokio::join!(admin.post(&rotate, &body), renaming, meanwhile);
    assert!(renamed_already == 1 && took > Duration::from_secs(2), "changed first, then told: {took:?}");
    let refused = rotated.refused(503, "database_unavailable");
    assert!(rotated.headers.contains_key("retry-after"), "{refused}");
    assert_eq!(server.database.texts("SELECT lookup_digest::text FROM api_key_secrets ORDER BY 1").await, before);
    let renamed = renamed.expect(200);
    assert_eq!((&renamed["name"], &renamed["lastUsedAt"]), (&json!("renamed"), &json!(null)), "older figures");
    let begun = Instant::now();
    admin.delete(&key.path()).await.expect(204);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    second.execute("COMMIT").await.unwrap();
}

/// Where there is always somebody who tries for the lock, a rotation has its turn.
#[tokio::test]
async fn rotations_have_their_turn_among_many_who_sum_up() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let others = join_all((0..3).map(async |_| {
        let mut other = server.database.connect().await;
        let lock = format!("hashtextextended('rally-api-keys usage {}', 0)", server.database.acme);
        let sum_up = format!(
            "DO $$ BEGIN
                 FOR n IN 1 .. 1000 LOOP
                     PERFORM pg_sleep(CASE WHEN pg_try_advisory_xact_lock({lock}) THEN 0.3 ELSE 0.005 END);
                     COMMIT;
                 END LOOP;
             END $$"
        );
        other.execute("SET client_connection_check_interval = '100ms'").await.unwrap();
        other.execute(AssertSqlSafe(sum_up)).await.unwrap();
    }));
    let path = format!("{}/rotate", key.path());
    let rotations = async {
        for _ in 0..5 {
            admin.post(&path, &json!({})).await.expect(200);
        }
    };
    tokio::select! { () = rotations => {}, _ = others => panic!("they are done too soon") }
}

/// A key's own time does not stand still while it waits for sums.
#[tokio::test]
async fn what_ends_during_a_wait_has_ended() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let end = server.clock.now() + TimeDelta::minutes(10);
    let caller = admin.create_with(&json!({"name": "n", "scopes": "admin", "expiresAt": end.to_rfc3339()})).await;
    let key = admin.create("n", "read").await;
    server.database.execute(&notes_of(&server, &key, 1)).await;
    let mut summer = summer(&server).await;
    let caller = admin.with_key(&caller.secret);
    let (path, rotate) = (key.path(), format!("{}/rotate", key.path()));
    let (rename, nothing) = (json!({"name": "renamed"}), json!({}));
    let meanwhile = async {
        sleep(Duration::from_secs(1)).await;
        server.clock.turn(TimeDelta::minutes(11));
        summer.execute("COMMIT").await.unwrap();
    };
    let active = format!("{PATH}?status=active");
    let (rotated, listed, ()) = tokio::join!(caller.post(&rotate, &nothing), admin.get(&active), meanwhile);
    rotated.refused(401, "key_expired");
    let listed = listed.expect(200);
    assert_eq!(listed.as_array().unwrap().iter().map(|key| &key["id"]).collect::<Vec<_>>(), [&json!(key.id)]);

    // And while it waits for its own row, which somebody else changes.
    let later = server.clock.now() + TimeDelta::minutes(10);
    let caller = admin.create_with(&json!({"name": "n", "scopes": "admin", "expiresAt": later.to_rfc3339()})).await;
    let locked = format!("BEGIN; SELECT FROM api_keys WHERE id = '{}' FOR UPDATE", caller.id);
    let mut other = server.database.connect().await;
    other.execute(AssertSqlSafe(locked)).await.unwrap();
    let caller = admin.with_key(&caller.secret);
    let meanwhile = async {
        sleep(Duration::from_secs(1)).await;
        server.clock.turn(TimeDelta::minutes(11));
        other.execute("COMMIT").await.unwrap();
    };
    let (renamed, ()) = tokio::join!(caller.patch(&path, &rename), meanwhile);
    renamed.refused(401, "key_expired");
    assert_eq!(admin.get(&path).await.expect(200)["name"], "n");
}

/// From the oldest on, so that each key's figures have their turn, however many others are noted meanwhile.
#[tokio::test]
async fn the_oldest_notes_have_their_turn() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let mut keys = Vec::new();
    for n in 0..4 {
        keys.push(admin.create(&format!("n{n}"), "read").await);
    }
    keys.sort_by_key(CreatedKey::digest);
    let requests = async |key: &CreatedKey| {
        let sum = format!("SELECT coalesce(sum(requests), 0)::bigint FROM api_key_usage WHERE key_id = '{}'", key.id);
        server.database.count(&sum).await
    };
    // The third in their order is the oldest; of others there is always more.
    server.database.execute(&notes_of(&server, &keys[2], 1)).await;
    let sum_up = format!("SELECT sum_up_usage(ARRAY['{}'::uuid], 2)", server.database.acme);
    for done in [[0, 0, 1, 1], [2, 0, 1, 1], [2, 2, 1, 1], [2, 2, 1, 3]] {
        for n in [0, 1, 3] {
            server.database.execute(&notes_of(&server, &keys[n], 1)).await;
        }
        server.database.execute(&sum_up).await;
        let mut found = Vec::new();
        for key in &keys {
            found.push(requests(key).await);
        }
        assert_eq!(found, done);
    }
}

/// A process that was frozen in the middle of something keeps no locks.
#[tokio::test]
async fn a_transaction_that_nobody_goes_on_with_ends() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("n", "read").await;
    let store = open(&server.database.url().await).await.unwrap();
    // Whoever exports the audit trail may take his time, and has no locks.
    let mut exporting = store.tenant(&acme(&server)).begin_snapshot().await.unwrap();
    exporting.chain(0, 1).await.unwrap();
    let mut frozen = store.tenant(&acme(&server)).begin_changing_secrets().await.unwrap();
    let free = format!(
        "SELECT pg_try_advisory_xact_lock(hashtextextended('rally-api-keys usage {}', 0))::int::bigint",
        server.database.acme
    );
    assert_eq!(server.database.count(&free).await, 0);
    wait_until(async || server.database.count(&free).await == 1).await;
    let outcome = frozen.key(ApiKeyId::parse(&key.id).unwrap()).await;
    assert!(matches!(outcome, Err(store::Error::Unavailable(_))), "{outcome:?}");
    exporting.chain(0, 1).await.unwrap();
}

/// More than is summed up in one transaction: by a reader, and by the instance that noted it.
#[tokio::test]
async fn many_notes_are_summed_up_in_parts() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let note = |rows: u32| {
        format!(
            "INSERT INTO api_key_usage_notes
                 (tenant_id, hour, digests, used_at, requests, addresses, agents, client_lengths)
             SELECT '{}', date_trunc('hour', now(), 'UTC'), decode(repeat('{}', 5000), 'hex'),
                    repeat('7,', 4999) || n, repeat('1,', 4999) || '1', '', E'\t\n', '5000'
             FROM generate_series(1, {rows}) n",
            server.database.acme,
            key.digest()
        )
    };
    server.database.execute(&note(21)).await;
    assert_eq!(admin.get(&usage(&key)).await.expect(200)["requests"], 105_000);
    let used =
        "SELECT extract(microseconds FROM last_used_at)::bigint FROM api_key_secrets WHERE last_used_at IS NOT NULL";
    assert_eq!(server.database.count(used).await, 21, "the last of all");

    server.database.execute(&note(9)).await;
    let store = open(&server.database.url().await).await.unwrap();
    let tenants = [server.database.globex, server.database.acme];
    assert!(!store.sum_up_usage(&tenants).await.unwrap());
    assert!(store.sum_up_usage(&tenants).await.unwrap());
    assert!(store.sum_up_usage(&tenants).await.unwrap(), "nothing is left");
    assert_eq!(server.database.count("SELECT sum(requests)::bigint FROM api_key_usage").await, 150_000);
}

/// Of an instance that was killed, and of a tenant that nobody uses or looks at any more.
#[tokio::test]
async fn notes_that_were_left_behind_are_summed_up() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("n", "read").await;
    for age in ["20 minutes", "1 second"] {
        let left = format!(
            "INSERT INTO api_key_usage_notes
                 (tenant_id, noted_at, hour, digests, used_at, requests, addresses, agents, client_lengths)
             VALUES ('{}', now() - interval '{age}', date_trunc('hour', now(), 'UTC'), '\\x{}', '7', '3', '', E'\t\n', '1')",
            server.database.acme,
            key.digest()
        );
        server.database.execute(&left).await;
    }
    // Another instance looks for them soon after its start.
    let sibling = server.sibling(&[]).await;
    wait_until(async || server.database.count("SELECT count(*) FROM api_key_usage WHERE requests = 6").await == 1)
        .await;
    drop(sibling);
}

/// Each of a note's lists may have nothing to tell of a secret.
#[tokio::test]
async fn notes_may_leave_things_out() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let keys = [admin.create("a", "read").await, admin.create("b", "read").await, admin.create("c", "read").await];
    let note = |used_at: &str, addresses: &str, agents: &str| {
        format!(
            "INSERT INTO api_key_usage_notes
                 (tenant_id, hour, digests, used_at, requests, denied_expired, addresses, agents, client_lengths)
             VALUES ('{}', '2001-02-03T04:00:00Z', '\\x{}', '{used_at}', '3,2,1', '0,2,0', '{addresses}', E'{agents}',
                     '1,1,1')",
            server.database.acme,
            keys.each_ref().map(CreatedKey::digest).concat()
        )
    };
    // Used before the hour began (a clock that was put back), refused only, used by whoever tells nothing of itself.
    server.database.execute(&note("-5,,7", "192.0.2.1,,", "curl\\n\\t\\n\\n")).await;
    let told = async || {
        let told =
            "SELECT concat_ws(' ', name, to_char(last_used_at AT TIME ZONE 'UTC', 'MI:SS.US'), host(last_address),
                                     quote_nullable(last_user_agent), requests, denied_expired)
                    FROM api_keys k JOIN api_key_secrets s ON s.key_id = k.id JOIN api_key_usage u ON u.key_id = k.id
                    ORDER BY name";
        server.database.sum_up_usage().await;
        server.database.texts(told).await
    };
    assert_eq!(told().await, ["a 59:59.999995 192.0.2.1 'curl' 3 0", "b NULL 2 2", "c 00:00.000007 '' 1 0"]);
    // Then by who is known already, and earlier than that.
    server.database.execute(&note("8,,6", ",,198.51.100.1", "\\t\\n\\t\\nwget\\n")).await;
    assert_eq!(told().await, ["a 00:00.000008 192.0.2.1 'curl' 6 0", "b NULL 4 4", "c 00:00.000007 '' 2 0"]);
}

/// An admin may have to revoke a key just when something is wrong with figures.
#[tokio::test]
async fn figures_that_cannot_be_summed_up_keep_nobody_from_reading() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let most = i64::MAX;
    let notes = format!(
        "INSERT INTO api_key_usage_notes
             (tenant_id, hour, digests, used_at, requests, addresses, agents, client_lengths)
         SELECT '{}', date_trunc('hour', now(), 'UTC'), '\\x{}', '7', '{most}', '', E'\t\n', '1'
         FROM generate_series(1, 2)",
        server.database.acme,
        key.digest()
    );
    server.database.execute(&notes).await;
    admin.get(PATH).await.expect(200);
    admin.get(&usage(&key)).await.expect(200);
    admin.patch(&key.path(), &json!({"name": "renamed"})).await.expect(200);
    admin.delete(&key.path()).await.expect(204);
}

/// Longer than a statement may take (5 s): whoever wanted to read them is shown older ones, too.
#[tokio::test]
async fn figures_that_take_too_long_to_sum_up_keep_nobody_from_reading() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let slow = format!(
        "CREATE FUNCTION take_long() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN new; END';
         CREATE TRIGGER take_long BEFORE INSERT ON api_key_usage FOR EACH ROW EXECUTE FUNCTION take_long();
         INSERT INTO api_key_usage_notes
             (tenant_id, hour, digests, used_at, requests, addresses, agents, client_lengths)
         VALUES ('{}', date_trunc('hour', now(), 'UTC'), '\\x{}', '7', '1', '', E'\t\n', '1')",
        server.database.acme,
        key.digest()
    );
    server.database.execute(&slow).await;
    assert_eq!(admin.get(&usage(&key)).await.expect(200)["requests"], 0);
}
