//! The schemas of audit events: one for each type, since the type decides what `details` are.

use serde_json::{Map, Value, json};

use crate::domain::EventKind;

/// The schema of an event, whatever its type.
const ANY: &str = "ApiKeyEventResponse";
/// What `details` have besides, where a principal acted.
const ACTOR: &str = "ActorDetails";

/// The names of an event's schema and of its details' schema.
const fn names(kind: EventKind) -> (&'static str, &'static str) {
    match kind {
        EventKind::Created => ("KeyCreatedEvent", "GrantDetails"),
        EventKind::Updated => ("KeyUpdatedEvent", "UpdateDetails"),
        EventKind::Rotated => ("KeyRotatedEvent", "RotationDetails"),
        EventKind::PreviousSecretEnded => ("PreviousSecretEndedEvent", "EndedSecretDetails"),
        EventKind::Suspended => ("KeySuspendedEvent", "SuspensionDetails"),
        EventKind::Resumed => ("KeyResumedEvent", "SuspensionDetails"),
        EventKind::Revoked => ("KeyRevokedEvent", "GrantDetails"),
        EventKind::Receipt => ("ReceiptEvent", "ReceiptDetails"),
        EventKind::SecretReused => ("SecretReusedEvent", "ReusedSecretDetails"),
        EventKind::IdleNotice => ("KeyIdleNoticeEvent", "IdleNoticeDetails"),
        EventKind::Leaked => ("SecretLeakedEvent", "LeakDetails"),
        EventKind::DecoyUsed => ("DecoyUsedEvent", "DecoyUseDetails"),
        EventKind::Exposed => ("SecretExposedEvent", "ExposureDetails"),
        EventKind::PolicyChanged => ("PolicyChangedEvent", "PolicyChangeDetails"),
    }
}

/// Replaces the schema of an event, in which `details` are any object, by a union of the types of events.
pub(in crate::http) fn split_by_type(schemas: &mut Map<String, Value>) {
    add_actor(schemas);
    let Some(any) = schemas.remove(ANY) else { return };
    let mut mapping = Map::new();
    for kind in EventKind::ALL {
        let (name, details) = names(kind);
        let mut event = any.clone();
        let properties = &mut event["properties"];
        properties["type"] = json!({"type": "string", "const": kind.as_str(), "description": "What happened"});
        properties["keyId"] = key_id(kind);
        properties["details"] = json!({"$ref": reference(details)});
        event["description"] = format!("An event of the type `{}`", kind.as_str()).into();
        schemas.insert(name.to_owned(), event);
        mapping.insert(kind.as_str().to_owned(), reference(name).into());
    }
    let union: Vec<Value> = mapping.values().map(|name| json!({"$ref": name})).collect();
    let union = json!({
        "description": any["description"],
        "oneOf": union,
        "discriminator": {"propertyName": "type", "mapping": mapping},
    });
    schemas.insert(ANY.to_owned(), union);
}

/// These have no actor.
fn add_actor(schemas: &mut Map<String, Value>) {
    let without =
        [EventKind::SecretReused, EventKind::IdleNotice, EventKind::Leaked, EventKind::DecoyUsed, EventKind::Exposed];
    let has_actor = |kind: &EventKind| !without.contains(kind);
    let Some(Value::Object(actor)) = schemas.remove(ACTOR).map(|mut actor| actor["properties"].take()) else { return };
    for kind in EventKind::ALL.into_iter().filter(has_actor) {
        if let Some(Value::Object(own)) = schemas.get_mut(names(kind).1).map(|details| &mut details["properties"]) {
            own.extend(actor.clone());
        }
    }
}

fn key_id(kind: EventKind) -> Value {
    if kind == EventKind::PolicyChanged {
        // openapi-generator fails on the type `null` alone.
        json!({"type": ["string", "null"], "format": "uuid", "description": "Null: an event of the tenant itself"})
    } else {
        json!({"type": "string", "format": "uuid", "description": "The key's id"})
    }
}

fn reference(schema: &str) -> String {
    format!("#/components/schemas/{schema}")
}
