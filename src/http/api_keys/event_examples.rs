//! Examples of events, for the API's description.

use serde_json::{Value, json};

pub(super) const KEY: &str = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";

pub(super) fn policy() -> Value {
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

/// One of each type, newest first.
pub(super) fn events() -> Value {
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
    let (admin, key) = (Some("admin@acme.com"), format!("api-key:{KEY}"));
    json!([
        policy_changed(),
        idle_notice(),
        decoy_used(),
        event("94", "secret_reused", "2026-11-27T03:12:55Z", None, json!({"keyHint": "rk_live_…1b4c"})),
        event(
            "9b",
            "exposed",
            "2026-11-26T18:30:00Z",
            None,
            json!({"keyHint": "rk_live_…9f02", "userAgent": "etl/2.1"})
        ),
        receipt(),
        leaked(),
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

fn event(id: &str, kind: &str, at: &str, actor: Option<&str>, details: Value) -> Value {
    let mut event = json!({
        "id": format!("01a2073f-ad52-724d-9ab3-01acd5b130{id}"),
        "type": kind,
        "keyId": KEY,
        "occurredAt": at,
        "actor": actor,
        "address": "203.0.113.7",
        "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
        "details": null,
    });
    event["details"] = details;
    event
}

fn policy_changed() -> Value {
    let mut event = event("97", "policy_changed", "2026-11-28T09:00:00Z", Some("admin@acme.com"), policy_change());
    event["keyId"] = Value::Null;
    event
}

fn decoy_used() -> Value {
    let details = json!({"keyHint": "rk_live_…05aa", "userAgent": "curl/8.5.0"});
    let mut event = event("9a", "decoy_used", "2026-11-27T03:14:15Z", None, details);
    event["keyId"] = json!("c0ffee00-62a9-4f0b-8d15-3ce8a1f07b26");
    event
}

fn leaked() -> Value {
    let details = json!({
        "name": "Zapier Sync",
        "keyHint": "rk_live_…9f02",
        "secret": "current",
        "action": "revoked",
        "url": "https://github.com/octocat/Hello-World/blob/main/.env",
        "otherUrls": [],
        "reportedBy": "github",
    });
    event("99", "leaked", "2026-11-26T16:00:00Z", None, details)
}

fn idle_notice() -> Value {
    let details = json!({
        "name": "Old export",
        "keyHint": "rk_live_…77d0",
        "lastUsedAt": "2026-09-05T04:41:09.318206Z",
        "idleSuspendDays": 90,
        "suspendAt": "2026-12-04T05:00:00Z",
    });
    let mut event = event("98", "idle_notice", "2026-11-27T05:00:00Z", None, details);
    event["keyId"] = json!("b7d40c1e-62a9-4f0b-8d15-3ce8a1f07b26");
    event["address"] = Value::Null;
    event["requestId"] = json!("idle-keys");
    event
}

fn receipt() -> Value {
    let details = json!({
        "revision": "01a2073f-ad52-724d-9ab3-01acd5b13093",
        "instances": 3,
        "acknowledged": 3,
        "lapsed": 0,
        "slowestMs": 2.1,
        "actorSubject": "8d1f0c52",
    });
    event("9c", "receipt", "2026-11-26T16:00:00.004Z", Some("admin@acme.com"), details)
}
