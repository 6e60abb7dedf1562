//! JWTs (RFC 7519), with RFC 8725's advice: the algorithm comes from the configured key and
//! never from the token, `crit` is refused, and `jwk`, `jku`, `x5c` and `x5u` are not looked at. Of
//! the keys of an issuer, a token's `kid` chooses one; a configured key takes whatever `kid`.

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
            key::{CacheKey, CacheKeys},
        },
        error::Error,
    },
    domain::{Clock, Principal, Scope, ScopeSet, Tenant, random_bytes},
};

/// How far clocks may be apart, in seconds.
const LEEWAY_SECONDS: f64 = 60.0;
/// The longest name that the audit trail keeps: the longest address that RFC 5321 allows.
const MAX_NAME_CHARS: usize = 320;

/// As many tokens are remembered at most.
const MAX_REMEMBERED: usize = 20_000;
/// None that are longer: some 80 MB in all at the very most.
const MAX_REMEMBERED_BYTES: usize = 4 * 1024;

/// Checks tokens, and remembers those that held: a browser sends the same one for an hour. What
/// depends on the clock is held against it at each use, and so is what the issuer says of its keys.
pub struct TokenVerifier {
    fixed: Vec<VerificationKey>,
    issuers: Vec<Arc<IssuerKeys>>,
    tenant_claim: String,
    clock: Clock,
    remembered: EpochCache<CacheKey, Claims>,
    cache_keys: CacheKeys,
}

/// Whose keys tokens may be signed by.
#[derive(Default)]
pub struct TrustedKeys<'a> {
    /// The secret of HS256.
    pub secret: Option<&'a [u8]>,
    /// A public key that stays the same.
    pub public_key: Option<&'a PublicKey>,
    /// Issuers that publish theirs.
    pub issuers: Vec<Arc<IssuerKeys>>,
}

/// What is used of a token's claims.
struct Claims {
    /// Header and payload: the token without its signature, so nothing that lets anybody in.
    signed: Box<str>,
    exp: f64,
    nbf: Option<f64>,
    name: Option<String>,
    scopes: ScopeSet,
    /// Whose key it was signed by, where keys may change.
    voucher: Option<Voucher>,
}

impl Claims {
    fn principal(&self) -> Principal {
        Principal::User { name: self.name.clone(), scopes: self.scopes }
    }
}

/// By which of an issuer's generations of keys a token was checked.
struct Voucher {
    keys: Arc<IssuerKeys>,
    generation: u64,
}

impl Voucher {
    fn holds(&self) -> bool {
        self.keys.vouch_for(self.generation)
    }
}

impl TokenVerifier {
    /// Trusts tokens that are signed by these keys, and hold what is asked of them.
    #[must_use]
    pub fn new(keys: TrustedKeys<'_>, rules: &ClaimRules, clock: Clock) -> Self {
        let secret = keys.secret.and_then(|secret| VerificationKey::hs256(secret, rules));
        let public = keys.public_key.map(|key| VerificationKey::public(key, rules));
        Self {
            fixed: secret.into_iter().chain(public).collect(),
            issuers: keys.issuers,
            tenant_claim: rules.tenant_claim.clone(),
            clock,
            remembered: EpochCache::new(MAX_REMEMBERED, |key, _| key),
            cache_keys: CacheKeys::new(*random_bytes()),
        }
    }

    /// Whether what the issuers publish is known as well as it should be.
    #[must_use]
    pub fn issuers_answer(&self) -> bool {
        self.issuers.iter().all(|issuer| issuer.are_up_to_date())
    }

    /// The user whom a token names, where it is remembered to hold for that tenant.
    pub fn recall(&self, token: &str, tenant: &Tenant) -> Option<Result<Principal, Error>> {
        let (signed, signature) = parts(token).ok()?;
        let claims = self.remembered.get(tenant.id.0.as_bytes(), self.cache_key(signature, tenant), Arc::clone)?;
        if *claims.signed != *signed || !claims.voucher.as_ref().is_none_or(Voucher::holds) {
            return None;
        }
        Some(self.check_times(&claims).map(|()| claims.principal()))
    }

    /// The user whom a token names, if it holds for that tenant.
    pub async fn verify(&self, token: &str, tenant: &Tenant) -> Result<Principal, Error> {
        if let Some(recalled) = self.recall(token, tenant) {
            return recalled;
        }
        let (_, signature) = parts(token)?;
        let (group, key) = (tenant.id.0.as_bytes(), self.cache_key(signature, tenant));
        let ticket = self.remembered.ticket(group, key);
        let claims = self.examine(token, tenant).await?;
        let principal = claims.principal();
        if claims.signed.len() <= MAX_REMEMBERED_BYTES {
            self.remembered.put(ticket, Entry::new(key, claims));
        }
        Ok(principal)
    }

    /// By the signature alone: to digest a whole token costs more than all else. With the slug, since a
    /// token may name the tenant by it.
    fn cache_key(&self, signature: &str, tenant: &Tenant) -> CacheKey {
        self.cache_keys.key(tenant.id.0.as_bytes(), &[tenant.slug.as_str().as_bytes(), b"\0", signature.as_bytes()])
    }

    async fn examine(&self, token: &str, tenant: &Tenant) -> Result<Claims, Error> {
        let header = decode_header(token).map_err(|_| Error::InvalidToken("it is not a JWT"))?;
        if header.crit.is_some() {
            return Err(Error::InvalidToken("its `crit` header asks for what is not supported"));
        }
        let (claims, voucher) = self.check_signature(token, &header).await?;
        let exp = time(&claims, "exp")?.ok_or(Error::InvalidToken("it has no `exp`"))?;
        let used = Claims {
            signed: parts(token)?.0.into(),
            exp,
            nbf: time(&claims, "nbf")?,
            name: name(&claims)?,
            scopes: scopes(&claims),
            voucher,
        };
        self.check_times(&used)?;
        if !self.names_tenant(&claims, tenant) {
            return Err(Error::WrongTenant);
        }
        Ok(used)
    }

    /// The claims of a token that one of the trusted keys has signed.
    async fn check_signature(
        &self,
        token: &str,
        header: &Header,
    ) -> Result<(Map<String, Value>, Option<Voucher>), Error> {
        let mut refusal = Refusal::default();
        if let Some(claims) = refusal.first_accepting(self.fixed.iter(), token, header.alg) {
            return Ok((claims, None));
        }
        // Nobody has vouched for what it says of its issuer; it only tells where to look.
        let said: Map<String, Value> =
            insecure_decode_claims(token).map_err(|_| Error::InvalidToken("it is not a valid JWT"))?;
        let said = said.get("iss").and_then(Value::as_str);
        for issuer in &self.issuers {
            if issuer.location().issuer().is_some_and(|issuer| said != Some(issuer)) {
                refusal.note(Error::InvalidToken(if said.is_some() { WRONG_ISSUER } else { "it has no `iss`" }));
                continue;
            }
            if let Some((claims, generation)) = refusal.accepted_by(issuer, token, header).await {
                return Ok((claims, Some(Voucher { keys: issuer.clone(), generation })));
            }
        }
        Err(refusal.into())
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

/// What is signed of a token, and the signature.
fn parts(token: &str) -> Result<(&str, &str), Error> {
    token.rsplit_once('.').ok_or(Error::InvalidToken("it is not a JWT"))
}

/// A time, as NumericDate (RFC 7519, 2), which may have a fraction.
fn time(claims: &Map<String, Value>, claim: &str) -> Result<Option<f64>, Error> {
    match claims.get(claim) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(Error::InvalidToken("`exp` and `nbf` must be numbers")),
    }
}

/// Why a token is refused, when several keys were tried: what comes nearest to letting it in.
#[derive(Default)]
struct Refusal(Option<Error>);

impl Refusal {
    fn note(&mut self, error: Error) {
        let weight = |error: &Error| match error {
            Error::InvalidToken(WRONG_ALGORITHM) => 0,
            Error::InvalidToken(WRONG_ISSUER) => 1,
            Error::InvalidToken(WRONG_SIGNATURE) => 2,
            Error::IssuerUnavailable => 4,
            _ => 3,
        };
        if self.0.as_ref().is_none_or(|noted| weight(&error) > weight(noted)) {
            self.0 = Some(error);
        }
    }

    fn first_accepting<'a>(
        &mut self,
        keys: impl IntoIterator<Item = &'a VerificationKey>,
        token: &str,
        algorithm: Algorithm,
    ) -> Option<Map<String, Value>> {
        for key in keys {
            if !key.takes(algorithm) {
                self.note(Error::InvalidToken(WRONG_ALGORITHM));
                continue;
            }
            match key.check(token) {
                Ok(claims) => return Some(claims),
                Err(error) => self.note(explain(&error)),
            }
        }
        None
    }

    /// The claims, and the generation of the issuer's keys that they were checked by. Where the token
    /// names a key that is not known, the issuer is asked; twice at most, since the first answer may
    /// be to a question from before the key was there.
    async fn accepted_by(
        &mut self,
        issuer: &IssuerKeys,
        token: &str,
        header: &Header,
    ) -> Option<(Map<String, Value>, u64)> {
        if matches!(header.alg, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
            self.note(Error::InvalidToken(WRONG_ALGORITHM));
            return None;
        }
        let mut asked = 0;
        loop {
            let known = issuer.known();
            if known.fresh {
                match known.keys.candidates(header) {
                    Candidates::Keys(keys) => {
                        let claims = self.first_accepting(keys, token, header.alg)?;
                        return Some((claims, known.generation));
                    }
                    Candidates::Ambiguous => {
                        self.note(Error::InvalidToken("it names no key (`kid`), and its issuer has several"));
                        return None;
                    }
                    Candidates::Unknown => {}
                }
            }
            if asked == 2 || asked > 0 && known.failed || !issuer.ask_again().await {
                let known = issuer.known();
                self.note(if known.fresh && !known.failed {
                    Error::InvalidToken("its issuer has no such key (`kid`)")
                } else {
                    Error::IssuerUnavailable
                });
                return None;
            }
            asked += 1;
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        refusal.0.unwrap_or(Self::InvalidToken(WRONG_ALGORITHM))
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

    /// Without what is remembered: in unit tests, the cache's locks work in its own ones only.
    fn verify(token: &str) -> Result<Claims, Error> {
        let rules = ClaimRules { issuers: vec![], audiences: vec![], tenant_claim: "tenant".into() };
        let keys = TrustedKeys { secret: Some(SECRET), public_key: None, issuers: vec![] };
        let tenant =
            Tenant { id: crate::domain::TenantId(uuid::Uuid::from_u128(1)), slug: Slug::parse("acme").unwrap() };
        let verifier = TokenVerifier::new(keys, &rules, Clock::default());
        // Without issuers, nobody is waited for.
        verifier.examine(token, &tenant).now_or_never().unwrap()
    }

    fn base64(bytes: impl AsRef<[u8]>) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Values that claims and headers may have, good and bad.
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
        fn what_has_the_form_of_a_token_never_panics(text in "([-A-Za-z0-9_=+/]{0,30}\\.?){0,5}") {
            prop_assert!(verify(&text).is_err());
        }

        /// Without the secret, no header and no claim makes a token that holds.
        #[test]
        fn nobody_signs_without_the_secret(header in objects(HEADERS), claims in objects(CLAIMS), signature in any::<[u8; 32]>()) {
            let signed = format!("{}.{}", base64(header.to_string()), base64(claims.to_string()));
            for token in [format!("{signed}.{}", base64(signature)), format!("{signed}."), signed] {
                prop_assert!(matches!(verify(&token), Err(Error::InvalidToken(_))));
            }
        }

        /// With it, whatever the claims are: only who is named for this tenant, and has an end, gets in.
        #[test]
        fn claims_are_held_to_the_rules(claims in objects(CLAIMS)) {
            let token = encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET).unwrap()).unwrap();
            let now = Clock::default().now().timestamp();
            match verify(&token) {
                Ok(held) => {
                    prop_assert_eq!(&claims["tenant"], "acme");
                    #[allow(clippy::cast_precision_loss, reason = "seconds of this century")]
                    let now = now as f64;
                    prop_assert!(claims["exp"].as_f64().unwrap() > now - LEEWAY_SECONDS - 5.0);
                    prop_assert!(claims.get("nbf").is_none_or(|nbf| nbf.as_f64().unwrap() <= now + LEEWAY_SECONDS + 5.0));
                    let named = claims.to_string();
                    let granted: Vec<_> = held.scopes.iter().map(Scope::as_str).collect();
                    prop_assert!(granted.iter().all(|scope| named.contains(scope)), "{:?} of {}", granted, named);
                }
                Err(error) => prop_assert!(!error.to_string().contains("a secret of tests")),
            }
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
