//! The cost of single steps of a check, and of whole requests without the kernel's part: `cargo bench --bench micro`. It
//! starts a private PostgreSQL.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "rules for the service, not for its benchmarks"
)]
#![allow(clippy::expect_used, reason = "a benchmark panics if its setup fails")]

#[path = "../stand/mod.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "shared with the other benchmarks")]
mod stand;
mod whole;

use std::{sync::Arc, thread, time::Duration};

use chrono::TimeDelta;
use divan::{Bencher, black_box};
use futures_util::FutureExt as _;
use rally_api_keys::{
    auth::{
        api_key::pepper::{Pepper, Peppers},
        cache::{
            AuthCache,
            cached_secret::{CachedSecret, Evidence},
            lease::Lease,
        },
    },
    domain::{ApiKeyId, Clock, Moment, ScopeSet, Secret, TenantId},
    usage::UsageCounter,
};
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const KEY: ApiKeyId = ApiKeyId(Uuid::from_u128(2));

// As in the service.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

#[divan::bench]
fn secret_parse(bencher: Bencher<'_, '_>) {
    let secret = Secret::generate();
    bencher.bench(|| Secret::parse(black_box(secret.as_bytes())));
}

#[divan::bench]
fn secret_parse_garbage(bencher: Bencher<'_, '_>) {
    let garbage = Secret::generate().reveal().to_uppercase();
    bencher.bench(|| Secret::parse(black_box(garbage.as_bytes())));
}

#[divan::bench]
fn lookup_digest(bencher: Bencher<'_, '_>) {
    let secret = Secret::generate();
    bencher.bench(|| black_box(&secret).lookup_digest());
}

fn peppers() -> Peppers {
    let pepper = Pepper::parse("bench:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").expect("a pepper");
    Peppers { current: Some(pepper), ..Peppers::default() }
}

#[divan::bench]
fn stamp(bencher: Bencher<'_, '_>) {
    let (peppers, secret) = (peppers(), Secret::generate());
    bencher.bench(|| peppers.stamp(TENANT, KEY, black_box(&secret)));
}

#[divan::bench]
fn stamp_check(bencher: Bencher<'_, '_>) {
    let (peppers, secret) = (peppers(), Secret::generate());
    let (stamp, id) = peppers.stamp(TENANT, KEY, &secret).expect("a stamp");
    bencher.bench(|| peppers.check(Some((&stamp, &id)), TENANT, KEY, black_box(&secret)));
}

#[divan::bench]
fn cache_key(bencher: Bencher<'_, '_>) {
    let cache = AuthCache::new(1, &Arc::new(Lease::default()), [7; 32]);
    let secret = Secret::generate();
    bencher.bench(|| cache.secret_key(TENANT, black_box(&secret)));
}

/// Without computing the cache's key. The entries are read in random order.
#[divan::bench(args = [1, 100_000])]
fn cache_hit(bencher: Bencher<'_, '_>, count: usize) {
    let lease = lasting_lease();
    let cache = AuthCache::new(count, &lease, [7; 32]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut keys: Vec<_> = (0..count)
        .map(|_| {
            let secret = Secret::generate();
            runtime.block_on(put(&cache, TENANT, ApiKeyId::generate(), &secret));
            cache.secret_key(TENANT, &secret)
        })
        .collect();
    // In the order of insertion, they would be adjacent in memory.
    keys.sort_unstable_by_key(|(_, key)| u128::from_le_bytes(key.to_bytes()));
    let mut turn = keys.iter().cycle();
    bencher.bench_local(|| {
        let (group, key) = turn.next().expect("a key");
        cache.secrets.get(black_box(group), *key).expect("a hit")
    });
}

/// A lease that is renewed until the process ends.
fn lasting_lease() -> Arc<Lease> {
    let lease = Arc::new(Lease::default());
    lease.renew(Moment::now());
    let kept = lease.clone();
    // A renewal is valid for seconds.
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_millis(500));
            kept.renew(Moment::now());
        }
    });
    lease
}

/// Caches a secret as if it had been looked up. Its key has an end, as most should.
async fn put(cache: &AuthCache, tenant: TenantId, key: ApiKeyId, secret: &Secret) {
    let (group, cache_key) = cache.secret_key(tenant, secret);
    let secret = CachedSecret {
        usage: UsageCounter::new(tenant, key, secret.lookup_digest()),
        scopes: ScopeSet::READ,
        key_expires_at: Clock::default().now().checked_add_signed(TimeDelta::days(365)),
        rare_times: None,
        rate_limit: None,
        other_limits: None,
        hint: secret.hint(),
        evidence: Evidence::Stamp,
    };
    let lookup = || async move { Ok(secret) }.boxed();
    cache.secrets.fetch(&group, cache_key, lookup).await.expect("the secret");
}
