//! How often a request waits for the database: each time is a round trip over the network.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::{
    client::{PATH, send},
    harness::{TestDatabase, TestServer, wait_until},
    proxy::Proxy,
};

const CHECK: &str = "/forward-auth";

/// Most round trips of each call by a user, and of a check of a key. Lower a number when a call needs fewer.
const AT_MOST: [(&str, usize); 14] = [
    ("create", 5),
    ("create with Idempotency-Key", 9),
    ("repeated create", 2),
    ("get", 2),
    ("list", 2),
    ("list with limit", 2),
    ("list after use", 2),
    ("update", 5),
    ("rotate", 9),
    ("rotate with Idempotency-Key", 12),
    ("previous-secret", 5),
    ("revoke", 4),
    ("check that misses", 1),
    ("check that hits", 0),
];

/// The least of several runs counts: at first a connection prepares its statements, and now and then the service writes
/// usage meanwhile.
const RUNS: usize = 10;

/// Counts of round trips, by call.
struct Measured {
    proxy: Proxy,
    counts: Vec<(&'static str, Vec<usize>)>,
}

impl Measured {
    async fn call<T>(&mut self, name: &'static str, call: impl Future<Output = T>) -> T {
        self.wait_for_silence().await;
        let before = self.proxy.round_trips();
        let result = call.await;
        let count = self.proxy.round_trips() - before;
        match self.counts.iter_mut().find(|(other, _)| *other == name) {
            Some((_, counts)) => counts.push(count),
            None => self.counts.push((name, vec![count])),
        }
        result
    }

    async fn wait_for_silence(&self) {
        let mut seen = self.proxy.round_trips();
        wait_until(async || {
            sleep(Duration::from_millis(10)).await;
            std::mem::replace(&mut seen, self.proxy.round_trips()) == self.proxy.round_trips()
        })
        .await;
    }
}

#[tokio::test]
async fn a_call_needs_at_most_its_number_of_round_trips() {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start(database.socket().await).await;
    // Few connections have soon prepared all statements.
    let server = TestServer::through(proxy.address, database, &[("DATABASE_MAX_CONNECTIONS", "2")]).await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let mut measured = Measured { proxy, counts: Vec::new() };

    admin.create("So that a page has a next one", "read").await;
    for run in 0..RUNS {
        let key = measured.call("create", admin.create("n", "read")).await;
        let path = key.path();
        measured.call("get", admin.get(&path)).await.expect(200);
        measured.call("list", admin.get(PATH)).await.expect(200);
        measured.call("list with limit", admin.get(&format!("{PATH}?limit=1"))).await.expect(200);
        measured.call("update", admin.patch(&path, &json!({"name": "m"}))).await.expect(200);
        measured.call("rotate", admin.post(&format!("{path}/rotate"), &json!({}))).await.expect(200);
        let repeatable = |path: &str| {
            let request = admin
                .request(reqwest::Method::POST, path)
                .header("idempotency-key", format!("{path} {run}").replace(' ', "-"));
            send(request.json(&if path == PATH { json!({"name": "n"}) } else { json!({}) }))
        };
        measured.call("create with Idempotency-Key", repeatable(PATH)).await.expect(201);
        measured.call("repeated create", repeatable(PATH)).await.expect(201);
        measured.call("rotate with Idempotency-Key", repeatable(&format!("{path}/rotate"))).await.expect(200);
        measured.call("previous-secret", admin.delete(&format!("{path}/previous-secret"))).await.expect(204);
        measured.call("revoke", admin.delete(&path)).await.expect(204);
    }
    let mut used = admin.clone();
    for _ in 0..RUNS {
        used = admin.with_key(&admin.create("n", "read").await.secret);
        for name in ["check that misses", "check that hits"] {
            assert_eq!(measured.call(name, used.get(CHECK)).await.status, 200);
        }
    }
    for _ in 0..2 {
        measured.wait_for_silence().await;
        let before = measured.proxy.round_trips();
        assert_eq!(used.get(CHECK).await.status, 200);
        // The check hits; what passes the proxy then is its use, which is written.
        wait_until(async || measured.proxy.round_trips() > before).await;
        measured.call("list after use", admin.get(PATH)).await.expect(200);
    }

    assert_eq!(measured.counts.len(), AT_MOST.len());
    let mut too_many = Vec::new();
    for (name, counts) in &measured.counts {
        let least = counts.iter().min().expect("a run");
        let (_, at_most) = AT_MOST.iter().find(|(other, _)| other == name).expect("a row for each call");
        println!("{name:<27} {least:>2} of at most {at_most:>2}, in runs: {counts:?}");
        assert!(*least > 0 || *name == "check that hits", "{name} passes the proxy");
        if least > at_most {
            too_many.push(format!("{name}: {least} of at most {at_most}"));
        }
    }
    assert_eq!(too_many, [] as [String; 0]);
}
