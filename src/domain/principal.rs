//! Who is calling, and what it may do.

use std::fmt;

use super::{ApiKey, ApiKeyId, KeyHint, LookupDigest, Scope, ScopeSet, Timestamp};

/// What a caller is told that still uses a key's previous secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotatedAway {
    /// Since when there is a newer secret.
    pub since: Timestamp,
    /// Until when this one works.
    pub until: Timestamp,
}

/// The caller of a request, once its credential held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A person, by a JWT.
    User {
        /// `email`, else `sub`, of the token; none where it has neither.
        name: Option<String>,
        /// What the token grants.
        scopes: ScopeSet,
    },
    /// A machine, by an API key.
    ApiKey {
        /// Which key.
        id: ApiKeyId,
        /// What the key grants.
        scopes: ScopeSet,
        /// When the key ends; none = never.
        expires_at: Option<Timestamp>,
        /// Which of the key's secrets it was.
        secret: LookupDigest,
        /// What may be shown of that.
        hint: KeyHint,
        /// Where it was the previous one: since when, and until when it works.
        rotated_away: Option<RotatedAway>,
    },
}

impl Principal {
    /// What a person's name as a caller begins with.
    pub const USER: &'static str = "user:";
    /// What a key's does.
    pub const API_KEY: &'static str = "api-key:";

    /// What the credential grants.
    #[must_use]
    pub const fn scopes(&self) -> ScopeSet {
        match self {
            Self::User { scopes, .. } | Self::ApiKey { scopes, .. } => *scopes,
        }
    }

    /// Whether the caller may do what `scope` allows.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes().allows(scope)
    }

    /// The same caller with what its key grants now.
    #[must_use]
    pub fn narrowed_to(&self, key: &ApiKey) -> Self {
        let mut principal = self.clone();
        if let Self::ApiKey { scopes, expires_at, .. } = &mut principal {
            *scopes = key.scopes;
            *expires_at = key.expires_at;
        }
        principal
    }

    /// The calling key, where it is one.
    #[must_use]
    pub const fn key_id(&self) -> Option<ApiKeyId> {
        match self {
            Self::User { .. } => None,
            Self::ApiKey { id, .. } => Some(*id),
        }
    }

    /// Which of the calling key's secrets it was.
    #[must_use]
    pub const fn secret(&self) -> Option<LookupDigest> {
        match self {
            Self::User { .. } => None,
            Self::ApiKey { secret, .. } => Some(*secret),
        }
    }

    /// When the caller's own key ends, where it has an end.
    #[must_use]
    pub const fn key_expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::User { .. } => None,
            Self::ApiKey { expires_at, .. } => *expires_at,
        }
    }

    /// Whether the calling key used its previous secret.
    #[must_use]
    pub const fn rotated_away(&self) -> Option<RotatedAway> {
        match self {
            Self::User { .. } => None,
            Self::ApiKey { rotated_away, .. } => *rotated_away,
        }
    }

    /// The name that `createdBy` and the audit trail keep: the user's, or `api-key:<id>`.
    #[must_use]
    pub fn audit_name(&self) -> Option<String> {
        match self {
            Self::User { name, .. } => name.clone(),
            Self::ApiKey { .. } => Some(self.to_string()),
        }
    }
}

/// `user:<name>` or `api-key:<id>`.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { name, .. } => write!(f, "{}{}", Self::USER, name.as_deref().unwrap_or_default()),
            Self::ApiKey { id, .. } => write!(f, "{}{id}", Self::API_KEY),
        }
    }
}
