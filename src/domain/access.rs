//! Access control: whether a caller may do what its request requires.
//!
//! Every rule about whether a caller is let in is here, and only here (`http::api_keys::grants` limits what a caller may grant).
//! [`decide`], [`decide_rate`] and [`decide_quota`] are pure and are called in that order, and the rules do not depend on where the facts come from. They are filled in at two places, so a
//! new fact has to be: `CachedSecret::facts` for checks, and `Authorized::begin_change` for changes under a lock.

use std::net::IpAddr;

use chrono::TimeDelta;

use super::{
    AllowedAddresses, ApiKeyId, Budget, QuotaUse, RateDecision, Scope, ScopeSet, Status, Suspension, Timestamp,
};

/// What an endpoint requires of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequiredAccess {
    /// What the caller has to be permitted.
    pub permission: Permission,
    /// Which secret a calling key has to present.
    pub secret: RequiredSecret,
}

impl RequiredAccess {
    /// For a call that changes no key.
    #[must_use]
    pub const fn to_use(permission: Permission) -> Self {
        Self { permission, secret: RequiredSecret::Any }
    }

    /// For a call that changes keys or makes secrets.
    #[must_use]
    pub const fn to_change(permission: Permission) -> Self {
        Self { permission, secret: RequiredSecret::Current }
    }

    /// For a call that revokes a key.
    #[must_use]
    pub const fn to_revoke(permission: Permission) -> Self {
        Self { permission, secret: RequiredSecret::CurrentForOthers }
    }
}

/// What the caller has to be permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// A scope.
    Scope(Scope),
    /// A scope, or to be this very key.
    ScopeOrKey(Scope, ApiKeyId),
    /// To be an API key, with any scopes.
    AnyKey,
}

/// Which secret of its key a caller has to present. Whoever finds an old secret must not lock the key's owner out or make
/// keys that outlive the rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredSecret {
    /// Also one that a rotation has replaced, as long as it works.
    Any,
    /// The current one.
    Current,
    /// The current one, to affect another key. Any secret may give up its own key's access.
    CurrentForOthers,
}

/// What a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What the credential grants.
    pub scopes: ScopeSet,
    /// `None`: the caller is a user. The times of a user's token are checked with its signature.
    pub key: Option<KeyFacts<'a>>,
    /// What the endpoint requires.
    pub required: RequiredAccess,
}

/// The state of an API key and of its presented secret, and who presents it.
#[derive(Clone, Copy, Debug)]
pub struct KeyFacts<'a> {
    /// When it is decided.
    pub now: Timestamp,
    /// The key.
    pub id: ApiKeyId,
    /// When the key expires; `None` = never.
    pub expires_at: Option<Timestamp>,
    /// When the key was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The key's suspension, also one that has ended by itself.
    pub suspension: Option<Suspension>,
    /// The presented secret.
    pub secret: SecretState,
    /// The allowed client addresses; `None`: any.
    pub allowed_addresses: Option<&'a AllowedAddresses>,
    /// The client's address, if it is known.
    pub client_address: Option<IpAddr>,
}

/// The state of a key's secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecretState {
    /// When it ends; `None` unless a rotation has replaced it.
    pub expires_at: Option<Timestamp>,
    /// A rotation has replaced it.
    pub is_retired: bool,
    /// It was ended for good. No clock is asked.
    pub is_ended: bool,
}

impl SecretState {
    /// A secret that no longer works.
    pub const ENDED: Self = Self { expires_at: None, is_retired: true, is_ended: true };
}

/// Why a caller is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// The key is revoked.
    KeyRevoked,
    /// The key is suspended.
    KeySuspended,
    /// The key has expired.
    KeyExpired,
    /// The secret ended before its key did, so it is no longer a secret of the key.
    SecretEnded,
    /// The client's address is not among the allowed ones. `None`: it is unknown, which is denied too.
    AddressNotAllowed(Option<IpAddr>),
    /// The scope that the caller lacks.
    InsufficientScope(Scope),
    /// The caller is a user, and the endpoint is for API keys.
    KeyRequired,
    /// The key has exceeded its rate limit.
    RateLimited {
        /// The rate limit and its remaining budget.
        budget: Budget,
        /// When the next request may come.
        until: Timestamp,
    },
    /// The secret still works, and the endpoint requires the one that has replaced it.
    SecretRetired,
    /// The key has exhausted its quota.
    QuotaExceeded(QuotaUse),
}

impl DenialReason {
    /// True if the credential identifies its caller and only does not permit what is required. Not from an address that
    /// the key may not be used from: who sends from there need not be its owner.
    #[must_use]
    pub const fn credential_is_valid(self) -> bool {
        matches!(
            self,
            Self::InsufficientScope(_)
                | Self::KeyRequired
                | Self::SecretRetired
                | Self::RateLimited { .. }
                | Self::QuotaExceeded(_)
        )
    }
}

/// Decides. A key that is no longer valid is denied before its scopes are looked at.
#[inline]
pub fn decide(facts: &Facts<'_>) -> Result<(), DenialReason> {
    if let Some(key) = &facts.key {
        key.check_valid()?;
        key.check_address()?;
    }
    let RequiredAccess { permission, secret } = facts.required;
    let is_own_key = match permission {
        Permission::AnyKey => facts.key.is_some(),
        Permission::ScopeOrKey(_, id) => facts.key.is_some_and(|key| key.id == id),
        Permission::Scope(_) => false,
    };
    if !is_own_key {
        match permission {
            Permission::AnyKey => return Err(DenialReason::KeyRequired),
            Permission::Scope(scope) | Permission::ScopeOrKey(scope, _) if !facts.scopes.allows(scope) => {
                return Err(DenialReason::InsufficientScope(scope));
            }
            Permission::Scope(_) | Permission::ScopeOrKey(..) => {}
        }
    }
    let accepts_retired = match secret {
        RequiredSecret::Any => true,
        RequiredSecret::Current => false,
        RequiredSecret::CurrentForOthers => is_own_key,
    };
    if !accepts_retired && facts.key.is_some_and(|key| key.secret.is_retired) {
        return Err(DenialReason::SecretRetired);
    }
    Ok(())
}

/// Decides about the rate limit, after [`decide`] has allowed the request: one that is denied for another reason uses up
/// nothing of it.
pub fn decide_rate(taken: &RateDecision, now: Timestamp) -> Result<(), DenialReason> {
    if taken.allowed {
        return Ok(());
    }
    // At most a window. Rounded up to whole microseconds, as all times are.
    let wait = taken.budget.next_in().unwrap_or_default().as_nanos().div_ceil(1_000);
    let wait = TimeDelta::microseconds(i64::try_from(wait).unwrap_or(i64::MAX));
    let until = now.checked_add_signed(wait).unwrap_or(now);
    Err(DenialReason::RateLimited { budget: taken.budget, until })
}

/// Decides about the quota, after all else has allowed the request: one that is denied uses up nothing of it.
pub fn decide_quota(quota: &QuotaUse) -> Result<(), DenialReason> {
    if quota.remaining() > 0 { Ok(()) } else { Err(DenialReason::QuotaExceeded(*quota)) }
}

impl KeyFacts<'_> {
    fn check_valid(&self) -> Result<(), DenialReason> {
        match Status::at(self.now, self.expires_at, self.suspension, self.revoked_at) {
            Status::Revoked => Err(DenialReason::KeyRevoked),
            _ if self.secret_has_ended() => Err(DenialReason::SecretEnded),
            Status::Suspended => Err(DenialReason::KeySuspended),
            Status::Expired => Err(DenialReason::KeyExpired),
            Status::Active => Ok(()),
        }
    }

    fn check_address(&self) -> Result<(), DenialReason> {
        match self.allowed_addresses {
            Some(allowed) if !allowed.allow(self.client_address) => {
                Err(DenialReason::AddressNotAllowed(self.client_address))
            }
            _ => Ok(()),
        }
    }

    /// A secret whose time ends together with its key's ends by the key's expiry.
    fn secret_has_ended(&self) -> bool {
        let before_key = |end: Timestamp| self.expires_at.is_none_or(|key_end| end < key_end);
        self.secret.is_ended || self.secret.expires_at.is_some_and(|end| self.now >= end && before_key(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AddressBlock, Quota, QuotaPeriod, RateLimit};
    use DenialReason::{
        AddressNotAllowed, InsufficientScope, KeyExpired, KeyRequired, KeyRevoked, KeySuspended, SecretEnded,
        SecretRetired,
    };
    use Permission::{AnyKey, ScopeOrKey};
    use Scope::{Admin, Read, Write};
    use chrono::DateTime;
    use uuid::Uuid;

    const OWN: ApiKeyId = ApiKeyId(Uuid::from_u128(1));
    const OTHER: ApiKeyId = ApiKeyId(Uuid::from_u128(2));
    const NOW: i64 = 100;
    /// A key without limits, in use.
    const KEY: KeyFacts<'_> = KeyFacts {
        now: at(NOW),
        id: OWN,
        expires_at: None,
        revoked_at: None,
        suspension: None,
        secret: SecretState { expires_at: None, is_retired: false, is_ended: false },
        allowed_addresses: None,
        client_address: None,
    };

    const fn at(second: i64) -> Timestamp {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn suspended_until(second: Option<i64>) -> Suspension {
        Suspension { since: at(NOW - 9), until: second.map(at) }
    }

    /// (the key's end, the secret's own end, the decision about an unrevoked key), in seconds around [`NOW`].
    type Validity = (Option<i64>, Option<i64>, Result<(), DenialReason>);
    const VALIDITY: [Validity; 16] = [
        (None, None, Ok(())),
        (None, Some(NOW + 1), Ok(())),
        (None, Some(NOW), Err(SecretEnded)),
        (None, Some(NOW - 1), Err(SecretEnded)),
        (Some(NOW + 1), None, Ok(())),
        (Some(NOW + 1), Some(NOW + 2), Ok(())),
        (Some(NOW + 2), Some(NOW + 1), Ok(())),
        (Some(NOW + 1), Some(NOW), Err(SecretEnded)),
        (Some(NOW), None, Err(KeyExpired)),
        (Some(NOW), Some(NOW + 1), Err(KeyExpired)),
        (Some(NOW), Some(NOW), Err(KeyExpired)),
        (Some(NOW), Some(NOW - 1), Err(SecretEnded)),
        (Some(NOW - 1), None, Err(KeyExpired)),
        (Some(NOW - 1), Some(NOW), Err(KeyExpired)),
        (Some(NOW - 1), Some(NOW - 1), Err(KeyExpired)),
        (Some(NOW - 1), Some(NOW - 2), Err(SecretEnded)),
    ];

    /// (permission, the decision about a user of each of [`SCOPES`], and about a valid key of each).
    type Access = (Permission, [Result<(), DenialReason>; 4], [Result<(), DenialReason>; 4]);
    const SCOPES: [&[Scope]; 4] = [&[], &[Read], &[Write], &[Admin]];
    const NEEDS_READ: [Result<(), DenialReason>; 4] = [Err(InsufficientScope(Read)), Ok(()), Ok(()), Ok(())];
    const NEEDS_WRITE: [Result<(), DenialReason>; 4] =
        [Err(InsufficientScope(Write)), Err(InsufficientScope(Write)), Ok(()), Ok(())];
    const NEEDS_ADMIN: [Result<(), DenialReason>; 4] =
        [Err(InsufficientScope(Admin)), Err(InsufficientScope(Admin)), Err(InsufficientScope(Admin)), Ok(())];
    const ACCESS: [Access; 8] = [
        (Permission::Scope(Read), NEEDS_READ, NEEDS_READ),
        (Permission::Scope(Write), NEEDS_WRITE, NEEDS_WRITE),
        (Permission::Scope(Admin), NEEDS_ADMIN, NEEDS_ADMIN),
        (ScopeOrKey(Read, OWN), NEEDS_READ, [Ok(()); 4]),
        (ScopeOrKey(Read, OTHER), NEEDS_READ, NEEDS_READ),
        (ScopeOrKey(Admin, OWN), NEEDS_ADMIN, [Ok(()); 4]),
        (ScopeOrKey(Admin, OTHER), NEEDS_ADMIN, NEEDS_ADMIN),
        (AnyKey, [Err(KeyRequired); 4], [Ok(()); 4]),
    ];

    /// (secret, whether a retired secret suffices on its own key, and for a call that need not be about that).
    const SECRETS: [(RequiredSecret, bool, bool); 3] = [
        (RequiredSecret::Any, true, true),
        (RequiredSecret::Current, false, false),
        (RequiredSecret::CurrentForOthers, true, false),
    ];

    #[test]
    fn a_retired_secret_is_denied_where_the_current_one_is_required() {
        let secret = SecretState { expires_at: Some(at(NOW + 1)), is_retired: true, is_ended: false };
        let key = KeyFacts { secret, ..KEY };
        let scopes = ScopeSet::from_iter([Admin]);
        for (secret, on_own, on_others) in SECRETS {
            for (permission, suffices) in [
                (AnyKey, on_own),
                (ScopeOrKey(Admin, OWN), on_own),
                (ScopeOrKey(Admin, OTHER), on_others),
                (Permission::Scope(Admin), on_others),
            ] {
                let decided =
                    |key, scopes| decide(&Facts { scopes, key, required: RequiredAccess { permission, secret } });
                let expected = if suffices { Ok(()) } else { Err(SecretRetired) };
                assert_eq!(decided(Some(key), scopes), expected, "{permission:?} {secret:?}");
                let current = KeyFacts { secret: SecretState::default(), ..key };
                assert_eq!(decided(Some(current), scopes), Ok(()), "{permission:?} {secret:?}");
                let ended = KeyFacts { now: at(NOW + 1), ..key };
                assert_eq!(decided(Some(ended), scopes), Err(SecretEnded), "{permission:?} {secret:?}");
                if permission != AnyKey {
                    assert_eq!(decided(None, scopes), Ok(()), "a user has no secret: {permission:?} {secret:?}");
                }
                if matches!(permission, Permission::Scope(_) | ScopeOrKey(_, OTHER)) {
                    let denied = decided(Some(key), ScopeSet::READ);
                    assert_eq!(
                        denied,
                        Err(InsufficientScope(Admin)),
                        "the scope comes first: {permission:?} {secret:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_rate_limited_request_gets_the_time_of_the_next_allowed_one() {
        let budget = Budget::new(RateLimit::new(2, 60).unwrap(), 45_000_000_000);
        let denied = decide_rate(&RateDecision::refused(budget), at(NOW));
        assert_eq!(denied, Err(DenialReason::RateLimited { budget, until: at(NOW + 15) }));
        assert!(denied.unwrap_err().credential_is_valid());
        assert_eq!(decide_rate(&RateDecision::allowed(budget), at(NOW)), Ok(()));
    }

    #[test]
    fn every_combination_of_facts_has_the_decision_of_the_table() {
        let allowed = AllowedAddresses::new(vec![AddressBlock::parse("10.0.0.1").unwrap()]);
        let each = ACCESS.into_iter().flat_map(|access| SECRETS.map(|(secret, ..)| (access, secret)));
        for ((permission, of_user, of_key), secret) in each {
            let required = RequiredAccess { permission, secret };
            for ((scopes, of_user), of_key) in SCOPES.into_iter().zip(of_user).zip(of_key) {
                let scopes: ScopeSet = scopes.iter().copied().collect();
                let decided = |key| decide(&Facts { scopes, key, required });
                assert_eq!(decided(None), of_user, "a user with {scopes:?}, {required:?}");
                for (key_end, secret_end, validity) in VALIDITY {
                    let secret = SecretState { expires_at: secret_end.map(at), ..SecretState::default() };
                    let key = KeyFacts { expires_at: key_end.map(at), secret, ..KEY };
                    assert_eq!(decided(Some(key)), validity.and(of_key), "{key:?} with {scopes:?}, {required:?}");
                    let ended = KeyFacts { secret: SecretState { is_ended: true, ..key.secret }, ..key };
                    assert_eq!(decided(Some(ended)), Err(SecretEnded), "{ended:?} with {scopes:?}, {required:?}");
                    let revoked = KeyFacts { revoked_at: Some(at(NOW - 9)), ..key };
                    let both = KeyFacts { secret: SecretState::ENDED, ..revoked };
                    let suspended = KeyFacts { suspension: Some(suspended_until(None)), ..revoked };
                    for dead in [revoked, both, suspended] {
                        assert_eq!(decided(Some(dead)), Err(KeyRevoked), "{dead:?} with {scopes:?}, {required:?}");
                    }
                    for (until, is_in_force) in [(None, true), (Some(NOW + 1), true), (Some(NOW), false)] {
                        let suspended = KeyFacts { suspension: Some(suspended_until(until)), ..key };
                        let denied = if validity == Err(SecretEnded) { SecretEnded } else { KeySuspended };
                        let decision = if is_in_force { Err(denied) } else { validity.and(of_key) };
                        assert_eq!(decided(Some(suspended)), decision, "{suspended:?} with {scopes:?}, {required:?}");
                    }
                    for (client, is_allowed) in
                        [(Some([10, 0, 0, 1]), true), (Some([10, 0, 0, 2]), false), (None, false)]
                    {
                        let client_address = client.map(IpAddr::from);
                        let limited = KeyFacts { allowed_addresses: Some(&allowed), client_address, ..key };
                        let decision = if is_allowed {
                            validity.and(of_key)
                        } else {
                            validity.and(Err(AddressNotAllowed(client_address)))
                        };
                        assert_eq!(decided(Some(limited)), decision, "{limited:?} with {scopes:?}, {required:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_quota_allows_as_many_requests_as_it_has() {
        let quota = Quota::new(3, QuotaPeriod::Day).unwrap();
        for (used, allowed) in [(0, true), (2, true), (3, false), (4, false), (i64::MAX, false)] {
            let quota = QuotaUse { quota, used, at: at(NOW), resets_at: at(NOW) };
            let expected = if allowed { Ok(()) } else { Err(DenialReason::QuotaExceeded(quota)) };
            assert_eq!(decide_quota(&quota), expected, "{used}");
        }
    }
}
