//! Keys that verify tokens, each with its algorithms.
//!
//! A token's `alg` must be one of its key's algorithms: a key is never used under the algorithm of another family
//! (RFC 8725, 3.1), and a key set never provides a symmetric key.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::Value;

use super::token::{self, Token};
use crate::auth::error::TokenError;

/// The number of keys of a set that are read; issuers have two or three.
const MAX_KEYS: usize = 100;
/// The smallest RSA modulus, in bytes (RFC 7518, 3.3: 2048 bits).
const MIN_RSA_MODULUS: usize = 256;

const RSA: [Algorithm; 4] = [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256];

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

/// A key with its algorithms.
pub(super) struct VerificationKey {
    pub(super) id: Option<String>,
    key: DecodingKey,
    algorithms: Vec<Algorithm>,
}

impl VerificationKey {
    /// The secret of HS256. `None`: the secret is empty.
    pub(super) fn hs256(secret: &[u8]) -> Option<Self> {
        let key = DecodingKey::from_secret(secret).ok()?;
        Some(Self { id: None, key, algorithms: vec![Algorithm::HS256] })
    }

    pub(super) fn public(key: &PublicKey) -> Self {
        Self { id: None, key: key.key.clone(), algorithms: key.algorithms.to_vec() }
    }

    /// A key of a set (RFC 7517), if it is for verifying signatures by a supported algorithm. Issuers write members that
    /// do not apply as null or empty: such a member is absent.
    fn from_jwk(value: &Value) -> Result<Self, &'static str> {
        let members = value.as_object().ok_or("it is not a JWK")?;
        let member = |name: &str| members.get(name).filter(|value| !is_empty(value));
        let text = |name: &str| member(name).and_then(Value::as_str);
        if ["d", "k"].iter().any(|name| member(name).is_some()) {
            return Err("it is not a public key");
        }
        if member("use").is_some_and(|purpose| purpose != "sig") {
            return Err("its `use` is not `sig`");
        }
        if let Some(operations) = member("key_ops") {
            let operations = operations.as_array().map(Vec::as_slice).unwrap_or_default();
            if !operations.iter().any(|operation| operation == "verify") {
                return Err("its `key_ops` have no `verify`");
            }
        }
        let bytes = |name: &str| text(name).map_or(Err(NO_KEY), decode);
        let (key, all): (_, &[Algorithm]) = match (text("kty"), text("crv")) {
            (Some("RSA"), _) => {
                // RFC 7518, 6.3.1.1 forbids leading zeros, and some issuers write one.
                let number =
                    |name: &str| bytes(name).map(|bytes| bytes.into_iter().skip_while(|byte| *byte == 0).collect());
                let modulus: Vec<u8> = number("n")?;
                if modulus.len() < MIN_RSA_MODULUS {
                    return Err("its modulus has fewer than 2048 bits");
                }
                let exponent: Vec<u8> =
                    Some(number("e")?).filter(|exponent: &Vec<u8>| !exponent.is_empty()).ok_or(NO_KEY)?;
                (DecodingKey::from_rsa_raw_components(&modulus, &exponent), &RSA)
            }
            (Some("EC"), Some("P-256")) => (point(&bytes("x")?, &bytes("y")?, 32)?, &[Algorithm::ES256]),
            (Some("EC"), Some("P-384")) => (point(&bytes("x")?, &bytes("y")?, 48)?, &[Algorithm::ES384]),
            (Some("OKP"), Some("Ed25519")) => {
                let key = Some(bytes("x")?).filter(|key| key.len() == 32).ok_or(NO_KEY)?;
                (DecodingKey::from_ed_der(&key), &[Algorithm::EdDSA])
            }
            _ => return Err("its type is not supported"),
        };
        let algorithms: Vec<Algorithm> = match text("alg") {
            None => all.to_vec(),
            Some(name) => token::algorithm(name).into_iter().filter(|algorithm| all.contains(algorithm)).collect(),
        };
        if algorithms.is_empty() {
            return Err("its `alg` is not supported");
        }
        Ok(Self { id: text("kid").map(str::to_owned), key, algorithms })
    }

    pub(super) fn accepts(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// True if this key made the signature, which is in base64url, by this algorithm.
    pub(super) fn verifies(&self, signed: &[u8], signature: &str, algorithm: Algorithm) -> bool {
        self.accepts(algorithm) && crypto::verify(signature, signed, &self.key, algorithm).unwrap_or(false)
    }
}

const NO_KEY: &str = "its parameters are not those of a key";

fn is_empty(member: &Value) -> bool {
    match member {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

const NOT_BASE64URL: &str =
    "a parameter of it is not base64url (RFC 7515, 2), which has `-` and `_` in place of `+` and `/`";

/// Padding is accepted, which some issuers write.
fn decode(base64: &str) -> Result<Vec<u8>, &'static str> {
    BASE64_URL_SAFE_NO_PAD.decode(base64.trim_end_matches('=')).map_err(|_| NOT_BASE64URL)
}

/// A point on a curve, whose coordinates have that length (RFC 7518, 6.2.1.2).
fn point(x: &[u8], y: &[u8], length: usize) -> Result<DecodingKey, &'static str> {
    if x.len() != length || y.len() != length {
        return Err(NO_KEY);
    }
    // Uncompressed (SEC 1, 2.3.3).
    Ok(DecodingKey::from_ec_der(&[&[4], x, y].concat()))
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
    pub(super) fn parse(json: &[u8]) -> Result<Self, &'static str> {
        let document: Value = serde_json::from_slice(json).map_err(|_| "the response is not JSON")?;
        let keys =
            document.get("keys").and_then(Value::as_array).ok_or("the response is not a JWK Set: it has no `keys`")?;
        let mut set = Self::default();
        for key in keys.iter().take(MAX_KEYS) {
            match VerificationKey::from_jwk(key) {
                Ok(key) => set.keys.push(key),
                Err(why) => set.left_out.push(why),
            }
        }
        Ok(set)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    #[cfg(test)]
    pub(super) fn into_keys(self) -> Vec<VerificationKey> {
        self.keys
    }

    /// The key that has signed the token: one with its `kid`, else one without a `kid`. For a token without a `kid`, any.
    pub(super) fn verify(&self, token: &Token<'_>) -> Result<&VerificationKey, TokenError> {
        if self.keys.is_empty() {
            return Err(TokenError::NoUsableKey);
        }
        let of_id = |id: Option<&String>| self.keys.iter().filter(|key| key.id.as_ref() == id).collect::<Vec<_>>();
        let named = of_id(token.key_id.as_ref());
        let is_named = token.key_id.is_some() && !named.is_empty();
        let candidates = match &token.key_id {
            None => self.keys.iter().collect(),
            Some(_) if is_named => named,
            Some(_) => of_id(None),
        };
        if !candidates.iter().any(|key| key.accepts(token.algorithm)) {
            // A key without a `kid` is not the one that the token names.
            let is_of_a_key = is_named || token.key_id.is_none();
            return Err(if is_of_a_key {
                TokenError::WrongAlgorithm(token.algorithm_name.clone())
            } else {
                TokenError::NoSuchKey
            });
        }
        let verifies = |key: &&VerificationKey| key.verifies(token.signed.as_bytes(), token.signature, token.algorithm);
        candidates.into_iter().find(verifies).ok_or(TokenError::WrongSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
    use serde_json::json;

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
        match VerificationKey::from_jwk(key) {
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
            (json!({"kty": "RSA"}), NO_KEY),
            (with(ec(), "x", json!("AAAA")), NO_KEY),
            (with(ec(), "crv", json!("P-384")), NO_KEY),
            (with(ed(), "x", json!("AAAA")), NO_KEY),
            (with(rsa(256), "e", json!("")), NO_KEY),
            (rsa(255), "its modulus has fewer than 2048 bits"),
            (with(rsa(256), "n", json!("***")), NOT_BASE64URL),
            (with(rsa(256), "n", json!(BASE64_STANDARD.encode(vec![0xff; 256]))), NOT_BASE64URL),
            (with(ec(), "y", json!("4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFy+/")), NOT_BASE64URL),
            (with(ed(), "x", json!("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")), NOT_BASE64URL),
            (json!("a key"), "it is not a JWK"),
        ] {
            assert_eq!(accepted_algorithms(&key), [why], "{key}");
        }
    }

    #[test]
    fn a_key_in_base64url_with_padding_is_used() {
        let padded = with(rsa(256), "n", json!(BASE64_URL_SAFE.encode(vec![0xd5; 256])));
        assert!(padded["n"].as_str().unwrap().ends_with('='));
        assert_eq!(accepted_algorithms(&padded).len(), 4);
    }

    #[test]
    fn a_token_of_an_unknown_kid_is_told_so_whatever_keys_without_one_are_in_the_set() {
        let no_kid = with(ed(), "kid", json!(null));
        let set = KeySet::parse(json!({"keys": [rsa(256), ec(), no_kid]}).to_string().as_bytes()).unwrap_or_default();
        let refusal = |header: Value| {
            let token = format!("{}.e30.AAAA", BASE64_URL_SAFE_NO_PAD.encode(header.to_string()));
            set.verify(&Token::parse(&token).unwrap()).map(|_| ()).unwrap_err()
        };
        assert_eq!(refusal(json!({"alg": "RS256", "kid": "x"})), TokenError::NoSuchKey);
        assert_eq!(refusal(json!({"alg": "EdDSA", "kid": "x"})), TokenError::WrongSignature);
        assert_eq!(refusal(json!({"alg": "RS256", "kid": "ec"})), TokenError::WrongAlgorithm("RS256".into()));
        assert_eq!(refusal(json!({"alg": "RS256"})), TokenError::WrongSignature);
        assert_eq!(refusal(json!({"alg": "ES384"})), TokenError::WrongAlgorithm("ES384".into()));
    }

    #[test]
    fn a_set_with_unusable_keys_has_the_usable_ones() {
        let set = |keys: Value| KeySet::parse(json!({"keys": keys}).to_string().as_bytes());
        let mixed = set(json!([ec(), "nonsense", with(rsa(256), "use", json!("enc")), ed()])).unwrap_or_default();
        assert_eq!((mixed.len(), mixed.left_out.len()), (2, 2));
        assert_eq!(set(json!([])).map(|set| set.len()), Ok(0));
        assert!(set(json!({})).is_err());
        for not in ["", "[]", "null", "<html>", "{\"keys\": 1}"] {
            assert!(KeySet::parse(not.as_bytes()).is_err(), "{not}");
        }
        let many = set(Value::Array(vec![ed(); 1000])).unwrap_or_default();
        assert_eq!(many.len(), MAX_KEYS);
    }

    #[test]
    fn members_that_are_null_or_empty_are_absent() {
        let mut key = rsa(256);
        for name in ["use", "key_ops", "alg", "x5c", "x5t", "d", "k", "kid", "oth"] {
            for empty in [json!(null), json!(""), json!([])] {
                assert_eq!(accepted_algorithms(&with(key.clone(), name, empty.clone())).len(), 4, "{name}: {empty}");
            }
            key[name] = json!([]);
        }
        assert_eq!(VerificationKey::from_jwk(&key).ok().and_then(|key| key.id), None);
    }

    #[test]
    fn both_names_of_ed25519_are_its_algorithm() {
        for name in ["EdDSA", "Ed25519"] {
            assert_eq!(accepted_algorithms(&with(ed(), "alg", json!(name))), ["EdDSA"], "{name}");
        }
        assert_eq!(accepted_algorithms(&with(ed(), "crv", json!("Ed448"))), ["its type is not supported"]);
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
