//! Keys that check tokens, and what each may be used for.
//!
//! A key says which algorithms it takes, and a token's `alg` is held against that: a key is never
//! used under another family's algorithm (RFC 8725, 3.1), and no symmetric key ever comes from a
//! key set.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation,
    errors::Error as JwtError,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk},
};
use serde_json::{Map, Value};

/// The most keys of a set that are looked at; issuers have two or three.
const MAX_KEYS: usize = 100;
/// The smallest RSA modulus, in bytes (RFC 7518, 3.3: 2048 bits).
const MIN_RSA_MODULUS: usize = 256;

const RSA: [Algorithm; 4] = [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256];

/// What a token must hold besides its signature.
#[derive(Clone, Debug)]
pub struct ClaimRules {
    /// `iss` must be one of these; none = it is not looked at.
    pub issuers: Vec<String>,
    /// `aud` must name one of these; none = it is not looked at.
    pub audiences: Vec<String>,
    /// The claim that names the tenant, by slug or id.
    pub tenant_claim: String,
}

impl ClaimRules {
    /// The same for tokens of that issuer.
    #[must_use]
    pub fn for_issuer(&self, issuer: Option<&str>) -> Self {
        Self { issuers: issuer.map(str::to_owned).into_iter().collect(), ..self.clone() }
    }

    fn validation(&self, algorithms: &[Algorithm]) -> Validation {
        let mut validation = Validation::new(algorithms[0]);
        validation.algorithms = algorithms.to_vec();
        // Times are checked by the service's own clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        // The library checks `iss` and `aud` only where a token has them, unless required.
        let mut required = vec!["exp"];
        if !self.issuers.is_empty() {
            validation.set_issuer(&self.issuers);
            required.push("iss");
        }
        if !self.audiences.is_empty() {
            validation.set_audience(&self.audiences);
            required.push("aud");
        }
        validation.validate_aud = !self.audiences.is_empty();
        validation.set_required_spec_claims(&required);
        validation
    }
}

/// A public key that was given as a file.
#[derive(Clone)]
pub struct PublicKey {
    key: DecodingKey,
    algorithms: &'static [Algorithm],
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?})", self.algorithms)
    }
}

impl PublicKey {
    /// From PEM (RFC 7468): RSA, ECDSA over P-256 or P-384, or Ed25519.
    pub fn from_pem(pem: &[u8]) -> Result<Self, &'static str> {
        if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            return Ok(Self { key, algorithms: &RSA });
        }
        if let Ok(key) = DecodingKey::from_ec_pem(pem) {
            // An uncompressed point (SEC 1, 2.3.3) is as long as its curve is wide.
            let algorithms: &[_] = match key.try_get_as_bytes().map(<[u8]>::len) {
                Ok(65) => &[Algorithm::ES256],
                Ok(97) => &[Algorithm::ES384],
                _ => return Err("holds a key over a curve other than P-256 and P-384"),
            };
            return Ok(Self { key, algorithms });
        }
        if let Ok(key) = DecodingKey::from_ed_pem(pem) {
            return Ok(Self { key, algorithms: &[Algorithm::EdDSA] });
        }
        Err("holds no public key in PEM (RSA, P-256, P-384 or Ed25519)")
    }

    /// The names of its algorithms.
    #[must_use]
    pub fn algorithms(&self) -> String {
        self.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect::<Vec<_>>().join(", ")
    }
}

/// A key with what it may be used for.
pub(super) struct VerificationKey {
    id: Option<String>,
    key: DecodingKey,
    validation: Validation,
}

impl VerificationKey {
    /// The secret of HS256. `None`: the secret is empty.
    pub(super) fn hs256(secret: &[u8], rules: &ClaimRules) -> Option<Self> {
        let key = DecodingKey::from_secret(secret).ok()?;
        Some(Self { id: None, key, validation: rules.validation(&[Algorithm::HS256]) })
    }

    /// A public key out of a file.
    pub(super) fn public(key: &PublicKey, rules: &ClaimRules) -> Self {
        Self { id: None, key: key.key.clone(), validation: rules.validation(key.algorithms) }
    }

    /// A key of a set (RFC 7517), if it is for checking signatures that are supported.
    fn from_jwk(value: &Value, rules: &ClaimRules) -> Result<Self, &'static str> {
        let text = |name| value.get(name).and_then(Value::as_str);
        if ["d", "k"].iter().any(|name| value.get(name).is_some()) {
            return Err("it is not a public key");
        }
        if value.get("use").is_some_and(|purpose| purpose != "sig") {
            return Err("its `use` is not `sig`");
        }
        if let Some(operations) = value.get("key_ops") {
            let operations = operations.as_array().map(Vec::as_slice).unwrap_or_default();
            if !operations.iter().any(|operation| operation == "verify") {
                return Err("its `key_ops` have no `verify`");
            }
        }
        // Certificates are not looked at, and must not make a good key unreadable.
        let jwk: Jwk = serde_json::from_value(without_certificates(value)).map_err(|_| "it is not a JWK")?;
        let all: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(rsa) => {
                let modulus = BASE64_URL_SAFE_NO_PAD.decode(rsa.n.trim_end_matches('=')).unwrap_or_default();
                if modulus.iter().skip_while(|byte| **byte == 0).count() < MIN_RSA_MODULUS {
                    return Err("its modulus has fewer than 2048 bits");
                }
                &RSA
            }
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => &[Algorithm::ES256],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => &[Algorithm::ES384],
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
            _ => return Err("its type is not supported"),
        };
        let algorithms: Vec<Algorithm> = match text("alg") {
            None => all.to_vec(),
            Some(name) => all.iter().copied().filter(|algorithm| format!("{algorithm:?}") == name).collect(),
        };
        if algorithms.is_empty() {
            return Err("its `alg` is not supported");
        }
        let key = DecodingKey::from_jwk(&jwk).map_err(|_| "its parameters are not those of a key")?;
        Ok(Self { id: text("kid").map(str::to_owned), key, validation: rules.validation(&algorithms) })
    }

    /// Whether it takes the token's algorithm.
    pub(super) fn takes(&self, algorithm: Algorithm) -> bool {
        self.validation.algorithms.contains(&algorithm)
    }

    /// The claims of a token with its signature, if they hold; times are not looked at.
    pub(super) fn check(&self, token: &str) -> Result<Map<String, Value>, JwtError> {
        jsonwebtoken::decode(token, &self.key, &self.validation).map(|data| data.claims)
    }
}

fn without_certificates(jwk: &Value) -> Value {
    let mut jwk = jwk.clone();
    if let Some(members) = jwk.as_object_mut() {
        members.retain(|name, _| !name.starts_with("x5"));
    }
    jwk
}

/// The keys that an issuer publishes.
#[derive(Default)]
pub(super) struct KeySet {
    keys: Vec<VerificationKey>,
    /// Why others were left out.
    pub(super) left_out: Vec<&'static str>,
}

impl KeySet {
    /// From a JWK Set (RFC 7517, 5). Keys that are for something else, or that cannot be used, are left
    /// out, and the others are as good as without them.
    pub(super) fn parse(json: &[u8], rules: &ClaimRules) -> Result<Self, &'static str> {
        let document: Value = serde_json::from_slice(json).map_err(|_| "the answer is not JSON")?;
        let keys =
            document.get("keys").and_then(Value::as_array).ok_or("the answer is no JWK Set: it has no `keys`")?;
        let mut set = Self::default();
        for key in keys.iter().take(MAX_KEYS) {
            match VerificationKey::from_jwk(key, rules) {
                Ok(key) => set.keys.push(key),
                Err(why) => set.left_out.push(why),
            }
        }
        Ok(set)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys that a token may be signed by: those that its `kid` names; without one, the only one
    /// that takes its algorithm (OpenID Connect Core, 10.1).
    pub(super) fn candidates(&self, header: &Header) -> Candidates<'_> {
        let Some(id) = &header.kid else {
            let mut fitting = self.keys.iter().filter(|key| key.takes(header.alg));
            return match (fitting.next(), fitting.next()) {
                (Some(only), None) => Candidates::Keys(vec![only]),
                (Some(_), Some(_)) => Candidates::Ambiguous,
                (None, _) => Candidates::Unknown,
            };
        };
        let named: Vec<_> = self.keys.iter().filter(|key| key.id.as_ref() == Some(id)).collect();
        if named.is_empty() { Candidates::Unknown } else { Candidates::Keys(named) }
    }
}

/// Which keys a token may be signed by.
pub(super) enum Candidates<'a> {
    /// One of these; whether they take its algorithm is yet to be asked.
    Keys(Vec<&'a VerificationKey>),
    /// It names none, and several fit.
    Ambiguous,
    /// One that is not in the set.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules() -> ClaimRules {
        ClaimRules { issuers: vec![], audiences: vec![], tenant_claim: "tenant".into() }
    }

    /// Example keys of RFC 7517, A.1 (P-256), RFC 8037, A.2 (Ed25519), and one of 2048 bits made up.
    fn ec() -> Value {
        json!({"kty": "EC", "crv": "P-256", "kid": "ec",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"})
    }

    fn ed() -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    fn rsa(bytes: usize) -> Value {
        json!({"kty": "RSA", "kid": "rsa", "e": "AQAB", "n": BASE64_URL_SAFE_NO_PAD.encode(vec![0xd5; bytes])})
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    fn taken(key: &Value) -> Vec<String> {
        let all = [
            Algorithm::HS256,
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
            Algorithm::ES256,
            Algorithm::ES384,
            Algorithm::EdDSA,
        ];
        match VerificationKey::from_jwk(key, &rules()) {
            Ok(key) => all.into_iter().filter(|alg| key.takes(*alg)).map(|alg| format!("{alg:?}")).collect(),
            Err(why) => vec![why.to_owned()],
        }
    }

    #[test]
    fn a_key_takes_its_own_algorithms_and_no_others() {
        assert_eq!(taken(&rsa(256)), ["RS256", "RS384", "RS512", "PS256"]);
        assert_eq!(taken(&ec()), ["ES256"]);
        assert_eq!(taken(&ed()), ["EdDSA"]);
        assert_eq!(taken(&with(rsa(256), "alg", json!("PS256"))), ["PS256"]);
        assert_eq!(taken(&with(ec(), "x5c", json!("not even an array"))), ["ES256"], "certificates do not matter");
    }

    #[test]
    fn a_key_for_something_else_is_left_out() {
        for (key, why) in [
            (with(rsa(256), "use", json!("enc")), "its `use` is not `sig`"),
            (with(rsa(256), "key_ops", json!(["sign"])), "its `key_ops` have no `verify`"),
            (with(rsa(256), "key_ops", json!("verify")), "its `key_ops` have no `verify`"),
            (with(rsa(256), "alg", json!("RSA-OAEP")), "its `alg` is not supported"),
            (with(rsa(256), "alg", json!("HS256")), "its `alg` is not supported"),
            (with(ec(), "alg", json!("RS256")), "its `alg` is not supported"),
            (with(ec(), "crv", json!("P-521")), "its type is not supported"),
            (with(ec(), "d", json!("AAAA")), "it is not a public key"),
            (json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}), "it is not a public key"),
            (json!({"kty": "oct"}), "its type is not supported"),
            (json!({"kty": "RSA"}), "its type is not supported"),
            (rsa(255), "its modulus has fewer than 2048 bits"),
            (with(rsa(256), "n", json!("***")), "its modulus has fewer than 2048 bits"),
            (json!("a key"), "it is not a JWK"),
        ] {
            assert_eq!(taken(&key), [why], "{key}");
        }
    }

    #[test]
    fn a_set_is_as_good_as_its_good_keys() {
        let set = |keys: Value| KeySet::parse(json!({"keys": keys}).to_string().as_bytes(), &rules());
        let mixed = set(json!([ec(), "nonsense", with(rsa(256), "use", json!("enc")), ed()])).unwrap_or_default();
        assert_eq!((mixed.len(), mixed.left_out.len()), (2, 2));
        assert_eq!(set(json!([])).map(|set| set.len()), Ok(0));
        assert!(set(json!({})).is_err());
        for not in ["", "[]", "null", "<html>", "{\"keys\": 1}"] {
            assert!(KeySet::parse(not.as_bytes(), &rules()).is_err(), "{not}");
        }
        let many = set(Value::Array(vec![ed(); 1000])).unwrap_or_default();
        assert_eq!(many.len(), MAX_KEYS);
    }

    #[test]
    fn a_token_names_its_key_or_there_is_only_one() {
        let set =
            |keys: &[Value]| KeySet::parse(json!({"keys": keys}).to_string().as_bytes(), &rules()).unwrap_or_default();
        let header = |alg, kid: Option<&str>| Header { kid: kid.map(str::to_owned), ..Header::new(alg) };
        let asked = |set: &KeySet, alg, kid| match set.candidates(&header(alg, kid)) {
            Candidates::Keys(keys) => keys.len().to_string(),
            Candidates::Ambiguous => "ambiguous".into(),
            Candidates::Unknown => "unknown".into(),
        };
        let two = set(&[ec(), ed()]);
        assert_eq!(asked(&two, Algorithm::ES256, Some("ec")), "1");
        assert_eq!(asked(&two, Algorithm::RS256, Some("ec")), "1", "named, and will be found not to take it");
        assert_eq!(asked(&two, Algorithm::ES256, Some("other")), "unknown");
        assert_eq!(asked(&two, Algorithm::ES256, None), "1");
        assert_eq!(asked(&two, Algorithm::RS256, None), "unknown");
        let twins = set(&[ec(), with(ec(), "kid", json!("ec2"))]);
        assert_eq!(asked(&twins, Algorithm::ES256, None), "ambiguous");
        let same = set(&[ec(), ec()]);
        assert_eq!(asked(&same, Algorithm::ES256, Some("ec")), "2");
    }

    #[test]
    fn a_public_key_is_told_by_its_file() {
        // From `openssl genpkey -algorithm ed25519 | openssl pkey -pubout`
        let ed = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        assert_eq!(PublicKey::from_pem(ed.as_bytes()).map(|key| key.algorithms()), Ok("EdDSA".to_owned()));
        for not in
            ["", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", "a secret of more than 32 bytes, not a key"]
        {
            assert!(PublicKey::from_pem(not.as_bytes()).is_err(), "{not}");
        }
    }
}
