//! What a client gets when the check fails, as the table in `docs/gateways/README.md` says.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::stand::{Gateway, Program, Stand};
use crate::{
    client::{Reply, send},
    proxy::Mode,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_refused_while_the_service_is_absent() {
    for program in Program::all() {
        let mut stand = Stand::start(&program).await;
        let key = stand.key("admin").await;
        let request = || stand.with_key(&key.secret).request(Method::GET, "/contacts");
        stand.forwards(request()).await;
        let requests = [request(), request(), request()];
        stand.server.stop().await;
        for request in requests {
            is_check_unavailable(&stand, &send(request).await);
        }
        stand.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_refused_while_the_service_is_frozen() {
    let frozen = async |program: Program| {
        let stand = Stand::start(&program).await;
        let key = stand.key("admin").await;
        let request = || stand.with_key(&key.secret).request(Method::GET, "/contacts");
        stand.forwards(request()).await;
        stand.freeze_service();
        let started = std::time::Instant::now();
        is_check_unavailable(&stand, &send(request()).await);
        let waited = started.elapsed().as_secs();
        let limit = if program.gateway == Gateway::Traefik { 29..45 } else { 3..20 };
        assert!(limit.contains(&waited), "{program:?} waited {waited} s");
        stand.stop().await;
    };
    // At the same time, since Traefik waits for 30 s.
    join_all(Program::all().into_iter().map(frozen)).await;
}

fn is_check_unavailable(stand: &Stand, reply: &Reply) {
    assert!(stand.reached().is_empty(), "{:?}: the request reached the CRM", stand.program);
    if stand.gateway == Gateway::Traefik {
        assert_eq!((reply.status.as_u16(), reply.body.as_str()), (500, ""), "{reply:?}");
        return;
    }
    assert_eq!(reply.status.as_u16(), 503, "{:?}: {reply:?}\n{}", stand.program, stand.log());
    has_its_code(stand, reply, "check_unavailable");
}

/// The response has a code, a text and a time to wait, and is not stored.
fn has_its_code(stand: &Stand, reply: &Reply, code: &str) {
    assert_eq!(reply.header("content-type"), "application/problem+json", "{:?}: {reply:?}", stand.program);
    assert_eq!((reply.header("x-rally-error"), reply.header("retry-after")), (code, "1"), "{:?}", stand.program);
    assert_eq!(reply.headers.get_all("cache-control").iter().collect::<Vec<_>>(), ["no-store"], "{:?}", stand.program);
    let problem = reply.json();
    assert_eq!((&problem["code"], &problem["status"]), (&json!(code), &json!(503)), "{:?}", stand.program);
    assert_eq!(problem["type"], format!("tag:rallycrm.io,2026:problem:{code}"), "{:?}", stand.program);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.ends_with('.')), "{:?}: {reply:?}", stand.program);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_503_of_the_service_says_why_and_when_to_try_again() {
    for program in Program::all() {
        let (stand, database) = Stand::start_with_database_proxy(&program).await;
        let key = stand.key("admin").await;
        database.set(Mode::Cut);
        let reply = send(stand.with_key(&key.secret).request(Method::GET, "/contacts")).await;
        assert_eq!(reply.status.as_u16(), 503, "{program:?}: {reply:?}");
        // Envoy drops the response.
        let code = if program.gateway == Gateway::Envoy { "check_unavailable" } else { "database_unavailable" };
        has_its_code(&stand, &reply, code);
        assert!(stand.reached().is_empty(), "{program:?}: the request reached the CRM");
        stand.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_429_of_the_api_reaches_the_client_as_it_is() {
    for program in Program::all() {
        let stand = Stand::start(&program).await;
        let key = stand.key("read").await;
        let admin = stand.client("acme", stand.server.admin("acme").credential().clone());
        let rotate = format!("{}/rotate", key.path());
        let mut reply = admin.post(&rotate, &json!({})).await;
        for _ in 0..10 {
            reply = admin.post(&rotate, &json!({})).await;
        }
        reply.refused(429, "too_many_rotations");
        assert!(reply.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0), "{program:?}: {reply:?}");
        stand.stop().await;
    }
}

/// The CRM's own failures are not the check's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_of_the_crm_is_not_reported_as_one_of_the_check() {
    for program in Program::all() {
        let stand = Stand::start_without_crm(&program).await;
        let key = stand.key("read").await;
        let reply = send(stand.with_key(&key.secret).request(Method::GET, "/contacts")).await;
        assert!(matches!(reply.status.as_u16(), 502..=504), "{program:?}: {reply:?}");
        assert!(!reply.headers.contains_key("x-rally-error"), "{program:?}: {reply:?}");
        stand.stop().await;
    }
}
