//! JWTs (RFC 7519), with RFC 8725's advice: the algorithm comes from the configured key and
//! never from the token, `crit` is refused, and `jwk`, `jku`, `x5c` and `x5u` are not looked at.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde_json::{Map, Value, json};

use super::{
    Error,
    cache::{Cache, CacheKey, CacheKeys},
};
use crate::domain::{Clock, Principal, Scope, ScopeSet, Slug, Tenant, Timestamp, random_bytes};

/// How far clocks may be apart, in seconds.
const LEEWAY_SECONDS: f64 = 60.0;
/// The longest name that the audit trail keeps: the longest address that RFC 5321 allows.
const MAX_NAME_CHARS: usize = 320;

/// What a token must hold besides its signature.
#[derive(Clone, Debug)]
pub struct ClaimRules {
    /// `iss` must be this.
    pub issuer: Option<String>,
    /// `aud` must name this.
    pub audience: Option<String>,
    /// The claim that names the tenant, by slug or id.
    pub tenant_claim: String,
}

/// As many tokens are remembered at most.
const MAX_REMEMBERED: usize = 20_000;

/// Checks tokens, and remembers those that held: a browser sends the same one for an hour. What
/// depends on the clock is held against it at each use.
pub struct TokenVerifier {
    key: DecodingKey,
    validation: Validation,
    tenant_claim: String,
    clock: Clock,
    remembered: Cache<CacheKey, Arc<Claims>>,
    cache_keys: CacheKeys,
}

/// What is used of a token's claims.
struct Claims {
    exp: f64,
    nbf: Option<f64>,
    name: Option<String>,
    scopes: ScopeSet,
}

impl TokenVerifier {
    /// Trusts tokens that are signed by HS256 with this secret.
    #[must_use]
    pub fn hs256(secret: &[u8], rules: ClaimRules, clock: Clock) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // Times are checked here, by our own clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        // The library checks `iss` and `aud` only where a token has them, unless required.
        let mut required = vec!["exp"];
        if let Some(issuer) = &rules.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &rules.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.validate_aud = rules.audience.is_some();
        validation.set_required_spec_claims(&required);
        Self {
            key: DecodingKey::from_secret(secret),
            validation,
            tenant_claim: rules.tenant_claim,
            clock,
            remembered: Cache::new(MAX_REMEMBERED),
            cache_keys: CacheKeys::new(*random_bytes()),
        }
    }

    /// The user whom a token names, if it holds for that tenant.
    pub fn verify(&self, token: &str, tenant: &Tenant) -> Result<Principal, Error> {
        let group = tenant.id.0.as_bytes();
        // With the slug, since a token may name the tenant by it.
        let key = self.cache_keys.key(group, &[tenant.slug.as_str().as_bytes(), b"\0", token.as_bytes()]);
        let claims = if let Some(claims) = self.remembered.get(group, key) {
            self.check_times(&claims)?;
            claims
        } else {
            let ticket = self.remembered.ticket(group, key);
            let claims = Arc::new(self.examine(token, tenant)?);
            self.remembered.put(ticket, key, key, claims.clone());
            claims
        };
        Ok(Principal::User { name: claims.name.clone(), scopes: claims.scopes })
    }

    fn examine(&self, token: &str, tenant: &Tenant) -> Result<Claims, Error> {
        let header = decode_header(token).map_err(|_| Error::InvalidToken("it is not a JWT"))?;
        if header.crit.is_some() {
            return Err(Error::InvalidToken("its `crit` header asks for what is not supported"));
        }
        let claims =
            decode::<Map<String, Value>>(token, &self.key, &self.validation).map_err(|error| explain(&error))?.claims;
        let exp = time(&claims, "exp")?.ok_or(Error::InvalidToken("it has no `exp`"))?;
        let used = Claims { exp, nbf: time(&claims, "nbf")?, name: name(&claims)?, scopes: scopes(&claims) };
        self.check_times(&used)?;
        if !self.names_tenant(&claims, tenant) {
            return Err(Error::WrongTenant);
        }
        Ok(used)
    }

    fn check_times(&self, claims: &Claims) -> Result<(), Error> {
        #[allow(clippy::cast_precision_loss, reason = "microseconds fit f64 until the year 2255")]
        let now = self.clock.now().timestamp_micros() as f64 / 1e6;
        if now >= claims.exp + LEEWAY_SECONDS {
            return Err(Error::TokenExpired);
        }
        if claims.nbf.is_some_and(|nbf| now + LEEWAY_SECONDS < nbf) {
            return Err(Error::InvalidToken("it is not valid yet (`nbf`)"));
        }
        Ok(())
    }

    fn names_tenant(&self, claims: &Map<String, Value>, tenant: &Tenant) -> bool {
        claims
            .get(&self.tenant_claim)
            .and_then(Value::as_str)
            .is_some_and(|claim| claim == tenant.slug.as_str() || claim.eq_ignore_ascii_case(&tenant.id.to_string()))
    }
}

/// A time, as NumericDate (RFC 7519, 2), which may have a fraction.
fn time(claims: &Map<String, Value>, claim: &str) -> Result<Option<f64>, Error> {
    match claims.get(claim) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(Error::InvalidToken("`exp` and `nbf` must be numbers")),
    }
}

fn explain(error: &jsonwebtoken::errors::Error) -> Error {
    use jsonwebtoken::errors::ErrorKind as Kind;
    Error::InvalidToken(match error.kind() {
        Kind::InvalidSignature => "its signature does not match",
        Kind::InvalidAlgorithm | Kind::InvalidAlgorithmName => "its algorithm is not the configured key's",
        Kind::InvalidIssuer => "its issuer (`iss`) is not trusted",
        Kind::InvalidAudience => "it is not meant for this service (`aud`)",
        Kind::MissingRequiredClaim(claim) => match claim.as_str() {
            "iss" => "it has no `iss`",
            "aud" => "it has no `aud`",
            _ => "it has no `exp`",
        },
        _ => "it is not a valid JWT",
    })
}

/// `email`, else `sub`. A name that the audit trail could not keep is refused.
fn name(claims: &Map<String, Value>) -> Result<Option<String>, Error> {
    let claim = |name| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    match claim("email").or_else(|| claim("sub")) {
        Some(name) if name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) => {
            Err(Error::InvalidToken("its `email` or `sub` is too long or has control characters"))
        }
        name => Ok(name.map(str::to_owned)),
    }
}

/// What the first present of `scope`, `scopes`, `role` and `roles` grants. Words that are not
/// ours (`openid`, say) grant nothing.
fn scopes(claims: &Map<String, Value>) -> ScopeSet {
    let claim = |name| claims.get(name).filter(|value| !value.is_null());
    let known =
        |words: &mut dyn Iterator<Item = &str>| words.filter_map(|word| Scope::from_name(word.trim())).collect();
    if let Some(value) = claim("scope") {
        // RFC 8693, 4.2
        return known(&mut value.as_str().unwrap_or_default().split(' '));
    }
    match ["scopes", "role", "roles"].into_iter().find_map(claim) {
        Some(Value::String(text)) => known(&mut text.split(',')),
        Some(Value::Array(items)) => known(&mut items.iter().filter_map(Value::as_str)),
        _ => ScopeSet::default(),
    }
}

/// Signs tokens, for development and for a first admin.
pub struct TokenSigner {
    key: EncodingKey,
    rules: ClaimRules,
}

impl TokenSigner {
    /// Signs by HS256 with this secret what a [`TokenVerifier`] of the same rules accepts.
    #[must_use]
    pub fn hs256(secret: &[u8], rules: ClaimRules) -> Self {
        Self { key: EncodingKey::from_secret(secret), rules }
    }

    /// A token for that tenant and person.
    pub fn sign(
        &self,
        tenant: &Slug,
        email: &str,
        scopes: ScopeSet,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let words: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
        let mut claims = json!({
            "sub": email,
            "email": email,
            "scope": words.join(" "),
            "iat": issued_at.timestamp(),
            "exp": expires_at.timestamp(),
        });
        claims[&self.rules.tenant_claim] = json!(tenant.as_str());
        if let Some(issuer) = &self.rules.issuer {
            claims["iss"] = json!(issuer);
        }
        if let Some(audience) = &self.rules.audience {
            claims["aud"] = json!(audience);
        }
        encode(&Header::new(Algorithm::HS256), &claims, &self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(claims: Value) -> String {
        match claims {
            Value::Object(claims) => scopes(&claims).to_string(),
            _ => panic!("an object"),
        }
    }

    #[test]
    fn scopes_come_from_the_first_claim_present() {
        assert_eq!(granted(json!({"scope": "openid write read"})), "read,write");
        assert_eq!(granted(json!({"scopes": "read, admin"})), "read,admin");
        assert_eq!(granted(json!({"scopes": ["write"]})), "write");
        assert_eq!(granted(json!({"role": "admin"})), "admin");
        assert_eq!(granted(json!({"roles": ["admin", "owner"]})), "admin");
        assert_eq!(granted(json!({"scope": "", "role": "admin"})), "", "present, and grants nothing");
        assert_eq!(granted(json!({"scope": null, "role": "admin"})), "admin");
        assert_eq!(granted(json!({"scope": "Admin ADMIN admins"})), "");
        assert_eq!(granted(json!({})), "");
    }
}
