//! A tenant's policy: rules for all of its keys.

use std::fmt;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{AllowedAddresses, ApiKey, RateLimit, ScopeSet, Timestamp, format_timestamp};

const MAX_ACTIVE_KEYS: &str = "maxActiveKeys";

/// The rules of a tenant. `None`: no rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// No key ends later than so many days from now.
    pub max_lifetime_days: Option<i32>,
    /// Keys that are neither revoked nor expired.
    pub max_active_keys: Option<i32>,
    /// Keys that are not used for so many days are suspended: see [`super::IdleRule`].
    pub idle_suspend_days: Option<i32>,
    /// No key has a scope that these do not imply.
    pub allowed_scopes: Option<ScopeSet>,
    /// Whether each key must be bound to addresses.
    pub require_allowed_addresses: Option<bool>,
    pub on_leak: OnLeak,
    /// What a new key gets that is created without one.
    pub default_rate_limit: Option<RateLimit>,
}

/// What happens to a key whose secret is reported as leaked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLeak {
    #[default]
    Revoke,
    Suspend,
    Notify,
}

impl OnLeak {
    pub const ALL: [Self; 3] = [Self::Revoke, Self::Suspend, Self::Notify];

    /// The name in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Suspend => "suspend",
            Self::Notify => "notify",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|on_leak| on_leak.as_str() == name)
    }
}

/// A rule that a key breaks.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// Its name in JSON.
    pub rule: &'static str,
    /// What the rule says.
    pub limit: Value,
    /// What the key has.
    pub value: Value,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, limit, value } = self;
        let whose = if *rule == MAX_ACTIVE_KEYS { "tenant" } else { "key" };
        write!(f, "the tenant's policy has `{rule}` = {limit}, and the {whose} would have {value}")
    }
}

/// The properties of a key that the rules check.
#[derive(Clone, Copy, Debug)]
pub struct PolicyFacts<'a> {
    pub scopes: ScopeSet,
    pub expires_at: Option<Timestamp>,
    pub allowed_addresses: &'a AllowedAddresses,
}

impl<'a> From<&'a ApiKey> for PolicyFacts<'a> {
    fn from(key: &'a ApiKey) -> Self {
        Self { scopes: key.scopes, expires_at: key.expires_at, allowed_addresses: &key.limits.allowed_addresses }
    }
}

impl PolicyFacts<'_> {
    /// Whether a change gives the key something that a policy could forbid.
    #[must_use]
    pub fn is_widened_by(self, after: PolicyFacts<'_>) -> bool {
        let added = self.scopes_added_by(after);
        self.ends_before(after) || added != ScopeSet::default() || self.is_unbound_by(after)
    }

    fn ends_before(self, after: PolicyFacts<'_>) -> bool {
        self.expires_at.is_some_and(|end| after.expires_at.is_none_or(|new| new > end))
    }

    /// Scopes that those before do not imply.
    fn scopes_added_by(self, after: PolicyFacts<'_>) -> ScopeSet {
        after.scopes.iter().filter(|scope| !self.scopes.allows(*scope)).collect()
    }

    fn is_unbound_by(self, after: PolicyFacts<'_>) -> bool {
        after.allowed_addresses.is_any() && !self.allowed_addresses.is_any()
    }
}

impl Policy {
    /// Every rule about a single key that the key breaks.
    #[must_use]
    pub fn violations(&self, key: PolicyFacts<'_>, now: Timestamp) -> Vec<Violation> {
        [
            self.check_lifetime(key.expires_at, now),
            self.check_scopes(key.scopes),
            self.check_addresses(key.allowed_addresses),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The first rule that a change breaks. What the key had before is never refused, nor what narrows that.
    #[must_use]
    pub fn violation_of_change(
        &self,
        before: PolicyFacts<'_>,
        after: PolicyFacts<'_>,
        now: Timestamp,
    ) -> Option<Violation> {
        let lifetime = self.check_lifetime(after.expires_at, now).filter(|_| before.ends_before(after));
        let addresses = || self.check_addresses(after.allowed_addresses).filter(|_| before.is_unbound_by(after));
        lifetime.or_else(|| self.check_scopes(before.scopes_added_by(after))).or_else(addresses)
    }

    /// `None`: so many keys are allowed.
    #[must_use]
    pub fn check_active_keys(&self, keys: i64) -> Option<Violation> {
        let limit = self.max_active_keys.filter(|limit| keys > i64::from(*limit))?;
        Some(Violation { rule: MAX_ACTIVE_KEYS, limit: json!(limit), value: json!(keys) })
    }

    /// A key that was not used after this is idle. `None`: there is no such rule.
    #[must_use]
    pub fn idle_cutoff(&self, now: Timestamp) -> Option<Timestamp> {
        now.checked_sub_signed(TimeDelta::days(self.idle_suspend_days?.into()))
    }

    /// The violation, if the last use is at or before the cutoff.
    #[must_use]
    pub fn check_idle(&self, idle_since: Timestamp, now: Timestamp) -> Option<Violation> {
        self.idle_cutoff(now).filter(|since| idle_since <= *since)?;
        let value = json!(format_timestamp(idle_since));
        Some(Violation { rule: "idleSuspendDays", limit: json!(self.idle_suspend_days), value })
    }

    /// The latest end of a key. `None`: there is no such rule.
    #[must_use]
    pub fn latest_end(&self, now: Timestamp) -> Option<Timestamp> {
        now.checked_add_signed(TimeDelta::days(self.max_lifetime_days?.into()))
    }

    fn check_lifetime(&self, end: Option<Timestamp>, now: Timestamp) -> Option<Violation> {
        let latest = self.latest_end(now)?;
        let value = json!(end.map(format_timestamp));
        end.is_none_or(|end| end > latest).then_some(Violation {
            rule: "maxLifetimeDays",
            limit: json!(self.max_lifetime_days),
            value,
        })
    }

    fn check_scopes(&self, scopes: ScopeSet) -> Option<Violation> {
        let allowed = self.allowed_scopes?;
        allowed.first_lacking(scopes)?;
        let (limit, value) = (json!(allowed.to_string()), json!(scopes.to_string()));
        Some(Violation { rule: "allowedScopes", limit, value })
    }

    fn check_addresses(&self, addresses: &AllowedAddresses) -> Option<Violation> {
        (self.require_allowed_addresses == Some(true) && addresses.is_any()).then(|| Violation {
            rule: "requireAllowedAddresses",
            limit: json!(true),
            value: json!(addresses),
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{AddressBlock, Scope};

    const NOW: Timestamp = DateTime::UNIX_EPOCH;

    fn scopes() -> impl Strategy<Value = ScopeSet> {
        prop::collection::vec(prop::sample::select(Scope::ALL.to_vec()), 1..4).prop_map(ScopeSet::from_iter)
    }

    fn end() -> impl Strategy<Value = Option<Timestamp>> {
        prop::option::of((0_i64..5).prop_map(|days| NOW + TimeDelta::days(days)))
    }

    fn addresses() -> impl Strategy<Value = AllowedAddresses> {
        any::<bool>().prop_map(|bound| {
            AllowedAddresses::new(if bound { vec![AddressBlock::parse("::1").unwrap()] } else { vec![] })
        })
    }

    fn policies() -> impl Strategy<Value = Policy> {
        (prop::option::of(1..4), prop::option::of(scopes()), prop::option::of(any::<bool>())).prop_map(
            |(max_lifetime_days, allowed_scopes, require_allowed_addresses)| Policy {
                max_lifetime_days,
                allowed_scopes,
                require_allowed_addresses,
                ..Policy::default()
            },
        )
    }

    proptest! {
        #[test]
        fn a_key_breaks_exactly_the_rules_that_it_exceeds(
            policy in policies(), scopes in scopes(), expires_at in end(), addresses in addresses(),
        ) {
            let key = PolicyFacts { scopes, expires_at, allowed_addresses: &addresses };
            let broken: Vec<_> = policy.violations(key, NOW).into_iter().map(|violation| violation.rule).collect();
            let is_late = policy.max_lifetime_days.is_some_and(|days| {
                expires_at.is_none_or(|end| (end - NOW).num_days() > i64::from(days))
            });
            let is_wide = policy.allowed_scopes.is_some_and(|allowed| {
                scopes.iter().max() > allowed.iter().max()
            });
            let is_unbound = policy.require_allowed_addresses == Some(true) && addresses.is_any();
            let rules = [("maxLifetimeDays", is_late), ("allowedScopes", is_wide), ("requireAllowedAddresses", is_unbound)];
            let expected: Vec<_> = rules.into_iter().filter(|(_, is_broken)| *is_broken).map(|(rule, _)| rule).collect();
            prop_assert_eq!(broken, expected);
        }

        #[test]
        fn a_change_that_narrows_or_keeps_is_never_refused_and_none_makes_a_key_break_a_rule(
            policy in policies(), scopes in [scopes(), scopes()], ends in [end(), end()], addresses in [addresses(), addresses()],
        ) {
            let [before, after] = [0, 1].map(|n| PolicyFacts { scopes: scopes[n], expires_at: ends[n], allowed_addresses: &addresses[n] });
            prop_assert_eq!(policy.violation_of_change(before, before, NOW), None);
            let refused = policy.violation_of_change(before, after, NOW);
            prop_assert!(refused.is_none() || before.is_widened_by(after));
            prop_assert!(!before.is_widened_by(before));
            let rules = |key| policy.violations(key, NOW).into_iter().map(|violation| violation.rule).collect::<Vec<_>>();
            let is_new = rules(after).iter().any(|rule| !rules(before).contains(rule));
            prop_assert!(!is_new || refused.is_some(), "{:?} → {:?}", before, after);
            if let Some(violation) = refused {
                prop_assert!(rules(after).contains(&violation.rule));
            }
        }
    }
}
