//! Authentication and access control of a request, in one flow for cached and uncached callers.
//!
//! `Authenticator::begin` answers from the caches alone. After a miss it returns a `Lookup`, which has everything that
//! was computed so far, and `Authenticator::resolve` finishes it with the database or the issuer.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::http::{HeaderValue, header};
use futures_util::FutureExt as _;
use tracing::Span;

use super::{
    api_key::verifier::{Authorization, Decision, KeyRequest, KeyVerifier, Verified},
    cache::{AuthCache, key::Miss, lease::Lease, receipts::Receipts},
    credential::Credential,
    error::{Error, Refusal},
    jwt::verifier::TokenVerifier,
    request::{AuthRequest, RequestId},
    request_span::{record_caller, record_tenant},
    tenant_host::TenantResolver,
};
use crate::{
    domain::{
        Moment, Principal, RateLimit, RemainingLimits, Revision, Secret, Slug, Tenant,
        access::{Facts, RequiredAccess, decide},
    },
    store::{self, Database, Lookups, TenantStore, TenantStores},
    usage::Client,
};

/// A caller who may do what its request requires. Only [`Authenticator`] makes one.
pub(crate) struct Caller {
    pub(crate) tenant: Tenant,
    pub(crate) principal: Principal,
    /// Empty for a user.
    pub(crate) remaining_limits: RemainingLimits,
    _authenticated: (),
}

/// What [`Authenticator::begin`] returns.
pub(crate) enum Authentication {
    /// The decision.
    Ready(Result<Caller, Refusal>),
    /// A cache miss, or a rate limit that Redis counts. Boxed, to keep the more frequent [`Self::Ready`] small.
    Pending(Box<Lookup>),
}

/// An authentication that needs the database, an issuer or Redis, with what was computed before.
pub(crate) struct Lookup {
    step: Step,
    client_address: IpAddr,
    user_agent: Option<HeaderValue>,
    request_id: RequestId,
    required: RequiredAccess,
    span: Span,
}

/// The step that needs I/O.
enum Step {
    Miss {
        misses: Misses,
        /// An error counts only once the tenant is known.
        credential: Result<OwnedCredential, Error>,
    },
    RateLimit {
        tenant: Tenant,
        verified: Verified,
        limit: RateLimit,
    },
}

/// What was not in the caches.
struct Misses {
    tenant: TenantLookup,
    /// `None`: the cache was not read for the credential, since the tenant was a miss.
    credential: Option<Miss>,
}

enum TenantLookup {
    Cached(Tenant),
    /// With the URL of an example, for the error where there is no such tenant.
    Missed(Slug, Miss, String),
}

enum OwnedCredential {
    Token(Box<str>),
    Secret(Secret),
}

impl From<Credential<'_>> for OwnedCredential {
    fn from(credential: Credential<'_>) -> Self {
        match credential {
            Credential::Token(token) => Self::Token(token.into()),
            Credential::Secret(secret) => Self::Secret(secret),
        }
    }
}

/// Authenticates requests and decides about access.
pub struct Authenticator {
    lookups: Lookups,
    tenant_stores: TenantStores,
    /// Finds the tenant's slug in a request's host.
    pub tenancy: TenantResolver,
    /// Verifies users' tokens.
    pub tokens: TokenVerifier,
    /// Verifies API keys.
    pub keys: KeyVerifier,
    /// Tenants and verified secrets.
    pub cache: Arc<AuthCache>,
}

impl Authenticator {
    /// An authenticator over these parts.
    #[must_use]
    pub fn new(
        database: &Database,
        tenancy: TenantResolver,
        tokens: TokenVerifier,
        keys: KeyVerifier,
        cache: Arc<AuthCache>,
    ) -> Self {
        let (lookups, tenant_stores) = (database.lookups(), database.tenant_stores());
        Self { lookups, tenant_stores, tenancy, tokens, keys, cache }
    }

    /// The store of an authenticated caller's tenant: the only way for a handler to get one.
    pub(crate) fn tenant_store(&self, caller: &Caller) -> TenantStore {
        self.tenant_stores.tenant(caller.tenant.id)
    }

    /// Fails if the database does not respond.
    pub(crate) async fn ping_database(&self) -> Result<(), store::Error> {
        self.lookups.ping().await
    }

    pub(crate) fn lease(&self) -> &Lease {
        self.cache.lease()
    }

    /// Waits, up to the limit, until this instance's cache reflects a revision of the host's tenant. False: it does not yet, or
    /// the tenant has no such revision.
    pub(crate) async fn wait_for_revision(
        &self,
        request: AuthRequest<'_>,
        revision: Revision,
        receipts: &Receipts,
        limit: Duration,
    ) -> Result<bool, Error> {
        let slug = self.slug(request)?;
        let (group, key) = self.cache.tenant_key(&slug);
        let tenant = match self.cache.tenants.get(&group, key) {
            Some(tenant) => tenant.id,
            None => self.fetch_tenant(slug, Miss(key), self.example_url(request)).await?.id,
        };
        if let Some(of) = receipts.contains(revision) {
            return Ok(of == tenant);
        }
        if !self.tenant_stores.tenant(tenant).begin_read().await?.revision_exists(revision).await? {
            return Ok(false);
        }
        // It is committed, so what is asked now comes back after it.
        let is_reached = receipts.wait_for(Moment::now()).is_received_within(limit).await;
        if is_reached {
            receipts.set_contained(revision, tenant);
        }
        Ok(is_reached)
    }

    /// Authenticates and decides from the caches alone, without I/O.
    pub(crate) fn begin(&self, request: AuthRequest<'_>) -> Authentication {
        let AuthRequest { headers, request_id, required, span, peer, .. } = request;
        if self.tenancy.must_refuse_plain_http(headers, peer.0) {
            return Authentication::Ready(Err(self.refuse_plain_http(request)));
        }
        let slug = match self.slug(request) {
            Ok(slug) => slug,
            Err(error) => return Authentication::Ready(Err(error.into())),
        };
        let credential = Credential::from_headers(headers);
        let (group, key) = self.cache.tenant_key(&slug);
        let tenant_missed = || {
            let tenant = TenantLookup::Missed(slug, Miss(key), self.example_url(request));
            Misses { tenant, credential: None }
        };
        let credential_missed = |tenant, miss| Misses { tenant: TenantLookup::Cached(tenant), credential: Some(miss) };
        let Some(read) = self.cache.tenants.read(&group, key, |tenant| ***tenant) else {
            return self.missed(request, tenant_missed(), credential.map(OwnedCredential::from));
        };
        let validate = || self.cache.validate(read).inspect(|_| self.cache.tenants.count_hit());
        match credential {
            // The tenant is validated together with the secret: each validation reads the clock.
            Ok(Credential::Secret(secret)) => match self.keys.verify_cached(read, &secret) {
                Ok((tenant, verified)) => {
                    self.cache.tenants.count_hit();
                    let client = client(self.client_address(request), headers.get(header::USER_AGENT));
                    match self.keys.authorize(&verified, &KeyRequest { required, client, request_id }) {
                        Authorization::Decided(decision) => {
                            Authentication::Ready(conclude(span, tenant, verified.principal(), decision))
                        }
                        Authorization::NeedsRedis(limit) => {
                            self.pending(request, Step::RateLimit { tenant, verified, limit })
                        }
                    }
                }
                Err(miss) => {
                    let misses = validate().map_or_else(tenant_missed, |tenant| credential_missed(tenant, miss));
                    self.missed(request, misses, Ok(OwnedCredential::Secret(secret)))
                }
            },
            Ok(Credential::Token(token)) => {
                let missed = |misses| self.missed(request, misses, Ok(OwnedCredential::Token(token.into())));
                let Some(tenant) = validate() else { return missed(tenant_missed()) };
                match self.tokens.verify_cached(token, &tenant) {
                    Ok(user) => Authentication::Ready(self.conclude_user(span, tenant, token, user, required)),
                    Err(miss) => missed(credential_missed(tenant, miss)),
                }
            }
            Err(error) => match validate() {
                Some(tenant) => Authentication::Ready(refuse(span, &tenant, error)),
                None => self.missed(request, tenant_missed(), Err(error)),
            },
        }
    }

    /// Alike for every credential, before anything is looked up.
    #[cold]
    fn refuse_plain_http(&self, request: AuthRequest<'_>) -> Refusal {
        let client = client(self.client_address(request), request.headers.get(header::USER_AGENT));
        for secret in Credential::secrets(request.headers) {
            self.keys.record_exposure(&secret, client, request.request_id);
        }
        Error::PlainHttp.into()
    }

    fn missed(
        &self,
        request: AuthRequest<'_>,
        misses: Misses,
        credential: Result<OwnedCredential, Error>,
    ) -> Authentication {
        self.pending(request, Step::Miss { misses, credential })
    }

    fn pending(&self, request: AuthRequest<'_>, step: Step) -> Authentication {
        Authentication::Pending(Box::new(Lookup {
            step,
            client_address: self.client_address(request),
            user_agent: request.headers.get(header::USER_AGENT).cloned(),
            request_id: request.request_id.clone(),
            required: request.required,
            span: request.span.clone(),
        }))
    }

    /// Authenticates and decides by I/O.
    pub(crate) async fn resolve(&self, lookup: Box<Lookup>) -> Result<Caller, Refusal> {
        let Lookup { step, client_address, user_agent, request_id, required, span } = *lookup;
        let client = client(client_address, user_agent.as_ref());
        let key_request = KeyRequest { required, client, request_id: &request_id };
        let (misses, credential) = match step {
            Step::Miss { misses, credential } => (misses, credential),
            Step::RateLimit { tenant, verified, limit } => {
                let decision = self.keys.authorize_by_redis(&verified, limit, &key_request).await;
                return conclude(&span, tenant, verified.principal(), decision);
            }
        };
        let tenant = match misses.tenant {
            TenantLookup::Cached(tenant) => tenant,
            TenantLookup::Missed(slug, miss, example_url) => self.fetch_tenant(slug, miss, example_url).await?,
        };
        match credential {
            Ok(OwnedCredential::Secret(secret)) => match self.keys.verify(&tenant, secret, misses.credential).await {
                Ok(verified) => {
                    let decision = match self.keys.authorize(&verified, &key_request) {
                        Authorization::Decided(decision) => decision,
                        Authorization::NeedsRedis(limit) => {
                            self.keys.authorize_by_redis(&verified, limit, &key_request).await
                        }
                    };
                    conclude(&span, tenant, verified.principal(), decision)
                }
                Err(Error::Decoy(decoy)) => {
                    self.keys.record_decoy(&tenant, decoy, client, &request_id);
                    refuse(&span, &tenant, Error::InvalidKey)
                }
                Err(error) => refuse(&span, &tenant, error),
            },
            Ok(OwnedCredential::Token(token)) => {
                let user = self.tokens.verify(&token, &tenant, misses.credential).await;
                self.conclude_user(&span, tenant, &token, user, required)
            }
            Err(error) => refuse(&span, &tenant, error),
        }
    }

    fn conclude_user(
        &self,
        span: &Span,
        tenant: Tenant,
        token: &str,
        user: Result<Principal, Error>,
        required: RequiredAccess,
    ) -> Result<Caller, Refusal> {
        let user = match user {
            Ok(user) => user,
            Err(error) => return refuse(span, &tenant, error),
        };
        let outcome = decide(&Facts { scopes: user.scopes(), key: None, required });
        conclude(span, tenant, user, Decision { outcome, remaining_limits: RemainingLimits::default() }).map_err(
            |refusal| match refusal.error {
                Error::InsufficientScope(scope) => Refusal { error: self.tokens.lacking(scope, token), ..refusal },
                _ => refusal,
            },
        )
    }

    fn slug(&self, request: AuthRequest<'_>) -> Result<Slug, Error> {
        let AuthRequest { uri, headers, peer, .. } = request;
        self.tenancy.slug(uri, headers, peer.0)?.ok_or_else(|| Error::TenantNotFound(self.example_url(request)))
    }

    fn example_url(&self, AuthRequest { uri, headers, peer, .. }: AuthRequest<'_>) -> String {
        self.tenancy.example_url(uri, headers, peer.0)
    }

    fn client_address(&self, AuthRequest { headers, peer, .. }: AuthRequest<'_>) -> IpAddr {
        self.tenancy.trusted_proxies.client_address(headers, peer.0)
    }

    async fn fetch_tenant(&self, slug: Slug, Miss(key): Miss, example_url: String) -> Result<Tenant, Error> {
        let (group, lookups) = (key.to_bytes(), self.lookups.clone());
        // The lookup is shared by requests, whose example URLs differ.
        let lookup =
            || async move { lookups.find_tenant(&slug).await?.ok_or(Error::TenantNotFound(String::new())) }.boxed();
        match self.cache.tenants.fetch(&group, key, lookup).await {
            Ok(tenant) => Ok(**tenant),
            Err(Error::TenantNotFound(_)) => Err(Error::TenantNotFound(example_url)),
            Err(error) => Err(error),
        }
    }
}

fn client(address: IpAddr, user_agent: Option<&HeaderValue>) -> Client<'_> {
    Client { address: Some(address), user_agent: user_agent.map(HeaderValue::as_bytes) }
}

// Small, so that it is inlined and the caller is built where it is returned: copies of it are measurable.
#[inline]
fn conclude(
    span: &Span,
    tenant: Tenant,
    principal: Principal,
    Decision { outcome, remaining_limits }: Decision,
) -> Result<Caller, Refusal> {
    record_caller(span, &tenant, &principal);
    match outcome {
        Ok(()) => Ok(Caller { tenant, principal, remaining_limits, _authenticated: () }),
        Err(reason) => Err(Refusal::denied(reason, &tenant, principal, remaining_limits)),
    }
}

fn refuse(span: &Span, tenant: &Tenant, error: Error) -> Result<Caller, Refusal> {
    record_tenant(span, tenant);
    Err(Refusal::of_tenant(tenant, error))
}
