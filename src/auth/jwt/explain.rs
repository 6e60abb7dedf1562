//! What the service reads from a token, and what it would say of it: for the command line.

use serde_json::Value;

use super::{
    claims::{ClaimRules, LEEWAY_SECONDS, Validity, tenant_names},
    token::{Token, excerpt},
    verifier::TokenVerifier,
};
use crate::{
    auth::error::{Error, TokenError},
    domain::{Slug, Timestamp, format_timestamp},
};

/// One thing that was read or checked.
#[derive(Debug)]
pub struct Finding {
    /// Such as `issuer` or `scopes`.
    pub what: &'static str,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a check.
#[derive(Debug)]
pub enum Outcome {
    /// What was found.
    Accepted(String),
    /// What was found, and what the service also needs to accept it.
    Unsure(String),
    /// Why the token is refused, and what to do about it.
    Refused(String),
}

impl From<Result<String, String>> for Outcome {
    fn from(result: Result<String, String>) -> Self {
        result.map_or_else(Self::Refused, Self::Accepted)
    }
}

impl TokenVerifier {
    /// Takes a token apart and checks each part by itself, so that everything that is wrong with it is told at once. Nothing
    /// of the signature is repeated. `tenant`: the slug of the host that it is meant for.
    pub async fn explain(&self, token: &str, tenant: Option<&Slug>, now: Timestamp) -> Vec<Finding> {
        let token = match Token::parse(token) {
            Ok(token) => token,
            Err(error) => return vec![Finding { what: "token", outcome: Outcome::Refused(advised(&error.into())) }],
        };
        vec![
            Finding { what: "signature", outcome: self.explain_signature(&token).await.into() },
            Finding { what: "issuer", outcome: self.explain_issuer(&token).into() },
            Finding { what: "audience", outcome: self.explain_audience(&token).into() },
            Finding { what: "times", outcome: explain_times(&token, now).into() },
            Finding { what: "name", outcome: self.explain_name(&token).into() },
            Finding { what: "tenant", outcome: self.explain_tenant(&token, tenant) },
            Finding { what: "scopes", outcome: self.explain_scopes(&token).into() },
        ]
    }

    async fn explain_signature(&self, token: &Token<'_>) -> Result<String, String> {
        let (algorithm, key) = (&token.algorithm_name, token.key_id.as_deref().map_or("no `kid`".into(), excerpt));
        let by = match self.verify_signature(token).await {
            Ok(None) => "a configured key (JWT_SECRET or JWT_PUBLIC_KEY_FILE)".to_owned(),
            Ok(Some(issuer)) => format!("a key of {}", issuer.keys.location()),
            Err(error) => return Err(format!("{algorithm}, key {key}: {}", advised(&error))),
        };
        Ok(format!("{algorithm}, key {key}, verified by {by}"))
    }

    fn explain_issuer(&self, token: &Token<'_>) -> Result<String, String> {
        self.rules.check_issuer(&token.claims).map_err(|error| advised(&error.into()))?;
        let issuer = token.issuer().map_or("none".into(), excerpt);
        Ok(if self.rules.issuers.is_empty() {
            format!("{issuer}, not checked (JWT_ISSUER is not set)")
        } else {
            issuer
        })
    }

    fn explain_audience(&self, token: &Token<'_>) -> Result<String, String> {
        let read = ["aud", "client_id", "azp"].iter().filter_map(|name| {
            token
                .claims
                .get(*name)
                .filter(|value| !value.is_null())
                .map(|value| format!("`{name}` holds {}", shown(value)))
        });
        let read: Vec<_> = read.take(1).collect();
        let read = read.first().map_or("none", String::as_str);
        let checked = self.rules.check_audience(&token.claims).and_then(|()| ClaimRules::check_unbound(&token.claims));
        checked.map_err(|error| format!("{read}: {}", advised(&error.into())))?;
        Ok(if self.rules.audiences.is_empty() {
            format!("{read}, not checked (JWT_AUDIENCE is not set)")
        } else {
            read.into()
        })
    }

    fn explain_name(&self, token: &Token<'_>) -> Result<String, String> {
        let user = self.rules.user(&token.claims).map_err(|error| advised(&error.into()))?;
        let (claim, _) = self.rules.name(&token.claims).map_err(|error| advised(&error.into()))?;
        Ok(format!("{}, from `{claim}`", excerpt(&user.name)))
    }

    /// Which tenants have which external ids only the database says, so some outcomes are [`Outcome::Unsure`].
    fn explain_tenant(&self, token: &Token<'_>, tenant: Option<&Slug>) -> Outcome {
        let claim = &self.rules.tenant;
        let Some(value) = claim.find(&token.claims) else {
            return Outcome::Refused(format!(
                "it has no claim `{claim}`; set JWT_TENANT_CLAIM to the claim that names the tenant"
            ));
        };
        let names = tenant_names(value);
        let read: Vec<_> = names.iter().map(|name| excerpt(name)).collect();
        let read = format!("{} from `{claim}`, a tenant's slug, id or external id", read.join(", "));
        if names.is_empty() {
            return Outcome::Refused(format!(
                "`{claim}` holds {}, which names no tenant; see JWT_TENANT_CLAIM",
                shown(value)
            ));
        }
        let may_speak_for = |slug: &Slug| self.rules.may_speak_for(token.issuer(), slug);
        let is_certain = |name: &&str| {
            Slug::parse(name).is_ok_and(|slug| may_speak_for(&slug) && names_whatever_its_external_id(value, &slug))
        };
        match tenant {
            Some(slug) if !may_speak_for(slug) => {
                Outcome::Refused(format!("{read}: its issuer may not speak for the tenant {slug} (JWT_ISSUER_TENANTS)"))
            }
            Some(slug) if names_whatever_its_external_id(value, slug) => Outcome::Accepted(read),
            Some(slug) => Outcome::Unsure(format!(
                "{read}: accepted if one of them is the id or external id of {slug}; see `rally-api-keys tenant list` and \
                 `tenant external-id {slug} <id>`"
            )),
            None if self.rules.may_speak_for_all(token.issuer()) || names.iter().any(is_certain) => {
                Outcome::Accepted(read)
            }
            None => Outcome::Unsure(format!(
                "{read}: its issuer may speak for some tenants alone (JWT_ISSUER_TENANTS), of which one must have such a \
                 slug, id or external id; ask again with --tenant"
            )),
        }
    }

    fn explain_scopes(&self, token: &Token<'_>) -> Result<String, String> {
        match self.rules.scopes.granted(&token.claims) {
            Some((claim, scopes)) => Ok(format!("{scopes}, from `{claim}`")),
            None => Err(self.rules.scopes.describe(&token.claims)),
        }
    }
}

/// True if a token with that tenant claim is for the tenant of that slug, whatever external id it has.
fn names_whatever_its_external_id(claim: &Value, slug: &Slug) -> bool {
    match claim {
        Value::Object(organizations) => {
            organizations.get(slug.as_str()).is_some_and(|details| details.get("id").is_none_or(Value::is_null))
        }
        names => tenant_names(names).contains(&slug.as_str()),
    }
}

fn explain_times(token: &Token<'_>, now: Timestamp) -> Result<String, String> {
    let refused = |error: Error| advised(&error);
    let validity = Validity::of(&token.claims).map_err(|error| refused(error.into()))?;
    let from = validity.not_before.map(|from| format!("from {} ", moment(from))).unwrap_or_default();
    let read = format!("{from}until {} ({LEEWAY_SECONDS} s more are allowed)", moment(validity.expires));
    validity.check(now).map_err(|error| format!("{read}: {}", refused(error)))?;
    Ok(read)
}

#[allow(clippy::cast_possible_truncation, reason = "a fraction of a second is not shown")]
fn moment(seconds: f64) -> String {
    Timestamp::from_timestamp(seconds as i64, 0).map_or_else(|| format!("second {seconds}"), format_timestamp)
}

/// Strings as they are written in the token; anything else by its kind.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => excerpt(text),
        Value::Array(items) => items.iter().take(10).map(shown).collect::<Vec<_>>().join(", "),
        Value::Object(_) => "an object".into(),
        other => excerpt(&other.to_string()),
    }
}

/// The reason, and the setting that mends it.
fn advised(error: &Error) -> String {
    let reason = match error {
        Error::InvalidToken(reason) => reason.to_string(),
        other => other.to_string(),
    };
    match advice(error) {
        Some(advice) => format!("{reason}; {advice}"),
        None => reason,
    }
}

fn advice(error: &Error) -> Option<&'static str> {
    let reason = match error {
        Error::TokenExpired => return Some("get a new token"),
        Error::IssuerUnavailable => {
            return Some("this machine must reach its JWT_ISSUER or JWT_JWKS_URL (see HTTPS_PROXY, SSL_CERT_FILE)");
        }
        Error::InvalidToken(reason) => reason,
        _ => return None,
    };
    Some(match reason {
        TokenError::UnsupportedAlgorithm(_) => {
            "let the issuer sign by RS256, RS384, RS512, PS256, ES256, ES384 or EdDSA (Ed25519)"
        }
        TokenError::WrongAlgorithm(_) => "name its issuer in JWT_ISSUER, or let it sign by the configured key",
        TokenError::NoIssuer | TokenError::UntrustedIssuer(_) => "list its issuer in JWT_ISSUER, to the letter",
        TokenError::NoSuchKey | TokenError::WrongSignature => {
            "check that JWT_ISSUER, JWT_JWKS_URL, JWT_PUBLIC_KEY_FILE or JWT_SECRET belong to the issuer of this token"
        }
        TokenError::NoUsableKey => "usable are RSA keys of 2048 bits or more, P-256, P-384 and Ed25519",
        TokenError::NoAudience => "let the issuer write an audience, or unset JWT_AUDIENCE",
        TokenError::WrongAudience(_) => "list its audience in JWT_AUDIENCE, if the token is for this service",
        TokenError::SenderConstrained => {
            "let the issuer write Bearer tokens for this service, without DPoP or a client certificate"
        }
        TokenError::NoName(_) => "JWT_NAME_CLAIM sets which claims name the user",
        _ => return None,
    })
}
