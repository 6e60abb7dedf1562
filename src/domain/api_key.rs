//! The API key: the named object that a tenant's admin manages.

use std::fmt;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Description, KeyHint, KeyLimits, KeyName, LimitsPatch, Reason, ScopeSet, Timestamp, format_timestamp};

/// An API key's id. It never changes, also when the secret is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiKeyId(pub Uuid);

impl ApiKeyId {
    /// A UUIDv7 (RFC 9562): ids grow with time, so new keys are adjacent in the index.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// Accepts the hyphenated form of a UUID, in either case, and no other form.
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

/// What state a key is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is neither suspended nor expired nor revoked.
    Active,
    /// It was suspended, until a time or until it is resumed.
    Suspended,
    /// Its `expiresAt` has passed; a later `expiresAt` makes it active again.
    Expired,
    /// It was revoked, which is final.
    Revoked,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Active, Self::Suspended, Self::Expired, Self::Revoked];

    /// The name in JSON and in queries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// The status of that exact name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// A key is expired from `expires_at` on, that moment included. A revoked key stays revoked when it expires. A suspended
    /// one shows as suspended when it expires: its end shows that it is expired too.
    #[must_use]
    pub fn at(
        now: Timestamp,
        expires_at: Option<Timestamp>,
        suspension: Option<Suspension>,
        revoked_at: Option<Timestamp>,
    ) -> Self {
        if revoked_at.is_some() {
            Self::Revoked
        } else if suspension.is_some_and(|suspension| suspension.is_in_force(now)) {
            Self::Suspended
        } else if expires_at.is_some_and(|end| now >= end) {
            Self::Expired
        } else {
            Self::Active
        }
    }
}

/// A time in which a key does not work. It ends by itself, or when the key is resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspension {
    pub since: Timestamp,
    /// `None`: until the key is resumed.
    pub until: Option<Timestamp>,
}

impl Suspension {
    /// True until `until`, that moment excluded.
    #[must_use]
    pub fn is_in_force(self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// An API key as its admin sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub name: KeyName,
    pub scopes: ScopeSet,
    /// Of the current secret.
    pub hint: KeyHint,
    /// `None`: the key never expires.
    pub expires_at: Option<Timestamp>,
    /// The last accepted request with any of its secrets.
    pub last_used_at: Option<Timestamp>,
    /// The secret that the last rotation replaced, until it is ended; also after its time.
    pub previous: Option<PreviousSecret>,
    pub created_at: Timestamp,
    /// The creator's name for the audit trail; see [`Principal::audit_name`](super::Principal::audit_name).
    pub created_by: Option<String>,
    pub revoked_at: Option<Timestamp>,
    /// Also one that has ended by itself.
    pub suspension: Option<Suspension>,
    pub suspension_reason: Option<Reason>,
    pub description: Option<Description>,
    pub limits: KeyLimits,
    /// It never works, and the use of its secret is recorded.
    pub is_decoy: bool,
    /// Incremented by each change; a part of the `ETag`.
    pub version: i64,
}

/// What a key permits, for the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub name: KeyName,
    /// Of the current secret.
    pub hint: KeyHint,
    pub scopes: ScopeSet,
    pub expires_at: Option<Timestamp>,
    pub limits: KeyLimits,
}

/// A secret that a rotation replaced. It works until the end of the overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviousSecret {
    pub hint: KeyHint,
    /// The end of the overlap. The key itself may expire earlier.
    pub expires_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

impl ApiKey {
    /// The previous secret while it is accepted. Its `expires_at` is capped at the key's.
    #[must_use]
    pub fn working_previous(&self, now: Timestamp) -> Option<PreviousSecret> {
        let previous = self.previous?;
        let expires_at = self.expires_at.map_or(previous.expires_at, |end| end.min(previous.expires_at));
        (self.revoked_at.is_none() && now < expires_at).then_some(PreviousSecret { expires_at, ..previous })
    }

    #[must_use]
    pub fn grant(&self) -> Grant {
        Grant {
            name: self.name.clone(),
            hint: self.hint,
            scopes: self.scopes,
            expires_at: self.expires_at,
            limits: self.limits.clone(),
        }
    }

    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| now >= end)
    }

    #[must_use]
    pub fn status(&self, now: Timestamp) -> Status {
        Status::at(now, self.expires_at, self.suspension, self.revoked_at)
    }

    /// The end of the suspension that is in force, if it has one.
    #[must_use]
    pub fn suspended_until(&self, now: Timestamp) -> Option<Timestamp> {
        if self.status(now) == Status::Suspended { self.suspension?.until } else { None }
    }

    /// The key with a suspension until then. `None`: it has that already, with that reason.
    #[must_use]
    pub fn suspend(&self, now: Timestamp, until: Option<Timestamp>, reason: Option<Reason>) -> Option<Self> {
        let in_force = self.suspension.filter(|_| self.status(now) == Status::Suspended);
        if in_force.is_some_and(|suspension| suspension.until == until) && self.suspension_reason == reason {
            return None;
        }
        // Not after now: the time may be of an instance whose clock is ahead.
        let since = in_force.map_or(now, |suspension| suspension.since.min(now));
        Some(Self { suspension: Some(Suspension { since, until }), suspension_reason: reason, ..self.clone() })
    }

    /// The key without its suspension. `None`: it is not suspended.
    #[must_use]
    pub fn resume(&self, now: Timestamp) -> Option<Self> {
        let is_suspended = self.status(now) == Status::Suspended;
        is_suspended.then(|| Self { suspension: None, suspension_reason: None, ..self.clone() })
    }

    /// Applies a patch and returns the fields whose value changed.
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
        if let Some(description) = patch.description.filter(|text| *text != self.description) {
            let text = |text: &Option<Description>| json!(text.as_ref().map(Description::as_str));
            changes.push(FieldChange::new("description", text(&self.description), text(&description)));
            self.description = description;
        }
        self.apply_limits(patch.limits, &mut changes);
        changes
    }

    fn apply_limits(&mut self, patch: LimitsPatch, changes: &mut Vec<FieldChange>) {
        let limits = &mut self.limits;
        if let Some(addresses) = patch.allowed_addresses.filter(|addresses| *addresses != limits.allowed_addresses) {
            let (from, to) = (json!(limits.allowed_addresses), json!(addresses));
            changes.push(FieldChange::new("allowedAddresses", from, to));
            limits.allowed_addresses = addresses;
        }
        if let Some(rate_limit) = patch.rate_limit.filter(|limit| *limit != limits.rate_limit) {
            changes.push(FieldChange::new("rateLimit", json!(limits.rate_limit), json!(rate_limit)));
            limits.rate_limit = rate_limit;
        }
        if let Some(quota) = patch.quota.filter(|quota| *quota != limits.quota) {
            changes.push(FieldChange::new("quota", json!(limits.quota), json!(quota)));
            limits.quota = quota;
        }
    }
}

/// The changes of a PATCH. `None` leaves a field unchanged.
#[derive(Clone, Debug, Default)]
pub struct ApiKeyPatch {
    pub name: Option<KeyName>,
    pub scopes: Option<ScopeSet>,
    /// `Some(None)`: the key never expires.
    #[allow(clippy::option_option, reason = "absent, null and a time are three different requests")]
    pub expires_at: Option<Option<Timestamp>>,
    /// `Some(None)`: the key has none.
    #[allow(clippy::option_option, reason = "absent, null and a text are three different requests")]
    pub description: Option<Option<Description>>,
    pub limits: LimitsPatch,
}

/// A field that a patch changed, for the audit trail.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// The field's name in JSON.
    pub field: &'static str,
    pub from: Value,
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
    use crate::domain::{AddressBlock, AllowedAddresses, Quota, QuotaPeriod, RateLimit};
    use chrono::{DateTime, TimeDelta};
    use proptest::prelude::*;

    #[test]
    fn an_id_parses_only_in_the_hyphenated_form() {
        let id = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";
        assert_eq!(ApiKeyId::parse(id).map(|id| id.to_string()).as_deref(), Some(id));
        assert_eq!(ApiKeyId::parse(&id.to_uppercase()), ApiKeyId::parse(id));
        for bad in ["", "self", "a1b2c3d4e5f67890abcdef1234567890", "{a1b2c3d4-e5f6-7890-abcd-ef1234567890}"] {
            assert_eq!(ApiKeyId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_key_is_expired_from_its_end_on() {
        let end = DateTime::UNIX_EPOCH;
        let micro = TimeDelta::microseconds(1);
        assert_eq!(Status::at(end - micro, Some(end), None, None), Status::Active);
        assert_eq!(Status::at(end, Some(end), None, None), Status::Expired);
        assert_eq!(Status::at(end, None, None, None), Status::Active);
        assert_eq!(Status::at(end - micro, Some(end), None, Some(end)), Status::Revoked);
    }

    #[test]
    fn a_suspension_ends_by_itself_and_hides_an_expiry_but_no_revocation() {
        let (until, micro) = (DateTime::UNIX_EPOCH, TimeDelta::microseconds(1));
        let suspended = |until| Some(Suspension { since: DateTime::UNIX_EPOCH - TimeDelta::days(1), until });
        for expires_at in [None, Some(until - micro)] {
            let after = if expires_at.is_some() { Status::Expired } else { Status::Active };
            assert_eq!(Status::at(until - micro, expires_at, suspended(Some(until)), None), Status::Suspended);
            assert_eq!(Status::at(until, expires_at, suspended(Some(until)), None), after);
            assert_eq!(Status::at(until, expires_at, suspended(None), None), Status::Suspended);
            assert_eq!(Status::at(until, expires_at, suspended(None), Some(until)), Status::Revoked);
        }
    }

    proptest! {
        #[test]
        fn a_parsed_name_parses_to_itself(text in any::<String>()) {
            if let Ok(name) = KeyName::parse(&text) {
                prop_assert_eq!(KeyName::parse(name.as_str()), Ok(name));
            }
        }

        /// The CHECK constraints of the table `api_keys`.
        #[test]
        fn an_accepted_name_satisfies_the_table_constraints(text in "[ \\t\u{0}-\u{1f}\u{7f}-\u{a0}\u{2028}\u{feff}a🔑]{0,6}.{0,101}") {
            if let Ok(name) = KeyName::parse(&text) {
                prop_assert!((1..=100).contains(&name.as_str().chars().count()));
                prop_assert_eq!(name.as_str().trim_matches(' '), name.as_str());
                let refused = |c: char| c <= '\u{1f}' || ('\u{7f}'..='\u{9f}').contains(&c);
                prop_assert!(!name.as_str().contains(refused));
            }
        }

        #[test]
        fn a_patch_changes_and_reports_exactly_the_fields_that_differ(
            name in prop::option::of("[a-c]"),
            scopes in prop::option::of(0_usize..3),
            end in prop::option::of(prop::option::of(1_i64..3)),
            description in prop::option::of(prop::option::of("[a-b]")),
            addresses in prop::option::of(prop::collection::vec(1_u8..3, 0..2)),
            rate in prop::option::of(prop::option::of(1_i64..3)),
            quota in prop::option::of(prop::option::of(1_i64..3)),
        ) {
            let named = |name: &str| KeyName::parse(name).unwrap();
            let scopes_of = |n: usize| ScopeSet::from_iter([super::super::Scope::ALL[n]]);
            let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
            let described = |text: &str| Description::parse(text).unwrap().unwrap();
            let from = |hosts: &[u8]| {
                AllowedAddresses::new(hosts.iter().map(|n| AddressBlock::parse(&format!("10.0.0.{n}")).unwrap()).collect())
            };
            let rate_of = |requests| RateLimit::new(requests, 60).unwrap();
            let quota_of = |requests| Quota::new(requests, QuotaPeriod::Day).unwrap();
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
                suspension: None,
                suspension_reason: None,
                description: Some(described("a")),
                limits: KeyLimits {
                    allowed_addresses: from(&[1]),
                    rate_limit: Some(rate_of(1)),
                    quota: Some(quota_of(1)),
                },
                is_decoy: false,
                version: 1,
            };
            let before = key.clone();
            let patch = ApiKeyPatch {
                name: name.as_deref().map(named),
                scopes: scopes.map(scopes_of),
                expires_at: end.map(|end| end.map(at)),
                description: description.map(|text| text.as_deref().map(described)),
                limits: LimitsPatch {
                    allowed_addresses: addresses.as_deref().map(from),
                    rate_limit: rate.map(|requests| requests.map(rate_of)),
                    quota: quota.map(|requests| requests.map(quota_of)),
                },
            };
            let changes = key.apply(patch.clone());
            prop_assert_eq!(&key.name, patch.name.as_ref().unwrap_or(&before.name));
            prop_assert_eq!(key.scopes, patch.scopes.unwrap_or(before.scopes));
            prop_assert_eq!(key.expires_at, patch.expires_at.unwrap_or(before.expires_at));
            prop_assert_eq!(&key.description, patch.description.as_ref().unwrap_or(&before.description));
            let expected = KeyLimits {
                allowed_addresses: patch.limits.allowed_addresses.clone().unwrap_or(before.limits.allowed_addresses.clone()),
                rate_limit: patch.limits.rate_limit.unwrap_or(before.limits.rate_limit),
                quota: patch.limits.quota.unwrap_or(before.limits.quota),
            };
            prop_assert_eq!(&key.limits, &expected);
            let fields: Vec<_> = changes.iter().map(|change| change.field).collect();
            let differ = [
                ("name", key.name != before.name),
                ("scopes", key.scopes != before.scopes),
                ("expiresAt", key.expires_at != before.expires_at),
                ("description", key.description != before.description),
                ("allowedAddresses", key.limits.allowed_addresses != before.limits.allowed_addresses),
                ("rateLimit", key.limits.rate_limit != before.limits.rate_limit),
                ("quota", key.limits.quota != before.limits.quota),
            ];
            let expected: Vec<_> = differ.iter().filter(|(_, differs)| *differs).map(|(field, _)| *field).collect();
            prop_assert_eq!(fields, expected);
            prop_assert!(changes.iter().all(|change| change.from != change.to));
            prop_assert!(key.apply(patch).is_empty());
            let untouched = ApiKey {
                name: before.name.clone(),
                scopes: before.scopes,
                expires_at: before.expires_at,
                description: before.description.clone(),
                limits: before.limits.clone(),
                ..key
            };
            prop_assert_eq!(untouched, before);
        }
    }
}
