//! Verification of stored secrets: the stamp (a keyed hash with the pepper), the argon2 fallback, and
//! rows that an attacker has changed in the database.

use std::time::{Duration, Instant};

use crate::{
    client::{CreatedKey, Credential, PATH, Reply},
    harness::{PEPPER, TestDatabase, TestServer},
};

const NO_PEPPER: (&str, &str) = ("KEY_PEPPER", "");
/// A different pepper with a different id.
const OTHER_PEPPER: &str = "other:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
/// A different pepper with the id of [`PEPPER`].
const OTHER_PEPPER_WITH_SAME_ID: &str = "test:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
/// A PHC string that matches no secret, with the tests' cost parameters.
const UNRELATED_PHC: &str =
    "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Values of `retired_at` and `expires_at` that make a row a key's previous secret.
const AS_PREVIOUS_SECRET: &str = "now(), '2090-01-01T00:00:00Z'";
const MADE_PREVIOUS_SECRET: &str = "retired_at = now(), expires_at = '2090-01-01T00:00:00Z'";

/// A server without the verification cache: each request reads the row.
async fn uncached(settings: &[(&str, &str)]) -> TestServer {
    let mut all = vec![("VERIFY_CACHE_ENTRIES", "0")];
    all.extend(settings);
    TestServer::with(&all).await
}

/// A second server on the same database, also without the cache.
async fn second_server(server: &TestServer, settings: &[(&str, &str)]) -> TestServer {
    let mut all = vec![("VERIFY_CACHE_ENTRIES", "0")];
    all.extend(settings);
    TestServer::on(server.database.clone(), &all).await
}

/// Requests `/self` with this key at acme's host.
async fn get_self(server: &TestServer, key: &CreatedKey) -> Reply {
    server.admin("acme").with_key(&key.secret).get(&format!("{PATH}/self")).await
}

/// The pepper id and the hex digits of a key's stamp.
async fn stamp(database: &TestDatabase, key: &CreatedKey) -> Option<(String, String)> {
    let sql = format!(
        "SELECT coalesce(pepper_id || ':' || encode(stamp, 'hex'), '') FROM api_key_secrets WHERE key_id = '{}'",
        key.id
    );
    let stamps = database.texts(&sql).await;
    assert_eq!(stamps.len(), 1);
    stamps[0].split_once(':').map(|(pepper, stamp)| (pepper.to_owned(), stamp.to_owned()))
}

async fn pepper(database: &TestDatabase, key: &CreatedKey) -> Option<String> {
    stamp(database, key).await.map(|(pepper, _)| pepper)
}

/// Changes the row of a key's secret, as an attacker with database access could.
async fn update_secret_row(server: &TestServer, key: &CreatedKey, assignments: &str) {
    server.database.execute(&format!("UPDATE api_key_secrets SET {assignments} WHERE key_id = '{}'", key.id)).await;
}

#[tokio::test]
async fn a_new_secret_is_stamped_with_the_pepper() {
    let server = uncached(&[]).await;
    let key = server.admin("acme").create("Zapier", "read").await;
    let (pepper, stamp) = stamp(&server.database, &key).await.unwrap();
    assert_eq!((pepper.as_str(), stamp.len()), ("test", 64));
    // Only the stamp is checked: argon2 would refuse this hash.
    update_secret_row(&server, &key, &format!("phc = '{UNRELATED_PHC}'")).await;
    get_self(&server, &key).await.expect(200);
}

#[tokio::test]
async fn an_unstamped_secret_is_verified_by_argon2_and_then_stamped() {
    let server = uncached(&[NO_PEPPER]).await;
    let key = server.admin("acme").create("Zapier", "read").await;
    assert_eq!(stamp(&server.database, &key).await, None);
    get_self(&server, &key).await.expect(200);
    assert_eq!(stamp(&server.database, &key).await, None);

    let peppered = second_server(&server, &[]).await;
    get_self(&peppered, &key).await.expect(200);
    assert_eq!(pepper(&server.database, &key).await.as_deref(), Some("test"));
    // The stamp is valid, and no further check needs argon2.
    update_secret_row(&server, &key, &format!("phc = '{UNRELATED_PHC}'")).await;
    get_self(&peppered, &key).await.expect(200);
    // A server without the pepper uses argon2 only, which refuses the changed hash.
    get_self(&server, &key).await.refused(401, "invalid_key");
}

#[tokio::test]
async fn an_unstamped_secret_that_does_not_match_its_hash_is_refused() {
    let server = uncached(&[NO_PEPPER]).await;
    let key = server.admin("acme").create("Zapier", "read").await;
    update_secret_row(&server, &key, &format!("phc = '{UNRELATED_PHC}'")).await;
    get_self(&server, &key).await.refused(401, "invalid_key");
    let peppered = second_server(&server, &[]).await;
    get_self(&peppered, &key).await.refused(401, "invalid_key");
    assert_eq!(stamp(&server.database, &key).await, None, "a secret that fails verification must not be stamped");
}

#[tokio::test]
async fn a_stamp_of_an_unknown_pepper_is_kept_and_the_secret_verified_by_argon2() {
    let server = uncached(&[]).await;
    let admin = server.admin("acme");
    let (key, damaged) = (admin.create("Zapier", "read").await, admin.create("Damaged", "read").await);
    let before = stamp(&server.database, &key).await;
    update_secret_row(&server, &damaged, &format!("phc = '{UNRELATED_PHC}'")).await;
    let other = second_server(&server, &[("KEY_PEPPER", OTHER_PEPPER)]).await;
    get_self(&other, &key).await.expect(200);
    get_self(&other, &damaged).await.refused(401, "invalid_key");
    assert_eq!(stamp(&server.database, &key).await, before);
    let metrics = other.client("acme", Credential::None).get("/metrics").await.body;
    assert!(metrics.contains("\nrally_key_unknown_peppers_total 2\n"), "{metrics}");
}

/// A key, and each stamp that its secret has had.
struct Stamped {
    key: CreatedKey,
    stamps: Vec<(String, String)>,
}

impl Stamped {
    async fn create(server: &TestServer) -> Self {
        let key = server.admin("acme").create("Zapier", "read").await;
        let stamps = vec![stamp(&server.database, &key).await.unwrap()];
        Self { key, stamps }
    }

    /// Uses the key, which must be accepted, and notes its stamp.
    async fn use_on(&mut self, server: &TestServer) {
        get_self(server, &self.key).await.expect(200);
        let now = stamp(&server.database, &self.key).await.unwrap();
        if self.stamps.last() != Some(&now) {
            self.stamps.push(now);
        }
    }
}

/// Lets instances before and after each step run side by side, and uses keys of both on both.
async fn rotate_pepper(steps: &[[(&str, &str); 3]], fallback: &str) -> Vec<Stamped> {
    let database = TestDatabase::create().await;
    let mut keys = Vec::new();
    for pair in steps.windows(2) {
        let mut servers = Vec::new();
        for peppers in pair {
            let settings = [&peppers[..], &[("KEY_FALLBACK", fallback), ("VERIFY_CACHE_ENTRIES", "0")]].concat();
            servers.push(TestServer::on(database.clone(), &settings).await);
        }
        for server in &servers {
            keys.push(Stamped::create(server).await);
        }
        for server in servers.iter().cycle().take(6) {
            for key in &mut keys {
                key.use_on(server).await;
            }
        }
    }
    keys
}

const BEFORE: [(&str, &str); 3] = [("KEY_PEPPER", PEPPER), ("KEY_PEPPER_NEXT", ""), ("KEY_PEPPERS_RETIRED", "")];
const ACCEPTED: [(&str, &str); 3] =
    [("KEY_PEPPER", PEPPER), ("KEY_PEPPER_NEXT", OTHER_PEPPER), ("KEY_PEPPERS_RETIRED", "")];
const CURRENT: [(&str, &str); 3] =
    [("KEY_PEPPER", OTHER_PEPPER), ("KEY_PEPPER_NEXT", ""), ("KEY_PEPPERS_RETIRED", PEPPER)];
const AFTER: [(&str, &str); 3] = [("KEY_PEPPER", OTHER_PEPPER), ("KEY_PEPPER_NEXT", ""), ("KEY_PEPPERS_RETIRED", "")];

#[tokio::test]
async fn a_pepper_rotation_in_two_steps_refuses_no_key_and_changes_each_stamp_at_most_once() {
    for fallback in ["argon2", "deny"] {
        // The second step is rolled back once.
        let keys = rotate_pepper(&[BEFORE, ACCEPTED, CURRENT, ACCEPTED, CURRENT, AFTER], fallback).await;
        assert_eq!(keys.len(), 10);
        for Stamped { stamps, .. } in &keys {
            let peppers: Vec<&str> = stamps.iter().map(|(pepper, _)| pepper.as_str()).collect();
            assert!([&["test", "other"][..], &["other"]].contains(&&peppers[..]), "{fallback}: {peppers:?}");
        }
        assert_eq!(keys[0].stamps.len(), 2);
    }
}

#[tokio::test]
async fn a_pepper_rotation_in_one_step_changes_each_stamp_at_most_once() {
    for Stamped { stamps, .. } in rotate_pepper(&[BEFORE, CURRENT], "argon2").await {
        let peppers: Vec<&str> = stamps.iter().map(|(pepper, _)| pepper.as_str()).collect();
        assert!([&["test", "other"][..], &["other"]].contains(&&peppers[..]), "{peppers:?}");
    }
}

/// By the statements in docs/operations.md.
#[tokio::test]
async fn keys_under_a_lost_pepper_are_stamped_again_after_its_stamps_were_removed() {
    let page = include_str!("../../docs/operations.md");
    let (_, lost) = page.split_once("### A lost pepper").unwrap();
    let sql = lost.split("```sql").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let server = uncached(&[]).await;
    let mut key = Stamped::create(&server).await;
    let other = second_server(&server, &[("KEY_PEPPER", OTHER_PEPPER)]).await;
    assert!(sql.contains("'p1'"), "{sql}");
    server.database.execute(&sql.replace("'p1'", "'test'")).await;
    key.use_on(&other).await;
    assert_eq!(key.stamps[1].0, "other");
    let strict = second_server(&server, &[("KEY_PEPPER", OTHER_PEPPER), ("KEY_FALLBACK", "deny")]).await;
    key.use_on(&strict).await;
    let forced = "SELECT count(*) FROM pg_class WHERE oid = 'api_key_secrets'::regclass AND relforcerowsecurity";
    assert_eq!(server.database.count(forced).await, 1);
}

#[tokio::test]
async fn a_stamp_of_a_retired_pepper_is_accepted_and_renewed() {
    let server = uncached(&[]).await;
    let key = server.admin("acme").create("Zapier", "read").await;
    let before = stamp(&server.database, &key).await.unwrap();
    update_secret_row(&server, &key, &format!("phc = '{UNRELATED_PHC}'")).await; // so that only the stamp can match
    let rotated = second_server(&server, &[("KEY_PEPPER", OTHER_PEPPER), ("KEY_PEPPERS_RETIRED", PEPPER)]).await;
    get_self(&rotated, &key).await.expect(200);
    let after = stamp(&server.database, &key).await.unwrap();
    assert_eq!(after.0, "other");
    assert_ne!(after.1, before.1);
    // The retired pepper is no longer needed, even without the argon2 fallback.
    let without_retired = second_server(&server, &[("KEY_PEPPER", OTHER_PEPPER), ("KEY_FALLBACK", "deny")]).await;
    get_self(&without_retired, &key).await.expect(200);
    // New keys are stamped with the current pepper.
    let new = rotated.admin("acme").create("New", "read").await;
    assert_eq!(pepper(&server.database, &new).await.as_deref(), Some("other"));
}

#[tokio::test]
async fn a_forged_stamp_of_a_retired_pepper_is_refused() {
    let server = uncached(&[]).await;
    let key = server.admin("acme").create("Zapier", "read").await;
    let rotated = second_server(&server, &[("KEY_PEPPER", OTHER_PEPPER), ("KEY_PEPPERS_RETIRED", PEPPER)]).await;
    update_secret_row(&server, &key, "stamp = sha256(stamp)").await;
    get_self(&rotated, &key).await.refused(401, "invalid_key");
    assert_eq!(pepper(&server.database, &key).await.as_deref(), Some("test"));
}

#[tokio::test]
async fn without_fallback_a_secret_without_a_usable_stamp_is_refused() {
    let server = uncached(&[]).await;
    let admin = server.admin("acme");
    let (good, none, unknown) =
        (admin.create("A", "read").await, admin.create("B", "read").await, admin.create("C", "read").await);
    update_secret_row(&server, &none, "stamp = NULL, pepper_id = NULL").await;
    update_secret_row(&server, &unknown, "pepper_id = 'unknown'").await;
    let strict = second_server(&server, &[("KEY_FALLBACK", "deny")]).await;
    get_self(&strict, &good).await.expect(200);
    get_self(&strict, &none).await.refused(401, "invalid_key");
    get_self(&strict, &unknown).await.refused(401, "invalid_key");
    assert_eq!(stamp(&server.database, &none).await, None);
    assert_eq!(pepper(&server.database, &unknown).await.as_deref(), Some("unknown"));
    // A server with the fallback verifies the same rows by argon2.
    get_self(&server, &none).await.expect(200);
    get_self(&server, &unknown).await.expect(200);
    // It has written the missing stamp, which the strict server accepts.
    get_self(&strict, &none).await.expect(200);
    get_self(&strict, &unknown).await.refused(401, "invalid_key");
}

/// Each row keeps its valid argon2 hash, so a fallback to argon2 would accept the secret.
#[tokio::test]
async fn a_mismatched_stamp_is_refused_without_argon2_fallback() {
    let server = uncached(&[]).await;
    let admin = server.admin("acme");
    let unknown = admin.with_key("rk_live_00000000000000000000000000000000").get(&format!("{PATH}/self")).await;
    let donor = admin.create("Donor", "read").await;
    let (_, donated) = stamp(&server.database, &donor).await.unwrap();
    for change in [
        "stamp = set_byte(stamp, 0, get_byte(stamp, 0) # 1)".to_owned(),
        "stamp = set_byte(stamp, 31, get_byte(stamp, 31) # 128)".to_owned(),
        "stamp = decode(repeat('00', 32), 'hex')".to_owned(),
        format!("stamp = '\\x{donated}'"),
    ] {
        let key = admin.create("Zapier", "read").await;
        update_secret_row(&server, &key, &change).await;
        let before = stamp(&server.database, &key).await;
        let reply = get_self(&server, &key).await;
        reply.refused(401, "invalid_key");
        assert_eq!(reply.apart_from_request_id(), unknown.apart_from_request_id(), "{change}");
        assert_eq!(stamp(&server.database, &key).await, before, "{change}");
    }
    get_self(&server, &donor).await.expect(200);
    // The same for a different pepper with a known id.
    let other = second_server(&server, &[("KEY_PEPPER", OTHER_PEPPER_WITH_SAME_ID)]).await;
    get_self(&other, &donor).await.refused(401, "invalid_key");
}

#[tokio::test]
async fn a_secret_row_moved_to_another_key_is_refused() {
    let server = uncached(&[]).await;
    let admin = server.admin("acme");
    let (weak, strong) = (admin.create("Weak", "read").await, admin.create("Strong", "admin").await);
    update_secret_row(&server, &weak, &format!("key_id = '{}', {MADE_PREVIOUS_SECRET}", strong.id)).await;
    get_self(&server, &weak).await.refused(401, "invalid_key");
    get_self(&server, &strong).await.expect(200);
    // A revoked key's secret stays invalid after a move to another key.
    let (revoked, alive) = (admin.create("Revoked", "read").await, admin.create("Alive", "read").await);
    admin.delete(&revoked.path()).await.expect(204);
    update_secret_row(&server, &revoked, &format!("key_id = '{}', {MADE_PREVIOUS_SECRET}", alive.id)).await;
    get_self(&server, &revoked).await.refused(401, "invalid_key");
}

#[tokio::test]
async fn a_row_copied_to_another_tenant_is_refused() {
    let server = uncached(&[]).await;
    let (acme, globex) = (server.admin("acme"), server.admin("globex"));
    let (ours, same_id) = (acme.create("Ours", "admin").await, acme.create("Same id", "admin").await);
    let theirs = globex.create("Theirs", "admin").await;
    let to = server.database.globex;
    let copy_secret = |from: &CreatedKey, id: &str| {
        format!(
            "INSERT INTO api_key_secrets
                 (tenant_id, lookup_digest, key_id, phc, stamp, pepper_id, last4, created_at, retired_at, expires_at)
             SELECT '{to}', lookup_digest, '{id}', phc, stamp, pepper_id, last4, created_at, {AS_PREVIOUS_SECRET}
             FROM api_key_secrets WHERE key_id = '{}'",
            from.id
        )
    };
    let copy_key = format!(
        "INSERT INTO api_keys (tenant_id, id, name, folded_name, scopes, created_at, last4)
         SELECT '{to}', id, name, folded_name, scopes, created_at, last4 FROM api_keys WHERE id = '{}'",
        same_id.id
    );
    // In this order, each statement runs while its source id has a single row.
    server.database.execute(&copy_secret(&ours, &theirs.id)).await;
    server.database.execute(&copy_key).await;
    server.database.execute(&copy_secret(&same_id, &same_id.id)).await;
    for key in [&ours, &same_id] {
        globex.with_key(&key.secret).get(PATH).await.refused(401, "invalid_key");
        acme.with_key(&key.secret).get(PATH).await.expect(200);
    }
    globex.with_key(&theirs.secret).get(PATH).await.expect(200);
}

/// A row without a stamp looks like one from before the pepper was set, so the argon2 fallback
/// accepts it. Without the fallback it is refused.
#[tokio::test]
async fn without_fallback_a_moved_secret_without_its_stamp_is_refused() {
    let server = uncached(&[("KEY_FALLBACK", "deny")]).await;
    let admin = server.admin("acme");
    let (weak, strong) = (admin.create("Weak", "read").await, admin.create("Strong", "admin").await);
    get_self(&server, &weak).await.expect(200);
    update_secret_row(
        &server,
        &weak,
        &format!("key_id = '{}', {MADE_PREVIOUS_SECRET}, stamp = NULL, pepper_id = NULL", strong.id),
    )
    .await;
    get_self(&server, &weak).await.refused(401, "invalid_key");
}

#[tokio::test]
async fn a_hash_with_a_forged_cost_is_refused_without_running_argon2() {
    let server = uncached(&[]).await;
    let key = server.admin("acme").create("Zapier", "read").await;
    for cost in [
        "m=4194303,t=1,p=1",
        "m=262145,t=1,p=1",
        "m=8,t=4294967295,p=1",
        "m=19456,t=100000,p=1",
        "m=4194303,t=4294967295,p=16777215",
        "m=64,t=17,p=1",
        "m=72,t=1,p=9",
    ] {
        let phc = UNRELATED_PHC.replace("m=8,t=1,p=1", cost);
        update_secret_row(&server, &key, &format!("stamp = NULL, pepper_id = NULL, phc = '{phc}'")).await;
        let started = Instant::now();
        get_self(&server, &key).await.refused(401, "invalid_key");
        assert!(started.elapsed() < Duration::from_secs(3), "{cost} took {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_damaged_hash_is_refused() {
    let server = uncached(&[]).await;
    let key = server.admin("acme").create("Zapier", "read").await;
    let (parameters, rest) = ("$argon2id$v=19$m=8,t=1,p=1", "c2FsdHNhbHRzYWx0c2FsdA");
    for phc in [
        "$argon2id$v=19$".to_owned(),
        parameters.to_owned(),
        format!("{parameters}${rest}"),
        format!("{parameters}${rest}$"),
        format!("{parameters}$$"),
        format!("{parameters}${rest}$AAAA"),
        format!("{parameters}${rest}$!!!!"),
        format!("$argon2id$v=19$m=0,t=0,p=0${rest}$AAAAAAAAAAAAAAAAAAAAAA"),
        format!("$argon2id$v=19$m=-1,t=1,p=1${rest}$AAAAAAAAAAAAAAAAAAAAAA"),
        format!("$argon2id$v=19$m=99999999999999999999,t=1,p=1${rest}$AAAAAAAAAAAAAAAAAAAAAA"),
        format!("{parameters}${rest}${}", "A".repeat(100_000)),
        "$argon2id$v=19$🔑".to_owned(),
    ] {
        update_secret_row(&server, &key, &format!("stamp = NULL, pepper_id = NULL, phc = '{phc}'")).await;
        let reply = get_self(&server, &key).await;
        assert_eq!(reply.json()["code"], "invalid_key", "{phc:.80}: {reply:?}");
        reply.refused(401, "invalid_key");
    }
    server.admin("acme").get(PATH).await.expect(200);
}
