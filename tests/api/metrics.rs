//! `/metrics`: the metric families, a bounded number of series, no personal data in labels.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta};
use reqwest::Method;
use serde_json::json;

use crate::{
    client::{Client, Credential, PATH, send},
    harness::{TestDatabase, TestServer, sign, wait_until},
    proxy::{Mode, Proxy},
};

/// Every metric family and its type, except `rally_jwks_…`, which exist only with a configured issuer.
const FAMILIES: [(&str, &str); 53] = [
    ("process_cpu_seconds", "counter"),
    ("process_max_fds", "gauge"),
    ("process_open_fds", "gauge"),
    ("process_resident_memory_bytes", "gauge"),
    ("process_start_time_seconds", "gauge"),
    ("process_threads", "gauge"),
    ("process_virtual_memory_bytes", "gauge"),
    ("rally_argon2_refused", "counter"),
    ("rally_argon2_running", "gauge"),
    ("rally_argon2_waiting", "gauge"),
    ("rally_argon2_workers", "gauge"),
    ("rally_build", "info"),
    ("rally_cache_capacity", "gauge"),
    ("rally_cache_entries", "gauge"),
    ("rally_cache_lookups", "counter"),
    ("rally_change_feed_lag_seconds", "gauge"),
    ("rally_change_feed_up", "gauge"),
    ("rally_database_clock_offset_seconds", "gauge"),
    ("rally_database_connections", "gauge"),
    ("rally_database_connections_max", "gauge"),
    ("rally_database_turns_refused", "counter"),
    ("rally_database_turns_waiting", "gauge"),
    ("rally_dead_secret_uses", "counter"),
    ("rally_decoy_uses", "counter"),
    ("rally_http_connections", "gauge"),
    ("rally_http_connections_max", "gauge"),
    ("rally_http_problems", "counter"),
    ("rally_http_request_duration_seconds", "histogram"),
    ("rally_http_requests", "counter"),
    ("rally_idle_key_notices", "counter"),
    ("rally_idle_key_runs", "counter"),
    ("rally_idle_key_suspensions", "counter"),
    ("rally_instances_live", "gauge"),
    ("rally_jwt_verifications", "counter"),
    ("rally_key_stamp_mismatches", "counter"),
    ("rally_key_stamps_written", "counter"),
    ("rally_key_unknown_peppers", "counter"),
    ("rally_key_verifications", "counter"),
    ("rally_leak_reports", "counter"),
    ("rally_leaked_secrets", "counter"),
    ("rally_limits_keys", "gauge"),
    ("rally_lookups_waiting", "gauge"),
    ("rally_ready", "gauge"),
    ("rally_receipt_seconds", "histogram"),
    ("rally_response_buffers", "gauge"),
    ("rally_response_buffers_max", "gauge"),
    ("rally_response_buffers_refused", "counter"),
    ("rally_response_buffers_waiting", "gauge"),
    ("rally_revocations_repeated", "counter"),
    ("rally_usage_batches", "counter"),
    ("rally_usage_batches_failed", "counter"),
    ("rally_usage_lost", "counter"),
    ("rally_usage_queued", "gauge"),
];

/// A parsed response of `/metrics`.
struct Metrics {
    text: String,
    types: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

impl Metrics {
    async fn fetch(client: &Client) -> Self {
        let accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
        let reply = send(client.request(Method::GET, "/metrics").header("accept", accept)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
        Self::parse(reply.body)
    }

    fn parse(text: String) -> Self {
        let (mut types, mut samples) = (BTreeMap::new(), BTreeMap::new());
        for line in text.lines() {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is declared twice");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
                let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
                assert!(samples.insert(series.to_owned(), value).is_none(), "{series} appears twice");
            }
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
        Self { text, types, samples }
    }

    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("no {series} in {}", self.text))
    }

    fn series(&self) -> BTreeSet<&str> {
        self.samples.keys().map(String::as_str).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::cast_possible_truncation, reason = "seconds of this century")]
async fn requests_and_verifications_are_counted() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier", "read").await;
    let caller = admin.with_key(&key.secret);
    for _ in 0..3 {
        assert_eq!(caller.get("/forward-auth").await.status, 200);
    }
    assert_eq!(caller.post("/forward-auth", &json!({})).await.status, 403);
    assert_eq!(admin.with_key("rk_live_00000000000000000000000000000000").get("/forward-auth").await.status, 401);
    // Verified by argon2, because the stamp is missing.
    let other = admin.create("Without a stamp", "read").await;
    let sql = "UPDATE api_key_secrets SET stamp = NULL, pepper_id = NULL WHERE key_id";
    server.database.execute(&format!("{sql} = '{}'", other.id)).await;
    assert_eq!(admin.with_key(&other.secret).get(&other.path()).await.status, 200);
    assert_eq!(admin.get("/nowhere").await.status, 404);
    assert_eq!(admin.get("/healthz").await.status, 200);
    let expired = sign(&json!({"sub": "1", "tenant": "acme", "exp": 1}));
    admin.with(Credential::Bearer(expired)).get(PATH).await.refused(401, "token_expired");

    let metrics = Metrics::fetch(&admin).await;
    let families: BTreeMap<_, _> = metrics.types.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
    assert_eq!(families, FAMILIES.into_iter().collect());

    for (series, value) in [
        (r#"rally_http_requests_total{method="GET",route="/forward-auth",status="200"}"#, 3.0),
        (r#"rally_http_requests_total{method="GET",route="/forward-auth",status="401"}"#, 1.0),
        (r#"rally_http_requests_total{method="POST",route="/forward-auth",status="403"}"#, 1.0),
        (r#"rally_http_requests_total{method="POST",route="/api/v1/api-keys",status="201"}"#, 2.0),
        (r#"rally_http_requests_total{method="GET",route="/api/v1/api-keys/{id}",status="200"}"#, 1.0),
        (r#"rally_http_requests_total{method="GET",route="/healthz",status="200"}"#, 1.0),
        (r#"rally_http_requests_total{method="GET",route="unmatched",status="404"}"#, 1.0),
        (r#"rally_http_request_duration_seconds_count{method="GET",route="/forward-auth"}"#, 4.0),
        (r#"rally_http_request_duration_seconds_bucket{le="+Inf",method="GET",route="/forward-auth"}"#, 4.0),
        (r#"rally_http_problems_total{code="invalid_key",route="/forward-auth"}"#, 1.0),
        (r#"rally_http_problems_total{code="insufficient_scope",route="/forward-auth"}"#, 1.0),
        (r#"rally_http_problems_total{code="not_found",route="unmatched"}"#, 1.0),
        // Of the first create, and of the second. (An unknown path needs no credential.)
        (r#"rally_jwt_verifications_total{result="accepted",source="signature"}"#, 1.0),
        (r#"rally_jwt_verifications_total{result="accepted",source="cache"}"#, 1.0),
        (r#"rally_jwt_verifications_total{result="expired",source="signature"}"#, 1.0),
        (r#"rally_http_connections_max{listener="public"}"#, 10_000.0),
        ("rally_ready", 1.0),
        (r#"rally_key_verifications_total{result="accepted",source="stamp"}"#, 1.0),
        (r#"rally_key_verifications_total{result="accepted",source="cache"}"#, 3.0),
        (r#"rally_key_verifications_total{result="accepted",source="argon2"}"#, 1.0),
        (r#"rally_key_verifications_total{result="invalid",source="none"}"#, 1.0),
        (r#"rally_cache_lookups_total{cache="secrets",result="hit"}"#, 3.0),
        (r#"rally_cache_lookups_total{cache="secrets",result="miss"}"#, 3.0),
        (r#"rally_cache_entries{cache="tenants"}"#, 1.0),
        (r#"rally_cache_capacity{cache="secrets"}"#, 200_000.0),
        ("rally_key_stamps_written_total", 1.0),
        ("rally_argon2_running", 0.0),
        ("rally_argon2_waiting", 0.0),
        ("rally_argon2_refused_total", 0.0),
        ("rally_change_feed_up", 1.0),
        (r#"rally_database_connections_max{pool="management"}"#, 10.0),
        (r#"rally_database_connections_max{pool="checks"}"#, 10.0),
        (concat!(r#"rally_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""}"#), 1.0),
    ] {
        assert!((metrics.value(series) - value).abs() < f64::EPSILON, "{series} {}", metrics.value(series));
    }
    assert!((0.0..5.0).contains(&metrics.value("rally_change_feed_lag_seconds")));
    assert!(metrics.value(r#"rally_http_connections{listener="public"}"#) >= 1.0, "this client's");
    let age = server.clock.now()
        - TimeDelta::seconds(metrics.value("process_start_time_seconds") as i64)
        - DateTime::UNIX_EPOCH;
    assert!((-1..86_400).contains(&age.num_seconds()), "{age}");
    assert!(metrics.value("process_cpu_seconds_total") > 0.0 && metrics.value("process_resident_memory_bytes") > 1e6);
    assert!((1.0..=metrics.value("process_max_fds")).contains(&metrics.value("process_open_fds")));
    // Every connection is open from the start, and given back soon after its statement.
    wait_until(async || {
        let metrics = Metrics::fetch(&admin).await;
        let checks = |state| metrics.value(&format!(r#"rally_database_connections{{pool="checks",state="{state}"}}"#));
        (checks("idle"), checks("in_use")) == (10.0, 0.0)
    })
    .await;
    let took = metrics.value(r#"rally_http_request_duration_seconds_sum{method="GET",route="/forward-auth"}"#);
    assert!((1e-6..4.0).contains(&took), "{took}");
    for private in ["acme", "Zapier", key.id.as_str(), other.id.as_str(), "rk_live", "admin@"] {
        assert!(!metrics.text.contains(private), "{private}: {}", metrics.text);
    }
    wait_until(async || Metrics::fetch(&admin).await.value("rally_usage_batches_total") >= 1.0).await;
}

/// Tools that do not know OpenMetrics, and browsers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_name_openmetrics_gets_the_older_text_format() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for accept in ["*/*", "text/plain;version=0.0.4", "text/html,*/*;q=0.8"] {
        let reply = send(admin.request(Method::GET, "/metrics").header("accept", accept)).await;
        assert_eq!(reply.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        assert_eq!(reply.header("vary"), "Accept");
        for line in ["# TYPE rally_http_requests_total counter", "# TYPE rally_build_info gauge", "rally_ready 1"] {
            assert!(reply.body.lines().any(|found| found == line), "{line}: {}", reply.body);
        }
        assert!(!reply.body.contains("# EOF") && !reply.body.contains("# UNIT"), "{}", reply.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_without_its_database_says_that_it_is_not_ready() {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start(database.socket().await).await;
    let server = TestServer::through(proxy.address, database, &[]).await;
    let admin = server.admin("acme");
    let ready = async || Metrics::fetch(&admin).await.value("rally_ready") > 0.0;
    assert!(ready().await);
    proxy.set(Mode::Cut);
    wait_until(async || !ready().await).await;
    proxy.set(Mode::Pass);
    wait_until(ready).await;
}

/// Methods, paths, key ids, hosts and request ids that clients choose do not become labels.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_input_adds_no_metric_series() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let send_requests = async |n: usize| {
        let made_up = Method::from_bytes(format!("MADEUP{n}").as_bytes()).unwrap();
        let id = format!("00000000-0000-4000-8000-{n:012}");
        for (method, path) in [
            (made_up.clone(), format!("/forward-auth/{n}")),
            (made_up.clone(), format!("{PATH}/{id}")),
            (made_up, format!("/{n}")),
            (Method::GET, format!("/forward-auth/{n}?n={n}")),
            (Method::GET, format!("/{n}/{id}")),
            (Method::GET, format!("{PATH}/{id}?n={n}")),
        ] {
            send(admin.request(method, &path).header("x-request-id", n)).await;
        }
        send(admin.on(format!("tenant-{n}.localhost")).request(Method::GET, PATH)).await;
    };
    send_requests(0).await;
    // The request for the metrics adds series itself, and the first heartbeat adds the lag of the change feed.
    wait_until(async || Metrics::fetch(&admin).await.value("rally_change_feed_up") >= 1.0).await;
    let before = Metrics::fetch(&admin).await;
    for n in 1..=1000 {
        send_requests(n).await;
    }
    let after = Metrics::fetch(&admin).await;
    assert_eq!(after.series(), before.series());
    let unmatched = r#"rally_http_requests_total{method="other",route="unmatched",status="404"}"#;
    assert!((after.value(unmatched) - 1001.0).abs() < f64::EPSILON, "{}", after.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_served_only_at_the_admin_address() {
    let mut server = TestServer::with(&[("ADMIN_LISTEN_ADDR", "127.0.0.1:0")]).await;
    let public = server.admin("acme");
    let address = server.admin_address.unwrap();
    let operator = Client::new(reqwest::Client::new(), format!("http://{address}"), "10.1.2.3", Credential::None);
    public.get("/metrics").await.refused(404, "not_found");
    assert_eq!(operator.with(public.credential().clone()).get("/healthz").await.status, 200);
    for probe in ["/healthz", "/readyz"] {
        assert_eq!(public.get(probe).await.status, 200);
        assert_eq!(operator.get(probe).await.status, 200);
    }
    let metrics = Metrics::fetch(&operator).await;
    let probes = r#"rally_http_requests_total{method="GET",route="/healthz",status="200"}"#;
    assert!((metrics.value(probes) - 3.0).abs() < f64::EPSILON, "{}", metrics.text);
    // The admin address serves nothing else, with any credential.
    let operator = operator.with(public.credential().clone()).on("acme.localhost");
    for path in [PATH, "/forward-auth", "/"] {
        operator.get(path).await.refused(404, "not_found");
    }
    operator.post("/metrics", &json!({})).await.refused(405, "method_not_allowed");
    server.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the admin listener stops with the service");
}

/// Alerts, dashboard and operations guide use existing metrics only, and each alert links to its runbook.
#[test]
fn alerts_use_existing_metrics_and_have_runbooks() {
    let alerts = include_str!("../../deploy/prometheus/alerts.yml");
    let dashboard = include_str!("../../deploy/grafana/rally-api-keys.json");
    let operations = include_str!("../../docs/operations.md");
    let of_settings = [
        ("rally_jwks_age_seconds", "gauge"),
        ("rally_jwks_fetches", "counter"),
        ("rally_jwks_keys", "gauge"),
        ("rally_limits_local_fallbacks", "counter"),
        ("rally_limits_redis_failures", "counter"),
        ("rally_limits_redis_seconds", "histogram"),
        ("rally_limits_redis_up", "gauge"),
        ("rally_tls_certificate_not_after_timestamp_seconds", "gauge"),
        ("rally_tls_failed_handshakes", "counter"),
        ("rally_tls_files_usable", "gauge"),
    ];
    let known: BTreeSet<String> = FAMILIES
        .into_iter()
        .chain(of_settings)
        .flat_map(|(name, kind)| {
            let suffixes: &[&str] = match kind {
                "counter" => &["_total"],
                "histogram" => &["", "_bucket", "_count", "_sum"],
                "info" => &["_info"],
                _ => &[""],
            };
            suffixes.iter().map(move |suffix| format!("{name}{suffix}"))
        })
        .collect();
    let roles = ["rally_api", "rally_app", "rally_owner"];
    for text in [alerts, dashboard, operations] {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for word in words.filter(|word| word.starts_with("rally_") && !roles.contains(word)) {
            assert!(known.contains(word), "{word}");
        }
    }
    let alert_names: BTreeSet<&str> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let runbooks: BTreeSet<&str> =
        operations.lines().filter_map(|line| line.strip_prefix("### ")).filter(|it| it.starts_with("Rally")).collect();
    assert!(alert_names.len() > 10 && alert_names == runbooks, "{alert_names:?} {runbooks:?}");
    for alert in alert_names {
        let link =
            format!("runbook_url: https://docs.example.com/rally-api-keys/operations.md#{}\n", alert.to_lowercase());
        assert!(alerts.contains(&link), "{link}");
    }
}
