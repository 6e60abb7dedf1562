//! Credential → principal.

use std::sync::Arc;

use axum::http::{HeaderValue, header};
use futures_util::FutureExt as _;
use tracing::level_filters::LevelFilter;

use super::{
    api_key::verifier::KeyVerifier,
    cache::{AuthCache, cached_secret::CachedSecret, epoch_cache::Entry},
    credential::Credential,
    error::Error,
    jwt::verifier::TokenVerifier,
    request::Asking,
    tenant_host::TenantResolver,
};
use crate::{
    domain::{Principal, Slug, Tenant, Timestamp},
    store::{self, Database, Lookups, TenantStore, TenantStores},
    usage::Client,
};

/// Whose credential held.
pub struct Caller {
    /// The tenant that the request's host names.
    pub tenant: Tenant,
    /// Who it is.
    pub principal: Principal,
    /// Where a key's use was noted, and under which moment.
    used: Option<(Arc<Entry<CachedSecret>>, Timestamp)>,
}

impl Caller {
    fn with_key(tenant: Tenant, (known, at): (Arc<Entry<CachedSecret>>, Timestamp)) -> Self {
        Self { tenant, principal: known.principal(), used: Some((known, at)) }
    }
}

/// Everything that it takes to authenticate a request.
pub struct Authenticator {
    lookups: Lookups,
    tenant_stores: TenantStores,
    /// Reads hosts.
    pub tenancy: TenantResolver,
    /// Checks JWTs.
    pub tokens: TokenVerifier,
    /// Checks secrets.
    pub keys: KeyVerifier,
    /// What is remembered.
    pub verdicts: Arc<AuthCache>,
}

impl Authenticator {
    /// An authenticator over these parts.
    #[must_use]
    pub fn new(
        database: &Database,
        tenancy: TenantResolver,
        tokens: TokenVerifier,
        keys: KeyVerifier,
        verdicts: Arc<AuthCache>,
    ) -> Self {
        let (lookups, tenant_stores) = (database.lookups(), database.tenant_stores());
        Self { lookups, tenant_stores, tenancy, tokens, keys, verdicts }
    }

    /// The store of an authenticated caller's tenant. There is no other way to one.
    #[must_use]
    pub fn tenant_store(&self, caller: &Caller) -> TenantStore {
        self.tenant_stores.tenant(caller.tenant.id)
    }

    /// Whether the database responds.
    pub async fn ping_database(&self) -> Result<(), store::Error> {
        self.lookups.ping().await
    }

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
        let lookups = self.lookups.clone();
        let ask = || async move { lookups.find_tenant(&slug).await?.ok_or(Error::TenantNotFound) }.boxed();
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
