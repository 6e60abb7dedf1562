//! The drills of docs/operations.md, step by step: a failover, and a restore.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    time::{Duration, Instant},
};

use rally_api_keys::store::DatabaseUrl;
use reqwest::Method;
use serde_json::json;

use crate::{
    binary::{Home, crash_postgres},
    client::{Client, CreatedKey, Reply, send},
    harness::{PEPPER, TestDatabase, TestServer, clean_up_afterwards, not_tested, scratch_dir, wait_until},
    one_server::{Pair, execute, migrate, set_synchronous_standbys, socket, text, url},
    proxy::Proxy,
    standby::follow,
};

/// Until keys can be managed, and each instance has its lease again.
const RECOVERY: Duration = Duration::from_secs(15);
const LEASE: [(&str, &str); 1] = [("LEASE_SECONDS", "2")];

async fn check(client: &Client, key: &CreatedKey) -> u16 {
    client.with_key(&key.secret).get("/forward-auth").await.status.as_u16()
}

async fn delete_with_receipt(client: &Client, key: &CreatedKey) -> Reply {
    send(client.request(Method::DELETE, &key.path()).header("prefer", "wait=20")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_keys_stay_refused_through_a_failover_and_keys_can_be_managed_after_it() {
    let Some(pair) = Pair::start("failover-drill").await else { return };
    // The same settings on both servers.
    for server in [&pair.standby, &pair.primary] {
        set_synchronous_standbys(server, Some("*")).await;
    }
    let is_synchronous = "SELECT (count(*) = 1)::text FROM pg_stat_replication WHERE sync_state = 'sync'";
    wait_until(async || text(&pair.primary, is_synchronous).await == "true").await;
    let proxy = Proxy::start(socket(&pair.primary)).await;
    let address = format!("postgres://{}@{}/postgres", pair.primary.user(), proxy.address);
    let address = DatabaseUrl::parse(&address).unwrap();
    let placeholder = TestDatabase::create().await;
    let mut servers = Vec::new();
    for _ in 0..2 {
        servers.push(TestServer::logged_in_by(&address, placeholder.clone(), &LEASE).await);
    }
    let admins: Vec<_> = servers.iter().map(|server| server.admin("acme")).collect();
    for server in &servers {
        server.wait_for_feed().await;
    }
    let mut keys = Vec::new();
    for _ in 0..5 {
        keys.push(admins[0].create("n", "read").await);
    }
    for admin in &admins {
        for key in &keys {
            assert_eq!(check(admin, key).await, 200);
        }
    }
    let [active, with_receipt, without, later, last] = &keys[..] else { unreachable!() };
    let reply = delete_with_receipt(&admins[0], with_receipt).await;
    assert!(reply.header("rally-receipt").contains("instances=2, acknowledged=2"), "{}", reply.status);
    admins[1].delete(&without.path()).await.expect(204);
    wait_until(async || check(&admins[0], without).await == 401).await;

    crash_postgres(&pair.dir).await;
    assert_eq!(text(&pair.standby, "SELECT pg_promote()::text").await, "true");
    // It would wait for a standby that it does not have.
    execute(&pair.standby, "ALTER SYSTEM RESET synchronous_standby_names").await;
    execute(&pair.standby, "SELECT pg_reload_conf()").await;
    proxy.move_to(socket(&pair.standby));
    let moved = Instant::now();
    loop {
        for (admin, key) in admins.iter().flat_map(|admin| [(admin, with_receipt), (admin, without)]) {
            let status = check(admin, key).await;
            assert!([401, 503].contains(&status), "a revoked key has status {status}");
        }
        let status = admins[0].delete(&later.path()).await.status.as_u16();
        if status == 204 {
            break;
        }
        assert!(status == 503 && moved.elapsed() < RECOVERY, "a revocation has status {status}");
    }
    for server in &servers {
        server.wait_for_feed().await;
    }
    let reply = delete_with_receipt(&admins[1], last).await;
    assert_eq!(reply.status, 204);
    assert!(reply.header("rally-receipt").contains("instances=2, acknowledged=2"));
    assert!(moved.elapsed() < 2 * RECOVERY, "{:?}", moved.elapsed());
    for admin in &admins {
        for (key, status) in [(active, 200), (with_receipt, 401), (without, 401), (later, 401), (last, 401)] {
            assert_eq!(check(admin, key).await, status);
        }
    }
}

/// A physical backup, whose server has the identity of the one that was lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_revoked_after_a_base_backup_are_refused_after_its_restore() {
    let dir = scratch_dir("restore-drill");
    let (lost, restored) = (dir.join("lost"), dir.join("restored"));
    let _cleaners = [&lost, &restored].map(|dir| {
        fs::DirBuilder::new().recursive(true).mode(0o711).create(dir).unwrap();
        clean_up_afterwards(dir)
    });
    let settings = [("fsync", "off"), ("wal_level", "replica"), ("max_wal_senders", "4")];
    let server = local_postgres::start(&lost, &settings).await.unwrap_or_else(|error| panic!("{error}"));
    migrate(&url(&server)).await;
    let proxy = Proxy::start(socket(&server)).await;
    let address_text = format!("postgres://{}@{}/postgres", server.user(), proxy.address);
    let address = DatabaseUrl::parse(&address_text).unwrap();
    let placeholder = TestDatabase::create().await;
    let mut instance = TestServer::logged_in_by(&address, placeholder.clone(), &LEASE).await;
    let admin = instance.admin("acme");
    let create = async || admin.create("n", "read").await;
    let (active, revoked, suspended, rotated) = (create().await, create().await, create().await, create().await);

    let since = chrono::Utc::now().to_rfc3339();
    if let Err(error) = follow(&server, &lost.join("postgres"), &restored.join("postgres")) {
        not_tested(&format!("pg_basebackup does not run: {error}"));
        return;
    }
    assert_eq!(delete_with_receipt(&admin, &revoked).await.status, 204);
    admin.post(&format!("{}/suspend", suspended.path()), &json!({})).await.expect(200);
    admin.post(&format!("{}/rotate", rotated.path()), &json!({"overlapSeconds": 0})).await.expect(200);
    let home = Home::new("restore-drill-home");
    let settings_of_command = [("DATABASE_MIGRATION_URL", address_text.as_str()), ("KEY_PEPPER", PEPPER)];
    let exported = home.succeed(&["revocations", "export", "--since", &since], &settings_of_command).await;
    let file = home.dir().join("revocations.ndjson");
    fs::write(&file, exported).unwrap();

    instance.stop().await;
    drop(server);
    crash_postgres(&lost).await;
    // The backup becomes a server of its own, not a standby.
    fs::remove_file(restored.join("postgres/standby.signal")).unwrap();
    let server = local_postgres::start(&restored, &settings).await.unwrap_or_else(|error| panic!("{error}"));
    proxy.move_to(socket(&server));
    let forgotten = "SELECT count(*)::text FROM api_keys WHERE revoked_at IS NULL AND suspended_at IS NULL";
    assert_eq!(text(&server, forgotten).await, "4", "the backup is from before");
    let apply = ["revocations", "apply", file.to_str().unwrap(), "--as", "Ada"];
    let said = home.succeed(&apply, &settings_of_command).await;
    assert!(said.starts_with("keys revoked: 1, keys suspended: 2, previous secrets ended: 0;"), "{said}");
    home.succeed(&["events", "verify", "--tenant", "acme"], &settings_of_command).await;

    let instance = TestServer::logged_in_by(&address, placeholder, &LEASE).await;
    instance.wait_for_feed().await;
    let admin = instance.admin("acme");
    for (key, status) in [(&active, 200), (&revoked, 401), (&suspended, 401), (&rotated, 401)] {
        assert_eq!(check(&admin, key).await, status);
    }
    assert_eq!(delete_with_receipt(&admin, &active).await.status, 204);
    assert_eq!(check(&admin, &active).await, 401);
}
