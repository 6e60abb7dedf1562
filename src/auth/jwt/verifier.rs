//! JWTs (RFC 7519), with RFC 8725's advice: the algorithm comes from the trusted key and never from the token, `crit` is
//! refused, and `jwk`, `jku`, `x5c` and `x5u` are ignored. A token's `kid` chooses among the keys of an issuer; a
//! configured key accepts any `kid`.

use std::sync::Arc;

use jsonwebtoken::Algorithm;
use prometheus_client::registry::Registry;

use super::{
    claims::{ClaimRules, Validity},
    jwks::IssuerKeys,
    token::{Token, excerpt, split},
    verification_key::{PublicKey, VerificationKey},
    verification_metrics::{Source, VerificationMetrics},
};
use crate::{
    auth::{
        cache::{
            epoch_cache::{Entry, EpochCache},
            key::{CacheKey, CacheKeys, Miss},
        },
        error::{Error, TokenError},
    },
    domain::{Clock, ExternalId, Principal, Scope, ScopeSet, Tenant, User, random_bytes},
};

const MAX_CACHED: usize = 20_000;
/// Longer tokens are not cached, so that the cache has some 80 MB at most.
const MAX_CACHED_BYTES: usize = 4 * 1024;

/// Verifies tokens, and caches the valid ones: a browser sends the same one for an hour. Times and the generation of the
/// issuer's keys are checked at each use.
pub struct TokenVerifier {
    configured: Vec<VerificationKey>,
    issuers: Vec<Arc<IssuerKeys>>,
    pub(super) rules: ClaimRules,
    clock: Clock,
    cache: EpochCache<CacheKey, CachedToken>,
    cache_keys: CacheKeys,
    metrics: VerificationMetrics,
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
    validity: Validity,
    user: Arc<User>,
    scopes: ScopeSet,
    /// `None`: a configured key verified it, which does not change.
    issuer: Option<IssuerGeneration>,
}

impl CachedToken {
    fn principal(&self) -> Principal {
        Principal::User { user: self.user.clone(), scopes: self.scopes }
    }
}

/// The generation of an issuer's keys that verified a token.
pub(super) struct IssuerGeneration {
    pub(super) keys: Arc<IssuerKeys>,
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
        let secret = keys.secret.and_then(VerificationKey::hs256);
        let public = keys.public_key.map(VerificationKey::public);
        Self {
            configured: secret.into_iter().chain(public).collect(),
            issuers: keys.issuers,
            rules: rules.clone(),
            clock,
            cache: EpochCache::new(MAX_CACHED, |key, _| key),
            cache_keys: CacheKeys::new(*random_bytes()),
            metrics: VerificationMetrics::default(),
        }
    }

    /// True if the newest fetch of every issuer's keys succeeded, and each publishes a usable one.
    pub(crate) fn issuers_are_up_to_date(&self) -> bool {
        self.issuers.iter().all(|issuer| issuer.are_up_to_date())
    }

    /// Names the metrics in the registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// The user of a cached token.
    pub(in crate::auth) fn verify_cached(
        &self,
        token: &str,
        tenant: &Tenant,
    ) -> Result<Result<Principal, Error>, Miss> {
        self.read_cached(token, tenant).inspect(|outcome| self.metrics.count(outcome, Source::Cache))
    }

    fn read_cached(&self, token: &str, tenant: &Tenant) -> Result<Result<Principal, Error>, Miss> {
        let (signed, signature) = match split(token) {
            Ok(parts) => parts,
            Err(error) => return Ok(Err(error.into())),
        };
        let key = self.cache_key(signature, tenant);
        let cached = self.cache.get(tenant.id.0.as_bytes(), key, Arc::clone).ok_or(Miss(key))?;
        if *cached.signed != *signed || !cached.issuer.as_ref().is_none_or(IssuerGeneration::is_current) {
            return Err(Miss(key));
        }
        Ok(cached.validity.check(self.clock.now()).map(|()| cached.principal()))
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
        let verified = self.verify_uncached(token, tenant).await;
        self.metrics.count(&verified, Source::Signature);
        let verified = verified?;
        let principal = verified.principal();
        if verified.signed.len() <= MAX_CACHED_BYTES {
            self.cache.put(ticket, Entry::new(key, verified));
        }
        Ok(principal)
    }

    /// What a user's token was read for scopes, after a request needed one that it does not grant. The token is valid.
    #[cold]
    pub(in crate::auth) fn lacking(&self, scope: Scope, token: &str) -> Error {
        match Token::parse(token) {
            Ok(token) => Error::TokenLacksScope(scope, self.rules.scopes.describe(&token.claims)),
            Err(error) => error.into(),
        }
    }

    /// Of the signature alone: a digest of the whole token would cost more than all else. With the tenant's names, by which
    /// a token may name it.
    fn cache_key(&self, signature: &str, tenant: &Tenant) -> CacheKey {
        let external_id: &[u8] = tenant.external_id.as_ref().map_or(b"", ExternalId::as_bytes);
        let parts = [tenant.slug.as_bytes(), b"\0", signature.as_bytes(), b"\0", external_id];
        self.cache_keys.key(tenant.id.0.as_bytes(), &parts)
    }

    async fn verify_uncached(&self, token: &str, tenant: &Tenant) -> Result<CachedToken, Error> {
        let token = Token::parse(token)?;
        let issuer = self.verify_signature(&token).await?;
        let claims = &token.claims;
        self.rules.check_issuer(claims)?;
        self.rules.check_audience(claims)?;
        ClaimRules::check_unbound(claims)?;
        let validity = Validity::of(claims)?;
        validity.check(self.clock.now())?;
        let user = Arc::new(self.rules.user(claims)?);
        self.rules.check_tenant(claims, tenant)?;
        let scopes = self.rules.scopes.granted(claims).map(|(_, scopes)| scopes).unwrap_or_default();
        Ok(CachedToken { signed: token.signed.into(), validity, user, scopes, issuer })
    }

    /// The issuer whose keys have signed the token; `None` = a configured key has.
    pub(super) async fn verify_signature(&self, token: &Token<'_>) -> Result<Option<IssuerGeneration>, Error> {
        let symmetric = token.algorithm == Algorithm::HS256;
        let accepting = || self.configured.iter().filter(|key| key.accepts(token.algorithm));
        if accepting().any(|key| key.verifies(token.signed.as_bytes(), token.signature, token.algorithm)) {
            return Ok(None);
        }
        let is_configured = accepting().next().is_some();
        // The issuer is not verified yet; it only chooses whose keys are tried.
        let claimed = token.issuer();
        let is_claimed =
            |issuer: &&Arc<IssuerKeys>| issuer.location().issuer().is_none_or(|name| claimed == Some(name));
        let mut refusal =
            if is_configured { TokenError::WrongSignature.into() } else { self.refusal_without_key(token) };
        // A key set never provides a symmetric key.
        for issuer in self.issuers.iter().filter(is_claimed).filter(|_| !symmetric) {
            match verify_by_issuer(issuer, token).await {
                Ok(generation) => return Ok(Some(IssuerGeneration { keys: issuer.clone(), generation })),
                Err(error) if closeness(&error) > closeness(&refusal) => refusal = error,
                Err(_) => {}
            }
        }
        Err(refusal)
    }

    /// Why a token is refused if no key is tried.
    fn refusal_without_key(&self, token: &Token<'_>) -> Error {
        if token.algorithm == Algorithm::HS256 || self.issuers.is_empty() {
            return TokenError::WrongAlgorithm(token.algorithm_name.clone()).into();
        }
        match token.issuer() {
            Some(issuer) => TokenError::UntrustedIssuer(excerpt(issuer)).into(),
            None => TokenError::NoIssuer.into(),
        }
    }
}

/// How close a verification came to its success. Of several, the closest one is told.
fn closeness(error: &Error) -> u8 {
    match error {
        Error::InvalidToken(TokenError::UntrustedIssuer(_) | TokenError::NoIssuer) => 0,
        Error::InvalidToken(TokenError::WrongAlgorithm(_)) => 1,
        Error::InvalidToken(TokenError::WrongSignature) => 2,
        Error::IssuerUnavailable => 4,
        _ => 3,
    }
}

/// The generation of the issuer's keys that verified the token. If they do not, they are fetched again: another key may be
/// published by now, also under the same `kid`. At most twice, since a fetch that was in flight may have begun before.
async fn verify_by_issuer(issuer: &IssuerKeys, token: &Token<'_>) -> Result<u64, Error> {
    let mut fetches = 0;
    loop {
        let current = issuer.snapshot();
        let verified = current.keys.verify(token);
        if verified.is_ok() && current.fresh {
            return Ok(current.generation);
        }
        if fetches == 2 || fetches > 0 && current.failed || !issuer.fetch_for_token().await {
            let current = issuer.snapshot();
            let is_known = current.fresh && !current.failed;
            return Err(match current.keys.verify(token) {
                Ok(_) if current.fresh => return Ok(current.generation),
                Err(TokenError::WrongSignature) if current.fresh => TokenError::WrongSignature.into(),
                Err(error) if is_known => error.into(),
                _ => Error::IssuerUnavailable,
            });
        }
        fetches += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Slug;
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use futures_util::FutureExt as _;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const SECRET: &[u8] = b"a secret of tests, of more than 32 bytes";

    /// Without the cache, whose locks are shuttle's in unit tests.
    fn verify(token: &str) -> Result<CachedToken, Error> {
        let keys = TrustedKeys { secret: Some(SECRET), public_key: None, issuers: vec![] };
        let (id, slug) = (crate::domain::TenantId(uuid::Uuid::from_u128(1)), Slug::parse("acme").unwrap());
        let tenant = Tenant { id, slug, external_id: None };
        let verifier = TokenVerifier::new(keys, &ClaimRules::default(), Clock::default());
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
                    let tenant = &claims["tenant"];
                    prop_assert!(tenant == "acme" || tenant.as_array().is_some_and(|names| names.contains(&json!("acme"))));
                    #[allow(clippy::cast_precision_loss, reason = "seconds of this century")]
                    let now = now as f64;
                    prop_assert!(claims["exp"].as_f64().unwrap() > now - 65.0);
                    prop_assert!(claims.get("nbf").is_none_or(|nbf| nbf.as_f64().unwrap() <= now + 65.0));
                    let text = claims.to_string();
                    let granted: Vec<_> = verified.scopes.iter().map(Scope::as_str).collect();
                    prop_assert!(granted.iter().all(|scope| text.contains(scope)), "{:?} of {}", granted, text);
                }
                Err(error) => prop_assert!(!error.to_string().contains("a secret of tests")),
            }
        }
    }
}
