//! The named thing that a tenant's admin manages.

use std::fmt;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{KeyHint, ScopeSet, Timestamp, format_timestamp};

/// An API key's id, for life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiKeyId(pub Uuid);

impl ApiKeyId {
    /// A new id: UUIDv7 (RFC 9562), which keeps the index's newest pages together.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// Reads the hyphenated form of a UUID, in either case, and no other form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 36).then(|| Uuid::try_parse(text).ok())?.map(Self)
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What people call a key: 1 to 100 characters without surrounding white space or control
/// characters. Names need not be unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName(String);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing is left after trimming, or more than 100 characters are.
    #[error("must have 1 to 100 characters after trimming")]
    Length,
    /// A control character (Unicode's Cc), NUL included.
    #[error("must not contain control characters")]
    ControlCharacter,
}

impl KeyName {
    /// Trims the text and takes it for a name when it is one.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let name = text.trim();
        if name.chars().any(char::is_control) {
            return Err(InvalidName::ControlCharacter);
        }
        if !(1..=100).contains(&name.chars().count()) {
            return Err(InvalidName::Length);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What state a key is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is neither expired nor revoked.
    Active,
    /// Its `expiresAt` has passed; a later `expiresAt` makes it active again.
    Expired,
    /// It was revoked, which is final.
    Revoked,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Active, Self::Expired, Self::Revoked];

    /// The name in JSON and in queries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// The status of that exact name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// A key is expired from `expires_at` on, that moment included. A revoked key stays revoked when it expires.
    #[must_use]
    pub fn at(now: Timestamp, expires_at: Option<Timestamp>, revoked_at: Option<Timestamp>) -> Self {
        if revoked_at.is_some() {
            Self::Revoked
        } else if expires_at.is_some_and(|end| now >= end) {
            Self::Expired
        } else {
            Self::Active
        }
    }
}

/// An API key as its admin sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// For life.
    pub id: ApiKeyId,
    /// What people call it.
    pub name: KeyName,
    /// What it allows.
    pub scopes: ScopeSet,
    /// The last digits of its newest secret.
    pub hint: KeyHint,
    /// When it ends; none = never.
    pub expires_at: Option<Timestamp>,
    /// When one of its secrets last let somebody in.
    pub last_used_at: Option<Timestamp>,
    /// The secret that was rotated away last, whether it still works or not.
    pub previous: Option<PreviousSecret>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: Option<String>,
    /// When it was taken away.
    pub revoked_at: Option<Timestamp>,
    /// Counts what an admin changed; the entity tag is made of it.
    pub version: i64,
}

/// A secret in whose place there is a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviousSecret {
    /// Its last digits.
    pub hint: KeyHint,
    /// Until when it works, where the key itself does not end before.
    pub expires_at: Timestamp,
    /// When it last let somebody in.
    pub last_used_at: Option<Timestamp>,
}

impl ApiKey {
    /// The previous secret while it works, with its true end: never past the key's own.
    #[must_use]
    pub fn working_previous(&self, now: Timestamp) -> Option<PreviousSecret> {
        let previous = self.previous?;
        let expires_at = self.expires_at.map_or(previous.expires_at, |end| end.min(previous.expires_at));
        (self.revoked_at.is_none() && now < expires_at).then_some(PreviousSecret { expires_at, ..previous })
    }

    /// Takes over when it was last used, from the same key as it was read later.
    pub fn take_last_uses(&mut self, later: &Self) {
        self.last_used_at = later.last_used_at;
        if let (Some(previous), Some(later)) = (&mut self.previous, later.previous)
            && previous.hint == later.hint
        {
            previous.last_used_at = later.last_used_at;
        }
    }

    /// Whether it works at that moment, and if not, why.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Status {
        Status::at(now, self.expires_at, self.revoked_at)
    }

    /// Applies a patch and tells what it changed: what already was as asked is no change.
    pub fn apply(&mut self, patch: ApiKeyPatch) -> Vec<FieldChange> {
        let mut changes = Vec::new();
        if let Some(name) = patch.name.filter(|name| *name != self.name) {
            changes.push(FieldChange::new("name", json!(self.name.as_str()), json!(name.as_str())));
            self.name = name;
        }
        if let Some(scopes) = patch.scopes.filter(|scopes| *scopes != self.scopes) {
            changes.push(FieldChange::new("scopes", json!(self.scopes.to_string()), json!(scopes.to_string())));
            self.scopes = scopes;
        }
        if let Some(expires_at) = patch.expires_at.filter(|end| *end != self.expires_at) {
            let text = |end: Option<Timestamp>| json!(end.map(format_timestamp));
            changes.push(FieldChange::new("expiresAt", text(self.expires_at), text(expires_at)));
            self.expires_at = expires_at;
        }
        changes
    }
}

/// What an admin asks to change; `None` leaves a property as it is.
#[derive(Clone, Debug, Default)]
pub struct ApiKeyPatch {
    /// A new name.
    pub name: Option<KeyName>,
    /// A new set of scopes.
    pub scopes: Option<ScopeSet>,
    /// A new end; `Some(None)` = never.
    #[allow(clippy::option_option, reason = "absent, null and a time are three different wishes")]
    pub expires_at: Option<Option<Timestamp>>,
}

/// One property that a patch changed, for the audit trail.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// The property's name in JSON.
    pub field: &'static str,
    /// Its value before.
    pub from: Value,
    /// Its value after.
    pub to: Value,
}

impl FieldChange {
    fn new(field: &'static str, from: Value, to: Value) -> Self {
        Self { field, from, to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, TimeDelta};
    use proptest::prelude::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(KeyName::parse("  Zapier Sync\n").map(|n| n.0), Ok("Zapier Sync".to_owned()));
        assert!(KeyName::parse(&"🔑".repeat(100)).is_ok());
        assert_eq!(KeyName::parse(&"🔑".repeat(101)), Err(InvalidName::Length));
        assert_eq!(KeyName::parse(" \t "), Err(InvalidName::Length));
        for bad in ["a\0b", "a\nb", "a\u{7f}b", "a\u{85}b"] {
            assert_eq!(KeyName::parse(bad), Err(InvalidName::ControlCharacter), "{bad:?}");
        }
    }

    #[test]
    fn ids_have_one_form() {
        let id = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";
        assert_eq!(ApiKeyId::parse(id).map(|id| id.to_string()).as_deref(), Some(id));
        assert_eq!(ApiKeyId::parse(&id.to_uppercase()), ApiKeyId::parse(id));
        for bad in ["", "self", "a1b2c3d4e5f67890abcdef1234567890", "{a1b2c3d4-e5f6-7890-abcd-ef1234567890}"] {
            assert_eq!(ApiKeyId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_key_expires_at_the_very_moment() {
        let end = DateTime::UNIX_EPOCH;
        let micro = TimeDelta::microseconds(1);
        assert_eq!(Status::at(end - micro, Some(end), None), Status::Active);
        assert_eq!(Status::at(end, Some(end), None), Status::Expired);
        assert_eq!(Status::at(end, None, None), Status::Active);
        assert_eq!(Status::at(end - micro, Some(end), Some(end)), Status::Revoked);
    }

    proptest! {
        #[test]
        fn name_parse_never_panics_and_is_stable(text in any::<String>()) {
            if let Ok(name) = KeyName::parse(&text) {
                prop_assert_eq!(KeyName::parse(name.as_str()), Ok(name));
            }
        }

        /// What the table's constraints demand of a name holds for each that is accepted.
        #[test]
        fn the_table_takes_every_name(text in "[ \\t\u{0}-\u{1f}\u{7f}-\u{a0}\u{2028}\u{feff}a🔑]{0,6}.{0,101}") {
            if let Ok(name) = KeyName::parse(&text) {
                prop_assert!((1..=100).contains(&name.as_str().chars().count()));
                prop_assert_eq!(name.as_str().trim_matches(' '), name.as_str());
                let refused = |c: char| c <= '\u{1f}' || ('\u{7f}'..='\u{9f}').contains(&c);
                prop_assert!(!name.as_str().contains(refused));
            }
        }

        /// A patch changes what it names, tells each change once, and is done then.
        #[test]
        fn a_patch_is_done_at_once(
            name in prop::option::of("[a-c]"),
            scopes in prop::option::of(0_usize..3),
            end in prop::option::of(prop::option::of(1_i64..3)),
        ) {
            let named = |name: &str| KeyName::parse(name).unwrap();
            let scopes_of = |n: usize| ScopeSet::from_iter([super::super::Scope::ALL[n]]);
            let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
            let mut key = ApiKey {
                id: ApiKeyId::generate(),
                name: named("a"),
                scopes: scopes_of(0),
                hint: KeyHint::from_last4("0000").unwrap(),
                expires_at: Some(at(1)),
                last_used_at: None,
                previous: None,
                created_at: DateTime::UNIX_EPOCH,
                created_by: None,
                revoked_at: None,
                version: 1,
            };
            let before = key.clone();
            let patch = ApiKeyPatch {
                name: name.as_deref().map(named),
                scopes: scopes.map(scopes_of),
                expires_at: end.map(|end| end.map(at)),
            };
            let changes = key.apply(patch.clone());
            prop_assert_eq!(&key.name, patch.name.as_ref().unwrap_or(&before.name));
            prop_assert_eq!(key.scopes, patch.scopes.unwrap_or(before.scopes));
            prop_assert_eq!(key.expires_at, patch.expires_at.unwrap_or(before.expires_at));
            let fields: Vec<_> = changes.iter().map(|change| change.field).collect();
            let differ = [
                ("name", key.name != before.name),
                ("scopes", key.scopes != before.scopes),
                ("expiresAt", key.expires_at != before.expires_at),
            ];
            let expected: Vec<_> = differ.iter().filter(|(_, differs)| *differs).map(|(field, _)| *field).collect();
            prop_assert_eq!(fields, expected);
            prop_assert!(changes.iter().all(|change| change.from != change.to));
            prop_assert!(key.apply(patch).is_empty());
            let untouched =
                ApiKey { name: before.name.clone(), scopes: before.scopes, expires_at: before.expires_at, ..key };
            prop_assert_eq!(untouched, before);
        }
    }
}
