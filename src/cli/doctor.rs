//! `rally-api-keys doctor`

use std::io::{Write as _, stdout};

use super::Error;
use crate::{
    auth::{api_key::verifier::KeyFallback, jwt::jwks::IssuerKeys},
    config::{Config, Jwt},
    demo::PrivateDatabase,
    store::{Finding, inspect},
};

/// Looks at everything that the service needs, and says of each failure what to do. Changes nothing;
/// where no DATABASE_URL is set, the private PostgreSQL is started for it.
pub(super) async fn doctor(mut config: Config) -> Result<(), Error> {
    let private = match &config.database.url {
        Some(_) => None,
        None => Some(PrivateDatabase::open(&mut config).await?),
    };
    let mut findings = jwt(&config).await;
    findings.push(pepper(&config));
    if let Some(url) = private.as_ref().map(|private| &private.url).or(config.database.url.as_ref()) {
        let direct = config.database.direct_url.as_ref().unwrap_or(url);
        findings.extend(inspect(url, direct).await);
    }
    if let Some(private) = private {
        private.close().await?;
    }
    let mut failures = 0;
    for Finding { what, outcome } in findings {
        match outcome {
            Ok(how) => writeln!(stdout(), "ok    {what}: {how}")?,
            Err(why) => {
                failures += 1;
                writeln!(stdout(), "FAIL  {what}: {why}")?;
            }
        }
    }
    match failures {
        0 => Ok(()),
        1 => Err(Error::Refused("one check failed".into())),
        n => Err(Error::Refused(format!("{n} checks failed"))),
    }
}

async fn jwt(config: &Config) -> Vec<Finding> {
    let Jwt { secret, public_key, issuers, rules } = &config.jwt;
    let tokens = |outcome| Finding { what: "users' tokens", outcome };
    let mut findings = Vec::new();
    if config.jwt.trusts_nobody() {
        findings.push(tokens(Err("nobody could log in: set JWT_ISSUER to your OpenID Connect issuer, or JWT_SECRET \
                                  (`openssl rand -base64 48`)"
            .into())));
    }
    if secret.is_some() {
        findings.push(tokens(Ok("HS256, by JWT_SECRET".into())));
    }
    if let Some((path, key)) = public_key {
        findings.push(tokens(Ok(format!("{}, by {}", key.algorithms(), path.display()))));
    }
    for location in issuers {
        let keys = async { IssuerKeys::new(location.clone(), rules)?.count().await };
        findings.push(tokens(match keys.await {
            Ok(0) => Err(format!("{location} publishes no key that can be used: RSA of 2048 bits or more, P-256, P-384 or Ed25519")),
            Ok(1) => Ok(format!("{location} publishes one key")),
            Ok(n) => Ok(format!("{location} publishes {n} keys")),
            Err(error) => Err(format!(
                "{error}; is JWT_ISSUER (or JWT_JWKS_URL) right, and may this machine reach it? A private CA is named by SSL_CERT_FILE"
            )),
        }));
    }
    findings
}

fn pepper(config: &Config) -> Finding {
    let outcome = match (&config.keys.peppers.current, config.keys.fallback) {
        (None, _) => Err("every check costs an argon2, and a forged row would be believed: set KEY_PEPPER \
                          (`echo \"p1:$(openssl rand -base64 32)\"`)"
            .into()),
        (Some(pepper), KeyFallback::Argon2) => Ok(format!(
            "\"{}\"; rows without a stamp are believed by their argon2 hash, until KEY_FALLBACK=deny",
            pepper.id()
        )),
        (Some(pepper), KeyFallback::Deny) => Ok(format!("\"{}\", and nothing else lets a key in", pepper.id())),
    };
    Finding { what: "pepper", outcome }
}
