//! `rally-api-keys tenant …`

use std::io::{Write as _, stdout};

use clap::Subcommand;

use super::{Error, OwnerDatabase};
use crate::{
    config::Config,
    demo::IfMissing,
    domain::{Clock, ExternalId, Slug, format_timestamp},
    store::{self, NameTaken, TenantAdmin},
};

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Create a tenant
    Create {
        /// The first label of the tenant's host, such as `acme`
        slug: String,
        /// The display name [default: the slug]
        #[arg(long)]
        name: Option<String>,
        /// How the issuer of users' tokens names the tenant, beside its slug and id: such as `org_8fQ2`
        #[arg(long)]
        external_id: Option<String>,
    },
    /// Set how the issuer of users' tokens names a tenant; without an id, remove it
    ExternalId {
        /// The tenant's slug
        slug: String,
        /// The issuer's id of the tenant, such as `org_8fQ2`
        external_id: Option<String>,
    },
    /// List the tenants
    List,
    /// Refuse every request to a tenant's host, whether by API key or by JWT
    Suspend {
        /// The tenant's slug
        slug: String,
    },
    /// End a suspension
    Resume {
        /// The tenant's slug
        slug: String,
    },
}

pub(super) async fn run(mut config: Config, command: TenantCommand) -> Result<(), Error> {
    let if_missing = match command {
        TenantCommand::Create { .. } => IfMissing::Create,
        _ => IfMissing::Refuse,
    };
    let database = OwnerDatabase::open(&mut config, if_missing).await?;
    let outcome = execute(&database, command).await;
    database.close().await?;
    outcome
}

async fn execute(database: &OwnerDatabase, command: TenantCommand) -> Result<(), Error> {
    if database.private.is_some() && matches!(command, TenantCommand::Create { .. }) {
        store::migrate(&database.url).await?; // it may be new
    }
    let mut admin = TenantAdmin::connect(&database.url).await?;
    let now = Clock::default().now();
    match command {
        TenantCommand::Create { slug, name, external_id } => {
            let slug = parse(&slug)?;
            let name = name.unwrap_or_else(|| slug.to_string());
            let name = name.trim();
            if !(1..=200).contains(&name.chars().count()) || name.chars().any(char::is_control) {
                return Err(Error::Refused("--name must have 1 to 200 characters and no control characters".into()));
            }
            let external_id = external_id.as_deref();
            check_external_id(external_id)?;
            match admin.create_tenant_known_as(&slug, name, external_id, now).await? {
                Ok(id) => writeln!(stdout(), "created tenant {slug} ({id})")?,
                Err(NameTaken) if external_id.is_none() => {
                    return Err(Error::Refused(format!("tenant {slug} already exists")));
                }
                Err(NameTaken) => {
                    return Err(Error::Refused(format!(
                        "tenant {slug} already exists, or another tenant has this external id as its slug, id or external id"
                    )));
                }
            }
        }
        TenantCommand::ExternalId { slug, external_id } => {
            let slug = parse(&slug)?;
            check_external_id(external_id.as_deref())?;
            let Ok(exists) = admin.set_external_id(&slug, external_id.as_deref()).await? else {
                return Err(Error::Refused(
                    "another tenant has this external id as its slug, id or external id".into(),
                ));
            };
            require(exists, &slug)?;
            match external_id {
                Some(id) => writeln!(stdout(), "tenant {slug} has the external id {id}")?,
                None => writeln!(stdout(), "tenant {slug} has no external id")?,
            }
        }
        TenantCommand::List => {
            writeln!(
                stdout(),
                "{:<24} {:<36} {:<27} {:<10} {:<24} NAME",
                "SLUG",
                "ID",
                "CREATED",
                "STATUS",
                "EXTERNAL-ID"
            )?;
            for tenant in admin.tenants().await? {
                let status = if tenant.suspended_at.is_some() { "suspended" } else { "active" };
                let created = format_timestamp(tenant.created_at);
                let external_id = tenant.external_id.as_deref().unwrap_or("-");
                writeln!(
                    stdout(),
                    "{:<24} {:<36} {created:<27} {status:<10} {external_id:<24} {}",
                    tenant.slug,
                    tenant.id,
                    tenant.name
                )?;
            }
        }
        TenantCommand::Suspend { slug } => {
            let slug = parse(&slug)?;
            require(admin.set_suspended(&slug, Some(now)).await?, &slug)?;
            writeln!(stdout(), "suspended tenant {slug}")?;
        }
        TenantCommand::Resume { slug } => {
            let slug = parse(&slug)?;
            require(admin.set_suspended(&slug, None).await?, &slug)?;
            writeln!(stdout(), "resumed tenant {slug}")?;
        }
    }
    Ok(())
}

pub(super) fn parse(slug: &str) -> Result<Slug, Error> {
    Slug::parse(slug).map_err(|error| Error::Refused(format!("the tenant's slug {error}")))
}

fn check_external_id(text: Option<&str>) -> Result<(), Error> {
    match text.map(ExternalId::parse) {
        Some(Err(error)) => Err(Error::Refused(format!("the external id {error}"))),
        _ => Ok(()),
    }
}

fn require(exists: bool, slug: &Slug) -> Result<(), Error> {
    if exists { Ok(()) } else { Err(unknown(slug)) }
}

pub(super) fn unknown(slug: &Slug) -> Error {
    Error::Refused(format!("there is no tenant {slug}; see `rally-api-keys tenant list`"))
}
