//! `allowedAddresses`: where a key may be used from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    cache_states::{Instance, warm_and_cold},
    client::{Client, CreatedKey, PATH, Reply, send},
    harness::{TestServer, wait_until},
};

const CHECK: &str = "/forward-auth";
const PROXY: [(&str, &str); 1] = [("TRUSTED_PROXIES", "127.0.0.1")];

async fn key_for(admin: &Client, addresses: &Value) -> CreatedKey {
    admin.create_with(&json!({"name": "Bound", "scopes": "admin", "allowedAddresses": addresses})).await
}

/// The response to a check from that address, as the trusted proxy reports it.
async fn check_from(state: &Instance, key: &CreatedKey, forwarded: &str) -> Reply {
    let client = state.server.admin("acme").with_key(&key.secret);
    state.send(client.request(Method::GET, CHECK).header("x-forwarded-for", forwarded)).await
}

#[tokio::test]
async fn a_key_works_from_its_addresses_alone_whichever_way_they_are_written() {
    for state in warm_and_cold(&PROXY).await {
        let admin = state.server.admin("acme");
        let addresses = json!(["203.0.113.7", "10.0.0.0/8", "::ffff:192.0.2.0/120", "2001:db8::/32", "fe80::1"]);
        let key = key_for(&admin, &addresses).await;
        for (forwarded, refused) in [
            ("203.0.113.7", None),
            ("203.0.113.8", Some("203.0.113.8")),
            ("10.255.255.255", None),
            ("11.0.0.0", Some("11.0.0.0")),
            ("::ffff:10.1.2.3", None),
            ("::ffff:203.0.113.7", None),
            ("::ffff:203.0.113.8", Some("203.0.113.8")),
            ("192.0.2.9", None),
            ("192.0.3.9", Some("192.0.3.9")),
            ("2001:db8::7", None),
            ("2001:DB8:0:0:0:0:0:7", None),
            ("[2001:db8::7]:443", None),
            ("2001:db9::7", Some("2001:db9::7")),
            ("fe80::1%eth0", None),
            ("fe80::2%eth0", Some("fe80::2")),
            ("::", Some("::")),
            ("198.51.100.1, 203.0.113.7", None),
            ("203.0.113.7, 198.51.100.1", Some("198.51.100.1")),
            ("unknown", Some("127.0.0.1")),
        ] {
            let reply = check_from(&state, &key, forwarded).await;
            let Some(address) = refused else {
                assert_eq!(reply.status, 200, "{forwarded}: {reply:?}");
                continue;
            };
            let problem = reply.refused(403, "address_not_allowed");
            assert_eq!(reply.header("x-rally-error"), "address_not_allowed", "{forwarded}");
            let detail = format!(
                "The request came from {address}, which is not among the key's allowedAddresses. If it is your own address, ask \
                 an admin of the tenant to add it."
            );
            assert_eq!(problem["detail"], detail, "{forwarded}");
        }
    }
}

#[tokio::test]
async fn a_peer_that_is_no_trusted_proxy_cannot_choose_its_address() {
    for state in warm_and_cold(&[]).await {
        let admin = state.server.admin("acme");
        let (elsewhere, here) =
            (key_for(&admin, &json!(["203.0.113.7"])).await, key_for(&admin, &json!(["127.0.0.1"])).await);
        check_from(&state, &elsewhere, "203.0.113.7").await.refused(403, "address_not_allowed");
        assert_eq!(check_from(&state, &here, "203.0.113.7").await.status, 200);
    }
}

#[tokio::test]
async fn a_call_to_the_api_from_elsewhere_is_refused_and_changes_nothing() {
    let server = TestServer::with(&PROXY).await;
    let admin = server.admin("acme");
    let (key, other) = (key_for(&admin, &json!(["203.0.113.7"])).await, admin.create("Other", "read").await);
    let holder = admin.with_key(&key.secret);
    let call = async |method: Method, path: &str, from: &str| {
        let request = holder.request(method.clone(), path).header("x-forwarded-for", from);
        send(if method == Method::GET { request } else { request.json(&json!({"name": "n"})) }).await
    };
    for (method, path) in [
        (Method::GET, PATH.to_owned()),
        (Method::GET, format!("{PATH}/self")),
        (Method::POST, PATH.to_owned()),
        (Method::PATCH, other.path()),
        (Method::DELETE, other.path()),
        (Method::DELETE, format!("{PATH}/self")),
    ] {
        let refused = call(method, &path, "198.51.100.1").await;
        refused.refused(403, "address_not_allowed");
        assert!(!refused.headers.contains_key("x-rally-key-expires"));
    }
    assert_eq!(admin.get(PATH).await.expect(200).as_array().unwrap().len(), 2);
    call(Method::GET, PATH, "203.0.113.7").await.expect(200);
    call(Method::PATCH, &other.path(), "203.0.113.7").await.expect(200);
}

/// The change is decided with the key locked, since the cache may be behind.
#[tokio::test]
async fn a_change_from_an_address_that_was_just_taken_away_is_refused() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = admin.create("Admin", "admin").await;
    let holder = admin.with_key(&key.secret);
    holder.get(PATH).await.expect(200);
    server
        .database
        .execute(
            "ALTER TABLE api_keys DISABLE TRIGGER notify_update; UPDATE api_keys SET allowed_addresses = '{192.0.2.1}';
             ALTER TABLE api_keys ENABLE ALWAYS TRIGGER notify_update",
        )
        .await;
    holder.get(PATH).await.expect(200);
    holder.post(PATH, &json!({"name": "n"})).await.refused(403, "address_not_allowed");
    assert_eq!(admin.get(PATH).await.expect(200).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn changed_addresses_take_effect_on_both_instances() {
    let one = TestServer::start().await;
    let other = one.sibling(&[]).await;
    one.wait_for_feed().await;
    other.wait_for_feed().await;
    let (admin, there) = (one.admin("acme"), other.admin("acme"));
    let key = admin.create("Zapier Sync", "read").await;
    let status = async |client: &Client| client.with_key(&key.secret).get(CHECK).await.status.as_u16();
    for (addresses, expected) in
        [(json!(["192.0.2.1"]), 403), (json!([]), 200), (json!(["::/0"]), 403), (json!(null), 200)]
    {
        admin.patch(&key.path(), &json!({"allowedAddresses": addresses})).await.expect(200);
        assert_eq!(status(&admin).await, expected, "{addresses}");
        wait_until(async || status(&there).await == expected).await;
    }
}

#[tokio::test]
async fn fifty_blocks_decide_as_one_by_one() {
    let states = warm_and_cold(&PROXY).await;
    let blocks: Vec<_> = (0..25_u8)
        .flat_map(|n| [format!("10.{n}.{}.0/{}", n * 8, 21 + n % 8), format!("2001:db8:{n:x}::/{}", 48 + n)])
        .collect();
    let nets: Vec<ipnet::IpNet> = blocks.iter().map(|block| block.parse().unwrap()).collect();
    let key = key_for(&states[0].server.admin("acme"), &json!(blocks)).await;
    let addresses = (0..60_u8).map(|n| -> IpAddr {
        if n % 2 == 0 {
            Ipv4Addr::new(10, n / 2, (n / 2) * 8 + n % 5, n).into()
        } else {
            Ipv6Addr::new(0x2001, 0xdb8, (n / 2).into(), u16::from(n % 3) << (n % 16), 0, 0, 0, 1).into()
        }
    });
    let mut allowed = 0;
    for address in addresses {
        let expected = nets.iter().any(|net| net.contains(&address));
        allowed += usize::from(expected);
        for state in &states {
            let status = check_from(state, &key, &address.to_string()).await.status;
            assert_eq!(status.as_u16(), if expected { 200 } else { 403 }, "{address}");
        }
    }
    assert!((10..50).contains(&allowed), "{allowed}");
}

#[tokio::test]
async fn a_refused_address_is_counted_and_is_no_use() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = key_for(&admin, &json!(["192.0.2.1"])).await;
    for _ in 0..3 {
        admin.with_key(&key.secret).get(CHECK).await.refused(403, "address_not_allowed");
    }
    let usage = async || admin.get(&format!("{}/usage", key.path())).await.expect(200);
    wait_until(async || usage().await["denied"] == 3).await;
    let usage = usage().await;
    let last = usage["buckets"].as_array().unwrap().last().unwrap();
    let reasons =
        json!({"expired": 0, "scope": 0, "revoked": 0, "suspended": 0, "address": 3, "rateLimit": 0, "quota": 0});
    assert_eq!((&last["requests"], &last["deniedByReason"]), (&json!(3), &reasons));
    assert_eq!(admin.get(&key.path()).await.expect(200)["lastUsedAt"], Value::Null);
    let metrics = admin.get("/metrics").await.body;
    assert!(metrics.contains(r#"rally_key_verifications_total{result="address_not_allowed""#), "{metrics}");
}

#[tokio::test]
async fn a_bound_key_grants_no_other_addresses_and_no_key_loosens_its_own_limits() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let limits = json!({
        "name": "Bound", "scopes": "admin", "allowedAddresses": ["127.0.0.0/8", "10.0.0.0/8"],
        "rateLimit": {"requests": 100_000, "windowSeconds": 60}, "quota": {"requests": 100_000, "per": "day"},
    });
    let bound = admin.create_with(&limits).await;
    let (free, narrow) = (admin.create("Free", "read").await, key_for(&admin, &json!(["10.1.0.0/16"])).await);
    let holder = admin.with_key(&bound.secret);
    for addresses in [json!([]), json!(["127.0.0.1", "192.0.2.1"]), json!(["0.0.0.0/0"])] {
        let body = json!({"name": "n", "allowedAddresses": addresses});
        holder.post(PATH, &body).await.refused(403, "insufficient_scope");
        for key in [&bound, &narrow] {
            let refused = holder.patch(&key.path(), &json!({"allowedAddresses": addresses})).await;
            refused.refused(403, "insufficient_scope");
        }
    }
    let rotate = async |key: &CreatedKey| holder.post(&format!("{}/rotate", key.path()), &json!({})).await;
    rotate(&free).await.refused(403, "insufficient_scope");
    rotate(&narrow).await.expect(200);
    holder.post(PATH, &json!({"name": "n", "allowedAddresses": ["127.0.0.1", "10.0.0.0/9"]})).await.expect(201);
    holder.patch(&narrow.path(), &json!({"allowedAddresses": ["10.0.0.0/8"]})).await.expect(200);
    holder.patch(&free.path(), &json!({"name": "Still free"})).await.expect(200);

    for looser in [
        json!({"rateLimit": null}),
        json!({"rateLimit": {"requests": 100_001, "windowSeconds": 60}}),
        json!({"rateLimit": {"requests": 100_000, "windowSeconds": 59}}),
        json!({"quota": null}),
        json!({"quota": {"requests": 100_001, "per": "day"}}),
        json!({"quota": {"requests": 100_000, "per": "month"}}),
    ] {
        holder.patch(&bound.path(), &looser).await.refused(403, "insufficient_scope");
    }
    for tighter in [
        json!({"rateLimit": {"requests": 99_999, "windowSeconds": 61}, "quota": {"requests": 99_999, "per": "day"}}),
        json!({"allowedAddresses": ["127.0.0.1"]}),
    ] {
        holder.patch(&bound.path(), &tighter).await.expect(200);
    }
    admin.patch(&bound.path(), &json!({"rateLimit": null, "quota": null, "allowedAddresses": []})).await.expect(200);
}
