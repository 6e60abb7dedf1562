//! `rally-api-keys tenant …`

use std::io::{Write as _, stdout};

use clap::Subcommand;

use super::{Error, OwnDatabase};
use crate::{
    config::Config,
    domain::{Clock, Slug, format_timestamp},
    store::{self, TenantAdmin},
};

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Create a tenant
    Create {
        /// The first label of its host, as in `acme`
        slug: String,
        /// What people call it; default: the slug
        #[arg(long)]
        name: Option<String>,
    },
    /// List the tenants
    List,
    /// Refuse every request of a tenant, by key and by token
    Suspend {
        /// The tenant
        slug: String,
    },
    /// Serve a suspended tenant again
    Resume {
        /// The tenant
        slug: String,
    },
}

pub(super) async fn run(mut config: Config, command: TenantCommand) -> Result<(), Error> {
    let database = OwnDatabase::open(&mut config).await?;
    let outcome = manage(&database, command).await;
    database.close().await?;
    outcome
}

async fn manage(database: &OwnDatabase, command: TenantCommand) -> Result<(), Error> {
    if database.private.is_some() {
        store::migrate(&database.url).await?; // it may be brand-new
    }
    let mut operator = TenantAdmin::connect(&database.url).await?;
    let now = Clock::default().now();
    match command {
        TenantCommand::Create { slug, name } => {
            let slug = parse(&slug)?;
            let name = name.unwrap_or_else(|| slug.to_string());
            let name = name.trim();
            if !(1..=200).contains(&name.chars().count()) || name.chars().any(char::is_control) {
                return Err(Error::Refused(
                    "--name must have 1 to 200 characters, none of them a control character".into(),
                ));
            }
            match operator.create_tenant(&slug, name, now).await? {
                Some(id) => writeln!(stdout(), "created tenant {slug} ({id})")?,
                None => return Err(Error::Refused(format!("tenant {slug} exists already"))),
            }
        }
        TenantCommand::List => {
            writeln!(stdout(), "{:<24} {:<36} {:<27} {:<10} NAME", "SLUG", "ID", "CREATED", "STATUS")?;
            for tenant in operator.tenants().await? {
                let status = if tenant.suspended_at.is_some() { "suspended" } else { "active" };
                let created = format_timestamp(tenant.created_at);
                writeln!(stdout(), "{:<24} {:<36} {created:<27} {status:<10} {}", tenant.slug, tenant.id, tenant.name)?;
            }
        }
        TenantCommand::Suspend { slug } => {
            let slug = parse(&slug)?;
            found(operator.set_suspended(&slug, Some(now)).await?, &slug)?;
            writeln!(stdout(), "suspended tenant {slug}")?;
        }
        TenantCommand::Resume { slug } => {
            let slug = parse(&slug)?;
            found(operator.set_suspended(&slug, None).await?, &slug)?;
            writeln!(stdout(), "resumed tenant {slug}")?;
        }
    }
    Ok(())
}

pub(super) fn parse(slug: &str) -> Result<Slug, Error> {
    Slug::parse(slug).map_err(|error| Error::Refused(format!("the tenant's slug {error}")))
}

fn found(found: bool, slug: &Slug) -> Result<(), Error> {
    if found { Ok(()) } else { unknown(slug) }
}

pub(super) fn unknown<T>(slug: &Slug) -> Result<T, Error> {
    Err(Error::Refused(format!("there is no tenant {slug}; see `rally-api-keys tenant list`")))
}
