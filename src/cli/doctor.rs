//! `rally-api-keys doctor`

use std::io::{self, Write as _, stdout};

use chrono::TimeDelta;
use serde_json::json;

use super::Error;
use crate::{
    auth::{
        api_key::{pepper::Peppers, verifier::KeyFallback},
        client_address::TrustedProxies,
        jwt::jwks::{IssuerKeys, JwksLocation},
    },
    config::{ANY_AUDIENCE, Config, Database, Jwt, Warning},
    demo::{IfMissing, PrivateDatabase},
    domain::{Clock, format_timestamp},
    http::{
        console::ConsoleSettings,
        tls::{LoadedTls, TlsFiles},
    },
    limits::try_redis,
    store::{Finding, Inspected, Level, inspect},
};

/// When a certificate that is still valid is reported: most issuers renew theirs earlier.
const RENEW_BEFORE: TimeDelta = TimeDelta::days(7);

/// Checks everything that the service depends on and prints what to do about each failure. Changes nothing. Without
/// DATABASE_URL, it starts the private PostgreSQL for the checks, if there is one.
pub(super) async fn doctor(mut config: Config, json: bool) -> Result<(), Error> {
    let (private, missing) = match &config.database.url {
        Some(_) => (None, None),
        None => match PrivateDatabase::open(&mut config, IfMissing::Refuse).await {
            Ok(private) => (Some(private), None),
            Err(error) => (None, Some(Finding::of("database", Err(error)))),
        },
    };
    let mut findings = Vec::from_iter(missing);
    findings.extend(settings(&config));
    findings.extend(config.http.tls.as_ref().map(|files| tls(files, &Clock::default())));
    findings.push(trusted_proxies(&config));
    findings.extend(users_tokens(&config).await);
    findings.extend(console(&config.console).await);
    findings.push(pepper(&config));
    findings.push(redis(&config).await);
    if let Some(url) = private.as_ref().map(|private| &private.url).or(config.database.url.as_ref()) {
        let Database { direct_url, migration_url, .. } = &config.database;
        let peppers = config.keys.peppers.ids();
        let inspected =
            Inspected { url, direct: direct_url.as_ref(), owner: migration_url.as_ref(), peppers: &peppers };
        findings.extend(inspect(inspected, &Clock::default()).await);
    }
    if let Some(private) = private {
        private.close().await?;
    }
    print(&findings, json)?;
    match findings.iter().filter(|finding| finding.level == Level::Fail).count() {
        0 => Ok(()),
        1 => Err(Error::Refused("one check failed".into())),
        n => Err(Error::Refused(format!("{n} checks failed"))),
    }
}

fn print(findings: &[Finding], json: bool) -> io::Result<()> {
    if json {
        let checks: Vec<_> = findings
            .iter()
            .map(|Finding { what, level, text }| {
                json!({"check": what, "outcome": outcome(*level).to_lowercase(), "text": one_line(text)})
            })
            .collect();
        let ok = findings.iter().all(|finding| finding.level != Level::Fail);
        return writeln!(stdout(), "{:#}", json!({"ok": ok, "checks": checks}));
    }
    for Finding { what, level, text } in findings {
        writeln!(stdout(), "{:<4}  {what}: {}", outcome(*level), one_line(text))?;
    }
    Ok(())
}

const fn outcome(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Warn => "WARN",
        Level::Fail => "FAIL",
        Level::Skip => "skip",
    }
}

/// A finding is one line; some errors have several.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn settings(config: &Config) -> impl Iterator<Item = Finding> {
    config.warnings.iter().map(|Warning { name, problem, is_unsafe }| {
        let level = if *is_unsafe { Level::Fail } else { Level::Warn };
        Finding::new("settings", level, format!("{name} {problem}"))
    })
}

fn trusted_proxies(config: &Config) -> Finding {
    let TrustedProxies(blocks) = &config.tenancy.trusted_proxies;
    let (level, text) = if blocks.iter().any(|block| block.prefix_len() == 0) {
        let problem = "TRUSTED_PROXIES contains every address: any client can name its tenant and its address; set it to the \
                       addresses of your gateways";
        (Level::Fail, problem.to_owned())
    } else if !blocks.is_empty() {
        let blocks: Vec<_> = blocks.iter().map(ToString::to_string).collect();
        (Level::Ok, blocks.join(", "))
    } else if config.is_local() {
        (Level::Ok, "none: the peer of a connection is the client".to_owned())
    } else {
        let problem = "TRUSTED_PROXIES is not set: behind a gateway, all clients have the gateway's address in usage and \
                       events; set it to the addresses of your gateways";
        (Level::Warn, problem.to_owned())
    };
    Finding::new("trusted proxies", level, text)
}

fn tls(files: &TlsFiles, clock: &Clock) -> Finding {
    let (level, text) = match files.load() {
        Err(error) => (Level::Fail, error.to_string()),
        Ok(LoadedTls { not_after, .. }) => {
            let left = not_after - clock.now();
            let clients = if files.client_ca.is_some() { "required" } else { "not required" };
            let text = format!(
                "the certificate is valid until {}; certificates of clients are {clients}",
                format_timestamp(not_after)
            );
            match left {
                _ if left <= TimeDelta::zero() => {
                    (Level::Fail, format!("{text}: it has expired, so clients refuse it; renew TLS_CERT_FILE"))
                }
                _ if left < RENEW_BEFORE => (Level::Warn, format!("{text}: renew TLS_CERT_FILE")),
                _ => (Level::Ok, text),
            }
        }
    };
    Finding::new("TLS", level, text)
}

async fn users_tokens(config: &Config) -> Vec<Finding> {
    let any_audience = Finding::new("users' tokens", Level::Warn, ANY_AUDIENCE);
    let mut findings = Vec::from_iter(config.jwt.accepts_any_audience().then_some(any_audience));
    findings.extend(jwt(config).await);
    findings
}

async fn jwt(config: &Config) -> Vec<Finding> {
    let Jwt { secret, public_key, issuers, .. } = &config.jwt;
    let tokens = |outcome: Result<String, String>| Finding::of("users' tokens", outcome);
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

/// The console's sign-in, where it has one.
async fn console(settings: &ConsoleSettings) -> Option<Finding> {
    let issuer = settings.issuer.as_deref()?;
    let endpoint = async {
        let location = JwksLocation::of(issuer).map_err(|problem| format!("{issuer} {problem}"))?;
        let keys = IssuerKeys::new(location).map_err(|error| error.to_string())?;
        keys.token_endpoint().await.map_err(|error| {
            format!("users cannot sign in: {error}; check JWT_ISSUER, of which the console uses the first")
        })
    };
    let outcome = endpoint.await.and_then(|endpoint| match settings.forbidden_origin(endpoint.as_str()) {
        None => Ok(format!("users sign in at {issuer}")),
        Some(origin) => Err(format!(
            "users cannot sign in: browsers may not call the issuer's token endpoint, which is at {origin}; add that to \
             CONSOLE_CONNECT_ORIGINS"
        )),
    });
    Some(Finding::of("console", outcome))
}

async fn redis(config: &Config) -> Finding {
    let Some(url) = &config.limits.redis else {
        let text = "REDIS_URL is not set: a key with a rate limit may use it once at each instance";
        return Finding::new("rate limits", Level::Ok, text);
    };
    let outcome = try_redis(url).await.map(|()| format!("{url} counts for all instances"));
    Finding::of(
        "rate limits",
        outcome.map_err(|error| {
            format!(
                "{url} does not count: {error}; check REDIS_URL, that the server runs and takes writes, and that its user may \
                 run EVALSHA, SCRIPT LOAD, TIME, GET and SET on rally:limit:*; set SSL_CERT_FILE for a private CA"
            )
        }),
    )
}

fn pepper(config: &Config) -> Finding {
    let Peppers { current, next, retired } = &config.keys.peppers;
    let next = next.iter().map(|pepper| format!(", next \"{}\"", pepper.id()));
    let others: String = next.chain(retired.iter().map(|pepper| format!(", retired \"{}\"", pepper.id()))).collect();
    let outcome: Result<String, String> = match (current, config.keys.fallback) {
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
    Finding::of("pepper", outcome)
}
