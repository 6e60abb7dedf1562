//! The authenticated caller.

use std::fmt;

use super::{ApiKey, ApiKeyId, KeyHint, LookupDigest, ScopeSet, Timestamp};

/// The overlap of a rotation, as seen by a caller that still uses the previous secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotatedAway {
    /// When the newer secret was made.
    pub since: Timestamp,
    /// When the previous secret ends; never after the key's own end.
    pub until: Timestamp,
}

/// The caller of a request whose credential is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A user, by a JWT.
    User {
        /// `email` of the token, else `sub`, else `None`.
        name: Option<String>,
        /// What the token grants.
        scopes: ScopeSet,
    },
    /// An API key.
    ApiKey {
        /// The key's id.
        id: ApiKeyId,
        /// What the key grants.
        scopes: ScopeSet,
        /// When the key expires; `None` = never.
        expires_at: Option<Timestamp>,
        /// The lookup digest of the secret that was presented.
        secret: LookupDigest,
        /// The hint of that secret.
        hint: KeyHint,
        /// Set if that secret is the key's previous one.
        rotated_away: Option<RotatedAway>,
    },
}

impl Principal {
    /// The prefix of a user's name in text.
    pub const USER: &'static str = "user:";
    /// The prefix of a key's id in text.
    pub const API_KEY: &'static str = "api-key:";

    /// The scopes that the credential grants, without the implied ones.
    #[must_use]
    pub const fn scopes(&self) -> ScopeSet {
        match self {
            Self::User { scopes, .. } | Self::ApiKey { scopes, .. } => *scopes,
        }
    }

    /// The same caller with the scopes and the end that its key has now.
    #[must_use]
    pub fn with_grants_of(&self, key: &ApiKey) -> Self {
        let mut principal = self.clone();
        if let Self::ApiKey { scopes, expires_at, .. } = &mut principal {
            *scopes = key.scopes;
            *expires_at = key.expires_at;
        }
        principal
    }

    /// The calling key; `None` for a user.
    #[must_use]
    pub const fn key_id(&self) -> Option<ApiKeyId> {
        match self {
            Self::User { .. } => None,
            Self::ApiKey { id, .. } => Some(*id),
        }
    }

    /// The lookup digest of the presented secret; `None` for a user.
    #[must_use]
    pub const fn secret(&self) -> Option<LookupDigest> {
        match self {
            Self::User { .. } => None,
            Self::ApiKey { secret, .. } => Some(*secret),
        }
    }

    /// The hint of the presented secret; `None` for a user.
    #[must_use]
    pub const fn hint(&self) -> Option<KeyHint> {
        match self {
            Self::User { .. } => None,
            Self::ApiKey { hint, .. } => Some(*hint),
        }
    }

    /// When the calling key expires; `None` = never, or a user.
    #[must_use]
    pub const fn key_expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::User { .. } => None,
            Self::ApiKey { expires_at, .. } => *expires_at,
        }
    }

    /// Set if the caller presented its key's previous secret.
    #[must_use]
    pub const fn rotated_away(&self) -> Option<RotatedAway> {
        match self {
            Self::User { .. } => None,
            Self::ApiKey { rotated_away, .. } => *rotated_away,
        }
    }

    /// The name for `createdBy` and the audit trail: the user's name, or `api-key:<id>`.
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
