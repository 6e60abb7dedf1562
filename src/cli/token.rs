//! `rally-api-keys token`

use std::{
    io::{Write as _, stdout},
    time::Duration,
};

use chrono::TimeDelta;
use clap::Args;

use super::{Error, OwnDatabase, tenant};
use crate::{
    auth::jwt::signer::TokenSigner,
    config::Config,
    domain::{Clock, ScopeSet},
};

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// The tenant that it is for, by its slug
    #[arg(long)]
    tenant: String,
    /// Who holds it
    #[arg(long)]
    email: String,
    /// What it allows: read, write, admin, comma-separated
    #[arg(long, value_parser = ScopeSet::parse)]
    scopes: ScopeSet,
    /// How long it is good, as in `15m`, `1h`, `7days`
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    ttl: Duration,
}

/// Prints a token that the service accepts.
pub(super) async fn token(mut config: Config, args: TokenArgs) -> Result<(), Error> {
    let slug = tenant::parse(&args.tenant)?;
    if config.jwt.trusts_nobody() && config.database.url.is_none() {
        // The private PostgreSQL's secret is kept beside it.
        OwnDatabase::open(&mut config).await?.close().await?;
    }
    let Some(secret) = &config.jwt.secret else {
        return Err(Error::Refused(
            "JWT_SECRET is not set, so this service does not trust tokens that are signed here".into(),
        ));
    };
    let now = Clock::default().now();
    let end = TimeDelta::from_std(args.ttl)
        .ok()
        .and_then(|ttl| now.checked_add_signed(ttl))
        .ok_or_else(|| Error::Refused("--ttl is too long".into()))?;
    let signer = TokenSigner::hs256(secret, config.jwt.rules.clone())?;
    let token = signer.sign(&slug, &args.email, args.scopes, now, end)?;
    writeln!(stdout(), "{token}")?;
    Ok(())
}
