//! The secret of an API key, its lookup digest and its hint.

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::random_bytes;

/// `rk_live_` and 32 lower-case hex digits.
const SECRET_LEN: usize = 40;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Separates the lookup digest from every other use of SHA-256 over a secret. It is part of the stored format: with
/// another label, no existing key would be found.
const LOOKUP_LABEL: &[u8] = b"rally-api-keys lookup digest v1\0";

/// An API key's secret, `rk_live_…`: a bearer credential of 128 random bits.
///
/// It has no `Display` and no `Serialize`, `Debug` redacts it, and its memory is zeroed on drop. [`Secret::reveal`] is
/// the only way to read it as text, for the response that shows it.
pub struct Secret(Zeroizing<[u8; SECRET_LEN]>);

impl Secret {
    /// Never change it: integrations, gateways and secret scanners recognise keys by it, and stored digests cover it.
    pub const PREFIX: &'static str = "rk_live_";

    /// 128 bits from the operating system's generator.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_bits(&random_bytes())
    }

    /// `bits`: random, or derived so that nobody can tell them from random ones.
    #[must_use]
    pub fn from_bits(bits: &[u8; 16]) -> Self {
        let mut text = Zeroizing::new([0_u8; SECRET_LEN]);
        let (prefix, digits) = text.split_at_mut(Self::PREFIX.len());
        prefix.copy_from_slice(Self::PREFIX.as_bytes());
        for (pair, byte) in digits.chunks_exact_mut(2).zip(bits.iter()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0x0f)];
        }
        Self(text)
    }

    /// `None` unless the credential has exactly the form of a secret.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: &[u8; SECRET_LEN] = text.try_into().ok()?;
        let digits = text.strip_prefix(Self::PREFIX.as_bytes())?;
        digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).then(|| Self(Zeroizing::new(*text)))
    }

    /// Whether a text contains the form of a secret, in either case: a client may have changed it.
    #[must_use]
    pub fn is_in(text: &str) -> bool {
        let is_secret = |part: &[u8]| Self::parse(&part.to_ascii_lowercase()).is_some();
        text.as_bytes().windows(SECRET_LEN).any(is_secret)
    }

    /// The secret in clear text, for the response to a create or rotate, and for `keys create`. Not to be called elsewhere.
    #[must_use]
    pub fn reveal(&self) -> &str {
        // ASCII by construction.
        std::str::from_utf8(self.0.as_slice()).unwrap_or_default()
    }

    /// The bytes that hashes and stamps are computed over.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// See [`LookupDigest`].
    #[must_use]
    pub fn lookup_digest(&self) -> LookupDigest {
        let hash = Sha256::new().chain_update(LOOKUP_LABEL).chain_update(self.as_bytes()).finalize();
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash[..16]);
        LookupDigest(digest)
    }

    /// See [`KeyHint`].
    #[must_use]
    pub fn hint(&self) -> KeyHint {
        let mut last4 = [0; 4];
        last4.copy_from_slice(&self.0[SECRET_LEN - 4..]);
        KeyHint(last4)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(rk_live_[redacted])")
    }
}

/// The first 16 bytes of SHA-256 over a label and the secret: what a secret's row is found by, so that the database
/// holds no part of the secret. A secret of 128 random bits cannot be found from its digest by search.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LookupDigest([u8; 16]);

impl LookupDigest {
    /// Not the digest of any secret: finding one that hashes to it is infeasible.
    pub const NONE: Self = Self([0; 16]);

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Debug for LookupDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LookupDigest([redacted])")
    }
}

/// The last four hex digits of a secret, shown as `rk_live_…1b4c`: 112 bits stay unknown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHint([u8; 4]);

impl KeyHint {
    /// `None` unless the text is four lower-case hex digits.
    #[must_use]
    pub fn from_last4(last4: &str) -> Option<Self> {
        let digits: [u8; 4] = last4.as_bytes().try_into().ok()?;
        digits.iter().all(|b| DIGITS.contains(b)).then_some(Self(digits))
    }

    /// The four digits.
    #[must_use]
    pub fn last4(&self) -> &str {
        // ASCII by construction.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for KeyHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…{}", Secret::PREFIX, self.last4())
    }
}

impl fmt::Debug for KeyHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EXAMPLE: &str = "rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c";

    #[test]
    fn generated_secrets_parse_and_differ() {
        let (a, b) = (Secret::generate(), Secret::generate());
        assert_ne!(a.reveal(), b.reveal());
        let again = Secret::parse(a.reveal().as_bytes()).expect("a secret of our own parses");
        assert_eq!(again.lookup_digest(), a.lookup_digest());
    }

    #[test]
    fn only_the_exact_form_parses() {
        assert!(Secret::parse(EXAMPLE.as_bytes()).is_some());
        let upper = EXAMPLE.to_uppercase();
        for bad in [
            "",
            "rk_live_",
            &EXAMPLE[..39],
            &format!("{EXAMPLE}0"),
            &upper,
            "rk_test_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c",
            "rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4g",
        ] {
            assert!(Secret::parse(bad.as_bytes()).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn the_stored_digest_never_changes() {
        let digest = Secret::parse(EXAMPLE.as_bytes()).map(|s| s.lookup_digest().0);
        // Computed with `printf 'rally-api-keys lookup digest v1\0rk_live_…' | sha256sum`.
        assert_eq!(digest.map(u128::from_be_bytes), Some(LOOKUP_OF_EXAMPLE));
    }
    const LOOKUP_OF_EXAMPLE: u128 = 0x9716_c8d8_f21a_28d5_aba1_cb4c_48a9_558b;

    #[test]
    fn debug_and_hint_give_nothing_away() {
        let secret = Secret::parse(EXAMPLE.as_bytes()).expect("the example parses");
        assert_eq!(format!("{secret:?}"), "Secret(rk_live_[redacted])");
        assert!(!format!("{:?}", secret.lookup_digest()).contains(|c: char| c.is_ascii_digit()));
        assert_eq!(secret.hint().to_string(), "rk_live_…1b4c");
    }

    proptest! {
        #[test]
        fn parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Secret::parse(&bytes);
        }

        #[test]
        fn every_well_formed_text_parses(digits in "[0-9a-f]{32}") {
            let text = format!("rk_live_{digits}");
            prop_assert_eq!(Secret::parse(text.as_bytes()).map(|s| s.reveal().to_owned()), Some(text));
        }

        /// One byte that is another, missing or too many: no secret, or one that is found nowhere.
        #[test]
        fn nothing_near_a_secret_is_it(digits in "[0-9a-f]{32}", at in 0_usize..40, byte in any::<u8>(), edit in 0..3) {
            let text = format!("rk_live_{digits}").into_bytes();
            let mut other = text.clone();
            match edit {
                0 => other[at] = byte,
                1 => drop(other.remove(at)),
                _ => other.insert(at, byte),
            }
            let digest = |text: &[u8]| Secret::parse(text).map(|secret| secret.lookup_digest());
            let parsed = digest(&other);
            prop_assert_eq!(parsed.is_some(), edit == 0 && (other == text || (at >= 8 && DIGITS.contains(&byte))));
            prop_assert_eq!(parsed == digest(&text), other == text);
        }

        #[test]
        fn no_digit_is_shown_but_the_last_four(digits in "[0-9a-f]{32}") {
            let secret = Secret::parse(format!("rk_live_{digits}").as_bytes()).unwrap();
            prop_assert_eq!(format!("{secret:?}{:#?}", Some(&secret)).matches("[redacted]").count(), 2);
            prop_assert_eq!(format!("{:?}", secret.lookup_digest()), "LookupDigest([redacted])");
            prop_assert_eq!(secret.hint().to_string(), format!("rk_live_…{}", &digits[28..]));
            let shown = format!("{secret:?} {:?} {:?}", secret.hint(), secret.lookup_digest());
            prop_assert!(!shown.contains(&digits[23..28]), "{}", shown);
        }

        #[test]
        fn a_hint_has_four_digits(text in ".{0,6}") {
            let good = text.len() == 4 && text.bytes().all(|b| DIGITS.contains(&b));
            prop_assert_eq!(KeyHint::from_last4(&text).is_some(), good);
        }
    }
}
