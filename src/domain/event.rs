//! The audit trail's entries.

use std::net::IpAddr;

use serde_json::Value;

use super::{ApiKeyId, FieldChange, Principal, Timestamp};

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
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Created, Self::Updated, Self::Rotated, Self::PreviousSecretEnded, Self::Revoked];

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
        }
    }
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
        Self {
            kind,
            key_id,
            occurred_at,
            actor: principal.audit_name(),
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
            .map(|change| (change.field.to_owned(), serde_json::json!({"from": change.from, "to": change.to})))
            .collect::<serde_json::Map<_, _>>()
            .into();
        self
    }
}
