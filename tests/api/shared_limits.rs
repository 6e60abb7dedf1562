//! Rate limits that instances count together in a real Redis, and what they do while it is away.

use std::{
    fs,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use rally_api_keys::{
    domain::{ApiKeyId, RateDecision, RateLimit},
    limits::{RateLimiter, RedisUrl},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::{
    binary::Home,
    harness::{scratch_dir, wait_until},
    redis_server::RedisServer,
};

/// A limiter as an instance has it, with the task that gets back to Redis.
struct Instance {
    limiter: RateLimiter,
    task: JoinHandle<()>,
}

impl Instance {
    async fn start(url: &str) -> Self {
        let limiter = RateLimiter::start(Some(&RedisUrl::parse(url).unwrap())).await;
        let task = tokio::spawn(limiter.clone().keep_connected());
        Self { limiter, task }
    }

    /// As a check of a key does.
    async fn take(&self, key: ApiKeyId, limit: RateLimit) -> RateDecision {
        match self.limiter.try_take_locally(key, limit) {
            Some(taken) => taken,
            None => self.limiter.take(key, limit).await,
        }
    }

    /// How many of so many requests at once are within the limit.
    async fn allowed(&self, key: ApiKeyId, limit: RateLimit, requests: usize) -> usize {
        let taken = join_all((0..requests).map(|_| self.take(key, limit))).await;
        taken.iter().filter(|taken| taken.allowed).count()
    }

    async fn is_up(&self, up: bool) {
        wait_until(async || self.limiter.is_up() == up).await;
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn key() -> ApiKeyId {
    ApiKeyId(Uuid::now_v7())
}

fn limit(requests: u32, window_seconds: u32) -> RateLimit {
    RateLimit::new(requests.into(), window_seconds.into()).unwrap()
}

/// None of it comes back during a test.
fn burst(requests: u32) -> RateLimit {
    limit(requests, 86_400)
}

/// Neither a slow machine nor another test makes a call fail, which would count elsewhere.
async fn settled(instances: &[&Instance]) {
    for instance in instances {
        instance.is_up(true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_together_let_in_exactly_the_burst() {
    let Some(redis) = RedisServer::start("together").await else { return };
    let (one, other) = (Instance::start(&redis.url()).await, Instance::start(&redis.url()).await);
    settled(&[&one, &other]).await;
    let (key, limit) = (key(), burst(100));
    let (mut by_one, mut by_other) = (0, 0);
    for _ in 0..15 {
        by_one += one.allowed(key, limit, 5).await;
        by_other += other.allowed(key, limit, 5).await;
    }
    assert_eq!((by_one + by_other, by_one.abs_diff(by_other) <= 5), (100, true), "{by_one} and {by_other}");
    assert!(one.limiter.is_up() && other.limiter.is_up());
}

#[tokio::test]
async fn redis_holds_a_prefix_an_id_and_a_time_which_expires() {
    let Some(redis) = RedisServer::start("names").await else { return };
    let instance = Instance::start(&redis.url()).await;
    let (key, limit) = (key(), limit(3, 60));
    let taken = instance.take(key, limit).await;
    assert!(taken.allowed && taken.budget.remaining() == 2);
    let name = format!("rally:limit:{key}");
    let names: Vec<String> = redis.query("KEYS *").await;
    assert!(names.iter().all(|found| *found == name || found.ends_with(&Uuid::nil().to_string())), "{names:?}");
    // Microseconds, and the nanoseconds of a third of a minute.
    let state: String = redis.query(&format!("GET {name}")).await;
    let (micros, nanos) = state.split_once('.').unwrap();
    assert!(micros.len() == 16 && nanos.len() == 3, "{state}");
    let left: i64 = redis.query(&format!("PTTL {name}")).await;
    assert!((1..=20_001).contains(&left), "{left}");
}

#[tokio::test]
async fn a_state_from_a_clock_far_ahead_or_of_a_longer_window_costs_at_most_the_window() {
    let Some(redis) = RedisServer::start("clock").await else { return };
    let instance = Instance::start(&redis.url()).await;
    let (key, brief) = (key(), limit(2, 10));
    for (state, allowed) in [("9999999999999999.999", false), ("1000000000000000.000", true), ("not a state", true)] {
        let _: String = redis.query(&format!("SET rally:limit:{key} {}", state.replace(' ', "_"))).await;
        let taken = Instance::start(&redis.url()).await.take(key, brief).await;
        assert_eq!(taken.allowed, allowed, "{state}");
        assert!(taken.budget.next_in().unwrap() <= Duration::from_secs(5), "{state}");
    }
    // An instance that was asked before, and one that was not.
    let (key, day, short) = (self::key(), limit(1, 86_400), limit(4, 2));
    assert!(instance.take(key, day).await.allowed);
    for instance in [&instance, &Instance::start(&redis.url()).await] {
        let _: String = redis.query(&format!("SET rally:limit:{key} 9999999999999999.999")).await;
        assert!(!instance.take(key, short).await.allowed);
        wait_until(async || instance.take(key, short).await.allowed).await;
    }
    assert!(instance.limiter.is_up());
}

#[tokio::test]
async fn a_key_known_to_be_limited_is_refused_without_a_call() {
    let Some(redis) = RedisServer::start("known").await else { return };
    let instance = Instance::start(&redis.url()).await;
    let (key, once) = (key(), limit(1, 3_600));
    assert!(instance.take(key, once).await.allowed);
    redis.signal("STOP");
    for _ in 0..1_000 {
        let taken = instance.limiter.try_take_locally(key, once).expect("no call");
        assert!(!taken.allowed && taken.budget.next_in().unwrap() > Duration::from_secs(3_500));
    }
    redis.signal("CONT");
    // With a longer window it is not beyond the limit: Redis has to be asked.
    instance.is_up(true).await;
    assert!(instance.limiter.try_take_locally(key, limit(2, 86_400)).is_none());
}

#[tokio::test]
async fn while_redis_is_killed_an_instance_goes_on_from_what_it_knew_and_comes_back() {
    let Some(mut redis) = RedisServer::start("killed").await else { return };
    let instance = Instance::start(&redis.url()).await;
    let (key, limit) = (key(), burst(10));
    assert_eq!(instance.allowed(key, limit, 4).await, 4);
    redis.kill();
    assert_eq!(instance.allowed(key, limit, 20).await, 6, "four of the burst are used");
    assert!(!instance.limiter.is_up());
    let other = self::key();
    assert_eq!(instance.allowed(other, limit, 20).await, 10);
    redis.restart().await;
    instance.is_up(true).await;
    let calls = redis.calls().await;
    assert!(instance.take(self::key(), limit).await.allowed);
    assert!(redis.calls().await > calls, "it counts in Redis again");
}

#[tokio::test]
async fn while_redis_is_frozen_checks_do_not_wait_for_it() {
    let Some(redis) = RedisServer::start("frozen").await else { return };
    let instance = Instance::start(&redis.url()).await;
    let limit = burst(10);
    assert!(instance.take(key(), limit).await.allowed);
    redis.signal("STOP");
    let started = Instant::now();
    assert_eq!(instance.allowed(key(), limit, 20).await, 10);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    // From now on not even the 20 ms.
    let at_once = (0..500).filter(|_| instance.limiter.try_take_locally(key(), limit).is_some()).count();
    assert_eq!(at_once, 500);
    redis.signal("CONT");
    instance.is_up(true).await;
}

#[tokio::test]
async fn a_redis_that_is_away_at_the_start_is_used_once_it_is_there() {
    let Some(mut redis) = RedisServer::start("late").await else { return };
    redis.kill();
    let instance = Instance::start(&redis.url()).await;
    let limit = burst(1);
    assert!(!instance.limiter.is_up() && instance.limiter.try_take_locally(key(), limit).unwrap().allowed);
    redis.restart().await;
    instance.is_up(true).await;
    assert!(instance.limiter.try_take_locally(key(), limit).is_none(), "Redis is asked");
}

#[tokio::test]
async fn flushed_scripts_are_loaded_again() {
    let Some(redis) = RedisServer::start("flushed").await else { return };
    let instance = Instance::start(&redis.url()).await;
    let (key, limit) = (key(), burst(100));
    for n in 1..=20_usize {
        let _: String = redis.query("SCRIPT FLUSH SYNC").await;
        assert!(instance.take(key, limit).await.allowed);
        assert!(redis.calls().await >= n);
    }
    assert_eq!(instance.limiter.read(key, limit).remaining(), 80);
    assert!(instance.limiter.is_up());
}

/// A PING is answered in both cases.
#[tokio::test]
async fn a_redis_that_takes_no_writes_counts_as_away() {
    let Some(redis) = RedisServer::start("full").await else { return };
    let instance = Instance::start(&redis.url()).await;
    for (on, off) in [("maxmemory 1", "maxmemory 0"), ("min-replicas-to-write 1", "min-replicas-to-write 0")] {
        let _: String = redis.query(&format!("CONFIG SET {on}")).await;
        assert_eq!(instance.allowed(key(), burst(10), 20).await, 10, "{on}");
        instance.is_up(false).await;
        let _: String = redis.query("PING").await;
        let _: String = redis.query(&format!("CONFIG SET {off}")).await;
        instance.is_up(true).await;
    }
}

/// Without any check of a key: readiness and metrics tell the truth on an idle instance.
#[tokio::test]
async fn an_idle_instance_notices_that_redis_is_away() {
    let Some(mut redis) = RedisServer::start("idle").await else { return };
    let instance = Instance::start(&redis.url()).await;
    assert!(instance.limiter.is_up());
    redis.kill();
    instance.is_up(false).await;
}

#[tokio::test]
async fn a_user_with_the_documented_rights_suffices_and_its_password_is_never_printed() {
    let Some(redis) = RedisServer::start("acl").await else { return };
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/limits.md")).unwrap();
    let rule = page.lines().find(|line| line.starts_with("ACL SETUSER")).expect("the rule");
    let _: String = redis.query(&rule.replace("PASSWORD", "hunter2")).await;
    let _: String = redis.query("CONFIG SET requirepass other").await;
    let url = |password: &str| format!("redis://rally:{password}@{}", redis.address);
    let instance = Instance::start(&url("hunter2")).await;
    assert!(instance.limiter.is_up() && instance.take(key(), burst(1)).await.allowed);
    let (home, hidden) = (Home::new("redis-acl"), format!("redis://rally:[hidden]@{}/0", redis.address));
    for (password, says) in [
        ("hunter2", format!("ok    rate limits: {hidden} counts")),
        ("hunter3", format!("FAIL  rate limits: {hidden} does not count")),
    ] {
        let printed = home.run(&["doctor"], &[("REDIS_URL", &url(password))]).await;
        let printed =
            format!("{}{}", String::from_utf8_lossy(&printed.stdout), String::from_utf8_lossy(&printed.stderr));
        assert!(printed.contains(&says) && !printed.contains("hunter"), "{printed}");
    }
}

#[tokio::test]
async fn tls_is_verified_by_the_machines_authorities() {
    let dir = scratch_dir("authorities-of-redis");
    let authority = || {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (ours, others, key) = (authority(), authority(), KeyPair::generate().unwrap());
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &ours).unwrap();
    let file = |name: &str, pem: String| {
        let path = dir.join(name);
        fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    let (ca, other) = (file("ca.pem", ours.pem()), file("other.pem", others.pem()));
    let (certificate, key) = (file("server.pem", certificate.pem()), file("server.key", key.serialize_pem()));
    let tls_port = crate::harness::free_address().port().to_string();
    let options = ["--tls-port", &tls_port, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let options = [&options[..], &["--tls-ca-cert-file", &ca, "--tls-auth-clients", "no"]].concat();
    let Some(_redis) = RedisServer::with("tls", &options).await else { return };
    let home = Home::new("redis-tls-doctor");
    for (host, authority, says) in [
        ("localhost", &ca, "ok    rate limits: rediss://localhost"),
        ("localhost", &other, "FAIL  rate limits: rediss://localhost"),
        ("127.0.0.1", &ca, "FAIL  rate limits: rediss://127.0.0.1"),
    ] {
        let url = format!("rediss://{host}:{tls_port}");
        let printed = home.run(&["doctor"], &[("REDIS_URL", &url), ("SSL_CERT_FILE", authority)]).await.stdout;
        let printed = String::from_utf8(printed).unwrap();
        assert!(printed.contains(says), "{printed}");
    }
    fs::remove_dir_all(dir).unwrap();
}
