//! The stamp: an HMAC over a secret, its key and its tenant, under a key that is not in the database.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{
    auth::{
        cache::message::{AcknowledgingKeys, MessageKey},
        mac::hmac,
    },
    domain::{ApiKeyId, Secret, TenantId},
};

/// The labels are part of the stored format, and of that of messages.
const STAMP_KEY_LABEL: &[u8] = b"rally-api-keys stamp key v1";
const DERIVATION_KEY_LABEL: &[u8] = b"rally-api-keys derivation key v1";
const ACKNOWLEDGING_KEY_LABEL: &[u8] = b"rally-api-keys acknowledging key v1";
const STAMP_LABEL: &[u8] = b"rally-api-keys stamp v1\0";

/// An id, and the keys that are derived from the pepper's bytes. `Debug` shows the id alone.
#[derive(Clone)]
pub struct Pepper {
    id: String,
    stamp_key: Zeroizing<[u8; 32]>,
    derivation_key: Zeroizing<[u8; 32]>,
    acknowledging_key: MessageKey,
}

impl Pepper {
    /// Reads `<id>:<base64 of 32 bytes or more>`; the id has 1 to 32 letters, digits, `-`, `_`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (id, bytes) = text.split_once(':').ok_or("must be <id>:<base64 of 32 bytes or more>")?;
        let id_ok =
            (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if !id_ok {
            return Err("must begin with an id of 1 to 32 letters, digits, - or _");
        }
        let bytes = Zeroizing::new(
            BASE64_STANDARD.decode(bytes).map_err(|_| "must be base64 (RFC 4648, padded) after the colon")?,
        );
        if bytes.len() < 32 {
            return Err("must be 32 bytes or more once decoded");
        }
        // RFC 5869's extract step with a fixed salt. The pepper itself is not used as a key.
        let key = |label| Zeroizing::new(hmac(label, &[&bytes]));
        Ok(Self {
            id: id.to_owned(),
            stamp_key: key(STAMP_KEY_LABEL),
            derivation_key: key(DERIVATION_KEY_LABEL),
            acknowledging_key: MessageKey::new(key(ACKNOWLEDGING_KEY_LABEL)),
        })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// For secrets that are derived.
    pub(super) fn derivation_key(&self) -> &[u8] {
        self.derivation_key.as_slice()
    }

    fn stamp(&self, tenant: TenantId, key: ApiKeyId, secret: &Secret) -> [u8; 32] {
        // All parts but the last have a fixed length, so their boundaries are unambiguous.
        hmac(&*self.stamp_key, &[STAMP_LABEL, key.0.as_bytes(), tenant.0.as_bytes(), secret.as_bytes()])
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pepper({:?}, [redacted])", self.id)
    }
}

/// The current pepper, which makes stamps, and others, which only verify them.
///
/// A rotation has two steps, so that no instance meets a stamp under a pepper that it does not have: first all instances
/// get the new one as `next`; then it becomes `current`, and the old one `retired`. Stamps are renewed in one direction
/// only, from `retired` to `current`: while instances of both steps run, none undoes what another has done.
#[derive(Clone, Debug, Default)]
pub struct Peppers {
    /// Without one, no stamps are made.
    pub current: Option<Pepper>,
    /// Verifies. Its stamps are newer than those of `current`, and are kept.
    pub next: Option<Pepper>,
    /// Verify. Their stamps are renewed.
    pub retired: Vec<Pepper>,
}

impl Peppers {
    /// The keys of instances' acknowledgements, so that only who has a pepper makes one.
    pub(crate) fn acknowledging_keys(&self) -> AcknowledgingKeys {
        let key = |pepper: &Pepper| pepper.acknowledging_key.clone();
        let Self { current, next, retired } = self;
        AcknowledgingKeys { own: current.as_ref().map(key), others: next.iter().chain(retired).map(key).collect() }
    }

    /// The ids of all of them.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let Self { current, next, retired } = self;
        current.iter().chain(next).chain(retired).map(|pepper| pepper.id().to_owned()).collect()
    }
}

/// The outcome of verifying a row's stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampCheck {
    /// The stamp is of this secret, key and tenant.
    Match {
        /// It is of a retired pepper, and should be renewed.
        retired: bool,
    },
    /// The row was copied, forged or damaged.
    Mismatch,
    /// There is no stamp. It should be written.
    Unstamped,
    /// The stamp's pepper is not configured. It must be kept: another instance may have the pepper.
    UnknownPepper,
}

impl Peppers {
    /// A stamp under the current pepper, with the pepper's id.
    #[must_use]
    pub fn stamp(&self, tenant: TenantId, key: ApiKeyId, secret: &Secret) -> Option<([u8; 32], String)> {
        self.current.as_ref().map(|pepper| (pepper.stamp(tenant, key, secret), pepper.id.clone()))
    }

    pub(super) fn find(&self, id: &str) -> Option<&Pepper> {
        self.current.iter().chain(&self.next).chain(&self.retired).find(|pepper| pepper.id == id)
    }

    /// Verifies a row's stamp, in constant time.
    #[must_use]
    pub fn check(&self, stored: Option<(&[u8], &str)>, tenant: TenantId, key: ApiKeyId, secret: &Secret) -> StampCheck {
        let Some((stamp, id)) = stored else {
            return StampCheck::Unstamped;
        };
        let Some(pepper) = self.find(id) else {
            return StampCheck::UnknownPepper;
        };
        if bool::from(pepper.stamp(tenant, key, secret).ct_eq(stamp)) {
            StampCheck::Match { retired: self.retired.iter().any(|retired| retired.id == id) }
        } else {
            StampCheck::Mismatch
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn pepper(id: &str, byte: u8) -> Pepper {
        Pepper::parse(&format!("{id}:{}", BASE64_STANDARD.encode([byte; 32]))).unwrap()
    }

    #[test]
    fn a_stamp_matches_only_its_own_secret_key_and_tenant() {
        let secret = Secret::generate();
        let (tenant, key) = (TenantId(Uuid::from_u128(1)), ApiKeyId(Uuid::from_u128(2)));
        let peppers = Peppers { current: Some(pepper("a", 1)), ..Peppers::default() };
        let (stamp, id) = peppers.stamp(tenant, key, &secret).unwrap();
        let stored = Some((&stamp[..], id.as_str()));
        assert_eq!(peppers.check(stored, tenant, key, &secret), StampCheck::Match { retired: false });
        assert_eq!(peppers.check(stored, TenantId(key.0), key, &secret), StampCheck::Mismatch);
        assert_eq!(peppers.check(stored, tenant, ApiKeyId(tenant.0), &secret), StampCheck::Mismatch);
        assert_eq!(peppers.check(stored, tenant, key, &Secret::generate()), StampCheck::Mismatch);
        assert_eq!(peppers.check(Some((&stamp[..31], &id)), tenant, key, &secret), StampCheck::Mismatch);
        assert_eq!(peppers.check(None, tenant, key, &secret), StampCheck::Unstamped);

        let b = Peppers { current: Some(pepper("b", 2)), ..Peppers::default() };
        let (a, rotated) = (pepper("a", 1), Peppers { retired: vec![pepper("a", 1)], ..b.clone() });
        assert_eq!(rotated.check(stored, tenant, key, &secret), StampCheck::Match { retired: true });
        let prepared = Peppers { next: Some(a), ..b.clone() };
        assert_eq!(prepared.check(stored, tenant, key, &secret), StampCheck::Match { retired: false });
        assert_eq!(b.check(stored, tenant, key, &secret), StampCheck::UnknownPepper);
    }

    #[test]
    fn a_pepper_without_an_id_and_32_bytes_is_refused() {
        for bad in ["", "a", "a:", ":AAAA", "a:AAAA", "a b:AAAA", "a:not base64!"] {
            assert!(Pepper::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(format!("{:?}", pepper("p1", 7)), "Pepper(\"p1\", [redacted])");
    }
}
