//! `rally-api-keys tenant …`

use std::io::{Write as _, stdout};

use clap::Subcommand;

use super::{
    Error, keys,
    owner_database::{OwnerDatabase, parse_slug, unknown_tenant},
    receipt::{self, ReceiptWaiter},
};
use crate::{
    config::Config,
    demo::IfMissing,
    domain::{Clock, ExternalId, Slug, Status, Tenant, format_timestamp, visible_text::find_invisible},
    store::{self, Database, NameTaken, TenantAdmin},
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
    /// Change a tenant's slug, which is the first label of its host, or its display name
    Rename {
        /// The tenant's slug
        slug: String,
        /// The new slug
        #[arg(required_unless_present = "name")]
        new_slug: Option<String>,
        /// The new display name
        #[arg(long)]
        name: Option<String>,
    },
    /// List the tenants
    List,
    /// Refuse every request to a tenant's host, whether by API key or by JWT
    Suspend {
        /// The tenant's slug
        slug: String,
        /// Wait for the proof that every instance does, which takes LEASE_SECONDS, and print it
        #[arg(long)]
        wait: bool,
    },
    /// End a suspension
    Resume {
        /// The tenant's slug
        slug: String,
    },
    /// Revoke a tenant's keys, then delete it with everything that belongs to it, its audit trail too
    Delete {
        /// The tenant's slug
        slug: String,
        /// Without this, only says what would be deleted
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        by: keys::Operator,
    },
}

pub(super) async fn run(mut config: Config, command: TenantCommand) -> Result<(), Error> {
    let if_missing = match command {
        TenantCommand::Create { .. } => IfMissing::Create,
        _ => IfMissing::Refuse,
    };
    let database = OwnerDatabase::open(&mut config, if_missing).await?;
    let outcome = execute(&config, &database, command).await;
    database.close().await?;
    outcome
}

async fn execute(config: &Config, database: &OwnerDatabase, command: TenantCommand) -> Result<(), Error> {
    if database.is_private() && matches!(command, TenantCommand::Create { .. }) {
        store::migrate(&database.url).await?; // it may be new
    }
    let mut admin = TenantAdmin::connect(&database.url).await?;
    let now = Clock::default().now();
    match command {
        TenantCommand::Create { slug, name, external_id } => {
            let slug = parse_slug(&slug)?;
            let name = parse_name(&name.unwrap_or_else(|| slug.to_string()))?;
            let external_id = external_id.as_deref();
            check_external_id(external_id)?;
            match admin.create_tenant_known_as(&slug, &name, external_id, now).await? {
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
            let slug = parse_slug(&slug)?;
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
        TenantCommand::Rename { slug, new_slug, name } => {
            let slug = parse_slug(&slug)?;
            let new_slug = new_slug.as_deref().map(parse_slug).transpose()?;
            let name = name.as_deref().map(parse_name).transpose()?;
            let Ok(exists) = admin.rename_tenant(&slug, new_slug.as_ref(), name.as_deref()).await? else {
                return Err(Error::Refused("another tenant has this slug as its slug or external id".into()));
            };
            require(exists, &slug)?;
            if let Some(name) = name {
                writeln!(stdout(), "tenant {slug} has the name {name}")?;
            }
            if let Some(new_slug) = new_slug {
                writeln!(
                    stdout(),
                    "renamed tenant {slug} to {new_slug}: its host is {new_slug}.{} now, and the issuer of users' tokens \
                     must name it {new_slug}, unless it names the tenant's id or external id",
                    database.base_domain
                )?;
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
        TenantCommand::Suspend { slug, wait } => {
            let slug = parse_slug(&slug)?;
            let waiter = wait.then(|| ReceiptWaiter::start(config, &database.url));
            require(admin.set_suspended(&slug, Some(now)).await?, &slug)?;
            writeln!(stdout(), "suspended tenant {slug}")?;
            if let Some(waiter) = waiter {
                writeln!(stdout(), "{}", receipt::describe(None, &waiter.receipt().await?))?;
            }
        }
        TenantCommand::Resume { slug } => {
            let slug = parse_slug(&slug)?;
            require(admin.set_suspended(&slug, None).await?, &slug)?;
            writeln!(stdout(), "resumed tenant {slug}")?;
        }
        TenantCommand::Delete { slug, yes, by } => delete(database, &mut admin, &slug, yes, &by).await?,
    }
    Ok(())
}

/// Three steps, each of which is final: the tenant is suspended, so that its keys become no more; the keys are revoked;
/// everything is deleted in one transaction.
async fn delete(
    database: &OwnerDatabase,
    admin: &mut TenantAdmin,
    slug: &str,
    yes: bool,
    by: &keys::Operator,
) -> Result<(), Error> {
    let Tenant { id, slug, .. } = database.tenant(slug).await?;
    let opened = Database::open_for_command(&database.url).await?;
    let store = opened.tenant_stores().tenant(id);
    if !yes {
        let now = Clock::default().now();
        let (all, working) =
            (keys::all(&store, &Status::ALL, now).await?.len(), keys::all(&store, &[Status::Active], now).await?.len());
        let events = store.begin_export().await?.chain_head().await?.seq;
        return Err(Error::Refused(format!(
            "nothing was deleted. Tenant {slug} has {all} API keys, {working} of them active, and {events} audit events, \
             which would be deleted for good. Keep the audit trail: `rally-api-keys tenant suspend {slug}`, then \
             `rally-api-keys events export --tenant {slug} > {slug}.jsonl`. Then run this command with --yes"
        )));
    }
    admin.set_suspended(&slug, Some(Clock::default().now())).await?;
    let revoked = keys::revoke_all(&store, by).await?;
    opened.close().await;
    require(admin.delete_tenant(id).await?, &slug)?;
    writeln!(
        stdout(),
        "deleted tenant {slug} ({id}) with its keys, {revoked} of which were revoked now, its audit trail and its usage"
    )?;
    Ok(())
}

fn parse_name(name: &str) -> Result<String, Error> {
    let name = name.trim();
    if !(1..=200).contains(&name.chars().count()) || find_invisible(name).is_some() {
        return Err(Error::Refused("--name must have 1 to 200 characters, and none that are invisible".into()));
    }
    Ok(name.to_owned())
}

fn check_external_id(text: Option<&str>) -> Result<(), Error> {
    match text.map(ExternalId::parse) {
        Some(Err(error)) => Err(Error::Refused(format!("the external id {error}"))),
        _ => Ok(()),
    }
}

fn require(exists: bool, slug: &Slug) -> Result<(), Error> {
    if exists { Ok(()) } else { Err(unknown_tenant(slug)) }
}
