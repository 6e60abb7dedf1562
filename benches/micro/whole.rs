//! Whole requests without the kernel's part: hyper and the dispatcher, over a connection in memory.

use std::{
    cell::Cell,
    convert::Infallible,
    io,
    num::NonZeroUsize,
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, LazyLock},
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::http::uri::Scheme;
use chrono::TimeDelta;
use divan::{Bencher, counter::ItemsCount};
use futures_util::FutureExt as _;
use hyper::{
    body::Incoming,
    rt::{Read, ReadBufCursor, Write},
    server::conn::http1,
    service::service_fn,
};
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use rally_api_keys::{
    auth::{
        api_key::{
            hasher::{Argon2Cost, SecretHasher},
            pepper::Peppers,
            verifier::{KeyFallback, KeyVerifier},
        },
        authenticator::Authenticator,
        cache::{AuthCache, feed_status::FeedStatus, receipts::Receipts},
        client_address::TrustedProxies,
        jwt::{
            claims::ClaimRules,
            verifier::{TokenVerifier, TrustedKeys},
        },
        request::Peer,
        tenant_host::TenantResolver,
    },
    domain::{Clock, Scope},
    http::{
        self, AppState, LeakReports, console::ConsoleSettings, dispatch::Dispatcher, drain::Drain, prefer::MaxWait,
        response_buffers::ResponseBuffers,
    },
    limits::RateLimiter,
    store::{self, PoolSettings, TenantAdmin},
    usage,
};
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::TaskTracker;

use crate::{
    lasting_lease, put,
    stand::{
        Outcome,
        client::{check, request},
        keys::{JWT_SECRET, Key, copy_stamped, generate, tenant, token},
        postgres::Database,
    },
};

const KEYS: usize = 100_000;
/// Requests on one connection, and in one iteration of the measurement.
const REQUESTS: usize = 1_000;

/// The service's parts, with all keys cached.
struct Stand {
    runtime: Runtime,
    dispatch: Dispatcher,
    probe: String,
    checks: Vec<String>,
    token_check: String,
    _database: Database,
}

static STAND: LazyLock<Stand> = LazyLock::new(|| Stand::set_up().expect("a database and the service's parts"));

impl Stand {
    fn set_up() -> Outcome<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (database, keys, store) = runtime.block_on(async {
            let database = Database::start("micro").await?;
            let tenants = [tenant(&mut TenantAdmin::connect(&database.url()).await?, "tenant-0").await?];
            let keys = generate(&tenants, KEYS);
            copy_stamped(&mut database.connect().await?, &keys).await?;
            let pools = PoolSettings {
                max_connections: 10,
                max_check_connections: 10,
                acquire_timeout: Duration::from_secs(3),
                check_acquire_timeout: Duration::from_secs(1),
            };
            let store = store::Database::open(&database.url(), pools, Arc::new(|_, _| {})).await?;
            Outcome::Ok((database, keys, store))
        })?;
        let (clock, lease) = (Clock::default(), lasting_lease());
        let cache = Arc::new(AuthCache::new(2 * KEYS, &lease, [7; 32]));
        let (recorder, worker) = usage::start(store.usage(), clock.clone(), TimeDelta::days(400));
        runtime.spawn(worker.run(std::future::pending()));
        let hasher = SecretHasher::new(Argon2Cost::MAX, Peppers::default(), NonZeroUsize::MIN, 1);
        let rules = ClaimRules::default();
        let trusted = TrustedKeys { secret: Some(JWT_SECRET.as_bytes()), ..TrustedKeys::default() };
        let verifier_clock = clock.clone();
        let authenticator = Arc::new(Authenticator::new(
            &store,
            TenantResolver {
                example_port: None,
                base_domain: "localhost".into(),
                public_scheme: Scheme::HTTP,
                trusted_proxies: TrustedProxies::default(),
                refuses_plain_http: true,
            },
            TokenVerifier::new(trusted, &rules, clock.clone()),
            KeyVerifier::new(
                store.lookups(),
                hasher.clone(),
                KeyFallback::Deny,
                cache.clone(),
                recorder,
                RateLimiter::default(),
                verifier_clock,
            ),
            cache.clone(),
        ));
        runtime.block_on(put_all(&cache, &keys));
        let (metrics, requests, traces, drain) =
            (Arc::new(Registry::default()), Arc::default(), None, Drain::default());
        let buffers = ResponseBuffers::default();
        let state = AppState {
            authenticator,
            hasher,
            buffers,
            clock,
            feed: FeedStatus::new(&lease),
            receipts: Receipts::default(),
            max_wait: MaxWait::default(),
            leaks: LeakReports::default(),
            limiter: RateLimiter::default(),
            metrics,
            ready: Gauge::default(),
            requests,
            traces,
            drain,
        };
        let dispatch =
            http::public_dispatcher(state, Vec::new(), &ConsoleSettings::default(), TaskTracker::new(), true);
        let probe = request("GET", "/healthz", &keys[0].tenant, "User-Agent: load/1\r\n", "");
        let checks = keys.iter().map(check).collect();
        let bearer = format!("Authorization: Bearer {}\r\n", token(&keys[0].tenant, Scope::Read)?);
        let token_check = request("GET", "/forward-auth", &keys[0].tenant, &bearer, "");
        Ok(Self { runtime, dispatch, probe, checks, token_check, _database: database })
    }
}

/// Caches all keys, and their tenant.
async fn put_all(cache: &AuthCache, keys: &[Key]) {
    for key in keys {
        let (group, cache_key) = cache.tenant_key(&key.tenant.slug);
        let tenant = key.tenant;
        let lookup = || async move { Ok(tenant) }.boxed();
        cache.tenants.fetch(&group, cache_key, lookup).await.expect("the tenant");
        put(cache, tenant.id, key.id, &key.secret).await;
    }
}

/// A client that sends its next request as soon as it has the response to the last one.
struct Client<F> {
    next_request: F,
    sent: usize,
    answered: Rc<Cell<usize>>,
}

impl<F: FnMut() -> &'static str + Unpin> Read for Client<F> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if self.sent > self.answered.get() {
            return Poll::Pending; // it is polled again without a wake-up
        }
        if self.sent < REQUESTS {
            self.sent += 1;
            buffer.put_slice((self.next_request)().as_bytes());
        }
        Poll::Ready(Ok(()))
    }
}

impl<F: Unpin> Write for Client<F> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        assert!(bytes.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(bytes));
        self.answered.set(self.answered.get() + 1);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn answer(bencher: Bencher<'_, '_>, mut next_request: impl FnMut() -> &'static str + Unpin) {
    let _inside = STAND.runtime.enter();
    let peer = Peer([127, 0, 0, 1].into());
    bencher.counter(ItemsCount::new(REQUESTS)).bench_local(|| {
        let answered = Rc::default();
        let client = Client { next_request: &mut next_request, sent: 0, answered: Rc::clone(&answered) };
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let response = STAND.dispatch.respond(request, peer);
            async { Ok::<_, Infallible>(response.await) }
        });
        let mut connection = pin!(http1::Builder::new().serve_connection(client, service));
        let mut context = Context::from_waker(Waker::noop());
        while connection.as_mut().poll(&mut context).is_pending() {}
        assert_eq!(answered.get(), REQUESTS);
    });
}

#[divan::bench]
fn answer_probe(bencher: Bencher<'_, '_>) {
    answer(bencher, || &STAND.probe);
}

#[divan::bench(args = [1, KEYS])]
fn answer_check(bencher: Bencher<'_, '_>, keys: usize) {
    let mut turn = 0_usize;
    answer(bencher, || {
        // In an order that defeats prefetching.
        turn = turn.wrapping_add(61_803);
        &STAND.checks[turn % keys]
    });
}

#[divan::bench]
fn answer_token_check(bencher: Bencher<'_, '_>) {
    answer(bencher, || &STAND.token_check);
}
