//! Why a request is refused.

use std::sync::Arc;

use crate::{
    domain::{Principal, Scope, access::DenialReason},
    store,
    turns::Overloaded,
};

/// A refused request.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: Error,
    /// The caller, if the credential is valid and only does not permit what the request requires.
    pub(crate) principal: Option<Box<Principal>>,
}

impl Refusal {
    #[cold]
    pub(super) fn denied(reason: DenialReason, principal: Principal) -> Self {
        let principal = reason.credential_is_valid().then(|| Box::new(principal));
        Self { error: reason.into(), principal }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, principal: None }
    }
}

/// Why a request is refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The host has no tenant's slug, or the tenant is not served.
    #[error("no such tenant")]
    TenantNotFound,
    /// The request names more than one host.
    #[error("{0}")]
    AmbiguousTenant(&'static str),
    /// The request names no host (RFC 9112, 3.2).
    #[error("the request has no Host")]
    MissingHost,
    /// The request has no credential.
    #[error("no credential")]
    MissingCredentials,
    /// The request has more than one credential.
    #[error("more than one credential")]
    AmbiguousCredentials,
    /// No key of the tenant has this secret. Also the error for a forged row and for a secret that has ended.
    #[error("invalid key")]
    InvalidKey,
    /// The secret is right, and its key has expired.
    #[error("expired key")]
    KeyExpired,
    /// The secret is right, and its key is revoked.
    #[error("revoked key")]
    KeyRevoked,
    /// The token is not valid.
    #[error("invalid token: {0}")]
    InvalidToken(&'static str),
    /// The token cannot be verified, since its issuer's keys cannot be fetched.
    #[error("the issuer's keys are not known")]
    IssuerUnavailable,
    /// The token has expired.
    #[error("expired token")]
    TokenExpired,
    /// The token is another tenant's.
    #[error("another tenant's token")]
    WrongTenant,
    /// The credential is valid and lacks this scope.
    #[error("needs scope {0}")]
    InsufficientScope(Scope),
    /// The credential is a user's, and the endpoint is for API keys.
    #[error("needs an API key")]
    KeyRequired,
    /// The queue for argon2 is full.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The database failed. Shared by the requests that waited for the same lookup.
    #[error(transparent)]
    Store(Arc<store::Error>),
    /// A lookup panicked. The panic hook has logged why.
    #[error("a lookup panicked")]
    Panicked,
    /// The router lacks a layer that provides this.
    #[error("a route lacks {0}")]
    Misrouted(&'static str),
}

impl From<DenialReason> for Error {
    fn from(reason: DenialReason) -> Self {
        match reason {
            DenialReason::KeyRevoked => Self::KeyRevoked,
            DenialReason::KeyExpired => Self::KeyExpired,
            DenialReason::SecretEnded => Self::InvalidKey,
            DenialReason::InsufficientScope(scope) => Self::InsufficientScope(scope),
            DenialReason::KeyRequired => Self::KeyRequired,
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<Arc<store::Error>> for Error {
    fn from(error: Arc<store::Error>) -> Self {
        Self::Store(error)
    }
}
