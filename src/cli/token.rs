//! `rally-api-keys token`

use std::{
    io::{Write as _, stdout},
    time::Duration,
};

use chrono::TimeDelta;
use clap::Args;

use super::{Error, tenant};
use crate::{
    auth::jwt::signer::TokenSigner,
    config::Config,
    demo::{IfMissing, add_generated_secrets},
    domain::{Clock, ScopeSet},
};

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// The slug of the token's tenant
    #[arg(long)]
    tenant: String,
    /// The user's email address
    #[arg(long)]
    email: String,
    /// Comma-separated: read, write, admin
    #[arg(long, value_parser = ScopeSet::parse)]
    scopes: ScopeSet,
    /// Validity, such as `15m`, `1h` or `7days`
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    ttl: Duration,
}

/// Prints a JWT that the service accepts.
pub(super) fn token(mut config: Config, args: &TokenArgs) -> Result<(), Error> {
    let slug = tenant::parse(&args.tenant)?;
    add_generated_secrets(&mut config, IfMissing::Refuse)?;
    let Some(secret) = &config.jwt.secret else {
        return Err(Error::Refused(
            "JWT_SECRET is not set: the service would not accept a token that is signed here; get one from your issuer"
                .into(),
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
