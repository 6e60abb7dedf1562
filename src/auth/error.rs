//! Why a caller is not let in.

use std::sync::Arc;

use super::api_key::argon2_pool::Overloaded;
use crate::{domain::Scope, store};

/// Why a caller is not let in.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The host names no tenant that is served.
    #[error("no such tenant")]
    TenantNotFound,
    /// The request names more than one host.
    #[error("{0}")]
    AmbiguousTenant(&'static str),
    /// The request names no host (RFC 9112, 3.2).
    #[error("the request has no Host")]
    MissingHost,
    /// No credential.
    #[error("no credential")]
    MissingCredentials,
    /// More than one credential.
    #[error("more than one credential")]
    AmbiguousCredentials,
    /// No key has this secret, or everything else that is wrong with a key.
    #[error("invalid key")]
    InvalidKey,
    /// The secret is right and its time is over.
    #[error("expired key")]
    KeyExpired,
    /// The secret is right and its key was revoked.
    #[error("revoked key")]
    KeyRevoked,
    /// The token does not hold.
    #[error("invalid token: {0}")]
    InvalidToken(&'static str),
    /// Whether the token holds cannot be known: the issuer's keys cannot be had.
    #[error("the issuer's keys are not known")]
    IssuerUnavailable,
    /// The token's time is over.
    #[error("expired token")]
    TokenExpired,
    /// The token is another tenant's.
    #[error("another tenant's token")]
    WrongTenant,
    /// The credential holds and does not allow this.
    #[error("needs scope {0}")]
    InsufficientScope(Scope),
    /// What a key asks about itself was asked by a person.
    #[error("needs an API key")]
    KeyRequired,
    /// Too much hashing is under way.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The database failed. Shared by the requests that asked it together.
    #[error(transparent)]
    Store(Arc<store::Error>),
    /// A look-up panicked; the panic itself was logged by the hook.
    #[error("a look-up panicked")]
    Panicked,
    /// The router was put together wrongly.
    #[error("a route lacks {0}")]
    Misrouted(&'static str),
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
