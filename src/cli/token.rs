//! `rally-api-keys token`

use std::{
    io::{Read as _, Write as _, stdin, stdout},
    time::Duration,
};

use chrono::TimeDelta;
use clap::{Args, Subcommand};

use super::{Error, owner_database::parse_slug};
use crate::{
    auth::jwt::{
        explain::{Finding, Outcome},
        jwks::IssuerKeys,
        signer::TokenSigner,
        verifier::TokenVerifier,
    },
    config::Config,
    demo::{IfMissing, add_generated_secrets},
    domain::{Clock, ScopeSet, Secret},
};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    command: Option<TokenCommand>,
    #[command(flatten)]
    sign: Option<SignArgs>,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Print what the service reads from a JWT, and what to do where it refuses it. Fails if it would be refused
    Explain {
        /// The JWT, or `-` to read it from the standard input, so that it is not in the shell's history
        jwt: String,
        /// The slug of the host that it is meant for
        #[arg(long)]
        tenant: Option<String>,
    },
}

#[derive(Debug, Args)]
struct SignArgs {
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

pub(super) async fn token(mut config: Config, args: TokenArgs) -> Result<(), Error> {
    add_generated_secrets(&mut config, IfMissing::Refuse)?;
    match (args.command, args.sign) {
        (Some(TokenCommand::Explain { jwt, tenant }), _) => explain(&config, &jwt, tenant.as_deref()).await,
        (None, Some(args)) => sign(&config, &args),
        (None, None) => Err(Error::Refused("--tenant, --email and --scopes are required".into())),
    }
}

/// Prints a JWT that the service accepts.
fn sign(config: &Config, args: &SignArgs) -> Result<(), Error> {
    let slug = parse_slug(&args.tenant)?;
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

/// Verifies a token as the service does, with the keys that its issuers publish now.
async fn explain(config: &Config, jwt: &str, tenant: Option<&str>) -> Result<(), Error> {
    let mut read = String::new();
    let jwt = if jwt == "-" {
        stdin().read_to_string(&mut read)?;
        read.trim()
    } else {
        jwt
    };
    let jwt = jwt.strip_prefix("Bearer ").unwrap_or(jwt).trim();
    if jwt.starts_with(Secret::PREFIX) {
        let text = "this is the secret of an API key, not a JWT: send it as X-Api-Key to /forward-auth at the tenant's host, \
                    whose response says whether it is accepted and, if not, why";
        return Err(Error::Refused(text.into()));
    }
    let slug = tenant.map(parse_slug).transpose()?;
    let mut issuers = Vec::new();
    for location in &config.jwt.issuers {
        let keys = IssuerKeys::new(location.clone()).map_err(|error| Error::Refused(error.to_string()))?;
        if let Err(error) = keys.count().await {
            writeln!(stdout(), "WARN  keys of {location} cannot be fetched: {error}")?;
        }
        tokio::spawn(keys.clone().keep_fresh());
        issuers.push(keys);
    }
    let clock = Clock::default();
    let verifier = TokenVerifier::new(config.jwt.trusted_keys(issuers), &config.jwt.rules, clock.clone());
    let findings = verifier.explain(jwt, slug.as_ref(), clock.now()).await;
    for Finding { what, outcome } in &findings {
        match outcome {
            Outcome::Accepted(found) => writeln!(stdout(), "ok    {what}: {found}")?,
            Outcome::Unsure(found) => writeln!(stdout(), "?     {what}: {found}")?,
            Outcome::Refused(why) => writeln!(stdout(), "FAIL  {what}: {why}")?,
        }
    }
    if findings.iter().any(|finding| matches!(finding.outcome, Outcome::Refused(_))) {
        return Err(Error::Refused("the token would be refused".into()));
    }
    let is_unsure = findings.iter().any(|finding| matches!(finding.outcome, Outcome::Unsure(_)));
    writeln!(stdout(), "{}", if is_unsure { "accepted, if what is marked ? is so" } else { "accepted" })?;
    Ok(())
}
