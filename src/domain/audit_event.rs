//! The audit trail's entries.

use std::{fmt::Write as _, net::IpAddr};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{ApiKeyId, FieldChange, Principal, TenantId, Timestamp, format_timestamp};

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was made.
    Created,
    /// Its name, scopes or end were changed.
    Updated,
    /// It got a new secret.
    Rotated,
    /// Its previous secret was ended before its time.
    PreviousSecretEnded,
    /// It was taken away.
    Revoked,
    /// Somebody used a secret that works no more: a previous one after its end, or a revoked key's.
    SecretReused,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Created, Self::Updated, Self::Rotated, Self::PreviousSecretEnded, Self::Revoked, Self::SecretReused];

    /// The kind of that exact name.
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
            Self::Revoked => "revoked",
            Self::SecretReused => "secret_reused",
        }
    }
}

/// An entry of the audit trail.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its own id.
    pub id: Uuid,
    /// Which key it is about.
    pub key_id: ApiKeyId,
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub occurred_at: Timestamp,
    /// Who did it.
    pub actor: Option<String>,
    /// From which address.
    pub address: Option<IpAddr>,
    /// In which request.
    pub request_id: String,
    /// What changed.
    pub details: Value,
}

/// An entry with its place in its tenant's chain: it carries the hash of the entry before it, so
/// that none can be changed, removed or put in without a break.
#[derive(Clone, Debug)]
pub struct ChainedEvent {
    /// Whose.
    pub tenant: TenantId,
    /// Counts from 1.
    pub seq: i64,
    /// Of the entry before; zeros where this is the first.
    pub previous_hash: [u8; 32],
    /// The entry.
    pub event: Event,
}

impl ChainedEvent {
    /// The canonical form (RFC 8785) of everything that the entry says.
    #[must_use]
    pub fn canonical(&self) -> Value {
        let Event { id, key_id, kind, occurred_at, actor, address, request_id, details } = &self.event;
        json!({
            "tenantId": self.tenant.to_string(),
            "seq": self.seq,
            "previousHash": hex(&self.previous_hash),
            "id": id.to_string(),
            "keyId": key_id.to_string(),
            "type": kind.as_str(),
            "occurredAt": format_timestamp(*occurred_at),
            "actor": actor,
            "address": address.map(|address| address.to_string()),
            "requestId": request_id,
            "details": details,
        })
    }

    /// SHA-256 over the canonical form.
    pub fn hash(&self) -> Result<[u8; 32], serde_json::Error> {
        Ok(Sha256::digest(serde_json_canonicalizer::to_vec(&self.canonical())?).into())
    }

    /// A line for an archive: the canonical form, and the hash beside it.
    pub fn line(&self) -> Result<String, serde_json::Error> {
        let mut line = self.canonical();
        line["hash"] = hex(&self.hash()?).into();
        serde_json_canonicalizer::to_string(&line)
    }
}

/// In lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String does not fail
        text
    })
}

/// An entry to be written: who did what to which key, when, from where.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// What happened.
    pub kind: EventKind,
    /// To which key.
    pub key_id: ApiKeyId,
    /// When.
    pub occurred_at: Timestamp,
    /// Who did it.
    pub actor: Option<String>,
    /// From which address, as far as trusted proxies tell it.
    pub address: Option<IpAddr>,
    /// In which request.
    pub request_id: String,
    /// What changed, as `{"<property>": {"from": …, "to": …}}`; never a secret.
    pub details: Value,
}

impl NewEvent {
    /// An entry without details.
    #[must_use]
    pub fn new(kind: EventKind, key_id: ApiKeyId, principal: &Principal, occurred_at: Timestamp) -> Self {
        Self { actor: principal.audit_name(), ..Self::of_nobody(kind, key_id, occurred_at) }
    }

    /// The same where nobody knows who it was.
    #[must_use]
    pub fn of_nobody(kind: EventKind, key_id: ApiKeyId, occurred_at: Timestamp) -> Self {
        Self {
            kind,
            key_id,
            occurred_at,
            actor: None,
            address: None,
            request_id: String::new(),
            details: Value::Object(serde_json::Map::new()),
        }
    }

    /// With where the request came from.
    #[must_use]
    pub fn from_request(mut self, address: Option<IpAddr>, request_id: &str) -> Self {
        self.address = address;
        request_id.clone_into(&mut self.request_id);
        self
    }

    /// With what else there is to tell.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    /// With what changed.
    #[must_use]
    pub fn with_changes(mut self, changes: &[FieldChange]) -> Self {
        self.details = changes
            .iter()
            .map(|change| (change.field.to_owned(), json!({"from": change.from, "to": change.to})))
            .collect::<serde_json::Map<_, _>>()
            .into();
        self
    }
}
