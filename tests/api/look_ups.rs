//! Secrets that are looked up together: each gets the answer that is its own, and none waits for
//! another's for long.

use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::time::sleep;

use crate::{
    client::{Credential, PATH},
    harness::TestServer,
};

const CHECK: &str = "/forward-auth";

/// Without a cache, hundreds at once, of two tenants, right ones among wrong ones and revoked ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_gets_the_answer_that_is_its_own() {
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
        let mut asking = Vec::new();
        for (owner, scopes, revoked, key) in &keys {
            for (place, tenant) in tenants.iter().enumerate() {
                asking.push(async move {
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
        tokio::join!(join_all(asking), join_all(unknown));
    }
}

/// More slow ones than there are statements under way by default: others get past them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_one_holds_up_no_other() {
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
    let as_it_was = definition.replace("find_api_key_secrets", "as_it_was");
    let (head, _) = definition.split_once("AS $function$").unwrap();
    let slowed = format!(
        "{head} AS $function$ BEGIN
             IF wanted_digests && ARRAY[{}] THEN PERFORM pg_sleep(1.5); END IF;
             RETURN QUERY SELECT * FROM as_it_was(wanted_tenants, wanted_digests);
         END $function$",
        digests.join(", ")
    );
    let mut owner = server.database.connect().await;
    owner.execute(AssertSqlSafe(as_it_was)).await.unwrap();
    owner.execute(AssertSqlSafe(slowed)).await.unwrap();

    let mut under_way = Vec::new();
    for key in &slow {
        let client = admin.with_key(&key.secret);
        under_way.push(tokio::spawn(async move { client.get(CHECK).await.status }));
        sleep(Duration::from_millis(50)).await; // each in a statement of its own
    }
    for _ in 0..10 {
        assert_eq!(admin.with_key(&quick.secret).get(CHECK).await.status, 200);
    }
    assert!(under_way.iter().all(|slow| !slow.is_finished()), "the others waited for the slow ones");
    for slow in under_way {
        assert_eq!(slow.await.unwrap(), 200, "a slow answer is an answer");
    }
    admin.get(PATH).await.expect(200);
}

/// More than can be asked while nothing is answered: whoever has given up leaves nothing behind that would be
/// asked all the same, before those who still wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_waits_for_is_not_asked() {
    let server = TestServer::with(&[("VERIFY_CACHE_ENTRIES", "0")]).await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let mut locking = server.database.connect().await;
    locking.execute("BEGIN; LOCK TABLE api_key_secrets IN ACCESS EXCLUSIVE MODE").await.unwrap();
    // All connections ask for as many as they take at once, and there are more.
    let clients: Vec<_> = (0..1_500).map(|n| admin.with_key(&format!("rk_live_{n:032x}"))).collect();
    for reply in join_all(clients.iter().map(|client| client.get(CHECK))).await {
        reply.refused(503, "database_unavailable");
    }
    let metrics = admin.with(Credential::None).get("/metrics").await.body;
    assert!(metrics.contains("\nrally_look_ups_waiting 0\n"), "{metrics}");
    locking.execute("ROLLBACK").await.unwrap();
    assert_eq!(admin.with_key(&key.secret).get(CHECK).await.status, 200);
}
