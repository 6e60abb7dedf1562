//! Decoys: keys that never work, and whose use is recorded.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{Client, CreatedKey, Credential, PATH, Reply, send},
    harness::{TestServer, wait_until},
};

const CHECK: &str = "/forward-auth";

async fn uses(admin: &Client, key: &CreatedKey) -> Vec<Value> {
    let events = admin.get(&format!("{PATH}/events?type=decoy_used&keyId={}", key.id)).await.expect(200);
    events.as_array().unwrap().clone()
}

async fn use_from(holder: &Client, address: &str, path: &str) -> Reply {
    let request = holder.request(Method::GET, path).header("x-forwarded-for", address);
    send(request.header("user-agent", "thief/1.0")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decoy_is_refused_like_an_unknown_secret_and_its_use_leaves_one_event_an_hour_for_each_address() {
    let server = TestServer::with(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let created = admin.post(PATH, &json!({"name": "Old backup", "scopes": "admin", "decoy": true})).await;
    let body = created.expect(201);
    assert_eq!(body["decoy"], true);
    let decoy =
        CreatedKey { id: body["id"].as_str().unwrap().to_owned(), secret: body["key"].as_str().unwrap().to_owned() };
    let holder = admin.with_key(&decoy.secret);
    let stranger = admin.with_key(&format!("rk_live_{}", "0".repeat(32)));
    // Twice: the first time could have been cached.
    for _ in 0..2 {
        for path in [CHECK, PATH, "/api/v1/me"] {
            let refused = use_from(&holder, "203.0.113.66", path).await;
            refused.refused(401, "invalid_key");
            let unknown = use_from(&stranger, "203.0.113.66", path).await;
            assert_eq!(refused.apart_from_request_id(), unknown.apart_from_request_id());
        }
    }
    let as_bearer = admin.with(Credential::Bearer(decoy.secret.clone()));
    use_from(&as_bearer, "203.0.113.67", CHECK).await.refused(401, "invalid_key");
    let is_recorded = async || {
        let found = uses(&admin, &decoy).await;
        ["203.0.113.66", "203.0.113.67"].iter().all(|address| found.iter().any(|event| event["address"] == **address))
    };
    wait_until(is_recorded).await;
    let found = uses(&admin, &decoy).await;
    let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    // The test may run across the end of an hour.
    let hour = |event: &Value| text(event, "occurredAt")[..13].to_owned();
    let mut addresses: Vec<_> = found.iter().map(|event| (text(event, "address"), hour(event))).collect();
    addresses.sort_unstable();
    let all = addresses.len();
    addresses.dedup();
    assert_eq!(all, addresses.len(), "{addresses:?}");
    addresses.dedup_by_key(|(address, _)| address.clone());
    assert_eq!(addresses.iter().map(|(address, _)| &**address).collect::<Vec<_>>(), ["203.0.113.66", "203.0.113.67"]);
    let details = json!({"keyHint": decoy.hint(), "userAgent": "thief/1.0"});
    assert_eq!((&found[0]["details"], &found[0]["actor"]), (&details, &Value::Null));
    let metrics = admin.get("/metrics").await.body;
    assert!(metrics.contains("rally_decoy_uses_total 7"), "{metrics}");

    // A leak of it is noted, and it stays where it is.
    let report = json!({"secrets": [decoy.secret], "url": null});
    assert_eq!(admin.with(Credential::None).post("/leaks", &report).await.status, 202);
    let leaks = format!("{PATH}/events?type=leaked&keyId={}", decoy.id);
    wait_until(async || !admin.get(&leaks).await.json().as_array().unwrap().is_empty()).await;
    assert_eq!(admin.get(&leaks).await.json()[0]["details"]["action"], "none");
    assert_eq!(admin.get(&decoy.path()).await.expect(200)["status"], "active");
}

#[tokio::test]
async fn decoy_is_set_on_creation_alone_and_shown_only_where_it_is_true() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for body in [json!({"name": "n"}), json!({"name": "n", "decoy": false}), json!({"name": "n", "decoy": null})] {
        let created = admin.post(PATH, &body).await.expect(201);
        assert_eq!(created.get("decoy"), None);
        let key = admin.get(&format!("{PATH}/{}", created["id"].as_str().unwrap())).await.expect(200);
        assert_eq!(key.get("decoy"), None);
        assert_eq!(admin.with_key(created["key"].as_str().unwrap()).get(CHECK).await.status, 200);
    }
    assert_eq!(admin.post(PATH, &json!({"name": "n", "decoy": "yes"})).await.bad_fields(), ["decoy"]);
    let decoy = admin.create_with(&json!({"name": "n", "decoy": true})).await;
    assert_eq!(admin.get(&decoy.path()).await.expect(200)["decoy"], true);
    let listed = admin.get(&format!("{PATH}?sort=name&limit=10&search=n")).await.expect(200);
    let decoys: Vec<_> = listed.as_array().unwrap().iter().filter(|key| key["decoy"] == true).collect();
    assert_eq!((decoys.len(), &decoys[0]["id"]), (1, &json!(decoy.id)));
    for decoy in [decoy.path(), admin.create("n", "read").await.path()] {
        for value in [true, false] {
            assert_eq!(admin.patch(&decoy, &json!({"decoy": value})).await.bad_fields(), ["decoy"]);
        }
    }
    // A rotation makes no key of it.
    let rotated = admin.post(&format!("{}/rotate", decoy.path()), &json!({})).await.expect(200);
    assert_eq!(rotated["decoy"], true);
    admin.with_key(rotated["key"].as_str().unwrap()).get(CHECK).await.refused(401, "invalid_key");
}
