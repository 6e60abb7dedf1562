//! [`Authorized`]: the extractor without which no handler can reach a tenant's keys.

use std::{
    marker::PhantomData,
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use axum::{
    extract::{FromRef, FromRequestParts, RawPathParams},
    http::request::Parts,
};

use crate::{
    auth::{
        authenticator::Authenticator,
        error::Error,
        request::{Asking, Peer, RequestId},
    },
    domain::{ApiKeyId, Clock, EventKind, NewEvent, Principal, Scope, Status, Tenant, Timestamp},
    store::{TenantStore, WriteTx},
};

/// Where [`Authorized`] leaves the principal for the layer around the handler, which tells a key
/// in its answer what it should know about itself.
#[derive(Clone, Debug, Default)]
pub struct CallerSlot(pub Arc<OnceLock<Principal>>);

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
    pub async fn begin_change(&mut self, clock: &Clock) -> Result<WriteTx, Error> {
        let mut transaction = self.keys.begin_write().await?;
        if let (Some(id), Some(secret)) = (self.principal.key_id(), self.principal.secret()) {
            // Locks are taken in the order of ids: two keys that change each other do not wait for
            // one another.
            if let Some(target) = self.target.filter(|target| target.0 < id.0) {
                transaction.lock_key(target).await?;
            }
            let caller = transaction.lock_key(id).await?.ok_or(Error::InvalidKey)?;
            let now = clock.now(); // which has gone on while it waited
            match caller.status(now) {
                Status::Active => {}
                Status::Expired => return Err(Error::KeyExpired),
                Status::Revoked => return Err(Error::KeyRevoked),
            }
            // A secret that was deleted has ended.
            let secret_end = transaction.secret_expires_at(&caller, secret).await?.unwrap_or(Some(Timestamp::MIN_UTC));
            if secret_end.is_some_and(|end| end <= now) {
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
            keys: authenticator.tenant_store(&caller),
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
