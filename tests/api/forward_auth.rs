//! `/forward-auth`, as gateways call it: each rule on an instance with warm caches and on one with cold ones.

use chrono::TimeDelta;
use serde_json::json;

use crate::{
    cache_states::{CacheState, Instance, warm_and_cold},
    client::{Client, Credential, Reply},
    harness::sign,
};

const PATH: &str = "/forward-auth";
/// Where gateways put the client's method, and where clients override it for the CRM.
const METHOD_HEADERS: [&str; 6] = [
    "X-Forwarded-Method",
    "X-Original-Method",
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    "x_http_method_override",
];
const HEADERS: [&str; 6] = [
    "x-rally-tenant",
    "x-rally-tenant-id",
    "x-rally-principal",
    "x-rally-scopes",
    "x-rally-key-id",
    "x-rally-key-expires",
];

impl Instance {
    async fn check(&self, client: &Client, method: &str, headers: &[(&str, &str)]) -> Reply {
        let request = client.request(method.parse().unwrap(), PATH);
        self.send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    async fn check_path(&self, client: &Client, method: &str, path: &str) -> Reply {
        self.send(client.request(method.parse().unwrap(), path)).await
    }
}

#[track_caller]
fn allowed(reply: &Reply) -> [String; 6] {
    assert_eq!(reply.status.as_u16(), 200, "{reply:?}");
    assert_eq!((reply.body.as_str(), reply.header("cache-control")), ("", "no-store"));
    HEADERS.map(|name| reply.header(name).to_owned())
}

#[track_caller]
fn refused(reply: &Reply, status: u16, code: &str) {
    reply.refused(status, code);
    assert_eq!((reply.header("x-rally-error"), reply.header("cache-control")), (code, "no-store"));
}

#[tokio::test]
async fn an_allowed_request_returns_every_header_of_the_principal() {
    for instance in warm_and_cold(&[]).await {
        let admin = instance.server.admin("acme");
        let acme = instance.server.database.acme.to_string();
        let body = json!({"name": "n", "scopes": "write", "expiresAt": "2099-01-01T00:00:00Z"});
        let key = admin.create_with(&body).await;
        let headers = allowed(&instance.check(&admin.with_key(&key.secret), "GET", &[]).await);
        let principal = format!("api-key:{}", key.id);
        assert_eq!(headers, ["acme", &acme, &principal, "write", &key.id, "2099-01-01T00:00:00Z"]);

        let endless = admin.create("n", "read,write").await;
        let bearer = admin.with(Credential::Bearer(endless.secret));
        let headers = allowed(&instance.check(&bearer, "POST", &[]).await);
        assert_eq!(headers[3..], ["read,write".to_owned(), endless.id, String::new()]);

        let headers = allowed(&instance.check(&admin, "DELETE", &[]).await);
        assert_eq!(headers, ["acme", &acme, "user:admin@acme.com", "admin", "", ""]);
    }
}

#[tokio::test]
async fn a_users_name_is_percent_encoded() {
    for instance in warm_and_cold(&[]).await {
        for (email, principal) in [
            ("zoë@acme.com", "user:zo%C3%AB@acme.com"),
            ("zo%C3%AB@acme.com", "user:zo%25C3%25AB@acme.com"),
            ("Zoë Müller, 100% (acme)", "user:Zo%C3%AB%20M%C3%BCller%2C%20100%25%20(acme)"),
            ("o'neil+crm@acme.com", "user:o'neil+crm@acme.com"),
        ] {
            let end = (instance.server.clock.now() + TimeDelta::hours(1)).timestamp();
            let claims = json!({"sub": "42", "email": email, "tenant": "acme", "scope": "read", "exp": end});
            let user = instance.server.client("acme", Credential::Bearer(sign(&claims)));
            assert_eq!(allowed(&instance.check(&user, "GET", &[]).await)[2], principal);
        }
    }
}

#[tokio::test]
async fn several_methods_need_the_scope_of_the_strictest() {
    for instance in warm_and_cold(&[]).await {
        let admin = instance.server.admin("acme");
        let reader = admin.with_key(&admin.create("reader", "read").await.secret);
        let writer = admin.with_key(&admin.create("writer", "write").await.secret);
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert_eq!(instance.check(&reader, method, &[]).await.status, 200, "{method}");
        }
        let lacks_scope =
            async |headers: &_| refused(&instance.check(&reader, "GET", headers).await, 403, "insufficient_scope");
        for method in ["POST", "PUT", "PATCH", "DELETE", "get", "PURGE"] {
            assert_eq!(instance.check(&reader, method, &[]).await.status, 403, "{method}");
            assert_eq!(instance.check(&writer, method, &[]).await.status, 200, "{method}");
            for header in METHOD_HEADERS {
                lacks_scope(&[(header, method)]).await;
                lacks_scope(&[(header, "GET"), (header, method)]).await;
            }
        }
        lacks_scope(&[("X-Forwarded-Method", "GET"), ("X-Original-Method", "DELETE")]).await;
        assert_eq!(instance.check(&reader, "GET", &METHOD_HEADERS.map(|header| (header, "HEAD"))).await.status, 200);
    }
}

#[tokio::test]
async fn the_scope_parameter_adds_a_requirement_and_removes_none() {
    for instance in warm_and_cold(&[]).await {
        let admin = instance.server.admin("acme");
        let reader = admin.with_key(&admin.create("reader", "read").await.secret);
        let writer = admin.with_key(&admin.create("writer", "write").await.secret);
        let check = async |client: &Client, method, path: &str| instance.check_path(client, method, path).await;
        refused(&check(&writer, "GET", "/forward-auth?scope=admin").await, 403, "insufficient_scope");
        assert_eq!(check(&admin, "GET", "/forward-auth?scope=admin").await.status, 200);
        refused(&check(&reader, "POST", "/forward-auth?scope=read").await, 403, "insufficient_scope");
        refused(&check(&reader, "GET", "/forward-auth?scope=read&scope=write").await, 403, "insufficient_scope");
        // A gateway may append its client's own path and query, which are no word of the gateway's.
        assert_eq!(check(&reader, "GET", "/forward-auth/contacts/7?scope=admin").await.status, 200);
        refused(&check(&reader, "PUT", "/forward-auth/contacts/7?scope=read").await, 403, "insufficient_scope");
    }
}

#[tokio::test]
async fn a_check_with_another_parameter_than_scope_is_refused() {
    for instance in warm_and_cold(&[]).await {
        let admin = instance.server.admin("acme");
        let key = admin.with_key(&admin.create("admin", "admin").await.secret);
        for path in ["/forward-auth", "/forward-auth/"] {
            for query in
                ["scopes=admin", "Scope=admin", "scope[]=admin", "scope=admin&x=1", "_method=GET", "scope", "="]
            {
                let reply = instance.check_path(&key, "GET", &format!("{path}?{query}")).await;
                refused(&reply, 403, "invalid_request");
                assert!(
                    !reply.headers.contains_key("www-authenticate"),
                    "another credential would not help: {reply:?}"
                );
            }
            for scope in ["everything", "ADMIN", "", "read,write"] {
                let reply = instance.check_path(&key, "GET", &format!("{path}?scope={scope}")).await;
                refused(&reply, 403, "invalid_request");
                assert_eq!(reply.json()["errors"][0]["field"], "scope");
            }
            let secret = format!("{path}?rk_live_00000000000000000000000000000000=1");
            let reply = instance.check_path(&key, "GET", &secret).await;
            assert!(!reply.body.contains("rk_live_0"), "{reply:?}");
            assert_eq!(instance.check_path(&key, "GET", &format!("{path}?scope=admin")).await.status, 200);
        }
        // The path with a slash at its end is the gateway's own.
        let reader = admin.with_key(&admin.create("reader", "read").await.secret);
        let reply = instance.check_path(&reader, "GET", "/forward-auth/?scope=admin").await;
        refused(&reply, 403, "insufficient_scope");
        assert_eq!(instance.check_path(&reader, "GET", "/forward-auth/contacts?scopes=admin").await.status, 200);
    }
}

#[tokio::test]
async fn a_trusted_proxy_requires_a_scope_by_header_and_others_do_not() {
    const NAME: &str = "X-Rally-Required-Scope";
    for (settings, is_trusted) in [(&[("TRUSTED_PROXIES", "127.0.0.1")][..], true), (&[], false)] {
        for instance in warm_and_cold(settings).await {
            let admin = instance.server.admin("acme");
            let reader = admin.with_key(&admin.create("reader", "read").await.secret);
            let check = async |path: &str, values: &[&str]| {
                let request = reader.request("GET".parse().unwrap(), path);
                instance.send(values.iter().fold(request, |request, value| request.header(NAME, *value))).await
            };
            for path in ["/forward-auth", "/forward-auth/contacts?scope=read"] {
                for (values, code) in [
                    (&["admin"][..], "insufficient_scope"),
                    (&["read", "write"], "insufficient_scope"),
                    (&["read, admin"], "insufficient_scope"),
                    (&["Admin"], "invalid_request"),
                    (&[""], "invalid_request"),
                    (&["read", "everything"], "invalid_request"),
                ] {
                    let reply = check(path, values).await;
                    if is_trusted {
                        refused(&reply, 403, code);
                    } else {
                        allowed(&reply);
                    }
                }
                allowed(&check(path, &["read"]).await);
            }
            // It only ever adds.
            refused(&instance.check(&reader, "POST", &[(NAME, "read")]).await, 403, "insufficient_scope");
        }
    }
}

/// A gateway that removes a client's headers by their exact names forwards all others, so the check refuses those that
/// the CRM may take for ours.
#[tokio::test]
async fn a_header_that_poses_as_the_gateways_is_refused() {
    for instance in warm_and_cold(&[("TRUSTED_PROXIES", "127.0.0.1")]).await {
        let admin = instance.server.admin("acme");
        for name in
            ["X-Rally-Role", "X_Rally_Tenant", "x-rally--scopes", "X.Rally.Scopes", "XRally-Tenant", "X-Rally-Error"]
        {
            let reply = instance.check(&admin, "GET", &[(name, "forged")]).await;
            refused(&reply, 403, "invalid_request");
            assert_eq!(reply.json()["errors"][0]["field"], name.to_lowercase(), "{reply:?}");
        }
        // Gateways overwrite these.
        let overwritten: Vec<_> = HEADERS.iter().map(|name| (*name, "forged")).collect();
        let reply = instance.check(&admin, "GET", &overwritten).await;
        allowed(&reply);
        assert_eq!(reply.header("x-rally-tenant"), "acme");
    }
}

#[tokio::test]
async fn a_refusal_is_401_or_403_with_its_code_in_a_header() {
    for instance in warm_and_cold(&[]).await {
        let admin = instance.server.admin("acme");
        let key = admin.create("n", "read").await;
        let client = admin.with_key(&key.secret);
        let check = async |client: &Client| instance.check(client, "GET", &[]).await;
        assert_eq!(check(&client).await.status, 200);
        refused(&check(&admin.with(Credential::None)).await, 401, "missing_credentials");
        refused(&check(&client.on("nobody.localhost")).await, 401, "tenant_not_found");
        refused(&check(&client.on("globex.localhost")).await, 401, "invalid_key");
        refused(&check(&admin.on("globex.localhost")).await, 403, "wrong_tenant");
        let two = [("authorization", "Bearer x.y.z")];
        refused(&instance.check(&client, "GET", &two).await, 401, "ambiguous_credentials");
        refused(&check(&client.with_key("rk_live_zzz")).await, 401, "invalid_key");
        admin.delete(&key.path()).await.expect(204);
        refused(&check(&client).await, 401, "key_revoked");
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_looked_up_is_503_unless_it_is_cached() {
    let instances = warm_and_cold(&[]).await;
    let admin = instances[0].server.admin("acme");
    let cached = admin.create("Cached", "read").await;
    let unused = admin.create("Unused", "read").await;
    for instance in &instances {
        let client = instance.server.admin("acme").with_key(&cached.secret);
        assert_eq!(instance.check(&client, "GET", &[]).await.status, 200);
    }
    instances[0].server.database.execute("ALTER TABLE api_key_secrets RENAME TO gone").await;
    for instance in &instances {
        let admin = instance.server.admin("acme");
        refused(&instance.check(&admin.with_key(&unused.secret), "GET", &[]).await, 503, "internal_error");
        let reply = instance.check(&admin.with_key(&cached.secret), "GET", &[]).await;
        match instance.state {
            CacheState::Warm => assert_eq!(allowed(&reply)[4], cached.id),
            CacheState::Cold => refused(&reply, 503, "internal_error"),
        }
    }
}
