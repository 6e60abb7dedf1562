//! Credential → principal.
//!
//! [`Authorized`] is how a handler asks for it: the extractor resolves the tenant from the
//! host, checks the one credential, and demands what its type parameter says. It carries the
//! principal, the tenant and the tenant's part of the store, and there is no other way for a
//! handler to get the last: forgetting authentication or the tenant does not compile.
//!
//! Refuses: to guess. Two credentials, two hosts, a forwarded host that differs: all are 400.

pub mod bearer;
pub mod cache;
pub mod cache_key;
pub mod credential;
pub mod fair_pool;
pub mod feed;
pub mod hashing;
pub mod host;
pub mod jwk;
pub mod jwks;
pub mod known;
pub mod lease;
pub mod metrics;
pub mod pepper;
pub mod verdicts;
pub mod verifier;

use std::{
    marker::PhantomData,
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use axum::{
    extract::{FromRef, FromRequestParts, RawPathParams},
    http::{HeaderMap, HeaderValue, Uri, header, request::Parts},
};

use futures_util::FutureExt as _;
use tracing::level_filters::LevelFilter;
use uuid::Uuid;

pub use self::hashing::SecretHasher;
use self::{
    bearer::TokenVerifier,
    cache::Remembered,
    credential::Credential,
    fair_pool::Busy,
    host::Tenancy,
    verdicts::{KnownSecret, Verdicts},
    verifier::KeyVerifier,
};
use crate::{
    domain::{ApiKeyId, Clock, EventKind, NewEvent, Principal, Scope, Slug, Status, Tenant, Timestamp},
    store::{self, Store, TenantStore, TenantTransaction},
    usage::Client,
};

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
    Busy(#[from] Busy),
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

/// Where a request comes from, as the accept loop tells it.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// The request's id. Kept as its answer will tell it.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// That text, where a header can tell it (RFC 9110, 5.5).
    #[must_use]
    pub fn new(text: String) -> Option<Self> {
        HeaderValue::try_from(text).ok().filter(|value| value.to_str().is_ok()).map(Self)
    }

    /// A new one (UUID, RFC 9562).
    #[must_use]
    pub fn random() -> Self {
        let id = Uuid::new_v4().hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned();
        Self(HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static(""))) // hex digits and hyphens
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default() // it was text when it was made
    }

    /// The same for a header.
    #[must_use]
    pub fn into_header_value(self) -> HeaderValue {
        self.0
    }
}

/// Where [`Authorized`] leaves the principal for the layer around the handler, which tells a key
/// in its answer what it should know about itself.
#[derive(Clone, Debug, Default)]
pub struct CallerSlot(pub Arc<OnceLock<Principal>>);

/// A request, as far as it tells who is asking.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// Its target.
    pub uri: &'a Uri,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Who sent it to us.
    pub peer: Peer,
    /// Its id.
    pub request_id: &'a RequestId,
}

/// Whose credential held.
pub struct Caller {
    /// The tenant that the request's host names.
    pub tenant: Tenant,
    /// Who it is.
    pub principal: Principal,
    /// Where a key's use was noted, and under which moment.
    used: Option<(Arc<Remembered<KnownSecret>>, Timestamp)>,
}

impl Caller {
    fn with_key(tenant: Tenant, (known, at): (Arc<Remembered<KnownSecret>>, Timestamp)) -> Self {
        Self { tenant, principal: known.principal(), used: Some((known, at)) }
    }
}

/// Everything that it takes to authenticate a request.
pub struct Authenticator {
    /// Hands out tenants' parts.
    pub store: Store,
    /// Reads hosts.
    pub tenancy: Tenancy,
    /// Checks JWTs.
    pub tokens: TokenVerifier,
    /// Checks secrets.
    pub keys: KeyVerifier,
    /// What is remembered.
    pub verdicts: Arc<Verdicts>,
}

impl Authenticator {
    /// Whose credential it is that a request brings, where what is remembered tells: at once. `None`:
    /// that has to be found out.
    pub fn recall(&self, asking: Asking<'_>) -> Option<Result<Caller, Error>> {
        let slug = match self.slug(asking) {
            Ok(slug) => slug,
            Err(error) => return Some(Err(error)),
        };
        let (group, key) = self.verdicts.tenant_key(&slug);
        let read = self.verdicts.tenants.read(&group, key, |tenant| ***tenant)?;
        let (tenant, mut recalled) = match Credential::from_headers(asking.headers) {
            Ok(Credential::Token(token)) => {
                let tenant = self.verdicts.vouch(read)?;
                let recalled = self.tokens.recall(token, &tenant)?;
                (tenant, recalled.map(|principal| Caller { tenant, principal, used: None }))
            }
            Ok(Credential::Secret(Some(secret))) => {
                let (tenant, recalled) = self.keys.recall(read, &secret, self.client(asking), asking.request_id)?;
                (tenant, recalled.map(|used| Caller::with_key(tenant, used)))
            }
            Ok(Credential::Secret(None)) => (self.verdicts.vouch(read)?, Err(Error::InvalidKey)),
            Err(error) => (self.verdicts.vouch(read)?, Err(error)),
        };
        self.verdicts.tenants.count_hit();
        // To look for a span that is not there would be a part of what the rest costs.
        if LevelFilter::current() >= LevelFilter::DEBUG {
            note_tenant(&tenant);
            recalled = recalled.inspect(note_principal);
        }
        Some(recalled)
    }

    /// Whose credential it is that a request brings, whatever it takes to find out.
    pub async fn authenticate(&self, asking: Asking<'_>) -> Result<Caller, Error> {
        let tenant = self.tenant(self.slug(asking)?).await?;
        note_tenant(&tenant);
        let caller = match Credential::from_headers(asking.headers)? {
            Credential::Token(token) => {
                Caller { tenant, principal: self.tokens.verify(token, &tenant).await?, used: None }
            }
            Credential::Secret(Some(secret)) => {
                let verified = self.keys.verify(&tenant, secret, self.client(asking), asking.request_id);
                Caller::with_key(tenant, verified.await?)
            }
            Credential::Secret(None) => return Err(Error::InvalidKey),
        };
        note_principal(&caller);
        Ok(caller)
    }

    /// Passes on whether the caller may do what it asks for; that its scopes do not suffice is noted
    /// among the uses of its key.
    pub fn allow(&self, caller: &Caller, outcome: Result<(), Error>) -> Result<(), Error> {
        if let (Err(Error::InsufficientScope(_)), Some((known, at))) = (&outcome, &caller.used) {
            self.keys.denied(known, *at);
        }
        outcome
    }

    fn slug(&self, Asking { uri, headers, peer, .. }: Asking<'_>) -> Result<Slug, Error> {
        self.tenancy.slug(uri, headers, peer.0)?.ok_or(Error::TenantNotFound)
    }

    async fn tenant(&self, slug: Slug) -> Result<Tenant, Error> {
        let (group, key) = self.verdicts.tenant_key(&slug);
        let store = self.store.clone();
        let ask = || async move { store.find_tenant(&slug).await?.ok_or(Error::TenantNotFound) }.boxed();
        let (tenant, _) = self.verdicts.tenants.get_or_ask(&group, key, ask).await?;
        Ok(**tenant)
    }

    fn client<'a>(&self, Asking { headers, peer, .. }: Asking<'a>) -> Client<'a> {
        Client {
            address: Some(self.tenancy.client_address(headers, peer.0)),
            user_agent: headers.get(header::USER_AGENT).map(HeaderValue::as_bytes),
        }
    }
}

fn note_tenant(tenant: &Tenant) {
    tracing::Span::current().record("tenant", tenant.slug.as_str());
}

fn note_principal(caller: &Caller) {
    tracing::Span::current().record("principal", tracing::field::display(&caller.principal));
}

/// What an endpoint demands of its caller.
pub trait Requirement {
    /// Whether `principal` may act on `target` (the key that the path names, if it names one).
    fn check(principal: &Principal, target: Option<ApiKeyId>) -> Result<(), Error>;
}

/// Demands a scope.
pub fn require(principal: &Principal, scope: Scope) -> Result<(), Error> {
    if principal.allows(scope) { Ok(()) } else { Err(Error::InsufficientScope(scope)) }
}

/// Scope `read`.
pub struct Read;
/// Scope `admin`.
pub struct Admin;
/// Scope `read`, or to be the key itself.
pub struct ReadOrItself;
/// Scope `admin`, or to be the key itself.
pub struct AdminOrItself;
/// To be a key.
pub struct AnyKey;

impl Requirement for Read {
    fn check(principal: &Principal, _: Option<ApiKeyId>) -> Result<(), Error> {
        require(principal, Scope::Read)
    }
}

impl Requirement for Admin {
    fn check(principal: &Principal, _: Option<ApiKeyId>) -> Result<(), Error> {
        require(principal, Scope::Admin)
    }
}

impl Requirement for ReadOrItself {
    fn check(principal: &Principal, target: Option<ApiKeyId>) -> Result<(), Error> {
        if target.is_some() && principal.key_id() == target { Ok(()) } else { require(principal, Scope::Read) }
    }
}

impl Requirement for AdminOrItself {
    fn check(principal: &Principal, target: Option<ApiKeyId>) -> Result<(), Error> {
        if target.is_some() && principal.key_id() == target { Ok(()) } else { require(principal, Scope::Admin) }
    }
}

impl Requirement for AnyKey {
    fn check(principal: &Principal, _: Option<ApiKeyId>) -> Result<(), Error> {
        principal.key_id().map(drop).ok_or(Error::KeyRequired)
    }
}

/// A caller who may do what `R` says.
pub struct Authorized<R> {
    /// Who is calling.
    pub principal: Principal,
    /// In which tenant.
    pub tenant: Tenant,
    /// That tenant's part of the database.
    pub keys: TenantStore,
    target: Option<ApiKeyId>,
    address: IpAddr,
    request_id: RequestId,
    requirement: PhantomData<R>,
}

impl<R: Requirement> Authorized<R> {
    /// A transaction for a change. A calling key is looked at again, under a lock: it may have
    /// been revoked or narrowed since the request began, or its secret rotated away, and what it
    /// then still made would outlive that. From here on, `principal` is what the key is now.
    pub async fn begin_change(&mut self, clock: &Clock) -> Result<TenantTransaction, Error> {
        let transaction = self.keys.begin().await?;
        self.look_again(transaction, clock).await
    }

    /// The same for a change of secrets, which may have to wait.
    pub async fn begin_changing_secrets(&mut self, clock: &Clock) -> Result<TenantTransaction, Error> {
        let transaction = self.keys.begin_changing_secrets().await?;
        self.look_again(transaction, clock).await
    }

    async fn look_again(
        &mut self,
        mut transaction: TenantTransaction,
        clock: &Clock,
    ) -> Result<TenantTransaction, Error> {
        if let (Some(id), Some(secret)) = (self.principal.key_id(), self.principal.secret()) {
            // Locks are taken in the order of ids: two keys that change each other do not wait for
            // one another.
            if let Some(target) = self.target.filter(|target| target.0 < id.0) {
                transaction.key_for_update(target).await?;
            }
            let caller = transaction.key_for_update(id).await?.ok_or(Error::InvalidKey)?;
            let now = clock.now(); // which has gone on while it waited
            match caller.status(now) {
                Status::Active => {}
                Status::Expired => return Err(Error::KeyExpired),
                Status::Revoked => return Err(Error::KeyRevoked),
            }
            if !transaction.secret_works(id, secret, now).await? {
                return Err(Error::InvalidKey);
            }
            self.principal = self.principal.narrowed_to(&caller);
            R::check(&self.principal, self.target)?;
        }
        Ok(transaction)
    }
}

impl<R> Authorized<R> {
    /// An entry for the audit trail: this caller, in this request, did that to that key.
    #[must_use]
    pub fn event(&self, kind: EventKind, key: ApiKeyId, at: Timestamp) -> NewEvent {
        NewEvent::new(kind, key, &self.principal, at).from_request(Some(self.address), self.request_id.as_str())
    }
}

impl Authorized<AnyKey> {
    /// The calling key.
    pub fn key_id(&self) -> Result<ApiKeyId, Error> {
        self.principal.key_id().ok_or(Error::KeyRequired)
    }
}

impl<S, R> FromRequestParts<S> for Authorized<R>
where
    S: Send + Sync,
    Arc<Authenticator>: FromRef<S>,
    R: Requirement,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let authenticator = Arc::<Authenticator>::from_ref(state);
        let request_id = parts.extensions.get::<RequestId>().cloned().ok_or(Error::Misrouted("a request id"))?;
        let peer = *parts.extensions.get::<Peer>().ok_or(Error::Misrouted("the peer's address"))?;
        let asking = Asking { uri: &parts.uri, headers: &parts.headers, peer, request_id: &request_id };
        let caller = authenticator.authenticate(asking).await?;
        if let Some(CallerSlot(slot)) = parts.extensions.get() {
            let _ = slot.set(caller.principal.clone());
        }
        let target = target(parts, state).await;
        authenticator.allow(&caller, R::check(&caller.principal, target))?;
        Ok(Self {
            target,
            keys: authenticator.store.tenant(&caller.tenant),
            address: authenticator.tenancy.client_address(&parts.headers, peer.0),
            principal: caller.principal,
            tenant: caller.tenant,
            request_id,
            requirement: PhantomData,
        })
    }
}

/// The key that the path names as `{id}`, if it names one.
async fn target<S: Send + Sync>(parts: &mut Parts, state: &S) -> Option<ApiKeyId> {
    let params = RawPathParams::from_request_parts(parts, state).await.ok()?;
    params.iter().find(|(name, _)| *name == "id").and_then(|(_, id)| ApiKeyId::parse(id))
}
