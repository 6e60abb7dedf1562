//! What is stored of a secret and what it is worth: the stamp under the pepper, argon2 behind
//! it, and rows that somebody has written into the database.

use std::time::{Duration, Instant};

use crate::{
    client::{CreatedKey, PATH, Reply},
    harness::{PEPPER, TestDatabase, TestServer},
};

const NO_PEPPER: (&str, &str) = ("KEY_PEPPER", "");
/// Another pepper, 32 bytes under another id.
const OTHER: &str = "other:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
/// Other bytes under [`PEPPER`]'s id.
const SAME_ID: &str = "test:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
/// A PHC string of nobody's secret, at the tests' cost.
const NOBODYS_PHC: &str =
    "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What a row must hold to pass for a key's previous secret, beside its current one.
const AS_PREVIOUS_SECRET: &str = "now(), '2090-01-01T00:00:00Z'";
const MADE_PREVIOUS_SECRET: &str = "retired_at = now(), expires_at = '2090-01-01T00:00:00Z'";

/// A server that remembers nothing: each check meets the row as it is.
async fn uncached(settings: &[(&str, &str)]) -> TestServer {
    let mut all = vec![("VERIFY_CACHE_ENTRIES", "0")];
    all.extend(settings);
    TestServer::with(&all).await
}

/// Another server on the same database.
async fn beside(server: &TestServer, settings: &[(&str, &str)]) -> TestServer {
    let mut all = vec![("VERIFY_CACHE_ENTRIES", "0")];
    all.extend(settings);
    TestServer::on(server.database.clone(), &all).await
}

/// Asks for the key that is calling, at acme's host.
async fn check(server: &TestServer, key: &CreatedKey) -> Reply {
    server.admin("acme").with_key(&key.secret).get(&format!("{PATH}/self")).await
}

/// The pepper of a key's stamp, and the stamp.
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

/// Changes the row of a key's secret, as somebody with the database would.
async fn tamper(server: &TestServer, key: &CreatedKey, assignments: &str) {
    server.database.execute(&format!("UPDATE api_key_secrets SET {assignments} WHERE key_id = '{}'", key.id)).await;
}

#[tokio::test]
async fn a_new_key_is_stamped_under_the_pepper() {
    let server = uncached(&[]).await;
    let key = server.admin("acme").create("Zapier", "read").await;
    let (pepper, stamp) = stamp(&server.database, &key).await.unwrap();
    assert_eq!((pepper.as_str(), stamp.len()), ("test", 64));
    // The stamp alone is what is checked: argon2 would find nobody here.
    tamper(&server, &key, &format!("phc = '{NOBODYS_PHC}'")).await;
    check(&server, &key).await.expect(200);
}

#[tokio::test]
async fn without_a_pepper_argon2_checks_and_the_first_peppered_check_stamps() {
    let server = uncached(&[NO_PEPPER]).await;
    let key = server.admin("acme").create("Zapier", "read").await;
    assert_eq!(stamp(&server.database, &key).await, None);
    check(&server, &key).await.expect(200);
    assert_eq!(stamp(&server.database, &key).await, None);

    let peppered = beside(&server, &[]).await;
    check(&peppered, &key).await.expect(200);
    assert_eq!(pepper(&server.database, &key).await.as_deref(), Some("test"));
    // It is the stamp that a new key would have had: it checks without argon2 from now on.
    tamper(&server, &key, &format!("phc = '{NOBODYS_PHC}'")).await;
    check(&peppered, &key).await.expect(200);
    // Where the pepper is not known, there is argon2 alone, which finds nobody.
    check(&server, &key).await.refused(401, "invalid_key");
}

#[tokio::test]
async fn argon2_refuses_what_is_not_the_rows_secret() {
    let server = uncached(&[NO_PEPPER]).await;
    let key = server.admin("acme").create("Zapier", "read").await;
    tamper(&server, &key, &format!("phc = '{NOBODYS_PHC}'")).await;
    check(&server, &key).await.refused(401, "invalid_key");
    let peppered = beside(&server, &[]).await;
    check(&peppered, &key).await.refused(401, "invalid_key");
    assert_eq!(stamp(&server.database, &key).await, None, "what does not verify is not stamped");
}

#[tokio::test]
async fn a_stamp_under_an_unknown_pepper_is_renewed_by_way_of_argon2() {
    let server = uncached(&[]).await;
    let admin = server.admin("acme");
    let (key, damaged) = (admin.create("Zapier", "read").await, admin.create("Damaged", "read").await);
    tamper(&server, &damaged, &format!("phc = '{NOBODYS_PHC}'")).await;
    let other = beside(&server, &[("KEY_PEPPER", OTHER)]).await;
    check(&other, &key).await.expect(200);
    assert_eq!(pepper(&server.database, &key).await.as_deref(), Some("other"));
    check(&other, &damaged).await.refused(401, "invalid_key");
    assert_eq!(pepper(&server.database, &damaged).await.as_deref(), Some("test"));
}

#[tokio::test]
async fn a_retired_pepper_checks_and_the_current_one_takes_over() {
    let server = uncached(&[]).await;
    let key = server.admin("acme").create("Zapier", "read").await;
    let before = stamp(&server.database, &key).await.unwrap();
    tamper(&server, &key, &format!("phc = '{NOBODYS_PHC}'")).await; // so that only a stamp can let it in
    let rotated = beside(&server, &[("KEY_PEPPER", OTHER), ("KEY_PEPPERS_RETIRED", PEPPER)]).await;
    check(&rotated, &key).await.expect(200);
    let after = stamp(&server.database, &key).await.unwrap();
    assert_eq!(after.0, "other");
    assert_ne!(after.1, before.1);
    // The retired pepper is not needed any more, not even where nothing falls back.
    let forgotten = beside(&server, &[("KEY_PEPPER", OTHER), ("KEY_FALLBACK", "deny")]).await;
    check(&forgotten, &key).await.expect(200);
    // New keys are stamped under the current one.
    let new = rotated.admin("acme").create("New", "read").await;
    assert_eq!(pepper(&server.database, &new).await.as_deref(), Some("other"));
}

#[tokio::test]
async fn a_retired_pepper_holds_no_forged_stamp() {
    let server = uncached(&[]).await;
    let key = server.admin("acme").create("Zapier", "read").await;
    let rotated = beside(&server, &[("KEY_PEPPER", OTHER), ("KEY_PEPPERS_RETIRED", PEPPER)]).await;
    tamper(&server, &key, "stamp = sha256(stamp)").await;
    check(&rotated, &key).await.refused(401, "invalid_key");
    assert_eq!(pepper(&server.database, &key).await.as_deref(), Some("test"));
}

#[tokio::test]
async fn without_fallback_a_row_needs_a_usable_stamp() {
    let server = uncached(&[]).await;
    let admin = server.admin("acme");
    let (good, none, unknown) =
        (admin.create("A", "read").await, admin.create("B", "read").await, admin.create("C", "read").await);
    tamper(&server, &none, "stamp = NULL, pepper_id = NULL").await;
    tamper(&server, &unknown, "pepper_id = 'unknown'").await;
    let strict = beside(&server, &[("KEY_FALLBACK", "deny")]).await;
    check(&strict, &good).await.expect(200);
    check(&strict, &none).await.refused(401, "invalid_key");
    check(&strict, &unknown).await.refused(401, "invalid_key");
    assert_eq!(stamp(&server.database, &none).await, None);
    assert_eq!(pepper(&server.database, &unknown).await.as_deref(), Some("unknown"));
    // The same rows, where argon2 may speak for them.
    check(&server, &none).await.expect(200);
    check(&server, &unknown).await.expect(200);
    // And with the stamps that it wrote.
    check(&strict, &none).await.expect(200);
    check(&strict, &unknown).await.expect(200);
}

/// Each of these rows has the right argon2 hash, so that falling through to it would let them in.
#[tokio::test]
async fn a_stamp_that_mismatches_rejects_and_never_falls_through() {
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
        tamper(&server, &key, &change).await;
        let before = stamp(&server.database, &key).await;
        let reply = check(&server, &key).await;
        reply.refused(401, "invalid_key");
        assert_eq!(reply.apart_from_request_id(), unknown.apart_from_request_id(), "{change}");
        assert_eq!(stamp(&server.database, &key).await, before, "{change}");
    }
    check(&server, &donor).await.expect(200);
    // Nor do other bytes under a known id.
    let other = beside(&server, &[("KEY_PEPPER", SAME_ID)]).await;
    check(&other, &donor).await.refused(401, "invalid_key");
}

#[tokio::test]
async fn a_secret_moved_to_a_stronger_key_verifies_nowhere() {
    let server = uncached(&[]).await;
    let admin = server.admin("acme");
    let (weak, strong) = (admin.create("Weak", "read").await, admin.create("Strong", "admin").await);
    tamper(&server, &weak, &format!("key_id = '{}', {MADE_PREVIOUS_SECRET}", strong.id)).await;
    check(&server, &weak).await.refused(401, "invalid_key");
    check(&server, &strong).await.expect(200);
    // A revoked key's secret does not come back under another key.
    let (revoked, alive) = (admin.create("Revoked", "read").await, admin.create("Alive", "read").await);
    admin.delete(&revoked.path()).await.expect(204);
    tamper(&server, &revoked, &format!("key_id = '{}', {MADE_PREVIOUS_SECRET}", alive.id)).await;
    check(&server, &revoked).await.refused(401, "invalid_key");
}

#[tokio::test]
async fn a_row_copied_to_another_tenant_verifies_nowhere() {
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
        "INSERT INTO api_keys (tenant_id, id, name, scopes, created_at, last4)
         SELECT '{to}', id, name, scopes, created_at, last4 FROM api_keys WHERE id = '{}'",
        same_id.id
    );
    // Read before the copies are made: afterwards there are two rows of the same id.
    server.database.execute(&copy_secret(&ours, &theirs.id)).await;
    server.database.execute(&copy_key).await;
    server.database.execute(&copy_secret(&same_id, &same_id.id)).await;
    for key in [&ours, &same_id] {
        globex.with_key(&key.secret).get(PATH).await.refused(401, "invalid_key");
        acme.with_key(&key.secret).get(PATH).await.expect(200);
    }
    globex.with_key(&theirs.secret).get(PATH).await.expect(200);
}

/// Without its stamp a copy passes for a row of before the pepper, which argon2 may speak for;
/// where nothing falls back, it verifies nowhere either.
#[tokio::test]
async fn a_copy_without_its_stamp_verifies_nowhere_where_nothing_falls_back() {
    let server = uncached(&[("KEY_FALLBACK", "deny")]).await;
    let admin = server.admin("acme");
    let (weak, strong) = (admin.create("Weak", "read").await, admin.create("Strong", "admin").await);
    check(&server, &weak).await.expect(200);
    tamper(
        &server,
        &weak,
        &format!("key_id = '{}', {MADE_PREVIOUS_SECRET}, stamp = NULL, pepper_id = NULL", strong.id),
    )
    .await;
    check(&server, &weak).await.refused(401, "invalid_key");
}

#[tokio::test]
async fn a_forged_cost_is_refused_before_it_is_paid() {
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
        let phc = NOBODYS_PHC.replace("m=8,t=1,p=1", cost);
        tamper(&server, &key, &format!("stamp = NULL, pepper_id = NULL, phc = '{phc}'")).await;
        let started = Instant::now();
        check(&server, &key).await.refused(401, "invalid_key");
        assert!(started.elapsed() < Duration::from_secs(3), "{cost} took {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_damaged_hash_is_nobodys() {
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
        tamper(&server, &key, &format!("stamp = NULL, pepper_id = NULL, phc = '{phc}'")).await;
        let reply = check(&server, &key).await;
        assert_eq!(reply.json()["code"], "invalid_key", "{phc:.80}: {reply:?}");
        reply.refused(401, "invalid_key");
    }
    server.admin("acme").get(PATH).await.expect(200);
}
