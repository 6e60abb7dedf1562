//! The examples of bodies in the API's description: one key, on its way from its creation to its revocation.

use serde_json::{Value, json};

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
        _ => return None,
    })
}

/// An example of a list of a schema.
pub(in crate::http) fn of_list(item: &str) -> Option<Value> {
    if item == "ApiKeyEventResponse" { Some(events()) } else { of_schema(item).map(|item| json!([item])) }
}

const KEY: &str = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";

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

fn policy() -> Value {
    json!({
        "maxLifetimeDays": 365,
        "maxActiveKeys": 200,
        "idleSuspendDays": 90,
        "allowedScopes": "read,write",
        "requireAllowedAddresses": true,
        "onLeak": "revoke",
        "defaultRateLimit": {"requests": 600, "windowSeconds": 60},
    })
}

fn policy_change() -> Value {
    let mut before = policy();
    before["maxLifetimeDays"] = Value::Null;
    json!({"from": before, "to": policy(), "actorSubject": "8d1f0c52"})
}

/// Of another key, which is not used.
fn idle_notice() -> Value {
    json!({
        "id": "01a2073f-ad52-724d-9ab3-01acd5b13098",
        "type": "idle_notice",
        "keyId": "b7d40c1e-62a9-4f0b-8d15-3ce8a1f07b26",
        "occurredAt": "2026-11-27T05:00:00Z",
        "actor": null,
        "address": null,
        "requestId": "idle-keys",
        "details": {
            "name": "Old export",
            "keyHint": "rk_live_…77d0",
            "lastUsedAt": "2026-09-05T04:41:09.318206Z",
            "idleSuspendDays": 90,
            "suspendAt": "2026-12-04T05:00:00Z",
        },
    })
}

/// One of each type, newest first.
fn events() -> Value {
    let grant = json!({
        "name": "Zapier Sync",
        "keyHint": "rk_live_…1b4c",
        "scopes": "read,write",
        "expiresAt": null,
        "allowedAddresses": ["203.0.113.0/24"],
        "rateLimit": {"requests": 600, "windowSeconds": 60},
        "quota": {"requests": 100_000, "per": "day"},
        "actorSubject": "8d1f0c52",
    });
    let event = |id: &str, kind: &str, at: &str, actor: Option<&str>, details: Value| {
        json!({
            "id": format!("01a2073f-ad52-724d-9ab3-01acd5b130{id}"),
            "type": kind,
            "keyId": KEY,
            "occurredAt": at,
            "actor": actor,
            "address": "203.0.113.7",
            "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
            "details": details,
        })
    };
    let (admin, key) = (Some("admin@acme.com"), format!("api-key:{KEY}"));
    let mut policy_changed = event("97", "policy_changed", "2026-11-28T09:00:00Z", admin, policy_change());
    policy_changed["keyId"] = Value::Null;
    json!([
        policy_changed,
        idle_notice(),
        event("94", "secret_reused", "2026-11-27T03:12:55Z", None, json!({"keyHint": "rk_live_…1b4c"})),
        event("93", "revoked", "2026-11-26T16:00:00Z", admin, grant.clone()),
        event(
            "96",
            "resumed",
            "2026-11-25T10:20:00Z",
            admin,
            json!({
                "name": "Zapier Sync",
                "keyHint": "rk_live_…9f02",
                "until": null,
                "reason": "The writes were meant",
                "actorSubject": "8d1f0c52",
            })
        ),
        event(
            "95",
            "suspended",
            "2026-11-25T10:00:00Z",
            admin,
            json!({
                "name": "Zapier Sync",
                "keyHint": "rk_live_…9f02",
                "until": "2026-11-25T18:00:00Z",
                "reason": "Too many writes; under investigation",
                "actorSubject": "8d1f0c52",
            })
        ),
        event(
            "92",
            "previous_secret_ended",
            "2026-11-24T12:00:00Z",
            admin,
            json!({
                "previousKeyHint": "rk_live_…1b4c",
                "previousExpiresAt": "2026-11-25T08:00:00Z",
                "actorSubject": "8d1f0c52",
            })
        ),
        event(
            "91",
            "rotated",
            "2026-11-24T08:00:00Z",
            Some(&key),
            json!({
                "overlapSeconds": 86400,
                "previousKeyHint": "rk_live_…1b4c",
                "previousExpiresAt": "2026-11-25T08:00:00Z",
                "endedKeyHint": null,
                "keyHint": "rk_live_…9f02",
                "actorKeyHint": "rk_live_…1b4c",
            })
        ),
        event(
            "90",
            "updated",
            "2026-11-23T10:15:00Z",
            admin,
            json!({
                "name": {"from": "Zapier", "to": "Zapier Sync"},
                "expiresAt": {"from": null, "to": "2030-01-01T00:00:00Z"},
                "description": {"from": null, "to": "Nightly sync of deals"},
                "allowedAddresses": {"from": [], "to": ["203.0.113.0/24"]},
                "rateLimit": {"from": null, "to": {"requests": 600, "windowSeconds": 60}},
                "quota": {"from": null, "to": {"requests": 100_000, "per": "day"}},
                "actorSubject": "8d1f0c52",
            })
        ),
        event("89", "created", "2026-11-23T09:30:00Z", admin, grant),
    ])
}
