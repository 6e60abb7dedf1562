//! The database under its owner's login, for one command.

use super::Error;
use crate::{
    config::Config,
    demo::{IfMissing, PrivateDatabase},
    domain::{Slug, Tenant},
    store::{DatabaseUrl, TenantAdmin},
};

/// DATABASE_MIGRATION_URL, else DATABASE_URL, else the private PostgreSQL, which is started if it is not running, and
/// created only by a command that writes into a new one.
pub(super) struct OwnerDatabase {
    pub(super) url: DatabaseUrl,
    pub(super) base_domain: String,
    private: Option<PrivateDatabase>,
}

impl OwnerDatabase {
    pub(super) async fn open(config: &mut Config, if_missing: IfMissing) -> Result<Self, Error> {
        let (urls, base_domain) = (&config.database, config.tenancy.base_domain.clone());
        if let Some(url) = urls.migration_url.clone().or_else(|| urls.url.clone()) {
            return Ok(Self { url, base_domain, private: None });
        }
        let private = PrivateDatabase::open(config, if_missing).await?;
        Ok(Self { url: private.url.clone(), base_domain, private: Some(private) })
    }

    pub(super) const fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// The tenant of that slug, suspended ones included.
    pub(super) async fn tenant(&self, slug: &str) -> Result<Tenant, Error> {
        let slug = parse_slug(slug)?;
        let tenants = TenantAdmin::connect(&self.url).await?.tenants().await?;
        match tenants.into_iter().find(|tenant| tenant.slug == slug.as_str()) {
            Some(row) => Ok(Tenant { id: row.id, slug, external_id: None }),
            None => Err(unknown_tenant(&slug)),
        }
    }

    pub(super) async fn close(self) -> Result<(), Error> {
        if let Some(private) = self.private {
            private.close().await?;
        }
        Ok(())
    }
}

pub(super) fn parse_slug(slug: &str) -> Result<Slug, Error> {
    Slug::parse(slug).map_err(|error| Error::Refused(format!("the tenant's slug {error}")))
}

pub(super) fn unknown_tenant(slug: &Slug) -> Error {
    Error::Refused(format!("there is no tenant {slug}; see `rally-api-keys tenant list`"))
}
