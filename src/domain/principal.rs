//! The authenticated caller.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value, json};

use super::{ApiKey, ApiKeyId, KeyHint, LookupDigest, ScopeSet, Timestamp};

/// The overlap of a rotation, as seen by a caller that still uses the previous secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotatedAway {
    /// When the newer secret was made.
    pub since: Timestamp,
    /// When the previous secret ends; never after the key's own end.
    pub until: Timestamp,
}

/// A user, as a token names one. Names of different issuers may be the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The verified e-mail address, the subject, or what else the settings choose. Never an API key's name.
    pub name: String,
    /// `iss` of the token, where it was checked.
    pub issuer: Option<String>,
    /// `sub` of the token: with the issuer, who it is.
    pub subject: Option<String>,
}

/// The caller of a request whose credential is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A user, by a JWT.
    User {
        /// Who it is. Shared with the cache of tokens.
        user: Arc<User>,
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
    /// The prefix of the name in the audit trail of an operator, who uses the command line.
    pub const OPERATOR: &'static str = "operator:";

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
    pub fn audit_name(&self) -> String {
        match self {
            Self::User { user, .. } => user.name.clone(),
            Self::ApiKey { .. } => self.to_string(),
        }
    }

    /// Who it is, in a text that no other principal of the tenant has: a key by its id, a user by issuer and subject, or by
    /// issuer and name where the token has no subject.
    #[must_use]
    pub fn identity(&self) -> String {
        let parts = match self {
            Self::ApiKey { id, .. } => json!(["api-key", id.to_string()]),
            Self::User { user, .. } => match &user.subject {
                Some(subject) => json!(["user", user.issuer, subject]),
                None => json!(["user-by-name", user.issuer, user.name]),
            },
        };
        parts.to_string()
    }

    /// What an event's details say of its actor, beside the name.
    #[must_use]
    pub fn audit_details(&self) -> Map<String, Value> {
        let details = match self {
            Self::User { user, .. } => {
                vec![("actorIssuer", user.issuer.clone()), ("actorSubject", user.subject.clone())]
            }
            Self::ApiKey { hint, .. } => vec![("actorKeyHint", Some(hint.to_string()))],
        };
        details.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect()
    }
}

/// `user:<name>` or `api-key:<id>`.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { user, .. } => write!(f, "{}{}", Self::USER, user.name),
            Self::ApiKey { id, .. } => write!(f, "{}{id}", Self::API_KEY),
        }
    }
}
