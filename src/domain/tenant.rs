//! A customer of the CRM.

use std::fmt;

use uuid::Uuid;

/// A tenant's id in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(pub Uuid);

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A tenant's name in its host: one DNS label (RFC 1035 with RFC 1123's leading digits),
/// lower-case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slug(String);

/// The text is no DNS label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 63 lower-case letters, digits and inner hyphens, as in `acme`, and no UUID")]
pub struct InvalidSlug;

impl Slug {
    /// Takes the text for a slug when it is one.
    pub fn parse(text: &str) -> Result<Self, InvalidSlug> {
        let valid = (1..=63).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !text.starts_with('-')
            && !text.ends_with('-')
            // A token names its tenant by slug or by id; one tenant's id must not be another's slug.
            && !is_uuid_without_hyphens(&text.replace('-', ""));
        valid.then(|| Self(text.to_owned())).ok_or(InvalidSlug)
    }

    /// The slug as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_uuid_without_hyphens(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tenant that is served: it exists and is not suspended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its key in the database.
    pub id: TenantId,
    /// Its name in the host.
    pub slug: Slug,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_dns_labels() {
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
