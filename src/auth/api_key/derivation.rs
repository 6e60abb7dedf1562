//! Secrets that are derived instead of drawn, so that the response to a repeated request contains the same secret although it
//! is stored nowhere.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::pepper::{Pepper, Peppers};
use crate::{
    domain::{IdempotencyKey, Secret, TenantId, random_bytes},
    store::Derivation,
};

/// The labels are part of the stored format: with others, recorded secrets could not be derived again.
const PEPPERED: &[u8] = b"rally-api-keys derived secret v1\0";
const WITHOUT_PEPPER: &[u8] = b"rally-api-keys derived secret without pepper v1\0";

/// Characters of an `Idempotency-Key` where there is no pepper: then the secret is no harder to guess than it.
const MIN_LEN_WITHOUT_PEPPER: usize = 32;
const TOO_SHORT: &str = "must have at least 32 characters, and be random, while the service has no pepper (KEY_PEPPER)";

impl Peppers {
    /// Derives a new secret by the current pepper. Refuses an `Idempotency-Key` from which it could be guessed. `principal` is
    /// [`Principal::identity`].
    ///
    /// [`Principal::identity`]: crate::domain::Principal::identity
    pub(super) fn derive_new(
        &self,
        tenant: TenantId,
        principal: &str,
        key: &IdempotencyKey,
    ) -> Result<(Derivation, Secret), &'static str> {
        if self.current.is_none() && key.len() < MIN_LEN_WITHOUT_PEPPER {
            return Err(TOO_SHORT);
        }
        let salt = random_bytes();
        let secret = derive(self.current.as_ref(), &salt, tenant, principal, key);
        Ok((Derivation { salt: *salt, pepper_id: self.current.as_ref().map(|pepper| pepper.id().to_owned()) }, secret))
    }

    /// Derives a secret again. `None`: its pepper is not configured.
    pub(super) fn derive(
        &self,
        derivation: &Derivation,
        tenant: TenantId,
        principal: &str,
        key: &IdempotencyKey,
    ) -> Option<Secret> {
        let pepper = match &derivation.pepper_id {
            Some(id) => Some(self.find(id)?),
            None => None,
        };
        Some(derive(pepper, &derivation.salt, tenant, principal, key))
    }
}

fn derive(pepper: Option<&Pepper>, salt: &[u8; 32], tenant: TenantId, principal: &str, key: &IdempotencyKey) -> Secret {
    // Of fixed length, so that the boundary to the key is unambiguous.
    let pepper_key = pepper.map_or(&[][..], Pepper::derivation_key);
    let material = Zeroizing::new([pepper_key, key.as_bytes()].concat());
    let label = if pepper.is_some() { PEPPERED } else { WITHOUT_PEPPER };
    let mut bits = Zeroizing::new([0; 16]);
    Hkdf::<Sha256>::new(Some(salt), &material)
        .expand_multi_info(&[label, tenant.0.as_bytes(), principal.as_bytes()], &mut *bits)
        .unwrap_or_else(|_| unreachable!("16 bytes are fewer than HKDF can expand"));
    Secret::from_bits(&bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use uuid::Uuid;

    fn peppers(byte: u8) -> Peppers {
        let pepper = Pepper::parse(&format!("p:{}", BASE64_STANDARD.encode([byte; 32]))).unwrap();
        Peppers { current: Some(pepper), ..Peppers::default() }
    }

    fn key(text: &str) -> IdempotencyKey {
        IdempotencyKey::parse(text.as_bytes()).unwrap()
    }

    const TENANT: TenantId = TenantId(Uuid::from_u128(1));

    #[test]
    fn a_derived_secret_depends_on_each_of_its_sources() {
        let peppered = Derivation { salt: [7; 32], pepper_id: Some("p".into()) };
        let bare = Derivation { salt: [7; 32], pepper_id: None };
        let resalted = Derivation { salt: [8; 32], ..peppered.clone() };
        let other_tenant = TenantId(Uuid::from_u128(2));
        let mut secrets: Vec<_> = [
            (peppers(1), &peppered, TENANT, "a", "key"),
            (peppers(2), &peppered, TENANT, "a", "key"),
            (peppers(1), &resalted, TENANT, "a", "key"),
            (peppers(1), &bare, TENANT, "a", "key"),
            (peppers(1), &peppered, other_tenant, "a", "key"),
            (peppers(1), &peppered, TENANT, "b", "key"),
            (peppers(1), &peppered, TENANT, "a", "kez"),
        ]
        .map(|(peppers, derivation, tenant, principal, text)| {
            let derive = || peppers.derive(derivation, tenant, principal, &key(text)).unwrap().reveal().to_owned();
            assert_eq!(derive(), derive());
            derive()
        })
        .to_vec();
        secrets.sort();
        secrets.dedup();
        assert_eq!(secrets.len(), 7);
    }

    #[test]
    fn nothing_is_derived_without_the_derivations_pepper() {
        let unknown = Derivation { salt: [7; 32], pepper_id: Some("q".into()) };
        assert!(peppers(1).derive(&unknown, TENANT, "a", &key("key")).is_none());
    }

    /// Computed by Python's `hmac`, as RFC 5869 says.
    #[test]
    fn the_derivation_never_changes() {
        let peppered = Derivation { salt: [7; 32], pepper_id: Some("p".into()) };
        let secret = peppers(1).derive(&peppered, TENANT, "a", &key("key")).unwrap();
        assert_eq!(secret.reveal(), EXAMPLE);
    }
    const EXAMPLE: &str = "rk_live_d2e360c5e4cb643c86be54e7b4c0ea06";

    #[test]
    fn a_short_key_needs_a_pepper() {
        let derive = |peppers: Peppers, text: &str| peppers.derive_new(TENANT, "a", &key(text)).map(drop);
        assert_eq!(derive(peppers(1), "x"), Ok(()));
        assert_eq!(derive(Peppers::default(), &"x".repeat(31)), Err(TOO_SHORT));
        assert_eq!(derive(Peppers::default(), &"x".repeat(32)), Ok(()));
    }

    #[test]
    fn a_new_secret_is_derived_again_from_what_is_stored() {
        for peppers in [peppers(1), Peppers::default()] {
            let key = key(&"x".repeat(32));
            let (derivation, secret) = peppers.derive_new(TENANT, "a", &key).unwrap();
            let again = peppers.derive(&derivation, TENANT, "a", &key).unwrap();
            assert_eq!(again.reveal(), secret.reveal());
            let (_, next) = peppers.derive_new(TENANT, "a", &key).unwrap();
            assert_ne!(next.reveal(), secret.reveal(), "each request has a salt of its own");
        }
    }
}
