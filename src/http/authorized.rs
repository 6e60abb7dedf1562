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

use tracing::{Span, field::display};

use crate::{
    auth::{
        authenticator::{Authentication, Authenticator},
        error::Error,
        request::{AuthRequest, Peer, RequestId},
    },
    domain::{
        ApiKey, ApiKeyId, Clock, EventKind, KeyLimits, NewEvent, Principal, RemainingLimits, Revision, Scope, Tenant,
        Timestamp,
        access::{Facts, KeyFacts, Permission, RequiredAccess, SecretState, decide},
    },
    store::{self, Page, ReadTx, TenantStore, WriteTx},
};

/// The principal and a key's remaining limits, from [`Authorized`] for the layer around the handler, which writes the
/// headers about a calling key.
#[derive(Clone, Debug, Default)]
pub struct CallerSlot(pub Arc<OnceLock<(Principal, RemainingLimits)>>);

/// What an endpoint requires of its caller.
pub trait Requirement: Send + Sync + 'static {
    /// `target` is the key that the path names, if it names one.
    fn required_access(target: Option<ApiKeyId>) -> RequiredAccess;
}

/// Scope `read`.
pub struct Read;
/// Scope `admin`, to change keys.
pub struct Admin;
/// Scope `read`, or to be the key itself.
pub struct ReadOrItself;
/// Scope `admin`, or to be the key itself, to change it.
pub struct AdminOrItself;
/// Scope `admin`, or to be the key itself, to revoke it.
pub struct AdminOrItselfToRevoke;
/// To be a key.
pub struct AnyKey;
/// To be a key, to change itself.
pub struct AnyKeyToChange;

/// The caller is a key.
pub trait KeyOnly {}
impl KeyOnly for AnyKey {}
impl KeyOnly for AnyKeyToChange {}

impl Requirement for Read {
    fn required_access(_: Option<ApiKeyId>) -> RequiredAccess {
        RequiredAccess::to_use(Permission::Scope(Scope::Read))
    }
}

impl Requirement for Admin {
    fn required_access(_: Option<ApiKeyId>) -> RequiredAccess {
        RequiredAccess::to_change(Permission::Scope(Scope::Admin))
    }
}

impl Requirement for ReadOrItself {
    fn required_access(target: Option<ApiKeyId>) -> RequiredAccess {
        RequiredAccess::to_use(scope_or_itself(Scope::Read, target))
    }
}

impl Requirement for AdminOrItself {
    fn required_access(target: Option<ApiKeyId>) -> RequiredAccess {
        RequiredAccess::to_change(scope_or_itself(Scope::Admin, target))
    }
}

impl Requirement for AdminOrItselfToRevoke {
    fn required_access(target: Option<ApiKeyId>) -> RequiredAccess {
        RequiredAccess::to_revoke(scope_or_itself(Scope::Admin, target))
    }
}

impl Requirement for AnyKey {
    fn required_access(_: Option<ApiKeyId>) -> RequiredAccess {
        RequiredAccess::to_use(Permission::AnyKey)
    }
}

impl Requirement for AnyKeyToChange {
    fn required_access(_: Option<ApiKeyId>) -> RequiredAccess {
        RequiredAccess::to_change(Permission::AnyKey)
    }
}

fn scope_or_itself(scope: Scope, target: Option<ApiKeyId>) -> Permission {
    target.map_or(Permission::Scope(scope), |key| Permission::ScopeOrKey(scope, key))
}

/// A caller who has the access that `R` requires.
pub struct Authorized<R> {
    /// The caller.
    pub principal: Principal,
    /// The tenant of the request's host.
    pub tenant: Tenant,
    /// Private, so that a change goes through [`Self::begin_change`].
    keys: TenantStore,
    target: Option<ApiKeyId>,
    /// The calling key's, once a change has begun.
    own_limits: Option<KeyLimits>,
    address: IpAddr,
    base_url: String,
    request_id: RequestId,
    requirement: PhantomData<R>,
}

impl<R: Requirement> Authorized<R> {
    /// A transaction for a change. Access of a calling key is decided again, with the key locked: it may have been revoked
    /// or narrowed since the request began, and what it creates would outlive that. `principal` then has the key's
    /// present grants.
    pub async fn begin_change(&mut self, clock: &Clock) -> Result<WriteTx, Error> {
        let transaction = self.keys.begin_write().await?;
        self.decide_again(transaction, clock).await
    }

    /// As [`Self::begin_change`], for a change that may revoke access: it does not wait for other calls.
    pub async fn begin_revocation(&mut self, clock: &Clock) -> Result<WriteTx, Error> {
        let transaction = self.keys.begin_revocation().await?;
        self.decide_again(transaction, clock).await
    }

    async fn decide_again(&mut self, mut transaction: WriteTx, clock: &Clock) -> Result<WriteTx, Error> {
        if let (Some(id), Some(secret)) = (self.principal.key_id(), self.principal.secret()) {
            // Locks are taken in the order of ids, so that two keys that change each other do not deadlock.
            if let Some(target) = self.target.filter(|target| target.0 < id.0) {
                transaction.lock_key(target).await?;
            }
            let key = transaction.lock_key(id).await?.ok_or(Error::InvalidKey)?;
            // A secret that was deleted has ended.
            let secret = transaction.secret_state(&key, secret).await?.unwrap_or(SecretState::ENDED);
            self.principal = self.principal.with_grants_of(&key);
            self.own_limits = Some(key.limits.clone());
            self.decide(&key, secret, clock.now())?; // after the wait for the locks
        }
        Ok(transaction)
    }

    /// A transaction that reads a page of a list. From the second page on, access of a calling key is decided again: a
    /// long list gives nothing more to a key that was revoked meanwhile.
    pub async fn begin_read_of_page(&self, page: &Page, clock: &Clock) -> Result<ReadTx, Error> {
        let mut transaction = self.keys.begin_read().await?;
        if page.after.is_some() {
            self.read_own_key(&mut transaction, clock).await?;
        }
        Ok(transaction)
    }

    /// The calling key, after its access has been decided again. `None`: the caller is a user.
    pub async fn read_own_key(&self, transaction: &mut ReadTx, clock: &Clock) -> Result<Option<OwnKey>, Error> {
        let (Some(id), Some(secret)) = (self.principal.key_id(), self.principal.secret()) else { return Ok(None) };
        let key = transaction.key(id).await?.ok_or(Error::InvalidKey)?;
        let secret = transaction.secret_state(id, secret).await?.unwrap_or(SecretState::ENDED);
        self.decide(&key, secret, clock.now())?;
        Ok(Some(OwnKey { key, secret }))
    }

    /// Whether the caller has the access that another endpoint requires. `own`: of [`Self::read_own_key`].
    pub fn may<Other: Requirement>(&self, own: Option<&OwnKey>, now: Timestamp) -> bool {
        let required = Other::required_access(None);
        let facts = match own {
            Some(own) => self.facts_of(&own.key, own.secret, now, required),
            None => Facts { scopes: self.principal.scopes(), key: None, required },
        };
        decide(&facts).is_ok()
    }

    fn decide(&self, key: &ApiKey, secret: SecretState, now: Timestamp) -> Result<(), Error> {
        Ok(decide(&self.facts_of(key, secret, now, R::required_access(self.target)))?)
    }

    fn facts_of<'a>(
        &self,
        key: &'a ApiKey,
        secret: SecretState,
        now: Timestamp,
        required: RequiredAccess,
    ) -> Facts<'a> {
        let ApiKey { id, expires_at, revoked_at, suspension, ref limits, .. } = *key;
        let allowed_addresses = Some(&limits.allowed_addresses);
        let client_address = Some(self.address);
        let facts = KeyFacts { now, id, expires_at, revoked_at, suspension, secret, allowed_addresses, client_address };
        Facts { scopes: key.scopes, key: Some(facts), required }
    }
}

/// Appends receipts to the tenant's audit trail, whatever has become of the caller's own access.
pub struct ReceiptLog(TenantStore);

impl ReceiptLog {
    pub async fn append(&self, revision: Revision, receipt: &NewEvent) -> Result<(), store::Error> {
        self.0.append_receipt(revision, receipt).await
    }
}

/// The calling key, and the secret that it presented.
pub struct OwnKey {
    pub key: ApiKey,
    secret: SecretState,
}

impl<R> Authorized<R> {
    /// A transaction that reads the tenant's keys.
    pub async fn begin_read(&self) -> Result<ReadTx, store::Error> {
        self.keys.begin_read().await
    }

    #[must_use]
    pub fn receipt_log(&self) -> ReceiptLog {
        ReceiptLog(self.keys.clone())
    }

    /// The limits of the calling key, once a change has begun; `None`: the caller is a user.
    #[must_use]
    pub const fn own_limits(&self) -> Option<&KeyLimits> {
        self.own_limits.as_ref()
    }

    /// The absolute URL of a path, on the host that the request named.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    /// An audit event of this caller and request.
    #[must_use]
    pub fn event(&self, kind: EventKind, key: impl Into<Option<ApiKeyId>>, at: Timestamp) -> NewEvent {
        NewEvent::new(kind, key, &self.principal, at).with_request(Some(self.address), self.request_id.as_str())
    }
}

impl<R: KeyOnly> Authorized<R> {
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
        let target = target(parts, state).await;
        if let Some(target) = target {
            record_key(target);
        }
        let request_id = parts.extensions.get::<RequestId>().cloned().ok_or(Error::Misrouted("a request id"))?;
        let peer = *parts.extensions.get::<Peer>().ok_or(Error::Misrouted("the peer's address"))?;
        let authentication = authenticator.begin(AuthRequest {
            uri: &parts.uri,
            headers: &parts.headers,
            peer,
            request_id: &request_id,
            required: R::required_access(target),
            span: &Span::current(),
        });
        let outcome = match authentication {
            Authentication::Ready(outcome) => outcome,
            Authentication::Pending(lookup) => authenticator.resolve(lookup).await,
        };
        let caller = match &outcome {
            Ok(caller) => Some((&caller.principal, &caller.remaining_limits)),
            Err(refusal) => refusal.valid_caller(),
        };
        if let (Some((principal, remaining_limits)), Some(CallerSlot(slot))) = (caller, parts.extensions.get()) {
            let _ = slot.set((principal.clone(), remaining_limits.clone()));
        }
        let caller = outcome.map_err(|refusal| refusal.error)?;
        Ok(Self {
            target,
            own_limits: None,
            keys: authenticator.tenant_store(&caller),
            address: authenticator.tenancy.trusted_proxies.client_address(&parts.headers, peer.0),
            base_url: authenticator.tenancy.base_url(&parts.uri, &parts.headers, peer.0),
            principal: caller.principal,
            tenant: caller.tenant,
            request_id,
            requirement: PhantomData,
        })
    }
}

/// Records the key that a request is about in its span, for the log.
pub(super) fn record_key(key: ApiKeyId) {
    Span::current().record("key_id", display(key));
}

/// The key of the path's `{id}`, if there is one.
async fn target<S: Send + Sync>(parts: &mut Parts, state: &S) -> Option<ApiKeyId> {
    let params = RawPathParams::from_request_parts(parts, state).await.ok()?;
    params.iter().find(|(name, _)| *name == "id").and_then(|(_, id)| ApiKeyId::parse(id))
}
