//! What a principal may do.

use std::fmt;

/// One permission. `admin` implies `write`, and `write` implies `read`, which is the order
/// of the variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Look at things.
    Read,
    /// Change things.
    Write,
    /// Manage the tenant's API keys.
    Admin,
}

impl Scope {
    /// Every scope, in the order in which they are written.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The scope's name in text: `read`, `write` or `admin`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// The scope of that exact name.
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

/// A set of scopes as they were granted: `admin` alone stays `admin` in text, although it
/// allows everything.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ScopeSet(u8);

/// Why a text is no list of scopes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScopes {
    /// The list names no scope at all.
    #[error("must name at least one of read, write, admin")]
    Empty,
    /// An element of the list is none of the three.
    #[error("must be a comma-separated list of read, write, admin (lower-case)")]
    Unknown,
}

impl ScopeSet {
    /// The default of a new key: `read`.
    pub const READ: Self = Self(Scope::Read.bit());

    /// Reads `read, write,admin`: lower-case, comma-separated, spaces around commas
    /// allowed, in any order, duplicates folded.
    pub fn parse(text: &str) -> Result<Self, InvalidScopes> {
        if text.trim_matches(' ').is_empty() {
            return Err(InvalidScopes::Empty);
        }
        text.split(',').map(|name| Scope::from_name(name.trim_matches(' ')).ok_or(InvalidScopes::Unknown)).collect()
    }

    /// Whether the set names no scope.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the set allows what `scope` allows, by name or by implication.
    #[must_use]
    pub fn allows(self, scope: Scope) -> bool {
        // The bits are in the order of implication: any bit at or above is enough.
        self.0 >= scope.bit()
    }

    /// The strongest scope of `other` that this set does not allow.
    #[must_use]
    pub fn first_lacking(self, other: Self) -> Option<Scope> {
        other.iter().rev().find(|scope| !self.allows(*scope))
    }

    /// The list that [`ScopeSet::parse`] reads: comma-separated, weakest first.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        // By bits, as the order of the variants gives them.
        const LISTS: [&str; 8] =
            ["", "read", "write", "read,write", "admin", "read,admin", "write,admin", "read,write,admin"];
        LISTS[(self.0 & 0b111) as usize]
    }

    /// The named scopes, weakest first.
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
    fn text_is_normalised() {
        assert_eq!(set("write , read,write").to_string(), "read,write");
        assert_eq!(set("admin").to_string(), "admin");
        assert_eq!(set(" read ").to_string(), "read");
    }

    #[test]
    fn every_set_is_read_from_its_text() {
        for bits in 1..8 {
            assert_eq!(ScopeSet::parse(ScopeSet(bits).as_str()), Ok(ScopeSet(bits)));
        }
        assert_eq!(ScopeSet::default().as_str(), "");
    }

    #[test]
    fn bad_text_is_refused() {
        assert_eq!(ScopeSet::parse(""), Err(InvalidScopes::Empty));
        assert_eq!(ScopeSet::parse("  "), Err(InvalidScopes::Empty));
        for text in ["Read", "read,", ",", "read;write", "read write", "delete", "read\t", "read,\0"] {
            assert_eq!(ScopeSet::parse(text), Err(InvalidScopes::Unknown), "{text:?}");
        }
    }

    #[test]
    fn stronger_scopes_imply_weaker_ones() {
        assert!(set("admin").allows(Scope::Read) && set("admin").allows(Scope::Write));
        assert!(set("write").allows(Scope::Read) && !set("write").allows(Scope::Admin));
        assert!(!set("read").allows(Scope::Write));
        assert!(!ScopeSet::default().allows(Scope::Read));
        assert_eq!(set("write").first_lacking(set("read,write,admin")), Some(Scope::Admin));
        assert_eq!(set("admin").first_lacking(set("read,write,admin")), None);
    }

    proptest! {
        #[test]
        fn parse_never_panics_and_round_trips(text in ".{0,40}") {
            if let Ok(scopes) = ScopeSet::parse(&text) {
                prop_assert_eq!(ScopeSet::parse(&scopes.to_string()), Ok(scopes));
            }
        }

        /// In any order, with any spaces, however often: the same set, in one form.
        #[test]
        fn any_list_of_names_is_their_set(items in prop::collection::vec((0_usize..3, " {0,2}", " {0,2}"), 1..8)) {
            let list: Vec<_> = items.iter().map(|(n, left, right)| format!("{left}{}{right}", Scope::ALL[*n])).collect();
            let scopes = set(&list.join(","));
            for (n, scope) in Scope::ALL.into_iter().enumerate() {
                prop_assert_eq!(scopes.iter().any(|it| it == scope), items.iter().any(|item| item.0 == n));
            }
            let form = scopes.to_string();
            prop_assert!(["read", "write", "admin", "read,write", "read,admin", "write,admin", "read,write,admin"].contains(&&*form));
        }

        #[test]
        fn one_bad_name_spoils_the_list(bad in "[a-zA-Z ,;\\t\u{0}]{0,8}", before in any::<bool>()) {
            prop_assume!(ScopeSet::parse(&bad).is_err());
            let list = if before { format!("{bad},read") } else { format!("read,{bad}") };
            prop_assert_eq!(ScopeSet::parse(&list), Err(InvalidScopes::Unknown), "{:?}", list);
        }

        /// What a set lacks of another is exactly what it does not allow.
        #[test]
        fn lacking_and_allowing_agree(mine in 0_u8..8, wanted in 0_u8..8) {
            let (mine, wanted) = (ScopeSet(mine), ScopeSet(wanted));
            prop_assert_eq!(mine.first_lacking(wanted).is_none(), wanted.iter().all(|scope| mine.allows(scope)));
            for pair in Scope::ALL.windows(2) {
                prop_assert!(!mine.allows(pair[1]) || mine.allows(pair[0]), "the stronger implies the weaker");
            }
        }
    }
}
