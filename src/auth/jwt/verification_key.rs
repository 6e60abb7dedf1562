//! Keys that verify tokens, each with its algorithms.
//!
//! A token's `alg` must be one of its key's algorithms: a key is never used under the algorithm of another family
//! (RFC 8725, 3.1), and a key set never provides a symmetric key.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation,
    errors::Error as JwtError,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk},
};
use serde_json::{Map, Value};

/// The number of keys of a set that are read; issuers have two or three.
const MAX_KEYS: usize = 100;
/// The smallest RSA modulus, in bytes (RFC 7518, 3.3: 2048 bits).
const MIN_RSA_MODULUS: usize = 256;

const RSA: [Algorithm; 4] = [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256];

/// What a token's claims must be.
#[derive(Clone, Debug)]
pub struct ClaimRules {
    /// The accepted values of `iss`; empty = it is not checked.
    pub issuers: Vec<String>,
    /// The accepted values of `aud`; empty = it is not checked.
    pub audiences: Vec<String>,
    /// The name of the claim that has the tenant's slug or id.
    pub tenant_claim: String,
}

impl ClaimRules {
    pub(super) fn for_issuer(&self, issuer: Option<&str>) -> Self {
        Self { issuers: issuer.map(str::to_owned).into_iter().collect(), ..self.clone() }
    }

    fn validation(&self, algorithms: &[Algorithm]) -> Validation {
        let mut validation = Validation::new(algorithms[0]);
        validation.algorithms = algorithms.to_vec();
        // Times are compared with the service's own clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        // The library checks `iss` and `aud` only if a token has them, unless they are required.
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

/// A public key from a file.
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
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self, &'static str> {
        if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            return Ok(Self { key, algorithms: &RSA });
        }
        if let Ok(key) = DecodingKey::from_ec_pem(pem) {
            // The length of an uncompressed point (SEC 1, 2.3.3) tells the curve.
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

    /// The names of the algorithms, comma-separated.
    pub(crate) fn algorithms(&self) -> String {
        self.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect::<Vec<_>>().join(", ")
    }
}

/// A key with its algorithms and claim rules.
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

    pub(super) fn public(key: &PublicKey, rules: &ClaimRules) -> Self {
        Self { id: None, key: key.key.clone(), validation: rules.validation(key.algorithms) }
    }

    /// A key of a set (RFC 7517), if it is for verifying signatures by a supported algorithm.
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
        // Certificates are not used. A malformed one must not make its key unusable.
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

    pub(super) fn accepts(&self, algorithm: Algorithm) -> bool {
        self.validation.algorithms.contains(&algorithm)
    }

    /// Verifies the signature and the claims except for times, and returns the claims.
    pub(super) fn verify(&self, token: &str) -> Result<Map<String, Value>, JwtError> {
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
    /// Why other keys of the set are not used.
    pub(super) left_out: Vec<&'static str>,
}

impl KeySet {
    /// From a JWK Set (RFC 7517, 5). Keys that are unusable or for another purpose are left out.
    pub(super) fn parse(json: &[u8], rules: &ClaimRules) -> Result<Self, &'static str> {
        let document: Value = serde_json::from_slice(json).map_err(|_| "the response is not JSON")?;
        let keys =
            document.get("keys").and_then(Value::as_array).ok_or("the response is not a JWK Set: it has no `keys`")?;
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

    /// The keys with the token's `kid`; without a `kid`, the only key that accepts its algorithm (OpenID Connect Core,
    /// 10.1).
    pub(super) fn candidates(&self, header: &Header) -> Candidates<'_> {
        let Some(id) = &header.kid else {
            let mut accepting = self.keys.iter().filter(|key| key.accepts(header.alg));
            return match (accepting.next(), accepting.next()) {
                (Some(only), None) => Candidates::Keys(vec![only]),
                (Some(_), Some(_)) => Candidates::Ambiguous,
                (None, _) => Candidates::Unknown,
            };
        };
        let named: Vec<_> = self.keys.iter().filter(|key| key.id.as_ref() == Some(id)).collect();
        if named.is_empty() { Candidates::Unknown } else { Candidates::Keys(named) }
    }
}

/// The keys that a token may be signed by.
pub(super) enum Candidates<'a> {
    /// One of these. They need not accept the token's algorithm.
    Keys(Vec<&'a VerificationKey>),
    /// The token has no `kid`, and several keys accept its algorithm.
    Ambiguous,
    /// None of the set.
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

    fn accepted_algorithms(key: &Value) -> Vec<String> {
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
            Ok(key) => all.into_iter().filter(|alg| key.accepts(*alg)).map(|alg| format!("{alg:?}")).collect(),
            Err(why) => vec![why.to_owned()],
        }
    }

    #[test]
    fn a_key_accepts_the_algorithms_of_its_type_alone() {
        assert_eq!(accepted_algorithms(&rsa(256)), ["RS256", "RS384", "RS512", "PS256"]);
        assert_eq!(accepted_algorithms(&ec()), ["ES256"]);
        assert_eq!(accepted_algorithms(&ed()), ["EdDSA"]);
        assert_eq!(accepted_algorithms(&with(rsa(256), "alg", json!("PS256"))), ["PS256"]);
        assert_eq!(
            accepted_algorithms(&with(ec(), "x5c", json!("not even an array"))),
            ["ES256"],
            "certificates are ignored"
        );
    }

    #[test]
    fn an_unusable_key_is_left_out_with_the_reason() {
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
            assert_eq!(accepted_algorithms(&key), [why], "{key}");
        }
    }

    #[test]
    fn a_set_with_unusable_keys_has_the_usable_ones() {
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
    fn a_token_without_kid_needs_a_set_with_one_key_of_its_algorithm() {
        let set =
            |keys: &[Value]| KeySet::parse(json!({"keys": keys}).to_string().as_bytes(), &rules()).unwrap_or_default();
        let header = |alg, kid: Option<&str>| Header { kid: kid.map(str::to_owned), ..Header::new(alg) };
        let candidates = |set: &KeySet, alg, kid| match set.candidates(&header(alg, kid)) {
            Candidates::Keys(keys) => keys.len().to_string(),
            Candidates::Ambiguous => "ambiguous".into(),
            Candidates::Unknown => "unknown".into(),
        };
        let two = set(&[ec(), ed()]);
        assert_eq!(candidates(&two, Algorithm::ES256, Some("ec")), "1");
        assert_eq!(candidates(&two, Algorithm::RS256, Some("ec")), "1", "the algorithm is checked later");
        assert_eq!(candidates(&two, Algorithm::ES256, Some("other")), "unknown");
        assert_eq!(candidates(&two, Algorithm::ES256, None), "1");
        assert_eq!(candidates(&two, Algorithm::RS256, None), "unknown");
        let twins = set(&[ec(), with(ec(), "kid", json!("ec2"))]);
        assert_eq!(candidates(&twins, Algorithm::ES256, None), "ambiguous");
        let same = set(&[ec(), ec()]);
        assert_eq!(candidates(&same, Algorithm::ES256, Some("ec")), "2");
    }

    #[test]
    fn a_public_key_is_read_from_pem_alone() {
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
