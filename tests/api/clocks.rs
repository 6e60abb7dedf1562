//! Instances whose clocks differ: what ends a secret ends it everywhere at once, whatever the clocks say.

use std::{fs, path::PathBuf};

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::{
    binary::{Home, Service},
    client::{Client, CreatedKey, Credential},
    harness::{JWT_SECRET, PEPPER, TestDatabase, TestServer, not_tested, sign, wait_until},
};

/// In seconds.
const OFFSETS: [i64; 4] = [-3600, -3, 3, 3600];
const HALF_A_MINUTE: TimeDelta = TimeDelta::seconds(30);

async fn rotate(admin: &Client, key: &CreatedKey, overlap: i64) -> CreatedKey {
    let rotated = admin.post(&format!("{}/rotate", key.path()), &json!({"overlapSeconds": overlap})).await.expect(200);
    CreatedKey { id: key.id.clone(), secret: rotated["key"].as_str().unwrap().to_owned() }
}

async fn status(client: &Client, key: &CreatedKey) -> u16 {
    client.with_key(&key.secret).get("/forward-auth").await.status.as_u16()
}

/// An instance that ends secrets, and another one.
struct Pair<'a> {
    acting: &'a Client,
    other: &'a Client,
}

impl Pair<'_> {
    /// What both instances say about a secret. Also fills their caches.
    async fn statuses(&self, key: &CreatedKey) -> [u16; 2] {
        [status(self.acting, key).await, status(self.other, key).await]
    }

    /// Waits until the other instance has received all notifications so far: those of a commit arrive in its order.
    async fn let_the_other_catch_up(&self) {
        let marker = self.acting.create("marker", "read").await;
        assert_eq!(status(self.other, &marker).await, 200);
        self.acting.delete(&marker.path()).await.expect(204);
        wait_until(async || status(self.other, &marker).await == 401).await;
    }

    /// Ends a secret by each way there is.
    async fn end_secrets(&self) {
        let first = self.acting.create("n", "read").await;
        let second = rotate(self.acting, &first, 86_400).await;
        assert_eq!((self.statuses(&first).await, self.statuses(&second).await), ([200; 2], [200; 2]));
        self.acting.delete(&format!("{}/previous-secret", first.path())).await.expect(204);
        assert_eq!(status(self.acting, &first).await, 401);
        self.let_the_other_catch_up().await;
        assert_eq!(self.statuses(&first).await, [401; 2], "ended by previous-secret");
        assert_eq!(self.acting.get(&first.path()).await.expect(200)["rotation"], Value::Null);

        let third = rotate(self.acting, &first, 0).await;
        assert_eq!(status(self.acting, &second).await, 401);
        self.let_the_other_catch_up().await;
        assert_eq!(self.statuses(&second).await, [401; 2], "ended by a rotation without overlap");

        let fourth = rotate(self.acting, &first, 86_400).await;
        assert_eq!((self.statuses(&third).await, self.statuses(&fourth).await), ([200; 2], [200; 2]));
        let fifth = rotate(self.acting, &first, 86_400).await;
        assert_eq!(status(self.acting, &third).await, 401);
        self.let_the_other_catch_up().await;
        let all = [&first, &second, &third, &fourth, &fifth];
        for (secret, expected) in all.into_iter().zip([401, 401, 401, 200, 200]) {
            assert_eq!(self.statuses(secret).await, [expected; 2], "of three secrets, the oldest is ended");
        }
        let secrets = self.other.get(&format!("{}/usage", first.path())).await.expect(200)["secrets"].clone();
        let hints: Vec<_> = secrets.as_array().unwrap().iter().map(|secret| secret["keyHint"].clone()).collect();
        let newest_first: Vec<_> =
            all.iter().rev().map(|key| json!(format!("rk_live_…{}", &key.secret[36..]))).collect();
        assert_eq!(hints, newest_first);
    }
}

/// An overlap that is over by the clock of an instance that is ahead, and not by the other's.
async fn end_an_overlap_that_is_over_by_one_clock(skewed: &Client, reference: &Client) {
    let pair = Pair { acting: skewed, other: reference };
    let old = reference.create("n", "read").await;
    let new = rotate(reference, &old, 60).await;
    assert_eq!(status(reference, &old).await, 200);
    skewed.delete(&format!("{}/previous-secret", old.path())).await.expect(204);
    pair.let_the_other_catch_up().await;
    assert_eq!(
        (pair.statuses(&old).await, pair.statuses(&new).await),
        ([401; 2], [200; 2]),
        "a 204 that changed nothing"
    );
}

async fn end_secrets_on_both(skewed: &Client, reference: &Client) {
    Pair { acting: skewed, other: reference }.end_secrets().await;
    Pair { acting: reference, other: skewed }.end_secrets().await;
    end_an_overlap_that_is_over_by_one_clock(skewed, reference).await;
}

async fn clock_offset(client: &Client) -> Option<f64> {
    let metrics = client.get("/metrics").await.body;
    metrics.lines().find_map(|line| line.strip_prefix("rally_database_clock_offset_seconds ")?.parse().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_secret_is_refused_by_instances_with_other_clocks() {
    for settings in [&[][..], &[("VERIFY_CACHE_ENTRIES", "0")]] {
        let reference = TestServer::with(settings).await;
        for offset in OFFSETS {
            let skewed = TestServer::on(reference.database.clone(), settings).await;
            skewed.clock.turn(TimeDelta::seconds(offset));
            skewed.wait_for_feed().await;
            reference.wait_for_feed().await;
            end_secrets_on_both(&skewed.admin("acme"), &reference.admin("acme")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_secret_is_refused_by_processes_with_other_clocks() {
    let Some(library) = faketime() else { return };
    let (database, home) = (TestDatabase::create().await, Home::new("clocks"));
    let (_reference, reference) = serve(&home, &database, &[]).await;
    for offset in OFFSETS {
        let fake = format!("{offset:+}");
        let settings = [
            ("LD_PRELOAD", library.to_str().unwrap()),
            ("FAKETIME", &fake),
            // Setting a machine's clock changes the wall clock only.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        let (_skewed, skewed) = serve(&home, &database, &settings).await;
        #[allow(clippy::cast_precision_loss, reason = "an hour")]
        let measured = async || clock_offset(&skewed).await.is_some_and(|found| (found - offset as f64).abs() < 0.5);
        wait_until(measured).await;
        end_secrets_on_both(&skewed, &reference).await;
    }
}

/// A process on that database, with a client of it.
async fn serve(home: &Home, database: &TestDatabase, settings: &[(&str, &str)]) -> (Service, Client) {
    let url = database.url_text(None).await;
    let own = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)];
    let service: Service = home.serve(&[&own, settings].concat()).await;
    let token = sign(&json!({
        "sub": "42",
        "email": "admin@acme.com",
        "tenant": "acme",
        "scope": "admin",
        "exp": (Utc::now() + TimeDelta::hours(10)).timestamp(),
    }));
    let client = service.client("acme", Credential::Bearer(token));
    wait_until(async || client.get("/readyz").await.json()["status"] == "ready").await;
    (service, client)
}

#[tokio::test]
async fn doctor_reports_a_clock_that_differs_from_the_database() {
    let (database, home) = (TestDatabase::create().await, Home::new("doctor-clock"));
    let url = database.url_text(None).await;
    let own = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)];
    let printed = home.run(&["doctor"], &own).await.stdout;
    let printed = String::from_utf8(printed).unwrap();
    assert!(printed.contains("\nok    clock: this machine's clock is 0."), "{printed}");
    let Some(library) = faketime() else { return };
    for (fake, expected) in [("+3", "3.0"), ("-3600", "3600.0")] {
        let preload = [("LD_PRELOAD", library.to_str().unwrap()), ("FAKETIME", fake)];
        let printed = home.run(&["doctor"], &[&own[..], &preload].concat()).await.stdout;
        let printed = String::from_utf8(printed).unwrap();
        let line =
            printed.lines().find(|line| line.starts_with("FAIL  clock: ")).unwrap_or_else(|| panic!("{printed}"));
        let direction = if fake.starts_with('+') { "ahead of" } else { "behind" };
        assert!(line.contains(direction) && line.contains("let NTP set both clocks"), "{line}");
        let seconds: f64 = line.split("clock is ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!((seconds - expected.parse::<f64>().unwrap()).abs() < 0.5, "{line}");
    }
}

#[tokio::test]
async fn the_clock_offset_is_measured_by_each_heartbeat() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let client = server.client("acme", Credential::None);
    for turned in [0.0, 3600.0, -3.0] {
        wait_until(async || clock_offset(&client).await.is_some_and(|found| (found - turned).abs() < 0.5)).await;
        let next = if turned == 0.0 { 3600 } else { -3603 };
        server.clock.turn(TimeDelta::seconds(next));
    }
}

/// `expiresAt` and `createdAt` may be of different clocks.
#[tokio::test]
async fn a_key_can_end_before_it_was_created_by_another_clock() {
    let ahead = TestServer::start().await;
    let behind = TestServer::on(ahead.database.clone(), &[]).await;
    ahead.clock.turn(TimeDelta::hours(1));
    let key = ahead.admin("acme").create("n", "read").await;
    let end = behind.clock.now() + HALF_A_MINUTE;
    behind.admin("acme").patch(&key.path(), &json!({"expiresAt": end.to_rfc3339()})).await.expect(200);
    assert_eq!(status(&ahead.admin("acme"), &key).await, 401);
}

/// The path of libfaketime.
fn faketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let files = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    let found = files.chain(["/usr/local/lib/faketime/libfaketime.so.1".into()]).find(|file| file.is_file());
    if found.is_none() {
        not_tested("libfaketime is not installed");
    }
    found
}
