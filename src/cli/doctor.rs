//! `rally-api-keys doctor`

use std::io::{Write as _, stdout};

use super::Error;
use crate::{
    auth::{
        api_key::{pepper::Peppers, verifier::KeyFallback},
        jwt::jwks::IssuerKeys,
    },
    config::{ANY_AUDIENCE, Config, Jwt, Warning},
    demo::{IfMissing, PrivateDatabase},
    domain::Clock,
    store::{Finding, inspect},
};

/// Checks everything that the service depends on and prints what to do about each failure. Changes nothing. Without
/// DATABASE_URL, it starts the private PostgreSQL for the checks, if there is one.
pub(super) async fn doctor(mut config: Config) -> Result<(), Error> {
    let (private, missing) = match &config.database.url {
        Some(_) => (None, None),
        None => match PrivateDatabase::open(&mut config, IfMissing::Refuse).await {
            Ok(private) => (Some(private), None),
            Err(error) => (None, Some(Finding { what: "database", outcome: Err(error.to_string()) })),
        },
    };
    let mut findings = Vec::from_iter(missing);
    findings.extend(settings(&config));
    findings.extend(jwt(&config).await);
    findings.push(pepper(&config));
    if let Some(url) = private.as_ref().map(|private| &private.url).or(config.database.url.as_ref()) {
        let direct = config.database.direct_url.as_ref().unwrap_or(url);
        findings.extend(inspect(url, direct, &Clock::default()).await);
    }
    if let Some(private) = private {
        private.close().await?;
    }
    if config.jwt.accepts_any_audience() {
        writeln!(stdout(), "WARN  users' tokens: {ANY_AUDIENCE}")?;
    }
    for Warning { name, problem, .. } in config.warnings.iter().filter(|warning| !warning.is_unsafe) {
        writeln!(stdout(), "WARN  settings: {name} {problem}")?;
    }
    let mut failures = 0;
    for Finding { what, outcome } in findings {
        match outcome {
            Ok(how) => writeln!(stdout(), "ok    {what}: {}", one_line(&how))?,
            Err(why) => {
                failures += 1;
                writeln!(stdout(), "FAIL  {what}: {}", one_line(&why))?;
            }
        }
    }
    match failures {
        0 => Ok(()),
        1 => Err(Error::Refused("one check failed".into())),
        n => Err(Error::Refused(format!("{n} checks failed"))),
    }
}

/// A finding is one line; some errors have several.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn settings(config: &Config) -> impl Iterator<Item = Finding> {
    let is_unsafe = config.warnings.iter().filter(|warning| warning.is_unsafe);
    is_unsafe
        .map(|Warning { name, problem, .. }| Finding { what: "settings", outcome: Err(format!("{name} {problem}")) })
}

async fn jwt(config: &Config) -> Vec<Finding> {
    let Jwt { secret, public_key, issuers, .. } = &config.jwt;
    let tokens = |outcome| Finding { what: "users' tokens", outcome };
    let mut findings = Vec::new();
    if config.jwt.is_empty() {
        findings.push(tokens(Err("no user could log in, since no key verifies JWTs: set JWT_ISSUER to your OpenID Connect issuer, or JWT_SECRET \
                                  (`openssl rand -base64 48`)"
            .into())));
    }
    if secret.is_some() {
        findings.push(tokens(Ok("HS256, by JWT_SECRET".into())));
    }
    if let Some((path, key)) = public_key {
        findings.push(tokens(Ok(format!("{}, by the key in {}", key.algorithms(), path.display()))));
    }
    for location in issuers {
        let keys = async { IssuerKeys::new(location.clone())?.count().await };
        findings.push(tokens(match keys.await {
            Ok(0) => Err(format!("{location} publishes no usable key; usable are RSA of 2048 bits or more, P-256, P-384 and Ed25519")),
            Ok(1) => Ok(format!("{location} publishes one key")),
            Ok(n) => Ok(format!("{location} publishes {n} keys")),
            Err(error) => Err(format!(
                "{error}; check JWT_ISSUER (or JWT_JWKS_URL) and that this machine can reach it; set SSL_CERT_FILE for a private CA"
            )),
        }));
    }
    findings
}

fn pepper(config: &Config) -> Finding {
    let Peppers { current, next, retired } = &config.keys.peppers;
    let next = next.iter().map(|pepper| format!(", next \"{}\"", pepper.id()));
    let others: String = next.chain(retired.iter().map(|pepper| format!(", retired \"{}\"", pepper.id()))).collect();
    let outcome = match (current, config.keys.fallback) {
        (None, _) => {
            Err("every first check of a key costs an argon2, and a forged row would be accepted: set KEY_PEPPER \
                          (`echo \"p1:$(openssl rand -base64 32)\"`)"
                .into())
        }
        (Some(pepper), KeyFallback::Argon2) => Ok(format!(
            "\"{}\"{others}; rows without a stamp are verified by their argon2 hash, unless KEY_FALLBACK=deny",
            pepper.id()
        )),
        (Some(pepper), KeyFallback::Deny) => {
            Ok(format!("\"{}\"{others}; rows without a stamp are refused", pepper.id()))
        }
    };
    Finding { what: "pepper", outcome }
}
