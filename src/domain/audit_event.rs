//! The audit trail's events.

use std::{fmt::Write as _, net::IpAddr};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{ApiKeyId, FieldChange, Principal, TenantId, Timestamp, format_timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Created,
    Updated,
    Rotated,
    /// An admin ended the overlap of a rotation early.
    PreviousSecretEnded,
    Suspended,
    Resumed,
    Revoked,
    /// No instance uses a state from before a change any more, which somebody waited for.
    Receipt,
    /// A request brought a secret that is no longer accepted: a previous secret after its end, or a revoked key's.
    SecretReused,
    /// The key was not used, and will be suspended if it still is not.
    IdleNotice,
    /// Somebody reported a secret as leaked.
    Leaked,
    /// A request brought the secret of a decoy, which never works.
    DecoyUsed,
    /// A request brought a secret over plain HTTP.
    Exposed,
    /// The tenant's policy was changed. The only event without a key.
    PolicyChanged,
}

impl EventKind {
    pub const ALL: [Self; 14] = [
        Self::Created,
        Self::Updated,
        Self::Rotated,
        Self::PreviousSecretEnded,
        Self::Suspended,
        Self::Resumed,
        Self::Revoked,
        Self::Receipt,
        Self::SecretReused,
        Self::IdleNotice,
        Self::Leaked,
        Self::DecoyUsed,
        Self::Exposed,
        Self::PolicyChanged,
    ];

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The name in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Rotated => "rotated",
            Self::PreviousSecretEnded => "previous_secret_ended",
            Self::Suspended => "suspended",
            Self::Resumed => "resumed",
            Self::Revoked => "revoked",
            Self::Receipt => "receipt",
            Self::SecretReused => "secret_reused",
            Self::IdleNotice => "idle_notice",
            Self::Leaked => "leaked",
            Self::DecoyUsed => "decoy_used",
            Self::Exposed => "exposed",
            Self::PolicyChanged => "policy_changed",
        }
    }
}

/// A stored event of the audit trail. For the fields, see [`NewEvent`].
#[derive(Clone, Debug)]
pub struct Event {
    pub id: Uuid,
    pub key_id: Option<ApiKeyId>,
    pub kind: EventKind,
    pub occurred_at: Timestamp,
    pub actor: Option<String>,
    pub address: Option<IpAddr>,
    pub request_id: String,
    pub details: Value,
}

/// An event with its position in the tenant's hash chain. Each event contains the hash of the event before it, so
/// an event that is changed, removed or inserted breaks the chain.
#[derive(Clone, Debug)]
pub struct ChainedEvent {
    pub tenant: TenantId,
    /// Counts from 1.
    pub seq: i64,
    /// The hash of the event before; zeros for the first one.
    pub previous_hash: [u8; 32],
    pub event: Event,
}

impl ChainedEvent {
    /// The JSON that is hashed. It contains every field.
    #[must_use]
    pub fn canonical(&self) -> Value {
        let Event { id, key_id, kind, occurred_at, actor, address, request_id, details } = &self.event;
        json!({
            "tenantId": self.tenant.to_string(),
            "seq": self.seq,
            "previousHash": hex(&self.previous_hash),
            "id": id.to_string(),
            "keyId": key_id.map(|id| id.to_string()),
            "type": kind.as_str(),
            "occurredAt": format_timestamp(*occurred_at),
            "actor": actor,
            "address": address.map(|address| address.to_string()),
            "requestId": request_id,
            "details": details,
        })
    }

    /// SHA-256 over the canonical JSON (RFC 8785).
    pub fn hash(&self) -> Result<[u8; 32], serde_json::Error> {
        Ok(Sha256::digest(serde_json_canonicalizer::to_vec(&self.canonical())?).into())
    }

    /// A line of an export: the canonical JSON with the hash as another member.
    pub fn line(&self) -> Result<String, serde_json::Error> {
        let mut line = self.canonical();
        line["hash"] = hex(&self.hash()?).into();
        serde_json_canonicalizer::to_string(&line)
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String does not fail
        text
    })
}

/// An event to be written.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub kind: EventKind,
    /// `None`: it is about the tenant.
    pub key_id: Option<ApiKeyId>,
    pub occurred_at: Timestamp,
    /// The principal's audit name. `None`: unknown.
    pub actor: Option<String>,
    /// The client's address, as trusted proxies report it.
    pub address: Option<IpAddr>,
    pub request_id: String,
    /// For an update, `{"<field>": {"from": …, "to": …}}`. Of a user, `actorIssuer` and `actorSubject`; of a key,
    /// `actorKeyHint`. Never a secret.
    pub details: Value,
}

impl NewEvent {
    #[must_use]
    pub fn new(
        kind: EventKind,
        key_id: impl Into<Option<ApiKeyId>>,
        principal: &Principal,
        occurred_at: Timestamp,
    ) -> Self {
        Self {
            actor: Some(principal.audit_name()),
            details: principal.audit_details().into(),
            ..Self::anonymous(kind, key_id, occurred_at)
        }
    }

    /// An event whose actor is unknown.
    #[must_use]
    pub fn anonymous(kind: EventKind, key_id: impl Into<Option<ApiKeyId>>, occurred_at: Timestamp) -> Self {
        let key_id = key_id.into();
        Self { kind, key_id, occurred_at, actor: None, address: None, request_id: String::new(), details: json!({}) }
    }

    #[must_use]
    pub fn with_request(mut self, address: Option<IpAddr>, request_id: &str) -> Self {
        self.address = address;
        request_id.clone_into(&mut self.request_id);
        self
    }

    /// Adds the members of an object.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        if let (Some(all), Value::Object(details)) = (self.details.as_object_mut(), details) {
            all.extend(details);
        }
        self
    }

    #[must_use]
    pub fn with_changes(self, changes: &[FieldChange]) -> Self {
        let change = |change: &FieldChange| (change.field.to_owned(), json!({"from": change.from, "to": change.to}));
        self.with_details(changes.iter().map(change).collect())
    }
}
