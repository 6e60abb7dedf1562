//! Why a request is refused.

use std::{net::IpAddr, sync::Arc};

use crate::{
    domain::{
        ApiKeyId, Budget, KeyHint, LookupDigest, Principal, QuotaUse, RemainingLimits, Scope, Slug, Tenant, Timestamp,
        access::DenialReason,
    },
    store,
    turns::Overloaded,
};

/// A refused request.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: Error,
    /// `None`: the tenant is not known. Boxed, to keep the more frequent success small.
    pub(crate) caller: Option<Box<RefusedCaller>>,
}

/// The identity of a refused caller, as far as it is known.
#[derive(Debug)]
pub(crate) struct RefusedCaller {
    pub(crate) tenant: Slug,
    /// See [`Self::principal`].
    principal: Option<Principal>,
    /// The credential is valid; it lacks permission.
    is_valid: bool,
    /// Empty if the credential is not that of a valid key.
    remaining_limits: RemainingLimits,
}

impl RefusedCaller {
    /// The principal that the credential identifies, also if its key is revoked or expired. For the log, not for the client.
    pub(crate) const fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }
}

impl Refusal {
    #[cold]
    pub(super) fn denied(
        reason: DenialReason,
        tenant: &Tenant,
        principal: Principal,
        remaining_limits: RemainingLimits,
    ) -> Self {
        let is_valid = reason.credential_is_valid();
        let caller = RefusedCaller { tenant: tenant.slug, principal: Some(principal), is_valid, remaining_limits };
        Self { error: reason.into(), caller: Some(Box::new(caller)) }
    }

    pub(super) fn of_tenant(tenant: &Tenant, error: Error) -> Self {
        let caller = RefusedCaller {
            tenant: tenant.slug,
            principal: None,
            is_valid: false,
            remaining_limits: RemainingLimits::default(),
        };
        Self { error, caller: Some(Box::new(caller)) }
    }

    /// The caller and its remaining limits, if the credential is valid and only does not permit what the request requires.
    pub(crate) fn valid_caller(&self) -> Option<(&Principal, &RemainingLimits)> {
        let caller = self.caller.as_ref().filter(|caller| caller.is_valid)?;
        Some((caller.principal.as_ref()?, &caller.remaining_limits))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, caller: None }
    }
}

/// A decoy whose secret was used.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the types say it")]
pub struct DecoyKey {
    pub key: ApiKeyId,
    pub lookup_digest: LookupDigest,
    pub hint: KeyHint,
}

/// Why a request is refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The host has no tenant's slug, or the tenant is not served. With the URL of an example.
    #[error("no such tenant")]
    TenantNotFound(String),
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
    /// A trusted proxy reports that the client spoke plain HTTP.
    #[error("plain HTTP")]
    PlainHttp,
    /// No key of the tenant has this secret. Also the error for a forged row and for a secret that has ended.
    #[error("invalid key")]
    InvalidKey,
    /// The secret of a decoy. Recorded and then refused as [`Self::InvalidKey`] by `Authenticator`, so that nobody sees the difference.
    #[error("decoy")]
    Decoy(DecoyKey),
    /// The secret is right, and its key has expired.
    #[error("expired key")]
    KeyExpired,
    /// The secret is right, and its key is revoked.
    #[error("revoked key")]
    KeyRevoked,
    /// The secret is right, and its key is suspended.
    #[error("suspended key")]
    KeySuspended,
    /// The secret is right, and its key may not be used from the client's address. `None`: it is unknown, which is denied too.
    #[error("the key may not be used from this address")]
    AddressNotAllowed(Option<IpAddr>),
    /// The token is not valid.
    #[error("invalid token: {0}")]
    InvalidToken(#[from] TokenError),
    /// The token cannot be verified, since its issuer's keys cannot be fetched.
    #[error("the issuer's keys are not known")]
    IssuerUnavailable,
    /// The token has expired.
    #[error("expired token")]
    TokenExpired,
    /// The token is not for the tenant of the host, with the reason in a sentence.
    #[error("{0}")]
    WrongTenant(String),
    /// The credential is valid and lacks this scope.
    #[error("needs scope {0}")]
    InsufficientScope(Scope),
    /// The token is valid and lacks a scope, with what was read from it, in a sentence.
    #[error("needs scope {0}: {1}")]
    TokenLacksScope(Scope, String),
    /// The key has exceeded its rate limit.
    #[error("the rate limit is exceeded until {until}")]
    RateLimited {
        /// The rate limit and its remaining budget.
        budget: Budget,
        /// When the next request may come.
        until: Timestamp,
    },
    /// The credential is a user's, and the endpoint is for API keys.
    #[error("needs an API key")]
    KeyRequired,
    /// The secret still works, and the request needs the one that has replaced it.
    #[error("needs the key's current secret")]
    SecretRetired,
    /// The key has exhausted its quota.
    #[error("the quota is exhausted until {}", .0.resets_at)]
    QuotaExceeded(QuotaUse),
    /// See [`Overloaded`].
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

/// Why a token is not valid. Each text follows "The Bearer token was refused: " in a response; the strings in them are
/// quoted from the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The scheme is another one, or the token is missing.
    #[error("Authorization must be `Bearer <token>`")]
    NotBearer,
    /// It has not three parts.
    #[error("it is not a JWT, which has three parts with dots between them")]
    NotAJwt,
    /// A JWE (RFC 7516).
    #[error(
        "it is encrypted (JWE), and only signed JWTs can be verified; ask the issuer for an access token for this API"
    )]
    Encrypted,
    /// The header or the payload.
    #[error("it is not a JWT: its {0} is not a JSON object in base64url")]
    Malformed(&'static str),
    /// `typ` of the header.
    #[error("its type (`typ`) is {0}; accepted are `JWT`, `at+jwt`, or none")]
    Type(String),
    /// A critical extension (RFC 7515, 4.1.11).
    #[error("its `crit` header asks for what is not supported")]
    Critical,
    /// `alg` is missing or not text.
    #[error("its header names no algorithm (`alg`)")]
    NoAlgorithm,
    /// `kid` is not a string.
    #[error("its header has a `kid` that is not a string")]
    KeyId,
    /// No key could be for it.
    #[error("its algorithm {0} is not supported")]
    UnsupportedAlgorithm(String),
    /// Supported, and not an algorithm of the keys that it may be signed by.
    #[error("its algorithm {0} is not the configured key's")]
    WrongAlgorithm(String),
    /// `iss` is missing or not text.
    #[error("it has no `iss`")]
    NoIssuer,
    /// `iss` is another one.
    #[error("its issuer (`iss`) {0} is not trusted")]
    UntrustedIssuer(String),
    /// The issuer's key set is empty, or none of its keys is for signatures that are supported.
    #[error("its issuer publishes no usable key")]
    NoUsableKey,
    /// The issuer's key set has no key of that `kid`.
    #[error("its issuer has no such key (`kid`)")]
    NoSuchKey,
    /// No trusted key has signed it.
    #[error("its signature does not match")]
    WrongSignature,
    /// Neither `aud` nor what stands for it.
    #[error("it has no `aud`")]
    NoAudience,
    /// The claim that names another audience: `aud`, `client_id` or `azp`.
    #[error("it is not meant for this service (`{0}`)")]
    WrongAudience(&'static str),
    /// It has a claim `cnf` (RFC 7800), as DPoP- and certificate-bound tokens do.
    #[error("it is bound to a key of its sender (`cnf`), and only Bearer tokens are accepted")]
    SenderConstrained,
    /// `exp` is missing.
    #[error("it has no `exp`")]
    NoExpiry,
    /// `exp` or `nbf`, and why it is not a time.
    #[error("its `{0}` {1}")]
    BadTime(&'static str, &'static str),
    /// `nbf` is ahead.
    #[error("it is not valid yet (`nbf`)")]
    NotYetValid,
    /// Each claim that could name the user, and why it does not.
    #[error("it does not name its user: {0}")]
    NoName(String),
    /// `iss` or `sub`, and why the audit trail cannot keep it.
    #[error("its `{0}` {1}")]
    Unrecordable(&'static str, &'static str),
}

impl From<DenialReason> for Error {
    fn from(reason: DenialReason) -> Self {
        match reason {
            DenialReason::KeyRevoked => Self::KeyRevoked,
            DenialReason::KeySuspended => Self::KeySuspended,
            DenialReason::AddressNotAllowed(address) => Self::AddressNotAllowed(address),
            DenialReason::KeyExpired => Self::KeyExpired,
            DenialReason::SecretEnded => Self::InvalidKey,
            DenialReason::InsufficientScope(scope) => Self::InsufficientScope(scope),
            DenialReason::KeyRequired => Self::KeyRequired,
            DenialReason::RateLimited { budget, until } => Self::RateLimited { budget, until },
            DenialReason::SecretRetired => Self::SecretRetired,
            DenialReason::QuotaExceeded(quota) => Self::QuotaExceeded(quota),
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
