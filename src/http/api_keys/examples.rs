//! The examples of bodies in the API's description: one key, on its way from its creation to its revocation.

use serde_json::{Value, json};

use super::event_examples::{self, KEY, policy};

/// An example of a schema.
pub(in crate::http) fn of_schema(name: &str) -> Option<Value> {
    Some(match name {
        "CreateApiKeyRequest" => {
            json!({
                "name": "Zapier Sync",
                "scopes": "read,write",
                "expiresAt": "2030-01-01T00:00:00Z",
                "description": "Nightly sync of deals",
                "allowedAddresses": ["203.0.113.0/24"],
                "rateLimit": {"requests": 600, "windowSeconds": 60},
                "quota": {"requests": 100_000, "per": "day"},
            })
        }
        "UpdateApiKeyRequest" => json!({"name": "Zapier Sync", "scopes": "read"}),
        "SuspendApiKeyRequest" => {
            json!({"until": "2026-11-25T18:00:00Z", "reason": "Too many writes; under investigation"})
        }
        "ResumeApiKeyRequest" => json!({"reason": "The writes were meant"}),
        "RotateApiKeyRequest" => json!({"overlapSeconds": 3600}),
        "ApiKeyCreatedResponse" => json!({
            "id": KEY,
            "key": "rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c",
            "keyPrefix": "rk_live_",
            "name": "Zapier Sync",
            "scopes": "read,write",
            "expiresAt": "2030-01-01T00:00:00Z",
            "createdAt": "2026-11-23T09:30:00Z",
            "keyHint": "rk_live_…1b4c",
            "description": "Nightly sync of deals",
            "suspendedUntil": null,
            "allowedAddresses": ["203.0.113.0/24"],
            "rateLimit": {"requests": 600, "windowSeconds": 60},
            "quota": {"requests": 100_000, "per": "day"},
        }),
        "ReceiptResponse" => receipt(),
        "ApiKeyResponse" => json!({
            "id": KEY,
            "keyPrefix": "rk_live_",
            "name": "Zapier Sync",
            "scopes": "read,write",
            "expiresAt": "2030-01-01T00:00:00Z",
            "lastUsedAt": "2026-11-24T17:02:11.482913Z",
            "isActive": true,
            "createdAt": "2026-11-23T09:30:00Z",
            "createdBy": "admin@acme.com",
            "keyHint": "rk_live_…9f02",
            "revokedAt": null,
            "status": "active",
            "rotation": {
                "previousKeyHint": "rk_live_…1b4c",
                "previousExpiresAt": "2026-11-25T08:00:00Z",
                "previousLastUsedAt": "2026-11-24T11:47:30.118204Z",
            },
            "description": "Nightly sync of deals",
            "suspendedUntil": null,
            "allowedAddresses": ["203.0.113.0/24"],
            "rateLimit": {"requests": 600, "windowSeconds": 60},
            "quota": {"requests": 100_000, "per": "day"},
        }),
        "TenantUsageResponse" => {
            let mut response = usage();
            if let Some(members) = response.as_object_mut() {
                members.remove("secrets");
            }
            response
        }
        "ApiKeyCallerResponse" => json!({
            "address": "203.0.113.7",
            "userAgent": "etl/2.1",
            "firstSeenAt": "2026-11-23T09:31:40.027518Z",
            "lastSeenAt": "2026-11-23T17:02:11.482913Z",
            "requests": 1201,
            "secret": "current",
        }),
        "MeResponse" => json!({
            "principal": {"kind": "api-key", "id": KEY, "name": "Zapier Sync"},
            "tenant": {"slug": "acme", "name": "Acme"},
            "scopes": "read,write",
            "canCreate": false,
        }),
        "PolicyRequest" => policy(),
        "PolicyResponse" => {
            let mut response = policy();
            response["activeKeys"] = json!(17);
            response["violationCount"] = json!(1);
            response["violations"] = json!([{
                "keyId": KEY,
                "name": "Zapier Sync",
                "keyHint": "rk_live_…9f02",
                "rules": [{"rule": "maxLifetimeDays", "limit": 365, "value": null}],
                "lastUsedAt": "2026-11-24T17:02:11.482913Z",
                "lastAddress": "203.0.113.7",
                "lastUserAgent": "etl/2.1",
            }]);
            response
        }
        "ApiKeyUsageResponse" => usage(),
        _ => return of_leaks(name),
    })
}

/// An example of a schema of reports of leaks.
fn of_leaks(name: &str) -> Option<Value> {
    Some(match name {
        "LeakReportRequest" => json!({
            "secrets": ["rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c"],
            "url": "https://github.com/octocat/Hello-World/blob/main/.env",
        }),
        "GithubMatch" => json!({
            "token": "rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c",
            "type": "rally_crm_api_key",
            "url": "https://github.com/octocat/Hello-World/blob/main/.env",
            "source": "content",
        }),
        "GithubLabel" => json!({
            "token_hash": "a51687072d5fa2d21521fb685b6459177322f27cabbb32f3976cfa7dd3ef08a7",
            "token_type": "rally_crm_api_key",
            "label": "true_positive",
        }),
        "LeakReportResponse" => json!({"status": "accepted"}),
        _ => return None,
    })
}

/// An example of a list of a schema.
pub(in crate::http) fn of_list(item: &str) -> Option<Value> {
    if item == "ApiKeyEventResponse" {
        Some(event_examples::events())
    } else {
        of_schema(item).map(|item| json!([item]))
    }
}

fn receipt() -> Value {
    json!({
        "revision": "01a2073f-ad52-724d-9ab3-01acd5b13093",
        "isComplete": false,
        "instances": 3,
        "acknowledged": 2,
        "lapsed": 0,
        "slowestMs": 2.1,
        "outstanding": ["5f0c7f5e-7d0f-4a52-9d0b-6f7a0e6f4c1d"],
        "completeWithinSeconds": 4,
    })
}

fn usage() -> Value {
    json!({
        "interval": "day",
        "from": "2026-11-22T00:00:00Z",
        "to": "2026-11-24T00:00:00Z",
        "requests": 1204,
        "denied": 3,
        "buckets": [
            {
                "start": "2026-11-22T00:00:00Z",
                "requests": 0,
                "denied": 0,
                "deniedByReason": {"expired": 0, "scope": 0, "revoked": 0, "suspended": 0, "address": 0, "rateLimit": 0, "quota": 0},
            },
            {
                "start": "2026-11-23T00:00:00Z",
                "requests": 1204,
                "denied": 3,
                "deniedByReason": {"expired": 0, "scope": 3, "revoked": 0, "suspended": 0, "address": 0, "rateLimit": 0, "quota": 0},
            },
        ],
        "secrets": [{
            "keyHint": "rk_live_…1b4c",
            "createdAt": "2026-11-23T09:30:00Z",
            "retiredAt": null,
            "expiresAt": null,
            "lastUsedAt": "2026-11-23T17:02:11.482913Z",
            "lastAddress": "203.0.113.7",
            "lastUserAgent": "etl/2.1",
        }],
    })
}
