//! JWTs (RFC 7519), with RFC 8725's advice: the algorithm comes from the configured key and never from the token, `crit`
//! is refused, and `jwk`, `jku`, `x5c` and `x5u` are ignored. A token's `kid` chooses among the keys of an issuer; a
//! configured key accepts any `kid`.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, Header, dangerous::insecure_decode_claims, decode_header};
use serde_json::{Map, Value};

use super::{
    jwks::IssuerKeys,
    verification_key::{Candidates, ClaimRules, PublicKey, VerificationKey},
};
use crate::{
    auth::{
        cache::{
            epoch_cache::{Entry, EpochCache},
            key::{CacheKey, CacheKeys, Miss},
        },
        error::Error,
    },
    domain::{Clock, Principal, Scope, ScopeSet, Tenant, random_bytes},
};

/// Clock skew between an issuer and this service.
const LEEWAY_SECONDS: f64 = 60.0;
/// The longest name that the audit trail keeps: the longest address of RFC 5321.
const MAX_NAME_CHARS: usize = 320;

const MAX_CACHED: usize = 20_000;
/// Longer tokens are not cached, so that the cache has some 80 MB at most.
const MAX_CACHED_BYTES: usize = 4 * 1024;

/// Verifies tokens, and caches the valid ones: a browser sends the same one for an hour. Times and the generation of the
/// issuer's keys are checked at each use.
pub struct TokenVerifier {
    configured: Vec<VerificationKey>,
    issuers: Vec<Arc<IssuerKeys>>,
    tenant_claim: String,
    clock: Clock,
    cache: EpochCache<CacheKey, CachedToken>,
    cache_keys: CacheKeys,
}

/// The keys that tokens may be signed by.
#[derive(Default)]
pub struct TrustedKeys<'a> {
    /// The secret of HS256.
    pub secret: Option<&'a [u8]>,
    /// A configured public key.
    pub public_key: Option<&'a PublicKey>,
    /// Issuers that publish their keys.
    pub issuers: Vec<Arc<IssuerKeys>>,
}

/// A valid token.
struct CachedToken {
    /// Header and payload. Without the signature they are of no use to a thief.
    signed: Box<str>,
    exp: f64,
    nbf: Option<f64>,
    name: Option<String>,
    scopes: ScopeSet,
    /// `None`: a configured key verified it, which does not change.
    issuer: Option<IssuerGeneration>,
}

impl CachedToken {
    fn principal(&self) -> Principal {
        Principal::User { name: self.name.clone(), scopes: self.scopes }
    }
}

/// The generation of an issuer's keys that verified a token.
struct IssuerGeneration {
    keys: Arc<IssuerKeys>,
    generation: u64,
}

impl IssuerGeneration {
    fn is_current(&self) -> bool {
        self.keys.are_still(self.generation)
    }
}

impl TokenVerifier {
    /// Accepts tokens that one of `keys` has signed and whose claims follow `rules`.
    #[must_use]
    pub fn new(keys: TrustedKeys<'_>, rules: &ClaimRules, clock: Clock) -> Self {
        let secret = keys.secret.and_then(|secret| VerificationKey::hs256(secret, rules));
        let public = keys.public_key.map(|key| VerificationKey::public(key, rules));
        Self {
            configured: secret.into_iter().chain(public).collect(),
            issuers: keys.issuers,
            tenant_claim: rules.tenant_claim.clone(),
            clock,
            cache: EpochCache::new(MAX_CACHED, |key, _| key),
            cache_keys: CacheKeys::new(*random_bytes()),
        }
    }

    /// True if the newest fetch of every issuer's keys succeeded.
    pub(crate) fn issuers_are_up_to_date(&self) -> bool {
        self.issuers.iter().all(|issuer| issuer.are_up_to_date())
    }

    /// The user of a cached token.
    pub(in crate::auth) fn verify_cached(
        &self,
        token: &str,
        tenant: &Tenant,
    ) -> Result<Result<Principal, Error>, Miss> {
        let (signed, signature) = match parts(token) {
            Ok(parts) => parts,
            Err(error) => return Ok(Err(error)),
        };
        let key = self.cache_key(signature, tenant);
        let cached = self.cache.get(tenant.id.0.as_bytes(), key, Arc::clone).ok_or(Miss(key))?;
        if *cached.signed != *signed || !cached.issuer.as_ref().is_none_or(IssuerGeneration::is_current) {
            return Err(Miss(key));
        }
        Ok(self.check_times(&cached).map(|()| cached.principal()))
    }

    /// The user of a token: from the cache, unless `miss` says that it is not there; else verified with the trusted keys.
    pub(in crate::auth) async fn verify(
        &self,
        token: &str,
        tenant: &Tenant,
        miss: Option<Miss>,
    ) -> Result<Principal, Error> {
        let Miss(key) = match miss.map_or_else(|| self.verify_cached(token, tenant), Err) {
            Ok(cached) => return cached,
            Err(miss) => miss,
        };
        let ticket = self.cache.ticket(tenant.id.0.as_bytes(), key);
        let verified = self.verify_uncached(token, tenant).await?;
        let principal = verified.principal();
        if verified.signed.len() <= MAX_CACHED_BYTES {
            self.cache.put(ticket, Entry::new(key, verified));
        }
        Ok(principal)
    }

    /// Of the signature alone: a digest of the whole token would cost more than all else. With the slug, by which a token
    /// may name its tenant.
    fn cache_key(&self, signature: &str, tenant: &Tenant) -> CacheKey {
        self.cache_keys.key(tenant.id.0.as_bytes(), &[tenant.slug.as_str().as_bytes(), b"\0", signature.as_bytes()])
    }

    async fn verify_uncached(&self, token: &str, tenant: &Tenant) -> Result<CachedToken, Error> {
        let header = decode_header(token).map_err(|_| Error::InvalidToken("it is not a JWT"))?;
        if header.crit.is_some() {
            return Err(Error::InvalidToken("its `crit` header asks for what is not supported"));
        }
        let (claims, issuer) = self.verify_signature(token, &header).await?;
        let exp = time(&claims, "exp")?.ok_or(Error::InvalidToken("it has no `exp`"))?;
        let verified = CachedToken {
            signed: parts(token)?.0.into(),
            exp,
            nbf: time(&claims, "nbf")?,
            name: name(&claims)?,
            scopes: scopes(&claims),
            issuer,
        };
        self.check_times(&verified)?;
        if !self.names_tenant(&claims, tenant) {
            return Err(Error::WrongTenant);
        }
        Ok(verified)
    }

    /// The claims, if one of the trusted keys has signed them.
    async fn verify_signature(
        &self,
        token: &str,
        header: &Header,
    ) -> Result<(Map<String, Value>, Option<IssuerGeneration>), Error> {
        let mut attempt = Attempt::default();
        if let Some(claims) = attempt.verify_with_keys(self.configured.iter(), token, header.alg) {
            return Ok((claims, None));
        }
        // Not verified yet; it only chooses the issuer whose keys are tried.
        let unverified: Map<String, Value> =
            insecure_decode_claims(token).map_err(|_| Error::InvalidToken("it is not a valid JWT"))?;
        let claimed = unverified.get("iss").and_then(Value::as_str);
        for issuer in &self.issuers {
            if issuer.location().issuer().is_some_and(|issuer| claimed != Some(issuer)) {
                attempt.fail(Error::InvalidToken(if claimed.is_some() { WRONG_ISSUER } else { "it has no `iss`" }));
                continue;
            }
            if let Some((claims, generation)) = attempt.verify_with_issuer(issuer, token, header).await {
                return Ok((claims, Some(IssuerGeneration { keys: issuer.clone(), generation })));
            }
        }
        Err(attempt.into())
    }

    fn check_times(&self, token: &CachedToken) -> Result<(), Error> {
        #[allow(clippy::cast_precision_loss, reason = "microseconds fit f64 until the year 2255")]
        let now = self.clock.now().timestamp_micros() as f64 / 1e6;
        if now >= token.exp + LEEWAY_SECONDS {
            return Err(Error::TokenExpired);
        }
        if token.nbf.is_some_and(|nbf| now + LEEWAY_SECONDS < nbf) {
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

/// The signed part of a token, and the signature.
fn parts(token: &str) -> Result<(&str, &str), Error> {
    token.rsplit_once('.').ok_or(Error::InvalidToken("it is not a JWT"))
}

/// A NumericDate (RFC 7519, 2), which may have a fraction.
fn time(claims: &Map<String, Value>, claim: &str) -> Result<Option<f64>, Error> {
    match claims.get(claim) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(Error::InvalidToken("`exp` and `nbf` must be numbers")),
    }
}

/// A verification by several keys. Of their errors it keeps the one of the key that came closest to success.
#[derive(Default)]
struct Attempt(Option<Error>);

impl Attempt {
    fn fail(&mut self, error: Error) {
        let weight = |error: &Error| match error {
            Error::InvalidToken(WRONG_ALGORITHM) => 0,
            Error::InvalidToken(WRONG_ISSUER) => 1,
            Error::InvalidToken(WRONG_SIGNATURE) => 2,
            Error::IssuerUnavailable => 4,
            _ => 3,
        };
        if self.0.as_ref().is_none_or(|kept| weight(&error) > weight(kept)) {
            self.0 = Some(error);
        }
    }

    fn verify_with_keys<'a>(
        &mut self,
        keys: impl IntoIterator<Item = &'a VerificationKey>,
        token: &str,
        algorithm: Algorithm,
    ) -> Option<Map<String, Value>> {
        for key in keys {
            if !key.accepts(algorithm) {
                self.fail(Error::InvalidToken(WRONG_ALGORITHM));
                continue;
            }
            match key.verify(token) {
                Ok(claims) => return Some(claims),
                Err(error) => self.fail(explain(&error)),
            }
        }
        None
    }

    /// The claims, and the generation of the issuer's keys that verified them. An unknown `kid` triggers a fetch of the
    /// keys; at most two, since a fetch that was in flight may have begun before the key was published.
    async fn verify_with_issuer(
        &mut self,
        issuer: &IssuerKeys,
        token: &str,
        header: &Header,
    ) -> Option<(Map<String, Value>, u64)> {
        if matches!(header.alg, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
            self.fail(Error::InvalidToken(WRONG_ALGORITHM));
            return None;
        }
        let mut fetches = 0;
        loop {
            let current = issuer.snapshot();
            if current.fresh {
                match current.keys.candidates(header) {
                    Candidates::Keys(keys) => {
                        let claims = self.verify_with_keys(keys, token, header.alg)?;
                        return Some((claims, current.generation));
                    }
                    Candidates::Ambiguous => {
                        self.fail(Error::InvalidToken("it names no key (`kid`), and its issuer has several"));
                        return None;
                    }
                    Candidates::Unknown => {}
                }
            }
            if fetches == 2 || fetches > 0 && current.failed || !issuer.fetch_for_token().await {
                let current = issuer.snapshot();
                self.fail(if current.fresh && !current.failed {
                    Error::InvalidToken("its issuer has no such key (`kid`)")
                } else {
                    Error::IssuerUnavailable
                });
                return None;
            }
            fetches += 1;
        }
    }
}

impl From<Attempt> for Error {
    fn from(attempt: Attempt) -> Self {
        attempt.0.unwrap_or(Self::InvalidToken(WRONG_ALGORITHM))
    }
}

const WRONG_ALGORITHM: &str = "its algorithm is not the configured key's";
const WRONG_ISSUER: &str = "its issuer (`iss`) is not trusted";
const WRONG_SIGNATURE: &str = "its signature does not match";

fn explain(error: &jsonwebtoken::errors::Error) -> Error {
    use jsonwebtoken::errors::ErrorKind as Kind;
    Error::InvalidToken(match error.kind() {
        Kind::InvalidSignature => WRONG_SIGNATURE,
        Kind::InvalidAlgorithm | Kind::InvalidAlgorithmName => WRONG_ALGORITHM,
        Kind::InvalidIssuer => WRONG_ISSUER,
        Kind::InvalidAudience => "it is not meant for this service (`aud`)",
        Kind::MissingRequiredClaim(claim) => match claim.as_str() {
            "iss" => "it has no `iss`",
            "aud" => "it has no `aud`",
            _ => "it has no `exp`",
        },
        _ => "it is not a valid JWT",
    })
}

/// `email`, else `sub`. An error if the audit trail cannot keep it.
fn name(claims: &Map<String, Value>) -> Result<Option<String>, Error> {
    let claim = |name| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    match claim("email").or_else(|| claim("sub")) {
        Some(name) if name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) => {
            Err(Error::InvalidToken("its `email` or `sub` is too long or has control characters"))
        }
        name => Ok(name.map(str::to_owned)),
    }
}

/// The scopes of the first claim that is present: `scope`, `scopes`, `role`, `roles`. Unknown words, such as `openid`,
/// grant nothing.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Slug;
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use futures_util::FutureExt as _;
    use jsonwebtoken::{EncodingKey, encode};
    use proptest::prelude::*;
    use serde_json::json;

    fn granted(claims: Value) -> String {
        match claims {
            Value::Object(claims) => scopes(&claims).to_string(),
            _ => panic!("an object"),
        }
    }

    const SECRET: &[u8] = b"a secret of tests, of more than 32 bytes";

    /// Without the cache, whose locks are shuttle's in unit tests.
    fn verify(token: &str) -> Result<CachedToken, Error> {
        let rules = ClaimRules { issuers: vec![], audiences: vec![], tenant_claim: "tenant".into() };
        let keys = TrustedKeys { secret: Some(SECRET), public_key: None, issuers: vec![] };
        let tenant =
            Tenant { id: crate::domain::TenantId(uuid::Uuid::from_u128(1)), slug: Slug::parse("acme").unwrap() };
        let verifier = TokenVerifier::new(keys, &rules, Clock::default());
        // Without issuers, the future is ready at once.
        verifier.verify_uncached(token, &tenant).now_or_never().unwrap()
    }

    fn base64(bytes: impl AsRef<[u8]>) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Valid and invalid values of claims and headers.
    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (0_i64..3_000_000_000).prop_map(|offset| Value::from(Clock::default().now().timestamp() + offset)),
            "[a-z ,@.]{0,12}".prop_map(Value::from),
            prop::sample::select(vec!["acme", "globex", "admin", "read write", "HS256", "none"]).prop_map(Value::from),
        ];
        prop_oneof![4 => leaf.clone(), 1 => prop::collection::vec(leaf, 0..3).prop_map(Value::from)]
    }

    fn objects(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
        prop::collection::hash_map(prop::sample::select(names), values(), 0..6)
            .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            .prop_map(Value::Object)
    }

    const CLAIMS: &[&str] =
        &["exp", "nbf", "iat", "iss", "aud", "sub", "email", "tenant", "scope", "scopes", "role", "roles"];
    const HEADERS: &[&str] = &["alg", "typ", "kid", "jwk", "jku", "x5u", "x5c", "crit", "zip", "b64", "cty"];

    proptest! {
        #[test]
        fn a_malformed_token_is_refused(text in "([-A-Za-z0-9_=+/]{0,30}\\.?){0,5}") {
            prop_assert!(verify(&text).is_err());
        }

        #[test]
        fn a_token_without_a_valid_signature_is_refused_whatever_it_says(header in objects(HEADERS), claims in objects(CLAIMS), signature in any::<[u8; 32]>()) {
            let signed = format!("{}.{}", base64(header.to_string()), base64(claims.to_string()));
            for token in [format!("{signed}.{}", base64(signature)), format!("{signed}."), signed] {
                prop_assert!(matches!(verify(&token), Err(Error::InvalidToken(_))));
            }
        }

        #[test]
        fn a_signed_token_is_accepted_only_for_its_tenant_and_within_its_times(claims in objects(CLAIMS)) {
            let token = encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET).unwrap()).unwrap();
            let now = Clock::default().now().timestamp();
            match verify(&token) {
                Ok(verified) => {
                    prop_assert_eq!(&claims["tenant"], "acme");
                    #[allow(clippy::cast_precision_loss, reason = "seconds of this century")]
                    let now = now as f64;
                    prop_assert!(claims["exp"].as_f64().unwrap() > now - LEEWAY_SECONDS - 5.0);
                    prop_assert!(claims.get("nbf").is_none_or(|nbf| nbf.as_f64().unwrap() <= now + LEEWAY_SECONDS + 5.0));
                    let text = claims.to_string();
                    let granted: Vec<_> = verified.scopes.iter().map(Scope::as_str).collect();
                    prop_assert!(granted.iter().all(|scope| text.contains(scope)), "{:?} of {}", granted, text);
                }
                Err(error) => prop_assert!(!error.to_string().contains("a secret of tests")),
            }
        }
    }

    #[test]
    fn scopes_are_those_of_the_first_claim_present() {
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
