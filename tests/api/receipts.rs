//! Receipts: the proof that no instance uses a state from before a change any more, and checks by a state that contains one.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, error::DatabaseError, postgres::PgListener};
use uuid::Uuid;

use crate::{
    binary::Home,
    client::{Client, CreatedKey, PATH, Reply, send},
    harness::{PEPPER, TestDatabase, TestServer, wait_until},
    proxy::{Mode, Proxy},
};

const LEASE: Duration = Duration::from_secs(2);
const SETTINGS: [(&str, &str); 1] = [("LEASE_SECONDS", "2")];

/// Instances on one database that hear one another, each for longer than a lease.
struct Instances {
    all: Vec<TestServer>,
    /// Between the last instance's change feed and the database.
    last_feed: Proxy,
}

impl Instances {
    async fn start(number: usize) -> Self {
        Self::with(number, &[]).await
    }

    async fn with(number: usize, settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::create().await;
        let last_feed = Proxy::start(database.socket().await).await;
        let (url, direct) = (database.url_text(None).await, database.url_through(last_feed.address));
        let settings = [&SETTINGS[..], settings].concat();
        let urls = [("DATABASE_URL", url.as_str()), ("DATABASE_DIRECT_URL", direct.as_str())];
        let last = TestServer::on(database, &[&settings[..], &urls].concat()).await;
        let mut all = Vec::new();
        for _ in 1..number {
            all.push(last.sibling(&settings).await);
        }
        all.push(last);
        let instances = Self { all, last_feed };
        for server in &instances.all {
            server.wait_for_feed().await;
            wait_until(async || live(server).await == number).await;
        }
        // From then on no instance waits for those that it may not have heard.
        tokio::time::sleep(LEASE).await;
        instances
    }

    fn first(&self) -> &TestServer {
        &self.all[0]
    }

    fn last(&self) -> &TestServer {
        &self.all[self.all.len() - 1]
    }

    fn admin(&self) -> Client {
        self.first().admin("acme")
    }

    /// A key that every instance has cached.
    async fn cached_key(&self, scopes: &str) -> CreatedKey {
        let key = self.admin().create("n", scopes).await;
        for server in &self.all {
            for _ in 0..2 {
                assert_eq!(check(server, &key).await.status, 200);
            }
        }
        key
    }

    async fn assert_refused_everywhere(&self, key: &CreatedKey, code: &str) {
        for server in &self.all {
            check(server, key).await.refused(401, code);
        }
    }
}

/// The number of instances that one hears, by its metrics.
async fn live(server: &TestServer) -> usize {
    let metrics = server.admin("acme").get("/metrics").await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("rally_instances_live ")).expect("the gauge");
    line.parse().expect("a number")
}

async fn check(server: &TestServer, key: &CreatedKey) -> Reply {
    server.admin("acme").with_key(&key.secret).get("/forward-auth").await
}

/// A request that waits for a receipt.
async fn waiting(client: &Client, method: Method, path: &str, body: Option<&Value>, seconds: u64) -> Reply {
    let request = client.request(method, path).header("prefer", format!("wait={seconds}"));
    send(match body {
        Some(body) => request.json(body),
        None => request,
    })
    .await
}

async fn revoke_waiting(client: &Client, key: &CreatedKey, seconds: u64) -> Reply {
    waiting(client, Method::DELETE, &key.path(), None, seconds).await
}

/// The members of `Rally-Receipt`.
fn receipt(reply: &Reply) -> BTreeMap<String, String> {
    let members = reply.header("rally-receipt").split(", ");
    members.map(|member| member.split_once('=').expect("a member")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

fn revision(reply: &Reply) -> String {
    receipt(reply)["revision"].trim_matches('"').to_owned()
}

/// Instances, acknowledged and lapsed.
#[track_caller]
fn assert_receipt(reply: &Reply, [instances, acknowledged, lapsed]: [usize; 3]) {
    let receipt = receipt(reply);
    let count = |name: &str| receipt[name].parse::<usize>().expect("a number");
    assert_eq!(
        [count("instances"), count("acknowledged"), count("lapsed")],
        [instances, acknowledged, lapsed],
        "{receipt:?}"
    );
    let slowest = &receipt["slowest-ms"];
    assert!(slowest.split_once('.').is_some_and(|(_, tenths)| tenths.len() == 1), "{slowest}");
    assert!(Uuid::try_parse(receipt["revision"].trim_matches('"')).is_ok(), "{receipt:?}");
}

#[track_caller]
fn assert_no_receipt(reply: &Reply) {
    assert_ne!(reply.status, 202, "{reply:?}");
    for name in ["rally-receipt", "preference-applied"] {
        assert!(!reply.headers.contains_key(name), "{name}: {reply:?}");
    }
}

async fn kept_receipts(admin: &Client) -> Vec<Value> {
    admin.get(&format!("{PATH}/events?type=receipt")).await.expect(200).as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_receipt_the_key_is_refused_by_every_instance() {
    let instances = Instances::start(3).await;
    let admin = instances.admin();
    for _ in 0..10 {
        let key = instances.cached_key("read").await;
        let reply = revoke_waiting(&admin, &key, 10).await;
        reply.expect(204);
        instances.assert_refused_everywhere(&key, "key_revoked").await;
        assert_eq!(reply.header("preference-applied"), "wait=10");
        assert_receipt(&reply, [3, 3, 0]);
        // The trail names the change, keeps the receipt, and stays a chain.
        let mut events = admin.get(&format!("{}/events", key.path())).await.expect(200).as_array().unwrap().clone();
        events.retain(|event| event["type"] != "secret_reused"); // of the checks since
        assert_eq!([&events[0]["type"], &events[1]["type"]], ["receipt", "revoked"]);
        assert_eq!(events[1]["id"], revision(&reply));
        let details = &events[0]["details"];
        assert_eq!(details["revision"], revision(&reply));
        assert_eq!([&details["instances"], &details["acknowledged"], &details["lapsed"]], [3, 3, 0]);
        assert_eq!([&events[0]["actor"], &events[0]["requestId"]], [&events[1]["actor"], &events[1]["requestId"]]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_that_takes_something_away_can_wait_for_a_receipt() {
    let instances = Instances::start(2).await;
    let admin = instances.admin();
    let key = instances.cached_key("read,write").await;
    let path = key.path();
    let call = async |method: Method, suffix: &str, body: Value| {
        let body = Some(&body).filter(|body| !body.is_null());
        waiting(&admin, method, &format!("{path}{suffix}"), body, 10).await
    };
    let (post, patch, delete) = (Method::POST, Method::PATCH, Method::DELETE);
    for (method, suffix, body, status) in [
        (&patch, "", json!({"scopes": "read"}), 200),
        (&patch, "", json!({"scopes": "read"}), 200), // repeated
        (&patch, "", json!({"rateLimit": {"requests": 1_000_000, "windowSeconds": 60}}), 200),
        (&patch, "", json!({"allowedAddresses": ["127.0.0.0/8"]}), 200),
        (&patch, "", json!({"expiresAt": "2099-01-01T00:00:00Z"}), 200),
        (&post, "/suspend", json!({}), 200),
        (&post, "/suspend", json!({}), 200), // repeated
        (&post, "/rotate", json!({}), 200),
        (&delete, "/previous-secret", Value::Null, 204),
        (&delete, "/previous-secret", Value::Null, 204), // repeated
        (&delete, "", Value::Null, 204),
        (&delete, "", Value::Null, 204), // repeated
    ] {
        let reply = call(method.clone(), suffix, body.clone()).await;
        reply.expect(status);
        assert_receipt(&reply, [2, 2, 0]);
        assert!(!reply.body.contains("\"receipt\""), "{reply:?}");
        let asked = admin.get(&format!("{PATH}/receipts/{}", revision(&reply))).await;
        assert_eq!(asked.expect(200)["isComplete"], true, "{method} {suffix} {body}");
    }
}

/// As after a lost response.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_is_repeated_by_its_idempotency_key_gets_the_same_secret_and_a_receipt() {
    let instances = Instances::with(2, &[("LEASE_SECONDS", "5")]).await;
    let admin = instances.admin();
    let key = instances.cached_key("read").await;
    let rotate = async |seconds: u64| {
        let request = admin.request(Method::POST, &format!("{}/rotate", key.path()));
        let request = request.header("idempotency-key", "0b9a2d5e-3c41-4f7a-9d1e-6a7b8c9d0e1f");
        let request = request.header("prefer", format!("wait={seconds}"));
        send(request.json(&json!({"overlapSeconds": 0}))).await
    };
    let (first, second) = (rotate(20).await, rotate(20).await);
    for reply in [&first, &second] {
        reply.expect(200);
        assert_receipt(reply, [2, 2, 0]);
    }
    assert_eq!(first.body, second.body);
    // Of the same revision.
    assert_eq!(kept_receipts(&admin).await.len(), 1);

    instances.last_feed.set(Mode::Blackhole);
    let mut outstanding = rotate(1).await.expect(202);
    let receipt = outstanding.as_object_mut().unwrap().remove("receipt").unwrap();
    assert_eq!(receipt["isComplete"], false);
    assert_eq!(outstanding, first.expect(200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_takes_nothing_away_or_is_refused_has_no_receipt() {
    let instances = Instances::start(2).await;
    let admin = instances.admin();
    let create = json!({"name": "n", "scopes": "read"});
    assert_no_receipt(&waiting(&admin, Method::POST, PATH, Some(&create), 10).await);
    let key = admin.create("n", "read").await;
    let path = key.path();
    for body in [json!({"name": "m"}), json!({"scopes": "read,write"}), json!({"expiresAt": null}), json!({})] {
        let reply = waiting(&admin, Method::PATCH, &path, Some(&body), 10).await;
        reply.expect(200);
        assert_no_receipt(&reply);
    }
    admin.post(&format!("{path}/suspend"), &json!({})).await.expect(200);
    let resumed = waiting(&admin, Method::POST, &format!("{path}/resume"), Some(&json!({})), 10).await;
    resumed.expect(200);
    assert_no_receipt(&resumed);

    let unknown = format!("{PATH}/{}", Uuid::nil());
    let reply = waiting(&admin, Method::DELETE, &unknown, None, 10).await;
    reply.refused(404, "key_not_found");
    assert_no_receipt(&reply);
    let stale = admin.request(Method::DELETE, &path).header("prefer", "wait=10").header("if-match", "\"0-x\"");
    let reply = send(stale).await;
    reply.refused(412, "precondition_failed");
    assert_no_receipt(&reply);
    let reader = instances.first().user("acme", "read");
    let reply = revoke_waiting(&reader, &key, 10).await;
    reply.refused(403, "insufficient_scope");
    assert_no_receipt(&reply);
    admin.delete(&path).await.expect(204);
    let reply = waiting(&admin, Method::POST, &format!("{path}/suspend"), Some(&json!({})), 10).await;
    reply.refused(409, "key_revoked");
    assert_no_receipt(&reply);
    // What is not well-formed is ignored (RFC 7240, section 2).
    for prefer in ["wait", "wait=0", "wait=soon", "return=minimal", "respond-async"] {
        let key = admin.create("n", "read").await;
        let reply = send(admin.request(Method::DELETE, &key.path()).header("prefer", prefer)).await;
        reply.expect(204);
        assert_no_receipt(&reply);
    }
    assert_eq!(kept_receipts(&admin).await, [] as [Value; 0]);
}

/// Listens as any role of the database can.
async fn eavesdrop(database: &TestDatabase) -> PgListener {
    let mut listener = PgListener::connect(&database.url_text(None).await).await.unwrap();
    listener.listen("rally_instances").await.unwrap();
    listener
}

/// The messages until `is_last`, without heartbeats.
async fn messages_until(listener: &mut PgListener, is_last: impl Fn(&str) -> bool) -> Vec<String> {
    let mut messages = Vec::new();
    let hearing = async {
        loop {
            let message = listener.recv().await.unwrap().payload().to_owned();
            let is_last = is_last(&message);
            if !message.starts_with("beat ") {
                messages.push(message);
            }
            if is_last {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), hearing).await.expect("the last message");
    messages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_without_a_wait_asks_nobody() {
    let instances = Instances::start(3).await;
    let admin = instances.admin();
    let mut listener = eavesdrop(&instances.first().database).await;
    for _ in 0..5 {
        let key = instances.cached_key("read").await;
        let reply = admin.delete(&key.path()).await;
        reply.expect(204);
        assert_no_receipt(&reply);
    }
    instances.first().database.execute("NOTIFY rally_instances, 'the end'").await;
    assert_eq!(messages_until(&mut listener, |message| message == "the end").await, ["the end"]);
}

/// The last instance's feed is interrupted. It goes on accepting the key from its cache, until its lease is over.
async fn check_silent_instance(mode: Mode) {
    let instances = Instances::start(3).await;
    let key = instances.cached_key("read").await;
    instances.last_feed.set(mode);
    let started = Instant::now();
    let reply = revoke_waiting(&instances.admin(), &key, 20).await;
    reply.expect(204);
    instances.assert_refused_everywhere(&key, "key_revoked").await;
    assert_receipt(&reply, [3, 2, 1]);
    // The newest heartbeat was heard at most 0.4 s before, on a machine that is not busy.
    assert!(started.elapsed() > LEASE / 2, "{:?}", started.elapsed());
    assert!(receipt(&reply)["slowest-ms"].parse::<f64>().unwrap() < 1_500.0, "of those that acknowledged: {reply:?}");

    instances.last_feed.set(Mode::Pass);
    instances.last().wait_for_feed().await;
    wait_until(async || live(instances.first()).await == 3).await;
    let key = instances.cached_key("read").await;
    let reply = revoke_waiting(&instances.admin(), &key, 20).await;
    instances.assert_refused_everywhere(&key, "key_revoked").await;
    assert_receipt(&reply, [3, 3, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnected_instance_is_waited_for_until_its_lease_is_over() {
    check_silent_instance(Mode::Cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_instance_is_waited_for_until_its_lease_is_over() {
    check_silent_instance(Mode::Blackhole).await;
}

/// The control: without the wait, the silent instance accepts a revoked key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_receipt_a_silent_instance_still_accepts_the_key() {
    let instances = Instances::with(2, &[("LEASE_SECONDS", "10")]).await;
    let key = instances.cached_key("read").await;
    instances.last_feed.set(Mode::Blackhole);
    instances.admin().delete(&key.path()).await.expect(204);
    assert_eq!(check(instances.last(), &key).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn if_the_time_is_over_first_the_response_says_what_is_outstanding() {
    let instances = Instances::with(3, &[("LEASE_SECONDS", "5")]).await;
    let admin = instances.admin();
    wait_until(async || {
        // Since the lease is longer than the one that the start waited for.
        let key = admin.create("n", "read").await;
        revoke_waiting(&admin, &key, 20).await.headers.contains_key("rally-receipt")
    })
    .await;
    let (revoked, rotated) = (instances.cached_key("read").await, instances.cached_key("read").await);
    let kept_before = kept_receipts(&admin).await.len();
    instances.last_feed.set(Mode::Blackhole);

    let rotate = format!("{}/rotate", rotated.path());
    let rotation = async { waiting(&admin, Method::POST, &rotate, Some(&json!({"overlapSeconds": 0})), 1).await };
    let (reply, rotation) = tokio::join!(revoke_waiting(&admin, &revoked, 1), rotation);
    let outstanding = reply.expect(202);
    assert_eq!(reply.header("preference-applied"), "wait=1");
    assert!(!reply.headers.contains_key("rally-receipt"));
    let count = |name: &str| outstanding[name].as_u64().unwrap();
    assert_eq!([count("instances"), count("acknowledged"), count("lapsed")], [3, 2, 0], "{outstanding}");
    assert_eq!(outstanding["isComplete"], false);
    assert_eq!(outstanding["outstanding"].as_array().unwrap().len(), 1);
    assert!((1..=6).contains(&count("completeWithinSeconds")), "{outstanding}");
    // The new secret is in no other response.
    let body = rotation.expect(202);
    assert_eq!(body["receipt"]["isComplete"], false);
    assert_eq!(
        check(instances.first(), &CreatedKey { id: rotated.id, secret: body["key"].as_str().unwrap().into() })
            .await
            .status,
        200
    );

    let location = reply.header("location");
    assert!(
        location.ends_with(&format!("{PATH}/receipts/{}", outstanding["revision"].as_str().unwrap())),
        "{location}"
    );
    assert_eq!(admin.get(location).await.expect(200)["isComplete"], false);
    let completed = waiting(&admin, Method::GET, location, None, 20).await;
    assert_eq!(completed.expect(200)["isComplete"], true);
    assert_eq!(completed.header("preference-applied"), "wait=20");
    assert_receipt(&completed, [3, 2, 1]);
    instances.assert_refused_everywhere(&revoked, "key_revoked").await;
    wait_until(async || kept_receipts(&admin).await.len() == kept_before + 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_is_shown_to_its_own_tenant_by_every_instance() {
    let instances = Instances::start(2).await;
    let admin = instances.admin();
    let key = instances.cached_key("read").await;
    admin.delete(&key.path()).await.expect(204);
    let events = admin.get(&format!("{}/events", key.path())).await.expect(200);
    let path = format!("{PATH}/receipts/{}", events[0]["id"].as_str().unwrap());
    for server in &instances.all {
        // Nobody has waited for this revision: the instances are asked now.
        let reply = waiting(&server.user("acme", "read"), Method::GET, &path, None, 10).await;
        assert_eq!(reply.expect(200)["isComplete"], true);
        assert_receipt(&reply, [2, 2, 0]);
        assert_eq!(revision(&reply), events[0]["id"].as_str().unwrap());
        let again = server.user("acme", "read").get(&path).await;
        assert_eq!(again.expect(200)["isComplete"], true);
        server.admin("globex").get(&path).await.refused(404, "receipt_not_found");
        let unknown = format!("{PATH}/receipts/{}", Uuid::now_v7());
        server.admin("acme").get(&unknown).await.refused(404, "receipt_not_found");
        assert_eq!(server.admin("acme").get(&format!("{PATH}/receipts/1")).await.bad_fields(), ["revision"]);
        server.client("acme", crate::client::Credential::None).get(&path).await.refused(401, "missing_credentials");
    }
    assert_eq!(kept_receipts(&admin).await, [] as [Value; 0], "a GET writes nothing");
}

/// A connection of a role that may do nothing but connect.
async fn stranger(database: &TestDatabase) -> PgConnection {
    let role = format!("stranger_{}", database.name);
    database.execute(&format!("CREATE ROLE {role}")).await;
    let mut connection = database.connect().await;
    connection.execute(AssertSqlSafe(format!("SET SESSION AUTHORIZATION {role}"))).await.unwrap();
    connection
}

async fn notify(connection: &mut PgConnection, message: &str) {
    sqlx::query("SELECT pg_notify('rally_instances', $1)").bind(message).execute(connection).await.unwrap();
}

/// Whoever may connect to the database can send and hear notifications.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_replayed_and_truncated_acknowledgements_make_no_receipt() {
    let instances = Instances::start(3).await;
    let (admin, database) = (instances.admin(), &instances.first().database);
    let mut stranger = stranger(database).await;
    for statement in ["SELECT * FROM instance_secrets", "UPDATE instance_secrets SET secret = ''"] {
        let refused = stranger.execute(statement).await.unwrap_err();
        let code = refused.as_database_error().and_then(DatabaseError::code);
        assert_eq!(code.as_deref(), Some("42501"), "{statement}");
    }
    let mut listener = eavesdrop(database).await;
    // What a receipt looks like on the wire.
    let key = instances.cached_key("read").await;
    revoke_waiting(&admin, &key, 10).await.expect(204);
    notify(&mut stranger, "the end").await;
    let heard = messages_until(&mut listener, |message| message == "the end").await;
    let acknowledgements: Vec<_> = heard.iter().filter(|message| message.starts_with("ack ")).collect();
    assert_eq!(acknowledgements.len(), 2, "{heard:?}");

    let key = instances.cached_key("read").await;
    instances.last_feed.set(Mode::Blackhole);
    let started = Instant::now();
    let (reply, ()) = tokio::join!(revoke_waiting(&admin, &key, 20), async {
        let heard = messages_until(&mut listener, |message| message.starts_with("ask ")).await;
        let ask: Vec<_> = heard.last().unwrap().split(' ').map(str::to_owned).collect();
        let [_, asker, number, ask_code] = &ask[..] else { panic!("{ask:?}") };
        for genuine in &acknowledgements {
            let words: Vec<_> = genuine.split(' ').collect();
            let [_, from, _, _, code] = words[..] else { panic!("{words:?}") };
            let forged = format!("ack {from} {asker} {number}");
            for message in [
                (*genuine).clone(),                     // of an earlier question
                format!("{forged} {code}"),             // with that one's code
                format!("{forged} {ask_code}"),         // with the question's code
                format!("{forged} {}", "0".repeat(64)), // with a made-up code
                forged.clone(),                         // without one
                format!("{forged} {}", &code[..32]),    // with half of one
                format!("{forged} "),
                genuine[..genuine.len() - 1].to_owned(),
                format!("bye {from} {code}"),
                format!("bye {from} {}", "0".repeat(64)),
                // A heartbeat with a shorter lease.
                format!("beat {from} 1000000 0 {} {code}", "0".repeat(32)),
            ] {
                notify(&mut stranger, &message).await;
            }
        }
    });
    instances.assert_refused_everywhere(&key, "key_revoked").await;
    assert_receipt(&reply, [3, 2, 1]);
    assert!(started.elapsed() > LEASE / 2, "{:?}", started.elapsed());
    let made_up = format!("beat {} 1 300 {} {}", Uuid::new_v4(), "0".repeat(32), "0".repeat(64));
    notify(&mut stranger, &made_up).await;
    instances.last_feed.set(Mode::Pass);
    wait_until(async || live(instances.first()).await == 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_has_just_started_waits_for_leases_that_it_has_not_heard_of() {
    const LEASE: Duration = Duration::from_secs(6);
    let started = Instant::now();
    let server = TestServer::with(&[("LEASE_SECONDS", "6")]).await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let reply = revoke_waiting(&admin, &key, 20).await;
    assert!(started.elapsed() > LEASE, "{:?}", started.elapsed());
    assert_receipt(&reply, [1, 1, 0]);
    let key = admin.create("n", "read").await;
    let again = Instant::now();
    assert_receipt(&revoke_waiting(&admin, &key, 20).await, [1, 1, 0]);
    assert!(again.elapsed() < LEASE, "{:?}", again.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_stops_is_not_waited_for() {
    let mut instances = Instances::start(3).await;
    instances.all[1].stop().await;
    let stopped = instances.all.remove(1);
    let key = instances.cached_key("read").await;
    let reply = revoke_waiting(&instances.admin(), &key, 20).await;
    assert_receipt(&reply, [2, 2, 0]);
    assert_eq!(live(instances.first()).await, 2);
    drop(stopped);
}

/// What is waited for at the stop is said to be outstanding.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_the_waits_for_receipts() {
    let mut instances = Instances::with(2, &[("LEASE_SECONDS", "60")]).await;
    let key = instances.cached_key("read").await;
    let admin = instances.admin();
    let mut first = instances.all.remove(0);
    let mut listener = eavesdrop(&first.database).await;
    let (reply, ()) = tokio::join!(revoke_waiting(&admin, &key, 50), async {
        messages_until(&mut listener, |message| message.starts_with("ack ")).await;
        first.stop().await;
    });
    assert_eq!(reply.expect(202)["isComplete"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_receipts_at_once_are_each_a_proof() {
    const MANY: usize = 50;
    let instances = Instances::start(3).await;
    let admin = instances.admin();
    let mut keys = Vec::new();
    for _ in 0..MANY {
        keys.push(instances.cached_key("read").await);
    }
    let mut listener = eavesdrop(&instances.first().database).await;
    let replies = futures_util::future::join_all(keys.iter().map(async |key| {
        let mut reply = revoke_waiting(&admin, key, 20).await;
        while reply.status == 503 {
            // On a machine that is busy, a tenant's turn for a connection may not come in time.
            reply = revoke_waiting(&admin, key, 20).await;
        }
        reply.expect(204);
        instances.assert_refused_everywhere(key, "key_revoked").await;
        reply
    }))
    .await;
    for reply in &replies {
        assert_receipt(reply, [3, 3, 0]);
    }
    instances.first().database.execute("NOTIFY rally_instances, 'the end'").await;
    let heard = messages_until(&mut listener, |message| message == "the end").await;
    let asked = heard.iter().filter(|message| message.starts_with("ask ")).count();
    println!("{asked} questions for {MANY} receipts");
    // Heartbeats repeat the questions that are outstanding.
    assert!((1..=MANY + 20).contains(&asked), "{asked}");
    assert_eq!(kept_receipts(&admin).await.len(), MANY);
}

/// A command has heard nobody before, so it waits for a lease; it is no instance itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_prints_the_receipt_of_its_change() {
    let instances = Instances::start(2).await;
    let (admin, database) = (instances.admin(), &instances.first().database);
    let (home, url) = (Home::new("receipts"), database.url_text(None).await);
    let settings = [("DATABASE_MIGRATION_URL", url.as_str()), ("KEY_PEPPER", PEPPER), ("LEASE_SECONDS", "2")];
    let key = instances.cached_key("read").await;
    for said in ["revoked API key", "API key"] {
        let printed = home.succeed(&["keys", "revoke", "--tenant", "acme", &key.id, "--wait"], &settings).await;
        assert!(printed.starts_with(said), "{printed}");
        let receipt = printed.lines().last().unwrap();
        assert!(receipt.starts_with("receipt: revision="), "{printed}");
        assert!(receipt.contains(", instances=2, acknowledged=2, lapsed=0, slowest-ms="), "{printed}");
        instances.assert_refused_everywhere(&key, "key_revoked").await;
    }
    let kept = kept_receipts(&admin).await;
    assert_eq!(kept.len(), 2);
    assert!(kept[0]["actor"].as_str().unwrap().starts_with("operator:"), "{kept:?}");

    let key = instances.cached_key("read").await;
    let printed = home.succeed(&["tenant", "suspend", "acme", "--wait"], &settings).await;
    assert!(printed.contains("receipt: instances=2, acknowledged=2, lapsed=0"), "{printed}");
    instances.assert_refused_everywhere(&key, "tenant_not_found").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_is_decided_by_a_state_that_contains_the_revision_or_not_at_all() {
    let proxies = [("TRUSTED_PROXIES", "127.0.0.0/8"), ("LEASE_SECONDS", "10")];
    let instances = Instances::with(2, &proxies).await;
    let admin = instances.admin();
    let check_at_least = async |server: &TestServer, key: &CreatedKey, revision: &str| {
        let client = server.admin("acme").with_key(&key.secret);
        send(client.request(Method::GET, "/forward-auth").header("x-rally-min-revision", revision)).await
    };
    let revision_of_last_change = async |key: &CreatedKey| {
        let events = admin.get(&format!("{}/events", key.path())).await.expect(200);
        events[0]["id"].as_str().unwrap().to_owned()
    };
    let key = instances.cached_key("read").await;
    let created = revision_of_last_change(&key).await;
    for server in &instances.all {
        for _ in 0..2 {
            assert_eq!(check_at_least(server, &key, &created).await.status, 200);
        }
    }
    for unknown in [Uuid::now_v7().to_string(), {
        let other = instances.first().admin("globex").create("n", "read").await;
        let events = instances.first().admin("globex").get(&format!("{}/events", other.path())).await.expect(200);
        events[0]["id"].as_str().unwrap().to_owned()
    }] {
        let reply = check_at_least(instances.last(), &key, &unknown).await;
        reply.refused(503, "revision_not_reached");
        assert_eq!(reply.header("x-rally-error"), "revision_not_reached");
    }
    check_at_least(instances.last(), &key, "7").await.refused(403, "invalid_request");

    instances.last_feed.set(Mode::Blackhole);
    admin.delete(&key.path()).await.expect(204);
    let revoked = revision_of_last_change(&key).await;
    assert_eq!(check(instances.last(), &key).await.status, 200, "it has not heard of the revocation");
    check_at_least(instances.last(), &key, &revoked).await.refused(503, "revision_not_reached");
    check_at_least(instances.first(), &key, &revoked).await.refused(401, "key_revoked");
    instances.last_feed.set(Mode::Pass);
    wait_until(async || check_at_least(instances.last(), &key, &revoked).await.status == 401).await;
}

/// A client could ask for a state that there is not, and be refused; but it is not asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_that_an_untrusted_peer_names_is_ignored() {
    let server = TestServer::with(&SETTINGS).await;
    server.wait_for_feed().await;
    let key = server.admin("acme").create("n", "read").await;
    let client = server.admin("acme").with_key(&key.secret);
    for ignored in ["7", "a1b2c3d4-e5f6-7890-abcd-ef1234567890"] {
        let request = client.request(Method::GET, "/forward-auth").header("x-rally-min-revision", ignored);
        assert_eq!(send(request).await.status, 200);
    }
}
