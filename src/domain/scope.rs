//! Scopes: what a principal may do.

use std::fmt;

/// A permission. `Admin` implies `Write`, and `Write` implies `Read`: the order of the variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Read the CRM's data, and list keys.
    Read,
    /// Change the CRM's data.
    Write,
    /// Manage the tenant's API keys.
    Admin,
}

impl Scope {
    /// Every scope, weakest first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The name in JSON, in claims and in text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// Case-sensitive.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of scopes as granted: `admin` alone stays `admin` in text, although it implies the others.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ScopeSet(u8);

/// Why a text is not a valid list of scopes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScopes {
    /// The list is empty.
    #[error("must name at least one of read, write, admin")]
    Empty,
    /// An element is not a scope's name.
    #[error("must be a comma-separated list of read, write, admin (lower-case)")]
    Unknown,
}

impl ScopeSet {
    /// Indexed by the bits.
    const TEXTS: [&'static str; 8] =
        ["", "read", "write", "read,write", "admin", "read,admin", "write,admin", "read,write,admin"];

    /// The default of a new key.
    pub const READ: Self = Self(Scope::Read.bit());

    /// Parses a comma-separated list of lower-case names, in any order. Spaces around commas and duplicates are
    /// allowed.
    pub fn parse(text: &str) -> Result<Self, InvalidScopes> {
        if text.trim_matches(' ').is_empty() {
            return Err(InvalidScopes::Empty);
        }
        text.split(',').map(|name| Scope::from_name(name.trim_matches(' ')).ok_or(InvalidScopes::Unknown)).collect()
    }

    /// True if the set contains `scope` or a stronger one.
    #[must_use]
    pub fn allows(self, scope: Scope) -> bool {
        // A stronger scope has a higher bit.
        self.0 >= scope.bit()
    }

    /// The strongest scope of `other` that this set does not allow.
    #[must_use]
    pub fn first_lacking(self, other: Self) -> Option<Scope> {
        other.iter().rev().find(|scope| !self.allows(*scope))
    }

    /// The form that [`ScopeSet::parse`] accepts: comma-separated, weakest first.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        Self::TEXTS[(self.0 & 0b111) as usize]
    }

    /// Every text that [`Self::as_str`] returns, apart from the empty one.
    pub fn all_texts() -> impl Iterator<Item = &'static str> {
        Self::TEXTS.into_iter().skip(1)
    }

    /// The scopes as granted, weakest first.
    #[must_use]
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & scope.bit() != 0)
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScopeSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(text: &str) -> ScopeSet {
        ScopeSet::parse(text).unwrap_or_else(|e| panic!("{text:?}: {e}"))
    }

    #[test]
    fn a_list_of_scopes_is_normalised() {
        assert_eq!(set("write , read,write").to_string(), "read,write");
        assert_eq!(set("admin").to_string(), "admin");
        assert_eq!(set(" read ").to_string(), "read");
    }

    #[test]
    fn every_set_parses_from_its_text() {
        for bits in 1..8 {
            assert_eq!(ScopeSet::parse(ScopeSet(bits).as_str()), Ok(ScopeSet(bits)));
        }
        assert_eq!(ScopeSet::default().as_str(), "");
    }

    #[test]
    fn a_malformed_list_is_rejected() {
        assert_eq!(ScopeSet::parse(""), Err(InvalidScopes::Empty));
        assert_eq!(ScopeSet::parse("  "), Err(InvalidScopes::Empty));
        for text in ["Read", "read,", ",", "read;write", "read write", "delete", "read\t", "read,\0"] {
            assert_eq!(ScopeSet::parse(text), Err(InvalidScopes::Unknown), "{text:?}");
        }
    }

    #[test]
    fn a_stronger_scope_allows_the_weaker_ones() {
        assert!(set("admin").allows(Scope::Read) && set("admin").allows(Scope::Write));
        assert!(set("write").allows(Scope::Read) && !set("write").allows(Scope::Admin));
        assert!(!set("read").allows(Scope::Write));
        assert!(!ScopeSet::default().allows(Scope::Read));
        assert_eq!(set("write").first_lacking(set("read,write,admin")), Some(Scope::Admin));
        assert_eq!(set("admin").first_lacking(set("read,write,admin")), None);
    }

    proptest! {
        #[test]
        fn a_parsed_list_round_trips(text in ".{0,40}") {
            if let Ok(scopes) = ScopeSet::parse(&text) {
                prop_assert_eq!(ScopeSet::parse(&scopes.to_string()), Ok(scopes));
            }
        }

        #[test]
        fn a_list_parses_to_its_set_in_any_order_and_spacing(items in prop::collection::vec((0_usize..3, " {0,2}", " {0,2}"), 1..8)) {
            let list: Vec<_> = items.iter().map(|(n, left, right)| format!("{left}{}{right}", Scope::ALL[*n])).collect();
            let scopes = set(&list.join(","));
            for (n, scope) in Scope::ALL.into_iter().enumerate() {
                prop_assert_eq!(scopes.iter().any(|it| it == scope), items.iter().any(|item| item.0 == n));
            }
            let form = scopes.to_string();
            prop_assert!(["read", "write", "admin", "read,write", "read,admin", "write,admin", "read,write,admin"].contains(&&*form));
        }

        #[test]
        fn a_list_with_one_unknown_name_is_rejected(bad in "[a-zA-Z ,;\\t\u{0}]{0,8}", before in any::<bool>()) {
            prop_assume!(ScopeSet::parse(&bad).is_err());
            let list = if before { format!("{bad},read") } else { format!("read,{bad}") };
            prop_assert_eq!(ScopeSet::parse(&list), Err(InvalidScopes::Unknown), "{:?}", list);
        }

        #[test]
        fn first_lacking_is_none_if_and_only_if_every_scope_is_allowed(mine in 0_u8..8, other in 0_u8..8) {
            let (mine, other) = (ScopeSet(mine), ScopeSet(other));
            prop_assert_eq!(mine.first_lacking(other).is_none(), other.iter().all(|scope| mine.allows(scope)));
            for pair in Scope::ALL.windows(2) {
                prop_assert!(!mine.allows(pair[1]) || mine.allows(pair[0]), "the stronger implies the weaker");
            }
        }
    }
}
