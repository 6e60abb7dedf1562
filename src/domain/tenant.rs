//! Tenants: the CRM's customers.

use std::fmt;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A tenant's primary key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(pub Uuid);

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The first label of a tenant's host: a lower-case DNS label (RFC 1035, with the leading digits of RFC 1123).
///
/// Stored inline, without an allocation: every check of a key parses one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slug {
    /// Padded with zeros.
    text: [u8; Slug::MAX_LEN],
    len: u8,
}

/// The text is not a valid slug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 63 lower-case letters, digits and inner hyphens, as in `acme`, and no UUID")]
pub struct InvalidSlug;

impl Slug {
    /// In bytes (RFC 1035, 2.3.4).
    pub const MAX_LEN: usize = 63;

    /// Does not fold case: the host is lower-cased before.
    pub fn parse(text: &str) -> Result<Self, InvalidSlug> {
        let valid = text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !text.starts_with('-')
            && !text.ends_with('-')
            // A JWT names its tenant by slug or id, so one tenant's id must not be another's slug.
            && !is_uuid_with_any_hyphens(text);
        let len = u8::try_from(text.len()).map_err(|_| InvalidSlug)?;
        let mut kept = [0; Self::MAX_LEN];
        let place = kept.get_mut(..text.len()).filter(|place| valid && !place.is_empty()).ok_or(InvalidSlug)?;
        place.copy_from_slice(text.as_bytes());
        Ok(Self { text: kept, len })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.len)]
    }

    /// ASCII.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // ASCII by construction.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

fn is_uuid_with_any_hyphens(text: &str) -> bool {
    let mut digits = text.bytes().filter(|b| *b != b'-');
    text.len() >= 32 && digits.clone().count() == 32 && digits.all(|b| b.is_ascii_hexdigit())
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slug({})", self.as_str())
    }
}

/// The id by which an issuer of tokens knows a tenant, as a digest: small enough to be copied with each cached tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExternalId([u8; 16]);

/// The text is not a valid external id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 200 visible ASCII characters, as in `org_8fQ2`")]
pub struct InvalidExternalId;

impl ExternalId {
    /// In characters.
    const MAX_LEN: usize = 200;

    /// Case-sensitive.
    pub fn parse(text: &str) -> Result<Self, InvalidExternalId> {
        let valid = (1..=Self::MAX_LEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if valid { Ok(Self::of(text)) } else { Err(InvalidExternalId) }
    }

    /// Of a stored id.
    pub(crate) fn of(text: &str) -> Self {
        let mut digest = [0; 16];
        digest.copy_from_slice(&Sha256::digest(text)[..16]);
        Self(digest)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A tenant that exists and is not suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The primary key.
    pub id: TenantId,
    /// The first label of the host.
    pub slug: Slug,
    /// How an issuer of tokens names it, beside slug and id.
    pub external_id: Option<ExternalId>,
}

impl Tenant {
    /// True if the text is the tenant's slug, id (in either case) or external id.
    pub(crate) fn is_named(&self, text: &str) -> bool {
        text == self.slug.as_str()
            || text.eq_ignore_ascii_case(&self.id.to_string())
            || self.external_id.is_some_and(|id| id == ExternalId::of(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_named_by_its_slug_its_id_and_its_external_id() {
        let slug = Slug::parse("acme").unwrap();
        let tenant =
            Tenant { id: TenantId(Uuid::from_u128(0xab)), slug, external_id: ExternalId::parse("org_8fQ2").ok() };
        for name in ["acme", "00000000-0000-0000-0000-0000000000ab", "00000000-0000-0000-0000-0000000000AB", "org_8fQ2"]
        {
            assert!(tenant.is_named(name), "{name}");
        }
        for name in ["", "ACME", "org_8fq2", "org_8fQ", "000000000000000000000000000000ab"] {
            assert!(!tenant.is_named(name), "{name}");
        }
        assert!(!Tenant { external_id: None, ..tenant }.is_named("org_8fQ2"));
    }

    #[test]
    fn an_external_id_has_visible_characters() {
        let long = "a".repeat(200);
        for good in ["org_8fQ2", "42", "urn:acme", "a1b2c3d4-e5f6-7890-abcd-ef1234567890", long.as_str()] {
            assert!(ExternalId::parse(good).is_ok(), "{good:?}");
        }
        for bad in ["", " ", "a b", "a\n", "é", "a\u{200b}", &"a".repeat(201)] {
            assert_eq!(ExternalId::parse(bad), Err(InvalidExternalId), "{bad:?}");
        }
    }

    #[test]
    fn a_slug_parses_only_as_a_dns_label_that_is_no_uuid() {
        let long = "a".repeat(63);
        for good in ["a", "acme", "acme-2", "0x", long.as_str()] {
            assert!(Slug::parse(good).is_ok(), "{good:?}");
        }
        let longer = "a".repeat(64);
        for bad in [
            "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
            "a1b2c3d4e5f67890abcdef1234567890",
            "",
            "-a",
            "a-",
            "Acme",
            "a.b",
            "a_b",
            "ä",
            "a\0",
            " a",
            longer.as_str(),
        ] {
            assert_eq!(Slug::parse(bad), Err(InvalidSlug), "{bad:?}");
        }
    }
}
